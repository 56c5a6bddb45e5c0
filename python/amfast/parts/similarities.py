"""How one key scores against one cue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array
from amfast.parts import metrics
from amfast.parts.base import Separation

ScoreFunction = Callable[[Array, Array], Any]

FEW_ROWS = 8
"""Keys that tell a distance from a similarity."""


@dataclass(frozen=True, repr=False)
class Similarity:
    """How one key scores against one cue.

    Parameters
    ----------
    fn : str or callable
        A metric's name as `amfast.kernels` lists them ("dot", "manhattan", "hamming" for bits,
        ...), or a function ``fn(cues (q, d), keys (n, d)) -> (q, n)``. The function is
        called on tiles: some of the cues with some of the keys, read-only, float32 or float64. It
        is slower than a named metric by the cost of NumPy and of holding scores.
    larger_is_better : bool, default True for a function
        False if the function is a distance. For a named metric it follows from the name.
    name : str, optional
        What ``repr`` shows for a function.
    gradient : callable, optional
        For a function: ``gradient(cues (q, d), keys (n, d)) -> (q, n, d)``, the derivatives of
        ``fn`` by the entries of the cues. `NeuralDynamics` needs it, nothing else does.

    Raises
    ------
    TypeError
        If ``fn`` is neither a name nor callable, or ``gradient`` is not callable.
    ValueError
        If the name is unknown or contradicts ``larger_is_better``; if it comes with a gradient.

    See Also
    --------
    fit_similarity : One that is learned from corrupted examples.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> chebyshev = am.Similarity(
    ...     lambda cues, keys: np.abs(cues[:, None] - keys).max(axis=-1),
    ...     larger_is_better=False, name="chebyshev")
    >>> memory = am.UniversalHopfield(chebyshev, "max")
    >>> ids = memory.store([[0.0, 0.0], [1.0, 1.0]])
    >>> memory.recall([0.9, 0.4])
    array([1., 1.])
    >>> bent = am.Similarity(
    ...     lambda cues, keys: np.tanh(cues) @ keys.T,
    ...     gradient=lambda cues, keys: (1 - np.tanh(cues) ** 2)[:, None] * keys)
    >>> neurons = am.NeuralDynamics(bent, beta=8.0)
    >>> ids = neurons.store([[1.0, 0.0], [0.0, 1.0]])
    >>> int(neurons.run([0.9, 0.4]).rises)
    0
    """

    fn: str | ScoreFunction
    larger_is_better: bool | None = None
    name: str | None = None
    gradient: ScoreFunction | None = field(default=None, kw_only=True)
    direction_given: bool = field(init=False, compare=False)
    """Whether somebody said which scores are better, rather than nobody."""

    def __post_init__(self) -> None:
        """Resolve the name and the direction."""
        larger = self.larger_is_better
        object.__setattr__(self, "direction_given", larger is not None or isinstance(self.fn, str))
        if larger is not None:
            larger = _check.flag(larger, "larger_is_better")
        if isinstance(self.fn, str):
            metric = metrics.resolve(self.fn)
            if larger is not None and larger != metrics.METRICS[metric].larger_is_better:
                raise ValueError(f"larger_is_better={larger} contradicts the metric {metric!r}")
            object.__setattr__(self, "fn", metric)
            object.__setattr__(self, "name", metric)
            larger = metrics.METRICS[metric].larger_is_better
            if self.gradient is not None:
                raise ValueError(f"gradient goes with a function; {metric!r} has its own")
        elif isinstance(self.fn, type) or not callable(self.fn):
            raise TypeError(f"similarity must be a metric's name or callable, got {self.fn!r}")
        else:
            larger = True if larger is None else larger
            object.__setattr__(self, "name", self.name or _check.name_of_function(self.fn))
        if self.gradient is not None:
            _check.function(self.gradient, "gradient")
        object.__setattr__(self, "larger_is_better", larger)

    def __repr__(self) -> str:
        """Name the metric or function and its direction."""
        return f"Similarity({self.name!r}, larger_is_better={self.larger_is_better})"

    @property
    def metric(self) -> str | None:
        """The engine's name of the metric, None for a Python function."""
        return self.fn if isinstance(self.fn, str) else None

    @property
    def engine_metric(self) -> str | None:
        """The metric by which the engine reads the keys, None if it does not."""
        return self.metric

    def check_width(self, rows: Any, name: str) -> None:
        """Refuse rows of a width that this similarity does not know.

        Parameters
        ----------
        rows : (N, d) array
        name : str
            What errors call them.
        """

    def slopes(self, cues: Array, keys: Array) -> Array:
        """Call the gradient on one tile and check what it returns, (q, n, d) as given.

        Parameters
        ----------
        cues : (q, d) array
        keys : (n, d) array

        Returns
        -------
        (q, n, d) array

        Raises
        ------
        ValueError
            If the result has another shape, a NaN or an infinity.
        TypeError
            If the result is not real numbers.
        """
        assert self.gradient is not None
        result = _check.array(
            self.gradient(_check.frozen(cues), _check.frozen(keys)), f"gradient of {self.name}"
        )
        expected = (len(cues), *keys.shape)
        if result.shape != expected:
            raise ValueError(
                f"the gradient of {self.name} must return shape (q, n, d) = {expected} "
                f"for cues {cues.shape} and keys {keys.shape}, it returned {result.shape}"
            )
        if not np.isfinite(result).all():
            raise ValueError(f"the gradient of {self.name} returned a NaN or an infinity")
        return result

    def tile(self, cues: Array, keys: Array) -> Array:
        """Call the function on one tile and check what it returns, (q, n) as given.

        Parameters
        ----------
        cues : (q, d) array
        keys : (n, d) array

        Returns
        -------
        (q, n) array

        Raises
        ------
        ValueError
            If the result has another shape or holds a NaN.
        TypeError
            If the result is not real numbers.
        """
        assert callable(self.fn)
        result = _check.array(
            self.fn(_check.frozen(cues), _check.frozen(keys)), f"scores of {self.name}"
        )
        expected = (len(cues), len(keys))
        if result.shape != expected:
            raise ValueError(
                f"similarity {self.name} must return shape (q, n) = {expected} "
                f"for cues {cues.shape} and keys {keys.shape}, it returned {result.shape}"
            )
        if result.dtype.kind == "f" and np.isnan(result).any():
            raise ValueError(f"similarity {self.name} returned a NaN")
        return result


def similarity(given: object) -> Similarity:
    """Resolve a similarity's name, object or function.

    Parameters
    ----------
    given : str, Similarity or callable

    Returns
    -------
    Similarity
    """
    if isinstance(given, Similarity):
        return given
    if isinstance(given, str) or callable(given):
        return Similarity(given)
    raise TypeError(
        f"similarity must be a metric's name, a Similarity or callable, got {type(given).__name__}"
    )


def refuse_distance(similar: Similarity, rows: Array) -> None:
    """Refuse a function that scores every key lowest at itself: it is a distance.

    Only a function is looked at of which nobody said which scores are better; as a similarity it
    would recall the farthest item.

    Parameters
    ----------
    similar : Similarity
    rows : (n, d) array
        A few keys, in the type in which they are scored.
    """
    if similar.direction_given or len(rows) < 2:
        return
    rows = np.unique(rows, axis=0)
    if len(rows) < 2:
        return
    with np.errstate(all="ignore"):
        scores = similar.tile(rows, rows)
    own = scores.diagonal()
    others = np.where(np.eye(len(rows), dtype=np.bool_), np.inf, scores).min(axis=1)
    if (own < others).all():
        raise ValueError(
            f"{similar.name} is a distance: it scores each of {len(rows)} stored keys lowest at "
            f"itself ({float(own[0]):.4g}, and {float(others[0]):.4g} or more at others), so that "
            "recall would return the farthest item; pass am.Similarity("
            f"{similar.name}, larger_is_better=False), or larger_is_better=True if that is meant"
        )


def misfit(similar: Similarity, separation: Separation) -> str:
    """Say what a separation makes of this similarity's scores; empty if nothing goes wrong."""
    wrong = separation.misfit(bool(similar.larger_is_better))
    return wrong and (
        f"{similar.name!r} is a distance d and scores as -d, of which {wrong}: use 'softmax', "
        "'max', am.TopK or am.Threshold, or a memory with convention='paper', where scores are "
        "reciprocal"
    )


@dataclass(frozen=True)
class Smoothed:
    """Rows as probability distributions mixed with a little of the uniform one.

    ``(n(x) + eps / d) / (1 + eps)`` with ``n(x) = x / sum(x)``. A blank row becomes the uniform
    distribution. Rows are non-negative. With ``eps = 0`` no other row changes: the metrics divide
    by the sum themselves, and know masses that would vanish by it here.
    """

    eps: float

    def __call__(self, rows: Array, dtype: np.dtype[Any]) -> Array:
        """Prepare rows (n, d) for the metrics between distributions."""
        if self.eps == 0:
            x = rows.astype(dtype)
            x[x.max(axis=1) <= 0] = 1  # states of recall may have no mass at all
            return x
        x = rows.astype(np.float64)
        peak = x.max(axis=1, keepdims=True, initial=0.0)
        x[peak[:, 0] == 0] = 1.0
        x /= np.where(peak == 0, 1.0, peak)  # the sum of huge entries would overflow
        x /= x.sum(axis=1, keepdims=True)
        x += self.eps / rows.shape[1]
        x /= 1.0 + self.eps
        return x.astype(dtype, copy=False)
