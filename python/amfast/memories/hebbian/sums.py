"""What a Hebbian memory sums up: the weighted mean of its rows, and their outer products.

All of it are values, as `Matrix` is one: adding rows or other sums gives new ones. An empty sum is
neutral, adding rows and merging another sum are the same addition; with a decay, what comes later
makes what was there fade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from amfast._stores.matrix import Matrix, kept
from amfast._stores.moments import Moments
from amfast._threads import get_num_threads
from amfast._typing import Array, Float

# Rows whose corrections the delta rule solves for together; the answer does not depend on it. Few
# enough that a BLAS does not start its threads.
_BLOCK = 32


def unit(x: Float, eps: float = 0.0) -> tuple[Float, Float]:
    """Scale rows to length 1; return them and their lengths, both 0 for rows shorter than eps."""
    peak = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    scaled = x / np.where(peak > 0, peak, 1.0)  # squares of huge entries would overflow
    norm = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        length = np.minimum(norm * peak, np.finfo(np.float64).max)[:, 0]
    silent = (length < eps) | (length == 0)
    rows = scaled / np.where(norm > 0, norm, 1.0)
    rows[silent] = 0.0
    return rows, np.where(silent, 0.0, length)


class Fade(NamedTuple):
    """What is left of what was there, and of each row that is added."""

    old: float
    new: Float

    @classmethod
    def of(cls, decay: float, n: int) -> Fade:
        """Let every one of n rows multiply what came before it by the decay."""
        return cls(decay**n, decay ** np.arange(n - 1, -1, -1, dtype=np.float64))


class Mean(NamedTuple):
    """Weighted mean of rows: the sums of ``y`` and of ``y x``."""

    y: float
    yx: Float

    def plus(self, x: Float, y: Float, old: float = 1.0) -> Mean:
        """Add rows of weights y, before which every row here fades to ``old``.

        ValueError if a sum leaves the range of float64.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            yx = old * self.yx + y @ x
        if not np.isfinite(yx).all():
            raise ValueError("keys sum up beyond the largest float64; scale them")
        return Mean(old * self.y + float(y.sum()), yx)

    def merged(self, other: Mean, old: float) -> Mean:
        """Add another mean, of which one's own has faded to ``old``."""
        return Mean(old * self.y + other.y, old * self.yx + other.yx)

    @property
    def value(self) -> Float:
        """The mean (d,)."""
        return self.yx / self.y


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    """``sum w v phi^T`` with ``sum w phi``, ``sum w`` and ``sum y``; w is y or its square.

    Where the values are the rows themselves it is symmetric, and kept as `Moments`; else as a
    `Matrix` and the mean of phi.
    """

    squared: bool
    moments: Moments | None
    cross: Matrix | None
    phi: Mean | None
    y: float = 0.0

    @classmethod
    def zeros(cls, values: int, width: int, *, squared: bool, symmetric: bool) -> Outer:
        """Return the sum of nothing, (values, width)."""
        if symmetric:
            return cls(squared, Moments.zeros(width), None, None)
        return cls(squared, None, Matrix.zeros(values, width), Mean(0.0, np.zeros(width)))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of `total`."""
        if self.moments is not None:
            return self.moments.width, self.moments.width
        assert self.cross is not None
        return self.cross.shape

    @property
    def total(self) -> Float:
        """``sum w v phi^T`` (o, width), read-only."""
        if self.moments is not None:
            return self.moments.second
        assert self.cross is not None
        return self.cross.total

    @property
    def wx(self) -> Float:
        """``sum w phi`` (width,)."""
        if self.moments is not None:
            return self.moments.first
        assert self.phi is not None
        return self.phi.yx

    @property
    def w(self) -> float:
        """``sum w``."""
        if self.moments is not None:
            return self.moments.weight
        assert self.phi is not None
        return self.phi.y

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        if self.moments is not None:
            return self.moments.nbytes
        assert self.cross is not None
        return self.cross.nbytes + self.wx.nbytes

    def plus(self, values: Float, phi: Float, y: Float, fade: Fade) -> Outer:
        """Add rows phi (n, width) of weights y, with values (n, o) unless symmetric."""
        left = fade.new * y
        w = left * y if self.squared else left
        total_y = fade.old * self.y + float(left.sum())
        n = get_num_threads()
        if self.moments is not None:
            return replace(self, moments=self.moments.faded(fade.old, n).plus(phi, w, n), y=total_y)
        assert self.cross is not None and self.phi is not None
        cross = self.cross.plus(phi, values, w, threads=n, old=fade.old)
        return replace(self, cross=cross, phi=self.phi.plus(phi, w, fade.old), y=total_y)

    def corrected(self, values: Float, phi: Float, step: Float) -> Outer:
        """Add ``step (v - C phi) phi^T`` row after row: the delta rule.

        In a block the errors ``e_i = v_i - C_i phi_i`` follow from those before by the triangular
        system ``e_i + sum_{j<i} step_j (phi_j . phi_i) e_j = v_i - C phi_i``.

        Raises
        ------
        ValueError
            If the matrix leaves the range of float64.
        """
        assert self.cross is not None
        c = self.cross.total.copy()
        more = np.empty_like(c)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(phi), _BLOCK):
                block = slice(start, start + _BLOCK)
                p, size = phi[block], step[block]
                lower = np.tril(p @ p.T * size, -1) + np.eye(len(p))
                error = np.linalg.solve(lower, values[block] - p @ c.T)
                c += np.matmul((size[:, None] * error).T, p, out=more)
        cross = self.cross.replaced(c, 0.0, math.inf, self.cross.count + len(phi))
        return replace(self, cross=cross)

    def merged(self, other: Outer, old: float) -> Outer:
        """Add another sum of the same kind, of which one's own has faded to ``old``."""
        y = old * self.y + other.y
        if self.moments is not None and other.moments is not None:
            return replace(
                self, moments=self.moments.merged(other.moments, get_num_threads(), old), y=y
            )
        assert self.cross is not None and self.phi is not None
        assert other.cross is not None and other.phi is not None
        cross, phi = self.cross.merged(other.cross, old), self.phi.merged(other.phi, old)
        return replace(self, cross=cross, phi=phi, y=y)

    def about(self, mean: Float) -> Float:
        """``sum w (x - mean)(x - mean)^T`` of what was added as ``sum w x x^T``, symmetric."""
        cross = np.outer(self.wx, mean)
        moment = self.total - cross - cross.T + self.w * np.outer(mean, mean)
        return np.asarray((moment + moment.T) / 2)


class Waiting(NamedTuple):
    """Rows whose mean is not known yet."""

    x: Float
    y: Float
    """Their weights."""
    left: Float
    """What the rows that came after have left of each."""

    def faded(self, old: float) -> Waiting:
        """Let rows come after."""
        return self if old == 1 else self._replace(left=old * self.left)


class Sums(NamedTuple):
    """All that a Hebbian memory holds; it is replaced as a whole."""

    mean: Mean
    outer: Outer
    waiting: tuple[Waiting, ...] | None
    """None if no row waits for the mean."""
    hetero: bool
    """Whether keys have values."""
    double: bool
    """Whether any key or value was float64."""
    n_stored: int = 0
    n_observed: int = 0
    square: Moments | None = None
    """``sum w phi phi^T`` beside `outer`, where the projection rule has values."""

    @property
    def width(self) -> int:
        """Columns of the keys."""
        return len(self.mean.yx)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        waiting = sum(part.nbytes for rows in self.waiting or () for part in rows)
        square = 0 if self.square is None else self.square.nbytes
        return self.outer.nbytes + self.mean.yx.nbytes + waiting + square

    def merged(self, other: Sums, decay: float) -> Sums:
        """Add what another memory of the same parameters holds, as if it came after.

        Raises
        ------
        ValueError
            For other widths, values on one side only, and means of which only one was observed or
            that differ.
        """
        shape, others = self.outer.shape, other.outer.shape
        if shape != others or self.width != other.width:
            raise ValueError(
                f"the other memory has keys of {other.width} columns and a matrix of shape "
                f"{others}, this one of {self.width} and {shape}"
            )
        if self.hetero != other.hetero:
            raise ValueError("one memory stores values and the other does not")
        if (self.waiting is None) != (other.waiting is None):
            raise ValueError("one memory has observed a mean and the other has not")
        mean, observed = self.mean, self.n_observed
        if observed and (self.n_stored or other.n_stored):
            if not np.array_equal(mean.value, other.mean.value):
                raise ValueError("memories have observed different means")
            old = decay**other.n_stored
        else:
            old = decay ** (other.n_stored or other.n_observed)
            mean, observed = mean.merged(other.mean, old), observed + other.n_observed
        waiting = self.waiting
        if waiting is not None and other.waiting is not None:
            waiting = (*(rows.faded(old) for rows in waiting), *other.waiting)
        square = self.square
        if square is not None and other.square is not None:
            square = square.merged(other.square, get_num_threads(), old)
        return Sums(
            mean,
            self.outer.merged(other.outer, old),
            waiting,
            self.hetero,
            self.double or other.double,
            self.n_stored + other.n_stored,
            observed,
            square,
        )

    def check_weight(self) -> None:
        """Refuse to go on where no row weighs anything."""
        if not self.mean.y > 0:
            raise ValueError(
                "the weights of all rows stored sum to 0 (silent rows count as 0), so there is "
                "nothing to recall"
            )

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restore` makes the same sums of: arrays, and numbers."""
        outer = self.outer
        arrays = {"mean": self.mean.yx}
        meta: dict[str, Any] = {
            "mean_y": self.mean.y, "y": outer.y, "squared": outer.squared, "hetero": self.hetero,
            "double": self.double, "n_stored": self.n_stored, "n_observed": self.n_observed,
            "waits": self.waiting is not None,
        }  # fmt: skip
        if outer.moments is not None:
            more, meta["moments"] = outer.moments.arrays()
        else:
            assert outer.cross is not None and outer.phi is not None
            more, meta["cross"] = outer.cross.arrays()
            more["phi"], meta["phi_y"] = outer.phi.yx, outer.phi.y
        arrays |= more
        if self.square is not None:
            more, meta["square"] = self.square.arrays()
            arrays |= more
        if self.waiting:
            columns = (np.concatenate(column) for column in zip(*self.waiting, strict=True))
            arrays |= dict(zip(("waiting", "waiting_y", "waiting_left"), columns, strict=True))
        return arrays, meta

    @classmethod
    def restore(cls, arrays: dict[str, Array], meta: dict[str, Any]) -> Sums:
        """Return the sums that `arrays` was taken from; no array is copied."""
        moments = cross = phi = None
        double = np.dtype(np.float64)
        if "moments" in meta:
            moments = Moments.restore(arrays, meta["moments"])
        else:
            cross = Matrix.restore(arrays, meta["cross"])
            phi = Mean(float(meta["phi_y"]), kept(arrays["phi"], "phi", cross.shape[1:], double))
        mean = Mean(float(meta["mean_y"]), kept(arrays["mean"], "mean", (None,), double))
        waiting: tuple[Waiting, ...] | None = () if meta["waits"] else None
        if "waiting" in arrays:
            x = kept(arrays["waiting"], "waiting", (None, len(mean.yx)), double)
            y, left = (
                kept(arrays[name], name, (len(x),), double)
                for name in ("waiting_y", "waiting_left")
            )
            waiting = (Waiting(x, y, left),)
        return cls(
            mean,
            Outer(bool(meta["squared"]), moments, cross, phi, float(meta["y"])),
            waiting,
            bool(meta["hetero"]),
            bool(meta["double"]),
            int(meta["n_stored"]),
            int(meta["n_observed"]),
            Moments.restore(arrays, meta["square"]) if "square" in meta else None,
        )
