"""What the closed forms share: the normal tail and a bisection."""

from __future__ import annotations

import math
from collections.abc import Callable


def normal_tail(x: float) -> float:
    """Return Q(x), the probability that a standard normal number exceeds ``x``."""
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def bisect(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function passes 0 between ``low`` and ``high``, to the last bit."""
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return middle
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
