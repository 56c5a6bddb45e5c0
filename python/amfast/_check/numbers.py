"""Ints, floats, flags, choices, names, seeds, ids and indices."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from amfast._check.arrays import read
from amfast._typing import Int

MAX_THREADS = 1024
MAX_SEED = 2**64 - 1
# Squares of smaller numbers lose their digits, and then themselves.
MIN_SQUARED = float(np.sqrt(np.finfo(np.float64).tiny))
# Python's integers have no end, but what is computed from them does.
_LARGEST = int(np.finfo(np.float64).max)


def name_of(given: object, known: Collection[str], what: str, also: str = "") -> str:
    """Return ``given`` if it is one of ``known``, else list them and suggest what is near."""
    if not isinstance(given, str):
        raise TypeError(f"{what} must be a name{also}, got {type(given).__name__}")
    if given in known:
        return given
    near = difflib.get_close_matches(given.lower(), known, n=2)
    suggestion = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    raise ValueError(f"unknown {what} {given!r}{suggestion} Known: {', '.join(known)}")


def integer(given: object, name: str, low: int, high: int | None = None) -> int:
    """Read an integer within bounds; bool and float are no integers.

    Without ``high`` the bound is the largest float, so that no formula overflows on the way in.
    """
    if type(given) is int and low <= given <= (_LARGEST if high is None else high):
        return given
    limits = f"an int >= {low}" if high is None else f"an int in {low}..{high}"
    if isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be {limits}, got a bool")
    try:
        value = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be {limits}, got {shown(given)}") from None
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be {limits}, got {shown(value)}")
    if high is None and value > _LARGEST:
        raise ValueError(f"{name} must be {limits} that a float can hold, got {shown(value)}")
    return value


def seed(given: object, name: str = "seed") -> int:
    """Read a seed: an integer in 0..2**64 - 1."""
    return integer(given, name, 0, MAX_SEED)


def number(
    given: object,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Read a finite real number in ``low..high``, which are included; ``above`` leaves low out."""
    if type(given) is float and low < given <= high and math.isfinite(given):
        return given
    if high < math.inf and above:
        limits = f"a number above {low:g} and at most {high:g}"
    elif high < math.inf:
        limits = f"a number in {low:g}..{high:g}"
    elif low == -math.inf:
        limits = "a finite number"
    else:
        limits = f"a finite number {'>' if above else '>='} {low:g}"
    real = isinstance(given, int | float | np.integer | np.floating) or (
        isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "uif"
    )
    if isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be {limits}, got a bool")
    if not real:
        raise TypeError(f"{name} must be {limits}, got {shown(given)}")
    try:
        value = float(given)  # type: ignore[arg-type]
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or not low <= value <= high or (above and value == low):
        raise ValueError(f"{name} must be {limits}, got {shown(given)}")
    return value


def radius(given: object, larger_is_better: bool, n_bits: int | None = None) -> float:
    """Read a radius: any finite number for dot, >= 0 for distances, <= n_bits among bits."""
    result = number(given, "radius", -math.inf if larger_is_better else 0.0)
    if n_bits is not None and result > n_bits:
        raise ValueError(f"radius must be in 0..{n_bits}, the number of bits, got {shown(given)}")
    return result


def flag(given: object, name: str) -> bool:
    """Read a bool; nothing else is one."""
    if given is True or given is False:
        return given
    if not isinstance(given, np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(given)}")
    return bool(given)


def choice(given: object, name: str, options: tuple[Any, ...]) -> Any:
    """Return ``given`` if it is one of ``options``."""
    if isinstance(given, (str, int)) and not isinstance(given, bool) and given in options:
        return given
    raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {shown(given)}")


def function(given: object, name: str) -> Callable[..., Any]:
    """Return ``given`` if it can be called."""
    if not callable(given):
        raise TypeError(f"{name} must be callable, got {shown(given)}")
    return given


def item_ids(ids: object) -> Int:
    """Read the ids of items to delete: one or many ints, none of them twice; sorted."""
    given = np.atleast_1d(_int64(ids, "ids", "an int or 1-d", "no item has the id {}"))
    unique, counts = np.unique(given, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"ids name {unique[counts.argmax()]} twice")
    return unique


def indices(given: object, name: str, length: int) -> Int:
    """Read which of ``length`` rows: a bool mask of shape (length,), or ints in 0..length - 1.

    Returns
    -------
    (n,) int64 array
        In the order given; those of a mask rise.
    """
    x = read(given, name)
    if x.dtype == np.bool_:
        if x.shape != (length,):
            raise ValueError(f"{name} as a mask must have shape ({length},), got {x.shape}")
        return np.flatnonzero(x)
    out_of_range = f"{name} must be in 0..{length - 1}, got {{}}"
    index = _int64(x, name, "1-d", out_of_range)
    if index.ndim != 1:
        raise ValueError(f"{name} must be 1-d, got shape {index.shape}")
    bad = np.flatnonzero((index < 0) | (index >= length))
    if len(bad):
        raise ValueError(out_of_range.format(index[bad[0]]))
    return index


def _int64(given: object, name: str, shape: str, too_large: str) -> Int:
    """Read integers of at most one dimension; nothing in a list is no integers."""
    x = read(given, name)
    if x.size == 0 and x.ndim == 1:
        return np.empty(0, np.int64)
    if x.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {x.dtype}")
    if x.ndim > 1:
        raise ValueError(f"{name} must be {shape}, got shape {x.shape}")
    if x.max() > np.iinfo(np.int64).max:
        raise ValueError(too_large.format(x.max()))
    return x.astype(np.int64)


def shown(given: object) -> str:
    """Return what came, as an error says it: short, and printable whatever it is."""
    try:
        text = repr(given)
    except Exception:  # integers of thousands of digits have no repr, nor have some objects
        size = f" of {given.bit_length()} bits" if isinstance(given, int) else ""
        return f"an unprintable {type(given).__name__}{size}"
    return text if len(text) <= 60 else f"{text[:40]}... ({type(given).__name__})"


def name_of_function(fn: Callable[..., Any]) -> str:
    """Return what a function calls itself."""
    return str(getattr(fn, "__name__", type(fn).__name__))
