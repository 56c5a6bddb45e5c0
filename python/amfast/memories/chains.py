"""Sequences: what a memory recalls is its next cue."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast.bits import BitMatrix


def chained(memory: Any, cue: Any, n_steps: object, how: dict[str, Any]) -> Any:
    """Return the cue and what ``n_steps`` recalls make of it; see `Memory.chain`."""
    steps = _check.integer(n_steps, "n_steps", 1)
    for name in {"details", "trace"} & set(how):
        raise ValueError(f"{name}: a chain returns nothing but the states it goes through")
    state = cue if isinstance(cue, BitMatrix) else np.asarray(_check.read(cue, "cue"))
    shape = state.shape
    if shape[:-1] != ((1,) if isinstance(state, BitMatrix) else ()) or shape == ():
        raise ValueError(
            "a chain follows one cue: a 1-d row or a BitMatrix of one row, got "
            f"{len(shape)}-d of shape {shape}"
        )
    path: list[Any] = [state]
    for step in range(1, steps + 1):
        found = memory.recall(state, details=True, **how)
        if found.state.shape != shape:
            raise ValueError(
                f"the memory answers a cue of {shape[-1]} columns by {found.state.shape[-1]}: "
                "values must be as wide as keys to be the next cue"
            )
        _refuse_undecided(state, found, step)
        state = found.state
        path.append(state)
    return BitMatrix.concatenate(path) if isinstance(state, BitMatrix) else np.stack(path)


def _refuse_undecided(cue: Any, found: Any, step: int) -> None:
    """Units that a memory of signs leaves at 0 make no cue."""
    if found.undecided_units is None or isinstance(cue, BitMatrix) or (cue == 0).any():
        return
    n = int((found.state == 0).sum())
    if n:
        raise ValueError(
            f"step {step} of the chain leaves {n} units without a field, which are no cue; "
            "choose what they become, tie=1 or tie=-1"
        )
