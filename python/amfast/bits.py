"""Packed bits: binary patterns at one bit per unit, and the one reader of binary input.

A pattern of +1 and -1, of 1 and 0, or of True and False is the same row of bits; +1, 1 and True are
bit 1. `BitMatrix` holds such rows in the order of `numpy.packbits`: bit 0 is the most significant
bit of byte 0, and what pads the last byte is zero. These are the bytes that faiss (``IndexBinary``)
and usearch (``ScalarKind.B1``) take and give, so `BitMatrix.from_packed` and `BitMatrix.to_packed`
exchange rows with them without a copy, for every n_bits (faiss wants a multiple of 8).

For bipolar rows the dot product is ``n_bits - 2 * hamming``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Bytes, Mask, Signs

CODINGS = ("bipolar", "binary", "bool")
# Entries read at a time: the comparisons of a piece stay in the processor's cache.
_PIECE = 1 << 17
_HINT = "binary patterns hold -1 and +1, 0 and 1, or bools; threshold first, e.g. x > 0"


class BitMatrix:
    """Rows of bits, shape (N, n_bits), eight to a byte; it does not change once made.

    Made by `amfast.pack`, `BitMatrix.from_packed` or `BitMatrix.random`.

    Examples
    --------
    >>> import amfast as am
    >>> bits = am.pack([[1, -1, 1], [-1, -1, 1]])
    >>> bits
    <BitMatrix: 2 rows of 3 bits>
    >>> bits.to_packed()
    array([[160],
           [ 32]], dtype=uint8)
    >>> bits.unpack("binary")
    array([[1, 0, 1],
           [0, 0, 1]], dtype=uint8)
    """

    __slots__ = ("_n_bits", "_packed")
    __array_ufunc__ = None

    _packed: Bytes
    _n_bits: int

    def __init__(self) -> None:
        raise TypeError("a BitMatrix is made by am.pack, BitMatrix.from_packed or BitMatrix.random")

    @classmethod
    def _of(cls, packed: Bytes, n_bits: int) -> BitMatrix:
        """Hold checked rows; their holder must not write to them any more."""
        made = cls.__new__(cls)
        made._packed, made._n_bits = _check.frozen(packed), n_bits
        return made

    @classmethod
    def from_packed(cls, bytes_u8: Any, n_bits: int) -> BitMatrix:
        """Read rows that are packed already, without a copy if they are C-contiguous.

        Parameters
        ----------
        bytes_u8 : (N, ceil(n_bits / 8)) uint8 array
            In the order of `numpy.packbits`. What is shared must not be written to afterwards.
        n_bits : int
            Bits per row, >= 1.

        Raises
        ------
        ValueError
            If the shape does not match ``n_bits`` or a bit of the padding is set, naming the row.
        TypeError
            If the elements are not uint8.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> am.BitMatrix.from_packed(np.packbits([[1, 1, 0]], axis=1), 3).unpack()
        array([[ 1,  1, -1]], dtype=int8)
        """
        n_bits = _check.integer(n_bits, "n_bits", 1)
        packed = _check.read(bytes_u8, "packed rows")
        if packed.dtype != np.uint8:
            raise TypeError(f"packed rows must be uint8, got dtype {packed.dtype}")
        if packed.ndim != 2:
            hint = "; one row is row[None, :]" if packed.ndim == 1 else ""
            raise ValueError(f"packed rows must be 2-d, got shape {packed.shape}{hint}")
        if packed.shape[1] != n_bytes(n_bits):
            raise ValueError(
                f"packed rows have {packed.shape[1]} bytes, {n_bits} bits take {n_bytes(n_bits)}"
            )
        if not packed.flags.c_contiguous:
            _check.fits(packed.shape, packed.dtype, "packed rows")
        packed = np.ascontiguousarray(packed)
        bad = np.flatnonzero(packed[:, -1] & ~tail_mask(n_bits))
        if len(bad):
            raise ValueError(
                f"packed row {bad[0]} has bits set beyond its {n_bits}; padding bits must be zero"
            )
        return cls._of(packed, n_bits)

    @classmethod
    def random(cls, n: int, n_bits: int, seed: int) -> BitMatrix:
        """Draw ``n`` rows of fair coin flips, the same on every platform.

        The first rows do not depend on ``n``. The bits are the output of NumPy's PCG64 as
        little-endian bytes.

        Examples
        --------
        >>> import amfast as am
        >>> am.BitMatrix.random(2, 8, seed=0).unpack("binary")
        array([[0, 1, 0, 1, 1, 1, 1, 1],
               [1, 0, 0, 0, 0, 0, 1, 0]], dtype=uint8)
        """
        n = _check.integer(n, "n", 0)
        n_bits = _check.integer(n_bits, "n_bits", 1)
        seed = _check.integer(seed, "seed", 0)
        width = n_bytes(n_bits)
        _check.fits((n, width), np.dtype(np.uint8), "random bits")
        words = np.random.PCG64(seed).random_raw(-(-n * width // 8))
        stream = words.astype("<u8", copy=False).view(np.uint8)
        packed = stream[: n * width].reshape(n, width)
        packed[:, -1] &= tail_mask(n_bits)
        return cls._of(packed, n_bits)

    @staticmethod
    def concatenate(parts: Iterable[BitMatrix]) -> BitMatrix:
        """Join rows of one width, in new memory."""
        given = list(parts)
        if not given:
            raise ValueError("concatenate needs at least one BitMatrix, got none")
        for part in given:
            if not isinstance(part, BitMatrix):
                raise TypeError(f"concatenate joins BitMatrix, got {type(part).__name__}")
            if part.n_bits != given[0].n_bits:
                raise ValueError(f"rows of {given[0].n_bits} and of {part.n_bits} bits do not join")
        return BitMatrix._of(np.concatenate([p._packed for p in given]), given[0].n_bits)

    def to_packed(self) -> Bytes:
        """Return the rows, (N, ceil(n_bits / 8)) uint8, read-only: its own memory, no copy."""
        return self._packed

    def unpack(self, coding: str = "bipolar") -> Array:
        """Return one element per bit, (N, n_bits).

        Parameters
        ----------
        coding : {"bipolar", "binary", "bool"}
            -1 and +1 as int8, 0 and 1 as uint8, or bool.
        """
        _check.choice(coding, "coding", CODINGS)
        _check.fits(self.shape, np.dtype(np.uint8), "unpacked bits")
        flat = np.unpackbits(self._packed, axis=1, count=self._n_bits)
        if coding == "binary":
            return flat
        if coding == "bool":
            return flat.view(np.bool_)
        signed = flat.view(np.int8)
        signed += signed
        signed -= 1
        return signed

    @property
    def n_bits(self) -> int:
        """Bits per row."""
        return self._n_bits

    @property
    def shape(self) -> tuple[int, int]:
        """(N, n_bits)."""
        return len(self._packed), self._n_bits

    @property
    def nbytes(self) -> int:
        """Bytes of the packed rows."""
        return int(self._packed.nbytes)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._packed)

    def __getitem__(self, rows: Any) -> BitMatrix:
        """Choose rows by an int (one row), a slice, indices or a bool mask of shape (N,)."""
        if isinstance(rows, slice):
            return BitMatrix._of(np.ascontiguousarray(self._packed[rows]), self._n_bits)
        index = np.asarray(rows)
        if index.size == 0 and index.ndim == 1 and index.dtype.kind == "f":
            index = index.astype(np.int64)  # how NumPy reads []
        if index.dtype.kind not in "biu" or (index.ndim == 0 and index.dtype.kind == "b"):
            raise TypeError(f"rows are chosen by an int, slice, indices or mask, got {rows!r:.60}")
        if index.ndim > 1 or isinstance(rows, tuple):
            raise IndexError("only rows can be chosen; for columns unpack first")
        return BitMatrix._of(self._packed[np.atleast_1d(index)], self._n_bits)

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same width and the same rows."""
        if not isinstance(other, BitMatrix):
            return NotImplemented
        return self._n_bits == other._n_bits and np.array_equal(self._packed, other._packed)

    def __repr__(self) -> str:
        """Say how much it holds."""
        return f"<BitMatrix: {len(self)} rows of {self._n_bits} bits>"

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        """Refuse to become numbers silently: eight patterns' units share a byte."""
        raise TypeError("a BitMatrix is packed; call its unpack() or to_packed()")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as packed rows."""
        return BitMatrix.from_packed, (np.array(self._packed), self._n_bits)


def n_bytes(n_bits: int) -> int:
    """Bytes that a row of ``n_bits`` takes."""
    return (n_bits + 7) // 8


def tail_mask(n_bits: int) -> np.uint8:
    """Return the bits in use of a row's last byte."""
    return np.uint8(0xFF00 >> ((n_bits - 1) % 8 + 1) & 0xFF)


def pack(X: Any) -> BitMatrix:
    """Pack binary rows, one bit per entry.

    Parameters
    ----------
    X : (N, n_bits) array
        Of -1 and +1, of 0 and 1 (any real dtype), or bool. +1, 1 and True become bit 1.

    Raises
    ------
    ValueError
        If another value occurs (naming it and its place; nothing is rounded), if -1 and 0 both do,
        or if the array is not 2-d.
    TypeError
        For element types that are no real numbers.

    Examples
    --------
    >>> import amfast as am
    >>> am.pack([[1.0, -1.0, -1.0, 1.0]]) == am.pack([[True, False, False, True]])
    True
    """
    return binary(X, "X")[0]


# -- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How binary rows were given, and so how the answer to them is."""

    coding: str = "packed"
    """"bipolar", "binary", "bool", "packed" for a `BitMatrix`, or "numbers"."""
    dtype: np.dtype[Any] | None = None
    """Element type of an array."""
    single: bool = False
    """Whether one 1-d row was given."""

    def answer(self, rows: Array | BitMatrix) -> Any:
        """Return rows in this kind: coded, typed and shaped as the question was.

        Numbers are numbers in every kind, and only lose their axis where one row was given.
        """
        if not isinstance(rows, BitMatrix):
            return rows[0] if self.single else rows
        if self.dtype is None:
            return rows
        dtype = np.dtype(self.dtype)
        _check.fits(rows.shape, dtype, "answers")
        flat = rows.unpack(self.coding).astype(dtype, copy=False)
        return flat[0] if self.single else flat

    def states(self, x: Array) -> Any:
        """Return states (Q, d) of -1 and +1 in this kind, as `answer` does.

        A 0, where a unit is undecided, stays one among -1 and +1, and is bit 0 elsewhere.
        """
        if self.dtype is None:
            return BitMatrix._of(np.packbits(x > 0, axis=1), x.shape[1])
        dtype = np.dtype(self.dtype)
        _check.fits(x.shape, dtype, "answers")
        flat = (x if self.coding == "bipolar" else x > 0).astype(dtype, copy=False)
        return flat[0] if self.single else flat

    def number(self, x: Array) -> Any:
        """Return numbers (Q,), or a float where one row was given."""
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
        How many rows these belong to, one each: as many entries in 1-d were meant as a column.

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
    """Read binary rows, or one, as states of -1 and +1 (Q, d) in new memory; see `binary`."""
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
        called = name if isinstance(x, np.ndarray) else f"np.asarray({name})"
        hint = f"; one row is {called}[None, :]" if given.ndim == 1 else ""
        if given.shape == (partners,):
            hint = f"; one number per row is {called}[:, None]"
        raise ValueError(f"{what}, got {given.ndim}-d of shape {given.shape}{hint}")
    flat = given if given.ndim == 2 else given[None]
    if flat.shape[1] == 0:
        raise ValueError(f"{name} have 0 columns; at least 1 is needed")
    return flat, given.dtype.newbyteorder("="), given.ndim == 1


def _read(x: Array, name: str, like: Kind | None, take: Callable[[Mask, slice], None]) -> str:
    """Check rows and hand over, some rows at a time, where their ones are; return their coding."""
    step = max(1, _PIECE // x.shape[1])
    if x.dtype.kind == "b":
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
        if not fine or (minus and zero):
            raise ValueError(_refusal(x[: start + step], name))
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


def _refusal(x: Array, name: str) -> str:
    """Say which entry is not binary, or that codings are mixed."""

    def first(mask: Array) -> str:
        row, column = (int(i) for i in np.argwhere(mask)[0])
        return f"row {row}, column {column}"

    odd = (x != 1) & (x != 0)
    if x.dtype.kind != "u":
        odd &= x != -1
    if odd.any():
        where = first(odd)
        value = x[odd][0].item()
        hint = _HINT
        if x.dtype == np.uint8:
            hint += " (packed rows are read by BitMatrix.from_packed)"
        return f"{name} {where} is {value}; {hint}"
    return (
        f"{name} mix two codings, 0 ({first(x == 0)}) and -1 ({first(x == -1)}): "
        f"use -1 and +1, or 0 and 1"
    )
