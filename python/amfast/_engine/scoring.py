"""Scores of all cues and keys, and the products that memories need, in tiles.

Sums are taken by the engine, never by a BLAS: a row has the same bits alone and among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix
from amfast.parts import FittedSimilarity, Similarity
from amfast.parts.metrics import METRICS

# Scores of one tile of cues, as float64, and the working set of one call of a Python similarity.
TILE_BYTES = 1 << 25
_TILE_CUES = 32
# Rows of values that are turned into columns at a time; small enough to stay near the core.
_PROJECTED_ROWS = 256
# Larger counts are not all float32 numbers.
_EXACT_COUNTS = 2**24
# Up to these many columns sums of 255 * 255, and squares of up to 383 of both types, fit int32.
_COLUMNS = 33025
_MIXED_COLUMNS = 14639
# Rows from which on packing takes more memory than it saves time: a few are filled up to a block.
_LONG_BYTES = 1 << 19


def scores_bytes(queries: Array, keys: Array, metric: str | None) -> bool:
    """Whether both are bytes, of either type, that the engine scores by exact integers."""
    return (
        queries.dtype.kind in "ui"
        and keys.dtype.kind in "ui"
        and metric is not None
        and METRICS[metric].bytes != ""
    )


def byte_scores(queries: Array, keys: Array, metric: str) -> np.dtype[Any]:
    """Return the type of such scores: int32, float64 for very long rows, float32 if rounded."""
    if METRICS[metric].bytes == "rounded":
        return np.dtype(np.float32)
    mixed = metric == "sqeuclidean" and queries.dtype != keys.dtype
    fits = keys.shape[1] <= (_MIXED_COLUMNS if mixed else _COLUMNS)
    return np.dtype(np.int32 if fits else np.float64)


def packs(keys: Array, metric: str) -> bool:
    """Whether the engine is to hold these keys packed for cues of `asked_type`."""
    if keys.shape[1] * keys.itemsize > _LONG_BYTES:
        return False
    if is_short(keys.dtype):
        return METRICS[metric].short
    if keys.dtype.kind == "f":
        return True
    return METRICS[metric].bytes != "" and len(keys[:1].T) <= _COLUMNS


def is_short(dtype: np.dtype[Any]) -> bool:
    """Whether elements are floats of 16 bits."""
    return dtype == np.float16 or _check.is_bfloat16(dtype)


def asked_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of cues that packed keys of a type serve: their own, of 16 bits float32."""
    return np.dtype(np.float32) if is_short(dtype) else dtype


def score_types(queries: Array, keys: Array, metric: str) -> tuple[Array, np.dtype[Any]]:
    """Return queries in the type the engine wants beside ``keys``, and the type of the scores."""
    if scores_bytes(queries, keys, metric):
        return queries, byte_scores(queries, keys, metric)
    dtype = _check.compute_type(queries, keys)
    return queries.astype(dtype, copy=False), dtype


def engine_rows(x: Array | BitMatrix) -> Array:
    """Return what the engine takes: bits as packed bytes, bfloat16 as whole numbers."""
    if isinstance(x, BitMatrix):
        return x.to_packed()
    return x.view(np.uint16) if x.dtype.isbuiltin == 2 else x  # no other type comes this far


def numbers(x: Array | BitMatrix, rows: Any = slice(None)) -> Array:
    """Return some rows as numbers, bits as -1 and +1."""
    return x[rows].unpack() if isinstance(x, BitMatrix) else x[rows]


def blanked(rows: Any, unused: Mask) -> Any:
    """Put ones where nobody reads: what an item of weight 0 holds must not matter."""
    if not isinstance(rows, np.ndarray):
        return rows
    rows = rows.copy()
    rows[unused] = 1
    return rows


def score_type(cues: Array | BitMatrix) -> np.dtype[Any]:
    """Return the type of scores that are computed with: floats that hold every whole number."""
    if isinstance(cues, BitMatrix):
        return np.dtype(np.float32 if cues.n_bits <= _EXACT_COUNTS else np.float64)
    return np.dtype(np.float64) if cues.dtype.kind in "ui" else cues.dtype


def fused_exactly(cues: Array, keys: Array, metric: str) -> bool:
    """Whether float32 would lose something of what the engine weighs of bytes."""
    if METRICS[metric].bytes == "rounded":
        return True
    apart = 255 if cues.dtype == keys.dtype else 383
    return bool(apart * apart * keys.shape[1] >= _EXACT_COUNTS)


def cue_tiles(n_cues: int, n_keys: int) -> Iterator[slice]:
    """Slices of cues whose scores against all keys stay small."""
    step = max(1, TILE_BYTES // (8 * max(1, n_keys)))
    for start in range(0, n_cues, step):
        yield slice(start, min(start + step, n_cues))


def key_tiles(n_keys: int, width: int) -> Iterator[slice]:
    """Slices of keys that stay small as float64."""
    step = max(1, TILE_BYTES // (8 * width))
    for start in range(0, n_keys, step):
        yield slice(start, min(start + step, n_keys))


def scores(
    cues: Array | BitMatrix,
    keys: Array | BitMatrix,
    packed: Array | _core.Keys,
    similarity: Similarity,
    threads: int,
    ordered: bool = False,
    known: Array | None = None,
) -> Array:
    """Raw metric values of all cues and keys (q, N); distances stay positive.

    Of floats and bits in `score_type`, of bytes in the type that `pairwise` gives them, or, where
    no two may change places (``ordered``), not rounded to float32. ``known`` is what columns of the
    cues count, under a metric by name.
    """
    dtype = score_type(cues)
    if not isinstance(cues, BitMatrix) and cues.dtype.kind in "ui":
        assert similarity.metric is not None
        assert not isinstance(keys, BitMatrix)
        dtype = byte_scores(cues, keys, similarity.metric)
        if ordered and dtype == np.float32:
            dtype = np.dtype(np.float64)
    out = _check.empty((len(cues), len(keys)), dtype, "scores")
    if similarity.metric is not None:
        _core.pairwise(engine_rows(cues), packed, similarity.metric, out, threads, known)
        return out
    assert not isinstance(cues, BitMatrix)
    assert not isinstance(keys, BitMatrix)
    if isinstance(similarity, FittedSimilarity):
        return _fitted_scores(cues, packed, similarity, out, threads, known)
    width = keys.shape[1]
    for q in range(0, len(cues), _TILE_CUES):
        some = cues[q : q + _TILE_CUES]
        for tile in key_tiles(len(keys), width * len(some)):
            piece = keys[tile].astype(cues.dtype, copy=False)
            with np.errstate(over="ignore"):
                out[q : q + _TILE_CUES, tile] = similarity.tile(some, piece)
    return out


def _fitted_scores(
    cues: Array,
    packed: Array | _core.Keys,
    similarity: FittedSimilarity,
    out: Array,
    threads: int,
    known: Array | None,
) -> Array:
    """Find the least distance of all models; ``out`` is overwritten."""
    piece = np.empty_like(out)
    out.fill(np.inf)
    for model, constant in enumerate(similarity.constants(cues, known)):
        rows, weights = similarity.asked(model, cues, known)
        _core.pairwise(rows, packed, similarity.engine_metric, piece, threads, weights)
        piece += constant[:, None].astype(out.dtype)
        np.minimum(out, piece, out=out)
    return out


def project(weights: Float, values: Array | BitMatrix, dtype: np.dtype[Any], threads: int) -> Array:
    """Weights (q, N) times values (N, o), accumulated in float64.

    By the engine's dot products, since a BLAS sums one row differently alone and among others. A
    row of weights with a NaN gives a row of NaN.

    Raises
    ------
    ValueError
        If a weighted sum leaves the range of ``dtype``.
    """
    out = np.zeros((len(weights), values.shape[1]))
    if len(weights) == 0:
        return out.astype(dtype)
    nan = np.asarray(np.isnan(weights).any(axis=1))
    known = np.where(nan[:, None], 0.0, weights) if nan.any() else weights
    part = np.empty_like(out)
    for start in range(0, len(values), _PROJECTED_ROWS):
        tile = slice(start, start + _PROJECTED_ROWS)
        columns = np.ascontiguousarray(engine_rows(numbers(values, tile)).T)
        try:
            _core.pairwise(np.ascontiguousarray(known[:, tile]), columns, "dot", part, threads)
        except ValueError as error:
            raise ValueError(f"recalled values are beyond the largest {dtype}") from error
        out += part
    with np.errstate(over="ignore"):
        result = np.asarray(out.astype(dtype))
    bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
    if len(bad):
        raise ValueError(f"cues row {bad[0]} recalls values beyond the largest {dtype}")
    result[nan] = np.nan
    return result


def dot(rows: Array, keys: Array | _core.Keys, threads: int, dtype: Any = np.float64) -> Array:
    """Dot products of rows (Q, d) with keys (N, d), (Q, N) in ``dtype``."""
    out = _check.empty((len(rows), len(keys)), np.dtype(dtype), "scores")
    if out.size:
        _core.pairwise(np.ascontiguousarray(rows), keys, "dot", out, threads)
    return out


def hamming(rows: BitMatrix, keys: BitMatrix, threads: int) -> Array:
    """Count the bits in which rows and keys differ, (Q, N) int32."""
    out = _check.empty((len(rows), len(keys)), np.dtype(np.int32), "scores")
    if out.size:
        _core.pairwise(rows.to_packed(), keys.to_packed(), "hamming", out, threads)
    return out


def exact(queries: Array, keys: Array, metric: str, threads: int) -> Array:
    """Score rows that were stored with one another, (Q, N), in the type that loses nothing."""
    q, dtype = score_types(queries, keys, metric)
    out = _check.empty((len(q), len(keys)), dtype, "scores")
    if out.size:
        _core.pairwise(np.ascontiguousarray(q), engine_rows(keys), metric, out, threads)
    return out


def best(queries: Array, keys: Array, k: int, metric: str, threads: int) -> tuple[Array, Int]:
    """Find the k best keys of every query, best first: scores and indices (Q, k); Q >= 1."""
    q, _ = score_types(queries, keys, metric)
    return _core.topk(np.ascontiguousarray(q), engine_rows(keys), k, metric, threads)
