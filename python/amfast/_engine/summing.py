"""Hebbian sums of outer products of checked arrays: what a memory in matrix form is made of."""

from __future__ import annotations

import numpy as np

from amfast import _check, _core
from amfast._engine.scoring import engine_rows, numbers
from amfast._typing import Array, Float
from amfast.bits import BitMatrix

# Patterns that the engine adds up before it changes to the type of the sum.
CHUNK = 256
_INT32 = np.iinfo(np.int32)
# Beyond these not all whole numbers are floats of the type.
_EXACT_FLOAT32 = 2.0**24
EXACT_FLOAT64 = 2.0**53


def total(
    x: Array | BitMatrix,
    y: Array | BitMatrix | None,
    w: Float | None,
    out: Array,
    add: bool,
    threads: int,
    double: bool = False,
) -> None:
    """Put ``sum_i w_i y_i x_i^T`` into ``out`` (o, d), or add it there; there is a row at least.

    Parameters
    ----------
    x, y : (N, d) and (N, o)
        Rows; without y they are x, and the sum is exactly symmetric.
    w : (N,), optional
        Weights, 1 if None.
    out
        float32, float64, or, for whole weights of exact rows, int32, which must hold the sum; int32
        also needs the sums of a chunk to be exact in float64, see `chunk_sum`.
    double
        Whether all arithmetic is float64, which ``out`` must be then. Without it, float64 is used
        where an input has it, or where whole numbers could not be exact otherwise.

    Raises
    ------
    ValueError
        For a row that is not finite, which the engine finds by its sum, and for sums beyond the
        range of ``out``'s type. ``out`` is undefined then, as it is after an interrupt.
    """
    if out.dtype != np.float32 and _total_of_signs(x, y, w, out, add, threads):
        return
    x, y = numbers(x), None if y is None else numbers(y)
    double = double or _check.compute_type(x, x if y is None else y) == np.float64
    if is_exact(x) and (y is None or is_exact(y)):
        double = chunk_sum(x, y, w) > _EXACT_FLOAT32 or bool(w is not None and np.any(w % 1))
    _core.hebbian(x, y, w, out, add, double, threads)


def _total_of_signs(
    x: Array | BitMatrix,
    y: Array | BitMatrix | None,
    w: Float | None,
    out: Array,
    add: bool,
    threads: int,
) -> bool:
    """Do what `total` does by counting bits, if patterns are signs and weights 0, 1 or -1."""
    given = [z for z in (x, y) if z is not None]
    if not all(isinstance(z, BitMatrix) or z.dtype == np.int8 for z in given):
        return False
    if len(x) > _INT32.max or (w is not None and not np.isin(w, (-1, 0, 1)).all()):
        return False
    if w is not None and not w.all():
        kept = np.flatnonzero(w)
        x, y, w = x[kept], None if y is None else y[kept], w[kept]
    minus = None if w is None or (w > 0).all() else w < 0
    # int8 may turn out to be more than signs, when something was added already.
    direct = out.dtype == np.int32 and not (add and any(isinstance(z, np.ndarray) for z in given))
    sums = out if direct else _check.empty(out.shape, np.dtype(np.int32), "sums of signs")
    if len(x) == 0:
        sums[...] = sums if direct and add else 0
    else:
        (xs, x_bits), (ys, y_bits) = _signs(x), (None, None) if y is None else _signs(y)
        if not _core.hebbian_signs(xs, x_bits, ys, y_bits, minus, sums, add and direct, threads):
            return False
    if not direct:
        np.add(out if add else 0, sums, out=out)
    return True


def _signs(x: Array | BitMatrix) -> tuple[Array, int | None]:
    """Return what the engine takes for signs: packed bits and their number, or int8."""
    return engine_rows(x), x.n_bits if isinstance(x, BitMatrix) else None


def is_exact(x: Array | BitMatrix) -> bool:
    """Whether sums of these rows are whole numbers if their weights are."""
    return isinstance(x, BitMatrix) or x.dtype.kind in "iu"


def largest(x: Array | BitMatrix) -> float:
    """Return the largest magnitude, 0 of nothing."""
    if isinstance(x, BitMatrix) or not x.size:
        return float(isinstance(x, BitMatrix))
    return max(abs(float(x.min())), abs(float(x.max())))


def chunk_sum(x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None) -> float:
    """Return what no sum of a chunk can exceed in magnitude."""
    most = 1.0 if w is None else float(np.abs(w).max())
    return CHUNK * most * largest(x) * largest(x if y is None else y)
