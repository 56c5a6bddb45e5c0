"""One architecture: the identities that make weights, measures, masks and metrics one thing."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast._typing import Float, Int
from amfast.reproduce._registry import Check, Context, Mark, Outcome, Panel, Series, experiment

TOLERANCE = 1e-12


@experiment("identities", "five identities of similarity, separation and projection, to 1e-12")
def run(context: Context) -> Outcome:
    """Recall the same thing two ways, five times over, on random items of several sizes."""
    sizes = [(12, 7), (60, 16), (300, 64)] + [(3000, 256)] * (context.level != "quick")
    gaps = {name: [gap(*_items(*size)) for size in sizes] for name, gap in IDENTITIES.items()}
    outcome = Outcome()
    outcome.checks += [
        Check(f"{name}: largest relative difference", max(found), 0.0, TOLERANCE)
        for name, found in gaps.items()
    ]
    outcome.panels.append(
        Panel(
            "Two ways to the same recall",
            "stored items N",
            "largest relative difference (0 drawn as 1e-18)",
            [
                Series(name, [n for n, _ in sizes], [max(g, 1e-18) for g in found], colour=i)
                for i, (name, found) in enumerate(gaps.items())
            ],
            log_x=True,
            log_y=True,
            marks=[Mark(TOLERANCE, "allowed", "y")],
        )
    )
    return outcome


def _items(n: int, d: int) -> tuple[Float, Float, Float]:
    """Draw keys, values and cues."""
    rng = np.random.default_rng([n, d])
    scale = 1 / np.sqrt(d)
    return rng.normal(size=(n, d)) * scale, rng.normal(size=(n, 5)), rng.normal(size=(9, d))


def _gap(one: Float, other: Float) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def matrix_form(keys: Float, values: Float, cues: Float) -> float:
    """With the identity separation, recall is one matrix, sum v k^T, times the cue."""
    items = am.retrieve(cues, keys, values, separation="identity")
    matrix = values.T @ keys
    # `retrieve` divides by the sum of the magnitudes of the weights.
    size = np.abs(cues @ keys.T).sum(axis=1, keepdims=True)
    return _gap(items * size, cues @ matrix.T)


def weights_are_repetitions(keys: Float, values: Float, cues: Float) -> float:
    """Weight w is the item stored w times."""
    weights = _weights(keys)
    stored = am.UniversalHopfield(beta=3.0)
    stored.store(keys, values, weights=weights)
    repeated = am.UniversalHopfield(beta=3.0)
    repeated.store(np.repeat(keys, weights, axis=0), np.repeat(values, weights, axis=0))
    return _gap(stored.recall(cues), repeated.recall(cues))


def weights_are_biases(keys: Float, values: Float, cues: Float) -> float:
    """Weight w is ln w added to the item's score."""
    weights = _weights(keys)
    stored = am.UniversalHopfield(beta=3.0)
    stored.store(keys, values, weights=weights)
    biased = am.retrieve(cues, keys, values, beta=3.0, log_weight=np.log(weights))
    return _gap(stored.recall(cues), biased)


def _weights(keys: Float) -> Int:
    return 1 + np.arange(len(keys)) % 4


def chunks_merge(keys: Float, values: Float, cues: Float) -> float:
    """Softmax as it is written is the merge of recalls from parts, each with its own sum."""
    scores = 2.0 * cues @ keys.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    written = weights @ values / weights.sum(axis=1, keepdims=True)
    parts = []
    for part in np.array_split(np.arange(len(keys)), 3):
        memory = am.UniversalHopfield(beta=2.0)
        memory.store(keys[part], values[part])
        parts.append(memory.recall(cues, details=True))
    log_scale = np.array([part.log_scale for part in parts])
    share = np.exp(log_scale - log_scale.max(axis=0))
    states = np.array([part.state for part in parts])
    return _gap((share[:, :, None] * states).sum(0) / share.sum(0)[:, None], written)


def euclidean_is_a_bias(keys: Float, values: Float, cues: Float) -> float:
    """Squared Euclidean softmax is dot softmax with the log-weight -beta |k|^2 and 2 beta."""
    beta = 1.5
    near = am.retrieve(cues, keys, values, similarity="sqeuclidean", beta=beta)
    bias = -beta * (keys**2).sum(axis=1)
    return _gap(near, am.retrieve(cues, keys, values, beta=2 * beta, log_weight=bias))


IDENTITIES = {
    "identity separation is a matrix": matrix_form,
    "weight w is w repetitions": weights_are_repetitions,
    "weight w is a bias of ln w": weights_are_biases,
    "softmax is its chunks merged": chunks_merge,
    "Euclidean softmax is dot with a bias": euclidean_is_a_bias,
}
