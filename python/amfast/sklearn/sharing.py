"""What the estimators share: threads, and what a metric asks of the data."""

from __future__ import annotations

from typing import Any

from joblib import effective_n_jobs
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from amfast import parts
from amfast.parts import Separation, Similarity
from amfast.parts.metrics import METRICS

# scikit-learn's default metric, of which it says that p is 2.
_ALSO = {"minkowski": "euclidean"}


def fitted(estimator: Any, X: Any, *args: Any, **options: Any) -> Any:
    """Read what `fit` is given, keeping its element types: rows, or rows and targets."""
    found = validate_data(estimator, X, *args, **options)
    _refuse_negative(estimator, found[0] if args else found)
    return found


def asked(estimator: Any, X: Any, **options: Any) -> Any:
    """Read rows that a fitted estimator is asked about."""
    check_is_fitted(estimator)
    rows = validate_data(estimator, X, reset=False, **options)
    _refuse_negative(estimator, rows)
    return rows


def _refuse_negative(estimator: Any, X: Any) -> None:
    if get_tags(estimator).input_tags.positive_only:
        check_non_negative(X, type(estimator).__name__)


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
