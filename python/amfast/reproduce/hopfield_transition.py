"""The Hopfield network's transition: recall ends at a load of 0.138 (Amit et al. 1985)."""

from __future__ import annotations

from dataclasses import dataclass

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

LOADS = (0.10, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.20)
ASSERTED_SIZE = 2000
RECALLED = 0.9  # an overlap above it counts


@experiment("hopfield-transition", "overlap after asynchronous recall against the load n / N")
def run(context: Context) -> Outcome:
    """Start at stored patterns, update asynchronously until nothing flips, measure the overlap."""
    sizes = {"quick": (500, 2000), "default": (500, 1000, 2000), "full": (500, 1000, 2000, 8000)}
    chosen = sizes[context.level]
    memories, cues = context.pick(3, 10, 20), context.pick(20, 30, 50)
    found = {}
    with context.progress("hopfield-transition", len(chosen) * len(LOADS) + 1) as done:
        for size in chosen:
            for load in LOADS:
                # The largest networks average themselves.
                few = max(2, memories // 4) if size > ASSERTED_SIZE else memories
                found[size, load] = _Ends.of(size, load, few, cues)
                done(f"N = {size}, load {load:g}")
        cycles = _synchronous_cycles(context.pick(300, 300, 3000))
        done("synchronous updates")
    outcome = Outcome()
    half = {size: _half(found, size) for size in chosen}
    at = {load: found[ASSERTED_SIZE, load].success for load in (0.12, 0.18)}
    critical = theory.hopfield_critical_load()
    outcome.checks += [
        Check("N = 2000: success at load 0.12", at[0.12], 0.9, 0, "at least"),
        Check("N = 2000: success at load 0.18", at[0.18], 0.1, 0, "at most"),
        Check("N = 2000: load of half success", half[ASSERTED_SIZE], 0.1515, 0.0135),
        Check("theory: critical load (Amit et al.)", critical, 0.138, 0.001),
        Check(
            "largest rise of the energy in a sweep, all networks",
            max(ends.rise for ends in found.values()),
            0,
            1e-12,
            "at most",
        ),
        Check(
            "synchronous updates that end in neither a fixed point nor a 2-cycle",
            cycles[0],
            0,
            0,
        ),
    ]
    outcome.claims.append(
        Claim.plain(
            "recall ends at a load of 0.138",
            f"N = {chosen[0]} to {chosen[-1]}",
            all(abs(load - critical) < 0.005 for load in half.values()),
            "half success at "
            + ", ".join(f"{load:.3f} (N = {size})" for size, load in half.items())
            + ": the limit of large N, reached from above",
        )
    )
    outcome.notes.append(
        f"synchronous updates, N = 200, load 0.15, random starts: {cycles[1]} fixed points, "
        f"{cycles[2]} cycles of two states"
    )
    outcome.tables.append(
        Table(
            "success",
            f"Fraction of starts that stay (overlap > {RECALLED}) / mean overlap",
            ("load", "theory, N to infinity", *(f"N = {size}" for size in chosen)),
            [
                (
                    f"{load:.2f}",
                    f"{theory.hopfield_overlap(load):.3f}",
                    *(
                        f"{found[size, load].success:.2f} / {found[size, load].overlap:.3f}"
                        for size in chosen
                    ),
                )
                for load in LOADS
            ],
        )
    )
    outcome.panels += _panels(found, chosen)
    return outcome


@dataclass(frozen=True)
class _Ends:
    """Where recall ended, over all starts in networks of one size and load."""

    success: float
    overlap: float
    overlap_error: float
    rise: float
    starts: int

    @classmethod
    def of(cls, size: int, load: float, memories: int, cues: int) -> _Ends:
        overlaps, rise = [], -np.inf
        for i in range(memories):
            patterns = signs(generator(size, round(1000 * load), i), round(load * size), size)
            network = am.Hopfield()
            network.store(patterns)
            starts = patterns[:cues]
            ends = network.recall(starts, update="async", max_sweeps=1000, seed=i, details=True)
            overlaps.append((ends.state.astype(float) * starts).mean(axis=1))
            steps = np.diff(ends.energy_trace, axis=1)
            rise = max(rise, float(np.nanmax(steps, initial=-np.inf)))
        means = np.array([o.mean() for o in overlaps])
        every = np.concatenate(overlaps)
        return cls(
            float((every > RECALLED).mean()),
            float(every.mean()),
            float(means.std(ddof=1) / np.sqrt(len(means))),
            rise,
            len(every),
        )


def _half(found: dict[tuple[int, float], _Ends], size: int) -> float:
    """Return the load of half success."""
    ends = [found[size, load] for load in LOADS]
    wins = [round(e.success * e.starts) for e in ends]
    return _fit.logistic_crossing(LOADS, wins, [e.starts for e in ends])[0]


def _synchronous_cycles(starts: int) -> list[int]:
    """Count how synchronous recall ends: in no cycle within the sweeps, of one state, of two."""
    size, counts = 200, [0, 0, 0]
    for i in range(3):
        rng = generator(size, i)
        network = am.Hopfield()
        network.store(signs(rng, 30, size))
        ends = network.recall(
            signs(rng, starts // 3, size), update="sync", max_sweeps=1000, details=True
        )
        for length in (0, 1, 2):
            counts[length] += int((ends.cycle == length).sum())
    counts[0] = starts // 3 * 3 - counts[1] - counts[2]
    return counts


def _panels(found: dict[tuple[int, float], _Ends], chosen: tuple[int, ...]) -> list[Panel]:
    critical = theory.hopfield_critical_load()
    fine = [float(load) for load in np.linspace(LOADS[0], critical, 80)]
    overlap = [
        Series(
            f"N = {size}",
            LOADS,
            [found[size, load].overlap for load in LOADS],
            [found[size, load].overlap_error for load in LOADS],
            colour=i,
        )
        for i, size in enumerate(chosen)
    ]
    theory_line = Series(
        "theory, N to infinity",
        [*fine, critical * 1.0001],
        [*(theory.hopfield_overlap(load * 0.9999999) for load in fine), 0.0],
        kind="theory",
        colour=7,
    )
    success = [
        Series(
            f"N = {size}",
            LOADS,
            [found[size, load].success for load in LOADS],
            [
                _fit.fraction_error(found[size, load].success, found[size, load].starts)
                for load in LOADS
            ],
            colour=i,
        )
        for i, size in enumerate(chosen)
    ]
    mark = Mark(critical, f"critical load {critical:.4f}")
    return [
        Panel(
            "Overlap with the stored pattern at the end",
            "load n / N",
            "mean overlap m",
            [*overlap, theory_line],
            marks=[mark],
            y_range=(-0.02, 1.02),
        ),
        Panel(
            f"Patterns that stay (overlap > {RECALLED})",
            "load n / N",
            "fraction of starts",
            success,
            marks=[mark],
            y_range=(-0.02, 1.02),
        ),
    ]
