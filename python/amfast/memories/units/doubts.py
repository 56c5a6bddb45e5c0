"""What speaks against a recall of units: stored patterns that do not come back from themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast._typing import Signs
from amfast.bits import BitMatrix
from amfast.parts.dynamics import Settled

MANY = 32
"""Cues beside which a few stored patterns may be recalled too."""

_ROWS = 16
_LOST = 0.9  # overlap below which a pattern has not come back


def told(now: Any, settle: Callable[[Signs], Settled]) -> str:
    """Say how many stored patterns are lost, empty if no more than half of those looked at are.

    Weights say on purpose that some patterns count less, so weighted patterns are not looked at;
    nor are real ones, which are no states.
    """
    keys = now.keys
    if now.weighted or not isinstance(keys, BitMatrix) or len(keys) < 2:
        return ""
    patterns = keys[np.arange(0, len(keys), -(-len(keys) // _ROWS))].unpack()
    ends = np.asarray(settle(patterns).states)
    overlap = (patterns.astype(np.float64) * ends).mean(axis=1)
    lost = int((overlap < _LOST).sum())
    if 2 * lost <= len(patterns):
        return ""
    return (
        f"{lost} of {len(patterns)} stored patterns looked at, of {len(keys)}, do not come back "
        f"from themselves: they end at an overlap of {np.median(overlap):.2f} (median), in "
        f"{len(np.unique(ends, axis=0))} different states"
    )
