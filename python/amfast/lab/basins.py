"""The attractors of a binary memory: how far they reach, and which were never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Float, Mask
from amfast.bits import BitMatrix
from amfast.lab import spoiling

__all__ = ["Basins", "basins"]


@dataclass(frozen=True, repr=False)
class Basins:
    """What `basins` found; its ``repr`` says it in a few lines."""

    fractions: Float
    """(F,) shares of units flipped."""
    recalled: Float
    """(F,) share of the stored patterns that come back exactly from there."""
    radius: float
    """Share of flipped units at which half of the stored patterns still come back, between those
    measured; 0 where they do not rest at themselves, inf where they always come back."""
    stored: float
    """Share of random starts that end in a stored pattern."""
    reversed: float
    """Share that end in a stored pattern with all units flipped."""
    spurious: float
    """Share that end in a state that was never stored, mixtures among them."""
    n_spurious: int
    """Different states of that kind."""
    n_starts: int
    """Random starts."""

    def __repr__(self) -> str:
        """Say it in words."""
        lines = [f"basins: half of the patterns come back from up to {self.radius:.1%} of flips"]
        lines += [
            f"  {share:6.1%} flipped: {back:6.1%} recalled exactly"
            for share, back in zip(self.fractions, self.recalled, strict=True)
        ]
        lines.append(
            f"{self.n_starts} random starts end in stored patterns {self.stored:.1%}, reversed "
            f"ones {self.reversed:.1%}, spurious states {self.spurious:.1%} "
            f"({self.n_spurious} different)"
        )
        return "\n".join(lines)


def basins(
    memory: Any,
    fractions: Sequence[float] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    *,
    n_starts: int = 500,
    max_patterns: int = 200,
    seed: int = 0,
    **recall: Any,
) -> Basins:
    """Measure the basins of attraction of a binary memory, and count its spurious states.

    Parameters
    ----------
    memory : memory
        With stored binary patterns in ``keys``, autoassociative: `Hopfield`,
        `DenseAssociativeMemory`.
    fractions : sequence of float
        Shares of units that are flipped in stored patterns, 0 to 1, ascending.
    n_starts : int, default 500
        Random states that are let go.
    max_patterns : int, default 200
        At most so many of the stored patterns are spoilt.
    seed : int, default 0
    **recall
        Passed to ``memory.recall``, such as ``update="sync"``.

    Returns
    -------
    Basins

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.Hopfield()
    >>> ids = memory.store(am.BitMatrix.random(5, 200, seed=0))
    >>> found = am.basins(memory, n_starts=100)
    >>> found.radius > 0.3, found.stored + found.reversed + found.spurious
    (True, 1.0)
    """
    keys = memory.keys
    signs = keys.unpack() if isinstance(keys, BitMatrix) else np.where(np.asarray(keys) > 0, 1, -1)
    patterns = np.asarray(signs, np.int8)
    if len(patterns) == 0:
        raise ValueError("the memory is empty; store something first")
    shares = np.array([_check.number(x, "fractions", 0.0, 1.0) for x in fractions])
    n_starts = _check.integer(n_starts, "n_starts", 1)
    some = patterns[: _check.integer(max_patterns, "max_patterns", 1)]
    rng = np.random.default_rng(_check.integer(seed, "seed", 0))
    back = np.array(
        [
            (_settled(memory, spoiling.flip(some, share, rng), recall) == some).all(axis=1).mean()
            for share in shares
        ]
    )
    starts = rng.integers(0, 2, (n_starts, patterns.shape[1]), dtype=np.int8) * 2 - 1
    ends = _settled(memory, np.asarray(starts, np.int8), recall)
    stored, flipped = among(ends, patterns)
    strange = ends[~stored & ~flipped]
    return Basins(
        shares, back, radius(shares, back), float(stored.mean()), float(flipped.mean()),
        len(strange) / n_starts, len(np.unique(strange, axis=0)), n_starts,
    )  # fmt: skip


def _settled(memory: Any, states: Any, recall: dict[str, Any]) -> Any:
    return np.asarray(memory.recall(states, **recall))


def among(states: Any, patterns: Any) -> tuple[Mask, Mask]:
    """Say which binary states are stored patterns, and which others have all units exchanged."""
    ends, reversed_ = np.packbits(states > 0, axis=1), np.packbits(states <= 0, axis=1)
    known = {row.tobytes() for row in np.packbits(patterns > 0, axis=1)}
    stored, flipped = (
        np.array([row.tobytes() in known for row in rows], np.bool_) for rows in (ends, reversed_)
    )
    return stored, flipped & ~stored


def radius(shares: Float, back: Float) -> float:
    """Return where a falling share of what comes back passes 1/2; inf where it never does."""
    below = np.flatnonzero(back < 0.5)
    if len(below) == 0:
        return float("inf")
    i = int(below[0])
    if i == 0:
        return 0.0
    part = (back[i - 1] - 0.5) / (back[i - 1] - back[i])
    return float(shares[i - 1] + part * (shares[i] - shares[i - 1]))
