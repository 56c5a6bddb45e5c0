"""The packed item store: binary keys and values at a bit per unit, signed weights, ids.

An empty store is neutral, `BitItems.append` adds, and appending another store's items merges the
two. What is handed out stays valid and unchanged when more is stored or deleted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._stores.rows import widen
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix


class _Rows:
    """Rows of one width, appended in amortised constant time; widened when a wider type comes."""

    def __init__(self, first: Array) -> None:
        self._buffer = np.empty((0, *first.shape[1:]), first.dtype)
        self._used = 0

    def reserve(self, extra: Array) -> None:
        """Make room; the only step that can fail."""
        need = self._used + len(extra)
        dtype = widen(self._buffer.dtype, extra.dtype)
        if need > len(self._buffer) or dtype != self._buffer.dtype:
            room = max(need, len(self._buffer) * 3 // 2) if self._used else need
            grown = _check.empty((room, *self._buffer.shape[1:]), dtype, "stored rows")
            grown[: self._used] = self._buffer[: self._used]
            self._buffer = grown

    def append(self, extra: Array) -> None:
        """Write behind the last row, into reserved room."""
        self._buffer[self._used : self._used + len(extra)] = extra
        self._used += len(extra)

    def keep(self, mask: Mask) -> None:
        """Keep the rows under a mask, in new memory."""
        self._buffer = self._buffer[: self._used][mask]
        self._used = len(self._buffer)

    @property
    def view(self) -> Array:
        """Rows that their holder cannot make writable."""
        return _check.frozen(self._buffer[: self._used])

    @property
    def nbytes(self) -> int:
        return int(self._buffer.nbytes)


class BitItems:
    """Binary items of one width, appended in amortised constant time."""

    def __init__(self) -> None:
        self._columns: dict[str, _Rows] = {}
        self._n_bits = self._n_value_bits = 0
        self._next_id = 0
        self._weighted = False

    def __len__(self) -> int:
        """Count the items."""
        return len(self._columns["ids"].view) if self._columns else 0

    def append(self, keys: BitMatrix, values: BitMatrix | None, weights: Float) -> Array:
        """Add checked rows and return their ids. Nothing changes if it fails."""
        ids = np.arange(self._next_id, self._next_id + len(keys), dtype=np.int64)
        new: dict[str, Array] = {"keys": keys.to_packed()}
        new |= {"weights": weights, "ids": ids}
        if values is not None:
            new["values"] = values.to_packed()
        if not self._columns:
            self._columns = {name: _Rows(rows) for name, rows in new.items()}
            self._n_bits = keys.n_bits
            self._n_value_bits = 0 if values is None else values.n_bits
        for name, rows in new.items():
            self._columns[name].reserve(rows)
        for name, rows in new.items():
            self._columns[name].append(rows)
        self._next_id += len(keys)
        self._weighted |= bool((weights != 1).any())
        return ids

    def delete(self, ids: Int) -> None:
        """Remove items by id; nothing changes if an id is unknown."""
        missing = np.setdiff1d(ids, self.ids)
        if len(missing):
            raise ValueError(f"no item has the id {missing[0]}")
        if len(ids) == 0:
            return
        mask = ~np.isin(self.ids, ids)
        for rows in self._columns.values():
            rows.keep(mask)

    @property
    def n_bits(self) -> int | None:
        """Bits of a key, None before anything was stored."""
        return self._n_bits or None

    @property
    def heteroassociative(self) -> bool:
        """Whether values were given."""
        return self._n_value_bits > 0

    @property
    def keys(self) -> BitMatrix:
        """(N, n_bits)."""
        if not self._columns:
            raise ValueError("the memory is empty; store something first")
        return BitMatrix._of(self._columns["keys"].view, self._n_bits)

    @property
    def values(self) -> BitMatrix:
        """(N, n_bits of the values); the keys if autoassociative."""
        if not self.heteroassociative:
            return self.keys
        return BitMatrix._of(self._columns["values"].view, self._n_value_bits)

    @property
    def weights(self) -> Float:
        """(N,) read-only."""
        return self._columns["weights"].view if self._columns else np.empty(0)

    @property
    def weighted(self) -> bool:
        """Whether a weight other than 1 was ever stored."""
        return self._weighted

    @property
    def ids(self) -> Int:
        """(N,) read-only."""
        return self._columns["ids"].view if self._columns else np.empty(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, room for growth included."""
        return sum(rows.nbytes for rows in self._columns.values())


def item_weights(given: Any, length: int) -> Float:
    """Read signed weights, one for all or one each: finite numbers, None means 1."""
    if given is None:
        return np.ones(length)
    if _check.array(given, "weights").ndim == 0:
        return np.full(length, _check.number(_check.array(given, "weights"), "weights"))
    result = _check.vector(given, "weights", length)
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        raise ValueError(f"weights must be finite, entry {bad[0]} is {float(result[bad[0]])}")
    return result
