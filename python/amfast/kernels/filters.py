"""The kernels over some of the keys: these are searched, and what is found gets its index back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast._check.masks import Where
from amfast._engine.knowing import chosen, each_cue
from amfast._typing import Array, Int

# Finds for queries and keys, by the name `known` what columns of queries count.
Search = Callable[..., Any]


def topk(
    search: Search, queries: Array, keys: Array, known: Array | None, where: Where
) -> tuple[Array, Int]:
    """Find the best of some keys, of which there are enough."""
    if where.indptr is None:
        scores, indices = search(queries, chosen(keys, where.indices), known=known)
        return scores, where.indices[indices]

    def ask(query: Array, index: Int, known: Array | None) -> tuple[Array, Int]:
        scores, indices = search(query, chosen(keys, index), known=known)
        return scores, index[indices]

    found = each_cue(where, queries, known, ask)
    return np.concatenate([scores for scores, _ in found]), np.concatenate([i for _, i in found])


def within(
    search: Search,
    queries: Array,
    keys: Array,
    known: Array | None,
    where: Where,
    dtype: np.dtype[Any],
) -> tuple[Int, Int, Array]:
    """Find those of some keys that lie within a radius."""

    def ask(query: Array, index: Int, known: Array | None) -> tuple[Int, Int, Array]:
        if len(index) == 0:
            return np.zeros(len(query) + 1, np.int64), np.empty(0, np.int64), np.empty(0, dtype)
        indptr, indices, scores = search(query, chosen(keys, index), known=known)
        return indptr, index[indices], scores

    if where.indptr is None:
        return ask(queries, where.indices, known)
    found = each_cue(where, queries, known, ask)
    ends = np.cumsum([0, *(len(indices) for _, indices, _ in found)])
    return ends, np.concatenate([i for _, i, _ in found]), np.concatenate([s for *_, s in found])
