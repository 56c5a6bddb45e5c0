"""What a search keeps of the scores: the best, or those within a radius."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amfast.reference.metrics import pairwise

Array = NDArray[Any]
Float = NDArray[np.float64]


def topk(queries: Array, keys: Array, k: int, metric: str) -> tuple[Float, NDArray[np.int64]]:
    """Find the k best scores per query and their indices, best first, ties to the lowest index."""
    scores = pairwise(queries, keys, metric)
    best_first = np.argsort(-scores if metric == "dot" else scores, axis=1, kind="stable")
    indices = best_first[:, :k].astype(np.int64)
    return np.take_along_axis(scores, indices, axis=1), indices


def within(
    queries: Array, keys: Array, radius: float, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """All keys with distance <= radius (dot: score >= radius) as CSR (indptr, indices, scores).

    Where the engine scores in float32 it rounds the radius to float32 before it compares.
    """
    scores = pairwise(queries, keys, metric)
    inside = scores >= radius if metric == "dot" else scores <= radius
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(inside)[1].astype(np.int64), scores[inside]
