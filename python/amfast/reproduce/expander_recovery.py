"""Sparse constraints: errors peeled off an expander, linear in number and time."""

from __future__ import annotations

import time

import numpy as np

import amfast as am
from amfast import expander, reference
from amfast.reproduce import _fit
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

FRACTIONS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
SIZE = 10.0


@experiment("expander-recovery", "errors peeled off sparse constraints, six per coordinate")
def run(context: Context) -> Outcome:
    """Corrupt k = fraction * n coordinates of patterns that obey m = n / 2 sparse constraints."""
    widths = (1000, 2000) if context.level != "full" else (1000, 2000, 10_000)
    trials = context.pick(40, 100, 200)
    outcome = Outcome()
    rows, halves, series = [], {}, []
    with context.progress("expander-recovery", len(widths) * len(FRACTIONS)) as done:
        for colour, n in enumerate(widths):
            constraints = expander(n, n // 2)
            memory = am.SparseRecoveryMemory("expander", constraints=constraints, fallback=False)
            rng = np.random.default_rng(n)
            patterns = np.resize(memory.project(rng.normal(size=(4, n))), (trials, n))
            shares = []
            false = 0
            for fraction in FRACTIONS:
                cues = patterns.copy()
                k = round(fraction * n)
                for cue in cues:
                    cue[rng.choice(n, k, replace=False)] += SIZE * rng.normal(size=k)
                start = time.perf_counter()
                states = memory.recall(cues, threads=1)
                spent = (time.perf_counter() - start) / trials
                found = memory.recall(cues, details=True)
                exact = np.abs(states - patterns).max(axis=1) < 1e-3 * SIZE
                false += int((found.certified & ~exact).sum())
                shares.append(float(exact.mean()))
                rows.append(
                    (
                        str(n),
                        str(k),
                        f"{shares[-1]:.2f}",
                        f"{found.certified.mean():.2f}",
                        f"{1e3 * spent:.2f}",
                    )
                )
                done(f"n = {n}, {k} errors")
            halves[n] = _fit.crossing(FRACTIONS, shares)
            outcome.checks += [
                Check(
                    f"n = {n}: share recalled at {0.04 * n:g} = 0.04 n errors",
                    shares[FRACTIONS.index(0.04)],
                    0.95,
                    0,
                    "at least",
                ),
                Check(
                    f"n = {n}: share recalled at {0.08 * n:g} = 0.08 n errors",
                    shares[FRACTIONS.index(0.08)],
                    0.2,
                    0,
                    "at most",
                ),
                Check(f"n = {n}: wrong answers that are certified", false, 0, 0),
            ]
            errors = [_fit.fraction_error(share, trials) for share in shares]
            series.append(Series(f"n = {n}", FRACTIONS, shares, error=errors, colour=colour))
            if n == 1000:
                gap, slow = _twin(memory, constraints, cues[0])
                outcome.checks.append(Check("n = 1000: engine minus NumPy twin", gap, 0, 0))
                outcome.notes.append(
                    f"the NumPy twin takes {1e3 * slow:.0f} ms for a cue of n = 1000; times in the "
                    f"table are of one thread, in a batch"
                )
    low, high = min(halves.values()), max(halves.values())
    outcome.claims.append(
        Claim.plain(
            "the number of corrected errors grows in proportion to n",
            ", ".join(f"n = {n}" for n in widths),
            high <= 1.15 * low,
            f"half are recalled at {low:.3f} n to {high:.3f} n",
        )
    )
    outcome.tables.append(
        Table(
            "recalled",
            f"Share of {trials} cues recalled; m = n / 2 constraints, 6 ones per column",
            ("n", "wrong coordinates", "recalled", "certified", "ms per cue"),
            rows,
        )
    )
    outcome.panels.append(
        Panel(
            f"{trials} cues per point",
            "wrong coordinates / n",
            "share recalled",
            series,
            y_range=(-0.04, 1.04),
        )
    )
    return outcome


def _twin(
    memory: am.SparseRecoveryMemory, constraints: np.ndarray, cue: np.ndarray
) -> tuple[float, float]:
    """Return the largest distance from the reference, and the seconds that it takes."""
    # The memory scales cues by powers of two, which changes no bit of the result.
    found = memory.recall(cue, details=True).error
    unit = np.ldexp(1.0, np.frexp(np.abs(cue).max())[1] - 1)
    start = time.perf_counter()
    error, _ = reference.peel(cue / unit, constraints, memory.tol * float(np.abs(cue / unit).max()))
    spent = time.perf_counter() - start
    return float(np.abs(error * unit - found).max()), spent
