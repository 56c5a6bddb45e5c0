"""Separations: what lifts the best scores above the others.

Notation: ``s_i`` is the score of item i (larger is better; a distance d scores as -d), ``b_i`` the
logarithm of its weight (0 unless given).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Final

import numpy as np

from amfast import _check
from amfast._typing import Array, Float
from amfast.parts import weighing
from amfast.parts.base import Raw, Separation
from amfast.parts.best import Max

_NEGATIVE = (
    "gives negative weights, the largest in magnitude to the farthest item: recalled images are "
    "negatives"
)


@dataclass(frozen=True, init=False)
class Identity(Raw):
    """``w_i = s_i exp(b_i)``: the classical Hopfield network and linear attention."""

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Power with exponent 1."""
        return "power", 1.0

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """See `Separation.weights`."""
        return weighing.power(scores, 1.0, False, log_weight)

    def misfit(self, larger_is_better: bool) -> str:
        """Say what a weight of -d does."""
        return "" if larger_is_better else f"{self!r} {_NEGATIVE}"

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``exp(b_i)``."""
        return self.weighed(np.ones(scores.shape), log_weight)

    def integral(self) -> tuple[Separation, float]:
        """``s^2 / 2``."""
        return Polynomial(2), 2.0


@dataclass(frozen=True)
class Polynomial(Raw):
    """``w_i = s_i^n exp(b_i)``, or ``max(s_i, 0)^n exp(b_i)`` if rectified.

    The dense associative memory of interaction order n + 1 (Krotov and Hopfield 2016).

    Parameters
    ----------
    n : float
        The exponent, > 0. Unless it is whole or scores are rectified, a negative score is a
        ValueError.
    rectified : bool, default False
        Whether negative scores count as zero.
    """

    n: float
    rectified: bool = False

    def __post_init__(self) -> None:
        """Check the exponent."""
        object.__setattr__(self, "n", _exponent(self.n))
        object.__setattr__(self, "rectified", _check.flag(self.rectified, "rectified"))

    def engine(self) -> tuple[str, float]:
        """Power or rectified power."""
        return ("rectified" if self.rectified else "power"), float(self.n)

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """See `Separation.weights`."""
        return weighing.power(scores, self.n, self.rectified, log_weight)

    def misfit(self, larger_is_better: bool) -> str:
        """Say what a power of -d does."""
        if larger_is_better:
            return ""
        if self.rectified:
            return f"{self!r} makes every weight 0, so that all cues recall zeros"
        if self.n % 2:
            return f"{self!r} {_NEGATIVE}"
        return f"{self!r} gives the farthest item the largest weight"

    def why_no_energy(self, alike: bool) -> str:
        """Say why: even powers are not monotone."""
        if self.n % 2 == 0 and not self.rectified:
            return f"the even power {self.n:g} is not monotone; use rectified=True or an odd n"
        return ""

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``n s_i^(n - 1) exp(b_i)``; at 0 of a power below 1, that at the smallest number."""
        s = np.maximum(scores, 0.0) if self.rectified else scores
        if self.n < 1:
            s = np.maximum(s, weighing.TINY)
        with np.errstate(over="ignore"):
            slopes = self.n * s ** (self.n - 1.0)
        return self.weighed(
            np.where(scores > 0, slopes, 0.0) if self.rectified else slopes, log_weight
        )

    def integral(self) -> tuple[Separation, float]:
        """``s^(n + 1) / (n + 1)``."""
        return replace(self, n=self.n + 1), self.n + 1.0


def _exponent(given: object) -> float:
    """Read an exponent, whole ones as an int."""
    n = _check.number(given, "n", 0.0, _MAX_EXPONENT, above=True)
    return int(n) if n.is_integer() else n


_MAX_EXPONENT = 1e6

_NOT_NEGATIVE = (
    ". Distances score as their negative and dot products may be negative; convention='paper' has "
    "scores that log and sqrt are defined for"
)


@dataclass(frozen=True, init=False)
class Sqrt(Raw):
    """``w_i = sqrt(s_i) exp(b_i)``; a negative score is a ValueError."""

    hint = _NOT_NEGATIVE

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Square root."""
        return "sqrt", 0.0

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """See `Separation.weights`."""
        s = np.asarray(scores, np.float64)
        weighing.refuse_negative(s, "sqrt")
        with np.errstate(divide="ignore"):
            return weighing.shares(0.5 * np.log(s), None, log_weight)

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """``sum_i exp(b_i) (2 / 3) s_i^(3/2)``."""
        s = np.asarray(scores, np.float64)
        weighing.refuse_negative(s, "sqrt")
        return self.summed(2.0 / 3.0 * s * np.sqrt(s), log_weight)

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``exp(b_i) / (2 sqrt(s_i))``, at 0 that at the smallest number."""
        return self.weighed(0.5 / np.sqrt(np.maximum(scores, weighing.TINY)), log_weight)


@dataclass(frozen=True, init=False)
class Log(Raw):
    """``w_i = ln(s_i) exp(b_i)``, a score of 0 counting as the smallest normal number.

    A negative score is a ValueError. Scores below 1 get negative weights.
    """

    hint = _NOT_NEGATIVE

    def __init__(self) -> None:
        pass

    def engine(self) -> tuple[str, float]:
        """Logarithm."""
        return "log", 0.0

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """See `Separation.weights`."""
        s = np.asarray(scores, np.float64)
        weighing.refuse_negative(s, "log")
        logarithm = np.log(np.maximum(s, weighing.TINY))
        with np.errstate(divide="ignore"):
            magnitude = np.log(np.abs(logarithm))
        return weighing.shares(magnitude, np.sign(logarithm), log_weight)

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """``sum_i exp(b_i) (s_i ln s_i - s_i)``."""
        s = np.asarray(scores, np.float64)
        weighing.refuse_negative(s, "log")
        return self.summed(s * np.log(np.maximum(s, weighing.TINY)) - s, log_weight)

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``exp(b_i) / s_i``, at 0 that at the smallest number."""
        return self.weighed(1.0 / np.maximum(scores, weighing.TINY), log_weight)


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

    sums_to_one = True
    nonnegative = True
    why_whole = ""

    def __post_init__(self) -> None:
        """Check beta."""
        object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    def engine(self) -> tuple[str, float]:
        """Softmax."""
        return "softmax", self.beta

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """See `Separation.weights`."""
        return weighing.exponential(scores, self.beta, log_weight)

    def why_no_energy(self, alike: bool) -> str:
        """Say why: only without a temperature."""
        return "" if self.beta else "beta = 0 averages all items whatever the state"

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``beta w_i``."""
        return self.beta * self.activations(scores, log_weight)

    def integral(self) -> tuple[Separation, float]:
        """``lse(beta s + b) / beta``."""
        return self, self.beta


@dataclass(frozen=True)
class Exponential(Softmax):
    """``w_i = exp(beta s_i + b_i)``: a softmax whose log scale is kept.

    Parameters
    ----------
    beta : float, default 1.0
        Inverse temperature, finite and >= 0.
    """

    sums_to_one = False


@dataclass(frozen=True)
class Threshold(Raw):
    """``w_i = exp(b_i)`` where the distance is <= radius (dot: the score is >= radius), else 0.

    The radius is rounded to the type of the scores first. A cue with no item inside reads 0.

    Parameters
    ----------
    radius : float
        Finite; >= 0 for a distance.
    """

    radius: float

    may_leave_all_out = True
    nonnegative = True

    def __post_init__(self) -> None:
        """Check the radius."""
        object.__setattr__(self, "radius", _check.number(self.radius, "radius"))

    def engine(self) -> tuple[str, float]:
        """Threshold."""
        return "threshold", self.radius

    def check(self, n_items: int, larger_is_better: bool, n_bits: int | None = None) -> None:
        """Refuse a negative distance, or more bits than there are."""
        _check.radius(self.radius, larger_is_better, n_bits)

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Compare scores with the radius, or negated distances with its negative.

        The radius is rounded to the type of the scores first, as NumPy's comparisons do.
        """
        least = self.radius if larger_is_better else -self.radius
        with np.errstate(over="ignore"):
            least = float(scores.dtype.type(least)) if scores.dtype.kind == "f" else least
        return weighing.indicator(scores >= least, log_weight)

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """``sum_i exp(b_i) max(s_i - radius, 0)``; of distances, ``max(radius - d_i, 0)``."""
        least = self.radius if larger_is_better else -self.radius
        inside = np.maximum(np.asarray(scores, np.float64) - least, 0.0)
        return self.summed(inside, log_weight)

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """0 but at the radius itself."""
        return np.zeros(scores.shape)


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
    """Resolve a separation's name, object or function; ``beta`` is a shorthand for a name's own.

    Parameters
    ----------
    given : str, Separation or callable
    beta : float, optional
        Of the softmax; None means its default.

    Returns
    -------
    Separation

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
        if is_dataclass(known) and any(f.name == "beta" and f.init for f in fields(known)):
            return replace(known, beta=beta)
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
