"""One-step modern Hopfield networks: exponentially many pairs, one query or all at once.

The overlaps of one query with n random keys are independent binomial numbers, so that drawing how
many keys there are at every distance (a multinomial number) stands for drawing the keys. A memory
of one item per distance, whose weight is the number of keys there, recalls what the memory of all
keys would: n = 10^10 keys are a memory of d + 1 items.
"""

from __future__ import annotations

import math

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
    experiment,
)

# Loads at which success is measured, as multiples of the number where it should be 1/2.
LOADS = np.geomspace(0.35, 2.8, 9)


@experiment("modern-onestep", "pairs a one-step modern Hopfield network answers: exponential in d")
def run(context: Context) -> Outcome:
    """Find where half of the queries are answered, for values of both kinds, and for all at once.

    Slopes are of ln n50 over d; the theory is `amfast.theory.onestep_exponent` and the birthday
    problem, `amfast.theory.onestep_birthday`.
    """
    widths = list(range(20, context.pick(40, 40, 60) + 1, context.pick(5, 4, 4)))
    key_bits = list(range(12, context.pick(18, 24, 28) + 1, 2))
    trials, repeats = context.pick(60, 100, 1000), context.pick(100, 40, 60)
    with context.progress("modern-onestep", 2 * len(widths) + len(key_bits) + 1) as done:
        one: dict[str, list[float]] = {}
        for values in ("arbitrary", "random"):
            one[values] = []
            for d in widths:
                one[values].append(_one_query(d, values, trials))
                done(f"{values} values, d = {d}")
        every = []
        for d in key_bits:
            every.append(_all_queries(d, repeats if d <= 20 else repeats // 2))
            done(f"all queries, d = {d}")
        drawn, counted = _drawn_and_counted(16, context.pick(300, 1000, 4000))
        done("drawn keys")
    outcome = Outcome()
    birthday = [theory.onestep_birthday(d) for d in key_bits]
    ratio = np.divide(every, birthday)
    slopes = {values: _fit.slope(widths, np.log(found).tolist()) for values, found in one.items()}
    slopes["all"] = _fit.slope(key_bits, np.log(every).tolist())
    hopfield = [theory.hopfield_n50(d, "one") for d in (*key_bits, *widths)]
    outcome.checks += [
        Check("one query, arbitrary values: slope of ln n50", slopes["arbitrary"], 0.564, 0.02),
        Check("all queries at once: slope of ln n50", slopes["all"], 0.35, 0.03),
        Check("all queries: smallest n50 / birthday", float(ratio.min()), 0.8, 0, "at least"),
        Check("all queries: largest n50 / birthday", float(ratio.max()), 1.25, 0, "at most"),
        Check(
            "classical one-step network: power of d in its n50",
            _fit.log_slope([*key_bits, *widths], hopfield),
            1,
            0,
            "at most",
        ),
        # Two fractions of as many trials: four standard errors of their difference.
        Check(
            "d = 16: success with all keys drawn, minus with keys counted",
            drawn - counted,
            0,
            4 * math.sqrt(2 * 0.25 / context.pick(300, 1000, 4000)),
        ),
    ]
    asymptotic = theory.onestep_exponent(values="random")
    outcome.claims += [
        Claim.plain(
            "random values: exponent ln 2 - ln(1 + exp(-4)) = 0.675",
            f"d = {widths[0]} to {widths[-1]}",
            abs(slopes["random"] - asymptotic) < 0.005,
            f"slope {slopes['random']:.3f}: the limit of large d, approached from below",
        ),
        Claim.plain(
            "P(overlap >= 0.3 d) <= exp(-0.3^2 d), as the lecture prints it",
            "d = 100",
            _tail(100, 0.3) <= math.exp(-0.09 * 100),
            f"{_tail(100, 0.3):.2e} > {math.exp(-9):.1e}",
        ),
        Claim.plain(
            "P(overlap >= 0.3 d) <= exp(-0.3^2 d / 2), Hoeffding's inequality",
            "d = 100",
            _tail(100, 0.3) <= math.exp(-0.09 * 100 / 2),
            f"{_tail(100, 0.3):.2e} <= {math.exp(-4.5):.1e}",
        ),
    ]
    outcome.tables.append(
        Table(
            "n50",
            "Pairs at which half of the trials succeed",
            ("what", "d", "n50", "theory", "measured / theory"),
            [
                _row(f"one query, {values} values", d, n, _growth(one[values], widths, values)[i])
                for values in one
                for i, (d, n) in enumerate(zip(widths, one[values], strict=True))
            ]
            + [
                _row("all queries, birthday", d, n, b)
                for d, n, b in zip(key_bits, every, birthday, strict=True)
            ],
        )
    )
    outcome.notes.append(
        "theory of one query: exponent exact, constant fitted at the largest d (it has no closed "
        "form); of all queries: exact, two equal keys with probability 1/2"
    )
    outcome.panels += _panels(widths, one, slopes, key_bits, every, ratio)
    return outcome


def _row(what: str, d: int, n: float, expected: float) -> tuple[str, ...]:
    return what, str(d), f"{n:.4g}", f"{expected:.4g}", f"{n / expected:.2f}"


def _growth(found: list[float], widths: list[int], values: str) -> list[float]:
    """Return the exponential law of the theory through the last point."""
    kind = "arbitrary" if values == "arbitrary" else "random"
    exponent = theory.onestep_exponent(values=kind)  # type: ignore[arg-type]
    return [found[-1] * math.exp(exponent * (d - widths[-1])) for d in widths]


# -- one query: keys counted by their distance ----------------------------------------------------


class _Counted:
    """A memory of one query's n keys: the right one, and the others by their distance from it."""

    def __init__(self, d: int) -> None:
        self.d = d
        staircase = np.where(np.arange(d) < np.arange(d + 1)[:, None], -1.0, 1.0)
        self.keys = np.concatenate([np.ones((1, d)), staircase])
        log = np.array([math.lgamma(h + 1) + math.lgamma(d - h + 1) for h in range(d + 1)])
        chances = np.exp(log.min() - log)
        self.chances = chances / chances.sum()

    def answers(self, n: int, values: str, rng: np.random.Generator) -> bool:
        """Draw n - 1 keys beside the right one and say whether every bit of the answer is right.

        The right value is +1 everywhere. Arbitrary values of the others are all -1 and one bit is
        asked for; random ones have d bits, and what counts is their mean at every distance.
        """
        others = rng.multinomial(n - 1, self.chances)
        if values == "arbitrary":
            means = np.full((self.d + 1, 1), -1.0)
        else:
            count = others[:, None]
            means = (2 * rng.binomial(count, 0.5, (self.d + 1, self.d)) - count) / count.clip(1)
        with np.errstate(divide="ignore"):
            log_weight = np.log(np.append(1.0, others))
        right = np.ones((1, means.shape[1]))
        recalled = am.retrieve(
            self.keys[0],
            self.keys,
            np.concatenate([right, means]),
            beta=1.0,
            log_weight=log_weight,
        )
        return bool((recalled > 0).all())


def _one_query(d: int, values: str, trials: int) -> float:
    """Return n50 of one query with arbitrary (all of them wrong) or random values of the others."""
    memory = _Counted(d)
    rng = np.random.default_rng([d, values == "random"])
    middle = math.exp((0.566 if values == "arbitrary" else 0.651) * d)
    for spread, count in ((2.0, trials // 4), (1.0, trials)):
        sizes = [max(2, round(middle * float(load) ** spread)) for load in LOADS]
        wins = [sum(memory.answers(n, values, rng) for _ in range(count)) for n in sizes]
        logs = [math.log(n) for n in sizes]
        middle = math.exp(_fit.logistic_crossing(logs, wins, [count] * len(sizes))[0])
    return middle


def _drawn_and_counted(d: int, trials: int) -> tuple[float, float]:
    """Return the success of one query among real keys and among counted ones."""
    rng = np.random.default_rng(d)
    n = 9800
    memory = _Counted(d)
    counted = sum(memory.answers(n, "arbitrary", rng) for _ in range(trials)) / trials
    drawn = 0
    wrong = np.where(np.arange(n) == 0, 1.0, -1.0).astype(np.float32)[:, None]
    for _ in range(trials):
        keys = rng.integers(0, 2, (n, d), dtype=np.int8) * np.int8(2) - np.int8(1)
        drawn += int(am.retrieve(keys[0], keys, wrong, beta=1.0)[0] > 0)
    return drawn / trials, counted


# -- all queries: equal keys are the limit --------------------------------------------------------


def _all_queries(d: int, repeats: int) -> float:
    """Return the number of pairs of d random bits that one step answers all, half of the time."""
    rng = np.random.default_rng([d, 7])
    sizes = [round(theory.onestep_birthday(d) * float(load)) for load in LOADS[2:-2]]
    wins = []
    for n in sizes:
        won = 0
        for _ in range(repeats):
            keys, values = rng.integers(0, 2, (2, n, d)).astype(np.float32) * 2 - 1
            memory = am.UniversalHopfield("dot", "softmax", beta=1.0, readout="sign")
            memory.store(keys, values)
            won += bool((memory.recall(keys) == values).all())
        wins.append(won)
    logs = [math.log(n) for n in sizes]
    return math.exp(_fit.logistic_crossing(logs, wins, [repeats] * len(sizes))[0])


def _tail(d: int, a: float) -> float:
    """Return the probability that two random rows of d signs have an overlap >= a d."""
    least = math.ceil(d * (1 + a) / 2 - 1e-9)
    return math.ldexp(sum(math.comb(d, k) for k in range(least, d + 1)), -d)


# -- the picture ----------------------------------------------------------------------------------


def _panels(
    widths: list[int],
    one: dict[str, list[float]],
    slopes: dict[str, float],
    key_bits: list[int],
    every: list[float],
    ratio: Float,
) -> list[Panel]:
    wide = list(range(12, widths[-1] + 1))
    series = []
    for colour, (values, found) in enumerate(one.items()):
        exponent = theory.onestep_exponent(values=values)  # type: ignore[arg-type]
        series += [
            Series(
                f"one query, {values}: slope {slopes[values]:.3f}",
                widths,
                found,
                colour=colour,
                joined=False,
            ),
            Series(
                f"exp({exponent:.3f} d)",
                widths,
                _growth(found, widths, values),
                None,
                "theory",
                colour,
            ),
        ]
    series += [
        Series(f"all queries: slope {slopes['all']:.3f}", key_bits, every, colour=2, joined=False),
        Series(
            "birthday, 1.18 · 2^(d/2)",
            wide,
            [theory.onestep_birthday(d) for d in wide],
            None,
            "theory",
            2,
        ),
        Series(
            "union bound, exp(0.172 d)",
            wide,
            [math.exp(theory.onestep_union_exponent() * d) for d in wide],
            None,
            "textbook",
            2,
        ),
        Series(
            "classical network, one query",
            wide,
            [theory.hopfield_n50(d, "one") for d in wide],
            None,
            "theory",
            7,
        ),
    ]
    return [
        Panel(
            "Pairs answered with probability 1/2",
            "width of the keys d",
            "pairs n50",
            series,
            log_y=True,
        ),
        Panel(
            "All queries at once: equal keys are the limit",
            "width of the keys d",
            "n50 / birthday number",
            [Series("measured", key_bits, ratio.tolist(), colour=2)],
            marks=[
                Mark(1.0, "two keys equal with probability 1/2", "y"),
                Mark(0.8, "accepted", "y"),
                Mark(1.25, "accepted", "y"),
            ],
            y_range=(0.6, 1.5),
        ),
    ]
