"""Dense associative memories, the exponential memory, and one-step modern Hopfield networks."""

from __future__ import annotations

import math
from typing import Literal

from amfast import _check
from amfast.theory._solve import bisect, normal_tail, size

Interaction = Literal["power", "rectified"]

__all__ = [
    "dense_bit_error",
    "dense_bit_error_tail",
    "dense_capacity",
    "dense_n50",
    "exponential_capacity",
    "exponential_exponent",
    "exponential_rate",
    "onestep_birthday",
    "onestep_exponent",
    "onestep_union_exponent",
    "onestep_width",
]


# -- power interactions ---------------------------------------------------------------------------


def dense_capacity(d: int, n: int) -> float:
    """Patterns that a dense associative memory keeps without errors by the textbook.

    ``K_max = d^(n-1) / (2 (2n-3)!! ln d)`` (Krotov and Hopfield). Asymptotic in d at fixed n. At
    d = 100 half of K patterns are still exact fixed points at about 1.6 K_max for the power and
    2.9 K_max for the rectified power: `dense_n50` has both. As (2n-3)!! outgrows d^(n-1), the
    formula has a maximum in n, at about n = d / 2: larger powers are not always better.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    n : int
        Power of the interaction, >= 2.

    Returns
    -------
    float

    References
    ----------
    Krotov, Hopfield, *Dense Associative Memory for Pattern Recognition*, NIPS 2016, equation (6).

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.dense_capacity(100, n)) for n in (2, 3, 4)]
    [11, 362, 7238]
    """
    d, n = _check.integer(d, "d", 2), size(n, "n", 2)
    log = (n - 1) * math.log(d) - _log_double_factorial(n) - math.log(2.0 * math.log(d))
    return _exp(log)


def dense_bit_error_tail(d: int, k: int, n: int) -> float:
    """Probability that a given bit of a stored pattern is unstable, as the paper has it.

    ``sqrt((2n-3)!! / (2 pi) * k / d^(n-1)) exp(-d^(n-1) / (2 k (2n-3)!!))``: the leading term of
    the normal tail for large d and few patterns. It exceeds `dense_bit_error` (and even 1) where k
    is not small beside d^(n-1).

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    k : int
        Stored patterns, >= 1.
    n : int
        Power of the interaction, >= 2.

    Returns
    -------
    float

    References
    ----------
    Krotov, Hopfield, NIPS 2016, equation (5).
    """
    d, k = _check.integer(d, "d", 2), _check.integer(k, "k", 1)
    n = size(n, "n", 2)
    ratio = _exp((n - 1) * math.log(d) - _log_double_factorial(n) - math.log(k))
    return math.exp(-ratio / 2.0) / math.sqrt(2.0 * math.pi * ratio) if ratio else math.inf


def dense_bit_error(d: int, k: float, n: int, *, interaction: Interaction = "power") -> float:
    """Probability that a given bit of a stored pattern is unstable, at the size given.

    ``Q(s / sqrt((k - 1) v))`` for the update by energy difference: the pattern itself gives
    ``s = F(d) - F(d - 2)``, every other one noise of variance
    ``v = E[(F(r + 1) - F(r - 1))^2]``, r a sum of d - 1 random signs, taken over the exact
    binomial distribution of r. Only that the sum over patterns is normal is an approximation.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    k : float
        Stored patterns, >= 1.
    n : int
        Power of the interaction, >= 1.
    interaction : {"power", "rectified"}, default "power"
        ``F(x) = x^n`` or ``max(x, 0)^n``; the rectified one has half the noise.

    Returns
    -------
    float

    References
    ----------
    Derived; checked by simulation (``amfast reproduce dam-capacity``).
    """
    d, k = size(d, "d", 2), _check.number(k, "k", 1.0)
    n = size(n, "n", 1)
    _check.choice(interaction, "interaction", ("power", "rectified"))
    if k == 1:
        return 0.0
    return normal_tail(_signal_to_noise(d, n, interaction) / math.sqrt(k - 1.0))


def dense_n50(d: int, n: int, *, interaction: Interaction = "power") -> float:
    """Return the number of stored patterns at which one half of them are exact fixed points.

    The k that solves ``(1 - dense_bit_error(d, k, n))^d = 1/2``. Within 10 % of simulations at
    d = 100 to 200 and n = 2 to 4.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    n : int
        Power of the interaction, >= 1.
    interaction : {"power", "rectified"}, default "power"

    Returns
    -------
    float
    """
    d, n = size(d, "d", 2), size(n, "n", 1)
    _check.choice(interaction, "interaction", ("power", "rectified"))
    accepted = -math.expm1(-math.log(2.0) / d)
    quantile = bisect(lambda x: normal_tail(x) - accepted, 0.0, 40.0)
    return 1.0 + (_signal_to_noise(d, n, interaction) / quantile) ** 2


def _signal_to_noise(d: int, n: int, interaction: Interaction) -> float:
    """Return s / sqrt(v) of `dense_bit_error`, with F(x / d) in place of F(x)."""

    def force(x: int) -> float:
        return (0.0 if interaction == "rectified" and x < 0 else x / d) ** n

    log_half = (d - 1) * math.log(2.0)
    variance = 0.0
    for ups in range(d):
        r = 2 * ups - (d - 1)
        log_chance = math.lgamma(d) - math.lgamma(ups + 1) - math.lgamma(d - ups) - log_half
        variance += math.exp(log_chance) * (force(r + 1) - force(r - 1)) ** 2
    signal = force(d) - force(d - 2)
    return signal / math.sqrt(variance) if variance > 0 else math.inf


def _log_double_factorial(n: int) -> float:
    """Return ln (2n - 3)!!, by (2m - 1)!! = (2m)! / (2^m m!) with m = n - 1."""
    m = n - 1
    return math.lgamma(2 * m + 1) - m * math.log(2.0) - math.lgamma(m + 1)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else math.inf


# -- the exponential memory -----------------------------------------------------------------------


def exponential_rate(a: float) -> float:
    """Large-deviation rate I(a) = [(1 + a) ln(1 + a) + (1 - a) ln(1 - a)] / 2 of a random overlap.

    The mean of d random signs reaches ``a`` with probability exp(-d I(a)), up to a power of d.

    Parameters
    ----------
    a : float
        In [-1, 1].

    Returns
    -------
    float
    """
    a = _check.number(a, "a", -1.0)
    if a > 1.0:
        raise ValueError(f"a must be in -1..1, got {a:g}")
    return sum(0.5 * x * math.log(x) for x in (1.0 + a, 1.0 - a) if x > 0.0)


def exponential_exponent(corruption: float = 0.0, which: Literal["one", "all"] = "all") -> float:
    """Exponent alpha of the exponential memory's capacity exp(alpha d).

    ``I(1 - 2 rho) / 2`` for all patterns at once (the theorem), ``I(1 - 2 rho)`` for one given
    pattern, where recall in one step has probability near 1/2 at every size.

    Parameters
    ----------
    corruption : float, default 0.0
        Fraction rho of flipped bits in the cue, in [0, 1/2].
    which : {"one", "all"}, default "all"

    Returns
    -------
    float
        Asymptotic: holds for every exponent below it as d grows. At d = 30 and the theorem's own
        exponent 0.89 of the patterns come back from rho = 0.2.

    References
    ----------
    Demircigil, Heusel, Löwe, Upgang, Vermet, *On a Model of Associative Memory with Huge Storage
    Capacity*, Journal of Statistical Physics 168 (2017), theorem 3; the factor 2 is derived.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.exponential_exponent(rho), 4) for rho in (0.0, 0.1, 0.2)]
    [0.3466, 0.184, 0.0964]
    """
    corruption = _check.number(corruption, "corruption", 0.0)
    if corruption > 0.5:
        raise ValueError(f"corruption must be in 0..0.5, got {corruption:g}")
    _check.choice(which, "which", ("one", "all"))
    return exponential_rate(1.0 - 2.0 * corruption) / (2.0 if which == "all" else 1.0)


def exponential_capacity(
    d: int, corruption: float = 0.0, which: Literal["one", "all"] = "all"
) -> float:
    """Patterns that the exponential memory holds, exp(alpha d) + 1 with `exponential_exponent`.

    Asymptotic in d, as the exponent is: at a finite d a part of the patterns is lost.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 1.
    corruption : float, default 0.0
        Fraction of flipped bits in the cue, in [0, 1/2].
    which : {"one", "all"}, default "all"

    Returns
    -------
    float
    """
    d = _check.integer(d, "d", 1)
    return _exp(exponential_exponent(corruption, which) * d) + 1.0


# -- one-step modern Hopfield networks ------------------------------------------------------------


def onestep_exponent(beta: float = 1.0, values: Literal["arbitrary", "random"] = "random") -> float:
    """Exponent of the number of pairs of which ``sign(sum exp(beta <q, k_i>) v_i)`` answers one.

    ``ln 2 - ln(1 + exp(-2 beta))`` for arbitrary values, whose contributions may all point the
    wrong way, and ``ln 2 - ln(1 + exp(-4 beta))`` for random ones, whose squares add up: 0.566 and
    0.675 at beta = 1. For *all* queries at once pairs of equal keys are the limit, see
    `onestep_birthday`.

    Parameters
    ----------
    beta : float, default 1.0
        Inverse temperature, >= 0.
    values : {"arbitrary", "random"}, default "random"

    Returns
    -------
    float
        Asymptotic in d. Fits over d = 20 to 40 give 0.564 for arbitrary values and 0.651 for random
        ones, which is still 4 % below its limit.

    References
    ----------
    Derived; checked by simulation (``amfast reproduce modern-onestep``).
    """
    beta = _check.number(beta, "beta", 0.0)
    _check.choice(values, "values", ("arbitrary", "random"))
    return math.log(2.0) - math.log1p(math.exp(-(2.0 if values == "arbitrary" else 4.0) * beta))


def onestep_birthday(d: int) -> float:
    """Return how many random keys of d bits hold two equal ones with probability 1/2.

    ``sqrt(2 ln 2 * 2^d) = 1.18 * 2^(d/2)``, within two keys of the exact number at every d. Beyond
    it no memory answers every query, and a one-step modern Hopfield network with random values
    reaches it, so that its exponent for all queries at once is ln(2) / 2 = 0.3466.

    Parameters
    ----------
    d : int
        Width of the keys, >= 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.onestep_birthday(d)) for d in (12, 16, 20, 24)]
    [75, 301, 1206, 4823]
    """
    d = _check.integer(d, "d", 1)
    return _exp(0.5 * (math.log(2.0 * math.log(2.0)) + d * math.log(2.0)))


def onestep_width(n: float, which: Literal["one", "all"] = "all") -> float:
    """Return how many bits random keys need for n pairs under ``sign(sum exp(<q, k_i>) v_i)``.

    For arbitrary values of one given pair ``ln n / 0.566`` (`onestep_exponent`), asymptotic; for
    all pairs at once ``2 log2(n / 1.177)``, where half of all sets have no two equal keys (the
    inverse of `onestep_birthday`).

    Parameters
    ----------
    n : float
        Pairs, >= 1.
    which : {"one", "all"}, default "all"
        Whether one given pair or every one must be answered.

    Returns
    -------
    float
        At least 1.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.onestep_width(n), 1) for n in (75, 1206, 1e6)]
    [12.0, 20.0, 39.4]
    >>> round(theory.onestep_width(1e6, "one"), 1)
    24.4
    """
    n = _check.number(n, "n", 1.0)
    if _check.choice(which, "which", ("one", "all")) == "one":
        return max(1.0, math.log(n) / onestep_exponent(values="arbitrary"))
    return max(1.0, 2.0 * math.log2(n / math.sqrt(2.0 * math.log(2.0))))


def onestep_union_exponent() -> float:
    """Exponent 0.1716 that the union bound proves for a one-step modern Hopfield network, beta = 1.

    All overlaps of n keys stay below ``eps d`` when ``n^2 exp(-eps^2 d / 2)`` is small (Hoeffding's
    inequality, whose factor 1/2 printed versions of the argument have lost), and then n
    contributions of exp(eps d) stay below exp(d); both limits meet at eps = 2 (sqrt(2) - 1). A
    bound, at one half of the exponent ln(2) / 2 that `onestep_birthday` has.

    Returns
    -------
    float
    """
    return 1.0 - 2.0 * (math.sqrt(2.0) - 1.0)
