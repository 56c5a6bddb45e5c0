"""What the weights of a recall say beside the answer: who won, and what was left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import parts
from amfast._engine.scoring import cue_tiles
from amfast._stores.items import Stored
from amfast._typing import Float, Int


def best(model: Any, cues: Any, now: Stored, threads: int) -> Int:
    """Ids of the items with the largest weight (Q,), ties to the lowest; a tile at a time."""
    index = np.empty(len(cues), np.int64)
    for tile in cue_tiles(len(cues), now.n_items):
        index[tile] = model.weights(cues[tile], now, threads).argmax(axis=1)
    return np.asarray(now.ids[index])


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
