"""Make python/amfast/data/fashion_mnist_small.npz from the Debian package dataset-fashion-mnist.

Run it from the project root::

    apt-get install dataset-fashion-mnist
    python tools/make_bundled.py

It takes the first 100 images of every class of the training set and deals the classes out in turn,
so that the first 10 k images of the file hold k of each class. The file is the same every time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from amfast._homes import DEBIAN_FOLDER, read_idx

PER_CLASS = 100
TARGET = Path(__file__).resolve().parents[1] / "python/amfast/data/fashion_mnist_small.npz"


def main() -> None:
    """Write the bundled subset and say what it holds."""
    source = DEBIAN_FOLDER
    images = read_idx(source / "train-images-idx3-ubyte.gz")
    labels = read_idx(source / "train-labels-idx1-ubyte.gz")
    of_class = np.stack([np.flatnonzero(labels == c)[:PER_CLASS] for c in range(10)])
    order = of_class.T.reshape(-1)
    np.savez_compressed(TARGET, images=images[order], labels=labels[order])
    print(f"{TARGET}: {len(order)} images, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
