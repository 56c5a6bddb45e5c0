"""Arrays and tables of other libraries, read by their own conversion and without importing them.

An object that converts itself (``__array__``) knows what its memory means: signs that are only
noted, masks, gradients. DLPack hands over the bare memory, so it is asked only where there is no
other way. What neither yields is refused, with the call that makes it readable where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amfast._check.elements import EXACT_INTEGERS, bfloat16, exact, number_type
from amfast._check.outputs import empty
from amfast._typing import Array

# Devices of DLPack whose memory is the host's: CPU, pinned, managed.
_HOST = (1, 3, 13)
_LONGEST_REASON = 300


def foreign(x: Any, name: str) -> Array:
    """Read what is not a NumPy array: lists, buffers, and objects of other libraries."""
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(f"{name} are a sparse {type(x).__name__}; pass {name}.toarray()")
    library = type(x).__module__.partition(".")[0]
    if library in _TABLES and (columns := _TABLES[library](x)) is not None:
        return _table(x, columns, library, name)
    if library in _TABLES and hasattr(x, "__array__"):
        return _column(x, library, name)
    if isinstance(x, list | tuple):
        return listed(x, name)
    return converted(x, name)


def converted(x: Any, name: str) -> Array:
    """Let an object convert itself, or take its memory by DLPack where it has no conversion."""
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        result = np.asanyarray(_widened(x))
    except Exception as error:  # whatever a conversion of another library's raises
        kind = next((k for k in (ValueError, MemoryError) if isinstance(error, k)), TypeError)
        raise kind(_refusal(x, name, error)) from error
    refuse_masked(result, name)
    if result.dtype == object and result.ndim == 0 and hasattr(x, "collect"):
        raise TypeError(f"{name} are not computed yet; pass {name}.collect()")
    return np.asarray(result)


def _widened(x: Any) -> Any:
    """Return a tensor of bfloat16 as NumPy may have it, else as float32, which loses nothing."""
    if str(getattr(x, "dtype", "")) != "torch.bfloat16" or _true(x, "requires_grad"):
        return x
    try:
        kept = bfloat16()
    except ImportError:
        return x.float()
    return x.view(sys.modules["torch"].int16).numpy().view(kept)


def _refusal(x: Any, name: str, error: Exception) -> str:
    """Say why a conversion failed, and the call that helps."""
    hints = (
        (_true(x, "requires_grad"), "require grad; pass {}.detach()"),
        (_true(x, "is_neg"), "are a view whose signs are only noted; pass {}.resolve_neg()"),
        (_true(x, "is_conj"), "are a view whose signs are only noted; pass {}.resolve_conj()"),
        (hasattr(x, "get_mask"), "are a masked tensor; pass {}.to_tensor(value), which fills it"),
    )
    for wrong, hint in hints:
        if wrong:
            return f"{name} {hint.format(name)}"
    device = getattr(x, "device", "another device")
    if getattr(device, "type", "") == "meta":
        return f"{name} are a meta tensor, which holds no numbers"
    if _elsewhere(x):
        call = next((c for c in ("cpu", "get") if hasattr(x, c)), None)
        return f"{name} are on {device}, not the CPU" + (f"; pass {name}.{call}()" if call else "")
    dtype = str(getattr(x, "dtype", "")).removeprefix("torch.")
    if "float8" in dtype:
        return f"{name} are {dtype}, which NumPy does not have; pass {name}.float()"
    reason = " ".join(str(error).split())[:_LONGEST_REASON]
    return f"{name} cannot be read as an array of numbers: {reason or type(error).__name__}"


def _true(x: Any, attribute: str) -> bool:
    """Whether an object has a flag, or a question about it, that says True."""
    try:
        answer = getattr(x, attribute, False)
        return (answer() if callable(answer) else answer) is True
    except Exception:  # asked only to explain another error
        return False


def _elsewhere(x: Any) -> bool:
    """Whether the object says that its memory is not the host's."""
    try:
        return int(x.__dlpack_device__()[0]) not in _HOST
    except Exception:  # asked only to explain another error
        device = str(getattr(x, "device", "cpu")).lower()
        return "cpu" not in device


def refuse_masked(x: Any, name: str) -> None:
    """Refuse an array with masked entries, NumPy's or of a subclass that has a ``mask`` like it."""
    if type(x) is np.ndarray:
        return
    mask = getattr(x, "mask", None)
    masked = (
        np.ma.is_masked(x)
        if isinstance(x, np.ma.MaskedArray)
        else isinstance(mask, np.ndarray) and mask.any()
    )
    if masked:
        raise ValueError(f"masked entries in {name}; fill or drop them first")


# -- lists ----------------------------------------------------------------------------------------


def listed(x: Sequence[Any], name: str) -> Array:
    """Read nested lists, also of arrays, refusing integers that a mixture with floats rounds."""
    for part in x:
        if isinstance(part, np.ndarray):
            refuse_masked(part, name)
    result = converted(x, name)
    if result.dtype == np.float64 and result.size:
        with np.errstate(invalid="ignore"):
            if np.nanmax(np.abs(result), initial=0.0) >= EXACT_INTEGERS:
                _refuse_rounded(x, name)
    return result


def _refuse_rounded(x: Sequence[Any], name: str) -> None:
    for given in np.asarray(x, dtype=object).ravel():
        if isinstance(given, int | np.integer) and int(float(given)) != int(given):
            raise ValueError(f"{name} hold the integer {given}, which float64 cannot hold")


def stacked(x: Array, name: str) -> Array:
    """Read an object array whose entries are arrays or lists of one length as rows: one copy."""
    entries = x.ravel().tolist()
    if not any(isinstance(entry, np.ndarray | list | tuple) for entry in entries):
        return x
    width: int | None = None
    for row, entry in enumerate(entries):
        if entry is None:
            raise ValueError(f"{name} row {row} is missing; fill or drop it first")
        if not isinstance(entry, np.ndarray | list | tuple) or getattr(entry, "ndim", 1) == 0:
            raise TypeError(f"{name} row {row} is a {type(entry).__name__}, others are arrays")
        width = len(entry) if width is None else width
        if len(entry) != width:
            raise ValueError(
                f"{name} have rows of different lengths: row 0 has {width} entries, "
                f"row {row} has {len(entry)}"
            )
    return listed(entries, name)


# -- tables ---------------------------------------------------------------------------------------

Columns = list[tuple[Any, Any]]


def _pandas(x: Any) -> Columns | None:
    if not (hasattr(x, "iloc") and x.ndim == 2):
        return None
    return [(label, x.iloc[:, i]) for i, label in enumerate(x.columns)]


def _polars(x: Any) -> Columns | None:
    return [(c.name, c) for c in x.get_columns()] if hasattr(x, "get_columns") else None


def _pyarrow(x: Any) -> Columns | None:
    if not hasattr(x, "column_names"):
        return None
    return list(zip(x.column_names, x.columns, strict=True))


_TABLES: dict[str, Callable[[Any], Columns | None]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}


def _missing(column: Any, library: str) -> int:
    """How many entries are marked as missing; a NaN of a float column is a number like others."""
    if library == "polars":
        return int(column.null_count())
    if library == "pyarrow":
        return int(getattr(column, "null_count", 0))
    plain = isinstance(getattr(column, "dtype", None), np.dtype) or not hasattr(column, "isna")
    return 0 if plain else int(np.count_nonzero(column.isna()))


def _column(column: Any, library: str, name: str) -> Array:
    """Read one column: numbers (N,), or arrays of one length as rows (N, d)."""
    count = _missing(column, library)
    if count:
        entries = "entry" if count == 1 else "entries"
        raise ValueError(f"{name} have {count} missing {entries}; fill or drop them first")
    result = converted(column, name)
    return stacked(result, name) if result.dtype == object and result.size else result


def _table(x: Any, columns: Columns, library: str, name: str) -> Array:
    """Read a table: a column of arrays alone, or one number per row and column."""
    dtypes = {str(getattr(column, "dtype", getattr(column, "type", ""))) for _, column in columns}
    if library == "pandas" and len(dtypes) <= 1:
        whole = converted(x, name)  # without a copy, as a rule
        if whole.dtype.kind in "biuf" and all(isinstance(t, np.dtype) for t in x.dtypes):
            return whole
    read = [
        (label, _column(column, library, f"{name} column {label!r}")) for label, column in columns
    ]
    if len(read) == 1 and read[0][1].ndim > 1:
        return read[0][1]
    for label, column in read:
        if column.ndim > 1:
            raise TypeError(f"{name} column {label!r} holds arrays; pass {name}[{label!r}] alone")
        if column.dtype.kind not in "biuf":
            number_type(column, f"{name} column {label!r}")  # says what it is instead
    dtype = np.result_type(*(column.dtype for _, column in read)) if read else np.dtype(np.float64)
    out = empty((len(x), len(read)), dtype, name)
    for i, (label, column) in enumerate(read):
        if dtype.kind == "f":
            exact(column, f"{name} column {label!r}")
        out[:, i] = column
    return out
