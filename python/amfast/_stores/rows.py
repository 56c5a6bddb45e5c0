"""Growable rows as values: adding rows gives new rows, in the same buffer while it has room.

Nothing that was handed out ever changes: rows are only written behind the last one that anybody
holds, so a failed or interrupted addition leaves what was there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Mask


class _Buffer:
    """Memory with room for more rows, and how many of them somebody has claimed."""

    __slots__ = ("claimed", "rows", "shown")

    def __init__(self, rows: Array, claimed: int) -> None:
        self.rows, self.claimed = rows, claimed
        self.shown = _check.frozen(rows)


class Rows:
    """Rows of one width; a wider element type in what is added widens them."""

    __slots__ = ("_buffer", "_end", "view")

    view: Array
    """The rows, which their holder cannot make writable."""

    def __init__(self, buffer: _Buffer, end: int, start: int = 0) -> None:
        self._buffer, self._end = buffer, end
        self.view = buffer.shown[start:end]

    @classmethod
    def of(cls, rows: Array) -> Rows:
        """Copy rows."""
        own = _check.empty(rows.shape, rows.dtype, "stored rows")
        own[...] = rows
        return cls(_Buffer(own, len(own)), len(own))

    @classmethod
    def holding(cls, rows: Array) -> Rows:
        """Hold rows that nobody else writes to any more, without a copy."""
        return cls(_Buffer(rows, len(rows)), len(rows))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.view)

    def plus(self, extra: Array) -> Rows:
        """Return these rows and more behind them, in amortised constant time per row."""
        buffer, end, used = self._buffer, self._end, len(self.view)
        need = end + len(extra)
        dtype = _check.widen(buffer.rows.dtype, extra.dtype)
        if buffer.claimed != end or need > len(buffer.rows) or dtype != buffer.rows.dtype:
            need = used + len(extra)
            room = max(need, used * 3 // 2) if used else need
            grown = _check.empty((room, *self.view.shape[1:]), dtype, "stored rows")
            grown[:used] = self.view
            buffer, end = _Buffer(grown, used), used
        # Claimed before it is written: whoever adds to the old rows meanwhile takes a new buffer.
        buffer.claimed = need
        buffer.rows[end:need] = extra
        return Rows(buffer, need, end - used)

    def behind(self, n: int) -> Rows:
        """Return the rows behind the first n, in constant time: a full buffer lets those go."""
        return Rows(self._buffer, self._end, self._end - len(self.view) + n)

    def kept(self, mask: Mask) -> Rows:
        """Return the rows under a mask, in new memory."""
        kept = self.view[mask]
        return Rows(_Buffer(kept, len(kept)), len(kept))

    @property
    def in_place(self) -> bool:
        """Whether these are views of a file that is only read."""
        return not self._buffer.rows.flags.writeable

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer, room for growth included."""
        return int(self._buffer.rows.nbytes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the rows alone."""
        return Rows.of, (np.array(self.view),)
