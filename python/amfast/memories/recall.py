"""What a recall found: one result for all memories."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from amfast._typing import Array, Float, Int, Mask
from amfast.bits import Kind


@dataclass(frozen=True, repr=False)
class Recall:
    """What a recall found, with one entry per cue; for one 1-d cue, its own entry.

    Fields that a memory has no use for are None, and `repr` leaves them out.
    """

    state: Any
    """(Q, o) recalled values, in the kind that the cues had."""
    partner: Any = None
    """(Q, d) where the side of the cue came to rest, of a `BidirectionalMemory`."""
    n_iter: Int | None = None
    """(Q,) steps or sweeps taken."""
    converged: Mask | None = None
    """(Q,) whether the last step changed no entry by more than ``tol`` (binary units: flipped
    nothing); True if heteroassociative, where one step is all there is."""
    energy: Float | None = None
    """(Q,) energy of ``state``, None for memories that have none."""
    log_scale: Float | None = None
    """(Q,) natural logarithm of the sum of the magnitudes of the weights in the last step, before
    they were divided by it; -inf where no item had any weight."""
    energy_trace: Float | None = None
    """(Q, steps + 1) energy of the cue and after every step, of a row that stopped its last one;
    None for memories that do not record it."""
    best: Any = None
    """(Q,) id of the item with the largest weight, as `store` returned it: for the cue where there
    was one step, else for ``state``. Ties go to the lowest. Of memories made of similarities."""
    path: Any = None
    """With ``trace="unit"``: for each cue (F + 1, d), the cue and the state after every flip; a
    list of such arrays, for one 1-d cue the array."""
    path_energy: Any = None
    """Beside ``path``: (F + 1,) energies of its states."""
    path_unit: Any = None
    """Beside ``path``: (F,) which unit flipped."""
    cycle: Int | None = None
    """(Q,) 1: a fixed point, which ``converged`` repeats; 2: the state alternates with another
    ("sync" only; ``state`` is the later of the last two); 0: neither was found within the sweeps.
    A one-step recall of values has 1."""
    undecided: Int | None = None
    """(Q,) how many free units have a field of exactly 0 in ``state``; of a sparse distributed
    memory, bits whose sum was 0 in the last read: the tie rule gave them."""
    undecided_units: Mask | None = None
    """(Q, d) which, or (Q, o) in a heteroassociative memory."""
    n_active: Int | None = None
    """(Q,) hard locations that the last read summed; 0 was not read again and did not converge."""
    error: Array | None = None
    """(Q, n) the corruption found: ``state`` is the cue minus this."""
    residual: Float | None = None
    """(Q,) Euclidean norm of what the constraints give on ``state``; 0 for a stored pattern."""
    certified: Mask | None = None
    """(Q,) of `SparseRecoveryMemory`: whether ``error`` is proven to be the corruption. Of memories
    made of similarities: whether ``best`` outweighs all other items together, so that the signs of
    values of -1 and +1 are its own, whatever the others are (weight above 1/2)."""
    fallback: Mask | None = None
    """(Q,) of `SparseRecoveryMemory` ("expander"): whether peeling stopped early and the errors are
    those of the least sum of magnitudes instead."""
    n_errors: Int | None = None
    """(Q,) nonzero entries of ``error``."""

    @classmethod
    def of(cls, kind: Kind, state: Any, **columns: Any) -> Recall:
        """Return what was found, in the kind that the cues had.

        Parameters
        ----------
        kind : Kind
        state : array
            An answer already.
        **columns
            The other fields, a row per cue.

        Returns
        -------
        Recall
        """
        if kind.single:
            columns = {name: None if x is None else x[0] for name, x in columns.items()}
        return cls(state, **columns)

    def __repr__(self) -> str:
        """Show a line for each field that there is."""
        return in_lines(self)


def in_lines(result: Any) -> str:
    """Show a dataclass, a line for each field that is not None."""
    held = ((known.name, getattr(result, known.name)) for known in fields(result))
    lines = (f"    {name}: {_shown(value)}" for name, value in held if value is not None)
    return "\n".join([f"{type(result).__name__}(", *lines, ")"])


def _shown(value: Any) -> str:
    """Return a field in one line: what is long by its type and shape."""
    if isinstance(value, list):
        return f"{len(value)} arrays"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    if "\n" not in text and len(text) < 70:
        return text
    return f"{getattr(value, 'dtype', 'bits')} {value.shape}"
