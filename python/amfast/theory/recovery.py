"""Sparse recovery: how many corrupted coordinates an associative memory of a subspace corrects."""

from __future__ import annotations

import math

from amfast import _check
from amfast.theory._solve import bisect, normal_tail

__all__ = [
    "l1_capacity",
    "l1_weak_threshold",
    "recovery_unique",
    "subspace_messages",
]


def l1_weak_threshold(undersampling: float) -> float:
    """Weak threshold rho_W: the share k / m of errors up to which L1 recovery mostly succeeds.

    For k errors in n coordinates under m random constraints with delta = m / n, as n grows: below
    rho_W(delta) m errors L1 finds nearly every error vector, above nearly none. In the parameter
    t >= 0, with the normal density phi and tail Q,

        delta = 2 phi(t) / (t + 2 (phi(t) - t Q(t))),        rho_W = 1 - t Q(t) / phi(t).

    Parameters
    ----------
    undersampling : float
        delta, 0 < delta < 1.

    Returns
    -------
    float

    References
    ----------
    Donoho, *High-dimensional centrally symmetric polytopes with neighborliness proportional to
    dimension*, 2006, for the threshold; Donoho, Maleki, Montanari, *Message-passing algorithms for
    compressed sensing*, PNAS 2009, for this form of it.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.l1_weak_threshold(delta), 3) for delta in (0.25, 0.5, 0.75)]
    [0.267, 0.386, 0.534]
    """
    delta = _check.number(undersampling, "undersampling", 0.0)
    if not 0 < delta < 1:
        raise ValueError(f"undersampling must be between 0 and 1, got {delta:g}")

    def excess(t: float) -> float:
        return 2 * _density(t) / (t + 2 * (_density(t) - t * normal_tail(t))) - delta

    t = bisect(excess, 0.0, 38.0)
    return 1 - t * normal_tail(t) / _density(t)


def l1_capacity(n: int, n_constraints: int) -> float:
    """Corrupted coordinates that L1 recovery corrects half the time, rho_W(m / n) m.

    Exact as n grows, for random subspaces and errors at random places.

    Parameters
    ----------
    n : int
        Width of the patterns, >= 2.
    n_constraints : int
        m = n - rank, 1 to n - 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.l1_capacity(200, 150)), round(theory.l1_capacity(200, 100))
    (80, 39)
    """
    n = _check.integer(n, "n", 2)
    m = _check.integer(n_constraints, "n_constraints", 1, n - 1)
    return l1_weak_threshold(m / n) * m


def recovery_unique(n_constraints: int) -> int:
    """Most errors that any decoder can be certain of, m // 2.

    With constraints in general position (any m columns independent) two different errors that obey
    the same m equations have more than m nonzero entries between them, so at most one of them has
    m / 2 or fewer. Every set of more than m / 2 coordinates has errors that another as sparse
    explains as well.

    Parameters
    ----------
    n_constraints : int
        m, >= 1.

    Returns
    -------
    int
    """
    return _check.integer(n_constraints, "n_constraints", 1) // 2


def subspace_messages(rank: int, levels: int = 2) -> int:
    """Messages levels^rank in a subspace of a rank whose coefficients take so many values.

    Parameters
    ----------
    rank : int
        Dimension of the subspace, >= 0.
    levels : int, default 2
        Values of each coefficient, >= 1.

    Returns
    -------
    int

    Examples
    --------
    >>> from amfast import theory
    >>> theory.subspace_messages(50)
    1125899906842624
    """
    levels, rank = _check.integer(levels, "levels", 1), _check.integer(rank, "rank", 0)
    if levels > 1:
        _check.room(int(math.log2(levels) * rank / 8) if rank < 2**64 else rank, "the digits")
    return int(levels**rank)


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
