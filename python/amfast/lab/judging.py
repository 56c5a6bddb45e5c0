"""What counts as recalled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._typing import Array, Float, Mask
from amfast.kernels import topk

# An overlap above this counts as recalled, a bit error of 5 % below it.
RECALLED = 0.9
_CLOSE = 1e-6  # of a pattern's norm

Judge = Callable[[Array, Array], Any]
CRITERIA = ("nearest", "overlap", "exact")


class Verdict(NamedTuple):
    """What became of each cue."""

    success: Mask
    exact: Mask
    overlap: Float


def criterion(given: object, binary: bool) -> str | Judge:
    """Read what counts: a name, or ``success(answers, patterns) -> (Q,) bool``.

    None is the overlap for binary patterns. Real ones, which have no negative entries to cancel,
    overlap anyway: there it is "nearest".
    """
    if given is None:
        return "overlap" if binary else "nearest"
    if isinstance(given, str):
        return str(_check.choice(given, "success", CRITERIA))
    function: Judge = _check.function(given, "success")
    return function


def said(what: str | Judge) -> str:
    """Name a criterion in words."""
    words = {
        "nearest": "nearest of all stored",
        "overlap": f"overlap > {RECALLED}",
        "exact": "exact",
    }
    return words[what] if isinstance(what, str) else _check.name_of_function(what)


def judge(what: str | Judge, recalled: Array, asked: Array, stored: Array) -> Verdict:
    """Judge answers to cues of the first of the stored patterns."""
    if recalled.shape != asked.shape:
        raise ValueError(
            f"the memory's answers have shape {recalled.shape}, the patterns {asked.shape}"
        )
    a, b = recalled.astype(np.float64), asked.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    overlap = np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
    exact = np.asarray(np.linalg.norm(a - b, axis=1) <= _CLOSE * np.linalg.norm(b, axis=1))
    if what == "exact":
        success = exact
    elif what == "overlap":
        success = overlap > RECALLED
    elif what == "nearest":
        success = _nearest(a, b, stored)
    else:
        assert callable(what)
        success = np.asarray(what(recalled, asked), np.bool_)
        if success.shape != (len(asked),):
            raise ValueError(
                f"success must return shape ({len(asked)},), it returned {success.shape}"
            )
    return Verdict(success, exact, overlap)


def wilson(share: Float, n: Any, z: float) -> tuple[Float, Float]:
    """Return the ends of Wilson's interval of shares of ``n``, ``z`` standard deviations wide."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z**2 / n)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def _nearest(answers: Float, asked: Float, stored: Array) -> Mask:
    """Whether none of the stored patterns is nearer to an answer than the one asked for."""
    best = topk(answers, stored.astype(np.float64), 1, "sqeuclidean")[0][:, 0]
    own = ((answers - asked) ** 2).sum(axis=1)
    return np.asarray(own <= best * (1 + 1e-9) + 1e-12)
