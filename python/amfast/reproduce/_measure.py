"""Retrieval by the paper's formulas, measured for many sizes of memory at once.

The memory sets of a run are nested: the distances of the first n cues to the first n memories are a
corner of those of the largest set. They are computed once per similarity; the paper convention
turns the corner into scores and weights for every n. Recalled images are never formed: with
weights w and the Gram matrix G of the stored images, the squared error of cue j is
G_jj - 2 (G w)_j + w.G w.

Experiments check that `amfast.UniversalHopfield` with ``convention="paper"`` answers the same.
`literal_scores` are the authors' formulas with everything that goes wrong in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import amfast as am
from amfast._typing import Array, Float, Int, Mask
from amfast.memories.universal import paper
from amfast.reproduce._registry import ARGMAX, THRESHOLD, Curves

SIX = ("sqeuclidean", "manhattan", "dot", "kl", "reverse_kl", "harmonic_kl")
# With what Table 2 calls Jensen-Shannon, which the code computes otherwise.
SEVEN = (*SIX, "jeffreys")
THREE = ("sqeuclidean", "manhattan", "dot")

# Below this a divergence in float64 is rounding: the cue is the memory.
_SAME = 1e-12

Rows = NDArray[np.float32]


class Memories:
    """Stored images as rows, with what every trial on them shares."""

    def __init__(self, rows: Array) -> None:
        self.rows: Rows = np.ascontiguousarray(rows, dtype=np.float32)

    def __len__(self) -> int:
        """Return the number of memories."""
        return len(self.rows)

    @cached_property
    def gram(self) -> Float:
        """Dot products of all pairs, in float64."""
        exact = self.rows.astype(np.float64)
        return np.asarray(exact @ exact.T)

    @cached_property
    def shares(self) -> Float:
        """Rows divided by their sums, a blank row staying zero."""
        return paper.proportions(self.rows, "memories")

    @cached_property
    def blank(self) -> Mask:
        """Which rows are zero throughout."""
        return np.asarray(~self.rows.any(axis=1))


@dataclass(frozen=True)
class Answers:
    """What came back for cue j = 0..n-1, memory j being the right one."""

    winner: Int  # memory with the largest weight
    error: Float  # sum of squared differences between the answer and target j

    @property
    def by_argmax(self) -> float:
        """Fraction of the cues whose largest weight is on the right memory."""
        return float((self.winner == np.arange(len(self.winner))).mean())

    def by_threshold(self, threshold: float) -> float:
        """Fraction of the cues answered with a squared error of at most ``threshold``."""
        return float((self.error <= threshold).mean())


@dataclass(frozen=True)
class Trial:
    """One memory set with one corrupted cue per memory."""

    memories: Memories
    cues: Rows
    targets: Memories | None = None  # None: autoassociative
    _raw: dict[str, Float] = field(default_factory=dict, repr=False)

    def answering(self, targets: Memories | None) -> Trial:
        """Return the twin with other targets, which shares all comparisons."""
        return Trial(self.memories, self.cues, targets, self._raw)

    def raw(self, similarity: str) -> Float:
        """Return distances, or for ``dot`` similarities, of all cues and memories."""
        if similarity not in self._raw:
            self._raw[similarity] = self._compare(similarity)
        return self._raw[similarity]

    def scores(self, similarity: str, n: int) -> Float:
        """Return the scores, summing to 1, of the first n cues with the first n memories."""
        if similarity == "harmonic_kl":
            a, b = (np.maximum(self.raw(kl)[:n, :n], 0) for kl in ("kl", "reverse_kl"))
            both = np.divide(2 * a * b, a + b, out=np.zeros_like(a), where=a + b > 0)
            both[:, self.memories.blank[:n]] = 0
            return paper.normalised(both, None)
        if similarity == "jeffreys":
            mean = (self.raw("kl")[:n, :n] + self.raw("reverse_kl")[:n, :n]) / 2
            return paper.reciprocal(mean, self.memories.blank[:n], None, "limit")
        raw = self.raw(similarity)[:n, :n]
        if similarity == "dot":
            return paper.normalised(raw, None)
        blank = self.memories.blank[:n] if similarity in paper.DIVERGENCES else None
        return paper.reciprocal(raw, blank, None, "limit")

    def recall(self, similarity: str, n: int, separation: am.Separation) -> Answers:
        """Recall the first n cues from the first n memories."""
        targets = (self.targets or self.memories).gram[:n, :n]
        own = np.diagonal(targets)
        scores = self.scores(similarity, n)
        if isinstance(separation, am.Max):
            winner = scores.argmax(axis=1)
            error = own - 2 * targets[np.arange(n), winner] + own[winner]
            return Answers(winner, np.maximum(error, 0))
        weights, _ = paper.weights(scores, separation, None)
        mixed = weights @ targets
        error = own - 2 * np.diagonal(mixed) + (mixed * weights).sum(axis=1)
        return Answers(weights.argmax(axis=1), np.maximum(error, 0))

    def library_gap(self, similarity: str, n: int, separation: am.Separation) -> float:
        """Return the largest difference between these formulas and UniversalHopfield's answers."""
        memory = am.UniversalHopfield(similarity, separation, convention="paper")
        keys = self.memories.rows[:n].astype(np.float64)
        memory.store(keys)
        weights, _ = paper.weights(self.scores(similarity, n), separation, None)
        answers = memory.recall(self.cues[:n].astype(np.float64))
        return float(np.abs(answers - weights @ keys).max())

    def _compare(self, similarity: str) -> Float:
        keys = self.memories.rows
        if similarity in paper.DISTANCES:
            return np.asarray(am.pairwise(self.cues, keys, similarity), dtype=np.float64)
        p, q = self.memories.shares, paper.proportions(self.cues, "cues")
        if similarity == "dot":
            return np.asarray(am.pairwise(q, p, "dot"))
        log_p, log_q = np.log(p + paper.EPS), np.log(q + paper.EPS)
        if similarity == "kl":  # KL(memory || cue)
            divergence = (p * log_p).sum(axis=1) - am.pairwise(log_q, p, "dot")
        elif similarity == "reverse_kl":  # KL(cue || memory)
            divergence = (q * log_q).sum(axis=1)[:, None] - am.pairwise(q, log_p, "dot")
        else:
            raise ValueError(f"similarity is {similarity!r}, expected one of {', '.join(SIX)}")
        return np.where(np.abs(divergence) < _SAME, 0.0, divergence)


def literal_scores(similarity: str, cues: Rows, keys: Rows) -> Float:
    """Return the authors' normalised scores, with the NaN of blank rows and exact matches."""
    with np.errstate(all="ignore"):
        x, q = keys.astype(np.float64), cues.astype(np.float64)
        p = x / x.sum(axis=1, keepdims=True)
        r = q / q.sum(axis=1, keepdims=True)
        if similarity == "dot":
            scores = r @ p.T
        elif similarity in ("manhattan", "sqeuclidean"):
            scores = 1.0 / am.pairwise(q, x, similarity)
        elif similarity == "kl":
            scores = 1.0 / ((p * np.log(p + paper.EPS)).sum(axis=1) - np.log(r + paper.EPS) @ p.T)
        elif similarity == "reverse_kl":
            scores = 1.0 / (
                (r * np.log(r + paper.EPS)).sum(axis=1)[:, None] - r @ np.log(p + paper.EPS).T
            )
        else:
            raise ValueError(f"similarity is {similarity!r}")
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))


class Tally:
    """Accuracies of all runs, gathered while measuring and averaged at the end."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str, str, float, str], list[float]] = defaultdict(list)

    def add(
        self,
        variant: str,
        panel: str,
        line: str,
        x: float,
        answers: Answers,
        threshold: float,
    ) -> None:
        """Add one run's answers at one place of one line."""
        self.put(variant, panel, line, x, ARGMAX, answers.by_argmax)
        self.put(variant, panel, line, x, THRESHOLD, answers.by_threshold(threshold))

    def put(
        self, variant: str, panel: str, line: str, x: float, accuracy: str, value: float
    ) -> None:
        """Add one run's accuracy."""
        self._runs[variant, panel, line, x, accuracy].append(value)

    def into(self, curves: Curves) -> None:
        """Write means and deviations into curves."""
        for place, values in self._runs.items():
            curves.add(*place, values)


def sizes_up_to(limit: int, sizes: Iterable[int]) -> list[int]:
    """Return the sizes that fit."""
    return [n for n in sizes if n <= limit]


def generator(*parts: int) -> np.random.Generator:
    """Return a generator of its own for every combination of numbers."""
    return np.random.default_rng(list(parts))


def best(values: Sequence[float]) -> float:
    """Return the largest value, NaN when there is none."""
    return max(values, default=float("nan"))
