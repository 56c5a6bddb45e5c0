"""Modern Hopfield networks: the bounds of Ramsauer et al. hold, energy falls, three regimes."""

from __future__ import annotations

import warnings

import numpy as np

import amfast as am
from amfast import theory
from amfast._typing import Float
from amfast.reproduce._registry import (
    Check,
    Context,
    Mark,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)

# Items, width and beta of the random memories whose bounds are checked.
MEMORIES = ((1000, 64, 1.0), (100, 32, 1.0), (300, 128, 0.5), (50, 16, 4.0))
# What float64 can tell apart, relative to the length of an item.
RESOLUTION = 1e-14
BETAS = np.geomspace(0.05, 10.0, 29)


@experiment("mchn-bounds", "modern Hopfield networks: error bounds, energy, and three regimes")
def run(context: Context) -> Outcome:
    """Measure fixed points, energies and effective numbers of patterns of random memories."""
    outcome = Outcome()
    outcome.checks += [
        Check(
            f"capacity base c at beta 1, K {spread:g}, d {d}, p .001",
            theory.modern_capacity_base(d, spread),
            expected,
            1e-3,
        )
        for d, spread, expected in ((20, 3.0, 3.1546), (75, 1.0, 1.3719))
    ]
    seeds = context.pick(1, 3, 20)
    with context.progress("mchn-bounds", seeds + 3) as done:
        _bounds(outcome, seeds, done)
        _energy(outcome, context.pick(50, 200, 2000))
        done("energy")
        _regimes(outcome, context.pick(3, 10, 50))
        done("regimes")
        _warning(outcome)
        done("warning")
    return outcome


def _quiet(keys: Float, beta: float | None) -> am.ModernHopfield:
    """Make a memory that does not warn; this experiment knows what it does."""
    memory = am.ModernHopfield(beta)
    memory.store(keys)
    return memory


def _bounds(outcome: Outcome, seeds: int, done: object) -> None:
    """Compare the distance of items from their fixed points with the bound on it."""
    assert callable(done)
    violated = strayed = 0
    tightest = 0.0
    rows, series = [], []
    for seed in range(seeds):
        for place, (n, d, beta) in enumerate(MEMORIES):
            rng = np.random.default_rng([seed, n, d])
            keys = rng.normal(size=(n, d))
            memory = _quiet(keys, beta)
            found = memory.bounds()
            good = found.separated
            fixed = _recall(memory, keys, 30, 0.0)
            error = np.linalg.norm(fixed - keys, axis=1)
            floor = RESOLUTION * found.norm
            violated += int((error[good] > found.error[good] + floor).sum())
            seen = good & (error > 10 * floor)
            tightest = max(tightest, float((error[seen] / found.error[seen]).max(initial=0.0)))
            # One step from the edge of the radius errs by no more than the bound either.
            away = rng.normal(size=(n, d))
            away *= found.radius / np.linalg.norm(away, axis=1, keepdims=True)
            once = np.linalg.norm(_recall(memory, keys + away, 1, 0.0) - fixed, axis=1)
            strayed += int((once[good] > found.error[good] + floor).sum())
            if seed == 0:
                rows.append(
                    (f"{n}", f"{d}", f"{beta:g}", f"{found.threshold:.3g}",
                     f"{np.median(found.margin):.3g}", f"{good.mean():.3f}")
                )  # fmt: skip
                if place < 2:
                    shown = np.flatnonzero(good & (error > floor))
                    shown = shown[np.argsort(found.margin[shown])][:: max(1, len(shown) // 60)]
                    margin = found.margin[shown].tolist()
                    name = f"N = {n}, d = {d}"
                    series += [
                        Series(name, margin, error[shown].tolist(), colour=place, joined=False),
                        Series(
                            f"bound, {name}", margin, found.error[shown].tolist(),
                            kind="theory", colour=place,
                        ),
                    ]  # fmt: skip
        done(f"seed {seed}")
    outcome.checks += [
        Check("separated items further from their fixed point than the bound", violated, 0, 0),
        Check("one step from within the radius: further off than the bound", strayed, 0, 0),
        Check("largest error / bound", tightest, 1.0, 0, "at most"),
        Check("N = 1000, d = 64: fraction of items separated", float(rows[0][-1]), 0.95, 0,
              "at least"),
    ]  # fmt: skip
    outcome.tables.append(
        Table(
            "memories",
            "Random memories (standard normal items)",
            ("items", "width", "beta", "margin needed", "median margin", "separated"),
            rows,
        )
    )
    outcome.panels.append(
        Panel(
            "Distance of an item from its fixed point",
            "margin Δ",
            "|x - x*|",
            series,
            log_y=True,
        )
    )


def _recall(memory: am.ModernHopfield, cues: Float, steps: int, tol: float) -> Float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", am.SeparationWarning)
        return np.asarray(memory.recall(cues, max_iter=steps, tol=tol))


def _energy(outcome: Outcome, starts: int) -> None:
    """Follow the energy down from random states, below and above every transition."""
    rng = np.random.default_rng(7)
    keys = rng.normal(size=(40, 12))
    norm = float(np.linalg.norm(keys, axis=1).max())
    states = rng.normal(size=(starts, 12))
    states *= norm * rng.uniform(0, 1, (starts, 1)) / np.linalg.norm(states, axis=1, keepdims=True)
    rise, low, high = -np.inf, np.inf, -np.inf
    series = []
    for place, beta in enumerate((0.1, 0.3, 1.0, 5.0)):
        memory = _quiet(keys, beta)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", am.SeparationWarning)
            trace = memory.recall(states, max_iter=40, tol=0.0, details=True).energy_trace
        rise = max(rise, float(np.diff(trace, axis=1).max()))
        low, high = min(low, float(trace.min())), max(high, float(trace.max()))
        mean = trace[:, :16].mean(axis=0)
        steps = list(range(len(mean)))
        series.append(Series(f"β = {beta:g}", steps, mean.tolist(), colour=place))
    outcome.checks += [
        Check("largest rise of the energy in a step", rise, 0, 1e-12, "at most"),
        Check("smallest energy, which is >= 0", low, 0, 1e-12, "at least"),
        Check("largest energy / its bound 2 M²", high / (2 * norm**2), 1, 0, "at most"),
    ]
    outcome.panels.append(
        Panel("Energy on the way to a fixed point", "step", "mean energy", series)
    )


def _effective(keys: Float, beta: float) -> float:
    """Exponential of the entropy of the weights, at the fixed points reached from the items."""
    memory = _quiet(keys, beta)
    p = memory.weights(_recall(memory, keys, 300, 1e-9))
    return float(np.exp(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)).mean())


def _on_sphere(rows: Float, norm: float) -> Float:
    return np.asarray(norm * rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _regimes(outcome: Outcome, runs: int) -> None:
    """Count the items that a fixed point is made of, random ones and ones in five clusters."""
    kinds: dict[str, list[list[float]]] = {"random items": [], "five clusters of four": []}
    for seed in range(runs):
        rng = np.random.default_rng([11, seed])
        alone = rng.normal(size=(20, 16))
        near = np.repeat(rng.normal(size=(5, 16)), 4, axis=0) + 0.35 * rng.normal(size=(20, 16))
        for name, rows in zip(kinds, (alone, near), strict=True):
            keys = _on_sphere(rows, 4.0)
            kinds[name].append([_effective(keys, float(beta)) for beta in BETAS])
    mean = {name: np.mean(found, axis=0) for name, found in kinds.items()}
    at = {beta: int(np.abs(BETAS - beta).argmin()) for beta in (0.05, 0.5, 1.0, 10.0)}
    clusters, random = mean["five clusters of four"], mean["random items"]
    outcome.checks += [
        Check("β = 0.05, random items: effective items (of 20)", random[at[0.05]], 19, 0,
              "at least"),
        Check("β = 1, random items: effective items", random[at[1.0]], 1.1, 0, "at most"),
        Check("β = 0.5, clusters of four: effective items", clusters[at[0.5]], 4.0, 1.0),
        Check("β = 10, clusters of four: effective items", clusters[at[10.0]], 1.1, 0, "at most"),
    ]  # fmt: skip
    outcome.panels.append(
        Panel(
            "Three regimes: all items, a cluster, one item",
            "β",
            "effective items in a fixed point",
            [
                Series(name, BETAS.tolist(), found.tolist(), colour=i)
                for i, (name, found) in enumerate(mean.items())
            ],
            log_x=True,
            log_y=True,
            marks=(Mark(4.0, "a cluster", "y"), Mark(20.0, "all items", "y")),
        )
    )


def _warning(outcome: Outcome) -> None:
    """Show that attention's usual beta, 1 / sqrt(d), separates nothing, and that it is said."""
    keys = np.random.default_rng(3).normal(size=(1000, 64))
    memory = _quiet(keys, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        memory.recall(keys[:1])
        memory.recall(keys[:1])
    found = memory.bounds()
    outcome.checks += [
        Check("β = 1/√64: warnings in two recalls", len(caught), 1, 0),
        Check.relative("β = 1/√64: margin needed", found.threshold, 133, 0.05),
        Check("β = 1/√64: items separated", int(found.separated.sum()), 0, 0),
    ]
    outcome.notes.append(str(caught[0].message))
