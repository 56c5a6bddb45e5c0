"""A memory of a subspace: the constraints that all patterns obey correct what breaks them."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._engine.flipping import packed
from amfast._engine.scoring import dot
from amfast._stores.items import Batch
from amfast._threads import get_num_threads, resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.files import decoded, encoded
from amfast.memories.recall import Recall
from amfast.memories.recovery.decoders import DECODERS, bregman, polished, stands_alone
from amfast.memories.recovery.expander import Columns, expander
from amfast.memories.recovery.store import SampleStore

__all__ = ["Recovery", "SparseRecoveryMemory", "expander"]

Recovery = Recall

# What peeling leaves of a cue by rounding, as a share of it, even at a tolerance of 0.
_ROUNDED = 1e-12


class SparseRecoveryMemory(Memory):
    """Recalls patterns of a subspace from cues in which some coordinates are wrong by any amount.

    The patterns x in R^n lie in a subspace of a rank r < n; there may be exponentially many, such
    as x = B z with every z in {-1, 1}^r. What is stored is not the patterns but the m = n - r
    constraints A x = 0 that they obey, the null space of the samples' second moment. A cue y = x +
    e breaks them by s = A y = A e, whatever x is; the sparsest e that explains s is the corruption,
    and y - e the recalled pattern (Mazumdar and Rawat, *Associative memory via a sparse recovery
    model*, NIPS 2015, and *Associative memory using dictionary learning and expander decoding*,
    AAAI 2017).

    Parameters
    ----------
    decoder : {"l1", "omp", "irls", "bregman", "expander"}, default "l1"
        How e is found. "l1" minimises ``|e|_1`` (SciPy's HiGHS). "omp" is orthogonal matching
        pursuit (scikit-learn), the fastest of the first three. "irls" is reweighted least squares
        towards the sum of square roots (NumPy alone). "bregman" nearly minimises ``|e|_1``, by
        products with A, A^T and a threshold, which neurons could do, all cues at once (NumPy alone;
        linearised Bregman iterations: Cai, Osher and Shen 2009). "expander" peels errors off a
        sparse constraint matrix, in the engine, in O(n) for bounded column weights; it needs
        ``constraints``.
    constraints : (m, n) array or SciPy sparse matrix, or "learned", optional
        Constraints that are known. None means to learn dense ones with `store`. For "expander" they
        are sparse, with an entry in every column, as `expander` makes them; "learned" means the
        sparsest that all samples obey, see Notes.
    rank : int, optional
        r, where it is known. None means to read it off the spectrum.
    rank_tol : float, default 1e-6
        Singular values of the samples up to this share of the largest are noise. At least 1e-7
        with samples in float64, since the second moment resolves no less.
    fallback : bool, default True
        Whether "expander" looks for the least ``|e|_1``, by the steps of "bregman", where peeling
        stops early: see `Recall.fallback`. Those cues take hundreds of times as long.
    tol : float, default 1e-6
        How large the residual may be, relative to the cue's norm, for s to count as reproduced.
        Corruption below it is not seen.

    Notes
    -----
    ``certified`` says that all of this holds: (1) the residual is within ``tol`` of the cue's norm;
    (2) `error` has k <= m / 2 nonzero entries; (3) their k columns of A are independent and span no
    other column of A. What follows: for every set of corrupted coordinates whatever and almost all
    values of the corruption on it, `error` is the corruption, since any other would need values
    that lie in a proper subspace. And if A is in general position (any m columns independent, as
    for a subspace chosen at random), no other error with m / 2 or fewer nonzero entries explains
    the cue, so even values chosen to deceive must spoil more than m / 2 coordinates. Not covered:
    constraints learned from samples that do not span the subspace.

    Capacity: the rank says how many patterns there can be (`theory.subspace_messages`); with L1 and
    a random subspace about `theory.l1_capacity` wrong coordinates are corrected. Peeling random
    columns of six ones in m = n / 2 rows corrects about 0.05 n. It stops early, in 1 % of cues at
    0.03 n, where wrong coordinates share so many checks that none has more than half of its own to
    itself, two with three of six in common mostly; such errors are still the least ones.

    Learned sparse constraints: any basis of the null space is a constraint matrix, and the lightest
    one, of the fewest nonzero entries, is looked for by programs of least ``|x|_1`` in that space,
    as in dictionary learning (Spielman, Wang and Wright 2012). Of planted constraints, 100 x 200
    with six entries per column, all are found; where some are not, as in small matrices of 15 x 60,
    lighter ones stand in their place. It is done when first needed and again where samples were
    added since, in seconds at n = 400. Rows are sparse up to n / 2 entries, and up to n - m, since
    one of n - m + 1 is in every null space; up to n / 8 in any case. Where the sizes of columns
    differ by orders of magnitude they should be scaled alike first.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> rng = np.random.default_rng(0)
    >>> basis = rng.normal(size=(40, 8))
    >>> memory = am.SparseRecoveryMemory("irls")
    >>> ids = memory.store(rng.choice([-1.0, 1.0], (20, 8)) @ basis.T)
    >>> memory.rank
    8
    >>> pattern = basis @ rng.choice([-1.0, 1.0], 8)  # one of 256, most of them never seen
    >>> cue = pattern.copy()
    >>> cue[[3, 14, 15, 36]] = 9.0
    >>> found = memory.recall(cue, details=True)
    >>> np.abs(found.state - pattern).max() < 1e-9, found.n_errors, found.certified
    (np.True_, np.int64(4), np.True_)
    """

    _settable = ("rank_tol", "fallback", "tol")
    _keeps_no_items = (
        "a sparse-recovery memory keeps the second moment of its samples, not the samples; what it "
        "knows are `constraints` and `basis`"
    )

    def __init__(
        self,
        decoder: str = "l1",
        *,
        constraints: Any = None,
        rank: int | None = None,
        rank_tol: float = 1e-6,
        fallback: bool = True,
        tol: float = 1e-6,
    ) -> None:
        names = (*DECODERS, "bregman", "expander")
        self.decoder: str = _check.choice(decoder, "decoder", names)
        self.fallback = _check.flag(fallback, "fallback")
        rank = None if rank is None else _check.integer(rank, "rank", 1)
        rank_tol = _check.number(rank_tol, "rank_tol", 1e-7)
        self.tol = _check.number(tol, "tol", 0.0)
        given: Columns | Float | None = None
        if constraints is None and self.decoder == "expander":
            raise ValueError(
                "decoder='expander' needs constraints=, a sparse matrix such as am.expander(n, m), "
                "or 'learned' where samples have a sparse null space"
            )
        learned = isinstance(constraints, str)
        if learned:
            _check.choice(constraints, "constraints", ("learned",))
            if self.decoder != "expander":
                raise ValueError(
                    f"constraints='learned' are sparse ones, for decoder='expander'; "
                    f"{self.decoder!r} learns dense ones if none are given"
                )
        elif constraints is not None:
            if rank is not None:
                raise ValueError("rank is what constraints leave; give one of the two")
            given = Columns.of(constraints) if self.decoder == "expander" else _dense(constraints)
        self._store = SampleStore(given, rank, rank_tol, learned)

    def _parameters(self) -> dict[str, Any]:
        store = self._store
        return {
            "decoder": self.decoder,
            "constraints": "learned" if store.sparse else store.given,
            "rank": store.rank,
            "rank_tol": store.rank_tol,
            "fallback": self.fallback,
            "tol": self.tol,
        }

    @property
    def rank_tol(self) -> float:
        """Share of the largest singular value up to which others are noise.

        Set anew, the constraints are learned anew, too.
        """
        return float(self._store.rank_tol)

    @rank_tol.setter
    def rank_tol(self, value: float) -> None:
        if value != self._store.rank_tol:
            self._store.learn_anew(value)

    # -- storing ----------------------------------------------------------------------------------

    def store(self, samples: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Learn from samples; where constraints were given, check that the samples obey them.

        Parameters
        ----------
        samples : (N, n) array
            Patterns without corruption. More than the rank of them are needed before `recall`.
        values, weights : None
            A pattern recalls itself, and every sample counts alike.

        Returns
        -------
        (N,) int64 array
            Running numbers of the samples. What is kept is the second moment, not the samples, so
            there is no `delete`.

        Raises
        ------
        ValueError
            For a width that differs, NaN or infinity, samples that break given constraints, and
            samples that leave no null space. Nothing is stored then. The null space is looked for
            when the samples first outnumber the columns, whenever they have doubled since, and in
            `recall`.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.
        """
        return super().store(samples, values, weights=weights)

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        for given, name in ((values, "values"), (weights, "weights")):
            if given is not None:
                raise ValueError(
                    f"a sparse-recovery memory takes no {name}: patterns recall themselves, and "
                    f"their span is the same however much one counts"
                )
        x = _check.rows(keys, "samples")
        if self.width is not None:
            _check.same_width(x, "samples", self.width, "the memory has")
        _check.finite(x, "samples")
        if self._store.given is not None:
            self._obey(x)
        return Batch(x)

    def _obey(self, samples: Array) -> None:
        x = samples.astype(np.float64)
        broken = np.linalg.norm(self._syndromes(x, get_num_threads()), axis=1)
        bad = np.flatnonzero(broken > self.tol * np.linalg.norm(x, axis=1))
        if len(bad):
            raise ValueError(
                f"samples row {bad[0]} breaks the constraints by {broken[bad[0]]:.3g}, "
                f"its norm is {np.linalg.norm(x[bad[0]]):.3g}"
            )

    def _same_parameters(self, other: SparseRecoveryMemory) -> bool:
        mine, theirs = self._store.given, other._store.given
        if mine is None and theirs is None:
            return True  # how the other decodes does not matter to what it has learned
        known = mine is not None and theirs is not None
        if not known or not np.array_equal(self._store.dense(), other._store.dense()):
            raise ValueError("memories with given constraints merge if these are the same")
        return True

    def _check_merge(self, other: SparseRecoveryMemory) -> None:
        if self.width is not None and self.width != other.width:
            raise ValueError(f"other has {other.width} columns, the memory {self.width}")

    # -- what was learned -------------------------------------------------------------------------

    @property
    def constraints(self) -> Float:
        """Orthonormal constraints A (m, n) with A x = 0 for every pattern, read-only.

        Raises
        ------
        ValueError
            If the samples have no null space, or each of them added a dimension so far.
        """
        return np.asarray(_check.frozen(self._store.known().constraints))

    @property
    def sparse_constraints(self) -> Float:
        """Sparse constraints (m, n) of "expander", read-only: those given, or the learned ones.

        Learned ones have a largest entry of 1; what is nearly 0 or 1 is just that, where samples
        obey it. Rows of given ones are scaled by powers of two, to a largest entry of 1 to 2. A
        memory is given them by ``constraints=`` where it need not learn them again.

        Raises
        ------
        ValueError
            Of other decoders; if the samples have no null space, or it is not sparse.
        """
        sparse: Columns | None = self._store.columns()
        if sparse is None:
            raise ValueError(f"decoder={self.decoder!r} has dense constraints only")
        return np.asarray(_check.frozen(sparse.dense()))

    @property
    def basis(self) -> Float:
        """Orthonormal basis (n, r) of the patterns, read-only."""
        return np.asarray(_check.frozen(self._store.known().basis))

    @property
    def rank(self) -> int:
        """Dimension r of the patterns."""
        return int(self._store.known().basis.shape[1])

    @property
    def spectrum(self) -> Float:
        """Singular values of the samples / sqrt(N), (n,), largest first, read-only.

        Of given constraints, 1 for what they leave free and 0 for what they fix.
        """
        return np.asarray(_check.frozen(self._store.known().spectrum))

    @property
    def spectral_gap(self) -> float:
        """Ratio of the singular values on both sides of the rank.

        Infinite where the smaller is 0. Samples in float64 show up to about 1e7, since the second
        moment resolves no more; noise or a rank still growing show as a small gap.
        """
        values, r = self._store.known().spectrum, self.rank
        return float(values[r - 1] / values[r]) if values[r] > 0 else float("inf")

    @property
    def width(self) -> int | None:
        """Columns n of the patterns, None before anything is known of them."""
        width: int | None = self._store.width
        return width

    def project(self, patterns: Any) -> Array:
        """Return the nearest patterns that obey the constraints, (N, n) or (n,).

        Parameters
        ----------
        patterns : (N, n) or (n,) array

        Returns
        -------
        (N, n) or (n,) array
        """
        x, kind, dtype = self._cues(patterns, "patterns")
        unit = _unit(x)
        x = x / unit
        sparse: Columns | None = self._store.columns()
        if sparse is not None:
            near = sparse.project(x, get_num_threads())
        else:
            a, n = self._store.known().constraints, get_num_threads()
            near = x - dot(dot(x, a, n), np.ascontiguousarray(a.T), n)
        return np.asarray(kind.answer((near * unit).astype(dtype)))

    # -- recalling --------------------------------------------------------------------------------

    def _cues(self, given: Any, name: str) -> tuple[Float, Kind, np.dtype[Any]]:
        if self._store.given is None:
            self._store.known()
        cues, single = _check.cues(given, name)
        width = self.width
        assert width is not None
        _check.same_width(cues, name, width, "the memory has")
        _check.finite(cues, name)
        kind = Kind("numbers", single=single)
        return cues.astype(np.float64, copy=False), kind, _check.compute_type(cues)

    def recall(self, cues: Any, *, details: bool = False, threads: int | None = None) -> Any:
        """Correct cues in which some coordinates are wrong.

        Parameters
        ----------
        cues : (Q, n) or (n,) array
        details : bool, default False
            Whether to return a `Recall` with ``error``, ``residual``, ``certified``, ``n_errors``,
            and of "expander" ``fallback``.
        threads : int, optional
            For "expander", which decodes cues in parallel, and for residuals. None means the
            setting.

        Returns
        -------
        (Q, n) or (n,) array, or Recall
            float64 if the cues are, else float32. A cue that obeys the constraints is returned as
            it is.

        Raises
        ------
        ValueError
            If nothing was learned (see `constraints`), widths differ, or a cue has a NaN or
            infinity.
        ImportError
            For "l1" without SciPy and "omp" without scikit-learn.
        """
        details = _check.flag(details, "details")
        n_threads = resolve_threads(threads)
        y, kind, dtype = self._cues(cues, "cues")
        unit = _unit(y)
        y = y / unit
        sparse: Columns | None = self._store.columns()
        instead: Mask | None = None
        if sparse is not None:
            error, instead = self._peeled(sparse, y, n_threads)
        else:
            error = self._decode(y, n_threads)
        state = kind.answer(((y - error) * unit).astype(dtype))
        if not details:
            return state
        residual = np.linalg.norm(self._syndromes(y - error, n_threads), axis=1)
        reproduced = residual <= self.tol * np.linalg.norm(y, axis=1)
        residual, error = residual * unit[:, 0], error * unit
        certified = [
            ok and self._alone(np.flatnonzero(e)) for ok, e in zip(reproduced, error, strict=True)
        ]
        return Recall.of(
            kind,
            state,
            error=error.astype(dtype),
            residual=residual,
            certified=np.array(certified, dtype=bool),
            n_errors=(error != 0).sum(axis=1).astype(np.int64),
            fallback=instead,
        )

    def _peeled(self, sparse: Columns, y: Float, threads: int) -> tuple[Float, Mask]:
        """Peel errors off; return also where something else had to be done."""
        error = sparse.peel(y, self.tol, threads)
        tolerance = max(self.tol, _ROUNDED) * np.linalg.norm(y, axis=1)
        left = np.linalg.norm(sparse.syndromes(y - error, threads), axis=1) > tolerance
        rows = np.flatnonzero(left & self.fallback)
        least = sparse.least(y[rows], tolerance[rows], threads)
        solved = least.any(axis=1)
        error[rows[solved]] = least[solved]
        instead = np.zeros(len(y), np.bool_)
        instead[rows[solved]] = True
        return error, instead

    def _syndromes(self, y: Float, threads: int) -> Float:
        sparse: Columns | None = self._store.columns()
        if sparse is not None:
            return sparse.syndromes(y, threads)
        return np.asarray(dot(y, self._store.known().constraints, threads))

    def _decode(self, y: Float, threads: int) -> Float:
        a = self._store.known().constraints
        error, s = np.zeros_like(y), dot(y, a, threads)
        tolerance = self.tol * np.linalg.norm(y, axis=1)
        wrong = np.flatnonzero(np.linalg.norm(s, axis=1) > tolerance)
        s, tolerance = s[wrong], tolerance[wrong]
        if self.decoder == "bregman":
            rows, columns = packed(a), packed(np.ascontiguousarray(a.T))
            error[wrong] = bregman(
                s,
                lambda e: dot(e, rows, threads),
                lambda z: dot(z, columns, threads),
                1.0,
                tolerance / 10,
            )
        for i, right, most in zip(wrong, s, tolerance, strict=True):
            if self.decoder != "bregman":
                error[i] = DECODERS[self.decoder](a, right, float(most))
            error[i] = polished(lambda some: a[:, some], right, error[i], float(most))
        return error

    def _alone(self, support: Array) -> bool:
        """Conditions 2 and 3 of the certificate."""
        sparse: Columns | None = self._store.columns()
        if sparse is not None:
            return 2 * len(support) <= sparse.n_checks and sparse.stands_alone(support)
        a = self._store.known().constraints
        others = np.setdiff1d(np.arange(a.shape[1]), support)
        return 2 * len(support) <= len(a) and stands_alone(a, support, others)

    def _why_no_energy(self) -> str:
        return "a cue is corrected by the constraints it breaks, it does not descend"

    # -- saying and saving ------------------------------------------------------------------------

    def _contents(self) -> str:
        text = f"{len(self)} samples of {self.width} columns"
        learned = self._store.learned()
        if learned is not None:
            text += f", rank {learned.basis.shape[1]}, {len(learned.constraints)} constraints"
        return text

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        given = self._store.given
        if not isinstance(given, Columns):
            return super()._saved()
        parameters, _ = encoded(self._parameters() | {"constraints": None})
        meta = {"count": len(self), "n_checks": given.n_checks}
        return {"parameters": parameters, "store": meta}, given.arrays()

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> SparseRecoveryMemory:
        meta = parts["store"]
        if "moments" in meta or "n_checks" not in meta:
            return super()._restored(parts, arrays)
        sparse = Columns.restored(int(meta["n_checks"]), arrays)
        memory = cls(**decoded(parts["parameters"], {}) | {"constraints": sparse})
        memory._store.restore({}, meta)
        return memory


def _dense(constraints: Any) -> Float:
    """Read constraints as a matrix of floats."""
    dense = constraints.toarray() if hasattr(constraints, "tocsc") else constraints
    given = _check.rows(dense, "constraints", "m")
    _check.finite(given, "constraints")
    if not given.any():
        raise ValueError(f"constraints are all zero, shape {given.shape}")
    return given.astype(np.float64)


def _unit(rows: Float) -> Float:
    """(Q, 1) powers of two that bring rows near 1, and round nothing: so decoders see them."""
    return np.asarray(
        np.ldexp(1.0, np.frexp(np.abs(rows).max(axis=1, initial=0.0))[1] - 1)[:, None]
    )
