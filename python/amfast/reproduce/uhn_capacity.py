"""Figure 2 of Millidge et al.: capacity by similarity; and what a blank row does (PAPER.md B7)."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast.reproduce import _cues
from amfast.reproduce._images import Images, ImageSet, rows
from amfast.reproduce._measure import (
    SEVEN,
    SIX,
    THREE,
    Memories,
    Rows,
    Tally,
    Trial,
    best,
    generator,
    literal_scores,
    sizes_up_to,
)
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

SIZES = (2, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000)
CODE = Variant(
    "code",
    "Fig. 2 as the authors' code runs: noise of std 0.5 folded at 0, max, threshold 60·784/D",
)
NOISE = Variant(
    "caption noise",
    "Fig. 2 as the caption says: noise of variance 0.5 clipped, softmax β = 100, threshold 50",
)
MASK = Variant(
    "caption mask",
    "Fig. 2 as the caption says: top half masked, softmax β = 100, threshold 50",
)
_BLANK_AT, _BLANK_OF = 12, 50


@experiment(
    "uhn-capacity",
    "fraction recalled against the number of memories, by similarity (Fig. 2)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Measure the capacity of the similarities."""
    limit = context.pick(100, 300, 1000)
    sizes = sizes_up_to(limit, SIZES)
    outcome = Outcome((CODE, NOISE, MASK), "stored images N", log_x=True)
    tally = Tally()
    with context.progress(
        "uhn-capacity", len(context.images) * (len(SIX) + 2 * len(SEVEN))
    ) as done:
        for image_set in context.images:
            sets = image_set.memory_sets(limit, context.pick(5, 5, 10))
            stored = [Memories(rows(images)) for images in sets]
            for variant in outcome.variants:
                trials = [
                    Trial(memories, _corrupt(variant, images, number))
                    for number, (memories, images) in enumerate(zip(stored, sets, strict=True))
                ]
                for similarity in SIX if variant is CODE else SEVEN:
                    for trial in trials:
                        for n in sizes:
                            _measure(tally, variant, image_set, similarity, trial, n)
                    done(image_set.title)
    tally.into(outcome.curves)
    blank: list[tuple[str, ...]] = []
    for image_set in context.images:
        images = image_set.memory_sets(limit, 1)[0]
        outcome.checks += _checks(image_set, images)
        outcome.checks.append(_manhattan_leads(outcome.curves, image_set, sizes))
        if image_set.name == "fashion_mnist":
            outcome.checks += _clean_dot(image_set)
        compared, checks = _blank_row(image_set, images[:_BLANK_OF])
        blank += compared
        outcome.checks += checks
    outcome.tables.append(
        Table(
            "blank-row",
            f"One blank row among {_BLANK_OF} memories, lower half masked, recalled by argmax. The "
            "code's\nnormalisation makes all scores NaN (B7); amfast scores a blank row 0.",
            ("images", "similarity", "no blank row", "blank, the code", "blank, amfast"),
            blank,
        )
    )
    outcome.claims += _claims(outcome.curves, context, sizes)
    outcome.notes.append(
        "the authors' loader makes blank rows of grey Tiny ImageNet files; here they are grey"
    )
    return outcome


def _corrupt(variant: Variant, images: Images, number: int) -> _cues.Cues:
    if variant is CODE:
        return _cues.noisy(images, 0.5, "fold", generator(2, number))
    if variant is NOISE:
        return _cues.noisy(images, 0.5**0.5, "clip", generator(2, number))
    return _cues.masked_top(images)


def _measure(
    tally: Tally, variant: Variant, image_set: ImageSet, similarity: str, trial: Trial, n: int
) -> None:
    if variant is CODE:
        answers, threshold = trial.recall(similarity, n, am.Max()), 60 * 784 / image_set.size
    else:
        answers, threshold = trial.recall(similarity, n, am.Softmax(100.0)), 50.0
    tally.add(variant.name, image_set.title, similarity, n, answers, threshold)


def _checks(image_set: ImageSet, images: Images) -> list[Check]:
    title, n = image_set.title, min(100, len(images))
    memories = Memories(rows(images[:n]))
    checks = []
    for similarity in ("manhattan", "sqeuclidean", "kl"):
        memory = am.UniversalHopfield(similarity, "max")
        memory.store(memories.rows)
        exact = (memory.recall(memories.rows) == memories.rows).all(axis=1).mean()
        checks.append(
            Check(f"{title}: clean cues, {similarity} + max, exact (C6)", float(exact), 1, 0)
        )
    half = Trial(memories, _cues.masked_top(images[:n]))
    for similarity in THREE:
        gap = half.library_gap(similarity, n, am.Softmax(100.0))
        checks.append(
            Check(f"{title}: recall, library and figure (D1), {similarity}", gap, 0, 1e-4)
        )
    return checks


def _manhattan_leads(curves: Curves, image_set: ImageSet, sizes: list[int]) -> Check:
    """Compare the winners under half masks, which are those of max for any softmax."""
    mean = {
        s: curves.mean(MASK.name, image_set.title, s, [n for n in sizes if n >= 50], ARGMAX)
        for s in THREE
    }
    lead = mean["manhattan"] - max(mean["dot"], mean["sqeuclidean"])
    if image_set.is_grey:
        what, expected = "about as good as dot and Euclidean", -0.1
    else:
        what, expected = "clearly better than dot and Euclidean", 0.05
    name = f"{image_set.title}: half masked, max: Manhattan {what} (D5)"
    return Check(name, lead, expected, 0, "at least")


def _clean_dot(image_set: ImageSet) -> list[Check]:
    """Show that the paper's normalised dot misses even clean cues, as PAPER.md C6 measured."""
    checks = []
    for n, expected in ((100, 0.83), (500, 0.70)):
        right = []
        for images in image_set.memory_sets(n, 5):
            trial = Trial(Memories(rows(images)), rows(images))
            right.append(trial.recall("dot", n, am.Max()).by_argmax)
        name = f"{image_set.title}: clean cues, normalised dot + max, N = {n} (C6)"
        checks.append(Check(name, float(np.mean(right)), expected, 0.05))
    return checks


def _blank_row(image_set: ImageSet, images: Images) -> tuple[list[tuple[str, ...]], list[Check]]:
    """Put one blank row among the memories and compare amfast with the authors' formulas."""
    stored = images.copy()
    stored[_BLANK_AT] = 0
    cues = _cues.masked_bottom_as_in_the_code(stored)
    with_blank = Trial(Memories(rows(stored)), cues)
    before = Trial(Memories(rows(images)), _cues.masked_bottom_as_in_the_code(images))
    compared, checks = [], []
    for similarity in ("dot", "kl", "reverse_kl", "manhattan"):
        # The literal argmax: the first NaN wins, as in torch and NumPy.
        literal = literal_scores(similarity, cues, with_blank.memories.rows).argmax(axis=1)
        accuracies = (
            before.recall(similarity, len(images), am.Max()).by_argmax,
            float((literal == np.arange(len(literal))).mean()),
            with_blank.recall(similarity, len(images), am.Max()).by_argmax,
        )
        compared.append((image_set.title, similarity, *(f"{value:.2f}" for value in accuracies)))
        name = f"{image_set.title}: rankings changed by a blank memory, {similarity} (D2)"
        checks.append(Check(name, _rankings_changed(similarity, rows(stored), cues), 0, 0))
    return compared, checks


def _rankings_changed(similarity: str, stored: Rows, cues: _cues.Cues) -> float:
    """Return the share of places that change when the library forgets the blank row."""
    others = np.delete(np.arange(len(stored)), _BLANK_AT)
    rankings = []
    for chosen in (np.arange(len(stored)), others):
        memory = am.UniversalHopfield(similarity, "identity", convention="paper")
        memory.store(stored[chosen])
        weights = memory.weights(cues[others])
        if len(chosen) == len(stored):
            weights = np.delete(weights, _BLANK_AT, axis=1)
        rankings.append(np.argsort(-weights, axis=1, kind="stable"))
    return float((rankings[0] != rankings[1]).mean())


def _claims(curves: Curves, context: Context, sizes: list[int]) -> list[Claim]:
    claims = []
    large = [n for n in sizes if n >= 50]
    for variant in (CODE, NOISE, MASK):
        similarities = SIX if variant is CODE else SEVEN
        for image_set in context.images:
            panel = image_set.title
            mean = {
                (s, a): curves.mean(variant.name, panel, s, large, a)
                for s in similarities
                for a in (ARGMAX, THRESHOLD)
            }
            lead = {
                a: mean["manhattan", a] - max(mean["dot", a], mean["sqeuclidean", a])
                for a in (ARGMAX, THRESHOLD)
            }
            where = f"{variant.name}, {panel}"
            said, needed = _said(image_set)
            holds = [
                abs(lead[a]) <= 0.1 if needed is None else lead[a] >= needed
                for a in (ARGMAX, THRESHOLD)
            ]
            shown = ", ".join(
                f"{s} {mean[s, ARGMAX]:.2f} / {mean[s, THRESHOLD]:.2f}" for s in THREE
            )
            claims.append(Claim(said, where, holds[0], holds[1], shown))
            worst = {a: min(mean[s, a] for s in THREE) for a in (ARGMAX, THRESHOLD)}
            other = {
                a: best([mean[s, a] for s in similarities if s not in THREE])
                for a in (ARGMAX, THRESHOLD)
            }
            claims.append(
                Claim(
                    "KL, reverse KL and JS substantially worse than the three",
                    where,
                    other[ARGMAX] <= worst[ARGMAX] - 0.1,
                    other[THRESHOLD] <= worst[THRESHOLD] - 0.1,
                    ", ".join(
                        f"{s} {mean[s, ARGMAX]:.2f} / {mean[s, THRESHOLD]:.2f}"
                        for s in similarities
                        if s not in THREE
                    ),
                )
            )
            drop = {
                a: best(
                    [
                        curves.at(variant.name, panel, s, sizes[0], a)
                        - curves.at(variant.name, panel, s, sizes[-1], a)
                        for s in THREE
                    ]
                )
                for a in (ARGMAX, THRESHOLD)
            }
            claims.append(
                Claim(
                    "the curves of the three are roughly flat in N",
                    where,
                    drop[ARGMAX] <= 0.15,
                    drop[THRESHOLD] <= 0.15,
                    f"largest loss from N = {sizes[0]} to {sizes[-1]}: "
                    f"{drop[ARGMAX]:.2f} / {drop[THRESHOLD]:.2f}",
                )
            )
    return claims


def _said(image_set: ImageSet) -> tuple[str, float | None]:
    """Return what the paper says of Manhattan on such images, and the lead that takes."""
    if image_set.is_grey:
        return "Manhattan about equal to Euclidean and dot", None
    if image_set.name == "cifar10":
        return "Manhattan slightly better than Euclidean and dot", 0.01
    return "Manhattan substantially better than Euclidean and dot", 0.1
