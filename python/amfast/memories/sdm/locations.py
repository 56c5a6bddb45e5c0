"""The hard locations of a sparse distributed memory: packed once, searched by every read and write.

Random locations are a function of their seed, so copies and comparisons need no rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._typing import Bytes, Int
from amfast.bits import BitMatrix, n_bytes
from amfast.theory.sdm import activation_probability

# Pairs of a word and an active location that a call holds at a time.
_PAIRS = 1 << 23
# Bytes of locations that are compared at a time.
_COMPARED = 1 << 23


class Locations:
    """M hard locations of n_bits, random by a seed or given as packed rows, with a radius."""

    def __init__(
        self, n_bits: int, n_locations: int, radius: int, seed: int, given: Bytes | None
    ) -> None:
        self.n_bits, self.n_locations, self.radius = n_bits, n_locations, radius
        self.seed, self.random = seed, given is None
        self.keys = self._pack(given)

    def _pack(self, rows: Bytes | None) -> _core.Keys:
        if rows is None:
            rows = BitMatrix.random(self.n_locations, self.n_bits, self.seed).to_packed()
        return _core.Keys(rows, "hamming")

    @staticmethod
    def required(n_bits: int, n_locations: int) -> int:
        """Bytes that packed locations take: the search reads whole words of 8."""
        return n_locations * 8 * ((n_bits + 63) // 64)

    @property
    def expected_active(self) -> float:
        """Locations that a word activates on average if these are random."""
        return self.n_locations * activation_probability(self.n_bits, self.radius)

    @property
    def batch(self) -> int:
        """Words at a time, so that the pairs of a word and an active location fit.

        Around any word random locations are as many as expected; chosen ones may all be there.
        """
        most = max(1, int(self.expected_active)) if self.random else self.n_locations
        return max(16, _PAIRS // most)

    def activated(self, words: Bytes, threads: int) -> list[Int]:
        """Return the active locations of every packed word, in ascending order."""
        found: list[Any] = []
        for start in range(0, len(words), self.batch):
            some = words[start : start + self.batch]
            starts, indices, _ = _core.within(some, self.keys, self.radius, "hamming", threads)
            found += np.split(indices, starts[1:-1])
        return found

    def rows(self) -> BitMatrix:
        """Unpack all locations."""
        shape = (self.n_locations, n_bytes(self.n_bits))
        _check.fits(shape, np.dtype(np.uint8), "locations")
        packed = _core.sdm_locations(self.keys, 0, self.n_locations)
        return BitMatrix.from_packed(packed, self.n_bits)

    def same(self, other: Locations) -> bool:
        """Whether the other has the same locations in the same order; sizes were compared."""
        if self.random and other.random and self.seed == other.seed:
            return True
        step = max(1, _COMPARED // n_bytes(self.n_bits))
        for start in range(0, self.n_locations, step):
            stop = min(start + step, self.n_locations)
            mine = _core.sdm_locations(self.keys, start, stop)
            if not np.array_equal(mine, _core.sdm_locations(other.keys, start, stop)):
                return False
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of the packed locations."""
        return self.keys.nbytes

    def __getstate__(self) -> dict[str, Any]:
        """Everything, with locations that the seed does not give as rows."""
        rows = None if self.random else np.array(self.rows().to_packed())
        return {**self.__dict__, "keys": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; locations are packed again."""
        self.__dict__.update(state)
        self.keys = self._pack(state["keys"])

    def __deepcopy__(self, memo: Any) -> Locations:
        """Return these: they never change."""
        return self
