"""What a trained memory shows of its training."""

from __future__ import annotations

from typing import Any

from amfast._typing import Array, Float
from amfast.memories.learned.store import Trained


class Attributes:
    """The attributes of `LinearAssociativeMemory`, which are there once it is trained."""

    _store: Any

    def _attribute(self, name: str) -> Trained:
        now: Trained | None = self._store.now
        if now is None:
            raise AttributeError(f"{name} is there once the memory is trained; call fit first")
        return now

    @property
    def W_(self) -> Float:
        """(o, d)."""
        return self._attribute("W_").w

    @property
    def queries_(self) -> Array:
        """(K, d) queries of the last call, as given."""
        return self._attribute("queries_").keys

    @property
    def answers_(self) -> Array:
        """(K, o) answers of the last call, as given."""
        return self._attribute("answers_").values

    @property
    def frequency_(self) -> Float:
        """(K,) frequencies, divided by their sum."""
        return self._attribute("frequency_").frequency

    @property
    def lr_(self) -> float:
        """The step size in use."""
        return self._attribute("lr_").lr

    @property
    def groups_(self) -> Array:
        """(G,) labels of the groups."""
        return self._attribute("groups_").groups

    @property
    def loss_(self) -> Float:
        """(n + 1,) cross-entropy in nats; entry t is after t steps."""
        return self._attribute("loss_").history.loss

    @property
    def excess_loss_(self) -> Float:
        """(n + 1,) loss above the entropy of the labels."""
        return self._attribute("excess_loss_").history.excess

    @property
    def accuracy_(self) -> Float:
        """(n + 1,) share of the queries, by frequency, that are answered with their own."""
        return self._attribute("accuracy_").history.accuracy

    @property
    def group_loss_(self) -> Float:
        """(n + 1, G) excess loss of each group."""
        return self._attribute("group_loss_").history.group_loss

    @property
    def group_accuracy_(self) -> Float:
        """(n + 1, G) accuracy of each group."""
        return self._attribute("group_accuracy_").history.group_accuracy
