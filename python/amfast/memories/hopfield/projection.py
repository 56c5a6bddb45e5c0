"""The projection rule's W."""

from __future__ import annotations

import numpy as np

from amfast._stores.matrix import interruptible
from amfast._typing import Array, Float
from amfast.bits import BitMatrix

# The grid of the projection rule's W: sums of its entries are exact in any order, so that what is a
# tie stays one, and rounding in the decomposition of the patterns turns into exact zeros and ones.
_GRID_BITS = 40


def projection(keys: BitMatrix, values: BitMatrix, weights: Float) -> Float:
    """Return ``W = Y^T pinv(X)^T``, weighted least squares if the patterns are dependent, (o, d).

    Equal items are one item of the sum of their weights, so a negative weight forgets.
    """
    return interruptible(_projection, keys, values, weights)


def _projection(keys: BitMatrix, values: BitMatrix, weights: Float) -> Float:
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
        return _projection_of_moments(x.T @ x, None if auto else y.T @ x)
    vectors, eigenvalues = _spectrum(x @ x.T, keys.n_bits)
    root = vectors / np.sqrt(eigenvalues)
    basis = root.T @ x
    return _on_grid((basis if auto else root.T @ (values[first].unpack() * scale)).T @ basis)


def projection_of_moments(square: Array, cross: Array | None) -> Float:
    """Return the same from ``X^T X`` and, with values, ``Y^T X``."""
    return interruptible(_projection_of_moments, square, cross)


def _projection_of_moments(square: Array, cross: Array | None) -> Float:
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
