"""Random patterns and cues of the experiments without images, from named seeds."""

from __future__ import annotations

import numpy as np

from amfast._typing import Signs


def generator(*parts: int) -> np.random.Generator:
    """Return a generator of its own for every combination of numbers."""
    return np.random.default_rng(list(parts))


def signs(rng: np.random.Generator, n: int, d: int) -> Signs:
    """Return n rows of d independent fair signs, -1 and +1."""
    return rng.integers(0, 2, (n, d), dtype=np.int8) * np.int8(2) - np.int8(1)


def biased_signs(rng: np.random.Generator, n: int, d: int, mean: float) -> Signs:
    """Return n rows of d independent signs whose mean is ``mean``."""
    return np.where(rng.random((n, d)) < (1 + mean) / 2, 1, -1).astype(np.int8)


def flipped(rng: np.random.Generator, rows: Signs, count: int) -> Signs:
    """Return the rows with exactly ``count`` signs turned in each, chosen at random."""
    order = rng.random(rows.shape).argsort(axis=1)
    return np.where(order < count, -rows, rows).astype(np.int8)
