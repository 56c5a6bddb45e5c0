"""Rows, cues, vectors, and their element types."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._check.outputs import fits
from amfast._typing import Array, Float

# Larger integers are not all float64 numbers.
EXACT_INTEGERS = 2**53
_SCAN_BYTES = 1 << 23


def array(x: object, name: str) -> Array:
    """Read ``x`` as a numeric ndarray without loss, in any memory layout, copying nothing it can.

    float16, float32, float64, uint8 and int8 are kept; bool and other integers become float64.
    """
    return _number_type(read(x, name), name)


def frozen(x: Array) -> Array:
    """Return a view that its holder cannot make writable, to hand out what must not change."""
    return np.asarray(x.data.toreadonly()) if x.size else x.copy()


def read(x: object, name: str) -> Array:
    """Read ``x`` as an ndarray of any element type, refusing masked entries and sparse matrices."""
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise ValueError(f"{name} have masked entries; fill or drop them first")
        return np.asarray(x.data)
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(f"{name} are a sparse {type(x).__name__}; pass {name}.toarray()")
    if hasattr(x, "__dlpack__"):
        try:
            return np.from_dlpack(x)
        except Exception:
            pass  # e.g. an element type DLPack has no name for: the array protocol may do
    try:
        result = np.asarray(x)
    except Exception as error:  # whatever an __array__ of the caller's raises
        kind = next((k for k in (ValueError, MemoryError) if isinstance(error, k)), TypeError)
        raise kind(f"{name} cannot be read as an array of numbers: {error}") from error
    if isinstance(x, list | tuple) and result.dtype.kind == "f" and result.dtype.itemsize == 8:
        _refuse_rounded_integers(x, result, name)
    return result


def _refuse_rounded_integers(x: object, result: Array, name: str) -> None:
    """Refuse a nested list whose mixture with floats rounded an integer on the way in."""
    if result.size and np.nanmax(np.abs(result), initial=0.0) >= EXACT_INTEGERS:
        for given in np.asarray(x, dtype=object).ravel():
            if isinstance(given, int | np.integer) and int(float(given)) != int(given):
                raise ValueError(f"{name} hold the integer {given}, which float64 cannot hold")


def _number_type(x: Array, name: str) -> Array:
    dtype = x.dtype
    if dtype.kind in "biuf" and dtype.char != "g":
        if not dtype.isnative:
            fits(x.shape, dtype, name)
            x = x.astype(dtype.newbyteorder("="))
        if dtype.kind == "f" or (dtype.kind in "ui" and dtype.itemsize == 1):
            return x
        fits(x.shape, np.dtype(np.float64), name)
        if dtype.itemsize == 8 and x.size:
            low, high = int(x.min()), int(x.max())
            if high > EXACT_INTEGERS or low < -EXACT_INTEGERS:
                worst = high if high > EXACT_INTEGERS else low
                raise ValueError(
                    f"{name} hold the integer {worst}; beyond 2**53 float64 is not exact"
                )
        return x.astype(np.float64)
    what = {
        "c": "complex",
        "O": "Python objects or ragged lists",
        "U": "strings",
        "S": "bytes",
        "T": "strings",
        "M": "dates",
        "m": "time spans",
        "V": "records",
        "f": "extended precision, which float64 cannot hold",
    }.get(dtype.kind, "unsupported")
    raise TypeError(f"{name} must be real numbers, got dtype {dtype} ({what})")


def rows(x: object, name: str, symbol: str = "N") -> Array:
    """Read ``x`` as rows, shape (N, d) with d >= 1, ready for the engine."""
    result = array(x, name)
    if result.ndim != 2:
        hint = f"; one row is {name}[None, :]" if result.ndim == 1 else ""
        raise ValueError(
            f"{name} must be 2-d ({symbol}, d), got {result.ndim}-d of shape {result.shape}{hint}"
        )
    return _layout(result, name)


def cues(x: object, name: str = "cues") -> tuple[Array, bool]:
    """Read ``x`` as cues, shape (Q, d); the flag says that one 1-d cue was given."""
    result = array(x, name)
    if result.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be 2-d (Q, d) or one 1-d row, got {result.ndim}-d of shape {result.shape}"
        )
    single = result.ndim == 1
    return _layout(result[None, :] if single else result, name), single


def _layout(x: Array, name: str) -> Array:
    if x.shape[1] == 0:
        raise ValueError(f"{name} have 0 columns; at least 1 is needed")
    if not x.flags.c_contiguous:
        fits(x.shape, x.dtype, name)  # a broadcast array is larger than it looks
    return np.require(x, requirements=["C", "A"])


def nonempty(keys: Array, name: str = "keys") -> None:
    """Refuse a store without rows."""
    if len(keys) == 0:
        raise ValueError(f"{name} have no rows, shape {keys.shape}; at least one is needed")


def same_width(given: Array, name: str, width: int, owner: str) -> None:
    """Refuse rows that are not as wide as what they meet."""
    if given.shape[1] != width:
        raise ValueError(f"{name} have {given.shape[1]} columns, {owner} {width}")


def finite(x: Array, name: str) -> None:
    """Refuse NaN and infinity, naming the first bad row. Scans in pieces, so it needs no copy."""
    if x.dtype.kind != "f" or x.size == 0:
        return
    step = max(1, _SCAN_BYTES // (x.shape[1] * x.itemsize))
    for start in range(0, len(x), step):
        bad = np.flatnonzero(~np.isfinite(x[start : start + step]).all(axis=1))
        if len(bad):
            raise ValueError(f"{name} row {start + int(bad[0])} has a NaN or infinite entry")


def nonnegative(x: Array, name: str, why: str) -> None:
    """Refuse negative entries, naming the first bad row."""
    if x.size and x.dtype.kind != "u" and float(x.min()) < 0:
        bad = int(np.flatnonzero((x < 0).any(axis=1))[0])
        raise ValueError(f"{name} row {bad} has a negative entry; {why}")


def vector(x: object, name: str, length: int) -> Float:
    """Read ``x`` as ``length`` float64 numbers; a scalar is not repeated."""
    result = array(x, name)
    if result.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {result.shape}")
    return np.ascontiguousarray(result, np.float64)


def compute_type(*arrays: Array) -> np.dtype[Any]:
    """float64 if any of the arrays is, else float32."""
    return np.dtype(np.float64 if any(a.dtype == np.float64 for a in arrays) else np.float32)


def widen(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """Return the narrowest stored type that holds both without loss."""
    both = np.promote_types(first, second)
    return np.dtype(np.float32) if both == np.int16 else both
