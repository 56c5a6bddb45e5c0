"""Sums over the patterns of a Hopfield network, as values: adding gives a new one.

They are all that ``storage="matrix"`` keeps, and what is read in place of many patterns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast._stores.items import Batch, Items, Stored
from amfast._stores.matrix import Matrix
from amfast._threads import get_num_threads
from amfast._typing import Array, Float, Int
from amfast.bits import BitMatrix, Kind, n_bytes
from amfast.memories.hopfield import storkey


class Sums(NamedTuple):
    """What a rule needs of the patterns."""

    square: Matrix | None = None
    """sum of w x x^T: without values, and under the projection rule; d W under Storkey's."""
    cross: Matrix | None = None
    """sum of w y x^T: with values."""
    n_items: int = 0

    def plus(
        self, keys: BitMatrix, values: BitMatrix | None, weights: Float | None, rule: str
    ) -> Sums:
        """Add patterns."""
        square, cross = self.square, self.cross
        if rule == "storkey":
            return Sums(storkey.learned(square, keys), None, self.n_items + len(keys))
        if values is None or rule == "projection":
            square = _plus(square, keys, None, weights)
        if values is not None:
            cross = _plus(cross, keys, values, weights)
        return Sums(square, cross, self.n_items + len(keys))

    def merged(self, other: Sums) -> Sums:
        """Add other sums."""
        square = _merged(self.square, other.square)
        return Sums(square, _merged(self.cross, other.cross), self.n_items + other.n_items)

    @property
    def tables(self) -> dict[str, Array]:
        """The arrays, by the names of the fields."""
        return {name: matrix.total for name, matrix in self.matrices.items()}

    @property
    def matrices(self) -> dict[str, Matrix]:
        """Those that there are."""
        held = {"square": self.square, "cross": self.cross}
        return {name: matrix for name, matrix in held.items() if matrix is not None}


class Patterns(NamedTuple):
    """What is read of stored patterns."""

    keys: BitMatrix
    values: BitMatrix
    """The keys if autoassociative."""
    weights: Float | None
    ids: Int

    @classmethod
    def of(cls, now: Stored) -> Patterns:
        """Take them from what is stored, without holding it."""
        return cls(now.keys, now.values, now.weights if now.weighted else None, now.ids)


class Running:
    """The sums of a memory that keeps its patterns, as far as they were taken.

    They begin the sums of every later state that still begins with the same patterns: ids ascend
    and are never used again, so the last one's place says whether all are there.
    """

    def __init__(self) -> None:
        self.held: tuple[int, Sums] | None = None

    def of(self, items: Patterns, rule: str) -> Sums:
        """Return the sums over all patterns; only those that are not summed yet are read."""
        keys, values, weights, ids = items
        last, sums = self.held or (-1, Sums())
        done = sums.n_items
        if done > len(ids) or (done and ids[done - 1] != last):
            done, sums = 0, Sums()
        if done < len(ids):
            new = slice(done, len(ids))
            y = None if values is keys else values[new]
            sums = sums.plus(keys[new], y, None if weights is None else weights[new], rule)
            self.held = int(ids[-1]), sums
        return sums

    @property
    def tables(self) -> dict[str, Array]:
        """The arrays held."""
        return {} if self.held is None else self.held[1].tables

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy nothing: it is derived."""
        return Running, ()


class Summed:
    """What is held at one time where the patterns are not; it never changes."""

    weighted, weights = False, None

    def __init__(
        self, sums: Sums, n_bits: int, n_value_bits: int | None, kind: Kind | None
    ) -> None:
        self.sums, self.kind = sums, kind
        self.n_items = sums.n_items
        self.heteroassociative = n_value_bits is not None
        self.width, self.value_width = n_bits, n_value_bits or n_bits
        self._derived: dict[str, Any] = {}

    @property
    def load(self) -> float:
        """What the magnitudes of the weights sum to."""
        return max(matrix.reach for matrix in self.sums.matrices.values())

    @property
    def keys(self) -> BitMatrix:
        """No rows, of the width that they had."""
        return _none(self.width)

    @property
    def values(self) -> BitMatrix:
        """Likewise."""
        return _none(self.value_width)

    def derived(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what somebody derives from these sums, made when it is first asked for."""
        found = self._derived.get(name)
        if found is None:
            found = self._derived[name] = make()
        return found


class SumStore:
    """Keeps nothing but the sums over the patterns."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.now: Summed | None = None

    def __len__(self) -> int:
        """Count the patterns that were added."""
        return 0 if self.now is None else self.now.n_items

    def append(self, batch: Batch) -> Int:
        """Add checked patterns and return ids; nothing changes if it fails."""
        now, (keys, values, weights, kind) = self.now, batch
        assert isinstance(keys, BitMatrix)
        assert values is None or isinstance(values, BitMatrix)
        old = Sums() if now is None else now.sums
        sums = old.plus(keys, values, weights, self.rule)
        if now is not None:
            kind = now.kind or kind
        self.now = Summed(sums, keys.n_bits, None if values is None else values.n_bits, kind)
        return np.arange(old.n_items, sums.n_items, dtype=np.int64)

    def merge(self, other: SumStore | Items) -> None:
        """Add other sums, or the patterns of a store that keeps them."""
        theirs, now = other.now, self.now
        if isinstance(theirs, Stored):
            weights = theirs.weights if theirs.weighted else None
            values = theirs.values if theirs.heteroassociative else None
            self.append(Batch(theirs.keys, values, weights, theirs.kind))
        elif theirs is not None:
            sums = theirs.sums if now is None else now.sums.merged(theirs.sums)
            values = theirs.value_width if theirs.heteroassociative else None
            kind = theirs.kind if now is None else now.kind or theirs.kind
            self.now = Summed(sums, theirs.width, values, kind)

    def delete(self, ids: Int) -> None:
        """Refuse: there are no items."""
        raise ValueError("sums hold no items to delete")

    @property
    def nbytes(self) -> int:
        """Bytes of the sums."""
        return 0 if self.now is None else sum(x.nbytes for x in self.now.sums.tables.values())

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the sums, and what `restore` needs beside them."""
        now = self.now
        if now is None:
            return {}, {}
        meta: dict[str, Any] = {"n_items": now.n_items, "n_bits": now.width}
        for name, matrix in now.sums.matrices.items():
            meta[name] = matrix.arrays()[1]
        meta["n_value_bits"] = now.value_width if now.heteroassociative else None
        if now.kind is not None:
            dtype = None if now.kind.dtype is None else now.kind.dtype.name
            meta["kind"] = [now.kind.coding, dtype]
        return now.sums.tables, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held."""
        if not arrays:
            self.now = None
            return
        made = {name: Matrix.restore({"total": x}, meta[name]) for name, x in arrays.items()}
        kind = None
        if meta.get("kind") is not None:
            coding, dtype = meta["kind"]
            kind = Kind(coding, None if dtype is None else np.dtype(dtype))
        sums = Sums(made.get("square"), made.get("cross"), int(meta["n_items"]))
        self.now = Summed(sums, meta["n_bits"], meta["n_value_bits"], kind)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is kept, not what was derived of it."""
        arrays, meta = self.arrays()
        copies = {name: np.array(x) for name, x in arrays.items()}
        return {"rule": self.rule, "arrays": copies, "meta": meta}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore."""
        self.rule = state["rule"]
        self.restore(state["arrays"], state["meta"])


def _none(n_bits: int) -> BitMatrix:
    return BitMatrix._of(np.empty((0, n_bytes(n_bits)), np.uint8), n_bits)


def _plus(
    matrix: Matrix | None, keys: BitMatrix, values: BitMatrix | None, weights: Float | None
) -> Matrix:
    n_values = keys.n_bits if values is None else values.n_bits
    if matrix is None:
        matrix = Matrix.zeros(n_values, keys.n_bits, exact=True)
    w = None if weights is None or (weights == 1).all() else weights
    return matrix.plus(keys, values, w, threads=get_num_threads())


def _merged(mine: Matrix | None, theirs: Matrix | None) -> Matrix | None:
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    return mine.merged(theirs)
