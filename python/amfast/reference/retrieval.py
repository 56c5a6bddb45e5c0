"""Projection: the values that cues retrieve, and the energy of the modern Hopfield network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amfast.reference.metrics import pairwise
from amfast.reference.separations import separate

Array = NDArray[Any]
Float = NDArray[np.float64]


def retrieve(
    cues: Array,
    keys: Array,
    values: Array | None,
    metric: str,
    separation: str,
    param: float,
    log_weight: Array | None = None,
) -> tuple[Float, Float]:
    """Weighted mean of the values, sum_i w_i v_i / sum_i |w_i|, and ln sum_i |w_i| per cue.

    The weights are those of `separate` on the scores, where a distance d scores as -d; the
    threshold's ``param`` is a radius: it keeps d <= param, or dot >= param. ``values=None`` means
    the keys themselves.
    """
    scores = pairwise(cues, keys, metric)
    if metric != "dot":
        scores = -scores
        param = -param if separation == "threshold" else param
    weights, log_scale = separate(scores, separation, param, log_weight)
    return weights @ np.asarray(keys if values is None else values, np.float64), log_scale


def modern_energy(
    states: Array, keys: Array, beta: float, weights: Array | None = None, constants: bool = True
) -> Float:
    """Energy of Ramsauer et al. (2021), equation 2, of states (Q, d), item weights included.

    ``-lse(beta k_i . v + ln w_i) / beta + |v|^2 / 2``, plus ``ln(sum_i w_i) / beta + M^2 / 2`` with
    the largest norm M of a key of positive weight.
    """
    v, k = np.asarray(states, np.float64), np.asarray(keys, np.float64)
    w = np.ones(len(k)) if weights is None else np.asarray(weights, np.float64)
    k, w = k[w > 0], w[w > 0]
    scores = beta * v @ k.T + np.log(w)
    top = scores.max(axis=1)
    lse = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    energy = (v * v).sum(axis=1) / 2 - lse / beta
    if constants:
        energy = energy + np.log(w.sum()) / beta + (k * k).sum(axis=1).max() / 2
    return np.asarray(energy)


def separation_margin(keys: Array) -> Float:
    """``x_i . x_i - max_{j != i} x_i . x_j`` for every row (N,), inf for the only one."""
    x = np.asarray(keys, np.float64)
    scores = x @ x.T
    own = scores.diagonal().copy()
    np.fill_diagonal(scores, -np.inf)
    return np.asarray(own - scores.max(axis=1))
