"""Element types: which numbers are read, and what would round them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from amfast._check.outputs import fits, retyped
from amfast._typing import Array

# Larger integers are not all float64 numbers.
EXACT_INTEGERS = 2**53
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_KINDS = {
    "c": "complex",
    "O": "Python objects or ragged lists",
    "U": "strings",
    "S": "bytes",
    "T": "strings",
    "M": "dates",
    "m": "time spans",
    "V": "records",
    "f": "extended precision, which float64 cannot hold",
}


def number_type(x: Array, name: str, short: bool = False) -> Array:
    """Return ``x`` in an element type the engine knows, or say what it holds instead.

    float16, float32, float64, uint8 and int8 stay, in native byte order; bool and other integers
    become float64, bfloat16 and other short floats that a library registered float32; ``short`` is
    whether bfloat16 stays, too.
    """
    dtype = x.dtype
    if dtype.isbuiltin == 2:  # a type that another library registered
        if short and is_bfloat16(dtype):
            return x
        if np.can_cast(dtype, np.float32, "safe"):
            return retyped(x, np.dtype(np.float32), name)
    if dtype.kind not in "biuf" or dtype.char == "g":
        raise TypeError(f"{name} must be real numbers, got dtype {dtype} ({_kind(dtype, name)})")
    if dtype.kind == "f" or (dtype.kind in "ui" and dtype.itemsize == 1):
        return x if dtype.isnative else retyped(x, dtype.newbyteorder("="), name)
    fits(x.shape, np.dtype(np.float64), name)  # before every entry is looked at
    exact(x, name)
    return retyped(x, np.dtype(np.float64), name)


def exact(x: Array, name: str) -> None:
    """Refuse integers that float64 would round."""
    if x.dtype.kind in "ui" and x.dtype.itemsize == 8 and x.size:
        low, high = int(x.min()), int(x.max())
        if high > EXACT_INTEGERS or low < -EXACT_INTEGERS:
            worst = high if high > EXACT_INTEGERS else low
            raise ValueError(f"{name} hold the integer {worst}; beyond 2**53 float64 is not exact")


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether elements are bfloat16, which NumPy knows by ml_dtypes alone."""
    return dtype.isbuiltin == 2 and dtype.name == "bfloat16"


def bfloat16() -> np.dtype[Any]:
    """Return NumPy's type of bfloat16, or say what brings it."""
    try:
        found = importlib.import_module("ml_dtypes")
    except ImportError:
        raise ImportError("bfloat16 arrays need ml_dtypes: pip install ml_dtypes") from None
    kept: np.dtype[Any] = np.dtype(found.bfloat16)
    return kept


def _kind(dtype: np.dtype[Any], name: str) -> str:
    if dtype.isbuiltin == 2:
        return f"not read as it is; pass {name}.astype('float32')"
    return _KINDS.get(dtype.kind, "unsupported")


def compute_type(*arrays: Array) -> np.dtype[Any]:
    """float64 if any of the arrays is, else float32."""
    for x in arrays:
        if x.dtype == _DOUBLE:
            return _DOUBLE
    return _SINGLE


def widen(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """Return the narrowest stored type that holds both without loss."""
    if first == second:
        return first
    if is_bfloat16(first) or is_bfloat16(second):
        first, second = (
            np.dtype(np.float32) if is_bfloat16(dtype) else dtype for dtype in (first, second)
        )
    both = np.promote_types(first, second)
    return np.dtype(np.float32) if both == np.int16 else both
