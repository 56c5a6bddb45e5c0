"""Sequences of random patterns, of which each recalls the next: how long they may be."""

from __future__ import annotations

import math

from amfast.theory._solve import bisect, normal_tail, size

__all__ = ["sequence_critical_load", "sequence_n50"]


def sequence_n50(d: int, n: int = 1) -> float:
    """Return how many steps of a sequence all come right, one time in two.

    For the step ``x <- sign(sum_i (k_i . x)^n v_i)`` between P random pairs of d signs, such as a
    sequence whose every pattern has the next one as its value. A bit is wrong with probability
    ``q = Q(d^n / sqrt((P - 1) E[o^(2n)]))``, o a sum of d random signs, and P solves
    ``P d q = ln 2``. For large d and n = 1, 2, 3 the moment is d, 3 d^2, 15 d^3, so that P grows as
    ``d^n / (2 (n+1) (2n-1)!! ln d)``. At d of 16 to 256 measured numbers are 0.85 to 1.05 of it,
    the less the larger n, since powers of overlaps are further from normal.

    Parameters
    ----------
    d : int
        Width of the patterns, >= 2.
    n : int, default 1
        Power of the separation, >= 1: 1 is Hopfield's, or the identity.

    Returns
    -------
    float

    References
    ----------
    Chaudhry, Zavatone-Veth, Krotov and Pehlevan, *Long Sequence Hopfield Memory*, NeurIPS 2023;
    the moment at finite d and the constant ln 2 are derived, and measured by
    ``amfast reproduce chain-capacity``.

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.sequence_n50(64, n)) for n in (1, 2, 3)]
    [8, 102, 1001]
    """
    d, n = size(d, "d", 2), size(n, "n", 1)
    log_half, moment = d * math.log(2.0), 0.0
    for ups in range(d + 1):
        log_chance = math.lgamma(d + 1) - math.lgamma(ups + 1) - math.lgamma(d - ups + 1) - log_half
        moment += math.exp(log_chance) * ((2 * ups - d) / d) ** (2 * n)

    def left(p: float) -> float:
        wrong = d * normal_tail(1.0 / math.sqrt((p - 1.0) * moment)) if p > 1.0 else 0.0
        return math.log(2.0) - p * wrong

    high = 2.0
    while left(high) > 0:
        high *= 2.0
    return bisect(left, 1.0, high)


def sequence_critical_load() -> float:
    """Load P / d up to which a network of Hebb's rule follows a sequence with few errors, 0.269.

    Synchronous steps, random patterns, d to infinity: the largest load whose mean-field equations
    ``m = erf(m / sqrt(2 load r))``, ``r = 1 / (1 - C^2)``,
    ``C = sqrt(2 / (pi load r)) exp(-m^2 / (2 load r))`` have a solution. Nearly twice
    `hopfield_critical_load`: where states move on, what they disturb does not come back to them.

    Returns
    -------
    float

    References
    ----------
    Duering, Coolen and Sherrington, *Phase diagram and storage capacity of sequence processing
    neural networks*, J. Phys. A 31, 8607 (1998).

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.sequence_critical_load(), 3)
    0.269
    """

    def load(y: float) -> float:
        # With y = m / sqrt(2 load r): m = erf(y), C = 2 y exp(-y^2) / (sqrt(pi) m).
        slope = 2.0 * y / math.sqrt(math.pi) * math.exp(-y * y)
        return (math.erf(y) ** 2 - slope**2) / (2.0 * y * y)

    step = 1e-5
    return load(bisect(lambda y: load(y + step) - load(y - step), 0.5, 3.0))
