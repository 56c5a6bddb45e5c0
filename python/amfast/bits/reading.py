"""The one reader of binary input, and `Kind`, which turns answers into what was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._typing import Array, Mask, Signs
from amfast.bits.matrix import CODINGS, BitMatrix, n_bytes

# Entries read at a time: the comparisons of a piece stay in the processor's cache.
_PIECE = 1 << 17
_HINT = "binary patterns hold -1 and +1, 0 and 1, or bools; threshold first, e.g. x > 0"


class Kind(NamedTuple):
    """How rows were given, and so how the answer to them is.

    Examples
    --------
    >>> import numpy as np
    >>> one = Kind("numbers", single=True)
    >>> one.answer(np.array([[1.0, 2.0]])), one.number(np.array([3.0]))
    (array([1., 2.]), 3.0)
    """

    coding: str = "packed"
    """"bipolar", "binary", "bool", "packed" for a `BitMatrix`, or "numbers" for any array."""
    dtype: np.dtype[Any] | None = None
    """Element type of a binary array."""
    single: bool = False
    """Whether one 1-d row was given."""

    def answer(self, rows: BitMatrix | Array) -> Any:
        """Return rows as the question was: bits coded and typed, the row of a single one alone.

        Parameters
        ----------
        rows : BitMatrix or (Q, d) array

        Returns
        -------
        array or BitMatrix
        """
        if isinstance(rows, BitMatrix):
            if self.dtype is None:
                return rows
            rows = rows._coded(self.coding, np.dtype(self.dtype), "answers")
        return rows[0] if self.single else rows

    def states(self, x: Array) -> Any:
        """Return states (Q, d) of -1 and +1 in this kind, as `answer` does.

        A 0, where a unit is undecided, stays one among -1 and +1, and is bit 0 elsewhere.

        Parameters
        ----------
        x : (Q, d) array

        Returns
        -------
        array or BitMatrix
        """
        if self.dtype is None:
            return BitMatrix._of(np.packbits(x > 0, axis=1), x.shape[1])
        dtype = np.dtype(self.dtype)
        if self.coding != "bipolar" or x.dtype != dtype:
            _check.fits(x.shape, dtype, "answers")
            x = (x if self.coding == "bipolar" else x > 0).astype(dtype, copy=False)
        return x[0] if self.single else x

    def saved(self) -> list[str | None]:
        """Return what a file holds of it: coding and element type.

        Returns
        -------
        list of two str or None
        """
        return [self.coding, None if self.dtype is None else np.dtype(self.dtype).name]

    @classmethod
    def restored(cls, saved: Any) -> Kind:
        """Return what was saved.

        Parameters
        ----------
        saved : list
            What `saved` returned.

        Returns
        -------
        Kind
        """
        coding, dtype = saved
        if coding not in (*CODINGS, "packed") or (dtype is None) != (coding == "packed"):
            raise ValueError(f"rows are of no kind {saved!r}")
        return cls(coding, None if dtype is None else np.dtype(dtype))

    def number(self, x: Array) -> Any:
        """Return one number per row, (Q,), or the float of a single row.

        Parameters
        ----------
        x : (Q,) array

        Returns
        -------
        (Q,) array or float
        """
        return float(x[0]) if self.single else x


def binary(
    x: object,
    name: str,
    n_bits: int | None = None,
    *,
    single: bool = False,
    like: Kind | None = None,
    partners: int | None = None,
) -> tuple[BitMatrix, Kind]:
    """Read binary rows, and say of what kind they are.

    Parameters
    ----------
    x : BitMatrix or array
        Of -1 and +1, of 0 and 1 (any real dtype), or bool.
    name : str
        What errors call it: "cues".
    n_bits : int, optional
        The width it must have: that of what the memory stores.
    single : bool
        Whether a 1-d row is allowed.
    like : Kind, optional
        What decides about rows that hold nothing but ones, in a signed type: they are read as
        bipolar, or as {0, 1} if these are of that coding. (The bits are the same.)
    partners : int, optional
        Number of rows that these belong to, one each: what a 1-d array of as many was meant for.

    Returns
    -------
    BitMatrix
        It may share memory with ``x``.
    Kind
        For `Kind.answer`.
    """
    if isinstance(x, BitMatrix):
        rows, kind = x, Kind()
    else:
        flat, dtype, one = _given(x, name, single, partners)
        packed = _check.empty(
            (len(flat), n_bytes(flat.shape[1])), np.dtype(np.uint8), f"packed {name}"
        )

        def pack(ones: Mask, place: slice) -> None:
            packed[place] = np.packbits(ones, axis=1)

        kind = Kind(_read(flat, name, like, pack), dtype, one)
        rows = BitMatrix._of(packed, flat.shape[1])
    if n_bits is not None and rows.n_bits != n_bits:
        raise ValueError(f"{name} have {rows.n_bits} bits, the memory stores {n_bits}")
    return rows, kind


def states(x: object, name: str, n_bits: int, *, like: Kind | None = None) -> tuple[Signs, Kind]:
    """Read binary rows, or one, as states of -1 and +1 (Q, d) in new memory; see `binary`.

    Parameters
    ----------
    x : BitMatrix or array
        Of -1 and +1, of 0 and 1 (any real dtype), or bool.
    name : str
        What errors call it: "cues".
    n_bits : int
        The width it must have.
    like : Kind, optional
        See `binary`.

    Returns
    -------
    (Q, d) int8 array
    Kind
        For `Kind.states`.
    """
    if isinstance(x, BitMatrix):
        if x.n_bits != n_bits:
            raise ValueError(f"{name} have {x.n_bits} bits, the memory stores {n_bits}")
        return x.unpack(), Kind()
    flat, dtype, one = _given(x, name, True)
    if flat.shape[1] != n_bits:
        raise ValueError(f"{name} have {flat.shape[1]} bits, the memory stores {n_bits}")
    signs = _check.empty(flat.shape, np.dtype(np.int8), name)

    def sign(ones: Mask, place: slice) -> None:
        np.add(ones, ones, out=signs[place], dtype=np.int8)

    kind = Kind(_read(flat, name, like, sign), dtype, one)
    signs -= 1
    return signs, kind


def _given(
    x: object, name: str, single: bool, partners: int | None = None
) -> tuple[Array, np.dtype[Any], bool]:
    """Read rows of any element type; return also that type, and whether one 1-d row was given."""
    given = _check.read(x, name)
    if given.dtype.kind not in "biuf":
        _check.array(given, name)  # says what it is instead
    if given.ndim != 2 and not (single and given.ndim == 1):
        what = f"{name} must be a BitMatrix or 2-d (N, n_bits){' or one 1-d row' * single}"
        hint = _check.shape_hint(x, given, name, partners)
        raise ValueError(f"{what}, got {given.ndim}-d of shape {given.shape}{hint}")
    flat = given if given.ndim == 2 else given[None]
    if flat.shape[1] == 0:
        raise ValueError(f"{name} have 0 columns; at least 1 is needed")
    return flat, given.dtype.newbyteorder("="), given.ndim == 1


def _read(x: Array, name: str, like: Kind | None, take: Callable[[Mask, slice], None]) -> str:
    """Check rows and hand over, some rows at a time, where their ones are; return their coding."""
    step = max(1, _PIECE // x.shape[1])
    if x.dtype.kind == "b":
        step *= 8  # nothing is compared, so nothing need stay in the cache
        for start in range(0, len(x), step):
            take(x[start : start + step], slice(start, start + step))
        return "bool"
    scratch = np.empty((min(step, len(x)), x.shape[1]), np.bool_)
    minus = zero = False
    for start in range(0, len(x), step):
        piece = x[start : start + step]
        is_one = scratch[: len(piece)]
        np.equal(piece, 1, out=is_one)
        take(is_one, slice(start, start + step))
        has_minus, has_zero, fine = _values(piece, is_one)
        minus, zero = minus or has_minus, zero or has_zero
        if not fine:
            raise ValueError(_stranger(piece, name, start))
        if minus and zero:
            raise ValueError(_mixture(x[: start + step], name, step))
    if minus:
        return "bipolar"
    if zero or x.dtype.kind == "u" or (like is not None and like.coding in ("binary", "bool")):
        return "binary"
    return "bipolar"


def _values(piece: Array, is_one: Mask) -> tuple[bool, bool, bool]:
    """Whether -1 occurs, whether 0 does, and whether nothing but these and 1 does.

    ``is_one`` says where the ones are; it is overwritten.
    """
    if piece.dtype.kind in "ui":  # the fewest passes
        low, high = int(piece.min()), int(piece.max())
        return low < 0, int(np.count_nonzero(piece)) < piece.size, low >= -1 and high <= 1
    left = piece.size - int(np.count_nonzero(is_one))
    counts = []
    for value in (-1, 0):
        counts.append(int(np.count_nonzero(np.equal(piece, value, out=is_one))) if left else 0)
        left -= counts[-1]
    return counts[0] > 0, counts[1] > 0, left == 0


def _stranger(piece: Array, name: str, start: int) -> str:
    """Say which entry of rows from ``start`` on is not binary."""
    odd = (piece != 1) & (piece != 0)
    if piece.dtype.kind != "u":
        odd &= piece != -1
    row, column = (int(i) for i in np.argwhere(odd)[0])
    hint = _HINT
    if piece.dtype == np.uint8:
        hint += " (packed rows are read by BitMatrix.from_packed)"
    value = piece[row, column].item()
    return f"{name} row {start + row}, column {column} is {value}; {hint}"


def _mixture(x: Array, name: str, step: int) -> str:
    """Say where both codings occur, looking at ``step`` rows at a time."""

    def first(value: int) -> str:
        for start in range(0, len(x), step):
            found = np.argwhere(x[start : start + step] == value)
            if len(found):
                return f"row {start + int(found[0, 0])}, column {int(found[0, 1])}"
        raise AssertionError("both values were seen")

    return f"{name} mix two codings, 0 ({first(0)}) and -1 ({first(-1)}): use -1 and +1, or 0 and 1"


def pack(X: Any) -> BitMatrix:
    """Pack binary rows, one bit per entry.

    Parameters
    ----------
    X : (N, n_bits) array
        Of -1 and +1, of 0 and 1 (any real dtype), or bool. +1, 1 and True become bit 1.

    Returns
    -------
    BitMatrix

    Raises
    ------
    ValueError
        If another value occurs (naming it and its place; nothing is rounded), if -1 and 0 both do,
        or if the array is not 2-d.
    TypeError
        For element types that are no real numbers.
    MemoryError
        If the packed rows cannot fit.

    Examples
    --------
    >>> import amfast as am
    >>> am.pack([[1.0, -1.0, -1.0, 1.0]]) == am.pack([[True, False, False, True]])
    True
    """
    return binary(X, "X")[0]
