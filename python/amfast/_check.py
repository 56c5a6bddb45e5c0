"""The edge: everything a caller hands over is checked here once, before the engine sees it.

Functions return arrays that are C-contiguous, aligned, in native byte order, two-dimensional and of
an element type the engine knows, or raise a ValueError (values, shapes), TypeError (element types)
or MemoryError (what cannot fit) that names the argument, what was expected and what came.
"""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

METRICS = (
    "dot",
    "cosine",
    "sqeuclidean",
    "euclidean",
    "manhattan",
    "kl",
    "reverse_kl",
    "jensenshannon",
    "hamming",
)
ALIASES = {"l2": "euclidean", "cityblock": "manhattan", "l1": "manhattan"}
INTEGER_METRICS = ("dot", "sqeuclidean", "manhattan")
DISTRIBUTION_METRICS = ("kl", "reverse_kl", "jensenshannon")

# Beyond this many columns a sum of 255 * 255 could leave int32.
INTEGER_MAX_COLUMNS = 33025
MAX_THREADS = 1024
# Larger integers are not all float64 numbers.
EXACT_INTEGERS = 2**53
_SCAN_BYTES = 1 << 23


# -- arrays ---------------------------------------------------------------------------------------


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


def vector(x: object, name: str, length: int) -> NDArray[np.float64]:
    """Read ``x`` as ``length`` float64 numbers; a scalar is not repeated."""
    result = array(x, name)
    if result.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {result.shape}")
    return np.ascontiguousarray(result, np.float64)


def item_weights(x: object, length: int) -> NDArray[np.float64]:
    """Read item weights, finite and >= 0."""
    result = vector(x, "weights", length)
    bad = np.flatnonzero(~(np.isfinite(result) & (result >= 0)))
    if len(bad):
        raise ValueError(
            f"weights must be finite and >= 0, entry {bad[0]} is {float(result[bad[0]])}"
        )
    return result


def log_weights(x: object, length: int) -> NDArray[np.float64]:
    """Read logarithms of item weights: finite, or -inf for an item left out."""
    result = vector(x, "log_weight", length)
    bad = np.flatnonzero(~(result < np.inf))
    if len(bad):
        raise ValueError(
            f"log_weight must be finite or -inf, entry {bad[0]} is {float(result[bad[0]])}"
        )
    return result


def item_ids(ids: object) -> NDArray[np.int64]:
    """Read the ids of items to delete: one or many ints, none of them twice; sorted."""
    given = np.atleast_1d(np.asarray(ids))
    if given.size == 0 and given.ndim == 1:
        return np.empty(0, np.int64)
    if given.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got dtype {given.dtype}")
    if given.ndim != 1:
        raise ValueError(f"ids must be an int or 1-d, got shape {given.shape}")
    if given.max() > np.iinfo(np.int64).max:
        raise ValueError(f"no item has the id {given.max()}")
    unique, counts = np.unique(given.astype(np.int64), return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"ids name {unique[counts.argmax()]} twice")
    return unique


# -- element types --------------------------------------------------------------------------------


def compute_type(*arrays: Array) -> np.dtype[Any]:
    """float64 if any of the arrays is, else float32."""
    return np.dtype(np.float64 if any(a.dtype == np.float64 for a in arrays) else np.float32)


def scored_exactly(queries: Array, keys: Array, metric: str | None) -> bool:
    """Whether the engine gives exact int32 scores."""
    return (
        queries.dtype == keys.dtype
        and queries.dtype.kind in "ui"
        and metric in INTEGER_METRICS
        and queries.shape[1] <= INTEGER_MAX_COLUMNS
    )


def score_types(queries: Array, keys: Array, metric: str) -> tuple[Array, np.dtype[Any]]:
    """Return queries in the type the engine wants beside ``keys``, and the type of the scores.

    uint8 with uint8 and int8 with int8 give exact int32 for dot, sqeuclidean and manhattan.
    """
    if scored_exactly(queries, keys, metric):
        return queries, np.dtype(np.int32)
    if queries.dtype == keys.dtype and queries.dtype.kind in "ui" and metric in INTEGER_METRICS:
        return queries.astype(np.float64), np.dtype(np.float64)
    dtype = compute_type(queries, keys)
    return queries.astype(dtype, copy=False), dtype


def widen(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """Return the narrowest stored type that holds both without loss."""
    both = np.promote_types(first, second)
    return np.dtype(np.float32) if both == np.int16 else both


# -- names and numbers ----------------------------------------------------------------------------


def name_of(given: object, known: Iterable[str], what: str, also: str = "") -> str:
    """Return ``given`` if it is one of ``known``, else list them and suggest what is near."""
    names = list(known)
    if not isinstance(given, str):
        raise TypeError(f"{what} must be a name{also}, got {type(given).__name__}")
    if given in names:
        return given
    near = difflib.get_close_matches(given.lower(), names, n=2)
    suggestion = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    raise ValueError(f"unknown {what} {given!r}{suggestion} Known: {', '.join(names)}")


def metric(given: object) -> str:
    """Resolve a metric's name or alias."""
    known = name_of(given, (*METRICS, *ALIASES), "metric")
    return ALIASES.get(known, known)


def integer(given: object, name: str, low: int, high: int | None = None) -> int:
    """Read an integer within bounds; bool and float are no integers."""
    limits = f"an int >= {low}" if high is None else f"an int in {low}..{high}"
    if isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be {limits}, got a bool")
    try:
        value = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be {limits}, got {_short(given)}") from None
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be {limits}, got {_short(value)}")
    return value


def number(given: object, name: str, low: float = -math.inf) -> float:
    """Read a finite real number >= ``low``."""
    limits = "a finite number" if low == -math.inf else f"a finite number >= {low:g}"
    real = isinstance(given, int | float | np.integer | np.floating) or (
        isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "uif"
    )
    if isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be {limits}, got a bool")
    if not real:
        raise TypeError(f"{name} must be {limits}, got {_short(given)}")
    try:
        value = float(given)  # type: ignore[arg-type]
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or value < low:
        raise ValueError(f"{name} must be {limits}, got {_short(given)}")
    return value


def radius(given: object, larger_is_better: bool, n_bits: int | None = None) -> float:
    """Read a radius: any finite number for dot, >= 0 for distances, <= n_bits among bits."""
    result = number(given, "radius", -math.inf if larger_is_better else 0.0)
    if n_bits is not None and result > n_bits:
        raise ValueError(f"radius must be in 0..{n_bits}, the number of bits, got {_short(given)}")
    return result


def flag(given: object, name: str) -> bool:
    """Read a bool; nothing else is one."""
    if not isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {_short(given)}")
    return bool(given)


def choice(given: object, name: str, options: tuple[Any, ...]) -> Any:
    """Return ``given`` if it is one of ``options``."""
    if isinstance(given, str | int) and not isinstance(given, bool) and given in options:
        return given
    raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {_short(given)}")


def function(given: object, name: str) -> Callable[..., Any]:
    """Return ``given`` if it can be called."""
    if not callable(given):
        raise TypeError(f"{name} must be callable, got {_short(given)}")
    return given


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:40]}... ({type(given).__name__})"


# -- outputs --------------------------------------------------------------------------------------


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def room(need: int, what: str) -> None:
    """Refuse what takes more bytes than the machine has."""
    have = _physical_memory()
    if need > have:
        raise MemoryError(f"{what} take {need / 1e9:.1f} GB, the machine has {have / 1e9:.1f} GB")


def fits(shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> None:
    """Refuse a result that is larger than the machine's memory, before anything is computed."""
    room(math.prod(shape) * dtype.itemsize, f"{what} of shape {shape} and {dtype}")


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> Array:
    """Allocate a result, or say with numbers why it does not fit."""
    fits(shape, dtype, what)
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        size = math.prod(shape) * dtype.itemsize / 1e9
        raise MemoryError(
            f"{what} of shape {shape} and {dtype} take {size:.1f} GB, which cannot be allocated"
        ) from error


def out(given: object, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: list[Array]) -> Array:
    """Check an output: exact shape and type, writable, C-contiguous, apart from the inputs."""
    if not isinstance(given, np.ndarray) or isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"out must be a plain NumPy array, got {type(given).__name__}")
    if given.dtype != dtype or not given.dtype.isnative:
        raise TypeError(f"out must have dtype {dtype}, got {given.dtype}")
    if given.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {given.shape}")
    if not given.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    if not (given.flags.c_contiguous and given.flags.aligned):
        raise ValueError("out must be C-contiguous and aligned, got another memory layout")
    if any(np.shares_memory(given, x) for x in inputs):
        raise ValueError("out must not share memory with an input")
    return np.asarray(given)
