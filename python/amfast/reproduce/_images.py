"""The images of the experiments: which sets are here, and disjoint memory sets for the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amfast import datasets
from amfast._typing import Array, Bytes

PAPER_SETS = ("mnist", "fashion_mnist", "cifar10", "tinyimagenet")
TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "fashion_mnist_small": "Fashion-MNIST (bundled)",
    "cifar10": "CIFAR-10",
    "tinyimagenet": "Tiny ImageNet",
}
# The authors shuffle MNIST and CIFAR-10 without a seed; any fixed order will do.
_SHUFFLE_SEED = 2022

Images = NDArray[np.float32]


@dataclass(frozen=True)
class ImageSet:
    """One data set in shuffled order, as float32 images in 0..1."""

    name: str
    images: Bytes

    @property
    def title(self) -> str:
        """Name for panels and tables."""
        return TITLES[self.name]

    @property
    def is_grey(self) -> bool:
        """Whether these are the simple 28 x 28 images."""
        return self.images.ndim == 3

    @property
    def size(self) -> int:
        """Number of values of one image, D."""
        return int(np.prod(self.images.shape[1:]))

    def memory_sets(self, size: int, runs: int) -> list[Images]:
        """Return up to ``runs`` disjoint sets of ``size`` images, as many as there are."""
        possible = max(1, min(runs, len(self.images) // size))
        return [
            self.images[start : start + size].astype(np.float32) / np.float32(255)
            for start in range(0, possible * size, size)
        ]


def rows(images: Array) -> Array:
    """Return images as rows, channels last."""
    return images.reshape(len(images), -1)


def find(level: str, data: str | Path | None) -> tuple[list[ImageSet], list[str]]:
    """Load the data sets of a level and say which are missing and how to get them.

    ``quick`` uses the bundled images alone; the other levels use every set of the paper (and
    Fashion-MNIST) that is on this machine, the bundled images in place of a missing Fashion-MNIST.
    """
    if level == "quick":
        return [_shuffled("fashion_mnist_small", None)], []
    found, missing = [], []
    for name in PAPER_SETS:
        if datasets.available(name, data):
            found.append(_shuffled(name, data))
            continue
        missing.append(f"{TITLES[name]} is not here: {datasets.how_to_get(name)}")
        if name == "fashion_mnist":
            found.append(_shuffled("fashion_mnist_small", None))
    return found, missing


def _shuffled(name: str, data: str | Path | None) -> ImageSet:
    images = datasets.load(name, data=data, download=False).images
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(images))
    # No experiment needs more than ten sets of a thousand.
    return ImageSet(name, images[order[:10_000]])


def titles(sets: Sequence[ImageSet]) -> str:
    """Join the titles of several sets for a sentence."""
    return ", ".join(image_set.title for image_set in sets)
