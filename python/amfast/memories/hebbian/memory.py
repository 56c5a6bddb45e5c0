r"""The weighted continuous Hebbian memory: one matrix of outer products, or linear attention.

Examples
--------
>>> import numpy as np, amfast as am
>>> memory = am.HebbianMemory(center="moment")
>>> ids = memory.store([[3.0, 0.0, 1.0], [0.0, 2.0, 1.0], [9.0, 0.5, 3.0]], weights=[1.0, 0.9, 0.6])
>>> memory
<HebbianMemory(center='moment'): 3 rows, 3 x 3 matrix>
>>> memory.recall([1.0, 0.2, 0.4]).round(2)
array([ 0.1 , -0.09, -0.01])
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from amfast import _check
from amfast._engine.scoring import dot
from amfast._stores.items import Batch
from amfast._stores.matrix import interruptible
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.hebbian.rule import Rule
from amfast.memories.hebbian.spectrum import Crosstalk, entropy_rank, singular_values
from amfast.memories.hebbian.spectrum import effective_rank as effective_rank
from amfast.memories.hebbian.store import SumStore
from amfast.memories.hebbian.sums import Sums, unit
from amfast.memories.recall import Recall
from amfast.parts.dynamics import Settled, settle
from amfast.parts.features import FeatureMap
from amfast.parts.features import resolve as resolve_features


class HebbianMemory(Memory):
    r"""One matrix of weighted outer products of normalised keys, whatever their number.

    With rows ``x = v / |v|`` of the stored keys and their weights y in 0..1,

        ``M = sum_i w_i x_i x_i^T / divisor``,   recall ``v -> M v``.

    It is linear attention: as many items as one likes in D x D numbers, recalled in D^2 operations.
    Everything stored is one matrix, so it can be streamed in chunks, merged and let fade, but no
    item can be deleted or scored.

    Parameters
    ----------
    center : {None, "moment", "renorm"}, default None
        Non-negative features point one way: their mean is M's one dominant eigenvector, and recall
        turns everything into it ("blurring"). Centring takes the weighted mean ``mu`` of the rows
        away. "moment": ``M - mu mu^T``, in one pass. "renorm": the rows ``(x - mu) / |x - mu|`` are
        stored, which needs ``mu`` first, see Notes. A centred memory recalls the deviation from the
        mean, ``|v| M (v/|v| - mu)``, with the deviation scaled to length 1 under "renorm"; `mean`
        is ``mu``.
    weighting : {"linear", "seed", "code"}, default "linear"
        ``w = y``, divisor ``sum y``: the trace of M is 1. "seed": ``w = y^2``, divisor ``sum y``,
        as the layer was published; "code": ``w = y^2``, divisor ``(sum y)^2``, as its author's code
        runs. For weights of 0 and 1 they agree up to scale.
    decay : float, default 1.0
        In (0, 1]: every row stored multiplies what was stored before by this. Silent rows count.
    rule : {"hebbian", "delta", "projection"}, default "hebbian"
        "projection" fits the values by least squares, ``C = V^T pinv(K^T)``: independent keys, up
        to D, recall their values up to rounding, others what is nearest to all (Kohonen and
        Ruohonen 1973). Keys are as long as they came. "delta" adds ``rate y (v - C x) x^T`` per
        row, in order, so that a key stored twice recalls its last value and not the sum (Widrow
        and Hoff 1960; Schlag, Irie and Schmidhuber, ICML 2021). Neither divides or centres; the
        delta rule does not merge or fade.
    rate : float, default 1.0
        Of the delta rule, in (0, 2): at 2 and beyond it diverges.
    features : {"identity", "elu"} or FeatureMap, default "identity"
        ``phi`` applied to normalised keys and cues: ``C = sum_i w_i v_i phi(x_i)^T``, see
        `amfast.parts.features`. Without values ``v_i = x_i``.
    normalize : bool, optional
        None means True, but False under the projection rule, and the delta rule with features.

        - Without features: whether keys have length 1. False takes them as they are:
          ``M = sum_i w_i k_i k_i^T / divisor``, and the delta rule divides its steps by ``|k|^2``
          (normalised least mean squares), so that a key of any length recalls its last value.
          True may be said under the delta rule only; the Hebbian rule needs no asking.
        - With features (keys always have length 1 there): whether ``C phi(q)`` is divided by
          ``z . phi(q)``, ``z = sum_i w_i phi(x_i)``, which makes it a weighted mean of the values.
          Not under the delta rule, which fits them.
    readout : {"identity", "l2"}, default "identity"
        Whether recalled rows are scaled to length 1.
    eps : float, default 1e-8
        Rows shorter than this are silent: they are stored with weight 0 and recall zeros.

    Notes
    -----
    *Capacity.* The rank is at most D; random patterns start to be confused at about 0.14 D of them
    (as in a Hopfield network), so D = 12 cannot keep many categories apart. `effective_rank` and
    `crosstalk` say how far it has come. That one step suffices is a result about softmax memories
    (`ModernHopfield`, to which ``weights`` are ``exp`` of a bias); here iterating is power
    iteration, which ends in the top eigenvector whatever the cue.

    *Storing.* ``store(keys, values=None, weights=None)``: keys (N, D), values (N, o) as they are,
    None for the scaled keys themselves (autoassociative), a memory being one or the other; weights
    (N,) or (N, 1) are Y, each in 0..1, such as the posterior that a note sounds. It returns running
    numbers. Values together with centring, and sums beyond float64, are a ValueError.

    *Streaming.* `store` adds; chunks and one call give the same memory up to rounding. Sums
    are float64. Under "renorm" the mean is needed before the first row is added. Either call
    `observe` on all rows first and then `store` on all rows (two passes, D x D memory), or just
    `store`: then the normalised rows are kept, N x D, and the matrix is built when it is first
    needed. ``merge`` is the stream of the other memory after one's own; under "renorm" both must
    have observed the same mean, or neither any.

    *Energy* (without values and features): ``E(v) = |v|^2 / 2 - v^T M v / 2``; ``v -> M v`` is its
    gradient step of length 1.

    *Threads.* Many may recall from one memory at a time, also beside a `store`; `store`,
    `observe` and `merge` must not run beside each other. Errors and Ctrl-C leave the memory as it
    was before the call.

    References
    ----------
    Hebb (1949); Kohonen, *Correlation matrix memories* (1972); Kohonen and Ruohonen,
    *Representation of associated data by matrix operators* (1973); Katharopoulos et al. (2020).

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> memory = am.HebbianMemory()
    >>> memory.store(np.eye(2), weights=[1.0, 0.5])
    array([0, 1])
    >>> memory.matrix.round(3)
    array([[0.667, 0.   ],
           [0.   , 0.333]])

    Least squares: keys that are independent recall their values, however much they overlap.

    >>> exact = am.HebbianMemory(rule="projection")
    >>> ids = exact.store([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], values=[[5.0], [7.0]])
    >>> exact.recall([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]).round(6)
    array([[5.],
           [7.]])
    """

    _keeps_no_items = (
        "a Hebbian memory is one matrix and keeps no items; let old rows fade by decay, or keep "
        "them in UniversalHopfield(separation='identity')"
    )

    def __init__(
        self,
        *,
        center: Literal["moment", "renorm"] | None = None,
        weighting: str = "linear",
        decay: float = 1.0,
        rule: str = "hebbian",
        rate: float = 1.0,
        features: str | FeatureMap = "identity",
        normalize: bool | None = None,
        readout: str = "identity",
        eps: float = 1e-8,
    ) -> None:
        if center is not None:
            _check.choice(center, "center", ("moment", "renorm"))
        _check.choice(weighting, "weighting", ("linear", "seed", "code"))
        decay = _check.number(decay, "decay", 0.0)
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {decay!r}")
        delta = _check.choice(rule, "rule", ("hebbian", "delta", "projection")) == "delta"
        projection = rule == "projection"
        rate = _check.number(rate, "rate", 0.0)
        if not 0 < rate < 2:
            raise ValueError(
                f"rate must be in (0, 2), got {rate!r}: the delta rule diverges beyond"
            )
        phi = resolve_features(features)
        mapped = phi is not None
        asked = normalize is not None and _check.flag(normalize, "normalize")
        usual = not (projection or (mapped and delta))
        self._readout = _check.choice(readout, "readout", ("identity", "l2"))
        eps = _check.number(eps, "eps", 0.0)
        for clash, why in (
            (center and mapped, f"center={center!r} is for features='identity'"),
            (delta and center, f"rule='delta' corrects errors; center={center!r} has no place"),
            (projection and center, f"rule='projection' has no place for center={center!r}"),
            (asked and not usual, f"rule={rule!r} fits the values; leave normalize out"),
            (delta and decay != 1, "rule='delta' forgets by itself; leave decay at 1"),
            (rule != "hebbian" and weighting != "linear", f"rule={rule!r} weighs linearly"),
            (not delta and rate != 1, "rate belongs to rule='delta'"),
            (asked and not (mapped or delta), "normalize needs positive features, such as 'elu'"),
        ):
            if clash:
                raise ValueError(why)
        normalized = usual if normalize is None else asked
        self._rule = Rule(center, weighting, decay, rule, rate, phi, normalized, eps)
        self._normalize = None if normalized == usual else normalized
        self._store = SumStore(self._rule)

    def _parameters(self) -> dict[str, Any]:
        rule = self._rule
        return {
            "center": rule.center,
            "weighting": rule.weighting,
            "decay": rule.decay,
            "rule": rule.rule,
            "rate": rule.rate,
            "features": "identity" if rule.features is None else rule.features,
            "normalize": self._normalize,
            "readout": self._readout,
            "eps": rule.eps,
        }

    def _contents(self) -> str:
        rows, columns = self._store.now.outer.shape
        return f"{len(self)} rows, {rows} x {columns} matrix"

    # -- storing ----------------------------------------------------------------------------------

    def observe(self, keys: Any, *, weights: Any = None) -> None:
        """Make the first of two passes: add rows to the mean that ``center="renorm"`` takes away.

        Parameters
        ----------
        keys : (N, D) array
        weights : (N,) or (N, 1) array, optional
            In 0..1, as `store` will be given them. None means 1.

        Raises
        ------
        ValueError
            Under another centring, or after the first `store`: the mean is fixed then.
        """
        if self._rule.center != "renorm":
            raise ValueError(f"center={self._rule.center!r} needs one pass only; store right away")
        if len(self):
            raise ValueError("rows were stored already, so the mean is fixed; observe comes first")
        batch = self._admit(keys, None, weights)
        if len(batch.keys):
            self._store.observe(batch)

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        k = _check.rows(keys, "keys")
        v = None if values is None else _check.rows(values, "values", partners=len(k))
        sums: Sums | None = self._store.now
        if sums is not None:
            _check.same_width(k, "keys", sums.width, "the memory stores")
            if sums.n_stored and sums.hetero != (v is not None):
                kind = "values with" if sums.hetero else "no values beside"
                raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
        _check.finite(k, "keys")
        if v is not None:
            if self._rule.center:
                raise ValueError(f"center={self._rule.center!r} is for autoassociative memories")
            if len(v) != len(k):
                raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
            if sums is not None:
                _check.same_width(v, "values", sums.outer.shape[0], "the memory stores")
            _check.finite(v, "values")
        return Batch(k, v, _check.weights.shares(weights, len(k)))

    def _check_merge(self, other: Any) -> None:
        if self._rule.rule == "delta" and len(self):
            raise ValueError("the delta rule depends on the order of rows; store them one by one")

    def _check_restored(self) -> None:
        if self._store.now is not None:
            self._rule.check(self._store.now)

    def merge(self, other: Any) -> HebbianMemory:
        """Add what another memory with the same parameters stores, as if it came after, in place.

        Parameters and errors as `Memory.merge`. A mean that the other only observed is added too.
        """
        super().merge(other)
        if len(other) == 0:
            self._store.merge(other._store)
        return self

    # -- the matrix -------------------------------------------------------------------------------

    @property
    def mean(self) -> Float:
        """Weighted mean (D,) of the unit rows."""
        return self._read().mean.value

    @property
    def matrix(self) -> Float:
        """M (D, D), or C (o, features) divided as ``weighting`` says, read-only float64."""
        return np.asarray(self._store.matrix(self._read()))

    def _read(self) -> Sums:
        """Return what is stored, or say what is missing."""
        sums: Sums | None = self._store.now
        if sums is None:
            raise ValueError("the memory is empty; store something first")
        sums.check_weight()
        return sums

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        *,
        max_iter: int = 1,
        tol: float = 1e-4,
        details: bool = False,
        max_sweeps: int | None = None,
        threads: int | None = None,
    ) -> Any:
        """Multiply cues with the memory's matrix.

        ``|q| M x`` with ``x = q / |q|``, that is ``M q``; centred memories take the mean from x.
        With a feature map ``C phi(x)``, divided by ``z . phi(x)`` if normalised.

        Parameters
        ----------
        cues : (Q, D) or (D,) array
        max_iter : int, default 1
            Steps at most; every step but the first starts from the last state scaled to length 1.
            More than 1 needs a memory without values.
        tol : float, default 1e-4
            A row stops when a step changes no entry of its scaled state by more than this.
        details : bool, default False
            Whether to return a `Recall`, with the energies of the scaled states in
            ``energy_trace``.
        max_sweeps : int, optional
            Another name of ``max_iter``, as memories of units call it.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, o) or (o,) array, or Recall
            float64 if cues, keys or values are, else float32. Silent cues recall zeros.

        Raises
        ------
        ValueError
            If nothing with a weight is stored, widths differ, a cue has a NaN or infinity, or the
            features of a cue meet none of the stored ones (``z . phi <= 0``, which random features
            may give).
        """
        steps = _check.integer(max_iter if max_sweeps is None else max_sweeps, "max_iter", 1)
        tol = _check.number(tol, "tol", 0.0)
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        sums = self._read()
        q, kind = self._cues(sums, cues, "cues")
        if steps > 1 and sums.hetero:
            raise ValueError("max_iter > 1 needs an autoassociative memory: values are no cues")
        x, length = self._rule.entered(sums, q)
        end: Settled | None = None
        if details or steps > 1:
            end = self._settled(sums, x, steps, tol, details, n_threads)
        out = self._step(sums, x, n_threads) if end is None else end.states
        with np.errstate(over="ignore"):
            out[length == 0] = 0.0
            if self._readout == "l2":
                out = unit(out)[0]
            elif self._rule.features is None and not self._rule.as_given:
                out *= length[:, None]
            state = out if sums.double or q.dtype == np.float64 else out.astype(np.float32)
        if not np.isfinite(state).all():
            bad = int(np.flatnonzero(~np.isfinite(state).all(axis=1))[0])
            raise ValueError(f"cues row {bad} recalls values beyond the largest {state.dtype}")
        answer = kind.answer(state)
        if not details or end is None:
            return answer
        energy = None if end.trace is None else self._energies(sums, out, n_threads)
        return Recall.of(
            kind,
            answer,
            n_iter=end.sweeps,
            converged=end.period == 1,
            energy=energy,
            energy_trace=end.trace,
        )

    def _settled(
        self, sums: Sums, x: Float, steps: int, tol: float, details: bool, threads: int
    ) -> Settled:
        """Step until no entry of a scaled state moves by more than ``tol``."""
        if sums.hetero:
            ones = np.ones(len(x), np.int64)
            return Settled(self._step(sums, x, threads), ones, ones, None, None)
        last = np.empty((len(x), sums.outer.shape[0]))
        traces = details and not self._why_no_energy()

        def step(states: Array, rows: Int) -> tuple[Array, Float | None]:
            # The first step is taken from where cues enter, all others from states of length 1.
            begun = x[rows] if states is first else states
            last[rows] = self._step(sums, begun, threads)
            energy = self._energies(sums, states, threads) if traces else None
            return unit(last[rows])[0], energy

        def still(new: Array, old: Array, rows: Int) -> Mask:
            return np.asarray(np.abs(new - old).max(axis=1, initial=0.0) <= tol)

        first = unit(x)[0]
        energy = (lambda states: self._energies(sums, states, threads)) if traces else None
        end = settle(step, first, max_iter=steps, still=still, energy=energy)
        return end._replace(states=last)

    def _step(self, sums: Sums, x: Float, threads: int) -> Float:
        """One product with the matrix (Q, o)."""
        matrix = None if self._rule.divides else self._store.matrix(sums)
        return self._rule.step(sums, matrix, x, threads)

    def _cues(self, sums: Sums, given: Any, name: str) -> tuple[Array, Kind]:
        cues, single = _check.cues(given, name)
        _check.same_width(cues, name, sums.width, "the memory stores")
        _check.finite(cues, name)
        return cues, Kind("numbers", single=single)

    # -- energy -----------------------------------------------------------------------------------

    def energy(self, states: Any, *, threads: int | None = None) -> Any:
        """``|v|^2 / 2 - v^T M v / 2``, (Q,) float64, or a float for one state.

        Of a centred memory's states as `recall` returns them: deviations from the mean.

        Raises
        ------
        ValueError
            With values, a feature map or the delta rule, whose recall descends no energy.
        """
        n_threads = resolve_threads(threads)
        reason = self._why_no_energy()
        if reason:
            raise ValueError(f"this memory has no energy: {reason}")
        sums = self._read()
        v, kind = self._cues(sums, states, "states")
        return kind.number(self._energies(sums, v.astype(np.float64), n_threads))

    def _energies(self, sums: Sums, v: Float, threads: int) -> Float:
        product = dot(v, self._store.matrix(sums), threads)
        return np.asarray(((v * v).sum(axis=1) - (v * product).sum(axis=1)) / 2)

    def _why_no_energy(self) -> str:
        sums: Sums | None = self._store.now
        if sums is not None and sums.hetero:
            return "a heteroassociative recall has no state to iterate"
        if self._rule.features is not None:
            return f"recall through the features {self._rule.features!r} descends none"
        if self._rule.rule == "delta":
            return "a matrix learned by error correction is not symmetric"
        return ""

    # -- diagnostics ------------------------------------------------------------------------------

    def eigenvalues(self) -> Float:
        """Eigenvalues of M, falling; singular values where the matrix is not symmetric.

        Returns
        -------
        (D,) float64 array
        """
        if self._why_no_energy():
            return np.asarray(interruptible(singular_values, self.matrix))
        return np.asarray(interruptible(np.linalg.eigvalsh, self.matrix)[::-1])

    def effective_rank(self) -> float:
        """Return how many directions recall can tell apart, from 1 to D, see `effective_rank`.

        Near 1 everything is recalled as one pattern. Deviations that all vanish have none: 0.

        Returns
        -------
        float
        """
        return entropy_rank(np.maximum(self.eigenvalues(), 0.0))

    def crosstalk(self, patterns: Any, *, threads: int | None = None) -> Crosstalk:
        """Mean cosine between different patterns, such as class means, before and after a recall.

        Both are taken where the memory compares (centred, if it centres). After much larger than
        before is blurring: recall makes the patterns alike.

        Parameters
        ----------
        patterns : (P, D) array
            At least two.
        threads : int, optional
            None means the setting.

        Returns
        -------
        Crosstalk
            Two numbers, ``before`` and ``after``.
        """
        n_threads = resolve_threads(threads)
        if self._why_no_energy():
            raise ValueError("crosstalk is for autoassociative Hebbian memories without features")
        sums = self._read()
        p, _ = self._cues(sums, patterns, "patterns")
        if len(p) < 2:
            raise ValueError(f"patterns must be at least 2 rows, got {len(p)}")
        x = unit(self._rule.entered(sums, p)[0])[0]
        after = unit(self._step(sums, x, n_threads))[0]
        apart = ~np.eye(len(p), dtype=bool)
        return Crosstalk(*(float((u @ u.T)[apart].mean()) for u in (x, after)))
