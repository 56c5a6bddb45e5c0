"""The first two moments of a stream of patterns: what every memory in matrix form is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._check.savable import Savable
from amfast._engine.scoring import numbers
from amfast._engine.summing import CHUNK
from amfast._stores.matrix import SAFE, Matrix, finite, interruptible, kept, reach_of, sum_of
from amfast._threads import get_num_threads, resolve_threads
from amfast._typing import Array, Float
from amfast.bits import BitMatrix, binary


class _Held(NamedTuple):
    """Two sums, and rows with their weights that are not in them yet."""

    second: Matrix
    first: Matrix
    waiting: tuple[tuple[Array, Float | None], ...] = ()
    n_waiting: int = 0


class Moments:
    """``sum w x x^T`` and ``sum w x``, a value as a `Matrix` is, of which the last rows may wait.

    To keep a row costs d numbers, to add it d * d: up to 256 rows wait until that many have come or
    until the sums are read. What was read then stands in the place of what waited, in the same
    value and by one assignment, so readers meet the one or the other, which are the same sum.
    """

    __slots__ = ("_held", "count", "reach", "weight")

    def __init__(
        self, held: _Held, count: int = 0, weight: float = 0.0, reach: float = 0.0
    ) -> None:
        self._held = held
        self.count, self.weight, self.reach = count, finite(weight), reach

    @classmethod
    def zeros(cls, d: int) -> Moments:
        """Return the moments of no rows of d entries; they are neutral."""
        return cls(_Held(Matrix.zeros(d, d), Matrix.zeros(1, d)))

    def plus(self, x: Array | BitMatrix, w: Float | None, threads: int) -> Moments:
        """Add checked rows (n, d). ValueError if a sum leaves the range of float64."""
        count, weight = self.count + len(x), self.weight + sum_of(w, len(x))
        load = reach_of(x, None, w)
        reach, held = self.reach + load, self._held
        if len(x) >= CHUNK or not reach <= SAFE:
            # What might not fit is added now: it is not whoever reads that must find out.
            held = held if reach <= SAFE else self._settled(threads)
            second, first = _added(held, x, w, load, threads)
            return Moments(held._replace(second=second, first=first), count, weight, reach)
        if held.n_waiting + len(x) > CHUNK:
            held = self._settled(threads)
        kind = np.float64 if isinstance(x, np.ndarray) and x.dtype == np.float64 else np.float32
        some = np.array(numbers(x), kind), None if w is None else w.copy()
        waiting, n = (*held.waiting, some), held.n_waiting + len(x)
        return Moments(_Held(held.second, held.first, waiting, n), count, weight, reach)

    def merged(self, other: Moments, threads: int, old: float = 1.0) -> Moments:
        """Add other moments of as many entries, before which every row here fades to ``old``."""
        mine, theirs = self._settled(threads), other._settled(threads)
        held = _Held(mine.second.merged(theirs.second, old), mine.first.merged(theirs.first, old))
        weight, reach = old * self.weight + other.weight, abs(old) * self.reach + other.reach
        return Moments(held, self.count + other.count, weight, reach)

    def faded(self, factor: float, threads: int) -> Moments:
        """Multiply every weight so far by a finite factor."""
        if factor == 1:
            return self
        held = self._settled(threads)
        held = _Held(held.second.faded(factor), held.first.faded(factor))
        return Moments(held, self.count, factor * self.weight, abs(factor) * self.reach)

    def _settled(self, threads: int) -> _Held:
        """Return the sums of all rows."""
        held = self._held
        if held.waiting:
            rows = np.concatenate([x for x, _ in held.waiting])
            w = None
            if any(given is not None for _, given in held.waiting):
                ones = (np.ones(len(x)) if given is None else given for x, given in held.waiting)
                w = np.concatenate(list(ones))
                w = None if (w == 1).all() else w
            held = _Held(*_added(held, rows, w, None, threads))
            self._held = held
        return held

    @property
    def second(self) -> Float:
        """``sum w x x^T`` (d, d), read-only."""
        return self._settled(get_num_threads()).second.total

    @property
    def first(self) -> Float:
        """``sum w x`` (d,), read-only."""
        return np.asarray(self._settled(get_num_threads()).first.total[0])

    @property
    def width(self) -> int:
        """Entries of a row."""
        return self._held.second.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the sums and of what waits."""
        held = self._held
        waiting = sum(x.nbytes + (0 if w is None else w.nbytes) for x, w in held.waiting)
        return held.second.nbytes + held.first.nbytes + waiting

    def arrays(self) -> tuple[dict[str, Array], dict[str, float | int]]:
        """Return what `restore` makes the same moments of: arrays, and numbers."""
        held = self._settled(get_num_threads())
        arrays = {"second": held.second.total, "first": held.first.total[0]}
        return arrays, {"weight": self.weight, "count": self.count}

    @classmethod
    def restore(cls, arrays: dict[str, Array], meta: dict[str, Any]) -> Moments:
        """Return the moments that `arrays` was taken from; no array is copied."""
        second = Matrix.restore({"total": arrays["second"]}, meta)
        d = second.shape[1]
        kept(second.total, "second", (d, d), np.dtype(np.float64))
        kept(arrays["first"], "first", (d,), np.dtype(np.float64))
        first = Matrix.restore({"total": arrays["first"][None]}, meta)
        reach = max(second.reach, first.reach)
        return cls(_Held(second, first), second.count, second.weight, reach)


def _added(
    held: _Held, x: Array | BitMatrix, w: Float | None, load: float | None, threads: int
) -> tuple[Matrix, Matrix]:
    """Add rows to both sums; the first is one of outer products with ones."""
    load = reach_of(x, None, w) if load is None else load
    second = held.second.plus(x, None, w, threads=threads, load=load)
    ones = np.ones((len(x), 1), np.int8)
    return second, held.first.plus(x, ones, w, threads=threads, load=load)


def row_weights(given: Any, n: int) -> Float | None:
    """Read one finite weight of any sign for each of n patterns; None means 1."""
    return None if given is None else _check.weights.signed(_check.vector(given, "weights", n), n)


def patterns(x: Any, name: str, single: bool = False) -> Array | BitMatrix:
    """Read patterns; bools become bits. One 1-d pattern is a row if asked."""
    if isinstance(x, BitMatrix):
        return x
    given = _check.read(x, name)
    if single and given.ndim == 1:
        given = given[None, :]
    return binary(given, name)[0] if given.dtype.kind == "b" else _check.rows(given, name)


class SecondMoment(Savable):
    """Running sums ``sum w x x^T``, ``sum w x``, ``sum w`` and a count, in float64.

    From these alone come Hebb's rule (`hebb`), the centred one (`centred`), the projection rule
    (`projection`) and, as directions of no variance, the constraints of a sparse-recovery memory.
    Two of them add up (`merge`), and an empty one is neutral, so streams, threads and machines can
    be summed separately.

    Parameters
    ----------
    d : int, optional
        Entries per pattern. None means those of the first update.

    Notes
    -----
    A single pattern costs d numbers to buffer, not d * d to update: 256 patterns are collected
    before the (d, d) sum is touched, or fewer when it is read. Products and sums are float64
    whatever the patterns are, so that directions of no variance come out as such; the sums of whole
    numbers below 2^53 are exact. The buffer takes 256 d numbers, the sums d (d + 1), and as much
    again while something is added: an error or Ctrl-C leaves the sums as they were.

    Any number of threads may read at a time, also beside one that adds.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> moment = am.SecondMoment()
    >>> moment.update([[1.0, 0.0], [0.0, 2.0]]).update([3.0, 1.0], weights=0.5)
    <SecondMoment: 3 patterns of 2 entries, total weight 2.5>
    >>> moment.second
    array([[5.5, 1.5],
           [1.5, 4.5]])
    >>> moment.mean
    array([1., 1.])
    """

    def __init__(self, d: int | None = None) -> None:
        self._sums: Moments | None = None
        if d is not None:
            self._sums = Moments.zeros(_check.integer(d, "d", 1))

    def update(self, X: Any, weights: Any = None, *, threads: int | None = None) -> SecondMoment:
        """Add patterns.

        Parameters
        ----------
        X : (N, d) or (d,) array, or BitMatrix
            Patterns, or one. Bits and bools count as -1 and +1.
        weights : (N,) array or number, optional
            Finite, of any sign: minus the weight takes a pattern out again. None means 1.
        threads : int, optional
            None means the setting. The sums have the same bits for any number.

        Returns
        -------
        SecondMoment
            Itself.

        Raises
        ------
        ValueError
            For shapes that do not match; NaN or infinity, naming the row; patterns with which a sum
            would leave the range of float64. Nothing is added then.
        TypeError
            For element types that are no real numbers.
        """
        n_threads = resolve_threads(threads)
        x = patterns(X, "X", single=True)
        if weights is not None and np.ndim(weights) == 0 and len(x) == 1:
            weights = np.reshape(weights, 1)
        w = row_weights(weights, len(x))
        if isinstance(x, np.ndarray):
            _check.finite(x, "X")
        if self.d is not None and self.d != x.shape[1]:
            raise ValueError(f"X have {x.shape[1]} columns, the moment has {self.d}")
        self._sums = (self._sums or Moments.zeros(x.shape[1])).plus(x, w, n_threads)
        return self

    def merge(self, other: SecondMoment) -> SecondMoment:
        """Add the sums of another.

        Parameters
        ----------
        other : SecondMoment
            Stays as it is.

        Returns
        -------
        SecondMoment
            Itself.

        Raises
        ------
        ValueError
            If patterns have other entries, or a sum would leave the range of float64; nothing is
            added then.
        """
        if not isinstance(other, SecondMoment):
            raise TypeError(f"a SecondMoment merges another, got {type(other).__name__}")
        theirs = other._sums
        if theirs is None:
            return self
        mine = self._sums or Moments.zeros(theirs.width)
        if mine.width != theirs.width:
            raise ValueError(
                f"the other has {theirs.width} entries per pattern, this has {mine.width}"
            )
        self._sums = mine.merged(theirs, get_num_threads())
        return self

    def scale(self, factor: float) -> SecondMoment:
        """Multiply all weights so far, which is how old patterns fade.

        Parameters
        ----------
        factor : float

        Returns
        -------
        SecondMoment
            Itself.

        Raises
        ------
        ValueError
            If a sum would leave the range of float64; nothing changes then.
        """
        factor = _check.number(factor, "factor")
        if self._sums is not None:
            self._sums = self._sums.faded(factor, get_num_threads())
        return self

    def _read(self) -> Moments:
        if self._sums is None:
            raise ValueError("the moment is empty: update it with patterns first")
        return self._sums

    # -- what was summed ----------------------------------------------------------------------

    @property
    def d(self) -> int | None:
        """Entries per pattern; None before the first."""
        return None if self._sums is None else self._sums.width

    @property
    def count(self) -> int:
        """How many patterns were added, whatever their weights."""
        return 0 if self._sums is None else self._sums.count

    @property
    def weight(self) -> float:
        """``s = sum w``."""
        return 0.0 if self._sums is None else self._sums.weight

    @property
    def first(self) -> Float:
        """``sum w x``, (d,), read-only. What is added later does not change it."""
        return np.asarray(_check.frozen(self._read().first))

    @property
    def second(self) -> Float:
        """``S = sum w x x^T``, (d, d), exactly symmetric; read-only as `first`."""
        return np.asarray(_check.frozen(self._read().second))

    @property
    def nbytes(self) -> int:
        """Bytes held, the buffer included."""
        return 0 if self._sums is None else self._sums.nbytes

    def arrays(self) -> tuple[dict[str, Array], dict[str, float | int]]:
        """Return what `restore` makes the same moment of.

        Returns
        -------
        arrays : dict
            ``second`` (d, d) and ``first`` (d,), read-only; none of a moment without d.
        meta : dict
            ``weight`` and ``count``.
        """
        return ({}, {}) if self._sums is None else self._sums.arrays()

    @classmethod
    def restore(cls, arrays: dict[str, Array], meta: dict[str, Any]) -> SecondMoment:
        """Return the moment that `arrays` was taken from; no array is copied.

        Parameters
        ----------
        arrays, meta : dict
            What `arrays` returned.

        Returns
        -------
        SecondMoment
        """
        moment = cls()
        moment._sums = Moments.restore(arrays, meta) if arrays else None
        return moment

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        arrays, meta = self.arrays()
        return meta, arrays

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> SecondMoment:
        return cls.restore(arrays, parts)

    # -- what it is for -----------------------------------------------------------------------

    @property
    def mean(self) -> Float:
        """``m / s``, (d,). ValueError if the weights do not sum to more than 0."""
        sums = self._read()
        return np.asarray(sums.first / _divisor(sums))

    @property
    def hebb(self) -> Float:
        """Hebb's rule ``S / s``, (d, d). Its capacity with bipolar patterns is 0.138 d."""
        sums = self._read()
        return np.asarray(sums.second / _divisor(sums))

    @property
    def centred(self) -> Float:
        """Hebb's rule for deviations from the mean, ``S / s - m m^T / s^2``, (d, d).

        The covariance of the patterns. It keeps patterns that share a mean (non-negative features,
        sparse bits) from all being pulled to that mean. Where the mean is much larger than the
        deviations, digits are lost: subtract a rough mean from the patterns first.
        """
        sums = self._read()
        mean = sums.first / _divisor(sums)
        return np.asarray(sums.second / sums.weight - mean[:, None] * mean)

    def projection(self, rtol: float | None = None) -> Float:
        """Orthogonal projection onto the span of the patterns, (d, d): ``pinv(X) X``.

        The projection (pseudo-inverse) rule: up to d linearly independent patterns are its fixed
        points (Kanter & Sompolinsky 1987).

        Parameters
        ----------
        rtol : float, optional
            Eigenvalues of S up to ``rtol`` times the largest count as zero. None means d times
            the spacing of float64 numbers at 1.

        Returns
        -------
        (d, d) float64 array

        Raises
        ------
        ValueError
            If an eigenvalue is clearly negative, which only negative weights can do.
        """
        values, vectors = interruptible(np.linalg.eigh, self._read().second)
        least = len(values) * np.finfo(np.float64).eps if rtol is None else rtol
        limit = _check.number(least, "rtol", 0.0) * float(np.abs(values).max())
        if values[0] < -limit:
            raise ValueError(
                f"the second moment has the eigenvalue {values[0]:g}: patterns were taken out that "
                f"had not been added, so there is no span to project onto"
            )
        span = vectors[:, values > limit]
        return np.asarray(span @ span.T)

    def __len__(self) -> int:
        """Count the patterns."""
        return self.count

    def __repr__(self) -> str:
        """Say what was summed."""
        size = "" if self.d is None else f" of {self.d} entries"
        return f"<SecondMoment: {self.count} patterns{size}, total weight {self.weight:g}>"


def _divisor(sums: Moments) -> float:
    """Return the sum of weights, which a mean is divided by."""
    if not sums.weight > 0:
        raise ValueError(f"weights sum to {sums.weight:g}; a mean needs more than 0")
    return sums.weight
