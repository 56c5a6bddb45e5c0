"""Basins of the exponential memory: patterns recalled in one step from corrupted cues."""

from __future__ import annotations

import math

import numpy as np

import amfast as am
from amfast import theory
from amfast.reproduce import _fit
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

# More patterns than this are not drawn: 128 MB of signs before packing.
MOST_PATTERNS = {"quick": 40_000, "default": 1_100_000, "full": 3_200_000}
FACTORS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


@experiment("demircigil-basins", "one-step recall by the exponential memory from corrupted cues")
def run(context: Context) -> Outcome:
    """Store exp(alpha N) + 1 patterns, turn rho N bits of some, update all bits once.

    alpha is counted in units of the theorem's exponent, `amfast.theory.exponential_exponent`.
    """
    sizes = {"quick": (20, 30, 40), "default": (20, 30, 40), "full": (20, 30, 40, 50)}
    cases = [(rho, d) for rho in (0.0, 0.1, 0.2) for d in sizes[context.level]]
    found: dict[tuple[float, int, float], tuple[float, int]] = {}
    with context.progress("demircigil-basins", len(cases) * len(FACTORS)) as done:
        for rho, d in cases:
            for factor in FACTORS:
                count = round(math.exp(factor * theory.exponential_exponent(rho) * d)) + 1
                if count <= MOST_PATTERNS[context.level]:
                    trials = context.pick(200, 400, 2000)
                    found[rho, d, factor] = _recalled(d, rho, count, trials, round(2 * factor))
                done(f"rho {rho:g}, N = {d}, {factor:g}")
    outcome = Outcome()
    for (rho, d, factor), (fraction, _) in found.items():
        where = f"rho {rho:g}, N = {d}: recalled at {factor:g} alpha"
        if factor == 1.0 and d >= 30:
            outcome.checks.append(Check(where, fraction, 0.85, 0, "at least"))
        if factor == 2.5 and rho > 0:
            outcome.checks.append(Check(where, fraction, 0.1, 0, "at most"))
    twice = {key: value for key, value in found.items() if key[2] == 2.0 and key[0] > 0}
    outcome.claims.append(
        Claim.plain(
            "one given pattern is lost beyond the theorem's alpha",
            "rho 0.1 and 0.2, at 1.5 alpha",
            all(value[0] < 0.5 for key, value in found.items() if key[2] == 1.5 and key[0] > 0),
            "the 1/2 in I(1 - 2 rho) / 2 is the price of all patterns together; one is lost at "
            "twice it, where "
            + ", ".join(f"{v[0]:.2f} (rho {k[0]:g}, N = {k[1]})" for k, v in twice.items())
            + " come back",
        )
    )
    outcome.tables.append(
        Table(
            "recalled",
            "Fraction recalled in one step at multiples of the theorem's alpha",
            ("rho", "alpha", "N", *(f"{factor:g}" for factor in FACTORS)),
            [
                (
                    f"{rho:g}",
                    f"{theory.exponential_exponent(rho):.4f}",
                    str(d),
                    *(
                        f"{found[rho, d, f][0]:.2f}" if (rho, d, f) in found else "-"
                        for f in FACTORS
                    ),
                )
                for rho, d in cases
            ],
        )
    )
    for rho in (0.0, 0.1, 0.2):
        series = []
        for colour, d in enumerate(sizes[context.level]):
            mine = [f for f in FACTORS if (rho, d, f) in found]
            if mine:
                series.append(
                    Series(
                        f"N = {d}",
                        mine,
                        [found[rho, d, f][0] for f in mine],
                        [_fit.fraction_error(*found[rho, d, f]) for f in mine],
                        colour=colour,
                    )
                )
        outcome.panels.append(
            Panel(
                f"rho = {rho:g}: alpha = {theory.exponential_exponent(rho):.4f}",
                "ln(patterns) / (alpha N)",
                "fraction recalled in one step",
                series,
                marks=[Mark(1.0, "theorem: all patterns"), Mark(2.0, "one given pattern")],
                y_range=(-0.02, 1.02),
            )
        )
    return outcome


def _recalled(d: int, rho: float, count: int, trials: int, seed: int) -> tuple[float, int]:
    """Return the fraction of corrupted cues that one synchronous step brings back."""
    # Small memories differ from one another, and cost nothing: many of them with few cues each.
    cues = min(count, 25 if count < 2000 else 100)
    repeats = math.ceil((5 * trials if count < 2000 else trials) / cues)
    right = 0
    for i in range(repeats):
        rng = generator(d, round(100 * rho), seed, i)
        patterns = signs(rng, count, d)
        memory = am.DenseAssociativeMemory(interaction="exponential")
        memory.store(patterns)
        starts = flipped(rng, patterns[:cues], round(rho * d))
        ends = memory.recall(starts, update="sync", max_sweeps=1)
        right += int(np.all(ends == patterns[:cues], axis=1).sum())
    return right / (repeats * cues), repeats * cues
