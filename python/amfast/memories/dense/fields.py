"""How a `DenseAssociativeMemory` asks the engine: patterns of bits, or of real numbers."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from amfast import _check, _core
from amfast._engine import scoring
from amfast._stores.bit_items import BitItems
from amfast._stores.real_items import RealItems
from amfast._typing import Array, Float, Mask, Signs
from amfast.bits import BitMatrix
from amfast.memories.dense.interaction import Interaction
from amfast.parts.dynamics import Rules, Settled

# 2^-52, in which ties of one-step fields of real patterns are counted.
_EPS = float(np.finfo(np.float64).eps)
_TILE = 1 << 20


class Fields(Protocol):
    """What recall needs; states are rows of d units, of d + o if heteroassociative."""

    def flip(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """Follow the energy."""

    def step(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """Take one step along sum w F'(o) x, in an autoassociative memory."""

    def vote(self, cues: Signs, threads: int) -> Signs:
        """Signs of sum w F'(o) v, 0 where it is a tie."""

    def overlaps(self, cues: BitMatrix, threads: int) -> Array:
        """Overlaps with all keys."""

    @property
    def nbytes(self) -> int:
        """Bytes kept."""


class Binary:
    """Patterns of bits: integer overlaps and tables."""

    def __init__(self, interaction: Interaction, items: BitItems) -> None:
        self._f = interaction
        self._keys = items.keys
        self._values = items.values
        self._weights = np.ascontiguousarray(items.weights) if items.weighted else None
        self._joined = items.keys
        if items.heteroassociative:
            both = [items.keys.unpack("bool"), items.values.unpack("bool")]
            width = sum(x.shape[1] for x in both)
            self._joined = BitMatrix._of(np.packbits(np.hstack(both), axis=1), width)
        self._own = items.heteroassociative

    def flip(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """See `Fields`."""
        d = states.shape[1]
        return self._run(states, self._f.steps(d), False, bias, clamp, rules, threads)

    def step(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """See `Fields`."""
        d = states.shape[1]
        return self._run(states, self._f.slopes(d), True, bias, clamp, rules, threads)

    def _run(
        self,
        states: Signs,
        table: Float | None,
        self_term: bool,
        bias: Float | None,
        clamp: Mask | None,
        rules: Rules,
        threads: int,
    ) -> Settled:
        return Settled(
            *_core.flip_overlaps(
                np.ascontiguousarray(states),
                self._joined.to_packed(),
                self._weights,
                table,
                self._f.energies(states.shape[1]) if rules.energies else None,
                self._f.log_slope,
                1.0,
                self_term,
                bias,
                clamp,
                rules,
                threads,
            )
        )

    def vote(self, cues: Signs, threads: int) -> Signs:
        """See `Fields`."""
        return _core.overlap_signs(
            np.ascontiguousarray(cues),
            self._keys.to_packed(),
            self._weights,
            self._f.slopes(cues.shape[1]),
            self._f.log_slope,
            self._values.to_packed(),
            self._values.n_bits,
            threads,
        )

    def overlaps(self, cues: BitMatrix, threads: int) -> Array:
        """See `Fields`."""
        shape = (len(cues), len(self._keys))
        counts = _check.empty(shape, np.dtype(np.int32), "scores")
        if len(cues):
            _core.pairwise(cues.to_packed(), self._keys.to_packed(), "hamming", counts, threads)
        np.multiply(counts, -2, out=counts)
        counts += cues.n_bits
        return counts

    @property
    def nbytes(self) -> int:
        """See `Fields`."""
        return self._joined.nbytes if self._own else 0


class Real:
    """Patterns of real numbers.

    For powers they are divided by a power of two m that no overlap exceeds, which is exact, and
    energies multiplied by m^n: small patterns do not underflow, large ones do not overflow.
    """

    def __init__(self, interaction: Interaction, items: RealItems) -> None:
        self._f = interaction
        self._keys = np.ascontiguousarray(items.keys)
        self._values = np.ascontiguousarray(items.values)
        self._weights = np.ascontiguousarray(items.weights)
        parts = [items.keys, items.values] if items.heteroassociative else [items.keys]
        reach = max(
            float(sum(np.abs(row).sum() for row in rows)) for rows in zip(*parts, strict=True)
        )
        exponent = 0 if interaction.exponential or reach == 0 else math.frexp(reach)[1]
        try:
            self._scale = (
                1.0 if interaction.exponential else math.ldexp(1.0, exponent * interaction.n)
            )
        except OverflowError:
            self._scale = math.inf
        if not 1e-290 < self._scale < math.inf:
            raise ValueError(
                f"n={interaction.n} is out of range for patterns of absolute sum {reach:g}: "
                f"energies are about 2^{exponent * interaction.n}; scale the patterns"
            )
        columns = np.concatenate([x.T for x in parts])
        self._columns = np.ascontiguousarray(np.ldexp(columns, -exponent))

    def flip(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """See `Fields`."""
        return Settled(
            *_core.flip_real(
                np.ascontiguousarray(states),
                self._columns,
                self._weights,
                self._f.kind,
                self._f.beta if self._f.exponential else float(self._f.n),
                self._scale,
                bias,
                clamp,
                rules,
                threads,
            )
        )

    def step(
        self, states: Signs, bias: Float | None, clamp: Mask | None, rules: Rules, threads: int
    ) -> Settled:
        """See `Fields`."""
        if bias is not None or rules.temperature:
            raise ValueError("one-step recall of real patterns has no bias and no temperature")
        votes = self._votes(states, self._keys, threads)
        free = np.ones((1, 1), np.bool_) if clamp is None else ~clamp
        change = (votes != 0) if rules.tie == 0 else np.ones(votes.shape, np.bool_)
        new = np.where(change & free, np.where(votes == 0, rules.tie, votes), states)
        still = (new == states).all(axis=1)
        after = self._votes(new.astype(np.int8), self._keys, threads)
        energies = None
        if rules.energies:
            look = Rules(max_sweeps=0, energies=True)
            ends = [self.flip(s.astype(np.int8), None, None, look, threads) for s in (states, new)]
            energies = np.hstack([end.energies for end in ends if end.energies is not None])
        ones = np.ones(len(new), np.int64)
        return Settled(
            new.astype(np.int8), ones, still.astype(np.int64), (after == 0) & free, energies
        )

    def vote(self, cues: Signs, threads: int) -> Signs:
        """See `Fields`."""
        return self._votes(cues, self._values, threads)

    def _votes(self, cues: Signs, values: Float, threads: int) -> Signs:
        """Signs of the weighted values; a tie is what rounding can leave of terms that cancel."""
        out = np.empty((len(cues), values.shape[1]), np.int8)
        with np.errstate(divide="ignore"):
            log_weight = np.log(self._weights)
        step = max(1, _TILE // len(self._keys))
        for start in range(0, len(cues), step):
            tile = slice(start, start + step)
            share, _ = self._f.votes(self._dots(cues[tile], threads), log_weight)
            field = scoring.project(share, values, np.dtype(np.float64), threads)
            terms = scoring.project(np.abs(share), np.abs(values), np.dtype(np.float64), threads)
            field[np.abs(field) <= 8 * _EPS * terms] = 0.0
            out[tile] = np.sign(field)
        return out

    def _dots(self, cues: Signs, threads: int) -> Float:
        dots = _check.empty((len(cues), len(self._keys)), np.dtype(np.float64), "scores")
        if len(cues):
            _core.pairwise(cues.astype(np.float64), self._keys, "dot", dots, threads)
        return dots

    def overlaps(self, cues: BitMatrix, threads: int) -> Array:
        """See `Fields`."""
        return self._dots(cues.unpack(), threads)

    @property
    def nbytes(self) -> int:
        """See `Fields`."""
        return int(self._columns.nbytes)
