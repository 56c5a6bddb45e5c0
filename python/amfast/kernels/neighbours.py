"""Rows against themselves: the nearest others of every row, and all pairs within a radius."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Int
from amfast.bits import BitMatrix
from amfast.kernels import buckets
from amfast.kernels.keys import Keys, read_keys
from amfast.kernels.scores import topk, within
from amfast.parts import metrics

__all__ = ["pairs_within", "self_topk"]

# Rows whose neighbours are found at a time: what is found beside pairs stays small.
_ROWS = 1024


def self_topk(keys: Any, k: int, metric: str, *, threads: int | None = None) -> tuple[Array, Int]:
    """Find the k best other rows of every row, best first: ``topk(keys, keys, exclude_self=True)``.

    Parameters
    ----------
    keys : (N, d) array or BitMatrix, or Keys
    k : int
        1 to N - 1.
    metric : str
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`.
    threads : int, optional
        None means the setting.

    Returns
    -------
    scores : (N, k) array
    indices : (N, k) int64 array
        Never a row's own; an equal row is another one.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `topk`.

    See Also
    --------
    pairs_within : All pairs within a radius.

    Examples
    --------
    >>> import amfast as am
    >>> am.self_topk([[0.0], [1.0], [5.0]], 1, "l1")[1][:, 0]
    array([1, 0, 1])
    """
    queries = keys.held(metrics.resolve(metric)).rows if isinstance(keys, Keys) else keys
    return topk(queries, keys, k, metric, exclude_self=True, threads=threads)


def pairs_within(
    keys: Any, radius: float, metric: str, *, threads: int | None = None
) -> tuple[Int, Int, Array]:
    """Find all pairs of rows within a radius, each once: what is to be deduplicated.

    Parameters
    ----------
    keys : (N, d) array or BitMatrix, or Keys
    radius : float
        Pairs at a distance <= radius, or with ``dot`` >= radius; see `within`.
    metric : str
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`.
    threads : int, optional
        None means the setting.

    Returns
    -------
    i, j : (P,) int64 arrays
        The pairs in ascending order, i < j.
    scores : (P,) array
        In the type of `pairwise`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `within`.

    See Also
    --------
    self_topk : As many others for every row.
    within : A radius around other queries.

    Notes
    -----
    A row is scored with those behind its tile of 1024, so that about N^2 / 2 scores are taken; what
    is held beyond the pairs is what one tile finds. Many bits within a radius of at most 8 are
    found by the pieces that they share, see `amfast.kernels.buckets`: the same pairs, sooner.

    Examples
    --------
    >>> import amfast as am
    >>> am.pairs_within([[0.0], [5.0], [0.5], [5.5]], 1.0, "l1")
    (array([0, 1]), array([2, 3]), array([0.5, 0.5]))
    """
    name = metrics.resolve(metric)
    rows = read_keys(keys, name).rows
    if isinstance(rows, BitMatrix) and len(rows) and radius != np.inf:
        least = _check.radius(radius, False, rows.n_bits)
        if buckets.pays(len(rows) // 2, len(rows), rows.n_bits, least):
            packed = rows.to_packed()
            near = buckets.Buckets(packed, rows.n_bits, least).within(packed, apart=True)
            if near is not None:
                return near
    found: list[tuple[Int, Int, Array]] = []
    for start in range(0, max(len(rows), 1), _ROWS):
        behind = rows[start:]
        indptr, j, scores = within(behind[:_ROWS], behind, radius, name, threads=threads)
        i = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        keep = i < j
        found.append((i[keep] + start, j[keep] + start, scores[keep]))
    i, j, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return i, j, scores
