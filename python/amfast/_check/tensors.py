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
        yield _bytes_of(little)


def _bytes_of(x: Array) -> memoryview:
    """View a C-contiguous array's bytes."""
    return memoryview(x.reshape(-1).view(np.uint8).data)


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
    view = _bytes_of(out) if out.size else memoryview(b"")
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
    place_of_crc = b'"header_crc32": "%s"'
    plain = text.replace(place_of_crc % own, place_of_crc % _NO_CRC.encode(), 1)
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
