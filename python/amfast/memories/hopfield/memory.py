"""The classical Hopfield network: binary patterns in a matrix of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check, _docs, bits, theory
from amfast._stores.items import Batch, Stored
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Signs
from amfast.memories.hopfield.sums import Running, Summed, SumStore
from amfast.memories.hopfield.synapses import Synapses
from amfast.memories.recall import Recall
from amfast.memories.units.base import (
    Units,
    bounded,
    check_energies,
    of_values,
    one_step,
    overlaps,
    told,
)
from amfast.memories.units.path import by_unit
from amfast.memories.units.synchronous import signs, synchronous
from amfast.parts import dynamics
from amfast.parts.dynamics import Motion, Settled

HopfieldRecall = Recall

_NO_PATTERNS = (
    'storage="matrix" keeps the sum over the patterns, not the patterns; use storage="patterns" or '
    '"auto"'
)


class Hopfield(Units):
    """The classical Hopfield network (Hopfield 1982).

    Stored patterns x_i, bipolar and of weight w_i, are attractors of units s_j = -1, +1 with the
    field h = W s + b::

        hebbian:     W = (1 / d) sum_i w_i x_i x_i^T
        projection:  W = pinv(X) X     (Personnaz, Guyon and Dreyfus 1985)
        storkey:     dW_ij = (x_i x_j - x_i h_ji - h_ij x_j) / d,  h_ij the field of unit i without
                     units i and j  (Storkey 1997)
        energy:      E(s) = -1/2 s^T W s - b^T s

    Asynchronous recall takes the units one by one, s_j = sign(h_j), and never raises E. Synchronous
    recall takes all at once and ends in a fixed point or alternates between two states (Goles,
    Fogelman and Pellegrin 1985).

    Parameters
    ----------
    rule : {"hebbian", "projection", "storkey"}
        The projection rule makes every stored pattern a fixed point, correlated ones too; once
        d of them are independent, every state is one. Storkey's looks at each pattern once, as
        Hebb's does, and holds more; the order counts, so weights and values have no place in it.
    zero_diagonal : bool, default True
        Whether a unit's own state is left out of its field. With False a state is more stable but
        freezes sooner. Without effect in a heteroassociative memory.
    tie : {"keep", 1, -1}, default "keep"
        The state of a unit whose field is 0: exactly while weights are whole and there is no bias,
        else up to the rounding of its terms.
    bias : float or (d,) array, optional
        b, in the units of h: a threshold theta is a bias of -theta. One per unit of the answer.
    storage : {"auto", "matrix", "patterns"}
        What is kept: packed patterns of d / 8 bytes each, or nothing but the sum over the patterns,
        int32 (d, d), whatever their number. "auto" keeps the patterns and builds the matrix beside
        them when they are more than d / 8; "patterns" never does under the Hebbian rule. The
        answers are the same: sums are exact while weights are integers, rounded in float64 else.
        Without patterns there are no `keys` and nothing to `delete`: store with ``weights=-1`` to
        forget.
    max_items : int, optional
        How many patterns are kept: when one more is stored, the oldest goes. Not of "matrix".

    See Also
    --------
    DenseAssociativeMemory : More patterns, by steeper energies.
    UniversalHopfield : "hamming" with "max": the nearest stored pattern itself.
    SparseDistributedMemory : Bits under addresses.
    amfast.plot.fall, amfast.basins, amfast.capacity : Pictures and measurements.

    Notes
    -----
    **Which rule?** Random patterns, as in the textbook: "hebbian" up to 0.138 d of them. Images and
    other correlated patterns: "projection" up to a fraction of d (with many its basins are small),
    beyond that `DenseAssociativeMemory`. Patterns that come one by one and are not kept: "storkey"
    with ``storage="matrix"``, d / sqrt(2 ln d) random ones (`amfast.theory.storkey_capacity`). The
    similarity is the dot product of bipolar rows, d minus twice the Hamming distance; no other
    metrics (as cosine, 1 - cos) enter.

    Capacity under the Hebbian rule for n random patterns: one step leaves a fraction
    Q(1 / sqrt(n / d)) of wrong bits, Q the Gaussian tail (`amfast.theory.hopfield_bit_error`);
    recall with few errors ends at n / d = 0.138 (Amit, Gutfreund and Sompolinsky 1985); all
    patterns are recalled without an error up to d / (4 ln d) as d goes to infinity (McEliece et al.
    1987), 1.6 times that at d = 1024 (`amfast.theory.hopfield_n50`). With -1 and +1 exchanged a
    pattern is stored too. Patterns that correlate lose stability under the Hebbian rule.

    With ``values`` the memory is heteroassociative, W = (1 / d) sum_i w_i y_i x_i^T or
    Y^T pinv(X)^T, and recall is one step, sign(W s + b).

    Cues may be `BitMatrix`, bool, {0, 1} or {-1, +1} arrays of any real dtype; the answer is of the
    same kind. Many threads may read one memory at a time, also while one stores or deletes.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=50).patterns() > 0.5  # black and white
    >>> memory = am.Hopfield("projection")
    >>> ids = memory.store(images)
    >>> spoilt = am.corrupt.flip(images, 0.2, seed=0)
    >>> float((memory.recall(spoilt) == images).all(axis=1).mean())  # share without a wrong pixel
    1.0
    >>> memory = am.Hopfield()
    >>> memory.store([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    array([0, 1])
    >>> memory.recall([1, 1, 1, 1, -1, -1, -1, 1])
    array([ 1,  1,  1,  1, -1, -1, -1, -1])
    """

    def __init__(
        self,
        rule: str = "hebbian",
        *,
        zero_diagonal: bool = True,
        tie: str | int = "keep",
        bias: Any = None,
        storage: str = "auto",
        max_items: int | None = None,
    ) -> None:
        self._rule = str(_check.choice(rule, "rule", ("hebbian", "projection", "storkey")))
        self._zero_diagonal = _check.flag(zero_diagonal, "zero_diagonal")
        self._storage = str(_check.choice(storage, "storage", ("auto", "matrix", "patterns")))
        self._tie = dynamics.tie_rule(tie)
        self._given_bias = None if bias is None else dynamics.bias(bias)
        if max_items is not None and storage == "matrix":
            raise ValueError('max_items needs patterns that can go; storage="matrix" keeps none')
        self._store = SumStore(self._rule) if storage == "matrix" else bounded(max_items)
        self._running = Running()

    # -- storing ----------------------------------------------------------------------------------

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        batch = super()._admit(keys, values, weights)
        if self._rule == "storkey":
            if batch.values is not None:
                raise ValueError("values: Storkey's rule is for patterns that recall themselves")
            if batch.weights is not None and (batch.weights != 1).any():
                raise ValueError(
                    "weights: Storkey's rule learns a pattern once and cannot weigh it"
                )
        return batch

    def _item_weights(self, given: Any, length: int) -> Float:
        return _check.weights.signed(given, length)

    def _check_room(self, keys: Any, values: Any, total: float) -> None:
        super()._check_room(keys, values, total)
        total += self._load(self._store.now)
        units = max(int(rows.shape[1]) for rows in (keys, values) if rows is not None)
        check_energies(total, units)

    def _load(self, now: Any) -> float:
        return now.load if isinstance(now, Summed) else super()._load(now)

    def _check_merge(self, other: Any) -> None:
        super()._check_merge(other)
        if self._storage != "matrix" and other._storage == "matrix":
            raise ValueError("a matrix holds no patterns to add; merge the other way round")
        if self._rule == "storkey" and other._storage == "matrix" and len(self):
            raise ValueError(
                "Storkey's rule depends on the order of patterns; store them one by one"
            )

    def _parameters(self) -> dict[str, Any]:
        return {
            "rule": self._rule, "zero_diagonal": self._zero_diagonal, "tie": self.tie,
            "bias": self._given_bias, "storage": self._storage, 
            "max_items": getattr(self._store, "max_items", None),
        }  # fmt: skip

    def _same_parameters(self, other: Hopfield) -> bool:
        mine, theirs = self._parameters(), other._parameters()
        # A matrix takes what any other keeps.
        theirs["storage"] = mine["storage"]
        theirs["max_items"] = mine["max_items"]
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        update: str | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
        *,
        clamp: Any = None,
        order: str = "random",
        temperature: float | None = None,
        details: bool = False,
        max_iter: int | None = None,
        trace: str | None = None,
        threads: int | None = None,
    ) -> Any:
        """Let each cue settle.

        Parameters
        ----------
        cues : (Q, d) or (d,) binary array or BitMatrix
        update : {"async", "sync", "one-step"}, optional
            One unit after the other in a random order, new in every sweep; all units at once until
            a fixed point or a cycle of two states; all at once, one time. None means "async", or
            "one-step" in a heteroassociative memory, which knows nothing else.
        max_sweeps : int, default 100
            Sweeps at most, >= 1; a row stops when a sweep flips nothing. One step of "sync" is a
            sweep.
        seed : int, default 0
            Of the order and of the temperature's noise, 0 to 2**64 - 1, together with the cue's own
            bits: equal cues recall alike wherever they stand, alone or in a batch, at a temperature
            too: for samples take a seed each. The same on every platform.
        clamp : (d,) or (Q, d) bool array, optional
            True for known units, which never change.
        order : {"random", "fixed"}, default "random"
            Of the units in an asynchronous sweep: new in every sweep, or unit 0 first.
        temperature : float, optional
            T > 0: a unit becomes +1 with probability 1 / (1 + exp(-2 h / T)) (Glauber 1963), for
            ``max_sweeps`` sweeps. None or 0 follows the sign.
        details : bool, default False
            Whether to return a `Recall`.
        max_iter : int, optional
            Another name of ``max_sweeps``, as other memories call it.
        trace : {"unit"}, optional
            Return a `Recall` with every state on the way, flip by flip, and its energy: ``path``,
            ``path_energy`` and ``path_unit``, see there. For pictures of small networks: it is
            replayed in Python. Units are taken in the order of ``order="fixed"``, or of NumPy's
            ``default_rng(seed)`` in every sweep, so that a path may end elsewhere than without a
            trace. "async" without a temperature alone.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, d) or (d,) array or BitMatrix, or Recall
            In the kind of the cues; (Q, o) if heteroassociative. There, with ``tie="keep"``, a unit
            without a field is 0 in {-1, +1} answers; other kinds, which have no third value, give
            -1 (``undecided`` counts them).

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, values are not binary or codings are mixed.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.

        Warns
        -----
        SeparationWarning
            Once per memory, if most of 16 stored patterns do not come back from themselves. It
            looks when 32 cues or more are recalled.
        """
        details = _check.flag(details, "details")
        if max_iter is not None:
            max_sweeps = max_iter
        n_threads = resolve_threads(threads)
        now = self._stored()
        hetero = now.heteroassociative
        if update is None:
            update = "one-step" if hetero else "async"
        rules = dynamics.rules(update, order, self._tie, temperature, max_sweeps, seed, details)
        states, kind = self._cues(cues, "cues", now)
        mask = dynamics.clamped(clamp, len(states), now.width)
        if trace is not None:
            return by_unit(self, states, kind, mask, rules, hetero, trace)
        synapses, bias = self._synapses(now), self._bias(now)
        if hetero:
            if update != "one-step" or mask is not None or rules.temperature:
                raise ValueError(
                    "a heteroassociative memory recalls in one step: its values are no cues, so "
                    'update must be "one-step", without clamp or temperature'
                )
            field = synapses.field(bias, n_threads)(states)
            end, undecided = one_step(signs(field, np.zeros_like(field), 0)), field == 0
            return told(kind, of_values(end.states, undecided, self._tie), end, undecided, details)
        motion = Motion(bias, mask, rules, n_threads)
        self._look(states, now, motion, lambda some: self._settled(synapses, some, motion))
        end = self._settled(synapses, states, motion)
        return told(kind, end.states, end, end.undecided, details)

    def _helps(self, d: int) -> str:
        if self._rule == "projection":
            return f"the projection rule holds up to {d} patterns, with small basins when many"
        if self._rule == "storkey":
            holds = theory.storkey_capacity(d)
            return f"Storkey's rule holds d / sqrt(2 ln d) = {holds:.0f} random patterns"
        return (
            f"Hebb's rule holds 0.138 d = {theory.hopfield_critical_load() * d:.0f} random "
            "patterns, and fewer that are alike: use rule='projection', or "
            "DenseAssociativeMemory(interaction='exponential')"
        )

    def _settled(self, synapses: Synapses, states: Signs, motion: Motion) -> Settled:
        """Let states settle: unit by unit, or in products with all of them."""
        bias, clamp, rules, threads = motion
        if rules.update == "async" or rules.temperature:
            return synapses.flip(states, motion)
        field = synapses.field(bias, threads)
        return synchronous(states, field, clamp, rules.tie, rules.max_sweeps, rules.energies)

    # -- fields -----------------------------------------------------------------------------------

    @_docs.like(Units.energy)
    def fields(self, states: Any, *, threads: int | None = None) -> Float:
        """Local fields h = W s + b, (Q, o) or (o,) float64.

        Returns
        -------
        (Q, o) or (o,) float64 array

        Examples
        --------
        >>> import amfast as am
        >>> memory = am.Hopfield(zero_diagonal=False)
        >>> ids = memory.store([[1, 1, -1, -1]])
        >>> memory.fields([1, 1, -1, 1])
        array([ 0.5,  0.5, -0.5, -0.5])
        """
        n_threads = resolve_threads(threads)
        now = self._stored()
        s, kind = self._cues(states, "states", now)
        field = self._synapses(now).field(self._bias(now), n_threads)
        h = field(s).astype(np.float64, copy=False)
        return np.asarray(kind.answer(h * field.scale if field.bias is None else h))

    def energy(self, states: Any, *, threads: int | None = None) -> Any:
        """Energy -1/2 s^T W s - b^T s of states, (Q,) float64, or a float for one state.

        Asynchronous recall never raises it (at temperature 0). With ``zero_diagonal=False`` the
        diagonal, a constant, is part of it.

        Raises
        ------
        ValueError
            If the memory is heteroassociative, or as `recall`.
        """
        n_threads = resolve_threads(threads)
        if self._why_no_energy():
            return super().energy(states)
        now = self._stored()
        given, kind = self._cues(states, "states", now)
        field = self._synapses(now).field(self._bias(now), n_threads)
        s = given.astype(field.dtype)
        return kind.number(field.energy(s, field(s)))

    def _theory(self, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
        if self._rule == "projection":
            return {"d, the rank of the projection": float(d)}, None
        if self._rule == "storkey":
            return {"d / sqrt(2 ln d), d to infinity": theory.storkey_capacity(d)}, None
        named = {
            "0.138 d, retrieval ends (d to infinity)": theory.hopfield_critical_load() * d,
            "one step without error, half of the time": theory.hopfield_n50(d, "one"),
        }
        return named, np.array([theory.hopfield_overlap(n / d) for n in loads])

    def _why_no_energy(self) -> str:
        now = self._store.now
        if now is not None and now.heteroassociative:
            return "a heteroassociative recall has no state to iterate"
        return ""

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Overlaps x_i . s with every stored pattern, d minus twice the distance, (Q, N) or (N,).

        Raises
        ------
        ValueError
            If the memory keeps no patterns (``storage="matrix"``), or as `recall`.
        """
        n_threads = resolve_threads(threads)
        self._need_items("scores")
        now = self._stored()
        words, kind = bits.binary(cues, "cues", now.width, single=True, like=now.kind)
        return np.asarray(kind.answer(overlaps(words, now.keys, n_threads)))

    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Weigh every stored pattern: w_i x_i . s / d, (Q, N) or (N,).

        Under the Hebbian rule the field is their sum over the patterns (less the diagonal's).

        Raises
        ------
        ValueError
            Under another rule than Hebb's, and as `scores`.
        """
        if self._rule != "hebbian":
            raise ValueError(f"the {self._rule} rule does not sum over patterns; see scores()")
        self._need_items("weights")
        scores = self.scores(cues, threads=threads)
        now = self._stored()
        return np.asarray(scores * (now.weights / now.width))

    # -- looking at it ----------------------------------------------------------------------------

    @property
    def rule(self) -> str:
        """``"hebbian"``, ``"projection"`` or ``"storkey"``."""
        return self._rule

    @property
    def zero_diagonal(self) -> bool:
        """Whether a unit's own state is left out of its field."""
        return self._zero_diagonal

    @property
    def tie(self) -> str | int:
        """The state of a unit without a field: ``"keep"``, 1 or -1."""
        return self._tie or "keep"

    @property
    def bias(self) -> Float | None:
        """The bias as given, read-only."""
        return None if self._given_bias is None else _check.frozen(self._given_bias)

    @property
    def storage(self) -> str:
        """``"auto"``, ``"matrix"`` or ``"patterns"``."""
        return self._storage

    @property
    def W(self) -> Float:
        """The weights (o, d) float64, a copy, with the diagonal as the field uses it."""
        synapses = self._synapses(self._stored())
        matrix, scale = synapses.matrix()
        result = matrix * np.float64(scale)
        if synapses.drops_diagonal:
            np.fill_diagonal(result, 0.0)
        return np.asarray(result)

    @property
    def nbytes(self) -> int:
        """Bytes held: patterns, sums, and what recall derived from them."""
        now = self._store.now
        if now is None:
            return 0
        synapses = self._synapses(now)
        kept = {id(x) for x in now.sums.tables.values()} if isinstance(now, Summed) else set()
        derived = {id(x): x.nbytes for x in [*self._running.tables.values(), *synapses.tables]}
        extra = sum(size for name, size in derived.items() if name not in kept)
        return super().nbytes + extra + synapses.packed_bytes

    def _synapses(self, now: Stored | Summed) -> Synapses:
        """Return the weights that what is stored makes, made once."""
        made: Synapses = now.derived(
            "synapses",
            lambda: Synapses(self._rule, self._zero_diagonal, self._storage, now, self._running),
        )
        return made

    def _need_items(self, what: str) -> None:
        if self._storage == "matrix":
            forget = "" if self._rule == "storkey" else ", or store with weights=-1 to forget"
            raise ValueError(f"{what}: {_NO_PATTERNS}{forget}")

    def _described(self) -> str:
        text = f"rule={self._rule!r}"
        if not self._zero_diagonal:
            text += ", zero_diagonal=False"
        if self._tie:
            text += f", tie={self._tie}"
        if self._given_bias is not None:
            text += ", bias=..." if self._given_bias.ndim else f", bias={float(self._given_bias)}"
        if self._storage != "auto":
            text += f", storage={self._storage!r}"
        return text + self._bounded()
