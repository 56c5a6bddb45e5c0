"""Attention as a sparse distributed memory: radii, temperatures, and where the two differ."""

from __future__ import annotations

import math

import numpy as np

import amfast as am
from amfast import theory
from amfast.reproduce._random import flipped, generator, signs
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Mark,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)

BITS, ITEMS = 64, 1024
LOCATIONS = 2**BITS  # every address is a hard location
BETAS = {5: 31.1, 7: 23.6, 11: 14.9, 15: 9.7}
RADII = (5, 11)


@experiment("sdm-attention", "softmax attention as a sparse distributed memory, n = 64, m = 1024")
def run(context: Context) -> Outcome:
    """Derive Bricken and Pehlevan's radii and temperatures, and compare both memories' weights."""
    snr = theory.sdm_best_radius(BITS, LOCATIONS, ITEMS)
    capacity = theory.sdm_capacity_radius(BITS, LOCATIONS)
    reach = {r: theory.sdm_critical_distance(BITS, LOCATIONS, r, ITEMS, autoassociative=False)
             for r in range(3, 25)}  # fmt: skip
    best = max(reach, key=lambda r: reach[r])
    betas = {r: float(am.ContinuousSDM(r, BITS).beta or math.nan) for r in BETAS}
    outcome = Outcome()
    outcome.checks += [
        Check("radius of the best signal to noise, d_SNR", snr, 11, 0),
        Check("radius of the largest capacity, d_Mem", capacity, 5, 0),
    ]
    outcome.checks += [
        Check.relative(f"beta of radius {r}", betas[r], known, 0.05) for r, known in BETAS.items()
    ]
    linear = {r: _correlation(r) for r in BETAS}
    outcome.checks += [
        Check(f"log overlap against cosine, radius {r}: R^2", found, 0.93, 0, "at least")
        for r, found in linear.items()
    ]
    weight = {
        (r, d): theory.attention_target_weight(r, BITS, ITEMS, d) for r in RADII for d in range(33)
    }
    drawn = {d: _drawn_weight(11, d, context.pick(20, 100, 1000)) for d in (0, 5, 10, 15, 20)}
    outcome.checks += [
        Check("radius 11, 5 bits off: weight of the target, SDM", weight[11, 5][0], 0.999, 0.001),
        Check(
            "radius 11, 5 bits off: weight of the target, softmax", weight[11, 5][1], 0.98, 0.002
        ),
    ]
    outcome.claims += [
        Claim.plain(
            "softmax with beta(radius) weighs items as the sparse distributed memory does",
            "radius 11, 10 bits off",
            abs(weight[11, 10][0] - weight[11, 10][1]) < 0.02,
            f"target's weight {weight[11, 10][0]:.3f} (SDM), {weight[11, 10][1]:.3f} (softmax): "
            "the overlap of circles falls faster in the tail than any softmax",
        ),
        Claim.plain(
            "radius 15 has the largest critical distance, d_CD",
            "n = 64, m = 1024",
            best == 15,
            f"largest at radius {best}; within one bit of it from radius "
            f"{min(r for r in reach if reach[r] > reach[best] - 1)} to "
            f"{max(r for r in reach if reach[r] > reach[best] - 1)}",
        ),
    ]
    outcome.tables.append(
        Table(
            "beta",
            "Temperature of the softmax that stands for a radius",
            ("radius", "beta", "known", "R^2 of the line", "critical distance"),
            [
                (
                    str(r),
                    f"{betas[r]:.2f}",
                    f"{BETAS[r]:.1f}",
                    f"{linear[r]:.3f}",
                    f"{reach[r]:.1f}",
                )
                for r in BETAS
            ],
        )
    )
    outcome.panels += [_overlap_panel(betas), _weight_panel(weight, drawn)]
    return outcome


def _correlation(radius: int) -> float:
    """Return R^2 of the line through the logarithm of the overlap, distances up to the radius."""
    d = np.arange(radius + 1)
    return float(
        np.corrcoef(1 - 2 * d / BITS, theory.log_circle_overlap(BITS, radius)[d])[0, 1] ** 2
    )


def _drawn_weight(radius: int, distance: int, repeats: int) -> float:
    """Return the mean weight that a `ContinuousSDM` of random words gives to the target."""
    total = 0.0
    for i in range(repeats):
        rng = generator(radius, distance, i)
        words = signs(rng, ITEMS, BITS)
        memory = am.ContinuousSDM(radius, BITS)
        memory.store(words.astype(np.float32))
        cue = flipped(rng, words[:1], distance).astype(np.float32)
        total += float(memory.weights(cue)[0, 0]) / repeats
    return total


def _overlap_panel(betas: dict[int, float]) -> Panel:
    series = []
    for colour, radius in enumerate(RADII):
        overlap = theory.log_circle_overlap(BITS, radius)
        seen = np.arange(2 * radius + 1)
        cosines = 1 - 2 * seen / BITS
        fitted = np.arange(radius + 1)
        line = betas[radius] * cosines
        # The line's height is free: softmax divides it out. It is drawn through the fitted points.
        line += (overlap[fitted] - line[fitted]).mean()
        series += [
            Series(
                f"radius {radius}: circles' overlap",
                cosines.tolist(),
                overlap[seen].tolist(),
                colour=colour,
                joined=False,
            ),
            Series(
                f"exp({betas[radius]:.1f} cos)",
                cosines.tolist(),
                line.tolist(),
                kind="theory",
                colour=colour,
            ),
        ]
    return Panel("Weight of an item", "cosine of cue and item", "ln of the weight", series)


def _weight_panel(
    weight: dict[tuple[int, int], tuple[float, float]], drawn: dict[int, float]
) -> Panel:
    distances = range(33)
    series = [
        Series(
            "ContinuousSDM, radius 11", list(drawn), list(drawn.values()), colour=1, joined=False
        )
    ]
    for colour, radius in enumerate(RADII):
        for place, kind in enumerate(("SDM", "softmax")):
            series.append(
                Series(
                    f"radius {radius}, {kind}",
                    list(distances),
                    [weight[radius, d][place] for d in distances],
                    kind="theory" if kind == "softmax" else "textbook",
                    colour=colour,
                )
            )
    return Panel(
        f"Share of the target among {ITEMS} random words",
        "bits that are wrong in the cue",
        "weight of the target",
        series,
        marks=[Mark(11, "radius 11")],
        y_range=(-0.02, 1.02),
    )
