"""What speaks against a recall, seen from a sample of the items and of the cues.

A memory whose parts do not suit its items answers without an error, and wrongly. What is looked at
here is cheap beside a recall of many cues: some stored keys, asked as cues, whose answers are
known, and some of the cues themselves.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from amfast import parts
from amfast._check import compute_type
from amfast._stores.items import Stored
from amfast._typing import Array, Float, Int, Mask
from amfast.bits import BitMatrix
from amfast.memories.universal.paper import Paper
from amfast.memories.universal.standard import Standard
from amfast.parts.similarities import FEW_ROWS, misfit, refuse_distance

MANY = 32
"""Cues from which the number of their answers says something."""

_ROWS = 64  # looked at, of keys and of cues
_FEWEST = 8  # fewer say nothing
_ENTRIES = 1 << 22  # scores at a time
_WORK = 1 << 29  # entries of keys times rows, where the engine scores
_SLOW_WORK = 1 << 24  # where a Python function does
_ROUNDING = 1e-5  # scores that differ by less of the largest are the same
_FAR = 16  # times as large are cues of another scale
_FEW_ANSWERS = 8  # cues to one answer that are too many


class _Look(NamedTuple):
    """Scores and weights of some rows with all items."""

    scores: Array
    weights: Float
    """Magnitudes."""
    slack: Float
    """(m, 1) below which scores do not differ."""
    live: Mask
    """(N,) items that have a weight."""

    def top(self) -> Float:
        """Return the best score of each row (m, 1)."""
        found = np.where(self.live, self.scores, -np.inf).max(axis=1, keepdims=True)
        return np.asarray(found, np.float64)

    def share(self, score: Float) -> Float:
        """Return the weight of the items that score so (m,), of all weight."""
        near = np.abs(self.scores - score) <= self.slack
        total = self.weights.sum(axis=1)
        share = np.where(near, self.weights, 0.0).sum(axis=1)
        return np.asarray(np.divide(share, total, out=np.zeros_like(total), where=total > 0))

    def gap(self, score: Float) -> float:
        """Return the median of how far the next lower score is."""
        lower = np.where(self.live & (self.scores < score - self.slack), self.scores, -np.inf)
        gaps = score[:, 0] - lower.max(axis=1)
        gaps = gaps[np.isfinite(gaps)]
        return float(np.median(gaps)) if len(gaps) else 0.0

    def spread(self) -> Float:
        """Return how many items share the weight (m,): 1 / sum of squared shares."""
        total = self.weights.sum(axis=1)
        squares = np.square(self.weights).sum(axis=1)
        return np.asarray(np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0))


def told(model: Standard | Paper, now: Stored, cues: Any, threads: int) -> str:
    """Say what speaks against recalling these cues from these items; empty if nothing does.

    Raises
    ------
    ValueError
        If the similarity is a function that turns out to be a distance.
    """
    similar = model.similarity
    if isinstance(similar, parts.Similarity) and similar.metric is None:
        refuse_distance(similar, _some(now.keys, np.arange(min(now.n_items, FEW_ROWS)), now))
    if isinstance(model, Standard) and misfit(model.similarity, model.separation):
        return misfit(model.similarity, model.separation)
    try:
        return _seen(model, now, cues, threads)
    except ValueError:  # scores of keys leave the range of floats, those of the cues need not
        return ""


def _seen(model: Standard | Paper, now: Stored, cues: Any, threads: int) -> str:
    rows = _rows_that_fit(model, now)
    live = np.asarray(now.log_weight > -np.inf)
    known = np.flatnonzero(live)
    if rows < _FEWEST or len(known) < 2:
        return ""
    known = known[:: -(-len(known) // rows)]
    keys = _look(model, now, _some(now.keys, known, now), live, threads)
    asked = np.arange(0, len(cues), -(-len(cues) // rows) if len(cues) else 1)
    # What was fitted to corrupted cues need not recognise keys that are asked as they are.
    fitted = isinstance(model.similarity, parts.FittedSimilarity)
    said = "" if fitted else _of_keys(model, now, keys, known)
    if len(asked) == 0:
        return said
    answers = _look(model, now, _some(cues, asked, now), live, threads)
    return "; and ".join(
        text
        for text in (
            said,
            "" if said else _of_weights(model, now, answers),
            _of_answers(answers, _distinct(cues, asked), now.n_items, _scales(cues, asked, now)),
        )
        if text
    )


def _rows_that_fit(model: Standard | Paper, now: Stored) -> int:
    similar = model.similarity
    slow = isinstance(similar, parts.Similarity) and similar.metric is None
    size = max(1, now.n_items * now.width)
    return min(_ROWS, (_SLOW_WORK if slow else _WORK) // size, _ENTRIES // max(1, now.n_items))


def _look(model: Any, now: Stored, rows: Any, live: Mask, threads: int) -> _Look:
    scores = model.scores(rows, now, threads)
    weights = np.abs(np.asarray(model.weights(rows, now, threads), np.float64))
    slack = _ROUNDING * np.abs(scores).max(axis=1, keepdims=True)
    return _Look(scores, weights, np.asarray(slack, np.float64), live)


def _of_keys(model: Standard | Paper, now: Stored, seen: _Look, known: Int) -> str:
    """Say what goes wrong where stored keys are asked for themselves."""
    own = np.asarray(seen.scores[np.arange(len(known)), known], np.float64)[:, None]
    lost = (seen.top() > own + seen.slack)[:, 0]
    n, at_all = len(known), f"of {now.n_items} stored items"
    if lost.any():
        answers = len(np.unique(seen.weights.argmax(axis=1)))
        named = _named(model.similarity)
        long = ", mostly a longer one, " if named.startswith("'dot") else " "
        return (
            f"{int(lost.sum())} of {n} items looked at, {at_all}, lose at their own key: under "
            f"{named} another item{long}scores more there, and the {n} keys have {answers} "
            f"different answers. {_other_similarity(named)}"
        )
    if _falls(now, seen, own, known):
        return (
            f"{model.separation!r} does not rise with the score: at most of the {n} stored keys "
            f"looked at, {at_all}, an item that scores less than the key's own has more weight (a "
            "distance d scores as -d)"
        )
    if model.separation.beta is None or now.heteroassociative:
        return ""
    weak = seen.share(own) < 0.5
    if weak.mean() <= 0.5:
        return ""
    return (
        f"beta={model.separation.beta:.4g} is too small for the spread of the scores: "
        f"{int(weak.sum())} of {n} items looked at, {at_all}, get less than half of the weight at "
        f"their own key, so recall blends items; {_enough(seen, own)}"
    )


def _falls(now: Stored, seen: _Look, own: Float, known: Int) -> bool:
    """Whether most keys give more weight to an item that scores less than their own."""
    if now.weighted:
        return False
    row = np.arange(len(known))
    heaviest = seen.weights.argmax(axis=1)
    more = seen.weights[row, heaviest] > (1 + _ROUNDING) * seen.weights[row, known]
    less = seen.scores[row, heaviest] < (own - seen.slack)[:, 0]
    return bool((more & less).mean() > 0.5)


def _of_weights(model: Standard | Paper, now: Stored, seen: _Look) -> str:
    """Say whether the weights of the cues are flat."""
    beta = model.separation.beta
    if beta is None:
        return ""
    top = seen.top()
    share = float(np.median(seen.share(top)))
    items = float(np.median(seen.spread()))
    # Values are blended on purpose, where labels are averaged; not those of half the memory.
    if share >= 0.5 or (now.heteroassociative and items < now.n_items / 2):
        return ""
    return (
        f"beta={beta:.4g} is too small for the spread of the scores: the best item gets "
        f"{share:.2%} of the weight (median of {len(seen.scores)} cues), as if {items:.0f} of "
        f"{now.n_items} items were averaged; {_enough(seen, top)}"
    )


def _scales(cues: Any, asked: Int, now: Stored) -> str:
    """Say how large cues and keys are where they are far apart, as 0..1 and 0..255."""
    if isinstance(now.keys, BitMatrix):
        return ""
    one = float(np.abs(cues[asked].astype(np.float64)).max(initial=0.0))
    other = float(np.abs(now.keys[: len(asked)].astype(np.float64)).max(initial=0.0))
    if _FAR * min(one, other) > max(one, other):
        return ""
    return f"cues are as large as {one:.3g} and keys as {other:.3g}: bring them to one scale; and "


def _of_answers(seen: _Look, distinct: int, n_items: int, scales: str) -> str:
    answers = len(np.unique(seen.weights.argmax(axis=1)))
    if distinct < MANY or n_items < distinct or answers * _FEW_ANSWERS > distinct:
        return ""
    return (
        f"{scales}{distinct} different cues looked at have {answers} different answer"
        f"{'s' * (answers != 1)} among {n_items} items: if they are cues of different items, a few "
        "items attract all; compare another similarity ('cosine', 'manhattan', 'sqeuclidean'), or "
        "centre the data"
    )


def _enough(seen: _Look, score: Float) -> str:
    gap = seen.gap(score)
    if gap <= 0:
        return "no beta separates them: their scores are equal"
    beta = math.log(max(seen.scores.shape[1] - 1, 3)) / gap
    return (
        f"the next score is {gap:.3g} lower (median), and beta={beta:.2g} gives more than half of "
        "the weight to the best item of half of them"
    )


def _other_similarity(named: str) -> str:
    if named.startswith("'dot") or named == "'cosine'":
        return "Use 'cosine' (standard convention, beta near 100), 'sqeuclidean' or 'manhattan'"
    return "Choose another similarity"


def _named(similar: object) -> str:
    return repr(similar if isinstance(similar, str) else getattr(similar, "name", ""))


def _some(rows: Any, index: Int, now: Stored) -> Any:
    """Return some rows as cues: in the type of the answer, or bits."""
    some = rows[index]
    if isinstance(some, BitMatrix):
        return some
    own = (some, now.keys) if isinstance(now.values, BitMatrix) else (some, now.keys, now.values)
    return some.astype(compute_type(*own), copy=False)


def _distinct(rows: Any, index: Int) -> int:
    some = rows[index]
    return len(np.unique(some.to_packed() if isinstance(some, BitMatrix) else some, axis=0))
