"""The arguments of a sparse distributed memory, and what bits read whose sums are ties."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amfast import _check
from amfast._typing import Array, Bytes, Int
from amfast.theory.sdm import activation_probability, sdm_radius

# Kanerva's share of active locations: 1072 of 1,000,000 at 1000 bits.
DEFAULT_P = 0.001
TIES = ("random", "keep", 1, -1)
# Distances are int32.
_MOST_BITS = 2**31 - 1
COUNTERS = ("int8", "int16", "int32")


# -- arguments ------------------------------------------------------------------------------------


def sizes(
    n_bits: Any, n_locations: Any, value_bits: Any, counter_dtype: Any
) -> tuple[int, int, int, np.dtype[Any]]:
    """Check the sizes of a memory: n_bits, n_locations, value_bits and the counters' type."""
    n = _check.integer(n_bits, "n_bits", 1, _MOST_BITS)
    m = _check.integer(n_locations, "n_locations", 1, 2**32 - 1)
    o = n if value_bits is None else _check.integer(value_bits, "value_bits", 1, _MOST_BITS)
    try:
        dtype = np.dtype(counter_dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.name not in COUNTERS or not dtype.isnative or counter_dtype is None:
        raise ValueError(f"counter_dtype must be one of {', '.join(COUNTERS)}, got {counter_dtype}")
    return n, m, o, dtype


def check_counters(parameters: dict[str, Any], counters: Array) -> None:
    """Refuse a file's counters, before there are as many as its parameters say."""
    names = ("n_bits", "n_locations", "value_bits", "counter_dtype")
    _, m, o, _ = sizes(*(parameters[name] for name in names))
    if counters.shape != (m, o):
        raise ValueError(f"counters of shape {counters.shape} are not those of ({m}, {o})")


def reach(n_bits: int, radius: Any, p: Any) -> int:
    """Read the radius, or the probability that it stands for; one of them or neither."""
    if radius is not None and p is not None:
        raise ValueError(f"radius={radius!r} and p={p!r} exclude each other; give one")
    if radius is None:
        return sdm_radius(n_bits, DEFAULT_P if p is None else p)
    return _check.integer(radius, "radius", 0, n_bits)


def warn_of_radius(n_bits: int, n_locations: int, radius: int) -> None:
    """Warn the caller's caller of a radius by which random locations say nothing of a word."""
    expected = n_locations * activation_probability(n_bits, radius)
    if expected < 1 or expected > 0.9 * n_locations:
        few = "most words would find none" if expected < 1 else "words would hardly differ"
        warnings.warn(
            f"radius {radius} of {n_bits} bits activates {expected:.3g} of {n_locations} "
            f"locations on average: {few}",
            stacklevel=3,
        )


def tie_rule(tie: Any, n_bits: int, value_bits: int) -> str | int:
    """Read what a tie reads; "keep" needs a bit of the cue to keep."""
    chosen: str | int = _check.choice(tie, "tie", TIES)
    if chosen == "keep" and value_bits != n_bits:
        raise ValueError(
            f"tie='keep' needs data as wide as addresses, got {value_bits} bits of data at "
            f"{n_bits} bits of address"
        )
    return chosen


# -- ties -----------------------------------------------------------------------------------------

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))


def decide(sums: Int, cues: Bytes, tie: str | int, seed: int) -> tuple[Bytes, Int]:
    """Take the sign of sums (q, o), bit by bit.

    Returns
    -------
    (q, ceil(o / 8)) uint8 array
        Packed words.
    (q,) int64 array
        How many bits of each were ties.
    """
    words = np.packbits(sums > 0, axis=1)
    ties = sums == 0
    undecided = np.count_nonzero(ties, axis=1)
    at = np.flatnonzero(undecided)
    if len(at) and tie != -1:
        tied = np.packbits(ties[at], axis=1)
        if tie == "keep":
            tied &= cues[at]
        elif tie == "random":
            tied &= coins(cues[at], words.shape[1], seed)
        words[at] |= tied
    return words, undecided.astype(np.int64, copy=False)


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
