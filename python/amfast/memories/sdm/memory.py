"""Kanerva's sparse distributed memory: counters at random hard locations, written and read by many.

A word activates the hard locations within a Hamming radius of it. A write adds the data's bits, as
+1 and -1, to the counters of all active locations; a read sums the counters of the active locations
and takes the sign, bit by bit. What is stored is spread over thousands of locations and mixed with
everything else there, and still comes back from an address with many wrong bits.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._threads import resolve_threads
from amfast._typing import Array, Bytes, Int
from amfast.bits import BitMatrix, Kind, binary, n_bytes
from amfast.memories.recall import Recall
from amfast.memories.sdm.locations import Locations
from amfast.memories.sdm.ties import TIES, NoItems, coins, sizes, whole
from amfast.theory.sdm import activation_probability, sdm_radius

# Kanerva's share of active locations: 1072 of 1,000,000 at 1000 bits.
DEFAULT_P = 0.001
# Sums that a read holds at a time, and counters that a merge does.
_SUMS = 1 << 23
_CELLS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class SdmRecall(Recall):
    """What a read found, with one entry per cue; for one 1-d cue, its own entry.

    ``converged`` says whether the last read left the word as it was. A cue that activates no
    location is not read again and did not converge. Where data are not as wide as addresses there
    is one read and ``converged`` is True. ``energy`` and ``log_scale`` are None: there are none.
    """

    n_active: Int
    """(Q,) locations that the last read summed."""
    undecided: Int
    """(Q,) bits whose sum was 0 in the last read: the tie rule gave them."""


class SparseDistributedMemory(NoItems):
    """Sparse distributed memory (Kanerva 1988) on packed bits.

    With M hard locations A and counters C, a word x activates ``{h : hamming(A_h, x) <= radius}``:

    - write: ``C_h += weight * (2 data - 1)`` for every active h, stopping at the ends of the type;
    - read: ``bit_j = [sum_h C_hj > 0]`` over the active h, ties by rule.

    Parameters
    ----------
    n_bits : int
        Bits of an address, >= 1.
    n_locations : int
        M, hard locations, 1 to 2^32 - 1.
    radius : int, optional
        In 0..n_bits, inclusive: a location exactly this far away is active.
    p : float, optional
        Instead of the radius, the probability in (0, 1] that a location is active; the radius is
        the smallest that reaches it by the exact binomial (`amfast.theory.sdm_radius`, torchhd's
        rule). Neither given means 0.001, which is Kanerva's: radius 451 at 1000 bits, 103 at 256.
        For T items ``amfast.theory.sdm_best_radius(n_bits, n_locations, T)`` is better.
    value_bits : int, optional
        Bits of the data; None means n_bits.
    counter_dtype : {"int8", "int16", "int32"}, default "int16"
        Counters saturate, they never wrap: +127 stays +127 in int8 and -128 stays -128. Items are
        added in the order they are given in. int8 halves the memory and holds 127 writes of equal
        bits at a location, far more than it receives while the memory is useful.
    seed : int, default 0
        Of the random locations (`BitMatrix.random`, the same on every platform) and of random ties.
    addresses : BitMatrix or (M, n_bits) array, optional
        Hard locations to use instead of random ones; equal ones may occur.
    tie : {"random", "keep", 1, -1}, default "random"
        What a bit with sum 0 reads. "random" is a fair coin that depends on the seed, the cue and
        the bit alone: one cue has one answer, in any batch. "keep" takes the cue's bit, for data as
        wide as addresses. 1 is bit 1 and -1 is bit 0. A cue that activates no location ties in
        every bit; `read` with ``details=True`` reports it as ``n_active`` 0.

    Raises
    ------
    ValueError
        For a radius outside 0..n_bits, radius and p together, a p outside (0, 1].
    MemoryError
        If locations and counters do not fit the machine, before either is allocated. `required`
        tells their size without making a memory.

    Warns
    -----
    UserWarning
        If the radius activates less than one random location on average, or more than nine in ten.

    Notes
    -----
    Memory: M (n_bits / 8 + value_bits * 1, 2 or 4) bytes, 2.1 GB for 1,000,000 x 1000 in int16. The
    locations are held once, packed for the search. Capacity: a bit read at a stored address is
    wrong with probability Q(`amfast.theory.sdm_snr`), 0.1 % for T = M / 10 at the best radius;
    iterated reads recover a word from `amfast.theory.sdm_convergence_distance` wrong bits, 200 of
    1000 for 10,000 items in 1,000,000 locations.

    Words are BitMatrix, bool, {0, 1} or {-1, +1} arrays, and answers are of the kind of the
    question. Results do not depend on the number of threads. Many threads may read one memory at a
    time; `write`, `merge` and `reset` must not run beside other calls.

    References
    ----------
    Kanerva, *Sparse Distributed Memory*, MIT Press 1988; Kanerva, in *Associative Neural Memories*,
    Oxford 1993.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.SparseDistributedMemory(256, 10_000, seed=1)
    >>> words = am.BitMatrix.random(20, 256, seed=2).unpack()
    >>> active = memory.write(words)
    >>> cue = words[3].copy()
    >>> cue[:40] *= -1
    >>> int((memory.read(cue) != words[3]).sum())
    0
    """

    def __init__(
        self,
        n_bits: int,
        n_locations: int,
        *,
        radius: int | None = None,
        p: float | None = None,
        value_bits: int | None = None,
        counter_dtype: Any = "int16",
        seed: int = 0,
        addresses: Any = None,
        tie: str | int = "random",
    ) -> None:
        n, m, self._value_bits, self._dtype = sizes(n_bits, n_locations, value_bits, counter_dtype)
        if radius is not None and p is not None:
            raise ValueError(f"radius={radius!r} and p={p!r} exclude each other; give one")
        if radius is None:
            radius = sdm_radius(n, DEFAULT_P if p is None else p)
        radius = _check.integer(radius, "radius", 0, n)
        seed = _check.integer(seed, "seed", 0)
        self._tie: str | int = _check.choice(tie, "tie", TIES)
        if tie == "keep" and self._value_bits != n:
            raise ValueError(
                f"tie='keep' needs data as wide as addresses, got {self._value_bits} bits of data "
                f"at {n} bits of address"
            )
        given = None
        if addresses is not None:
            given = binary(addresses, "addresses", n)[0].to_packed()
            if len(given) != m:
                raise ValueError(f"addresses have {len(given)} rows, n_locations is {m}")
        else:
            _warn_of_radius(n, m, radius)
        what = f"{m} locations of {n} bits with {self._value_bits} {self._dtype} counters each"
        need = self.required(n, m, self._value_bits, self._dtype)
        _check.room(need, what)
        try:
            # Not np.zeros: NumPy asks for huge pages here and not there, and with them the first
            # writes to gigabytes of scattered rows take a quarter of the time.
            self._counters = np.empty((m, self._value_bits), self._dtype)
            self._counters.fill(0)
            self._locations = Locations(n, m, radius, seed, given)
        except MemoryError as error:
            raise MemoryError(
                f"{what} take {need / 1e9:.2f} GB, which cannot be allocated"
            ) from error
        self._written = np.zeros(1, np.int64)
        self._kind: Kind | None = None

    @staticmethod
    def required(
        n_bits: int, n_locations: int, value_bits: int | None = None, counter_dtype: Any = "int16"
    ) -> int:
        """Bytes that a memory of these sizes takes, without making it.

        Examples
        --------
        >>> import amfast as am
        >>> am.SparseDistributedMemory.required(1000, 1_000_000) / 1e9
        2.128
        """
        n, m, o, dtype = sizes(n_bits, n_locations, value_bits, counter_dtype)
        return Locations.required(n, m) + m * o * dtype.itemsize

    # -- writing ----------------------------------------------------------------------------------

    def write(
        self, addresses: Any, data: Any = None, weight: Any = 1, *, threads: int | None = None
    ) -> Any:
        """Add words to the counters of the locations that their addresses activate.

        Parameters
        ----------
        addresses : BitMatrix, (N, n_bits) or (n_bits,) array
        data : BitMatrix, (N, value_bits) or (value_bits,) array, optional
            One word for each address; None means the addresses themselves.
        weight : int or (N,) array of whole numbers, default 1
            How often a word counts. -1 forgets: it takes back what a write with 1 added, exactly
            unless counters saturated in between. 0 writes nothing.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (N,) int64 array, or int for one 1-d address
            How many locations each address activated.

        Raises
        ------
        ValueError, TypeError
            For words that are not binary, mixed codings, widths and lengths that differ, weights
            that are not whole. Nothing is written then.

        Warns
        -----
        UserWarning
            If an address activates no location, so that its word is not stored anywhere.

        Notes
        -----
        Ctrl-C leaves whole items: those of the first ``len(memory)`` rows are written.
        """
        n_threads = resolve_threads(threads)
        rows, kind = binary(addresses, "addresses", self.n_bits, single=True, like=self._kind)
        if data is None:
            if self._value_bits != self.n_bits:
                raise ValueError(
                    f"data must be given: they have {self._value_bits} bits, addresses "
                    f"{self.n_bits}"
                )
            words = rows
        else:
            words, _ = binary(data, "data", self._value_bits, single=kind.single)
            if len(words) != len(rows):
                raise ValueError(f"data have {len(words)} rows, addresses have {len(rows)}")
        counts = whole(weight, len(rows))
        active = np.zeros(len(rows), np.int64)
        step = self._locations.batch
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            active[part] = _core.sdm_write(
                rows.to_packed()[part],
                self._locations.keys,
                self.radius,
                words.to_packed()[part],
                counts[part],
                self._counters,
                self._written,
                n_threads,
            )
            self._kind = kind
        lost = int(np.count_nonzero((active == 0) & (counts != 0)))
        if lost:
            warnings.warn(
                f"{lost} of {len(rows)} addresses activate no location, so their words are not "
                f"stored: radius {self.radius} activates {self.expected_active:.3g} random "
                "locations on average",
                stacklevel=2,
            )
        return int(active[0]) if kind.single else active

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """`write`, under the name all memories share.

        Returns
        -------
        (N,) int64 array
            The words' numbers in the order of writing. They are not kept: a word is taken back by
            writing it again with weight -1.
        """
        first = len(self)
        self.write(keys, values, 1 if weights is None else weights)
        return np.arange(first, len(self))

    def merge(self, other: SparseDistributedMemory) -> SparseDistributedMemory:
        """Add the counters of a memory with the same locations, in place.

        The result is that of writing everything into one memory as long as no counter saturated;
        the sum saturates too.

        Returns
        -------
        SparseDistributedMemory
            This memory.

        Raises
        ------
        ValueError
            If sizes, radius, counters or locations differ.
        """
        if not isinstance(other, SparseDistributedMemory):
            raise TypeError(f"other must be a SparseDistributedMemory, got {type(other).__name__}")
        for name in ("n_bits", "n_locations", "radius", "value_bits", "counter_dtype"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"memories differ in {name}: {mine} and {theirs}")
        if not self._locations.same(other._locations):
            raise ValueError(
                "memories have different hard locations; give both the same seed or addresses"
            )
        limits = np.iinfo(self._dtype)
        wide = np.int32 if self._dtype.itemsize < 4 else np.int64
        step = max(1, _CELLS // self._value_bits)
        for start in range(0, self.n_locations, step):
            part = slice(start, start + step)
            total = np.add(self._counters[part], other._counters[part], dtype=wide)
            np.clip(total, limits.min, limits.max, out=total)
            self._counters[part] = total
        self._written += other._written
        self._kind = self._kind or other._kind
        return self

    def reset(self) -> None:
        """Forget everything; the locations stay."""
        self._counters.fill(0)
        self._written[0] = 0
        self._kind = None

    # -- reading ----------------------------------------------------------------------------------

    def read(
        self,
        addresses: Any,
        max_iter: int = 1,
        raw: bool = False,
        details: bool = False,
        *,
        threads: int | None = None,
    ) -> Any:
        """Sum the counters of the active locations and decide bit by bit.

        Parameters
        ----------
        addresses : BitMatrix, (Q, n_bits) or (n_bits,) array
        max_iter : int, default 1
            Reads at most; each word read is the next address, until it reads itself. More than 1
            needs data as wide as addresses. Only rows that still change are read again.
        raw : bool, default False
            Whether to return the sums of the last read instead of bits.
        details : bool, default False
            Whether to return an `SdmRecall`.
        threads : int, optional
            None means the setting.

        Returns
        -------
        words as in ``addresses``, int64 sums (Q, value_bits) or (value_bits,), or SdmRecall

        Raises
        ------
        ValueError
            If nothing was written, for words that are not binary or not as wide as addresses.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        steps = _check.integer(max_iter, "max_iter", 1)
        raw, details = _check.flag(raw, "raw"), _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(addresses)
        alike = self._value_bits == self.n_bits
        if steps > 1 and not alike:
            raise ValueError(
                f"max_iter > 1 needs data as wide as addresses: {self._value_bits} bits are no "
                f"address of {self.n_bits}"
            )
        q = len(rows)
        sums = _check.empty((q, self._value_bits), np.dtype(np.int64), "sums") if raw else None
        words = np.zeros((q, n_bytes(self._value_bits)), np.uint8)
        n_iter, active, undecided = (np.zeros(q, np.int64) for _ in range(3))
        converged = np.full(q, not alike)
        moving, cues = np.arange(q), rows.to_packed()
        for _ in range(steps):
            for part, total, n_active in self._sums(cues, n_threads):
                at = moving[part]
                words[at], undecided[at] = self._decide(total, cues[part])
                active[at] = n_active
                if sums is not None:
                    sums[at] = total
            n_iter[moving] += 1
            if alike:
                still = (words[moving] == cues).all(axis=1)
                converged[moving] = still & (active[moving] > 0)
                moving = moving[~still & (active[moving] > 0)]
            if len(moving) == 0:
                break
            cues = words[moving]
        state: Any
        if sums is not None:
            state = sums[0] if kind.single else sums
        else:
            state = kind.answer(BitMatrix.from_packed(words, self._value_bits))
        if not details:
            return state
        own = 0 if kind.single else slice(None)
        return SdmRecall(
            state,
            n_iter[own],
            converged[own],
            energy=None,
            log_scale=None,
            n_active=active[own],
            undecided=undecided[own],
        )

    def recall(
        self, cues: Any, *, max_iter: int = 1, details: bool = False, threads: int | None = None
    ) -> Any:
        """`read`, under the name all memories share."""
        return self.read(cues, max_iter, details=details, threads=threads)

    def _cues(self, given: Any) -> tuple[BitMatrix, Kind]:
        if len(self) == 0:
            raise ValueError("the memory is empty; write something first")
        return binary(given, "addresses", self.n_bits, single=True, like=self._kind)

    def _sums(self, cues: Bytes, threads: int) -> Iterator[tuple[slice, Int, Int]]:
        """Sum the active counters for some cues at a time: which, sums, active locations."""
        step = max(1, min(self._locations.batch, _SUMS // self._value_bits))
        for start in range(0, len(cues), step):
            part = slice(start, start + step)
            some = cues[part]
            sums = _check.empty((len(some), self._value_bits), np.dtype(np.int64), "sums")
            n_active = _core.sdm_read(
                some, self._locations.keys, self.radius, self._counters, sums, threads
            )
            yield part, sums, n_active

    def _decide(self, sums: Int, cues: Bytes) -> tuple[Bytes, Int]:
        """Return packed words, and how many bits of each were ties."""
        words = np.packbits(sums > 0, axis=1)
        ties = sums == 0
        undecided = np.count_nonzero(ties, axis=1)
        at = np.flatnonzero(undecided)
        if len(at) and self._tie != -1:
            tied = np.packbits(ties[at], axis=1)
            if self._tie == "keep":
                tied &= cues[at]
            elif self._tie == "random":
                tied &= coins(cues[at], words.shape[1], self.seed)
            words[at] |= tied
        return words, undecided.astype(np.int64, copy=False)

    def activated(self, addresses: Any, *, threads: int | None = None) -> Any:
        """Find the hard locations that words activate.

        Parameters
        ----------
        addresses : BitMatrix, (Q, n_bits) or (n_bits,) array
        threads : int, optional
            None means the setting.

        Returns
        -------
        list of Q int64 arrays, or one array for a 1-d address
            Indices of rows of `locations` and `counters`, in ascending order.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> memory = am.SparseDistributedMemory(3, 4, radius=1, addresses=[
        ...     [0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]])
        >>> memory.activated([0, 0, 0])
        array([0, 1])
        """
        n_threads = resolve_threads(threads)
        rows, kind = binary(addresses, "addresses", self.n_bits, single=True, like=self._kind)
        found = self._locations.activated(rows.to_packed(), n_threads)
        return found[0] if kind.single else found

    # -- looking at it ----------------------------------------------------------------------------

    @property
    def n_bits(self) -> int:
        """Bits of an address."""
        return self._locations.n_bits

    @property
    def n_locations(self) -> int:
        """Hard locations."""
        return self._locations.n_locations

    @property
    def value_bits(self) -> int:
        """Bits of the data."""
        return self._value_bits

    @property
    def radius(self) -> int:
        """Largest Hamming distance at which a location is active."""
        return self._locations.radius

    @property
    def p(self) -> float:
        """Probability that a random location is active: the radius's, not the one asked for."""
        return activation_probability(self.n_bits, self.radius)

    @property
    def expected_active(self) -> float:
        """Locations that a word activates on average if locations are random."""
        return self._locations.expected_active

    @property
    def counter_dtype(self) -> np.dtype[Any]:
        """Element type of the counters."""
        return self._dtype

    @property
    def seed(self) -> int:
        """Seed of locations and ties."""
        return self._locations.seed

    @property
    def tie(self) -> str | int:
        """What a bit with sum 0 reads."""
        return self._tie

    @property
    def locations(self) -> BitMatrix:
        """The hard locations (M, n_bits), a copy made now."""
        return self._locations.rows()

    @property
    def counters(self) -> Array:
        """The counters (M, value_bits), read-only; later writes show in it."""
        return _check.frozen(self._counters)

    @property
    def nbytes(self) -> int:
        """Bytes of packed locations and counters."""
        return self._locations.nbytes + self._counters.nbytes

    def __len__(self) -> int:
        """Count the words written, those with negative weights and merged ones included."""
        return int(self._written[0])

    def __repr__(self) -> str:
        """Say what the memory is and how much was written."""
        text = f"{type(self).__name__}(n_bits={self.n_bits}, n_locations={self.n_locations}"
        text += f", radius={self.radius}"
        if self._value_bits != self.n_bits:
            text += f", value_bits={self._value_bits}"
        text += f", counter_dtype={self._dtype.name!r})"
        active = f"{self.expected_active:.4g} active on average, {self.nbytes / 1e6:.4g} MB"
        return f"<{text}: {len(self) or 'no'} words written, {active}>"

    def __copy__(self) -> SparseDistributedMemory:
        """Copy the counters too: two memories must not write into one."""
        return copy.deepcopy(self)


def _warn_of_radius(n_bits: int, n_locations: int, radius: int) -> None:
    expected = n_locations * activation_probability(n_bits, radius)
    if expected < 1 or expected > 0.9 * n_locations:
        few = "most words would find none" if expected < 1 else "words would hardly differ"
        warnings.warn(
            f"radius {radius} of {n_bits} bits activates {expected:.3g} of {n_locations} "
            f"locations on average: {few}",
            stacklevel=3,
        )
