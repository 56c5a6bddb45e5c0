"""Several memories beside each other on the same patterns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amfast import _check, plot
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.lab import judging, spoiling
from amfast.lab.capacity import maker

__all__ = ["Comparison", "compare"]

_KEPT = 8  # cues and answers kept for the picture


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` measured; its ``repr`` is the table, `plot` draws cues and answers."""

    memories: tuple[str, ...]
    """(M,) names."""
    corruptions: tuple[str, ...]
    """(C,) names."""
    success: Float
    """(M, C) share of the cues that were recalled, as ``criterion`` says."""
    exact: Float
    """(M, C) share whose answer is the pattern, to 1e-6 of its norm."""
    overlap: Float
    """(M, C) mean overlap, cosine of answer and pattern."""
    seconds: Float
    """(M, C) time of each recall."""
    criterion: str
    """What counts as recalled."""
    n_items: int
    """Patterns stored, each asked for once."""
    truth: Array
    """(8, d) the first patterns."""
    cues: dict[str, Array]
    """Their cues by corruption."""
    answers: dict[tuple[str, str], Array]
    """Their answers by memory and corruption."""
    shape: tuple[int, ...] | None
    """Of one image."""

    def rows(self) -> list[tuple[str, str, float, float, float, float]]:
        """Return (memory, corruption, success, exact, overlap, seconds) for every cell.

        Returns
        -------
        list of tuple
        """
        return [
            (name, kind, *(float(x[i, j]) for x in self._measured()))  # type: ignore[misc]
            for i, name in enumerate(self.memories)
            for j, kind in enumerate(self.corruptions)
        ]

    def _measured(self) -> tuple[Float, ...]:
        return self.success, self.exact, self.overlap, self.seconds

    def __repr__(self) -> str:
        """Show success and exact recall, memories down, corruptions across."""
        wide = max(len(name) for name in (*self.memories, "memory"))
        widths = [max(len(kind), 15) for kind in self.corruptions]
        lines = [f"{self.n_items} patterns: recalled ({self.criterion}) / exactly"]
        heads = (f"{kind:>{w}}" for kind, w in zip(self.corruptions, widths, strict=True))
        lines.append("  ".join([f"{'memory':<{wide}}", *heads]))
        for i, name in enumerate(self.memories):
            both = zip(self.success[i], self.exact[i], strict=True)
            cells = [f"{a:.1%} / {b:.1%}" for a, b in both]
            shown = (f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
            lines.append("  ".join([f"{name:<{wide}}", *shown]))
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None, corruption: str | None = None) -> Any:
        """Draw the cues of one corruption, every memory's answers, and the truth.

        Parameters
        ----------
        path : str or Path, optional
            Write the picture there.
        corruption : str, optional
            None is the first.

        Returns
        -------
        matplotlib Figure
        """
        kind = self.corruptions[0] if corruption is None else corruption
        _check.choice(kind, "corruption", self.corruptions)
        answers = {name: self.answers[name, kind] for name in self.memories}
        return plot.recall(self.cues[kind], answers, self.truth, path, shape=self.shape, n=_KEPT)


def compare(
    memories: Mapping[str, Any],
    X: Any,
    corruptions: Mapping[str, Any],
    *,
    shape: Sequence[int] | None = None,
    success: str | Callable[..., Any] | None = None,
    seed: int = 0,
    recall: Mapping[str, Mapping[str, Any]] | None = None,
) -> Comparison:
    """Store the same patterns in several memories, and recall them from the same spoilt cues.

    Parameters
    ----------
    memories : {name: memory}
        Empty memories, which are copied, or functions without arguments that make them.
    X : (N, d) array or BitMatrix, or (N, H, W) images
        Patterns; images are stored as rows, and their shape is known.
    corruptions : {name: corruption}
        ``(kind, level)`` with a kind of `amfast.capacity` ("flip", "gaussian", "mask", ...) or a
        function of `amfast.corrupt`; a function ``(X) -> cues``; or (N, d) cues.
    shape : tuple of int, optional
        Of one image where X is flat, for corruptions of its rows and for the picture.
    success : str or callable, optional
        What counts as recalled, as in `amfast.capacity`. None is "nearest": no stored pattern is
        nearer to the answer.
    seed : int, default 0
        Of the corruptions.
    recall : {name: arguments}, optional
        Arguments of a memory's ``recall``, such as ``{"Hopfield": {"update": "sync"}}``.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=100).patterns()
    >>> am.compare(
    ...     {"Manhattan": am.UniversalHopfield("manhattan", "max"),
    ...      "dot": am.UniversalHopfield("dot", "max")},
    ...     images, {"noise": ("gaussian", 0.2), "half": ("mask", 0.5)}, shape=(28, 28))
    100 patterns: recalled (nearest of all stored) / exactly
    memory               noise             half
    Manhattan  100.0% / 100.0%    29.0% / 29.0%
    dot            6.0% / 6.0%      5.0% / 5.0%
    """
    for given, name, entry in (
        (memories, "memories", "memory"),
        (corruptions, "corruptions", "corruption"),
    ):
        if not isinstance(given, Mapping):
            raise TypeError(f"{name} must be a dict {{name: {entry}}}, got {type(given).__name__}")
    if not memories or not corruptions:
        raise ValueError("memories and corruptions must name at least one each")
    packed = isinstance(X, BitMatrix)
    patterns, shape = spoiling.flat(X.unpack() if isinstance(X, BitMatrix) else X, "X", shape)
    if len(patterns) == 0:
        raise ValueError("X has no rows; at least one is needed")
    binary = spoiling.is_binary(patterns)
    what = judging.criterion("nearest" if success is None else success, binary)
    cues = {
        name: _cues(given, patterns, binary, shape, np.random.default_rng([seed, i]))
        for i, (name, given) in enumerate(corruptions.items())
    }
    size = len(memories), len(cues)
    found = np.zeros((3, *size))
    seconds = np.zeros(size)
    answers: dict[tuple[str, str], Array] = {}
    for i, (name, memory) in enumerate(memories.items()):
        made = maker(memory)()
        made.store(X if packed else patterns)
        options = dict((recall or {}).get(name, {}))
        for j, (kind, spoilt) in enumerate(cues.items()):
            start = time.perf_counter()
            answer = np.asarray(made.recall(spoilt, **options))
            seconds[i, j] = time.perf_counter() - start
            seen = judging.judge(what, answer, patterns, patterns)
            found[:, i, j] = [x.mean() for x in seen]
            answers[name, kind] = answer[:_KEPT]
    return Comparison(
        tuple(memories), tuple(cues), found[0], found[1], found[2], seconds,
        judging.said(what), len(patterns),
        patterns[:_KEPT], {kind: spoilt[:_KEPT] for kind, spoilt in cues.items()}, answers,
        shape,
    )  # fmt: skip


def _cues(
    given: Any,
    patterns: Array,
    binary: bool,
    shape: Sequence[int] | None,
    rng: np.random.Generator,
) -> Array:
    if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[0], np.ndarray):
        kind, level = given
        spoil = spoiling.spoiler(kind, binary, shape)
        cues = spoil(patterns, _check.number(level, "level of a corruption", 0.0), rng)
    elif callable(given):
        cues = given(patterns)
    elif isinstance(given, str):
        raise TypeError(f"a corruption needs a level: ({given!r}, 0.3), got {given!r} alone")
    else:
        cues = given
    cues, _ = spoiling.flat(cues, "cues of a corruption", None)
    if cues.shape != patterns.shape:
        raise ValueError(f"cues of a corruption have shape {cues.shape}, X {patterns.shape}")
    return cues
