"""What the hidden neurons do to the visible ones: ``sum_i f_i ds_i/dg`` for every similarity.

Each function gives the force at g and how stiff it is: elsewhere it is nearly ``force - stiff *
(elsewhere - g)``. A step that follows this linear force is exact for "dot" and "sqeuclidean" and
lowers a bound of the energy for "euclidean" and "manhattan", as Weiszfeld's iteration does.
Distances d score as ``s = -d``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from amfast._engine.scoring import key_tiles, project
from amfast._stores.items import Stored
from amfast._typing import Array, Float, Int
from amfast.memories.universal.standard import Standard

TINY = float(np.finfo(np.float64).tiny)
# As a part of all pulls, one so weak that even a million like it are rounding.
_FAINT = 2.0**-74
# Where fewer than one in so many items is felt, theirs are sorted and not all of them looked up.
_FEW = 8


class Asked(NamedTuple):
    """Where the visible neurons are and what the hidden ones put out."""

    g: Float
    """(q, d) output of the visible neurons."""
    f: Float
    """(q, N) output of the hidden neurons."""
    s: Float
    """(q, N) scores of g."""
    model: Standard
    items: Stored
    threads: int

    def through(self, weights: Float, rows: Array) -> Float:
        """Sum rows (N, d) by weights (q, N), a cue alone as among others."""
        return project(weights, rows, np.dtype(np.float64), self.threads)


Force = Callable[[Asked], tuple[Float, Any]]


def dot(at: Asked) -> tuple[Float, Any]:
    """``m_i``."""
    return at.through(at.f, at.items.keys), 0.0


def sqeuclidean(at: Asked) -> tuple[Float, Any]:
    """``2 (m_i - g)``: Table 2's, of |m - g|^2 and not of half of it."""
    stiff = 2.0 * at.f.sum(axis=1, keepdims=True)
    return 2.0 * at.through(at.f, at.items.keys) - stiff * at.g, stiff


def euclidean(at: Asked) -> tuple[Float, Any]:
    """``(m_i - g) / |m_i - g|``; a memory that is reached holds what is pulled less elsewhere."""
    near = at.f / np.maximum(-at.s, _least(at.g))
    stiff = near.sum(axis=1, keepdims=True)
    return at.through(near, at.items.keys) - stiff * at.g, stiff


def _least(g: Float) -> Float:
    """Return the distance (q, 1) below which one of such numbers counts as 0."""
    return np.asarray(1e-12 * (1.0 + np.abs(g).max(axis=1, keepdims=True)))


def cosine(at: Asked) -> tuple[Float, Any]:
    """``(m_i / |m_i| - cos_i g / |g|) / |g|``; 0 where either is 0."""
    unit = at.items.derived("unit keys", lambda: _unit(at.items.keys))
    norm = np.sqrt((at.g * at.g).sum(axis=1, keepdims=True))
    norm[norm == 0] = np.inf
    stiff = (at.f * (at.s + 1.0)).sum(axis=1, keepdims=True) / norm**2
    return at.through(at.f, unit) / norm - stiff * at.g, stiff


def _unit(keys: Array) -> Float:
    rows = keys.astype(np.float64)
    norm = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(norm == 0, 1.0, norm))


def manhattan(at: Asked) -> tuple[Float, Any]:
    """``sign(m_i - g)`` per entry."""
    force, stiff = np.zeros(at.g.shape), np.zeros(at.g.shape)
    for out, held, g, f, least in zip(force, stiff, at.g, at.f, _least(at.g), strict=True):
        for some in _felt(f, len(g)):
            apart = at.items.keys[some] - g
            out += np.einsum("n,nd->d", f[some], np.sign(apart))
            held += np.einsum("n,nd->d", f[some], 1.0 / np.maximum(np.abs(apart), least))
    return force, stiff


def _felt(f: Float, width: int) -> Iterator[Int]:
    """Items whose pull (N,) is felt beside the others', some at a time as their keys are wide."""
    felt = np.flatnonzero(np.abs(f) > _FAINT * np.abs(f).sum())
    for tile in key_tiles(len(felt), width):
        yield felt[tile]


def kl(at: Asked) -> tuple[Float, Any]:
    """``p_i / p`` of the distributions p of g and p_i of m_i."""
    p, shares = _shares(at), _distributions(at)
    return _through_sums(at, at.through(at.f, shares) / p, p, at.f)


def reverse_kl(at: Asked) -> tuple[Float, Any]:
    """``ln p_i - ln p - 1``."""
    p = _shares(at)
    logs = at.items.derived("log shares", lambda: np.log(np.maximum(_distributions(at), TINY)))
    slope = at.through(at.f, logs) - at.f.sum(axis=1, keepdims=True) * (np.log(p) + 1.0)
    return _through_sums(at, slope, p, at.f)


def jensenshannon(at: Asked) -> tuple[Float, Any]:
    """``- ln(2 p / (p + p_i)) / (4 d_i)``; 0 where the distance d_i is."""
    shares, p, slope = _distributions(at), _shares(at), np.zeros(at.g.shape)
    near = np.divide(at.f, 4.0 * at.s, out=np.zeros(at.f.shape), where=at.s < 0)
    for out, own, weight in zip(slope, p, near, strict=True):
        for some in _felt(weight, len(own)):
            out += np.einsum("n,nd->d", weight[some], np.log(2.0 * own / (own + shares[some])))
    return _through_sums(at, slope, p, -near)


def _distributions(at: Asked) -> Float:
    """Return what the keys are compared as, (N, d)."""
    prepare = at.model.prepare
    assert prepare is not None

    def make() -> Float:
        shares: Float = prepare(at.items.keys, np.dtype(np.float64))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    found: Float = at.items.derived("shares", make)
    return found


def _shares(at: Asked) -> Float:
    """Return what g is compared as, (q, d), no share 0."""
    assert at.model.prepare is not None
    p: Float = at.model.prepare(at.g, np.dtype(np.float64))
    return np.asarray(np.maximum(p / p.sum(axis=1, keepdims=True), TINY))


def _through_sums(at: Asked, slope: Float, p: Float, weights: Float) -> tuple[Float, Any]:
    """Turn slopes by the shares p (q, d) into forces on the entries of g; 0 where g is blank.

    They are as stiff as a share is small, ``sum_i weights_i / p``: a step by the stiff force of
    "kl" alone is one of expectation maximisation, which cannot raise the energy.
    """
    total = at.g.sum(axis=1, keepdims=True)
    blank = total <= 0
    total[blank] = 1.0
    inside = slope - (slope * at.g).sum(axis=1, keepdims=True) / total
    scale = total * (1.0 + (at.model.eps or 0.0))
    held = np.maximum(weights.sum(axis=1, keepdims=True), 0.0) / (p * scale**2)
    stiff = np.where(blank, 0.0, held)
    return np.where(blank, 0.0, inside / scale), stiff


def own(at: Asked) -> tuple[Float, Any]:
    """Ask the gradient of a similarity given as a function, cue by cue."""
    similarity = at.model.similarity
    sign = 1.0 if at.model.larger_is_better else -1.0
    force = np.zeros(at.g.shape)
    for out, g, f in zip(force, at.g, at.f, strict=True):
        for some in _felt(f, len(g)):
            keys = at.items.keys[some].astype(np.float64)
            out += np.einsum("n,qnd->d", sign * f[some], similarity.slopes(g[None], keys))
    return force, 0.0


FORCES: dict[str, Force] = {
    force.__name__: force
    for force in (dot, sqeuclidean, euclidean, cosine, manhattan, kl, reverse_kl, jensenshannon)
}


SCALE_FREE = ("cosine", "kl", "reverse_kl", "jensenshannon")
"""Similarities that do not look at the length of g: their forces turn it."""


def to_medians(at: Asked, inputs: Float, span: Float) -> Float:
    """Move g by the Manhattan distance over a time ``span`` (q,) in units of tau: (q, d).

    The proximal step: every entry goes to the least of ``(u - g)^2 / (2 x) + u^2 / 2 - I u +
    sum_i f_i |m_i - u|``, a weighted median, so that it stops at a kink in place of jumping over it
    to and fro. ``x = exp(span) - 1`` makes it the exact solution between kinks. Negative f_i push
    instead; a linear bound of what they do stands in.
    """
    moved = np.empty(at.g.shape)
    with np.errstate(over="ignore"):
        back = 1.0 / np.expm1(span)
    for row, (g, f) in enumerate(zip(at.g, at.f, strict=True)):
        felt = np.flatnonzero(np.abs(f) > _FAINT * np.abs(f).sum())
        if _FEW * len(felt) < len(f):
            entries, order = _sorted(at.items.keys[felt])
            f = f[felt]
        else:
            entries, order = at.items.derived("sorted", lambda: _sorted(at.items.keys))
        pulled = f[order]
        goal = back[row] * g + inputs[row]
        if (f < 0).any():
            pushed = np.minimum(pulled, 0.0)
            goal = goal + (pushed * np.sign(entries - g[:, None])).sum(axis=1)
            pulled = np.maximum(pulled, 0.0)
        moved[row] = _median(entries, pulled, 1.0 + back[row], goal)
    return moved


def _sorted(keys: Array) -> tuple[Float, Int]:
    """Return every column of keys (n, d) in order, (d, n), and which keys these are."""
    columns = np.ascontiguousarray(keys.T, np.float64)
    order = np.argsort(columns, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), order


def _median(m: Float, f: Float, scale: float, goal: Float) -> Float:
    """Solve ``scale u - goal + sum_i f_i sign(u - m_i) = 0`` per row of sorted m (d, n)."""
    d, n = m.shape
    if n == 0:
        return np.asarray(goal / scale)
    below = np.cumsum(f, axis=1)
    total, rows = below[:, -1], np.arange(d)
    # Entries that u lies beyond, by halves, as the left side grows with u.
    low, high = np.zeros(d, np.int64), np.full(d, n)
    for _ in range(n.bit_length()):
        middle = np.minimum((low + high) // 2, n - 1)
        beyond = scale * m[rows, middle] - goal + 2.0 * below[rows, middle] - total < 0
        beyond &= low < high
        low, high = np.where(beyond, middle + 1, low), np.where(beyond, high, middle)
    passed = np.where(low > 0, below[rows, low - 1], 0.0)
    free = (goal + total - 2.0 * passed) / scale
    next_entry = np.where(low < n, m[rows, np.minimum(low, n - 1)], np.inf)
    return np.asarray(np.minimum(free, next_entry))
