"""Hopfield networks with the Hebbian rule on random patterns: errors, overlap and capacity."""

from __future__ import annotations

import math
from typing import Literal

from amfast import _check
from amfast.theory._solve import bisect, normal_tail

Which = Literal["one", "all"]

__all__ = [
    "bidirectional_n50",
    "hopfield_bit_bound",
    "hopfield_bit_error",
    "hopfield_capacity",
    "hopfield_critical_load",
    "hopfield_n50",
    "hopfield_overlap",
    "hopfield_union_bound",
    "storkey_capacity",
]


def hopfield_bit_error(load: float, *, zero_diagonal: bool = True) -> float:
    r"""Probability that one step flips a given bit of a stored pattern.

    ``Q(1 / sqrt(load))`` with the diagonal set to zero, ``Q((1 + load) / sqrt(load))`` with the
    diagonal kept: the field of a bit is 1 (or 1 + load) from the pattern itself plus normal noise
    of variance ``load`` from the others. The kept diagonal looks better and is worse: it holds
    every state where it is, right or wrong.

    Parameters
    ----------
    load : float
        Patterns per bit, n / d, >= 0.
    zero_diagonal : bool, default True

    Returns
    -------
    float
        A probability, exact for d to infinity at a fixed load.

    References
    ----------
    Hertz, Krogh, Palmer, *Introduction to the Theory of Neural Computation* (1991), section 2.2.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.hopfield_bit_error(load), 4) for load in (0.105, 0.138, 0.37)]
    [0.001, 0.0036, 0.0501]
    """
    load = _check.number(load, "load", 0.0)
    _check.flag(zero_diagonal, "zero_diagonal")
    if load == 0:
        return 0.0
    signal = 1.0 if zero_diagonal else 1.0 + load
    return normal_tail(signal / math.sqrt(load))


def hopfield_bit_bound(n: int, d: int) -> float:
    """Upper bound exp(-d / (2 (n - 1))) on the probability that one step answers a bit wrongly.

    By Hoeffding's inequality for the (n - 1) d random signs that disturb a bit; holds at every size
    for random keys of width ``d`` and any values.

    Parameters
    ----------
    n : int
        Stored pairs, >= 1.
    d : int
        Width of the keys, >= 1.

    Returns
    -------
    float
    """
    n, d = _check.integer(n, "n", 1), _check.integer(d, "d", 1)
    return 0.0 if n == 1 else math.exp(-d / (2 * (n - 1)))


def hopfield_overlap(load: float) -> float:
    """Overlap m of the state that asynchronous recall ends in with the stored pattern it began at.

    The replica-symmetric mean-field equations at temperature 0 of Amit, Gutfreund and Sompolinsky:
    ``m = erf(m / sqrt(2 load r))``, ``r = (1 - C)^-2``, ``C = sqrt(2 / (pi load r)) exp(-m^2 / (2
    load r))``. With ``y = m / sqrt(2 load r)`` they become ``sqrt(2 load) y = erf(y) - (2 y /
    sqrt(pi)) exp(-y^2)`` and ``m = erf(y)``; the largest y is the retrieval state.

    Parameters
    ----------
    load : float
        Patterns per bit, n / d, >= 0.

    Returns
    -------
    float
        The overlap, 0 above `hopfield_critical_load`, where no retrieval state exists. Exact for d
        to infinity; at d = 1000 the jump is smeared over loads of 0.13 to 0.18, and a state that
        fell out of the retrieval state still keeps an overlap of about 0.35 with the pattern.

    References
    ----------
    Amit, Gutfreund, Sompolinsky, *Physical Review Letters* 55, 1530 (1985); *Annals of Physics*
    173, 30 (1987).

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.hopfield_overlap(load), 3) for load in (0.12, 0.135, 0.1375, 0.14)]
    [0.993, 0.981, 0.973, 0.0]
    """
    load = _check.number(load, "load", 0.0)
    if load == 0:
        return 1.0
    peak = _peak()
    if load > _load_at(peak):
        return 0.0
    # Beyond the peak the load falls to 0 like 1 / (2 y^2).
    high = peak + 1.0 / math.sqrt(load)
    return math.erf(bisect(lambda y: _load_at(y) - load, peak, high))


def hopfield_critical_load() -> float:
    """Load alpha_c = n / d up to which stored patterns are nearly fixed points, 0.1379.

    Where `hopfield_overlap` ends; random patterns, Hebbian rule, d to infinity. At a finite size
    half of the patterns are still recalled somewhat above it: near 0.16 at d = 1000 and 0.155 at
    d = 2000.

    Returns
    -------
    float

    References
    ----------
    Amit, Gutfreund, Sompolinsky, *Physical Review Letters* 55, 1530 (1985).

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.hopfield_critical_load(), 4)
    0.1379
    """
    return _load_at(_peak())


def _load_at(y: float) -> float:
    """Return the load whose mean-field solution has ``m = erf(y)``."""
    kept = math.erf(y) - 2.0 * y / math.sqrt(math.pi) * math.exp(-y * y)
    return (kept / y) ** 2 / 2.0


def _peak() -> float:
    """Return the y of the largest load: where the derivative of kept(y) / y vanishes."""

    def slope(y: float) -> float:
        # y^2 d/dy (kept / y) = y kept' - kept with kept' = 4 y^2 exp(-y^2) / sqrt(pi).
        gauss = math.exp(-y * y) / math.sqrt(math.pi)
        return 4.0 * y**3 * gauss - (math.erf(y) - 2.0 * y * gauss)

    return bisect(slope, 1.0, 3.0)


def hopfield_capacity(d: int, which: Which = "all") -> float:
    """Textbook capacity without errors: d / (2 ln d) for one pattern, d / (4 ln d) for all.

    Asymptotic, and approached very slowly: 1.6 times too small for all patterns at d = 1024, still
    1.4 times at d = 16384. Plan with `hopfield_n50`.

    Parameters
    ----------
    d : int
        Width of keys and values, >= 2.
    which : {"one", "all"}, default "all"
        Whether one given pattern or every one must be free of errors.

    Returns
    -------
    float

    References
    ----------
    McEliece, Posner, Rodemich, Venkatesh, *IEEE Transactions on Information Theory* 33, 461 (1987).
    """
    d = _check.integer(d, "d", 2)
    _check.choice(which, "which", ("one", "all"))
    return d / ((2 if which == "one" else 4) * math.log(d))


def hopfield_union_bound(d: int, failure: float, which: Which = "all") -> float:
    """Return how many pairs one step answers without error with probability >= 1 - failure.

    ``1 + d / (2 ln(d / failure))`` for one pair; for all the n that solves
    ``n = 1 + d / (2 ln(n d / failure))``. The union bound over `hopfield_bit_bound`: holds at every
    size, and is the argument behind d / (4 ln d).

    Parameters
    ----------
    d : int
        Width of keys and values, >= 1.
    failure : float
        Accepted probability of any wrong bit, in (0, 1).
    which : {"one", "all"}, default "all"

    Returns
    -------
    float
    """
    d = _check.integer(d, "d", 1)
    failure = _check.number(failure, "failure", 0.0)
    if not 0.0 < failure < 1.0:
        raise ValueError(f"failure must be between 0 and 1, got {failure:g}")
    _check.choice(which, "which", ("one", "all"))
    if which == "one":
        return 1.0 + d / (2.0 * math.log(d / failure))
    return bisect(lambda n: 1.0 + d / (2.0 * math.log(n * d / failure)) - n, 1.0, 2.0 + d)


def hopfield_n50(d: int, which: Which = "all") -> float:
    """Return how many random pairs one step answers without error with probability 1/2.

    The solution of ``d Q(sqrt(d / (n - 1))) = ln 2`` for one given pair and of
    ``n d Q(sqrt(d / (n - 1))) = ln 2`` for all n pairs at once: bits err independently with normal
    noise. Too small by 13 % (one pair) and 9 % (all) at d = 64, where the bits of a pair share the
    overlaps of few keys and so err together; by 9 and 3 % at d = 256, 3 and 1 % at d = 1024.
    `hopfield_capacity` is too small by half.

    Parameters
    ----------
    d : int
        Width of keys and values, >= 2.
    which : {"one", "all"}, default "all"

    Returns
    -------
    float

    References
    ----------
    Derived; checked by simulation (``amfast reproduce hopfield-onestep``).

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.hopfield_n50(d, "one"), 1) for d in (64, 256, 1024)]
    [13.1, 34.1, 100.7]
    >>> [round(theory.hopfield_n50(d, "all"), 1) for d in (64, 256, 1024)]
    [8.1, 20.3, 58.2]
    """
    d = _check.integer(d, "d", 2)
    _check.choice(which, "which", ("one", "all"))

    def left(n: float) -> float:
        wrong = d * normal_tail(math.sqrt(d / (n - 1.0))) if n > 1.0 else 0.0
        return math.log(2.0) - wrong * (1.0 if which == "one" else n)

    high = 2.0
    while left(high) > 0:
        high *= 2.0
    return bisect(left, 1.0, high)


def bidirectional_n50(d: int, o: int) -> float:
    """Return how many random pairs a bidirectional memory holds, all of them, one time in two.

    A pair is held if it is a fixed point: a bit of y errs with probability
    ``p_y = Q(sqrt(d / (n - 1)))``, one of x with ``p_x = Q(sqrt(o / (n - 1)))``, and the n that is
    returned solves ``n (o p_y + d p_x) = ln 2``, as `hopfield_n50` does for one side. The narrower
    side decides: about ``min(d, o) / (4 ln min(d, o))`` pairs; Kosko's estimate was ``min(d, o)``.

    Parameters
    ----------
    d, o : int
        Units of the two sides, >= 2.

    Returns
    -------
    float

    References
    ----------
    Kosko, *Bidirectional Associative Memories*, IEEE Trans. SMC 18 (1988); the estimate: Haines and
    Hecht-Nielsen, *A BAM with increased information storage capacity*, ICNN 1988; derived here.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.bidirectional_n50(256, 256), 1), round(theory.bidirectional_n50(1024, 64), 1)
    (18.7, 5.7)
    """
    d, o = _check.integer(d, "d", 2), _check.integer(o, "o", 2)

    def left(n: float) -> float:
        if n <= 1.0:
            return math.log(2.0)
        wrong = o * normal_tail(math.sqrt(d / (n - 1.0))) + d * normal_tail(
            math.sqrt(o / (n - 1.0))
        )
        return math.log(2.0) - n * wrong

    high = 2.0
    while left(high) > 0:
        high *= 2.0
    return bisect(left, 1.0, high)


def storkey_capacity(d: int) -> float:
    """Return how many random patterns Storkey's rule holds without errors, d / sqrt(2 ln d).

    Asymptotic. Between `hopfield_capacity`, d / (2 ln d) for one pattern, and the d of the
    projection rule, at the price of one pass that looks at every pattern once.

    Parameters
    ----------
    d : int
        Units, >= 2.

    Returns
    -------
    float

    References
    ----------
    Storkey, *Increasing the capacity of a Hopfield network without sacrificing functionality*,
    ICANN 1997; Storkey and Valabregue, *Neural Networks* 12, 869 (1999).

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.storkey_capacity(200)), round(theory.hopfield_capacity(200, "one"))
    (61, 19)
    """
    d = _check.integer(d, "d", 2)
    return d / math.sqrt(2.0 * math.log(d))
