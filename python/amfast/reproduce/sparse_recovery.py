"""Associative memory via sparse recovery: how many wrong coordinates each decoder corrects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import amfast as am
from amfast import theory
from amfast._typing import Float
from amfast.reproduce import _fit
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Mark,
    Outcome,
    Panel,
    Series,
    Table,
    Unavailable,
    experiment,
)

DECODERS = ("l1", "omp", "irls", "bregman")
TITLES = {
    "l1": "L1 (HiGHS)",
    "omp": "matching pursuit",
    "irls": "reweighted least squares",
    "bregman": "linearised Bregman",
}
# Recalled is what is within this share of the largest entry.
EXACT = 1e-3
SIZE = 10.0
# By m / n: up to which share of m L1 must be exact, and at which shares it is measured.
SHARES = {
    0.75: (0.35, (0.2, 0.35, 0.4, 0.47, 0.53, 0.6, 0.67)),
    0.5: (0.2, (0.1, 0.2, 0.3, 0.36, 0.42, 0.5, 0.6)),
}
# Of what grows with n: widths by level, and shares of m = 0.75 n around the threshold.
WIDTHS = {"quick": (50, 100, 200), "default": (50, 100, 200, 400), "full": (50, 100, 200, 400, 800)}
AROUND = (0.35, 0.42, 0.49, 0.56, 0.63, 0.7)


@dataclass
class _Line:
    """Successes of one decoder at one rank, by number of errors."""

    found: list[int]
    certified: list[int]
    false: int = 0


@experiment("sparse-recovery", "patterns of a subspace, recalled from grossly corrupted cues")
def run(context: Context) -> Outcome:
    """Learn subspaces of R^n from a few samples more than their rank; corrupt k coordinates."""
    n, trials = context.pick(200, 200, 1000), context.pick(5, 20, 8)
    outcome = Outcome()
    rows = []
    points = sum(len(shares) for _, shares in SHARES.values())
    with context.progress("sparse-recovery", points * len(DECODERS)) as done:
        for delta, (exact_up_to, shares) in SHARES.items():
            m = round(delta * n)
            errors = [round(share * m) for share in shares]
            rng = np.random.default_rng(m)
            basis = rng.normal(size=(n, n - m))
            samples = rng.choice([-1.0, 1.0], (n - m + 5, n - m)) @ basis.T
            lines: dict[str, _Line] = {}
            for decoder in DECODERS:
                memory = am.SparseRecoveryMemory(decoder)
                memory.store(samples)
                lines[decoder] = _Line([], [])
                for k in errors:
                    try:
                        _measure(lines[decoder], memory, basis, k, trials)
                    except ImportError as error:
                        raise Unavailable(str(error)) from error
                    done(f"{decoder}, rank {n - m}, {k} errors")
            learned = am.SparseRecoveryMemory()
            learned.store(samples)
            _report(outcome, delta, m, errors, exact_up_to, lines, trials, learned, basis)
            rows += [
                (
                    f"{n - m}",
                    TITLES[decoder],
                    str(k),
                    f"{line.found[i] / trials:.2f}",
                    f"{line.certified[i] / trials:.2f}",
                )
                for decoder, line in lines.items()
                for i, k in enumerate(errors)
            ]
    _grow(outcome, WIDTHS[context.level], context.pick(20, 40, 40))
    outcome.tables.append(
        Table(
            "recalled",
            f"Share of {trials} cues recalled, n = {n}, errors of size {SIZE:g}",
            ("rank", "decoder", "wrong coordinates", "recalled", "certified"),
            rows,
        )
    )
    outcome.notes.append(
        f"patterns are B z, B Gaussian and z in {{-1, 1}}^r, learned from r + 5 of them; recalled "
        f"means within {EXACT:g} of the largest entry"
    )
    return outcome


def _measure(
    line: _Line, memory: am.SparseRecoveryMemory, basis: Float, k: int, trials: int
) -> None:
    rng = np.random.default_rng(k)  # the same cues for every decoder
    n, r = basis.shape
    patterns = rng.choice([-1.0, 1.0], (trials, r)) @ basis.T
    cues = patterns.copy()
    for cue in cues:
        cue[rng.choice(n, k, replace=False)] += SIZE * rng.normal(size=k)
    recalled = memory.recall(cues, details=True)
    off = np.abs(recalled.state - patterns).max(axis=1)
    exact = off < EXACT * np.abs(patterns).max(axis=1)
    line.found.append(int(exact.sum()))
    line.certified.append(int(recalled.certified.sum()))
    line.false += int((recalled.certified & ~exact).sum())


def _report(
    outcome: Outcome,
    delta: float,
    m: int,
    errors: list[int],
    exact_up_to: float,
    lines: dict[str, _Line],
    trials: int,
    learned: am.SparseRecoveryMemory,
    basis: Float,
) -> None:
    n, r = basis.shape
    where = f"n = {n}, rank {r}"
    l1 = lines["l1"]
    easy, local = (
        [found for k, found in zip(errors, line.found, strict=True) if k <= exact_up_to * m]
        for line in (l1, lines["bregman"])
    )
    threshold, _ = _fit.logistic_crossing(errors, l1.found, [trials] * len(errors))
    expected = theory.l1_capacity(n, m)
    unique = theory.recovery_unique(m)
    # Whatever is right and sparse enough must also be certified.
    missed = sum(
        found - certified
        for line in lines.values()
        for k, found, certified in zip(errors, line.found, line.certified, strict=True)
        if k <= unique
    )
    outcome.checks += [
        Check(f"{where}: largest constraint on a pattern, |A B|", _leak(learned, basis), 0, 1e-9),
        Check(
            f"{where}: L1 recalls all up to {exact_up_to:g} m = {exact_up_to * m:g} errors",
            min(easy) / trials,
            1,
            0,
        ),
        Check(f"{where}: the same by products and thresholds", min(local) / trials, 1, 0),
        Check.relative(f"{where}: errors where L1 recalls half", threshold, expected, 0.15),
        Check(
            f"{where}: wrong answers that are certified",
            sum(line.false for line in lines.values()),
            0,
            0,
        ),
        Check(f"{where}: right answers of <= m / 2 errors not certified", missed, 0, 0),
    ]
    outcome.claims.append(
        Claim.plain(
            f"a network of {n} coordinates stores 2^{r} = {float(theory.subspace_messages(r)):.2g} "
            f"patterns",
            where,
            min(easy) == trials,
            f"learned from {len(learned)} samples, spectral gap {learned.spectral_gap:.1e}; "
            f"cues are patterns never seen",
        )
    )
    outcome.panels.append(
        Panel(
            where,
            "wrong coordinates",
            "share recalled",
            [
                Series(
                    TITLES[decoder],
                    errors,
                    [found / trials for found in line.found],
                    error=[_fit.fraction_error(found / trials, trials) for found in line.found],
                    colour=i,
                )
                for i, (decoder, line) in enumerate(lines.items())
            ],
            marks=[Mark(expected, f"ρ_W m = {expected:.0f}"), Mark(unique, f"m / 2 = {unique}")],
            y_range=(-0.04, 1.04),
        )
    )


def _grow(outcome: Outcome, widths: tuple[int, ...], trials: int) -> None:
    """Measure of how many errors half are recalled, by width, at rank n / 4."""
    halves = []
    for n in widths:
        m = round(0.75 * n)
        rng = np.random.default_rng(n)
        basis = rng.normal(size=(n, n - m))
        memory = am.SparseRecoveryMemory("bregman")
        memory.store(rng.choice([-1.0, 1.0], (n - m + 5, n - m)) @ basis.T)
        line, errors = _Line([], []), [round(share * m) for share in AROUND]
        for k in errors:
            _measure(line, memory, basis, k, trials)
        halves.append(_fit.logistic_crossing(errors, line.found, [trials] * len(errors))[0])
    exponent = _fit.log_slope(widths, halves)
    share = [half / n for half, n in zip(halves, widths, strict=True)]
    outcome.checks.append(
        Check("exponent of n in the number of errors of which half are recalled", exponent, 1, 0.1)
    )
    outcome.claims.append(
        Claim.plain(
            "a nearly linear number of corrupted coordinates is corrected",
            ", ".join(f"n = {n}" for n in widths) + ", rank n / 4",
            abs(exponent - 1) <= 0.1,
            f"half are recalled at {min(share):.3f} n to {max(share):.3f} n, which is "
            f"n^{exponent:.2f}; L1 by products and thresholds, errors at random places",
        )
    )
    outcome.panels.append(
        Panel(
            "rank n / 4: errors of which half are recalled",
            "n",
            "wrong coordinates",
            [
                Series("measured", widths, halves, joined=False),
                Series(
                    "ρ_W m",
                    widths,
                    [theory.l1_capacity(n, round(0.75 * n)) for n in widths],
                    colour=1,
                ),
            ],
            log_x=True,
            log_y=True,
        )
    )


def _leak(memory: am.SparseRecoveryMemory, basis: Float) -> float:
    return float(np.abs(memory.constraints @ basis).max())
