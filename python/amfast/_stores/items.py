"""The item store: keys, values, weights and ids of a memory, in growable buffers.

An empty store is neutral, `Items.append` adds, `Items.merge` adds another store. What is stored is
one value, `Stored`, that is replaced as a whole: a reader who took it keeps what he took, and a
failed or interrupted change leaves the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast import _check
from amfast._stores.rows import Rows
from amfast._stores.stored import LOG_WEIGHT_MAX as LOG_WEIGHT_MAX
from amfast._stores.stored import Batch as Batch
from amfast._stores.stored import Columns, Thinned, unpacked
from amfast._stores.stored import Stored as Stored
from amfast._stores.turns import Turn
from amfast._typing import Array, Int, Mask
from amfast.bits import BitMatrix, Kind

# Deleted together, so many are noted; more are left out at once.
_FEW_GONE = 256


class Items:
    """Keys with values, weights and ids. Rows of a `BitMatrix` stay packed.

    Parameters
    ----------
    metric : str or None
        The metric the keys are packed for; None if no engine kernel reads them.
    prepare : callable, optional
        ``prepare(rows, dtype)``: what the engine reads in place of the keys, some rows at a time.
    max_items : int, optional
        With one more, the oldest goes.
    codes : bool, optional
        Whether a first pass over codes of the keys is tried, see `amfast._engine.coding`.
    """

    now: Stored | None
    """What is stored, None before anything was."""
    turn: Turn
    """Of those who change the store or pack it."""

    def __init__(
        self,
        metric: str | None = None,
        prepare: Callable[[Array, np.dtype[Any]], Array] | None = None,
        max_items: int | None = None,
        codes: bool | None = None,
    ) -> None:
        self.metric, self.prepare, self.max_items = metric, prepare, max_items
        self.codes = codes
        self.now = None
        self.turn = Turn()

    def __len__(self) -> int:
        """Count the items."""
        return 0 if self.now is None else self.now.n_items

    def _change(self, change: Callable[[Stored | None], tuple[Stored | None, Any]]) -> Any:
        """Replace what is stored by what ``change`` makes of it, and return its answer."""
        with self.turn:
            while True:
                before = self.now
                after, answer = change(before)
                if self.now is before:
                    self.now = after
                    return answer

    def append(self, batch: Batch) -> Int:
        """Add checked items and return their ids. Nothing changes if it fails."""
        return np.asarray(self._change(lambda now: self._appended(now, batch)))

    def merge(self, other: Items) -> None:
        """Add the items of another store behind these; they get new ids."""
        theirs = other.now
        if theirs is not None:
            weights = theirs.weights if theirs.weighted else None
            values = theirs.values if theirs.heteroassociative else None
            self.append(Batch(theirs.keys, values, weights, theirs.kind))

    def delete(self, ids: Int) -> None:
        """Remove items by sorted ids; nothing changes if an id is unknown.

        A few are only noted, in a time that does not depend on how many there are; whoever looks
        at the items next leaves them out.
        """
        self._change(lambda now: (self._deleted(now, ids), None))

    def _appended(self, now: Stored | None, batch: Batch) -> tuple[Stored, Int]:
        """Return what is stored after a batch, and the batch's ids."""
        keys, key_bits = unpacked(batch.keys)
        values, value_bits = (None, None) if batch.values is None else unpacked(batch.values)
        weights = batch.weights
        if weights is not None and (weights == 1).all() and (now is None or not now.weighted):
            weights = None
        if now is None:
            ids = np.arange(len(keys), dtype=np.int64)
            columns = Columns(
                Rows.of(keys),
                None if values is None else Rows.of(values),
                None if weights is None else Rows.of(weights),
                Rows.of(ids),
            )
            made = Stored(self, columns, (key_bits, value_bits), len(ids), batch.kind, {})
            more = 0 if self.max_items is None else len(ids) - self.max_items
            return (self._without_first(made, columns, more, len(ids)) if more > 0 else made), ids
        ids = np.arange(now.next_id, now.next_id + len(keys), dtype=np.int64)
        old = now.columns
        weigh = old.weights
        if weigh is not None:
            weigh = weigh.plus(np.ones(len(keys)) if weights is None else weights)
        elif weights is not None:
            weigh = Rows.of(np.ones(now.n_items)).plus(weights)
        columns = Columns(
            old.keys.plus(keys),
            None if old.values is None or values is None else old.values.plus(values),
            weigh,
            old.ids.plus(ids),
        )
        more = 0 if self.max_items is None else len(columns.ids) - self.max_items
        if more > 0:
            return self._without_first(now, columns, more, now.next_id + len(ids)), ids
        # Each has its own: a reader of the old items packs them beside one of the new.
        same = columns.keys.view.dtype == old.keys.view.dtype
        packed, codes = (dict(now.packed), now.codes) if same else ({}, None)
        kind = now.kind or batch.kind
        return Stored(self, columns, now.n_bits, now.next_id + len(ids), kind, packed, codes), ids

    def _deleted(self, now: Stored | None, ids: Int) -> Stored | None:
        """Return what is stored without some items."""
        if now is not None and 0 < len(ids) <= _FEW_GONE:
            return Thinned.of(now, ids.tolist())
        known = np.empty(0, np.int64) if now is None else now.ids
        missing = np.setdiff1d(ids, known)
        if len(missing):
            raise ValueError(f"no item has the id {missing[0]}")
        if now is None or len(ids) == 0:
            return now
        mask: Mask = ~np.isin(known, ids)
        keys, values, weights, own = now.columns
        columns = Columns(
            keys.kept(mask),
            None if values is None else values.kept(mask),
            None if weights is None else weights.kept(mask),
            own.kept(mask),
        )
        return Stored(self, columns, now.n_bits, now.next_id, now.kind, {})

    def _without_first(self, now: Stored, columns: Columns, n: int, next_id: int) -> Stored:
        """Return what is stored without the oldest items, in constant time."""
        keys, values, weights, own = columns
        columns = Columns(
            keys.behind(n),
            None if values is None else values.behind(n),
            None if weights is None else weights.behind(n),
            own.behind(n),
        )
        after = Stored(self, columns, now.n_bits, next_id, now.kind, {})
        after.unread = True
        return after

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, room for growth and packed keys included."""
        now = self.now
        if now is None:
            return 0
        packed = sum(keys.nbytes for keys in list(now.packed.values()))
        if now.codes is not None and now.codes[0] is not None:
            packed += now.codes[0].nbytes
        return packed + sum(rows.nbytes for rows in now.columns if rows is not None)

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the columns, and what `restore` needs beside them to make the same store."""
        now = self.now
        if now is None:
            return {}, {}
        keys, n_bits = unpacked(now.keys)
        columns = {"keys": keys, "ids": now.ids}
        meta: dict[str, Any] = {"next_id": now.next_id, "n_bits": n_bits, "n_value_bits": None}
        if now.heteroassociative:
            columns["values"], meta["n_value_bits"] = unpacked(now.values)
        if now.weighted:
            columns["weights"] = now.weights
        if now.kind is not None:
            meta["kind"] = now.kind.saved()
        return columns, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; no array is copied or read.

        Read-only arrays are views of a file: the engine reads the keys where they are, unpacked.
        """
        if not arrays:
            self.now = None
            return
        kind = None if meta.get("kind") is None else Kind.restored(meta["kind"])
        _check_columns(arrays, meta)
        held = {name: Rows.holding(x) for name, x in arrays.items()}
        columns = Columns(held["keys"], held.get("values"), held.get("weights"), held["ids"])
        bits = meta["n_bits"], meta["n_value_bits"]
        self.now = Stored(self, columns, bits, meta["next_id"], kind, {})

    def check_contents(self) -> None:
        """Refuse columns whose entries are none of a store's."""
        now = self.now
        if now is None:
            return
        if now.n_items and (now.ids[0] < 0 or (np.diff(now.ids) <= 0).any()):
            raise ValueError("ids must ascend from 0 on")
        for rows in (now.keys, now.values):
            if isinstance(rows, BitMatrix):
                BitMatrix.from_packed(rows.to_packed(), rows.n_bits)  # looks at the padding

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock and the packed copy, which is rebuilt when needed."""
        arrays, meta = self.arrays()
        own = {name: getattr(self, name) for name in ("metric", "prepare", "max_items", "codes")}
        return own | {"arrays": {name: np.array(x) for name, x in arrays.items()}, "meta": meta}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with a lock of its own."""
        self.__init__(  # type: ignore[misc]
            state["metric"], state["prepare"], state.get("max_items"), state.get("codes")
        )
        self.restore(state["arrays"], state["meta"])


def _check_columns(arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Refuse columns that no store has."""
    unknown = set(arrays) - {"keys", "values", "weights", "ids"}
    if unknown:
        raise ValueError(f"unknown arrays {sorted(unknown)}")
    keys, ids, next_id = arrays["keys"], arrays["ids"], meta["next_id"]
    for name, n_bits in (("keys", meta["n_bits"]), ("values", meta["n_value_bits"])):
        if name in arrays:
            check_rows(name, arrays[name], len(keys), n_bits)
    if ids.dtype != np.int64 or ids.shape != (len(keys),):
        raise ValueError(f"ids must be int64 ({len(keys)},), got {ids.dtype} {ids.shape}")
    if type(next_id) is not int or next_id < len(ids) or next_id > np.iinfo(np.int64).max:
        raise ValueError(f"next_id {next_id!r} is no id after {len(ids)} items")
    if len(ids) and ids[-1] >= next_id:
        raise ValueError(f"ids must be below {next_id}, the last is {ids[-1]}")
    weights = arrays.get("weights")
    if weights is not None and (weights.dtype != np.float64 or weights.shape != ids.shape):
        raise ValueError(
            f"weights must be float64 {ids.shape}, got {weights.dtype} {weights.shape}"
        )


def check_rows(name: str, rows: Array, n: int, n_bits: int | None) -> None:
    """Refuse an array that is no n rows of numbers, or of so many bits."""
    if rows.ndim != 2 or len(rows) != n or rows.shape[1] == 0:
        raise ValueError(f"{name} must be {n} rows, got shape {rows.shape}")
    if n_bits is not None:
        BitMatrix.from_packed(rows[:1], n_bits)  # says what does not fit
    elif not (
        rows.dtype.kind == "f"
        or _check.is_bfloat16(rows.dtype)
        or (rows.dtype.kind in "ui" and rows.dtype.itemsize == 1)
    ):
        raise ValueError(f"{name} must be floats or bytes, got {rows.dtype}")
