"""What a universal memory says of itself: its parts, and what it holds."""

from __future__ import annotations

import numpy as np

from amfast import parts
from amfast._stores.items import Items
from amfast._typing import Float
from amfast.memories.base import Memory
from amfast.memories.universal import winners
from amfast.memories.universal.paper import Paper
from amfast.memories.universal.standard import Standard


class _Looks(Memory):
    """The part of the memory that is looked at."""

    _store: Items
    _model: Standard | Paper
    _readout: parts.Readout

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
