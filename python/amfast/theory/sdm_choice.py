"""Sparse distributed memory: which activation probability, and so which radius, is best."""

from __future__ import annotations

import math

from amfast import _check
from amfast.theory._solve import bisect, normal_tail, size
from amfast.theory.sdm import sdm_radius

__all__ = ["sdm_best_p", "sdm_best_radius", "sdm_capacity_p", "sdm_capacity_radius"]


def sdm_best_p(n_locations: int, n_items: int) -> float:
    """Activation probability with the best signal to noise ratio, ``(2 M T)^(-1/3)``.

    Maximises `sdm_snr` exactly: more locations carry more signal until the noise of items that
    share them grows faster. It holds where `sdm_snr` does: for data that have nothing to do with
    their address, read at a stored address.

    Parameters
    ----------
    n_locations, n_items : int
        M and T, >= 1.

    Returns
    -------
    float

    References
    ----------
    Kanerva (1988), chapter 7; Bricken and Pehlevan, *NeurIPS* 2021, appendix B.5.

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.sdm_best_p(1_000_000, 10_000), 6)
    0.000368
    """
    product = 2 * _check.integer(n_locations, "n_locations", 1)
    product *= _check.integer(n_items, "n_items", 1)
    try:
        return float(product ** (-1 / 3))
    except OverflowError:  # the product alone is beyond floats
        return math.exp(-math.log(product) / 3)


def sdm_best_radius(n_bits: int, n_locations: int, n_items: int) -> int:
    """Smallest radius that activates at least `sdm_best_p` of the locations.

    Parameters
    ----------
    n_bits, n_locations, n_items : int
        n, M and T, >= 1; M and T may change places.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        Also for more bits than locations and items together, which are in the wrong order.

    Examples
    --------
    >>> from amfast import theory
    >>> [theory.sdm_best_radius(1000, 1_000_000, items) for items in (1_000, 10_000, 100_000)]
    [450, 447, 443]
    """
    p = sdm_best_p(n_locations, n_items)
    n = size(n_bits, "n_bits", 1)
    if n > 4 and n > n_locations + n_items:
        raise ValueError(
            f"n_bits={n} are more than n_locations={n_locations} and n_items={n_items}: the order "
            "is (n_bits, n_locations, n_items); use keywords"
        )
    return sdm_radius(n, p)


def sdm_capacity_p(n_locations: int, error: float = 0.01) -> float:
    """Activation probability with which the most items can be stored and read back.

    The p that maximises the number T of items at which `sdm_snr` still is the z with
    ``Q(z) = error``: ``T = (p M / z^2 - 1) / (p + p^3 M)``. It solves
    ``p M / z^2 = 3/2 + 1 / (2 p^2 M)``, is near ``(z^2 / (2 M^2))^(1/3)``, and unlike `sdm_best_p`
    does not depend on T.

    Parameters
    ----------
    n_locations : int
        M, >= 1. Where it is so small that the formula asks for more than all, p is 1.
    error : float, default 0.01
        Accepted probability of a wrong bit, in (0, 1/2).

    Returns
    -------
    float

    References
    ----------
    Derived; at M = 2^64 it is the p of 2.0e-13 of Bricken and Pehlevan, *NeurIPS* 2021.

    Examples
    --------
    >>> from amfast import theory
    >>> f"{theory.sdm_capacity_p(2**64):.2g}"
    '2e-13'
    """
    m = _check.integer(n_locations, "n_locations", 1)
    error = _check.number(error, "error", 0.0)
    if not 0 < error < 0.5:
        raise ValueError(f"error must be between 0 and 1/2, got {error:g}")
    z = bisect(lambda x: normal_tail(x) - error, 0.0, 40.0)
    return min(
        1.0, bisect(lambda p: 1.5 + 1 / (2 * p * (p * m)) - p * m / z**2, 0.0, 2 + 2 * z * z)
    )


def sdm_capacity_radius(n_bits: int, n_locations: int, error: float = 0.01) -> int:
    """Smallest radius that activates at least `sdm_capacity_p` of the locations.

    Parameters
    ----------
    n_bits, n_locations : int
        n and M, >= 1.
    error : float, default 0.01
        Accepted probability of a wrong bit, in (0, 1/2).

    Returns
    -------
    int

    Examples
    --------
    >>> from amfast import theory
    >>> theory.sdm_capacity_radius(64, 2**64), theory.sdm_best_radius(64, 2**64, 1024)
    (5, 11)
    """
    return sdm_radius(n_bits, sdm_capacity_p(n_locations, error))
