"""The item store: keys, values, weights and ids of a memory, in growable buffers.

An empty store is neutral, `Items.append` adds, and appending another store's items merges the two.
Views handed out stay valid and unchanged: rows are only ever written behind the last one, and
deleting builds new buffers.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from amfast import _check, _core
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix

_PACK_BYTES = 1 << 25
# ln(1e290): sums of that many items' weights are float64 numbers.
_LOG_WEIGHT_MAX = 667.7


class _Rows:
    """Rows of one width, appended in amortised constant time; widened when a wider type comes."""

    def __init__(self, first: Array) -> None:
        self._buffer = np.empty((0, *first.shape[1:]), first.dtype)
        self._used = 0

    def reserve(self, extra: Array) -> None:
        """Make room; the only step that can fail."""
        need = self._used + len(extra)
        dtype = _check.widen(self._buffer.dtype, extra.dtype)
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


def distributions(rows: Array, eps: float, dtype: np.dtype[Any]) -> Array:
    """Rows as probability distributions mixed with a little of the uniform one.

    ``(n(x) + eps / d) / (1 + eps)`` with ``n(x) = x / sum(x)``. A blank row becomes the uniform
    distribution. Rows are non-negative.
    """
    x = rows.astype(np.float64)
    peak = x.max(axis=1, keepdims=True, initial=0.0)
    x[peak[:, 0] == 0] = 1.0
    x /= np.where(peak == 0, 1.0, peak)  # the sum of huge entries would overflow
    x /= x.sum(axis=1, keepdims=True)
    x += eps / rows.shape[1]
    x /= 1.0 + eps
    return x.astype(dtype, copy=False)


def _rows_of(view: Array, n_bits: int | None) -> Array | BitMatrix:
    return view if n_bits is None else BitMatrix._of(view, n_bits)


class Items:
    """Keys with values, weights and ids. Rows of a `BitMatrix` stay packed.

    Parameters
    ----------
    metric : str or None
        The metric the keys are packed for; None if no engine kernel reads them.
    eps : float or None
        If given, the engine reads the keys as `distributions` smoothed by ``eps``.
    """

    def __init__(self, metric: str | None, eps: float | None = None) -> None:
        self._metric, self._eps = metric, eps
        self._key_bits: int | None = None
        self._value_bits: int | None = None
        self._keys: _Rows | None = None
        self._values: _Rows | None = None
        self._log_weight: _Rows | None = None
        self._ids: _Rows | None = None
        self._packed: dict[np.dtype[Any], _core.Keys] = {}
        self._weighted = False
        self._next_id = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return 0 if self._keys is None else len(self._keys.view)

    def append(
        self, keys: Array | BitMatrix, values: Array | BitMatrix | None, log_weight: Float
    ) -> Int:
        """Add checked rows and return their ids. Nothing changes if it fails."""
        key_bits = value_bits = None
        if isinstance(keys, BitMatrix):
            key_bits, keys = keys.n_bits, keys.to_packed()
        if isinstance(values, BitMatrix):
            value_bits, values = values.n_bits, values.to_packed()
        with self._lock:
            ids = np.arange(self._next_id, self._next_id + len(keys), dtype=np.int64)
            if self._keys is None or self._log_weight is None or self._ids is None:
                self._key_bits, self._value_bits = key_bits, value_bits
                self._keys = _Rows(keys)
                self._values = None if values is None else _Rows(values)
                self._log_weight, self._ids = _Rows(log_weight), _Rows(ids)
            pairs = [(self._keys, keys), (self._log_weight, log_weight), (self._ids, ids)]
            if self._values is not None and values is not None:
                pairs.append((self._values, values))
            before = self._keys.view.dtype
            for buffer, new in pairs:
                buffer.reserve(new)
            for buffer, new in pairs:
                buffer.append(new)
            if self._keys.view.dtype != before:
                self._packed = {}
            self._weighted |= bool(log_weight.any())
            self._next_id += len(keys)
        return ids

    def delete(self, ids: Int) -> None:
        """Remove items by id; nothing changes if an id is unknown."""
        known = self.ids
        missing = np.setdiff1d(ids, known)
        if len(missing):
            raise ValueError(f"no item has the id {missing[0]}")
        if len(ids) == 0:
            return
        mask = ~np.isin(known, ids)
        with self._lock:
            for buffer in (self._keys, self._values, self._log_weight, self._ids):
                if buffer is not None:
                    buffer.keep(mask)
            self._packed = {}

    @property
    def width(self) -> int | None:
        """Columns of the keys, None before anything was stored."""
        return None if self._keys is None else self._key_bits or int(self._keys.view.shape[1])

    @property
    def keys(self) -> Any:
        """(N, d), an array or a `BitMatrix`, as given, read-only."""
        if self._keys is None:
            return np.empty((0, 0), np.float32)
        return _rows_of(self._keys.view, self._key_bits)

    @property
    def values(self) -> Any:
        """(N, o), read-only; the keys if autoassociative."""
        return self.keys if self._values is None else _rows_of(self._values.view, self._value_bits)

    @property
    def heteroassociative(self) -> bool:
        """Whether values were given."""
        return self._values is not None

    @property
    def ids(self) -> Int:
        """(N,) read-only."""
        return np.empty(0, np.int64) if self._ids is None else self._ids.view

    @property
    def log_weight(self) -> Float:
        """(N,) read-only."""
        return np.empty(0) if self._log_weight is None else self._log_weight.view

    @property
    def bias(self) -> Float | None:
        """The log weights, None if every item weighs 1."""
        return self.log_weight if self._weighted else None

    @property
    def item_weights(self) -> Float | None:
        """The weights, None if every item weighs 1; times ``exp(-weight_shift)``.

        The largest lies in 1e-290..1e290 and none but a weight of 0 vanishes, so that sums over
        the items neither overflow nor lose an item.
        """
        if not self._weighted:
            return None
        b = self.log_weight
        return np.where(
            b > -np.inf, np.maximum(np.exp(b - self.weight_shift), np.finfo(np.float64).tiny), 0.0
        )

    @property
    def weight_shift(self) -> float:
        """What is subtracted from the log weights before `item_weights` are taken; mostly 0."""
        top = float(np.max(self.log_weight, initial=-np.inf)) if self._weighted else 0.0
        if top == -np.inf:
            return 0.0
        return top - min(max(top, -_LOG_WEIGHT_MAX), _LOG_WEIGHT_MAX)

    def engine_keys(self, dtype: np.dtype[Any]) -> Array | _core.Keys:
        """Return what the engine reads beside cues of a type, which is uint8 for packed bits.

        Keys of that type are packed once; what was added since the last call is packed now. Keys of
        another type are read as they are stored, since packing would hold a widened copy of all.
        """
        assert self._metric is not None
        assert self._keys is not None
        keys = self._keys.view
        if self._eps is None and keys.dtype != dtype:
            return keys
        if self._key_bits is not None:
            return keys  # a single cue reads rows of bits faster than panels, many as fast
        step = max(1, _PACK_BYTES // (8 * keys.shape[1])) if self._eps is not None else len(keys)
        with self._lock:
            packed = self._packed.get(dtype)
            done = 0 if packed is None else len(packed)
            while done < len(keys):
                piece = keys[done : done + step]
                if self._eps is not None:
                    piece = distributions(piece, self._eps, dtype)
                if packed is None:
                    packed = self._packed[dtype] = _core.Keys(piece, self._metric)
                else:
                    packed.append(piece)
                done += len(piece)
            assert packed is not None
            return packed

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, room for growth and packed keys included."""
        buffers = (self._keys, self._values, self._log_weight, self._ids)
        packed = sum(keys.nbytes for keys in self._packed.values())
        return packed + sum(b.nbytes for b in buffers if b is not None)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock and the packed copy, which is rebuilt when needed."""
        state = self.__dict__.copy()
        del state["_lock"]
        state["_packed"] = {}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.Lock()
