"""The universal Hopfield network: similarity, separation, projection over stored items."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from amfast import _check, bits, parts
from amfast._engine.scoring import cue_tiles, numbers
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix, Kind
from amfast.memories.universal.paper import Paper
from amfast.memories.universal.standard import Standard


@dataclass(frozen=True)
class Recall:
    """What a recall found, with one entry per cue; for one 1-d cue, its own entry."""

    state: Array
    """(Q, o) recalled values."""
    n_iter: Int
    """(Q,) steps taken."""
    converged: Mask
    """(Q,) whether the last step changed no entry by more than ``tol``; True if heteroassociative,
    where one step is all there is."""
    energy: Float | None
    """(Q,) energy of ``state``, None for memories that have none."""
    log_scale: Float | None
    """(Q,) natural logarithm of the sum of the magnitudes of the weights in the last step, before
    they were divided by it; -inf where no item had any weight. None for memories that keep no
    items, so have no weights."""
    energy_trace: Float | None = None
    """(Q, steps + 1) energy of the cue and after every step, of a row that stopped its last one;
    None for memories that do not record it."""


class UniversalHopfield:
    """An associative memory made of a similarity, a separation and a readout.

    Recall is ``readout(sum_i w_i v_i / sum_i |w_i|)`` with the weights
    ``w = separation(similarity(cue, keys))`` (Millidge et al., *Universal Hopfield Networks*,
    ICML 2022).

    Parameters
    ----------
    similarity : str, Similarity or callable, default "dot"
        A metric's name; a distance d scores as -d. "hamming" makes it a memory of bits, see the
        notes. A function is called on tiles, see `Similarity`. In the paper convention a name of
        `amfast.memories.universal.paper`.
    separation : str, Separation or callable, default "softmax"
        "identity", "log", "sqrt", "square", "cube", "quartic", "softmax", "max" or an object of
        `amfast.parts`. With a distance choose softmax, max, `TopK` or `Threshold`: its scores are
        <= 0, so odd powers give negative weights, even powers lift the farthest item, rectified
        ones give zeros, and sqrt and log raise.
    beta : float, optional
        Shorthand for the softmax's inverse temperature, finite and >= 0; None means 1. A
        ValueError where it would have no effect.
    convention : {"standard", "paper"}, default "standard"
        "paper" follows the published code: see `amfast.memories.universal.paper`.
    normalize : bool, default True
        Whether power, exponential, threshold and user-defined weights are divided by the sum of
        their magnitudes, which keeps any exponent within range. False gives them as they are; the
        energies of dense associative memories need that.
    eps : float, optional
        For the KL family, whose distances are infinite where a row has a zero. Standard: every row
        is mixed with the uniform distribution, ``(n(x) + eps/d) / (1 + eps)`` with
        ``n(x) = x / sum(x)``, and a blank row becomes uniform; default 1e-4, 0 is allowed.
        ("jensenshannon" needs no smoothing, only blank rows become uniform.) Paper: added inside
        the logarithms, > 0, default 1e-4.
    readout : {"identity", "sign", "l2"} or Readout, default "identity"
        Applied to each recalled state.
    on_exact_match : {"limit", "nan", "error"}, default "limit"
        In the paper convention, what a distance of 0 does.

    Notes
    -----
    Keys and values stay in the type they came in (float16, float32, float64, uint8, int8); a wider
    type in a later `store` widens the store. The answer is float64 if cues, keys or values are,
    else float32. Beside the keys a packed copy is kept for the engine. Many threads may read one
    memory at a time; `store`, `delete` and `merge` must not run beside other calls.

    Under "hamming" keys and cues are a `BitMatrix`, bools, or arrays of {0, 1} or {-1, +1}; keys
    are stored packed, a bit per unit and only once, and `keys` is a `BitMatrix`.
    Values may be one too. Stored bits are recalled as the numbers -1 and +1: a mixture of them is
    float32 in [-1, 1] (in 0..1 after ``(x + 1) / 2``). Where the answer is bits again, because the
    readout is "sign" or the separation chooses one item, it comes in the kind that the cues had:
    `BitMatrix`, bool, {0, 1} or {-1, +1} of their type; only then can it be the cue of a next step.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.UniversalHopfield("manhattan", "softmax", beta=10.0)
    >>> memory.store([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    array([0, 1])
    >>> memory.recall([0.9, 0.8, 0.0]).round(3)
    array([1., 1., 0.])
    >>> memory = am.UniversalHopfield("hamming", beta=1.0)
    >>> ids = memory.store([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    >>> memory.recall([1, 0, 1, 0, 0]).round(2)
    array([ 0.76,  0.76,  1.  , -0.76, -0.76], dtype=float32)
    >>> memory = am.UniversalHopfield("hamming", beta=1.0, readout="sign")
    >>> ids = memory.store([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    >>> memory.recall([1, 0, 1, 0, 0])
    array([1, 1, 1, 0, 0])
    """

    # Whether `recall` with details records the energy of every state, at one more read per step.
    _traces: ClassVar[bool] = False

    def __init__(
        self,
        similarity: str | parts.Similarity | parts.ScoreFunction = "dot",
        separation: str | parts.Separation | parts.WeightFunction = "softmax",
        *,
        beta: float | None = None,
        convention: str = "standard",
        normalize: bool = True,
        eps: float | None = None,
        readout: str | parts.Readout = "identity",
        on_exact_match: str = "limit",
    ) -> None:
        _check.choice(convention, "convention", ("standard", "paper"))
        separate = parts.separation(separation, beta)
        normalize = _check.flag(normalize, "normalize")
        self._readout = readout if isinstance(readout, parts.Readout) else parts.Readout(readout)
        _check.choice(on_exact_match, "on_exact_match", ("limit", "nan", "error"))
        self._model: Standard | Paper
        if convention == "paper":
            if not normalize:
                raise ValueError("normalize=False contradicts convention='paper': weights sum to 1")
            self._model = Paper.of(similarity, separate, eps, on_exact_match)
        else:
            if on_exact_match != "limit":
                raise ValueError("on_exact_match belongs to convention='paper'")
            self._model = Standard.of(similarity, separate, normalize, eps)
        self._items = self._model.items()
        self._kind: Kind | None = None  # of the bits that were stored first

    # -- storing ----------------------------------------------------------------------------------

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Add items.

        Parameters
        ----------
        keys : (N, d) array or BitMatrix
        values : (N, o) array or, under "hamming", BitMatrix, optional
            What each key recalls; None means the keys themselves (autoassociative). A memory is
            one or the other.
        weights : (N,) array, optional
            Finite and >= 0; multiplies the item's separated score. Weight 3 equals storing the
            item three times, weight 0 is never recalled. None means 1. The exceptions are `TopK`
            and `Max`: they choose k distinct items by score and then weigh those.

        Returns
        -------
        (N,) int64 array
            Ids for `delete`, never reused.

        Raises
        ------
        ValueError
            For shapes that do not match, NaN or infinity, negative entries under KL, and what is
            not binary under "hamming". Nothing is stored then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        k: Array | BitMatrix
        v: Array | BitMatrix | None = None
        kind = None
        if self._model.binary:
            k, kind = bits.binary(keys, "keys", self._items.width, like=self._kind)
        else:
            k = _check.rows(keys, "keys")
        if values is not None:
            packed = self._model.binary and isinstance(values, BitMatrix)
            v = values if packed else _check.rows(values, "values")
        self._check_fit(k, v)
        if not isinstance(k, BitMatrix):
            _check.finite(k, "keys")
            self._model.check_domain(k, "keys")
        if v is not None:
            if len(v) != len(k):
                raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
            if not isinstance(v, BitMatrix):
                _check.finite(v, "values")
        log_weight = np.zeros(len(k))
        if weights is not None:
            with np.errstate(divide="ignore"):
                log_weight = np.log(_check.item_weights(weights, len(k)))
        if len(k) == 0:
            return np.empty(0, np.int64)
        ids = self._items.append(k, v, log_weight)
        self._kind = self._kind or kind
        return ids

    def _check_fit(self, keys: Any, values: Any) -> None:
        """Refuse items of other widths than those stored, or of the other kind."""
        items = self._items
        if items.width is None:
            return
        _check.same_width(keys, "keys", items.width, "the memory stores")
        if items.heteroassociative != (values is not None):
            kind = "values with" if items.heteroassociative else "no values beside"
            raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
        if values is not None:
            if isinstance(values, BitMatrix) != isinstance(items.values, BitMatrix):
                kind = "a BitMatrix" if isinstance(items.values, BitMatrix) else "arrays"
                raise ValueError(f"the memory stores values of {kind}; they must be given alike")
            _check.same_width(values, "values", items.values.shape[1], "the memory stores")

    def delete(self, ids: Any) -> None:
        """Remove items by the ids that `store` returned.

        Raises
        ------
        ValueError
            If an id is unknown or named twice; nothing is removed then.
        TypeError
            If ids are not integers.
        """
        self._items.delete(_check.item_ids(ids))

    def merge(self, other: UniversalHopfield) -> UniversalHopfield:
        """Add all items of another memory with the same parts, in place; they get new ids.

        Returns
        -------
        UniversalHopfield
            This memory.
        """
        if not isinstance(other, UniversalHopfield):
            raise TypeError(f"other must be a UniversalHopfield, got {type(other).__name__}")
        if self._model != other._model or self._readout != other._readout:
            raise ValueError(f"memories differ in their parts: {self!r} and {other!r}")
        items = other._items
        if len(items):
            values = items.values if items.heteroassociative else None
            self._check_fit(items.keys, values)
            self._items.append(items.keys, values, items.log_weight)
            self._kind = self._kind or other._kind
        return self

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        *,
        max_iter: int = 1,
        tol: float = 1e-4,
        details: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Recall what is stored nearest in the memory's own sense.

        Parameters
        ----------
        cues : (Q, d) or (d,) array, or BitMatrix
        max_iter : int, default 1
            Steps at most; each recalled state is the next step's cue. More than 1 needs an
            autoassociative memory, and under "hamming" one that answers bits.
        tol : float, default 1e-4
            A row stops when a step changes none of its entries by more than this.
        details : bool, default False
            Whether to return a `Recall`.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, o) or (o,) array, BitMatrix or Recall
            A cue that no item answers (all weights zero) recalls zeros; that is a ValueError where
            the answer is bits, except that the readout "sign" resolves it as a tie.

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, a cue has a NaN or infinity, a separation meets
            a score it is not defined for, or scores, un-normalised weights, recalled values or
            (with ``details``) an energy leave the range of floats.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        steps = _check.integer(max_iter, "max_iter", 1)
        tol = _check.number(tol, "tol", 0.0)
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        given, kind = self._cues(cues, "cues", keep_bytes=True)
        auto = not self._items.heteroassociative
        if steps > 1 and not auto:
            raise ValueError("max_iter > 1 needs an autoassociative memory: values are no cues")
        answers_bits = self._answers_bits
        if steps > 1 and self._model.binary and not answers_bits:
            raise ValueError(
                "max_iter > 1 under 'hamming' needs states of bits: readout='sign', or separation "
                "'max'"
            )
        n_iter = np.zeros(len(given), np.int64)
        converged = np.full(len(given), not auto)
        trace = None
        if details and self._traces and not self._why_no_energy():
            trace = [self._traced(given, n_threads)]
        state, log_scale = self._step(given, n_threads)
        n_iter += 1
        if auto:
            converged = _settled(state, numbers(given), tol)
        if trace is not None:
            trace.append(self._traced(state, n_threads))
        for _ in range(1, steps):
            active = np.flatnonzero(~converged)
            if len(active) == 0:
                break
            given = _packed(state[active]) if answers_bits else np.ascontiguousarray(state[active])
            new, log_scale[active] = self._step(given, n_threads)
            n_iter[active] += 1
            converged[active] = _settled(new, state[active], tol)
            state[active] = new
            if trace is not None:
                trace.append(trace[-1].copy())
                trace[-1][active] = self._traced(new, n_threads)
        answer: Any = state[0] if kind.single else state
        if answers_bits:
            answer = kind.answer(_packed(state))
        if not details:
            return answer
        energy = None
        if trace is not None:
            energy = trace[-1]
        elif not self._why_no_energy():
            energy = self._traced(state, n_threads)
        traced = None if trace is None else np.stack(trace, axis=1)
        fields: list[Any] = [n_iter, converged, energy, log_scale, traced]
        if kind.single:
            fields = [None if f is None else f[0] for f in fields]
        return Recall(answer, *fields)

    @property
    def _answers_bits(self) -> bool:
        """Whether what is recalled is bits, in every unit -1 or +1."""
        items, readout = self._items, self._readout
        if not isinstance(items.values, BitMatrix):
            return False
        if readout.kind == "sign":
            return not items.heteroassociative or readout.tie != "keep"
        return readout.kind == "identity" and self._model.separation.n_best == 1

    def _cues(self, given: Any, name: str, keep_bytes: bool = False) -> tuple[Any, Kind]:
        """Check cues against the store and bring them to the type of the answer, or pack them.

        With ``keep_bytes``, uint8 or int8 cues stay so where the model scores them exactly.
        """
        items = self._items
        if len(items) == 0:
            raise ValueError("the memory is empty; store something first")
        separation = self._model.separation
        n_best = separation.n_best
        if n_best is not None and n_best > len(items):
            raise ValueError(f"{separation!r} needs {n_best} items, the memory stores {len(items)}")
        if self._model.binary:
            packed = bits.binary(given, name, items.width, single=True, like=self._kind)
            if isinstance(separation, parts.Threshold):
                _check.radius(separation.radius, False, items.width)
            return packed
        cues, single = _check.cues(given, name)
        kind = Kind(single=single)
        _check.same_width(cues, name, items.keys.shape[1], "the memory stores")
        _check.finite(cues, name)
        self._model.check_domain(cues, name)
        if keep_bytes and self._model.wants_bytes(cues, items):
            return cues, kind
        dtype = _check.compute_type(cues, items.keys, items.values)
        return cues.astype(dtype, copy=False), kind

    def _step(self, cues: Any, threads: int) -> tuple[Array, Float]:
        """One read of all cues with the readout, and the log scale."""
        summed, log_scale = self._model.read(cues, self._items, threads)
        kept = None if self._items.heteroassociative else numbers(cues)
        return self._readout(summed, kept), log_scale

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Score every stored key against every cue, larger is better, (Q, N) or (N,).

        A distance is negated; in the paper convention scores sum to 1.
        """
        n_threads = resolve_threads(threads)
        q, kind = self._cues(cues, "cues")
        out = self._model.scores(q, self._items, n_threads)
        return out[0] if kind.single else out

    def weights(self, cues: Any, *, threads: int | None = None) -> Array:
        """Weigh every stored item for every cue, (Q, N) or (N,): `recall` is their projection.

        Softmax, max and top-k weights sum to 1; others are divided by the sum of their magnitudes
        unless ``normalize=False``. In the paper convention all sum to 1.
        """
        n_threads = resolve_threads(threads)
        q, kind = self._cues(cues, "cues")
        out = self._model.weights(q, self._items, n_threads)
        return out[0] if kind.single else out

    def dropped_mass(self, cues: Any, *, threads: int | None = None) -> Any:
        """Softmax weight of the items that `TopK` with a beta leaves out, (Q,) float64 or a float.

        With ``delta`` of it, the recalled value differs from that of ``Softmax(beta)`` by at most
        ``2 delta max |v|``. It reads all scores, one tile of cues at a time; `TopK.dropped_bound`
        bounds it from the k best scores.

        Raises
        ------
        ValueError
            If the separation is not `TopK` with a beta.
        """
        chosen = self._model.separation
        if not isinstance(chosen, parts.TopK) or chosen.beta is None:
            raise ValueError(f"{chosen!r} leaves nothing of a softmax out; TopK with a beta does")
        n_threads = resolve_threads(threads)
        q, kind = self._cues(cues, "cues")
        items = self._items
        dropped = np.empty(len(q))
        for tile in cue_tiles(len(q), len(items)):
            s = self._model.scores(q[tile], items, n_threads)
            all_items, _ = parts.Softmax(chosen.beta).weights(s, items.bias)
            kept, _ = chosen.weights(s, items.bias)
            dropped[tile] = np.where(kept > 0, 0.0, all_items).sum(axis=1)
        return float(dropped[0]) if kind.single else dropped

    # -- energy -----------------------------------------------------------------------------------

    def energy(self, states: Any, *, threads: int | None = None) -> Any:
        """Energy of states that recall never increases, (Q,) float64, or a float for one state.

        With items k_i, log weights b_i and state v:

        - dot, softmax: ``|v|^2 / 2 - lse(beta k_i.v + b_i) / beta`` (Ramsauer et al. 2021, without
          their constants);
        - sqeuclidean, softmax: ``- lse(-beta |k_i - v|^2 + b_i) / beta``;
        - either, `Sparsemax` or `Entmax`: their potential in place of lse, see `amfast.parts`;
        - dot, power n, ``normalize=False``: ``|v|^2 / 2 - sum_i e^b_i (k_i.v)^(n+1) / (n+1)``, for
          odd n or rectified scores (Krotov and Hopfield 2016); unbounded below;
        - dot, exponential, ``normalize=False``: ``|v|^2 / 2 - sum_i exp(beta k_i.v + b_i) / beta``.

        Parameters
        ----------
        states : (Q, d) or (d,) array
        threads : int, optional
            None means the setting.

        Raises
        ------
        ValueError
            Where recall has no energy, saying why; if an energy leaves the range of float64.
        """
        n_threads = resolve_threads(threads)
        reason = self._why_no_energy()
        if reason:
            raise ValueError(f"this memory has no energy: {reason}")
        v, kind = self._cues(states, "states")
        result = self._energies(v, n_threads)
        return float(result[0]) if kind.single else result

    def _energies(self, states: Array, threads: int) -> Float:
        """Energies (Q,) of checked states, where there is one."""
        return self._model.energy(states, self._items, threads)

    def _traced(self, states: Array, threads: int) -> Float:
        """Energies as a `Recall` holds them."""
        return self._energies(states, threads)

    def _why_no_energy(self) -> str:
        """Say why recall need not decrease anything; empty if an energy exists."""
        if self._items.heteroassociative:
            return "a heteroassociative recall has no state to iterate"
        if self._readout.kind != "identity":
            return f"the readout {self._readout.kind!r} changes the step"
        return self._model.why_no_energy()

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the stored items."""
        return len(self._items)

    @property
    def keys(self) -> Any:
        """Stored keys (N, d), as given, read-only; a `BitMatrix` under "hamming"."""
        return self._items.keys

    @property
    def values(self) -> Any:
        """Stored values (N, o), read-only; the keys if autoassociative."""
        return self._items.values

    @property
    def ids(self) -> Int:
        """Ids of the items (N,), read-only, beside `keys`."""
        return self._items.ids

    @property
    def log_weight(self) -> Float:
        """Natural logarithms of the items' weights (N,), read-only."""
        return self._items.log_weight

    @property
    def nbytes(self) -> int:
        """Bytes held: keys, values, weights, ids, room for growth and the engine's packed keys."""
        return self._items.nbytes

    @property
    def similarity(self) -> str | parts.Similarity:
        """The similarity; a name of `amfast.memories.universal.paper` in the paper convention."""
        return self._model.similarity

    @property
    def separation(self) -> parts.Separation:
        """The separation."""
        return self._model.separation

    @property
    def readout(self) -> parts.Readout:
        """The readout."""
        return self._readout

    @property
    def convention(self) -> str:
        """``"standard"`` or ``"paper"``."""
        return self._model.name

    def __repr__(self) -> str:
        """Say what the memory is and what it holds."""
        text = f"{type(self).__name__}({self._described()}"
        if len(self) == 0:
            return f"<{text}): empty>"
        text += f"): {len(self)} items, {_width(self.keys, ' columns of')}"
        if self._items.heteroassociative:
            text += f" -> {_width(self.values, ' of')}"
        return f"<{text}>"

    def _described(self) -> str:
        """Name the parts, as `repr` shows them."""
        text = repr(self._model)
        if self._readout.kind != "identity":
            text += f", readout={self._readout.kind!r}"
        return text

    def __copy__(self) -> UniversalHopfield:
        """Copy the items too: two memories must not write into one buffer."""
        return copy.deepcopy(self)


def _width(rows: Array | BitMatrix, of: str) -> str:
    if isinstance(rows, BitMatrix):
        return f"{rows.n_bits} bits"
    return f"{rows.shape[1]}{of} {rows.dtype}"


def _packed(state: Array) -> BitMatrix:
    """States of -1 and +1 as bits; 0 is where no item had any weight."""
    blank = np.flatnonzero((state == 0).any(axis=1))
    if len(blank):
        raise ValueError(f"cues row {blank[0]} meets no item of any weight, so no bits answer it")
    return bits.binary(state > 0, "states")[0]


def _settled(new: Array, old: Array, tol: float) -> Mask:
    if new.shape[0] == 0:
        return np.zeros(0, dtype=bool)
    return np.asarray(np.abs(new - old).max(axis=1) <= tol)
