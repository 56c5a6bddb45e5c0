"""The kinds of weights: signed, nonnegative, whole, shares, masses, and logarithms.

Each reader takes one number for all, one number each, or None, which means 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from amfast._check.arrays import array, read, vector
from amfast._check.numbers import number
from amfast._typing import Array, Float, Int, Mask

_LARGEST = np.iinfo(np.int64).max


def signed(given: object, length: int, name: str = "weights") -> Float:
    """Read finite weights of any sign, shape (length,); None means 1."""
    result = _floats(given, length, name, number)
    _refuse(np.isfinite(result), result, f"{name} must be finite")
    return result


def nonnegative(given: object, length: int, name: str = "weights") -> Float:
    """Read finite weights >= 0, shape (length,); None means 1."""
    result = _floats(given, length, name, lambda x, name: number(x, name, 0.0))
    _refuse(np.isfinite(result) & (result >= 0), result, f"{name} must be finite and >= 0")
    return result


def whole(given: object, length: int, name: str = "weights") -> Int:
    """Read whole numbers of any sign, int64, shape (length,); None means 1.

    Beyond int64 they stop at its ends: they are meant for counters, to which more makes no
    difference.
    """
    if given is None:
        return np.ones(length, np.int64)
    if isinstance(given, bool | np.bool_):
        raise TypeError(f"{name} must be an int or an array of whole numbers, got a bool")
    if isinstance(given, int):
        return np.full(length, max(-_LARGEST, min(_LARGEST, given)), np.int64)
    x = read(given, name)
    if x.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold whole numbers, got dtype {x.dtype}")
    if x.ndim == 0:
        x = np.full(length, x)
    if x.shape != (length,):
        raise ValueError(f"{name} must be one number or have shape ({length},), got {x.shape}")
    if x.dtype.kind == "f":
        _refuse(np.isfinite(x) & (x == np.rint(x)), x, f"{name} must be whole numbers")
        x = np.clip(x.astype(np.float64), -(2.0**62), 2.0**62)
    elif x.dtype.kind == "u":
        x = np.minimum(x, _LARGEST)
    return np.asarray(x.astype(np.int64))


def shares(given: object, length: int, name: str = "weights") -> Float:
    """Read weights in 0..1, shape (length,) or (length, 1), as (length,); None means 1."""
    if given is not None and not _is_number(given):
        x = array(given, name)
        if x.ndim and x.shape not in ((length,), (length, 1)):
            raise ValueError(f"{name} must have shape ({length},) or ({length}, 1), got {x.shape}")
        given = x[:, 0] if x.ndim == 2 else x
    result = _floats(given, length, name, lambda x, name: number(x, name, 0.0, 1.0))
    _refuse((result >= 0) & (result <= 1), result, f"{name} must be in 0..1")
    return result


def masses(
    given: object,
    length: int,
    name: str = "weights",
    nothing: str = "sum to 0; at least one must be above 0",
) -> Float:
    """Read finite weights >= 0 and divide them by their sum, shape (length,); None means equal.

    ``nothing`` ends the sentence about weights that are all 0: "weights sum to 0; ...".
    """
    result = nonnegative(given, length, name)
    top = float(result.max(initial=0.0))
    if top == 0:
        raise ValueError(f"{name} {nothing}")
    result = result / top  # a sum of huge masses would overflow
    return np.asarray(result / result.sum())


def log_weights(given: object, length: int, name: str = "log_weight") -> Float:
    """Read logarithms of item weights, shape (length,): finite, or -inf for an item left out."""
    result = vector(given, name, length)
    _refuse(result < np.inf, result, f"{name} must be finite or -inf")
    return result


def item_weights(given: object, length: int) -> Float:
    """Read item weights, finite and >= 0, one each."""
    return nonnegative(vector(given, "weights", length), length)


def _floats(given: object, length: int, name: str, one: Callable[[object, str], float]) -> Float:
    """Read float64 numbers, one each or, read by ``one``, one for all; None means 1."""
    if given is None:
        return np.ones(length)
    if _is_number(given):
        return np.full(length, one(given, name))
    x = array(given, name)
    return np.full(length, one(x, name)) if x.ndim == 0 else vector(x, name, length)


def _is_number(given: object) -> bool:
    return isinstance(given, bool | int | float | np.generic)


def _refuse(fine: Mask, x: Array, sentence: str) -> None:
    bad = np.flatnonzero(~fine)
    if len(bad):
        raise ValueError(f"{sentence}, entry {bad[0]} is {x[bad[0]].item()}")
