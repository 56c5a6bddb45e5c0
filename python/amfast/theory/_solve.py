"""What the closed forms share: limits of sizes, the normal tail and a bisection."""

from __future__ import annotations

import math
from collections.abc import Callable

from amfast import _check

_LARGEST_SIZE = 2**31 - 1
# Products of counts with their squares stay within floats.
_LARGEST_COUNT = 2**256


def size(given: object, name: str, low: int) -> int:
    """Read a size that a sum runs over, or whose factorial is taken."""
    return _check.integer(_check.integer(given, name, low), name, low, _LARGEST_SIZE)


def count(given: object, name: str, low: int) -> int:
    """Read a number of locations or items, of which products are taken."""
    return _check.integer(_check.integer(given, name, low), name, low, _LARGEST_COUNT)


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


def lambert_w_exp(y: float) -> float:
    """Return W0(exp(y)), the w with ``w + ln w = y``, for any y that is finite."""
    w = math.log1p(math.exp(y)) if y < 700 else y
    if w == 0.0:
        return 0.0
    for _ in range(60):
        previous, w = w, w * (1 + y - math.log(w)) / (1 + w)
        if abs(w - previous) <= 1e-15 * w:
            break
    return w
