"""The weights of a Hopfield network: how fields are read from what is stored.

Stored are the packed patterns, or nothing but sums of outer products; read are the patterns where
they are few, else the matrix. Sums are exact while item weights are integers, so that all of these
give the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast._engine import flipping, scoring
from amfast._stores.items import Stored
from amfast._typing import Array, Float, Signs
from amfast.memories.hopfield.projection import projection, projection_of_moments
from amfast.memories.hopfield.sums import Running, Summed
from amfast.memories.units.base import load
from amfast.memories.units.synchronous import Field
from amfast.parts.dynamics import Motion, Settled

# Patterns are read themselves while they are no more than d divided by this, else the matrix: at
# d = 500 and 2000 both take about as long for 100 cues at d / 4, for one cue at d / 8.
_FEW = 8
_PIECE = 1 << 22
_EXACT_FLOAT32 = 2**24
_EXACT_FLOAT64 = 2**53
# Rounding of a sum, as a share of the sum of the magnitudes of its terms.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class Synapses:
    """W of one rule, made of what is stored at one time.

    Parameters
    ----------
    rule : {"hebbian", "projection"}
    zero_diagonal : bool
        Whether the fields of an autoassociative memory leave out a unit's own state.
    storage : {"auto", "matrix", "patterns"}
    now : Stored or Summed
        Patterns, or sums over them.
    running : Running
        The sums over the patterns, as far as they were taken.
    """

    def __init__(
        self,
        rule: str,
        zero_diagonal: bool,
        storage: str,
        now: Stored | Summed,
        running: Running,
    ) -> None:
        self._rule, self._now, self._running = rule, now, running
        self._zero_diagonal = zero_diagonal
        self.drops_diagonal = zero_diagonal and not now.heteroassociative
        """Whether fields leave out the diagonal."""
        self._patterns: Stored | None = None
        """Where fields are read from the patterns, not from the matrix."""
        few = storage == "patterns" or now.n_items * _FEW <= now.width
        if rule == "hebbian" and isinstance(now, Stored) and few:
            self._patterns = now
        self._matrix: tuple[Array, float] | None = None
        self._packed: tuple[flipping.Packed, np.dtype[Any], float] | None = None

    # -- the matrix -------------------------------------------------------------------------------

    def matrix(self) -> tuple[Array, float]:
        """Return M and a scale, W = scale * M; with the diagonal."""
        if self._matrix is None:
            self._matrix = self._build()
        return self._matrix

    def _build(self) -> tuple[Array, float]:
        now = self._now
        if self._rule == "projection" and isinstance(now, Stored):
            return projection(now.keys, now.values, now.weights), 1.0
        sums = now.sums if isinstance(now, Summed) else self._running.of(now, self._rule)
        if self._rule == "projection":
            assert sums.square is not None
            cross = None if sums.cross is None else sums.cross.total
            return projection_of_moments(sums.square.total, cross), 1.0
        total = sums.cross if now.heteroassociative else sums.square
        assert total is not None
        return total.total, 1.0 / now.width

    def _engine_keys(self) -> tuple[flipping.Packed, np.dtype[Any], float]:
        """Return M packed for products with many states, in a type that keeps them exact.

        With it the type, and what rounding may leave of a product.
        """
        if self._packed is None:
            matrix, _ = self.matrix()
            most = max(float(np.abs(row.astype(np.float64)).sum()) for row in matrix)
            narrow = matrix.dtype == np.int32 and most < _EXACT_FLOAT32
            copied = matrix.astype(np.float32 if narrow else np.float64)
            if self.drops_diagonal:
                np.fill_diagonal(copied, 0)
            # The projection rule's entries lie on a grid on which sums are exact.
            slack = 0.0 if self._rule == "projection" else _slack(matrix, most)
            self._packed = flipping.packed(copied), copied.dtype, slack
        return self._packed

    # -- fields -----------------------------------------------------------------------------------

    def field(self, bias: Float | None, threads: int) -> Field:
        """How fields of a whole batch of states are computed."""
        now = self._patterns
        if now is not None:
            reach = load(now.weights if now.weighted else None, now.n_items) * now.width
            slack = _slack(now.weights, reach)
            dtype = np.dtype(np.float32 if not slack and reach < _EXACT_FLOAT32 else np.float64)
            return Field(self._sums(now, threads), dtype, 1.0 / now.width, bias, slack)
        keys, dtype, slack = self._engine_keys()
        scale = self.matrix()[1]
        return Field(lambda s: scoring.dot(s, keys, threads, dtype), dtype, scale, bias, slack)

    def _sums(self, now: Stored, threads: int) -> Callable[[Array], Array]:
        """Return sum_i w_i y_i (x_i . s), less the own contribution, by pieces of the patterns."""
        keys, values = now.keys, now.values
        step = max(1, _PIECE // max(now.width, now.value_width))

        def sums(states: Array) -> Array:
            dtype = states.dtype
            total = np.zeros((len(states), now.value_width), dtype)
            for start in range(0, len(keys) if len(states) else 0, step):
                rows = slice(start, start + step)
                weighed = scoring.dot(states, keys[rows].unpack().astype(dtype), threads, dtype)
                if now.weighted:
                    weighed *= now.weights[rows].astype(dtype)
                columns = np.ascontiguousarray(values[rows].unpack().astype(dtype).T)
                total += scoring.dot(weighed, columns, threads, dtype)
            if self.drops_diagonal:
                total -= states * dtype.type(now.weights.sum())
            return total

        return sums

    def flip(self, states: Signs, motion: Motion) -> Settled:
        """Let the engine take the units one by one."""
        own, now, d = not self._zero_diagonal, self._patterns, states.shape[1]
        if now is None:
            matrix, scale = self.matrix()
            return flipping.by_matrix(states, matrix, scale, own, motion)
        possible = np.arange(-d, d + 1, 2, dtype=np.float64)
        worth = flipping.Worth(
            table=possible if own else np.arange(-(d - 1), d, 2, dtype=np.float64),
            energy=(possible**2 - (0 if own else d)) / 2,
            scale=1.0 / d,
            own=own,
        )
        weights = now.weights if now.weighted else None
        return flipping.by_overlaps(states, now.keys, weights, worth, motion)

    @property
    def tables(self) -> list[Array]:
        """The arrays derived, some of which may be the sums themselves."""
        return [] if self._matrix is None else [self._matrix[0]]

    @property
    def packed_bytes(self) -> int:
        """Bytes of what was packed."""
        return 0 if self._packed is None else self._packed[0].nbytes


def _slack(terms: Array, load: float) -> float:
    """Return what rounding may leave of sums of such terms, whose magnitudes sum to the load."""
    if load < _EXACT_FLOAT64 and (terms.dtype.kind == "i" or bool((terms == np.rint(terms)).all())):
        return 0.0
    return _ROUNDING * load
