"""Sparse constraints: a matrix by columns, random ones, and what the engine peels off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check
from amfast._engine.peeling import Matrix, peel, products
from amfast._typing import Array, Bytes, Float, Int
from amfast.memories.recovery.decoders import bregman, polished, stands_alone

# Conjugate gradients for the projection stop at this share of the first residual.
_SOLVED = 1e-14
_MAX_STEPS = 1000
# Share of nonzero entries up to which a matrix is called sparse.
_SPARSE = 0.5
# Numbers of one tile of rows.
_TILE = 1 << 20


@dataclass(frozen=True, eq=False)
class Columns:
    """A sparse matrix by columns: ``checks[starts[j]:starts[j + 1]]`` are the rows of column j."""

    n_checks: int
    starts: Int
    checks: Int
    entries: Float

    @classmethod
    def of(cls, given: Any) -> Columns:
        """Read a dense or SciPy sparse matrix, rows at a common scale; or take one that was."""
        if isinstance(given, Columns):
            return given
        if hasattr(given, "tocsc"):
            sparse = given.tocsc(copy=True)
            sparse.sum_duplicates()
            sparse.eliminate_zeros()
            entries, shape = sparse.data, sparse.shape
            starts, checks = sparse.indptr.astype(np.int64), sparse.indices
        else:
            dense = _check.rows(given, "constraints", "m")
            columns, checks = np.nonzero(dense.T)
            entries, shape = dense.T[columns, checks], dense.shape
            starts = np.searchsorted(columns, np.arange(shape[1] + 1)).astype(np.int64)
        bare = np.flatnonzero(np.diff(starts) == 0)
        if len(bare) or shape[1] == 0:
            which = f"column {bare[0]} has none" if len(bare) else "there are no columns"
            raise ValueError(f"every coordinate needs a constraint to be corrected by; {which}")
        entries = _check.rows(np.asarray(entries)[None], "constraints")[0]
        if not np.isfinite(entries).all():
            raise ValueError("constraints have a NaN or infinite entry")
        if len(checks) > _SPARSE * shape[0] * shape[1]:
            raise ValueError(
                f"constraints must be sparse for decoder='expander', at most half of them nonzero; "
                f"got {len(checks)} of {shape[0]} x {shape[1]}; 'bregman' takes dense ones"
            )
        entries = entries.astype(np.float64)
        # What is small is so beside the largest entry of a row, which is 1 to 2 from here on. A
        # constraint holds at any scale, and powers of two round nothing.
        largest = np.zeros(shape[0])
        np.maximum.at(largest, checks, np.abs(entries))
        entries = np.ldexp(entries, 1 - np.frexp(largest)[1][checks])
        return cls(int(shape[0]), starts, checks.astype(np.int64), entries)

    def __eq__(self, other: object) -> bool:
        """Whether the other is the same matrix."""
        return (
            isinstance(other, Columns)
            and self.n_checks == other.n_checks
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.checks, other.checks)
            and np.array_equal(self.entries, other.entries)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Say how large the matrix is."""
        return f"<{self.n_checks} sparse constraints of {self.width} columns>"

    @classmethod
    def restored(cls, n_checks: int, arrays: dict[str, Array]) -> Columns:
        """Return what `arrays` gave. ValueError if it is no such matrix."""
        starts, checks = arrays["starts"], arrays["checks"]
        fits = (
            starts.dtype == checks.dtype == np.int64
            and starts.ndim == checks.ndim == 1
            and len(starts) > 1
            and starts[0] == 0
            and starts[-1] == len(checks)
            and (np.diff(starts) > 0).all()
            and 0 <= checks.min() <= checks.max() < n_checks
        )
        if not fits:
            raise ValueError(f"starts and checks are no sparse matrix of {n_checks} rows")
        entries = arrays.get("entries", np.ones(len(checks)))
        fits = entries.dtype == np.float64 and entries.shape == checks.shape
        if not fits or not np.isfinite(entries).all() or not entries.all():
            raise ValueError(f"entries are not {len(checks)} finite numbers other than 0")
        return cls(n_checks, starts, checks, entries)

    def arrays(self) -> dict[str, Array]:
        """Return what `restored` makes the same matrix of; entries are left out if all are 1."""
        found: dict[str, Array] = {"starts": self.starts, "checks": self.checks}
        return found if (self.entries == 1).all() else found | {"entries": self.entries}

    @property
    def width(self) -> int:
        """Columns n."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the indices and entries."""
        return self.starts.nbytes + self.checks.nbytes + self.entries.nbytes

    def dense(self) -> Float:
        """Return the matrix itself, (m, n)."""
        shape = (self.n_checks, self.width)
        out = _check.empty(shape, np.dtype(np.float64), "constraints")
        out[...] = 0.0
        out[self.checks, self._owner()] = self.entries
        return out

    def _owner(self) -> Int:
        return np.repeat(np.arange(self.width), np.diff(self.starts))

    @property
    def _matrix(self) -> Matrix:
        return self.starts, self.checks, self.entries, self.n_checks

    def syndromes(self, y: Float, threads: int) -> Float:
        """Return what the constraints give on rows, (Q, m)."""
        return products(y, self._matrix, threads)

    def _transposed(self, z: Float, threads: int) -> Float:
        return products(z, self._matrix, threads, back=True)

    def project(self, y: Float, threads: int) -> Float:
        """Return rows (Q, n) less what of them lies in the span of the constraints' rows.

        That part is A^T z with A A^T z = A y, solved by conjugate gradients from 0, which also
        works where the constraints depend on one another.
        """
        residual = self.syndromes(y, threads)
        z, direction, size = np.zeros_like(residual), residual.copy(), (residual**2).sum(axis=1)
        enough = _SOLVED**2 * size
        for _ in range(_MAX_STEPS):
            rows = np.flatnonzero(size > enough)
            if len(rows) == 0:
                break
            ahead, before = direction[rows], size[rows]
            moved = self.syndromes(self._transposed(ahead, threads), threads)
            step = (before / (ahead * moved).sum(axis=1))[:, None]
            z[rows] += step * ahead
            residual[rows] -= step * moved
            size[rows] = (residual[rows] ** 2).sum(axis=1)
            direction[rows] = residual[rows] + (size[rows] / before)[:, None] * ahead
        return np.asarray(y - self._transposed(z, threads))

    def peel(self, y: Float, tolerance: float, threads: int) -> Float:
        """Find errors by the engine; gaps up to ``tolerance`` times the largest entry are 0."""
        zero = tolerance * np.abs(y).max(axis=1, initial=0.0)
        return peel(y, self._matrix, zero, threads)

    def least(self, y: Float, tolerance: Float, threads: int) -> Float:
        """Find errors of the least sum of magnitudes (Q, n), for rows that do not peel.

        A row that is not solved stays 0.
        """
        error = np.zeros_like(y)
        size = np.abs(self.entries)
        most = np.bincount(self.checks, size).max() * np.add.reduceat(size, self.starts[:-1]).max()
        bound = float(most)  # the largest sums of a row and of a column, for any matrix
        step = max(1, _TILE // self.width)

        def forward(e: Float) -> Float:
            return self.syndromes(e, threads)

        def back(z: Float) -> Float:
            return self._transposed(z, threads)

        for start in range(0, len(y), step):
            rows = slice(start, start + step)
            s = forward(y[rows])
            near = bregman(s, forward, back, bound, tolerance[rows] / 10)
            for e, right, found, most in zip(error[rows], s, near, tolerance[rows], strict=True):
                found = polished(self._columns, right, found, most)
                if np.linalg.norm(forward(found[None])[0] - right) <= most:
                    e[:] = found
        return error

    def _columns(self, some: Array) -> Float:
        """Return some columns, dense (m, k)."""
        out = np.zeros((self.n_checks, len(some)))
        for column, j in zip(out.T, some, strict=True):
            own = slice(self.starts[j], self.starts[j + 1])
            column[self.checks[own]] = self.entries[own]
        return out

    def stands_alone(self, support: Array) -> bool:
        """Ask `_decoders.stands_alone` about the few rows and columns that can matter."""
        hit = np.zeros(self.n_checks, bool)
        owner = self._owner()
        inside = np.zeros(self.width, bool)
        inside[support] = True
        hit[self.checks[inside[owner]]] = True
        # A column with a one where no column of the support has any is not in their span.
        covered = np.logical_and.reduceat(hit[self.checks], self.starts[:-1]) & ~inside
        others = np.flatnonzero(covered)
        rows = np.flatnonzero(hit)
        place = np.zeros(self.n_checks, np.int64)
        place[rows] = np.arange(len(rows))
        chosen = np.concatenate([support, others]).astype(np.int64)
        a = np.zeros((len(rows), len(chosen)))
        for column, j in zip(a.T, chosen, strict=True):
            own = slice(self.starts[j], self.starts[j + 1])
            column[place[self.checks[own]]] = self.entries[own]
        k = len(support)
        return stands_alone(a, np.arange(k), np.arange(k, len(chosen)))


def expander(n: int, m: int, *, degree: int = 6, seed: int = 0) -> Bytes:
    """Make a random sparse constraint matrix for ``SparseRecoveryMemory("expander")``.

    Every column has ``degree`` ones in rows drawn at random; with high probability it is the graph
    of an expander. The patterns it allows are its null space, see `SparseRecoveryMemory.project`.

    Parameters
    ----------
    n : int
        Columns, the width of the patterns.
    m : int
        Rows, the number of constraints, >= degree.
    degree : int, default 6
        Ones per column.
    seed : int, default 0
        The same seed gives the same matrix on every platform.

    Returns
    -------
    (m, n) uint8 array

    Examples
    --------
    >>> from amfast.memories.recovery.memory import expander
    >>> expander(8, 6, degree=3).sum(axis=0)
    array([3, 3, 3, 3, 3, 3, 3, 3], dtype=uint64)
    """
    n = _check.integer(n, "n", 1)
    degree = _check.integer(degree, "degree", 1)
    m = _check.integer(m, "m", degree)
    words = np.random.PCG64(_check.integer(seed, "seed", 0)).random_raw
    out = _check.empty((m, n), np.dtype(np.uint8), "constraints")
    out[...] = 0
    for column in out.T:
        left = degree
        while left:
            row = int(words()) % m
            left -= int(column[row] == 0)
            column[row] = 1
    return out
