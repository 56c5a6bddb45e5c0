"""Arrays in files: the safetensors format, written with care and read with distrust.

A file is eight bytes of length, a header in JSON, and the arrays' bytes without holes, the largest
elements first; the header is padded with spaces so that the arrays begin at a multiple of 64. What
the file is stands in ``__metadata__``: the class, its parts, and a CRC-32 of the header and of
every array. `safetensors.numpy.load_file` opens it.

Nothing is trusted: no name is imported, no size is allocated before the file is known to hold it,
and whatever is wrong is a `FileFormatError` that names the file and the field.
"""

from __future__ import annotations

import json
import math
import mmap as memory_map
import os
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amfast._typing import Array

FORMAT, VERSION = "amfast", 1
DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "I16": "<i2", "U16": "<u2", "U8": "|u1", "I8": "|i1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code).newbyteorder("<"): name for name, code in DTYPES.items()}
_MAX_HEADER = 100_000_000
_ALIGNED = 64
# Bytes that are in memory beside the arrays while a file is written or read.
_PIECE = 1 << 24
_NO_CRC = "00000000"


class FileFormatError(ValueError):
    """A file is not what `amfast.load` can read; the message names the file and the field."""


class Content(NamedTuple):
    """What a file holds."""

    kind: str
    """The class that was saved."""
    parts: dict[str, Any]
    """Names and numbers."""
    arrays: dict[str, Array]
    writer: str
    """Which amfast wrote it."""


class Entry(NamedTuple):
    """One array as the header describes it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int
    crc: str


class Header(NamedTuple):
    """A checked header."""

    kind: str
    parts: dict[str, Any]
    writer: str
    entries: dict[str, Entry]
    data: int
    """Where the arrays begin."""


# -- writing --------------------------------------------------------------------------------------


def write(
    path: str | os.PathLike[str],
    kind: str,
    parts: dict[str, Any],
    arrays: Mapping[str, Array],
    writer: str,
) -> Path:
    """Write a file so that at any time the old one or the new one is there, whole.

    Parameters
    ----------
    path : str or path
        Replaced if it exists. The new content is first written beside it.
    kind, parts, arrays
        See `Content`; ``parts`` must be fit for JSON.
    writer : str
        The writer's name and version.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the name of a file")
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    crcs = dict.fromkeys(order, _NO_CRC)
    fresh = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    descriptor = os.open(
        fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        with open(descriptor, "wb") as file:
            file.write(_header(kind, parts, arrays, order, crcs, writer))
            for name in order:
                crc = 0
                for piece in _pieces(arrays[name]):
                    crc = zlib.crc32(piece, crc)
                    file.write(piece)
                crcs[name] = f"{crc:08x}"
            file.seek(0)
            file.write(_header(kind, parts, arrays, order, crcs, writer))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _settle_folder(target.parent)
    return Path(path)


def _header(
    kind: str,
    parts: dict[str, Any],
    arrays: Mapping[str, Array],
    order: list[str],
    crcs: dict[str, str],
    writer: str,
) -> bytes:
    """Return length and header; its own CRC-32 is taken with eight zeros in its place."""
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "class": kind,
        "writer": writer,
        "parts": json.dumps(parts, allow_nan=False),
        "crc32": json.dumps(crcs),
        "header_crc32": _NO_CRC,
    }
    entries: dict[str, Any] = {"__metadata__": metadata}
    place = 0
    for name in order:
        x = arrays[name]
        entries[name] = {
            "dtype": _NAMES[x.dtype.newbyteorder("<")],
            "shape": list(x.shape),
            "data_offsets": [place, place + x.nbytes],
        }
        place += x.nbytes
    text = json.dumps(entries, allow_nan=False).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    crc = f"{zlib.crc32(text):08x}"
    field = b'"header_crc32": "%s"'
    text = text.replace(field % _NO_CRC.encode(), field % crc.encode())
    return len(text).to_bytes(8, "little") + text


def _pieces(x: Array) -> Iterator[memoryview]:
    """Yield an array's bytes in C order and little-endian, some at a time."""
    if x.size == 0:
        return
    flat = x.reshape(-1) if x.flags.c_contiguous else None
    if flat is not None:
        step = max(1, _PIECE // x.itemsize)
        parts: Iterator[Array] = (flat[i : i + step] for i in range(0, len(flat), step))
    else:
        step = max(1, _PIECE // max(1, x[0].nbytes))
        parts = (x[i : i + step] for i in range(0, len(x), step))
    for part in parts:
        little = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
        yield memoryview(little.view(np.uint8).reshape(-1))


def _settle_folder(folder: Path) -> None:
    """Make a new name in a folder last, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- reading --------------------------------------------------------------------------------------


def read(
    path: str | os.PathLike[str], *, mmap: bool = False, verify: bool | None = None
) -> Content:
    """Read a file, or map it.

    Parameters
    ----------
    path : str or path
    mmap : bool
        Whether the arrays are read-only views of the file, of which nothing is read before it is
        asked for.
    verify : bool, optional
        Whether the arrays' checksums are compared. None means unless mapped.

    Raises
    ------
    FileFormatError
        For what is no whole file of this format.
    OSError
        If the file cannot be opened or read.
    """
    verify = not mmap if verify is None else verify
    with open(path, "rb") as file:
        header = _checked_header(path, file)
        if mmap:
            mapped = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_READ)
            arrays = {
                name: _mapped(mapped, header.data, entry) for name, entry in header.entries.items()
            }
            if verify:
                for name, entry in header.entries.items():
                    crc = 0
                    for piece in _pieces(arrays[name]):
                        crc = zlib.crc32(piece, crc)
                    _compare(path, name, crc, entry)
        else:
            arrays = {}
            for name, entry in header.entries.items():
                arrays[name] = _read(path, file, name, entry, verify)
    return Content(header.kind, header.parts, arrays, header.writer)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check the header alone."""
    with open(path, "rb") as file:
        return _checked_header(path, file)


def _mapped(mapped: memory_map.mmap, data: int, entry: Entry) -> Array:
    count = math.prod(entry.shape)
    if count == 0:
        return np.empty(entry.shape, entry.dtype.newbyteorder("="))
    flat = np.frombuffer(mapped, entry.dtype, count, data + entry.start)
    return flat.reshape(entry.shape)


def _read(path: Any, file: Any, name: str, entry: Entry, verify: bool) -> Array:
    """Read the next array of a file; its size is known to be there."""
    out = np.empty(entry.shape, entry.dtype)
    view = memoryview(out.reshape(-1).view(np.uint8)) if out.size else memoryview(b"")
    crc = 0
    for start in range(0, len(view), _PIECE):
        piece = view[start : start + _PIECE]
        if file.readinto(piece) != len(piece):
            raise FileFormatError(f"{path}: the file ends within {name!r}")
        if verify:
            crc = zlib.crc32(piece, crc)
    if verify:
        _compare(path, name, crc, entry)
    return out.astype(entry.dtype.newbyteorder("="), copy=False)


def _compare(path: Any, name: str, crc: int, entry: Entry) -> None:
    if f"{crc:08x}" != entry.crc:
        raise FileFormatError(
            f"{path}: {name!r} is damaged: its checksum is {crc:08x}, the header says {entry.crc}"
        )


def _checked_header(path: Any, file: Any) -> Header:
    def wrong(what: str) -> FileFormatError:
        return FileFormatError(f"{path}: {what}")

    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if len(start) < 8:
        raise wrong(f"the file has {size} bytes, too few for any header")
    length = int.from_bytes(start, "little")
    if length > min(_MAX_HEADER, size - 8):
        raise wrong(
            f"the header would have {length} bytes; the file has {size}, and {_MAX_HEADER} is the "
            "most. It is no safetensors file, or it was cut"
        )
    text = file.read(length)
    entries = _json(text, wrong)
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise wrong("the header's __metadata__ has no format 'amfast': another program's file")
    for field in ("version", "class", "writer", "parts", "crc32", "header_crc32"):
        if not isinstance(metadata.get(field), str):
            raise wrong(f"__metadata__ has no text {field!r}")
    if metadata["version"] != str(VERSION):
        raise wrong(
            f"version {metadata['version']!r}, written by {metadata['writer']!r}; this amfast "
            f"reads version {VERSION}"
        )
    own = metadata["header_crc32"].encode()
    field = b'"header_crc32": "%s"'
    plain = text.replace(field % own, field % _NO_CRC.encode(), 1)
    if f"{zlib.crc32(plain):08x}".encode() != own:
        raise wrong("the header is damaged: its checksum differs")
    parts = _json(metadata["parts"].encode(), wrong)
    crcs = _json(metadata["crc32"].encode(), wrong)
    checked = {name: _entry(name, given, crcs, wrong) for name, given in entries.items()}
    place = 0
    for name, entry in sorted(checked.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != place:
            raise wrong(f"{name!r} begins at {entry.start}, the array before it ends at {place}")
        place = entry.stop
    if 8 + length + place != size:
        raise wrong(
            f"the arrays end at byte {8 + length + place}, the file has {size}: it was cut, or has "
            "something behind them"
        )
    ordered = dict(sorted(checked.items(), key=lambda item: item[1].start))
    return Header(metadata["class"], parts, metadata["writer"], ordered, 8 + length)


def _json(text: bytes, wrong: Callable[[str], FileFormatError]) -> dict[str, Any]:
    """Read an object; nothing twice, and no numbers that JSON does not have."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON number")

    try:
        found = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise wrong(f"the header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise wrong("the header is no JSON object")
    return found


def _entry(
    name: str, given: Any, crcs: dict[str, Any], wrong: Callable[[str], FileFormatError]
) -> Entry:
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise wrong(f"{name!r} must have dtype, shape and data_offsets, got {str(given)[:80]}")
    if not isinstance(given["dtype"], str) or given["dtype"] not in DTYPES:
        raise wrong(f"{name!r} has the unknown dtype {str(given['dtype'])[:20]!r}")
    for field in ("shape", "data_offsets"):
        whole = isinstance(given[field], list) and all(
            type(n) is int and 0 <= n < 1 << 62 for n in given[field]
        )
        if not whole or len(given[field]) > 32:
            raise wrong(f"{name!r} has the {field} {str(given[field])[:40]}")
    if len(given["data_offsets"]) != 2:
        raise wrong(f"{name!r} has {len(given['data_offsets'])} data_offsets, not 2")
    dtype = np.dtype(DTYPES[given["dtype"]])
    start, stop = given["data_offsets"]
    if stop - start != math.prod(given["shape"]) * dtype.itemsize:
        raise wrong(f"{name!r}: shape {given['shape']} does not fill bytes {start} to {stop}")
    crc = crcs.get(name)
    if not isinstance(crc, str):
        raise wrong(f"{name!r} has no checksum")
    return Entry(dtype, tuple(given["shape"]), start, stop, crc)


# -- what can be saved ----------------------------------------------------------------------------

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
        return write(path, type(self).__name__, parts, arrays, f"{FORMAT} {_version()}")


def _version() -> str:
    from importlib import metadata

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
    content = read(path, mmap=mmap, verify=verify)
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
    header = read_header(path)
    arrays = {
        name: {"dtype": entry.dtype.newbyteorder("=").name, "shape": entry.shape}
        for name, entry in header.entries.items()
    }
    return {
        "class": header.kind,
        "parts": header.parts,
        "writer": header.writer,
        "version": VERSION,
        "arrays": arrays,
        "nbytes": sum(entry.stop - entry.start for entry in header.entries.values()),
    }
