"""Rows of packed bits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from amfast import _check
from amfast._check.savable import Savable
from amfast._typing import Array, Bytes

CODINGS = ("bipolar", "binary", "bool")
_DTYPES = {
    "bipolar": np.dtype(np.int8),
    "binary": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
# Entries read at a time: the comparisons of a piece stay in the processor's cache.
_PIECE = 1 << 17


class BitMatrix(Savable):
    """Rows of bits, shape (N, n_bits), eight to a byte; it does not change once made.

    Made by `amfast.pack`, `BitMatrix.from_packed` (``BitMatrix(packed)`` is the same) or
    `BitMatrix.random`.

    Parameters
    ----------
    packed : (N, ceil(n_bits / 8)) uint8 array
        In the order of `numpy.packbits`.
    n_bits : int, optional
        Bits per row; None means all of them.

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

    def __init__(self, packed: Any = None, n_bits: int | None = None) -> None:
        if packed is None:
            raise TypeError(
                "a BitMatrix is made by am.pack, BitMatrix(packed bytes), BitMatrix.from_packed or "
                "BitMatrix.random"
            )
        made = self.from_packed(packed, n_bits)
        self._packed, self._n_bits = made._packed, made._n_bits

    @classmethod
    def _of(cls, packed: Bytes, n_bits: int) -> BitMatrix:
        """Hold checked rows; their holder must not write to them any more."""
        made = cls.__new__(cls)
        made._packed, made._n_bits = _check.frozen(packed), n_bits
        return made

    @classmethod
    def from_packed(cls, bytes_u8: Any, n_bits: int | None = None) -> BitMatrix:
        """Read rows that are packed already, without a copy if they are C-contiguous.

        Parameters
        ----------
        bytes_u8 : (N, ceil(n_bits / 8)) uint8 array
            In the order of `numpy.packbits`. What is shared must not be written to afterwards.
        n_bits : int, optional
            Bits per row, >= 1. None means all of them, 8 times the columns.

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
        if n_bits is not None:
            n_bits = _check.integer(n_bits, "n_bits", 1)
        packed = _check.read(bytes_u8, "packed rows")
        if packed.dtype != np.uint8:
            raise TypeError(f"packed rows must be uint8, got dtype {packed.dtype}")
        if packed.ndim != 2:
            hint = _check.shape_hint(packed, packed, "row")
            raise ValueError(f"packed rows must be 2-d, got shape {packed.shape}{hint}")
        if n_bits is None:
            n_bits = _check.integer(8 * packed.shape[1], "n_bits, 8 times the columns,", 1)
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
        """Join rows of one width, in new memory.

        Parameters
        ----------
        parts : iterable of BitMatrix
            One at least.

        Returns
        -------
        BitMatrix
        """
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
        """Return the rows, (N, ceil(n_bits / 8)) uint8, read-only: its own memory, no copy.

        Returns
        -------
        (N, ceil(n_bits / 8)) uint8 array
        """
        return self._packed

    def unpack(self, coding: str = "bipolar") -> Array:
        """Return one element per bit, (N, n_bits).

        Parameters
        ----------
        coding : {"bipolar", "binary", "bool"}
            -1 and +1 as int8, 0 and 1 as uint8, or bool.

        Returns
        -------
        (N, n_bits) array of int8, uint8 or bool

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
        if isinstance(rows, int) and abs(rows) > 2**63:
            raise IndexError(f"row {_check.shown(rows)} of a BitMatrix of {len(self)} rows")
        index = _check.read(rows, "rows")
        if index.size == 0 and index.ndim == 1 and index.dtype.kind == "f":
            index = index.astype(np.int64)  # how NumPy reads []
        if index.dtype.kind not in "biu" or (index.ndim == 0 and index.dtype.kind == "b"):
            raise TypeError(
                f"rows are chosen by an int, slice, indices or mask, got {_check.shown(rows)}"
            )
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
    """Bytes that a row of ``n_bits`` takes.

    Parameters
    ----------
    n_bits : int

    Returns
    -------
    int
    """
    return (n_bits + 7) // 8


def tail_mask(n_bits: int) -> np.uint8:
    """Return the bits in use of a row's last byte.

    Parameters
    ----------
    n_bits : int

    Returns
    -------
    uint8
    """
    return np.uint8(0xFF00 >> ((n_bits - 1) % 8 + 1) & 0xFF)
