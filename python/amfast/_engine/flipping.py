"""Units that settle: how the engine is asked to flip them, and for the signs of one-step fields.

States are (Q, d) int8 of -1 and +1, biases and clamps those of `Motion`. See `amfast._core` for the
energies. Orders and noise are drawn by the engine from the seed and each cue's own bits: where it
stands in a batch does not matter.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from amfast import _core
from amfast._typing import Array, Float, Signs
from amfast.bits import BitMatrix
from amfast.parts.dynamics import Motion, Settled

Packed: TypeAlias = _core.Keys


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
    rows = np.ascontiguousarray(states)
    bits = patterns.to_packed()
    return Settled(
        *_core.flip_overlaps(rows, bits, weights, table, energy, beta, scale, own, *motion)
    )


def by_matrix(states: Signs, matrix: Array, scale: float, own: bool, motion: Motion) -> Settled:
    """Settle under ``-scale/2 s M s - bias s``, M symmetric int32 or float64 (d, d)."""
    rows = np.ascontiguousarray(states)
    return Settled(*_core.flip_matrix(rows, matrix, scale, own, *motion))


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
    rows = np.ascontiguousarray(states)
    return Settled(*_core.flip_real(rows, columns, weights, interaction, parameter, scale, *motion))


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
