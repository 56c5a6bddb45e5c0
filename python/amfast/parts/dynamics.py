"""States that move: the rules of units that flip, and the one loop to a fixed point.

The field of unit i is half of what the energy gains if the unit goes from +1 to -1,
``h_i = (E(s_i = -1) - E(s_i = +1)) / 2``; a unit takes the sign of its field. See
`amfast.reference.flips` for the loop written down plainly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._typing import Array, Float, Int, Mask

UPDATES = ("async", "sync", "one-step")
ORDERS = ("random", "fixed")
# Sweeps are counted in int64.
MAX_SWEEPS = 2**63 - 1


@dataclass(frozen=True)
class Rules:
    """How the units move."""

    update: str = "async"
    """"async": one unit after the other; "sync": all at once."""
    order: str = "random"
    """"random": in an order of its own for every (seed, cue, sweep), equal cues in equal orders;
    "fixed": unit 0 first. Of no consequence to "sync"."""
    tie: int = 0
    """What a unit takes whose field is a tie: -1 or +1; 0 keeps what it has."""
    temperature: float = 0.0
    """Above 0, a unit in state s flips with probability 1 / (1 + exp(2 h s / temperature))."""
    max_sweeps: int = 100
    seed: int = 0
    energies: bool = False
    """Whether to compute the energy of every cue and after every sweep."""


class Motion(NamedTuple):
    """How some states move, beside their energy."""

    bias: Float | None
    """(d,) added to the fields."""
    clamp: Mask | None
    """(1, d) for all states or (Q, d): units that never flip."""
    rules: Rules
    threads: int


class Settled(NamedTuple):
    """Where the cues came to rest: what the engine's ``flip_*`` return, in this order."""

    states: Array
    """(Q, d)"""
    sweeps: Int
    """(Q,) steps or sweeps done, the last one, which changed nothing, included."""
    period: Int
    """(Q,) 1 at a fixed point; 2 where two states follow each other ("sync" only; the state is the
    later one); 0 where neither was found, as always above temperature 0."""
    undecided: Mask | None
    """(Q, d) free units whose field is a tie in the final state."""
    energies: Float | None
    """(Q, 1 + most sweeps) of the cue and after every sweep, NaN beyond a row's own sweeps."""

    @property
    def energy(self) -> Float | None:
        """(Q,) energy of the final state."""
        if self.energies is None:
            return None
        return np.asarray(self.energies[np.arange(len(self.sweeps)), self.sweeps])

    @property
    def trace(self) -> Float | None:
        """`energies` with a row's last one in place of NaN."""
        energy = self.energy
        if energy is None or self.energies is None:
            return None
        behind = np.arange(self.energies.shape[1]) > self.sweeps[:, None]
        return np.where(behind, energy[:, None], self.energies)


Step = Callable[[Array, Int], tuple[Array, Float | None]]


def settle(
    step: Step,
    states: Array,
    *,
    max_iter: int,
    still: Callable[[Array, Array, Int], Mask],
    energy: Callable[[Array], Float] | None = None,
    cycles: bool = False,
) -> Settled:
    """Step the rows that still move until they rest: the one loop to a fixed point.

    Parameters
    ----------
    step : callable
        ``step(states (q, d), rows (q,)) -> (new (q, o), energies (q,) or None)``: the next states
        of some rows, and what energy the given ones have.
    states : (Q, d) array
        Where the rows begin.
    max_iter : int
        Steps at most, >= 1.
    still : callable
        ``still(new, old, rows) -> (q,) bool``: which rows need no further step.
    energy : callable, optional
        Energies (Q,) of the final states; with it they are recorded.
    cycles : bool
        Whether a row also rests where it returns to the state before the last (period 2).
    """
    n, rows = len(states), np.arange(len(states))
    now, before = states, None
    final: Array | None = None
    sweeps, period = np.zeros(n, np.int64), np.zeros(n, np.int64)
    trace: list[Float] = []
    for _ in range(max_iter):
        new, found = step(now, rows)
        if found is not None:
            trace.append(np.full(n, np.nan))
            trace[-1][rows] = found
        if final is None:
            final = new.copy()
        else:
            final[rows] = new
        sweeps[rows] += 1
        done = still(new, now, rows)
        period[rows[done]] = 1
        if cycles and before is not None:
            back = ~done & ~(new != before).any(axis=1)
            period[rows[back]] = 2
            done = done | back
        before = now[~done] if cycles else None
        now, rows = new[~done], rows[~done]
        if len(rows) == 0:
            break
    assert final is not None
    if energy is None:
        return Settled(final, sweeps, period, None, None)
    table = np.column_stack([*trace, np.full(n, np.nan)])
    table[np.arange(n), sweeps] = energy(final)
    return Settled(final, sweeps, period, None, table)


def rules(
    update: object,
    order: object,
    tie: int,
    temperature: object,
    max_sweeps: object,
    seed: object,
    energies: bool,
) -> Rules:
    """Check what a user asked for; "one-step" is one sweep of "sync"."""
    once = _check.choice(update, "update", UPDATES) == "one-step"
    sweeps = _check.integer(max_sweeps, "max_sweeps", 1, MAX_SWEEPS)
    return Rules(
        update="sync" if once else str(update),
        order=_check.choice(order, "order", ORDERS),
        tie=tie,
        temperature=0.0 if temperature is None else _check.number(temperature, "temperature", 0.0),
        max_sweeps=1 if once else sweeps,
        seed=_check.seed(seed),
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
    mask = _check.read(given, "clamp")
    if mask.dtype != np.bool_:
        raise TypeError(f"clamp must be bool, True where a unit never flips, got {mask.dtype}")
    if mask.shape not in {(n_units,), (1, n_units), (n_cues, n_units)}:
        raise ValueError(
            f"clamp must have shape ({n_units},) or ({n_cues}, {n_units}), got {mask.shape}"
        )
    return np.ascontiguousarray(np.atleast_2d(mask))


def bias(given: Any) -> Float:
    """Read a bias, a number or one per unit, as float64."""
    if isinstance(given, int | float):
        return np.array(_check.number(given, "bias"))
    values = _check.array(given, "bias")
    if values.ndim > 1:
        raise ValueError(f"bias must be a number or 1-d, got shape {values.shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("bias must be finite")
    return values
