"""Keys that are read a block at a time, so that there may be more of them than memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from amfast import _check
from amfast._beside import Ahead
from amfast._typing import Array
from amfast.bits import BitMatrix
from amfast.kernels.sources import Piece, Rows, cut, opened

Block = tuple[Piece, Piece | None]
Work = Callable[[int, Piece, Piece | None], None]


class Blocks:
    """Keys, or keys with values, that `topk`, `within`, `retrieve` and `hebbian` read in blocks.

    While one block is computed with, the next is read in a thread: two blocks and the results are
    in memory. Answers are those of the whole: bit for bit of searches and of sums of whole numbers,
    to the rounding of a merged mean else.

    Parameters
    ----------
    source : array, list, generator, path, or a tuple (keys, values) of these
        A 2-d array, memmap, `BitMatrix`, zarr array or HDF5 dataset is cut by slices; a list is of
        arrays or of paths, one after the other; a path is a ``.npy`` file, read and not mapped; a
        dask array is computed chunk by chunk; a pyarrow column of fixed-size lists chunk by chunk.
        A generator yields arrays or pairs (keys, values), and can be read once.
    rows : int, optional
        Rows of a block, at most. None means 32 MB where the source has no blocks of its own (zarr
        and HDF5: whole chunks), and its own where it has.
    log_weight : (N,) array, optional
        Natural logarithms of item weights, with which `retrieve` reads; -inf leaves an item out.
        `topk` and `within` find an item whatever it weighs.

    Notes
    -----
    An array in C order that is mapped (`numpy.memmap`, ``numpy.load(..., mmap_mode="r")``) needs no
    Blocks: every kernel reads it in place.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> keys = (np.full((2, 3), float(i)) for i in range(4))
    >>> am.topk([0.0, 0.0, 2.9], am.Blocks(keys), 1, "l1")
    (array([2.9]), array([0]))
    >>> am.retrieve([2.0, 0.0], am.Blocks((np.eye(2), [np.ones((2, 5))])))
    array([1., 1., 1., 1., 1.])
    """

    def __init__(self, source: Any, rows: int | None = None, *, log_weight: Any = None) -> None:
        self.log_weight = log_weight
        """As given; read when it is needed."""
        self._rows = None if rows is None else _check.integer(rows, "rows", 1)
        self._keys: Rows | None = None
        self._values: Rows | None = None
        self._once: Iterator[Any] | None = None
        self._used = False
        self._n_rows: int | None = None
        if isinstance(source, tuple):
            if len(source) != 2:
                raise ValueError(
                    f"a tuple is (keys, values), got {len(source)} entries; use a list"
                )
            keys, values = source
            if values is not None:
                self._values = opened(values, "values")
        else:
            keys = source
        if isinstance(keys, Iterator):
            if self._values is not None:
                raise TypeError("a generator yields pairs (keys, values) itself")
            self._once = keys
            return
        self._keys = opened(keys, "keys")
        self._n_rows = self._keys.n_rows
        if self._values is not None and None not in (self._n_rows, self._values.n_rows):
            if self._n_rows != self._values.n_rows:
                raise ValueError(
                    f"values have {self._values.n_rows} rows, the keys have {self._n_rows}"
                )

    @property
    def n_rows(self) -> int | None:
        """How many keys there are, None if that is not known before all are read."""
        return self._n_rows

    @property
    def has_values(self) -> bool:
        """Whether values were given beside the keys; a generator may still bring some."""
        return self._values is not None

    def each(self, work: Work) -> int:
        """Call ``work(start, keys, values)`` for every block that has rows; return their number.

        Parameters
        ----------
        work : callable
            Given the number of rows before the block, its keys, and its values or None.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If a generator was read before, there are no rows, or blocks differ in their width.
        TypeError
            If blocks differ in their element type.
        Exception
            What the source raises, with a note where it did.
        """
        blocks, start = self._blocks(), 0
        first: tuple[Any, ...] = ()
        # While one is computed with the next is read; together they are the two in memory.
        with contextlib.closing(Ahead(blocks)) as ahead:
            for number in itertools.count():
                block = _taken(ahead, number, start)
                if block is None:
                    break
                keys, values = block
                kinds = _kind(keys), None if values is None else _kind(values)
                first = first or kinds
                _check_alike(first, kinds, number)
                if len(keys):
                    work(start, keys, values)
                start += len(keys)
                del block, keys, values
        if start == 0:
            raise ValueError("keys have no rows in any block; at least one is needed")
        return start

    def _blocks(self) -> Iterator[Block]:
        if self._once is not None:
            if self._used:
                raise ValueError(
                    "the generator behind these Blocks was read before, and can be read once; make "
                    "Blocks of a new one, or of what can be read again"
                )
            self._used = True
            return _of_generator(self._once, self._rows)
        assert self._keys is not None
        return _paired(self._keys.pieces(self._rows), self._values, self._rows)

    def __repr__(self) -> str:
        """Say how many rows."""
        known = "an unknown number of" if self._n_rows is None else str(self._n_rows)
        pairs = " with values" if self._values is not None else ""
        return f"<Blocks: {known} rows{pairs}>"

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be read whole."""
        raise TypeError("Blocks are read by topk, within, retrieve and hebbian, a block at a time")


def _paired(keys: Iterator[Piece], values: Rows | None, rows: int | None) -> Iterator[Block]:
    """Yield keys with the values beside them."""
    if values is None:
        for block in keys:
            yield block, None
        return
    start, rest = 0, None
    for block in keys:
        beside = values.between(start, start + len(block))
        if beside is None:
            rest = values.pieces(rows) if rest is None else rest
            beside = next(rest, None)
        if beside is None or len(beside) != len(block):
            found = 0 if beside is None else len(beside)
            raise ValueError(f"{len(block)} keys from row {start} on have {found} values")
        yield block, beside
        start += len(block)
        del block, beside
    if values.n_rows is not None and values.n_rows != start:
        raise ValueError(f"values have {values.n_rows} rows, the keys have {start}")
    if rest is not None and next(rest, None) is not None:
        raise ValueError(f"values have more rows than the {start} keys")


def _of_generator(given: Iterator[Any], rows: int | None) -> Iterator[Block]:
    for item in given:
        pair = item if isinstance(item, tuple) else (item, None)
        if len(pair) != 2:
            raise ValueError(f"a generator yields keys or (keys, values), got {len(pair)} entries")
        keys, values = (_piece(x, name) for x, name in zip(pair, ("keys", "values"), strict=True))
        if keys is None:
            raise ValueError("a generator yields keys or (keys, values), got None")
        if values is not None and len(values) != len(keys):
            raise ValueError(f"a block has {len(keys)} keys and {len(values)} values")
        del item, pair
        beside = iter(()) if values is None else cut(values, rows)
        for part in cut(keys, rows):
            yield part, next(beside, None)


def _piece(x: Any, name: str) -> Piece | None:
    if x is None or isinstance(x, BitMatrix):
        return x
    found: Array = _check.read(x, name)
    if found.ndim != 2:
        raise ValueError(f"blocks of {name} must be 2-d, got shape {found.shape}")
    return found


def _taken(ahead: Ahead[Block], number: int, start: int) -> Block | None:
    try:
        return next(ahead, None)
    except Exception as error:
        if hasattr(error, "add_note"):
            error.add_note(f"while block {number} was read, from row {start} on")
        raise


def _kind(x: Piece) -> tuple[int, str]:
    """Return columns and element type."""
    return int(x.shape[1]), "bits" if isinstance(x, BitMatrix) else str(x.dtype)


def _check_alike(first: tuple[Any, ...], block: tuple[Any, ...], number: int) -> None:
    """Refuse a block of other columns or another type than the first."""
    for mine, theirs, name in zip(first, block, ("keys", "values"), strict=True):
        if (mine is None) != (theirs is None):
            raise ValueError(
                f"block {number} has {'no ' * (theirs is None)}{name}, block 0 has not"
            )
        if mine is None:
            continue
        if mine[0] != theirs[0]:
            raise ValueError(
                f"block {number} of the {name} has {theirs[0]} columns, block 0 has {mine[0]}"
            )
        if mine[1] != theirs[1]:
            raise TypeError(f"block {number} of the {name} is {theirs[1]}, block 0 is {mine[1]}")
