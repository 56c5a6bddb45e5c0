"""Learning of dense associative memories that complete the units of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]


class Learner(NamedTuple):
    """Products (Q, K) of inputs with memories, and what makes powers of them."""

    products: Array
    scale: Array
    """(Q,) overlaps are x = scale (product + off)."""
    off: Array
    """(K,)."""
    switched: Array
    """(C, K) a class that is switched on adds scale switched to x."""
    order: int
    rectified: bool

    def states(self) -> tuple[Float, Float]:
        """Overlaps (Q, 1, K) with all classes off and (Q, C, K) with each one on."""
        scale, off, switched = (np.asarray(x, np.float64) for x in self[1:4])
        x = scale[:, None] * (np.asarray(self.products, np.float64) + off)
        return x[:, None], x[:, None] + scale[:, None, None] * switched

    def power(self, x: Float, n: int) -> Float:
        """x^n, and 0 below 0 where it is rectified."""
        return np.where(x > 0, x, 0.0) ** n * (x > 0) if self.rectified else x**n


def dense_saved(learner: Learner) -> Float:
    """Energies (Q, C) that switching each class on saves, sum_k F(x_on) - F(x_off)."""
    off, on = learner.states()
    n = learner.order
    return np.asarray((learner.power(on, n) - learner.power(off, n)).sum(axis=2))


def dense_pulled(learner: Learner, pull: Array) -> tuple[Float, Float]:
    """Derive ``(pull * dense_saved).sum() / n`` by overlaps x (Q, K) and by units (C, K).

    A unit u that is off takes u from every overlap, switched on it adds 2 u to its class's.
    """
    off, on = learner.states()
    slope_off, slope_on = (learner.power(x, learner.order - 1) for x in (off, on))
    weights = np.asarray(pull, np.float64)[:, :, None]
    shared = (weights * (slope_on - slope_off)).sum(axis=1)
    return shared, 2 * (weights * slope_on).sum(axis=0) - shared.sum(axis=0)


def dense_follow(
    gradient: Array,
    memories: Array,
    velocity: Array,
    momentum: float,
    unit: float,
    rate: float,
    least: float,
) -> tuple[Float, Float, float]:
    """Memories and velocities (K, w) after a step, and the largest entry of the gradient.

    Each memory goes along its velocity, its fastest entry by the rate; one without a gradient
    stays. Krotov & Hopfield (2016), appendix.
    """
    pulled = unit * np.asarray(gradient, np.float64)
    speed = momentum * np.asarray(velocity, np.float64) + pulled
    fastest = np.maximum(np.abs(speed).max(axis=1, keepdims=True), least)
    moves = np.abs(pulled).max(axis=1, keepdims=True) > 0
    moved = np.asarray(memories, np.float64) + moves * rate * speed / fastest
    return np.clip(moved, -1, 1), speed, float(np.abs(pulled).max(initial=0))
