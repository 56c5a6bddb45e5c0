"""The first pass over 8-bit codes: when it is tried, and the engine's calls with and without.

The answers are the same, bit for bit; of a softmax, but for weights that come to less than 2^-26.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amfast import _check, _core
from amfast._engine.scoring import engine_rows, is_short
from amfast._typing import Array, Float, Int
from amfast.parts.metrics import METRICS

# Keys of fewer numbers are searched as fast without.
LEAST = 1 << 20
# As many cues save more than the time that coding takes, where keys are asked once: 26 ms for
# 60,000 x 784 float32, where a cue saves 0.48 (manhattan), 0.34 and 0.2 ms (dot); of cosine 0.3,
# but whole images of colour gain nothing.
_CUES = {"manhattan": 80, "sqeuclidean": 96, "euclidean": 96, "dot": 192, "cosine": 640}
# The share of keys that have a weight, up to which scoring them one by one pays.
_FEW = 0.02
# Separations that leave most keys without a weight.
_FUSED = ("softmax", "threshold")


class Coded(NamedTuple):
    """Codes of keys, and the keys as the engine reads them one by one."""

    codes: _core.Codes
    rows: Array


def choice(codes: object) -> bool | None:
    """Check an argument ``codes``."""
    return None if codes is None else _check.flag(codes, "codes")


def wanted(rows: Array, metric: str | None, codes: bool | None, n_cues: int | None = None) -> bool:
    """Whether keys are to be coded, if they can be: for so many cues, or for good."""
    floats = rows.dtype.kind == "f" or is_short(rows.dtype)
    if codes is False or metric not in _CUES or not floats:
        return False
    enough = n_cues is None or n_cues >= _CUES[metric]
    return codes is True or (rows.size >= LEAST and enough)


def coded(
    rows: Array, metric: str, threads: int, before: _core.Codes | None = None
) -> Coded | None:
    """Code rows, of which the first may be coded before; None where no code helps."""
    view = engine_rows(rows)
    if before is None:
        codes = _core.coded(view, metric, threads)
    else:
        codes = before.extended(view, threads)
    return None if codes is None else Coded(codes, view)


def sparse(
    cues: Array,
    keys: Array | _core.Keys,
    metric: str,
    fused: tuple[str, float] | None,
    threads: int,
) -> bool:
    """Whether a separation gives few keys a weight, by what it does for two of the cues."""
    if fused is None or fused[0] != "softmax":
        return True
    if not (fused[1] > 0 and len(cues)):
        return False
    some = np.ascontiguousarray(cues[:: max(1, len(cues) - 1)][:2])
    scores = _check.empty((len(some), len(keys)), some.dtype, "scores")
    _core.pairwise(some, keys, metric, scores, threads)
    if METRICS[metric].larger_is_better:
        np.negative(scores, out=scores)
    # As far as weights come to 2^-26 of all, if those of all others were as large.
    reach = (26 * np.log(2) + np.log(len(keys))) / fused[1]
    inside = scores <= scores.min(axis=1, keepdims=True) + reach
    return bool(inside.mean() <= _FEW)


def topk(
    queries: Array,
    keys: Array | _core.Keys,
    k: int,
    metric: str,
    threads: int,
    known: Array | None = None,
    by: Coded | None = None,
) -> tuple[Array, Int]:
    """Find the k best, of bytes by scores that are not rounded to float32."""
    if by is None or known is not None:
        return _core.topk(queries, keys, k, metric, threads, True, known)
    return _core.topk_coded(queries, keys, by.rows, by.codes, k, metric, threads)


def helps(fused: tuple[str, float] | None, n_best: int | None) -> bool:
    """Whether a separation leaves most keys without a weight."""
    return n_best is not None if fused is None else fused[0] in _FUSED


def retrieve(
    cues: Array,
    keys: Array | _core.Keys,
    values: Array | None,
    metric: str,
    fused: tuple[str, float],
    threads: int,
    by: Coded,
) -> tuple[Array, Float]:
    """Weighted values and ln of the sums of weights."""
    values = by.rows if values is None else engine_rows(values)
    return _core.retrieve_coded(cues, keys, by.rows, by.codes, values, metric, *fused, threads)
