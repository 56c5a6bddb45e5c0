"""Krotov & Hopfield's MNIST figures: errors of orders 2 and 3."""

from __future__ import annotations

from functools import partial

import amfast as am
from amfast.reproduce import _training
from amfast.reproduce._registry import Check, Context, Outcome, experiment

# Hundreds of pixels that are dark in every image leave overlaps a small share of their number.
TEMPERATURE = (0.15, 0.05)

# Test errors that the settings of each level reach, with their slack; those of "full" are the
# paper's. The quick ones come of a twelfth of the images and of 40 epochs.
EXPECTED = {
    "quick": {2: 0.17, 3: 0.15},
    "default": {2: 0.035, 3: 0.035},
    "full": {2: 0.0175, 3: 0.016},
}


@experiment("dam-mnist", "dense associative classifiers on MNIST (needs the data)")
def run(context: Context) -> Outcome:
    """Train orders 2 and 3; ``full`` is the paper's 2000 memories and 3000 epochs: hours."""
    n_train = context.pick(5000, 60_000, 60_000)
    split = _training.load(context, "mnist", n_train, context.pick(2000, 10_000, 10_000))
    models = {n: partial(_model, n, context) for n in (2, 3)}
    with context.progress("dam-mnist", 2 * models[2](0).n_epochs) as step:
        results = _training.train([split], models, step)
    outcome = Outcome()
    for result in results:
        expected = EXPECTED[context.level][result.n]
        outcome.checks.append(
            Check(f"n = {result.n}: test error", result.error, expected, 0, "at most")
        )
    _training.report(outcome, f"MNIST, {models[2](0).n_memories} memories", [split], results)
    return outcome


def _model(n: int, context: Context, seed: int) -> am.DenseAssociativeClassifier:
    return am.DenseAssociativeClassifier(
        context.pick(100, 200, 2000),
        n,
        n_epochs=context.pick(40, 60, 3000),
        batch_size=context.pick(100, 250, 1000),
        temperature=TEMPERATURE,
        decay={"quick": 0.95, "default": 0.97, "full": 0.998}[context.level],
        seed=seed,
    )
