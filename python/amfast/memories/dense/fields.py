"""How a `DenseAssociativeMemory` asks the engine: patterns of bits, or of real numbers."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from amfast import _check
from amfast._engine import flipping, scoring
from amfast._engine.flipping import Worth
from amfast._stores.items import Stored
from amfast._typing import Float, Signs
from amfast.bits import BitMatrix
from amfast.memories.dense.interaction import Interaction
from amfast.parts.dynamics import Motion, Rules, Settled

# 2^-52, in which ties of one-step fields of real patterns are counted.
_EPS = float(np.finfo(np.float64).eps)
_TILE = 1 << 20
_TURNED = 256


class Fields(Protocol):
    """What recall needs; states are rows of d units, of d + o if heteroassociative."""

    def flip(self, states: Signs, motion: Motion) -> Settled:
        """Follow the energy."""

    def step(self, states: Signs, motion: Motion) -> Settled:
        """Take one step along sum w F'(o) x, in an autoassociative memory."""

    def vote(self, cues: Signs, threads: int) -> Signs:
        """Signs of sum w F'(o) v, 0 where it is a tie."""

    @property
    def nbytes(self) -> int:
        """Bytes kept."""


class Binary:
    """Patterns of bits: integer overlaps and tables."""

    def __init__(self, interaction: Interaction, now: Stored) -> None:
        # Not what is stored itself, which holds these fields.
        self._f, self._keys, self._values = interaction, now.keys, now.values
        self._beta = interaction.log_slope
        self._weights = now.weights if now.weighted else None
        self._joined = None if now.heteroassociative else now.keys

    def _patterns(self) -> BitMatrix:
        """Keys and values side by side."""
        if self._joined is None:
            both = [self._keys.unpack("bool"), self._values.unpack("bool")]
            width = self._keys.n_bits + self._values.n_bits
            self._joined = BitMatrix._of(np.packbits(np.hstack(both), axis=1), width)
        return self._joined

    def flip(self, states: Signs, motion: Motion) -> Settled:
        """See `Fields`."""
        return self._settled(states, self._f.steps(states.shape[1]), False, motion)

    def step(self, states: Signs, motion: Motion) -> Settled:
        """See `Fields`."""
        return self._settled(states, self._f.slopes(states.shape[1]), True, motion)

    def _settled(self, states: Signs, table: Float | None, own: bool, motion: Motion) -> Settled:
        energy = self._f.energies(states.shape[1]) if motion.rules.energies else None
        worth = Worth(table, energy, self._beta, own=own)
        return flipping.by_overlaps(states, self._patterns(), self._weights, worth, motion)

    def vote(self, cues: Signs, threads: int) -> Signs:
        """See `Fields`."""
        worth = Worth(self._f.slopes(cues.shape[1]), beta=self._beta)
        return flipping.votes(cues, self._keys, self._weights, worth, self._values, threads)

    @property
    def nbytes(self) -> int:
        """See `Fields`."""
        return 0 if self._joined is None or self._joined is self._keys else self._joined.nbytes


class Real:
    """Patterns of real numbers.

    For powers they are divided by a power of two m that no overlap exceeds, which is exact, and
    energies multiplied by m^n: small patterns do not underflow, large ones do not overflow.
    """

    def __init__(self, interaction: Interaction, now: Stored) -> None:
        self._f, self._keys, self._values = interaction, now.keys, now.values
        self._weights, self._log_weight = now.weights, now.log_weight
        self._hetero = now.heteroassociative
        self._made: tuple[Float, float] | None = None

    def _columns(self) -> tuple[Float, float]:
        """Return the divided patterns, keys above values (d + o, K), and m^n."""
        if self._made is None:
            self._made = self._scaled()
        return self._made

    def _scaled(self) -> tuple[Float, float]:
        f = self._f
        parts = [self._keys, self._values] if self._hetero else [self._keys]
        reach = float(sum(np.abs(part).sum(axis=1) for part in parts).max())
        exponent = 0 if f.exponential or reach == 0 else math.frexp(reach)[1]
        try:
            scale = 1.0 if f.exponential else math.ldexp(1.0, exponent * f.n)
        except OverflowError:
            scale = math.inf
        if not 1e-290 < scale < math.inf:
            raise ValueError(
                f"n={f.n} is out of range for patterns of absolute sum {reach:g}: "
                f"energies are about 2^{exponent * f.n}; scale the patterns"
            )
        return _columns_of(parts, math.ldexp(1.0, -exponent)), scale

    def flip(self, states: Signs, motion: Motion) -> Settled:
        """See `Fields`."""
        f = self._f
        parameter = f.beta if f.exponential else float(f.n)
        columns, scale = self._columns()
        weights = self._weights
        return flipping.by_columns(states, columns, weights, f.kind, parameter, scale, motion)

    def step(self, states: Signs, motion: Motion) -> Settled:
        """See `Fields`."""
        bias, clamp, rules, threads = motion
        if bias is not None or rules.temperature:
            raise ValueError("one-step recall of real patterns has no bias and no temperature")
        keys = self._keys
        votes = self._votes(states, keys, threads)
        free = np.ones((1, 1), np.bool_) if clamp is None else ~clamp
        change = (votes != 0) if rules.tie == 0 else np.ones(votes.shape, np.bool_)
        new = np.where(change & free, np.where(votes == 0, rules.tie, votes), states)
        new = new.astype(np.int8, copy=False)
        still = (new == states).all(axis=1)
        after = self._votes(new, keys, threads)
        energies = None
        if rules.energies:
            look = Motion(None, None, Rules(max_sweeps=0, energies=True), threads)
            ends = [self.flip(s, look) for s in (states, new)]
            energies = np.hstack([end.energies for end in ends if end.energies is not None])
        ones = np.ones(len(new), np.int64)
        return Settled(new, ones, still.astype(np.int64), (after == 0) & free, energies)

    def vote(self, cues: Signs, threads: int) -> Signs:
        """See `Fields`."""
        return self._votes(cues, self._values, threads)

    def _votes(self, cues: Signs, values: Float, threads: int) -> Signs:
        """Signs of the weighted values; a tie is what rounding can leave of terms that cancel."""
        self._columns()  # refuses patterns whose energies no state could have
        out = np.empty((len(cues), values.shape[1]), np.int8)
        float64 = np.dtype(np.float64)
        step = max(1, _TILE // len(self._keys))
        for start in range(0, len(cues), step):
            tile = slice(start, start + step)
            dots = scoring.dot(cues[tile].astype(float64), self._keys, threads)
            share, _ = self._f.votes(dots, self._log_weight)
            field = scoring.project(share, values, float64, threads)
            terms = scoring.project(np.abs(share), np.abs(values), float64, threads)
            field[np.abs(field) <= 8 * _EPS * terms] = 0.0
            out[tile] = np.sign(field)
        return out

    @property
    def nbytes(self) -> int:
        """See `Fields`."""
        return 0 if self._made is None else self._made[0].nbytes


def _columns_of(parts: list[Float], factor: float) -> Float:
    """Turn rows (K, d) into columns times a power of two, the parts one above the other."""
    n = len(parts[0])
    shape = sum(part.shape[1] for part in parts), n
    columns = _check.empty(shape, np.dtype(np.float64), "the patterns' columns")
    first = 0
    for part in parts:
        out = columns[first : first + part.shape[1]]
        # By so few rows that they stay in the processor's cache while they are turned.
        for start in range(0, n, _TURNED):
            rows = slice(start, start + _TURNED)
            np.multiply(part[rows].T, factor, out=out[:, rows])
        first += part.shape[1]
    return columns
