"""Kanerva's sparse distributed memory: counters at random hard locations, written and read by many.

A word activates the hard locations within a Hamming radius of it. A write adds the data's bits, as
+1 and -1, to the counters of all active locations; a read sums the counters of the active locations
and takes the sign, bit by bit. What is stored is spread over thousands of locations and mixed with
everything else there, and still comes back from an address with many wrong bits.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from amfast import _check, _docs
from amfast._engine import counting
from amfast._stores.items import Batch
from amfast._threads import get_num_threads, resolve_threads
from amfast._typing import Array, Bytes, Int, Mask
from amfast.bits import BitMatrix, binary, n_bytes
from amfast.memories.recall import Recall
from amfast.memories.sdm.expected import _Expected
from amfast.memories.sdm.locations import Counters, Locations
from amfast.memories.sdm.ties import check_counters, decide, reach, sizes, tie_rule, warn_of_radius
from amfast.parts.dynamics import settle

# Sums that a read holds at a time.
_SUMS = 1 << 23

SdmRecall = Recall


class SparseDistributedMemory(_Expected):
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

    See Also
    --------
    ContinuousSDM : The same as attention, on real vectors.
    Hopfield, DenseAssociativeMemory : Binary patterns without addresses.

    Notes
    -----
    Memory: M (n_bits / 8 + value_bits * 1, 2 or 4) bytes, 2.1 GB for 1,000,000 x 1000 in int16. The
    locations are held once, packed for the search. Capacity: a bit read at a stored address is
    wrong with probability Q(`amfast.theory.sdm_snr`), 0.1 % for T = M / 10 at the best radius;
    iterated reads recover a word from `amfast.theory.sdm_convergence_distance` wrong bits, 200 of
    1000 for 10,000 items in 1,000,000 locations.

    Making a memory packs its locations, so the first read is as fast as any; the first writes are
    slower, since memory is taken from the system when counters are first touched.

    `merge` adds the counters of a memory with equal sizes, radius and locations (ties may differ).
    The result is that of writing everything into one memory as long as no counter saturated; sums
    saturate too. `merge` and `reset` make new counters that take the old ones' place when they are
    complete, so they need room for a second set meanwhile: a MemoryError or Ctrl-C leaves the
    memory as it was.

    Words are BitMatrix, bool, {0, 1} or {-1, +1} arrays, and answers are of the kind of the
    question. Results do not depend on the number of threads. Many threads may read one memory at a
    time; `write`, `merge` and `reset` must not run beside other calls.

    **Which sizes?** `n_locations` ten times the words or more, and `sdm_best_radius`; `theory` says
    what the memory that you have should do. Words should be random: images are kept as values under
    random names. The only metric is Hamming's; for others, or the nearest word itself, use
    `UniversalHopfield` ("hamming", "max"), where "cosine" is the distance 1 - cos.

    References
    ----------
    Kanerva, *Sparse Distributed Memory*, MIT Press 1988; Kanerva, in *Associative Neural Memories*,
    Oxford 1993.

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=100).patterns() > 0.5  # black and white
    >>> names = am.BitMatrix.random(100, 1000, seed=1).unpack("bool")
    >>> memory = am.SparseDistributedMemory(1000, 50_000, value_bits=784)
    >>> active = memory.write(names, images)
    >>> recalled = memory.read(am.corrupt.flip(names, 0.1, seed=0))
    >>> float((recalled == images).all(axis=1).mean()) > 0.9  # share without a wrong pixel
    True
    >>> memory = am.SparseDistributedMemory(256, 10_000, seed=1)
    >>> words = am.BitMatrix.random(20, 256, seed=2).unpack()
    >>> active = memory.write(words)
    >>> cue = words[3].copy()
    >>> cue[:40] *= -1
    >>> int((memory.read(cue) != words[3]).sum())
    0
    """

    _keeps_no_items = (
        "a sparse distributed memory keeps counters, not items: `counters` shows them, "
        "activated(cues) lists the locations of a cue, and write(address, data, weight=-1) takes a "
        "word back"
    )

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
        n, m, o, dtype = sizes(n_bits, n_locations, value_bits, counter_dtype)
        radius = reach(n, radius, p)
        seed = _check.integer(seed, "seed", 0)
        self._tie = tie_rule(tie, n, o)
        given = None
        if addresses is not None:
            given = binary(addresses, "addresses", n)[0].to_packed()
            if len(given) != m:
                raise ValueError(f"addresses have {len(given)} rows, n_locations is {m}")
        else:
            warn_of_radius(n, m, radius)
        need = self.required(n, m, o, dtype)
        self._store = Counters.made(n, (m, o), dtype, radius, seed, given, need)

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Any:
        check_counters(parts["parameters"], arrays["counters"])
        return super()._restored(parts, arrays)

    def _parameters(self) -> dict[str, Any]:
        places, bits = self._store.locations, self.value_bits
        return {
            "n_bits": places.n_bits, "n_locations": places.n_locations, "radius": places.radius,
            "value_bits": None if bits == places.n_bits else bits,
            "counter_dtype": self.counter_dtype.name, "seed": places.seed,
            "addresses": None if places.random else places.rows(), "tie": self._tie,
        }  # fmt: skip

    @staticmethod
    def required(
        n_bits: int, n_locations: int, value_bits: int | None = None, counter_dtype: Any = "int16"
    ) -> int:
        """Bytes that a memory of these sizes takes, without making it.

        Parameters
        ----------
        n_bits, n_locations : int
        value_bits : int, optional
        counter_dtype : {"int8", "int16", "int32"}, default "int16"

        Returns
        -------
        int

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
        A write that is interrupted, or fails for want of memory, leaves whole items: those of the
        first rows are written, as many as ``len(memory)`` has grown by.
        """
        n_threads = resolve_threads(threads)
        batch = self._admit(addresses, data, weight)
        active = self._write(batch, n_threads)
        return int(active[0]) if batch.kind and batch.kind.single else active

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        like = self._store.now.kind
        rows, kind = binary(keys, "addresses", self.n_bits, single=True, like=like)
        words = None
        if values is not None:
            words, _ = binary(values, "data", self.value_bits, single=kind.single)
            if len(words) != len(rows):
                raise ValueError(f"data have {len(words)} rows, addresses have {len(rows)}")
        elif self.value_bits != self.n_bits:
            raise ValueError(
                f"data must be given: they have {self.value_bits} bits, addresses {self.n_bits}"
            )
        counts: Any = _check.weights.whole(weights, len(rows), "weight")
        return Batch(rows, words, counts, kind)

    def _write(self, batch: Batch, threads: int) -> Int:
        active: Int = self._store.write(batch, threads)
        lost = int(np.count_nonzero((active == 0) & (batch.weights != 0)))
        if lost:
            warnings.warn(
                f"{lost} of {len(active)} addresses activate no location, so their words are not "
                f"stored: radius {self.radius} activates {self.expected_active:.3g} random "
                "locations on average",
                stacklevel=3,
            )
        return active

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """`write`, under the name all memories share.

        Returns
        -------
        (N,) int64 array
            The words' numbers in the order of writing. They are not kept: a word is taken back by
            writing it again with weight -1.
        """
        first = len(self)
        self._write(self._admit(keys, values, weights), get_num_threads())
        return np.arange(first, len(self))

    def _same_parameters(self, other: SparseDistributedMemory) -> bool:
        """Refuse, by the name of what differs."""
        for name in ("n_bits", "n_locations", "radius", "value_bits", "counter_dtype"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"memories differ in {name}: {mine} and {theirs}")
        if not self._store.locations.same(other._store.locations):
            raise ValueError(
                "memories have different hard locations; give both the same seed or addresses"
            )
        return True

    def _check_merge(self, other: Any) -> None:
        """Nothing more to compare."""

    def reset(self) -> None:
        """Forget everything; the locations stay.

        New counters take the place of the old ones, so this too needs room for a second set: a
        MemoryError or Ctrl-C leaves everything as it was.
        """
        self._store.reset()

    # -- reading ----------------------------------------------------------------------------------

    def read(
        self,
        addresses: Any,
        max_iter: int = 1,
        raw: bool = False,
        details: bool = False,
        *,
        max_sweeps: int | None = None,
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
        max_sweeps : int, optional
            Another name of ``max_iter``.
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
        steps = _check.integer(max_iter if max_sweeps is None else max_sweeps, "max_iter", 1)
        raw, details = _check.flag(raw, "raw"), _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        now, places = self._store.now, self._store.locations
        if now.written[0] == 0:
            raise ValueError("the memory is empty; write something first")
        given, kind = binary(addresses, "addresses", places.n_bits, single=True, like=now.kind)
        cues = given.to_packed()
        n_bits = now.counters.shape[1]
        alike = n_bits == places.n_bits
        if steps > 1 and not alike:
            raise ValueError(
                f"max_iter > 1 needs data as wide as addresses: {n_bits} bits are no address of "
                f"{places.n_bits}"
            )
        sums = _check.empty((len(cues), n_bits), np.dtype(np.int64), "sums") if raw else None
        active, undecided = np.empty(len(cues), np.int64), np.empty(len(cues), np.int64)
        width = cues.shape[1] if alike else n_bytes(n_bits)

        def step(words: Bytes, rows: Int) -> tuple[Array, None]:
            new = np.empty((len(words), width), np.uint8)
            for part in places.batches(len(words), _SUMS // n_bits):
                at, some = rows[part], words[part]
                total, active[at] = counting.sums(
                    some, places.packed, places.radius, now.counters, n_threads
                )
                new[part], undecided[at] = decide(total, some, self._tie, places.seed)
                if sums is not None:
                    sums[at] = total
            return new, None

        def still(new: Array, old: Array, rows: Int) -> Mask:
            if not alike:
                return np.ones(len(new), np.bool_)
            return np.asarray((new == old).all(axis=1) | (active[rows] == 0))

        end = settle(step, cues, max_iter=steps, still=still)
        state = kind.answer(BitMatrix._of(end.states, n_bits) if sums is None else sums)
        if not details:
            return state
        found = (end.period == 1) & ((active > 0) | (not alike))
        return Recall.of(
            kind, state, n_iter=end.sweeps, converged=found, n_active=active, undecided=undecided
        )

    @_docs.like(read)
    def recall(
        self,
        cues: Any,
        *,
        max_iter: int = 1,
        details: bool = False,
        max_sweeps: int | None = None,
        threads: int | None = None,
    ) -> Any:
        """`read`, under the name all memories share; ``max_sweeps`` is another of ``max_iter``.

        Parameters
        ----------
        cues : BitMatrix, (Q, n_bits) or (n_bits,) array

        Returns
        -------
        words as in ``cues``, or SdmRecall
        """
        return self.read(cues, max_iter, False, details, max_sweeps=max_sweeps, threads=threads)

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

        Raises
        ------
        ValueError, TypeError
            As `read`; nothing need be written.
        MemoryError
            For what does not fit: 8 bytes for every word and location that it activates.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> memory = am.SparseDistributedMemory(3, 4, radius=1, addresses=[
        ...     [0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]])
        >>> memory.activated([0, 0, 0])
        array([0, 1])
        """
        n_threads = resolve_threads(threads)
        like = self._store.now.kind
        rows, kind = binary(addresses, "addresses", self.n_bits, single=True, like=like)
        found = self._store.locations.activated(rows.to_packed(), n_threads)
        return found[0] if kind.single else found

    # -- looking at it ----------------------------------------------------------------------------

    @property
    def counter_dtype(self) -> np.dtype[Any]:
        """Element type of the counters."""
        return self._store.dtype

    @property
    def seed(self) -> int:
        """Seed of locations and ties."""
        return self._store.locations.seed

    @property
    def tie(self) -> str | int:
        """What a bit with sum 0 reads."""
        return self._tie

    @property
    def locations(self) -> BitMatrix:
        """The hard locations (M, n_bits), a copy made now."""
        return self._store.locations.rows()

    @property
    def counters(self) -> Array:
        """The counters (M, value_bits), read-only.

        Later writes show in it; `merge` and `reset` put other counters in their place.
        """
        return _check.frozen(self._store.now.counters)

    def _described(self) -> str:
        text = f"n_bits={self.n_bits}, n_locations={self.n_locations}, radius={self.radius}"
        if self.value_bits != self.n_bits:
            text += f", value_bits={self.value_bits}"
        return f"{text}, counter_dtype={self.counter_dtype.name!r}"

    def __repr__(self) -> str:
        """Say what the memory is and what it holds: counters, also before anything is written."""
        active = f"{self.expected_active:.4g} active on average, {self.nbytes / 1e6:.4g} MB"
        written = f"{len(self) or 'no'} words written"
        return f"<{type(self).__name__}({self._described()}): {written}, {active}>"
