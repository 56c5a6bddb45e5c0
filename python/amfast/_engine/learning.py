"""How the memories of a dense associative memory learn: energies, what pulls them, a step.

Arrays are checked, C-contiguous and of one type, float32 or float64.
"""

from __future__ import annotations

from typing import NamedTuple

from amfast import _check, _core
from amfast._typing import Array


class Overlaps(NamedTuple):
    """What makes powers of the products of Q inputs with K memories of C classes."""

    scale: Array
    """(Q,) what the overlaps of an input are multiplied by; their powers must be finite then."""
    off: Array
    """(K,) what the units add to a product while all are off."""
    switched: Array
    """(C, K) what switching a class on adds to that."""
    order: int
    """n of the power."""
    rectified: bool

    def of(self, some: Array) -> Overlaps:
        """Return what makes them of some of the inputs."""
        return self._replace(scale=self.scale[some])


def saved(products: Array, overlaps: Overlaps, threads: int) -> Array:
    """(Q, C) energies, ``sum_k F(on) - F(off)``, from products (Q, K)."""
    shape = len(products), len(overlaps.switched)
    out = _check.empty(shape, products.dtype, "energies")
    _core.dense_saved(products, overlaps, out, threads)
    return out


def pulled(products: Array, overlaps: Overlaps, pull: Array, threads: int) -> Array:
    """Return what pulls the units, (C, K), and put what pulls the overlaps over ``products``.

    ``pull`` (Q, C) is what pulls each energy. F' is taken without its factor n.
    """
    units = _check.empty(overlaps.switched.shape, products.dtype, "the units' gradient")
    _core.dense_pulled(products, overlaps, pull, units, threads)
    return units


def follow(
    gradient: Array,
    memories: Array,
    velocity: Array,
    *,
    momentum: float,
    unit: float,
    rate: float,
    least: float,
    threads: int,
) -> float:
    """Move memories and velocities, in place; return the largest entry of ``unit * gradient``.

    ``velocity = momentum * velocity + unit * gradient``; a memory whose gradient is not all zero
    goes ``rate * velocity / max(least, max |velocity|)`` and stays within -1..1.
    """
    pace = momentum, unit, rate, least
    return _core.dense_follow(gradient, memories, velocity, pace, threads)
