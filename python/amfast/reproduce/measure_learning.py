"""Learning to recall from a measure: attention and network trained together, by spectrum.

The paper (Kawata and Suzuki 2026) has no experiments; this is amfast's own construction of its
model. A context mixes components, each a density on [0, 1] given by its masses on a grid, under a
tag; the query carries one tag; the answer is a function of that component's coefficients, whose
variances fall like exp(-c (j^alpha - 1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import amfast as am
from amfast._typing import Float, Int
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

COMPONENTS, FEATURES, GRID = 8, 8, 64
ALPHAS = (0.5, 2.0)
FALL = 0.5  # c
TESTED = 1000
TARGET = 1.5 * np.array([1.0, -0.8, 0.6, -0.5, 0.4, 0.3, 0.3, 0.2])
LEARNED, TRUE, UNIFORM = "learned attention", "true tags", "uniform attention"
# By number of contexts: least weight on the component, largest risk of learned attention and of
# true tags, least risk of uniform attention; well off what is measured, chance being large.
BOUNDS = {
    100: (0.4, 0.5, 0.02, 0.8), 400: (0.8, 0.02, 2e-4, 0.8), 1600: (0.95, 1e-4, 1e-6, 0.8),
}  # fmt: skip


class _Drawn(NamedTuple):
    """Contexts: tags (n, I, I), coefficients (n, I, J), the component asked, the answer."""

    tags: Float
    coefficients: Float
    asked: Int
    y: Float

    @property
    def queries(self) -> Float:
        """Tags of the components asked, (n, I)."""
        return np.asarray(self.tags[np.arange(len(self.y)), self.asked])


class _Result(NamedTuple):
    """Of one seed: risks over the variance of y, and the weight on the component asked."""

    learned: float
    true: float
    uniform: float
    weight: float


@experiment("measure-learning", "learning to recall one component of a mixture, by its spectrum")
def run(context: Context) -> Outcome:
    """Measure risk and weight against the number of contexts."""
    sizes = list(BOUNDS)[: context.pick(2, 3, 3)] + [6400] * context.pick(0, 0, 1)
    seeds = context.pick(2, 5, 10)
    outcome = Outcome()
    outcome.notes.append("the paper has no experiments: this is amfast's construction of its model")
    found: dict[tuple[float, int], list[_Result]] = {}
    with context.progress("measure-learning", len(ALPHAS) * len(sizes) + 1) as done:
        for alpha in ALPHAS:
            for n in sizes:
                found[alpha, n] = [_learn(alpha, n, seed) for seed in range(seeds)]
                done(f"alpha = {alpha:g}, {n} contexts")
        steep = ALPHAS[-1]
        whitened = [_of_values(_draw(steep, 400, s), 400, s, _spectrum(steep))[0] for s in range(2)]
        done("features divided by their spectrum")
    outcome.checks += _checks(found, sizes, float(np.mean(whitened)))
    outcome.claims += _claims(found, sizes)
    outcome.tables.append(_table(found))
    outcome.panels += [_risks(found, sizes, alpha) for alpha in ALPHAS]
    outcome.panels.append(_weights(found, sizes))
    return outcome


# -- contexts -------------------------------------------------------------------------------------


def _spectrum(alpha: float) -> Float:
    """Variances of the coefficients (J,), the first 1."""
    return np.asarray(np.exp(-FALL * (np.arange(1, FEATURES + 1) ** alpha - 1)))


def _draw(alpha: float, n: int, seed: int) -> _Drawn:
    """Draw n contexts to learn from, and `TESTED` behind them."""
    rng = np.random.default_rng([seed, n])
    total = n + TESTED
    z = (np.arange(GRID) + 0.5) / GRID
    features = np.sqrt(2.0) * np.cos(np.pi * np.arange(1, FEATURES + 1)[:, None] * z)
    size = np.sqrt(_spectrum(alpha))
    # So small that no density is negative.
    unit = 0.9 / (np.sqrt(2.0) * size.sum())
    drawn = rng.uniform(-1, 1, (total, COMPONENTS, FEATURES)) * size * unit
    masses = (1.0 + drawn @ features) / GRID
    coefficients = masses @ features.T
    tags = np.linalg.qr(rng.normal(size=(total, COMPONENTS, COMPONENTS)))[0]
    asked = rng.integers(0, COMPONENTS, total)
    own = coefficients[np.arange(total), asked]
    return _Drawn(tags, coefficients, asked, np.tanh(own / unit @ TARGET))


def _learn(alpha: float, n: int, seed: int) -> _Result:
    drawn = _draw(alpha, n, seed)
    learned, weight = _of_values(drawn, n, seed)
    rows = np.arange(len(drawn.y))
    own = drawn.coefficients[rows, drawn.asked]
    return _Result(
        learned, _of_one(own, drawn.y, n, seed),
        _of_one(drawn.coefficients.mean(axis=1), drawn.y, n, seed), weight,
    )  # fmt: skip


def _of_values(
    drawn: _Drawn, n: int, seed: int, divided_by: Float | None = None
) -> tuple[float, float]:
    """Learn attention and network; return the risk and the weight on the component."""
    values = drawn.coefficients
    if divided_by is not None:
        values = values / np.sqrt(divided_by)
    measures = [am.Measure(t, values=v) for t, v in zip(drawn.tags, values, strict=True)]
    model = am.MeasureRegressor(seed=seed)
    model.fit(measures[:n], drawn.queries[:n], drawn.y[:n])
    asked = measures[n:], drawn.queries[n:]
    weights = model.weights(*asked)[np.arange(TESTED), drawn.asked[n:]]
    return _risk(model.predict(*asked), drawn.y[n:]), float(weights.mean())


def _of_one(values: Float, y: Float, n: int, seed: int) -> float:
    """Learn the network alone, from one row each."""
    measures = [am.Measure([[1.0]], values=[v]) for v in values]
    queries = np.ones((len(y), 1))
    model = am.MeasureRegressor(seed=seed).fit(measures[:n], queries[:n], y[:n])
    return _risk(model.predict(measures[n:], queries[n:]), y[n:])


def _risk(predicted: Float, y: Float) -> float:
    return float(((predicted - y) ** 2).mean() / y.var())


# -- what came out --------------------------------------------------------------------------------


def _mean(results: Sequence[_Result], name: str) -> float:
    return float(np.mean([getattr(result, name) for result in results]))


def _checks(
    found: dict[tuple[float, int], list[_Result]],
    sizes: Sequence[int],
    whitened: float,
) -> list[Check]:
    checks = []
    for n, (weight, learned, true, uniform) in BOUNDS.items():
        if n not in sizes:
            continue
        for alpha in ALPHAS:
            runs, what = found[alpha, n], f"alpha = {alpha:g}, n = {n}"
            checks += [
                Check(f"{what}: weight on the component asked", _mean(runs, "weight"),
                      weight, 0.0, "at least"),
                Check(f"{what}: risk of learned attention", _mean(runs, "learned"),
                      learned, 0.0, "at most"),
                Check(f"{what}: risk of true tags", _mean(runs, "true"), true, 0.0, "at most"),
                Check(f"{what}: risk of uniform attention", _mean(runs, "uniform"),
                      uniform, 0.0, "at least"),
            ]  # fmt: skip
    steep = ALPHAS[1]
    worse = whitened / _mean(found[steep, 400], "learned")
    checks.append(
        Check(f"alpha = {steep:g}, n = 400: risk where features are divided by their spectrum, "
              "over that where not", worse, 1.5, 0.0, "at least")
    )  # fmt: skip
    return checks


def _claims(found: dict[tuple[float, int], list[_Result]], sizes: Sequence[int]) -> list[Claim]:
    flat, steep = ([_mean(found[a, n], "learned") for n in sizes] for a in ALPHAS)
    return [
        Claim.plain(
            "a spectrum that falls faster is learned from fewer contexts",
            f"n = {', '.join(map(str, sizes))}",
            all(b < a for a, b in zip(flat, steep, strict=True)),
            f"alpha = {ALPHAS[0]:g}: {', '.join(f'{x:.2g}' for x in flat)}; "
            f"{ALPHAS[1]:g}: {', '.join(f'{x:.2g}' for x in steep)}",
        ),
        Claim.plain(
            "attention learns to recall the component",
            f"n = {sizes[-1]}",
            all(_mean(found[a, sizes[-1]], "weight") > 0.8 for a in ALPHAS),
            ", ".join(f"{_mean(found[a, sizes[-1]], 'weight'):.3f}" for a in ALPHAS),
        ),
    ]


def _table(found: dict[tuple[float, int], list[_Result]]) -> Table:
    return Table(
        "risks",
        "Risk over the variance of the answer, mean and deviation over seeds",
        ("alpha", "contexts", *_NAMES, "weight on the component"),
        [
            (
                f"{alpha:g}",
                str(n),
                *(
                    f"{_mean(runs, name):.2g} ± {np.std([getattr(r, name) for r in runs]):.1g}"
                    for name in (*_NAMES.values(), "weight")
                ),
            )
            for (alpha, n), runs in found.items()
        ],
    )


_NAMES = {LEARNED: "learned", TRUE: "true", UNIFORM: "uniform"}


def _series(
    found: dict[tuple[float, int], list[_Result]],
    sizes: Sequence[int],
    alpha: float,
    name: str,
    label: str,
    colour: int,
) -> Series:
    runs = [[getattr(r, name) for r in found[alpha, n]] for n in sizes]
    return Series(
        label, sizes, [float(np.mean(r)) for r in runs], [float(np.std(r)) for r in runs],
        colour=colour,
    )  # fmt: skip


def _risks(
    found: dict[tuple[float, int], list[_Result]], sizes: Sequence[int], alpha: float
) -> Panel:
    return Panel(
        f"spectrum exp(-{FALL:g} j^{alpha:g}), I = {COMPONENTS} components",
        "contexts n",
        "risk / variance of y",
        [
            _series(found, sizes, alpha, name, label, colour)
            for colour, (label, name) in enumerate(_NAMES.items())
        ],
        log_x=True,
        log_y=True,
    )


def _weights(found: dict[tuple[float, int], list[_Result]], sizes: Sequence[int]) -> Panel:
    return Panel(
        "what attention learns",
        "contexts n",
        "weight on the component asked",
        [
            _series(found, sizes, alpha, "weight", f"α = {alpha:g}", colour)
            for colour, alpha in enumerate(ALPHAS)
        ],
        log_x=True,
        marks=[Mark(1 / COMPONENTS, "uniform", "y")],
        y_range=(0, 1.04),
    )
