"""The matrices of a Hopfield network: exact sums of outer products, and the projection rule's W."""

from __future__ import annotations

import numpy as np

from amfast import _check
from amfast._engine.summing import hebbian
from amfast._typing import Array, Float
from amfast.bits import BitMatrix

_INT32 = 2**31 - 1
# The grid of the projection rule's W: sums of its entries are exact in any order, so that what is a
# tie stays one, and rounding in the decomposition of the patterns turns into exact zeros and ones.
_GRID_BITS = 40


class Moment:
    """``C = sum_i w_i y_i x_i^T`` (o, d) of bipolar rows, with the sum of the ``w_i``.

    Exact int32 while the weights are integers and their magnitudes sum to less than 2**31, else
    float64 (exact for integers below 2**53).
    """

    def __init__(self, n_values: int, n_bits: int) -> None:
        self._load = 0.0
        self.counts: Array = np.zeros(0, np.int32)
        self.counts = _check.empty((n_values, n_bits), np.dtype(np.int32), "the matrix")
        self.counts[...] = 0

    def add(self, keys: BitMatrix, values: BitMatrix, weights: Float) -> None:
        """Add rows; nothing changes if it fails."""
        load = self._load + float(np.abs(weights).sum())
        whole = bool((weights == np.rint(weights)).all())
        counts = self.counts
        if counts.dtype == np.int32 and not (whole and load <= _INT32):
            _check.fits(counts.shape, np.dtype(np.float64), "the matrix")
            counts = counts.astype(np.float64)
        added = counts.copy()
        hebbian(
            keys,
            None if values is keys else values,
            weights=None if (weights == 1).all() else weights,
            out=added,
        )
        self.counts, self._load = added, load

    def merge(self, other: Moment) -> None:
        """Add another sum."""
        load = self._load + other._load
        dtype = np.promote_types(self.counts.dtype, other.counts.dtype)
        if load > _INT32:
            dtype = np.dtype(np.float64)
        _check.fits(self.counts.shape, dtype, "the matrix")
        self.counts, self._load = np.add(self.counts, other.counts, dtype=dtype), load


def projection(keys: BitMatrix, values: BitMatrix, weights: Float) -> Float:
    """Return ``W = Y^T pinv(X)^T``, weighted least squares if the patterns are dependent, (o, d).

    Equal items are one item of the sum of their weights, so a negative weight forgets.
    """
    auto = values is keys
    both = keys.to_packed() if auto else np.hstack([keys.to_packed(), values.to_packed()])
    _, first, which = np.unique(both, axis=0, return_index=True, return_inverse=True)
    net = np.bincount(which.ravel(), weights)
    _refuse_negative(float(net.min(initial=0.0)))
    first, net = first[net > 0], net[net > 0]
    scale = np.ones((len(first), 1)) if auto else np.sqrt(net)[:, None]
    x = keys[first].unpack() * scale
    if len(first) > keys.n_bits:
        y = x if auto else values[first].unpack() * scale
        return projection_of_moments(x.T @ x, None if auto else y.T @ x)
    vectors, eigenvalues = _spectrum(x @ x.T, keys.n_bits)
    root = vectors / np.sqrt(eigenvalues)
    basis = root.T @ x
    return _on_grid((basis if auto else root.T @ (values[first].unpack() * scale)).T @ basis)


def projection_of_moments(square: Array, cross: Array | None) -> Float:
    """Return the same from ``X^T X`` and, with values, ``Y^T X``."""
    vectors, eigenvalues = _spectrum(square.astype(np.float64), 0)
    if cross is None:
        return _on_grid(vectors @ vectors.T)
    return _on_grid((cross @ vectors / eigenvalues) @ vectors.T)


def _spectrum(gram: Float, width: int) -> tuple[Float, Float]:
    """Eigenvectors (columns) and eigenvalues that are not zero up to rounding."""
    if not gram.size:
        return np.zeros((len(gram), 0)), np.zeros(0)
    eigenvalues, vectors = np.linalg.eigh(gram)
    size = float(np.abs(eigenvalues).max())
    least = 8 * max(len(gram), width) * np.finfo(np.float64).eps * size
    _refuse_negative(float(eigenvalues[0]) if eigenvalues[0] < -least else 0.0)
    kept = eigenvalues > least
    return vectors[:, kept], eigenvalues[kept]


def _refuse_negative(weight: float) -> None:
    if weight < 0:
        raise ValueError(
            "a pattern was forgotten (weights < 0) more often than it was stored; the projection "
            "rule has no such pattern"
        )


def _on_grid(w: Float) -> Float:
    """Round to the multiples of 2**-40."""
    if len(w) == w.shape[1]:
        w = (w + w.T) / 2 if not np.array_equal(w, w.T) else w
    return np.ldexp(np.rint(np.ldexp(w, _GRID_BITS)), -_GRID_BITS)
