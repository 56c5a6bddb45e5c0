"""How many directions a matrix can tell apart."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._typing import Float


class Crosstalk(NamedTuple):
    """Mean cosine between different patterns, before and after one recall."""

    before: float
    """Of the patterns as they are."""
    after: float
    """Of what one recall makes of them."""


def effective_rank(spectrum: Any) -> float:
    """Return how many dimensions a spectrum uses: the exponential of its entropy.

    ``exp(-sum_i p_i ln p_i)`` with ``p_i = s_i / sum_j s_j``: n for n equal values, near 1 if one
    value dominates (Roy and Vetterli, *The effective rank*, EUSIPCO 2007).

    Parameters
    ----------
    spectrum : (n,) array
        Eigenvalues or singular values; those below 0 by rounding count as 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If no value is positive.

    Examples
    --------
    >>> from amfast import effective_rank
    >>> effective_rank([2.0, 2.0, 0.0]), round(effective_rank([0.5, 0.03, 0.02]), 2)
    (2.0, 1.44)
    """
    s = _check.array(spectrum, "spectrum").astype(np.float64)
    if not s.max(initial=0.0) > 0:
        raise ValueError("spectrum has no positive value, so it has no rank")
    return entropy_rank(np.maximum(s, 0.0))


def entropy_rank(spectrum: Float) -> float:
    """Exponential of the entropy of a non-negative spectrum, 0 if it is all zero."""
    total = float(spectrum.sum())
    if not total > 0:
        return 0.0
    p = spectrum[spectrum > 0] / total
    return math.exp(-float((p * np.log(p)).sum()))


def singular_values(matrix: Float) -> Float:
    """Return the singular values of a matrix, falling."""
    return np.asarray(np.linalg.svd(matrix, compute_uv=False))
