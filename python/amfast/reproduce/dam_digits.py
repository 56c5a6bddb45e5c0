"""Krotov & Hopfield's training on the 8 x 8 digits that come with scikit-learn."""

from __future__ import annotations

from functools import partial

import amfast as am
from amfast.reproduce import _training
from amfast.reproduce._registry import Check, Context, Outcome, Unavailable, experiment

ORDERS = (2, 3, 10, 20)
N_MEMORIES = 100


@experiment("dam-digits", "dense associative classifiers of order 2 to 20 on handwritten digits")
def run(context: Context) -> Outcome:
    """Train each order on 70 % of the digits and count the errors on the rest."""
    seeds = context.pick(1, 3, 10)
    splits = [_split(seed) for seed in range(seeds)]
    models = {
        n: partial(lambda n, seed: am.DenseAssociativeClassifier(N_MEMORIES, n, seed=seed), n)
        for n in ORDERS
    }
    with context.progress("dam-digits", len(ORDERS) * seeds * models[2](0).n_epochs) as step:
        results = _training.train(splits, models, step)
    outcome = Outcome()
    outcome.checks += [
        Check(f"n = {r.n}: test error", r.error, 0.04, 0, "at most") for r in results
    ]
    _training.report(outcome, f"Digits, {N_MEMORIES} memories", splits, results)
    return outcome


def _split(seed: int) -> _training.Split:
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise Unavailable(
            'the digits come with scikit-learn: pip install "amfast-memory[recovery]"'
        ) from error
    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=0.3, random_state=seed
    )
    return _training.Split(train, train_labels, test, test_labels)
