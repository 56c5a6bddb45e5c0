"""Cues of which some columns are known, and keys of which some are asked, for the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from amfast import _check, bits
from amfast._check.masks import Where, some_known
from amfast._engine.scoring import is_short
from amfast._typing import Array, Int
from amfast.bits import BitMatrix
from amfast.parts.metrics import METRICS


def refuse_masks(metric: str | None) -> None:
    """Refuse masks where a score cannot be taken of some columns."""
    if metric is None:
        raise ValueError("a similarity that is a function has no masks; one by name has")
    if METRICS[metric].distributions:
        raise ValueError(
            f"{metric} has no masks: it compares distributions, whose sums need all entries"
        )


def known_rows(
    cues: Array, weights: Array | None, metric: str | None, rescale: bool = False
) -> tuple[Array, Array | None]:
    """Return floating cues (Q, d) with zeros where nothing is known, and what columns count.

    Parameters
    ----------
    weights : (Q, d) or (1, d) array, optional
        As `amfast._check.known` read them; None if all columns count 1.
    rescale : bool
        Whether a row's weights are brought to the sum d.

    Returns
    -------
    cues : (Q, d) array
    weights : (Q, d) or (1, d) array or None
        In the type of the cues; None where the cues alone say it.
    """
    if weights is None:
        return cues, None
    refuse_masks(metric)
    rows = np.where(weights, cues, cues.dtype.type(0))
    if rescale:
        weights = weights / weights.max(axis=1, keepdims=True)  # sums of huge ones would overflow
        weights = weights * (weights.shape[1] / weights.sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        w = np.ascontiguousarray(weights, cues.dtype)
    if weights.dtype != np.bool_:
        lost = np.flatnonzero((~np.isfinite(w) | ((w == 0) & (weights > 0))).any(axis=1))
        if len(lost):
            raise ValueError(f"mask row {lost[0]} has weights that no {w.dtype} holds; scale them")
    if metric == "dot":
        return rows * w, None
    return rows, w


def known_bits(
    mask: Any, cues: BitMatrix, nan: Any, rescale: bool, name: str = "cues"
) -> Array | None:
    """Return which bits of the cues are known, packed, one row for all or one each."""
    _check.choice(nan, "nan", ("error", "missing"))
    if mask is None:
        return None
    if rescale:
        raise ValueError("hamming counts bits, which are not rescaled; scale the counts")
    given = mask if isinstance(mask, BitMatrix) else _check.read(mask, "mask")
    if isinstance(given, np.ndarray) and given.dtype != np.bool_:
        raise TypeError(f"a mask of bits must be bool or a BitMatrix, got dtype {given.dtype}")
    known, _ = bits.binary(given, "mask", cues.n_bits, single=True)
    if len(known) not in (1, len(cues)):
        raise ValueError(f"mask must have 1 row or {len(cues)}, got {len(known)}")
    packed = known.to_packed()
    some_known(packed.any(axis=1), name)
    return packed


def wants_rows(keys: Array | BitMatrix, metric: str | None) -> bool:
    """Whether the engine wants keys as rows where some columns are known.

    It has no kernel for packed ones of 16 bits; of a cosine they have length 1 over all columns,
    which may leave the known ones no digits.
    """
    return metric == "cosine" or (not isinstance(keys, BitMatrix) and is_short(keys.dtype))


def known_of(known: Array | None, rows: Any) -> Array | None:
    """Return what columns of some of the cues count."""
    return known if known is None or len(known) == 1 else known[rows]


def chosen(rows: Any, index: Int) -> Any:
    """Return some rows: a view where they follow one another, else a copy."""
    if len(index) and int(index[-1]) - int(index[0]) + 1 == len(index):
        return rows[int(index[0]) : int(index[-1]) + 1]
    return rows[index]


def each_cue(
    where: Where, cues: Any, known: Array | None, ask: Callable[[Any, Int, Array | None], Any]
) -> list[Any]:
    """Ask for every cue on its own, with its keys and its row of the mask."""
    found = []
    for row in range(len(cues)):
        one = slice(row, row + 1)
        found.append(ask(cues[one], where.of(row), known_of(known, one)))
    return found
