"""Softmax reads of many heads in one call, and their slopes: what a bridge to autograd needs.

Arrays are checked, C-contiguous and of one type, float32 or float64; a head is an entry of their
first axis.
"""

from __future__ import annotations

from amfast import _core
from amfast._typing import Array, Float

METRICS = ("dot", "sqeuclidean", "euclidean", "manhattan")
"""The similarities whose slopes the engine knows."""


def read_heads(
    cues: Array,
    keys: Array,
    values: Array,
    metric: str,
    beta: Float,
    log_weight: Float | None,
    causal: bool,
    threads: int,
) -> tuple[Array, Float]:
    """Read values (B, Q, o) and the logarithms of the sums of weights (B, Q).

    ``beta`` is (B,), ``log_weight`` (B, N). Of a causal read cue i meets keys 0 to i.
    """
    return _core.retrieve_heads(cues, keys, values, metric, beta, log_weight, causal, threads)


def slopes_of_heads(
    grad: Array,
    out: Array,
    log_scale: Float,
    cues: Array,
    keys: Array,
    values: Array,
    metric: str,
    beta: Float,
    log_weight: Float | None,
    causal: bool,
    threads: int,
) -> tuple[Array, Array, Array, Float, Float]:
    """Derive ``sum(grad * out)`` by cues, keys, values, beta (B,) and log_weight (B, N).

    ``out`` and ``log_scale`` are what `read_heads` gave; weights are taken again tile by tile.
    """
    return _core.retrieve_heads_backward(
        grad, out, log_scale, cues, keys, values, metric, beta, log_weight, causal, threads
    )
