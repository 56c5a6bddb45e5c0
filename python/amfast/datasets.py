"""Real images, found on this machine or fetched from their public home.

`load` looks, in this order, at

1. the folder ``data=`` or, without it, the folder named by ``AMFAST_DATA``: one ``NAME.npz`` each,
   with ``images`` and ``labels`` or ``train_images``, ``train_labels``, ``test_images``,
   ``test_labels``;
2. for Fashion-MNIST, the Debian package ``dataset-fashion-mnist``;
3. the cache of earlier downloads, and the public home of the data set (pooch, from the ``data``
   extra), where every download is checked against its published hash;

and otherwise refuses with the command that would get it. ``fashion_mnist_small`` ships inside the
package.

Licences. MNIST (LeCun, Cortes, Burges): CC BY-SA 3.0. Fashion-MNIST (Zalando SE): MIT. CIFAR-10
(Krizhevsky 2009): its authors state no licence and ask for the citation "Learning Multiple Layers
of Features from Tiny Images". Tiny ImageNet (Stanford CS231n): the images belong to their owners,
under ImageNet's terms of non-commercial research and education. amfast redistributes images of
Fashion-MNIST only.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from amfast import _check
from amfast._homes import (
    DEBIAN_FOLDER,
    FASHION_CLASSES,
    HOMES,
    IDX_FILES,
    Arrays,
    read_idx,
    read_idx_files,
    read_npz,
)
from amfast._typing import Array, Bytes

__all__ = ["Dataset", "DatasetNotFoundError", "available", "fetch", "load", "names", "read_idx"]


class DatasetNotFoundError(FileNotFoundError):
    """The data set is nowhere on this machine; the message has the command that gets it."""


@dataclass(frozen=True, repr=False)
class Dataset:
    """Images and their labels.

    Attributes
    ----------
    name : str
        Name of the data set.
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        The images as stored.
    labels : ndarray of uint8, shape (N,)
        Index of each image's class.
    classes : tuple of str
        Names of the classes.
    source : str
        Where the images were found.
    """

    name: str
    images: Bytes
    labels: Bytes
    classes: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        """Say what it is without printing the images."""
        size = " x ".join(str(length) for length in self.shape)
        return f"Dataset(name={self.name!r}, {len(self)} images of {size})"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, ``(H, W)`` or ``(H, W, C)``."""
        return self.images.shape[1:]

    def patterns(self, dtype: DTypeLike = np.float32) -> Array:
        """Return the images as rows to store: shape (N, D), divided by 255 for float dtypes.

        Parameters
        ----------
        dtype : dtype, default float32
            A float dtype (values in 0..1) or uint8 (values as they are).

        Returns
        -------
        (N, D) array

        Raises
        ------
        TypeError
            For any other dtype.

        Examples
        --------
        >>> load("fashion_mnist_small", n=5).patterns().shape
        (5, 784)
        """
        target = np.dtype(dtype)
        rows = self.images.reshape(len(self.images), math.prod(self.shape))
        if target == np.uint8:
            return rows.copy()
        if target.kind != "f":
            raise TypeError(f"dtype must be a float dtype or uint8, got {target}")
        scaled: Array = rows.astype(target)
        scaled /= 255
        return scaled


_BUNDLED = {"fashion_mnist_small": FASHION_CLASSES}


def names() -> list[str]:
    """Return the names that `load` understands, the bundled one first.

    Returns
    -------
    list of str

    Examples
    --------
    >>> names()
    ['fashion_mnist_small', 'mnist', 'fashion_mnist', 'cifar10', 'tinyimagenet']
    """
    return [*_BUNDLED, *HOMES]


def load(
    name: str,
    split: str | None = None,
    *,
    n: int | None = None,
    data: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Load a data set of real images.

    Parameters
    ----------
    name : str
        One of `names`.
    split : {"train", "test"}, optional
        Which part; None means the training part, or all there is where the file knows no parts.
    n : int, optional
        Only the first ``n`` images.
    data : str or Path, optional
        Folder with ``NAME.npz``; default the folder named by ``AMFAST_DATA``.
    download : bool, default True
        Whether what is not on this machine may be fetched from its public home. Nothing is fetched
        unless pooch, of the ``data`` extra, is installed.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        For an unknown name or split, an ``n`` that is not there, a file that is damaged or has
        other contents: the message names it and says what is wrong.
    DatasetNotFoundError
        When the images are not on this machine and may or can not be fetched, or the download
        fails. The message has the command that gets them.

    Examples
    --------
    >>> small = load("fashion_mnist_small")
    >>> small
    Dataset(name='fashion_mnist_small', 1000 images of 28 x 28)
    >>> small.classes[small.labels[7]]
    'Sneaker'
    """
    _check.name_of(name, names(), "data set")
    if split is not None:
        _check.choice(split, "split", ("train", "test"))
    n = None if n is None else _check.integer(n, "n", 0)
    _check.flag(download, "download")
    arrays, source = _find(name, data, download)
    images, labels = _part(arrays, split, f"{name} from {source}")
    if n is not None:
        if n > len(images):
            raise ValueError(f"n is {n}, {name} from {source} has {len(images)} images")
        images, labels = images[:n], labels[:n]
    classes = HOMES[name].classes if name in HOMES else _BUNDLED[name]
    if not classes:
        classes = tuple(str(c) for c in np.ravel(arrays.get("classes", np.empty(0))))
    return Dataset(name, images, labels, classes, source)


def available(name: str, data: str | Path | None = None) -> bool:
    """Say whether `load` finds the data set on this machine, without fetching or reading it.

    Parameters
    ----------
    name : str
        One of `names`.
    data : str or Path, optional
        A folder to look in, as `load` does.

    Returns
    -------
    bool
    """
    if _check.name_of(name, names(), "data set") in _BUNDLED:
        return True
    folder = _folder(data)
    if folder is not None and (folder / f"{name}.npz").is_file():
        return True
    if name == "fashion_mnist" and _debian_is_complete():
        return True
    return _cache_file(name).is_file()


def fetch(name: str, *, data: str | Path | None = None) -> Path:
    """Download a data set from its public home, check its hash, and keep it as ``NAME.npz``.

    Parameters
    ----------
    name : str
        ``mnist``, ``fashion_mnist``, ``cifar10`` or ``tinyimagenet``.
    data : str or Path, optional
        Folder for the file; default the user's cache (``AMFAST_CACHE`` or ``~/.cache/amfast``).

    Returns
    -------
    Path
        The file that `load` will find.

    Raises
    ------
    ValueError
        For an unknown name, or when the download does not have the published hash.
    ImportError
        Without pooch (or, for Tiny ImageNet, Pillow), with the command that installs it.
    """
    _check.name_of(name, HOMES, "data set")
    try:
        # By name, because pooch has no type stubs.
        pooch = importlib.import_module("pooch")
    except ImportError as error:
        raise ImportError('downloads need pooch: pip install "amfast-memory[data]"') from error
    source = HOMES[name]
    target = Path(data) / f"{name}.npz" if data is not None else _cache_file(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as folder:
        found = [
            pooch.retrieve(
                address,
                known_hash=known,
                fname=address.rsplit("/", 1)[-1],
                path=folder,
                processor=getattr(pooch, source.unpacks)() if source.unpacks else None,
            )
            for address, known in source.files
        ]
        paths = [Path(path) for path in np.ravel(found)]
        # Written beside its final place and renamed, so that a stopped run leaves no half file.
        unfinished = Path(folder) / target.name
        np.savez_compressed(unfinished, allow_pickle=False, **source.read(paths))
        unfinished.replace(target)
    return target


def how_to_get(name: str) -> str:
    """Return the command that makes `load` find the data set."""
    command = f'pip install "amfast-memory[data]" && amfast fetch {name}'
    if name == "fashion_mnist":
        command = f"apt-get install dataset-fashion-mnist, or {command}"
    return f"{command} ({HOMES[name].size})"


def _find(name: str, data: str | Path | None, download: bool) -> tuple[Arrays, str]:
    if name in _BUNDLED:
        bundled = resources.files("amfast") / "data" / f"{name}.npz"
        with bundled.open("rb") as file:
            return read_npz(io.BytesIO(file.read()), "the bundled file"), "amfast itself"
    folder = _folder(data)
    if folder is not None and (folder / f"{name}.npz").is_file():
        path = folder / f"{name}.npz"
        return read_npz(path, str(path)), str(path)
    if name == "fashion_mnist" and _debian_is_complete():
        paths = [DEBIAN_FOLDER / file for file in IDX_FILES.values()]
        return read_idx_files(paths), str(DEBIAN_FOLDER)
    cached = _cache_file(name)
    if not cached.is_file() and download:
        try:
            fetch(name)
        except ImportError as error:
            raise DatasetNotFoundError(_not_found(name, folder)) from error
        except Exception as error:
            # No network, no room, another file at the address: whatever pooch or its transport say.
            failed = f"; fetching it failed: {type(error).__name__}: {error}"
            raise DatasetNotFoundError(_not_found(name, folder) + failed) from error
    if cached.is_file():
        return read_npz(cached, str(cached)), str(cached)
    raise DatasetNotFoundError(_not_found(name, folder))


def _not_found(name: str, folder: Path | None) -> str:
    looked = f"no {name}.npz in {folder}" if folder else "AMFAST_DATA names no folder"
    return f"{name} is not on this machine ({looked}); get it with: {how_to_get(name)}"


def _folder(data: str | Path | None) -> Path | None:
    """Return the folder to search, or None. A folder that was named must exist."""
    named = data if data is not None else os.environ.get("AMFAST_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        argument = "data" if data is not None else "AMFAST_DATA"
        raise ValueError(f"{argument} must be a folder that exists, got {str(named)!r}")
    return folder


def _cache_file(name: str) -> Path:
    named = os.environ.get("AMFAST_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(named).expanduser() if named else Path(base) / "amfast"
    return folder / f"{name}.npz"


def _debian_is_complete() -> bool:
    return all((DEBIAN_FOLDER / file).is_file() for file in IDX_FILES.values())


def _part(arrays: Arrays, split: str | None, called: str) -> tuple[Bytes, Bytes]:
    """Pick and check the images and labels of one part."""
    whole = "images" in arrays
    if whole and split == "test":
        raise ValueError(f"{called} has no separate test part, load it with split=None")
    prefix = "" if whole else f"{split or 'train'}_"
    missing = [k for k in (f"{prefix}images", f"{prefix}labels") if k not in arrays]
    if missing:
        raise ValueError(f"{called} has the arrays {sorted(arrays)}, expected {missing[0]!r} too")
    images, labels = arrays[f"{prefix}images"], arrays[f"{prefix}labels"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"{called} has images of dtype {images.dtype} and shape {images.shape}, "
            "expected uint8 and (N, H, W) or (N, H, W, C)"
        )
    if labels.shape != (len(images),):
        raise ValueError(f"{called} has {len(images)} images and labels of shape {labels.shape}")
    return images, _labels(labels, called)


def _labels(labels: Array, called: str) -> Bytes:
    """Read labels of any number type that are the whole numbers 0..255."""
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"{called} has labels of dtype {labels.dtype}, expected whole numbers")
    bad = np.flatnonzero(~((labels >= 0) & (labels <= 255) & (labels == np.rint(labels))))
    if len(bad):
        raise ValueError(
            f"{called} has the label {labels[bad[0]].item()} (of image {bad[0]}), expected whole "
            "numbers in 0..255"
        )
    return labels.astype(np.uint8, copy=False)
