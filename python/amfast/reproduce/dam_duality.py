"""Dense memories are feed-forward nets: where the two agree bit for bit, and where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import amfast as am
from amfast._typing import Signs
from amfast.reproduce._random import flipped, generator, signs
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

WIDTH = 100
INTERACTIONS: dict[str, dict[str, Any]] = {
    "n = 2": {"n": 2},
    "n = 3": {"n": 3},
    "n = 5": {"n": 5},
    "n = 10": {"n": 10},
    "rectified, n = 3": {"n": 3, "interaction": "rectified"},
    "exponential": {"interaction": "exponential", "beta": 0.3},
    "logistic": {"interaction": "logistic", "beta": 0.3},
}
OUTPUTS = (1, 2, 5, 10, 20)  # units of the value
PATTERNS = (5, 20, 50, 100, 200, 500)  # of an autoassociative memory
KEYS = 200  # of a heteroassociative one
DRAWN = ("n = 2", "n = 3", "n = 5", "n = 10", "logistic")


@experiment("dam-duality", "one step of a dense memory against the feed-forward net of it")
def run(context: Context) -> Outcome:
    """Ask memories of random patterns at random cues, and the nets that `network` returns.

    One step is compared with the net bit by bit; the energy's own step (one synchronous sweep of
    differences of energies) by the share of bits in which it agrees. Ties are left out: fields
    that are nothing but what rounding leaves of terms that cancel.
    """
    draws, cues = context.pick(4, 20, 100), context.pick(100, 200, 400)
    with context.progress("dam-duality", 2 * len(INTERACTIONS) + 1) as done:
        differ, compared, hetero, auto = 0, 0, {}, {}
        for name, parts in INTERACTIONS.items():
            hetero[name] = [_shares(parts, KEYS, o, draws, cues) for o in OUTPUTS]
            done(f"values, {name}")
            auto[name] = [_shares(parts, k, 0, draws, cues) for k in PATTERNS]
            done(f"patterns, {name}")
            for asked in (*hetero[name], *auto[name]):
                differ, compared = differ + asked.differ, compared + asked.bits
        near = {name: _near(parts, draws) for name, parts in INTERACTIONS.items()}
        done("near stored patterns")
    one = {name: shares[0].agree for name, shares in hetero.items()}
    outcome = Outcome()
    outcome.checks += [
        Check(f"bits of {compared} in which one step and the net differ", differ, 0, 0),
        Check("one output unit, n = 2: bits in which the energy agrees", one["n = 2"], 1, 0),
        Check("one output unit: least share of bits", min(one.values()), 0.99, 0, "at least"),
        Check("20 output units, n = 10", hetero["n = 10"][-1].agree, 0.76, 0.06),
        Check("500 patterns, n = 2", auto["n = 2"][-1].agree, 0.52, 0.04),
        Check("500 patterns, n = 3", auto["n = 3"][-1].agree, 0.96, 0.02),
        Check("near stored patterns, n = 2, 3, 5", min(list(near.values())[:3]), 1, 0.01),
    ]
    outcome.claims += [
        Claim.plain(
            "a dense memory is a net with one hidden layer, f = F' (Krotov and Hopfield 2016)",
            f"d = {WIDTH}, {KEYS} keys, one output unit",
            min(one.values()) > 0.99,
            "the energy's step and the net agree in "
            + ", ".join(f"{share:.4f} ({name})" for name, share in one.items()),
        ),
        Claim.plain(
            "and with ten output units, as in the paper's classifier",
            f"d = {WIDTH}, {KEYS} keys, random cues and values",
            all(shares[3].agree > 0.99 for shares in hetero.values()),
            ", ".join(f"{shares[3].agree:.2f} ({name})" for name, shares in hetero.items())
            + ": units that are off shift the overlaps of a narrow input",
        ),
        Claim.plain(
            "and where every unit is input and output",
            f"d = {WIDTH}, 5 to 500 patterns, random cues",
            all(share.agree > 0.99 for shares in auto.values() for share in shares),
            "odd n agree in 0.95 or more; under even n the net holds each unit by its own state, "
            f"n = 2 agrees in {auto['n = 2'][0].agree:.2f} to {auto['n = 2'][-1].agree:.2f}",
        ),
    ]
    outcome.tables.append(
        Table(
            "agreement",
            "Share of bits in which the energy's step and the net agree",
            (
                "interaction",
                *(f"o = {o}" for o in OUTPUTS),
                *(f"K = {k}" for k in PATTERNS),
                "near stored",
            ),
            [
                (
                    name,
                    *(f"{share.agree:.3f}" for share in (*hetero[name], *auto[name])),
                    f"{near[name]:.3f}",
                )
                for name in INTERACTIONS
            ],
        )
    )
    outcome.notes.append(
        f"o: output units of {KEYS} pairs; K: patterns that recall themselves; near stored: 5 "
        "patterns with a tenth of their bits flipped"
    )
    titles = ("Values of o units", "output units o"), ("Patterns recall themselves", "patterns K")
    for (title, label), x, found in zip(titles, (OUTPUTS, PATTERNS), (hetero, auto), strict=True):
        outcome.panels.append(
            Panel(
                f"{title}, d = {WIDTH}",
                label,
                "share of bits in which energy and net agree",
                [
                    Series(
                        name,
                        x,
                        [share.agree for share in found[name]],
                        [share.error for share in found[name]],
                        colour=colour,
                    )
                    for colour, name in enumerate(DRAWN)
                ],
                log_x=True,
                y_range=(0.45, 1.02),
            )
        )
    return outcome


class _Shares:
    """How the net compares with one step of the memory, and with a step of its energy."""

    def __init__(self) -> None:
        self.bits = self.differ = 0
        self.shares: list[float] = []

    @property
    def agree(self) -> float:
        """Mean share of bits in which energy and net agree."""
        return float(np.mean(self.shares))

    @property
    def error(self) -> float:
        """Its standard error over the draws of patterns."""
        return float(np.std(self.shares) / np.sqrt(len(self.shares)))


def _shares(parts: dict[str, Any], n: int, outputs: int, draws: int, cues: int) -> _Shares:
    """Compare memories of n random patterns, or of pairs if there are output units."""
    found = _Shares()
    for i in range(draws):
        rng = generator(n, outputs, i)
        patterns, asked = signs(rng, n, WIDTH), signs(rng, cues, WIDTH)
        memory = am.DenseAssociativeMemory(**parts)
        memory.store(patterns, signs(rng, n, outputs) if outputs else None)
        net = _through(memory)(asked)
        step = memory.recall(asked, update="one-step")
        energy = memory.recall(asked, update="sync", max_sweeps=1)
        decided = net != 0
        found.bits += int(decided.sum())
        found.differ += int((net != step)[decided].sum())
        decided &= energy != 0
        found.shares.append(float((net == energy)[decided].mean()))
    return found


def _near(parts: dict[str, Any], draws: int) -> float:
    """Return the share of bits in which energy and net agree near stored patterns."""
    agree = []
    for i in range(draws):
        rng = generator(WIDTH, i)
        patterns = signs(rng, 5, WIDTH)
        memory = am.DenseAssociativeMemory(**parts)
        memory.store(patterns)
        asked = flipped(rng, patterns, WIDTH // 10)
        energy = memory.recall(asked, update="sync", max_sweeps=1)
        agree.append((_through(memory)(asked) == energy).mean())
    return float(np.mean(agree))


def _through(memory: am.DenseAssociativeMemory) -> Callable[[Signs], Signs]:
    """Return the net of a memory, as a function; 0 where its sums cancel up to rounding."""
    w, activation, v = memory.network()

    def net(x: Signs) -> Signs:
        hidden = activation(x @ w.T)
        field, terms = hidden @ v.T, np.abs(hidden) @ np.abs(v.T)
        field[np.abs(field) <= len(w) * np.finfo(np.float64).eps * terms] = 0.0
        return np.asarray(np.sign(field).astype(np.int8))

    return net
