"""The public homes of the data sets: addresses, published hashes, readers of their file formats.

No reader unpickles anything, so that a wrong file can be wrong but not harmful, and whatever a
damaged file does to its reader becomes a ValueError that names the file.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    unpacks: str | None = None  # pooch's processor of its files: their contents are read then


@contextlib.contextmanager
def reading(called: object, kind: str) -> Iterator[None]:
    """Turn what a damaged or wrong file makes of its reader into a ValueError that names the file.

    Parameters
    ----------
    called : str or Path
        What the error calls the file.
    kind : str
        What it should be: "a readable .npz file".
    """
    try:
        yield
    except (MemoryError, ImportError, FileNotFoundError):
        raise  # these are not about what the file holds
    except Exception as error:
        # zlib.error, EOFError, struct.error, KeyError, RuntimeError, NotImplementedError and more.
        what = " ".join(str(error).split()) or "it is damaged"
        raise ValueError(f"{called} is not {kind}: {what} ({type(error).__name__})") from error


def read_npz(file: str | Path | io.BytesIO, called: object) -> Arrays:
    """Read every array of an .npz file; nothing is allocated that the file does not hold.

    Raises
    ------
    ValueError
        When the file is no .npz file, is damaged, or holds Python objects.
    """
    with reading(called, "a readable .npz file"), zipfile.ZipFile(file) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        return {info.filename[:-4]: _read_npy(archive.read(info)) for info in members}


_NPY_HEADERS: dict[tuple[int, int], Callable[[Any], tuple[Any, ...]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read_npy(raw: bytes) -> Array:
    file = io.BytesIO(raw)
    version = np.lib.format.read_magic(file)
    if version not in _NPY_HEADERS:
        raise ValueError(f"an array has the unknown format {version}")
    shape, fortran, dtype = _NPY_HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("an array holds Python objects")
    # Arrays of strings of length 0 have no bytes at all.
    expected, found = math.prod(shape) * dtype.itemsize, len(raw) - file.tell()
    if expected != found:
        raise ValueError(f"an array has {found} bytes, its header announces {expected}")
    flat = np.frombuffer(raw, dtype, offset=file.tell()) if expected else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


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
        When the file is not an idx file of unsigned bytes, is damaged or cut short, naming it.
    """
    with reading(path, "an idx file of unsigned bytes"):
        raw = Path(path).read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
            raise ValueError("it begins with other bytes")
        dims = raw[3]
        start = 4 + 4 * dims
        shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
        expected = start + math.prod(shape)
        if len(raw) != expected:
            raise ValueError(f"it has {len(raw)} bytes, its header announces {expected}")
        return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


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
    found = read_npz(paths[0], paths[0])
    names = {"images": "x", "labels": "y"}
    with reading(paths[0], "Keras' copy of MNIST"):
        return {
            f"{part}_{kind}": found[f"{letter}_{part}"]
            for part in ("train", "test")
            for kind, letter in names.items()
        }


_CIFAR_FILES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
_CIFAR_ROW = 1 + 3 * 32 * 32


def _read_cifar_binary(paths: list[Path]) -> Arrays:
    """Read the files for C programs: rows of one label byte and 3 x 32 x 32 pixel bytes."""
    by_name = {path.name: path for path in paths}
    arrays: Arrays = {}
    for part, names in _CIFAR_FILES.items():
        with reading(by_name.get(names[0], paths[0]), "a file of CIFAR-10"):
            missing = [name for name in names if name not in by_name]
            if missing:
                raise ValueError(f"beside it there is no {missing[0]}")
            rows = np.concatenate([np.fromfile(by_name[name], np.uint8) for name in names])
            rows = rows.reshape(-1, _CIFAR_ROW)
        arrays[f"{part}_labels"] = rows[:, 0].copy()
        pixels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{part}_images"] = np.ascontiguousarray(pixels)
    return arrays


def _read_tinyimagenet(paths: list[Path]) -> Arrays:
    """Decode the training JPEGs of the Stanford archive; grey ones become colour."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'Tiny ImageNet comes as JPEG files: pip install "amfast-memory[data]"'
        ) from error
    with (
        reading(paths[0], "the archive of Tiny ImageNet"),
        zipfile.ZipFile(paths[0]) as archive,
    ):
        inside = sorted(n for n in archive.namelist() if "/train/" in n and n.endswith(".JPEG"))
        classes = sorted({Path(name).name.split("_")[0] for name in inside})
        if not 1 <= len(classes) <= 256:
            raise ValueError(f"it has training images of {len(classes)} classes")
        index = {name: i for i, name in enumerate(classes)}
        images = np.empty((len(inside), 64, 64, 3), np.uint8)
        labels = np.empty(len(inside), np.uint8)
        for row, name in enumerate(inside):
            with Image.open(io.BytesIO(archive.read(name))) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            if pixels.shape != (64, 64, 3):
                raise ValueError(f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels")
            images[row] = pixels
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
        "Untar",
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
