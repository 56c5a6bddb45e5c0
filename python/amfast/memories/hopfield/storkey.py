"""Storkey's rule: every pattern corrects what the ones before it did to its fields."""

from __future__ import annotations

import numpy as np

from amfast._engine.scoring import dot
from amfast._engine.summing import total
from amfast._stores.matrix import Matrix
from amfast._threads import get_num_threads
from amfast.bits import BitMatrix


def learned(before: Matrix | None, patterns: BitMatrix) -> Matrix:
    """Return d W after some more patterns, one after the other.

    The rule ``d dW_ij = x_i x_j - x_i h_ji - h_ij x_j`` has fields that leave out two units,
    ``h_ij = sum over k != i, j of W_ik x_k``. With ``g_i = sum over k != i of W_ik x_k`` it is
    ``d dW = (x - g)(x - g)^T - g g^T + 2 W``, without the 2 W on the diagonal, where i and j are
    one unit: two outer products and a factor.
    """
    d, threads = patterns.n_bits, get_num_threads()
    if before is None:
        before = Matrix.zeros(d, d)
    c = before.total.copy()
    for i in range(len(patterns)):
        x = patterns[i : i + 1].unpack().astype(np.float64)
        diagonal = c.diagonal().copy()
        g = (dot(x, c, threads) - diagonal * x) / d
        c *= 1.0 + 2.0 / d
        np.fill_diagonal(c, diagonal)
        try:
            total(np.vstack([x - g, g]), None, np.array([1.0, -1.0]), c, True, threads, double=True)
        except ValueError as error:
            raise ValueError(
                f"Storkey's rule leaves the range of float64 at pattern {before.count + i} of {d} "
                "units: each lets the weights grow by a factor of up to 1 + 2 / d; it is for fewer "
                "patterns than units"
            ) from error
    count = before.count + len(patterns)
    return before.replaced(c, float(count), float(np.abs(c).max(initial=0.0)), count)
