"""Corrupt images and binary patterns, the same way every time.

The perturbations of Millidge et al. (ICML 2022) with the exact row counts, borders and inequalities
of the code its authors published, plus bit flips for binary patterns. Every function

- takes one image or a batch and gives back an array of the same shape and dtype,
- never writes into what it was given,
- draws chance from ``seed`` alone, image after image: a batch of a hundred starts with the same
  ten noises as a batch of ten.

Shapes understood without help: ``(H, W)`` one grey image, ``(H, W, C)`` with C = 1, 3 or 4 one
colour image, ``(N, H, W)`` a batch of grey images, ``(N, H, W, C)`` a batch of colour images. Flat
rows ``(D,)`` or ``(N, D)``, and anything ambiguous, need ``shape=``, the shape of one image. So a
2-d array without it is refused where its width is that of flattened square images (784 = 28 x 28,
3072 = 3 x 32 x 32), unless the perturbation treats flat rows and images alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from amfast import _check
from amfast._typing import Array

__all__ = ["flip", "gaussian", "inpaint", "mask", "random_mask"]

Seed = int | np.random.Generator
Layout = Literal["hwc", "chw"]

_COLOUR_CHANNELS = (1, 3, 4)
_FLOATS = (np.float16, np.float32, np.float64)
# Flat images of the data sets here: as many rows of that width are rather a batch than an image.
_FLAT_SIZES = (28 * 28, 32 * 32 * 3, 64 * 64 * 3)
# Narrower 2-d arrays are small pictures, not rows of flattened ones.
_SMALLEST_FLAT = 64
# Noise of that size leaves 0..1 for certain, and its multiples are still float32 numbers.
_SIGMA_MAX = 1e30


@dataclass(frozen=True)
class _Batch:
    """A private copy of the images as (N, H, W, C), and the way back to the caller's shape."""

    pixels: Array
    channels_first: bool
    original: tuple[int, ...]

    def restore(self) -> Array:
        pixels = self.pixels.transpose(0, 3, 1, 2) if self.channels_first else self.pixels
        return np.ascontiguousarray(pixels).reshape(self.original)


def _read(given: ArrayLike, name: str) -> Array:
    """Read finite real numbers in the caller's dtype."""
    array = _check.read(given, name)
    if array.dtype.kind not in "buif":
        _check.array(array, name)  # says what it is instead
    _check.finite(array, name)
    return array


def _open(
    images: ArrayLike,
    shape: Sequence[int] | None,
    layout: str,
    flat: Callable[[int], bool],
) -> _Batch:
    """Copy ``images`` into (N, H, W, C) form; ``flat`` tells widths that flat rows may have."""
    array = _read(images, "images")
    channels_first = _check.choice(layout, "layout", ("hwc", "chw")) == "chw"
    single = _single_shape(array, shape, channels_first)
    if shape is None and array.ndim == 2 and _could_be_rows(array, flat):
        height, width = array.shape
        raise ValueError(
            f"images have shape {array.shape}, which could be {height} flat rows or one image: "
            f"pass shape=, (H, W) or (H, W, C) of one flat image, or shape=({height}, {width})"
        )
    alone = array.shape in (single, (int(np.prod(single)),))
    count = 1 if alone else array.shape[0]
    batch = array.reshape((count, *single)).copy()
    if len(single) == 2:
        return _Batch(batch[..., np.newaxis], False, array.shape)
    return _Batch(
        batch.transpose(0, 2, 3, 1) if channels_first else batch, channels_first, array.shape
    )


def _could_be_rows(array: Array, flat: Callable[[int], bool]) -> bool:
    height, width = array.shape
    square = height == width and width not in _FLAT_SIZES
    return flat(width) and not square


def _flat_colour(width: int) -> bool:
    """Whether flattened square colour images have this width."""
    return width >= _SMALLEST_FLAT and width % 3 == 0 and math.isqrt(width // 3) ** 2 == width // 3


def _flat_square(width: int) -> bool:
    """Whether flattened square images, grey or colour, have this width."""
    grey = width >= _SMALLEST_FLAT and math.isqrt(width) ** 2 == width
    return grey or _flat_colour(width)


def _single_shape(
    array: Array, shape: Sequence[int] | None, channels_first: bool
) -> tuple[int, ...]:
    """Return the shape of one image, from ``shape`` or from the array's own dimensions."""
    if shape is not None:
        lengths = shape.tolist() if isinstance(shape, np.ndarray) else shape
        if not isinstance(lengths, list | tuple) or any(
            isinstance(n, bool | np.bool_) or not isinstance(n, int | np.integer) for n in lengths
        ):
            raise TypeError(
                f"shape must be a tuple of ints, the shape of one image, got {_check.shown(shape)}"
            )
        single = tuple(_check.integer(length, "each length of shape", 1) for length in lengths)
        if len(single) not in (2, 3):
            raise ValueError(f"shape must be (H, W) or three lengths of one image, got {single}")
        size = math.prod(single)
        if array.shape not in (single, (size,)) and array.shape[1:] not in (single, (size,)):
            raise ValueError(
                f"images must have shape {single}, (N, {str(single)[1:-1]}), ({size},) or "
                f"(N, {size}) for shape={single}, got {array.shape}"
            )
        return single
    if array.ndim == 2 and not channels_first:
        return array.shape
    if array.ndim == 3:
        channels = array.shape[0] if channels_first else array.shape[2]
        return array.shape if channels in _COLOUR_CHANNELS else array.shape[1:]
    if array.ndim == 4:
        return array.shape[1:]
    raise ValueError(
        f"images must have shape (H, W), (H, W, C), (N, H, W) or (N, H, W, C), got {array.shape}; "
        "flat rows need shape=, the shape of one image"
    )


def _fraction(given: object) -> float:
    return _check.number(given, "fraction", 0.0, 1.0)


def _generator(seed: Seed) -> np.random.Generator:
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(_check.seed(seed))


def mask(
    images: ArrayLike,
    fraction: float = 0.5,
    *,
    keep: Literal["top", "bottom"] = "top",
    shape: Sequence[int] | None = None,
    layout: Layout = "hwc",
) -> Array:
    """Set ``fraction`` of the rows of every image to zero.

    ``int(H * (1 - fraction))`` rows stay, so of 32 rows a fraction of 0.3 keeps 22. This is
    ``mask_continuous_img`` of the paper's code; its ``reversed=True`` takes the fraction to *keep*
    instead and is ``keep="bottom"`` up to that (the same thing at one half).

    Parameters
    ----------
    images : array_like
        One image or a batch, any real dtype.
    fraction : float, default 0.5
        Share of the rows that is blanked, 0 to 1.
    keep : {"top", "bottom"}, default "top"
        Which end of the image stays visible. The paper's code keeps the top, its text the bottom.
    shape : tuple of int, optional
        Shape of one image, needed for flat rows.
    layout : {"hwc", "chw"}, default "hwc"
        Where colour images keep their channels.

    Returns
    -------
    ndarray
        Same shape and dtype as ``images``.

    Raises
    ------
    ValueError
        For a fraction outside 0..1, an unknown ``keep`` or ``layout``, a shape that does not fit.
    TypeError
        For complex, object or string arrays.

    Examples
    --------
    >>> import numpy as np
    >>> mask(np.ones((4, 2)), 0.5).sum(axis=1)
    array([2., 2., 0., 0.])
    >>> mask(np.ones((1, 8)), 0.5, keep="bottom", shape=(4, 2))
    array([[0., 0., 0., 0., 1., 1., 1., 1.]])
    """
    fraction = _fraction(fraction)
    _check.choice(keep, "keep", ("top", "bottom"))
    batch = _open(images, shape, layout, _flat_square)
    height = batch.pixels.shape[1]
    kept = int(height * (1 - fraction))
    if keep == "top":
        batch.pixels[:, kept:] = 0
    else:
        batch.pixels[:, : height - kept] = 0
    return batch.restore()


def gaussian(
    images: ArrayLike,
    sigma: float,
    mode: Literal["fold", "clip"] = "fold",
    *,
    seed: Seed = 0,
    shape: Sequence[int] | None = None,
) -> Array:
    """Add Gaussian noise and bring the result back into the range of an image.

    ``fold`` is the paper's code, ``min(|x + N(0, sigma)|, 1)``: noise below zero is reflected,
    which lifts a black pixel to a mean of about 0.39 at ``sigma = 0.5``. ``clip`` is the paper's
    text, ``min(max(x + N(0, sigma), 0), 1)``, where it is about 0.19.

    Parameters
    ----------
    images : array_like of uint8 or float
        One image or a batch; floats must lie in 0..1, uint8 counts as x / 255 and is rounded back.
    sigma : float
        Standard deviation of the noise for a range of 0..1 (also for uint8), finite and >= 0. The
        paper calls it a variance; its code uses it as the standard deviation.
    mode : {"fold", "clip"}, default "fold"
        What happens to values outside 0..1.
    seed : int or numpy.random.Generator, default 0
        The only source of chance; an int in 0..2**64 - 1.
    shape : tuple of int, optional
        Shape of one image, only checked: noise needs none, but all perturbations are called alike.

    Returns
    -------
    ndarray
        Same shape and dtype as ``images``.

    Raises
    ------
    ValueError
        For floats outside 0..1 or not finite, a ``sigma`` that is negative or not finite, an
        unknown ``mode``.
    TypeError
        For dtypes other than uint8 and the floats.

    Examples
    --------
    >>> import numpy as np
    >>> black = np.zeros((100, 28, 28))
    >>> float(gaussian(black, 0.5).mean().round(2))
    0.39
    >>> float(gaussian(black, 0.5, "clip").mean().round(2))
    0.19
    """
    array = _read(images, "images")
    if array.dtype != np.uint8 and array.dtype.newbyteorder("=") not in _FLOATS:
        raise TypeError(
            f"images must be uint8, float16, float32 or float64, got dtype {array.dtype}"
        )
    _check.choice(mode, "mode", ("fold", "clip"))
    if not 1 <= array.ndim <= 4:
        raise ValueError(f"images must have 1 to 4 dimensions, got shape {array.shape}")
    sigma = _check.number(sigma, "sigma", 0.0)
    if shape is not None:
        _single_shape(array, shape, channels_first=False)
    precision = np.float64 if array.dtype.itemsize == 8 else np.float32
    scale = 255 if array.dtype == np.uint8 else 1
    if scale == 1 and array.size:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"images must lie in 0..1 (or be uint8 in 0..255), got {low:g}..{high:g}"
            )
    noisy = _generator(seed).standard_normal(array.shape, dtype=precision)
    noisy *= precision(min(sigma, _SIGMA_MAX))
    noisy += array if scale == 1 else array / precision(scale)
    if mode == "fold":
        np.abs(noisy, out=noisy)
    np.clip(noisy, 0, 1, out=noisy)
    if scale == 255:
        np.rint(noisy * precision(scale), out=noisy)
    return noisy.astype(array.dtype, copy=False)


def random_mask(
    images: ArrayLike,
    fraction: float,
    *,
    seed: Seed = 0,
    per: Literal["pixel", "value"] = "pixel",
    shape: Sequence[int] | None = None,
    layout: Layout = "hwc",
) -> Array:
    """Blank every pixel with probability ``fraction``.

    A pixel is blanked where ``u <= fraction`` with ``u`` uniform in [0, 1).

    Parameters
    ----------
    images : array_like
        One image or a batch, any real dtype.
    fraction : float
        Probability of blanking, 0 (nothing) to 1 (everything).
    seed : int or numpy.random.Generator, default 0
        The only source of chance; an int in 0..2**64 - 1.
    per : {"pixel", "value"}, default "pixel"
        "pixel" blanks all channels of a pixel together (the paper's figure 14), "value" draws for
        every channel by itself (its figure 12).
    shape : tuple of int, optional
        Shape of one image, needed for flat rows.
    layout : {"hwc", "chw"}, default "hwc"
        Where colour images keep their channels.

    Returns
    -------
    ndarray
        Same shape and dtype as ``images``.

    Raises
    ------
    ValueError, TypeError
        As for `mask`.

    Examples
    --------
    >>> import numpy as np
    >>> bool(abs(random_mask(np.ones((50, 32, 32, 3)), 0.3).mean() - 0.7) < 0.01)
    True
    """
    fraction = _fraction(fraction)
    _check.choice(per, "per", ("pixel", "value"))
    # Single values are drawn alike for flat rows and images; the channels of a pixel are not.
    batch = _open(images, shape, layout, _flat_colour if per == "pixel" else lambda _: False)
    count, height, width, channels = batch.pixels.shape
    drawn = channels if per == "value" else 1
    uniform = _generator(seed).random((count, height, width, drawn))
    # u can be exactly 0, and a fraction of 0 still promises to change nothing.
    gone = (uniform <= fraction) & (fraction > 0)
    batch.pixels[np.broadcast_to(gone, batch.pixels.shape)] = 0
    return batch.restore()


def inpaint(
    images: ArrayLike,
    fraction: float,
    *,
    shape: Sequence[int] | None = None,
    layout: Layout = "hwc",
) -> Array:
    """Blank a border of ``int(H * fraction // 2)`` pixels on all four sides.

    The blanked *area* is larger than the fraction says: at 0.5 three quarters of it are gone.

    Parameters
    ----------
    images : array_like
        One image or a batch, any real dtype.
    fraction : float
        Share of the height that the upper and lower border take together, 0 to 1.
    shape : tuple of int, optional
        Shape of one image, needed for flat rows.
    layout : {"hwc", "chw"}, default "hwc"
        Where colour images keep their channels.

    Returns
    -------
    ndarray
        Same shape and dtype as ``images``.

    Raises
    ------
    ValueError, TypeError
        As for `mask`.

    Examples
    --------
    >>> import numpy as np
    >>> inpaint(np.ones((4, 4)), 0.5)
    array([[0., 0., 0., 0.],
           [0., 1., 1., 0.],
           [0., 1., 1., 0.],
           [0., 0., 0., 0.]])
    """
    fraction = _fraction(fraction)
    batch = _open(images, shape, layout, _flat_square)
    height, width = batch.pixels.shape[1:3]
    border = int(height * fraction // 2)
    inside = np.zeros((height, width), dtype=bool)
    inside[border : height - border, border : max(width - border, 0)] = True
    batch.pixels[:, ~inside] = 0
    return batch.restore()


def flip(
    patterns: ArrayLike,
    fraction: float | None = None,
    *,
    n_flips: int | None = None,
    seed: Seed = 0,
    coding: Literal["auto", "bipolar", "binary"] = "auto",
) -> Array:
    """Flip an exact number of distinct positions in every binary pattern.

    Parameters
    ----------
    patterns : array_like, shape (d,) or (N, d)
        Bool, {0, 1} or {-1, +1}; anything else is refused, never rounded.
    fraction : float, optional
        Share of the positions to flip, 0 to 1: ``round(fraction * d)`` of them (half to even).
    n_flips : int, optional
        Number of positions to flip, 0 to d. Exactly one of the two is given.
    seed : int or numpy.random.Generator, default 0
        The only source of chance; an int in 0..2**64 - 1.
    coding : {"auto", "bipolar", "binary"}, default "auto"
        "auto" looks at the values. Signed patterns that are 1 everywhere could be either: say it.

    Returns
    -------
    ndarray
        Same shape and dtype as ``patterns``.

    Raises
    ------
    ValueError
        For values that are not binary, an ambiguous coding, or a number of flips that does not fit.
    TypeError
        For complex, object or string arrays.

    Examples
    --------
    >>> import numpy as np
    >>> int((flip(np.ones((2, 10), dtype=bool), n_flips=3) == False).sum())
    6
    """
    array = _read(patterns, "patterns")
    if array.ndim not in (1, 2):
        raise ValueError(f"patterns must have shape (d,) or (N, d), got {array.shape}")
    width = array.shape[-1]
    count = _flip_count(fraction, n_flips, width)
    bipolar = _is_bipolar(array, coding)
    generator = _generator(seed)
    result = array.copy()
    if count == 0 or result.size == 0:
        return result
    rows = result.reshape(-1, width)
    # The positions of the smallest of d uniform numbers are a uniform choice without repetition.
    order = np.argpartition(generator.random(rows.shape), count - 1, axis=1)[:, :count]
    chosen = np.take_along_axis(rows, order, axis=1)
    if array.dtype == bool:
        flipped = ~chosen
    else:
        flipped = -chosen if bipolar else 1 - chosen
    np.put_along_axis(rows, order, flipped.astype(array.dtype, copy=False), axis=1)
    return result


def _flip_count(fraction: float | None, n_flips: int | None, width: int) -> int:
    if (fraction is None) == (n_flips is None):
        raise ValueError("flip needs exactly one of fraction and n_flips")
    if fraction is not None:
        return round(_fraction(fraction) * width)
    return _check.integer(n_flips, "n_flips", 0, width)


def _is_bipolar(array: Array, coding: str) -> bool:
    """Say whether the patterns are {-1, +1} (True) or {0, 1} (False)."""
    _check.choice(coding, "coding", ("auto", "bipolar", "binary"))
    if array.dtype == bool:
        if coding == "bipolar":
            raise ValueError("patterns are bool, which coding='bipolar' says they are not")
        return False
    ones, zeros, minus_ones = array == 1, array == 0, array == -1
    if coding != "bipolar" and bool(np.all(ones | zeros)):
        if coding == "auto" and array.size and array.dtype.kind != "u" and not zeros.any():
            raise ValueError(
                "patterns are 1 everywhere, which could be {0, 1} or {-1, +1}: "
                "pass coding='binary' or coding='bipolar'"
            )
        return False
    if coding != "binary" and bool(np.all(ones | minus_ones)):
        return True
    allowed = {"auto": "bool, {0, 1} or {-1, +1}", "bipolar": "{-1, +1}", "binary": "{0, 1}"}
    valid = (ones | minus_ones) if coding == "bipolar" else (ones | zeros)
    if coding == "auto":
        valid = ones | zeros | minus_ones
    strangers = array[~valid]
    came = f"{strangers.flat[0]!s}" if strangers.size else "both 0 and -1"
    raise ValueError(f"patterns must hold {allowed[coding]}, got {came}")
