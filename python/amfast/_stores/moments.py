"""The first two moments of a stream of patterns: what every memory in matrix form is made of."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from amfast import _check
from amfast._engine.summing import CHUNK, numbers, patterns, signed_weights, total
from amfast._threads import resolve_threads
from amfast._typing import Array, Float
from amfast.bits import BitMatrix


class SecondMoment:
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
    numbers below 2^53 are exact. The buffer takes 256 d numbers, the sums d (d + 1).

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
        self._second: Float | None = None
        self._first: Float | None = None
        self._weight = 0.0
        self._count = 0
        self._rows: Array | None = None
        self._row_weights = np.ones(CHUNK)
        self._buffered = 0
        if d is not None:
            self._start(_check.integer(d, "d", 1))

    def _start(self, d: int) -> tuple[Float, Float]:
        if self._second is None or self._first is None:
            second = _check.empty((d, d), np.dtype(np.float64), "second moments")
            second[...] = 0
            self._second, self._first = second, np.zeros((1, d))
        return self._second, self._first

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
            For shapes that do not match, and NaN or infinity, naming the row; nothing is added.
        TypeError
            For element types that are no real numbers.
        """
        n_threads = resolve_threads(threads)
        x = patterns(X, "X", single=True)
        if weights is not None and np.ndim(weights) == 0 and len(x) == 1:
            weights = np.reshape(weights, 1)
        w = None if weights is None else signed_weights(weights, len(x))
        if isinstance(x, np.ndarray):
            _check.finite(x, "X")
        if self.d is not None and self.d != x.shape[1]:
            raise ValueError(f"X have {x.shape[1]} columns, the moment has {self.d}")
        second, first = self._start(x.shape[1])
        self._count += len(x)
        self._weight += float(len(x) if w is None else w.sum())
        if len(x) < CHUNK:
            self._collect(numbers(x), w, n_threads)
        else:
            _add(x, w, second, first, n_threads)
        return self

    def _collect(self, x: Array, w: Float | None, threads: int) -> None:
        kind = np.float64 if x.dtype == np.float64 else np.float32
        if self._rows is None or self._rows.dtype != np.promote_types(self._rows.dtype, kind):
            self._flush(threads)
            self._rows = _check.empty((CHUNK, x.shape[1]), np.dtype(kind), "buffered patterns")
        if self._buffered + len(x) > CHUNK:
            self._flush(threads)
        place = slice(self._buffered, self._buffered + len(x))
        self._rows[place] = x
        self._row_weights[place] = 1.0 if w is None else w
        self._buffered += len(x)

    def _flush(self, threads: int) -> None:
        """Add what is buffered."""
        if self._buffered and self._rows is not None:
            x, w = self._rows[: self._buffered], self._row_weights[: self._buffered]
            second, first = self._start(x.shape[1])
            self._buffered = 0
            _add(x, None if (w == 1).all() else w, second, first, threads)

    def merge(self, other: SecondMoment) -> SecondMoment:
        """Add the sums of another, which stays as it is, and return this one."""
        if not isinstance(other, SecondMoment):
            raise TypeError(f"a SecondMoment merges another, got {type(other).__name__}")
        if other._second is None:
            return self
        d = other._second.shape[0]
        if self._second is not None and self._second.shape[0] != d:
            raise ValueError(f"the other has {d} entries per pattern, this has {self.d}")
        theirs, their_first = other._sums()
        self._start(d)
        second, first = self._sums()
        second += theirs
        first += their_first
        self._weight += other._weight
        self._count += other._count
        return self

    def scale(self, factor: float) -> SecondMoment:
        """Multiply all weights so far, which is how old patterns fade, and return itself."""
        factor = _check.number(factor, "factor")
        if self._second is not None:
            second, first = self._sums()
            second *= factor
            first *= factor
            self._weight *= factor
        return self

    def _sums(self) -> tuple[Float, Float]:
        if self._second is None or self._first is None:
            raise ValueError("the moment is empty: update it with patterns first")
        self._flush(resolve_threads(None))
        return self._second, self._first

    # -- what was summed ----------------------------------------------------------------------

    @property
    def d(self) -> int | None:
        """Entries per pattern; None before the first."""
        return None if self._second is None else int(self._second.shape[0])

    @property
    def count(self) -> int:
        """How many patterns were added, whatever their weights."""
        return self._count

    @property
    def weight(self) -> float:
        """``s = sum w``."""
        return self._weight

    @property
    def first(self) -> Float:
        """``sum w x``, (d,): a read-only view, which later updates change."""
        return np.asarray(_check.frozen(self._sums()[1])[0])

    @property
    def second(self) -> Float:
        """``S = sum w x x^T``, (d, d), exactly symmetric: a view like `first`."""
        return _check.frozen(self._sums()[0])

    @property
    def nbytes(self) -> int:
        """Bytes held, the buffer included."""
        held = (self._second, self._first, self._rows, self._row_weights)
        return sum(x.nbytes for x in held if x is not None)

    # -- what it is for -----------------------------------------------------------------------

    def _divisor(self) -> float:
        self._sums()
        if not self._weight > 0:
            raise ValueError(f"weights sum to {self._weight:g}; a mean needs more than 0")
        return self._weight

    @property
    def mean(self) -> Float:
        """``m / s``, (d,). ValueError if the weights do not sum to more than 0."""
        return np.asarray(self.first / self._divisor())

    @property
    def hebb(self) -> Float:
        """Hebb's rule ``S / s``, (d, d). Its capacity with bipolar patterns is 0.138 d."""
        return np.asarray(self.second / self._divisor())

    @property
    def centred(self) -> Float:
        """Hebb's rule for deviations from the mean, ``S / s - m m^T / s^2``, (d, d).

        The covariance of the patterns. It keeps patterns that share a mean (non-negative features,
        sparse bits) from all being pulled to that mean. Where the mean is much larger than the
        deviations, digits are lost: subtract a rough mean from the patterns first.
        """
        mean = self.mean
        return np.asarray(self.hebb - mean[:, None] * mean)

    def projection(self, rtol: float | None = None) -> Float:
        """Orthogonal projection onto the span of the patterns, (d, d): ``pinv(X) X``.

        The projection (pseudo-inverse) rule: up to d linearly independent patterns are its fixed
        points (Kanter & Sompolinsky 1987).

        Parameters
        ----------
        rtol : float, optional
            Eigenvalues of S up to ``rtol`` times the largest count as zero. None means d times
            the spacing of float64 numbers at 1.

        Raises
        ------
        ValueError
            If an eigenvalue is clearly negative, which only negative weights can do.
        """
        values, vectors = np.linalg.eigh(self._sums()[0])
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
        return self._count

    def __copy__(self) -> SecondMoment:
        """Copy the sums and the buffer too: two moments must not add into one."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        """Say what was summed."""
        size = "" if self.d is None else f" of {self.d} entries"
        return f"<SecondMoment: {self._count} patterns{size}, total weight {self._weight:g}>"


def _add(x: Array | BitMatrix, w: Float | None, second: Float, first: Float, threads: int) -> None:
    """Add both sums; the first is an outer product with ones."""
    ones = np.ones((len(x), 1), np.int8)
    total(x, None, w, second, True, threads, double=True)
    total(x, ones, w, first, True, threads, double=True)
