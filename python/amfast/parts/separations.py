"""Separations: what lifts the best scores above the others.

Notation: ``s_i`` is the score of item i (larger is better; a distance d scores as -d), ``b_i`` the
logarithm of its weight (0 unless given).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, Final

import numpy as np

from amfast import _check, reference
from amfast._typing import Array, Float

WeightFunction = Callable[[Array], Any]


def _separated(
    scores: Array, name: str, param: float, log_weight: Float | None
) -> tuple[Float, Float]:
    """Separate densely, refusing scores that overflowed."""
    w, log_scale = reference.separate(scores, name, param, log_weight)
    if np.isnan(w).any():
        row = int(np.flatnonzero(np.isnan(w).any(axis=1))[0])
        raise ValueError(
            f"cues row {row} has a score too large for its type; scale the data or use float64"
        )
    return w, log_scale


class Separation:
    """A separation given as a Python function, and the base of the named ones.

    Parameters
    ----------
    fn : callable
        ``fn(scores (q, N)) -> weights (q, N)``, called on the read-only scores of some of the cues
        with all items. Slower than a named separation: the scores of a tile of cues are held in
        memory (about 32 MB).
    name : str, optional
        What ``repr`` shows.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> am.Separation(np.tanh)
    Separation('tanh')
    """

    fn: WeightFunction
    name: str
    beta: float | None = None

    def __init__(self, fn: WeightFunction, name: str | None = None) -> None:
        if isinstance(fn, type):
            raise TypeError(f"separation must be an object or a function, got the class {fn!r}")
        _check.function(fn, "separation")
        object.__setattr__(self, "fn", fn)
        object.__setattr__(self, "name", name or _check.name_of_function(fn))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: parts are frozen."""
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __repr__(self) -> str:
        """Name the function."""
        return f"Separation({self.name!r})"

    def __eq__(self, other: object) -> bool:
        """Two user-defined separations are equal if their functions are."""
        return type(other) is Separation and other.fn == self.fn

    def __hash__(self) -> int:
        """Hash the function."""
        return hash(self.fn)

    @property
    def sums_to_one(self) -> bool:
        """Whether the weights are non-negative and always divided by their sum."""
        return False

    @property
    def n_best(self) -> int | None:
        """How many of the best items get a weight, None for all."""
        return None

    def engine(self) -> tuple[str, float] | None:
        """Name and parameter of the engine's fused form, None if there is no such form."""
        return None

    def why_no_potential(self) -> str:
        """Say why the weights are no gradient of a convex function; empty if `potential` is it."""
        return f"{self!r} is not the gradient of a convex function"

    def potential(self, scores: Array, log_weight: Float | None) -> Float:
        """Convex function of the scores (q, N) whose gradient the weights are, (q,).

        Energies need it. Only separations without a fused form have to say what it is.
        """
        raise ValueError(self.why_no_potential())

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Weights divided by the sum of their magnitudes (q, N), and the log of that sum (q,).

        Parameters
        ----------
        scores : (q, N) array
            Larger is better.
        log_weight : (N,) float64 or None
            Logarithms of the items' weights, which multiply the separated scores.
        larger_is_better : bool
            False if the scores are negated distances; only a threshold needs to know.
        """
        fused = self.engine()
        if fused is not None:
            return _separated(scores, *fused, log_weight)
        raw = _check.array(self.fn(_check.frozen(scores)), f"weights of {self.name}")
        if raw.shape != scores.shape:
            raise ValueError(
                f"separation {self.name} must return shape (q, N) = {scores.shape}, "
                f"it returned {raw.shape}"
            )
        # Row after row in memory, so that sums do not depend on how many cues came together.
        w = raw.astype(np.float64, order="C")
        _check.finite(w, f"weights of separation {self.name},")
        peak = np.abs(w).max(axis=1, keepdims=True, initial=0.0)
        peak[peak == 0] = 1.0
        w /= peak  # so that neither the sum nor an item's weight can overflow
        top = np.zeros((len(w), 1))
        if log_weight is not None:
            # Relative to the heaviest item that the function gives any weight.
            b = np.where(w == 0, -np.inf, log_weight)
            top = b.max(axis=1, keepdims=True, initial=-np.inf)
            top[top == -np.inf] = 0.0
            w *= np.exp(b - top)
        total = np.abs(w).sum(axis=1, keepdims=True)
        np.divide(w, total, out=w, where=total > 0)
        with np.errstate(divide="ignore"):
            return w, (np.log(total) + np.log(peak) + top)[:, 0]


@dataclass(frozen=True, init=False)
class Identity(Separation):
    """``w_i = s_i exp(b_i)``: the classical Hopfield network and linear attention."""

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Power with exponent 1."""
        return "power", 1.0


@dataclass(frozen=True)
class Polynomial(Separation):
    """``w_i = s_i^n exp(b_i)``, or ``max(s_i, 0)^n exp(b_i)`` if rectified.

    The dense associative memory of interaction order n + 1 (Krotov and Hopfield 2016).

    Parameters
    ----------
    n : int
        The exponent, >= 1.
    rectified : bool, default False
        Whether negative scores count as zero.
    """

    n: int
    rectified: bool = False

    def __post_init__(self) -> None:
        """Check the exponent."""
        object.__setattr__(self, "n", _check.integer(self.n, "n", 1, 1_000_000))
        object.__setattr__(self, "rectified", _check.flag(self.rectified, "rectified"))

    def engine(self) -> tuple[str, float]:
        """Power or rectified power."""
        return ("rectified" if self.rectified else "power"), float(self.n)


@dataclass(frozen=True, init=False)
class Sqrt(Separation):
    """``w_i = sqrt(s_i) exp(b_i)``; a negative score is a ValueError."""

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Square root."""
        return "sqrt", 0.0


@dataclass(frozen=True, init=False)
class Log(Separation):
    """``w_i = ln(s_i) exp(b_i)``, a score of 0 counting as the smallest normal number.

    A negative score is a ValueError. Scores below 1 get negative weights.
    """

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Logarithm."""
        return "log", 0.0


@dataclass(frozen=True)
class Softmax(Separation):
    """``w_i = exp(beta s_i + b_i) / sum_j exp(beta s_j + b_j)``, computed without overflow.

    The modern continuous Hopfield network (Ramsauer et al. 2021) and attention.

    Parameters
    ----------
    beta : float, default 1.0
        Inverse temperature, finite and >= 0; 0 averages all items.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check beta."""
        object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    @property
    def sums_to_one(self) -> bool:
        """Always."""
        return True

    def engine(self) -> tuple[str, float]:
        """Softmax."""
        return "softmax", self.beta


@dataclass(frozen=True)
class Exponential(Separation):
    """``w_i = exp(beta s_i + b_i)``: a softmax whose log scale is kept.

    Parameters
    ----------
    beta : float, default 1.0
        Inverse temperature, finite and >= 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check beta."""
        object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    def engine(self) -> tuple[str, float]:
        """Softmax, which returns its log scale too."""
        return "softmax", self.beta


@dataclass(frozen=True)
class Threshold(Separation):
    """``w_i = exp(b_i)`` where the distance is <= radius (dot: the score is >= radius), else 0.

    The radius is rounded to the type of the scores first. A cue with no item inside reads 0.

    Parameters
    ----------
    radius : float
        Finite; >= 0 for a distance.
    """

    radius: float

    def __post_init__(self) -> None:
        """Check the radius."""
        object.__setattr__(self, "radius", _check.number(self.radius, "radius"))

    def engine(self) -> tuple[str, float]:
        """Threshold."""
        return "threshold", self.radius

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Compare scores with the radius, or negated distances with its negative.

        The radius is rounded to the type of the scores first, as NumPy's comparisons do.
        """
        least = self.radius if larger_is_better else -self.radius
        with np.errstate(over="ignore"):
            least = float(scores.dtype.type(least)) if scores.dtype.kind == "f" else least
        return _separated(scores, "threshold", least, log_weight)


@dataclass(frozen=True)
class TopK(Separation):
    """The k best items by score, ties to the lowest index; the others weigh nothing.

    It chooses k distinct items and then weighs them: an item of weight 3 takes one of the k places,
    where three equal items of weight 1 would take three. An item of weight 0 is never chosen.

    Parameters
    ----------
    k : int
        How many, >= 1.
    beta : float, optional
        Among the k best, ``w_i`` is proportional to ``exp(beta s_i + b_i)``; None weighs them by
        ``exp(b_i)`` alone, that is equally.
    """

    k: int
    beta: float | None = None

    def __post_init__(self) -> None:
        """Check k and beta."""
        object.__setattr__(self, "k", _check.integer(self.k, "k", 1))
        if self.beta is not None:
            object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    @property
    def sums_to_one(self) -> bool:
        """Always."""
        return True

    @property
    def n_best(self) -> int:
        """The k."""
        return self.k

    def why_no_potential(self) -> str:
        """Say why: an item's weight does not help it among the k best."""
        return (
            f"{self!r} chooses by score whatever items weigh, which is not the gradient of a "
            "convex function; Sparsemax and Entmax leave items out and are"
        )

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Softmax over the k best, leaving out items of weight 0."""
        b = np.zeros(scores.shape[1]) if log_weight is None else log_weight
        live = np.flatnonzero(b > -np.inf)
        best = live[np.argsort(-scores[:, live], axis=1, kind="stable")[:, : self.k]]
        chosen, log_scale = self.shares(np.take_along_axis(scores, best, axis=1), b[best])
        w = np.zeros(scores.shape)
        np.put_along_axis(w, best, chosen, axis=1)
        return w, log_scale

    def dropped_bound(self, best: Any, n_items: int) -> Float:
        """Bound the softmax weight of all items but the k best, knowing the k best scores alone.

        No other item scores more than the last of the k, so of ``n_items`` equally weighted items
        the others hold at most ``r / (r + sum_j exp(beta (s_j - s_k)))`` with ``r = n_items - k``.
        A value recalled by the k best differs from the softmax's by at most twice that times the
        largest distance between a value and the origin. `UniversalHopfield.dropped_mass` is exact.

        Parameters
        ----------
        best : (q, k) array
            Scores, larger is better, best first, as `topk` gives them for "dot".
        n_items : int
            How many items there are, >= k.

        Raises
        ------
        ValueError
            If beta is None, or for another number of scores or items.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> am.TopK(2, beta=1.0).dropped_bound([[9.0, 2.0]], n_items=102).round(3)
        array([0.083])
        """
        if self.beta is None:
            raise ValueError(f"{self!r} has no beta, so there is no softmax to compare with")
        s = _check.rows(best, "best", "q").astype(np.float64)
        if s.shape[1] != self.k:
            raise ValueError(f"best have {s.shape[1]} columns, {self!r} keeps {self.k}")
        _check.finite(s, "best")
        rest = _check.integer(n_items, "n_items", self.k) - self.k
        with np.errstate(over="ignore"):
            return np.asarray(rest / (rest + np.exp(self.beta * (s - s[:, -1:])).sum(axis=1)))

    def shares(self, best: Array, bias: Array | float) -> tuple[Float, Float]:
        """Weights among the best (q, k), given their scores and log weights, and their log sum."""
        s = best.astype(np.float64) * self.beta if self.beta else np.zeros(best.shape)
        return _separated(s + bias, "softmax", 1.0, None)


@dataclass(frozen=True)
class Max(TopK):
    """The best item alone, ties to the lowest index: nearest neighbour, returned bit for bit."""

    k: int = field(default=1, init=False, repr=False)
    beta: float | None = field(default=None, init=False, repr=False)


SEPARATIONS: Final[dict[str, Separation]] = {
    "identity": Identity(),
    "log": Log(),
    "sqrt": Sqrt(),
    "square": Polynomial(2),
    "cube": Polynomial(3),
    "quartic": Polynomial(4),
    "tenth": Polynomial(10),
    "softmax": Softmax(),
    "exponential": Exponential(),
    "max": Max(),
}


def separation(given: object, beta: float | None = None) -> Separation:
    """Resolve a separation's name, object or function; ``beta`` is a shorthand for the softmax's.

    Raises
    ------
    ValueError
        If the name is unknown, or ``beta`` is given where it would have no effect.
    TypeError
        If ``given`` is neither a name, a separation nor callable.
    """
    if isinstance(given, str):
        known = SEPARATIONS[_check.name_of(given, SEPARATIONS, "separation")]
        if beta is None:
            return known
        if isinstance(known, Softmax | Exponential):
            return type(known)(beta)
        raise ValueError(f"beta={beta!r} has no effect on the separation {given!r}; leave it out")
    part = given if isinstance(given, Separation) else None
    if part is None:
        if not callable(given):
            raise TypeError(
                f"separation must be a name, a Separation or callable, got {type(given).__name__}"
            )
        part = Separation(given)
    if beta is not None:
        raise ValueError(f"beta={beta!r} beside the separation {part!r}; put it inside or leave it")
    return part
