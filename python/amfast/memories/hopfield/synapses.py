"""The weights of a Hopfield network: what is kept of the patterns, and how fields are read from it.

Kept are the packed patterns, or nothing but sums of outer products; read are the patterns where
they are few, else the matrix. Sums are exact while item weights are integers, so that all of these
give the same fields.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._stores.bit_items import BitItems
from amfast._stores.matrix import Matrix
from amfast._threads import get_num_threads
from amfast._typing import Array, Float, Int, Mask, Signs
from amfast.bits import BitMatrix
from amfast.memories.hopfield.projection import projection, projection_of_moments
from amfast.memories.units.synchronous import Field
from amfast.parts.dynamics import Rules, Settled

# Patterns are read themselves while they are no more than d divided by this, else the matrix: at
# d = 500 and 2000 both take about as long for 100 cues at d / 4, for one cue at d / 8.
_FEW = 8
_PIECE = 1 << 22
_EXACT_FLOAT32 = 2**24
_EXACT_FLOAT64 = 2**53
# Rounding of a sum, as a share of the sum of the magnitudes of its terms.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class Synapses:
    """W of one rule, with everything that it is made from.

    Parameters
    ----------
    rule : {"hebbian", "projection"}
    zero_diagonal : bool
        Whether the fields of an autoassociative memory leave out a unit's own state.
    storage : {"auto", "matrix", "patterns"}
    """

    def __init__(self, rule: str, zero_diagonal: bool, storage: str) -> None:
        self.rule, self.storage = rule, storage
        self._zero_diagonal = zero_diagonal
        self.items = BitItems()
        self._square: Matrix | None = None  # sum of w x x^T
        self._cross: Matrix | None = None  # sum of w y x^T
        self._summed = 0  # items that the sums hold
        self.n_bits: int | None = None
        self.n_value_bits: int | None = None
        self._matrix: tuple[Array, float] | None = None
        self._packed: tuple[_core.Keys, np.dtype[Any], float] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Count the patterns."""
        return len(self.items) if self.keeps_patterns else self._summed

    @property
    def keeps_patterns(self) -> bool:
        """Whether there are items."""
        return self.storage != "matrix"

    @property
    def hetero(self) -> bool:
        """Whether the patterns have values."""
        return self.n_value_bits is not None

    @property
    def n_units(self) -> int:
        """Units of an answer; 0 before anything was stored."""
        return self.n_value_bits or self.n_bits or 0

    @property
    def drops_diagonal(self) -> bool:
        """Whether fields leave out the diagonal."""
        return self._zero_diagonal and not self.hetero

    # -- storing ----------------------------------------------------------------------------------

    def add(self, keys: BitMatrix, values: BitMatrix | None, weights: Float) -> Int:
        """Add checked items and return their ids. Nothing changes if it fails."""
        if self.keeps_patterns:
            ids = self.items.append(keys, values, weights)
        else:
            ids = np.arange(self._summed, self._summed + len(keys), dtype=np.int64)
            self._sum(keys, values, weights)
        self.n_bits = keys.n_bits
        self.n_value_bits = None if values is None else values.n_bits
        self._matrix = self._packed = None
        return ids

    def _sum(self, keys: BitMatrix, values: BitMatrix | None, weights: Float) -> None:
        """Add to the sums that the rule needs."""
        square, cross, n = self._square, self._cross, get_num_threads()
        w = None if (weights == 1).all() else weights
        if values is None or self.rule == "projection":
            square = square or Matrix.zeros(keys.n_bits, keys.n_bits, exact=True)
            square = square.plus(keys, None, w, threads=n)
        if values is not None:
            cross = cross or Matrix.zeros(values.n_bits, keys.n_bits, exact=True)
            cross = cross.plus(keys, values, w, threads=n)
        self._square, self._cross = square, cross
        self._summed += len(keys)

    def delete(self, ids: Int) -> None:
        """Remove items by id; nothing changes if an id is unknown."""
        self.items.delete(ids)
        self._square = self._cross = self._matrix = self._packed = None
        self._summed = 0

    def merge(self, other: Synapses) -> None:
        """Add what another keeps: patterns, or, if this one keeps none, sums."""
        if other.keeps_patterns:
            items = other.items
            self.add(items.keys, items.values if other.hetero else None, items.weights)
            return
        square, cross = (
            _merged(self._square, other._square),
            _merged(self._cross, other._cross),
        )
        self._square, self._cross = square, cross
        self._summed += other._summed
        self.n_bits, self.n_value_bits = other.n_bits, other.n_value_bits
        self._matrix = self._packed = None

    # -- the matrix -------------------------------------------------------------------------------

    @property
    def reads_patterns(self) -> bool:
        """Whether fields are read from the patterns, not from the matrix."""
        if self.rule == "projection" or not self.keeps_patterns or self.n_bits is None:
            return False
        return self.storage == "patterns" or len(self) * _FEW <= self.n_bits

    def matrix(self) -> tuple[Array, float]:
        """Return M and a scale, W = scale * M; with the diagonal."""
        with self._lock:
            if self._matrix is None:
                self._matrix = self._build()
            return self._matrix

    def _build(self) -> tuple[Array, float]:
        items = self.items
        if self.rule == "projection":
            if self.keeps_patterns:
                keys = items.keys
                return projection(keys, items.values if self.hetero else keys, items.weights), 1.0
            assert self._square is not None
            cross = None if self._cross is None else self._cross.total
            return projection_of_moments(self._square.total, cross), 1.0
        if self._summed < len(items):
            new = slice(self._summed, len(items))
            values = items.values[new] if self.hetero else None
            self._sum(items.keys[new], values, items.weights[new])
        total = self._cross if self.hetero else self._square
        assert total is not None and self.n_bits is not None
        return total.total, 1.0 / self.n_bits

    def _engine_keys(self) -> tuple[_core.Keys, np.dtype[Any], float, float]:
        """Return M packed for products with many states, in a type that keeps them exact.

        With it the type, the scale, and what rounding may leave of a product.
        """
        matrix, scale = self.matrix()
        with self._lock:
            if self._packed is None:
                load = max(float(np.abs(row.astype(np.float64)).sum()) for row in matrix)
                narrow = matrix.dtype == np.int32 and load < _EXACT_FLOAT32
                copied = matrix.astype(np.float32 if narrow else np.float64)
                if self.drops_diagonal:
                    np.fill_diagonal(copied, 0)
                # The projection rule's entries lie on a grid on which sums are exact.
                slack = 0.0 if self.rule == "projection" else _slack(matrix, load)
                self._packed = _core.Keys(copied, "dot"), copied.dtype, slack
            keys, dtype, slack = self._packed
            return keys, dtype, scale, slack

    # -- fields -----------------------------------------------------------------------------------

    def field(self, bias: Float | None, threads: int) -> Field:
        """How fields of a whole batch of states are computed."""
        if self.reads_patterns:
            dtype = np.dtype(np.float32 if self._float32_counts() else np.float64)
            scale = 1.0 / self.items.keys.n_bits
            w = self.items.weights
            slack = _slack(w, float(np.abs(w).sum()) * self.items.keys.n_bits)
            return Field(lambda s: self._sums_of_patterns(s, threads), dtype, scale, bias, slack)
        keys, dtype, scale, slack = self._engine_keys()

        def product(states: Array) -> Array:
            out = _check.empty((len(states), len(keys)), dtype, "fields")
            if len(states):
                _core.pairwise(states, keys, "dot", out, threads)
            return out

        return Field(product, dtype, scale, bias, slack)

    def _float32_counts(self) -> bool:
        """Whether the sums over the patterns are integers that float32 counts exactly."""
        w = self.items.weights
        load = float(np.abs(w).sum()) * self.items.keys.n_bits
        return load < _EXACT_FLOAT32 and bool((w == np.rint(w)).all())

    def _sums_of_patterns(self, states: Array, threads: int) -> Array:
        """sum_i w_i y_i (x_i . s), less the own contribution, by pieces of the patterns."""
        items = self.items
        keys, values = items.keys, items.values
        total = np.zeros((len(states), values.n_bits), states.dtype)
        step = max(1, _PIECE // max(keys.n_bits, values.n_bits))
        for start in range(0, len(keys) if len(states) else 0, step):
            rows = slice(start, start + step)
            weighed = overlaps(states, keys[rows], threads)
            if items.weighted:
                weighed *= items.weights[rows].astype(states.dtype)
            columns = np.ascontiguousarray(values[rows].unpack().astype(states.dtype).T)
            piece = np.empty_like(total)
            _core.pairwise(weighed, columns, "dot", piece, threads)
            total += piece
        if self.drops_diagonal:
            total -= states * states.dtype.type(items.weights.sum())
        return total

    def flip(
        self,
        states: Signs,
        bias: Float | None,
        clamp: Mask | None,
        rules: Rules,
        threads: int,
    ) -> Settled:
        """Let the engine take the units one by one."""
        own = not self._zero_diagonal
        if not self.reads_patterns:
            matrix, scale = self.matrix()
            end = _core.flip_matrix(states, matrix, scale, own, bias, clamp, rules, threads)
            return Settled(*end)
        d = states.shape[1]
        possible = np.arange(-d, d + 1, 2, dtype=np.float64)
        table = possible if own else np.arange(-(d - 1), d, 2, dtype=np.float64)
        energy = (possible**2 - (0 if own else d)) / 2
        weights = self.items.weights if self.items.weighted else None
        packed = self.items.keys.to_packed()
        end = _core.flip_overlaps(
            states, packed, weights, table, energy, None, 1.0 / d, own, bias, clamp, rules, threads
        )
        return Settled(*end)

    # -- looking at it ----------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of patterns, sums and what was derived from them."""
        held = {id(m.total): m.total for m in (self._square, self._cross) if m is not None}
        if self._matrix is not None:
            held[id(self._matrix[0])] = self._matrix[0]
        packed = 0 if self._packed is None else self._packed[0].nbytes
        return self.items.nbytes + packed + sum(a.nbytes for a in held.values())

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock and what can be derived again."""
        state = self.__dict__.copy()
        del state["_lock"]
        return state | {"_matrix": None, "_packed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.Lock()


def overlaps(states: Array, keys: BitMatrix, threads: int) -> Array:
    """Dot products of bipolar states (Q, d) with patterns, exact, in the type of the states."""
    out = _check.empty((len(states), len(keys)), states.dtype, "overlaps")
    if out.size:
        _core.pairwise(states, keys.unpack().astype(states.dtype), "dot", out, threads)
    return out


def _slack(terms: Array, load: float) -> float:
    """Return what rounding may leave of sums of such terms, whose magnitudes sum to the load."""
    if load < _EXACT_FLOAT64 and (terms.dtype.kind == "i" or bool((terms == np.rint(terms)).all())):
        return 0.0
    return _ROUNDING * load


def _merged(mine: Matrix | None, theirs: Matrix | None) -> Matrix | None:
    return mine if theirs is None else theirs if mine is None else theirs.merged(mine)
