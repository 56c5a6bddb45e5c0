"""Dense associative memories from random starts: below their capacity they end on a memory."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast import theory
from amfast._typing import Float, Int
from amfast.reproduce import _fit
from amfast.reproduce._random import generator, signs
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)

UNITS, PATTERNS = 100, 2000
POWERS = (2, 3, 4, 5, 6)


@experiment("dam-recall", "where random starts end, N = 100 units and K = 2000 memories")
def run(context: Context) -> Outcome:
    """Update asynchronously until nothing flips and compare with every stored memory."""
    starts = context.pick(200, 1000, 10_000)
    memories = signs(generator(1), PATTERNS, UNITS)
    best: dict[int, Float] = {}
    sweeps: dict[int, Int] = {}
    with context.progress("dam-recall", len(POWERS)) as done:
        for n in POWERS:
            memory = am.DenseAssociativeMemory(n, interaction="rectified")
            memory.store(memories)
            cues = signs(generator(2), starts, UNITS)
            ends = memory.recall(cues, update="async", max_sweeps=1000, seed=n, details=True)
            overlaps = UNITS - 2 * am.pairwise(ends.state, memories, "hamming")
            best[n] = np.asarray(overlaps.max(axis=1), float) / UNITS
            sweeps[n] = ends.n_iter
            done(f"n = {n}")
    exact = {n: float((best[n] == 1).mean()) for n in POWERS}
    outcome = Outcome()
    outcome.checks += [
        Check(f"n = {n}: runs that end on a stored memory", exact[n], 0.0, 0.0) for n in (2, 3)
    ]
    outcome.checks += [
        Check(f"n = {n}: runs that end on a stored memory", exact[n], 0.99, 0.0, "at least")
        for n in (5, 6)
    ]
    outcome.checks += [
        # The numbers known are means over 25 runs.
        Check(f"n = {n}: mean of the best overlap", float(best[n].mean()), known, 0.05)
        for n, known in ((2, 0.40), (3, 0.51))
    ]
    outcome.claims += [
        Claim.plain(
            f"n = {n}: every run ends on a stored memory",
            known,
            exact[n] == 1,
            f"{round(exact[n] * starts)} of {starts}",
        )
        for n, known in ((4, "25 of 25"), (5, "10,000 of 10,000"), (6, "10,000 of 10,000"))
    ]
    outcome.claims.append(
        Claim.plain(
            "K_max tells which powers store these memories without errors",
            f"N = {UNITS}, K = {PATTERNS}",
            all((theory.dense_capacity(UNITS, n) > PATTERNS) == (exact[n] == 1) for n in POWERS),
            ", ".join(f"n = {n}: K_max {theory.dense_capacity(UNITS, n):.0f}" for n in POWERS),
        )
    )
    outcome.tables.append(
        Table(
            "ends",
            f"{starts} random starts, asynchronous updates, F(x) = max(x, 0)^n",
            ("n", "K_max", "on a memory", "mean best overlap", "mean sweeps"),
            [
                (
                    str(n),
                    f"{theory.dense_capacity(UNITS, n):.0f}",
                    f"{exact[n]:.3f}",
                    f"{best[n].mean():.3f}",
                    f"{sweeps[n].mean():.1f}",
                )
                for n in POWERS
            ],
        )
    )
    bins = np.arange(0.2, 1.03, 0.04)
    centres = ((bins[1:] + bins[:-1]) / 2).tolist()
    outcome.panels += [
        Panel(
            "Overlap of the end with the nearest memory",
            "overlap",
            "fraction of runs",
            [
                Series(
                    f"n = {n}",
                    centres,
                    (np.histogram(best[n], bins)[0] / starts).tolist(),
                    colour=i,
                )
                for i, n in enumerate(POWERS)
            ],
        ),
        Panel(
            "Runs that end on a stored memory",
            "power n",
            "fraction of runs",
            [
                Series(
                    "measured",
                    POWERS,
                    [exact[n] for n in POWERS],
                    [_fit.fraction_error(exact[n], starts) for n in POWERS],
                ),
                Series(
                    "1 where K_max exceeds K",
                    POWERS,
                    [float(theory.dense_capacity(UNITS, n) > PATTERNS) for n in POWERS],
                    kind="textbook",
                    colour=1,
                ),
            ],
        ),
    ]
    return outcome
