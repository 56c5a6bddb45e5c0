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

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> memory = am.NeuralDynamics("sqeuclidean", beta=50.0)
    >>> ids = memory.store([[0.3, 0.9], [0.9, 0.3]])
    >>> path = memory.run([0.3, 0.8], t=10.0)
    >>> path.state.round(3)  # two thirds of the memory
    array([0.2, 0.6])
    >>> bool((np.diff(path.energy) <= 1e-12).all()), int(path.rises)
    (True, 0)
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
