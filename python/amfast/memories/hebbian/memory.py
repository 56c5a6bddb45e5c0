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

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np

from amfast import _check
from amfast._engine.scoring import dot
from amfast._stores.matrix import interruptible
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int
from amfast.memories.hebbian.spectrum import effective_rank as effective_rank
from amfast.memories.hebbian.spectrum import entropy_rank
from amfast.memories.hebbian.sums import Fade, Mean, Outer, Sums, Waiting, posteriors, unit
from amfast.memories.universal.memory import Recall
from amfast.parts.features import FeatureMap
from amfast.parts.features import resolve as resolve_features

# Rows that are widened to float64 at a time.
_CHUNK_BYTES = 1 << 24


class Crosstalk(NamedTuple):
    """Mean cosine between different patterns, before and after one recall."""

    before: float
    after: float


class HebbianMemory:
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
    rule : {"hebbian", "delta"}, default "hebbian"
        "delta" adds ``rate y (v - C x) x^T`` per row, in order, so that a key stored twice
        recalls its last value and not the sum (Widrow and Hoff 1960; Schlag, Irie and Schmidhuber,
        ICML 2021). No division, no centring, no merging, no decay.
    rate : float, default 1.0
        Of the delta rule, in (0, 2): at 2 and beyond it diverges.
    features : {"identity", "elu"} or FeatureMap, default "identity"
        ``phi`` applied to normalised keys and cues: ``C = sum_i w_i v_i phi(x_i)^T``, see
        `amfast.parts.features`. Without values ``v_i = x_i``.
    normalize : bool, optional
        What has length or sum 1. None means True, but False under the delta rule with features.

        - Without features: keys, and cues beside them. False takes them as they are:
          ``M = sum_i w_i k_i k_i^T / divisor``, and the delta rule divides its steps by ``|k|^2``
          (normalised least mean squares), so that a key of any length recalls its last value.
          True is for the delta rule; the Hebbian rule normalises without being asked.
        - With a feature map (keys always have length 1 there): the weights of the values. True
          divides ``C phi(q)`` by ``z . phi(q)``, ``z = sum_i w_i phi(x_i)``, which makes it a
          weighted mean of the values; not under the delta rule, which fits them.
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

    *Streaming.* `store` adds; chunks and one call give the same memory up to rounding. Sums
    are float64. Under "renorm" the mean is needed before the first row is added. Either call
    `observe` on all rows first and then `store` on all rows (two passes, D x D memory), or just
    `store`: then the normalised rows are kept, N x D, and the matrix is built when it is first
    needed. ``merge`` is the stream of the other memory after one's own.

    *Energy* (without values and features): ``E(v) = |v|^2 / 2 - v^T M v / 2``; ``v -> M v`` is its
    gradient step of length 1.

    *Threads.* Many may recall from one memory at a time, also beside a `store`; `store`,
    `observe` and `merge` must not run beside each other. Errors and Ctrl-C leave the memory as it
    was before the call.

    References
    ----------
    Hebb (1949); Kohonen, *Correlation matrix memories* (1972); Katharopoulos et al. (ICML 2020).

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> memory = am.HebbianMemory()
    >>> memory.store(np.eye(2), weights=[1.0, 0.5])
    array([0, 1])
    >>> memory.matrix.round(3)
    array([[0.667, 0.   ],
           [0.   , 0.333]])
    """

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
        self._center = center
        self._weighting = _check.choice(weighting, "weighting", ("linear", "seed", "code"))
        self._decay = _check.number(decay, "decay", 0.0)
        if not 0 < self._decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {decay!r}")
        self._rule = _check.choice(rule, "rule", ("hebbian", "delta"))
        self._rate = _check.number(rate, "rate", 0.0)
        if not 0 < self._rate < 2:
            raise ValueError(
                f"rate must be in (0, 2), got {rate!r}: the delta rule diverges beyond"
            )
        self._map = resolve_features(features)
        mapped, delta = self._map is not None, self._rule == "delta"
        asked = normalize is not None and _check.flag(normalize, "normalize")
        self._normalize = not (mapped and delta) if normalize is None else asked
        self._readout = _check.choice(readout, "readout", ("identity", "l2"))
        self._eps = _check.number(eps, "eps", 0.0)
        for clash, why in (
            (center and mapped, f"center={center!r} is for features='identity'"),
            (delta and center, f"rule='delta' corrects errors; center={center!r} has no place"),
            (delta and mapped and asked, "rule='delta' fits the values; leave normalize out"),
            (delta and self._decay != 1, "rule='delta' forgets by itself; leave decay at 1"),
            (delta and self._weighting != "linear", "rule='delta' weighs its steps linearly"),
            (not delta and self._rate != 1, "rate belongs to rule='delta'"),
            (
                asked and not mapped and not delta,
                "normalize needs positive features, such as 'elu'",
            ),
        ):
            if clash:
                raise ValueError(why)
        self._sums: Sums | None = None  # None before anything came
        self._derived: tuple[Sums, Float] | None = None  # a matrix and what it was built from

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
        if self._center != "renorm":
            raise ValueError(f"center={self._center!r} needs one pass only; store right away")
        if len(self):
            raise ValueError("rows were stored already, so the mean is fixed; observe comes first")
        k, _, y = self._admit(keys, None, weights)
        if len(k) == 0:
            return
        sums = self._begun(k, None)
        mean = sums.mean
        for x, _, some, _ in self._chunks(k, None, y):
            fade = Fade.of(self._decay, len(x))
            mean = mean.plus(x, fade.new * some, fade.old)
        self._sums = sums._replace(mean=mean, waiting=None, observed=sums.observed + len(k))

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Add rows.

        Parameters
        ----------
        keys : (N, D) array
            Each row is scaled to length 1 first.
        values : (N, o) array, optional
            What each key recalls, as it is; None means the scaled keys (autoassociative). A memory
            is one or the other.
        weights : (N,) or (N, 1) array, optional
            Y, each in 0..1, such as the posterior that a note sounds. None means 1.

        Returns
        -------
        (N,) int64 array
            Numbers of the rows in the order in which they came.

        Raises
        ------
        ValueError
            For NaN or infinity, weights outside 0..1, shapes that do not match, and values together
            with centring. Nothing is stored then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        k, v, y = self._admit(keys, values, weights)
        first = len(self)
        if len(k):
            sums = self._begun(k, v)
            if sums.observed:
                self._read()  # says where the mean is of rows that weigh nothing
            for x, length, some, part in self._chunks(k, v, y):
                sums = self._added(sums, x, length, some, part)
            self._sums = sums._replace(count=first + len(k))
        return np.arange(first, first + len(k), dtype=np.int64)

    def _admit(self, keys: Any, values: Any, weights: Any) -> tuple[Array, Array | None, Float]:
        """Check rows against what is stored."""
        k = _check.rows(keys, "keys")
        v = None if values is None else _check.rows(values, "values")
        sums = self._sums
        if sums is not None:
            _check.same_width(k, "keys", sums.width, "the memory stores")
            if sums.count and sums.hetero != (v is not None):
                kind = "values with" if sums.hetero else "no values beside"
                raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
        _check.finite(k, "keys")
        if v is not None:
            if self._center:
                raise ValueError(f"center={self._center!r} is for autoassociative memories")
            if len(v) != len(k):
                raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
            if sums is not None:
                _check.same_width(v, "values", sums.outer.shape[0], "the memory stores")
            _check.finite(v, "values")
        return k, v, posteriors(weights, len(k))

    def _begun(self, keys: Array, values: Array | None) -> Sums:
        """Return the sums, made for the first rows."""
        double = keys.dtype == np.float64 or (values is not None and values.dtype == np.float64)
        if self._sums is not None:
            return self._sums._replace(double=self._sums.double or double)
        width = keys.shape[1]
        outer = Outer.zeros(
            width if values is None else values.shape[1],
            width if self._map is None else self._map.width(width),
            squared=self._weighting != "linear",
            symmetric=values is None and self._map is None and self._rule != "delta",
        )
        waiting = () if self._center == "renorm" else None
        return Sums(Mean(0.0, np.zeros(width)), outer, waiting, values is not None, double)

    def _chunks(
        self, keys: Array, values: Array | None, y: Float
    ) -> Iterator[tuple[Float, Float, Float, Float | None]]:
        """Yield rows, their lengths, weights (0 for silent rows) and values, some at a time."""
        step = max(1, _CHUNK_BYTES // (8 * keys.shape[1]))
        for start in range(0, len(keys), step):
            piece = slice(start, start + step)
            x, length = self._scaled(keys[piece].astype(np.float64))
            weight = np.where(length > 0, y[piece], 0.0)
            yield x, length, weight, None if values is None else values[piece].astype(np.float64)

    def _scaled(self, x: Float) -> tuple[Float, Float]:
        """Scale rows to length 1, or if `_as_given` only silence the short; with their lengths."""
        rows, length = unit(x, self._eps)
        return (np.where(length[:, None] > 0, x, 0.0) if self._as_given else rows), length

    @property
    def _as_given(self) -> bool:
        """Whether keys are stored as long as they are."""
        return self._map is None and not self._normalize and self._rule != "delta"

    def _added(self, sums: Sums, x: Float, length: Float, y: Float, values: Float | None) -> Sums:
        """Add a chunk of rows."""
        fade = Fade.of(self._decay, len(x))
        mean = sums.mean
        if self._center == "renorm" and sums.waiting is None:
            x, deviation = unit(x - mean.value, self._eps)
            y = np.where(deviation > 0, y, 0.0)
        else:
            mean = mean.plus(x, fade.new * y, fade.old)
        if sums.waiting is not None:
            before = (rows.faded(fade.old) for rows in sums.waiting)
            return sums._replace(mean=mean, waiting=(*before, Waiting(x, y, fade.new)))
        phi = self._features(x)
        if self._rule != "delta":
            outer = sums.outer.plus(x if values is None else values, phi, y, fade)
            return sums._replace(mean=mean, outer=outer)
        if values is not None and self._map is None and not self._normalize:
            # C k = v for a key of length l is C x = v / l for the row x = k / l.
            with np.errstate(over="ignore"):
                values = values / np.where(length > 0, length, 1.0)[:, None]
        outer = sums.outer.corrected(x if values is None else values, phi, self._rate * y)
        return sums._replace(mean=mean, outer=outer)

    def _features(self, x: Float) -> Float:
        """Map unit rows; scale the features to length 1 for the delta rule."""
        phi = x if self._map is None else self._map.map(x)
        return phi if self._rule != "delta" or self._map is None else unit(phi)[0]

    def merge(self, other: HebbianMemory) -> HebbianMemory:
        """Add what another memory with the same parameters stores, as if it came after, in place.

        Under ``center="renorm"`` both must have observed the same mean, or neither any.

        Returns
        -------
        HebbianMemory
            This memory.
        """
        if not isinstance(other, HebbianMemory):
            raise TypeError(f"other must be a HebbianMemory, got {type(other).__name__}")
        if self._parameters() != other._parameters():
            raise ValueError(f"memories differ in their parameters: {self!r} and {other!r}")
        if self._rule == "delta":
            raise ValueError("the delta rule depends on the order of rows; store them one by one")
        if other._sums is None:
            return self
        mine = self._sums
        self._sums = other._sums if mine is None else mine.merged(other._sums, self._decay)
        return self

    def _parameters(self) -> tuple[Any, ...]:
        return (
            self._center,
            self._weighting,
            self._decay,
            self._rule,
            self._rate,
            self._map,
            self._normalize,
            self._readout,
            self._eps,
        )

    # -- the matrix -------------------------------------------------------------------------------

    @property
    def mean(self) -> Float:
        """Weighted mean (D,) of the unit rows."""
        return self._read().mean.value

    @property
    def matrix(self) -> Float:
        """M (D, D), or C (o, features) divided as ``weighting`` says, read-only float64."""
        return self._matrix(self._read())

    def _matrix(self, sums: Sums) -> Float:
        derived = self._derived
        if derived is None or derived[0] is not sums:
            matrix = sums.matrix(self._center, self._weighting, self._rule, self._eps)
            self._derived = derived = sums, matrix
        return derived[1]

    def _read(self) -> Sums:
        """Return what is stored, or say what is missing."""
        if self._sums is None:
            raise ValueError("the memory is empty; store something first")
        if not self._sums.mean.y > 0:
            raise ValueError(
                "the weights of all rows stored sum to 0 (silent rows count as 0), so there is "
                "nothing to recall"
            )
        return self._sums

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
        steps = _check.integer(max_iter, "max_iter", 1)
        tol = _check.number(tol, "tol", 0.0)
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        sums = self._read()
        q, single = self._cues(sums, cues, "cues")
        if steps > 1 and sums.hetero:
            raise ValueError("max_iter > 1 needs an autoassociative memory: values are no cues")
        x, length = self._entered(sums, q)
        path: _Path | None = None
        if sums.hetero or (steps == 1 and not details):
            out = self._step(sums, x, n_threads)
        else:
            path = self._settle(sums, x, steps, tol, details, n_threads)
            out = path.state
        with np.errstate(over="ignore"):
            out[length == 0] = 0.0
            if self._readout == "l2":
                out = unit(out)[0]
            elif self._map is None and not self._as_given:
                out *= length[:, None]
            state = out if sums.double or q.dtype == np.float64 else out.astype(np.float32)
        if not np.isfinite(state).all():
            bad = int(np.flatnonzero(~np.isfinite(state).all(axis=1))[0])
            raise ValueError(f"cues row {bad} recalls values beyond the largest {state.dtype}")
        if not details:
            return state[0] if single else state
        if path is None:
            path = _Path(state, np.ones(len(q), np.int64), np.ones(len(q), bool), None)
        energy = None if path.trace is None else self._energies(sums, out, n_threads)
        fields: list[Any] = [state, path.n_iter, path.converged, energy, None, path.trace]
        if single:
            fields = [None if f is None else f[0] for f in fields]
        return Recall(*fields)

    def _settle(
        self, sums: Sums, x: Float, steps: int, tol: float, details: bool, threads: int
    ) -> _Path:
        """Step until no entry of a scaled state moves by more than ``tol``."""
        out = np.zeros((len(x), sums.outer.shape[0]))
        n_iter, converged = np.zeros(len(x), np.int64), np.zeros(len(x), bool)
        scaled = unit(x)[0]
        traced = details and not self._why_no_energy()
        trace = [self._energies(sums, scaled, threads)] if traced else []
        active = np.arange(len(x))
        for _ in range(steps):
            out[active] = self._step(sums, x[active], threads)
            n_iter[active] += 1
            after = unit(out[active])[0]
            moved = np.abs(after - scaled[active]).max(axis=1, initial=0.0)
            x[active] = scaled[active] = after
            if traced:
                trace.append(trace[-1].copy())
                trace[-1][active] = self._energies(sums, after, threads)
            converged[active] = moved <= tol
            active = active[moved > tol]
            if len(active) == 0:
                break
        return _Path(out, n_iter, converged, np.stack(trace, axis=1) if traced else None)

    def _cues(self, sums: Sums, given: Any, name: str) -> tuple[Array, bool]:
        cues, single = _check.cues(given, name)
        _check.same_width(cues, name, sums.width, "the memory stores")
        _check.finite(cues, name)
        return cues, single

    def _entered(self, sums: Sums, cues: Array) -> tuple[Float, Float]:
        """Bring cues to where the stored rows are; return them and their lengths, 0 if silent."""
        x, length = self._scaled(cues.astype(np.float64))
        if self._center:
            x = np.where(length[:, None] > 0, x - sums.mean.value, 0.0)
        if self._center == "renorm":
            x, deviation = unit(x, self._eps)
            length = np.where(deviation > 0, length, 0.0)
        return x, length

    def _step(self, sums: Sums, x: Float, threads: int) -> Float:
        """One product with the matrix (Q, o)."""
        phi = self._features(x)
        if self._map is None or not self._normalize:
            return dot(phi, self._matrix(sums), threads)
        out, total = (dot(phi, c, threads) for c in (sums.outer.total, sums.outer.wx[None, :]))
        bad = np.flatnonzero(total[:, 0] <= 0)
        if len(bad):
            raise ValueError(
                f"cues row {bad[0]} has features that meet none of those stored; use more "
                "features, a smaller gamma or normalize=False"
            )
        with np.errstate(over="ignore"):
            return np.asarray(out / total)

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
        v, single = self._cues(sums, states, "states")
        found = self._energies(sums, v.astype(np.float64), n_threads)
        return float(found[0]) if single else found

    def _energies(self, sums: Sums, v: Float, threads: int) -> Float:
        product = dot(v, self._matrix(sums), threads)
        return np.asarray(((v * v).sum(axis=1) - (v * product).sum(axis=1)) / 2)

    def _why_no_energy(self) -> str:
        if self._sums is not None and self._sums.hetero:
            return "a heteroassociative recall has no state to iterate"
        if self._map is not None:
            return f"recall through the features {self._map!r} descends none"
        if self._rule == "delta":
            return "a matrix learned by error correction is not symmetric"
        return ""

    # -- diagnostics ------------------------------------------------------------------------------

    def eigenvalues(self) -> Float:
        """Eigenvalues of M, falling; singular values where the matrix is not symmetric."""
        if self._why_no_energy():
            return np.asarray(interruptible(_singular_values, self.matrix))
        return np.asarray(interruptible(np.linalg.eigvalsh, self.matrix)[::-1])

    def effective_rank(self) -> float:
        """Return how many directions recall can tell apart, from 1 to D, see `effective_rank`.

        Near 1 everything is recalled as one pattern. Deviations that all vanish have none: 0.
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
        """
        n_threads = resolve_threads(threads)
        if self._why_no_energy():
            raise ValueError("crosstalk is for autoassociative Hebbian memories without features")
        sums = self._read()
        p, _ = self._cues(sums, patterns, "patterns")
        if len(p) < 2:
            raise ValueError(f"patterns must be at least 2 rows, got {len(p)}")
        x = unit(self._entered(sums, p)[0])[0]
        after = unit(self._step(sums, x, n_threads))[0]
        apart = ~np.eye(len(p), dtype=bool)
        return Crosstalk(*(float((u @ u.T)[apart].mean()) for u in (x, after)))

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the rows stored, silent ones included."""
        return 0 if self._sums is None else self._sums.count

    @property
    def nbytes(self) -> int:
        """Bytes held: sums, the matrix if it was needed, and rows kept for ``center="renorm"``."""
        if self._sums is None:
            return 0
        derived = self._derived
        own = derived is not None and derived[1] is not self._sums.outer.total
        return self._sums.nbytes + (derived[1].nbytes if derived is not None and own else 0)

    def delete(self, ids: Any) -> NoReturn:
        """Refuse: one matrix keeps no items."""
        raise ValueError(f"{_NO_ITEMS} deleted; let old rows fade by decay")

    def scores(self, cues: Any, *, threads: int | None = None) -> NoReturn:
        """Refuse: one matrix keeps no items."""
        raise ValueError(f"{_NO_ITEMS} scored; UniversalHopfield(separation='identity') keeps them")

    def weights(self, cues: Any, *, threads: int | None = None) -> NoReturn:
        """Refuse: one matrix keeps no items."""
        raise ValueError(
            f"{_NO_ITEMS} weighed; UniversalHopfield(separation='identity') keeps them"
        )

    @property
    def keys(self) -> Array:
        """Refuse: one matrix keeps no items."""
        raise ValueError(f"{_NO_ITEMS} returned")

    @property
    def values(self) -> Array:
        """Refuse: one matrix keeps no items."""
        raise ValueError(f"{_NO_ITEMS} returned")

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what can be derived again."""
        return self.__dict__ | {"_derived": None}

    def __repr__(self) -> str:
        """Name what differs from the defaults, and what is held."""
        defaults = {
            "center": None,
            "weighting": "linear",
            "decay": 1.0,
            "rule": "hebbian",
            "rate": 1.0,
            "features": None,
            "normalize": self._map is None or self._rule != "delta",
            "readout": "identity",
            "eps": 1e-8,
        }
        given = zip(defaults, self._parameters(), strict=True)
        text = ", ".join(f"{name}={value!r}" for name, value in given if value != defaults[name])
        if self._sums is None:
            return f"<{type(self).__name__}({text}): empty>"
        rows, columns = self._sums.outer.shape
        return f"<{type(self).__name__}({text}): {len(self)} rows, {rows} x {columns} matrix>"


_NO_ITEMS = "a Hebbian memory is one matrix and keeps no items that could be"


class _Path(NamedTuple):
    """Where iterating has led."""

    state: Float
    n_iter: Int
    converged: Array
    trace: Float | None


def _singular_values(matrix: Float) -> Float:
    return np.asarray(np.linalg.svd(matrix, compute_uv=False))
