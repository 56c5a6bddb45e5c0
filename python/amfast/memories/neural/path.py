"""Where neurons went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amfast._typing import Float
from amfast.memories.recall import in_lines


@dataclass(frozen=True, repr=False)
class NeuralPath:
    """Where the neurons of a `NeuralDynamics` went, with one entry per cue.

    For one 1-d cue each field but ``time`` is its own entry.
    """

    time: Float
    """(T,) from 0 to t."""
    visible: Any
    """(Q, T, d) float64: the visible neurons v at these times, the cue first."""
    energy: Any
    """(Q, T) float64: the energy E(v, h) at these times."""
    rises: Any
    """(Q,) int64: in how many of the T - 1 steps the energy rose by more than rounding."""
    state: Any
    """(Q, d) float64: the output g of the visible neurons at the end."""
    hidden: Any
    """(Q, N) float64: the hidden neurons h at the end."""
    escaped: Any
    """(Q,) float64: the time at which the neurons left the range of floats, because nothing bounds
    their energy from below; they stay where they were from then on. inf where they did not."""

    def __repr__(self) -> str:
        """Show a line for each field."""
        return in_lines(self)
