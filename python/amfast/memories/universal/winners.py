"""What is said beside an answer: who won, what was left out; and states of bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import bits, parts
from amfast._engine.knowing import known_of
from amfast._engine.scoring import cue_tiles
from amfast._stores.items import Stored
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix


def best(model: Any, cues: Any, now: Stored, threads: int, known: Array | None) -> tuple[Int, Mask]:
    """Ids of the items with the largest weight (Q,), ties to the lowest; a tile at a time.

    With them whether that weight exceeds the magnitudes of all others together.
    """
    index, certified = np.empty(len(cues), np.int64), np.empty(len(cues), np.bool_)
    for tile in cue_tiles(len(cues), now.n_items):
        weights = model.weights(cues[tile], now, threads, known_of(known, tile))
        place = weights.argmax(axis=1)[:, None]
        top = np.take_along_axis(weights, place, axis=1)[:, 0]
        others = np.abs(weights)
        np.put_along_axis(others, place, 0, axis=1)
        index[tile] = place[:, 0]
        certified[tile] = top > others.sum(axis=1, dtype=np.float64)
    return np.asarray(now.ids[index]), certified


def left_out(model: Any, cues: Any, now: Stored, threads: int) -> Float:
    """Weight of a softmax that the separation, which chooses the best items, leaves out (Q,)."""
    chosen = model.separation
    dropped = np.empty(len(cues))
    for tile in cue_tiles(len(cues), now.n_items):
        s = model.scores(cues[tile], now, threads)
        all_items, _ = parts.Softmax(chosen.beta).weights(s, now.bias)
        kept, _ = chosen.weights(s, now.bias)
        dropped[tile] = np.where(kept > 0, 0.0, all_items).sum(axis=1)
    return dropped


def width(rows: Array | BitMatrix, of: str) -> str:
    """Say how wide rows are."""
    if isinstance(rows, BitMatrix):
        return f"{rows.n_bits} bits"
    return f"{rows.shape[1]}{of} {rows.dtype}"


def packed(state: Array) -> BitMatrix:
    """States of -1 and +1 as bits; 0 is where no item had any weight."""
    blank = np.flatnonzero((state == 0).any(axis=1))
    if len(blank):
        raise ValueError(f"cues row {blank[0]} meets no item of any weight, so no bits answer it")
    return bits.binary(state > 0, "states")[0]
