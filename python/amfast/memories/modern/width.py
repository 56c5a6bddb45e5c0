"""Softmax memories whose beta may follow from the width of what they store."""

from __future__ import annotations

from typing import Any, ClassVar

from amfast._stores.items import Batch
from amfast.memories.universal.memory import UniversalHopfield
from amfast.memories.universal.standard import Standard
from amfast.parts import Softmax


class _WidthBeta(UniversalHopfield):
    """A softmax memory whose beta may follow from the width of what it stores."""

    _metric: ClassVar[str]
    _follows: bool
    _fitted: tuple[int, Standard] | None = None
    """The parts for a width."""

    def _beta_of(self, width: int) -> float:
        """Beta for keys of a width."""
        raise NotImplementedError

    @property
    def _model(self) -> Standard:
        """The parts; of what is stored, where they follow from it."""
        now = self._store.now if self._follows else None
        if now is None:
            return self._parts
        fitted = self._fitted
        if fitted is None or fitted[0] != now.width:
            soft = Softmax(self._beta_of(now.width))
            self._fitted = fitted = now.width, Standard.of(self._metric, soft, True, None)
        return fitted[1]

    @_model.setter
    def _model(self, parts: Standard) -> None:
        self._parts = parts

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        batch = super()._admit(keys, values, weights)
        if self._follows:
            self._beta_of(batch.keys.shape[1])  # refuses a width that has no beta
        return batch

    def _same_parameters(self, other: UniversalHopfield) -> bool:
        if isinstance(other, type(self)) and self._follows and other._follows:
            mine, theirs = self._parameters(), other._parameters()
            return all(mine[name] == theirs[name] for name in mine if name != "codes")
        return super()._same_parameters(other)

    def _kept(self) -> dict[str, Any]:
        """How many items are kept, and how."""
        return {name: self._given[name] for name in ("max_items", "codes")}

    @property
    def beta(self) -> float | None:
        """The inverse temperature; None while it waits for the width of the first keys."""
        if self._follows and self._store.now is None:
            return None
        return self._model.separation.beta


# For the memories that stand on it; by its own name it is no memory that users make.
WidthBeta = _WidthBeta
