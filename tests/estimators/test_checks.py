"""scikit-learn's own checks of estimators, on every class and metric."""

from __future__ import annotations

import pytest

pytest.importorskip("amfast.sklearn", exc_type=ImportError)

from sklearn.utils.estimator_checks import parametrize_with_checks

import amfast as am
from amfast.sklearn import (
    AssociativeClassifier,
    AssociativeDenoiser,
    AssociativeRegressor,
    DenseAssociativeClassifier,
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
)

# How steep a softmax must be for the blobs that the checks draw. "hamming" takes bits alone, which
# the checks have none of: test_neighbours.py and test_targets.py have it.
BETAS = {
    "dot": 1.0,
    "cosine": 20.0,
    "sqeuclidean": 1.0,
    "euclidean": 5.0,
    "manhattan": 5.0,
    "kl": 50.0,
    "reverse_kl": 50.0,
    "jensenshannon": 50.0,
}
DISTANCES = [metric for metric in BETAS if metric != "dot"]
DIVERGENCES = ("kl", "reverse_kl", "jensenshannon")

ESTIMATORS = [
    NearestNeighbors(metric="dot"),
    NearestNeighbors(nan="missing"),
    KNeighborsTransformer(nan="missing"),
    RadiusNeighborsTransformer(nan="missing"),
    *(
        search(metric=metric)
        for search in (NearestNeighbors, KNeighborsTransformer, RadiusNeighborsTransformer)
        for metric in DISTANCES
    ),
    KNeighborsTransformer(mode="connectivity"),
    RadiusNeighborsTransformer(mode="connectivity"),
    *(
        recall(metric, beta=beta)
        for recall in (AssociativeClassifier, AssociativeRegressor)
        for metric, beta in BETAS.items()
    ),
    AssociativeClassifier(separation="max"),
    AssociativeClassifier(separation=am.Threshold(2.0), similarity="euclidean"),
    AssociativeDenoiser(),
    AssociativeDenoiser(am.UniversalHopfield("manhattan", beta=2.0), n_jobs=2),
    AssociativeDenoiser(am.ModernHopfield(beta=1.0)),
    *(
        # Gentle enough for data of two columns that lie on top of each other.
        DenseAssociativeClassifier(
            12, n, learning_rate=0.005, batch_size=50, temperature=(2.0, 0.5)
        )
        for n in (2, 3)
    ),
]


def expected_failures(estimator):
    """Rows of zeros, which are no distributions, and rows of two shares, which are one number.

    Missing entries in queries alone, which no tag knows.
    """
    if getattr(estimator, "nan", "error") == "missing" and hasattr(estimator, "transform"):
        return {"check_estimators_nan_inf": "NaN is refused in fit, and taken in transform"}
    metric = getattr(estimator, "similarity", getattr(estimator, "metric", None))
    if metric not in DIVERGENCES:
        return {}
    blank, one = "it has a row of zeros, which is no distribution", "two shares are one number"
    failures = {"check_estimators_dtypes": blank}
    if isinstance(estimator, NearestNeighbors):
        failures = {}
    if isinstance(estimator, AssociativeClassifier | AssociativeRegressor):
        blanks = "sample_weights_not_an_array", "sample_weights_pandas_series", "fit2d_1feature"
        failures |= {f"check_{name}": blank for name in blanks}
    if isinstance(estimator, AssociativeClassifier):
        failures |= {"check_classifiers_train": one}
    return failures


# Some of the checks' data is hard to learn; here only manners are checked, beside one accuracy.
@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
