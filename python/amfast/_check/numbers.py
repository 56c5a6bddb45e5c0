"""Ints, floats, flags, choices, names and ids."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from amfast._typing import Int

MAX_THREADS = 1024


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


def item_ids(ids: object) -> Int:
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


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:40]}... ({type(given).__name__})"


def name_of_function(fn: Callable[..., Any]) -> str:
    """Return what a function calls itself."""
    return str(getattr(fn, "__name__", type(fn).__name__))
