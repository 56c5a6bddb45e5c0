"""Missing entries, recalled from complete rows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("amfast.sklearn", exc_type=ImportError)

from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.impute import KNNImputer
from sklearn.utils.estimator_checks import parametrize_with_checks

import amfast as am
from amfast.sklearn import AssociativeImputer


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 5))


@pytest.fixture
def holes(X, rng):
    missing = rng.random(X.shape) < 0.3
    missing[missing.all(axis=1), 0] = False
    missing[:10] = False
    return np.where(missing, np.nan, X)


def by_hand(given, keys, beta, distance):
    """Row by row, on the known columns alone."""
    out = given.copy()
    for i, row in enumerate(given):
        known = ~np.isnan(row)
        scores = -beta * distance(row[known] - keys[:, known])
        weights = np.exp(scores - scores.max())
        out[i, ~known] = (weights @ keys / weights.sum())[~known]
    return out


@parametrize_with_checks([AssociativeImputer(), AssociativeImputer("manhattan", beta=2.0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("similarity", "distance"),
    [
        ("sqeuclidean", lambda x: (x**2).sum(axis=1)),
        ("euclidean", lambda x: np.sqrt((x**2).sum(axis=1))),
        ("manhattan", lambda x: np.abs(x).sum(axis=1)),
    ],
)
def test_missing_entries_are_weighted_means(X, holes, similarity, distance):
    model = AssociativeImputer(similarity, beta=1.5).fit(X[:30])
    filled = model.transform(holes)
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[known], holes[known])
    np.testing.assert_allclose(filled, by_hand(holes, X[:30], 1.5, distance), rtol=1e-10)


@pytest.mark.parametrize("k", [1, 4])
def test_the_mean_of_the_nearest_is_scikit_learns(X, holes, k):
    model = AssociativeImputer("euclidean", am.TopK(k, beta=0.0)).fit(X[:30])
    expected = KNNImputer(n_neighbors=k).fit(X[:30])
    np.testing.assert_allclose(model.transform(holes), expected.transform(holes), atol=1e-12)


def test_types_and_the_input_stay(X, holes):
    before = holes.copy()
    model = AssociativeImputer().fit(X.astype(np.float32))
    assert model.transform(holes.astype(np.float32)).dtype == np.float32
    assert model.transform(holes).dtype == np.float64
    np.testing.assert_array_equal(holes, before)


def test_incomplete_rows_are_left_out(X, holes):
    model = AssociativeImputer().fit(holes)
    complete = holes[~np.isnan(holes).any(axis=1)]
    assert model.n_samples_fit_ == len(complete) >= 10
    np.testing.assert_array_equal(
        model.transform(holes), AssociativeImputer().fit(complete).transform(holes)
    )


def test_incomplete_rows_are_dropped_or_refused(holes):
    first = int(np.isnan(holes).any(axis=1).argmax())
    with pytest.raises(ValueError, match=f"X row {first} has missing entries"):
        AssociativeImputer(incomplete="error").fit(holes)
    n_complete = int((~np.isnan(holes).any(axis=1)).sum())
    assert AssociativeImputer().fit(holes).n_samples_fit_ == n_complete
    with pytest.raises(ValueError, match="X has no complete row among n_samples = 50"):
        AssociativeImputer().fit(np.full((50, 3), np.nan))


def test_what_cannot_be(X):
    nothing = X.copy()
    nothing[7] = np.nan
    with pytest.raises(ValueError, match="X row 7 has no known entry"):
        AssociativeImputer().fit(X).transform(nothing)
    with pytest.raises(ValueError, match="incomplete must be one of 'drop', 'error', got 'mean'"):
        AssociativeImputer(incomplete="mean").fit(X)
    with pytest.raises(ValueError, match="infinity"):
        AssociativeImputer().fit(np.full((3, 2), np.inf))
    with pytest.raises(ValueError, match="beta"):
        AssociativeImputer(beta=-1.0).fit(X)
    with pytest.raises(NotFittedError):
        AssociativeImputer().transform(X)
    with pytest.raises(TypeError, match=r"dense data is required.*\.toarray\(\)"):
        AssociativeImputer().fit(sparse.csr_array(X))
