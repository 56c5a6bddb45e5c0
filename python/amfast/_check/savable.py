"""What can be saved and loaded, whatever it is: memories, packed bits, moments, tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from amfast._check import tensors
from amfast._check.tensors import FileFormatError
from amfast._typing import Array

KINDS: dict[str, Callable[[dict[str, Any], dict[str, Array]], Any]] = {}
"""How to make an object of each class from its parts and arrays."""


class Savable:
    """What can be written to a file; subclasses are known to `load` by their names."""

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return parts (names and numbers) and arrays."""
        raise NotImplementedError

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Any:
        """Make the object again; a ValueError, TypeError or KeyError says what does not fit."""
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known."""
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            KINDS[cls.__name__] = cls._restored

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write this to a file, which `amfast.load` reads.

        The file is a safetensors file with what it is in its ``__metadata__``. It is written
        beside the old one and put in its place when it is whole and on the disk.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Path
            The path.

        Raises
        ------
        TypeError
            If a part is a Python function, which a file cannot hold; nothing is written then.
        OSError
            If the file cannot be written; what was there before is still there.
        """
        parts, arrays = self._saved()
        return tensors.write(path, type(self).__name__, parts, arrays, f"amfast {_version()}")


def _version() -> str:
    try:
        return metadata.version("amfast-memory")
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def load(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool | None = None) -> Any:
    """Read what `save` wrote: an object of the class that was saved.

    Parameters
    ----------
    path : str or path
    mmap : bool, default False
        Whether to map the file: the arrays are read-only views of it, nothing is read before it is
        needed, and processes share what they read. The first change copies.
    verify : bool, optional
        Whether to compare the arrays with their checksums, and look for NaN. None means unless
        mapped, which would read everything.

    Returns
    -------
    object
        A memory, `BitMatrix`, `SecondMoment`, `DenseAssociativeClassifier` or `Capacity`.

    Raises
    ------
    FileFormatError
        If the file is damaged, cut, of another program, or written by a newer amfast.
    OSError
        If it cannot be opened or read.

    Examples
    --------
    >>> import pathlib, tempfile, amfast as am
    >>> memory = am.UniversalHopfield("manhattan", "max")
    >>> ids = memory.store([[0.0, 1.0], [1.0, 0.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = memory.save(pathlib.Path(folder) / "memory.safetensors")
    ...     am.load(path).recall([0.1, 0.8])
    array([0., 1.])
    """
    content = tensors.read(path, mmap=mmap, verify=verify)
    make = KINDS.get(content.kind)
    if make is None:
        raise FileFormatError(
            f"{path}: unknown class {content.kind!r}, written by {content.writer!r}; this amfast "
            f"knows {', '.join(sorted(KINDS))}"
        )
    if verify or (verify is None and not mmap):
        for name, x in content.arrays.items():
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                raise FileFormatError(f"{path}: {name!r} holds a NaN or infinity")
    try:
        return make(content.parts, content.arrays)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise FileFormatError(f"{path}: no {content.kind} is made of this: {error}") from error


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what a file holds, reading its header alone.

    Returns
    -------
    dict
        ``class``, ``parts``, ``writer``, ``version``, ``arrays`` (name to dtype and shape) and
        ``nbytes`` of the arrays.

    Raises
    ------
    FileFormatError, OSError
        As `load`.
    """
    header = tensors.read_header(path)
    arrays = {
        name: {"dtype": entry.dtype.newbyteorder("=").name, "shape": entry.shape}
        for name, entry in header.entries.items()
    }
    return {
        "class": header.kind,
        "parts": header.parts,
        "writer": header.writer,
        "version": tensors.VERSION,
        "arrays": arrays,
        "nbytes": sum(entry.stop - entry.start for entry in header.entries.values()),
    }
