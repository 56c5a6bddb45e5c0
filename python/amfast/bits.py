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
from amfast._check.savable import Savable
from amfast._typing import Array, Bytes, Mask, Signs

CODINGS = ("bipolar", "binary", "bool")
_DTYPES = {
    "bipolar": np.dtype(np.int8),
    "binary": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
# Entries read at a time: the comparisons of a piece stay in the processor's cache.
_PIECE = 1 << 17
_HINT = "binary patterns hold -1 and +1, 0 and 1, or bools; threshold first, e.g. x > 0"


class BitMatrix(Savable):
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
            hint = _check.one_dimensional(packed, packed, "row")
            raise ValueError(f"packed rows must be 2-d, got shape {packed.shape}{hint}")
        if packed.shape[1] != n_bytes(n_bits):
            raise ValueError(
                f"packed rows have {packed.shape[1]} bytes, {n_bits} bits take {n_bytes(n_bits)}"
            )
        packed = _check.contiguous(packed, "packed rows")
        for start in range(0, len(packed), _PIECE):
            bad = np.flatnonzero(packed[start : start + _PIECE, -1] & ~tail_mask(n_bits))
            if len(bad):
                raise ValueError(
                    f"packed row {start + int(bad[0])} has bits set beyond its {n_bits}; "
                    "padding bits must be zero"
                )
        return cls._of(packed, n_bits)

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        return {"n_bits": self._n_bits}, {"packed": self._packed}

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> BitMatrix:
        first = cls.from_packed(arrays["packed"][:1], parts["n_bits"])
        return cls._of(arrays["packed"], first.n_bits)

    def _check_contents(self) -> None:
        BitMatrix.from_packed(self._packed, self._n_bits)

    @classmethod
    def random(cls, n: int, n_bits: int, seed: int) -> BitMatrix:
        """Draw ``n`` rows of fair coin flips, the same on every platform.

        Parameters
        ----------
        n : int
            Rows, >= 0. The first rows do not depend on it.
        n_bits : int
            Bits per row, >= 1.
        seed : int
            In 0..2**64 - 1. The bits are the output of NumPy's PCG64 as little-endian bytes.

        Raises
        ------
        MemoryError
            If the rows cannot fit, before anything is drawn.

        Examples
        --------
        >>> import amfast as am
        >>> am.BitMatrix.random(2, 8, seed=0).unpack("binary")
        array([[0, 1, 0, 1, 1, 1, 1, 1],
               [1, 0, 0, 0, 0, 0, 1, 0]], dtype=uint8)
        """
        n = _check.integer(n, "n", 0)
        n_bits = _check.integer(n_bits, "n_bits", 1)
        source = np.random.PCG64(_check.seed(seed))
        width = n_bytes(n_bits)
        words = _check.empty((-(-n * width // 8),), np.dtype("<u8"), f"random bits ({n}, {n_bits})")
        # In pieces of one stream, so that Ctrl-C is heard between them.
        for start in range(0, len(words), _PIECE):
            piece = words[start : start + _PIECE]
            piece[:] = source.random_raw(len(piece))
        packed = words.view(np.uint8)[: n * width].reshape(n, width)
        for start in range(0, n, _PIECE):
            packed[start : start + _PIECE, -1] &= tail_mask(n_bits)
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
        width = n_bytes(given[0].n_bits)
        rows = _check.empty((sum(map(len, given)), width), np.dtype(np.uint8), "joined rows")
        np.concatenate([p._packed for p in given], out=rows)
        return BitMatrix._of(rows, given[0].n_bits)

    def to_packed(self) -> Bytes:
        """Return the rows, (N, ceil(n_bits / 8)) uint8, read-only: its own memory, no copy."""
        return self._packed

    def unpack(self, coding: str = "bipolar") -> Array:
        """Return one element per bit, (N, n_bits).

        Parameters
        ----------
        coding : {"bipolar", "binary", "bool"}
            -1 and +1 as int8, 0 and 1 as uint8, or bool.

        Raises
        ------
        ValueError
            For another coding.
        MemoryError
            If the elements cannot fit.
        """
        _check.choice(coding, "coding", CODINGS)
        return self._coded(coding, _DTYPES[coding], "unpacked bits")

    def _coded(self, coding: str, dtype: np.dtype[Any], what: str) -> Array:
        """Return one element per bit in any type, in one array that is asked for beforehand."""
        out = _check.empty(self.shape, dtype, what)
        step = max(1, _PIECE // self._n_bits)
        for start in range(0, len(out), step):
            flat = np.unpackbits(self._packed[start : start + step], axis=1, count=self._n_bits)
            if coding == "bipolar":
                signed = flat.view(np.int8)
                signed += signed
                signed -= 1
            out[start : start + step] = flat.view(_DTYPES[coding])
        return out

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
            chosen = _check.contiguous(self._packed[rows], "chosen rows")
            return BitMatrix._of(chosen, self._n_bits)
        index = _check.read(rows, "rows")
        if index.size == 0 and index.ndim == 1 and index.dtype.kind == "f":
            index = index.astype(np.int64)  # how NumPy reads []
        if index.dtype.kind not in "biu" or (index.ndim == 0 and index.dtype.kind == "b"):
            raise TypeError(f"rows are chosen by an int, slice, indices or mask, got {rows!r:.60}")
        if index.ndim > 1 or isinstance(rows, tuple):
            raise IndexError("only rows can be chosen; for columns unpack first")
        if index.dtype.kind == "b":
            if len(index) != len(self):
                raise IndexError(f"a mask of {len(index)} entries chooses among {len(self)} rows")
            index = np.flatnonzero(index)
        index = np.atleast_1d(index)
        bad = np.flatnonzero((index >= len(self)) | (index < -len(self)))
        if len(bad):
            raise IndexError(f"row {index[bad[0]]} of a BitMatrix of {len(self)} rows")
        shape = (len(index), n_bytes(self._n_bits))
        chosen = _check.empty(shape, np.dtype(np.uint8), "chosen rows")
        # Where the range is known, "wrap" counts from the end and needs no copy of its own.
        np.take(self._packed, index.astype(np.int64, copy=False), axis=0, out=chosen, mode="wrap")
        return BitMatrix._of(chosen, self._n_bits)

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
    MemoryError
        If the packed rows cannot fit.

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
        """Return rows as the question was: bits coded and typed, the row of a single one alone."""
        if isinstance(rows, BitMatrix):
            if self.dtype is None:
                return rows
            rows = rows._coded(self.coding, np.dtype(self.dtype), "answers")
        return rows[0] if self.single else rows

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
        """Return one number per row, (Q,), or the float of a single row."""
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
        hint = _check.one_dimensional(x, given, name, partners)
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
