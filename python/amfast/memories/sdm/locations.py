"""What a sparse distributed memory keeps: hard locations, and the counters that stand at them.

Locations are packed once and searched by every read and write. Random ones are a function of their
seed, so copies and comparisons need no rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from amfast import _check
from amfast._engine import counting
from amfast._stores.items import Batch
from amfast._threads import get_num_threads
from amfast._typing import Array, Bytes, Int
from amfast.bits import BitMatrix, Kind, n_bytes
from amfast.theory.sdm import activation_probability

# Pairs of a word and an active location that a call holds at a time.
_PAIRS = 1 << 23
# Bytes of locations that are compared at a time, and counters that are added.
_COMPARED = 1 << 23
_CELLS = 1 << 18


class Locations:
    """M hard locations of n_bits, random by a seed or given as packed rows, with a radius."""

    def __init__(
        self, n_bits: int, n_locations: int, radius: int, seed: int, given: Bytes | None
    ) -> None:
        self.n_bits, self.n_locations, self.radius = n_bits, n_locations, radius
        self.seed, self.random = seed, given is None
        # Around any word random locations are as many as expected; chosen ones may all be there.
        self._most = max(1, int(self.expected_active)) if self.random else n_locations
        # Random ones are made when they are first asked for: a file's numbers allocate nothing.
        self._packed = None if given is None else self._pack(given)

    @property
    def packed(self) -> counting.Packed:
        """The locations, as the engine searches them."""
        if self._packed is None:
            self._packed = self._pack(None)
        return self._packed

    def _pack(self, rows: Bytes | None) -> counting.Packed:
        if rows is None:
            rows = BitMatrix.random(self.n_locations, self.n_bits, self.seed).to_packed()
        return counting.pack(rows)

    @staticmethod
    def required(n_bits: int, n_locations: int) -> int:
        """Bytes that packed locations take: the search reads whole words of 8."""
        return n_locations * 8 * ((n_bits + 63) // 64)

    @property
    def expected_active(self) -> float:
        """Locations that a word activates on average if these are random."""
        return self.n_locations * activation_probability(self.n_bits, self.radius)

    def batches(self, n_words: int, most: int = _PAIRS) -> list[slice]:
        """Slices of at most ``most`` words, whose pairs with active locations fit."""
        step = max(1, min(max(16, _PAIRS // self._most), most))
        return [slice(start, start + step) for start in range(0, n_words, step)]

    def activated(self, words: Bytes, threads: int) -> list[Int]:
        """Return the active locations of every packed word, in ascending order."""
        if self.random:
            each = f"{self.expected_active:.4g} of each of {len(words)} words"
            _check.room(8 * self._most * len(words), f"active locations, {each},")
        found: list[Int] = []
        for part in self.batches(len(words)):
            found += counting.activated(words[part], self.packed, self.radius, threads)
        return found

    def rows(self) -> BitMatrix:
        """Unpack all locations."""
        _check.fits((self.n_locations, n_bytes(self.n_bits)), np.dtype(np.uint8), "locations")
        return BitMatrix._of(counting.unpack(self.packed, 0, self.n_locations), self.n_bits)

    def same(self, other: Locations) -> bool:
        """Whether the other has the same locations in the same order; sizes were compared."""
        if self is other:
            return True
        if self.random and other.random and self.seed == other.seed:
            return True
        step = max(1, _COMPARED // n_bytes(self.n_bits))
        for start in range(0, self.n_locations, step):
            stop = min(start + step, self.n_locations)
            mine = counting.unpack(self.packed, start, stop)
            if not np.array_equal(mine, counting.unpack(other.packed, start, stop)):
                return False
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of the packed locations."""
        return self.packed.nbytes

    def __getstate__(self) -> dict[str, Any]:
        """Everything, with locations that the seed does not give as rows."""
        rows = None if self.random else np.array(self.rows().to_packed())
        return {**self.__dict__, "_packed": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; locations are packed again."""
        self.__dict__.update(state)
        self._packed = None if self.random else self._pack(state["_packed"])

    def __deepcopy__(self, memo: Any) -> Locations:
        """Return these: they never change."""
        return self


class Held(NamedTuple):
    """Counters, and what was written into them.

    `counting.add` changes ``counters`` and ``written`` in place, both or neither; all else that
    changes makes another one of these.
    """

    counters: Array
    """(M, o)"""
    written: Int
    """(1,) words written, in all."""
    earlier: Kind | None
    """How words were given up to ``before`` of them; None where there were none."""
    before: int
    later: Kind | None
    """How those behind them are given."""

    @classmethod
    def of(cls, counters: Array, n_words: int, kind: Kind | None) -> Held:
        """Hold counters into which some words were written."""
        return cls(counters, np.array([n_words], np.int64), kind, n_words, None)

    @property
    def n_words(self) -> int:
        """Words written."""
        return int(self.written[0])

    @property
    def kind(self) -> Kind | None:
        """How the last word was given; it decides how words of ones alone are read."""
        return self.later if self.written[0] > self.before else self.earlier


def zeros(n_locations: int, value_bits: int, dtype: np.dtype[Any]) -> Array:
    """Make counters (M, o) of 0."""
    # Not np.zeros: NumPy asks for huge pages here and not there, and with them the first writes to
    # gigabytes of scattered rows take a quarter of the time.
    counters = _check.empty((n_locations, value_bits), dtype, "counters")
    counters.fill(0)
    return counters


class Counters:
    """Counters at hard locations: empty ones are neutral, writing adds, and so does merging.

    Parameters
    ----------
    locations : Locations
    counters : (M, o) array
        Zeros of int8, int16 or int32, which nobody else holds: see `zeros`.
    """

    now: Held

    def __init__(self, locations: Locations, counters: Array) -> None:
        self.locations = locations
        self.now = Held.of(counters, 0, None)

    @classmethod
    def made(
        cls, n_bits: int, shape: tuple[int, int], dtype: np.dtype[Any], radius: int, seed: int,
        given: Bytes | None, need: int,
    ) -> Counters:  # fmt: skip
        """Make counters (M, o) of 0 at locations of n_bits, which take ``need`` bytes together."""
        what = f"{shape[0]} locations of {n_bits} bits with {shape[1]} {dtype} counters each"
        _check.room(need, what)
        try:
            counters = zeros(*shape, dtype)
            return cls(Locations(n_bits, shape[0], radius, seed, given), counters)
        except MemoryError as error:
            raise MemoryError(
                f"{what} take {need / 1e9:.2f} GB, which cannot be allocated"
            ) from error

    @property
    def value_bits(self) -> int:
        """Counters at a location."""
        return int(self.now.counters.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the counters."""
        return self.now.counters.dtype

    def __len__(self) -> int:
        """Count the words written."""
        return self.now.n_words

    # -- changing ---------------------------------------------------------------------------------

    def append(self, batch: Batch) -> Int:
        """Add checked words and return their numbers in the order of writing."""
        first = len(self)
        self.write(batch, get_num_threads())
        return np.arange(first, len(self))

    def write(self, batch: Batch, threads: int) -> Int:
        """Add checked words and return how many locations each address activated (n,).

        A call that fails or is interrupted has added the words of the first rows, as many as were
        counted.
        """
        keys: Any = batch.keys
        values: Any = keys if batch.values is None else batch.values
        weights: Any = batch.weights
        addresses, words = keys.to_packed(), values.to_packed()
        old = self.now
        counters = old.counters if old.counters.flags.writeable else old.counters.copy()
        now = self.now = Held(counters, old.written, old.kind, old.n_words, batch.kind)
        active = np.zeros(len(addresses), np.int64)
        for part in self.locations.batches(len(addresses)):
            active[part] = counting.add(
                addresses[part],
                words[part],
                weights[part],
                self.locations.packed,
                self.locations.radius,
                now.counters,
                now.written,
                threads,
            )
        return active

    def merge(self, other: Counters) -> None:
        """Add the counters of another store with the same locations; sums stop at the ends.

        They are added up in new memory that takes the old one's place when it is complete.
        """
        while True:
            now, n = self.now, len(self)
            total = self._sum(now.counters, other.now.counters)
            after = Held.of(total, n + len(other), now.kind or other.now.kind)
            if self.now is now and len(self) == n:  # else a signal handler wrote meanwhile
                self.now = after
                return

    @staticmethod
    def _sum(first: Array, second: Array) -> Array:
        total = _check.empty(first.shape, first.dtype, "merged counters")
        limits = np.iinfo(first.dtype)
        wide = np.int32 if first.dtype.itemsize < 4 else np.int64
        step = max(1, _CELLS // first.shape[1])
        for start in range(0, len(total), step):
            part = slice(start, start + step)
            piece = np.add(first[part], second[part], dtype=wide)
            total[part] = np.clip(piece, limits.min, limits.max, out=piece)
        return total

    def reset(self) -> None:
        """Put counters of 0 in the place of these."""
        m = self.locations.n_locations
        self.now = Held.of(zeros(m, self.value_bits, self.dtype), 0, None)

    def delete(self, ids: Int) -> NoReturn:
        """Refuse: a counter does not know what was added to it."""
        raise ValueError("counters keep no items to delete")

    # -- looking ----------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of packed locations and counters."""
        return self.locations.nbytes + int(self.now.counters.nbytes)

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the counters, and what `restore` needs beside them to make the same store.

        Not the locations: they are the memory's parameters.
        """
        now = self.now
        meta: dict[str, Any] = {"written": now.n_words}
        if now.kind is not None:
            meta["kind"] = now.kind.saved()
        return {"counters": now.counters}, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; read-only counters until a write.

        Raises
        ------
        ValueError
            For counters of another shape or type, or a number of words below 0.
        """
        counters, n, own = arrays["counters"], int(meta["written"]), self.now.counters
        if counters.shape != own.shape or counters.dtype != own.dtype or n < 0:
            raise ValueError(
                f"counters of shape {own.shape} and {own.dtype} cannot be those of {n} words of "
                f"shape {counters.shape} and {counters.dtype}"
            )
        kind = None if meta.get("kind") is None else Kind.restored(meta["kind"])
        self.now = Held.of(counters, n, kind)
