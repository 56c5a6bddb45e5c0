"""What a universal memory says of itself: its parts, and what it holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _docs, parts
from amfast._stores.items import Items, Stored
from amfast._threads import resolve_threads
from amfast._typing import Float
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.universal import winners
from amfast.memories.universal.paper import Paper
from amfast.memories.universal.standard import Standard


class _Looks(Memory):
    """The part of the memory that is looked at."""

    _store: Items
    _model: Standard | Paper
    _readout: parts.Readout

    def _cues(self, given: Any, name: str, now: Stored) -> tuple[Any, Kind]:
        """Check cues, see the memory."""
        raise NotImplementedError

    @property
    def log_weight(self) -> Float:
        """Natural logarithms of the items' weights (N,), read-only."""
        now = self._store.now
        return np.empty(0) if now is None else now.log_weight

    @property
    def similarity(self) -> str | parts.Similarity:
        """The similarity; a name of `amfast.memories.universal.paper` in the paper convention."""
        return self._model.similarity

    @property
    def separation(self) -> parts.Separation:
        """The separation."""
        return self._model.separation

    @property
    def readout(self) -> parts.Readout:
        """The readout."""
        return self._readout

    @property
    def convention(self) -> str:
        """``"standard"`` or ``"paper"``."""
        return self._model.name

    def _contents(self) -> str:
        now = self._stored()
        values = f" -> {winners.width(now.values, ' of')}" if now.heteroassociative else ""
        return f"{len(self)} items, {winners.width(now.keys, ' columns of')}{values}"

    def _described(self) -> str:
        """Name the parts, as `repr` shows them."""
        text = repr(self._model)
        if self._readout.kind != "identity":
            text += f", readout={self._readout.kind!r}"
        return text + self._bounded()

    @_docs.like(Memory.scores)
    def dropped_mass(self, cues: Any, *, threads: int | None = None) -> Any:
        """Softmax weight of the items that `TopK` with a beta leaves out, (Q,) float64 or a float.

        With ``delta`` of it, the recalled value differs from that of ``Softmax(beta)`` by at most
        ``2 delta max |v|``. It reads all scores, one tile of cues at a time; `TopK.dropped_bound`
        bounds it from the k best scores.

        Returns
        -------
        (Q,) float64 array, or a float for one cue

        Raises
        ------
        ValueError
            If the separation is not `TopK` with a beta.
        """
        chosen = self._model.separation
        if chosen.n_best is None or chosen.beta is None:
            raise ValueError(f"{chosen!r} leaves nothing of a softmax out; TopK with a beta does")
        n_threads = resolve_threads(threads)
        now = self._stored()
        q, kind = self._cues(cues, "cues", now)
        return kind.number(winners.left_out(self._model, q, now, n_threads))
