"""One read of a memory: cues in, weighted values out.

A read takes one of three ways, chosen by what the parts allow:

1. fused: the engine turns scores into weights and values tile by tile;
2. best: the engine finds the k best items, their values are gathered;
3. tiles: some cues at a time meet all items, scores and weights in NumPy. For Python functions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core
from amfast._engine import coding
from amfast._engine.coding import Coded
from amfast._engine.knowing import known_of
from amfast._engine.scoring import cue_tiles, engine_rows, numbers, project, score_type, scores
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.parts import FittedSimilarity, Separation, Similarity, TopK


class Source(NamedTuple):
    """What is read: checked arrays."""

    keys: Array | BitMatrix
    packed: Array | _core.Keys
    """What the engine reads: ``keys`` themselves or packed, in the metric's form."""
    values: Array | BitMatrix | None
    """None if the keys are the values and ``packed`` is a plain array. Bits are -1 and +1."""
    log_weight: Float | None
    by: Coded | None = None
    """Codes of the keys, for a first pass over them."""


def result_type(cues: Array | BitMatrix, values: Array | BitMatrix) -> np.dtype[Any]:
    """Return the type of recalled values: that of floating cues, else what suits the values."""
    if not isinstance(cues, BitMatrix) and cues.dtype.kind == "f":
        return cues.dtype
    own = np.dtype(np.float32) if isinstance(values, BitMatrix) else _check.compute_type(values)
    return np.promote_types(own, score_type(cues)) if isinstance(cues, BitMatrix) else own


def read(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
    known: Array | None = None,
) -> tuple[Array, Float]:
    """Weighted mean of the values (Q, o), and ln of the sum of weights (Q,).

    The mean is in `result_type`: bytes are cues of the best items and of bits alone. ``known``, one
    row or one a cue, is what columns of the cues count.
    """
    if isinstance(similarity, FittedSimilarity) and len(similarity.lines) == 1:
        assert not isinstance(cues, BitMatrix)
        cues, known = similarity.asked(0, cues, known)
        similarity = Similarity(similarity.engine_metric)
    fused, metric = separation.engine(), similarity.metric
    if len(cues) and metric is not None:
        if fused is not None:
            values, b, by = source.values, source.log_weight, source.by
            weighed = b is not None or known is not None
            plain = weighed or isinstance(values, BitMatrix)
            if by is not None and not plain and coding.helps(fused, None):
                assert not isinstance(values, BitMatrix)
                mean, log_scale = coding.retrieve(
                    engine_rows(cues), source.packed, values, metric, fused, threads, by
                )
            else:
                mean, log_scale = _core.retrieve(
                    engine_rows(cues),
                    source.packed,
                    None if values is None else engine_rows(values),
                    metric,
                    *fused,
                    b,
                    threads,
                    values.n_bits if isinstance(values, BitMatrix) else None,
                    known,
                )
            dtype = result_type(cues, source.keys if values is None else values)
            return mean.astype(dtype, copy=False), log_scale
        if separation.n_best is not None:
            return _read_best(cues, source, similarity, separation, threads, known)
    return _read_tiles(cues, source, similarity, separation, threads, known)


def _read_best(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
    known: Array | None,
) -> tuple[Array, Float]:
    assert similarity.metric is not None
    assert isinstance(separation, TopK)
    keys, packed, b = source.keys, source.packed, source.log_weight
    values = keys if source.values is None else source.values
    k = separation.k
    if b is not None and not (b > -np.inf).all():
        # Items of weight 0 are never chosen, so their scores are masked out.
        return _read_tiles(cues, source, similarity, separation, threads, known)
    rows = engine_rows(cues)
    best, indices = coding.topk(rows, packed, k, similarity.metric, threads, known, source.by)
    dtype = result_type(cues, values)
    if k == 1 and not separation.beta:
        first = indices[:, 0]
        found = numbers(values, first).astype(dtype, copy=False)  # chosen rows are copies
        return found, np.zeros(len(cues)) if b is None else b[first]
    bias = 0.0 if b is None else b[indices]
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
    known: Array | None,
) -> tuple[Array, Float]:
    values = source.keys if source.values is None else source.values
    dtype = result_type(cues, values)
    out = _check.empty((len(cues), values.shape[1]), dtype, "recalled values")
    log_scale = np.empty(len(cues))
    for tile in cue_tiles(len(cues), len(source.keys)):
        some = known_of(known, tile)
        w, log_scale[tile] = tile_weights(cues[tile], source, similarity, separation, threads, some)
        out[tile] = chosen_or_mean(w, values, separation, dtype, threads)
    return out, log_scale


def tile_weights(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    threads: int,
    known: Array | None = None,
) -> tuple[Float, Float]:
    """Weights of one tile of cues (q, N) and ln of their sums (q,)."""
    ordered = separation.n_best is not None
    s = scores(cues, source.keys, source.packed, similarity, threads, ordered, known)
    if s.dtype.kind == "i":
        s = s.astype(np.float64)  # a Python function must not meet numbers that wrap
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
