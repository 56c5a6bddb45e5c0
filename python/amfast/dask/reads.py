"""Recall, sums and storing over chunks."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed

from amfast import _docs, kernels
from amfast._typing import Array
from amfast.dask import graph
from amfast.dask.searches import topk
from amfast.kernels import Partial


@_docs.like(topk)
def retrieve(
    cues: Any,
    keys: Any,
    values: Any = None,
    *,
    similarity: Any = "dot",
    separation: Any = "softmax",
    beta: float | None = None,
    log_weight: Any = None,
    split_every: int = 8,
    threads: int | None = 1,
) -> Any:
    """Recall values by similarity, as `amfast.retrieve`, to the rounding of merged means.

    Parameters
    ----------
    cues : (Q, d) or (d,) array, BitMatrix, or dask array chunked by rows
    keys : (N, d) dask array, chunked by rows
    values : (N, o) dask array, optional
        Brought to the chunks of the keys. None means the keys.
    similarity : str or Similarity, default "dot"
    separation : str or Separation, default "softmax"
    beta : float, optional
        As `amfast.partial`.
    log_weight : (N,) array or dask array, optional

    Returns
    -------
    (Q, o) or (o,) dask array

    Raises
    ------
    ValueError, TypeError
        As `amfast.partial`, for what shapes and types show; for chunks of unknown sizes.
    """
    keys = graph.chunked(keys, "keys")
    if keys.shape[0] == 0:
        raise ValueError("keys have no rows; at least one is needed")
    asked = graph.Questions(cues, "cues")
    n = graph.split(split_every)
    beside = None if values is None else graph.chunked(values, "values", keys)
    b = None if log_weight is None else _weights(log_weight, keys)
    options = {"similarity": similarity, "separation": separation, "beta": beta}
    stored = None if beside is None else graph.sample(beside)
    shown = kernels.partial(asked.sample, graph.sample(keys), stored, **options)
    name = "amfast-retrieve-" + tokenize(
        asked.keys, keys.name, beside, b, repr(similarity), repr(separation), beta, n, threads
    )
    read = partial(kernels.partial, threads=threads, **options)
    layer: dict[Any, Any] = dict(asked.layer)
    for j, cue in enumerate(asked.keys):
        leaves = []
        for i in range(keys.numblocks[0]):
            key = (f"{name}-part", j, i)
            v = None if beside is None else (beside.name, i, 0)
            w = None if b is None else (b.name, i)
            layer[key] = (_read, read, cue, (keys.name, i, 0), v, w)
            leaves.append(key)
        last = graph.tree(layer, f"{name}-{j}", leaves, Partial.merge_all, n)
        layer[(name, j, 0)] = (_answer, last)
    depend = [keys, *asked.collections, *(x for x in (beside, b) if x is not None)]
    own = graph.graph(name, layer, depend)
    array = da.Array(own, name, chunks=(asked.counts, (shown.width,)), dtype=shown.dtype)
    return array[0] if asked.single else array


@_docs.like(topk)
def hebbian(
    X: Any, Y: Any = None, *, weights: Any = None, split_every: int = 8, threads: int | None = 1
) -> Any:
    """Add up outer products, as `amfast.hebbian`; sums of floats are added up in float64.

    Parameters
    ----------
    X : (N, d) dask array, chunked by rows
    Y : (N, o) dask array, optional
        Brought to the chunks of X.
    weights : (N,) array or dask array, optional

    Returns
    -------
    (o, d) dask array
        In one chunk; int32 where patterns are bytes or bools and there are no weights, which raises
        when it is computed if an entry leaves it. With weights, bytes give float64.

    Raises
    ------
    ValueError, TypeError
        As `amfast.hebbian`, for what shapes and types show; for chunks of unknown sizes.
    """
    x = graph.chunked(X, "X")
    y = None if Y is None else graph.chunked(Y, "Y", x)
    n = graph.split(split_every)
    b = None if weights is None else _weights(weights, x)
    kind = kernels.hebbian(graph.sample(x), None if y is None else graph.sample(y)).dtype
    if b is not None and kind == np.int32:
        kind = np.dtype(np.float64)  # whether weights are whole numbers is not known yet
    name = f"amfast-hebbian-{tokenize(x, y, b, n, threads)}"
    add = partial(_summed, exact=kind == np.int32, threads=threads)
    layer: dict[Any, Any] = {}
    leaves = []
    for i in range(x.numblocks[0]):
        key = (f"{name}-part", i)
        second = None if y is None else (y.name, i, 0)
        layer[key] = (add, (x.name, i, 0), second, None if b is None else (b.name, i))
        leaves.append(key)
    layer[(name, 0, 0)] = (partial(_as, kind), graph.tree(layer, name, leaves, _total, n))
    own = graph.graph(name, layer, [z for z in (x, y, b) if z is not None])
    shape = (x if y is None else y).shape[1], x.shape[1]
    return da.Array(own, name, chunks=tuple((m,) for m in shape), dtype=kind)


def store(memory: Any, keys: Any, values: Any = None, *, split_every: int = 8) -> Any:
    """Store chunks into memories on the workers and merge them.

    Parameters
    ----------
    memory : Memory
        Gives class, parameters and what is stored already; it does not change itself.
    keys : (N, d) dask array, chunked by rows
    values : (N, o) dask array, optional
        Brought to the chunks of the keys.
    split_every : int, default 8
        How many neighbours are merged at a time, >= 2.

    Returns
    -------
    Delayed
        Its ``compute()`` is a memory like ``memory`` with the rows stored too, in their order. A
        memory of sums is as small as its sums; one that keeps items brings them all to whoever
        computes it.

    Raises
    ------
    TypeError, ValueError
        If ``memory`` is none; for chunks of unknown sizes. What the memory refuses is raised when
        it is computed.
    """
    if not hasattr(memory, "_parameters"):
        raise TypeError(f"memory must be a memory, got {type(memory).__name__}")
    keys = graph.chunked(keys, "keys")
    beside = None if values is None else graph.chunked(values, "values", keys)
    n = graph.split(split_every)
    empty = type(memory)(**memory._parameters())
    name = f"amfast-store-{tokenize(keys, beside, n, repr(memory), id(memory))}"
    fill, merge = partial(_filled, empty), partial(_merged, empty)
    layer: dict[Any, Any] = {}
    leaves: list[Any] = []
    for i in range(keys.numblocks[0]):
        key = (f"{name}-part", i)
        layer[key] = (fill, (keys.name, i, 0), None if beside is None else (beside.name, i, 0))
        leaves.append(key)
    last = graph.tree(layer, name, leaves, merge, n)
    layer[name] = (partial(_onto, copy.copy(memory)), last)
    own = graph.graph(name, layer, [z for z in (keys, beside) if z is not None])
    return Delayed(name, own)


def _weights(given: Any, like: Any) -> Any:
    """Return one number a row as a dask array, chunked as the rows."""
    x = given if isinstance(given, da.Array) else np.asarray(given, np.float64)
    if x.shape != (like.shape[0],):
        raise ValueError(f"weights must have shape ({like.shape[0]},), got {x.shape}")
    chunks = (like.chunks[0],)
    return x.rechunk(chunks) if isinstance(x, da.Array) else da.from_array(x, chunks=chunks)


# -- tasks: what workers run ----------------------------------------------------------------------


def _read(read: Any, cues: Any, keys: Any, values: Any, log_weight: Any) -> Partial:
    found: Partial = read(cues, keys, values, log_weight=log_weight)
    return found


def _answer(part: Partial) -> Array:
    answer = part.result()
    return answer[None, :] if part.single else answer


def _summed(x: Array, y: Any, weights: Any, *, exact: bool, threads: int | None) -> Array:
    if exact:
        return kernels.hebbian(x, y, weights=weights, threads=threads).astype(np.int64)
    shape = (x if y is None else y).shape[1], x.shape[1]
    found = kernels.hebbian(x, y, weights=weights, threads=threads) if x.dtype.kind in "biu" else (
        kernels.hebbian(x, y, weights=weights, out=np.zeros(shape), threads=threads)
    )  # fmt: skip
    return found.astype(np.float64, copy=False)


def _total(parts: list[Array]) -> Array:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _as(kind: np.dtype[Any], total: Array) -> Array:
    if kind.kind == "i":
        limits = np.iinfo(kind)
        if total.size and (total.min() < limits.min or total.max() > limits.max):
            raise ValueError(f"an entry leaves {kind}; give X as floats")
    with np.errstate(over="ignore"):
        result = total.astype(kind)
    if not np.isfinite(result).all():
        raise ValueError(f"an entry leaves {kind}; give X as float64")
    return result


def _filled(empty: Any, keys: Any, values: Any) -> Any:
    part = copy.copy(empty)
    part.store(keys, values)
    return part


def _merged(empty: Any, parts: list[Any]) -> Any:
    total = copy.copy(empty)
    for part in parts:
        total.merge(part)
    return total


def _onto(memory: Any, more: Any) -> Any:
    return copy.copy(memory).merge(more)
