"""The kinds of weights."""

from __future__ import annotations

import numpy as np

from amfast._check.arrays import vector
from amfast._typing import Float


def item_weights(x: object, length: int) -> Float:
    """Read item weights, finite and >= 0."""
    result = vector(x, "weights", length)
    bad = np.flatnonzero(~(np.isfinite(result) & (result >= 0)))
    if len(bad):
        raise ValueError(
            f"weights must be finite and >= 0, entry {bad[0]} is {float(result[bad[0]])}"
        )
    return result


def log_weights(x: object, length: int) -> Float:
    """Read logarithms of item weights: finite, or -inf for an item left out."""
    result = vector(x, "log_weight", length)
    bad = np.flatnonzero(~(result < np.inf))
    if len(bad):
        raise ValueError(
            f"log_weight must be finite or -inf, entry {bad[0]} is {float(result[bad[0]])}"
        )
    return result
