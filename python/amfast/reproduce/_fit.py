"""Numbers read off measured points: slopes, crossings, errors of fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from amfast.lab.judging import wilson


def fraction_error(fraction: float, trials: int) -> float:
    """Return the standard error of a fraction of ``trials`` independent trials.

    Wilson's, at one standard deviation, so that 0 and 1 have an error too.
    """
    low, high = wilson(np.array(fraction), trials, 1.0)
    return float(high - low) / 2


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the points."""
    return float(np.polyfit(np.asarray(x, float), np.asarray(y, float), 1)[0])


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the exponent of the power law through the points: their slope on log axes."""
    return slope(np.log(np.asarray(x, float)).tolist(), np.log(np.asarray(y, float)).tolist())


def crossing(x: Sequence[float], y: Sequence[float], level: float = 0.5) -> float:
    """Return where falling points, by growing x, first pass ``level``, between two by a line.

    NaN where they never do.
    """
    for i in range(1, len(x)):
        if y[i - 1] >= level > y[i]:
            return x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - level) / (y[i - 1] - y[i])
    return math.nan


def local_crossing(x: Sequence[float], successes: Sequence[int], trials: Sequence[int]) -> float:
    """Return where the probability of success is 1/2, from the points near it alone.

    `logistic_crossing` of the points with success between 0.3 and 0.7, so that the form of the
    curve further away has no say; of the two around the middle where fewer lie there.
    """
    share = [k / n for k, n in zip(successes, trials, strict=True)]
    near = [i for i, p in enumerate(share) if 0.3 <= p <= 0.7]
    if len(near) < 2:
        return crossing(x, share)
    near_x, near_k = [x[i] for i in near], [successes[i] for i in near]
    return logistic_crossing(near_x, near_k, [trials[i] for i in near])[0]


def logistic_crossing(
    x: Sequence[float], successes: Sequence[int], trials: Sequence[int]
) -> tuple[float, float]:
    """Return where the probability of success is 1/2, and the slope there, by logistic regression.

    Maximum likelihood of ``1 / (1 + exp(-(a + b x)))``; uses every point and not the two around
    the middle alone. NaN where the points do not tell (all success, or all failure).
    """
    at = np.asarray(x, float)
    n, k = np.asarray(trials, float), np.asarray(successes, float)
    if k.sum() in (0, n.sum()):
        return math.nan, math.nan
    centre, spread = at.mean(), at.std() or 1.0
    z = (at - centre) / spread
    a = b = 0.0
    # A tenth of a trial of each outcome keeps perfectly separated points finite.
    k, n = k + 0.1, n + 0.2
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(a + b * z, -500, 500)))
        weight = n * p * (1 - p) + 1e-12
        residual = k - n * p
        hessian = np.array([[weight.sum(), (weight * z).sum()], [0, (weight * z * z).sum()]])
        hessian[1, 0] = hessian[0, 1]
        step = np.linalg.solve(hessian, [residual.sum(), (residual * z).sum()])
        step *= min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
        a, b = a + float(step[0]), b + float(step[1])
        if np.abs(step).max() < 1e-10:
            break
    return float(centre - spread * a / b), b / spread
