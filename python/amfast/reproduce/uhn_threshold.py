"""Figure 11 of Millidge et al.: what the retrieval threshold does to the measured accuracy."""

from __future__ import annotations

import amfast as am
from amfast.reproduce import _cues
from amfast.reproduce._images import rows
from amfast.reproduce._measure import THREE, Answers, Memories, Tally, Trial
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

THRESHOLDS = (1, 10, 25, 50, 100, 150, 200, 300, 500)
N = 250
CODE = Variant("code", "Fig. 11 as the authors' code runs: bottom half masked, max, N = 250")
CAPTION = Variant("caption", "Fig. 11 as the caption says: top half masked, max, N = 250")
BLENDS = Variant(
    "blends", "Fig. 11 with blends: bottom half masked, softmax β = 1000 instead of max, N = 250"
)


@experiment(
    "uhn-threshold",
    "fraction recalled against the error threshold that counts (Fig. 11)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Sweep the threshold; the argmax accuracy beside it does not depend on it."""
    outcome = Outcome((CODE, CAPTION, BLENDS), "threshold on the squared error")
    tally = Tally()
    with context.progress("uhn-threshold", len(context.images) * 3) as done:
        for image_set in context.images:
            sets = image_set.memory_sets(N, context.pick(5, 5, 10))
            for variant in outcome.variants:
                for images in sets:
                    corrupted = _cues.masked_top if variant is CAPTION else (
                        _cues.masked_bottom_as_in_the_code
                    )  # fmt: skip
                    trial = Trial(Memories(rows(images)), corrupted(images))
                    for similarity in THREE:
                        answers = _answers(trial, variant, similarity)
                        for threshold in THRESHOLDS:
                            tally.add(
                                variant.name,
                                image_set.title,
                                similarity,
                                threshold,
                                answers,
                                threshold,
                            )
                done(image_set.title)
    tally.into(outcome.curves)
    outcome.checks += _checks(outcome.curves)
    outcome.claims += _claims(outcome.curves)
    outcome.notes.append(
        "a threshold accepts blends of memories: where the curve by threshold lies above the flat "
        "one by argmax, answers count as recalled though the right memory did not win"
    )
    return outcome


def _answers(trial: Trial, variant: Variant, similarity: str) -> Answers:
    if variant is BLENDS:
        return trial.recall(similarity, len(trial.memories), am.Softmax(1000.0))
    return trial.recall(similarity, len(trial.memories), am.Max())


def _checks(curves: Curves) -> list[Check]:
    checks = []
    for panel in curves.names("panel"):
        falls = sum(
            later.mean < earlier.mean
            for variant in curves.names("variant")
            for line in THREE
            for points in [curves.line(variant, panel, line, THRESHOLD)]
            for earlier, later in zip(points, points[1:], strict=False)
        )
        checks.append(Check(f"{panel}: places where a larger threshold recalls less", falls, 0, 0))
        # With max a threshold can only add near-duplicates to what argmax counts.
        least = min(
            point.mean - curves.at(variant, panel, line, point.x, ARGMAX)
            for variant in (CODE.name, CAPTION.name)
            for line in THREE
            for point in curves.line(variant, panel, line, THRESHOLD)
        )
        checks.append(
            Check(f"{panel}: with max, threshold minus argmax accuracy", least, 0, 0, "at least")
        )
    return checks


def _claims(curves: Curves) -> list[Claim]:
    claims = []
    for variant in (CODE.name, CAPTION.name):
        for panel in curves.names("panel"):
            by = {
                (s, x): curves.at(variant, panel, s, x, THRESHOLD)
                for s in THREE
                for x in THRESHOLDS
            }
            where = f"{variant}, {panel}"
            flat = max(by[s, 100] - by[s, 25] for s in THREE)
            rise = min(by[s, 500] - by[s, 50] for s in THREE)
            spread = max(
                max(by[s, x] for s in THREE) - min(by[s, x] for s in THREE) for x in THRESHOLDS
            )
            claims += [
                Claim(
                    "flat around a threshold of 50",
                    where,
                    None,
                    flat <= 0.05,
                    f"largest rise from 25 to 100: {flat:.2f}",
                ),
                Claim(
                    "rises at large thresholds",
                    where,
                    None,
                    rise >= 0.05,
                    f"least rise from 50 to 500: {rise:.2f}",
                ),
                Claim(
                    "the same for all similarities",
                    where,
                    None,
                    spread <= 0.1,
                    f"largest spread between the three: {spread:.2f}",
                ),
            ]
    return claims
