"""Slopes of a softmax retrieval: what a change of its inputs does to what is read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amfast.reference.metrics import pairwise
from amfast.reference.retrieval import retrieve

Array = NDArray[Any]
Float = NDArray[np.float64]


class Gradients(NamedTuple):
    """Derivatives of ``sum(grad * out)``."""

    cues: Float
    """(Q, d)."""
    keys: Float
    """(N, d)."""
    values: Float
    """(N, o)."""
    beta: float
    log_weight: Float
    """(N,)."""


def causal_retrieve(
    cues: Array,
    keys: Array,
    values: Array,
    metric: str,
    beta: float,
    log_weight: Array | None = None,
    causal: bool = False,
) -> tuple[Float, Float]:
    """Softmax retrieval (Q, o) and ln of the sum of weights (Q,); causal: cue i reads keys 0..i."""
    rows = []
    for i in range(len(cues)):
        n = min(i + 1, len(keys)) if causal else len(keys)
        b = None if log_weight is None else log_weight[:n]
        rows.append(retrieve(cues[i : i + 1], keys[:n], values[:n], metric, "softmax", beta, b))
    out = np.array([out[0] for out, _ in rows]).reshape(len(cues), np.shape(values)[1])
    return out, np.array([scale[0] for _, scale in rows])


def retrieve_backward(
    grad: Array,
    cues: Array,
    keys: Array,
    values: Array,
    metric: str,
    beta: float,
    log_weight: Array | None = None,
    causal: bool = False,
) -> Gradients:
    """Derive ``sum(grad * out)`` of `causal_retrieve`.

    With ``w = softmax(s)``, ``s = beta sim + log_weight`` (sim is -d of a distance d) and
    ``ds_ij = w_ij (G_i . v_j - G_i . out_i)``: ``dV = w^T G``, ``dlog_weight_j = sum_i ds_ij``,
    ``dbeta = sum_ij ds_ij sim_ij``, and cues and keys are drawn by ``beta ds_ij`` times the slope
    of sim, which is 0 where a magnitude has a kink.
    """
    q, k, v, g = (np.asarray(x, np.float64) for x in (cues, keys, values, grad))
    sim = pairwise(q, k, metric)
    sim = sim if metric == "dot" else -sim
    out, log_scale = causal_retrieve(q, k, v, metric, beta, log_weight, causal)
    s = beta * sim if log_weight is None else beta * sim + log_weight
    if causal:
        s = np.where(np.tril(np.ones(s.shape, bool)), s, -np.inf)
    w = np.exp(s - np.where(log_scale == -np.inf, np.inf, log_scale)[:, None])
    ds = w * (g @ v.T - (g * out).sum(axis=1, keepdims=True))
    to_q, to_k = _slopes(q[:, None], k[None], metric)
    return Gradients(
        beta * (ds[..., None] * to_q).sum(axis=1),
        beta * (ds[..., None] * to_k).sum(axis=0),
        w.T @ g,
        float((ds * sim).sum()),
        ds.sum(axis=0),
    )


def _slopes(q: Float, k: Float, metric: str) -> tuple[Float, Float]:
    """Derive sim by the cue and by the key, (Q, N, d) both."""
    if metric == "dot":
        return k + 0 * q, q + 0 * k
    if metric == "manhattan":
        slope = -np.sign(q - k)
    elif metric == "sqeuclidean":
        slope = -2 * (q - k)
    elif metric == "euclidean":
        length = np.sqrt(((q - k) ** 2).sum(axis=-1, keepdims=True))
        slope = np.divide(k - q, length, out=np.zeros_like(q - k), where=length > 0)
    else:
        raise ValueError(f"no slopes are written down for {metric!r}")
    return slope, -slope
