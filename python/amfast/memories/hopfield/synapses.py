"""The weights of a Hopfield network: how fields are read from what is stored.

Stored are the packed patterns, or nothing but sums of outer products; read are the patterns where
they are few, else the matrix. Sums are exact while item weights are integers, so that all of these
give the same fields.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast._engine import flipping, scoring
from amfast._stores.items import Stored
from amfast._typing import Array, Float, Signs
from amfast.memories.hopfield.projection import projection, projection_of_moments
from amfast.memories.hopfield.sums import Patterns, Running, Summed
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


class Packed(NamedTuple):
    """A matrix packed for products with many states, in a type that keeps them exact."""

    keys: flipping.Packed
    dtype: np.dtype[Any]
    slack: float
    """What rounding may leave of a product."""

    def field(self, threads: int, scale: float = 1.0, bias: Float | None = None) -> Field:
        """How fields of a whole batch of states are computed."""
        keys, dtype, slack = self
        return Field(lambda s: scoring.dot(s, keys, threads, dtype), dtype, scale, bias, slack)


def packed(matrix: Array, drops_diagonal: bool = False, exact: bool = False) -> Packed:
    """Pack a matrix; ``exact`` says that its sums are, whatever its entries."""
    most = max(float(np.abs(row.astype(np.float64)).sum()) for row in matrix)
    narrow = matrix.dtype == np.int32 and most < _EXACT_FLOAT32
    copied = np.array(matrix, np.float32 if narrow else np.float64, order="C")
    if drops_diagonal:
        np.fill_diagonal(copied, 0)
    return Packed(flipping.packed(copied), copied.dtype, 0.0 if exact else _slack(matrix, most))


class Synapses:
    """W of one rule, made of what is stored at one time.

    Parameters
    ----------
    rule : {"hebbian", "projection", "storkey"}
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
        # Not what is stored itself, which holds these synapses.
        self._sums = now.sums if isinstance(now, Summed) else None
        self._items = Patterns.of(now) if isinstance(now, Stored) else None
        self._width, self._value_width = now.width, now.value_width
        self._hetero = now.heteroassociative
        self._rule, self._zero_diagonal, self._running = rule, zero_diagonal, running
        self.drops_diagonal = zero_diagonal and not self._hetero
        """Whether fields leave out the diagonal."""
        few = storage == "patterns" or now.n_items * _FEW <= now.width
        self._read = self._items if few and rule == "hebbian" else None
        """Where fields are read from the patterns, not from the matrix."""
        self._matrix: tuple[Array, float] | None = None
        self._packed: Packed | None = None

    # -- the matrix -------------------------------------------------------------------------------

    def matrix(self) -> tuple[Array, float]:
        """Return M and a scale, W = scale * M; with the diagonal."""
        if self._matrix is None:
            self._matrix = self._build()
        return self._matrix

    def _build(self) -> tuple[Array, float]:
        items, sums = self._items, self._sums
        if items is not None and self._rule == "projection":
            weights = np.ones(len(items.keys)) if items.weights is None else items.weights
            return projection(items.keys, items.values, weights), 1.0
        if sums is None:
            assert items is not None
            sums = self._running.of(items, self._rule)
        if self._rule == "projection":
            assert sums.square is not None
            cross = None if sums.cross is None else sums.cross.total
            return projection_of_moments(sums.square.total, cross), 1.0
        total = sums.cross if self._hetero else sums.square
        assert total is not None
        return total.total, 1.0 / self._width

    def _engine_keys(self) -> Packed:
        """Return M packed for products with many states."""
        if self._packed is None:
            # The projection rule's entries lie on a grid on which sums are exact.
            exact = self._rule == "projection"
            self._packed = packed(self.matrix()[0], self.drops_diagonal, exact)
        return self._packed

    # -- fields -----------------------------------------------------------------------------------

    def field(self, bias: Float | None, threads: int) -> Field:
        """How fields of a whole batch of states are computed."""
        items, d = self._read, self._width
        if items is not None:
            reach = load(items.weights, len(items.keys)) * d
            slack = 0.0 if items.weights is None else _slack(items.weights, reach)
            dtype = np.dtype(np.float32 if not slack and reach < _EXACT_FLOAT32 else np.float64)
            return Field(self._sums_over(items, threads), dtype, 1.0 / d, bias, slack)
        return self._engine_keys().field(threads, self.matrix()[1], bias)

    def _sums_over(self, items: Patterns, threads: int) -> Callable[[Array], Array]:
        """Return sum_i w_i y_i (x_i . s), less the own contribution, by pieces of the patterns."""
        keys, values, weights, _ = items
        step = max(1, _PIECE // max(self._width, self._value_width))
        diagonal = len(keys) if weights is None else weights.sum()

        @functools.lru_cache(maxsize=int(len(keys) <= step))  # one piece serves all steps
        def unpacked(start: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
            rows = slice(start, start + step)
            x, y = (bits[rows].unpack().astype(dtype) for bits in (keys, values))
            return x, np.ascontiguousarray(y.T)

        def sums(states: Array) -> Array:
            dtype = states.dtype
            total = np.zeros((len(states), self._value_width), dtype)
            for start in range(0, len(keys) if len(states) else 0, step):
                x, columns = unpacked(start, dtype)
                weighed = scoring.dot(states, x, threads, dtype)
                if weights is not None:
                    weighed *= weights[start : start + step].astype(dtype)
                total += scoring.dot(weighed, columns, threads, dtype)
            if self.drops_diagonal:
                total -= states * dtype.type(diagonal)
            return total

        return sums

    def flip(self, states: Signs, motion: Motion) -> Settled:
        """Let the engine take the units one by one."""
        own, items, d = not self._zero_diagonal, self._read, self._width
        if items is None:
            matrix, scale = self.matrix()
            return flipping.by_matrix(states, matrix, scale, own, motion)
        possible = np.arange(-d, d + 1, 2, dtype=np.float64)
        worth = flipping.Worth(
            table=possible if own else np.arange(-(d - 1), d, 2, dtype=np.float64),
            energy=(possible**2 - (0 if own else d)) / 2,
            scale=1.0 / d,
            own=own,
        )
        return flipping.by_overlaps(states, items.keys, items.weights, worth, motion)

    @property
    def tables(self) -> list[Array]:
        """The arrays derived, some of which may be the sums themselves."""
        return [] if self._matrix is None else [self._matrix[0]]

    @property
    def packed_bytes(self) -> int:
        """Bytes of what was packed."""
        return 0 if self._packed is None else self._packed.keys.nbytes


def _slack(terms: Array, load: float) -> float:
    """Return what rounding may leave of sums of such terms, whose magnitudes sum to the load."""
    if load < _EXACT_FLOAT64 and (terms.dtype.kind == "i" or bool((terms == np.rint(terms)).all())):
        return 0.0
    return _ROUNDING * load
