"""Capacity of dense associative memories: how many stored patterns are exact fixed points."""

from __future__ import annotations

import math

import numpy as np

import amfast as am
from amfast import theory
from amfast.reproduce import _fit
from amfast.reproduce._random import generator, signs
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
from amfast.theory.dense import Interaction

FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
INTERACTIONS: tuple[Interaction, ...] = ("power", "rectified")


@experiment("dam-capacity", "stored patterns that are exact fixed points, dense memories")
def run(context: Context) -> Outcome:
    """Store K = f K_max random patterns and update all bits of each by energy difference, once."""
    cases = {
        "quick": [(100, 2), (100, 3), (100, 4)],
        "default": [(100, 2), (100, 3), (100, 4), (200, 3)],
        "full": [(100, 2), (100, 3), (100, 4), (200, 3), (200, 4)],
    }[context.level]
    wanted = context.pick(300, 1000, 4000)
    held: dict[tuple[int, int, str, float], tuple[float, int]] = {}
    with context.progress("dam-capacity", len(cases) * 2 * len(FACTORS)) as done:
        for d, n in cases:
            for kind in INTERACTIONS:
                for factor in FACTORS:
                    held[d, n, kind, factor] = _held(d, n, kind, factor, wanted)
                    done(f"d = {d}, n = {n}, {kind}")
    outcome = Outcome()
    for d, n in cases:
        value = {(k, f): held[d, n, k, f][0] for k in INTERACTIONS for f in FACTORS}
        where = f"d = {d}, n = {n}"
        outcome.checks += [
            Check(
                f"{where}, power: fixed points at K_max", value["power", 1.0], 0.8, 0, "at least"
            ),
            Check(f"{where}, power: at 3 K_max", value["power", 3.0], 0.2, 0, "at most"),
            Check(f"{where}, rectified: at K_max", value["rectified", 1.0], 0.97, 0, "at least"),
        ]
        halves = {kind: _half(held, d, n, kind) for kind in INTERACTIONS}
        capacity = theory.dense_capacity(d, n)
        outcome.claims.append(
            Claim.plain(
                "half of the patterns hold up to the textbook K_max",
                where,
                all(abs(half / capacity - 1) < 0.1 for half in halves.values()),
                ", ".join(
                    f"{kind} up to {half / capacity:.2f} K_max" for kind, half in halves.items()
                ),
            )
        )
    outcome.tables.append(
        Table(
            "half",
            "Patterns of which one half are exact fixed points",
            ("d, n", "interaction", "measured", "n50, amfast.theory", "ratio", "K_max", "ratio "),
            [
                (
                    f"{d}, {n}",
                    kind,
                    f"{_half(held, d, n, kind):.4g}",
                    f"{theory.dense_n50(d, n, interaction=kind):.4g}",
                    f"{_half(held, d, n, kind) / theory.dense_n50(d, n, interaction=kind):.2f}",
                    f"{theory.dense_capacity(d, n):.4g}",
                    f"{_half(held, d, n, kind) / theory.dense_capacity(d, n):.2f}",
                )
                for d, n in cases
                for kind in INTERACTIONS
            ],
        )
    )
    outcome.panels += [_panel(d, n, held) for d, n in cases]
    return outcome


def _held(d: int, n: int, kind: Interaction, factor: float, wanted: int) -> tuple[float, int]:
    """Return the fraction of stored patterns that one update leaves as they are, and the number."""
    size = round(factor * theory.dense_capacity(d, n))
    cues = min(size, wanted)
    right = 0
    repeats = math.ceil(wanted / cues)
    for i in range(repeats):
        patterns = signs(generator(d, n, round(10 * factor), i), size, d)
        memory = am.DenseAssociativeMemory(n, interaction=kind)
        memory.store(patterns)
        ends = memory.recall(patterns[:cues], update="sync", max_sweeps=1)
        right += int((ends == patterns[:cues]).all(axis=1).sum())
    return right / (repeats * cues), repeats * cues


def _half(
    held: dict[tuple[int, int, str, float], tuple[float, int]], d: int, n: int, kind: Interaction
) -> float:
    """Return the number of patterns of which one half hold."""
    factors = [theory.dense_capacity(d, n) * factor for factor in FACTORS]
    return _fit.crossing(factors, [held[d, n, kind, factor][0] for factor in FACTORS])


def _panel(d: int, n: int, held: dict[tuple[int, int, str, float], tuple[float, int]]) -> Panel:
    capacity = theory.dense_capacity(d, n)
    fine = [float(f) for f in np.linspace(0.3, FACTORS[-1], 80)]
    series = []
    for colour, kind in enumerate(INTERACTIONS):
        found = [held[d, n, kind, factor] for factor in FACTORS]
        series += [
            Series(
                kind,
                FACTORS,
                [fraction for fraction, _ in found],
                [_fit.fraction_error(*each) for each in found],
                colour=colour,
                joined=False,
            ),
            Series(
                f"{kind}, theory at this size",
                fine,
                [
                    (1 - theory.dense_bit_error(d, max(1.0, f * capacity), n, interaction=kind))
                    ** d
                    for f in fine
                ],
                kind="theory",
                colour=colour,
            ),
        ]
    return Panel(
        f"d = {d}, F(x) = x^{n}",
        f"stored patterns / K_max, K_max = {capacity:.4g}",
        "fraction that are fixed points",
        series,
        marks=[Mark(1.0, "K_max of the textbook")],
        y_range=(-0.02, 1.02),
    )
