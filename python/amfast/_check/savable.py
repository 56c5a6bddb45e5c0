"""What can be saved and loaded, whatever it is: memories, packed bits, moments, tables."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from amfast._check import numbers, tensors
from amfast._check.arrays import finite
from amfast._check.tensors import Content, FileFormatError
from amfast._typing import Array

KINDS: dict[str, type[Savable]] = {}
"""The classes that `load` knows, by name."""

LIST = "list.safetensors"
"""What a folder of files begins with: the list of those that count."""


class Savable:
    """What can be written to a file; subclasses are known to `load` by their names."""

    __slots__ = ()
    _holds_nan: ClassVar[bool] = False
    """Whether its arrays may hold NaN or infinity."""

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return parts (names and numbers) and arrays."""
        raise NotImplementedError

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Any:
        """Make the object again; a ValueError, TypeError or KeyError says what does not fit.

        Shapes and types are looked at, entries are not: the arrays may be views of a huge file.
        """
        raise NotImplementedError

    def _check_contents(self) -> None:
        """Refuse what only reading every entry shows to be wrong."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known, unless another module has one of that name; ours go first."""
        super().__init_subclass__(**kwargs)
        known = KINDS.get(cls.__name__)
        new = known is None or known.__module__ == cls.__module__
        foreign = known is not None and not known.__module__.startswith("amfast.")
        ours = foreign and cls.__module__.startswith("amfast.")
        if not cls.__name__.startswith("_") and (new or ours):
            KINDS[cls.__name__] = cls

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
            If a part is a Python function, which a file cannot hold, or the class is a private one
            or has the name of another; nothing is written then.
        OSError
            If the file cannot be written; what was there before is still there.
        """
        return tensors.write(path_of(path), content_of(self))


def path_of(given: Any) -> Path:
    """Read a path; a number is none, though the system would take one for an open file."""
    try:
        return Path(os.fsdecode(given))
    except TypeError:
        raise TypeError(f"path must be a str or path, got {type(given).__name__}") from None


def _kind(name: str) -> type[Savable] | None:
    """Return the class of that name, imported now if nobody asked for it before, or None."""
    package = import_module("amfast")
    getattr(package, name, None)
    if name not in KINDS:
        for public in package.__all__:
            getattr(package, public)
    return KINDS.get(name)


def content_of(x: Savable) -> Content:
    """Return class, parts, arrays and writer, as `tensors.write` takes them."""
    kind = type(x)
    if _kind(kind.__name__) is not kind:
        raise TypeError(f"{kind.__qualname__} of {kind.__module__} is no class that load knows")
    parts, arrays = x._saved()
    return Content(kind.__name__, parts, arrays, f"amfast {version()}")


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of amfast that runs."""
    from importlib import metadata  # slow to import, and saving alone needs it

    try:
        return metadata.version("amfast-memory")
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def load(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool | None = None) -> Any:
    """Read what `save` wrote: an object of the class that was saved.

    Parameters
    ----------
    path : str or path
        A file, or a folder that `Shards.create` made.
    mmap : bool, default False
        Whether to map the file: the arrays are read-only views of it, nothing is read before it is
        needed, and processes share what they read. The first change copies. Whoever replaces the
        file by `save` does no harm; who writes into it changes what is read, and who cuts it ends
        the process.
    verify : bool, optional
        Whether to compare the arrays with their checksums, and look for NaN. None means unless
        mapped, which would read everything.

    Returns
    -------
    object
        A memory, `Keys`, `BitMatrix`, `SecondMoment`, `DenseAssociativeClassifier` or `Capacity`;
        of a folder, `Shards`.

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
    mmap = numbers.flag(mmap, "mmap")
    verify = None if verify is None else numbers.flag(verify, "verify")
    path = path_of(path)
    if path.is_dir():
        return import_module("amfast.shards").opened(path, mmap, verify)
    return opened(path, mmap, verify)


def opened(path: str | os.PathLike[str], mmap: bool, verify: bool | None) -> Any:
    """Read a file, as `load` does."""
    verify = not mmap if verify is None else verify
    content = tensors.read(path, mmap=mmap, verify=verify)
    kind = _kind(content.kind)
    if kind is None:
        raise FileFormatError(
            f"{path}: unknown class {content.kind[:80]!r}, written by {content.writer!r}; this "
            f"amfast knows {', '.join(sorted(KINDS))}"
        )
    try:
        if verify and not kind._holds_nan:
            for name, x in content.arrays.items():
                finite(x, name)
        made = kind._restored(content.parts, content.arrays)
        if verify:
            made._check_contents()
    except (
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError
    ) as error:  # fmt: skip
        raise FileFormatError(f"{path}: no {content.kind} is made of this: {error}") from error
    return made


def list_in(folder: Path) -> Path:
    """Return where the list of a folder is, or refuse a folder that has none."""
    if not (folder / LIST).exists():
        raise FileFormatError(f"{folder}: a folder without {LIST}: no shards, or not yet whole")
    return folder / LIST


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what a file holds, reading its header alone.

    Parameters
    ----------
    path : str or Path
        Of a file, or of a folder of shards.

    Returns
    -------
    dict
        ``class``, ``parts``, ``writer``, ``version``, ``arrays`` (name to dtype and shape) and
        ``nbytes`` of the arrays; of a folder of shards, those of its list.

    Raises
    ------
    FileFormatError, OSError
        As `load`.
    """
    path = path_of(path)
    header = tensors.read_header(list_in(path) if path.is_dir() else path)
    arrays = {
        name: {
            "dtype": "bfloat16" if entry.short else entry.dtype.newbyteorder("=").name,
            "shape": entry.shape,
        }
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
