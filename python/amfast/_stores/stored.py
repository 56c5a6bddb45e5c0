"""What an item store holds at one time: values that never change.

Whoever took one keeps what he took, whatever is added or deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from amfast import _check, _core
from amfast._engine import coding
from amfast._engine.coding import Coded
from amfast._engine.scoring import asked_type, engine_rows, packs
from amfast._stores.rows import Rows
from amfast._typing import Array, Float, Int
from amfast.bits import BitMatrix, Kind

if TYPE_CHECKING:
    from amfast._stores.items import Items

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
        "_derived", "codes", "columns", "heteroassociative", "ids", "keys", "kind", "n_bits",
        "n_items", "next_id", "owner", "packed", "unread", "value_width", "values", "weighted",
        "width",
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
        codes: tuple[_core.Codes | None] | None = None,
    ) -> None:
        self.owner, self.columns, self.n_bits = owner, columns, n_bits
        self.next_id, self.kind, self.packed, self.codes = next_id, kind, packed, codes
        self.ids = columns.ids.view
        self.n_items = len(self.ids)
        self.keys = rows_of(columns.keys.view, n_bits[0])
        self.values = self.keys
        self.heteroassociative = columns.values is not None
        if columns.values is not None:
            self.values = rows_of(columns.values.view, n_bits[1])
        self.weighted = columns.weights is not None
        self.width, self.value_width = int(self.keys.shape[1]), int(self.values.shape[1])
        self.unread = False
        self._derived: dict[str, Any] = {}

    def __len__(self) -> int:
        """Count the items."""
        return self.n_items

    def some(self, index: Int) -> Stored:
        """Return the items at some places, in the order of their ids; they are copied."""
        keep = np.zeros(self.n_items, np.bool_)
        keep[index] = True
        keys, values, weights, ids = (
            None if column is None else column.kept(keep) for column in self.columns
        )
        assert keys is not None
        assert ids is not None
        columns = Columns(keys, values, weights, ids)
        found = Stored(self.owner, columns, self.n_bits, self.next_id, self.kind, {})
        found.unread = True
        return found

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

        Keys of that type, and of 16 bits for float32, are packed once; what was added since the
        last call is packed now. Keys of another type are read as they are stored, since packing
        would hold a widened copy of all, as are those in a mapped file.
        """
        packed = self.packed.get(dtype)
        if packed is not None and len(packed) == self.n_items:
            return packed
        keys, n_bits = unpacked(self.keys)
        if n_bits is not None:
            return keys  # a single cue reads rows of bits faster than panels, many as fast
        owner = self.owner
        if owner.metric is None:
            return engine_rows(keys)
        if owner.prepare is None and (
            asked_type(keys.dtype) != dtype
            or self.columns.keys.in_place
            or not packs(keys, owner.metric)
        ):
            return engine_rows(keys)
        if self.unread and owner.prepare is None:
            # Where items go between any two reads, packing all again for each would cost more.
            self.unread = False
            return engine_rows(keys)
        with owner.turn:
            return self._pack(keys, dtype)

    def engine_codes(self, threads: int, pays: Callable[[], bool]) -> Coded | None:
        """Return codes of the keys for a first pass over them; None where they have none.

        They are made when they are first asked for and it ``pays``, and go on with what is added.
        """
        owner, keys = self.owner, self.keys
        if owner.prepare is not None or isinstance(keys, BitMatrix):
            return None
        if not coding.wanted(keys, owner.metric, owner.codes):
            return None
        if owner.codes is None and self.columns.keys.in_place:
            return None  # a file is read as it is
        made = self.codes
        if made is None or (made[0] is not None and len(made[0]) < self.n_items):
            assert owner.metric is not None
            if made is None and owner.codes is None and not pays():
                self.codes = (None,)
                return None
            with owner.turn:
                by = coding.coded(keys, owner.metric, threads, None if made is None else made[0])
                made = self.codes = (None if by is None else by.codes,)
        return None if made[0] is None else Coded(made[0], engine_rows(keys))

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
            piece = engine_rows(piece)
            packed = _core.Keys(piece, metric) if packed is None else packed.extended(piece)
            done += len(piece)
        assert packed is not None
        self.packed[dtype] = packed
        return packed


class Thinned(Stored):
    """What is stored without some items, which are left out when somebody looks.

    Several share one table of the ids that went, each as far as it goes: deleting one more adds an
    entry to it.
    """

    __slots__ = ("_gone", "_n_gone", "_root")

    def __init__(self, root: Stored, gone: dict[int, int], n_gone: int) -> None:
        self._root: Stored | None = root
        self._gone, self._n_gone = gone, n_gone
        self.owner, self.n_bits, self.next_id = root.owner, root.n_bits, root.next_id
        self.kind, self.packed, self.n_items = root.kind, {}, root.n_items - n_gone
        self.codes = None
        self.heteroassociative, self.weighted = root.heteroassociative, root.weighted
        self.width, self.value_width = root.width, root.value_width
        self.unread = True
        self._derived = {}

    @classmethod
    def of(cls, now: Stored, ids: list[int]) -> Thinned:
        """Leave out some more items, or refuse ids that are unknown."""
        root: Stored = now
        gone: dict[int, int] = {}
        n_gone = 0
        # Asked once: whoever looks at the items meanwhile lets the root go.
        if isinstance(now, Thinned) and (shared := now._root) is not None:
            root, gone, n_gone = shared, now._gone, now._n_gone
        known = root.ids
        place = np.searchsorted(known, ids)
        for i, at in zip(ids, place.tolist(), strict=True):
            if at == len(known) or known[at] != i or gone.get(i, n_gone) < n_gone:
                raise ValueError(f"no item has the id {i}")
        if len(gone) != n_gone:  # somebody else went on from here
            gone = {i: order for i, order in gone.items() if order < n_gone}
        for order, i in enumerate(ids, n_gone):
            gone[i] = order
        return cls(root, gone, n_gone + len(ids))

    def __getattr__(self, name: str) -> Any:
        """Leave the items out, once."""
        if name not in ("columns", "ids", "keys", "values"):
            raise AttributeError(name)
        root = self._root
        if root is not None:
            gone = [i for i, order in list(self._gone.items()) if order < self._n_gone]
            keep = np.ones(root.n_items, np.bool_)
            keep[np.searchsorted(root.ids, gone)] = False
            keys, values, weights, own = root.columns
            self.columns = columns = Columns(
                keys.kept(keep),
                None if values is None else values.kept(keep),
                None if weights is None else weights.kept(keep),
                own.kept(keep),
            )
            self.ids = columns.ids.view
            self.keys = found = rows_of(columns.keys.view, self.n_bits[0])
            if columns.values is not None:
                found = rows_of(columns.values.view, self.n_bits[1])
            self.values = found  # in one step: several may be at it, and others read
            self._root = None
        return object.__getattribute__(self, name)


def rows_of(view: Array, n_bits: int | None) -> Array | BitMatrix:
    """Return bytes as the bits that they are, or the array."""
    return view if n_bits is None else BitMatrix._of(view, n_bits)


def unpacked(rows: Array | BitMatrix) -> tuple[Array, int | None]:
    """Return the bytes of bits and their number, or the array and None."""
    return (rows.to_packed(), rows.n_bits) if isinstance(rows, BitMatrix) else (rows, None)
