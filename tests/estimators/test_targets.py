"""Estimators that recall labels, numbers and rows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("amfast.sklearn", exc_type=ImportError)

from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics.pairwise import rbf_kernel

import amfast as am
from amfast.sklearn import (
    AssociativeClassifier,
    AssociativeDenoiser,
    AssociativeRegressor,
    DenseAssociativeClassifier,
)


@pytest.fixture
def X(rng):
    return rng.normal(size=(50, 4))


@pytest.fixture
def names(rng):
    return rng.choice(["ant", "bee", "cat"], 50)


# -- labels ---------------------------------------------------------------------------------------


def test_probabilities_are_softmax_shares(X, names):
    model = AssociativeClassifier(beta=0.7).fit(X[:40], names[:40])
    weights = rbf_kernel(X[40:], X[:40], gamma=0.7)
    shares = np.stack([weights[:, names[:40] == name].sum(axis=1) for name in model.classes_], 1)
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X[40:]), shares, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X[40:]), model.classes_[shares.argmax(axis=1)])


def test_it_votes_as_a_memory_does(X, names):
    memory = am.UniversalHopfield("manhattan", beta=2.0)
    memory.store(X)
    model = AssociativeClassifier("manhattan", beta=2.0).fit(X, names)
    np.testing.assert_array_equal(model.predict(X + 0.3), memory.vote(X + 0.3, names))


@pytest.mark.parametrize("kind", [AssociativeClassifier, AssociativeRegressor])
def test_a_weight_is_how_often_a_row_is_there(X, rng, kind):
    y = rng.integers(0, 3, 50)
    weights = rng.integers(0, 4, 50)
    weighed = kind(beta=0.5).fit(X, y, sample_weight=weights)
    repeated = kind(beta=0.5).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    call = "predict_proba" if kind is AssociativeClassifier else "predict"
    found = (getattr(model, call)(X) for model in (weighed, repeated))
    np.testing.assert_allclose(*found, rtol=1e-10)


@pytest.mark.parametrize("weighed", [(), (0,), (1,), (0, 1)])
def test_parts_are_the_whole(X, names, rng, weighed):
    weights = rng.integers(0, 3, 50) + 0.5
    parts, total = (slice(0, 20), slice(20, 50)), np.ones(50)
    model = AssociativeClassifier()
    for i, part in enumerate(parts):
        given = weights[part] if i in weighed else None
        total[part] = 1.0 if given is None else given
        classes = ["ant", "bee", "cat"] if i == 0 else None
        assert model.partial_fit(X[part], names[part], classes, sample_weight=given) is model
    whole = AssociativeClassifier().fit(X, names, total)
    np.testing.assert_allclose(model.predict_proba(X), whole.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(model.class_prior_, whole.class_prior_)
    assert AssociativeClassifier().fit(X, names).fit(X[:, :2], names).n_features_in_ == 2


def test_labels_that_are_not_there_yet(X, names):
    model = AssociativeClassifier().partial_fit(X[:1], ["bee"], classes=["ant", "bee", "cat"])
    assert model.predict_proba(X[:1]).tolist() == [[0.0, 1.0, 0.0]]
    with pytest.raises(ValueError, match="y has the label 'dog', the classes are"):
        model.partial_fit(X[:1], ["dog"])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X[:1], ["bee"], classes=["ant", "bee"])
    with pytest.raises(ValueError, match="beta"):
        model.set_params(beta=-1.0).partial_fit(X[1:2], ["cat"])
    # Calls that failed left nothing behind.
    assert model.set_params(beta=1.0).predict_proba(X[1:2]).tolist() == [[0.0, 1.0, 0.0]]


def test_where_no_row_counts_the_shares_of_the_classes_answer(X):
    y = np.array(["a"] * 30 + ["b"] * 20)
    model = AssociativeClassifier("euclidean", am.Threshold(0.1)).fit(X, y)
    assert model.predict([[99.0] * 4]).tolist() == ["a"]
    np.testing.assert_allclose(model.predict_proba([[99.0] * 4]), [[0.6, 0.4]])
    np.testing.assert_array_equal(model.predict(X), y)


def test_the_k_nearest_vote(X, names):
    from sklearn.neighbors import KNeighborsClassifier

    model = AssociativeClassifier("euclidean", am.TopK(5, beta=0.0)).fit(X, names)
    expected = KNeighborsClassifier(5).fit(X, names)
    np.testing.assert_allclose(model.predict_proba(X + 0.1), expected.predict_proba(X + 0.1))


def test_negative_weights_are_no_probabilities(X, names):
    model = AssociativeClassifier("dot", "identity").fit(X, names)
    assert set(model.predict(X)) <= {"ant", "bee", "cat"}
    with pytest.raises(ValueError, match="separation 'identity' gives negative weights"):
        model.predict_proba(X)


def test_types_are_kept(X, names, rng):
    assert AssociativeClassifier().fit(X, names).predict_proba(X).dtype == np.float64
    narrow = X.astype(np.float32)
    assert AssociativeClassifier().fit(narrow, names).predict_proba(narrow).dtype == np.float32
    assert AssociativeRegressor().fit(narrow, narrow[:, 0]).predict(narrow).dtype == np.float32
    pixels = rng.integers(0, 256, (50, 4), dtype=np.uint8)
    model = AssociativeClassifier("manhattan", beta=0.1).fit(pixels, names)
    assert model._kept.keys.dtype == np.uint8
    expected = AssociativeClassifier("manhattan", beta=0.1).fit(pixels * 1.0, names)
    np.testing.assert_allclose(model.predict_proba(pixels), expected.predict_proba(pixels), 1e-5)


def test_bits_vote(rng):
    words = rng.random((3, 200)) < 0.5
    model = AssociativeClassifier("hamming").fit(words, ["a", "b", "c"])
    assert model.predict(words ^ (rng.random((3, 200)) < 0.2)).tolist() == ["a", "b", "c"]


# -- numbers --------------------------------------------------------------------------------------


def test_regression_is_nadaraya_watsons(X, rng):
    y = rng.normal(size=(50, 3))
    weights = rbf_kernel(X, X[:40], gamma=0.7)
    expected = weights @ y[:40] / weights.sum(axis=1, keepdims=True)
    model = AssociativeRegressor(beta=0.7)
    np.testing.assert_allclose(model.fit(X[:40], y[:40]).predict(X), expected, rtol=1e-10)
    single = model.fit(X[:40], y[:40, 1]).predict(X)
    np.testing.assert_allclose(single, expected[:, 1], rtol=1e-10)
    column = model.fit(X[:40], y[:40, 1:2]).predict(X)
    np.testing.assert_allclose(column, expected[:, 1:2], rtol=1e-10)


# -- rows -----------------------------------------------------------------------------------------


def test_rows_are_recalled(X):
    memory = am.UniversalHopfield("manhattan", beta=3.0)
    model = AssociativeDenoiser(memory).fit(X)
    assert len(memory) == 0 and len(model.memory_) == 50
    memory.store(X)
    np.testing.assert_array_equal(model.transform(X + 0.1), memory.recall(X + 0.1))
    assert len(AssociativeDenoiser(memory).fit(X[:9]).memory_) == 9
    assert AssociativeDenoiser().fit(X).transform(X[:1].astype(np.float32)).dtype == np.float64


def test_a_binary_memory_cleans_signs(rng):
    signs = np.where(rng.random((5, 100)) < 0.5, -1, 1).astype(np.int8)
    model = AssociativeDenoiser(am.Hopfield(rule="projection")).fit(signs)
    cues = np.where(rng.random(signs.shape) < 0.1, -signs, signs)
    np.testing.assert_array_equal(model.transform(cues), signs)


# -- the dense memory that is trained -------------------------------------------------------------


def test_the_dense_classifier_is_amfasts():
    X, y = load_digits(n_class=3, return_X_y=True)
    options = {"n_memories": 10, "n_epochs": 15, "seed": 1}
    ours = DenseAssociativeClassifier(**options).fit(X, y)
    plain = am.DenseAssociativeClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(ours.memories_, plain.memories_)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
    np.testing.assert_array_equal(ours.decision_function(X), plain.decision_function(X))
    assert ours.score(X, y) == plain.score(X, y) > 0.9
    two = y < 2
    both = DenseAssociativeClassifier(**options).fit(X[two], y[two])
    difference = both.decision_function(X)
    assert difference.shape == (len(X),)
    np.testing.assert_array_equal(both.predict(X), (difference > 0).astype(int))
    part = DenseAssociativeClassifier(**options).partial_fit(X, y).partial_fit(X, y)
    assert len(part.loss_) == 2
    for attribute in ("memories_", "weights_", "labels_"):
        assert not hasattr(DenseAssociativeClassifier(3), attribute)


# -- bad input ------------------------------------------------------------------------------------

MODELS = [AssociativeClassifier(), AssociativeRegressor(), DenseAssociativeClassifier(3)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_what_is_not_fitted_or_not_dense(model, X):
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(TypeError, match=r"dense data is required.*\.toarray\(\)"):
        model.fit(sparse.csr_array(X), np.arange(50) % 2)


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"similarity": "chebyshev"}, ValueError, "metric"),
        ({"separation": "sigmoid"}, ValueError, "separation"),
        ({"beta": -1.0}, ValueError, "beta"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)
@pytest.mark.parametrize("kind", [AssociativeClassifier, AssociativeRegressor])
def test_parameters_are_looked_at_by_fit(kind, wrong, error, text, X):
    with pytest.raises(error, match=text):
        kind(**wrong).fit(X, np.arange(50) % 2)


def test_weights_and_targets_that_cannot_be(X):
    y = np.arange(50) % 2
    for kind in (AssociativeClassifier, AssociativeRegressor):
        with pytest.raises(ValueError, match="Negative values in data"):
            kind().fit(X, y, sample_weight=-np.ones(50))
        with pytest.raises(ValueError, match="zero"):
            kind().fit(X, y, sample_weight=np.zeros(50))
        with pytest.raises(ValueError, match="NaN"):
            kind().fit(X, y, sample_weight=np.full(50, np.nan))
    with pytest.raises(ValueError, match="Unknown label type"):
        AssociativeClassifier().fit(X, X[:, 0])
    with pytest.warns(DataConversionWarning):
        AssociativeClassifier().fit(X, y[:, None])
    with pytest.raises(TypeError, match="memory must be a memory, got str"):
        AssociativeDenoiser("manhattan").fit(X)
