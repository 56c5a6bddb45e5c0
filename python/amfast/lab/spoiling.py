"""How patterns are spoilt: by a name, by the functions of `amfast.corrupt`, or by one's own."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amfast import _check, corrupt
from amfast._typing import Array

Spoil = Callable[[Array, float, np.random.Generator], Array]

NAMES = ("flip", "gaussian", "mask", "random_mask", "inpaint")
_LIBRARY = {getattr(corrupt, name): name for name in NAMES}


def flat(x: object, name: str, shape: Sequence[int] | None) -> tuple[Array, tuple[int, ...] | None]:
    """Read patterns or images (N, H, W) as rows (N, d), and the shape of one of them."""
    given = _check.array(x, name)
    if given.ndim > 2 and given.size:
        shape = given.shape[1:] if shape is None else shape
        given = given.reshape(len(given), -1)
    return _check.rows(given, name), None if shape is None else tuple(shape)


def spoiler(given: object, binary: bool, shape: Sequence[int] | None) -> Spoil:
    """Return ``spoil(patterns, level, generator)``.

    Parameters
    ----------
    given : str, callable or None
        A name, a function of `amfast.corrupt` or a partial of one, or a function of one's own with
        three arguments. None flips binary patterns and adds noise to others.
    binary : bool
        Whether patterns hold -1 and +1 or 0 and 1 alone: what is masked is -1, or 0, then.
    shape : tuple of int or None
        Of one image, for what works on rows; None takes a pattern as one column of units.
    """
    if given is None:
        return flip if binary else noise
    if isinstance(given, str):
        name = _check.choice(given, "corrupt", NAMES)
        if name == "flip":
            return flip
        if name == "gaussian":
            return noise if shape is None else _of_library(corrupt.gaussian, binary, shape)
        return _of_library(getattr(corrupt, name), binary, shape)
    inner = given.func if isinstance(given, functools.partial) else given
    if _hashable(inner) and inner in _LIBRARY:
        return _of_library(given, binary, shape)
    function: Spoil = _check.function(given, "corrupt")
    return function


def _hashable(x: object) -> bool:
    return getattr(x, "__hash__", None) is not None


def _of_library(function: Any, binary: bool, shape: Sequence[int] | None) -> Spoil:
    """Give a function of `amfast.corrupt` its seed, and the shape of flat rows."""
    known = inspect.signature(function).parameters

    def spoil(patterns: Array, level: float, rng: np.random.Generator) -> Array:
        options: dict[str, Any] = {"seed": rng} if "seed" in known else {}
        if "shape" in known:
            options["shape"] = _shape(function, patterns.shape[1]) if shape is None else shape
        signs = binary and bool((patterns == -1).any())
        spoilt = np.asarray(function(patterns, level, **options))
        if signs and function is not corrupt.flip:
            spoilt = np.where(spoilt == 0, -1, spoilt).astype(patterns.dtype)
        return spoilt

    return spoil


def _shape(function: Any, width: int) -> tuple[int, int]:
    """Return the shape of a pattern of which nobody said it: a column, the squarest for frames."""
    inner = function.func if isinstance(function, functools.partial) else function
    if inner is not corrupt.inpaint:
        return width, 1
    height = next(h for h in range(math.isqrt(width), 0, -1) if width % h == 0)
    return height, width // height


def flip(patterns: Array, level: float, rng: np.random.Generator) -> Array:
    """Flip round(level d) units of every binary pattern."""
    if level > 1:
        raise ValueError(f"corruptions of binary patterns are shares of the units, got {level:g}")
    if not is_binary(patterns):
        raise ValueError("corrupt='flip' needs patterns of -1 and +1 or of 0 and 1")
    flipped = round(level * patterns.shape[1])
    order = rng.random(patterns.shape).argsort(axis=1)
    other = 1 - patterns if (patterns == 0).any() else -patterns
    return np.where(order < flipped, other, patterns).astype(patterns.dtype)


def noise(patterns: Array, level: float, rng: np.random.Generator) -> Array:
    """Add normal noise of standard deviation level, rounded and clipped for integers."""
    noisy = patterns + level * rng.standard_normal(patterns.shape)
    if patterns.dtype.kind in "iu":
        limits = np.iinfo(patterns.dtype)
        noisy = np.clip(np.rint(noisy), limits.min, limits.max)
    return np.asarray(noisy.astype(patterns.dtype))


def is_binary(patterns: Array) -> bool:
    """Whether all entries are -1 and +1, or 0 and 1."""
    signs = patterns.dtype.kind != "u" and bool((np.abs(patterns) == 1).all())
    return signs or bool(((patterns == 0) | (patterns == 1)).all())
