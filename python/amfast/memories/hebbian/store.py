"""What a Hebbian memory keeps: the sums of everything that was stored, by one rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._stores.items import Batch
from amfast._typing import Array, Float, Int
from amfast.memories.hebbian.rule import Rule
from amfast.memories.hebbian.sums import Sums


class SumStore:
    """Sums that rows are added to. They are one value, replaced by one assignment."""

    now: Sums | None
    """What is summed, None before anything came."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.now = None
        self._derived: tuple[Sums, Float] | None = None  # a matrix and what it was built from

    def append(self, batch: Batch) -> Int:
        """Add checked rows; return their numbers in the order in which they came."""
        first = len(self)
        self.now = self.rule.added(self.now, batch)
        return np.arange(first, len(self), dtype=np.int64)

    def observe(self, batch: Batch) -> None:
        """Add checked rows to the mean alone."""
        self.now = self.rule.observed(self.now, batch)

    def merge(self, other: SumStore) -> None:
        """Add what another store of the same rule sums, as if it came after."""
        mine, theirs = self.now, other.now
        if theirs is not None:
            self.now = theirs if mine is None else mine.merged(theirs, self.rule.decay)

    def matrix(self, sums: Sums) -> Float:
        """Return what cues are multiplied with, built once for the same sums."""
        derived = self._derived
        if derived is None or derived[0] is not sums:
            self._derived = derived = sums, self.rule.matrix(sums)
        return derived[1]

    def __len__(self) -> int:
        """Count the rows stored, silent ones included."""
        return 0 if self.now is None else self.now.n_stored

    @property
    def nbytes(self) -> int:
        """Bytes of the sums, and of the matrix if it was needed and is not one of them."""
        now, derived = self.now, self._derived
        if now is None:
            return 0
        own = derived is not None and self.rule.rule != "delta"
        return now.nbytes + (derived[1].nbytes if derived is not None and own else 0)

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restore` makes the same sums of: arrays, and numbers."""
        return ({}, {}) if self.now is None else self.now.arrays()

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; no array is copied."""
        self.now = Sums.restore(arrays, meta) if arrays else None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what can be derived again."""
        return self.__dict__ | {"_derived": None}
