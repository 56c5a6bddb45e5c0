"""Estimators among the tools of scikit-learn: searches, clones, frames, routing, files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("amfast.sklearn", exc_type=ImportError)

from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import amfast as am
import amfast.sklearn
from amfast.sklearn import (
    AssociativeClassifier,
    AssociativeDenoiser,
    AssociativeImputer,
    AssociativeRegressor,
    DenseAssociativeClassifier,
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
)

X, y = load_iris(return_X_y=True)

EVERYTHING = [
    NearestNeighbors(3, radius=0.5, metric="manhattan", n_jobs=2),
    KNeighborsTransformer(3, mode="connectivity", metric="cosine"),
    RadiusNeighborsTransformer(0.5, metric="l1"),
    AssociativeClassifier("manhattan", am.TopK(3, beta=2.0)),
    AssociativeRegressor(am.Similarity("euclidean"), beta=3.0),
    AssociativeDenoiser(am.ModernHopfield(beta=2.0)),
    AssociativeImputer("manhattan", beta=2.0, incomplete="error"),
    DenseAssociativeClassifier(4, n_epochs=2, temperature=(2.0, 0.5)),
]


def named(estimator):
    return type(estimator).__name__


def answers(estimator):
    for call in ("predict", "transform", "kneighbors"):
        if hasattr(estimator, call):
            found = getattr(estimator, call)(X)
            return found.toarray() if hasattr(found, "toarray") else np.hstack(found)


def test_everything_is_here():
    assert sorted(map(named, EVERYTHING)) == sorted(amfast.sklearn.__all__)


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
@pytest.mark.parametrize("estimator", EVERYTHING, ids=named)
def test_clones_and_pickles(estimator):
    fresh = clone(estimator)
    assert type(fresh) is type(estimator) and not hasattr(fresh, "n_features_in_")
    for name, value in estimator.get_params(deep=False).items():
        assert repr(getattr(fresh, name)) == repr(value)
    fresh.fit(X, y)
    again = pickle.loads(pickle.dumps(fresh))
    np.testing.assert_array_equal(answers(again), answers(fresh))
    assert clone(again).get_params().keys() == estimator.get_params().keys()


def test_a_grid_search_finds_the_temperature():
    chain = make_pipeline(StandardScaler(), AssociativeClassifier())
    grid = {
        "associativeclassifier__beta": [0.0, 5.0],
        "associativeclassifier__similarity": ["sqeuclidean", "manhattan"],
    }
    search = GridSearchCV(chain, grid, cv=3).fit(X, y)
    assert search.best_params_["associativeclassifier__beta"] == 5.0
    assert search.best_score_ > 0.93
    parts = {"separation": ["max", am.TopK(5, beta=1.0), "softmax"]}
    assert GridSearchCV(AssociativeClassifier(), parts, cv=3).fit(X, y).best_score_ > 0.93


def test_jobs_of_processes():
    found = cross_validate(AssociativeClassifier(beta=5.0), X, y, cv=3, n_jobs=2)
    alone = cross_validate(AssociativeClassifier(beta=5.0), X, y, cv=3)
    np.testing.assert_array_equal(found["test_score"], alone["test_score"])
    bags = BaggingClassifier(AssociativeClassifier(beta=5.0), random_state=0)
    assert bags.fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("estimator", [AssociativeDenoiser(), AssociativeImputer()], ids=named)
def test_frames_come_back(estimator, library):
    module = pytest.importorskip(library)
    frame = module.DataFrame(dict(zip("abcd", X.T, strict=True)))
    made = clone(estimator).set_output(transform=library).fit(frame)
    out = made.transform(frame)
    assert isinstance(out, module.DataFrame) and list(out.columns) == list("abcd")
    assert list(made.get_feature_names_out()) == list("abcd")
    np.testing.assert_array_equal(out.to_numpy(), clone(estimator).fit(X).transform(X))
    with pytest.raises(ValueError, match="feature names"):
        made.transform(frame[["b", "a", "c", "d"]])
    parts = ColumnTransformer([("some", clone(estimator), ["a", "b"])], remainder="passthrough")
    wide = parts.set_output(transform=library).fit_transform(frame)
    assert list(wide.columns) == ["some__a", "some__b", "remainder__c", "remainder__d"]


@pytest.mark.parametrize("kind", [AssociativeClassifier, AssociativeRegressor])
def test_sample_weights_are_routed(kind):
    weights = np.where(y == 0, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        asking = make_pipeline(Normalizer(), kind(beta=2.0).set_fit_request(sample_weight=True))
        routed = asking.fit(X, y, sample_weight=weights).predict(X)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            make_pipeline(Normalizer(), kind()).fit(X, y, sample_weight=weights)
    assert routed.min() >= 1.0  # rows of class 0 do not count


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.utils.validation", None)
    with pytest.raises(ImportError, match=r"pip install 'amfast-memory\[sklearn\]'"):
        importlib.reload(amfast.sklearn)
