"""Sums of outer products: memories in matrix form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]


def hebbian(X: Array, Y: Array | None = None, weights: Array | None = None) -> Float:
    """Sum of outer products, sum_i w_i y_i x_i^T, shape (o, d); ``Y=None`` means ``X``."""
    x = np.asarray(X, np.float64)
    y = x if Y is None else np.asarray(Y, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    out = np.zeros((y.shape[1], x.shape[1]))
    for w_i, y_i, x_i in zip(w, y, x, strict=True):
        out += w_i * np.outer(y_i, x_i)
    return out


def hebbian_memory(
    rows: Array, weights: Array, center: str | None = None, weighting: str = "linear"
) -> Float:
    """Matrix of a weighted continuous Hebbian memory (D, D), from all rows at once.

    ``sum_i w_i x_i x_i^T / divisor`` over the rows scaled to length 1; ``moment`` and ``renorm``
    take the weighted mean away from the rows, the latter scales what is left to length 1.
    """
    v, y = np.asarray(rows, np.float64), np.asarray(weights, np.float64)
    keep = np.linalg.norm(v, axis=1) > 0
    x, y = v[keep] / np.linalg.norm(v[keep], axis=1, keepdims=True), y[keep]
    if center is not None:
        x = x - (y[:, None] * x).sum(axis=0) / y.sum()
    if center == "renorm":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = y if weighting == "linear" else y * y
    divisor = y.sum() ** 2 if weighting == "code" else y.sum()
    return np.asarray((w[:, None] * x).T @ x / divisor)
