"""Sparse errors that are peeled off the constraints they break."""

from __future__ import annotations

import numpy as np

from amfast import _check, _core
from amfast._typing import Float, Int

Matrix = tuple[Int, Int, Float, int]
"""A sparse matrix by columns: ``checks[starts[j]:starts[j + 1]]`` are the rows of column j with the
entries beside them, out of so many rows."""


def peel(y: Float, matrix: Matrix, zero: Float, threads: int) -> Float:
    """Find the sparse errors of rows (Q, n) from sparse constraints.

    Parameters
    ----------
    matrix : tuple
        ``starts``, ``checks``, ``entries`` and the number of constraints.
    zero : (Q,) array
        Which gaps of a row's constraints count as zero.

    Returns
    -------
    (Q, n) float64 array
    """
    errors = _check.empty(y.shape, np.dtype(np.float64), "errors")
    _core.peel(y, *matrix, zero, errors, threads)
    return errors


def products(x: Float, matrix: Matrix, threads: int, *, back: bool = False) -> Float:
    """Multiply rows (Q, n) by a sparse matrix: (Q, m); or rows (Q, m) by its transpose."""
    shape = len(x), len(matrix[0]) - 1 if back else matrix[3]
    out = _check.empty(shape, np.dtype(np.float64), "products")
    _core.sparse_products(np.ascontiguousarray(x), *matrix, back, out, threads)
    return out
