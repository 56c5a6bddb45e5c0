"""A recall flip by flip: every state on the way down, and its energy."""

from __future__ import annotations

import numpy as np

from amfast import _check
from amfast._typing import Float, Int, Mask, Signs
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.recall import Recall
from amfast.parts.dynamics import Rules

# A field below this share of the energy's magnitude is a tie: what differences of energies lose.
_TIE = 1e-12


def by_unit(
    memory: Memory,
    states: Signs,
    kind: Kind,
    clamp: Mask | None,
    rules: Rules,
    heteroassociative: bool,
    trace: str,
) -> Recall:
    """Replay an asynchronous recall in Python, and keep every state.

    A unit's field is half of what the energy gains if it goes from +1 to -1, so this is any memory
    of units that has an energy.
    """
    _check.choice(trace, "trace", ("unit",))
    if heteroassociative or rules.update != "async" or rules.temperature:
        raise ValueError(
            "trace='unit' follows the units one by one: it needs update='async', no temperature "
            "and a memory without values"
        )
    walks = [
        _walk(memory, state, None if clamp is None else clamp[min(row, len(clamp) - 1)], rules)
        for row, state in enumerate(states)
    ]
    ends = np.array([path[-1] for path, *_ in walks], np.int8).reshape(states.shape)
    sweeps = np.array([n for *_, n in walks], np.int64)
    rested = np.array([rest for *_, rest, _ in walks], np.bool_)
    rows = Kind(kind.coding, kind.dtype)
    paths = [rows.states(path) for path, *_ in walks]
    return Recall.of(
        kind,
        kind.states(ends),
        n_iter=sweeps,
        converged=rested,
        energy=np.array([energy[-1] for _, energy, *_ in walks]),
        path=paths,
        path_energy=[energy for _, energy, *_ in walks],
        path_unit=[units for _, _, units, *_ in walks],
    )


def _walk(
    memory: Memory, start: Signs, clamp: Mask | None, rules: Rules
) -> tuple[Signs, Float, Int, bool, int]:
    """Return states, energies, flipped units, whether it rests, and sweeps."""
    rng = np.random.default_rng(rules.seed)
    state, d = start.copy(), len(start)
    free = np.ones(d, np.bool_) if clamp is None else ~clamp
    energy, field = _fields(memory, state)
    path, energies = [state.copy()], [energy]
    units: list[int] = []
    for sweep in range(1, rules.max_sweeps + 1):
        flips = len(units)
        order = np.arange(d) if rules.order == "fixed" else rng.permutation(d)
        for i in order[free[order]]:
            tied = abs(field[i]) <= _TIE * max(1.0, abs(energy))
            wanted = (rules.tie or state[i]) if tied else np.sign(field[i])
            if wanted == state[i]:
                continue
            state[i] = -state[i]
            energy, field = _fields(memory, state)
            path.append(state.copy())
            energies.append(energy)
            units.append(int(i))
        if len(units) == flips:
            return np.array(path), np.array(energies), np.array(units, np.int64), True, sweep
    return np.array(path), np.array(energies), np.array(units, np.int64), False, rules.max_sweeps


def _fields(memory: Memory, state: Signs) -> tuple[float, Float]:
    """Return the energy of a state, and the field of every unit."""
    if hasattr(memory, "fields"):  # with a diagonal no differences of energies
        return float(memory.energy(state)), np.asarray(memory.fields(state))
    near = np.repeat(state[None], len(state) + 1, axis=0)
    flipped = np.arange(len(state))
    near[flipped, flipped] *= -1
    energies = np.asarray(memory.energy(near))
    own = float(energies[-1])
    return own, (energies[:-1] - own) / 2 * state
