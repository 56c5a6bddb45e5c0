"""Rows asked against themselves: their own places are taken out of what was found."""

from __future__ import annotations

import numpy as np

from amfast._typing import Array, Int


def refuse_other(n_queries: int, n_keys: int, single: bool) -> None:
    """Refuse queries that cannot be the keys."""
    if single or n_queries != n_keys:
        asked = "one 1-d query" if single else f"{n_queries} queries"
        raise ValueError(
            f"exclude_self leaves out key i for query i: queries must be the keys, got {asked} and "
            f"{n_keys} keys"
        )


def refuse_alone(n_keys: int) -> None:
    """Refuse one row, which has no others."""
    if n_keys == 1:
        raise ValueError("exclude_self needs at least 2 rows: keys have 1, which has no others")


def refuse_blocks(exclude_self: bool, where: object) -> None:
    """Refuse keys that are read block by block, where single ones are to be left out."""
    for name, asked in (("exclude_self", exclude_self), ("where", where is not None)):
        if asked:
            raise ValueError(f"{name} needs keys in an array; Blocks are read a block at a time")


def of_best(scores: Array, indices: Int) -> tuple[Array, Int]:
    """Drop row i's own index, or its last where that is not among them: (N, k + 1) to (N, k)."""
    n, wide = indices.shape
    keep = indices != np.arange(n)[:, None]
    keep[keep.all(axis=1), wide - 1] = False
    shape = (n, wide - 1)
    return scores[keep].reshape(shape), indices[keep].reshape(shape)


def of_rows(indptr: Int, indices: Int, scores: Array) -> tuple[Int, Int, Array]:
    """Drop row i's own index from rows in CSR."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    keep = indices != rows
    counts = np.zeros(len(indptr), np.int64)
    np.add.at(counts, rows[keep] + 1, 1)
    return np.cumsum(counts), indices[keep], scores[keep]
