"""One read of a memory: cues in, weighted values out.

A read takes one of three ways, chosen by what the parts allow:

1. fused: the engine turns scores into weights and values tile by tile;
2. best: the engine finds the k best items, their values are gathered;
3. tiles: some cues at a time meet all items, scores and weights in NumPy. For Python functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amfast import _check, _core
from amfast.bits import BitMatrix
from amfast.parts import Separation, Similarity, TopK

Array = NDArray[Any]
Float = NDArray[np.float64]

# Scores of one tile of cues, as float64, and the working set of one call of a Python similarity.
_TILE_BYTES = 1 << 25
_TILE_CUES = 32
# Rows of values that are turned into columns at a time; small enough to stay near the core.
_PROJECTED_ROWS = 256


# Larger counts are not all float32 numbers.
_EXACT_COUNTS = 2**24


class Source(NamedTuple):
    """What is read: checked arrays."""

    keys: Array | BitMatrix
    packed: Array | _core.Keys
    """What the engine reads: ``keys`` themselves or packed, in the metric's form."""
    values: Array | BitMatrix | None
    """None if the keys are the values and ``packed`` is a plain array. Bits are -1 and +1."""
    log_weight: Float | None


def engine_rows(x: Array | BitMatrix) -> Array:
    """Return what the engine takes: bits as packed bytes."""
    return x.to_packed() if isinstance(x, BitMatrix) else x


def numbers(x: Array | BitMatrix, rows: Any = slice(None)) -> Array:
    """Return some rows as numbers, bits as -1 and +1."""
    return x[rows].unpack() if isinstance(x, BitMatrix) else x[rows]


def score_type(cues: Array | BitMatrix) -> np.dtype[Any]:
    """Return the type of scores that are computed with: floats that hold every count of bits."""
    if isinstance(cues, BitMatrix):
        return np.dtype(np.float32 if cues.n_bits <= _EXACT_COUNTS else np.float64)
    return cues.dtype


def result_type(cues: Array | BitMatrix, values: Array | BitMatrix) -> np.dtype[Any]:
    """Return the type of recalled values: that of floating cues, else what suits the values."""
    if not isinstance(cues, BitMatrix) and cues.dtype.kind == "f":
        return cues.dtype
    own = np.dtype(np.float32) if isinstance(values, BitMatrix) else _check.compute_type(values)
    return np.promote_types(own, score_type(cues)) if isinstance(cues, BitMatrix) else own


def cue_tiles(n_cues: int, n_keys: int) -> Iterator[slice]:
    """Slices of cues whose scores against all keys stay small."""
    step = max(1, _TILE_BYTES // (8 * max(1, n_keys)))
    for start in range(0, n_cues, step):
        yield slice(start, min(start + step, n_cues))


def key_tiles(n_keys: int, width: int) -> Iterator[slice]:
    """Slices of keys that stay small as float64."""
    step = max(1, _TILE_BYTES // (8 * width))
    for start in range(0, n_keys, step):
        yield slice(start, min(start + step, n_keys))


def scores(
    cues: Array | BitMatrix,
    keys: Array | BitMatrix,
    packed: Array | _core.Keys,
    similarity: Similarity,
    threads: int,
) -> Array:
    """Raw metric values of all cues and keys (q, N), in `score_type`; distances stay positive."""
    out = _check.empty((len(cues), len(keys)), score_type(cues), "scores")
    if similarity.metric is not None:
        _core.pairwise(engine_rows(cues), packed, similarity.metric, out, threads)
        return out
    assert not isinstance(cues, BitMatrix)
    assert not isinstance(keys, BitMatrix)
    width = keys.shape[1]
    for q in range(0, len(cues), _TILE_CUES):
        some = cues[q : q + _TILE_CUES]
        for tile in key_tiles(len(keys), width * len(some)):
            piece = keys[tile].astype(cues.dtype, copy=False)
            with np.errstate(over="ignore"):
                out[q : q + _TILE_CUES, tile] = similarity.tile(some, piece)
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
        columns = np.ascontiguousarray(numbers(values, tile).T)
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


def read(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
) -> tuple[Array, Float]:
    """Weighted mean of the values (Q, o), and ln of the sum of weights (Q,).

    The mean is in `result_type`: bytes are cues of the best items and of bits alone.
    """
    fused = separation.engine()
    if len(cues) and similarity.metric is not None:
        if fused is not None:
            values = source.values
            return _core.retrieve(
                engine_rows(cues),
                source.packed,
                None if values is None else engine_rows(values),
                similarity.metric,
                *fused,
                source.log_weight,
                threads,
                values.n_bits if isinstance(values, BitMatrix) else None,
            )
        if isinstance(separation, TopK):
            return _read_best(cues, source, similarity, separation, threads)
    return _read_tiles(cues, source, similarity, separation, threads)


def _read_best(
    cues: Array | BitMatrix, source: Source, similarity: Similarity, separation: TopK, threads: int
) -> tuple[Array, Float]:
    assert similarity.metric is not None
    keys, packed, b = source.keys, source.packed, source.log_weight
    values = keys if source.values is None else source.values
    k = separation.k
    if b is not None and not (b > -np.inf).all():
        # Items of weight 0 are never chosen, so their scores are masked out.
        return _read_tiles(cues, source, similarity, separation, threads)
    best, indices = _core.topk(engine_rows(cues), packed, k, similarity.metric, threads)
    dtype = result_type(cues, values)
    bias = 0.0 if b is None else b[indices]
    if k == 1 and not separation.beta:
        return numbers(values, indices[:, 0]).astype(dtype), np.zeros(len(cues)) + np.ravel(bias)
    if not similarity.larger_is_better:
        best = np.negative(best, out=best)
    share, log_scale = separation.shares(best, bias)
    out = np.zeros((len(cues), values.shape[1]))
    for weight, index in zip(share.T, indices.T, strict=True):
        out += weight[:, None] * numbers(values, index)
    return out.astype(dtype), log_scale


def _read_tiles(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
) -> tuple[Array, Float]:
    values = source.keys if source.values is None else source.values
    dtype = result_type(cues, values)
    out = _check.empty((len(cues), values.shape[1]), dtype, "recalled values")
    log_scale = np.empty(len(cues))
    for tile in cue_tiles(len(cues), len(source.keys)):
        w, log_scale[tile] = tile_weights(cues[tile], source, similarity, separation, threads)
        out[tile] = chosen_or_mean(w, values, separation, dtype, threads)
    return out, log_scale


def tile_weights(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
) -> tuple[Float, Float]:
    """Weights of one tile of cues (q, N) and ln of their sums (q,)."""
    s = scores(cues, source.keys, source.packed, similarity, threads)
    if not similarity.larger_is_better:
        np.negative(s, out=s)
    return separation.weights(s, source.log_weight, bool(similarity.larger_is_better))


def chosen_or_mean(
    weights: Float,
    values: Array | BitMatrix,
    separation: Separation,
    dtype: np.dtype[Any],
    threads: int,
) -> Array:
    """Project, or copy the one value that has all the weight, bit for bit."""
    if separation.n_best == 1 and weights.any(axis=1).all():
        return np.asarray(numbers(values, weights.argmax(axis=1)).astype(dtype))
    return project(weights, values, dtype, threads)
