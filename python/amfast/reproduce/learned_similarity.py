"""A similarity learned from how cues differ from keys, beside those of Millidge et al.

The paper leaves open which similarity suits which data. `amfast.fit_similarity` answers from
corrupted examples that are not stored.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import amfast as am
from amfast import corrupt
from amfast._typing import Array, Float
from amfast.parts import Similarity
from amfast.reproduce import _figures
from amfast.reproduce._gallery import Cell, gallery
from amfast.reproduce._images import ImageSet, rows
from amfast.reproduce._measure import Memories, Tally, Trial, generator
from amfast.reproduce._registry import (
    ARGMAX,
    Check,
    Claim,
    Context,
    Curves,
    Outcome,
    Panel,
    Series,
    Table,
    Variant,
    experiment,
)

Spoil = Callable[[Array], Array]

N, MANY = 300, 1000
EXAMPLES = 1000
SIZES = (3, 10, 30, 100, 300, 1000, 3000)
BAYES_CUES = 100
TOLD, NOT_TOLD, BEST = "learned", "learned, corruption not told", "best possible"
PLAIN = ("manhattan", "dot")
LEVELS = {
    "noise": (0.3, 0.5, 0.7, 1.0, 1.5),
    "mask": (0.3, 0.5, 0.7, 0.9),
    "random mask": (0.3, 0.5, 0.7, 0.9),
    "inpainting": (0.3, 0.5, 0.7, 0.9),
}
VARIANTS = (
    Variant("noise", f"Noise folded at 0, max, N = {N}", "standard deviation"),
    Variant("mask", f"Lower rows masked, max, N = {N}", "masked fraction"),
    Variant("random mask", f"Random pixels masked, max, N = {N}", "masked fraction"),
    Variant("inpainting", f"Border masked, max, N = {N}", "masked fraction"),
)
# The corruptions of which the similarity that is not told has a model each.
KNOWN = (
    ("mask", 0.5), ("noise", 0.5), ("noise", 1.0), ("random mask", 0.7), ("inpainting", 0.7),
)  # fmt: skip
# Fraction recalled where the corruption is told, in the order of `KNOWN`.
EXPECTED = {
    "mnist": (1.0, 0.99, 0.32, 0.97, 1.0),
    "fashion_mnist": (1.0, 0.99, 0.22, 0.97, 1.0),
    "fashion_mnist_small": (1.0, 0.99, 0.21, 0.98, 1.0),
    "cifar10": (1.0, 1.0, 0.77, 1.0, 1.0),
    "tinyimagenet": (1.0, 1.0, 1.0, 1.0, 1.0),
}
COLOURS = {TOLD: "#009E73", NOT_TOLD: "#CC79A7", BEST: "#000000"}


def named(kind: str, level: float) -> str:
    """Name a corruption in tables."""
    return f"{kind} {level:g}"


@dataclass(frozen=True)
class _Spoiler:
    """Corruptions of the rows of one image set."""

    shape: tuple[int, ...]
    seed: int
    """Another one spoils the examples than spoils the cues."""

    def __call__(self, kind: str, level: float) -> Spoil:
        """Return a corruption of rows."""
        return lambda x: rows(self._images(kind, level, x.reshape(-1, *self.shape)))

    def pooled(self, corruptions: Sequence[tuple[str, float]]) -> Spoil:
        """Return a corruption that spoils every row in one of several ways."""

        def spoil(x: Array) -> Array:
            out = x.copy()
            for place, (kind, level) in enumerate(corruptions):
                some = slice(place, None, len(corruptions))
                out[some] = self(kind, level)(x[some])
            return out

        return spoil

    def _images(self, kind: str, level: float, images: Array) -> Array:
        chance = generator(3, self.seed, round(1000 * level))
        if kind == "noise":
            return corrupt.gaussian(images, level, "fold", seed=chance)
        if kind == "mask":
            return corrupt.mask(images, level)
        if kind == "random mask":
            return corrupt.random_mask(images, level, seed=chance)
        return corrupt.inpaint(images, level)


@experiment(
    "learned-similarity",
    "fraction recalled under a similarity learned from corrupted examples, beside named ones",
    images=True,
)
def run(context: Context) -> Outcome:
    """Measure named and learned similarities under four kinds of corruption."""
    outcome = Outcome(VARIANTS, "level of the corruption", colours=COLOURS)
    outcome.notes = [
        f"examples: up to {EXAMPLES} images that are not stored. Not told: a model each of "
        + ", ".join(named(*known) for known in KNOWN),
        f"best possible: by the likelihood of the corruption itself, {BAYES_CUES} cues of noise",
    ]
    tally = Tally()
    levels = sum(len(some) for some in LEVELS.values())
    with context.progress("learned-similarity", len(context.images) * (levels + 3)) as done:
        for image_set in context.images:
            _levels(context, image_set, tally, lambda: done(image_set.title))  # noqa: B023
            outcome.tables.append(_unseen(image_set))
            done(image_set.title)
            panel, table = _sizes(context, image_set)
            outcome.panels.append(panel)
            outcome.tables.append(table)
            done(image_set.title)
            outcome.checks += _many(image_set)
            done(image_set.title)
    tally.into(outcome.curves)
    outcome.draw = functools.partial(_draw, context.images)
    for image_set in context.images:
        outcome.checks += _checks(outcome.curves, image_set)
        outcome.claims += _claims(outcome.curves, image_set)
    return outcome


def _split(image_set: ImageSet) -> tuple[int, Array]:
    """Return how many sets of N there are for, and the examples behind them."""
    count = min(EXAMPLES, len(image_set.images) - 2 * N)
    left = image_set.images[-count:]
    return (len(image_set.images) - count) // N, rows(left).astype(np.float32) / np.float32(255)


def _found(similarity: str | Similarity, keys: Array, cues: Array) -> float:
    memory = am.UniversalHopfield(similarity, "max")
    memory.store(keys)
    best = memory.scores(cues).argmax(axis=1)
    return float((best == np.arange(len(best))).mean())


def _learned(
    spoiler: _Spoiler, examples: Array, corruptions: Sequence[tuple[str, float]]
) -> Similarity:
    return am.fit_similarity(examples, [spoiler(*which) for which in corruptions])


def _levels(context: Context, image_set: ImageSet, tally: Tally, done: Callable[[], None]) -> None:
    most, examples = _split(image_set)
    shape = image_set.images.shape[1:]
    sets = [rows(x) for x in image_set.memory_sets(N, min(most, context.pick(2, 5, 10)))]
    teacher = _Spoiler(shape, 99)
    untold = _learned(teacher, examples, KNOWN)
    memories = [Memories(keys) for keys in sets]
    for kind, some in LEVELS.items():
        for level in some:
            told = _learned(teacher, examples, [(kind, level)])
            for number, keys in enumerate(sets):
                cues = _Spoiler(shape, number)(kind, level)(keys)
                trial = Trial(memories[number], cues)
                measured = {s: trial.recall(s, N, am.Max()).by_argmax for s in PLAIN}
                measured[TOLD] = _found(told, keys, cues)
                measured[NOT_TOLD] = _found(untold, keys, cues)
                if number == 0:
                    measured[BEST] = _best_possible(kind, level, keys, cues)
                for line, value in measured.items():
                    tally.put(kind, image_set.title, line, level, ARGMAX, value)
            done()


def _best_possible(kind: str, level: float, keys: Array, cues: Array) -> float:
    """Recall by the likelihood of the corruption itself: nothing does better."""
    if kind == "noise":
        return _best_under_noise(keys, cues[:BAYES_CUES], level)
    if kind != "random mask":
        return len(np.unique(cues, axis=0)) / len(cues)  # of equal cues one can be right
    right = 0
    for number, cue in enumerate(cues):
        possible = ((cue == 0) | (cue == keys)).all(axis=1)
        blotted = ((cue == 0) & (keys != 0)).sum(axis=1)
        right += int(np.where(possible, -blotted, -np.inf).argmax() == number)
    return right / len(cues)


def _best_under_noise(keys: Array, cues: Array, sigma: float) -> float:
    """Take the likelihood of ``min(|x + sigma z|, 1)``."""
    tail = np.array([_beyond(level / 255, sigma) for level in range(256)])
    clipped = tail[np.rint(255 * keys).astype(np.intp)]
    right = 0
    for number, cue in enumerate(cues):
        straight = (cue - keys) ** 2 / (-2 * sigma**2)
        folded = np.log1p(np.exp(-2.0 / sigma**2 * cue * keys))
        likelihood = np.where(cue < 1, straight + folded, clipped).sum(axis=1, dtype=np.float64)
        right += int(likelihood.argmax() == number)
    return right / len(cues)


def _beyond(x: float, sigma: float) -> float:
    """Logarithm of how likely ``|x + sigma z|`` is at least 1."""
    scale = sigma * math.sqrt(2)
    above, below = math.erfc((1 - x) / scale), math.erfc((1 + x) / scale)
    return math.log(max((above + below) / 2, np.finfo(float).tiny))


def _unseen(image_set: ImageSet) -> Table:
    """Recall cues of every corruption by what was learned from another."""
    _, examples = _split(image_set)
    shape = image_set.images.shape[1:]
    keys = rows(image_set.memory_sets(N, 1)[0])
    teacher, spoiler = _Spoiler(shape, 99), _Spoiler(shape, 0)
    learned = {named(*which): _learned(teacher, examples, [which]) for which in KNOWN}
    learned["all, one model each"] = _learned(teacher, examples, KNOWN)
    learned["all in one model"] = am.fit_similarity(examples, teacher.pooled(KNOWN))
    cues = [spoiler(*which)(keys) for which in KNOWN]
    return Table(
        f"unseen_{image_set.name}",
        f"{image_set.title}: learned from one corruption, asked by another; fraction recalled",
        ("learned from", "models", *(named(*which) for which in KNOWN)),
        [
            (
                name,
                str(5 if name == "all, one model each" else 1),
                *(f"{_found(similarity, keys, some):.2f}" for some in cues),
            )
            for name, similarity in learned.items()
        ],
    )


def _sizes(context: Context, image_set: ImageSet) -> tuple[Panel, Table]:
    """Measure how many examples it takes."""
    shape = image_set.images.shape[1:]
    runs = context.pick(1, 2, 5)
    sets = [rows(x) for x in image_set.memory_sets(N, runs)]
    rest = image_set.images[len(sets) * N :]
    sizes = [n for n in SIZES if n <= min(len(rest), context.pick(300, 1000, 3000))]
    series, table = [], []
    for colour, which in enumerate((("noise", 1.0), ("random mask", 0.7), ("mask", 0.5))):
        found: list[Float] = []
        for n in sizes:
            chosen = generator(5, n).choice(len(rest), n, replace=False)
            examples = rows(rest[chosen]).astype(np.float32) / np.float32(255)
            learned = _learned(_Spoiler(shape, 99), examples, [which])
            found.append(
                np.array(
                    [
                        _found(learned, keys, _Spoiler(shape, number)(*which)(keys))
                        for number, keys in enumerate(sets)
                    ]
                )
            )
        mean, std = [float(x.mean()) for x in found], [float(x.std()) for x in found]
        series.append(Series(named(*which), sizes, mean, std, colour=colour))
        table.append((named(*which), *(f"{x:.2f}" for x in mean)))
    title = f"{image_set.title}: fraction recalled against examples, N = {N}, {len(sets)} runs"
    return (
        Panel(title, "examples", "recalled", series, log_x=True, y_range=(-0.04, 1.04)),
        Table(f"examples_{image_set.name}", title, ("corruption", *(str(n) for n in sizes)), table),
    )


def _many(image_set: ImageSet) -> list[Check]:
    """Recall a thousand colour images from cues of which nobody says how they were spoilt."""
    if image_set.is_grey or len(image_set.images) < MANY + EXAMPLES:
        return []
    _, examples = _split(image_set)
    shape = image_set.images.shape[1:]
    keys = rows(image_set.memory_sets(MANY, 1)[0])
    learned = _learned(_Spoiler(shape, 99), examples, KNOWN)
    asked = [which for which in KNOWN if which != ("noise", 1.0)]
    least = min(_found(learned, keys, _Spoiler(shape, 0)(*which)(keys)) for which in asked)
    return [
        Check(
            f"{image_set.title}: N = {MANY}, corruption not told, the least of "
            + ", ".join(named(*which) for which in asked),
            least, 0.96, 0.01, "at least",
        )
    ]  # fmt: skip


def _checks(curves: Curves, image_set: ImageSet) -> list[Check]:
    panel, checks = image_set.title, []
    for (kind, level), expected in zip(KNOWN, EXPECTED[image_set.name], strict=True):
        told = curves.at(kind, panel, TOLD, level, ARGMAX)
        checks.append(Check(f"{panel}: {named(kind, level)}, learned", told, expected, 0.06))
    gain = min(
        curves.at(kind, panel, TOLD, level, ARGMAX) - curves.at(kind, panel, s, level, ARGMAX)
        for kind, some in LEVELS.items()
        for level in some
        for s in PLAIN
    )
    checks.append(
        Check(f"{panel}: learned less the better of Manhattan and dot, least", gain, 0, 0.05,
              "at least")
    )  # fmt: skip
    above = max(
        curves.at(kind, panel, TOLD, level, ARGMAX) - curves.at(kind, panel, BEST, level, ARGMAX)
        for kind, some in LEVELS.items()
        for level in some
    )
    checks.append(
        Check(f"{panel}: learned less the best possible, most", above, 0, 0.06,
              "at most")
    )  # fmt: skip
    return checks


def _claims(curves: Curves, image_set: ImageSet) -> list[Claim]:
    """Ask the paper's statements about similarities again, the learned one beside them."""
    panel = image_set.title

    def mean(kind: str, line: str) -> float:
        return curves.mean(kind, panel, line, LEVELS[kind], ARGMAX)

    claims = []
    for text, kind, best in (
        ("dot the most robust to noise", "noise", "dot"),
        ("Manhattan the best under masks", "mask", "manhattan"),
        ("Manhattan the best under inpainting", "inpainting", "manhattan"),
        ("dot the most robust to random masks", "random mask", "dot"),
    ):
        found = {line: mean(kind, line) for line in (*PLAIN, TOLD, NOT_TOLD)}
        holds = found[best] >= max(value for line, value in found.items() if line != best)
        evidence = ", ".join(f"{line} {value:.2f}" for line, value in found.items())
        claims.append(
            Claim(f"{text}, also beside a learned one", f"{kind}, {panel}", holds, None, evidence)
        )
    return claims


def _draw(image_sets: Sequence[ImageSet], outcome: Outcome, name: str, folder: Path) -> list[Path]:
    """Draw the curves, and a gallery of one cue each."""
    files = _figures.variants(outcome, name, folder)
    for image_set in image_sets:
        lines = [(named(*which), _cells(image_set, which, i)) for i, which in enumerate(KNOWN)]
        title = (
            f"{image_set.title}: one of {N} images recalled by max; a green frame: the right one"
        )
        columns = ("cue", "dot", "Manhattan", "learned,\nnot told", "truth")
        files.append(
            gallery(folder / f"{name}_gallery_{image_set.name}.png", title, columns, lines)
        )
    return files


def _cells(image_set: ImageSet, which: tuple[str, float], chosen: int) -> list[Cell]:
    _, examples = _split(image_set)
    shape = image_set.images.shape[1:]
    keys = rows(image_set.memory_sets(N, 1)[0])
    cues = _Spoiler(shape, 0)(*which)(keys)
    learned = _learned(_Spoiler(shape, 99), examples, KNOWN)
    cells = [Cell(cues[chosen].reshape(shape))]
    for similarity, convention in (("dot", "paper"), ("manhattan", "paper"), (learned, "standard")):
        memory = am.UniversalHopfield(similarity, "max", convention=convention)
        memory.store(keys)
        best = int(memory.scores(cues[chosen]).argmax())
        cells.append(Cell(keys[best].reshape(shape), best == chosen))
    return [*cells, Cell(keys[chosen].reshape(shape))]
