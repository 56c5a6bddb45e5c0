"""The item store: keys, values, weights and ids of a memory, in growable buffers.

An empty store is neutral, `Items.append` adds, `Items.merge` adds another store. What is stored is
one value, `Stored`, that is replaced as a whole: a reader who took it keeps what he took, and a
failed or interrupted change leaves the old one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core
from amfast._stores.rows import Rows
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix, Kind

_PACK_BYTES = 1 << 25
# ln(1e290): sums of that many items' weights are float64 numbers.
LOG_WEIGHT_MAX = 667.7


class Batch(NamedTuple):
    """Checked items on their way into a store."""

    keys: Array | BitMatrix
    values: Array | BitMatrix | None = None
    """None if the keys are the values."""
    weights: Float | None = None
    """None if every item weighs 1."""
    kind: Kind | None = None
    """How bits were given; the first one given decides how bits are answered."""


class Columns(NamedTuple):
    """The growable rows behind what is stored."""

    keys: Rows
    values: Rows | None
    weights: Rows | None
    ids: Rows


class Stored:
    """What a store holds at one time; it never changes."""

    __slots__ = (
        "_derived", "columns", "heteroassociative", "ids", "keys", "kind", "n_bits", "n_items",
        "next_id", "owner", "packed", "value_width", "values", "weighted", "width",
    )  # fmt: skip

    keys: Any
    """(N, d) array or `BitMatrix`, as given, read-only."""
    values: Any
    """(N, o), likewise; the keys if autoassociative."""
    ids: Int
    """(N,) in ascending order, read-only."""
    width: int
    """Columns, or bits, of the keys."""

    def __init__(
        self,
        owner: Items,
        columns: Columns,
        n_bits: tuple[int | None, int | None],
        next_id: int,
        kind: Kind | None,
        packed: dict[np.dtype[Any], _core.Keys],
    ) -> None:
        self.owner, self.columns, self.n_bits = owner, columns, n_bits
        self.next_id, self.kind, self.packed = next_id, kind, packed
        self.ids = columns.ids.view
        self.n_items = len(self.ids)
        self.keys = _rows_of(columns.keys.view, n_bits[0])
        self.values = self.keys
        self.heteroassociative = columns.values is not None
        if columns.values is not None:
            self.values = _rows_of(columns.values.view, n_bits[1])
        self.weighted = columns.weights is not None
        self.width, self.value_width = int(self.keys.shape[1]), int(self.values.shape[1])
        self._derived: dict[str, Any] = {}

    def __len__(self) -> int:
        """Count the items."""
        return self.n_items

    @property
    def weights(self) -> Float:
        """(N,) item weights, read-only."""
        if self.columns.weights is None:
            return self._once("weights", lambda: np.ones(self.n_items))
        return self.columns.weights.view

    @property
    def log_weight(self) -> Float:
        """(N,) natural logarithms of the weights, read-only."""
        return self._once("log_weight", self._logarithms)

    def _logarithms(self) -> Float:
        if self.columns.weights is None:
            return np.zeros(self.n_items)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.columns.weights.view))

    @property
    def bias(self) -> Float | None:
        """The log weights, None if every item weighs 1."""
        return self.log_weight if self.weighted else None

    @property
    def item_weights(self) -> Float | None:
        """The weights, None if every item weighs 1; times ``exp(-weight_shift)``.

        The largest lies in 1e-290..1e290 and none but a weight of 0 vanishes, so that sums over
        the items neither overflow nor lose an item.
        """
        if not self.weighted:
            return None
        b = self.log_weight
        return np.where(
            b > -np.inf, np.maximum(np.exp(b - self.weight_shift), np.finfo(np.float64).tiny), 0.0
        )

    @property
    def weight_shift(self) -> float:
        """What is subtracted from the log weights before `item_weights` are taken; mostly 0."""
        top = float(np.max(self.log_weight, initial=-np.inf)) if self.weighted else 0.0
        if top == -np.inf:
            return 0.0
        return top - min(max(top, -LOG_WEIGHT_MAX), LOG_WEIGHT_MAX)

    def _once(self, name: str, make: Callable[[], Array]) -> Array:
        return np.asarray(self.derived(name, lambda: _check.frozen(make())))

    def derived(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what somebody derives from these items, made when it is first asked for."""
        found = self._derived.get(name)
        if found is None:
            found = self._derived[name] = make()
        return found

    def engine_keys(self, dtype: np.dtype[Any]) -> Array | _core.Keys:
        """Return what the engine reads beside cues of a type, uint8 for packed bits.

        Keys of that type are packed once; what was added since the last call is packed now. Keys of
        another type are read as they are stored, since packing would hold a widened copy of all, as
        are those in a mapped file.
        """
        packed = self.packed.get(dtype)
        if packed is not None and len(packed) == self.n_items:
            return packed
        keys, n_bits = _unpacked(self.keys)
        if n_bits is not None:
            return keys  # a single cue reads rows of bits faster than panels, many as fast
        owner = self.owner
        if owner.metric is None:
            return keys
        if owner.prepare is None and (keys.dtype != dtype or self.columns.keys.in_place):
            return keys
        with owner.turn():
            return self._pack(keys, dtype)

    def _pack(self, keys: Array, dtype: np.dtype[Any]) -> _core.Keys:
        """Pack what is not packed yet."""
        packed = self.packed.get(dtype)
        done = 0 if packed is None else len(packed)
        prepare, metric = self.owner.prepare, self.owner.metric
        assert metric is not None
        step = len(keys) if prepare is None else max(1, _PACK_BYTES // (8 * keys.shape[1]))
        while done < len(keys):
            piece = keys[done : done + step]
            if prepare is not None:
                piece = prepare(piece, dtype)
            packed = _core.Keys(piece, metric) if packed is None else _extended(packed, piece)
            done += len(piece)
        assert packed is not None
        self.packed[dtype] = packed
        return packed


def _rows_of(view: Array, n_bits: int | None) -> Array | BitMatrix:
    return view if n_bits is None else BitMatrix._of(view, n_bits)


def _unpacked(rows: Array | BitMatrix) -> tuple[Array, int | None]:
    """Return the bytes of bits and their number, or the array and None."""
    return (rows.to_packed(), rows.n_bits) if isinstance(rows, BitMatrix) else (rows, None)


class Items:
    """Keys with values, weights and ids. Rows of a `BitMatrix` stay packed.

    Parameters
    ----------
    metric : str or None
        The metric the keys are packed for; None if no engine kernel reads them.
    prepare : callable, optional
        ``prepare(rows, dtype)``: what the engine reads in place of the keys, some rows at a time.
    """

    now: Stored | None
    """What is stored, None before anything was."""

    def __init__(
        self,
        metric: str | None = None,
        prepare: Callable[[Array, np.dtype[Any]], Array] | None = None,
    ) -> None:
        self.metric, self.prepare = metric, prepare
        self.now = None
        self._pid, self._turn = os.getpid(), threading.RLock()

    def __len__(self) -> int:
        """Count the items."""
        return 0 if self.now is None else self.now.n_items

    def turn(self) -> Any:
        """Return the lock of those who change the store or pack it; a fork leaves it behind.

        It is one that a signal handler may take again: whoever was interrupted finds the store
        changed and begins anew.
        """
        if self._pid != os.getpid():
            self._pid, self._turn = os.getpid(), threading.RLock()
        return self._turn

    def _change(self, change: Callable[[Stored | None], tuple[Stored | None, Any]]) -> Any:
        """Replace what is stored by what ``change`` makes of it, and return its answer."""
        with self.turn():
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
        """Remove items by sorted ids; nothing changes if an id is unknown."""
        self._change(lambda now: (self._deleted(now, ids), None))

    def _appended(self, now: Stored | None, batch: Batch) -> tuple[Stored, Int]:
        """Return what is stored after a batch, and the batch's ids."""
        keys, key_bits = _unpacked(batch.keys)
        values, value_bits = (None, None) if batch.values is None else _unpacked(batch.values)
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
            return Stored(self, columns, (key_bits, value_bits), len(ids), batch.kind, {}), ids
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
        packed = now.packed if columns.keys.view.dtype == old.keys.view.dtype else {}
        kind = now.kind or batch.kind
        return Stored(self, columns, now.n_bits, now.next_id + len(ids), kind, packed), ids

    def _deleted(self, now: Stored | None, ids: Int) -> Stored | None:
        """Return what is stored without some items."""
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

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, room for growth and packed keys included."""
        now = self.now
        if now is None:
            return 0
        packed = sum(keys.nbytes for keys in now.packed.values())
        return packed + sum(rows.nbytes for rows in now.columns if rows is not None)

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the columns, and what `restore` needs beside them to make the same store."""
        now = self.now
        if now is None:
            return {}, {}
        keys, n_bits = _unpacked(now.keys)
        columns = {"keys": keys, "ids": now.ids}
        meta: dict[str, Any] = {"next_id": now.next_id, "n_bits": n_bits, "n_value_bits": None}
        if now.heteroassociative:
            columns["values"], meta["n_value_bits"] = _unpacked(now.values)
        if now.weighted:
            columns["weights"] = now.weights
        if now.kind is not None:
            dtype = None if now.kind.dtype is None else now.kind.dtype.name
            meta["kind"] = [now.kind.coding, dtype]
        return columns, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; no array is copied or read.

        Read-only arrays are views of a file: the engine reads the keys where they are, unpacked.
        """
        if not arrays:
            self.now = None
            return
        kind = None
        if meta.get("kind") is not None:
            coding, dtype = meta["kind"]
            kind = Kind(coding, None if dtype is None else np.dtype(dtype))
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
        own = {"metric": self.metric, "prepare": self.prepare}
        return own | {"arrays": {name: np.array(x) for name, x in arrays.items()}, "meta": meta}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with a lock of its own."""
        self.__init__(state["metric"], state["prepare"])  # type: ignore[misc]
        self.restore(state["arrays"], state["meta"])


def _extended(packed: _core.Keys, piece: Array) -> _core.Keys:
    packed.append(piece)
    return packed


def _check_columns(arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Refuse columns that no store has."""
    unknown = set(arrays) - {"keys", "values", "weights", "ids"}
    if unknown:
        raise ValueError(f"unknown arrays {sorted(unknown)}")
    keys, ids, next_id = arrays["keys"], arrays["ids"], meta["next_id"]
    for name, n_bits in (("keys", meta["n_bits"]), ("values", meta["n_value_bits"])):
        if name in arrays:
            _check_rows(name, arrays[name], len(keys), n_bits)
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


def _check_rows(name: str, rows: Array, n: int, n_bits: int | None) -> None:
    if rows.ndim != 2 or len(rows) != n or rows.shape[1] == 0:
        raise ValueError(f"{name} must be {n} rows, got shape {rows.shape}")
    if n_bits is not None:
        BitMatrix.from_packed(rows[:1], n_bits)  # says what does not fit
    elif rows.dtype.kind not in "fui" or (rows.dtype.kind != "f" and rows.dtype.itemsize > 1):
        raise ValueError(f"{name} must be floats or bytes, got {rows.dtype}")
