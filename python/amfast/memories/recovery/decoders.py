"""Sparse errors from what they do to the constraints: A e = s with as few nonzero e as possible.

Each decoder takes constraints A (m, n) with orthonormal rows and one vector s (m,) and returns e;
`bregman` takes many vectors, and products with any A.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import numpy as np

from amfast._engine.scoring import dot
from amfast._engine.summing import total
from amfast._typing import Array, Float

# Shares of the largest entry below which entries are dropped, if s is still reproduced then.
_DROPPED = (1e-3, 1e-5)
# What counts as dependent in the certificate, relative to the column's length.
_DEPENDENT = 1e-6
_IRLS_STEPS = 400
_IRLS_LAST = 1e-9
_BREGMAN_STEPS = 4000
# The threshold, in units of the largest entry of A^T s: from about ten on the answer is L1's.
_BREGMAN_THRESHOLD = 30.0
# Matrices that LAPACK leaves to one thread.
_ONE_THREAD = 64


def l1(a: Float, s: Float, tolerance: float) -> Float:
    """Minimise |e|_1 subject to A e = s, by SciPy's HiGHS."""
    try:
        optimize = importlib.import_module("scipy.optimize")
    except ImportError as error:
        raise ImportError(
            "decoder='l1' needs SciPy: pip install \"amfast-memory[recovery]\""
        ) from error
    n = a.shape[1]
    scale = float(np.abs(s).max())
    found = optimize.linprog(
        np.ones(2 * n),
        A_eq=np.hstack([a, -a]),
        b_eq=s / scale,
        bounds=(0, None),
        method="highs",
        # Dense constraints give it nothing to leave out, and looking takes as long as solving.
        options={"presolve": False},
    )
    if found.x is None:
        # Not a solution that anyone would certify, but one that obeys the constraints.
        return np.asarray(a.T @ s)
    return np.asarray(scale * (found.x[:n] - found.x[n:]))


def omp(a: Float, s: Float, tolerance: float) -> Float:
    """Orthogonal matching pursuit by scikit-learn, until the residual is within ``tolerance``."""
    try:
        linear_model = importlib.import_module("sklearn.linear_model")
    except ImportError as error:
        raise ImportError(
            "decoder='omp' needs scikit-learn: pip install \"amfast-memory[recovery]\""
        ) from error
    length = np.linalg.norm(a, axis=0)
    length[length == 0] = 1.0
    with warnings.catch_warnings():
        # It warns where it gives up; here the residual and the certificate say so.
        warnings.simplefilter("ignore")
        e = linear_model.orthogonal_mp(a / length, s, tol=tolerance**2)
    return np.asarray(np.ravel(e) / length, np.float64)


def irls(a: Float, s: Float, tolerance: float) -> Float:
    """Reweight least squares step by step towards the smallest sum of |e_i|^(1/2).

    e = D A^T (A D A^T)^-1 s with D = (e^2 + epsilon^2)^(3/4); epsilon falls by 10 whenever the
    steps have become small beside it (Chartrand and Yin, 2008).

    The products are the engine's, on one thread: each of the hundreds of steps is a fraction of a
    millisecond, and a BLAS that starts its threads for it takes up to a hundred times as long.
    """
    scale = float(np.abs(s).max())
    columns = np.ascontiguousarray(a.T)
    gram = np.empty((len(a), len(a)))
    e = columns @ (s / scale)
    epsilon = 1.0
    for _ in range(_IRLS_STEPS):
        d = (e**2 + epsilon**2) ** 0.75
        total(columns, None, d, gram, False, 1, double=True)
        try:
            new = d * (columns @ solved(gram, s / scale))
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(new).all():
            break
        moved = float(np.linalg.norm(new - e))
        e = new
        if moved < epsilon / 100 * (1 + float(np.linalg.norm(e))):
            epsilon /= 10
            if epsilon < _IRLS_LAST:
                break
    return np.asarray(scale * e)


def bregman(
    s: Float,
    forward: Callable[[Float], Float],
    back: Callable[[Float], Float],
    bound: float,
    tolerance: Float,
) -> Float:
    """Minimise |e|_1 + |e|^2 / (2 t) subject to A e = s, whose e is that of |e|_1 for large t.

    Linearised Bregman iterations, ``e = shrink(A^T z, t)``, ``z += (s - A e) / bound``: a product
    with A, one with its transpose and a threshold, which neurons can do (Cai, Osher and Shen 2009).
    With momentum (Huang, Ma and Goldfarb 2013), which starts anew where it points uphill, a tenth
    of the steps will do.

    Parameters
    ----------
    s : (Q, m)
    forward, back : callable
        ``A e`` of rows (q, n) and ``A^T z`` of rows (q, m).
    bound : float
        What the squared norm of A does not exceed.
    tolerance : (Q,)
        Residual at which a row is done.

    Returns
    -------
    (Q, n)
    """
    threshold = _BREGMAN_THRESHOLD / bound * np.abs(back(s)).max(axis=1, keepdims=True)
    z, ahead, pace = np.zeros_like(s), np.zeros_like(s), np.ones(len(s))
    e, rows = np.zeros((len(s), back(s[:1]).shape[1])), np.arange(len(s))
    for _ in range(_BREGMAN_STEPS):
        total = back(ahead[rows])
        e[rows] = np.sign(total) * np.maximum(np.abs(total) - threshold[rows], 0.0)
        gap = s[rows] - forward(e[rows])
        new = ahead[rows] + gap / bound
        moved = new - z[rows]
        uphill = (gap * moved).sum(axis=1) < 0
        faster = (1.0 + np.sqrt(1.0 + 4.0 * pace[rows] ** 2)) / 2.0
        momentum = np.where(uphill, 0.0, (pace[rows] - 1.0) / faster)
        ahead[rows] = new + momentum[:, None] * moved
        z[rows], pace[rows] = new, np.where(uphill, 1.0, faster)
        rows = rows[np.linalg.norm(gap, axis=1) > tolerance[rows]]
        if len(rows) == 0:
            break
    return e


def solved(gram: Float, s: Float) -> Float:
    """Solve ``gram z = s`` for a symmetric positive definite matrix (m, m).

    By Cholesky's decomposition in blocks, so that LAPACK sees no matrix it would share out among
    threads. Where rounding has left no positive definite matrix, by LAPACK's elimination.
    """
    m = len(gram)
    if m <= _ONE_THREAD:
        return np.asarray(np.linalg.solve(gram, s))
    lower = gram.copy()
    inverses = []
    try:
        for start in range(0, m, _ONE_THREAD):
            own, rest = slice(start, start + _ONE_THREAD), slice(start + _ONE_THREAD, m)
            inverses.append(np.linalg.inv(np.linalg.cholesky(lower[own, own])))
            panel = dot(lower[rest, own], inverses[-1], 1)
            lower[rest, own] = panel
            lower[rest, rest] -= dot(panel, panel, 1)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.solve(gram, s))
    z = s.copy()
    starts = range(0, m, _ONE_THREAD)
    for start, inverse in zip(starts, inverses, strict=True):
        own, rest = slice(start, start + _ONE_THREAD), slice(start + _ONE_THREAD, m)
        z[own] = inverse @ z[own]
        z[rest] -= lower[rest, own] @ z[own]
    for start, inverse in zip(reversed(starts), reversed(inverses), strict=True):
        own, rest = slice(start, start + _ONE_THREAD), slice(start + _ONE_THREAD, m)
        z[own] = inverse.T @ (z[own] - lower[rest, own].T @ z[rest])
    return z


DECODERS = {"l1": l1, "omp": omp, "irls": irls}


def polished(columns: Callable[[Array], Float], s: Float, e: Float, tolerance: float) -> Float:
    """Drop what a decoder left of entries that should be zero, where s allows it.

    ``columns`` gives some columns of A.
    """
    top = float(np.abs(e).max(initial=0.0))
    for share in _DROPPED:
        kept = np.flatnonzero(np.abs(e) > share * top)
        if len(kept) <= len(s):
            chosen = columns(kept)
            values = np.linalg.lstsq(chosen, s, rcond=None)[0]
            if np.linalg.norm(chosen @ values - s) <= tolerance:
                out = np.zeros(len(e))
                out[kept] = values
                return out
    return e


def stands_alone(a: Float, support: Array, others: Array) -> bool:
    """Whether the columns ``support`` are independent and span none of the columns ``others``."""
    columns = a[:, support]
    if len(support) > len(a):
        return False
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    if len(size) and size[-1] <= _DEPENDENT * size[0]:
        return False
    rest = np.ascontiguousarray(a[:, others].T)
    length = np.linalg.norm(rest, axis=1)
    if len(support):
        inside = dot(dot(rest, np.ascontiguousarray(left.T), 1), left, 1)
        rest = rest - inside
    outside = np.linalg.norm(rest, axis=1)
    return bool((outside > _DEPENDENT * np.maximum(length, _DEPENDENT)).all())
