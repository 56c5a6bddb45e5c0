"""Synchronous dynamics of bipolar states: all units of a step at once, many cues in one product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast._typing import Array, Float, Int, Mask
from amfast.parts.dynamics import Settled, settle

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
    last: list[Array] = []

    def step(now: Array, rows: Int) -> tuple[Array, Float | None]:
        h = field(now)
        new = signs(h, now, tie)
        if clamp is not None:
            np.copyto(new, now, where=clamp if len(clamp) == 1 else clamp[rows])
        return new, field.energy(now, h) if energies else None

    def still(new: Array, old: Array, rows: Int) -> Mask:
        return np.asarray(~(new != old).any(axis=1))

    def energy(final: Array) -> Float:
        last.append(field(final))
        return field.energy(final, last[0])

    end = settle(
        step,
        states.astype(field.dtype),
        max_iter=max_sweeps,
        still=still,
        energy=energy if energies else None,
        cycles=True,
    )
    if not energies:
        return end
    tied = last[0] == 0
    return end._replace(undecided=tied if clamp is None else tied & ~clamp)
