"""Figure 3 of Millidge et al.: capacity by separation function, half-masked images."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast.reproduce import _cues
from amfast.reproduce._images import ImageSet, rows
from amfast.reproduce._measure import Memories, Tally, Trial, sizes_up_to
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

SIZES = (5, 7, 10, 20, 50, 100, 200, 300, 500, 700, 1000)
SEPARATIONS: dict[str, am.Separation] = {
    "max": am.Max(),
    "softmax": am.Softmax(),
    "10th order": am.Polynomial(10),
    "quartic": am.Polynomial(4),
    "cube": am.Polynomial(3),
    "square": am.Polynomial(2),
    "sqrt": am.Sqrt(),
    "identity": am.Identity(),
    "log": am.Log(),
}
CODE = Variant(
    "code",
    "Fig. 3 as the authors' code runs: bottom half masked, Manhattan, softmax β = 1000, "
    "threshold 60",
)
CAPTION = Variant(
    "caption",
    "Fig. 3 as the caption says: top half masked, normalised dot, softmax β = 1, threshold 50",
)
_SETTINGS = {CODE.name: ("manhattan", 1000.0, 60.0), CAPTION.name: ("dot", 1.0, 50.0)}


@experiment(
    "uhn-separation",
    "fraction recalled against the number of memories, by separation (Fig. 3)",
    images=True,
)
def run(context: Context) -> Outcome:
    """Measure the capacity of nine separations."""
    limit = context.pick(100, 300, 1000)
    sizes = sizes_up_to(limit, SIZES)
    outcome = Outcome((CODE, CAPTION), "stored images N", log_x=True)
    tally = Tally()
    with context.progress("uhn-separation", len(context.images) * 2 * len(SEPARATIONS)) as done:
        for image_set in context.images:
            sets = image_set.memory_sets(limit, context.pick(5, 5, 10))
            for variant in outcome.variants:
                corrupted = (
                    _cues.masked_bottom_as_in_the_code if variant is CODE else _cues.masked_top
                )
                trials = [Trial(Memories(rows(images)), corrupted(images)) for images in sets]
                similarity, beta, threshold = _SETTINGS[variant.name]
                for name, separation in SEPARATIONS.items():
                    separate = am.Softmax(beta) if name == "softmax" else separation
                    for trial in trials:
                        for n in sizes:
                            answers = trial.recall(similarity, n, separate)
                            tally.add(variant.name, image_set.title, name, n, answers, threshold)
                    done(image_set.title)
                outcome.checks += _checks(trials[0], variant, image_set)
    tally.into(outcome.curves)
    outcome.claims += _claims(outcome.curves, context, sizes)
    outcome.notes.append(
        "argmax accuracy is the same for every separation but log: all others keep the order of "
        "the scores, log turns it round (logarithms below 0, divided by their negative sum)"
    )
    return outcome


def _checks(trial: Trial, variant: Variant, image_set: ImageSet) -> list[Check]:
    similarity = _SETTINGS[variant.name][0]
    n = min(50, len(trial.memories))
    name = f"{image_set.title}, {variant.name}"
    checks = [
        Check(
            f"{name}: recall, library and figure (D1), {kind}",
            trial.library_gap(similarity, n, given),
            0,
            1e-4,
        )
        for kind, given in (
            ("softmax", am.Softmax(1000.0)),
            ("10th order", am.Polynomial(10)),
            ("identity", am.Identity()),
        )
    ]
    recalled = []
    for separation in (am.Softmax(1e8), am.Max()):
        memory = am.UniversalHopfield(similarity, separation, convention="paper")
        memory.store(trial.memories.rows[:n].astype(np.float64))
        recalled.append(memory.recall(trial.cues[:n].astype(np.float64)))
    worst = float(np.abs(recalled[0] - recalled[1]).max(axis=1).mean())
    checks.append(Check(f"{name}: softmax at β = 1e8 is max (C7), mean gap", worst, 0, 0.02))
    return checks


def _claims(curves: Curves, context: Context, sizes: list[int]) -> list[Claim]:
    """Judge by threshold alone: by argmax all separations but log are the same."""
    claims = []
    large = [n for n in sizes if n >= 50]
    for variant in (CODE, CAPTION):
        gaps: dict[str, float] = {}
        for image_set in context.images:
            panel = image_set.title
            mean = {
                (s, a): curves.mean(variant.name, panel, s, large, a)
                for s in SEPARATIONS
                for a in (ARGMAX, THRESHOLD)
            }
            high, low = ("max", "10th order"), ("square", "identity", "sqrt", "log")
            lead = min(mean[s, THRESHOLD] for s in high) - max(mean[s, THRESHOLD] for s in low)
            gaps[panel] = lead
            where = f"{variant.name}, {panel}"
            claims.append(
                Claim(
                    "max and 10th order far above square, identity, sqrt and log",
                    where,
                    None,
                    lead >= 0.1,
                    ", ".join(
                        f"{s} {mean[s, ARGMAX]:.2f} / {mean[s, THRESHOLD]:.2f}"
                        for s in ("max", "10th order", "square", "identity", "log")
                    ),
                )
            )
            behind = mean["10th order", THRESHOLD] - mean["softmax", THRESHOLD]
            claims.append(
                Claim(
                    f"softmax (β = {_SETTINGS[variant.name][1]:g}) below 10th order",
                    where,
                    None,
                    behind > 0,
                    f"softmax {mean['softmax', ARGMAX]:.2f} / {mean['softmax', THRESHOLD]:.2f}",
                )
            )
        if len(gaps) > 1:
            by_size = sorted(context.images, key=lambda image_set: image_set.size)
            first, last = by_size[0].title, by_size[-1].title
            claims.append(
                Claim(
                    "the gap grows with the complexity of the images",
                    variant.name,
                    None,
                    gaps[last] > gaps[first],
                    ", ".join(f"{panel} {gap:.2f}" for panel, gap in gaps.items()),
                )
            )
    return claims
