"""Similarity: how a key scores against a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]

TINY = float(np.finfo(np.float64).tiny)


def _dot(query: Float, keys: Float) -> Float:
    return np.asarray((keys * query).sum(axis=1))


def _scaled(rows: Float) -> tuple[Float, NDArray[np.int32]]:
    """Rows by the power of two that brings their largest entry to [1/2, 1), and its exponent.

    It rounds nothing, and squares of what comes out stay within the range of floats.
    """
    exponent = np.frexp(np.abs(rows).max(axis=-1, keepdims=True, initial=0.0))[1]
    return np.asarray(np.ldexp(rows, -exponent)), exponent


def _unit(rows: Float) -> Float:
    """Rows of length 1; zero rows stay zero."""
    scaled, _ = _scaled(rows)
    norm = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(scaled, norm, out=np.zeros(rows.shape), where=norm > 0))


def _cosine(query: Float, keys: Float) -> Float:
    # 1 - u.v would cancel where the directions are nearly the same.
    u, v = _unit(query[None]), _unit(keys)
    blank = ~(u.any(axis=1) & v.any(axis=1))
    return np.asarray(np.where(blank, 1.0, np.minimum(_sqeuclidean(u, v) / 2, 2.0)))


def _sqeuclidean(query: Float, keys: Float) -> Float:
    return np.asarray(((keys - query) ** 2).sum(axis=1))


def _euclidean(query: Float, keys: Float) -> Float:
    scaled, exponent = _scaled(keys - query)
    return np.asarray(np.ldexp(np.sqrt((scaled**2).sum(axis=1)), exponent[:, 0]))


def _manhattan(query: Float, keys: Float) -> Float:
    return np.asarray(np.abs(keys - query).sum(axis=1))


def _relative_entropy(p: Float, q: Float) -> Float:
    """Sum p ln(p / q) along the last axis, with 0 ln 0 = 0 and inf where q is 0 and p is not."""
    p, q = np.broadcast_arrays(p, q)
    terms = np.zeros(p.shape)
    both = (p > 0) & (q > 0)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        ratio = p[both] / q[both]
        logarithm = np.log(ratio)
    beyond = ~np.isfinite(logarithm) | (ratio < TINY)
    logarithm[beyond] = np.log(p[both][beyond]) - np.log(q[both][beyond])
    terms[both] = p[both] * logarithm
    terms[(p > 0) & (q == 0)] = np.inf
    return np.asarray(terms.sum(axis=-1))


def _kl(query: Float, keys: Float) -> Float:
    return _relative_entropy(distribution(keys), distribution(query))


def _reverse_kl(query: Float, keys: Float) -> Float:
    return _relative_entropy(distribution(query), distribution(keys))


def _jensenshannon(query: Float, keys: Float) -> Float:
    p, q = distribution(keys), distribution(query)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def _hamming(query: Float, keys: Float) -> Float:
    return np.asarray((keys != query).sum(axis=1, dtype=np.float64))


METRICS: dict[str, Callable[[Float, Float], Float]] = {
    "dot": _dot,
    "cosine": _cosine,
    "sqeuclidean": _sqeuclidean,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "kl": _kl,
    "reverse_kl": _reverse_kl,
    "jensenshannon": _jensenshannon,
    "hamming": _hamming,
}


def distribution(rows: Float) -> Float:
    """Rows divided by their sums, so that each is a probability distribution.

    Raises
    ------
    ValueError
        If an entry is negative or a row is all zero.
    """
    if (rows < 0).any():
        raise ValueError("a row has a negative entry, so it is no distribution")
    scaled, _ = _scaled(rows)  # sums of huge entries would overflow
    sums = scaled.sum(axis=-1, keepdims=True)
    if (sums == 0).any():
        raise ValueError("a row is all zero, so it is no distribution")
    return np.asarray(scaled / sums)


def pairwise(queries: Array, keys: Array, metric: str, mask: Array | None = None) -> Float:
    """Score every query against every key, by direct differences, shape (Q, N).

    ``dot`` is the inner product. ``cosine`` is 1 - cos, as half the squared distance of the rows
    scaled to length 1, with cos = 0 for a zero row. It and ``euclidean`` are right over the whole
    range of floats, where squares are not. ``kl`` is KL(key || query) and ``reverse_kl``
    KL(query || key) of the rows normalised to sum 1, in nats. ``jensenshannon`` is the square root
    of the Jensen-Shannon divergence. ``hamming`` counts the entries that differ, in whatever coding
    both are; the engine counts them in packed bits.

    ``mask`` (Q, d) has weights >= 0 of the columns. They multiply the squares of a squared
    distance, the magnitudes of a Manhattan distance, the products and both norms of a cosine, and
    choose the bits that are counted.
    """
    q, k = np.asarray(queries, np.float64), np.asarray(keys, np.float64)
    out = np.empty((len(q), len(k)))
    if mask is None:
        for row, query in zip(out, q, strict=True):
            row[:] = METRICS[metric](query, k)
    else:
        for row, query, w in zip(out, q, np.asarray(mask, np.float64), strict=True):
            known = w > 0
            share = w[known]
            if metric not in ("dot", "manhattan", "hamming"):
                share = np.sqrt(share)
            # A product takes a weight once, by the query; whether bits differ takes none.
            by_query = 1.0 if metric == "hamming" else share
            by_key = 1.0 if metric in ("dot", "hamming") else share
            row[:] = METRICS[metric](query[known] * by_query, k[:, known] * by_key)
    return out
