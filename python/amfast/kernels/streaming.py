"""The kernels over blocks: each block is searched, read or summed, and what it says is merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Int
from amfast.kernels.blocks import Blocks
from amfast.kernels.merges import joined_found, merge_topk
from amfast.kernels.partials import Partial, Tree
from amfast.kernels.sources import Piece, opened

Kernel = Callable[..., Any]


def topk(
    kernel: Kernel, queries: Any, keys: Blocks, k: Any, metric: str, threads: int
) -> tuple[Array, Int]:
    """Find the k best keys of all blocks."""
    k = _check.integer(k, "k", 1, keys.n_rows or None)
    best: list[tuple[Array, Int]] = []

    def search(start: int, block: Piece, values: Piece | None) -> None:
        scores, indices = kernel(queries, block, min(k, len(block)), metric, threads=threads)
        best.append((scores, indices + start))
        n = sum(found.shape[-1] for found, _ in best)
        best[:] = [merge_topk(best, min(k, n), metric)]

    _check.integer(k, "k", 1, keys.each(search))
    return best[0]


def within(
    kernel: Kernel, queries: Any, keys: Blocks, radius: Any, metric: str, threads: int
) -> tuple[Int, Int, Array]:
    """Find the keys of all blocks within a radius."""
    found = []

    def search(start: int, block: Piece, values: Piece | None) -> None:
        indptr, indices, scores = kernel(queries, block, radius, metric, threads=threads)
        found.append((indptr, indices + start, scores))

    keys.each(search)
    return joined_found(found)


def read(
    kernel: Kernel, cues: Any, keys: Blocks, values: Any, log_weight: Any, **options: Any
) -> Array:
    """Recall from all blocks by merging their partial answers."""
    beside = _Beside(keys, values, "values")
    if keys.log_weight is not None:
        if log_weight is not None:
            raise ValueError("log_weight is given twice: in the Blocks and beside them")
        log_weight = keys.log_weight
    weights = None if log_weight is None else _Numbers(log_weight, "log_weight")
    parts: Tree[Partial] = Tree(Partial.merge)

    def part(start: int, block: Piece, own: Piece | None) -> None:
        given = beside.of(start, block, own)
        b = None if weights is None else weights.of(start, len(block))
        parts.add(kernel(cues, block, given, log_weight=b, **options))

    total = keys.each(part)
    if weights is not None:
        weights.check(total)
    beside.check(total)
    return parts.total("blocks").result()


def hebbian(
    kernel: Kernel, keys: Blocks, values: Any, weights: Any, out: Array | None, threads: int
) -> Array:
    """Sum the outer products of all blocks; ``out`` is added to at the end, if all went well."""
    beside = _Beside(keys, values, "Y")
    if keys.log_weight is not None:
        raise ValueError("Blocks with log_weight are not summed; pass weights instead")
    numbers = None if weights is None else _Numbers(weights, "weights")
    whole = numbers is None or not np.any(numbers.all % 1)
    sums: list[Array] = []
    kinds: list[np.dtype[Any]] = []

    def add(start: int, block: Piece, own: Piece | None) -> None:
        y = beside.of(start, block, own)
        w = None if numbers is None else numbers.of(start, len(block))
        if not sums:
            kind = kernel(block[:0], None if y is None else y[:0]).dtype
            kinds.append(np.dtype(np.float64) if kind == np.int32 and not whole else kind)
            if out is not None:
                sums.append(out.copy())
            else:
                shape = (block if y is None else y).shape[1], block.shape[1]
                wide = kinds[0] if kinds[0] == np.int32 else np.dtype(np.float64)
                sums.append(np.zeros(shape, wide))
        kernel(block, y, weights=w, out=sums[0], threads=threads)

    total = keys.each(add)
    if numbers is not None:
        numbers.check(total)
    beside.check(total)
    if out is not None:
        out[...] = sums[0]
        return out
    with np.errstate(over="ignore"):
        result = sums[0].astype(kinds[0], copy=False)
    if not np.isfinite(result).all():
        raise ValueError(f"a sum leaves the range of {kinds[0]}; pass an out of float64")
    return result


class _Beside:
    """What stands beside the keys: in the blocks, or an array of its own that is cut alike."""

    def __init__(self, keys: Blocks, values: Any, name: str) -> None:
        if values is not None and keys.has_values:
            raise ValueError(f"{name} are given twice: in the Blocks and beside them")
        self._name, self._rows = name, None if values is None else opened(values, name)

    def of(self, start: int, block: Piece, own: Piece | None) -> Piece | None:
        if self._rows is None:
            return own
        if own is not None:
            raise ValueError(f"{self._name} are given twice: in the Blocks and beside them")
        found = self._rows.between(start, start + len(block))
        if found is None:
            raise TypeError(f"{self._name} can only be read in order; put them into the Blocks")
        if len(found) != len(block):
            raise ValueError(f"{self._name} have {self._rows.n_rows} rows, there are more keys")
        return found

    def check(self, total: int) -> None:
        if self._rows is not None and self._rows.n_rows != total:
            raise ValueError(f"{self._name} have {self._rows.n_rows} rows, the keys have {total}")


class _Numbers:
    """One number per key of all blocks."""

    def __init__(self, given: Any, name: str) -> None:
        self.all = _check.array(given, name)
        self._name = name
        if self.all.ndim != 1:
            raise ValueError(f"{name} must be 1-d, one a key, got shape {self.all.shape}")

    def of(self, start: int, n: int) -> Array:
        if start + n > len(self.all):
            raise ValueError(f"{self._name} are {len(self.all)}, there are more keys")
        return self.all[start : start + n]

    def check(self, total: int) -> None:
        if len(self.all) != total:
            raise ValueError(f"{self._name} must have shape ({total},), got {self.all.shape}")
