"""Calls inside somebody's loop, of which the work is a few microseconds, and NumPy beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import amfast
from amfast._typing import Array, Float
from amfast.bench import _clock

if TYPE_CHECKING:
    from amfast.bench._case import Size

Calls = dict[str, Callable[[], Any]]


def topk(size: Size, budget: float) -> dict[str, float]:
    """Seconds that it takes to find the best key of one cue."""
    cue, keys = _drawn(size)
    return _best(
        {
            "amfast": lambda: amfast.topk(cue, keys, 1, "dot"),
            "NumPy": lambda: (keys @ cue[0]).argmax(),
        },
        budget,
    )


def recalled(size: Size, budget: float) -> dict[str, float]:
    """Seconds of one recall from a modern Hopfield network."""
    cue, keys = _drawn(size)
    memory = amfast.ModernHopfield(beta=1.0)
    memory.store(keys)
    calls: Calls = {"amfast": lambda: memory.recall(cue), "NumPy": lambda: _attend(cue[0], keys)}
    return _best(calls, budget)


def settled(size: Size, budget: float) -> dict[str, float]:
    """Seconds until a Hopfield network of d units and n patterns comes to rest.

    Beside it one unit after the other until a sweep changes nothing, with the matrix at hand.
    """
    cue, keys = (np.where(x > 0, 1, -1).astype(np.int8) for x in _drawn(size))
    memory = amfast.Hopfield()
    memory.store(keys)
    weights = (keys.T.astype(np.int64) @ keys).astype(np.float64)
    np.fill_diagonal(weights, 0)

    def numpy() -> Float:
        state, before = cue[0].astype(np.float64), np.zeros(size.d)
        while (state != before).any():
            before = state.copy()
            for unit in range(size.d):
                state[unit] = 1.0 if weights[unit] @ state >= 0 else -1.0
        return np.asarray(state)

    return _best({"amfast": lambda: memory.recall(cue), "NumPy": numpy}, budget)


def stored(size: Size, budget: float) -> dict[str, float]:
    """Seconds that it takes to add one row; beside it the same into room that is there."""
    row, keys = _drawn(size)
    memory, rows = amfast.ModernHopfield(beta=1.0), _Rows(keys)
    memory.store(keys)
    return _best({"amfast": lambda: memory.store(row), "NumPy": lambda: rows.add(row)}, budget)


def in_turn(size: Size, budget: float) -> dict[str, float]:
    """Seconds that it takes to add a row and to recall from all of them."""
    cue, keys = _drawn(size)
    memory, rows = amfast.ModernHopfield(beta=1.0), _Rows(keys)
    memory.store(keys)

    def ours() -> Any:
        memory.store(cue)
        return memory.recall(cue)

    return _best({"amfast": ours, "NumPy": lambda: _attend(cue[0], rows.add(cue))}, budget)


class _Rows:
    """Rows in an array with room for more, as one writes it oneself."""

    def __init__(self, rows: Array) -> None:
        self._rows, self._n = np.concatenate([rows, np.empty_like(rows)]), len(rows)

    def add(self, row: Array) -> Array:
        """Write a row behind the others, over the last one where there is no room."""
        self._n = min(self._n + 1, len(self._rows))
        self._rows[self._n - 1] = row[0]
        return self._rows[: self._n]


def _attend(cue: Array, keys: Array) -> Array:
    scores = keys @ cue
    scores -= scores.max()
    np.exp(scores, out=scores)
    scores /= scores.sum()
    return np.asarray(scores @ keys)


def _drawn(size: Size) -> tuple[Array, Array]:
    """Draw keys (n, d), and one of them as the cue (1, d) with a little noise."""
    rng = np.random.default_rng(20_26)
    keys = rng.standard_normal((size.n, size.d), dtype=np.float32)
    noise = rng.standard_normal((1, size.d), dtype=np.float32)
    return keys[:1] + np.float32(0.25) * noise, keys


def _best(calls: Calls, budget: float) -> dict[str, float]:
    for call in calls.values():
        call()  # a first recall packs and looks: what it takes says nothing of the next
    warm_up = {name: _clock.timed(call)[0] for name, call in calls.items()}
    return _clock.best_times(calls, budget, warm_up)
