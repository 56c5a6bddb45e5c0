"""One step of a Hopfield network: wrong bits, and how many pairs it answers without any."""

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
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)
from amfast.theory.hopfield import Which

LOADS = (0.105, 0.138, 0.185, 0.37, 0.61)
BITS = 1000  # of the networks whose wrong bits are counted


@experiment("hopfield-onestep", "pairs that one step of a Hopfield network answers without error")
def run(context: Context) -> Outcome:
    """Count wrong bits by load, and find the number of pairs of which half are answered."""
    widths = (64, 256, 1024) if context.level != "full" else (64, 256, 1024, 4096)
    trials = context.pick(60, 150, 600)
    which: tuple[Which, ...] = ("one", "all")
    n50: dict[tuple[int, str], float] = {}
    textbook: dict[int, float] = {}
    curves: dict[int, tuple[list[int], list[float], list[float]]] = {}
    with context.progress("hopfield-onestep", 3 * len(widths) + 1) as done:
        for d in widths:
            for w in which:
                sizes, wins, counts = _sweep(d, w, math.ceil(trials * (1024 / d) ** 1.4))
                n50[d, w] = _fit.local_crossing(sizes, wins, counts)
                if w == "all":
                    fractions = [win / count for win, count in zip(wins, counts, strict=True)]
                    errors = [
                        _fit.fraction_error(f, c) for f, c in zip(fractions, counts, strict=True)
                    ]
                    curves[d] = sizes, fractions, errors
                done(f"d = {d}, {w}")
            size = round(theory.hopfield_capacity(d, "all"))
            textbook[d] = _answered(d, size, context.pick(100, 400, 400))[1]
            done(f"d = {d}, textbook")
        wrong = {
            keep: [_wrong_bits(load, not keep, context.pick(3, 20, 100)) for load in LOADS]
            for keep in (False, True)
        }
        done("wrong bits")
    outcome = Outcome()
    for d in widths:
        outcome.checks += [
            Check.relative(f"d = {d}: n50, {w}", n50[d, w], theory.hopfield_n50(d, w), 0.1)
            for w in which
            if (d, w) != (64, "one")
        ]
    outcome.checks += [
        Check(f"d = {d}: all answered at d / (4 ln d)", textbook[d], 0.99, 0, "at least")
        for d in widths
    ]
    outcome.checks += [
        Check.relative(
            f"wrong bits at load {load:g}, {'kept' if keep else 'zero'} diagonal",
            wrong[keep][i],
            theory.hopfield_bit_error(load, zero_diagonal=not keep),
            0.1,
        )
        for keep in (False, True)
        for i, load in enumerate(LOADS)
        # With the diagonal kept, wrong bits are too rare to count at small loads.
        if not keep or load > 0.15
    ]
    outcome.claims += [
        Claim.plain(
            "n50 of independent bit errors is within 10 %",
            f"d = {d}, {w}",
            abs(n50[d, w] / theory.hopfield_n50(d, w) - 1) <= 0.1,
            f"measured {n50[d, w]:.1f}, {n50[d, w] / theory.hopfield_n50(d, w):.3f} times it"
            # The overlaps of few keys are the noise of all bits of a pair.
            + (": few keys, so errors of one pair come together" if d < 256 else ""),
        )
        for d in widths
        for w in which
    ]
    outcome.claims += [
        Claim.plain(
            f"capacity d / ({4 if w == 'all' else 2} ln d)",
            f"d = {d}, {w}",
            abs(n50[d, w] / theory.hopfield_capacity(d, w) - 1) <= 0.1,
            f"measured {n50[d, w]:.1f}, {n50[d, w] / theory.hopfield_capacity(d, w):.2f} times it",
        )
        for w in which
        for d in widths
    ]
    outcome.tables.append(
        Table(
            "n50",
            "Pairs answered without error with probability 1/2: one given pair, all pairs",
            ("d", "which", "measured", "n50, amfast.theory", "ratio", "textbook", "ratio "),
            [
                (
                    str(d),
                    w,
                    f"{n50[d, w]:.1f}",
                    f"{theory.hopfield_n50(d, w):.1f}",
                    f"{n50[d, w] / theory.hopfield_n50(d, w):.2f}",
                    f"{theory.hopfield_capacity(d, w):.1f}",
                    f"{n50[d, w] / theory.hopfield_capacity(d, w):.2f}",
                )
                for d in widths
                for w in which
            ],
        )
    )
    outcome.panels += _panels(widths, n50, curves, wrong)
    return outcome


def _sweep(d: int, which: Which, trials: int) -> tuple[list[int], list[int], list[int]]:
    """Return numbers of pairs around n50, and the successes and trials at each."""
    middle = theory.hopfield_n50(d, which)
    low, high = (0.75, 1.3) if which == "all" else (0.65, 1.6)
    sizes = sorted({round(middle * float(x)) for x in np.geomspace(low, high, 8)} - {0, 1})
    wins, counts = [], []
    for n in sizes:
        # The middle decides; the rest is for the picture. For one given pair each pair of a memory
        # is a trial.
        count = trials if abs(n / middle - 1.06) < 0.13 else max(20, trials // 8)
        repeats = count if which == "all" else max(4, 8 * count // n)
        one, every = _answered(d, n, repeats)
        counts.append(repeats if which == "all" else repeats * n)
        wins.append(round((every if which == "all" else one) * counts[-1]))
    return sizes, wins, counts


def _answered(d: int, n: int, repeats: int) -> tuple[float, float]:
    """Return the fractions of pairs, and of memories with all their pairs, without a wrong bit."""
    rng = generator(d, n)
    one = every = 0.0
    for _ in range(repeats):
        keys, values = signs(rng, n, d), signs(rng, n, d)
        network = am.Hopfield()
        network.store(keys, values)
        right = (network.recall(keys, update="one-step") == values).all(axis=1)
        one += right.mean() / repeats
        every += right.all() / repeats
    return one, every


def _wrong_bits(load: float, zero_diagonal: bool, repeats: int) -> float:
    """Return the fraction of bits of stored patterns that one step turns."""
    n, wrong = round(load * BITS), 0.0
    for i in range(repeats):
        patterns = signs(generator(n, i), n, BITS)
        network = am.Hopfield(zero_diagonal=zero_diagonal)
        network.store(patterns)
        wrong += float((network.recall(patterns, update="one-step") != patterns).mean()) / repeats
    return wrong


def _panels(
    widths: tuple[int, ...],
    n50: dict[tuple[int, str], float],
    curves: dict[int, tuple[list[int], list[float], list[float]]],
    wrong: dict[bool, list[float]],
) -> list[Panel]:
    wide = [2**k for k in range(5, 15)]
    which: tuple[Which, ...] = ("one", "all")
    capacity = [
        line
        for i, w in enumerate(which)
        for line in (
            Series(f"{w}: measured", widths, [n50[d, w] for d in widths], colour=i, joined=False),
            Series(f"{w}: n50", wide, [theory.hopfield_n50(d, w) for d in wide], None, "theory", i),
            Series(
                f"{w}: d / ({2 if w == 'one' else 4} ln d)",
                wide,
                [theory.hopfield_capacity(d, w) for d in wide],
                None,
                "textbook",
                i,
            ),
        )
    ]
    success = [
        Series(
            f"d = {d}",
            [n / theory.hopfield_n50(d, "all") for n in sizes],
            fractions,
            errors,
            colour=i,
        )
        for i, (d, (sizes, fractions, errors)) in enumerate(curves.items())
    ]
    fine = [float(load) for load in np.linspace(0.08, 0.7, 60)]
    bits = [
        line
        for i, keep in enumerate((False, True))
        for line in (
            Series(
                f"{'kept' if keep else 'zero'} diagonal", LOADS, wrong[keep], colour=i, joined=False
            ),
            Series(
                "Q((1 + load) / √load)" if keep else "Q(1 / √load)",
                fine,
                [theory.hopfield_bit_error(load, zero_diagonal=not keep) for load in fine],
                None,
                "theory",
                i,
            ),
        )
    ]
    return [
        Panel(
            "Pairs answered without error, half of the time",
            "width d",
            "pairs n50",
            capacity,
            log_x=True,
            log_y=True,
        ),
        Panel(
            "All pairs answered",
            "pairs / n50 of the theory",
            "fraction of memories",
            success,
            y_range=(-0.02, 1.02),
        ),
        Panel(
            f"Bits of stored patterns that one step turns, d = {BITS}",
            "load n / d",
            "fraction of bits",
            bits,
            log_y=True,
        ),
    ]
