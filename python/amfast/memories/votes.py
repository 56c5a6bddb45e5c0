"""Classification by what is stored: labels whose items weigh most."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check
from amfast.bits import BitMatrix

# Weights that are held at a time.
_VOTES = 1 << 22


def voted(memory: Any, cues: Any, labels: Any, threads: int | None) -> Any:
    """Return the label of each cue whose items' weights have the largest sum; see `Memory.vote`."""
    memory._need_items("vote")
    given = _check.labels(labels, "labels", len(memory.ids), "stored item")
    names, group = _check.distinct(given, "labels")
    rows = cues if isinstance(cues, BitMatrix) else np.asarray(_check.read(cues, "cues"))
    single = not isinstance(rows, BitMatrix) and rows.ndim == 1
    rows = rows[None] if single else rows
    index = np.empty(len(rows), np.int64)
    step = max(1, _VOTES // max(1, len(group)))
    for start in range(0, len(rows), step):
        weights = np.asarray(memory.weights(rows[start : start + step], threads=threads))
        votes = np.zeros((len(weights), len(names)))
        for name in range(len(names)):
            votes[:, name] = weights[:, group == name].sum(axis=1, dtype=np.float64)
        index[start : start + step] = votes.argmax(axis=1)
    return names[index[0]] if single else names[index]
