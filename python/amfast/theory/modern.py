"""Modern Hopfield networks: separation, errors, capacity; attention read as an SDM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Float
from amfast.theory._solve import lambert_w_exp, size

__all__ = [
    "attention_beta",
    "attention_target_weight",
    "log_circle_overlap",
    "modern_capacity",
    "modern_capacity_base",
    "modern_error_bound",
    "modern_radius",
    "modern_separation",
]


def _positive(given: object, name: str) -> float:
    return _check.number(given, name, 0.0, above=True)


def modern_separation(n: int, norm: float, beta: float) -> float:
    r"""Margin from which an item counts as well separated.

    ``Delta_i >= 2 / (beta n) + ln(2 (n - 1) n beta norm^2) / beta`` with the margin
    ``Delta_i = x_i . x_i - max_{j != i} x_i . x_j``. Sufficient, not necessary: an item that fails
    it may still be recalled well.

    Parameters
    ----------
    n : int
        Stored items, >= 1. One item alone is always separated: -inf.
    norm : float
        The largest Euclidean norm of an item, M, > 0.
    beta : float
        Inverse temperature, > 0.

    Returns
    -------
    float

    References
    ----------
    Ramsauer et al., *Hopfield Networks is All You Need* (ICLR 2021), theorems 4 and 5.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.modern_separation(1000, norm=9.5, beta=1.0), 1)
    19.0
    """
    n = _check.integer(n, "n", 1)
    norm, beta = _positive(norm, "norm"), _positive(beta, "beta")
    if n == 1:
        return -math.inf
    spread = math.log(2 * (n - 1)) + math.log(n) + math.log(beta) + 2 * math.log(norm)
    return 2 / (beta * n) + spread / beta


def modern_error_bound(margin: Any, n: int, norm: float, beta: float) -> Any:
    """Upper bound on the distance between an item and its fixed point, ``|x_i - x_i*|``.

    ``2 e (n - 1) norm exp(-beta Delta_i)``, valid for items that are well separated by
    `modern_separation`; one step from within `modern_radius` errs by no more.

    Parameters
    ----------
    margin : float or array
        Delta_i; may be infinite, as that of one item alone is.
    n : int
        Stored items, >= 1.
    norm : float
        The largest Euclidean norm of an item, > 0.
    beta : float
        Inverse temperature, > 0.

    Returns
    -------
    float or float64 array

    References
    ----------
    Ramsauer et al. (ICLR 2021), theorem 5.
    """
    n = _check.integer(n, "n", 1)
    norm, beta = _positive(norm, "norm"), _positive(beta, "beta")
    if isinstance(margin, int):
        margin = _check.number(margin, "margin")
    x = _check.array(margin, "margin").astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        bound = 2 * math.e * norm * (n - 1) * np.exp(-beta * x)
    return float(bound) if bound.ndim == 0 else bound


def modern_radius(n: int, norm: float, beta: float) -> float:
    """Radius around a well separated item in which recall stays and converges: 1 / (beta n norm).

    Holds for items that `modern_separation` calls well separated; sufficient, not necessary.

    Parameters
    ----------
    n : int
        Stored items, >= 1.
    norm : float
        The largest Euclidean norm of an item, > 0.
    beta : float
        Inverse temperature, > 0.

    Returns
    -------
    float

    References
    ----------
    Ramsauer et al. (ICLR 2021), equation 7 and theorem 4.
    """
    n = _check.integer(n, "n", 1)
    return 1.0 / _positive(beta, "beta") / n / _positive(norm, "norm")


def modern_capacity_base(d: int, spread: float = 1.0, beta: float = 1.0, p: float = 0.001) -> float:
    """Return the base c of the exponential number of random patterns that can be stored.

    ``c = b / W0(exp(a + ln b))`` with ``a = 2/(d-1) (1 + ln(2 beta K^2 p (d-1)))`` and
    ``b = 2 K^2 beta / 5``; W0 is the upper branch of Lambert's function.

    Parameters
    ----------
    d : int
        Width, >= 2.
    spread : float, default 1.0
        K: patterns lie on a sphere of radius K sqrt(d - 1).
    beta : float, default 1.0
        Inverse temperature, > 0.
    p : float, default 0.001
        Probability of failing, in (0, 1).

    Returns
    -------
    float

    References
    ----------
    Ramsauer et al. (ICLR 2021), theorem 3.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.modern_capacity_base(20, spread=3.0), 4)
    3.1546
    >>> round(theory.modern_capacity_base(75), 4)
    1.3719
    """
    d = _check.integer(d, "d", 2)
    spread, beta, p = _positive(spread, "spread"), _positive(beta, "beta"), _positive(p, "p")
    if p >= 1:
        raise ValueError(f"p must be in (0, 1), got {p}")
    a = 2 / (d - 1) * (1 + math.log(2 * p * (d - 1)) + math.log(beta) + 2 * math.log(spread))
    log_b = math.log(0.4) + 2 * math.log(spread) + math.log(beta)
    # b / w = exp(w - a), as w + ln w = a + ln b.
    log_c = lambert_w_exp(a + log_b) - a
    return math.exp(log_c) if log_c < 709 else math.inf


def modern_capacity(d: int, spread: float = 1.0, beta: float = 1.0, p: float = 0.001) -> float:
    """Lower bound sqrt(p) c^((d-1)/4) on the random patterns of a sphere that can be stored.

    With probability 1 - p all of them are well separated fixed points. c is
    `modern_capacity_base`, whose parameters these are. It tells how fast the number grows; as a
    number it is loose (for d = 20 and beta = K = 1 it is 0.3). inf beyond the range of floats.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    spread, beta, p : float
        As of `modern_capacity_base`.

    Returns
    -------
    float

    References
    ----------
    Ramsauer et al. (ICLR 2021), theorem 3.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.modern_capacity(20, spread=3.0), 1)
    7.4
    """
    c = modern_capacity_base(d, spread, beta, p)
    exponent = 0.5 * math.log(p) + (d - 1) / 4 * math.log(c)
    return math.exp(exponent) if exponent < 709 else math.inf


# -- attention as sparse distributed memory -------------------------------------------------------


def log_circle_overlap(n_bits: int, radius: int) -> Float:
    """Natural logarithm of the fraction of all addresses within ``radius`` of two addresses.

    Entry d is for two addresses d bits apart, d = 0..n_bits; -inf where the circles do not meet:
    ``sum_i C(d, i) sum_j C(n - d, j) / 2^n`` over ``j <= radius - max(i, d - i)``. It is what a
    sparse distributed memory with all 2^n addresses as hard locations weighs an item by.

    Parameters
    ----------
    n_bits : int
        >= 1.
    radius : int
        In 0..n_bits.

    Returns
    -------
    (n_bits + 1,) float64 array

    References
    ----------
    Kanerva, *Sparse Distributed Memory* (1988); Bricken and Pehlevan, *Attention Approximates
    Sparse Distributed Memory* (NeurIPS 2021), equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> from amfast import theory
    >>> (2.0**4 * np.exp(theory.log_circle_overlap(4, 1))).round(6)
    array([5., 2., 2., 0., 0.])
    """
    n = size(n_bits, "n_bits", 1)
    r = _check.integer(radius, "radius", 0, n)
    _check.fits((5, n + 1), np.dtype(np.float64), "overlaps at all distances")
    factorial = np.fromiter((math.lgamma(i + 1.0) for i in range(n + 1)), np.float64, n + 1)
    out = np.full(n + 1, -np.inf)
    for d in range(min(2 * r, n) + 1):
        shared = np.arange(min(r, n - d) + 1)
        choose = factorial[n - d] - factorial[shared] - factorial[n - d - shared]
        upto = np.logaddexp.accumulate(choose)
        i = np.arange(max(0, d - r), min(d, r) + 1)
        room = np.minimum(r - np.maximum(i, d - i), n - d)
        terms = factorial[d] - factorial[i] - factorial[d - i] + upto[room]
        out[d] = np.logaddexp.reduce(terms) - n * math.log(2.0)
    return out


def attention_beta(radius: int, n_bits: int) -> float:
    """Inverse temperature with which softmax on cosines weighs as a sparse distributed memory.

    The logarithm of the overlap of two circles of ``radius`` falls almost linearly with the
    distance d of their centres. Its least-squares slope over d = 0..radius, per cosine
    ``1 - 2 d / n_bits``, is beta. Over larger distances the circles' overlap falls faster than any
    softmax's weight: tails differ.

    Parameters
    ----------
    radius : int
        Bits, in 1..n_bits - 1. At radius 0 no two addresses share a location and beta is infinite;
        at n_bits every location answers and beta is 0.
    n_bits : int
        >= 2.

    Returns
    -------
    float
        beta for cosines, > 0.

    References
    ----------
    Bricken and Pehlevan (NeurIPS 2021), section 2 and appendix B.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.attention_beta(radius, 64), 1) for radius in (5, 7, 11, 15)]
    [31.1, 23.6, 14.9, 9.7]
    """
    n = size(n_bits, "n_bits", 2)
    r = _check.integer(radius, "radius", 1, n - 1)
    d = np.arange(r + 1.0)
    overlap = log_circle_overlap(n, r)[: r + 1]
    centred = d - d.mean()
    slope = float((centred * (overlap - overlap.mean())).sum() / (centred * centred).sum())
    return -slope * n / 2


def attention_target_weight(
    radius: int, n_bits: int, n_items: int, distance: int
) -> tuple[float, float]:
    """Compute the share of the right item among random ones, for a cue ``distance`` bits off.

    Parameters
    ----------
    radius, n_bits : int
        As for `attention_beta`.
    n_items : int
        Stored addresses, >= 1, all but the right one at random.
    distance : int
        Wrong bits of the cue, in 0..n_bits.

    Returns
    -------
    sdm, softmax : float
        Weight of the target over it plus ``n_items - 1`` times the mean weight of a random address,
        with circles' overlaps and with ``exp(attention_beta cos)``; 0 where nothing weighs.

    References
    ----------
    Bricken and Pehlevan (NeurIPS 2021), figure 1.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(w, 3) for w in theory.attention_target_weight(11, 64, 1024, 5)]
    [0.999, 0.981]
    """
    n = size(n_bits, "n_bits", 2)
    others = _check.integer(n_items, "n_items", 1) - 1
    at = _check.integer(distance, "distance", 0, n)
    beta = attention_beta(radius, n)
    chance = np.array(
        [math.lgamma(n + 1) - math.lgamma(d + 1) - math.lgamma(n - d + 1) for d in range(n + 1)]
    )
    chance = np.exp(chance - n * math.log(2.0))
    shares = []
    for log_weight in (log_circle_overlap(n, radius), beta * (1 - 2 * np.arange(n + 1) / n)):
        weight = np.exp(log_weight - log_weight[0])
        total = weight[at] + others * float((chance * weight).sum())
        shares.append(float(weight[at] / total) if total else 0.0)
    return shares[0], shares[1]
