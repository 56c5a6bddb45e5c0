"""Which columns of a cue are known, and which keys are asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast._check.arrays import read
from amfast._check.numbers import choice, indices
from amfast._typing import Array, Int


def known(cues: Array, mask: object, nan: object, name: str = "cues") -> Array | None:
    """Read how much the columns of checked cues (Q, d) count.

    Parameters
    ----------
    mask : (Q, d) or (d,) array or None
        True where an entry is known, or weights >= 0; a (d,) one serves all cues.
    nan : {"error", "missing"}
        Whether a NaN in the cues is an entry that is not known.

    Returns
    -------
    (Q, d) or (1, d) array or None
        Bools or float64; every row has an entry above 0. None if all count alike.
    """
    missing = choice(nan, "nan", ("error", "missing")) == "missing"
    weights = None if mask is None else _weights(mask, cues.shape)
    if missing and cues.dtype.kind == "f":
        there = ~np.isnan(cues)
        if not there.all():
            weights = there if weights is None else np.where(there, weights, weights.dtype.type(0))
    if weights is not None:
        some_known(weights.any(axis=1), name)
    return weights


def some_known(fine: Any, name: str) -> None:
    """Refuse a cue of which nothing is known."""
    blank = np.flatnonzero(~fine)
    if len(blank):
        which = f"{name} row {blank[0]} has" if len(fine) > 1 else f"the {name} have"
        raise ValueError(f"{which} nothing that is known: no entry of the mask is above 0")


def _weights(mask: object, shape: tuple[int, ...]) -> Array:
    x = read(mask, "mask")
    n, d = shape
    wide = x[None] if x.ndim == 1 else x
    if wide.shape not in ((n, d), (1, d)):
        raise ValueError(f"mask must have shape ({n}, {d}) or ({d},), got {x.shape}")
    if wide.dtype == np.bool_:
        return wide
    if wide.dtype.kind not in "iuf":
        raise TypeError(f"mask must be bool or weights >= 0, got dtype {x.dtype}")
    weights = wide.astype(np.float64)
    bad = np.argwhere(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"mask must be bool or finite weights >= 0, row {row} column {column} is "
            f"{weights[row, column]}"
        )
    return weights


class Where(NamedTuple):
    """Which keys are asked, in ascending order."""

    indices: Int
    indptr: Int | None
    """Where each cue's begin and end, if cues have keys of their own."""

    def check(self, k: int) -> None:
        """Refuse if fewer than k keys are left."""
        counts = np.array([len(self.indices)]) if self.indptr is None else np.diff(self.indptr)
        few = np.flatnonzero(counts < k)
        if len(few):
            whom = "" if self.indptr is None else f" to cue row {few[0]}"
            raise ValueError(f"where leaves {counts[few[0]]} keys{whom}, at least {k} are needed")

    def of(self, row: int) -> Int:
        """Return the keys of one cue."""
        assert self.indptr is not None
        return self.indices[self.indptr[row] : self.indptr[row + 1]]


def per_cue(given: Any) -> bool:
    """Whether keys are given as a pair (indptr, indices), a list for every cue."""
    return isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) == 1


def where(given: Any, n_keys: int, n_cues: int, name: str = "where") -> Where:
    """Read which of the keys are asked.

    Parameters
    ----------
    given : (N,) bool, int64 indices, or a pair
        A pair (indptr, indices) is a list per cue, as in SciPy's CSR matrices.
    """
    if not per_cue(given):
        index = np.sort(indices(given, name, n_keys))
        _once(index, name)
        return Where(index, None)
    ends = read(given[0], f"{name}'s indptr")
    flat = indices(given[1], f"{name}'s indices", n_keys)
    if ends.shape != (n_cues + 1,) or ends.dtype.kind not in "iu":
        raise ValueError(
            f"{name}'s indptr must be integers of shape ({n_cues + 1},), one more than there are "
            f"cues, got {ends.dtype} {ends.shape}"
        )
    ends = ends.astype(np.int64)
    if ends[0] != 0 or ends[-1] != len(flat) or (np.diff(ends) < 0).any():
        raise ValueError(f"{name}'s indptr must rise from 0 to the number of indices, {len(flat)}")
    rows = np.repeat(np.arange(n_cues), np.diff(ends))
    flat = flat[np.lexsort((flat, rows))]
    twice = np.flatnonzero((flat[1:] == flat[:-1]) & (rows[1:] == rows[:-1]))
    if len(twice):
        raise ValueError(f"{name} names key {flat[twice[0]]} twice for cue row {rows[twice[0]]}")
    return Where(flat, ends)


def _once(index: Int, name: str) -> None:
    twice = np.flatnonzero(index[1:] == index[:-1])
    if len(twice):
        raise ValueError(f"{name} names key {index[twice[0]]} twice")
