"""What memories of units of -1 and +1 share: what they admit, cues, a bias, and answers.

A bias is given once, as a number or one per unit of the answer. A unit without a field takes what
the tie rule says, and is counted as undecided. What a recall answers comes in the kind that the
cues had; where a unit of a value has no field and the tie rule is "keep" there is nothing to keep:
it is 0 among -1 and +1, and bit 0 in the kinds that have no third value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from amfast import _check, bits
from amfast._engine import scoring
from amfast._stores.items import Batch, Items
from amfast._typing import Array, Float, Mask, Signs
from amfast.bits import BitMatrix, Kind
from amfast.memories.alike import check_alike
from amfast.memories.base import Memory
from amfast.memories.recall import Recall
from amfast.memories.units import doubts
from amfast.parts.base import warn
from amfast.parts.dynamics import Motion, Settled

# Energies beyond this are refused: sums of a few such terms are still float64 numbers.
ENERGY_MAX = float(np.finfo(np.float64).max) / 64


class _Units(Memory):
    """A memory whose states are units of -1 and +1 that follow their fields."""

    _given_bias: Float | None
    _look_from = 2
    """How many patterns make recall look whether they come back."""
    _unit: str = "bits"
    """What errors call the entries of a pattern."""
    _counted: ClassVar[str] = "bits"
    """What `repr` calls them."""

    # -- storing ----------------------------------------------------------------------------------

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        now = self._store.now
        k, kind = self._patterns(keys, "keys", None if now is None else now.kind)
        v = None if values is None else self._patterns(values, "values", kind, len(k))[0]
        check_alike(self, k, v, self._unit)
        w = None if weights is None else self._item_weights(weights, len(k))
        self._check_room(k, v, load(w, len(k)))
        # How a BitMatrix was coded nobody knows: what comes next may say it.
        return Batch(k, v, w, None if kind is None or kind.coding == "packed" else kind)

    def _patterns(
        self, given: Any, name: str, like: Kind | None, partners: int | None = None
    ) -> tuple[Any, Kind | None]:
        """Read patterns, as many as there are ``partners``, and say how they were coded."""
        return bits.binary(given, name, like=like, partners=partners)

    def _item_weights(self, given: Any, length: int) -> Float:
        """Read item weights, one for all or one each."""
        raise NotImplementedError

    def _check_room(self, keys: Any, values: Any, total: float) -> None:
        """Refuse items beside which a bias has another width, or energies leave float64.

        The magnitudes of their weights sum to ``total``.
        """
        units = int((keys if values is None else values).shape[1])
        bias = self._given_bias
        if bias is None:
            return
        if bias.size not in (1, units):
            raise ValueError(f"bias has {bias.size} entries, the units are {units}")
        with np.errstate(over="ignore"):
            reach = float(np.abs(bias).sum()) * (units / bias.size)
        if reach > ENERGY_MAX:
            raise ValueError(
                f"bias: its magnitudes sum to {reach:.3g} over {units} units, and energies would "
                f"be beyond float64; scale it down"
            )

    def _check_merge(self, other: Any) -> None:
        mine, theirs = self._store.now, other._store.now
        if mine is not None and _widths(mine) != _widths(theirs):
            raise ValueError(f"memories differ in their widths: {self!r} and {other!r}")
        values = theirs.values if theirs.heteroassociative else None
        self._check_room(theirs.keys, values, self._load(theirs))

    def _load(self, now: Any) -> float:
        """Sum the magnitudes of all weights that are stored."""
        return 0.0 if now is None else load(now.weights if now.weighted else None, now.n_items)

    # -- recalling --------------------------------------------------------------------------------

    def _cues(self, given: Any, name: str, now: Any) -> tuple[Signs, Kind]:
        """Read cues as states, once."""
        return bits.states(given, name, now.width, like=now.kind)

    def _bias(self, now: Any) -> Float | None:
        """Return the bias of every unit of the answer."""
        if self._given_bias is None:
            return None
        return np.ascontiguousarray(np.broadcast_to(self._given_bias, now.value_width))

    def _look(
        self, states: Signs, now: Any, motion: Motion, settle: Callable[[Signs], Settled]
    ) -> None:
        """Warn, once, if stored patterns do not come back from themselves.

        It looks when many cues are recalled, and after the store doubled.
        """
        known = motion.clamp is not None or motion.rules.temperature
        if len(states) < doubts.MANY or now.n_items < self._look_from or known:
            return
        self._look_from = 2 * now.n_items
        text = doubts.told(now, settle)
        if text:
            self._look_from = sys.maxsize
            warn(f"{text}; {self._helps(now.width)}")

    def _helps(self, d: int) -> str:
        """Say what holds more patterns of d units."""
        raise NotImplementedError

    # -- looking at it ----------------------------------------------------------------------------

    def _no_rows(self) -> Any:
        return self._stored()

    def _contents(self) -> str:
        now = self._store.now
        values = f" -> {now.value_width}" if now.heteroassociative else ""
        return f"{len(self)} patterns of {now.width} {self._counted}{values}"


# For the memories that stand on it; by its own name it is no memory that users make.
Units = _Units


def bounded(max_items: int | None) -> Items:
    """Make an empty store of at most so many patterns, if a number is given."""
    most = None if max_items is None else _check.integer(max_items, "max_items", 1)
    return Items(max_items=most)


def told(kind: Kind, state: Array, end: Settled, undecided: Mask | None, details: bool) -> Any:
    """Answer a recall: the states of -1 and +1, 0 where undecided, or with ``details`` a `Recall`.

    ``undecided`` are the units of the answer without a field; None if nobody asked.
    """
    answer = kind.states(state)
    if not details or undecided is None:
        return answer
    return Recall.of(
        kind,
        answer,
        n_iter=end.sweeps,
        converged=end.period == 1,
        energy=end.energy,
        energy_trace=end.trace,
        cycle=end.period,
        undecided=undecided.sum(axis=1),
        undecided_units=undecided,
    )


def of_values(found: Array, undecided: Mask, tie: int) -> Array:
    """Values from the signs that were found; where one is undecided, the tie rule's, 0 to keep."""
    new = found.copy()
    new[undecided] = tie
    return new


def one_step(found: Array) -> Settled:
    """Say of values that one step found that this was all."""
    once = np.ones(len(found), np.int64)
    return Settled(found, once, once, None, None)


def overlaps(cues: BitMatrix, keys: BitMatrix, threads: int) -> Array:
    """Dot products of bipolar rows (Q, N), exact int32: d minus twice the distance."""
    counts = scoring.hamming(cues, keys, threads)
    np.multiply(counts, -2, out=counts)
    counts += keys.n_bits
    return counts


def _widths(now: Any) -> tuple[int, int | None]:
    return now.width, now.value_width if now.heteroassociative else None


def load(weights: Float | None, n_items: int) -> float:
    """Sum the magnitudes of item weights; infinite where they leave float64."""
    if weights is None:
        return float(n_items)
    with np.errstate(over="ignore"):
        return float(np.abs(weights).sum())


def check_energies(total: float, units: int) -> None:
    """Refuse weights with which sums over the patterns and two states would leave float64.

    Their magnitudes sum to ``total``; a side of a pattern has at most so many units.
    """
    if not total * units * units <= ENERGY_MAX:
        raise ValueError(
            f"weights: their magnitudes sum to {total:.3g}, and energies of {units} units "
            f"would be beyond float64; scale them down"
        )
