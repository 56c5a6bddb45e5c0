"""Sparse errors from what they do to the constraints: A e = s with as few nonzero e as possible.

Each decoder takes constraints A (m, n) with orthonormal rows and one vector s (m,) and returns e.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np

from amfast._typing import Array, Float

# Shares of the largest entry below which entries are dropped, if s is still reproduced then.
_DROPPED = (1e-3, 1e-5)
# What counts as dependent in the certificate, relative to the column's length.
_DEPENDENT = 1e-6
_IRLS_STEPS = 400
_IRLS_LAST = 1e-9


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
        np.ones(2 * n), A_eq=np.hstack([a, -a]), b_eq=s / scale, bounds=(0, None), method="highs"
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
    """
    scale = float(np.abs(s).max())
    e = a.T @ (s / scale)
    epsilon = 1.0
    for _ in range(_IRLS_STEPS):
        d = (e**2 + epsilon**2) ** 0.75
        weighted = a * d
        gram = weighted @ a.T
        try:
            new = weighted.T @ np.linalg.solve(gram, s / scale)
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


DECODERS = {"l1": l1, "omp": omp, "irls": irls}


def polished(a: Float, s: Float, e: Float, tolerance: float) -> Float:
    """Drop what a decoder left of entries that should be zero, where s allows it."""
    top = float(np.abs(e).max(initial=0.0))
    for share in _DROPPED:
        kept = np.flatnonzero(np.abs(e) > share * top)
        if len(kept) <= len(a):
            values = np.linalg.lstsq(a[:, kept], s, rcond=None)[0]
            if np.linalg.norm(a[:, kept] @ values - s) <= tolerance:
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
    rest = a[:, others]
    length = np.linalg.norm(rest, axis=0)
    outside = np.linalg.norm(rest - left @ (left.T @ rest), axis=0)
    return bool((outside > _DEPENDENT * np.maximum(length, _DEPENDENT)).all())
