"""Recall from a measure: a mixture of tagged components, read by softmax attention.

The paper (Kawata and Suzuki 2026) has no experiments; this one is amfast's own construction of its
model: component i of a context is a density p_i on [0, 1] with a tag, its tokens are samples
of p_i, and what is recalled are the leading coefficients of p_i.
"""

from __future__ import annotations

from collections.abc import Sequence

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

FEATURES = 6
TOKENS = (100, 400, 1600, 6400)
BETAS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)
COMPONENTS = 64
SHARP = 30.0


@experiment("measure-recall", "recall of one component of a mixture by attention on a measure")
def run(context: Context) -> Outcome:
    """Measure the error of recalled coefficients against tokens, sharpness, and tags."""
    repeats = context.pick(4, 20, 100)
    outcome = Outcome()
    rule = theory.measure_beta(COMPONENTS)
    with context.progress("measure-recall", len(TOKENS) + 3) as done:
        by_tokens = []
        for length in TOKENS:
            by_tokens += _errors(16, length, (SHARP,), repeats)
            done(f"{length} tokens per component")
        *by_beta, at_rule = _errors(COMPONENTS, 1000, (*BETAS, rule), max(2, repeats // 4))
        done("inverse temperatures")
        sharp, linear, margin = _crowded(max(4, repeats))
        done("more tags than dimensions")
        split = _invariance()
        done("splitting and order")
    floor = theory.measure_sampling_error(FEATURES, 1000)
    weights = max(
        abs(_own_weight(beta) - theory.measure_weight(beta, COMPONENTS)) for beta in BETAS
    )
    outcome.checks += [
        Check(
            "exponent of the error in the tokens per component",
            _fit.log_slope(TOKENS, by_tokens),
            -1,
            0.15,
        ),
        Check("splitting masses, doubling, order, merging: largest change", split, 0, 1e-12),
        Check(f"I = {COMPONENTS}: weight on the component, minus its formula", weights, 0, 1e-12),
        Check(
            f"I = {COMPONENTS}, beta = ln I + 3 = {rule:.2f}: error over its floor J / L",
            at_rule / floor,
            1.25,
            0,
            "at most",
        ),
        Check(
            f"I = {COMPONENTS}, beta = 2 < ln I = {np.log(COMPONENTS):.2f}: error over its floor",
            by_beta[BETAS.index(2.0)] / floor,
            2.5,
            0,
            "at least",
        ),
        Check(
            "I = 16 tags in 8 dimensions: error of linear attention over softmax's",
            linear / sharp,
            5,
            0,
            "at least",
        ),
    ]
    outcome.claims += [
        Claim.plain(
            "the error is that of sampling, J / L",
            f"J = {FEATURES}, I = 16, beta = {SHARP:g}",
            all(
                0.7 < error / theory.measure_sampling_error(FEATURES, length) < 1.4
                for error, length in zip(by_tokens, TOKENS, strict=True)
            ),
            ", ".join(f"{error:.2g}" for error in by_tokens),
        ),
        Claim.plain(
            "linear attention fails where tags outnumber dimensions",
            "I = 16, tags of 8 dimensions",
            linear > 2 * sharp,
            f"{linear:.3f} against {sharp:.4f} of softmax",
        ),
    ]
    outcome.tables.append(
        Table(
            "errors",
            "Squared error of the recalled coefficients",
            ("components", "tokens each", "beta", "error", "J / L"),
            [
                (
                    "16",
                    str(length),
                    f"{SHARP:g}",
                    f"{error:.3g}",
                    f"{theory.measure_sampling_error(FEATURES, length):.3g}",
                )
                for length, error in zip(TOKENS, by_tokens, strict=True)
            ]
            + [
                (str(COMPONENTS), "1000", f"{beta:g}", f"{error:.3g}", f"{floor:.3g}")
                for beta, error in zip(BETAS, by_beta, strict=True)
            ],
        )
    )
    outcome.notes += [
        "the paper has no experiments: this is amfast's construction of its model",
        f"16 random tags in 8 dimensions are read at beta = 60; their margin is {margin:.2f}",
    ]
    outcome.panels += _panels(by_tokens, by_beta, rule)
    return outcome


def _panels(by_tokens: list[float], by_beta: list[float], rule: float) -> list[Panel]:
    spread = FEATURES * _WIDTH**2 / 3
    floor = theory.measure_sampling_error(FEATURES, 1000)
    law = []
    for beta in BETAS:
        own = theory.measure_weight(beta, COMPONENTS)
        other = (1 - own) / (COMPONENTS - 1)
        # Leaked means of the others beside the component's own sampling error.
        bias = (1 - own) ** 2 + (COMPONENTS - 1) * other**2
        law.append(bias * spread + (own**2 + (COMPONENTS - 1) * other**2) * floor)
    return [
        Panel(
            f"I = 16 components, beta = {SHARP:g}",
            "tokens per component L",
            "squared error",
            [
                Series("softmax attention", TOKENS, by_tokens, colour=0),
                Series(
                    "J / L",
                    TOKENS,
                    [theory.measure_sampling_error(FEATURES, length) for length in TOKENS],
                    kind="theory",
                    colour=0,
                ),
            ],
            log_x=True,
            log_y=True,
        ),
        Panel(
            f"I = {COMPONENTS} components, L = 1000",
            "inverse temperature β",
            "squared error",
            [
                Series("softmax attention", BETAS, by_beta, colour=1),
                Series("leaked and sampled", BETAS, law, kind="theory", colour=1),
            ],
            log_y=True,
            marks=[
                Mark(float(np.log(COMPONENTS)), f"ln I = {np.log(COMPONENTS):.1f}"),
                Mark(rule, f"ln I + 3 = {rule:.1f}"),
            ],
        ),
    ]


# -- contexts -------------------------------------------------------------------------------------

# Coefficients are uniform in -_WIDTH .. _WIDTH, so that no density is negative.
_WIDTH = 1 / (FEATURES * np.sqrt(2.0))


def _features(z: Float) -> Float:
    """sqrt(2) cos(pi j z), j = 1 .. J: orthonormal on [0, 1]."""
    return np.asarray(np.sqrt(2.0) * np.cos(np.pi * z[..., None] * np.arange(1, FEATURES + 1)))


def _context(rng: np.random.Generator, tags: Float, length: int) -> tuple[am.Measure, Float]:
    """Draw a measure of ``length`` tokens per tag; return the true coefficients (I, J) too."""
    count = len(tags)
    truth = rng.uniform(-_WIDTH, _WIDTH, (count, FEATURES))
    z = np.empty((count, length))
    for row, b in zip(z, truth, strict=True):
        # Rejection: a density is at most 2.
        have = 0
        while have < length:
            drawn = rng.random(2 * length)
            kept = drawn[2 * rng.random(2 * length) < 1 + _features(drawn) @ b][: length - have]
            row[have : have + len(kept)] = kept
            have += len(kept)
    points = np.repeat(tags, length, axis=0)
    return am.Measure(points, values=_features(z).reshape(-1, FEATURES)), truth


def _errors(count: int, length: int, betas: Sequence[float], repeats: int) -> list[float]:
    """Mean squared errors by inverse temperature, on the same contexts."""
    tags = np.eye(count)
    errors = np.empty((repeats, len(betas)))
    for seed in range(repeats):
        context, truth = _context(np.random.default_rng((length, seed)), tags, length)
        for i, beta in enumerate(betas):
            recalled = context.retrieve(tags, beta, warn=False)
            errors[seed, i] = ((recalled - truth) ** 2).sum(axis=1).mean()
    return [float(error) for error in errors.mean(axis=0)]


def _own_weight(beta: float) -> float:
    """Read the weight itself: a measure whose values are the tags."""
    tags = np.eye(COMPONENTS)
    return float(am.Measure(tags, values=tags).retrieve(tags[3], beta, warn=False)[3])


def _crowded(repeats: int) -> tuple[float, float, float]:
    """Errors of softmax and linear attention for 16 tags in 8 dimensions, and the tags' margin."""
    rng = np.random.default_rng(5)
    tags = rng.normal(size=(16, 8))
    tags /= np.linalg.norm(tags, axis=1, keepdims=True)
    sharp, linear = [], []
    for seed in range(repeats):
        length = 1000
        context, truth = _context(np.random.default_rng((16, seed)), tags, length)
        soft = context.retrieve(tags, 60.0, warn=False)
        sharp.append(((soft - truth) ** 2).sum(axis=1).mean())
        memory = am.UniversalHopfield("dot", "identity", normalize=False)
        memory.store(context.points, context.values, weights=np.full(len(context), 1 / length))
        linear.append(((memory.recall(tags) - truth) ** 2).sum(axis=1).mean())
    return float(np.mean(sharp)), float(np.mean(linear)), am.Measure(tags).margin().smallest


def _invariance() -> float:
    """Largest change of an answer under everything that leaves the measure what it is."""
    rng = np.random.default_rng(9)
    tags = np.eye(8)
    nu, _ = _context(rng, tags, 50)
    n = len(nu)
    order, share = rng.permutation(n), rng.random(n)
    twice = np.concatenate([nu.points, nu.points]), np.concatenate([nu.values, nu.values])
    others = (
        am.Measure(twice[0], values=twice[1]),
        am.Measure(twice[0], np.concatenate([share, 1 - share]), twice[1]),
        am.Measure(nu.points[order], nu.masses[order], nu.values[order]),
        nu.merged(),
    )
    worst = 0.0
    for beta in (0.0, 3.0, SHARP):
        expected = nu.retrieve(tags, beta, warn=False)
        for other in others:
            change = np.abs(other.retrieve(tags, beta, warn=False) - expected).max()
            worst = max(worst, float(change))
    return worst
