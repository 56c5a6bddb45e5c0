"""Pictures as patterns of -1 and +1 that are as different as pictures can be.

A pixel is white where it is brighter than its surroundings. Of a threshold for the whole picture
little remains but its silhouette, and silhouettes are alike: the magnitudes of their overlaps are
0.33 on average and up to 0.87. Here they are 0.14 and up to 0.37, and Hebb's rule holds the first
nine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amfast import datasets
from amfast._typing import Array, Mask

SIDE = 28
_AROUND = 7  # pixels on a side of the square that is a pixel's surroundings
# Of the bundled images, two of each class; the next one is always the least like those before it.
_CHOSEN = (
    924, 736, 845, 8, 180, 808, 211, 152, 904, 679, 362, 49, 651, 296, 900, 355, 293, 847, 243, 587,
)  # fmt: skip
_MOST = 60  # pictures from a folder
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Pictures:
    """Names, and (N, 784) bits: True for +1, white."""

    names: tuple[str, ...]
    bits: Mask


def bundled() -> Pictures:
    """Twenty images of clothes from Fashion-MNIST."""
    found = datasets.load("fashion_mnist_small")
    seen: dict[str, int] = {}
    names = []
    for i in _CHOSEN:
        kind = found.classes[found.labels[i]]
        seen[kind] = seen.get(kind, 0) + 1
        names.append(f"{kind} {seen[kind]}")
    return Pictures(tuple(names), _outlined(found.images[list(_CHOSEN)] / 255))


def from_folder(folder: str | Path) -> Pictures:
    """Read the pictures of a folder, by name: the middle square of each, grey and small.

    Parameters
    ----------
    folder : str or Path
        With 2 to 60 files that end in .png, .jpg, .jpeg, .gif, .bmp, .webp, .tif or .tiff.

    Raises
    ------
    ValueError
        For another number of pictures, a file that is none, and two that become one pattern.
    OSError
        When the folder cannot be read.
    ImportError
        Without Pillow, with the command that installs it.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError('pictures need Pillow: pip install "amfast-memory[data]"') from error
    inside = Path(folder).iterdir()
    paths = sorted(p for p in inside if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not 2 <= len(paths) <= _MOST:
        raise ValueError(
            f"images must be a folder of 2 to {_MOST} pictures, {folder} has {len(paths)}"
        )
    grey = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                upright: Any = ImageOps.exif_transpose(picture)
                small = ImageOps.fit(upright.convert("L"), (SIDE, SIDE))
        except (OSError, SyntaxError) as error:
            raise ValueError(f"images: {path} is not a picture that can be read: {error}") from None
        grey.append(np.asarray(small, np.float64) / 255)
    bits = _outlined(np.array(grey))
    first: dict[bytes, Path] = {}
    for path, row in zip(paths, bits, strict=True):
        twin = first.setdefault(row.tobytes(), path)
        if twin is not path:
            raise ValueError(f"images: {twin.name} and {path.name} become the same pattern")
    return Pictures(tuple(path.stem for path in paths), bits)


def _outlined(images: Array) -> Mask:
    """White where a pixel of (N, 28, 28) in 0..1 is brighter than the mean of its surroundings."""
    margin = _AROUND // 2
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (_AROUND, _AROUND), (1, 2))
    # By more than rounding: of an even surface nothing is brighter.
    bits: Mask = images > around.mean(axis=(3, 4)) + 1e-9
    return bits.reshape(len(images), -1)
