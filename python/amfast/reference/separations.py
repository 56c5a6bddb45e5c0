"""Separation: what scores weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amfast.reference.metrics import TINY

Array = NDArray[Any]
Float = NDArray[np.float64]


def separate(
    scores: Array, separation: str, param: float, log_weight: Array | None = None
) -> tuple[Float, Float]:
    """Weights of a separation divided by the sum of their magnitudes, and the log of that sum.

    With s a score and b its log weight, the weight is

    ============= ==================================
    ``softmax``   exp(param s + b)
    ``power``     s^param exp(b); s >= 0 unless param is whole
    ``rectified`` max(s, 0)^param exp(b)
    ``sqrt``      sqrt(s) exp(b)
    ``log``       ln(max(s, tiny)) exp(b)
    ``threshold`` exp(b) where s >= param, else 0
    ============= ==================================

    Everything is done on logarithms of magnitudes and the largest is subtracted first, so nothing
    overflows whatever the scores, ``param`` or the log weights. Scores of +inf give NaN.

    Parameters
    ----------
    scores : (Q, N) array
        Larger is better.
    separation : str
        A name of the table.
    param : float
        The softmax's inverse temperature, the power's exponent, the threshold; else ignored.
    log_weight : (N,) array, optional
        Natural logarithms of the items' weights; -inf leaves an item out.

    Returns
    -------
    weights : (Q, N) float64
        Divided by the sum of their magnitudes. All zero in a row where every weight is zero.
    log_scale : (Q,) float64
        Natural logarithm of that sum, -inf where every weight is zero.

    Raises
    ------
    ValueError
        If ``sqrt``, ``log`` or a fractional ``power`` meets a negative score.
    """
    s = np.asarray(scores, np.float64)
    sign = np.ones(s.shape)
    if separation in ("sqrt", "log") or (separation == "power" and param % 1):
        negative = np.flatnonzero((s < 0).any(axis=1))
        if len(negative):
            raise ValueError(f"cues row {negative[0]} has a negative score; {separation} has none")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if separation == "softmax":
            magnitude = param * s if param else np.where(s == -np.inf, s, 0.0)
        elif separation == "power":
            sign = np.sign(s) ** int(param) if param % 1 == 0 else sign
            magnitude = param * np.log(np.abs(s))
        elif separation == "rectified":
            magnitude = param * np.log(np.maximum(s, 0.0))
        elif separation == "sqrt":
            magnitude = 0.5 * np.log(s)
        elif separation == "log":
            logarithm = np.log(np.maximum(s, TINY))
            sign = np.sign(logarithm)
            magnitude = np.log(np.abs(logarithm))
        elif separation == "threshold":
            magnitude = np.where(s >= param, 0.0, -np.inf)
        else:
            raise ValueError(f"unknown separation {separation!r}")
        if log_weight is not None:
            magnitude = magnitude + np.asarray(log_weight, np.float64)
        top = magnitude.max(axis=1, keepdims=True, initial=-np.inf)
        share = np.exp(magnitude - np.where(top == -np.inf, 0.0, top))
        total = share.sum(axis=1, keepdims=True)
        weights = sign * np.divide(share, total, out=np.zeros_like(share), where=total != 0)
        log_scale = np.where(total != 0, top + np.log(total), -np.inf)[:, 0]
    return weights, log_scale


def potential(
    scores: Array, separation: str, param: float, log_weight: Array | None = None
) -> Float:
    """Functions (Q,) of which the weights are the gradient; an energy is minus one of them.

    ``softmax`` lse(param s + b) / param, ``exponential`` sum exp(param s + b) / param, ``power``
    sum exp(b) s^(param+1) / (param+1), ``rectified`` that of max(s, 0), ``sqrt`` sum exp(b) (2/3)
    s^1.5, ``log`` sum exp(b) (s ln s - s), ``threshold`` sum exp(b) max(s - param, 0), ``best`` the
    mean of the param best of equally weighted items. Plain sums, which may overflow.
    """
    s = np.asarray(scores, np.float64)
    m = np.ones(s.shape[1]) if log_weight is None else np.exp(np.asarray(log_weight, np.float64))
    if separation == "best":
        return np.asarray(np.sort(s[:, m > 0], axis=1)[:, -int(param) :].mean(axis=1))
    if separation == "softmax":
        return np.asarray(np.log((m * np.exp(param * s)).sum(axis=1)) / param)
    if separation == "exponential":
        f = np.exp(param * s) / param
    elif separation in ("power", "rectified"):
        f = (np.maximum(s, 0.0) if separation == "rectified" else s) ** (param + 1) / (param + 1)
    elif separation == "sqrt":
        f = 2.0 / 3.0 * s**1.5
    elif separation == "log":
        f = s * np.log(s) - s
    elif separation == "threshold":
        f = np.maximum(s - param, 0.0)
    else:
        raise ValueError(f"unknown separation {separation!r}")
    return np.asarray((m * f).sum(axis=1))


def entmax(scores: Array, alpha: float, log_weight: Array | None = None) -> Float:
    """Alpha-entmax of every row (Q, N), alpha > 1, by plain bisection for its threshold.

    ``p_i = m_i max((alpha - 1) s_i - tau, 0)^(1/(alpha - 1))`` with item weights ``m_i`` and tau
    such that the weights sum to 1; alpha = 2 is sparsemax.
    """
    s = np.asarray(scores, np.float64)
    out = np.zeros(s.shape)
    m = np.ones(s.shape[1]) if log_weight is None else np.exp(np.asarray(log_weight, np.float64))
    for row, x in zip(out, s, strict=True):
        x = (alpha - 1.0) * (x - x[m > 0].max())

        def share(t: float, x: Float = x) -> Float:
            return np.asarray(m * np.maximum(x + t, 0.0) ** (1.0 / (alpha - 1.0)))

        low, high = 0.0, 1.0
        while share(high).sum() < 1.0:
            high *= 2.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if share(middle).sum() < 1.0 else (low, middle)
        row[:] = share(high) / share(high).sum()
    return out
