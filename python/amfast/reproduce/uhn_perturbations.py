"""Figure 14 of Millidge et al.: random masks and inpainting, by similarity."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast import corrupt
from amfast.reproduce._images import Images, ImageSet, rows
from amfast.reproduce._measure import THREE, Memories, Tally, Trial, generator
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

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
N = 300
RANDOM = Variant(
    "random mask",
    "Fig. 14, caption and code: random mask of whole pixels, max, N = 300, threshold 60",
)
INPAINT = Variant(
    "inpainting", "Fig. 14, caption and code: border masked, max, N = 300, threshold 60"
)
BORDERS = {28: (1, 2, 4, 5, 7, 8, 9), 32: (1, 3, 4, 6, 8, 9, 11), 64: (3, 6, 9, 12, 16, 19, 22)}


@experiment(
    "uhn-perturbations",
    "fraction recalled under random masks and inpainting (Fig. 14)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Measure three similarities under two more perturbations."""
    outcome = Outcome((RANDOM, INPAINT), "masked fraction")
    tally = Tally()
    with context.progress("uhn-perturbations", len(context.images) * 2 * len(FRACTIONS)) as done:
        for image_set in context.images:
            sets = image_set.memory_sets(N, context.pick(5, 5, 10))
            stored = [Memories(rows(images)) for images in sets]
            for variant in outcome.variants:
                for fraction in FRACTIONS:
                    for number, (memories, images) in enumerate(zip(stored, sets, strict=True)):
                        trial = Trial(memories, _corrupt(variant, images, fraction, number))
                        for similarity in THREE:
                            answers = trial.recall(similarity, len(images), am.Max())
                            tally.add(
                                variant.name, image_set.title, similarity, fraction, answers, 60.0
                            )
                    done(image_set.title)
            outcome.checks += _checks(image_set)
    tally.into(outcome.curves)
    outcome.claims += _claims(outcome.curves)
    return outcome


def _corrupt(
    variant: Variant, images: Images, fraction: float, number: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if variant is RANDOM:
        return rows(corrupt.random_mask(images, fraction, seed=generator(14, number)))
    return rows(corrupt.inpaint(images, fraction))


def _checks(image_set: ImageSet) -> list[Check]:
    height = image_set.images.shape[1]
    blank = [
        (height - int((corrupt.inpaint(np.ones((height, height)), f)[height // 2]).sum())) // 2
        for f in FRACTIONS
    ]
    wrong = sum(a != b for a, b in zip(blank, BORDERS[height], strict=True))
    ones = np.ones((200, *image_set.images.shape[1:]), np.float32)
    share = float((corrupt.random_mask(ones, 0.3) == 0).mean())
    return [
        Check(f"{image_set.title}: borders that differ from the paper's code", wrong, 0, 0),
        Check(f"{image_set.title}: share blanked by a random mask of 0.3", share, 0.3, 0.01),
    ]


def _claims(curves: Curves) -> list[Claim]:
    claims = []
    for panel in curves.names("panel"):
        for variant, text, line, levels in (
            (INPAINT, "Manhattan the best under inpainting", "manhattan", FRACTIONS),
            (RANDOM, "dot more robust to random masks of high fractions", "dot", (0.5, 0.6, 0.7)),
        ):
            mean = {
                (s, a): curves.mean(variant.name, panel, s, levels, a)
                for s in THREE
                for a in (ARGMAX, THRESHOLD)
            }
            holds = [
                mean[line, a] >= max(mean[s, a] for s in THREE if s != line)
                for a in (ARGMAX, THRESHOLD)
            ]
            claims.append(
                Claim(
                    text,
                    f"{variant.name}, {panel}, {levels[0]:g}..{levels[-1]:g}",
                    holds[0],
                    holds[1],
                    ", ".join(
                        f"{s} {mean[s, ARGMAX]:.2f} / {mean[s, THRESHOLD]:.2f}" for s in THREE
                    ),
                )
            )
    return claims
