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

import copy
import threading
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np

from amfast import _check, kernels
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int
from amfast.memories.hebbian.sums import Fade, Mean, Outer, entropy_rank, posteriors, unit
from amfast.memories.recall import Recall
from amfast.parts.features import FeatureMap
from amfast.parts.features import resolve as resolve_features

# Rows that are widened to float64 at a time.
_CHUNK_BYTES = 1 << 24


class Crosstalk(NamedTuple):
    """Mean cosine between different patterns, before and after one recall."""

    before: float
    after: float


def effective_rank(spectrum: Any) -> float:
    """Return how many dimensions a spectrum uses: the exponential of its entropy.

    ``exp(-sum_i p_i ln p_i)`` with ``p_i = s_i / sum_j s_j``: n for n equal values, near 1 if one
    value dominates (Roy and Vetterli, *The effective rank*, EUSIPCO 2007).

    Parameters
    ----------
    spectrum : (n,) array
        Eigenvalues or singular values; those below 0 by rounding count as 0.

    Raises
    ------
    ValueError
        If no value is positive.

    Examples
    --------
    >>> from amfast.memories.hebbian.memory import effective_rank
    >>> effective_rank([2.0, 2.0, 0.0]), round(effective_rank([0.5, 0.03, 0.02]), 2)
    (2.0, 1.44)
    """
    s = _check.array(spectrum, "spectrum").astype(np.float64)
    if not s.max(initial=0.0) > 0:
        raise ValueError("spectrum has no positive value, so it has no rank")
    return entropy_rank(np.maximum(s, 0.0))


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
        Whether ``C phi(q)`` is divided by ``z . phi(q)``, ``z = sum_i w_i phi(x_i)``, which makes
        it a weighted mean of the values. None means True with a feature map under the Hebbian rule,
        else False.
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

    *Threads.* Many may recall from one memory at a time; `store`, `observe`, `merge` must not run
    beside other calls.

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
        if normalize is None:
            normalize = mapped and not delta
        self._normalize = _check.flag(normalize, "normalize")
        self._readout = _check.choice(readout, "readout", ("identity", "l2"))
        self._eps = _check.number(eps, "eps", 0.0)
        for clash, why in (
            (center and mapped, f"center={center!r} is for features='identity'"),
            (delta and center, f"rule='delta' corrects errors; center={center!r} has no place"),
            (delta and self._normalize, "rule='delta' fits the values; leave normalize out"),
            (delta and self._decay != 1, "rule='delta' forgets by itself; leave decay at 1"),
            (delta and self._weighting != "linear", "rule='delta' weighs its steps linearly"),
            (not delta and self._rate != 1, "rate belongs to rule='delta'"),
            (self._normalize and not mapped, "normalize needs positive features, such as 'elu'"),
        ):
            if clash:
                raise ValueError(why)
        self._mean: Mean | None = None  # None before anything came
        self._outer: Outer | None = None
        # Unit rows, weights and what is left of them, waiting for the mean; None if none need wait.
        self._rows: list[tuple[Float, Float, Float]] | None = [] if center == "renorm" else None
        self._hetero = False
        self._double = False
        self._count = 0
        self._observed = 0
        self._cached: Float | None = None
        self._lock = threading.Lock()

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
        if self._count:
            raise ValueError("rows were stored already, so the mean is fixed; observe comes first")
        k, _, y = self._checked(keys, None, weights)
        if len(k) == 0:
            return
        mean, _ = self._begun(k, None)
        for x, some, _ in self._chunks(k, None, y):
            mean.add(x, some, Fade.of(self._decay, len(x)))
        self._observed += len(k)
        self._rows = None

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
        k, v, y = self._checked(keys, values, weights)
        ids = np.arange(self._count, self._count + len(k), dtype=np.int64)
        if len(k) == 0:
            return ids
        mean, outer = self._sums() if self._observed else self._begun(k, v)
        self._cached = None
        for x, some, part in self._chunks(k, v, y):
            self._add(mean, outer, x, part, some)
        self._count += len(k)
        return ids

    def _checked(self, keys: Any, values: Any, weights: Any) -> tuple[Array, Array | None, Float]:
        """Check rows against what is stored."""
        k = _check.rows(keys, "keys")
        v = None if values is None else _check.rows(values, "values")
        if self._mean is not None:
            _check.same_width(k, "keys", len(self._mean.yx), "the memory stores")
        if self._count and self._hetero != (v is not None):
            kind = "values with" if self._hetero else "no values beside"
            raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
        _check.finite(k, "keys")
        if v is not None:
            if self._center:
                raise ValueError(f"center={self._center!r} is for autoassociative memories")
            if len(v) != len(k):
                raise ValueError(f"values have {len(v)} rows, keys have {len(k)}")
            if self._outer is not None:
                _check.same_width(v, "values", self._outer.shape[0], "the memory stores")
            _check.finite(v, "values")
        return k, v, posteriors(weights, len(k))

    def _begun(self, keys: Array, values: Array | None) -> tuple[Mean, Outer]:
        """Return the sums, made for the first rows."""
        if self._mean is None or self._outer is None:
            width = keys.shape[1]
            mapped = width if self._map is None else self._map.width(width)
            out = width if values is None else values.shape[1]
            symmetric = values is None and self._map is None and self._rule != "delta"
            self._outer = Outer(out, mapped, self._weighting != "linear", symmetric)
            self._mean = Mean(width)
            self._hetero = values is not None
        self._double |= keys.dtype == np.float64
        self._double |= values is not None and values.dtype == np.float64
        return self._mean, self._outer

    def _chunks(
        self, keys: Array, values: Array | None, y: Float
    ) -> Iterator[tuple[Float, Float, Float | None]]:
        """Yield unit rows, their weights (0 for silent rows) and values, some at a time."""
        step = max(1, _CHUNK_BYTES // (8 * keys.shape[1]))
        for start in range(0, len(keys), step):
            piece = slice(start, start + step)
            x, length = unit(keys[piece].astype(np.float64), self._eps)
            weight = np.where(length > 0, y[piece], 0.0)
            yield x, weight, None if values is None else values[piece].astype(np.float64)

    def _add(self, mean: Mean, outer: Outer, x: Float, values: Float | None, y: Float) -> None:
        """Add a chunk of unit rows."""
        fade = Fade.of(self._decay, len(x))
        if self._center == "renorm" and self._rows is None:
            x, length = unit(x - mean.value, self._eps)
            y = np.where(length > 0, y, 0.0)
        else:
            mean.add(x, y, fade)
        if self._rows is not None:
            self._rows = [(rows, given, fade.old * left) for rows, given, left in self._rows]
            self._rows.append((x, y, fade.new))
            return
        phi = self._features(x)
        target = x if values is None else values
        if self._rule == "delta":
            outer.correct(target, phi, self._rate * y)
        else:
            outer.add(target, phi, y, fade)

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
        if other._mean is None or other._outer is None:
            return self
        if self._mean is None or self._outer is None:
            self.__setstate__(copy.deepcopy(other.__getstate__()))
            return self
        shape, others = self._outer.shape, other._outer.shape
        if shape != others or len(self._mean.yx) != len(other._mean.yx):
            raise ValueError(
                f"the other memory has keys of {len(other._mean.yx)} columns and a matrix of shape "
                f"{others}, this one of {len(self._mean.yx)} and {shape}"
            )
        if self._hetero != other._hetero:
            raise ValueError("one memory stores values and the other does not")
        if (self._rows is None) != (other._rows is None):
            raise ValueError("one memory has observed a mean and the other has not")
        if self._observed and (self._count or other._count):
            if not np.array_equal(self._mean.value, other._mean.value):
                raise ValueError("memories have observed different means")
            old = self._decay**other._count
        else:
            old = self._decay ** (other._count or other._observed)
            self._mean.merge(other._mean, old)
            self._observed += other._observed
        if self._rows is not None and other._rows is not None:
            faded = [(rows, given, old * left) for rows, given, left in self._rows]
            self._rows = faded + other._rows
        self._outer.merge(other._outer, old)
        self._count += other._count
        self._double |= other._double
        self._cached = None
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
        return self._sums()[0].value.copy()

    @property
    def matrix(self) -> Float:
        """M (D, D), or C (o, features) divided as ``weighting`` says, read-only float64."""
        mean, outer = self._sums()
        with self._lock:  # many threads may recall at a time, and the first one builds
            if self._cached is None:
                built = self._built(mean, outer)
                built.flags.writeable = False
                self._cached = built
            return self._cached

    def _built(self, mean: Mean, outer: Outer) -> Float:
        if self._rule == "delta":
            return outer.total.copy()
        if self._rows is not None:
            outer = Outer(*outer.shape, outer.squared, True)
            for rows, y, left in self._rows:
                x, length = unit(rows - mean.value, self._eps)
                outer.add(x, x, np.where(length > 0, y, 0.0), Fade(1.0, left))
        total = outer.about(mean.value) if self._center == "moment" else outer.total
        divisor = outer.y**2 if self._weighting == "code" else outer.y
        # Where every deviation from the mean vanishes there is nothing to divide.
        return np.asarray(total / divisor) if divisor else np.zeros_like(total)

    def _sums(self) -> tuple[Mean, Outer]:
        """Return the sums, or say what is missing."""
        if self._mean is None or self._outer is None:
            raise ValueError("the memory is empty; store something first")
        if not self._mean.y > 0:
            raise ValueError(
                "the weights of all rows stored sum to 0 (silent rows count as 0), so there is "
                "nothing to recall"
            )
        return self._mean, self._outer

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
        q, single = self._cues(cues, "cues")
        if steps > 1 and self._hetero:
            raise ValueError("max_iter > 1 needs an autoassociative memory: values are no cues")
        double = self._double or q.dtype == np.float64
        x, length = self._entered(q)
        n_iter = np.zeros(len(q), np.int64)
        converged = np.full(len(q), self._hetero)
        out = np.zeros((len(q), self._sums()[1].shape[0]))
        settles = not self._hetero and (steps > 1 or details)
        scaled = unit(x)[0] if settles else x
        trace = None
        if details and not self._why_no_energy():
            trace = [self._energies(scaled, n_threads)]
        active = np.arange(len(q))
        for _ in range(steps):
            out[active] = self._step(x[active], n_threads)
            n_iter[active] += 1
            if settles:
                after = unit(out[active])[0]
                moved = np.abs(after - scaled[active]).max(axis=1, initial=0.0)
                x[active] = scaled[active] = after
                if trace is not None:
                    trace.append(trace[-1].copy())
                    trace[-1][active] = self._energies(after, n_threads)
                converged[active] = moved <= tol
                active = active[moved > tol]
            if len(active) == 0:
                break
        out[length == 0] = 0.0
        if self._readout == "l2":
            out = unit(out)[0]
        elif self._map is None:
            out *= length[:, None]
        energy = None if trace is None else self._energies(out, n_threads)
        with np.errstate(over="ignore"):
            state = out if double else out.astype(np.float32)
        if not np.isfinite(state).all():
            bad = int(np.flatnonzero(~np.isfinite(state).all(axis=1))[0])
            raise ValueError(f"cues row {bad} recalls values beyond the largest {state.dtype}")
        if not details:
            return state[0] if single else state
        traced = None if trace is None else np.stack(trace, axis=1)
        fields: list[Any] = [state, n_iter, converged, energy, None, traced]
        if single:
            fields = [None if f is None else f[0] for f in fields]
        return Recall(*fields)

    def _cues(self, given: Any, name: str) -> tuple[Array, bool]:
        mean, _ = self._sums()
        cues, single = _check.cues(given, name)
        _check.same_width(cues, name, len(mean.yx), "the memory stores")
        _check.finite(cues, name)
        return cues, single

    def _entered(self, cues: Array) -> tuple[Float, Float]:
        """Bring cues to where the stored rows are; return them and their lengths, 0 if silent."""
        x, length = unit(cues.astype(np.float64), self._eps)
        if self._center:
            x = np.where(length[:, None] > 0, x - self.mean, 0.0)
        if self._center == "renorm":
            x, deviation = unit(x, self._eps)
            length = np.where(deviation > 0, length, 0.0)
        return x, length

    def _step(self, x: Float, threads: int) -> Float:
        """One product with the matrix (Q, o)."""
        _, outer = self._sums()
        if len(x) == 0:
            return np.empty((0, outer.shape[0]))
        phi = np.ascontiguousarray(self._features(x))
        read = outer.total if self._normalize else self.matrix
        out = np.asarray(kernels.pairwise(phi, read, "dot", threads=threads))
        if not self._normalize:
            return out
        total = kernels.pairwise(phi, outer.wx[None, :], "dot", threads=threads)
        bad = np.flatnonzero(total[:, 0] <= 0)
        if len(bad):
            raise ValueError(
                f"cues row {bad[0]} has features that meet none of those stored; use more "
                "features, a smaller gamma or normalize=False"
            )
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
        v, single = self._cues(states, "states")
        found = self._energies(v.astype(np.float64), n_threads)
        return float(found[0]) if single else found

    def _energies(self, v: Float, threads: int) -> Float:
        if len(v) == 0:
            return np.zeros(0)
        product = kernels.pairwise(np.ascontiguousarray(v), self.matrix, "dot", threads=threads)
        return np.asarray(((v * v).sum(axis=1) - (v * product).sum(axis=1)) / 2)

    def _why_no_energy(self) -> str:
        if self._hetero:
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
            return np.asarray(np.linalg.svd(self.matrix, compute_uv=False))
        return np.asarray(np.linalg.eigvalsh(self.matrix)[::-1])

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
        p, _ = self._cues(patterns, "patterns")
        if len(p) < 2:
            raise ValueError(f"patterns must be at least 2 rows, got {len(p)}")
        x = unit(self._entered(p)[0])[0]
        after = unit(self._step(x, n_threads))[0]
        apart = ~np.eye(len(p), dtype=bool)
        return Crosstalk(*(float((u @ u.T)[apart].mean()) for u in (x, after)))

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the rows stored, silent ones included."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes held: sums, the matrix if it was needed, and rows kept for ``center="renorm"``."""
        if self._mean is None or self._outer is None:
            return 0
        held = self._outer.nbytes + self._mean.yx.nbytes
        held += 0 if self._cached is None else self._cached.nbytes
        return held + sum(part.nbytes for rows in self._rows or [] for part in rows)

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
        """Everything but the lock."""
        state = self.__dict__.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __copy__(self) -> HebbianMemory:
        """Copy the sums too: two memories must not add into one matrix."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        """Name what differs from the defaults, and what is held."""
        defaults = {
            "center": None,
            "weighting": "linear",
            "decay": 1.0,
            "rule": "hebbian",
            "rate": 1.0,
            "features": None,
            "normalize": self._map is not None and self._rule != "delta",
            "readout": "identity",
            "eps": 1e-8,
        }
        given = zip(defaults, self._parameters(), strict=True)
        text = ", ".join(f"{name}={value!r}" for name, value in given if value != defaults[name])
        if self._outer is None:
            return f"<{type(self).__name__}({text}): empty>"
        rows, columns = self._outer.shape
        return f"<{type(self).__name__}({text}): {len(self)} rows, {rows} x {columns} matrix>"


_NO_ITEMS = "a Hebbian memory is one matrix and keeps no items that could be"
