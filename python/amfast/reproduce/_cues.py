"""The cues of the figures, as the captions describe them and as the authors' code makes them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from amfast import corrupt
from amfast._typing import Array
from amfast.reproduce._images import Images, rows

Cues = Array


def masked_bottom_as_in_the_code(images: Images, fraction: float = 0.5) -> Cues:
    """Blank the lower rows; Tiny ImageNet as the authors do, in bands.

    They store it with channels last and mask it as (3, 64, 64), which blanks bands of rows instead
    of the lower half.
    """
    if images.shape[1:] == (64, 64, 3):
        return corrupt.mask(rows(images), fraction, shape=(3, 64, 64), layout="chw")
    return rows(corrupt.mask(images, fraction, keep="top"))


def masked_top(images: Images, fraction: float = 0.5) -> Cues:
    """Blank the upper rows, as the paper's text has it."""
    return rows(corrupt.mask(images, fraction, keep="bottom"))


def noisy(
    images: Images, sigma: float, mode: Literal["fold", "clip"], seed: np.random.Generator
) -> Cues:
    """Add Gaussian noise of standard deviation ``sigma``."""
    return rows(corrupt.gaussian(images, sigma, mode, seed=seed))
