"""Sequences: how many random patterns a memory walks through, by separation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

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

# Steps of a sequence, as multiples of the number where half of all sequences should come right.
LOADS = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6)
# Steps per unit of a sequence that is followed with few errors.
RATES = (0.20, 0.22, 0.24, 0.25, 0.26, 0.27, 0.28, 0.30, 0.33)
FOLLOWED = 0.7  # overlap with the last pattern


@dataclass(frozen=True)
class _Kind:
    """A separation, the widths it is tried at, and the length that theory expects."""

    name: str
    separation: Any
    widths: tuple[int, ...]
    expected: Callable[[int], float]

    def memory(self, sequence: Any) -> am.UniversalHopfield:
        """Store a sequence: every pattern's value is the next one."""
        memory = am.UniversalHopfield("dot", self.separation, readout="sign")
        memory.store(sequence[:-1], sequence[1:])
        return memory


KINDS = (
    _Kind("identity", "identity", (64, 128, 256), partial(theory.sequence_n50, n=1)),
    _Kind("square", "square", (32, 64, 96), partial(theory.sequence_n50, n=2)),
    _Kind("cube", "cube", (16, 24, 32), partial(theory.sequence_n50, n=3)),
    _Kind("softmax", am.Softmax(1.0), (12, 14, 16), theory.onestep_birthday),
)


@experiment("chain-capacity", "sequences that a memory walks through, by separation")
def run(context: Context) -> Outcome:
    """Find the length at which half of all sequences come right, every bit of them.

    Without an error every state of a walk is a stored pattern, so that all steps at once tell what
    a walk would. Where errors are allowed, sequences are walked by `chain`.
    """
    runs, walks = context.pick(24, 80, 400), context.pick(6, 20, 50)
    d = context.pick(500, 1000, 2000)
    total = sum(len(kind.widths) for kind in KINDS) + len(RATES)
    n50: dict[str, list[float]] = {}
    with context.progress("chain-capacity", total) as done:
        for kind in KINDS:
            n50[kind.name] = []
            for width in kind.widths:
                n50[kind.name].append(_n50(kind, width, runs))
                done(f"{kind.name}, d = {width}")
        ends = []
        for rate in RATES:
            ends.append([_walked(d, rate, i) for i in range(walks)])
            done(f"load {rate:g}")
    followed = [sum(overlap > FOLLOWED for overlap in at) for at in ends]
    half = _fit.logistic_crossing(RATES, followed, [walks] * len(RATES))[0]
    critical = theory.sequence_critical_load()
    expected = {kind.name: [kind.expected(width) for width in kind.widths] for kind in KINDS}
    outcome = Outcome()
    for kind in KINDS:
        ratio = np.divide(n50[kind.name], expected[kind.name])
        low, high = f"{kind.name}: smallest n50 / theory", f"{kind.name}: largest n50 / theory"
        outcome.checks += [
            Check(low, float(ratio.min()), 0.75, 0, "at least"),
            Check(high, float(ratio.max()), 1.25, 0, "at most"),
        ]
    outcome.checks += [
        Check(f"d = {d}, errors allowed: load of half success", half, critical, 0.02),
        Check("theory: critical load (Duering et al.)", critical, 0.269, 0.0005),
        Check("bits in which a walk and all steps at once differ", _differences(), 0, 0),
    ]
    slopes = {
        kind.name: (
            _fit.log_slope(kind.widths, n50[kind.name]),
            _fit.log_slope(kind.widths, expected[kind.name]),
        )
        for kind in KINDS[:3]
    }
    outcome.claims += [
        Claim.plain(
            "separation x^n: the length grows as d^n / ln d (Chaudhry et al. 2023)",
            "n = 1, 2, 3",
            all(abs(found - wanted) < 0.25 for found, wanted in slopes.values()),
            "powers of d measured / of the formula at these d: "
            + ", ".join(f"{name} {a:.2f} / {b:.2f}" for name, (a, b) in slopes.items()),
        ),
        Claim.plain(
            "Hebb's rule follows sequences up to a load of 0.269 (Duering et al. 1998)",
            f"d = {d}",
            abs(half - critical) < 0.015,
            f"half of the walks arrive at {half:.3f}, {half / theory.hopfield_critical_load():.1f} "
            "times the load at which fixed points end",
        ),
    ]
    outcome.tables.append(
        Table(
            "n50",
            "Steps of a sequence at which half of all sequences come right",
            ("separation", "d", "n50", "theory", "measured / theory"),
            [
                (kind.name, str(width), f"{n:.4g}", f"{t:.4g}", f"{n / t:.2f}")
                for kind in KINDS
                for width, n, t in zip(
                    kind.widths, n50[kind.name], expected[kind.name], strict=True
                )
            ],
        )
    )
    outcome.notes.append(
        "softmax: theory is the number of random patterns at which two are equal with probability "
        "1/2; no memory walks on from a pattern that has two successors"
    )
    outcome.panels += _panels(n50, d, ends, followed, critical)
    return outcome


def _n50(kind: _Kind, d: int, runs: int) -> float:
    """Return the number of steps that all come right, half of the time."""
    lengths = [max(2, round(load * kind.expected(d))) for load in LOADS]
    wins = []
    for n in lengths:
        won = 0
        for i in range(runs):
            sequence = signs(generator(d, n, i), n + 1, d).astype(np.float32)
            found = kind.memory(sequence).recall(sequence[:-1])
            won += bool((found == sequence[1:]).all())
        wins.append(won)
    logs = [math.log(n) for n in lengths]
    return math.exp(_fit.logistic_crossing(logs, wins, [runs] * len(lengths))[0])


def _walked(d: int, rate: float, seed: int) -> float:
    """Return the overlap with the last pattern at the end of a walk from the first."""
    n = round(rate * d)
    sequence = signs(generator(d, n, seed), n + 1, d).astype(np.float32)
    path = KINDS[0].memory(sequence).chain(sequence[0], n)
    return float((path[-1] * sequence[-1]).mean())


def _differences() -> int:
    """Count the bits in which walks differ from steps that are taken all at once."""
    wrong = 0
    for kind in KINDS:
        d = kind.widths[-1]
        n = round(kind.expected(d) / 4)
        sequence = np.unique(signs(generator(d, n), n + 1, d), axis=0).astype(np.float32)
        generator(d).shuffle(sequence)
        memory = kind.memory(sequence)
        path = memory.chain(sequence[0], len(sequence) - 1)
        wrong += int((path[1:] != memory.recall(path[:-1])).sum())
        wrong += int((path != sequence).sum())
    return wrong


def _panels(
    n50: dict[str, list[float]],
    d: int,
    ends: list[list[float]],
    followed: list[int],
    critical: float,
) -> list[Panel]:
    lengths = []
    for colour, kind in enumerate(KINDS):
        wide = np.unique(np.geomspace(kind.widths[0] / 1.3, kind.widths[-1] * 1.3, 30).astype(int))
        theory_line = [kind.expected(int(width)) for width in wide]
        lengths += [
            Series(kind.name, kind.widths, n50[kind.name], colour=colour, joined=False),
            Series(f"{kind.name}, theory", wide.tolist(), theory_line, None, "theory", colour),
        ]
    means = [float(np.mean(at)) for at in ends]
    errors = [float(np.std(at) / math.sqrt(len(at))) for at in ends]
    shares = [count / len(at) for count, at in zip(followed, ends, strict=True)]
    return [
        Panel(
            "Sequences without an error, half of the time",
            "width of the patterns d",
            "steps n50",
            lengths,
            log_x=True,
            log_y=True,
        ),
        Panel(
            f"Identity, errors allowed: the end of a walk, d = {d}",
            "load: steps / d",
            "overlap with the last pattern",
            [
                Series("mean overlap", RATES, means, errors),
                Series(f"share of walks with overlap > {FOLLOWED}", RATES, shares, colour=1),
            ],
            marks=[Mark(critical, f"critical load {critical:.3f}")],
            y_range=(-0.1, 1.05),
        ),
    ]
