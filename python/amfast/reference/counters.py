"""The sparse distributed memory: hard locations and their counters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sdm_active(words: Array, locations: Array, radius: int) -> NDArray[np.bool_]:
    """Whether a hard location (M, n) differs from a word (Q, n) in at most ``radius`` bits, (Q, M).

    Both hold 0 and 1.
    """
    return np.asarray((words[:, None, :] != locations[None]).sum(axis=2) <= radius)


def sdm_write(
    counters: NDArray[Any], active: NDArray[np.bool_], data: Array, weights: Array
) -> NDArray[Any]:
    """Counters (M, o) after items were added one by one: data (N, o) of 0 and 1, active (N, M).

    Every sum stops at the ends of the counters' type.
    """
    limits, out = np.iinfo(counters.dtype), counters.copy()
    for where, word, weight in zip(active, data, weights, strict=True):
        step = int(weight) * (2 * word.astype(object) - 1)
        out[where] = np.clip(out[where].astype(object) + step, limits.min, limits.max)
    return out


def sdm_read(counters: NDArray[Any], active: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sum the active counters, (Q, o)."""
    return np.asarray(active.astype(np.int64) @ counters.astype(np.int64))
