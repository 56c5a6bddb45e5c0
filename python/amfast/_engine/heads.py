"""Softmax reads of many heads in one call, and their slopes: what a bridge to autograd needs.

Arrays are checked, C-contiguous and of one type, float32 or float64; a head is an entry of their
first axis. Who calls brings the room for results, whatever it holds.
"""

from __future__ import annotations

from typing import NamedTuple

from amfast import _core
from amfast._typing import Array, Float

METRICS = ("dot", "sqeuclidean", "euclidean", "manhattan")
"""The similarities whose slopes the engine knows."""


class Read(NamedTuple):
    """What is read of many heads, and how."""

    cues: Array
    """(B, Q, d)."""
    keys: Array
    """(B, N, d)."""
    values: Array
    """(B, N, o)."""
    metric: str
    beta: Float
    """(B,)."""
    log_weight: Float | None
    """(B, N)."""
    causal: bool
    """Whether cue i meets keys 0 to i only."""
    threads: int


def read_heads(read: Read, out: Array, log_scale: Float) -> None:
    """Put values (B, Q, o) and the logarithms of the sums of weights (B, Q) into the last two."""
    _core.retrieve_heads(*read, out, log_scale)


def slopes_of_heads(
    read: Read,
    out: Array,
    log_scale: Float,
    grad: Array,
    into: tuple[Array, Array, Array, Float, Float],
) -> None:
    """Derive ``sum(grad * out)`` by cues, keys, values, beta (B,) and log_weight (B, N).

    ``out`` and ``log_scale`` are what `read_heads` gave; weights are taken again tile by tile.
    """
    _core.retrieve_heads_backward(grad, out, log_scale, *read, into)
