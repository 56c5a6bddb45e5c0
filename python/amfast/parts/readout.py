"""What is done to the weighted sum before it is returned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amfast import _check
from amfast._typing import Array, Float

# How far the norm of a float32 row may be from 1.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Readout:
    """What is done to the weighted sum before it is returned.

    Parameters
    ----------
    kind : {"identity", "sign", "l2"}
        ``sign`` is -1 or +1 per entry; ``l2`` divides a row by its Euclidean norm (a zero row
        stays zero).
    tie : {"keep", 1, -1}, default "keep"
        What ``sign`` does with a 0: keep the entry of the cue (0 where a heteroassociative memory
        has none), or +1, or -1.
    """

    kind: str = "identity"
    tie: str | int = "keep"

    def __post_init__(self) -> None:
        """Check the names."""
        _check.choice(self.kind, "readout", ("identity", "sign", "l2"))
        _check.choice(self.tie, "tie", ("keep", 1, -1))

    def dual(self, states: Array) -> Float:
        """``v.g - L_v(v)`` of states ``g`` (Q, d) that are the readout of v: what E holds of g.

        The convex conjugate of the Lagrangian ``L_v`` whose gradient the readout is: ``|g|^2 / 2``
        for the identity (``L_v = |v|^2 / 2``); 0 in the cube -1..1 for the sign (``L_v = |v|_1``),
        0 in the unit ball for l2 (``L_v = |v|``), and +inf outside, where no readout lies and the
        first step may raise what follows.

        Parameters
        ----------
        states : (Q, d) array

        Returns
        -------
        (Q,) float64 array
        """
        if self.kind == "identity":
            with np.errstate(over="ignore"):
                return np.asarray((states * states).sum(axis=1) / 2)
        peak = np.abs(states).max(axis=1, initial=0.0)
        if self.kind == "l2":
            scale = np.where(peak > 0, peak, 1.0)
            peak = peak * np.sqrt(((states / scale[:, None]) ** 2).sum(axis=1))
        return np.where(peak <= 1.0 + _ROUNDING, 0.0, np.inf)

    def __call__(self, summed: Array, cues: Array | None) -> Array:
        """Apply to rows; ``cues`` are the states before the step, None if of another kind."""
        if self.kind == "sign":
            if self.tie == "keep":
                kept = np.zeros_like(summed) if cues is None else cues
            else:
                kept = np.full_like(summed, self.tie)
            return np.where(summed == 0, kept, np.sign(summed))
        if self.kind == "l2":
            # Scaling by the largest entry first keeps the squares from overflowing.
            peak = np.abs(summed).max(axis=1, keepdims=True, initial=0.0)
            peak[peak == 0] = 1.0
            scaled = summed / peak
            norm = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
            norm[norm == 0] = 1.0
            return np.asarray(scaled / norm)
        return summed
