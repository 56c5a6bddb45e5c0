"""A memory of a subspace: the constraints that all patterns obey correct what breaks them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check
from amfast._stores.moments import SecondMoment
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.memories.recovery.decoders import DECODERS, polished, stands_alone
from amfast.memories.recovery.expander import Columns, expander

__all__ = ["Recovery", "SparseRecoveryMemory", "expander"]


# Below this ratio the singular values on both sides of the rank are not clearly apart.
CLEAR_GAP = 10.0


@dataclass(frozen=True)
class Recovery:
    """What a recall found, with one entry per cue; for one 1-d cue, its own entry."""

    state: Array
    """(Q, n) the pattern recalled, the cue minus `error`."""
    error: Array
    """(Q, n) the corruption found."""
    residual: Float
    """(Q,) Euclidean norm of what the constraints give on `state`; 0 for a stored pattern."""
    certified: Mask
    """(Q,) whether `error` is proven to be the corruption, see `SparseRecoveryMemory`."""
    n_errors: Int
    """(Q,) nonzero entries of `error`."""


class SparseRecoveryMemory:
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
    decoder : {"l1", "omp", "irls", "expander"}, default "l1"
        How e is found. "l1" minimises |e|_1 (SciPy's HiGHS). "omp" is orthogonal matching pursuit
        (scikit-learn), the fastest of the first three. "irls" is reweighted least squares towards
        the sum of square roots (NumPy alone). "expander" peels errors off a sparse 0/1 constraint
        matrix, in the engine, in O(n) for bounded column weights; it needs ``constraints``.
    constraints : (m, n) array or SciPy sparse matrix, optional
        Constraints that are known. None means to learn them with `store`. For "expander" its
        entries are 0 and 1 with at least one 1 in every column, as `expander` makes them.
    rank : int, optional
        r, where it is known. None means to read it off the spectrum.
    rank_tol : float, default 1e-6
        Singular values of the samples up to this share of the largest are noise. At least 1e-7
        with samples in float64, since the second moment resolves no less.
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
    columns of six ones in m = n / 2 rows corrects about 0.05 n.

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

    def __init__(
        self,
        decoder: str = "l1",
        *,
        constraints: Any = None,
        rank: int | None = None,
        rank_tol: float = 1e-6,
        tol: float = 1e-6,
    ) -> None:
        self.decoder: str = _check.choice(decoder, "decoder", (*DECODERS, "expander"))
        self._given_rank = None if rank is None else _check.integer(rank, "rank", 1)
        self.rank_tol = _check.number(rank_tol, "rank_tol", 1e-7)
        self.tol = _check.number(tol, "tol", 0.0)
        self._count = 0
        self._moment = SecondMoment()
        self._learned: _Learned | None = None
        self._sparse: Columns | None = None
        self._given: Float | None = None
        if constraints is None:
            if self.decoder == "expander":
                raise ValueError(
                    "decoder='expander' needs constraints=, a sparse 0/1 matrix such as "
                    "am.expander(n, m); the constraints that samples teach are dense"
                )
            return
        if rank is not None:
            raise ValueError("rank is what constraints leave; give one of the two")
        if self.decoder == "expander":
            self._sparse = Columns.of(constraints)
        else:
            dense = constraints.toarray() if hasattr(constraints, "tocsc") else constraints
            given = _check.rows(dense, "constraints", "m")
            _check.finite(given, "constraints")
            self._given = given.astype(np.float64)
            if not self._given.any():
                raise ValueError(f"constraints are all zero, shape {given.shape}")

    # -- storing ----------------------------------------------------------------------------------

    def store(self, samples: Any) -> Int:
        """Learn from samples; where constraints were given, check that the samples obey them.

        Parameters
        ----------
        samples : (N, n) array
            Patterns without corruption. More than the rank of them are needed before `recall`.

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
        x = _check.rows(samples, "samples")
        if self.width is not None:
            _check.same_width(x, "samples", self.width, "the memory has")
        _check.finite(x, "samples")
        first = self._count
        if self._fixed:
            self._obey(x)
            self._count += len(x)
        elif len(x):
            self._add(lambda moment: moment.update(x), len(x), x.shape[1])
        return np.arange(first, first + len(x), dtype=np.int64)

    def _obey(self, samples: Array) -> None:
        x = samples.astype(np.float64)
        broken = np.linalg.norm(self._syndromes(x), axis=1)
        bad = np.flatnonzero(broken > self.tol * np.linalg.norm(x, axis=1))
        if len(bad):
            raise ValueError(
                f"samples row {bad[0]} breaks the constraints by {broken[bad[0]]:.3g}, "
                f"its norm is {np.linalg.norm(x[bad[0]]):.3g}"
            )

    def _add(self, update: Callable[[SecondMoment], object], count: int, n: int) -> None:
        """Add samples, unless what then is known leaves no null space."""
        before, after = self._count, self._count + count
        moment, learned = self._moment, None
        if after >= n and (before < n or after.bit_length() > before.bit_length()):
            # Looked at before anything is kept.
            moment = copy.deepcopy(moment)
            update(moment)
            learned = self._look(moment)
        else:
            update(moment)
        self._moment, self._count, self._learned = moment, after, learned

    def merge(self, other: SparseRecoveryMemory) -> SparseRecoveryMemory:
        """Add what another memory learned, in place; the same as storing its samples here.

        Returns
        -------
        SparseRecoveryMemory
            This memory.
        """
        if not isinstance(other, SparseRecoveryMemory):
            raise TypeError(f"other must be a SparseRecoveryMemory, got {type(other).__name__}")
        if self._fixed or other._fixed:
            if not (self._fixed and other._fixed and np.array_equal(self._dense(), other._dense())):
                raise ValueError("memories with given constraints merge if these are the same")
            self._count += other._count
        elif other.width is not None:
            if self.width is not None and self.width != other.width:
                raise ValueError(f"other has {other.width} columns, the memory {self.width}")
            theirs = other._moment
            self._add(lambda moment: moment.merge(theirs), other._count, other.width)
        return self

    @property
    def _fixed(self) -> bool:
        return self._given is not None or self._sparse is not None

    def _dense(self) -> Float:
        if self._sparse is not None:
            return self._sparse.dense()
        assert self._given is not None
        return self._given

    # -- what was learned -------------------------------------------------------------------------

    def _known(self) -> _Learned:
        """Return the constraints, learned anew where samples were added since, or say why not."""
        if self._learned is None:
            if self._fixed:
                self._learned = _Learned.of_constraints(self._dense())
            elif self._count == 0:
                raise ValueError("the memory is empty; store samples first")
            else:
                self._learned = self._look(self._moment)
        return self._learned

    def _look(self, moment: SecondMoment) -> _Learned:
        return _Learned.of_moment(moment, self._given_rank, self.rank_tol)

    @property
    def constraints(self) -> Float:
        """Orthonormal constraints A (m, n) with A x = 0 for every pattern, read-only.

        Raises
        ------
        ValueError
            If the samples have no null space, or each of them added a dimension so far.
        """
        return np.asarray(_check.frozen(self._known().constraints))

    @property
    def basis(self) -> Float:
        """Orthonormal basis (n, r) of the patterns, read-only."""
        return np.asarray(_check.frozen(self._known().basis))

    @property
    def rank(self) -> int:
        """Dimension r of the patterns."""
        return int(self._known().basis.shape[1])

    @property
    def spectrum(self) -> Float:
        """Singular values of the samples / sqrt(N), (n,), largest first, read-only.

        Of given constraints, 1 for what they leave free and 0 for what they fix.
        """
        return np.asarray(_check.frozen(self._known().spectrum))

    @property
    def spectral_gap(self) -> float:
        """Ratio of the singular values on both sides of the rank.

        Infinite where the smaller is 0. Samples in float64 show up to about 1e7, since the second
        moment resolves no more; noise or a rank still growing show as a small gap.
        """
        values, r = self._known().spectrum, self.rank
        return float(values[r - 1] / values[r]) if values[r] > 0 else float("inf")

    @property
    def width(self) -> int | None:
        """Columns n of the patterns, None before anything is known of them."""
        if self._sparse is not None:
            return self._sparse.width
        return self._moment.d if self._given is None else int(self._given.shape[1])

    def project(self, patterns: Any) -> Array:
        """Return the nearest patterns that obey the constraints, (N, n) or (n,)."""
        x, single = self._cues(patterns, "patterns")
        if self._sparse is not None:
            near = self._sparse.project(x)
        else:
            a = self._known().constraints
            near = x - (x @ a.T) @ a
        out = near.astype(_check.compute_type(_check.array(patterns, "patterns")))
        return out[0] if single else out

    # -- recalling --------------------------------------------------------------------------------

    def _cues(self, given: Any, name: str) -> tuple[Float, bool]:
        if not self._fixed:
            self._known()
        cues, single = _check.cues(given, name)
        width = self.width
        assert width is not None
        _check.same_width(cues, name, width, "the memory has")
        _check.finite(cues, name)
        return cues.astype(np.float64, copy=False), single

    def recall(self, cues: Any, *, details: bool = False, threads: int | None = None) -> Any:
        """Correct cues in which some coordinates are wrong.

        Parameters
        ----------
        cues : (Q, n) or (n,) array
        details : bool, default False
            Whether to return a `Recovery`.
        threads : int, optional
            For "expander", which decodes cues in parallel. None means the setting.

        Returns
        -------
        (Q, n) or (n,) array, or Recovery
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
        y, single = self._cues(cues, "cues")
        dtype = _check.compute_type(_check.array(cues, "cues"))
        # By powers of two, so that nothing rounds: decoders see numbers near 1.
        unit = np.ldexp(1.0, np.frexp(np.abs(y).max(axis=1, initial=0.0))[1] - 1)[:, None]
        y = y / unit
        if self._sparse is not None:
            error = self._sparse.peel(y, self.tol, n_threads)
        else:
            error = self._decode(y)
        state = ((y - error) * unit).astype(dtype)
        if not details:
            return state[0] if single else state
        residual = np.linalg.norm(self._syndromes(y - error), axis=1)
        reproduced = residual <= self.tol * np.linalg.norm(y, axis=1)
        residual, error = residual * unit[:, 0], error * unit
        n_errors = (error != 0).sum(axis=1).astype(np.int64)
        certified = np.array(
            [
                ok and self._alone(np.flatnonzero(e))
                for ok, e in zip(reproduced, error, strict=True)
            ],
            dtype=bool,
        )
        fields = [state, error.astype(dtype), residual, certified, n_errors]
        return Recovery(*(field[0] for field in fields)) if single else Recovery(*fields)

    def _syndromes(self, y: Float) -> Float:
        if self._sparse is not None:
            return self._sparse.syndromes(y)
        return np.asarray(y @ self._known().constraints.T)

    def _decode(self, y: Float) -> Float:
        a = self._known().constraints
        decode = DECODERS[self.decoder]
        error = np.zeros_like(y)
        for e, row in zip(error, y, strict=True):
            s, tolerance = a @ row, self.tol * float(np.linalg.norm(row))
            if np.linalg.norm(s) > tolerance:
                e[:] = polished(a, s, decode(a, s, tolerance), tolerance)
        return error

    def _alone(self, support: Array) -> bool:
        """Conditions 2 and 3 of the certificate."""
        if self._sparse is not None:
            return 2 * len(support) <= self._sparse.n_checks and self._sparse.stands_alone(support)
        a = self._known().constraints
        others = np.setdiff1d(np.arange(a.shape[1]), support)
        return 2 * len(support) <= len(a) and stands_alone(a, support, others)

    def __copy__(self) -> SparseRecoveryMemory:
        """Copy the sums too: two memories must not learn into one."""
        return copy.deepcopy(self)

    def __len__(self) -> int:
        """Count the samples stored."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of the second moment and of the constraints."""
        held: list[Any] = [self._moment, self._given, self._sparse]
        if self._learned is not None:
            held += [self._learned.constraints, self._learned.basis]
        return sum(int(x.nbytes) for x in held if x is not None)

    def __repr__(self) -> str:
        """Say what is known of the patterns."""
        text = f"{type(self).__name__}({self.decoder!r}"
        if self.width is None:
            return f"<{text}): empty>"
        text += f"): {self._count} samples of {self.width} columns"
        if self._sparse is not None:
            return f"<{text}, {self._sparse.n_checks} sparse constraints>"
        if self._learned is not None:
            text += f", rank {self.rank}, {self.width - self.rank} constraints"
        return f"<{text}>"


@dataclass(frozen=True)
class _Learned:
    """Constraints and what they leave free."""

    constraints: Float
    basis: Float
    spectrum: Float

    @classmethod
    def of_moment(cls, moment: SecondMoment, rank: int | None, tolerance: float) -> _Learned:
        """Split the columns' space by the eigenvalues of a second moment."""
        count, second = moment.count, moment.second / moment.count
        if not np.isfinite(second).all():
            raise ValueError("squares of the samples leave the range of float64; scale them")
        values, vectors = np.linalg.eigh(second)
        n = len(values)
        # What rounding leaves of zero is not resolved any further.
        floor = np.sqrt(n * np.finfo(np.float64).eps)
        spectrum = np.sqrt(np.maximum(values[::-1], 0.0))
        top = float(spectrum[0])
        if top == 0:
            raise ValueError(f"the {count} samples are all zero; there is nothing to learn")
        shown = np.maximum(spectrum, floor * top)
        if rank is not None and rank >= n:
            raise ValueError(f"rank={rank} leaves no null space in {n} columns")
        if rank is None:
            rank = int((spectrum > max(tolerance, floor) * top).sum())
        if rank >= n:
            steps = shown[:-1] / shown[1:]
            best = int(steps.argmax()) + 1 if n > 1 else 0
            raise ValueError(
                f"the {count} samples have no null space: all {n} singular values are above "
                f"{tolerance:.1g} of the largest, the smallest is {shown[-1] / top:.2g} of it, the "
                f"largest gap is {float(steps.max(initial=1.0)):.3g} after {best}; raise rank_tol "
                f"or give rank if that gap is the rank and the rest is noise"
            )
        if count <= rank:
            raise ValueError(
                f"the rank is still growing: {count} samples span {min(count, rank)} dimensions, "
                f"so every one added a dimension; store more than the rank of the patterns"
            )
        gap = shown[rank - 1] / shown[rank]
        if gap < CLEAR_GAP:
            warnings.warn(
                f"no clear gap in the spectrum: singular values {rank} and {rank + 1} of the "
                f"samples differ by a factor of {gap:.3g} only, so the rank is uncertain",
                UserWarning,
                stacklevel=2,
            )
        vectors = vectors[:, ::-1]
        free, fixed = vectors[:, :rank], vectors[:, rank:]
        return cls(np.ascontiguousarray(fixed.T), np.ascontiguousarray(free), shown)

    @classmethod
    def of_constraints(cls, given: Float) -> _Learned:
        """Take an orthonormal basis of the rows, which may depend on one another."""
        _, size, vt = np.linalg.svd(given, full_matrices=True)
        m = int((size > 1e-10 * size[0]).sum())
        n = given.shape[1]
        if m == n:
            raise ValueError(f"the constraints have rank {n}: they leave no pattern but zero")
        spectrum = np.concatenate([np.ones(n - m), np.zeros(m)])
        return cls(np.ascontiguousarray(vt[:m]), np.ascontiguousarray(vt[m:].T), spectrum)
