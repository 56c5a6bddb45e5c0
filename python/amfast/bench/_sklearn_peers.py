"""How scikit-learn's users find neighbours and fill entries in: its estimators and amfast's."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._typing import Array
from amfast.bench._case import Call, Contender, Data

_K = 5


def kneighbors(metric: str) -> tuple[Contender, ...]:
    """Return those who find the 5 nearest rows, amfast first; results are the distances."""

    def ours(module: Any, data: Data) -> Call:
        found = module.NearestNeighbors(_K, metric=metric, n_jobs=data.threads).fit(data.keys)
        return lambda: found.kneighbors(data.cues)[0]

    def brute(module: Any, data: Data) -> Call:
        found = module.NearestNeighbors(
            n_neighbors=_K, algorithm="brute", metric=metric, n_jobs=data.threads
        ).fit(data.keys)
        return lambda: found.kneighbors(data.cues)[0]

    return (
        Contender("amfast", "amfast.sklearn", ours),
        Contender("scikit-learn", "sklearn.neighbors", brute),
    )


def imputer(half: bool) -> tuple[Contender, ...]:
    """Return those who fill entries in by the mean of the 5 nearest rows, amfast first.

    What is missing is half of the columns, or a fifth of all entries, wherever they are.
    """

    def holes(data: Data) -> Array:
        missing = np.random.default_rng(3).random(data.cues.shape) < 0.2
        if half:
            missing = np.broadcast_to(np.arange(data.cues.shape[1]) % 2 == 0, missing.shape)
        return np.where(missing, np.float32(np.nan), data.cues)

    def ours(module: Any, data: Data) -> Call:
        import amfast as am

        given, nearest = holes(data), am.TopK(_K, beta=0.0)
        found = module.AssociativeImputer("euclidean", nearest, n_jobs=data.threads).fit(data.keys)
        return lambda: found.transform(given)

    def theirs(module: Any, data: Data) -> Call:
        given, found = holes(data), module.KNNImputer(n_neighbors=_K).fit(data.keys)
        return lambda: found.transform(given)

    return (
        Contender("amfast", "amfast.sklearn", ours),
        Contender("scikit-learn", "sklearn.impute", theirs),
    )
