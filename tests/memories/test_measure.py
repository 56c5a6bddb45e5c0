"""Measures: what must not change an answer does not, and what cannot be answered is said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from conftest import layouts

import amfast as am
from amfast import theory


def tokens(rng, n=30, d=6, o=4):
    points = rng.normal(size=(n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True), rng.normal(size=(n, o))


def literal(cues, points, masses, values, beta):
    weight = masses * np.exp(beta * (cues @ points.T))
    return (weight / weight.sum(axis=1, keepdims=True)) @ values


@pytest.mark.parametrize("beta", [0.0, 2.0, 40.0])
def test_attention_is_the_integral(rng, beta) -> None:
    points, values = tokens(rng)
    masses = rng.random(30)
    masses[4] = 0
    cues = rng.normal(size=(5, 6))
    nu = am.Measure(points, masses, values)
    np.testing.assert_allclose(nu.masses, masses / masses.sum())
    expected = literal(cues, points, masses, values, beta)
    got = nu.retrieve(cues, beta, warn=False)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    for threads in (1, 2):
        np.testing.assert_array_equal(nu.retrieve(cues, beta, warn=False, threads=threads), got)
    np.testing.assert_allclose(nu.retrieve(cues[2], beta, warn=False), got[2], atol=1e-14)
    own = am.Measure(points, masses).retrieve(cues, beta, warn=False)
    np.testing.assert_allclose(own, literal(cues, points, masses, points, beta), atol=1e-10)


def test_splitting_order_and_merging_change_nothing(rng) -> None:
    points, values = tokens(rng)
    masses = rng.random(30)
    cues = rng.normal(size=(8, 6))
    nu = am.Measure(points, masses, values)
    order = rng.permutation(30)
    split = rng.random(30)
    twice = [np.concatenate([x, x]) for x in (points, values)]
    others = {
        "doubled": am.Measure(twice[0], np.concatenate([masses, masses]), twice[1]),
        "split": am.Measure(
            twice[0], np.concatenate([split, 1 - split]) * np.tile(masses, 2), twice[1]
        ),
        "permuted": am.Measure(points[order], masses[order], values[order]),
        "scaled": am.Measure(points, masses * 1e-200, values),
        "merged": nu.merged(),
        "split and merged": am.Measure(twice[0], np.tile(masses, 2), twice[1]).merged(),
        "mixture": am.Measure.mixture(
            [
                am.Measure(points[:7], masses[:7], values[:7]),
                am.Measure(points[7:], masses[7:], values[7:]),
            ],
            [masses[:7].sum(), masses[7:].sum()],
        ),
    }
    for beta in (0.5, 5.0, 100.0):
        expected = nu.retrieve(cues, beta, warn=False)
        for name, other in others.items():
            got = other.retrieve(cues, beta, warn=False)
            assert np.abs(got - expected).max() <= 1e-12, (name, beta)
    assert len(others["split and merged"]) == 30
    assert len(nu) == 30 and nu.masses.sum() == pytest.approx(1, abs=1e-15)


def test_merged() -> None:
    nu = am.Measure(
        [[2.0], [0.0], [2.0], [-0.0], [9.0]], [1, 2, 3, 4, 0], [[4], [1], [8], [1], [7]]
    )
    one = nu.merged()
    assert one.points.tolist() == [[0.0], [2.0]]
    np.testing.assert_allclose(one.masses, [0.6, 0.4])
    np.testing.assert_allclose(one.values, [[1.0], [7.0]])
    same = am.Measure([[1], [1]]).merged()
    assert same.points.tolist() == [[1]] and same.values.tolist() == [[1]]
    # A point without mass never answers, wherever it is.
    far = am.Measure([[1.0], [100.0]], [1, 0], [[5.0], [6.0]])
    assert far.retrieve([[1.0]], 10.0).tolist() == [[5.0]]


def test_functions_of_a_measure(rng) -> None:
    points, _ = tokens(rng)
    masses = rng.random(30)
    nu = am.Measure(points, masses)
    mean = masses @ points / masses.sum()
    np.testing.assert_allclose(nu.expect(lambda x: x), mean)
    assert nu.expect(lambda x: x[:, 0] ** 2) == pytest.approx(
        masses @ points[:, 0] ** 2 / masses.sum()
    )
    assert am.Measure.mixture([nu, nu]).expect(lambda x: x[:, 1]) == pytest.approx(mean[1])
    with pytest.raises(ValueError, match=r"a row per point, 30, got shape \(\)"):
        nu.expect(np.sum)
    with pytest.raises(TypeError, match="function must be callable"):
        nu.expect(3)


def test_margin(rng) -> None:
    points = rng.normal(size=(20, 5))
    again = am.Measure(np.concatenate([points, points[:3]])).margin()
    gram = points @ points.T
    gaps = np.diag(gram)[:, None] - gram
    np.fill_diagonal(gaps, np.inf)
    assert again.smallest == pytest.approx(gaps.min()) and again.n_points == 20
    rows = np.unique(points, axis=0)
    i, j = again.pair
    assert rows[i] @ (rows[i] - rows[j]) == pytest.approx(gaps.min())
    assert again.beta == (
        np.inf if gaps.min() <= 0 else pytest.approx((np.log(20) + 3) / gaps.min())
    )
    tags = am.Measure(np.eye(64)).margin()
    assert tags.smallest == 1 and tags.beta == pytest.approx(np.log(64) + 3)
    assert theory.measure_weight(tags.beta, 64) > 0.95
    alone = am.Measure([[3.0]]).margin()
    assert alone.n_points == 1 and alone.beta == 0 and alone.smallest == np.inf
    assert am.Measure(np.array([[250, 0], [0, 250]], np.uint8)).margin().smallest == 62500


def test_warnings_name_the_rule() -> None:
    tags = am.Measure(np.eye(64))
    with pytest.warns(
        UserWarning, match=r"beta=2 .* below ln I \+ 3 for I = 64 .* 10.5% .* beta >= 7.16"
    ):
        tags.retrieve(np.eye(64)[0], 2.0)
    with pytest.warns(UserWarning, match=r"points 0 and 1 of merged\(\) are not separated"):
        am.Measure([[1.0], [2.0]]).retrieve([1.0], 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tags.retrieve(np.eye(64)[0], 7.2)
        tags.retrieve(np.eye(64)[0], 2.0, warn=False)
        am.Measure([[1.0]]).retrieve([1.0], 0.0)


def test_inputs_are_copied_and_any_layout_will_do(rng) -> None:
    points, values = tokens(rng, 8)
    masses = np.arange(8.0)
    nu = am.Measure(points, masses, values)
    expected = nu.retrieve(points, 3.0, warn=False)
    for _, p in layouts(points):
        for _, v in layouts(values):
            other = am.Measure(p, masses, v).retrieve(points, 3.0, warn=False)
            np.testing.assert_array_equal(other, expected)
    points[:] = 0
    assert nu.points.any() and not nu.points.flags.writeable and not nu.masses.flags.writeable
    small = am.Measure(nu.points.astype(np.float32), masses, values.astype(np.float32))
    got = small.retrieve(nu.points.astype(np.float32), 3.0, warn=False)
    assert got.dtype == np.float32 and small.merged().values.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_bad_input() -> None:
    eye = np.eye(3)
    nu = am.Measure(eye)
    for call, message in [
        (lambda: am.Measure(eye[0]), "points must be 2-d"),
        (lambda: am.Measure(np.empty((0, 2))), "points have no rows"),
        (lambda: am.Measure([[np.nan]]), "points row 0 has a NaN"),
        (lambda: am.Measure(eye, [1, 1]), r"masses must have shape \(3,\)"),
        (lambda: am.Measure(eye, [1, -1, 1]), "masses must be finite and >= 0, entry 1"),
        (lambda: am.Measure(eye, [1, np.nan, 1]), "masses must be finite"),
        (lambda: am.Measure(eye, [0, 0, 0]), "masses sum to 0"),
        (lambda: am.Measure(eye, values=eye[:2]), "values have 2 rows, points have 3"),
        (lambda: am.Measure(eye, values=[[1], [np.inf], [2]]), "values row 1"),
        (lambda: nu.retrieve(eye, -1.0), "beta must be a finite number >= 0"),
        (lambda: nu.retrieve(np.eye(2), 1.0), "cues have 2 columns"),
        (lambda: am.Measure.mixture([]), "measures are empty"),
        (lambda: am.Measure.mixture([nu, am.Measure(np.eye(2))]), "points of measure 1 have 2"),
        (lambda: am.Measure.mixture([nu, am.Measure(eye, values=eye)]), "in having values"),
        (lambda: am.Measure.mixture([nu], [0]), "weights sum to 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="measures must be Measure, entry 1 is ndarray"):
        am.Measure.mixture([nu, eye])
    assert repr(am.Measure(eye, values=eye[:, :2])) == "<Measure: 3 points of 3 columns -> 2>"


def test_closed_forms() -> None:
    assert theory.measure_weight(3, 10) == pytest.approx(np.exp(3) / (np.exp(3) + 9))
    assert theory.measure_weight(0, 4) == 0.25 and theory.measure_weight(800, 4) == 1
    beta = theory.measure_beta(64, margin=0.5)
    assert beta == pytest.approx(2 * (np.log(64) + 3))
    assert theory.measure_weight(beta, 64, 0.5) == pytest.approx(1 / (1 + np.exp(-3)), rel=1e-3)
    assert theory.measure_sampling_error(6, 100) == 0.06
    for n, expected in ((1e3, (0.149, 0.072, 0.027)), (1e6, (0.091, 0.024, 0.0032))):
        for alpha, rate in zip((0.5, 1, 2), expected, strict=True):
            assert theory.measure_excess_risk(n, alpha) == pytest.approx(rate, rel=0.03)
    for call in (
        lambda: theory.measure_beta(3, margin=0),
        lambda: theory.measure_weight(-1, 3),
        lambda: theory.measure_excess_risk(0.5, 1),
        lambda: theory.measure_excess_risk(10, 0),
        lambda: theory.measure_sampling_error(0, 1),
    ):
        with pytest.raises(ValueError):
            call()
