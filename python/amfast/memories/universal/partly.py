"""Recall of cues of which some entries are known, and from some of the items alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast import _check, bits
from amfast._engine import knowing
from amfast._engine.scoring import numbers
from amfast._stores.items import Stored
from amfast._typing import Array, Int, Mask
from amfast.bits import BitMatrix, Kind


class First(NamedTuple):
    """What the first step is told of the cues; those after it ask with whole states."""

    known: Array | None
    """What columns of the cues count, as the engine takes it."""
    keep: Mask | None
    """Which entries of the cues are put back after every step, (Q, d); None if none."""
    given: Array
    """The cues as numbers."""

    def put_back(self, state: Array, rows: Int) -> Array:
        """Return a state in which what was known is as it was given."""
        if self.keep is None:
            return state
        return np.where(self.keep[rows], self.given[rows], state).astype(state.dtype, copy=False)


def cues(
    model: Any, given: Any, now: Stored, mask: Any, nan: str, keep: bool
) -> tuple[Any, Kind, First]:
    """Check cues of which some entries are known; return them with nothing in the others."""
    if model.name != "standard":
        raise ValueError("convention='paper' has no masks: its scores sum to 1 over all entries")
    if keep and now.heteroassociative:
        raise ValueError("keep_known needs an autoassociative memory: values are no cues")
    n, larger = now.n_items, model.larger_is_better
    there: Any = True
    asked: Array | BitMatrix
    if model.binary:
        packed, kind = bits.binary(given, "cues", now.width, single=True, like=now.kind)
        model.separation.check(n, larger, now.width)
        known = knowing.known_bits(mask, packed, nan, False)
        if known is not None:
            there = BitMatrix.from_packed(known, now.width).unpack("bool")
        asked, whole = packed, numbers(packed)
    else:
        model.separation.check(n, larger)
        rows, single = _check.cues(given, "cues")
        kind = Kind("numbers", single=single)
        _check.same_width(rows, "cues", now.width, "the memory stores")
        weights = _check.known(rows, mask, nan)
        there = True if weights is None else weights > 0
        dtype = _check.compute_type(rows, now.keys, now.values)
        whole = np.where(there, rows, 0).astype(dtype)
        _check.finite(whole, "cues")
        model.check_domain(whole, "cues")
        asked, known = knowing.known_rows(whole, weights, model.similarity.engine_metric)
    put_back = np.broadcast_to(there, (len(whole), now.width)) if keep else None
    return asked, kind, First(known, put_back, whole)


def among(now: Stored, where: Any) -> Stored:
    """Return some of the items: by a mask in the order of the ids, or by ids."""
    if where is None:
        return now
    given = _check.read(where, "where")
    if given.dtype == np.bool_:
        index = _check.indices(given, "where", now.n_items)
    else:
        index = _places(now, _check.item_ids(given))
    if len(index) == 0:
        raise ValueError("where leaves 0 items, at least 1 is needed")
    return now if len(index) == now.n_items else now.some(index)


def _places(now: Stored, ids: Int) -> Int:
    """Return where items are, or refuse ids that are unknown."""
    index = np.searchsorted(now.ids, ids)
    known = index < now.n_items
    known[known] = now.ids[index[known]] == ids[known]
    if not known.all():
        raise ValueError(f"where: no item has the id {ids[~known][0]}")
    return index


def one_by_one(
    recall: Callable[..., Any], now: Stored, given: Any, where: tuple[Any, Any], mask: Any
) -> Any:
    """Recall every cue from a list of items of its own, (indptr, ids)."""
    rows = given if isinstance(given, BitMatrix) else _check.read(given, "cues")
    single = not isinstance(rows, BitMatrix) and rows.ndim == 1
    rows = rows[None] if single else rows
    ids = _check.read(where[1], "where's ids")
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"where's ids must be integers, got dtype {ids.dtype}")
    places = _places(now, ids) if ids.size else ids
    asked = _check.where((where[0], places), now.n_items, len(rows))
    masks: Any = mask if mask is None or isinstance(mask, BitMatrix) else np.atleast_2d(mask)
    if masks is not None and len(masks) not in (1, len(rows)):
        raise ValueError(f"mask must have 1 row or {len(rows)}, got {len(masks)}")

    def ask(cue: Any, index: Int, known: Any) -> Any:
        return recall(cue, mask=known, where=now.ids[index])

    found = knowing.each_cue(asked, rows, masks, ask)
    if not found:
        return recall(rows, mask=None, where=None)
    if isinstance(found[0], BitMatrix):
        packed = np.concatenate([bits.to_packed() for bits in found])
        return BitMatrix.from_packed(packed, found[0].n_bits)
    return found[0][0] if single else np.concatenate(found)
