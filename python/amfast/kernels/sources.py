"""Where blocks of rows come from: arrays, files, and what other libraries keep in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array
from amfast.bits import BitMatrix

Piece = Array | BitMatrix

# Bytes of a block where nobody said how many rows it has.
BLOCK_BYTES = 1 << 25
_PAGE = 4096


class Rows:
    """Rows in order, some at a time."""

    n_rows: int | None = None
    """How many there are, None if that is not known beforehand."""

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """Yield the rows, at most ``rows`` at a time.

        A piece may be overwritten when the next but one is asked for.
        """
        raise NotImplementedError

    def between(self, start: int, stop: int) -> Piece | None:
        """Return some rows, fewer at the end; None of what can only be read in order."""
        return None


class Sliced(Rows):
    """What has a shape and is cut by slices: arrays, memmaps, BitMatrix, zarr, HDF5."""

    def __init__(self, x: Any, name: str) -> None:
        if len(x.shape) != 2:
            raise ValueError(f"{name} must be 2-d, got shape {tuple(x.shape)}")
        self._x, self._name = x, name
        self.n_rows = int(x.shape[0])

    def _step(self) -> int:
        x = self._x
        one = x.to_packed().shape[1] if isinstance(x, BitMatrix) else _row_bytes(x.dtype, x.shape)
        step = max(1, BLOCK_BYTES // max(1, one))
        chunks = getattr(x, "chunks", None)
        stored = int(chunks[0]) if chunks else 1
        return max(stored, step // stored * stored)

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`."""
        step = rows or self._step()
        assert self.n_rows is not None
        for start in range(0, self.n_rows, step):
            yield self.between(start, start + step)

    def between(self, start: int, stop: int) -> Piece:
        """See `Rows.between`."""
        piece = self._x[start:stop]
        if isinstance(piece, BitMatrix):
            return piece
        mapped = isinstance(piece, np.memmap)
        piece = _check.read(piece, self._name)
        if mapped and piece.flags.c_contiguous and piece.size:
            # A view reads nothing: a look at each page brings it here, while others compute.
            piece.reshape(-1).view(np.uint8)[::_PAGE].max()
        return piece


class Npy(Rows):
    """A file of NumPy's, of which no more is in memory than a block."""

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self._path = os.fspath(path)
        if not os.path.isfile(path):
            what = "a folder" if os.path.isdir(path) else "not there"
            raise FileNotFoundError(f"{name}: {self._path} is {what}")
        with open(path, "rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                head = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = head(file)
            except (ValueError, EOFError) as error:
                raise ValueError(f"{name}: {self._path} is no .npy file: {error}") from error
            self._data = file.tell()
            size = os.fstat(file.fileno()).st_size
        if dtype.kind not in "biuf" or len(shape) != 2:
            raise ValueError(
                f"{name}: {self._path} holds {dtype} of shape {shape}, not 2-d numbers"
            )
        if fortran and min(shape) > 1:
            raise ValueError(
                f"{name}: {self._path} is in Fortran order, where rows lie apart; save "
                "np.ascontiguousarray of it"
            )
        self._dtype, self._width, self.n_rows = dtype, int(shape[1]), int(shape[0])
        self._row = _row_bytes(dtype, shape)
        if size < self._data + self._row * self.n_rows:
            raise ValueError(f"{name}: {self._path} was cut; {self.n_rows} rows would be longer")

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`: two pieces of memory in turn, since fresh memory is slow to come."""
        step = rows or max(1, BLOCK_BYTES // max(1, self._row))
        assert self.n_rows is not None
        room: list[Array | None] = [None, None]
        for start in range(0, self.n_rows, step):
            n = min(step, self.n_rows - start)
            free = room.pop(0)
            if free is None:
                free = _check.empty((n, self._width), self._dtype, "a block")
            room.append(free)
            yield self._read(free[:n], start)

    def between(self, start: int, stop: int) -> Piece:
        """See `Rows.between`."""
        assert self.n_rows is not None
        n = max(0, min(stop, self.n_rows) - start)
        return self._read(_check.empty((n, self._width), self._dtype, "a block"), start)

    def _read(self, out: Array, start: int) -> Array:
        view = memoryview(out.reshape(-1).view(np.uint8).data) if out.size else memoryview(b"")
        with open(self._path, "rb", buffering=0) as file:
            file.seek(self._data + start * self._row)
            while view:
                done = file.readinto(view)
                if not done:
                    raise ValueError(f"{self._path} ends before row {start + len(out)}")
                view = view[done:]
        return _check.read(
            out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("=")), "a block"
        )


class Chain(Rows):
    """One after the other."""

    def __init__(self, parts: list[Rows]) -> None:
        self._parts = parts
        counts = [part.n_rows for part in parts]
        if None not in counts:
            self.n_rows = sum(n for n in counts if n is not None)

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`."""
        for part in self._parts:
            yield from part.pieces(rows)


class Whole(Chain):
    """An array of a list: a block by itself, unless rows are counted."""

    def __init__(self, x: Rows) -> None:
        super().__init__([x])

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`."""
        assert self.n_rows is not None
        return self._parts[0].pieces(rows or max(1, self.n_rows))


class Chunks(Rows):
    """A dask array: its chunks of rows are computed one by one."""

    def __init__(self, x: Any, name: str) -> None:
        if x.ndim != 2:
            raise ValueError(f"{name} must be 2-d, got a dask array of {x.ndim} axes")
        self._x, self._name = x, name
        self.n_rows = None if np.isnan(x.shape[0]) else int(x.shape[0])

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`."""
        for i in range(self._x.numblocks[0]):
            yield from cut(_check.read(self._x.blocks[i].compute(), self._name), rows)

    def between(self, start: int, stop: int) -> Piece | None:
        """See `Rows.between`."""
        return (
            None if self.n_rows is None else _check.read(self._x[start:stop].compute(), self._name)
        )


class Arrow(Rows):
    """A column of lists of one length, as pyarrow keeps vectors; its chunks are read in place."""

    def __init__(self, x: Any, name: str) -> None:
        if not hasattr(x.type, "list_size"):
            raise TypeError(
                f"{name} are an Arrow column of {x.type}; vectors are a fixed_size_list of numbers"
            )
        if x.null_count:
            raise ValueError(f"{name} have {x.null_count} rows that are null")
        self._chunks, self._width = getattr(x, "chunks", [x]), int(x.type.list_size)
        self._name, self.n_rows = name, len(x)

    def pieces(self, rows: int | None) -> Iterator[Piece]:
        """See `Rows.pieces`."""
        for chunk in self._chunks:
            flat = chunk.flatten()
            if flat.null_count:
                raise ValueError(f"{self._name} have {flat.null_count} entries that are null")
            whole = flat.to_numpy(zero_copy_only=False).reshape(-1, self._width)
            yield from cut(whole, rows)


def cut(x: Piece, rows: int | None) -> Iterator[Piece]:
    """Yield an array, or at most so many of its rows at a time."""
    if rows is None or len(x) <= rows:
        yield x
        return
    for start in range(0, len(x), rows):
        yield x[start : start + rows]


def opened(x: Any, name: str) -> Rows:
    """Find out how rows are read; nothing is read yet but the heads of files.

    Raises
    ------
    TypeError
        For what holds no rows that anybody knows to read.
    ValueError, OSError
        For what is not 2-d, and files that are no .npy.
    """
    library = type(x).__module__.partition(".")[0]
    if isinstance(x, str | os.PathLike):
        return Npy(x, name)
    if library == "pyarrow" and hasattr(x, "type"):
        return Arrow(x, name)
    if library == "dask" and hasattr(x, "numblocks"):
        return Chunks(x, name)
    if isinstance(x, list):
        parts = [opened(part, f"{name}[{i}]") for i, part in enumerate(x)]
        return Chain([Whole(p) if isinstance(p, Sliced) else p for p in parts])
    if isinstance(x, BitMatrix) or (hasattr(x, "shape") and hasattr(x, "__getitem__")):
        return Sliced(x, name)
    raise TypeError(
        f"{name} must be an array, a list of arrays, a generator of arrays, .npy paths, a memmap, "
        f"or of zarr, h5py, Arrow or dask, got {type(x).__name__}"
    )


def _row_bytes(dtype: Any, shape: Any) -> int:
    return int(np.dtype(dtype).itemsize) * int(shape[1])
