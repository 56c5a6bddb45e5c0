"""Near codes without looking at all: two rows that differ in r bits agree in one of r + 1 pieces.

Keys are sorted by each of the pieces; a query is compared with those alone that share a piece with
it (the pigeonhole principle; Norouzi, Punjani and Fleet, *Fast Search in Hamming Space with
Multi-Index Hashing*, CVPR 2012). What is found is what a scan finds; where pieces are shared by so
many that a scan is cheaper, `Buckets.within` has no answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from amfast._typing import Array, Bytes, Int

MOST = 8
"""The largest radius: more pieces are so short that many rows share them."""
# Pairs compared at a time.
_AT_ONCE = 1 << 19
# About how many nanoseconds it takes to sort a key by a piece, to look a query's up, to compare
# a pair that shares one, and a word of it; and a pair and a bit of it in a scan by two threads.
_SORT, _LOOK, _COMPARE, _WORD = 150.0, 1000.0, 60.0, 10.0
_SCAN, _BIT = 0.12, 0.0005
_MIX = np.uint64(0x9E3779B97F4A7C15)


def pays(n_queries: int, n_keys: int, n_bits: int, radius: float) -> bool:
    """Whether to sort the keys at all: it has to be little beside a scan."""
    if not 0 <= radius <= MOST or radius + 1 > n_bits:
        return False
    found = (int(radius) + 1) * (n_keys * _SORT + n_queries * _LOOK)
    return 2 * found < n_queries * n_keys * (_SCAN + _BIT * n_bits)


class Buckets:
    """Keys (N, bytes), packed bits, in the order of each of their pieces."""

    def __init__(self, keys: Bytes, n_bits: int, radius: float) -> None:
        self._radius, self._n_bits, self._words = int(radius), n_bits, _words(keys)
        self._pieces: list[tuple[Array, Int]] = []
        for piece in self._cut(keys):
            order = np.argsort(piece, kind="stable")
            self._pieces.append((piece[order], order))

    def _cut(self, rows: Bytes) -> Iterator[Array]:
        """Yield a number per row for each of r + 1 pieces, the same where the pieces are."""
        n = self._radius + 1
        edges = [self._n_bits * i // n for i in range(n + 1)]
        for first, end in zip(edges, edges[1:], strict=False):
            piece = rows[:, first // 8 : -(-end // 8)].copy()
            piece[:, 0] &= 0xFF >> first % 8
            piece[:, -1] &= 0xFF << (-end % 8) & 0xFF
            words = _words(piece)
            number = words[:, 0].copy()
            for word in words.T[1:]:  # long pieces may share a number: rows are compared anyway
                number = number * _MIX ^ word
            yield number

    def within(self, queries: Bytes, *, apart: bool = False) -> tuple[Int, Int, Int] | None:
        """Find pairs of a query and a key at most r bits apart.

        Parameters
        ----------
        queries : (Q, bytes) array
        apart : bool
            Whether queries are the keys, and only pairs with a lower query than key are meant.

        Returns
        -------
        rows, indices, counts : (P,) arrays
            In ascending order of both; the bits that differ are int32. None if a scan is cheaper.
        """
        ranges = []
        for piece, (known, _) in zip(self._cut(queries), self._pieces, strict=True):
            low = np.searchsorted(known, piece, "left")
            ranges.append((low, np.searchsorted(known, piece, "right") - low))
        words = self._words
        shared = sum(int(count.sum()) for _, count in ranges)
        scanned = len(queries) * len(words) * (_SCAN + _BIT * self._n_bits)
        if shared * (_COMPARE + _WORD * words.shape[1]) > scanned:
            return None
        asked = _words(queries)
        found = []
        for (low, count), (_, order) in zip(ranges, self._pieces, strict=True):
            for rows, places in _expanded(low, count):
                indices = order[places]
                if apart:
                    keep = rows < indices
                    rows, indices = rows[keep], indices[keep]
                bits = np.bitwise_count(asked[rows] ^ words[indices]).sum(axis=1, dtype=np.int32)
                near = bits <= self._radius
                found.append((rows[near], indices[near], bits[near]))
        rows, indices, bits = (np.concatenate(parts) for parts in zip(*found, strict=True))
        # A pair was found once for every piece that it shares.
        order = np.lexsort((indices, rows))
        rows, indices, bits = rows[order], indices[order], bits[order]
        first = np.ones(len(rows), np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (indices[1:] != indices[:-1])
        return rows[first], indices[first], bits[first]


def _expanded(low: Int, count: Int) -> Iterator[tuple[Int, Int]]:
    """Yield rows and places of ``count`` places from ``low`` on, some at a time."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        done = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, "right")))
        some = count[start:end]
        rows = np.repeat(np.arange(start, end), some)
        places = np.arange(len(rows)) + np.repeat(low[start:end] + some - np.cumsum(some), some)
        yield rows, places
        start = end


def _words(rows: Bytes) -> Array:
    """Rows as numbers of 64 bits, zeros behind them."""
    n, width = rows.shape
    wide = np.zeros((n, -(-width // 8) * 8), np.uint8)
    wide[:, :width] = rows
    return wide.view(np.uint64)
