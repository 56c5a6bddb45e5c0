"""What an overlap is worth in a dense associative memory: F, its differences and its derivative.

Tables over the overlaps of binary patterns are computed in Python's integers and rounded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from amfast import _check
from amfast._typing import Array, Float
from amfast.memories.units.base import ENERGY_MAX
from amfast.parts import weighing

INTERACTIONS = ("power", "rectified", "exponential", "logistic")
# ln of the largest energy that sums may reach: a few powers of two below the largest float64.
_LOG_MAX = math.log(np.finfo(np.float64).max) - 4.0


@dataclass(frozen=True)
class Interaction:
    """F(o) = o^n, max(o, 0)^n, exp(beta o) or ln(1 + exp(beta o)) / beta."""

    kind: str
    n: int
    beta: float

    @property
    def exponential(self) -> bool:
        """Whether F is the exponential."""
        return self.kind == "exponential"

    @property
    def logistic(self) -> bool:
        """Whether F' is the logistic function."""
        return self.kind == "logistic"

    @property
    def sloped(self) -> bool:
        """Whether it has a slope beta, and no power n."""
        return self.exponential or self.logistic

    def check_range(self, most: float, weight: float, what: str) -> None:
        """Refuse a power whose energies float64 does not hold.

        Parameters
        ----------
        most : float
            The largest overlap possible.
        weight : float
            Sum of all weights, infinite if it leaves float64.
        what : str
            What has that overlap: "100 units".
        """
        if not weight <= ENERGY_MAX:
            raise ValueError(
                f"weights sum to {weight:.3g}, and energies would be beyond float64; scale "
                f"them down"
            )
        if self.sloped and 2.0 * self.beta * most == math.inf:
            raise ValueError(
                f"beta={self.beta:g} is too large for {what}: energies are beyond float64"
            )
        if self.sloped or most <= 1.0:
            return
        room = _LOG_MAX - math.log(max(weight, 1.0))
        if self.n * math.log(most) > room:
            digits = self.n * math.log10(most)
            fits = math.floor(room / math.log(most))
            hint = f"n <= {fits} fits, and the" if fits > 0 else "scale the patterns; the"
            raise ValueError(
                f"n={self.n} is too large for {what}: energies reach {most:g}^{self.n}, about "
                f"1e{digits:.0f}, and float64 holds 1.8e308; {hint} exponential interaction has "
                f"no limit"
            )

    def steps(self, d: int) -> Float | None:
        """(F(o + 1) - F(o - 1)) / 2 for o = -(d - 1), -(d - 3), .., d - 1."""
        if self.logistic:
            o = np.arange(-(d - 1), d, 2.0)
            return _frozen(_rise(self.beta * (o - 1), self.beta * (o + 1)) / (2 * self.beta))
        return None if self.exponential else _steps(self.kind, self.n, d)

    def energies(self, d: int) -> Float | None:
        """F(o) for o = -d, -(d - 2), .., d."""
        if self.logistic:
            o = np.arange(-d, d + 1, 2.0)
            return _frozen(np.logaddexp(0.0, self.beta * o) / self.beta)
        return None if self.exponential else _energies(self.kind, self.n, d)

    def slopes(self, d: int) -> Float | None:
        """F'(o) for o = -d, -(d - 2), .., d."""
        if self.logistic:
            return _frozen(self.slope(np.arange(-d, d + 1, 2.0)))
        return None if self.exponential else _slopes(self.kind, self.n, d)

    def slope(self, overlaps: Array, most: float = 0.0) -> Float:
        """F'(o); of the exponential divided by ``exp(beta most)`` beta, so that it stays finite."""
        o = np.asarray(overlaps, np.float64)
        if self.exponential:
            return np.asarray(np.exp(self.beta * (o - most)))
        if self.logistic:
            return np.asarray(np.exp(-np.logaddexp(0.0, -self.beta * o)))
        inside = (o > 0) | (self.kind == "power")
        return np.asarray(np.where(inside, self.n * o ** (self.n - 1), 0.0))

    @property
    def log_slope(self) -> float | None:
        """Beta of the exponential, None else: what the engine takes in place of tables."""
        return self.beta if self.exponential else None

    def votes(self, overlaps: Array, log_weight: Float) -> tuple[Float, Float]:
        """Weights w F'(o) divided by the sum of their magnitudes (Q, N), and ln of that sum."""
        if self.exponential:
            share, log_scale = weighing.exponential(overlaps, self.beta, log_weight)
            return share, log_scale + math.log(self.beta)
        if self.logistic:
            return weighing.shares(-np.logaddexp(0.0, -self.beta * overlaps), None, log_weight)
        if self.n == 1:
            # The slope of o is 1 everywhere, that of max(o, 0) is 1 above 0.
            inside = overlaps > 0 if self.kind == "rectified" else np.ones(overlaps.shape, np.bool_)
            return weighing.indicator(inside, log_weight)
        rectified = self.kind == "rectified"
        share, log_scale = weighing.power(overlaps, self.n - 1, rectified, log_weight)
        return share, log_scale + math.log(self.n)


def interaction(kind: object, n: object, beta: object) -> Interaction:
    """Check the parameters of an interaction."""
    _check.choice(kind, "interaction", INTERACTIONS)
    power = _check.integer(n, "n", 1, 1000)
    slope = _check.number(beta, "beta", 0.0)
    if slope == 0.0:
        raise ValueError("beta must be above 0: at 0 all overlaps are worth the same")
    return Interaction(str(kind), power, slope)


def _rise(low: Float, high: Float) -> Float:
    """``ln(1 + e^high) - ln(1 + e^low)`` for low < high, to the last digits at both ends."""
    few, fewer = np.minimum(high, 1.0), np.minimum(low, 1.0)
    near = np.log1p(np.exp(few) * -np.expm1(low - high) / (1.0 + np.exp(fewer)))
    return np.where(high < 1.0, near, np.logaddexp(0.0, high) - np.logaddexp(0.0, low))


def _overlaps(n: int, d: int) -> Array:
    """-d, -(d - 2), .., d as integers whose n-th powers, n times, are exact."""
    fits = n * math.log2(d + 1) + math.log2(n) < 62
    return np.arange(-d, d + 1, 2).astype(np.int64 if fits else object)


def _powers(kind: str, n: int, d: int) -> Array:
    o = _overlaps(n, d)
    worths = o**n
    if kind == "rectified":
        worths[o < 0] = 0
    return worths


@lru_cache(maxsize=16)
def _energies(kind: str, n: int, d: int) -> Float:
    return _table(_powers(kind, n, d))


@lru_cache(maxsize=16)
def _steps(kind: str, n: int, d: int) -> Float:
    # The differences are integers; halving a float is exact.
    return _table(np.diff(_powers(kind, n, d)), 0.5)


@lru_cache(maxsize=16)
def _slopes(kind: str, n: int, d: int) -> Float:
    o = _overlaps(n, d)
    slopes = n * o ** (n - 1)
    if kind == "rectified":
        slopes[o <= 0] = 0  # at n = 1 there is no slope at 0
    return _table(slopes)


def _table(values: Array, scale: float = 1.0) -> Float:
    """Round to float64, once."""
    return _frozen(values.astype(np.float64) * scale)


def _frozen(table: Float) -> Float:
    table.flags.writeable = False
    return table
