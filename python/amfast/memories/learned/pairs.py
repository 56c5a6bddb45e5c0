"""What a trained memory is asked to learn: pairs, how often each is asked, and their groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Float, Int


def pairs(queries: Any, answers: Any) -> tuple[Array, Array]:
    """Read pairs, kept beside W: what the caller does to its arrays later changes no answer."""
    q, a = _check.rows(queries, "queries", "K"), _check.rows(answers, "answers", "K")
    _check.nonempty(q, "queries")
    if len(a) != len(q):
        raise ValueError(f"answers have {len(a)} rows, queries have {len(q)}")
    _check.finite(q, "queries")
    _check.finite(a, "answers")
    q, a = q.copy(), a.copy()
    q.flags.writeable = a.flags.writeable = False
    return q, a


def frequencies(given: Any, k: int) -> Float:
    """Read how often each of k pairs is asked, divided by the sum; None means alike."""
    if given is None:
        return np.full(k, 1.0 / k)
    f = _check.vector(given, "frequency", k)
    bad = np.flatnonzero(~(np.isfinite(f) & (f >= 0)))
    if len(bad):
        raise ValueError(f"frequency must be finite and >= 0, entry {bad[0]} is {float(f[bad[0]])}")
    top = float(f.max())
    if top == 0:
        raise ValueError("frequency sums to 0; at least one pair must be asked")
    f = f / top
    return np.asarray(f / f.sum())


def labels(given: Any, k: int) -> tuple[Array, Int]:
    """Read a label for each of k pairs: the different ones, and which each pair has."""
    if given is None:
        return np.zeros(1, np.int64), np.zeros(k, np.int64)
    given = np.asarray(given)
    if given.shape != (k,):
        raise ValueError(f"groups must have shape ({k},), got {given.shape}")
    names, index = np.unique(given, return_inverse=True)
    return names, index.astype(np.int64)
