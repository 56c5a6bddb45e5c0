r"""Sparse distributed memory: what a word activates, what a read returns, how far recall reaches.

Throughout, M hard locations are random words of n bits, a word activates the locations at most r
bits away, T random words are stored, each at its own address, and a cue is at distance d from the
address asked for. Stored words that are their own address (*autoassociative*) pull a read towards
the cue, since those that share many locations with it are also like it. The textbook formulas leave
this bias out; they hold for data that have nothing to do with their address.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from amfast import _check
from amfast._typing import Float
from amfast.theory._solve import count, normal_tail, size
from amfast.theory.modern import log_circle_overlap

__all__ = [
    "SdmRead",
    "activation_probability",
    "circle_overlap",
    "sdm_critical_distance",
    "sdm_expected_active",
    "sdm_new_distance",
    "sdm_radius",
    "sdm_read",
    "sdm_snr",
]


# -- activation -----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _probability(n_bits: int, radius: int) -> float:
    if 2 * radius >= n_bits:  # the shorter sum
        return 1.0 if radius >= n_bits else 1.0 - _probability(n_bits, n_bits - radius - 1)
    total = term = 1
    for k in range(1, radius + 1):
        term = term * (n_bits - k + 1) // k
        total += term
    return total / (1 << n_bits)


def activation_probability(n_bits: int, radius: int) -> float:
    """Probability that a random location is within ``radius`` of a word, P(Bin(n, 1/2) <= r).

    Parameters
    ----------
    n_bits : int
        Bits of a word, >= 1.
    radius : int
        In 0..n_bits, inclusive.

    Returns
    -------
    float
        Summed in integers, so exact up to the last rounding (1 minus such a number from
        ``radius >= n_bits / 2`` on); 0 where it is below the smallest float.

    References
    ----------
    Kanerva, *Sparse Distributed Memory* (1988), chapter 6.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.activation_probability(1000, 451), 8)
    0.00107185
    """
    n_bits = size(n_bits, "n_bits", 1)
    return _probability(n_bits, _check.integer(radius, "radius", 0, n_bits))


def sdm_expected_active(n_bits: int, n_locations: int, radius: int) -> float:
    """Locations that a word activates on average, ``n_locations`` times `activation_probability`.

    Exact for random locations, at every size.

    Parameters
    ----------
    n_bits : int
        Bits of a word, >= 1.
    n_locations : int
        M, >= 1.
    radius : int
        In 0..n_bits.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.sdm_expected_active(1000, 1_000_000, 451), 2)
    1071.85
    """
    n_locations = _check.integer(n_locations, "n_locations", 1)
    return n_locations * activation_probability(n_bits, radius)


@functools.lru_cache(maxsize=256)
def _radius(n_bits: int, p: float) -> int:
    exact = Fraction(p)
    enough, scale = exact.numerator << n_bits, exact.denominator
    radius = 0
    total = term = 1
    while total * scale < enough:
        radius += 1
        term = term * (n_bits - radius + 1) // radius
        total += term
    return radius


def sdm_radius(n_bits: int, p: float) -> int:
    """Smallest radius whose `activation_probability` is at least ``p``.

    Compared in integers, so it is right for every float p. This is ``scipy.stats.binom.ppf(p,
    n_bits, 0.5)``, which torchhd takes; libraries that round the normal approximation down are one
    lower at some widths.

    Parameters
    ----------
    n_bits : int
        Bits of a word, >= 1.
    p : float
        In (0, 1].

    Returns
    -------
    int

    Examples
    --------
    Kanerva's memory of 1000 bits, and one of 256:

    >>> from amfast import theory
    >>> theory.sdm_radius(1000, 0.001), theory.sdm_radius(256, 0.001)
    (451, 103)
    """
    return _radius(size(n_bits, "n_bits", 1), _probability_argument(p))


def _probability_argument(p: float) -> float:
    return _check.number(p, "p", 0.0, 1.0, above=True)


# -- circles --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _pmf(n: int) -> Float:
    """Return Bin(n, 1/2) at 0..n."""
    logs = np.array([math.lgamma(k + 1) for k in range(n + 1)])
    return np.asarray(np.exp(logs[-1] - logs - logs[::-1] - n * math.log(2)))


@functools.lru_cache(maxsize=8)
def _overlaps(n_bits: int, radius: int) -> Float:
    """Return `circle_overlap` at every distance 0..n."""
    return np.exp(log_circle_overlap(n_bits, radius))


def circle_overlap(n_bits: int, radius: int, distance: int) -> float:
    r"""Probability that a random location is within ``radius`` of both of two words.

    ``sum_b Bin(b; d, 1/2) P(Bin(n - d, 1/2) <= r - max(b, d - b))``; M times this is the number
    phi(d) of locations that two words at distance d share.

    Parameters
    ----------
    n_bits : int
        Bits of a word, >= 1.
    radius, distance : int
        In 0..n_bits.

    Returns
    -------
    float
        To about 12 digits; `log_circle_overlap` has the logarithms at all distances.

    References
    ----------
    Kanerva (1988), appendix B, gives an integral approximation; this is the sum itself.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(1e6 * theory.circle_overlap(1000, 451, d)) for d in (0, 50, 100, 200, 300)]
    [1072, 477, 286, 103, 32]
    """
    n_bits = size(n_bits, "n_bits", 1)
    radius = _check.integer(radius, "radius", 0, n_bits)
    return float(_overlaps(n_bits, radius)[_check.integer(distance, "distance", 0, n_bits)])


# -- reading --------------------------------------------------------------------------------------


def sdm_snr(n_locations: int, n_items: int, p: float) -> float:
    """Signal to noise ratio of a read at a stored address, ``sqrt(p M / (1 + p T + p^3 T M))``.

    A closed form for choosing p, without the autoassociative bias and with the shared locations of
    two random words taken as p^2 M; `sdm_read` has the sums. It holds for random words of many
    bits.

    Parameters
    ----------
    n_locations, n_items : int
        M and T, >= 1.
    p : float
        Activation probability, in (0, 1].

    Returns
    -------
    float

    References
    ----------
    Bricken and Pehlevan, *Attention approximates sparse distributed memory*, NeurIPS 2021.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.sdm_snr(1_000_000, 10_000, 0.00107185), 2)
    6.68
    """
    m = _check.integer(n_locations, "n_locations", 1)
    t = _check.integer(n_items, "n_items", 1)
    p = _probability_argument(p)
    return math.sqrt(p * m / (1 + p * t + p**3 * t * m))


@dataclass(frozen=True)
class SdmRead:
    """What the sum of a bit's counters is made of when a cue is read: see `sdm_read`."""

    signal: float
    """phi(d): what the item asked for adds, in the direction of its own bit."""
    bias: float
    """b: what all other items add in the direction of the cue's bit; 0 if heteroassociative."""
    noise: float
    """sigma: standard deviation of what the other items add besides."""

    @property
    def right(self) -> float:
        """(phi + b) / sigma: signal to noise where the cue's bit is right."""
        return _ratio(self.signal + self.bias, self.noise)

    @property
    def wrong(self) -> float:
        """(phi - b) / sigma: signal to noise where the cue's bit is wrong."""
        return _ratio(self.signal - self.bias, self.noise)


def _ratio(signal: float, noise: float) -> float:
    return signal / noise if noise > 0 else math.copysign(math.inf, signal) if signal else 0.0


def sdm_read(
    n_bits: int,
    n_locations: int,
    radius: int,
    n_items: int,
    distance: int,
    *,
    autoassociative: bool = True,
) -> SdmRead:
    """Signal, bias and noise of a read, in counts.

    ``signal = phi(d)``, ``bias = (T - 1) E[phi(D) (1 - 2 D / n)]`` if data are their own addresses
    (else 0), ``noise^2 = (T - 1) E[phi(D)^2 + phi(D)]``, with D ~ Bin(n, 1/2) the distance of the
    cue to the other items and phi(D) = M `circle_overlap` the locations they share.

    Parameters
    ----------
    n_bits, n_locations, radius, n_items : int
        n, M, r and T.
    distance : int
        d, of the cue to the address asked for.
    autoassociative : bool, default True
        Whether data are their own addresses.

    Returns
    -------
    SdmRead
        For random locations and items and M p^2 not far below 1; at n = 1000, M = 10^6, T = 10^4
        the measured noise variance is 2 to 6 % smaller.

    Examples
    --------
    >>> from amfast import theory
    >>> read = theory.sdm_read(1000, 1_000_000, 451, 10_000, 200)
    >>> round(read.signal), round(read.bias), round(read.noise)
    (103, 129, 163)
    """
    n = size(n_bits, "n_bits", 1)
    m = count(n_locations, "n_locations", 1)
    radius = _check.integer(radius, "radius", 0, n)
    others = count(n_items, "n_items", 1) - 1
    distance = _check.integer(distance, "distance", 0, n)
    phi = m * _overlaps(n, radius)
    share, pull = _moments(n, radius, m)
    bias = others * pull if _check.flag(autoassociative, "autoassociative") else 0.0
    return SdmRead(float(phi[distance]), bias, math.sqrt(others * share))


@functools.lru_cache(maxsize=64)
def _moments(n: int, radius: int, m: int) -> tuple[float, float]:
    """E[phi^2 + phi] and E[phi (1 - 2 D / n)]."""
    phi, chance = m * _overlaps(n, radius), _pmf(n)
    pull = 1 - 2 * np.arange(n + 1) / n
    return float((chance * (phi * phi + phi)).sum()), float((chance * phi * pull).sum())


def sdm_new_distance(
    n_bits: int,
    n_locations: int,
    radius: int,
    n_items: int,
    distance: int,
    *,
    autoassociative: bool = True,
) -> float:
    """Distance to the item asked for, on average, after one read of a cue at distance d.

    ``(n - d) Q((phi + b) / sigma) + d Q((phi - b) / sigma)`` with `sdm_read`'s phi, b and sigma.
    It takes the noise for normal, so it holds where many items share locations with the cue; for
    one read, not for the next (see `sdm_iterated_distance`).

    Parameters
    ----------
    n_bits, n_locations, radius, n_items, distance : int
        n, M, r, T and d.
    autoassociative : bool, default True
        Whether data are their own addresses.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.sdm_new_distance(256, 100_000, 103, 1000, d), 1) for d in (42, 60, 78)]
    [17.4, 55.6, 88.4]
    """
    read = sdm_read(n_bits, n_locations, radius, n_items, distance, autoassociative=autoassociative)
    right, wrong = normal_tail(read.right), normal_tail(read.wrong)
    return (n_bits - distance) * right + distance * wrong


def sdm_critical_distance(
    n_bits: int, n_locations: int, radius: int, n_items: int, *, autoassociative: bool = True
) -> float:
    """Distance from which a single read no longer brings a cue closer: where new(d) = d.

    This is the *crossing*. Iterated recall gives up 10 to 70 bits earlier, at the distance of
    `sdm_convergence_distance`, since the noise of one read is still there at the next.

    Parameters
    ----------
    n_bits, n_locations, radius, n_items : int
        n, M, r and T.
    autoassociative : bool, default True
        Whether data are their own addresses. The textbook form without the bias is False.

    Returns
    -------
    float
        Between 0 (no distance works) and n / 2, interpolated between whole distances.

    References
    ----------
    Kanerva (1988), chapter 7, without the bias.

    Examples
    --------
    >>> from amfast import theory
    >>> int(theory.sdm_critical_distance(1000, 1_000_000, 451, 10_000))
    234
    >>> round(
    ...     theory.sdm_critical_distance(1000, 1_000_000, 451, 10_000, autoassociative=False)
    ... )
    154
    """

    def gain(d: int) -> float:
        new = sdm_new_distance(
            n_bits, n_locations, radius, n_items, d, autoassociative=autoassociative
        )
        return d - new

    end = size(n_bits, "n_bits", 1) // 2
    start = next((d for d in range(end + 1) if gain(d) > 0), end)
    if start > end // 2:
        return 0.0  # only words like no other come closer, to where all words are
    for d in range(start + 1, end + 1):
        after = gain(d)
        if after <= 0:
            return d - 1 + gain(d - 1) / (gain(d - 1) - after)
    return float(end)
