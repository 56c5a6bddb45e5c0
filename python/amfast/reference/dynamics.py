"""Binary units that settle: words of chance, orders, fields and flips."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]

_GAMMA = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finalise as SplitMix64 does (Steele, Lea and Flood, 2014); products wrap at 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _keyed(key: int, *numbers: int) -> int:
    """Mix numbers into a key in turn: key <- mix(key + (n + 1) gamma)."""
    for n in numbers:
        start = np.array([(key + (n + 1) * _GAMMA) & _WORD], np.uint64)
        key = int(_mixed(start)[0])
    return key


def cue_key(cue: Array) -> int:
    """Return the key of a cue of -1 and +1: equal cues have equal keys, wherever they stand.

    From 0, the units are mixed in, 64 at a time, +1 being a bit 1 and the first the lowest.
    """
    bits = [int(s > 0) for s in cue]
    words = [bits[first : first + 64] for first in range(0, len(bits), 64)]
    return _keyed(0, *(sum(bit << i for i, bit in enumerate(word)) for word in words))


def cue_keys(cues: Array, apart: bool) -> list[int]:
    """Return the `cue_key` of each cue; ``apart``, the n-th earlier equal cue mixes in n > 0."""
    keys = [cue_key(cue) for cue in cues]
    copies = [keys[:row].count(key) if apart else 0 for row, key in enumerate(keys)]
    return [_keyed(key, n) if n else key for key, n in zip(keys, copies, strict=True)]


def sweep_words(seed: int, key: int, sweep: int, n: int) -> NDArray[np.uint64]:
    """Draw the first n random words of one sweep of the cue with that `cue_key`.

    Word t is mix(start + (t + 1) gamma), the t-th output of SplitMix64 from the state ``start``,
    which is the seed, into which 0, the cue's key and the sweep were mixed in turn.
    """
    key = _keyed(seed & _WORD, 0, key, sweep)
    steps = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return _mixed(np.uint64(key) + steps)


def sweep_order(seed: int, key: int, sweep: int, units: Array) -> Array:
    """Shuffle the units by Fisher and Yates, from the end, by the high halves of the words."""
    order = np.array(units)
    words = sweep_words(seed, key, sweep, max(0, len(order) - 1))
    for word, i in zip(words.tolist(), range(len(order) - 1, 0, -1), strict=True):
        j = (word >> 32) * (i + 1) >> 32
        order[[i, j]] = order[[j, i]]
    return order


def overlap_terms(
    patterns: Array,
    weights: Array,
    worth: Callable[[Array], Array],
    self_term: bool = False,
) -> Callable[[Array, int], Float]:
    """Terms of the fields of packed patterns, one a pattern: w x G(o - x s), or w x F'(o).

    Parameters
    ----------
    patterns : (K, d) array of -1 and +1
    weights : (K,) array
    worth : callable
        G(o) = (F(o + 1) - F(o - 1)) / 2, or F' with ``self_term``.
    """
    x = np.asarray(patterns, np.int64)

    def terms(state: Array, unit: int) -> Float:
        column = x[:, unit]
        overlap = x @ np.asarray(state, np.int64)
        own = 0 if self_term else column * int(state[unit])
        return np.asarray(weights * column * worth(overlap - own), np.float64)

    return terms


def matrix_terms(matrix: Array, self_term: bool = False) -> Callable[[Array, int], Float]:
    """Terms of the fields W s, one a unit."""

    def terms(state: Array, unit: int) -> Float:
        products = np.asarray(matrix[unit], np.float64) * state
        return products if self_term else np.delete(products, unit)

    return terms


def flips(
    states: Array,
    terms: Callable[[Array, int], Float],
    *,
    scale: float = 1.0,
    bias: Array | None = None,
    clamp: Array | None = None,
    energy: Callable[[Array], float] | None = None,
    update: str = "async",
    order: str = "random",
    tie: int = 0,
    temperature: float = 0.0,
    max_sweeps: int = 100,
    seed: int = 0,
) -> tuple[Array, Array, Array, Array, list[list[float]]]:
    """Let binary units take the signs of their fields, scale * sum(terms) + bias.

    A field counts as a tie where its magnitude is at most 2^-52 times the sum of the magnitudes of
    its terms. At a temperature T a unit flips with probability 1 / (1 + exp(2 h s / T)); the
    number drawn for the p-th unit of a sweep is word d + p, those before it order the sweep.

    Parameters
    ----------
    states : (Q, d) array of -1 and +1
    terms : callable
        ``terms(state, unit)``, such as `overlap_terms` gives.
    clamp : (Q, d) bool array, optional
        Units that never flip.
    energy : callable, optional
        Of a state.

    Returns
    -------
    states, sweeps, period, undecided, energies
        As the engine's, the energies as lists.
    """
    out = np.array(states, np.int8)
    n, d = out.shape
    offsets = np.zeros(d) if bias is None else np.asarray(bias, np.float64)
    sweeps, period = np.zeros(n, np.int64), np.zeros(n, np.int64)
    undecided = np.zeros((n, d), np.bool_)
    energies: list[list[float]] = [[] if energy is None else [energy(s)] for s in out]

    def local(state: Array, unit: int) -> float:
        parts = terms(state, unit)
        h = scale * math.fsum(parts) + offsets[unit]
        total = scale * math.fsum(np.abs(parts)) + abs(offsets[unit])
        return 0.0 if abs(h) <= 2.0**-52 * total else float(h)

    def moved(s: int, h: float, number: float) -> int:
        if temperature:
            with np.errstate(over="ignore"):
                return -s if number < 1 / (1 + np.exp(2 * h * s / temperature)) else s
        return int(np.sign(h)) or tie or s

    keys = cue_keys(out, temperature > 0)
    for row, state in enumerate(out):
        free = np.flatnonzero(~clamp[row]) if clamp is not None else np.arange(d)
        before, key = None, keys[row]
        while sweeps[row] < max_sweeps and not period[row]:
            sweep = int(sweeps[row])
            units = sweep_order(seed, key, sweep, free) if order == "random" else free
            units = free if update == "sync" else units
            numbers = (sweep_words(seed, key, sweep, 2 * d)[d:] >> np.uint64(11)) * 2.0**-53
            old = state.copy()
            seen = old if update == "sync" else state
            for unit, number in zip(units, numbers, strict=False):
                state[unit] = moved(int(seen[unit]), local(seen, int(unit)), float(number))
            if not temperature:
                if (state == old).all():
                    period[row] = 1
                elif update == "sync" and before is not None and (state == before).all():
                    period[row] = 2
            before = old
            sweeps[row] += 1
            if energy is not None:
                energies[row].append(energy(state))
        for unit in free:
            undecided[row, unit] = local(state, int(unit)) == 0.0
    return out, sweeps, period, undecided, energies
