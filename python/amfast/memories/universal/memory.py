"""The universal Hopfield network: similarity, separation, projection over stored items."""

from __future__ import annotations

import functools
import sys
from typing import Any, ClassVar

import numpy as np

from amfast import _check, bits, parts
from amfast._engine import coding
from amfast._engine.scoring import blanked, numbers
from amfast._stores.items import Batch, Stored
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix, Kind
from amfast.memories.alike import check_alike
from amfast.memories.base import Memory
from amfast.memories.recall import Recall
from amfast.memories.universal import doubts, partly, winners
from amfast.memories.universal.looks import _Looks
from amfast.memories.universal.paper import Paper
from amfast.memories.universal.standard import Standard
from amfast.parts.base import warn
from amfast.parts.dynamics import Settled, settle


class UniversalHopfield(_Looks):
    """An associative memory made of a similarity, a separation and a readout.

    Recall is ``readout(sum_i w_i v_i / sum_i |w_i|)`` with the weights
    ``w = separation(similarity(cue, keys))`` (Millidge et al., *Universal Hopfield Networks*,
    ICML 2022).

    Parameters
    ----------
    similarity : str, Similarity or callable, default "dot"
        "dot", or a distance d, which scores as -d: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon" (see `amfast.kernels`). "hamming" makes it
        a memory of bits, see the notes. A function is called on tiles, see `Similarity`. In the
        paper convention a name of `amfast.memories.universal.paper`.
    separation : str, Separation or callable, default "softmax"
        "identity", "log", "sqrt", "square", "cube", "quartic", "softmax", "max" or an object of
        `amfast.parts`. With a distance choose softmax, max, `TopK` or `Threshold`.
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
    max_items : int, optional
        How many items are kept: when one more is stored, the oldest goes.
    codes : bool, optional
        Whether recall begins with a pass over 8-bit codes of the keys, which take a quarter of the
        memory of float32 ones: the same answers, sooner (see `amfast.topk`). None codes stores of
        2^20 numbers and more when they are first read.

    See Also
    --------
    ModernHopfield : dot and softmax, with the bounds of its theory.
    Hopfield, DenseAssociativeMemory : Binary patterns that fall down an energy.
    amfast.retrieve : The same without a memory.
    amfast.compare : Several memories beside each other on your own patterns.

    Notes
    -----
    **Which parts?** Noisy images or vectors: "manhattan" with beta=1, or "sqeuclidean". Vectors of
    which the direction counts: "cosine", beta=100. Parts of images black: "reverse_kl", beta=50.
    Samples of spoilt cues: `fit_similarity`. One item, unmixed: "max". Bits: "hamming". The
    default, dot, favours long keys: normalise them. A softmax tells items apart whose scores differ
    by more than about ln(N) / beta; below that it averages them, and `recall` warns.

    Item weights are finite and >= 0 and multiply an item's separated score; the exceptions are
    `TopK` and `Max`, which choose k distinct items by score and then weigh those. Of an item of
    weight 0, which is never recalled, neither key nor value is looked at or kept.

    Keys and values stay in the type they came in (float16, bfloat16, float32, float64, uint8,
    int8); a wider type in a later `store` widens the store. The answer is float64 if cues, keys or
    values are, else float32. Beside the keys a packed copy is kept for the engine. Many threads may
    read one memory at a time, also while one stores or deletes.

    Under "hamming" keys and cues are bits: a `BitMatrix`, bools, or arrays of {0, 1} or {-1, +1},
    kept packed, as values may be. They are recalled as the numbers -1 and +1, mixtures as float32
    in [-1, 1]. Where the answer is bits again, because the readout is "sign" or the separation
    chooses one item, it comes in the kind that the cues had, and can be the cue of a next step.

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=300).patterns()  # (300, 784) in 0..1
    >>> memory = am.UniversalHopfield("manhattan", beta=1.0)
    >>> ids = memory.store(images)
    >>> noisy = am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)
    >>> found = memory.recall(noisy, details=True)
    >>> float((found.best == ids).mean()), float(abs(found.state - images).mean()) < 0.01
    (1.0, True)
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
        max_items: int | None = None,
        codes: bool | None = None,
    ) -> None:
        _check.choice(convention, "convention", ("standard", "paper"))
        separate = parts.separation(separation, beta)
        normalize = _check.flag(normalize, "normalize")
        self._readout = readout if isinstance(readout, parts.Readout) else parts.Readout(readout)
        _check.choice(on_exact_match, "on_exact_match", ("limit", "nan", "error"))
        model: Standard | Paper
        if convention == "paper":
            if not normalize:
                raise ValueError("normalize=False contradicts convention='paper': weights sum to 1")
            model = Paper.of(similarity, separate, eps, on_exact_match)
        else:
            if on_exact_match != "limit":
                raise ValueError("on_exact_match belongs to convention='paper'")
            model = Standard.of(similarity, separate, normalize, eps)
        if max_items is not None:
            max_items = _check.integer(max_items, "max_items", 1)
        self._store = model.items()
        self._store.max_items, self._store.codes = max_items, coding.choice(codes)
        self._model = model
        # From how many items, and from how many cues, recall looks whether the parts suit them.
        self._look_from, self._look_wide = 2, 0
        self._given = {
            "beta": None, "convention": convention, "normalize": normalize, "eps": eps,
            "readout": self._readout, "on_exact_match": on_exact_match, "max_items": max_items,
            "codes": self._store.codes,
        }  # fmt: skip

    _made_of = "parts"

    def _parameters(self) -> dict[str, Any]:
        return {"similarity": self.similarity, "separation": self.separation, **self._given}

    # -- storing ----------------------------------------------------------------------------------

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        now = self._store.now
        k: Array | BitMatrix
        v: Array | BitMatrix | None = None
        kind = None
        binary, short = self._model.binary, self._model.short
        if binary:
            width, like = (None, None) if now is None else (now.width, now.kind)
            k, kind = bits.binary(keys, "keys", width, like=like)
        else:
            k = _check.rows(keys, "keys", short=short)
        if values is not None:
            v = values
            if not (binary and isinstance(values, BitMatrix)):
                v = _check.rows(values, "values", partners=len(k), short=short)
        check_alike(self, k, v)
        w = None if weights is None else _check.item_weights(weights, len(k))
        if w is not None and not w.all():
            k, v = blanked(k, w == 0), blanked(v, w == 0)
        if not isinstance(k, BitMatrix):
            _check.finite(k, "keys")
            self._model.check_domain(k, "keys")
        if isinstance(v, np.ndarray):
            _check.finite(v, "values")
        return Batch(k, v, w, kind)

    @classmethod
    def _kin(cls) -> type[Memory]:
        return UniversalHopfield

    def _same_parameters(self, other: UniversalHopfield) -> bool:
        return self._model == other._model and self._readout == other._readout

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        *,
        max_iter: int = 1,
        tol: float = 1e-4,
        details: bool = False,
        mask: Any = None,
        nan: str = "error",
        keep_known: bool = False,
        where: Any = None,
        max_sweeps: int | None = None,
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
            Whether to return a `Recall`; its ``best`` costs the scores of all items.
        mask : (Q, d) or (d,) array, or BitMatrix, optional
            True where an entry of a cue is known, or weights >= 0, see `amfast.pairwise`: what is
            not known does not count. It is for the first step; others ask with whole states.
        nan : {"error", "missing"}, default "error"
            "missing" takes a NaN in the cues for an entry that is not known.
        keep_known : bool, default False
            Whether known entries are put back into every state that is recalled.
        where : (N,) bool array, ids, or (indptr, ids), optional
            Recall from these items alone: a mask in the order of `ids`, or ids, or a list per cue
            in CSR. They are copied for the call; a list per cue takes the cues one by one.
        max_sweeps : int, optional
            Another name of ``max_iter``, as memories of units call it.
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
            Also if a similarity given as a bare function turns out to be a distance.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.

        Warns
        -----
        SeparationWarning
            Once per memory, if up to 64 items and cues say that the parts do not suit them: items
            lose at their own key, weights are flat, few answers serve many cues, a power is taken
            of a distance. It looks at the first recall and after the store doubled.
        """
        steps = _check.integer(max_iter if max_sweeps is None else max_sweeps, "max_iter", 1)
        tol = _check.number(tol, "tol", 0.0)
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        keep_known = _check.flag(keep_known, "keep_known")
        if _check.per_cue(where):
            if details:
                raise ValueError("details=True needs one where for all cues, got (indptr, ids)")
            again = functools.partial(
                self.recall, max_iter=steps, tol=tol, nan=nan, keep_known=keep_known,
                threads=n_threads,
            )  # fmt: skip
            return partly.one_by_one(again, self._stored(), cues, where, mask)
        now = partly.among(self._stored(), where)
        first: partly.First | None = None
        if mask is not None or nan != "error" or keep_known:
            given, kind, first = partly.cues(self._model, cues, now, mask, nan, keep_known)
        else:
            given, kind = self._cues(cues, "cues", now)
            looks = now.n_items >= self._look_from or len(given) >= self._look_wide > 0
            if looks and where is None:
                self._look(now, given, n_threads)
        auto = not now.heteroassociative
        if steps > 1 and not auto:
            raise ValueError("max_iter > 1 needs an autoassociative memory: values are no cues")
        binary = self._answers_bits(now)
        if steps > 1 and self._model.binary and not binary:
            raise ValueError(
                "max_iter > 1 under 'hamming' needs states of bits: readout='sign', or separation "
                "'max'"
            )
        if steps == 1 and not details and first is None:
            state, _ = self._step(given, now, n_threads)
            return kind.answer(winners.packed(state) if binary else state)
        end, log_scale = self._settled(given, now, steps, tol, details, binary, first, n_threads)
        state = end.states
        answer = kind.answer(winners.packed(state) if binary else state)
        if not details:
            return answer
        energy = end.energy
        if energy is None and not self._why_no_energy():
            energy = self._traced(winners.packed(state) if binary else state, now, n_threads)
        asked = self._asked(given, now, steps, state)
        known = first.known if first and steps == 1 else None
        best, certified = winners.best(self._model, asked, now, n_threads, known)
        return Recall.of(
            kind,
            answer,
            n_iter=end.sweeps,
            converged=end.period == 1,
            energy=energy,
            log_scale=log_scale,
            energy_trace=end.trace,
            best=best,
            certified=certified,
        )

    def _asked(self, cues: Any, now: Stored, steps: int, state: Any) -> Any:
        """Return what the winners are winners for: the cue of one read, else where it ended."""
        if isinstance(cues, BitMatrix):
            return cues if steps == 1 else winners.packed(state)
        cues = cues if steps == 1 else state
        return cues.astype(_check.compute_type(cues, now.keys), copy=False)

    def _look(self, now: Stored, cues: Any, threads: int) -> None:
        """Warn, once, of what makes recall from these items other than expected.

        It looks when a memory first recalls, at the first batch of many cues, and after the store
        doubled.
        """
        self._look_from = 2 * now.n_items
        self._look_wide = 0 if len(cues) >= doubts.MANY else doubts.MANY
        text = self._doubts(now, cues, threads)
        if text:
            self._look_from, self._look_wide = sys.maxsize, 0
            warn(text)

    def _doubts(self, now: Stored, cues: Any, threads: int) -> str:
        """Say what speaks against recalling these cues from these items."""
        return doubts.told(self._model, now, cues, threads)

    def _settled(
        self,
        cues: Any,
        now: Stored,
        steps: int,
        tol: float,
        details: bool,
        binary: bool,
        first: partly.First | None,
        threads: int,
    ) -> tuple[Settled, Float]:
        """Step until rows rest, and the log scales of their last steps."""
        known = iter([first.known] if first else [])
        log_scale = np.empty(len(cues))
        traces = details and self._traces and not self._why_no_energy()

        def step(states: Any, rows: Int) -> tuple[Array, Float | None]:
            if binary and not isinstance(states, BitMatrix):
                states = winners.packed(states)
            new, log_scale[rows] = self._step(states, now, threads, next(known, None))
            new = first.put_back(new, rows) if first else new
            return new, self._traced(states, now, threads) if traces else None

        def still(new: Array, old: Any, rows: Int) -> Mask:
            if now.heteroassociative or len(new) == 0:
                return np.ones(len(new), np.bool_)
            return np.asarray(np.abs(new - numbers(old)).max(axis=1) <= tol)

        energy = (lambda states: self._traced(states, now, threads)) if traces else None
        return settle(step, cues, max_iter=steps, still=still, energy=energy), log_scale

    def _answers_bits(self, now: Stored) -> bool:
        """Whether what is recalled is bits, in every unit -1 or +1."""
        if not isinstance(now.values, BitMatrix):
            return False
        if self._readout.kind == "sign":
            return not now.heteroassociative or self._readout.tie != "keep"
        return self._readout.kind == "identity" and self._model.separation.n_best == 1

    def _cues(self, given: Any, name: str, now: Stored) -> tuple[Any, Kind]:
        """Check cues against the store and bring them to the type of the answer, or pack them.

        uint8 or int8 cues stay so where the model scores them exactly.
        """
        model = self._model
        if model.binary:
            read = bits.binary(given, name, now.width, single=True, like=now.kind)
            model.separation.check(now.n_items, model.larger_is_better, now.width)
            return read
        model.separation.check(now.n_items, model.larger_is_better)
        cues, single = _check.cues(given, name)
        kind = Kind("numbers", single=single)
        _check.same_width(cues, name, now.width, "the memory stores")
        _check.finite(cues, name)
        model.check_domain(cues, name)
        if cues.dtype.kind != "f" and model.wants_bytes(cues, now):
            return cues, kind
        dtype = _check.compute_type(cues, now.keys, now.values)
        return cues.astype(dtype, copy=False), kind

    def _step(
        self, cues: Any, now: Stored, threads: int, known: Array | None = None
    ) -> tuple[Array, Float]:
        """One read of all cues with the readout, and the log scale."""
        summed, log_scale = self._model.read(cues, now, threads, known)
        if self._readout.kind == "identity":
            return summed, log_scale
        return self._readout(summed, None if now.heteroassociative else numbers(cues)), log_scale

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Score every stored key against every cue, larger is better, (Q, N) or (N,).

        A distance is negated; in the paper convention scores sum to 1.
        """
        n_threads = resolve_threads(threads)
        now = self._stored()
        q, kind = self._cues(cues, "cues", now)
        return np.asarray(kind.answer(self._model.scores(q, now, n_threads)))

    def weights(self, cues: Any, *, threads: int | None = None) -> Array:
        """Weigh every stored item for every cue, (Q, N) or (N,): `recall` is their projection.

        Softmax, max and top-k weights sum to 1; others are divided by the sum of their magnitudes
        unless ``normalize=False``. In the paper convention all sum to 1.
        """
        n_threads = resolve_threads(threads)
        now = self._stored()
        q, kind = self._cues(cues, "cues", now)
        return np.asarray(kind.answer(self._model.weights(q, now, n_threads)))

    # -- energy -----------------------------------------------------------------------------------

    def energy(self, states: Any, *, threads: int | None = None) -> Any:
        """Energy of states that recall never increases, (Q,) float64, or a float for one state.

        ``[v.g - L_v(v)] - L_h(s)`` of the state g = v, g's sign or unit vector: under "dot"
        ``|g|^2 / 2 - lse(beta s + b) / beta`` for the softmax, ``- max_i s_i`` for "max",
        ``- sum_i e^b_i s_i^(n+1) / (n+1)`` for powers, ... in place of the last term, and without
        the first under "sign" and "l2", where states outside the cube or the ball have +inf.
        `amfast.memories.universal.energies` has all formulas, where they hold and where they come
        from.

        Parameters
        ----------
        states : (Q, d) or (d,) array, or BitMatrix
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
        now = self._stored()
        v, kind = self._cues(states, "states", now)
        return kind.number(self._energies(v, now, n_threads))

    def _energies(self, states: Any, now: Stored, threads: int) -> Float:
        """Energies (Q,) of checked states, where there is one."""
        return self._model.energy(states, self._readout, now, threads)

    def _traced(self, states: Any, now: Stored, threads: int) -> Float:
        """Energies as a `Recall` holds them."""
        return self._energies(states, now, threads)

    def _why_no_energy(self) -> str:
        """Say why recall need not decrease anything; empty if an energy exists."""
        now = self._store.now
        if now is not None and now.heteroassociative:
            return "a heteroassociative recall has no state to iterate"
        return self._model.why_no_energy(self._readout, now)
