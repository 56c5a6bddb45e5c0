"""Weights from magnitudes, in a form that cannot overflow.

A separation says the logarithm of each weight's magnitude, and its sign; what all share is here:
the largest magnitude of a row is subtracted before the exponential is taken.
"""

from __future__ import annotations

import numpy as np

from amfast._typing import Array, Float

TINY = float(np.finfo(np.float64).tiny)


def shares(magnitude: Float, sign: Float | None, log_weight: Float | None) -> tuple[Float, Float]:
    """Weights divided by the sum of their magnitudes (q, N), and ln of that sum (q,).

    Parameters
    ----------
    magnitude : (q, N) float64
        Logarithms of the magnitudes; -inf for a weight of 0.
    sign : (q, N) float64 or None
        What the weights are multiplied with; None for weights >= 0.
    log_weight : (N,) float64 or None
        Logarithms of the items' weights.

    Raises
    ------
    ValueError
        For a magnitude beyond floats, naming the row.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if log_weight is not None:
            magnitude = magnitude + log_weight
        top = magnitude.max(axis=1, keepdims=True, initial=-np.inf)
        share = np.exp(magnitude - np.where(top == -np.inf, 0.0, top))
        total = share.sum(axis=1, keepdims=True)
        weights = np.divide(share, total, out=np.zeros_like(share), where=total != 0)
        if sign is not None:
            weights *= sign
        log_scale = np.where(total != 0, top + np.log(total), -np.inf)[:, 0]
    if np.isnan(weights).any():
        row = int(np.flatnonzero(np.isnan(weights).any(axis=1))[0])
        raise ValueError(
            f"cues row {row} has a score too large for its type; scale the data or use float64"
        )
    return weights, log_scale


def exponential(scores: Array, beta: float, log_weight: Float | None) -> tuple[Float, Float]:
    """Weights ``exp(beta s + b)`` as `shares` gives them; beta 0 counts all items that score."""
    s = np.asarray(scores, np.float64)
    if not beta:
        return shares(np.where(s == -np.inf, s, 0.0), None, log_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = beta * s
        beyond = np.flatnonzero((np.isinf(magnitude) & np.isfinite(s)).any(axis=1))
        if len(beyond) == 0:
            return shares(magnitude, None, log_weight)
        # Only differences count: these rows are taken relative to their best score.
        top = s[beyond].max(axis=1, keepdims=True)
        magnitude[beyond] = beta * (s[beyond] - top)
    weights, log_scale = shares(magnitude, None, log_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        log_scale[beyond] += beta * top[:, 0]
    return weights, log_scale


def power(
    scores: Array, n: float, rectified: bool, log_weight: Float | None
) -> tuple[Float, Float]:
    """Weights ``s^n exp(b)``, or ``max(s, 0)^n exp(b)``, as `shares` gives them."""
    s = np.asarray(scores, np.float64)
    if refuses(n, rectified):
        refuse_negative(s, f"the power {n:g}", "; rectified=True counts it as 0")
    with np.errstate(divide="ignore"):
        if rectified:
            return shares(n * np.log(np.maximum(s, 0.0)), None, log_weight)
        sign = np.sign(s) ** int(n) if float(n).is_integer() else None
        return shares(n * np.log(np.abs(s)), sign, log_weight)


def refuses(n: float, rectified: bool) -> bool:
    """Whether negative scores have no power n."""
    return not rectified and not float(n).is_integer()


def indicator(inside: Array, log_weight: Float | None) -> tuple[Float, Float]:
    """Weights ``exp(b)`` where ``inside``, else 0, as `shares` gives them."""
    return shares(np.where(inside, 0.0, -np.inf), None, log_weight)


def refuse_negative(scores: Array, name: str, hint: str = "") -> None:
    """Refuse negative scores, naming the first row that has one."""
    bad = np.flatnonzero((scores < 0).any(axis=1))
    if len(bad):
        raise ValueError(f"cues row {bad[0]} has a negative score; {name} has none{hint}")
