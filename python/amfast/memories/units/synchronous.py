"""Synchronous dynamics of bipolar states: all units of a step at once, many cues in one product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast._typing import Array, Float, Int, Mask

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Field:
    """The field ``h = scale * sums(s) + bias`` of bipolar states.

    It is 0 where rounding may be all that is left of terms that cancel, as the engine has it.
    """

    sums: Callable[[Array], Array]
    """(Q, d) states in ``dtype`` to (Q, o) sums."""
    dtype: np.dtype[Any]
    scale: float
    bias: Float | None
    slack: float = 0.0
    """What rounding may leave of sums that cancel; 0 where they are exact."""

    def __call__(self, states: Array) -> Array:
        """h, (Q, o); without a bias in any positive multiple, since only its sign counts."""
        found = self.sums(states.astype(self.dtype, copy=False))
        if self.bias is None:
            if self.slack:
                found[np.abs(found) <= self.slack] = 0
            return found
        found = found * np.float64(self.scale)
        h = found + self.bias
        h[np.abs(h) <= _EPS * (np.abs(found) + np.abs(self.bias)) + self.scale * self.slack] = 0
        return h

    def energy(self, states: Array, field: Array) -> Float:
        """-s W s / 2 - b s, given h as computed by calling this."""
        s = states.astype(np.float64)
        if self.bias is None:
            return np.asarray((s * field).sum(axis=1) * (-0.5 * self.scale))
        return np.asarray(-0.5 * (s * (field + self.bias)).sum(axis=1))


def signs(field: Array, states: Array, tie: int) -> Array:
    """Signs of a field in the type of the states; where it is 0, the state (tie 0) or ``tie``."""
    new = np.sign(field).astype(states.dtype, copy=False)
    tied = new == 0
    if tied.any():
        np.copyto(new, tie if tie else states, where=tied)
    return new


@dataclass(frozen=True)
class Settled:
    """Where the cues went."""

    states: Array
    sweeps: Int
    period: Int
    undecided: Mask | None
    energies: Float | None


def synchronous(
    states: Array,
    field: Field,
    clamp: Mask | None,
    tie: int,
    max_sweeps: int,
    energies: bool,
) -> Settled:
    """Step until each row repeats its state (period 1) or the one before (period 2).

    Parameters
    ----------
    states : (Q, d) array of -1 and +1
    field : Field
    clamp : (1, d) or (Q, d) bool array or None
        Units that keep their state.
    tie : int
        What a unit without a field does: 0 keeps its state.
    max_sweeps : int
        Steps at most.
    energies : bool
        Whether to return the energies (Q, 1 + sweeps), NaN behind a row's last, and which free
        units of the last state have no field.
    """
    n, active = len(states), np.arange(len(states))
    now = states.astype(field.dtype)
    before: Array | None = None
    final = now.copy()
    sweeps, period = np.zeros(n, np.int64), np.zeros(n, np.int64)
    trace: list[Float] = []
    for _ in range(max_sweeps):
        if len(active) == 0:
            break
        h = field(now)
        if energies:
            trace.append(np.full(n, np.nan))
            trace[-1][active] = field.energy(now, h)
        new = signs(h, now, tie)
        if clamp is not None:
            np.copyto(new, now, where=clamp if len(clamp) == 1 else clamp[active])
        sweeps[active] += 1
        final[active] = new
        done = ~(new != now).any(axis=1)
        period[active[done]] = 1
        if before is not None:
            back = ~done & ~(new != before).any(axis=1)
            period[active[back]] = 2
            done |= back
        before, now, active = now[~done], new[~done], active[~done]
    if not energies:
        return Settled(final, sweeps, period, None, None)
    h = field(final)
    table = np.column_stack([*trace, np.full(n, np.nan)])
    table[np.arange(n), sweeps] = field.energy(final, h)
    undecided = h == 0 if clamp is None else (h == 0) & ~clamp
    return Settled(final, sweeps, period, undecided, table)
