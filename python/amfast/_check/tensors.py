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
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amfast._check.elements import bfloat16, is_bfloat16
from amfast._check.replacing import replaced
from amfast._typing import Array

FORMAT, VERSION = "amfast", 1
DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "BF16": "<u2", "I16": "<i2", "U16": "<u2", "U8": "|u1", "I8": "|i1",
    "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code).newbyteorder("<"): name for name, code in DTYPES.items() if name != "BF16"}
_MAX_HEADER = 100_000_000
_ALIGNED = 64
# Bytes that are in memory beside the arrays while a file is written or read.
_PIECE = 1 << 24
_NO_CRC = "00000000"
_OWN_CRC = re.compile(rb'"header_crc32": "([0-9a-f]{8})"')
# What every version begins with, so that an older amfast can say which one it would take.
_START = re.compile(
    rb'\{"__metadata__": \{"format": "amfast", "version": "(\d{1,9})", "writer": "([^"\\]{0,100})"'
)
_METADATA = {"format", "version", "writer", "class", "parts", "crc32", "header_crc32"}
_MAX_ELEMENTS = 1 << 60


class FileFormatError(ValueError):
    """A file is not what `amfast.load` can read; the message names the file and the field."""


class Content(NamedTuple):
    """What a file holds."""

    kind: str
    """The class that was saved."""
    parts: dict[str, Any]
    """Names and numbers, of which floats may be infinite."""
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
    short: bool
    """Whether the elements are bfloat16, of which ``dtype`` has the bits."""

    def restored(self, x: Array) -> Array:
        """Return an array in the computer's byte order and in the type that was saved."""
        x = x.astype(self.dtype.newbyteorder("="), copy=False)
        return x.view(bfloat16()) if self.short else x


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
    content: Content,
    beside: tuple[tuple[Path, Content], ...] = (),
) -> Path:
    """Write a file so that at any time the old one or the new one is there, whole.

    Parameters
    ----------
    path : str or path
        Replaced if it exists. The new content is first written beside it.
    content : Content
        Its parts must be fit for JSON.
    beside : tuple of (path, content)
        Files of the same folder that are not there yet, and that last before this one is in place.

    Notes
    -----
    Beside the arrays, 32 MB are in memory. What a process leaves that is killed: see `replaced`.
    """
    with replaced(path) as create:
        for place, what in beside:
            _fill(create(place), what)
        _fill(create(), content)
    return Path(path)


def _fill(file: Any, content: Content) -> None:
    """Write a file's bytes."""
    arrays = content.arrays
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    crcs = dict.fromkeys(order, _NO_CRC)
    file.write(_header(content, order, crcs))
    for name in order:
        crc = 0
        for piece in _pieces(arrays[name]):
            crc = zlib.crc32(piece, crc)
            file.write(piece)
        crcs[name] = f"{crc:08x}"
    file.seek(0)
    file.write(_header(content, order, crcs))


def _header(content: Content, order: list[str], crcs: dict[str, str]) -> bytes:
    """Return length and header; its own CRC-32 is taken with eight zeros in its place."""
    arrays = content.arrays
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "writer": content.writer,
        "class": content.kind,
        "parts": json.dumps(_fit(content.parts), allow_nan=False),
        "crc32": json.dumps(crcs),
        "header_crc32": _NO_CRC,
    }
    entries: dict[str, Any] = {"__metadata__": metadata}
    place = 0
    for name in order:
        x = arrays[name]
        entries[name] = {
            "dtype": "BF16" if is_bfloat16(x.dtype) else _NAMES[x.dtype.newbyteorder("<")],
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


def _fit(x: Any) -> Any:
    """Return parts as JSON can hold them: numbers that it has not by their names."""
    if isinstance(x, dict):
        return {name: _fit(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        plain = {type(value) for value in x} <= {int, str}
        return list(x) if plain else [_fit(value) for value in x]
    return {"float": repr(x)} if isinstance(x, float) and not math.isfinite(x) else x


def _pieces(x: Array) -> Iterator[memoryview]:
    """Yield an array's bytes in C order and little-endian, some at a time."""
    if x.size == 0:
        return
    if is_bfloat16(x.dtype):
        x = x.view(np.uint16)
    if x.flags.c_contiguous:
        x = x.reshape(-1)
    elif x[0].nbytes > _PIECE:
        for row in x:
            yield from _pieces(row)
        return
    step = max(1, _PIECE // x[0].nbytes)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        yield _bytes_of(np.ascontiguousarray(part, part.dtype.newbyteorder("<")))


def _bytes_of(x: Array) -> memoryview:
    """View a C-contiguous array's bytes."""
    return memoryview(x.reshape(-1).view(np.uint8).data)


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
    with _opened(path) as file:
        header = _checked_header(path, file)
        take = _mapper(path, file, header) if mmap else _reader(path, file)
        arrays = {}
        for name, entry in header.entries.items():
            arrays[name], crc = take(name, entry, verify)
            if verify and f"{crc:08x}" != entry.crc:
                raise FileFormatError(
                    f"{path}: {name!r} is damaged: its checksum is {crc:08x}, the header says "
                    f"{entry.crc}"
                )
    return Content(header.kind, header.parts, arrays, header.writer)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check the header alone."""
    with _opened(path) as file:
        return _checked_header(path, file)


def _opened(path: str | os.PathLike[str]) -> Any:
    """Open a file; what would make a reader wait, or has no size, is none."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileFormatError(f"{path}: a device, pipe or socket, no file")
    return open(path, "rb")  # a folder is refused by the system


Taken = tuple[Array, int]


def _mapper(path: Any, file: Any, header: Header) -> Callable[[str, Entry, bool], Taken]:
    """Return what makes views of a mapped file, and their checksums if asked for."""
    try:
        mapped = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_READ)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}, to map", str(path)) from error

    def take(name: str, entry: Entry, verify: bool) -> Taken:
        count = math.prod(entry.shape)
        if count == 0:
            return entry.restored(np.empty(entry.shape, entry.dtype)), 0
        flat = np.frombuffer(mapped, entry.dtype, count, header.data + entry.start)
        crc = 0
        for piece in _pieces(flat) if verify else ():
            crc = zlib.crc32(piece, crc)
        return entry.restored(flat.reshape(entry.shape)), crc

    return take


def _reader(path: Any, file: Any) -> Callable[[str, Entry, bool], Taken]:
    """Return what reads the next array of a file, whose size is known to be there."""

    def take(name: str, entry: Entry, verify: bool) -> Taken:
        out = np.empty(entry.shape, entry.dtype)
        view = _bytes_of(out) if out.size else memoryview(b"")
        crc = 0
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            if file.readinto(piece) != len(piece):
                raise FileFormatError(f"{path}: the file ends within {name!r}")
            if verify:
                crc = zlib.crc32(piece, crc)
        return entry.restored(out), crc

    return take


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
    _check_text(text, wrong)
    entries = _json(text, wrong)
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != _METADATA:
        raise wrong(f"__metadata__ must have {', '.join(sorted(_METADATA))} and nothing else")
    for field in sorted(_METADATA):
        if not isinstance(metadata[field], str):
            raise wrong(f"__metadata__ has no text {field!r}")
    parts = _json(metadata["parts"].encode(), wrong)
    crcs = _json(metadata["crc32"].encode(), wrong)
    if set(crcs) != set(entries):
        odd = sorted(set(crcs) ^ set(entries))
        raise wrong(f"checksums and arrays differ in their names: {', '.join(odd)[:80]}")
    checked = {name: _entry(name, given, crcs[name], wrong) for name, given in entries.items()}
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


def _check_text(text: bytes, wrong: Callable[[str], FileFormatError]) -> None:
    """Refuse other programs, newer versions and damage before anything is made of the text."""
    start = _START.match(text)
    if start is None:
        raise wrong("the header does not begin as amfast's: another program's file, or damaged")
    if int(start[1]) != VERSION:
        raise wrong(
            f"version {int(start[1])}, written by {start[2].decode(errors='replace')!r}; this "
            f"amfast reads version {VERSION}"
        )
    own = _OWN_CRC.search(text)
    if own is None:
        raise wrong("the header has no checksum of its own, 'header_crc32'")
    plain = text[: own.start(1)] + _NO_CRC.encode() + text[own.end(1) :]
    if zlib.crc32(plain) != int(own[1], 16):
        raise wrong("the header is damaged: its checksum differs")


def _json(text: bytes, wrong: Callable[[str], FileFormatError]) -> dict[str, Any]:
    """Read an object; nothing twice, and no numbers that JSON does not have."""

    def unique(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice")
        if set(found) == {"float"} and found["float"] in ("inf", "-inf", "nan"):
            return float(found["float"])
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


def _entry(name: str, given: Any, crc: Any, wrong: Callable[[str], FileFormatError]) -> Entry:
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
    if math.prod(max(n, 1) for n in given["shape"]) > _MAX_ELEMENTS:
        raise wrong(f"{name!r} has the shape {given['shape']}, which no array has")
    start, stop = given["data_offsets"]
    if stop - start != math.prod(given["shape"]) * dtype.itemsize:
        raise wrong(f"{name!r}: shape {given['shape']} does not fill bytes {start} to {stop}")
    if not isinstance(crc, str):
        raise wrong(f"{name!r} has a checksum that is no text")
    return Entry(dtype, tuple(given["shape"]), start, stop, crc, given["dtype"] == "BF16")
