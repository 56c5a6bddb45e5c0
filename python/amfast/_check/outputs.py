"""Room for results, and `out=`."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from amfast._typing import Array


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


_MEMORY = _physical_memory()


def room(need: int, what: str) -> None:
    """Refuse what takes more bytes than the machine has."""
    if need > _MEMORY:
        raise MemoryError(f"{what} take {_gigabytes(need)}, the machine has {_gigabytes(_MEMORY)}")


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count < 1e300 else f"10^{math.log10(count) - 9:.0f} GB"


def fits(shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> None:
    """Refuse a result that is larger than the machine's memory, before anything is computed."""
    need = math.prod(shape) * dtype.itemsize
    if need > _MEMORY:  # a type writes its name slowly
        room(need, f"{what} of shape {shape} and {dtype}")


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> Array:
    """Allocate a result, or say with numbers why it does not fit."""
    fits(shape, dtype, what)
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        size = _gigabytes(math.prod(shape) * dtype.itemsize)
        raise MemoryError(
            f"{what} of shape {shape} and {dtype} take {size}, which cannot be allocated"
        ) from error


def retyped(x: Array, dtype: np.dtype[Any], what: str) -> Array:
    """Return ``x`` in a type that holds it, C-contiguous; ``x`` itself if it has the type and is.

    Where memory is needed it is asked for as by `empty`.
    """
    if x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned:
        return x
    result = empty(x.shape, dtype, what)
    np.copyto(result, x, casting="unsafe")
    return result


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
