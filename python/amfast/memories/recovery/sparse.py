"""Sparse constraints from dense ones: the sparsest basis of the space that their rows span."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from amfast._engine.flipping import packed
from amfast._engine.scoring import dot
from amfast._stores.matrix import interruptible
from amfast._typing import Float

# Steps of the programs: with the weights that are drawn, then twice with weights by what was found.
_STEPS = (100, 50, 50)
_PENALTY = 20.0
_RELAXED = 1.6
# Log-weights are drawn with this deviation, so that other rows are the least ones in every round.
_SPREAD = 0.5
# Programs that are solved at a time.
_BATCH = 256
# Rounds in a row that may find nothing new.
_PATIENCE = 4
# Shares of the largest entry up to which entries of a solution may be left overs.
_SHARES = (0.0, 0.02, 0.1)
_DEPENDENT = 1e-5
# On its support there must be no other vector of the space: the next is this many tolerances off.
_APART = 10.0
# Entries become 0 or 1 only where a vector is then no farther from the space than this many times
# what noise had it, or than rounding.
_NOISE = 10.0
_ROUNDED = 1e-9


def most_entries(n: int, m: int) -> int:
    """How many entries a sparse vector in a space of m of n dimensions may have.

    One of n - m + 1 entries is in every such space, which says something only if these are few.
    """
    return max(min(n // 2, n - m), n // 8, 2)


def sparsest(constraints: Float, tolerance: float, threads: int) -> Float:
    """Find a basis of sparse vectors of the space that orthonormal rows span.

    A vector x of the space with ``r.x = 1`` and the least ``sum_i w_i |x_i|`` is a sparse one if
    the space has sparse ones (Spielman, Wang and Wright, *Exact recovery of sparsely-used
    dictionaries*, 2012: a linear program per vector). Here r is first a coordinate's unit vector
    less what the span of the vectors found so far has of it, so that every answer is a new one; and
    when there are as many as the space has dimensions, r is for each vector the direction that
    all others have nothing of, so that a sparser one takes its place. Of what is found those are
    kept that make the lightest basis, vector by vector from the sparsest on; no vector but those of
    the basis can be part of a later one, and it is lightest where no exchange of one makes it so.

    The programs of a round run at once, by alternating directions (Boyd et al. 2011), on a step of
    two products; the weights w are drawn anew each round. What they give need only show the
    support: its vector is then the one eigenvector of the space's projection there.

    Parameters
    ----------
    constraints : (m, n) array
        Orthonormal rows.
    tolerance : float
        How far, as a sine, a sparse vector may lie from the space; and how far entries may be from
        0 and 1 to be these, where the largest is 1.
    threads : int

    Returns
    -------
    (k, n) array
        Independent sparse vectors, the sparsest first; k < m if no more were found. Their largest
        entries are of size 1, their first ones positive.
    """
    m, n = constraints.shape
    random = np.random.default_rng(0)
    columns = np.ascontiguousarray(constraints.T)
    free = np.eye(n) - dot(columns, columns, threads)
    rows = packed(constraints), packed(columns)
    found, inside = np.zeros((0, n)), np.zeros((0, m))
    idle = 0
    while idle < _PATIENCE:
        if len(found) == m:
            asked = interruptible(np.linalg.inv, dot(found, constraints, threads)).T
        else:
            asked = columns - dot(columns, inside, threads) @ inside
        size = np.linalg.norm(asked, axis=1)
        asked = asked[size > _DEPENDENT] / size[size > _DEPENDENT, None]
        new = [found]
        for start in range(0, len(asked), _BATCH):
            some = asked[start : start + _BATCH]
            weights = np.exp(_SPREAD * random.normal(size=(len(some), n)))
            for x in _least(some, weights, rows, threads):
                new.extend(_exact(x, free, tolerance))
        before = np.count_nonzero(found)
        grown = len(found)
        found, inside = _lightest(np.vstack(new), constraints, threads)
        gained = len(found) > grown or np.count_nonzero(found) < before
        idle = 0 if gained else idle + 1
    ones = np.abs(np.abs(found) - 1.0) <= tolerance
    whole = np.where(ones, np.sign(found), found)
    near = _off(whole, free) <= np.maximum(_NOISE * _off(found, free), _ROUNDED)
    found = np.where(near[:, None], whole, found)
    first = (found != 0).argmax(axis=1)[:, None]
    return np.asarray(found * np.sign(np.take_along_axis(found, first, axis=1)))


def _least(asked: Float, weights: Float, rows: tuple[Any, Any], threads: int) -> Float:
    """Minimise ``sum_i w_i |x_i|`` over x in the space with r.x = 1, for directions (q, m)."""
    forward, back = rows
    z = dot(asked, back, threads)
    u = np.zeros_like(z)
    drawn = weights
    for i, steps in enumerate(_STEPS):
        if i:
            size = np.abs(z)
            top = size.max(axis=1, keepdims=True)
            weights = drawn / (size + 0.1 * np.where(top == 0, 1.0, top))
            weights *= (drawn.mean(axis=1) / weights.mean(axis=1))[:, None]
        for _ in range(steps):
            inside = dot(z - u, forward, threads)
            inside += asked * (1.0 - (asked * inside).sum(axis=1, keepdims=True))
            u += _RELAXED * dot(inside, back, threads) + (1.0 - _RELAXED) * z
            z = np.sign(u) * np.maximum(np.abs(u) - weights / _PENALTY, 0.0)
            u -= z
    return z


def _exact(x: Float, free: Float, tolerance: float) -> Iterator[Float]:
    """Give the vector of the space on the support of x, where there is just one."""
    n = len(x)
    most = most_entries(n, n - round(float(np.trace(free))))
    top = np.abs(x).max()
    for share in _SHARES:
        support = np.flatnonzero(np.abs(x) > share * top)
        if 0 < len(support) <= most:
            size, vectors = np.linalg.eigh(free[np.ix_(support, support)])
            apart = len(support) == 1 or size[1] > (_APART * tolerance) ** 2
            if size[0] <= tolerance**2 and apart:
                row = np.zeros(n)
                row[support] = vectors[:, 0] / vectors[np.abs(vectors[:, 0]).argmax(), 0]
                bare = np.where(np.abs(row) <= tolerance, 0.0, row)
                near = _off(bare, free) <= max(_NOISE * float(_off(row, free)), _ROUNDED)
                yield bare if near else row
                return


def _off(rows: Float, free: Float) -> Float:
    """How far rows are from the space, as a sine."""
    return np.asarray(np.linalg.norm(rows @ free, axis=-1) / np.linalg.norm(rows, axis=-1))


def _lightest(rows: Float, constraints: Float, threads: int) -> tuple[Float, Float]:
    """Keep the independent rows of the fewest entries, and an orthonormal basis of them (k, m)."""
    rows = rows[np.argsort(np.count_nonzero(rows, axis=1), kind="stable")]
    inside = dot(rows, constraints, threads)
    basis = np.zeros((len(constraints), len(constraints)))
    kept: list[int] = []
    for i, x in enumerate(inside / np.linalg.norm(inside, axis=1, keepdims=True)):
        spanned = basis[: len(kept)]
        for _ in range(2):  # the second time for rounding
            x = x - spanned.T @ (spanned @ x)
        size = np.linalg.norm(x)
        if size > _DEPENDENT and len(kept) < len(basis):
            basis[len(kept)] = x / size
            kept.append(i)
    return rows[kept], basis[: len(kept)]
