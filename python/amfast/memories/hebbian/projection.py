"""The projection rule for real rows: the matrix of least squares from two sums."""

from __future__ import annotations

import numpy as np

from amfast._stores.matrix import interruptible
from amfast._typing import Float

# Eigenvalues up to this times the width and the spacing of floats are rounding.
_LOST = 8 * float(np.finfo(np.float64).eps)


def fitted(square: Float, cross: Float) -> Float:
    """Return C = ``cross`` pinv(``square``), the least ``sum_i w_i |v_i - C x_i|^2``.

    Parameters
    ----------
    square : (d, d)
        ``sum w x x^T``.
    cross : (o, d)
        ``sum w v x^T``.
    """
    values, vectors = interruptible(np.linalg.eigh, square)
    kept = values > _LOST * len(values) * values[-1]
    span = vectors[:, kept]
    return np.asarray((cross @ span / values[kept]) @ span.T)
