"""What a trained memory is asked to learn: pairs, how often each is asked, and their groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Int


def pairs(queries: Any, answers: Any) -> tuple[Array, Array]:
    """Read pairs, kept beside W: what the caller does to its arrays later changes no answer."""
    q = _check.rows(queries, "queries", "K")
    a = _check.rows(answers, "answers", "K", partners=len(q))
    _check.nonempty(q, "queries")
    if len(a) != len(q):
        raise ValueError(f"answers have {len(a)} rows, queries have {len(q)}")
    _check.finite(q, "queries")
    _check.finite(a, "answers")
    q, a = q.copy(), a.copy()
    q.flags.writeable = a.flags.writeable = False
    return q, a


def labels(given: Any, k: int) -> tuple[Array, Int]:
    """Read a label for each of k pairs: the different ones, and which each pair has."""
    if given is None:
        return np.zeros(1, np.int64), np.zeros(k, np.int64)
    return _check.distinct(_check.labels(given, "groups", k, "pair"), "groups")
