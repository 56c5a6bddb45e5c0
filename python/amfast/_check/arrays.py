"""Rows, cues and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from amfast._check.elements import number_type
from amfast._check.foreign import foreign, refuse_masked, stacked
from amfast._check.outputs import retyped
from amfast._typing import Array, Float, Int

_SCAN_BYTES = 1 << 23
# Types that are kept, in native byte order.
_READY = frozenset(np.dtype(t) for t in (np.float32, np.float64, np.float16, np.uint8, np.int8))


def array(x: object, name: str, *, short: bool = False) -> Array:
    """Read ``x`` as a numeric ndarray without loss, in any memory layout, copying nothing it can.

    float16, float32, float64, uint8 and int8 are kept, and bfloat16 if ``short``; bool and other
    integers become float64.
    """
    if type(x) is np.ndarray and x.dtype in _READY:
        return x
    return number_type(read(x, name), name, short)


def frozen(x: Array) -> Array:
    """Return a view that its holder cannot make writable, to hand out what must not change."""
    if x.dtype.isbuiltin == 2:  # bfloat16, which buffers do not know
        return frozen(x.view(np.uint16)).view(x.dtype)
    return np.asarray(x.data.toreadonly()) if x.size else x.copy()


def read(x: object, name: str) -> Array:
    """Read ``x`` as an ndarray of any element type.

    Objects of other libraries convert themselves (``__array__``); DLPack is asked where they do
    not. Refused are masked and missing entries, sparse matrices, and what neither way yields.
    """
    if type(x) is not np.ndarray:
        if not isinstance(x, np.ndarray):
            return foreign(x, name)
        refuse_masked(x, name)
    result = np.asarray(x)
    return stacked(result, name) if result.dtype == object and result.ndim == 1 else result


def rows(
    x: object,
    name: str,
    symbol: str = "N",
    *,
    partners: int | None = None,
    short: bool = False,
) -> Array:
    """Read ``x`` as rows, shape (N, d) with d >= 1, ready for the engine.

    ``partners`` is the number of rows that these belong to, one each: as many numbers, 1-d, were
    meant as a column. ``short`` is whether bfloat16 is kept, see `array`.
    """
    result = array(x, name, short=short)
    if result.ndim != 2:
        hint = shape_hint(x, result, name, partners)
        raise ValueError(
            f"{name} must be 2-d ({symbol}, d), got {result.ndim}-d of shape {result.shape}{hint}"
        )
    return _layout(result, name)


def shape_hint(given: object, x: Array, name: str, partners: int | None = None) -> str:
    """Say how what is not 2-d becomes rows, in words that run: "; one row is keys[None, :]"."""
    if x.ndim != 1:
        return f"; images become rows by {name}.reshape(len({name}), -1)" if x.ndim > 2 else ""
    first = "" if isinstance(given, np.ndarray) else f"with {name} = np.asarray({name}), "
    if partners is not None and len(x) == partners:
        return f"; {first}one number per row is {name}[:, None]"
    return f"; {first}one row is {name}[None, :]"


def cues(x: object, name: str = "cues") -> tuple[Array, bool]:
    """Read ``x`` as cues, shape (Q, d); the flag says that one 1-d cue was given."""
    result = array(x, name)
    if result.ndim not in (1, 2):
        what = f"{name} must be 2-d (Q, d) or one 1-d row"
        hint = shape_hint(x, result, name)
        raise ValueError(f"{what}, got {result.ndim}-d of shape {result.shape}{hint}")
    single = result.ndim == 1
    return _layout(result[None, :] if single else result, name), single


def _layout(x: Array, name: str) -> Array:
    if x.shape[1] == 0:
        raise ValueError(f"{name} have 0 columns; at least 1 is needed")
    return contiguous(x, name)


def labels(x: object, name: str, length: int | None, each: str) -> Array:
    """Read labels of any kind, one for ``each`` of ``length``, of which None means any number."""
    try:
        given = read(x, name)
    except ValueError as error:
        if not (isinstance(x, list | tuple) and isinstance(error.__cause__, ValueError)):
            raise
        raise ValueError(f"{name} must be one label for each {each}, got ragged lists") from None
    if given.shape != (length,) and (length is not None or given.ndim != 1):
        want = f"({'n' if length is None else length},)"
        raise ValueError(
            f"{name} must have shape {want}, one label for each {each}, got {given.shape}"
        )
    if given.dtype.kind == "V":
        raise TypeError(f"{name} must be one label for each {each}, got records, {given.dtype}")
    # NumPy makes text of numbers that stand in a list with text.
    if given.dtype.kind in "US" and isinstance(x, list | tuple):
        if not all(isinstance(entry, str | bytes) for entry in x):
            raise TypeError(_of_kinds(x, name))
    return given


def distinct(given: Array, name: str) -> tuple[Array, Int]:
    """Return the different ones of some labels in order, and which of them each is."""
    try:
        names, index = np.unique(given, return_inverse=True)
    except TypeError:
        raise TypeError(_of_kinds(given.tolist(), name)) from None
    return names, index.astype(np.int64, copy=False)


def _of_kinds(entries: Sequence[Any], name: str) -> str:
    kinds = " and ".join(sorted({type(entry).__name__ for entry in entries}))
    return f"{name} must be of one kind that sorts, such as numbers or text, got {kinds}"


def contiguous(x: Array, name: str) -> Array:
    """Return ``x`` C-contiguous and aligned, in new memory only where it is not."""
    if x.flags.c_contiguous and x.flags.aligned:
        return x
    return retyped(x, x.dtype, name)  # a broadcast array is larger than it looks


def nonempty(keys: Array, name: str = "keys") -> None:
    """Refuse a store without rows."""
    if len(keys) == 0:
        raise ValueError(f"{name} have no rows, shape {keys.shape}; at least one is needed")


def same_width(given: Array, name: str, width: int, owner: str) -> None:
    """Refuse rows that are not as wide as what they meet."""
    if given.shape[1] != width:
        hint = f"; one image is a row by {name}.ravel()" if given.size == width else ""
        raise ValueError(f"{name} have {given.shape[1]} columns, {owner} {width}{hint}")


def finite(x: Array, name: str) -> None:
    """Refuse NaN and infinity, naming the first bad row of a matrix, else the first bad entry.

    Scans in pieces, so it needs no copy.
    """
    if (x.dtype.kind != "f" and x.dtype.isbuiltin != 2) or x.size == 0:
        return
    if x.ndim == 0:
        x = x[None]
    step = len(x) if x.nbytes <= _SCAN_BYTES else max(1, _SCAN_BYTES // (x.nbytes // len(x)))
    for start in range(0, len(x), step):
        fine = np.isfinite(x[start : start + step])
        if np.count_nonzero(fine) == fine.size:
            continue
        where = np.argwhere(~fine)[0] + [start, *[0] * (x.ndim - 1)]
        if x.ndim == 2:
            raise ValueError(f"{name} row {where[0]} has a NaN or infinite entry")
        place = ", ".join(str(i) for i in where)
        raise ValueError(f"{name} have a NaN or infinite entry, at ({place})")


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
    return retyped(result, np.dtype(np.float64), name)
