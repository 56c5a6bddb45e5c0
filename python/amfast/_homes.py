"""The public homes of the data sets: addresses, published hashes, readers of their file formats.

No reader unpickles anything, so that a wrong file can be wrong but not harmful.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amfast._typing import Array, Bytes

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_CIFAR_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_DIGITS = tuple("0123456789")

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Home:
    """Where one data set lives, and how its files are read."""

    classes: tuple[str, ...]
    files: tuple[tuple[str, str], ...]  # (address, hash as pooch writes it)
    read: Callable[[list[Path]], Arrays]
    size: str


def read_idx(path: str | Path) -> Bytes:
    """Read one idx file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : str or Path
        For instance ``train-images-idx3-ubyte.gz``.

    Returns
    -------
    ndarray of uint8
        With the dimensions that the file's header names.

    Raises
    ------
    ValueError
        When the file is not an idx file of unsigned bytes or is cut short.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    dims = raw[3]
    shape = tuple(int(v) for v in np.frombuffer(raw, ">u4", count=dims, offset=4))
    expected = 4 + 4 * dims + int(np.prod(shape))
    if len(raw) != expected:
        raise ValueError(f"{path} has {len(raw)} bytes, its header announces {expected}")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


IDX_FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def read_idx_files(paths: list[Path]) -> Arrays:
    by_name = {path.name.split("--")[-1]: path for path in paths}
    return {key: read_idx(by_name[name]) for key, name in IDX_FILES.items()}


def _read_keras_mnist(paths: list[Path]) -> Arrays:
    with np.load(paths[0], allow_pickle=False) as file:
        return {
            "train_images": file["x_train"],
            "train_labels": file["y_train"],
            "test_images": file["x_test"],
            "test_labels": file["y_test"],
        }


def _read_cifar_binary(paths: list[Path]) -> Arrays:
    """Read the archive for C programs: rows of one label byte and 3 x 32 x 32 pixel bytes."""
    found: dict[str, list[bytes]] = {"train": [], "test": []}
    with tarfile.open(paths[0]) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            name = Path(member.name).name
            kind = {"data": "train", "test": "test"}.get(name[:4])
            file = archive.extractfile(member) if kind and name.endswith(".bin") else None
            if file is not None and kind is not None:
                found[kind].append(file.read())
    arrays: Arrays = {}
    for kind, parts in found.items():
        rows = np.frombuffer(b"".join(parts), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        arrays[f"{kind}_labels"] = rows[:, 0].copy()
        pixels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{kind}_images"] = np.ascontiguousarray(pixels)
    return arrays


def _read_tinyimagenet(paths: list[Path]) -> Arrays:
    """Decode the training JPEGs of the Stanford archive; grey ones become colour."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'Tiny ImageNet comes as JPEG files: pip install "amfast-memory[data]"'
        ) from error
    with zipfile.ZipFile(paths[0]) as archive:
        inside = sorted(n for n in archive.namelist() if "/train/" in n and n.endswith(".JPEG"))
        classes = sorted({Path(name).name.split("_")[0] for name in inside})
        index = {name: i for i, name in enumerate(classes)}
        images = np.empty((len(inside), 64, 64, 3), np.uint8)
        labels = np.empty(len(inside), np.uint8)
        for row, name in enumerate(inside):
            with Image.open(io.BytesIO(archive.read(name))) as picture:
                images[row] = np.asarray(picture.convert("RGB"))
            labels[row] = index[Path(name).name.split("_")[0]]
    return {"images": images, "labels": labels, "classes": np.array(classes)}


_FASHION_HOME = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
)
HOMES = {
    "mnist": Home(
        _DIGITS,
        (
            (
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
        ),
        _read_keras_mnist,
        "11 MB",
    ),
    "fashion_mnist": Home(
        FASHION_CLASSES,
        (
            (_FASHION_HOME + IDX_FILES["train_images"], "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            (_FASHION_HOME + IDX_FILES["train_labels"], "md5:25c81989df183df01b3e8a0aad5dffbe"),
            (_FASHION_HOME + IDX_FILES["test_images"], "md5:bef4ecab320f06d8554ea6380940ec79"),
            (_FASHION_HOME + IDX_FILES["test_labels"], "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        read_idx_files,
        "30 MB",
    ),
    "cifar10": Home(
        _CIFAR_CLASSES,
        (
            (
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        _read_cifar_binary,
        "163 MB",
    ),
    "tinyimagenet": Home(
        (),
        (
            (
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "md5:90528d7ca1a48142e341f4ef8d21d0de",
            ),
        ),
        _read_tinyimagenet,
        "237 MB",
    ),
}
