"""What a Hebbian memory sums up: the weighted mean of unit rows, and their outer products.

An empty sum is neutral, adding rows and merging another sum are the same addition; with a decay,
what comes later makes what was there fade.
"""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._engine.summing import hebbian
from amfast._stores.moments import SecondMoment
from amfast._typing import Float

# Rows whose corrections the delta rule solves for together; the answer does not depend on it. Few
# enough that a BLAS does not start its threads.
_BLOCK = 32


def posteriors(given: Any, n: int) -> Float:
    """Read weights Y, (n,) or (n, 1), each in 0..1; None means 1."""
    if given is None:
        return np.ones(n)
    y = _check.array(given, "weights")
    if y.shape == (n, 1):
        y = y[:, 0]
    if y.shape != (n,):
        raise ValueError(f"weights must have shape ({n},) or ({n}, 1), got {y.shape}")
    y = y.astype(np.float64)
    bad = np.flatnonzero(~((y >= 0) & (y <= 1)))
    if len(bad):
        raise ValueError(f"weights must be in 0..1, entry {bad[0]} is {y[bad[0]]}")
    return y


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


class Mean:
    """Weighted mean of unit rows."""

    def __init__(self, width: int) -> None:
        self.y = 0.0
        self.yx = np.zeros(width)

    def add(self, x: Float, y: Float, fade: Fade) -> None:
        """Add rows of weights y."""
        self.y = fade.old * self.y + float((fade.new * y).sum())
        self.yx = fade.old * self.yx + (fade.new * y) @ x

    def merge(self, other: Mean, old: float) -> None:
        """Add another mean, of which one's own has faded to ``old``."""
        self.y = old * self.y + other.y
        self.yx = old * self.yx + other.yx

    @property
    def value(self) -> Float:
        """The mean (d,)."""
        return self.yx / self.y


class Outer:
    """``sum w v phi^T`` with ``sum w phi``, ``sum w`` and ``sum y``; w is y or its square.

    Where the values are the rows themselves (``symmetric``) it is a `SecondMoment`.
    """

    def __init__(self, values: int, width: int, squared: bool, symmetric: bool) -> None:
        self.squared = squared
        self.shape = values, width
        self.y = 0.0
        self._w = 0.0
        self._wx = np.zeros(width)
        self._moment = SecondMoment(width) if symmetric else None
        self._cross = np.zeros((0, width))
        if not symmetric:
            self._cross = _check.empty(self.shape, np.dtype(np.float64), "the memory's matrix")
            self._cross[:] = 0.0

    @property
    def total(self) -> Float:
        """``sum w v phi^T`` (o, width)."""
        return self._cross if self._moment is None else self._moment.second

    @property
    def wx(self) -> Float:
        """``sum w phi`` (width,)."""
        return self._wx if self._moment is None else self._moment.first

    @property
    def w(self) -> float:
        """``sum w``."""
        return self._w if self._moment is None else self._moment.weight

    def add(self, values: Float, phi: Float, y: Float, fade: Fade) -> None:
        """Add rows phi (n, width) of weights y, with values (n, o) unless symmetric."""
        left = fade.new * y
        w = left * y if self.squared else left
        self._scale(fade.old)
        self.y += float(left.sum())
        if self._moment is not None:
            self._moment.update(phi, weights=w)
            return
        hebbian(phi, values, weights=w, out=self._cross)
        self._wx += w @ phi
        self._w += float(w.sum())

    def correct(self, values: Float, phi: Float, step: Float) -> None:
        """Add ``step (v - C phi) phi^T`` row after row: the delta rule.

        In a block the errors ``e_i = v_i - C_i phi_i`` follow from those before by the triangular
        system ``e_i + sum_{j<i} step_j (phi_j . phi_i) e_j = v_i - C phi_i``.
        """
        for start in range(0, len(phi), _BLOCK):
            block = slice(start, start + _BLOCK)
            p, size = phi[block], step[block]
            lower = np.tril(p @ p.T * size, -1) + np.eye(len(p))
            error = np.linalg.solve(lower, values[block] - p @ self._cross.T)
            self._cross += (size[:, None] * error).T @ p

    def merge(self, other: Outer, old: float) -> None:
        """Add another sum, of which one's own has faded to ``old``."""
        # Read first: the other may be this one.
        y, w, wx, cross, moment = (
            other.y, other._w, other._wx.copy(), other._cross.copy(), copy.deepcopy(other._moment)
        )  # fmt: skip
        self._scale(old)
        self.y += y
        if self._moment is not None and moment is not None:
            self._moment.merge(moment)
        self._w += w
        self._wx += wx
        self._cross += cross

    def _scale(self, old: float) -> None:
        if old != 1:
            self.y *= old
            self._w *= old
            self._wx *= old
            self._cross *= old
            if self._moment is not None:
                self._moment.scale(old)

    def about(self, mean: Float) -> Float:
        """``sum w (x - mean)(x - mean)^T`` of what was added as ``sum w x x^T``, symmetric."""
        cross = np.outer(self.wx, mean)
        moment = self.total - cross - cross.T + self.w * np.outer(mean, mean)
        return np.asarray((moment + moment.T) / 2)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = self._cross.nbytes + self._wx.nbytes
        return held + (0 if self._moment is None else self._moment.nbytes)


def entropy_rank(spectrum: Float) -> float:
    """Exponential of the entropy of a non-negative spectrum, 0 if it is all zero."""
    total = float(spectrum.sum())
    if not total > 0:
        return 0.0
    p = spectrum[spectrum > 0] / total
    return math.exp(-float((p * np.log(p)).sum()))
