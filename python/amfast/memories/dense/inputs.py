"""What a classifier is given: inputs of any shape, and their labels."""

from __future__ import annotations

import numpy as np

from amfast import _check
from amfast._typing import Array


def read_inputs(x: object, empty: bool = False) -> tuple[Array, tuple[int, ...]]:
    """Read inputs as finite rows, and the shape that one of them had."""
    read = _check.array(x, "X")
    if read.ndim < 2:
        raise ValueError(f"X must be (N, d) or (N, height, width), got {read.ndim}-d {read.shape}")
    if not empty and len(read) == 0:
        raise ValueError(f"X has no rows, shape {read.shape}; at least one is needed")
    rows = _check.rows(read.reshape(len(read), int(np.prod(read.shape[1:]))), "X")
    _check.finite(rows, "X")
    return rows, read.shape[1:]


def read_labels(y: object, length: int) -> Array:
    """Read a label for each of so many inputs."""
    labels = np.asarray(y)
    if labels.shape != (length,):
        raise ValueError(f"y must have shape ({length},), one label a row of X, got {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"y[{np.flatnonzero(~np.isfinite(labels))[0]}] is not finite")
    return labels
