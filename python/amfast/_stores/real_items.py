"""The item store of binary memories that keep patterns of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._stores.bit_items import _Rows
from amfast._typing import Array, Float, Int


class RealItems:
    """Keys, values and weights in float64, with ids; appended in amortised constant time."""

    def __init__(self) -> None:
        self._columns: dict[str, _Rows] = {}
        self._next_id = 0

    def __len__(self) -> int:
        """Count the items."""
        return len(self._columns["ids"].view) if self._columns else 0

    def append(self, keys: Float, values: Float | None, weights: Float) -> Array:
        """Add checked rows and return their ids. Nothing changes if it fails."""
        ids = np.arange(self._next_id, self._next_id + len(keys), dtype=np.int64)
        new: dict[str, Array] = {"keys": keys, "weights": weights, "ids": ids}
        if values is not None:
            new["values"] = values
        if not self._columns:
            self._columns = {name: _Rows(rows) for name, rows in new.items()}
        for name, rows in new.items():
            self._columns[name].reserve(rows)
        for name, rows in new.items():
            self._columns[name].append(rows)
        self._next_id += len(keys)
        return ids

    def delete(self, ids: Int) -> None:
        """Remove items by id; nothing changes if an id is unknown."""
        missing = np.setdiff1d(ids, self.ids)
        if len(missing):
            raise ValueError(f"no item has the id {missing[0]}")
        if len(ids):
            mask = ~np.isin(self.ids, ids)
            for rows in self._columns.values():
                rows.keep(mask)

    @property
    def n_bits(self) -> int | None:
        """Entries of a key, None before anything was stored."""
        return self._columns["keys"].view.shape[1] if self._columns else None

    @property
    def heteroassociative(self) -> bool:
        """Whether values were given."""
        return "values" in self._columns

    @property
    def keys(self) -> Float:
        """(N, d) read-only."""
        if not self._columns:
            raise ValueError("the memory is empty; store something first")
        return self._columns["keys"].view

    @property
    def values(self) -> Float:
        """(N, o) read-only; the keys if autoassociative."""
        return self._columns["values"].view if self.heteroassociative else self.keys

    @property
    def weights(self) -> Float:
        """(N,) read-only."""
        return self._columns["weights"].view if self._columns else np.empty(0)

    @property
    def ids(self) -> Int:
        """(N,) read-only."""
        return self._columns["ids"].view if self._columns else np.empty(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, room for growth included."""
        return sum(rows.nbytes for rows in self._columns.values())


def real_rows(given: Any, name: str) -> Float:
    """Read rows as finite float64."""
    rows = _check.rows(given, name)
    _check.finite(rows, name)
    return rows.astype(np.float64, copy=False)
