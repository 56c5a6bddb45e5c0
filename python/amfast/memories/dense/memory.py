"""Dense associative memories and the exponential memory: energies steeper than squares.

See `DenseAssociativeMemory`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from amfast import _check, bits
from amfast._stores.bit_items import BitItems
from amfast._stores.real_items import RealItems, real_rows
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask, Signs
from amfast.bits import BitMatrix, Kind
from amfast.memories.dense.fields import Binary, Fields, Real
from amfast.memories.dense.interaction import interaction as read_interaction
from amfast.memories.recall import Recall
from amfast.parts import dynamics

UPDATES = ("async", "sync", "one-step")


@dataclass(frozen=True, kw_only=True)
class DenseRecall(Recall):
    """What a `DenseAssociativeMemory` recall found; ``log_scale`` is None."""

    cycle: Int
    """(Q,) 1: a fixed point, which ``converged`` repeats; 2: the state alternates with another
    ("sync" only); 0: neither was found within the sweeps. A one-step recall of values has 1."""
    undecided: Int
    """(Q,) how many free units have a field of exactly 0 in ``state``."""
    undecided_units: Mask
    """(Q, d) which, or (Q, o) in a heteroassociative memory."""


class DenseAssociativeMemory:
    """Dense associative memory (Krotov and Hopfield 2016) and exponential memory.

    Stored patterns x_mu of weight w_mu are attractors of units s_i = -1, +1 under ::

        E(s) = - sum_mu w_mu F(x_mu . s) - sum_i b_i s_i

        power:        F(o) = o^n
        rectified:    F(o) = max(o, 0)^n
        exponential:  F(o) = exp(beta o)       (Demircigil et al. 2017)

    Recall comes in three forms, which are different maps:

    - ``update="async"``: one unit after the other takes the sign of half the difference of its two
      energies, ``h_i = sum_mu w_mu x_mu,i [F(r + 1) - F(r - 1)] / 2 + b_i`` with
      ``r = o_mu - x_mu,i s_i``, the overlap without the unit itself. It never raises E, so it ends.
    - ``update="sync"``: all units take the signs of the same h at once; it may cycle.
    - ``update="one-step"``: ``sign(sum_mu w_mu F'(o_mu) x_mu,i + b_i)`` once, each overlap with the
      unit in it. This is readout(separation(similarity)) as in `UniversalHopfield`, and **not** an
      energy difference: there a pattern that agrees with unit i counts F(o) - F(o - 2), one that
      does not F(o + 2) - F(o). Under the exponential these are e^-beta and e^beta times the same.

    n = 2 is Hopfield's network without a diagonal.

    Parameters
    ----------
    n : int, default 3
        Power, >= 1. Energies up to ``sum(w) d^n`` must fit float64 (n = 40 does up to d = 10^7); a
        ValueError otherwise. Ignored by the exponential.
    interaction : {"power", "rectified", "exponential"}
    beta : float, default 1.0
        Slope of the exponential, > 0; ignored by the others.
    bias : float or (d,) array, optional
        b, in units of E; one per unit of the answer. None means 0. Not for the exponential, whose
        energies have no common scale.
    real : bool, default False
        Whether the stored patterns are real numbers, kept as float64, instead of bits. Cues and
        answers are binary all the same.

    Notes
    -----
    Capacity for K random patterns of d units: all are exact fixed points up to about
    ``K_max = d^(n-1) / (2 (2n-3)!! ln d)`` (Krotov and Hopfield 2016, equation 6;
    `amfast.theory.dense_capacity`), which has a maximum in n; half of them still are at 1.6 K_max
    (power) or 2.9 K_max (rectified) for d = 100. The exponential memory corrects a fraction rho of
    wrong units in ``exp(alpha d)`` patterns for ``alpha < I(1 - 2 rho) / 2``, with
    ``2 I(a) = (1 + a) ln(1 + a) + (1 - a) ln(1 - a)`` (`amfast.theory.exponential_exponent`): one
    given pattern is safe up to twice that alpha, all together only up to this one.

    **Ties.** A field of magnitude at most 2^-52 times the sum of the magnitudes of its terms is a
    tie, decided alike on every machine and for any number of threads. A tied unit keeps its state
    (or takes ``tie``), and is counted as undecided. For patterns that are closed under reversal of
    a unit, as the truth table of XOR is for the unit of the answer, an even power has nothing but
    ties: no answer is made up.

    **Exactness.** Overlaps of binary patterns are integers, the differences of F are computed in
    integers and rounded once, so fields are exact to 2^-52 of their terms for any d up to 10^5 and
    any n up to 40. The exponential is taken relative to the largest overlap at hand and never
    overflows; its energy is given as ``-ln sum_mu w_mu exp(beta o_mu)``, which falls where E does.

    **Values** make the memory heteroassociative. Asynchronous and synchronous recall treat keys and
    values as one pattern of d + o units: those of the cue are clamped, those of the value start at
    -1 (off) and settle (one synchronous sweep is Krotov and Hopfield's classification). One-step
    recall is ``sign(sum_mu w_mu F'(o_mu) v_mu)`` with the overlaps of the keys alone.

    Cues may be `BitMatrix`, bool, {0, 1} or {-1, +1} arrays of any real dtype; the answer is of the
    same kind. Many threads may read one memory at a time; `store`, `delete` and `merge` must not
    run beside other calls.

    References
    ----------
    Krotov, Hopfield, *Dense Associative Memory for Pattern Recognition*, NIPS 2016.
    Demircigil, Heusel, Loewe, Upgang, Vermet, *On a Model of Associative Memory with Huge Storage
    Capacity*, J. Stat. Phys. 168, 2017.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.DenseAssociativeMemory(n=3)
    >>> memory.store([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    array([0, 1])
    >>> memory.recall([1, 1, 1, 1, -1, -1, 1, 1])
    array([ 1,  1,  1,  1, -1, -1, -1, -1])

    XOR: three units of which two are given, solved by odd powers from 3 on.

    >>> xor = am.DenseAssociativeMemory(n=3)
    >>> ids = xor.store([[-1, -1], [-1, 1], [1, -1], [1, 1]], [[-1], [1], [1], [-1]])
    >>> xor.recall([[-1, 1], [1, 1]])
    array([[ 1],
           [-1]])
    """

    def __init__(
        self,
        n: int = 3,
        *,
        interaction: str = "power",
        beta: float = 1.0,
        bias: Any = None,
        real: bool = False,
    ) -> None:
        self._interaction = read_interaction(interaction, n, beta)
        self._real = _check.flag(real, "real")
        self._given_bias = None if bias is None else dynamics.bias(bias)
        if self._given_bias is not None and self._interaction.exponential:
            raise ValueError(
                "bias: the exponential interaction has no common scale of energies to add it in"
            )
        self._items: BitItems | RealItems = RealItems() if real else BitItems()
        self._kind = Kind("bipolar", np.dtype(np.int8))
        self._fields: Fields | None = None

    # -- storing ----------------------------------------------------------------------------------

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Add patterns.

        Parameters
        ----------
        keys : (N, d) binary array or BitMatrix; any finite numbers with ``real=True``
        values : (N, o), likewise, optional
            What each key recalls; None means the keys themselves (autoassociative). A memory is
            one or the other.
        weights : float or (N,) array, optional
            Finite and >= 0; weight 3 equals storing the pattern three times. None means 1.

        Returns
        -------
        (N,) int64 array
            Ids for `delete`, never reused.

        Raises
        ------
        ValueError
            For shapes that do not match, values that are not binary (naming the place), mixed
            codings, and if energies leave the range of float64. Nothing is stored then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        items = self._items
        if isinstance(items, RealItems):
            k: Any = real_rows(keys, "keys")
            v: Any = None if values is None else real_rows(values, "values")
            kind = self._kind
        else:
            k, kind = bits.binary(keys, "keys", like=self._kind)
            v = None if values is None else bits.binary(values, "values", like=kind)[0]
        self._check_fit(k, v)
        if v is not None and len(v) != len(k):
            raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
        w = np.ones(len(k))
        if weights is not None:
            scalar = np.ndim(weights) == 0
            w = _check.item_weights(np.full(len(k), weights) if scalar else weights, len(k))
        self._check_bias(_width(k if v is None else v))
        self._check_range(k, v, w)
        if len(k) == 0:
            return np.empty(0, np.int64)
        ids = items.append(k, v, w)
        self._fields = None
        if kind.dtype is not None:
            self._kind = kind
        return ids

    def _check_fit(self, keys: Any, values: Any) -> None:
        """Refuse items of other widths than those stored, or of the other kind."""
        items = self._items
        if items.n_bits is None:
            return
        unit = "columns" if self._real else "bits"
        if _width(keys) != items.n_bits:
            raise ValueError(f"keys have {_width(keys)} {unit}, the memory stores {items.n_bits}")
        if items.heteroassociative != (values is not None):
            kind = "values with" if items.heteroassociative else "no values beside"
            raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
        if values is not None and _width(values) != _width(items.values):
            raise ValueError(
                f"values have {_width(values)} {unit}, the memory stores {_width(items.values)}"
            )

    def _check_range(self, keys: Any, values: Any, weights: Float) -> None:
        """Refuse patterns whose energies float64 does not hold."""
        total = float(weights.sum() + self._items.weights.sum())
        if isinstance(keys, BitMatrix):
            units = _width(keys) + (0 if values is None else _width(values))
            self._interaction.check_range(units, total, f"{units} units")
        elif len(keys):
            most = np.abs(keys).sum(axis=1) + (0 if values is None else np.abs(values).sum(axis=1))
            reach = float(most.max())
            self._interaction.check_range(reach, total, f"patterns of absolute sum {reach:g}")

    def delete(self, ids: Any) -> None:
        """Remove patterns by the ids that `store` returned.

        Raises
        ------
        ValueError
            If an id is unknown or named twice; nothing is removed then.
        TypeError
            If ids are not integers.
        """
        self._items.delete(_check.item_ids(ids))
        self._fields = None

    def merge(self, other: DenseAssociativeMemory) -> DenseAssociativeMemory:
        """Add all patterns of another memory with the same parameters, in place; they get new ids.

        Returns
        -------
        DenseAssociativeMemory
            This memory.
        """
        if not isinstance(other, DenseAssociativeMemory):
            raise TypeError(f"other must be a DenseAssociativeMemory, got {type(other).__name__}")
        if self._parameters() != other._parameters():
            raise ValueError(f"memories differ in their parameters: {self!r} and {other!r}")
        theirs = other._items
        if len(theirs):
            values = theirs.values if theirs.heteroassociative else None
            self._check_fit(theirs.keys, values)
            self._check_range(theirs.keys, values, theirs.weights)
            mine: Any = self._items
            mine.append(theirs.keys, values, theirs.weights)
            self._fields = None
        return self

    def _parameters(self) -> tuple[Any, ...]:
        f = self._interaction
        parameter = f.beta if f.exponential else f.n
        bias = None if self._given_bias is None else self._given_bias.tolist()
        return f.kind, parameter, self._real, bias

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        update: str = "async",
        max_sweeps: int = 100,
        seed: int = 0,
        *,
        clamp: Any = None,
        tie: str | int = "keep",
        order: str = "random",
        temperature: float | None = None,
        details: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Let each cue settle, or take one step.

        Parameters
        ----------
        cues : (Q, d) or (d,) binary array or BitMatrix
        update : {"async", "sync", "one-step"}
            See the class: the first two go down in energy, unit by unit or all at once, the third
            is one read.
        max_sweeps : int, default 100
            Sweeps at most, >= 1; a row stops when a sweep flips nothing, or cycles. One step of
            "sync" is a sweep; "one-step" is one.
        seed : int, default 0
            Of the orders and of the temperature's noise, 0 to 2**64 - 1; each row has its own
            sequence. The same on every platform.
        clamp : (d,) or (Q, d) bool array, optional
            True for units that are known and never change. In a heteroassociative memory all units
            of the cue are; it takes no more.
        tie : {"keep", 1, -1}, default "keep"
            The state of a unit without a field.
        order : {"random", "fixed"}, default "random"
            Of the units in an asynchronous sweep: new in every sweep, or unit 0 first.
        temperature : float, optional
            T > 0, in units of E: a unit becomes +1 with probability 1 / (1 + exp(-2 h / T))
            (Glauber 1963), for ``max_sweeps`` sweeps. None or 0 follows the sign.
        details : bool, default False
            Whether to return a `DenseRecall`.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, d) or (d,) array or BitMatrix, or DenseRecall
            In the kind of the cues; (Q, o) if heteroassociative. There, with ``tie="keep"``, an
            undecided unit is 0 in {-1, +1} answers of signed types; other kinds, which have no
            third value, give -1 (``undecided_units`` names them: units without a field in the final
            state, or, where synchronous sweeps ended early, in the one that the last began with).

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, values are not binary or codings are mixed.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        _check.choice(update, "update", UPDATES)
        details = _check.flag(details, "details")
        rules = dynamics.rules(
            update=update if update != "one-step" else "sync",
            order=order,
            tie=tie,
            temperature=temperature,
            max_sweeps=_check.integer(max_sweeps, "max_sweeps", 1) if update != "one-step" else 1,
            seed=seed,
            energies=details,
        )
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(cues, "cues")
        hetero = self._items.heteroassociative
        if hetero and clamp is not None:
            raise ValueError("clamp: the values of a heteroassociative memory are all to be found")
        mask = dynamics.clamped(clamp, len(rows), rows.n_bits)
        fields, states = self._prepared(), rows.unpack()
        if hetero:
            return self._recall_values(states, kind, update, rules, details, n_threads)
        if update == "one-step":
            end = fields.step(states, self._bias, mask, rules, n_threads)
        else:
            end = fields.flip(states, self._bias, mask, rules, n_threads)
        answer = kind.answer(dynamics.packed(end.states))
        return self._details(answer, end, end.undecided, kind) if details else answer

    def _recall_values(
        self,
        cues: Signs,
        kind: Kind,
        update: str,
        rules: dynamics.Rules,
        details: bool,
        threads: int,
    ) -> Any:
        """Recall values: by settling beside the clamped cue, or in one step."""
        fields, d = self._prepared(), cues.shape[1]
        if update == "one-step":
            if self._given_bias is not None or rules.temperature:
                raise ValueError("one-step recall of values has no bias and no temperature")
            found = fields.vote(cues, threads)
            n = len(found)
            once = np.ones(n, np.int64)
            end = dynamics.Settled(found, once, once, found == 0, None)
            undecided = end.undecided
        else:
            off = np.full((len(cues), _width(self._items.values)), -1, np.int8)
            mask = np.zeros((1, d + off.shape[1]), np.bool_)
            mask[:, :d] = True
            bias = self._bias
            if bias is not None:
                bias = np.concatenate([np.zeros(d), bias])
            start = np.hstack([cues, off])
            end = fields.flip(start, bias, mask, rules, threads)
            found, undecided = end.states[:, d:], end.undecided[:, d:]
            cut = end.period == 0
            if update == "sync" and not rules.temperature and cut.any():
                # The last step decided in the state before it, which is another one.
                look = replace(rules, max_sweeps=rules.max_sweeps - 1, energies=False)
                before = fields.flip(start, bias, mask, look, threads)
                undecided = np.where(cut[:, None], before.undecided[:, d:], undecided)
        new = found.copy()
        new[undecided] = rules.tie
        answer = kind.answer(dynamics.packed(new))
        if kind.coding == "bipolar":
            answer[(new[0] if kind.single else new) == 0] = 0
        return self._details(answer, end, undecided, kind) if details else answer

    def _details(
        self, answer: Any, end: dynamics.Settled, undecided: Mask, kind: Kind
    ) -> DenseRecall:
        trace = energy = None
        if end.energies is not None:
            energy = end.energies[np.arange(len(end.sweeps)), end.sweeps]
            trace = np.where(np.isnan(end.energies), energy[:, None], end.energies)
        found: dict[str, Any] = {
            "n_iter": end.sweeps,
            "converged": end.period == 1,
            "energy": energy,
            "energy_trace": trace,
            "cycle": end.period,
            "undecided": undecided.sum(axis=1),
            "undecided_units": undecided,
        }
        if kind.single:
            found = {name: None if x is None else x[0] for name, x in found.items()}
        return DenseRecall(state=answer, log_scale=None, **found)

    # -- looking at cues --------------------------------------------------------------------------

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Overlaps x_mu . s with every stored key, (Q, N) or (N,): int32, float64 if real."""
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(cues, "cues")
        result = self._prepared().overlaps(rows, n_threads)
        return result[0] if kind.single else result

    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Weigh every pattern as one-step recall does, (Q, N) or (N,) float64.

        ``w_mu F'(o_mu)`` divided by the sum of their magnitudes, which leaves signs as they are and
        any power within range; all zero where every one is.
        """
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(cues, "cues")
        overlaps = self._prepared().overlaps(rows, n_threads)
        with np.errstate(divide="ignore"):
            log_weight = np.log(self._items.weights)
        share, _ = self._interaction.votes(overlaps, log_weight)
        return share[0] if kind.single else share

    def energy(self, states: Any, values: Any = None, *, threads: int | None = None) -> Any:
        """Energy of states, (Q,) float64, or a float for one state.

        ``-sum_mu w_mu F(o_mu) - sum_i b_i s_i``; ``-ln sum_mu w_mu exp(beta o_mu)`` for the
        exponential. Asynchronous recall never raises it (at temperature 0).

        Parameters
        ----------
        states : (Q, d) or (d,) binary array or BitMatrix
        values : (Q, o) or (o,), likewise
            The units of the values, in a heteroassociative memory.
        threads : int, optional
            None means the setting.
        """
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(states, "states")
        flat, bias = rows.unpack(), self._bias
        if self._items.heteroassociative != (values is not None):
            have = "has" if self._items.heteroassociative else "has no"
            raise ValueError(f"the memory {have} values; energy takes states and values alike")
        if values is not None:
            width = _width(self._items.values)
            own, _ = bits.binary(values, "values", width, single=True, like=kind)
            if len(own) != len(rows):
                raise ValueError(f"values have {len(own)} rows, states have {len(rows)}")
            if bias is not None:
                bias = np.concatenate([np.zeros(flat.shape[1]), bias])
            flat = np.hstack([flat, own.unpack()])
        rules = dynamics.Rules(max_sweeps=0, energies=True)
        energies = self._prepared().flip(flat, bias, None, rules, n_threads).energies
        assert energies is not None
        return float(energies[0, 0]) if kind.single else energies[:, 0].copy()

    def _cues(self, given: Any, name: str) -> tuple[BitMatrix, Kind]:
        if len(self) == 0:
            raise ValueError("the memory is empty; store something first")
        return bits.binary(given, name, self._items.n_bits, single=True, like=self._kind)

    def _prepared(self) -> Fields:
        """Bring the patterns into the form the engine needs, kept until they change."""
        if self._fields is None:
            if isinstance(self._items, RealItems):
                self._fields = Real(self._interaction, self._items)
            else:
                self._fields = Binary(self._interaction, self._items)
        return self._fields

    @property
    def _bias(self) -> Float | None:
        if self._given_bias is None:
            return None
        units = _width(self._items.values)
        return np.ascontiguousarray(np.broadcast_to(self._given_bias, units))

    def _check_bias(self, n_units: int) -> None:
        if self._given_bias is not None and self._given_bias.size not in (1, n_units):
            raise ValueError(f"bias has {self._given_bias.size} entries, the units are {n_units}")

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the stored patterns."""
        return len(self._items)

    @property
    def interaction(self) -> str:
        """``"power"``, ``"rectified"`` or ``"exponential"``."""
        return self._interaction.kind

    @property
    def n(self) -> int:
        """The power; without effect under the exponential."""
        return self._interaction.n

    @property
    def beta(self) -> float:
        """The slope of the exponential; without effect under powers."""
        return self._interaction.beta

    @property
    def keys(self) -> Any:
        """Stored patterns, a BitMatrix of N rows, or (N, d) float64 if real."""
        return self._items.keys

    @property
    def values(self) -> Any:
        """Stored values, the keys if autoassociative."""
        return self._items.values

    @property
    def ids(self) -> Int:
        """Ids of the patterns (N,), read-only, beside `keys`."""
        return self._items.ids

    @property
    def nbytes(self) -> int:
        """Bytes held: patterns, weights, and what recall derived from them."""
        return self._items.nbytes + (0 if self._fields is None else self._fields.nbytes)

    def __repr__(self) -> str:
        """Say what the memory is and what it holds."""
        f = self._interaction
        text = f"{type(self).__name__}("
        text += f"interaction={f.kind!r}, " if f.kind != "power" else ""
        text += f"beta={f.beta:g}" if f.exponential else f"n={f.n}"
        if self._given_bias is not None:
            text += ", bias=..." if self._given_bias.ndim else f", bias={float(self._given_bias):g}"
        text += ", real=True" if self._real else ""
        if len(self) == 0:
            return f"<{text}): empty>"
        items = self._items
        values = f" -> {_width(items.values)}" if items.heteroassociative else ""
        return f"<{text}): {len(self)} patterns of {items.n_bits} units{values}>"

    def __copy__(self) -> DenseAssociativeMemory:
        """Copy the patterns too: two memories must not write into one buffer."""
        return copy.deepcopy(self)


def _width(rows: Any) -> int:
    return int(rows.shape[1])
