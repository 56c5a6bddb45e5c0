"""Figure 4 of Millidge et al.: robustness to noise and to masks, by similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import amfast as am
from amfast.reproduce import _cues
from amfast.reproduce._images import Images, ImageSet, rows
from amfast.reproduce._measure import SEVEN, SIX, THREE, Memories, Tally, Trial, generator
from amfast.reproduce._registry import (
    ARGMAX,
    THRESHOLD,
    Check,
    Claim,
    Context,
    Curves,
    Outcome,
    Variant,
    experiment,
)

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5)
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NOISE_CODE = Variant(
    "noise code",
    "Fig. 4 top as the authors' code runs: noise of std σ folded at 0, max, N = 100, threshold 60",
    x_label="noise level σ, the standard deviation",
)
NOISE_CAPTION = Variant(
    "noise caption",
    "Fig. 4 top as the caption says: noise of variance σ clipped, softmax β = 100, N = 100, "
    "threshold 50",
    x_label="noise level σ, the variance",
)
MASK_CODE = Variant(
    "mask code",
    "Fig. 4 bottom as the authors' code runs: lower rows masked, max, N = 50, threshold 60",
    x_label="masked fraction",
)
MASK_CAPTION = Variant(
    "mask caption",
    "Fig. 4 bottom as the caption says: upper rows masked, softmax β = 100, N = 100, threshold 50",
    x_label="masked fraction",
)
VARIANTS = (NOISE_CODE, NOISE_CAPTION, MASK_CODE, MASK_CAPTION)


@experiment(
    "uhn-robustness",
    "fraction recalled against noise and masked fraction, by similarity (Fig. 4)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Measure similarities under growing noise and growing masks."""
    outcome = Outcome(VARIANTS, "noise level σ or masked fraction")
    tally = Tally()
    with context.progress("uhn-robustness", len(context.images) * len(VARIANTS)) as done:
        for image_set in context.images:
            sets = image_set.memory_sets(100, context.pick(5, 5, 10))
            stored = [Memories(rows(images)) for images in sets]
            for variant in VARIANTS:
                for number, images in enumerate(sets):
                    _one_run(tally, variant, image_set, stored[number], images, number)
                done(image_set.title)
            outcome.checks += _checks(image_set, sets[0])
    tally.into(outcome.curves)
    for image_set in context.images:
        outcome.claims += _claims(outcome.curves, image_set)
    return outcome


def _one_run(
    tally: Tally,
    variant: Variant,
    image_set: ImageSet,
    memories: Memories,
    images: Images,
    number: int,
) -> None:
    n = 50 if variant is MASK_CODE else 100
    levels = LEVELS if variant in (NOISE_CODE, NOISE_CAPTION) else FRACTIONS
    for level in levels:
        trial = Trial(memories, _corrupt(variant, images, level, number))
        coded = variant in (NOISE_CODE, MASK_CODE)
        for similarity in SIX if coded else SEVEN:
            if coded:
                answers, threshold = trial.recall(similarity, n, am.Max()), 60.0
            else:
                answers, threshold = trial.recall(similarity, n, am.Softmax(100.0)), 50.0
            tally.add(variant.name, image_set.title, similarity, level, answers, threshold)


def _corrupt(variant: Variant, images: Images, level: float, number: int) -> _cues.Cues:
    # The same noise at every level, only larger: differences between levels are not chance.
    if variant is NOISE_CODE:
        return _cues.noisy(images, level, "fold", generator(4, number))
    if variant is NOISE_CAPTION:
        return _cues.noisy(images, level**0.5, "clip", generator(4, number))
    if variant is MASK_CODE:
        return _cues.masked_bottom_as_in_the_code(images, level)
    return _cues.masked_top(images, level)


def _checks(image_set: ImageSet, images: Images) -> list[Check]:
    """Count what is not finite in the library's answers to the hardest cues (PAPER.md D2)."""
    stored = np.concatenate([rows(images[:20]), np.zeros((1, image_set.size), np.float32)])
    stored = np.concatenate([stored, stored[:1]])  # a duplicate
    cues = np.concatenate([stored, _cues.noisy(images[:5], 1.5, "fold", generator(4))])
    checks = []
    for dtype in (np.float32, np.float64):
        wrong = 0
        for similarity in SIX:
            for separation in (am.Softmax(1e8), am.Polynomial(10), am.Max()):
                memory = am.UniversalHopfield(similarity, separation, convention="paper")
                memory.store(stored.astype(dtype))
                wrong += int((~np.isfinite(memory.recall(cues.astype(dtype)))).sum())
        name = np.dtype(dtype).name
        checks.append(
            Check(
                f"{image_set.title}: NaN for clean, blank and duplicate rows, {name} (D2)",
                wrong,
                0,
                0,
            )
        )
    return checks


def _claims(curves: Curves, image_set: ImageSet) -> list[Claim]:
    panel = image_set.title

    def claim(
        text: str,
        variant: Variant,
        line: str,
        levels: Sequence[float],
        holds: Callable[[float, float], bool],
    ) -> Claim:
        """Compare a line with the best of the other two, averaged over some levels."""
        verdicts, shown = [], []
        for accuracy in (ARGMAX, THRESHOLD):
            mean = {s: curves.mean(variant.name, panel, s, levels, accuracy) for s in THREE}
            verdicts.append(holds(mean[line], max(mean[s] for s in THREE if s != line)))
            shown.append(mean)
        evidence = ", ".join(f"{s} {shown[0][s]:.2f} / {shown[1][s]:.2f}" for s in THREE)
        where = f"{variant.name}, {panel}, {levels[0]:g}..{levels[-1]:g}"
        return Claim(text, where, verdicts[0], verdicts[1], evidence)

    claims = [
        claim(
            "dot the most robust to very high noise",
            variant,
            "dot",
            (0.8, 1.0, 1.5),
            lambda mine, others: mine > others,
        )
        for variant in (NOISE_CODE, NOISE_CAPTION)
    ]
    for variant in (MASK_CODE, MASK_CAPTION):
        claims.append(
            claim(
                "Manhattan the best at small and moderate masks",
                variant,
                "manhattan",
                (0.1, 0.2, 0.3, 0.4, 0.5),
                lambda mine, others: mine >= others,
            )
        )
        if image_set.name == "tinyimagenet":
            claims.append(
                claim(
                    "dot better than Manhattan at extreme masks",
                    variant,
                    "dot",
                    (0.8, 0.9),
                    lambda mine, others: mine > others,
                )
            )
    return claims
