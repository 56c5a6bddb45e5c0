"""Graphs: a task per chunk of keys, and a tree that merges what they say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from amfast import _check
from amfast._typing import Array
from amfast.bits import BitMatrix

Task = Callable[..., Any]


def chunked(x: Any, name: str, like: Any = None) -> Any:
    """Return a 2-d dask array chunked by rows alone, as ``like`` is if given.

    Raises
    ------
    TypeError
        If it is no dask array.
    ValueError
        If it is not 2-d, its chunks are of unknown sizes, or it has other rows than ``like``.

    Warns
    -----
    UserWarning
        If columns were in several chunks, which had to be brought together.
    """
    if not isinstance(x, da.Array):
        raise TypeError(
            f"{name} must be a dask array, got {type(x).__name__}; arrays in memory are what "
            "amfast's own kernels take"
        )
    if x.ndim != 2:
        raise ValueError(f"{name} must be 2-d, got a dask array of {x.ndim} axes")
    if any(math.isnan(n) for n in (*x.chunks[0], *x.chunks[1])):
        raise ValueError(f"{name} have chunks of unknown sizes; call their compute_chunk_sizes()")
    if x.numblocks[1] > 1:
        warnings.warn(
            f"{name} have their columns in {x.numblocks[1]} chunks; they are brought together, "
            "which moves data: chunk by rows alone",
            UserWarning,
            stacklevel=4,
        )
        x = x.rechunk({1: -1})
    if like is not None:
        if x.shape[0] != like.shape[0]:
            raise ValueError(f"{name} have {x.shape[0]} rows, the keys have {like.shape[0]}")
        x = x.rechunk({0: like.chunks[0]})
    return x


class Questions:
    """Cues as tasks take them: NumPy rows in one piece, sent once, or a dask array's chunks."""

    def __init__(self, cues: Any, name: str, whole: bool = False) -> None:
        self.single = False
        self.collections: list[Any] = []
        self.sample: Array | BitMatrix
        if isinstance(cues, da.Array):
            self.single = cues.ndim == 1
            cues = chunked(cues[None, :] if self.single else cues, name)
            cues = cues.rechunk({0: -1}) if whole else cues
            self.keys: list[Any] = [(cues.name, j, 0) for j in range(cues.numblocks[0])]
            self.counts, self.sample = cues.chunks[0], np.ones((1, cues.shape[1]), cues.dtype)
            self.collections, self.layer = [cues], {}
            return
        if isinstance(cues, BitMatrix):
            rows: Array | BitMatrix = cues
            self.sample = cues[:1]
        else:
            given = _check.read(cues, name)
            self.single = given.ndim == 1
            rows = given[None, :] if self.single else given
            self.sample = np.ones((1, rows.shape[-1]), given.dtype)
        own = f"amfast-cues-{tokenize(rows.to_packed() if isinstance(rows, BitMatrix) else rows)}"
        self.keys, self.layer = [own], {own: rows}
        self.counts = (len(rows),)


def sample(x: Any) -> Array:
    """Return one row such as a dask array holds, for what follows from types and widths."""
    return np.ones((1, x.shape[1]), x.dtype)


def starts(x: Any) -> list[int]:
    """Return the number of rows before each chunk."""
    return [0, *accumulate(int(n) for n in x.chunks[0])][:-1]


def tree(layer: dict[Any, Any], name: str, leaves: list[Any], merge: Task, split_every: int) -> Any:
    """Add tasks that merge some neighbours at a time; return the key of the last."""
    level = 0
    while True:
        merged = []
        for i in range(0, len(leaves), split_every):
            key = (f"{name}-merge", level, i // split_every)
            layer[key] = (merge, leaves[i : i + split_every])
            merged.append(key)
        level, leaves = level + 1, merged
        if len(leaves) == 1:
            return leaves[0]


def split(split_every: Any) -> int:
    """Read ``split_every``."""
    return _check.integer(split_every, "split_every", 2)


def graph(name: str, layer: dict[Any, Any], dependencies: list[Any]) -> HighLevelGraph:
    """Return a graph of these tasks upon those of the collections they name."""
    return HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
