"""Patterns with a common bias: the Hebbian rule loses them, the projection rule does not."""

from __future__ import annotations

import math

import numpy as np

import amfast as am
from amfast.reproduce._random import biased_signs, generator
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
from amfast.theory._solve import normal_tail

BIASES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# THEORY: bits of stored patterns that hold under the Hebbian rule, at a load of 0.05.
KNOWN = {0.0: 1.00, 0.2: 1.00, 0.4: 0.95, 0.6: 0.83}
WIDTH, PATTERNS = 200, 10


@experiment("hopfield-biased", "stability of patterns that have a common bias, by storage rule")
def run(context: Context) -> Outcome:
    """Store patterns whose bits have mean b and count those that hold in one step."""
    repeats = context.pick(30, 200, 1000)
    held: dict[tuple[str, float], np.ndarray] = {}
    for rule in ("hebbian", "projection"):
        for bias in BIASES:
            held[rule, bias] = np.array([_held(rule, bias, i) for i in range(repeats)])
    mean = {key: float(values.mean()) for key, values in held.items()}
    outcome = Outcome()
    outcome.checks += [
        Check(f"Hebbian rule, bias {bias:g}: bits that hold", mean["hebbian", bias], known, 0.02)
        for bias, known in KNOWN.items()
    ]
    outcome.checks += [
        Check(f"projection rule, bias {bias:g}: bits that hold", mean["projection", bias], 1.0, 0.0)
        for bias in BIASES
    ]
    outcome.claims.append(
        Claim.plain(
            "the Hebbian rule stores patterns up to a load of 0.138",
            f"load {PATTERNS / WIDTH:g}, bias 0.4",
            mean["hebbian", 0.4] > 0.99,
            f"{1 - mean['hebbian', 0.4]:.3f} of the bits turn in one step: it is true of patterns "
            "without bias",
        )
    )
    outcome.tables.append(
        Table(
            "held",
            f"Fraction of bits that hold in one step, d = {WIDTH}, n = {PATTERNS}",
            ("bias", "Hebbian", "theory", "projection"),
            [
                (
                    f"{bias:.1f}",
                    f"{mean['hebbian', bias]:.3f}",
                    f"{_hebbian_stability(bias):.3f}",
                    f"{mean['projection', bias]:.3f}",
                )
                for bias in BIASES
            ],
        )
    )
    fine = [float(bias) for bias in np.linspace(0, BIASES[-1], 61)]
    outcome.panels.append(
        Panel(
            f"Bits of stored patterns that hold, d = {WIDTH}, n = {PATTERNS}",
            "mean of the bits",
            "fraction that holds in one step",
            [
                Series(
                    rule,
                    BIASES,
                    [mean[rule, bias] for bias in BIASES],
                    [float(held[rule, b].std() / math.sqrt(repeats)) for b in BIASES],
                    colour=i,
                    joined=False,
                )
                for i, rule in enumerate(("hebbian", "projection"))
            ]
            + [
                Series(
                    "hebbian, normal noise",
                    fine,
                    [_hebbian_stability(bias) for bias in fine],
                    kind="theory",
                )
            ],
        )
    )
    return outcome


def _held(rule: str, bias: float, seed: int) -> float:
    patterns = biased_signs(generator(round(10 * bias), seed), PATTERNS, WIDTH, bias)
    network = am.Hopfield(rule=rule)
    network.store(patterns)
    return float((network.recall(patterns, update="one-step") == patterns).mean())


def _hebbian_stability(bias: float) -> float:
    """Return the fraction of bits that hold, with normal noise from the other patterns.

    Their overlaps with a pattern have mean b^2 and variance (1 - b^4) / d, and their bits mean b,
    so that every field has the offset (n - 1) b^3: bits of the minority stand against it.
    """
    others = PATTERNS - 1
    offset = others * bias**3
    noise = math.sqrt(others * (bias**4 + (1 - bias**4) / WIDTH - bias**6))
    return sum(
        (1 + side * bias) / 2 * normal_tail(-(1 + side * offset) / noise) for side in (1, -1)
    )
