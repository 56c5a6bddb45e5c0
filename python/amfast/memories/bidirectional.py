"""Two sides of units that recall each other through one matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from amfast import _check, _docs, bits, theory
from amfast._stores.items import Batch
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.memories.hopfield.sums import Summed, SumStore
from amfast.memories.hopfield.synapses import Packed, packed
from amfast.memories.recall import Recall
from amfast.memories.units.base import Units, check_energies
from amfast.memories.units.synchronous import signs
from amfast.parts.dynamics import settle


class BidirectionalMemory(Units):
    """Bidirectional associative memory: pairs recall one another, from either side (Kosko 1988).

    One matrix joins a side x of d units and a side y of o units, all -1 or +1. Each follows the
    fields of the other in turn until neither moves, and the energy never rises::

        W = sum_i w_i y_i x_i^T      y = sign(W x)    x = sign(W^T y)      E(x, y) = -y^T W x

    Notes
    -----
    *Storing.* ``store(x, y, weights=None)``: {-1, +1}, {0, 1}, bool or `BitMatrix` rows, (N, d) and
    (N, o); weights of any sign, -1 to forget a pair. Sums are exact while weights are whole.

    *Capacity.* Half of all memories of `theory.bidirectional_n50` (d, o) random pairs recall every
    one from both sides. A pair with all signs exchanged is stored too.

    *Ties.* A unit without a field keeps its state. The side that is asked for begins silent: units
    that never had a field are 0 in {-1, +1} answers, and bit 0 in kinds without a third value.

    References
    ----------
    Kosko, *Bidirectional Associative Memories*, IEEE Trans. Systems, Man, and Cybernetics 18, 1988.

    Examples
    --------
    >>> import amfast as am
    >>> faces = am.BitMatrix.random(5, 200, seed=0).unpack()
    >>> names = am.BitMatrix.random(5, 64, seed=1).unpack()
    >>> memory = am.BidirectionalMemory()
    >>> ids = memory.store(faces, names)
    >>> bool((memory.recall(am.corrupt.flip(faces, 0.2, seed=0)) == names).all())
    True
    >>> bool((memory.recall_back(am.corrupt.flip(names, 0.1, seed=0)) == faces).all())
    True
    """

    _given_bias = None
    _counted = "units"
    _keeps_no_items = (
        "a bidirectional memory keeps the sum over its pairs, not the pairs; store a pair with "
        "weights=-1 to forget it"
    )

    def __init__(self) -> None:
        self._store = SumStore("hebbian")

    def _parameters(self) -> dict[str, Any]:
        return {}

    # -- storing ----------------------------------------------------------------------------------

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        if values is None:
            raise ValueError("values must be given: a bidirectional memory joins pairs, x and y")
        return super()._admit(keys, values, weights)

    def _item_weights(self, given: Any, length: int) -> Float:
        return _check.weights.signed(given, length)

    def _check_room(self, keys: Any, values: Any, total: float) -> None:
        units = max(int(keys.shape[1]), int(values.shape[1]))
        check_energies(total + self._load(self._store.now), units)

    def _load(self, now: Summed | None) -> float:
        return 0.0 if now is None else now.load

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self, cues: Any, *, max_iter: int = 100, details: bool = False, threads: int | None = None
    ) -> Any:
        """Recall y from x.

        Parameters
        ----------
        cues : (Q, d) or (d,) binary array or BitMatrix
        max_iter : int, default 100
            Rounds at most, y and then x; a row stops when a round changes nothing.
        details : bool, default False
            Whether to return a `Recall`; its ``partner`` is where x came to rest.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, o) or (o,) array or BitMatrix, or Recall
            In the kind of the cues.

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, or a cue is not binary.
        """
        return self._recalled(cues, 0, max_iter, details, threads)

    @_docs.like(recall)
    def recall_back(
        self, cues: Any, *, max_iter: int = 100, details: bool = False, threads: int | None = None
    ) -> Any:
        """Recall x (Q, d) or (d,) from y (Q, o) or (o,): as `recall`, from the other side.

        Parameters
        ----------
        cues : (Q, o) or (o,) array, or BitMatrix

        Returns
        -------
        as `recall`, (Q, d) or (d,)
        """
        return self._recalled(cues, 1, max_iter, details, threads)

    def _recalled(self, cues: Any, side: int, rounds: Any, details: Any, threads: Any) -> Any:
        rounds, details = _check.integer(rounds, "max_iter", 1), _check.flag(details, "details")
        now, n_threads = self._pairs(), resolve_threads(threads)
        d, o = (now.width, now.value_width) if side == 0 else (now.value_width, now.width)
        there, back = (w.field(n_threads) for w in self._sides(now)[:: 1 - 2 * side])
        asked, kind = bits.states(cues, "cues", d, like=now.kind)

        def step(both: Array, rows: Int) -> tuple[Array, Float]:
            field = there(both[:, :d])
            y = signs(field, both[:, d:], 0)
            x = signs(back(y), both[:, :d], 0)
            return np.hstack([x, y]), _energy(field, both[:, d:])

        def still(new: Array, old: Array, rows: Int) -> Mask:
            return np.asarray((new == old).all(axis=1))

        def energy(both: Array) -> Float:
            return _energy(there(both[:, :d]), both[:, d:])

        both = np.hstack([asked, np.zeros((len(asked), o), np.int8)])
        end = settle(step, both, max_iter=rounds, still=still, energy=energy)
        x, y = end.states[:, :d], end.states[:, d:]
        if not details:
            return kind.states(y)
        found = Recall.of(
            kind,
            kind.states(y),
            n_iter=end.sweeps,
            converged=end.period == 1,
            energy=end.energy,
            energy_trace=end.trace,
            undecided_units=there(x) == 0,
        )
        return replace(found, partner=kind.states(x))

    def energy(self, states: Any, values: Any = None, *, threads: int | None = None) -> Any:
        """Energy -y^T W x of pairs of ``states`` x (Q, d) and ``values`` y (Q, o), (Q,) float64.

        A float for one pair. Recall never raises it. ValueError as `recall`.

        Parameters
        ----------
        values : (Q, o) or (o,) array, or BitMatrix
            The other side, y.
        """
        now = self._pairs()
        if values is None:
            raise ValueError("energy takes both sides of a pair: energy(x, y)")
        x, kind = bits.states(states, "states", now.width, like=now.kind)
        y, _ = bits.states(values, "values", now.value_width, like=now.kind)
        if len(x) != len(y):
            raise ValueError(f"values have {len(y)} rows, states have {len(x)}")
        return kind.number(_energy(self._sides(now)[0].field(resolve_threads(threads))(x), y))

    def _pairs(self) -> Summed:
        """Return what is stored, or refuse: the memory is empty."""
        return cast(Summed, self._stored())

    # -- looking at it ----------------------------------------------------------------------------

    def _sides(self, now: Summed) -> tuple[Packed, Packed]:
        """Return W and its transpose, ready for products."""
        w = _sum(now)
        made: tuple[Packed, Packed] = now.derived("sides", lambda: (packed(w), packed(w.T)))
        return made

    def _own_theory(self) -> dict[str, float]:
        now = self._pairs()
        n50 = theory.bidirectional_n50(now.width, now.value_width)
        return {"every pair from both sides, half of the time": n50}

    @property
    def nbytes(self) -> int:
        """Bytes of the sum, and of what is packed of it for both directions."""
        now: Summed | None = self._store.now
        sides = () if now is None else self._sides(now)
        return super().nbytes + sum(side.keys.nbytes for side in sides)

    @property
    def W(self) -> Float:
        """The weights (o, d) float64, a copy."""
        return _sum(self._pairs()).astype(np.float64)


def _sum(now: Summed) -> Array:
    assert now.sums.cross is not None
    return now.sums.cross.total


def _energy(field: Array, states: Array) -> Float:
    return np.asarray(0.0 - (field * states.astype(np.float64)).sum(axis=1))
