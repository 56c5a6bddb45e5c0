"""Searches of parts of the keys, put together: the same bits as the search of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Int
from amfast.kernels.partials import best_first
from amfast.parts import metrics
from amfast.parts.metrics import METRICS

Best = tuple[Array, Int]
Found = tuple[Int, Int, Array]


def merge_topk(parts: Iterable[tuple[Any, Any]], k: int, metric: str) -> Best:
    """Choose the k best of what `topk` found among parts of the keys.

    Parameters
    ----------
    parts : iterable of (scores (Q, j), indices (Q, j)), or (j,) each
        As `topk` returns them; every part with up to k columns of its own, in any order. The
        indices count through all keys: add the number of keys before a part to its own.
    k : int
        1 to the number of columns of all parts.
    metric : str
        What the scores are of: largest is best for ``dot``, smallest for the others.

    Returns
    -------
    scores, indices : (Q, k) or (k,)
        Best first, ties to the lowest index: what `topk` finds among all keys, bit for bit.

    Raises
    ------
    ValueError
        If there are no parts, fewer than k columns, other numbers of queries, or an index twice in
        a row.
    TypeError
        If the element types of the scores differ, or indices are no integers.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> keys, query = np.array([[1.0], [5.0], [2.0], [9.0]]), [3.0]
    >>> parts = []
    >>> for start in (0, 2):
    ...     scores, indices = am.topk(query, keys[start:start + 2], 2, "l1")
    ...     parts.append((scores, indices + start))
    >>> am.merge_topk(parts, 2, "l1")
    (array([1., 2.]), array([2, 0]))
    """
    larger = METRICS[metrics.resolve(metric)].larger_is_better
    given = [_best(part, i) for i, part in enumerate(parts)]
    if not given:
        raise ValueError("parts are none; at least one is needed")
    first = given[0][0]
    for i, (scores, _) in enumerate(given):
        if scores.shape[:-1] != first.shape[:-1]:
            raise ValueError(f"part {i} has scores of shape {scores.shape}, part 0 {first.shape}")
        _same_type(scores, first, i)
    scores, indices = (np.concatenate(x, axis=-1) for x in zip(*given, strict=True))
    k = _check.integer(k, "k", 1, scores.shape[-1])
    chosen, found = joined_best(np.atleast_2d(scores), np.atleast_2d(indices), k, larger)
    return (chosen[0], found[0]) if scores.ndim == 1 else (chosen, found)


def joined_best(scores: Array, indices: Int, k: int, larger: bool) -> Best:
    """Choose the k best columns of every row (Q, j)."""
    ordered = np.sort(indices, axis=1)
    twice = np.argwhere(ordered[:, 1:] == ordered[:, :-1])
    if len(twice):
        row, column = twice[0]
        raise ValueError(
            f"row {row} has the index {ordered[row, column]} twice; indices count through all "
            "keys, so add to each part's how many keys come before it"
        )
    columns = best_first(scores, indices, larger, k)
    return np.take_along_axis(scores, columns, axis=1), np.take_along_axis(indices, columns, axis=1)


def merge_within(parts: Iterable[tuple[Any, Any, Any]]) -> Found:
    """Put together what `within` found among parts of the keys.

    Parameters
    ----------
    parts : iterable of (indptr (Q + 1,), indices, scores)
        As `within` returns them, in any order, with indices that count through all keys.

    Returns
    -------
    indptr, indices, scores
        What `within` finds among all keys, bit for bit.

    Raises
    ------
    ValueError
        If there are no parts, other numbers of queries, an index twice, or a part is no CSR.
    TypeError
        If the element types of the scores differ, or indices are no integers.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> a = am.within([0.0], [[1.0], [3.0]], 2.0, "l1")
    >>> indptr, indices, scores = am.within([0.0], [[-2.0]], 2.0, "l1")
    >>> am.merge_within([a, (indptr, indices + 2, scores)])
    (array([0, 2]), array([0, 2]), array([1., 2.]))
    """
    given = [_found(part, i) for i, part in enumerate(parts)]
    if not given:
        raise ValueError("parts are none; at least one is needed")
    for i, (indptr, _, scores) in enumerate(given):
        if len(indptr) != len(given[0][0]):
            raise ValueError(
                f"part {i} answers {len(indptr) - 1} queries, part 0 {len(given[0][0]) - 1}"
            )
        _same_type(scores, given[0][2], i)
    indptr, indices, scores = joined_found(given)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    same_row = rows[1:] == rows[:-1]
    if (indices[1:] <= indices[:-1])[same_row].any():
        order = np.lexsort((indices, rows))
        indices, scores = indices[order], scores[order]
        if (indices[1:] == indices[:-1])[same_row].any():
            raise ValueError(
                "an index occurs twice in a row; indices count through all keys, so add to each "
                "part's how many keys come before it"
            )
    return indptr, indices, scores


def joined_found(parts: list[Found]) -> Found:
    """Join rows of checked parts, one part's behind the other's."""
    indptr: Int = np.zeros(len(parts[0][0]), np.int64)
    for own, _, _ in parts:
        indptr += own
    indices = np.empty(indptr[-1], np.int64)
    scores = np.empty(indptr[-1], parts[0][2].dtype)
    free = indptr[:-1].copy()
    for own, found, score in parts:
        counts = np.diff(own)
        place = np.repeat(free - own[:-1], counts) + np.arange(len(found))
        indices[place], scores[place] = found, score
        free += counts
    return indptr, indices, scores


def _best(part: Any, i: int) -> Best:
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise TypeError(f"part {i} must be (scores, indices), got {type(part).__name__}")
    scores, indices = (_check.read(x, f"part {i}") for x in part)
    if scores.ndim not in (1, 2) or scores.shape != indices.shape:
        raise ValueError(f"part {i} has scores {scores.shape} and indices {indices.shape}")
    return scores, _integers(indices, i)


def _found(part: Any, i: int) -> Found:
    if not isinstance(part, tuple | list) or len(part) != 3:
        raise TypeError(f"part {i} must be (indptr, indices, scores), got {type(part).__name__}")
    indptr, indices, scores = (_check.read(x, f"part {i}") for x in part)
    if any(x.ndim != 1 for x in (indptr, indices, scores)) or len(indices) != len(scores):
        raise ValueError(
            f"part {i} has indptr {indptr.shape}, indices {indices.shape}, scores {scores.shape}"
        )
    indptr, indices = _integers(indptr, i), _integers(indices, i)
    if not len(indptr) or indptr[0] or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise ValueError(f"part {i}: indptr does not ascend from 0 to {len(indices)}")
    return indptr, indices, scores


def _integers(x: Array, i: int) -> Int:
    if x.dtype.kind not in "iu":
        raise TypeError(f"part {i}: indices must be integers, got {x.dtype}")
    return x.astype(np.int64, copy=False)


def _same_type(scores: Array, first: Array, i: int) -> None:
    if scores.dtype != first.dtype:
        raise TypeError(f"part {i} has scores of {scores.dtype}, part 0 of {first.dtype}")
