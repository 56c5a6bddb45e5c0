"""What the sparse distributed memory cannot give, its arguments, and the coins of its ties."""

from __future__ import annotations

import operator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from amfast import _check
from amfast._typing import Bytes, Int

TIES = ("random", "keep", 1, -1)
COUNTERS = ("int8", "int16", "int32")


class NoItems:
    """What all memories have and counters cannot give: each says why."""

    def delete(self, ids: Any) -> NoReturn:
        """Raise: items are not kept. Write a word again with weight -1 to take it back."""
        raise ValueError(
            "a sparse distributed memory keeps no items to delete; take a word back by "
            "write(address, data, weight=-1)"
        )

    @property
    def keys(self) -> NoReturn:
        """Raise: items are not kept."""
        raise ValueError("a sparse distributed memory keeps counters, not keys: see counters")

    @property
    def values(self) -> NoReturn:
        """Raise: items are not kept."""
        raise ValueError("a sparse distributed memory keeps counters, not values: see counters")

    def scores(self, cues: Any) -> NoReturn:
        """Raise: there are no items to score."""
        raise ValueError(
            "a sparse distributed memory keeps no items to score; activated(cues) lists the "
            "locations of a cue"
        )

    def weights(self, cues: Any) -> NoReturn:
        """Raise: there are no items to weigh."""
        raise ValueError(
            "a sparse distributed memory keeps no items to weigh; activated(cues) lists the "
            "locations of a cue"
        )

    def energy(self, states: Any) -> NoReturn:
        """Raise: a read need not decrease anything."""
        raise ValueError(
            "this memory has no energy: the sums of active counters are not the gradient of one"
        )


# -- arguments ------------------------------------------------------------------------------------


def sizes(
    n_bits: Any, n_locations: Any, value_bits: Any, counter_dtype: Any
) -> tuple[int, int, int, np.dtype[Any]]:
    """Check the sizes of a memory: n_bits, n_locations, value_bits and the counters' type."""
    n = _check.integer(n_bits, "n_bits", 1)
    m = _check.integer(n_locations, "n_locations", 1, 2**32 - 1)
    o = n if value_bits is None else _check.integer(value_bits, "value_bits", 1)
    try:
        dtype = np.dtype(counter_dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.name not in COUNTERS or not dtype.isnative or counter_dtype is None:
        raise ValueError(f"counter_dtype must be one of {', '.join(COUNTERS)}, got {counter_dtype}")
    return n, m, o, dtype


def whole(weight: Any, length: int) -> Int:
    """Read weights as whole numbers; beyond the range of counters more makes no difference."""
    limit = np.iinfo(np.int64).max
    if isinstance(weight, bool | np.bool_):
        raise TypeError("weight must be an int or an array of whole numbers, got a bool")
    try:
        scalar = operator.index(weight)
    except TypeError:
        pass
    else:
        return np.full(length, max(-limit, min(limit, scalar)), np.int64)
    given = _check.read(weight, "weight")
    if given.dtype.kind not in "iuf":
        raise TypeError(f"weight must hold whole numbers, got dtype {given.dtype}")
    if given.ndim == 0:
        given = np.full(length, given)
    if given.shape != (length,):
        raise ValueError(f"weight must be one number or have shape ({length},), got {given.shape}")
    if given.dtype.kind == "f":
        odd = np.flatnonzero(~(np.isfinite(given) & (given == np.rint(given))))
        if len(odd):
            raise ValueError(f"weight must be whole numbers, entry {odd[0]} is {given[odd[0]]}")
        given = np.clip(given, -(2.0**62), 2.0**62)
    elif given.dtype.kind == "u":
        given = np.minimum(given, limit)
    return given.astype(np.int64)


# -- ties -----------------------------------------------------------------------------------------

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))


def coins(cues: Bytes, width: int, seed: int) -> Bytes:
    """Return ``width`` bytes of fair coins for each packed cue, given by the cue and the seed."""
    words = np.zeros((len(cues), (cues.shape[1] + 7) // 8), "<u8")
    words.view(np.uint8)[:, : cues.shape[1]] = cues
    state = np.full(len(cues), seed & (2**64 - 1), np.uint64)
    for column in words.astype(np.uint64, copy=False).T:
        state = _mix((state ^ column) + _GAMMA)
    steps = np.arange(1, (width + 7) // 8 + 1, dtype=np.uint64) * _GAMMA
    out = _mix(state[:, None] + steps).astype("<u8", copy=False)
    return np.ascontiguousarray(out).view(np.uint8)[:, :width]
