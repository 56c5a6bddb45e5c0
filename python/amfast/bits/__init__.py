"""Packed bits: binary patterns at one bit per unit, and the one reader of binary input.

A pattern of +1 and -1, of 1 and 0, or of True and False is the same row of bits; +1, 1 and True are
bit 1. `BitMatrix` holds such rows in the order of `numpy.packbits`: bit 0 is the most significant
bit of byte 0, and what pads the last byte is zero. These are the bytes that faiss (``IndexBinary``)
and usearch (``ScalarKind.B1``) take and give, so `BitMatrix.from_packed` and `BitMatrix.to_packed`
exchange rows with them without a copy, for every n_bits (faiss wants a multiple of 8).

For bipolar rows the dot product is ``n_bits - 2 * hamming``.
"""

from amfast.bits.matrix import CODINGS, BitMatrix, n_bytes, tail_mask
from amfast.bits.reading import Kind, binary, pack, states

__all__ = ["CODINGS", "BitMatrix", "Kind", "binary", "n_bytes", "pack", "states", "tail_mask"]
