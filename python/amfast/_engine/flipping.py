"""Units that settle: how the engine is asked to flip them, and for the signs of one-step fields.

States are (Q, d) int8 of -1 and +1, biases and clamps those of `Motion`. See `amfast._core` for the
energies. Orders and noise are drawn from a number of each cue, made of the seed and of its own
bits: where it stands in a batch does not matter.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from amfast import _core
from amfast._typing import Array, Float, Int, Signs
from amfast.bits import BitMatrix
from amfast.parts.dynamics import Motion, Rules, Settled

Packed: TypeAlias = _core.Keys
Words: TypeAlias = NDArray[np.uint64]

# What SplitMix64 adds to its state for every number.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class Worth(NamedTuple):
    """What overlaps with patterns of bits are worth."""

    table: Float | None
    """What a unit gains, by the overlap o of the others, -(d - 1), -(d - 3), .., d - 1; with
    ``own``, by that of all, -d, -(d - 2), .., d."""
    energy: Float | None = None
    """What a pattern takes from the energy, by o = -d, .., d; needed if energies are asked for."""
    beta: float | None = None
    """In place of both: what the exponential multiplies overlaps with."""
    scale: float = 1.0
    own: bool = False
    """Whether a unit's own state counts in its field."""


def by_overlaps(
    states: Signs, patterns: BitMatrix, weights: Float | None, worth: Worth, motion: Motion
) -> Settled:
    """Settle by the overlaps with patterns of bits, of weight 1 if ``weights`` is None."""
    table, energy, beta, scale, own = worth
    rows, numbers = _prepared(states, motion.rules)
    bits = patterns.to_packed()
    return Settled(
        *_core.flip_overlaps(rows, numbers, bits, weights, table, energy, beta, scale, own, *motion)
    )


def by_matrix(states: Signs, matrix: Array, scale: float, own: bool, motion: Motion) -> Settled:
    """Settle under ``-scale/2 s M s - bias s``, M symmetric int32 or float64 (d, d)."""
    rows, numbers = _prepared(states, motion.rules)
    return Settled(*_core.flip_matrix(rows, numbers, matrix, scale, own, *motion))


def by_columns(
    states: Signs,
    columns: Float,
    weights: Float,
    interaction: str,
    parameter: float,
    scale: float,
    motion: Motion,
) -> Settled:
    """Settle by the overlaps with patterns of real numbers, which are columns (d, K)."""
    rows, numbers = _prepared(states, motion.rules)
    return Settled(
        *_core.flip_real(rows, numbers, columns, weights, interaction, parameter, scale, *motion)
    )


def votes(
    cues: Signs,
    patterns: BitMatrix,
    weights: Float | None,
    worth: Worth,
    values: BitMatrix,
    threads: int,
) -> Signs:
    """Signs of ``sum w F'(o) v`` (Q, o), 0 where it is a tie; F' is the table of ``worth``."""
    rows, packed, read = np.ascontiguousarray(cues), patterns.to_packed(), values.to_packed()
    return _core.overlap_signs(
        rows, packed, weights, worth.table, worth.beta, read, values.n_bits, threads
    )


def packed(matrix: Array) -> Packed:
    """Pack M (o, d) for products with many states."""
    return _core.Keys(matrix, "dot")


# -- chance ---------------------------------------------------------------------------------------


def _prepared(states: Signs, rules: Rules) -> tuple[Signs, Words]:
    """Return states as the engine reads them, and the numbers that their chance is drawn from."""
    if rules.temperature or (rules.update == "async" and rules.order == "random"):
        return np.ascontiguousarray(states), cue_numbers(states, rules.seed, rules.temperature)
    return np.ascontiguousarray(states), np.zeros(len(states), np.uint64)


def cue_numbers(states: Signs, seed: int, temperature: float = 0.0) -> Words:
    """Give cues (Q,) numbers made of their bits and the seed; see `amfast.reference.cue_numbers`.

    Equal cues have one number; at a temperature each copy in a batch has its own, so that their
    noise differs, and the first has that of the cue alone.
    """
    width = -(-states.shape[1] // 64)
    packed = np.zeros((len(states), 8 * width), np.uint8)
    bits = np.packbits(states > 0, axis=1, bitorder="little")
    packed[:, : bits.shape[1]] = bits
    places = np.arange(1, width + 1, dtype=np.uint64) * _GAMMA
    words = _mixed(packed.view("<u8") + places).sum(axis=1, dtype=np.uint64)
    keys = words + _mixed(np.array([seed], np.uint64) + _GAMMA)
    return _mixed(keys + (_copies(keys) + np.uint64(1)) * _GAMMA if temperature else keys + _GAMMA)


def _mixed(z: Words) -> Words:
    """Finalise as SplitMix64 does (Steele, Lea and Flood, 2014); products wrap at 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _copies(keys: Words) -> Words:
    """Count for each key how often it stands before (Q,)."""
    order: Int = np.argsort(keys, kind="stable")
    ranked, places = keys[order], np.arange(len(keys))
    starts = np.r_[True, ranked[1:] != ranked[:-1]][: len(keys)]
    first = np.maximum.accumulate(np.where(starts, places, 0))
    found = np.empty(len(keys), np.uint64)
    found[order] = places - first
    return found
