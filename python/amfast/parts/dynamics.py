"""What the engine's dynamics of binary units are told, and what they answer.

The field of unit i is half of what the energy gains if the unit goes from +1 to -1,
``h_i = (E(s_i = -1) - E(s_i = +1)) / 2``; a unit takes the sign of its field. See
`amfast.reference.flips` for the loop written down plainly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._typing import Array, Float, Int, Mask, Signs
from amfast.bits import BitMatrix

UPDATES = ("async", "sync")
ORDERS = ("random", "fixed")
# Seeds are 64-bit words of the generator.
MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class Rules:
    """How the units move."""

    update: str = "async"
    """"async": one unit after the other; "sync": all at once."""
    order: str = "random"
    """"random": in an order of its own for every (seed, row of the cues, sweep); "fixed": unit 0
    first. Of no consequence to "sync"."""
    tie: int = 0
    """What a unit takes whose field is a tie: -1 or +1; 0 keeps what it has."""
    temperature: float = 0.0
    """Above 0, a unit in state s flips with probability 1 / (1 + exp(2 h s / temperature))."""
    max_sweeps: int = 100
    seed: int = 0
    energies: bool = False
    """Whether to compute the energy of every cue and after every sweep."""


class Flipped(NamedTuple):
    """Where the cues came to rest: what the engine's ``flip_*`` return, in this order."""

    states: Signs
    """(Q, d)"""
    sweeps: Int
    """(Q,) sweeps done, the last one, which flipped nothing, included."""
    period: Int
    """(Q,) 1 at a fixed point; 2 where two states follow each other ("sync" only; the state is the
    later one); 0 where neither was found, as always above temperature 0."""
    undecided: Mask
    """(Q, d) free units whose field is a tie in the final state."""
    energies: Float | None
    """(Q, 1 + most sweeps) NaN beyond a row's own sweeps."""


def rules(
    update: object,
    order: object,
    tie: object,
    temperature: object,
    max_sweeps: object,
    seed: object,
    energies: bool,
) -> Rules:
    """Check what a user asked for."""
    return Rules(
        update=_check.choice(update, "update", UPDATES),
        order=_check.choice(order, "order", ORDERS),
        tie=tie_rule(tie),
        temperature=0.0 if temperature is None else _check.number(temperature, "temperature", 0.0),
        max_sweeps=_check.integer(max_sweeps, "max_sweeps", 0),
        seed=_check.integer(seed, "seed", 0, MAX_SEED),
        energies=energies,
    )


def tie_rule(tie: object) -> int:
    """Read "keep", -1 or 1 as the engine's number."""
    chosen = _check.choice(tie, "tie", ("keep", -1, 1))
    return 0 if chosen == "keep" else int(chosen)


def clamped(given: Any, n_cues: int, n_units: int) -> Mask | None:
    """Read which units never flip, (1, d) for all cues or (Q, d)."""
    if given is None:
        return None
    mask = np.asarray(given)
    if mask.dtype != np.bool_:
        raise TypeError(f"clamp must be bool, True where a unit never flips, got {mask.dtype}")
    if mask.shape not in {(n_units,), (1, n_units), (n_cues, n_units)}:
        raise ValueError(
            f"clamp must have shape ({n_units},) or ({n_cues}, {n_units}), got {mask.shape}"
        )
    return np.ascontiguousarray(np.atleast_2d(mask))


def bias(given: Any) -> Float:
    """Read a bias, a number or one per unit, as float64."""
    values = _check.array(given, "bias")
    if values.ndim > 1:
        raise ValueError(f"bias must be a number or 1-d, got shape {values.shape}")
    values = values.astype(np.float64)
    if not all(math.isfinite(b) for b in values.ravel()):
        raise ValueError("bias must be finite")
    return values


def packed(states: Array) -> BitMatrix:
    """Pack states (Q, d), a bit set where one is positive."""
    return BitMatrix._of(np.packbits(states > 0, axis=1), states.shape[1])
