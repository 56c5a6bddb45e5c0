"""A similarity learned from how cues differ from keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Float
from amfast.parts.similarities import Similarity

Corruption = Callable[[Array], Any]

# A column whose part of the cue that comes of the key is smaller, in deviations, says nothing.
_FAINT = 1e-3
# Deviations below this, and above its inverse, have squares that are no float64 numbers.
_LEAST_SPREAD = 1e-150
# Rows that leave a degree of freedom to the deviation of a fitted line.
_FEWEST = 3
# Entries that are fitted at a time, as float64.
_ENTRIES = 1 << 22


class FittedSimilarity(Similarity):
    """How far a cue is from what a corruption makes of a key; see `fit_similarity`.

    A line per column says that a cue is ``q = a x + b`` with noise of deviation ``s``, and a set of
    such lines is a model of one corruption. The distance is twice the negative logarithm of the
    likelihood under the model that suits key and cue best, without what is the same for all keys:

        d(q, x) = min_m [ sum_p (a/s)^2 ((q - b)/a - x)^2 + c_m(q) ] - min_m c_m(q)
        c_m(q)  = sum_p 2 ln s, and ((q - b)/s)^2 where a = 0

    so each model is a squared Euclidean distance with weights on the columns, which the engine
    computes from the keys as they are.

    Parameters
    ----------
    lines : (M, 3, d) array
        Slopes a, offsets b and deviations s > 0 of M models.
    name : str, default "fitted"
        What ``repr`` shows.
    """

    lines: Float

    def __init__(self, lines: Any, name: str = "fitted") -> None:
        x = _check.array(lines, "lines")
        if x.ndim != 3 or x.shape[1] != 3 or 0 in x.shape:
            raise ValueError(f"lines must have shape (M, 3, d), got {x.shape}")
        x = x.astype(np.float64)
        _check.finite(x.reshape(len(x), -1), "lines")
        if not (x[:, 2] > 0).all():
            raise ValueError("lines must have deviations > 0")
        object.__setattr__(self, "lines", _check.frozen(x))
        super().__init__(self._distances, larger_is_better=False, name=name)

    def __eq__(self, other: object) -> bool:
        """Compare lines and names."""
        if not isinstance(other, FittedSimilarity):
            return NotImplemented
        return self.name == other.name and np.array_equal(self.lines, other.lines)

    def __hash__(self) -> int:
        """Hash lines and name."""
        return hash((self.name, self.lines.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what it is made of."""
        return type(self), (np.array(self.lines), self.name)

    def __repr__(self) -> str:
        """Say how many models of how many columns there are."""
        models, _, width = self.lines.shape
        return f"FittedSimilarity({self.name!r}, {models} model{'s' * (models > 1)} of {width})"

    @property
    def engine_metric(self) -> str:
        """Squared Euclidean, of what `asked` makes of the cues."""
        return "sqeuclidean"

    def check_width(self, rows: Any, name: str) -> None:
        """Refuse rows of another width than was fitted.

        Parameters
        ----------
        rows : (N, d) array
        name : str
            What errors call them.
        """
        _check.same_width(rows, name, self.lines.shape[2], "the similarity was fitted to")

    def asked(self, model: int, cues: Array, known: Array | None) -> tuple[Array, Array]:
        """Return what the engine asks for a model: cues brought to the keys, and weights.

        Parameters
        ----------
        model : int
        cues : (q, d) array
            float32 or float64.
        known : (q, d) or (1, d) array, optional
            What columns of the cues count.

        Returns
        -------
        (q, d) and (q, d) or (1, d) array
            In the type of the cues.

        Raises
        ------
        ValueError
            If the data are so large or small that weights leave the range of that type.
        """
        a, b, s = self.lines[model]
        with np.errstate(over="ignore", under="ignore"):
            exact = ((a / s) ** 2)[None]
            weights = exact.astype(cues.dtype)
        fits = np.isfinite(weights) & ((weights >= np.finfo(cues.dtype).tiny) | (a == 0))
        if not fits.all():
            column = int(np.flatnonzero(~fits[0])[0])
            raise ValueError(
                f"the similarity weighs column {column} by {exact[0, column]:.3g}, which is no "
                f"{cues.dtype}: scale the data near 1, or use float64"
            )
        scale = np.divide(1.0, a, out=np.zeros_like(a), where=a != 0)
        brought = (cues - b.astype(cues.dtype)) * scale.astype(cues.dtype)
        return brought, weights if known is None else np.ascontiguousarray(weights * known)

    def constants(self, cues: Array, known: Array | None = None) -> Float:
        """Return what each model adds to the distances of every key, (M, q), the least 0.

        Parameters
        ----------
        cues : (q, d) array
        known : (q, d) array, optional
            Which entries count.

        Returns
        -------
        (M, q) float64 array
        """
        share = np.ones((1, cues.shape[1])) if known is None else known.astype(np.float64)
        out = np.empty((len(self.lines), len(cues)))
        for model, (a, b, s) in enumerate(self.lines):
            silent = np.where(a == 0, ((cues - b) / s) ** 2, 0.0)
            out[model] = ((silent + 2.0 * np.log(s)) * share).sum(axis=1)
        return np.asarray(out - out.min(axis=0))

    def _distances(self, cues: Array, keys: Array) -> Float:
        """Say the same in NumPy, (q, n): what a tile of a Python similarity is."""
        for rows, name in ((cues, "cues"), (keys, "keys")):
            self.check_width(rows, name)
        models = []
        for model, constant in enumerate(self.constants(cues)):
            brought, weights = self.asked(model, cues.astype(np.float64), None)
            apart = brought[:, None] - keys.astype(np.float64)
            models.append((apart * apart * weights).sum(axis=2) + constant[:, None])
        return np.asarray(np.min(models, axis=0))


def fit_similarity(
    X: Any,
    corrupt: Corruption | Sequence[Corruption],
    *,
    floor: float = 1.0,
    name: str = "fitted",
) -> Similarity:
    """Learn a similarity from how corrupted cues differ from keys.

    For every column a line is fitted, ``q = a x + b`` with noise of deviation s, by least squares
    on examples: rows like those that will be stored, and what the corruption makes of them. A score
    is then the logarithm of the likelihood of the cue given the key, times 2: columns that the
    corruption leaves alone count much, those that it blots out count nothing. It answers the open
    question of Millidge et al. (*Universal Hopfield Networks*, ICML 2022) of a similarity that
    suits its data.

    Parameters
    ----------
    X : (N, d) array
        At least 3 examples, as many as there are; they need not be stored, and should not be if
        the similarity is to be judged by what is. A few hundred serve.
    corrupt : callable, or a list of them
        ``corrupt(X) -> (N, d)``: what becomes of the examples. With several, every corruption has
        a model of its own, and a cue is scored under the one that suits it and the key best: nobody
        has to say how it was spoilt.
    floor : float, default 1.0
        Least deviation, in standard deviations of the entries of X, >= 1e-7. It bounds how much a
        column counts that the corruption leaves alone, and one whose few examples happened to fit
        a line: pixels that are nearly always black. Less of it tells keys apart that nearly agree.
    name : str, default "fitted"
        What ``repr`` shows.

    Returns
    -------
    Similarity
        A distance, for keys and cues of d columns, in `UniversalHopfield` and `retrieve`. It can be
        saved with the memory. "max" answers with the likeliest item; ``beta=0.5`` of a softmax
        makes weights the probabilities of the items, where deviations are above the floor, and
        careful ones elsewhere.

    Raises
    ------
    ValueError
        If there are fewer than 3 examples, all entries are equal, there is no corruption, or one
        changes the shape or gives NaN or infinity.
    TypeError
        If a corruption is not callable.

    See Also
    --------
    Similarity : A function of your own.
    amfast.corrupt : Corruptions of images.

    Notes
    -----
    In each column ``a = cov(x, q) / var(x)``, ``b = mean(q) - a mean(x)`` and s^2 is the mean
    square that is left, over N - 2. A column that never varied, or of which less than a thousandth
    of s shows, gets a = 0. One model runs fused, at the speed of squared Euclidean distances with a
    mask; several meet the scores in tiles. Corruptions it was not fitted to are not recognised.

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=1000).patterns()
    >>> stored, examples = images[:300], images[300:]
    >>> def noise(rows):
    ...     return am.corrupt.gaussian(rows, 0.5, seed=len(rows), shape=(28, 28))
    >>> def half(rows):
    ...     return am.corrupt.mask(rows, 0.5, shape=(28, 28))
    >>> learned = am.fit_similarity(examples, [noise, half])
    >>> for similarity in ("manhattan", learned):
    ...     memory = am.UniversalHopfield(similarity, "max")
    ...     ids = memory.store(stored)
    ...     found = [memory.recall(spoil(stored), details=True).best for spoil in (noise, half)]
    ...     print([round(float((best == ids).mean()), 1) for best in found])
    [0.4, 0.2]
    [1.0, 1.0]
    """
    examples = _check.rows(X, "X")
    _check.finite(examples, "X")
    functions = list(corrupt) if isinstance(corrupt, Sequence) else [corrupt]
    if not functions:
        raise ValueError("corrupt must be a function or a list of at least one")
    for function in functions:
        if not callable(function):
            raise TypeError(f"corrupt must be callable, got {type(function).__name__}")
    name = _named(name)
    least = _check.number(floor, "floor", 1e-7)
    if len(examples) < _FEWEST:
        raise ValueError(f"X has {len(examples)} rows, at least {_FEWEST} are needed to fit lines")
    if examples.min() == examples.max():
        raise ValueError("X must vary, all its entries are equal")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(examples.std(dtype=np.float64))
    if not _LEAST_SPREAD < spread < 1 / _LEAST_SPREAD:
        raise ValueError(
            f"X has entries whose squares no float64 holds (deviation {spread:.3g}); scale it"
        )
    lines = [_fitted(examples, _spoilt(examples, f), least * spread) for f in functions]
    return FittedSimilarity(np.array(lines), name)


def _named(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    return name


def _spoilt(examples: Array, corrupt: Corruption) -> Array:
    called = f"what {_check.name_of_function(corrupt)} returns"
    spoilt = _check.array(corrupt(examples.copy()), called)
    if spoilt.shape != examples.shape:
        raise ValueError(f"{called} must have the shape of X, {examples.shape}, got {spoilt.shape}")
    _check.finite(spoilt, called)
    return spoilt


def _fitted(x: Array, q: Array, floor: float) -> Float:
    """Fit a line to every column, (3, d)."""
    lines = np.empty((3, x.shape[1]))
    step = max(1, _ENTRIES // len(x))
    for start in range(0, x.shape[1], step):
        some = slice(start, start + step)
        lines[:, some] = _line(x[:, some].astype(np.float64), q[:, some].astype(np.float64), floor)
    return lines


def _line(x: Float, q: Float, floor: float) -> tuple[Float, Float, Float]:
    mean_x, mean_q = x.mean(axis=0), q.mean(axis=0)
    x, q = x - mean_x, q - mean_q
    square = (x * x).sum(axis=0)
    slope = np.divide((x * q).sum(axis=0), square, out=np.zeros_like(square), where=square > 0)
    left = ((q - slope * x) ** 2).sum(axis=0) / (len(x) - 2)
    deviation = np.maximum(np.sqrt(left), floor)
    shown = np.abs(slope) * np.sqrt(square / len(x))
    slope[shown < _FAINT * deviation] = 0.0
    return slope, mean_q - slope * mean_x, deviation
