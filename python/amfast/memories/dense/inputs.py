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
    return _each_equal(_check.labels(y, "y", length, "row of X"), "y")


def read_classes(labels: Array, given: object) -> Array:
    """Read which labels there will be, None meaning those that there are: each once, in order."""
    name = "y" if given is None else "classes"
    if given is not None:
        labels = _each_equal(_check.labels(given, name, None, "class"), name)
    classes, _ = _check.distinct(labels, name)
    if len(classes) < 2:
        one = "1 class" if len(classes) else "none"
        raise ValueError(f"{name} must hold at least 2 classes, got {one}: {classes.tolist()}")
    return classes


def as_targets(labels: Array, classes: Array, dtype: np.dtype[np.floating]) -> Array:
    """Return +1 for the class of each label and -1 for all others, (N, C)."""
    try:
        place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        unknown = np.flatnonzero(classes[place] != labels)
    except TypeError:  # such as numbers among names
        unknown = np.arange(len(labels))
    if len(unknown):
        raise ValueError(
            f"y[{unknown[0]}] is {labels[unknown].tolist()[0]!r}, "
            f"the classes are {classes.tolist()}"
        )
    targets = np.full((len(labels), len(classes)), -1, dtype)
    targets[np.arange(len(labels)), place] = 1
    return targets


def _each_equal(labels: Array, name: str) -> Array:
    """Refuse what does not even equal itself: NaN, and a date that is none."""
    odd = np.flatnonzero(labels != labels)
    if len(odd):
        raise ValueError(f"{name}[{odd[0]}] is {labels[odd[0]]}, which equals no label")
    return labels
