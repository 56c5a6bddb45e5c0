"""Counters at hard locations: which locations a word activates, adding to theirs, summing them.

Locations are packed once for the search by Hamming distance; counters are rows of int8, int16 or
int32, one for each location, that stop at the ends of their type.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from amfast import _core
from amfast._typing import Array, Bytes, Int

Packed: TypeAlias = _core.Keys
"""Hard locations as the search reads them; they never change."""


def pack(rows: Bytes) -> Packed:
    """Pack hard locations (M, bytes)."""
    return _core.Keys(rows, "hamming")


def unpack(locations: Packed, start: int, stop: int) -> Bytes:
    """Return rows ``start`` to ``stop`` of the locations, as they were before they were packed."""
    return _core.sdm_locations(locations, start, stop)


def activated(words: Bytes, locations: Packed, radius: int, threads: int) -> list[Int]:
    """Return, for every word, the locations at most ``radius`` bits away, in ascending order."""
    starts, indices, _ = _core.within(words, locations, radius, "hamming", threads)
    return np.split(indices, starts[1:-1])


def add(
    addresses: Bytes,
    words: Bytes,
    weights: Int,
    locations: Packed,
    radius: int,
    counters: Array,
    written: Int,
    threads: int,
) -> Int:
    """Add words in place, ``counters[h] += weight * (2 word - 1)`` at every active location h.

    ``written`` (1,) goes up by the number of words in the same breath: an interrupted call has
    added and counted all of them or none.

    Returns
    -------
    (n,) int64 array
        How many locations each address activated.
    """
    return _core.sdm_write(addresses, locations, radius, words, weights, counters, written, threads)


def sums(
    cues: Bytes, locations: Packed, radius: int, counters: Array, threads: int
) -> tuple[Int, Int]:
    """Sum the counters of the active locations: (q, o), and how many were active (q,)."""
    out = np.empty((len(cues), counters.shape[1]), np.int64)
    return out, _core.sdm_read(cues, locations, radius, counters, out, threads)
