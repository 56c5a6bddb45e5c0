"""Hebbian sums of outer products: what a memory in matrix form is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._threads import resolve_threads
from amfast._typing import Array, Float
from amfast.bits import BitMatrix, binary

# Patterns that the engine adds up before it changes to the type of the sum.
CHUNK = 256
_INT32 = np.iinfo(np.int32)
_EXACT = {np.float32: 2**24, np.float64: 2**53}


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
    X : (N, d) array or BitMatrix
        Patterns.
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
    x = patterns(X, "X")
    y = None if Y is None else patterns(Y, "Y")
    if y is not None and len(y) != len(x):
        raise ValueError(f"Y has {len(y)} rows, X has {len(x)}")
    w = None if weights is None else signed_weights(weights, len(x))
    whole = w is None or not np.any(w % 1)
    dtype: np.dtype[Any]
    if _is_exact(x) and (y is None or _is_exact(y)):
        dtype = np.dtype(np.int32 if whole else np.float64)
    else:
        dtype = _check.compute_type(*(z for z in (x, y) if isinstance(z, np.ndarray)))
    shape = ((x if y is None else y).shape[1], x.shape[1])
    if out is None:
        result = _check.empty(shape, dtype, "sums of outer products")
        if len(x):
            total(x, y, w, result, False, n_threads)
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
        _add_exactly(x, y, w, out, n_threads)
    else:
        for given, name in ((x, "X"), (y, "Y"), (out, "out")):
            if isinstance(given, np.ndarray):
                _check.finite(given, name)
        total(x, y, w, out, True, n_threads)
    return out


def signed_weights(weights: Any, length: int) -> Float:
    """Read one finite weight of any sign per pattern."""
    result = _check.vector(weights, "weights", length)
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        raise ValueError(f"weights must be finite, entry {bad[0]} is {float(result[bad[0]])}")
    return result


def patterns(x: Any, name: str, single: bool = False) -> Array | BitMatrix:
    """Read patterns; bools become bits. One 1-d pattern is a row if asked."""
    if isinstance(x, BitMatrix):
        return x
    given = _check.read(x, name)
    if single and given.ndim == 1:
        given = given[None, :]
    return binary(given, name)[0] if given.dtype.kind == "b" else _check.rows(given, name)


def numbers(x: Array | BitMatrix) -> Array:
    """Return patterns as numbers: bits as int8 of -1 and +1."""
    return x.unpack() if isinstance(x, BitMatrix) else x


def total(
    x: Array | BitMatrix,
    y: Array | BitMatrix | None,
    w: Float | None,
    out: Array,
    add: bool,
    threads: int,
    double: bool = False,
) -> None:
    """Put the sum into ``out``, or add it; everything was checked, and there are rows.

    ``double`` asks for float64 arithmetic throughout, which must be the type of ``out``; without
    it, float64 is used where an input has it, or where whole numbers could not be exact otherwise.
    """
    if out.dtype != np.float32 and _total_of_signs(x, y, w, out, add, threads):
        return
    x, y = numbers(x), None if y is None else numbers(y)
    double = double or _check.compute_type(x, x if y is None else y) == np.float64
    if _is_exact(x) and (y is None or _is_exact(y)):
        # Whole numbers: sums of a chunk must be exact in the floats that make them.
        most = 1.0 if w is None else float(np.abs(w).max())
        sums = CHUNK * most * _largest(x) * _largest(x if y is None else y)
        double = sums > _EXACT[np.float32] or bool(w is not None and np.any(w % 1))
        if out.dtype == np.int32 and sums > _EXACT[np.float64]:
            raise ValueError(
                f"weights of up to {most:g} are beyond exact int32 sums; pass X.astype(float)"
            )
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
    return (x.to_packed(), x.n_bits) if isinstance(x, BitMatrix) else (x, None)


def _is_exact(x: Array | BitMatrix) -> bool:
    return isinstance(x, BitMatrix) or x.dtype.kind in "iu"


def _largest(x: Array | BitMatrix) -> float:
    """Return the largest magnitude."""
    return 1.0 if isinstance(x, BitMatrix) else float(max(abs(int(x.min())), abs(int(x.max()))))


def _add_exactly(
    x: Array | BitMatrix,
    y: Array | BitMatrix | None,
    w: Float | None,
    out: Array,
    threads: int,
) -> None:
    """Add an int32 sum to ``out``, which stays as it was if an entry would leave int32."""
    each = _largest(x) * _largest(x if y is None else y)
    most = each * (len(x) if w is None else float(np.abs(w).sum()))
    if out.size and most + _largest(out) > _INT32.max:
        more = _check.empty(out.shape, out.dtype, "sums of outer products")
        total(x, y, w, more, False, threads)
        sums = out.astype(np.int64) + more
        if sums.min() < _INT32.min or sums.max() > _INT32.max:
            worst = sums.flat[np.abs(sums).argmax()]
            raise ValueError(f"out would reach {worst}, which int32 cannot hold; use float64")
        out[...] = sums
        return
    total(x, y, w, out, True, threads)
