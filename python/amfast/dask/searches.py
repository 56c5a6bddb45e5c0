"""Searches over chunks: the best keys, those within a radius."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from amfast import _check, _docs, kernels
from amfast.dask import graph


def topk(
    queries: Any, keys: Any, k: int, metric: str, *, split_every: int = 8, threads: int | None = 1
) -> tuple[Any, Any]:
    """Find the k best keys for every query, as `amfast.topk`, bit for bit.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, BitMatrix, or dask array chunked by rows
        NumPy's are sent once.
    keys : (N, d) dask array, chunked by rows
    k : int
        1 to N.
    metric : str
        As `amfast.topk`.
    split_every : int, default 8
        How many neighbours are merged at a time, >= 2.
    threads : int, optional
        Of one task, default 1; None means the setting.

    Returns
    -------
    scores, indices : (Q, k) or (k,) dask arrays
        Indices count through all keys.

    Raises
    ------
    ValueError, TypeError
        As `amfast.topk`, for what shapes and types show; for chunks of unknown sizes. What entries
        show is raised when it is computed.

    Warns
    -----
    UserWarning
        If columns are in several chunks.
    """
    keys = graph.chunked(keys, "keys")
    asked = graph.Questions(queries, "queries")
    k = _check.integer(k, "k", 1, keys.shape[0])
    n = graph.split(split_every)
    dtype = kernels.topk(asked.sample, graph.sample(keys), 1, metric)[0].dtype
    token = tokenize(asked.keys, keys.name, k, metric, n, threads)
    name = f"amfast-topk-{token}"
    search = partial(_best, k=k, metric=metric, threads=threads)
    merge = partial(_merged_best, k=k, metric=metric)
    layer: dict[Any, Any] = dict(asked.layer)
    found: list[dict[Any, Any]] = [{}, {}]
    for j, cue in enumerate(asked.keys):
        leaves = []
        for i, start in enumerate(graph.starts(keys)):
            key = (f"{name}-part", j, i)
            layer[key] = (search, cue, (keys.name, i, 0), start)
            leaves.append(key)
        last = graph.tree(layer, f"{name}-{j}", leaves, merge, n)
        for part in (0, 1):
            found[part][(f"{name}-{part}", j, 0)] = (itemgetter(part), last)
    results = []
    for part, kind in ((0, dtype), (1, np.dtype(np.int64))):
        own = graph.graph(f"{name}-{part}", layer | found[part], [keys, *asked.collections])
        array = da.Array(own, f"{name}-{part}", chunks=(asked.counts, (k,)), dtype=kind)
        results.append(array[0] if asked.single else array)
    return results[0], results[1]


@_docs.like(topk)
def within(
    queries: Any,
    keys: Any,
    radius: float,
    metric: str,
    *,
    split_every: int = 8,
    threads: int | None = 1,
) -> tuple[Any, Any, Any]:
    """Find all keys within a radius of every query, as `amfast.within`, bit for bit.

    Queries of a dask array are brought together.

    Parameters
    ----------
    radius : float
        As `amfast.within`.

    Returns
    -------
    indptr, indices, scores : dask arrays
        As `amfast.within`; how long ``indices`` and ``scores`` are is not known before they are
        computed.

    Raises
    ------
    ValueError, TypeError
        As `topk`.
    """
    keys = graph.chunked(keys, "keys")
    asked = graph.Questions(queries, "queries", whole=True)
    n = graph.split(split_every)
    dtype = kernels.within(asked.sample, graph.sample(keys), radius, metric)[2].dtype
    token = tokenize(asked.keys, keys.name, radius, metric, n, threads)
    name = f"amfast-within-{token}"
    search = partial(_near, radius=radius, metric=metric, threads=threads)
    layer: dict[Any, Any] = dict(asked.layer)
    leaves = []
    for i, start in enumerate(graph.starts(keys)):
        key = (f"{name}-part", i)
        layer[key] = (search, asked.keys[0], (keys.name, i, 0), start)
        leaves.append(key)
    last = graph.tree(layer, name, leaves, _merged_near, n)
    results = []
    lengths = (asked.counts[0] + 1, np.nan, np.nan)
    for part, kind in enumerate((np.dtype(np.int64), np.dtype(np.int64), dtype)):
        out = f"{name}-{part}"
        own = graph.graph(
            out, layer | {(out, 0): (itemgetter(part), last)}, [keys, *asked.collections]
        )
        results.append(da.Array(own, out, chunks=((lengths[part],),), dtype=kind))
    return results[0], results[1], results[2]


# -- tasks: what workers run ----------------------------------------------------------------------


def _best(queries: Any, keys: Any, start: int, *, k: int, metric: str, threads: int | None) -> Any:
    if len(keys) == 0:
        return None
    scores, indices = kernels.topk(queries, keys, min(k, len(keys)), metric, threads=threads)
    return scores, indices + start


def _merged_best(parts: list[Any], *, k: int, metric: str) -> Any:
    parts = [part for part in parts if part is not None]
    if not parts:
        return None
    n = sum(scores.shape[-1] for scores, _ in parts)
    return kernels.merge_topk(parts, min(k, n), metric)


def _near(
    queries: Any, keys: Any, start: int, *, radius: float, metric: str, threads: int | None
) -> Any:
    if len(keys) == 0:
        return None
    indptr, indices, scores = kernels.within(queries, keys, radius, metric, threads=threads)
    return indptr, indices + start, scores


def _merged_near(parts: list[Any]) -> Any:
    parts = [part for part in parts if part is not None]
    return kernels.merge_within(parts) if parts else None
