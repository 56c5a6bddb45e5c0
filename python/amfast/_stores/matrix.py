"""The sum that memories in matrix form keep: ``C = sum_i w_i y_i x_i^T``.

A `Matrix` is a value: adding rows, adding another one and letting it fade give a new one and leave
the old as it was. Who keeps one replaces it by a single assignment, so that an error or Ctrl-C
leaves the old sum or the new one, and whoever reads it meanwhile has one that does not change.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from amfast import _check
from amfast._beside import Ahead
from amfast._engine.summing import is_exact, largest, total
from amfast._typing import Array, Float
from amfast.bits import BitMatrix

_INT32 = 2**31 - 1
# Sums that may not exceed this cannot overflow, whatever was lost by rounding on the way.
SAFE = 1e300
_T = TypeVar("_T")
_TOO_LARGE = "sums of outer products leave the range of float64; scale the rows or their weights"


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """``C = sum_i w_i y_i x_i^T`` with what goes with it. One without rows is neutral."""

    total: Array
    """C (o, d), read-only: float64, or int32 while that holds it, see `zeros`."""
    weight: float = 0.0
    """``sum w``."""
    reach: float = 0.0
    """What no entry of C exceeds in magnitude, as no sum of ``w x`` or of ``w`` does."""
    count: int = 0
    """How many rows were added, whatever their weights."""

    @classmethod
    def zeros(cls, n_values: int, width: int, *, exact: bool = False) -> Matrix:
        """Return the sum of nothing.

        Parameters
        ----------
        n_values, width : int
            o and d.
        exact : bool
            Whether C is int32 to begin with. It stays int32 while rows are bits or bytes, weights
            are whole, and no entry can leave the type; then it becomes float64, whose sums of whole
            numbers are exact below 2^53.

        Raises
        ------
        MemoryError
            If C does not fit.
        """
        dtype = np.dtype(np.int32 if exact else np.float64)
        c = _check.empty((n_values, width), dtype, "the matrix")
        c[...] = 0
        return cls(_settled(c))

    def plus(
        self,
        x: Array | BitMatrix,
        y: Array | BitMatrix | None = None,
        w: Float | None = None,
        *,
        threads: int,
        old: float = 1.0,
        load: float | None = None,
    ) -> Matrix:
        """Add checked rows x (n, d) with values y (n, o), of which x itself is meant if None.

        Parameters
        ----------
        w : (n,), optional
            Finite weights of any sign; None means 1.
        old : float
            What is left of every row before: C is multiplied by it first.
        load : float, optional
            `reach_of` these rows, where it is known.

        Raises
        ------
        ValueError
            If a sum leaves the range of float64.
        """
        if len(x) == 0:
            return self.faded(old)
        reach = abs(old) * self.reach + (reach_of(x, y, w) if load is None else load)
        weight = old * self.weight + sum_of(w, len(x))
        dtype = self.total.dtype
        if not (old == 1 and reach <= _INT32 and _is_whole(x, y, w)):
            dtype = np.dtype(np.float64)
        with _summing(reach):
            if old == 1 and dtype == self.total.dtype:
                # One pass less than to copy C and to add in place.
                c = _check.empty(self.total.shape, dtype, "the matrix")
                total(x, y, w, c, False, threads, double=dtype == np.float64)
                np.add(self.total, c, out=c)
            else:
                c = self._times(old)
                total(x, y, w, c, True, threads, double=True)
        return Matrix(_settled(c, reach), finite(weight), reach, self.count + len(x))

    def merged(self, other: Matrix, old: float = 1.0) -> Matrix:
        """Add another sum of the same shape, before which every row here fades to ``old``.

        Raises
        ------
        ValueError
            If a sum leaves the range of float64.
        """
        reach = abs(old) * self.reach + other.reach
        dtype = np.promote_types(self.total.dtype, other.total.dtype)
        if reach > _INT32 or old != 1:
            dtype = np.dtype(np.float64)
        with _summing(reach):
            if old == 1:
                c = _check.empty(self.total.shape, dtype, "the matrix")
                np.add(self.total, other.total, out=c, dtype=dtype)
            else:
                c = self._times(old)
                c += other.total
        weight = finite(old * self.weight + other.weight)
        return Matrix(_settled(c, reach), weight, reach, self.count + other.count)

    def faded(self, factor: float) -> Matrix:
        """Multiply every weight so far by a finite factor. ValueError beyond float64."""
        if factor == 1:
            return self
        reach = abs(factor) * self.reach
        c = self._times(factor)
        return Matrix(_settled(c, reach), finite(factor * self.weight), reach, self.count)

    def _times(self, factor: float) -> Float:
        c = _check.empty(self.total.shape, np.dtype(np.float64), "the matrix")
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(self.total, factor, out=c, dtype=np.float64)
        return c

    def replaced(self, c: Float, weight: float, reach: float, count: int) -> Matrix:
        """Return a matrix of another rule of learning: C itself is given, no sum."""
        return Matrix(_settled(c, reach), finite(weight), reach, count)

    # -- as numbers -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """(o, d)."""
        return self.total.shape[0], self.total.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of C."""
        return self.total.nbytes

    def __len__(self) -> int:
        """Count the rows."""
        return self.count

    def arrays(self) -> tuple[dict[str, Array], dict[str, float | int]]:
        """Return what `restore` makes the same sum of: an array, and numbers."""
        return {"total": self.total}, {"weight": self.weight, "count": self.count}

    @classmethod
    def restore(cls, arrays: dict[str, Array], meta: dict[str, Any]) -> Matrix:
        """Return the sum that `arrays` was taken from; the array is not copied.

        ValueError if they cannot be a sum's.
        """
        total = arrays["total"]
        dtype = np.dtype(np.int32 if total.dtype == np.int32 else np.float64)
        kept(total, "total", (None, None), dtype)
        weight, count = float(meta["weight"]), float(meta["count"])
        if not (math.isfinite(weight) and count >= 0 and count == int(count)):
            raise ValueError(f"no sum has the weight {weight} of {count} rows")
        return cls(total, weight, max(abs(weight), largest(total)), int(count))


def kept(x: Array, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of a file if it is finite, of the type and the shape, None being any size."""
    fits = x.ndim == len(shape) and all(
        n > 0 and want in (None, n) for n, want in zip(x.shape, shape, strict=True)
    )
    if not fits or x.dtype != dtype:
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must be {dtype} ({wanted}), got {x.dtype} {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds a NaN or infinity")
    return x


def reach_of(x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None) -> float:
    """Return what sums of ``w y x``, ``w x`` and ``w`` over these rows cannot exceed."""
    with np.errstate(over="ignore"):
        if y is None and isinstance(x, np.ndarray) and x.dtype in (np.float32, np.float64):
            # Cheaper than extremes, which matters to whoever adds row by row.
            flat = x.reshape(-1)
            square = float(np.dot(flat, flat))
            if math.isfinite(square):
                return (1.0 if w is None else float(np.abs(w).max(initial=0.0))) * (len(x) + square)
        load = float(len(x)) if w is None else float(np.abs(w).sum())
    wide = max(1.0, largest(x))
    return load * wide * (wide if y is None else max(1.0, largest(y)))


def sum_of(w: Float | None, n: int) -> float:
    """Sum of weights, of which None means n ones; inf or NaN beyond float64."""
    if w is None:
        return float(n)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(w.sum())


def finite(weight: float) -> float:
    """Return a sum of weights, or say that it left the range of float64."""
    if not math.isfinite(weight):
        raise ValueError("the weights sum up beyond the largest float64; scale them")
    return weight


def _is_whole(x: Array | BitMatrix, y: Array | BitMatrix | None, w: Float | None) -> bool:
    """Whether all products are whole numbers."""
    exact = is_exact(x) and (y is None or is_exact(y))
    return exact and (w is None or bool((w == np.rint(w)).all()))


def _settled(c: Array, reach: float = 0.0) -> Array:
    """Return a finished sum that nobody writes to any more, if it is finite."""
    if not reach <= SAFE and not np.isfinite(c).all():
        raise ValueError(_TOO_LARGE)
    c.flags.writeable = False
    return c


@contextlib.contextmanager
def _summing(reach: float) -> Iterator[None]:
    """Let sums overflow without a warning, and turn the engine's word about it into ours."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except ValueError as error:
        if reach <= SAFE:
            raise
        raise ValueError(_TOO_LARGE) from error


def interruptible(work: Callable[..., _T], *args: Any) -> _T:
    """Return ``work(*args)``, which Ctrl-C may leave while LAPACK or BLAS is at it.

    Neither can be stopped within a call, which takes seconds for a few thousand columns, so a
    thread beside does the work while this one waits. After Ctrl-C it goes on until its call is
    done, and what it finds is dropped: ``work`` must have no other effect. The interpreter waits
    for it before it ends: BLAS hangs or crashes where the process exits under it.
    """
    if threading.current_thread() is not threading.main_thread():
        return work(*args)  # Ctrl-C comes to the main thread alone
    beside = Ahead(itertools.starmap(work, itertools.repeat(args)))
    beside.leave()
    return next(beside)
