"""Sums of outer products: Hebb's rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._engine import summing
from amfast._stores.moments import patterns, row_weights
from amfast._threads import resolve_threads
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.kernels import streaming
from amfast.kernels.blocks import Blocks


def hebbian(
    X: Any,
    Y: Any = None,
    *,
    weights: Any = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Add up outer products: ``W = sum_i w_i y_i x_i^T``.

    It is the second moment of the patterns, and the weight matrix of Hopfield's network (Hebb's
    rule, without the 1 / N or 1 / d that some authors divide by, and with the diagonal).

    Parameters
    ----------
    X : (N, d) array or BitMatrix, or Blocks
        Patterns. `Blocks` of pairs bring Y too; sums of floats are added up in float64 then.
    Y : (N, o) array or BitMatrix, optional
        Their partners. None means the patterns themselves: W is then exactly symmetric, and half
        the work is done.
    weights : (N,) array, optional
        Finite, of any sign: -1 takes a pattern out again. Nothing is scaled in memory.
    out : (o, d) array, optional
        What the sum is *added to*, in place: C-contiguous, writable, sharing no memory with the
        inputs, and of the result's type or float64. A float64 ``out`` for float32 patterns keeps
        float32 arithmetic only within 256 patterns and adds those sums up in float64, at nearly the
        same speed.
    threads : int, optional
        None means the setting. The result has the same bits for any number.

    Returns
    -------
    (o, d) array
        ``out`` if given. Else

        - int32 and exact for BitMatrix, bool (both mean -1 and +1), int8 and uint8 (the numbers
          they are), if there are no weights or they are whole numbers;
        - float64 if an input is float64 (or an integer type other than those), or if exact
          patterns have weights with fractions;
        - float32 otherwise.

    Raises
    ------
    ValueError
        For shapes that do not match; NaN or infinity, naming the row; an entry of W beyond the
        range of its type, with the numbers. ``out`` is then what it was, unless a sum of finite
        floats overflows, which leaves it undefined, as Ctrl-C does.
    TypeError
        For element types that are no real numbers, and an ``out`` of another type.
    MemoryError
        If the result would not fit.

    See Also
    --------
    Hopfield : The network of these weights.
    HebbianMemory : The sum as a memory.
    amfast.kernels : What scores rows, and by which metrics.

    Notes
    -----
    A sum of N products is off by at most about ``(256 + N / 256) eps sum_i |w_i y_i x_i|``.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> am.hebbian(np.array([[1, -1, 1], [1, 1, 1]], np.int8))
    array([[2, 0, 2],
           [0, 2, 0],
           [2, 0, 2]], dtype=int32)
    >>> am.hebbian([[1.0, 2.0], [3.0, 4.0]], [[1.0], [10.0]], weights=[1.0, 0.5])
    array([[16., 22.]])
    """
    n_threads = resolve_threads(threads)
    if isinstance(X, Blocks):
        return streaming.hebbian(hebbian, X, Y, weights, out, n_threads)
    x = patterns(X, "X")
    y = None if Y is None else patterns(Y, "Y")
    if y is not None and len(y) != len(x):
        raise ValueError(f"Y has {len(y)} rows, X has {len(x)}")
    w = row_weights(weights, len(x))
    dtype = _sum_type(x, y, w)
    shape = ((x if y is None else y).shape[1], x.shape[1])
    if out is None:
        result = _check.empty(shape, dtype, "sums of outer products")
        if dtype == np.int32:
            _refuse_inexact(x, y, w)
        if len(x):
            summing.total(x, y, w, result, False, n_threads)
        else:
            result[...] = 0
        return result
    if isinstance(out, np.ndarray) and out.dtype == np.float64:
        dtype = out.dtype
    inputs = [np.asarray(z) for z in (X, Y, x, y, w) if isinstance(z, np.ndarray)]
    packed = [z.to_packed() for z in (x, y) if isinstance(z, BitMatrix)]
    _check.out(out, shape, dtype, inputs + packed)
    if len(x) == 0:
        return out
    if dtype == np.int32:
        _refuse_inexact(x, y, w)
        _add_exactly(x, y, w, out, n_threads)
        return out
    for given, name in ((x, "X"), (y, "Y"), (out, "out")):
        if isinstance(given, np.ndarray):
            _check.finite(given, name)
    summing.total(x, y, w, out, True, n_threads)
    return out


def _sum_type(x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None) -> np.dtype[Any]:
    """Return the type of a sum of outer products."""
    if summing.is_exact(x) and (y is None or summing.is_exact(y)):
        return np.dtype(np.int32 if w is None or not np.any(w % 1) else np.float64)
    return _check.compute_type(*(z for z in (x, y) if isinstance(z, np.ndarray)))


def _refuse_inexact(x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None) -> None:
    """Refuse weights with which a chunk's sum might not be a whole number that float64 holds."""
    if w is not None and len(w) and summing.chunk_sum(x, y, w) > summing.EXACT_FLOAT64:
        raise ValueError(
            f"weights of up to {float(np.abs(w).max()):g} are beyond exact int32 sums; pass "
            f"X.astype(float)"
        )


def _add_exactly(
    x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None, out: Array, threads: int
) -> None:
    """Add an int32 sum to ``out``, which stays as it was if an entry would leave int32."""
    limits = np.iinfo(np.int32)
    each = summing.largest(x) * summing.largest(x if y is None else y)
    most = each * (len(x) if w is None else float(np.abs(w).sum()))
    if most + summing.largest(out) <= limits.max:
        summing.total(x, y, w, out, True, threads)
        return
    more = _check.empty(out.shape, out.dtype, "sums of outer products")
    summing.total(x, y, w, more, False, threads)
    sums = out.astype(np.int64) + more
    if sums.min() < limits.min or sums.max() > limits.max:
        worst = sums.flat[np.abs(sums).argmax()]
        raise ValueError(f"out would reach {worst}, which int32 cannot hold; use float64")
    out[...] = sums
