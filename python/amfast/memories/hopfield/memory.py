"""The classical Hopfield network: binary patterns in a matrix of weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check, bits
from amfast._stores.bit_items import item_weights
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int
from amfast.bits import BitMatrix, Kind
from amfast.kernels import pairwise
from amfast.memories.hopfield.synapses import Synapses
from amfast.memories.recall import Recall
from amfast.memories.units.synchronous import signs, synchronous
from amfast.parts import dynamics
from amfast.parts.dynamics import Rules


@dataclass(frozen=True, kw_only=True)
class HopfieldRecall(Recall):
    """What a `Hopfield` recall found; ``log_scale`` is None."""

    cycle: Int
    """(Q,) 1: a fixed point, which ``converged`` repeats; 2: the state alternates with another
    ("sync" only; ``state`` is the later of the last two); 0: neither was found within the sweeps.
    A one-step recall of values has 1."""
    undecided: Int
    """(Q,) how many free units have a field of exactly 0 in ``state``."""


class Hopfield:
    """The classical Hopfield network (Hopfield 1982).

    Stored patterns x_i, bipolar and of weight w_i, are attractors of units s_j = -1, +1 with the
    field h = W s + b::

        hebbian:     W = (1 / d) sum_i w_i x_i x_i^T
        projection:  W = pinv(X) X     (Personnaz, Guyon and Dreyfus 1985)
        energy:      E(s) = -1/2 s^T W s - b^T s

    Asynchronous recall takes the units one by one, s_j = sign(h_j), and never raises E. Synchronous
    recall takes all at once and ends in a fixed point or alternates between two states (Goles,
    Fogelman and Pellegrin 1985).

    Parameters
    ----------
    rule : {"hebbian", "projection"}
        The projection rule makes every stored pattern a fixed point, correlated ones too; once
        d of them are independent, every state is one.
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

    Notes
    -----
    Capacity under the Hebbian rule for n random patterns: one step leaves a fraction
    Q(1 / sqrt(n / d)) of wrong bits, Q the Gaussian tail (`amfast.theory.hopfield_bit_error`);
    recall with few errors ends at n / d = 0.138 (Amit, Gutfreund and Sompolinsky 1985); all
    patterns are recalled without an error up to d / (4 ln d) as d goes to infinity (McEliece et al.
    1987), 1.6 times that at d = 1024 (`amfast.theory.hopfield_n50`). With -1 and +1 exchanged a
    pattern is stored too. Patterns that correlate lose stability under the Hebbian rule.

    With ``values`` the memory is heteroassociative, W = (1 / d) sum_i w_i y_i x_i^T or
    Y^T pinv(X)^T, and recall is one step, sign(W s + b).

    Cues may be `BitMatrix`, bool, {0, 1} or {-1, +1} arrays of any real dtype; the answer is of the
    same kind. Many threads may read one memory at a time; `store`, `delete` and `merge` must not
    run beside other calls.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> memory = am.Hopfield()
    >>> memory.store([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    array([0, 1])
    >>> memory.recall([1, 1, 1, 1, -1, -1, -1, 1])
    array([ 1,  1,  1,  1, -1, -1, -1, -1])
    """

    def __init__(
        self,
        *,
        rule: str = "hebbian",
        zero_diagonal: bool = True,
        tie: str | int = "keep",
        bias: Any = None,
        storage: str = "auto",
    ) -> None:
        _check.choice(rule, "rule", ("hebbian", "projection"))
        self._zero_diagonal = _check.flag(zero_diagonal, "zero_diagonal")
        _check.choice(storage, "storage", ("auto", "matrix", "patterns"))
        self._tie = dynamics.tie_rule(tie)
        self._given_bias = None if bias is None else dynamics.bias(bias)
        self._synapses = Synapses(rule, self._zero_diagonal, storage)
        self._kind = Kind()

    # -- storing ----------------------------------------------------------------------------------

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Add patterns.

        Parameters
        ----------
        keys : (N, d) binary array or BitMatrix
        values : (N, o) binary array or BitMatrix, optional
            What each key recalls; None means the keys themselves (autoassociative). A memory is
            one or the other.
        weights : float or (N,) array, optional
            Finite, of any sign; None means 1. Storing a pattern again with the negative of its
            weight forgets it. The projection rule knows only whether a pattern's weights sum to
            more than 0 (with values they weigh the squared errors of dependent keys).

        Returns
        -------
        (N,) int64 array
            Ids for `delete`, never reused.

        Raises
        ------
        ValueError
            For shapes that do not match, values that are not binary (naming the place) and mixed
            codings. Nothing is stored then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        known = self._synapses
        k, kind = bits.binary(keys, "keys", known.n_bits, like=self._kind)
        v = None
        if values is not None:
            v, _ = bits.binary(values, "values", known.n_value_bits, like=kind)
            if len(v) != len(k):
                raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
        if known.n_bits is not None and known.hetero != (v is not None):
            what = "values with" if known.hetero else "no values beside"
            raise ValueError(f"the memory stores {what} its keys; values must be given alike")
        w = item_weights(weights, len(k))
        self._check_bias((k if v is None else v).n_bits)
        if len(k) == 0:
            return np.empty(0, np.int64)
        ids = known.add(k, v, w)
        if kind.coding != "packed":
            self._kind = kind
        return ids

    def delete(self, ids: Any) -> None:
        """Remove patterns by the ids that `store` returned.

        Raises
        ------
        ValueError
            If an id is unknown or named twice, or the memory keeps no patterns
            (``storage="matrix"``); nothing is removed then.
        TypeError
            If ids are not integers.
        """
        self._need_patterns("delete")
        self._synapses.delete(_check.item_ids(ids))

    def merge(self, other: Hopfield) -> Hopfield:
        """Add all patterns of another memory with the same parameters, in place; they get new ids.

        A memory that keeps only the matrix takes any other; one that keeps patterns cannot take a
        matrix.

        Returns
        -------
        Hopfield
            This memory.
        """
        if not isinstance(other, Hopfield):
            raise TypeError(f"other must be a Hopfield, got {type(other).__name__}")
        if self._parameters() != other._parameters():
            raise ValueError(f"memories differ in their parameters: {self!r} and {other!r}")
        if len(other) == 0:
            return self
        mine, theirs = self._synapses, other._synapses
        self._check_bias(theirs.n_units)
        if mine.n_bits is not None and (mine.n_bits, mine.n_value_bits) != (
            theirs.n_bits,
            theirs.n_value_bits,
        ):
            raise ValueError(f"memories differ in their widths: {self!r} and {other!r}")
        if mine.keeps_patterns and not theirs.keeps_patterns:
            raise ValueError("a matrix holds no patterns to add; merge the other way round")
        mine.merge(theirs)
        return self

    def _parameters(self) -> tuple[Any, ...]:
        bias = None if self._given_bias is None else self._given_bias.tolist()
        return self._synapses.rule, self._zero_diagonal, self._tie, bias

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        update: str | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
        *,
        clamp: Any = None,
        temperature: float | None = None,
        details: bool = False,
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
            Of the order and of the temperature's noise, 0 to 2**64 - 1; each row has its own
            sequence. The same on every platform.
        clamp : (d,) or (Q, d) bool array, optional
            True for known units, which never change.
        temperature : float, optional
            T > 0: a unit becomes +1 with probability 1 / (1 + exp(-2 h / T)) (Glauber 1963), for
            ``max_sweeps`` sweeps. None or 0 follows the sign.
        details : bool, default False
            Whether to return a `HopfieldRecall`.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, d) or (d,) array or BitMatrix, or HopfieldRecall
            In the kind of the cues; (Q, o) if heteroassociative. There, with ``tie="keep"``, a unit
            without a field is 0 in {-1, +1} answers; other kinds, which have no third value, give
            -1 (``undecided`` counts them).

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, values are not binary or codings are mixed.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        steps = _check.integer(max_sweeps, "max_sweeps", 1)
        seed = _check.integer(seed, "seed", 0, dynamics.MAX_SEED)
        noise = 0.0 if temperature is None else _check.number(temperature, "temperature", 0.0)
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(cues, "cues")
        if update is None:
            update = "one-step" if self._synapses.hetero else "async"
        _check.choice(update, "update", ("async", "sync", "one-step"))
        held = dynamics.clamped(clamp, len(rows), rows.n_bits)
        if self._synapses.hetero:
            if update != "one-step" or held is not None or noise:
                raise ValueError(
                    "a heteroassociative memory recalls in one step: its values are no cues, so "
                    'update must be "one-step", without clamp or temperature'
                )
            return self._recall_values(rows, kind, details, n_threads)
        if update == "one-step":
            update, steps = "sync", 1
        states = rows.unpack()
        if update == "async" or noise:
            rules = Rules(
                update=update,
                tie=self._tie,
                temperature=noise,
                max_sweeps=steps,
                seed=seed,
                energies=details,
            )
            end = self._synapses.flip(states, self._bias, held, rules, n_threads)
        else:
            field = self._synapses.field(self._bias, n_threads)
            end = synchronous(states, field, held, self._tie, steps, details)
        answer = kind.answer(dynamics.packed(end.states))
        if end.energies is None or end.undecided is None or not details:
            return answer
        last = end.energies[np.arange(len(rows)), end.sweeps]
        trace = np.where(np.isnan(end.energies), last[:, None], end.energies)
        undecided = end.undecided.sum(axis=1)
        return _record(answer, kind, end.sweeps, end.period, last, undecided, trace)

    def _recall_values(self, rows: BitMatrix, kind: Kind, details: bool, threads: int) -> Any:
        """One step to the values."""
        found = self._synapses.field(self._bias, threads)(rows.unpack())
        new = signs(found, np.zeros_like(found), self._tie)
        answer = kind.answer(dynamics.packed(new))
        if kind.coding == "bipolar":
            answer[(new[0] if kind.single else new) == 0] = 0
        if not details:
            return answer
        once = np.ones(len(rows), np.int64)
        return _record(answer, kind, once, once, None, (found == 0).sum(axis=1), None)

    # -- fields -----------------------------------------------------------------------------------

    def fields(self, states: Any, *, threads: int | None = None) -> Float:
        """Local fields h = W s + b, (Q, o) or (o,) float64.

        Examples
        --------
        >>> import amfast as am
        >>> memory = am.Hopfield(zero_diagonal=False)
        >>> ids = memory.store([[1, 1, -1, -1]])
        >>> memory.fields([1, 1, -1, 1])
        array([ 0.5,  0.5, -0.5, -0.5])
        """
        n_threads = resolve_threads(threads)
        rows, kind = self._cues(states, "states")
        field = self._synapses.field(self._bias, n_threads)
        h = field(rows.unpack()).astype(np.float64, copy=False)
        h = h * field.scale if field.bias is None else h
        return h[0] if kind.single else h

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
        if self._synapses.hetero:
            raise ValueError(
                "this memory has no energy: a heteroassociative recall has no state to iterate"
            )
        rows, kind = self._cues(states, "states")
        field = self._synapses.field(self._bias, n_threads)
        s = rows.unpack().astype(field.dtype)
        result = field.energy(s, field(s))
        return float(result[0]) if kind.single else result

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Overlaps x_i . s with every stored pattern, d minus twice the distance, (Q, N) or (N,).

        Raises
        ------
        ValueError
            If the memory keeps no patterns (``storage="matrix"``), or as `recall`.
        """
        n_threads = resolve_threads(threads)
        self._need_patterns("scores")
        rows, kind = self._cues(cues, "cues")
        keys = self._synapses.items.keys
        result = keys.n_bits - 2 * pairwise(rows, keys, "hamming", threads=n_threads)
        return result[0] if kind.single else result

    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Weigh every stored pattern: w_i x_i . s / d, (Q, N) or (N,).

        Under the Hebbian rule the field is their sum over the patterns (less the diagonal's).

        Raises
        ------
        ValueError
            Under the projection rule, and as `scores`.
        """
        if self._synapses.rule == "projection":
            raise ValueError("the projection rule does not sum over patterns; see scores()")
        scores = self.scores(cues, threads=threads)
        items = self._synapses.items
        return np.asarray(scores * (items.weights / items.keys.n_bits))

    # -- checking ---------------------------------------------------------------------------------

    def _cues(self, given: Any, name: str) -> tuple[BitMatrix, Kind]:
        self._need_something()
        return bits.binary(given, name, self._synapses.n_bits, single=True, like=self._kind)

    def _need_something(self) -> None:
        if len(self) == 0:
            raise ValueError("the memory is empty; store something first")

    def _need_patterns(self, what: str) -> None:
        if not self._synapses.keeps_patterns:
            raise ValueError(
                f'{what}: storage="matrix" keeps the sum over the patterns, not the patterns; use '
                f'storage="patterns" or "auto", or store with weights=-1 to forget'
            )

    def _check_bias(self, n_units: int) -> None:
        if self._given_bias is not None and self._given_bias.size not in (1, n_units):
            raise ValueError(f"bias has {self._given_bias.size} entries, the units are {n_units}")

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the stored patterns."""
        return len(self._synapses)

    @property
    def rule(self) -> str:
        """``"hebbian"`` or ``"projection"``."""
        return self._synapses.rule

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
        return self._synapses.storage

    @property
    def W(self) -> Float:
        """The weights (o, d) float64, a copy, with the diagonal as the field uses it."""
        self._need_something()
        matrix, scale = self._synapses.matrix()
        result = matrix * np.float64(scale)
        if self._synapses.drops_diagonal:
            np.fill_diagonal(result, 0.0)
        return np.asarray(result)

    @property
    def _bias(self) -> Float | None:
        if self._given_bias is None:
            return None
        return np.ascontiguousarray(np.broadcast_to(self._given_bias, self._synapses.n_units))

    @property
    def keys(self) -> BitMatrix:
        """Stored patterns (N, d); a ValueError if the memory keeps only the matrix."""
        self._need_patterns("keys")
        return self._synapses.items.keys

    @property
    def values(self) -> BitMatrix:
        """Stored values (N, o), the keys if autoassociative; a ValueError as for `keys`."""
        self._need_patterns("values")
        return self._synapses.items.values

    @property
    def ids(self) -> Int:
        """Ids of the patterns (N,), read-only, beside `keys`; a ValueError as for `keys`."""
        self._need_patterns("ids")
        return self._synapses.items.ids

    @property
    def nbytes(self) -> int:
        """Bytes held: patterns, sums, and what recall derived from them."""
        return self._synapses.nbytes

    def __repr__(self) -> str:
        """Say what the memory is and what it holds."""
        text = f"{type(self).__name__}(rule={self._synapses.rule!r}"
        if not self._zero_diagonal:
            text += ", zero_diagonal=False"
        if self._tie:
            text += f", tie={self._tie}"
        if self._given_bias is not None:
            text += ", bias=..." if self._given_bias.ndim else f", bias={float(self._given_bias)}"
        if self._synapses.storage != "auto":
            text += f", storage={self._synapses.storage!r}"
        if len(self) == 0:
            return f"<{text}): empty>"
        known = self._synapses
        values = f" -> {known.n_value_bits}" if known.hetero else ""
        return f"<{text}): {len(self)} patterns of {known.n_bits} bits{values}>"

    def __copy__(self) -> Hopfield:
        """Copy the patterns too: two memories must not write into one buffer."""
        return copy.deepcopy(self)


def _record(
    answer: Any,
    kind: Kind,
    sweeps: Int,
    cycle: Int,
    energy: Float | None,
    undecided: Int,
    trace: Float | None,
) -> HopfieldRecall:
    columns = {
        "n_iter": sweeps,
        "converged": cycle == 1,
        "energy": energy,
        "energy_trace": trace,
        "cycle": cycle,
        "undecided": undecided,
    }
    fields: dict[str, Any] = {
        name: c[0] if kind.single and c is not None else c for name, c in columns.items()
    }
    return HopfieldRecall(answer, log_scale=None, **fields)
