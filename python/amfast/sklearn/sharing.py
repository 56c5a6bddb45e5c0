"""What the estimators share: threads, and what a metric asks of the data."""

from __future__ import annotations

from typing import Any

from joblib import effective_n_jobs

from amfast import parts
from amfast.parts import Separation, Similarity
from amfast.parts.metrics import METRICS

# scikit-learn's default metric, of which it says that p is 2.
_ALSO = {"minkowski": "euclidean"}


def threads(n_jobs: int | None) -> int | None:
    """Return how many threads ``n_jobs`` means; None is amfast's setting."""
    return None if n_jobs is None else int(effective_n_jobs(n_jobs))


def metric(given: Any) -> Any:
    """Return amfast's name of a metric that scikit-learn has another name for."""
    return _ALSO.get(given, given) if isinstance(given, str) else given


def positive_only(given: Any) -> bool:
    """Say whether a metric, or a similarity, compares distributions: the tag of that name."""
    name = given.fn if isinstance(given, Similarity) else given
    return isinstance(name, str) and name in METRICS and METRICS[name].distributions


def separation(given: Any, beta: float) -> Separation:
    """Resolve a separation; ``beta`` belongs to "softmax", the others say theirs themselves."""
    return parts.separation(given, beta if given == "softmax" else None)
