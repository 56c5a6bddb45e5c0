"""What a sparse-recovery memory keeps: a second moment, and the constraints that it leaves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._stores.items import Batch
from amfast._stores.matrix import interruptible
from amfast._stores.moments import Moments
from amfast._threads import get_num_threads
from amfast._typing import Array, Float, Int
from amfast.memories.recovery.expander import Columns
from amfast.memories.recovery.sparse import most_entries, sparsest

# Below this ratio the singular values on both sides of the rank are not clearly apart.
CLEAR_GAP = 10.0
# What rounding may leave of a sparse vector outside the null space.
_RESOLVED = 1e-6
# Singular values of noise, as a share of the least of the samples, times this bound its angle.
_TURNED = 10.0


@dataclass(frozen=True)
class Learned:
    """Constraints and what they leave free."""

    constraints: Float
    basis: Float
    spectrum: Float

    @classmethod
    def of_moment(cls, moment: Moments, rank: int | None, tolerance: float) -> Learned:
        """Split the columns' space by the eigenvalues of a second moment."""
        count, second = moment.count, moment.second / moment.count
        if not np.isfinite(second).all():
            raise ValueError("squares of the samples leave the range of float64; scale them")
        values, vectors = interruptible(np.linalg.eigh, second)
        n = len(values)
        # What rounding leaves of zero is not resolved any further.
        floor = np.sqrt(n * np.finfo(np.float64).eps)
        spectrum = np.sqrt(np.maximum(values[::-1], 0.0))
        top = float(spectrum[0])
        if top < _check.MIN_SQUARED:
            raise ValueError(
                f"the {count} samples are all zero, or too small to be squared; there is nothing "
                f"to learn"
            )
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
    def of_constraints(cls, given: Float) -> Learned:
        """Take an orthonormal basis of the rows, which may depend on one another."""
        _, size, vt = interruptible(np.linalg.svd, given)
        m = int((size > 1e-10 * size[0]).sum())
        n = given.shape[1]
        if m == n:
            raise ValueError(f"the constraints have rank {n}: they leave no pattern but zero")
        spectrum = np.concatenate([np.ones(n - m), np.zeros(m)])
        return cls(np.ascontiguousarray(vt[:m]), np.ascontiguousarray(vt[m:].T), spectrum)

    @property
    def nbytes(self) -> int:
        """Bytes of both bases."""
        return self.constraints.nbytes + self.basis.nbytes


class Samples(NamedTuple):
    """What is known of the samples; it is replaced as a whole."""

    n: int = 0
    """How many."""
    moments: Moments | None = None
    """None before the first sample, and where constraints were given."""
    learned: Learned | None = None
    """What was learned on the way; None says nothing."""


class SampleStore:
    """Samples that are added up, or only counted where constraints were given.

    Parameters
    ----------
    given : Columns or (m, n) array, optional
        Constraints that are known.
    rank : int, optional
    rank_tol : float
        As `SparseRecoveryMemory` takes them.
    sparse : bool
        Whether `columns` are to be learned.
    """

    now: Samples

    def __init__(
        self, given: Columns | Float | None, rank: int | None, rank_tol: float, sparse: bool = False
    ) -> None:
        self.given, self.rank, self.rank_tol, self.sparse = given, rank, rank_tol, sparse
        self.now = Samples()
        self._derived: tuple[Samples, Learned] | None = None
        self._found: tuple[Samples, Columns] | None = None

    @property
    def width(self) -> int | None:
        """Columns of the samples, None before anything is known of them."""
        if isinstance(self.given, Columns):
            return self.given.width
        if self.given is not None:
            return int(self.given.shape[1])
        moments = self.now.moments
        return None if moments is None else moments.width

    def learn_anew(self, rank_tol: float) -> None:
        """Take another tolerance, by which what was learned need not hold any more."""
        self.now = self.now._replace(learned=None)
        self.rank_tol = rank_tol

    def append(self, batch: Batch) -> Int:
        """Add checked samples, unless what then is known leaves no null space."""
        x = batch.keys
        now = self.now
        if self.given is not None:
            after = now._replace(n=now.n + len(x))
        else:
            moments = now.moments or Moments.zeros(x.shape[1])
            after = self._looked(now, moments.plus(x, None, get_num_threads()))
        self.now = after
        return np.arange(now.n, after.n, dtype=np.int64)

    def merge(self, other: SampleStore) -> None:
        """Add what another store of the same width and constraints adds up."""
        now, theirs = self.now, other.now
        if self.given is not None:
            self.now = now._replace(n=now.n + theirs.n)
        elif theirs.moments is not None:
            moments = now.moments or Moments.zeros(theirs.moments.width)
            self.now = self._looked(now, moments.merged(theirs.moments, get_num_threads()))

    def _looked(self, before: Samples, moments: Moments) -> Samples:
        """Look for the null space when it first can be there, and whenever samples have doubled."""
        n, count = moments.width, moments.count
        doubled = count.bit_length() > before.n.bit_length()
        learned = None
        if count >= n and (before.n < n or doubled):
            learned = Learned.of_moment(moments, self.rank, self.rank_tol)
        return Samples(count, moments, learned)

    def dense(self) -> Float:
        """Return the constraints that were given, (m, n)."""
        assert self.given is not None
        return self.given.dense() if isinstance(self.given, Columns) else self.given

    def learned(self) -> Learned | None:
        """Return what is known already."""
        now, derived = self.now, self._derived
        return derived[1] if derived is not None and derived[0] is now else now.learned

    def known(self) -> Learned:
        """Return the constraints, learned anew where samples were added since, or say why not."""
        now, known = self.now, self.learned()
        if known is None:
            if self.given is not None:
                known = Learned.of_constraints(self.dense())
            elif now.moments is None:
                raise ValueError("the memory is empty; store samples first")
            else:
                known = Learned.of_moment(now.moments, self.rank, self.rank_tol)
            self._derived = now, known
        return known

    def columns(self) -> Columns | None:
        """Return sparse constraints, given or learned, None where they are dense."""
        if not self.sparse:
            return self.given if isinstance(self.given, Columns) else None
        known, now, found = self.known(), self.now, self._found
        if found is None or found[0] is not now:
            found = self._found = now, self._sparsest(known, now.n)
        return found[1]

    def _sparsest(self, known: Learned, count: int) -> Columns:
        m, n = known.constraints.shape
        # How far noise has turned the space: no more than rank_tol allows, and mostly much less.
        spectrum = known.spectrum
        noise = _TURNED * spectrum[n - m] / spectrum[n - m - 1] if m < n else 0.0
        tolerance = max(min(self.rank_tol, noise), _RESOLVED)
        rows = sparsest(known.constraints, tolerance, get_num_threads())
        if len(rows) < m:
            raise ValueError(
                f"the null space of the {count} samples is not sparse: {m} constraints of at most "
                f"{most_entries(n, m)} of {n} entries were expected, {len(rows)} were found; "
                f"other decoders learn dense constraints"
            )
        entries = np.count_nonzero(rows)
        if 2 * entries > rows.size:
            raise ValueError(
                f"the null space of the {count} samples is not sparse: of {m} x {n} entries of its "
                f"lightest basis {entries} are nonzero; other decoders learn dense constraints"
            )
        free = np.flatnonzero(~rows.any(axis=0))
        if len(free):
            raise ValueError(
                f"no constraint that the {count} samples obey holds for column {free[0]}, so "
                f"nothing could correct it; leave it out, or take another decoder"
            )
        return Columns.of(rows)

    def __len__(self) -> int:
        """Count the samples."""
        return self.now.n

    @property
    def nbytes(self) -> int:
        """Bytes of the second moment and of the constraints."""
        found = None if self._found is None else self._found[1]
        held: list[Any] = [self.now.moments, self.given, self.learned(), found]
        return sum(int(x.nbytes) for x in held if x is not None)

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restore` makes the same store of: arrays, and numbers."""
        now = self.now
        if now.moments is None:
            return {}, {"count": now.n}
        arrays, moments = now.moments.arrays()
        meta: dict[str, Any] = {"count": now.n, "moments": moments}
        if self._found is not None and self._found[0] is now:
            meta["n_checks"] = self._found[1].n_checks
            arrays = arrays | self._found[1].arrays()
        return arrays, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; no array is copied."""
        moments = Moments.restore(arrays, meta["moments"]) if "moments" in meta else None
        n = int(meta["count"])
        if n < 0 or (moments is not None and n != moments.count):
            raise ValueError(f"a second moment of {meta['count']} samples has other sums")
        if moments is not None and self.given is not None:
            raise ValueError("samples are only counted where constraints were given")
        now = Samples(n, moments)
        found = None
        if moments is not None and "n_checks" in meta:
            found = now, Columns.restored(int(meta["n_checks"]), arrays)
            if not self.sparse or found[1].width != moments.width:
                raise ValueError(f"no sparse constraints on {moments.width} columns were learned")
        self.now, self._found = now, found

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what can be derived again."""
        return self.__dict__ | {"_derived": None}
