"""Sparse errors that are peeled off the constraints they break."""

from __future__ import annotations

import numpy as np

from amfast import _check, _core
from amfast._typing import Float, Int


def peel(y: Float, columns: tuple[Int, Int, Float, int], zero: Float, threads: int) -> Float:
    """Find the sparse errors of rows (Q, n) from sparse constraints.

    Parameters
    ----------
    columns : (n + 1,) and (nnz,) int64 arrays, a (nnz,) float64 array, and an int
        ``checks[starts[j]:starts[j + 1]]`` are the constraints on entry j, out of so many, and
        beside them the matrix's entries.
    zero : (Q,) array
        Which gaps of a row's constraints count as zero.

    Returns
    -------
    (Q, n) float64 array
    """
    errors = _check.empty(y.shape, np.dtype(np.float64), "errors")
    _core.peel(y, *columns, zero, errors, threads)
    return errors
