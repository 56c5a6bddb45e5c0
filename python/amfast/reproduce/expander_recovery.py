"""Sparse constraints: errors peeled off an expander, linear in number and time."""

from __future__ import annotations

import time
from typing import Literal

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

WIDTHS = {
    "quick": (500, 1000, 2000),
    "default": (500, 1000, 2000, 4000),
    "full": (500, 1000, 2000, 10_000),
}
# Columns, constraints and entries per column of those that are learned.
LEARNED = {"quick": (200, 100, 6), "default": (200, 100, 6), "full": (400, 200, 6)}
FRACTIONS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
SIZE = 10.0


@experiment("expander-recovery", "errors peeled off sparse constraints, six per coordinate")
def run(context: Context) -> Outcome:
    """Corrupt k = fraction * n coordinates of patterns that obey m = n / 2 sparse constraints."""
    widths = WIDTHS[context.level]
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
            if n >= 1000:
                outcome.checks += _at_ends(n, dict(zip(FRACTIONS, shares, strict=True)))
            outcome.checks.append(Check(f"n = {n}: wrong answers that are certified", false, 0, 0))
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
    counts = [n * half for n, half in halves.items()]
    exponent = _fit.log_slope(widths, counts)
    outcome.checks.append(
        Check("exponent of n in the number of errors of which half are recalled", exponent, 1, 0.1)
    )
    outcome.claims.append(
        Claim.plain(
            "the number of corrected errors grows nearly in proportion to n",
            ", ".join(f"n = {n}" for n in widths),
            high <= 1.15 * low,
            f"half are recalled at {low:.3f} n to {high:.3f} n, which is n^{exponent:.2f}; errors "
            f"at random places",
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
    outcome.panels.append(
        Panel(
            "errors of which half are recalled",
            "n",
            "wrong coordinates",
            [
                Series("measured", widths, counts, joined=False),
                Series(f"{low:.3f} n", widths, [low * n for n in widths], colour=1),
            ],
            log_x=True,
            log_y=True,
        )
    )
    _learn(outcome, *LEARNED[context.level], trials)
    return outcome


def _at_ends(n: int, shares: dict[float, float]) -> list[Check]:
    def check(fraction: float, expected: float, relation: Literal["at least", "at most"]) -> Check:
        what = f"n = {n}: share recalled at {fraction * n:g} = {fraction:g} n errors"
        return Check(what, shares[fraction], expected, 0, relation)

    return [check(0.04, 0.95, "at least"), check(0.08, 0.2, "at most")]


def _learn(outcome: Outcome, n: int, m: int, degree: int, trials: int) -> None:
    """Learn constraints from patterns, and let both them and the true ones correct errors."""
    true = expander(n, m, degree=degree, seed=1)
    given = am.SparseRecoveryMemory("expander", constraints=true, fallback=False)
    learned = am.SparseRecoveryMemory("expander", constraints="learned", fallback=False)
    rng = np.random.default_rng(1)
    samples = given.project(rng.normal(size=(n, n)))
    start = time.perf_counter()
    learned.store(samples)
    found = learned.sparse_constraints
    spent = time.perf_counter() - start
    same = len({row.tobytes() for row in found} & {row.tobytes() for row in true.astype(float)})
    leak = float(np.abs(found @ samples.T).max() / np.abs(samples).max())
    where = f"n = {n}, {m} constraints learned"
    errors = np.unique(np.linspace(0, 0.08 * n, 9).round().astype(int)).tolist()
    shares: dict[str, list[float]] = {"given": [], "learned": []}
    for k in errors:
        patterns = given.project(rng.normal(size=(trials, n)))
        cues = patterns.copy()
        for cue in cues:
            cue[rng.choice(n, k, replace=False)] += SIZE * rng.normal(size=k)
        for memory, share in zip((given, learned), shares.values(), strict=True):
            off = np.abs(memory.recall(cues) - patterns).max(axis=1)
            share.append(float((off < 1e-3 * SIZE).mean()))
    apart = max(abs(a - b) for a, b in zip(*shares.values(), strict=True))
    entries = np.count_nonzero(found) / np.count_nonzero(true)
    outcome.checks += [
        Check(f"{where}: largest of them on a sample", leak, 0, 1e-9),
        Check(f"{where}: their entries / those of the true ones", entries, 1, 0, "at most"),
        Check(f"{where}: share of the true ones among them", same / m, 0.9, 0, "at least"),
        Check(f"{where}: recalled, less with the true ones", apart, 0, 0.1),
    ]
    outcome.claims.append(
        Claim.plain(
            "sparse constraints are learned from the patterns alone",
            where,
            bool(entries <= 1) and apart <= 0.1,
            f"{same} of them are the true ones to the last bit, in {spent:.0f} s, from {n} "
            f"patterns of rank {n - m}",
        )
    )
    outcome.panels.append(
        Panel(
            where,
            "wrong coordinates",
            "share recalled",
            [
                Series(f"{name} constraints", errors, share, colour=i)
                for i, (name, share) in enumerate(shares.items())
            ],
            y_range=(-0.04, 1.04),
        )
    )


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
