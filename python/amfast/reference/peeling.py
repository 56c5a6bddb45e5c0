"""Decoding of sparse errors under sparse constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]


def peel(cue: Array, constraints: Array, tolerance: float) -> tuple[Float, int]:
    """Errors (n,) of one cue under a sparse matrix (m, n), and the steps taken to find them.

    While one error of some coordinate explains more than half of its checks, whose gaps, entries of
    ``constraints @ (cue - errors)``, are it times the matrix's entries, it is that. Coordinates
    wait in a queue, first all in order, then those that share a check with the corrected one. Gaps
    up to ``tolerance`` are zero.
    """
    a = np.asarray(constraints, np.float64)
    checks = [np.flatnonzero(column) for column in a.T]
    members = [np.flatnonzero(row).tolist() for row in a]
    gaps = np.zeros(len(a))
    for j, x in enumerate(np.asarray(cue, np.float64)):
        gaps[checks[j]] += a[checks[j], j] * x
    errors = np.zeros(a.shape[1])
    queue, steps = list(range(a.shape[1])), 0
    while queue:
        j = queue.pop(0)
        seen, entries = gaps[checks[j]], a[checks[j], j]
        open_ = np.abs(seen) > tolerance
        for error, gap in zip(seen / entries, seen[: len(seen) - len(seen) // 2], strict=False):
            same = open_ & (np.abs(seen - entries * error) <= tolerance)
            if abs(gap) > tolerance and 2 * same.sum() > len(seen):
                steps += 1
                errors[j] += error
                gaps[checks[j]] -= entries * error
                waiting = set(queue)
                for check in checks[j]:
                    new = [i for i in members[check] if i not in waiting]
                    queue += new
                    waiting.update(new)
                break
    return errors, steps
