"""Figures 5, 7, 8, 10, 12 and 13 of Millidge et al.: cues, what is recalled, and the truth.

A picture shows one image per data set, the one that a middling number of levels spoil; the numbers
beside it are of all images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import amfast as am
from amfast import corrupt
from amfast._typing import Array, Float
from amfast.reproduce import _cues
from amfast.reproduce._gallery import Cell, gallery
from amfast.reproduce._images import Images, ImageSet, rows
from amfast.reproduce._measure import Memories, Tally, Trial, generator
from amfast.reproduce._registry import (
    ARGMAX,
    THRESHOLD,
    Check,
    Claim,
    Context,
    Curves,
    Outcome,
    Table,
    Variant,
    experiment,
)

NOISE = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5)
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BLANKED = FRACTIONS[:7]
PERFECT_TO = 0.5
PERFECT = 0.995  # of all images
# Figure 10: errors whose examples are shown.
BUCKETS = (1, 10, 25, 50, 75, 100, 200, 500)
MODERN, CLASSIC = 15, 5  # stored images of figure 5
SHARP = 1e5


@dataclass(frozen=True)
class _Figure:
    """One reading of a figure."""

    variant: Variant
    n: int
    levels: tuple[float, ...]
    spoil: Callable[[Images, float, int], Array]
    coded: bool
    """Whether as the authors' code runs: max and a threshold of 60, not softmax and 50."""
    claim: str = ""
    """What the paper says of levels up to `PERFECT_TO`, if anything."""

    @property
    def separation(self) -> am.Separation:
        return am.Max() if self.coded else am.Softmax(100.0)

    @property
    def threshold(self) -> float:
        return 60.0 if self.coded else 50.0


def _each_value(images: Images, fraction: float, number: int) -> Array:
    """Mask every channel of every pixel on its own, as the code of figure 12 does."""
    kept = generator(12, number).random(images.shape) > fraction
    return rows(images * kept)


def _whole_pixels(images: Images, fraction: float, number: int) -> Array:
    return rows(corrupt.random_mask(images, fraction, seed=generator(12, number)))


def _noise(mode: Literal["fold", "clip"], power: float) -> Callable[[Images, float, int], Array]:
    # The same noise at every level, only larger.
    return lambda images, level, number: _cues.noisy(
        images, level**power, mode, generator(7, number)
    )


FIGURES = (
    _Figure(
        Variant(
            "fig 7 code",
            "Fig. 7 as the code runs: noise of std σ folded at 0, Manhattan, max, N = 100",
            "noise level σ, the standard deviation",
        ),
        100, NOISE, _noise("fold", 1.0), True, "perfect recall up to noise of variance 0.5",
    ),
    _Figure(
        Variant(
            "fig 7 caption",
            "Fig. 7 as the caption says: noise of variance σ clipped, Manhattan, softmax β = 100, "
            "N = 100",
            "noise level σ, the variance",
        ),
        100, NOISE, _noise("clip", 0.5), False, "perfect recall up to noise of variance 0.5",
    ),
    _Figure(
        Variant("fig 8 code", "Fig. 8 as the code runs: lower rows masked, Manhattan, max, N = 50"),
        50, FRACTIONS, lambda images, level, _: _cues.masked_bottom_as_in_the_code(images, level),
        True, "perfect recall up to a mask of 0.5",
    ),
    _Figure(
        Variant(
            "fig 8 caption",
            "Fig. 8 as the caption says: upper rows masked, Manhattan, softmax β = 100, N = 50",
        ),
        50, FRACTIONS, lambda images, level, _: _cues.masked_top(images, level),
        False, "perfect recall up to a mask of 0.5",
    ),
    _Figure(
        Variant(
            "fig 12 code",
            "Fig. 12 as the code runs: every value masked on its own, Manhattan, max, N = 50",
        ),
        50, BLANKED, _each_value, True,
    ),
    _Figure(
        Variant("fig 12 caption", "Fig. 12 by whole pixels: Manhattan, max, N = 50"),
        50, BLANKED, _whole_pixels, True,
    ),
    _Figure(
        Variant("fig 13", "Fig. 13, caption and code: border masked, Manhattan, max, N = 50"),
        50, BLANKED, lambda images, level, _: rows(corrupt.inpaint(images, level)), True,
    ),
)  # fmt: skip


@experiment(
    "uhn-examples",
    "cues, recalled images and truths at every level of corruption (Figs. 5, 7, 8, 10, 12, 13)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Recall by Manhattan at every level, show one image, and judge the captions by all."""
    outcome = Outcome(tuple(f.variant for f in FIGURES), "masked fraction")
    tally = Tally()
    runs = context.pick(3, 5, 10)
    bucket_size = context.pick(300, 1000, 1000)
    with context.progress("uhn-examples", len(context.images) * len(FIGURES)) as done:
        for image_set in context.images:
            for figure in FIGURES:
                for number, images in enumerate(image_set.memory_sets(figure.n, runs)):
                    stored = Memories(rows(images))
                    for level in figure.levels:
                        trial = Trial(stored, figure.spoil(images, level, number))
                        answers = trial.recall("manhattan", figure.n, figure.separation)
                        tally.add(figure.variant.name, image_set.title, "manhattan", level,
                                  answers, figure.threshold)  # fmt: skip
                done(image_set.title)
            outcome.checks += _checks(image_set)
            outcome.claims += _hetero_claims(image_set)
    tally.into(outcome.curves)
    outcome.claims += [
        _claim(outcome.curves, figure, image_set.title)
        for figure in FIGURES
        if figure.claim
        for image_set in context.images
    ]
    outcome.tables += [
        _perfect(outcome.curves, context.images),
        _bucket_table(context.images, bucket_size),
    ]
    outcome.notes.append(
        "pictures: cue, recall, truth; a green frame: the right image has the largest weight"
    )
    outcome.draw = functools.partial(_draw, context.images, bucket_size)
    return outcome


def _recalled(
    images: Images,
    cues: Array,
    similarity: str,
    separation: am.Separation,
    values: Array | None = None,
) -> tuple[Array, Array]:
    """Recall by the library: answers (n, d), and whether the right image weighs most (n,)."""
    memory = am.UniversalHopfield(similarity, separation, convention="paper")
    memory.store(rows(images), values)
    winners = memory.weights(cues).argmax(axis=1)
    return memory.recall(cues), winners == np.arange(len(cues))


def _checks(image_set: ImageSet) -> list[Check]:
    """Compare the library's answers, which are drawn, with the numbers' own arithmetic."""
    worst, differ = 0.0, 0
    for figure in FIGURES:
        images = image_set.memory_sets(figure.n, 1)[0]
        cues = figure.spoil(images, PERFECT_TO, 0)
        _, right = _recalled(images, cues, "manhattan", figure.separation)
        trial = Trial(Memories(rows(images)), cues)
        counted = trial.recall("manhattan", figure.n, figure.separation)
        differ += int((right != (counted.winner == np.arange(figure.n))).sum())
        worst = max(worst, trial.library_gap("manhattan", figure.n, figure.separation))
    title = image_set.title
    return [
        Check(f"{title}: images recalled here and not there, library and figure", differ, 0, 0),
        Check(f"{title}: recall, library and figure (D1)", worst, 0, 1e-4),
    ]


# -- verdicts -------------------------------------------------------------------------------------


def _claim(curves: Curves, figure: _Figure, panel: str) -> Claim:
    """Judge a caption: whether all images are recalled up to the level that it names."""
    name, levels = figure.variant.name, [x for x in figure.levels if x <= PERFECT_TO]
    least = {
        accuracy: min(curves.at(name, panel, "manhattan", x, accuracy) for x in levels)
        for accuracy in (ARGMAX, THRESHOLD)
    }
    return Claim(
        figure.claim,
        f"{name}, {panel}",
        least[ARGMAX] >= PERFECT,
        least[THRESHOLD] >= PERFECT,
        f"at {PERFECT_TO:g}: {curves.at(name, panel, 'manhattan', PERFECT_TO, ARGMAX):.2f} / "
        f"{curves.at(name, panel, 'manhattan', PERFECT_TO, THRESHOLD):.2f}; perfect to "
        f"{_reach(curves, figure, panel, ARGMAX)} / {_reach(curves, figure, panel, THRESHOLD)}",
    )


def _reach(curves: Curves, figure: _Figure, panel: str, accuracy: str) -> str:
    """Return the last level up to which all images are recalled."""
    reached = "none"
    for level in figure.levels:
        if curves.at(figure.variant.name, panel, "manhattan", level, accuracy) < PERFECT:
            break
        reached = f"{level:g}"
    return reached


def _perfect(curves: Curves, image_sets: Sequence[ImageSet]) -> Table:
    return Table(
        "perfect",
        f"The last level up to which {PERFECT:.1%} of the images are recalled, by argmax / by "
        "threshold",
        ("figure", *(image_set.title for image_set in image_sets)),
        [
            (
                figure.variant.name,
                *(
                    f"{_reach(curves, figure, s.title, ARGMAX)} / "
                    f"{_reach(curves, figure, s.title, THRESHOLD)}"
                    for s in image_sets
                ),
            )
            for figure in FIGURES
        ],
    )


def _hetero(image_set: ImageSet) -> dict[str, tuple[Images, Array, Array]]:
    """Recall the lower half from the upper one (figure 5): images, answers, whether right."""
    found = {}
    for name, n, similarity in (
        ("modern\nManhattan", MODERN, "manhattan"),
        ("“classic”\nas coded: dot", CLASSIC, "dot"),
    ):
        images = image_set.memory_sets(n, 1)[0]
        answers, right = _recalled(
            images, _shown(images), similarity, am.Softmax(SHARP), _missing(images)
        )
        found[name] = images, answers, right
    images = image_set.memory_sets(CLASSIC, 1)[0]
    answers = _classic(images)
    nearest = am.topk(answers, _signs(_missing(images)), 1, "sqeuclidean")[1][:, 0]
    found["classic\nby Eq. 12"] = (
        images, (answers + 1) / 2, nearest == np.arange(CLASSIC),
    )  # fmt: skip
    return found


def _shown(images: Images) -> Array:
    return rows(corrupt.mask(images, 0.5, keep="top"))


def _missing(images: Images) -> Array:
    return rows(corrupt.mask(images, 0.5, keep="bottom"))


def _signs(x: Array) -> Float:
    return np.where(x > 0.5, 1.0, -1.0)


def _classic(images: Images) -> Float:
    """``sign(P M' q)`` of binarised images: the network of figure 5 by its equation."""
    memory = am.UniversalHopfield("dot", "identity", normalize=False, readout="sign")
    memory.store(_signs(rows(images)), _signs(_missing(images)))
    return np.asarray(memory.recall(_signs(_shown(images))), np.float64)


def _hetero_claims(image_set: ImageSet) -> list[Claim]:
    return [
        Claim(
            f"every missing half is recalled, {' '.join(name.split())}",
            f"fig 5, {image_set.title}, N = {len(right)}",
            bool(right.all()),
            None,
            f"{right.mean():.2f}",
        )
        for name, (*_, right) in _hetero(image_set).items()
    ]


# -- figure 10 ------------------------------------------------------------------------------------


def _buckets(image_set: ImageSet, size: int) -> tuple[Images, Array, Array, Array, Float]:
    """Recall from many images as figure 10 does: images, cues, answers, right, errors."""
    images = image_set.memory_sets(size, 1)[0]
    cues = _cues.noisy(images, 0.2, "fold", generator(10))
    answers, right = _recalled(images, cues, "manhattan", am.Softmax(8000.0))
    truth = rows(images)
    error = ((_to_mean(truth) - _to_mean(answers)) ** 2).sum(axis=1)
    return images, cues, answers, right, error


def _to_mean(x: Array) -> Float:
    """Rows over their means: the code's D x / sum(x), a blank row staying 0."""
    mean = x.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(x / np.where(mean == 0, 1.0, mean))


def _bucket_table(image_sets: Sequence[ImageSet], size: int) -> Table:
    lines = []
    for image_set in image_sets:
        images, _, _, right, error = _buckets(image_set, size)
        shares = [f"{(error <= t).mean():.2f}" for t in BUCKETS]
        lines.append((f"{image_set.title}, N = {len(images)}", f"{right.mean():.2f}", *shares))
    return Table(
        "buckets",
        "Fig. 10: share of images recalled with at most that error of rows over their means; noise "
        "of std 0.2,\nManhattan, softmax 8000",
        ("images", "by argmax", *(str(t) for t in BUCKETS)),
        lines,
    )


# -- pictures -------------------------------------------------------------------------------------


def _draw(
    image_sets: Sequence[ImageSet], size: int, outcome: Outcome, name: str, folder: Path
) -> list[Path]:
    files = []
    for figure in FIGURES:
        lines: list[tuple[str, list[Cell]]] = []
        for image_set in image_sets:
            lines += _levels(figure, image_set)
        path = folder / f"{name}_{figure.variant.name.replace(' ', '-')}.png"
        files.append(gallery(path, figure.variant.title, [f"{x:g}" for x in figure.levels], lines))
    for image_set in image_sets:
        path = folder / f"{name}_fig-5_{image_set.name}.png"
        lines = [
            line
            for what, found in _hetero(image_set).items()
            for line in _three_rows(what, found[0][:CLASSIC], _shown(found[0][:CLASSIC]), found[1],
                                    _missing(found[0][:CLASSIC]), found[2])
        ]  # fmt: skip
        title = f"Fig. 5, {image_set.title}: the lower half recalled from the upper"
        files.append(gallery(path, title, [""] * CLASSIC, lines))
        path = folder / f"{name}_fig-10_{image_set.name}.png"
        images, cues, answers, right, error = _buckets(image_set, size)
        chosen = [int(np.abs(error - t).argmin()) for t in BUCKETS]
        title = f"Fig. 10, {image_set.title}: errors near those of the buckets"
        lines = _three_rows("", images[chosen], cues[chosen], answers[chosen],
                            rows(images[chosen]), right[chosen])  # fmt: skip
        files.append(gallery(path, title, [f"{error[i]:.0f}" for i in chosen], lines))
    return files


def _levels(figure: _Figure, image_set: ImageSet) -> list[tuple[str, list[Cell]]]:
    """Return three rows: one image at every level."""
    images = image_set.memory_sets(figure.n, 1)[0]
    spoilt = [figure.spoil(images, level, 0) for level in figure.levels]
    found = [_recalled(images, cues, "manhattan", figure.separation) for cues in spoilt]
    reached = np.sum([right for _, right in found], axis=0)
    i = int(np.argsort(reached, kind="stable")[len(reached) // 2])
    return _three_rows(
        image_set.title.replace(" ", "\n", 1),
        np.repeat(images[i : i + 1], len(found), axis=0),
        np.array([cues[i] for cues in spoilt]),
        np.array([answers[i] for answers, _ in found]),
        np.repeat(rows(images[i : i + 1]), len(found), axis=0),
        np.array([right[i] for _, right in found]),
    )


def _three_rows(
    label: str, images: Images, cues: Array, answers: Array, truth: Array, right: Array
) -> list[tuple[str, list[Cell]]]:
    shape = images.shape[1:]
    return [
        (f"{label}\ncue".strip(), [Cell(x.reshape(shape)) for x in cues]),
        ("recall", [
            Cell(x.reshape(shape), bool(good))
            for x, good in zip(answers, right, strict=False)
        ][: len(images)]),
        ("truth", [Cell(x.reshape(shape)) for x in truth]),
    ]  # fmt: skip
