"""Measures: what must not change an answer does not, and what cannot be answered is said."""

from __future__ import annotations

import copy
import pickle
import warnings
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import layouts
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import amfast as am
from amfast import theory
from amfast.memories.measure import Margin


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
    assert alone == Margin(np.inf, (0, 0), 1) and alone.beta == 0
    assert am.Measure(np.array([[250, 0], [0, 250]], np.uint8)).margin().smallest == 62500


@pytest.mark.parametrize("offset", [0, 100, 10_000, 1_000_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_margin_is_that_of_the_points_as_they_are(rng, offset, dtype) -> None:
    """Against exact fractions: points far from the origin lose no digits."""
    points = (rng.normal(size=(12, 4)) + offset).astype(dtype)
    exact = [[Fraction(float(x)) for x in row] for row in points]
    gaps = {
        (i, j): sum(a * (a - b) for a, b in zip(exact[i], exact[j], strict=True))
        for i in range(12)
        for j in range(12)
        if i != j
    }
    margin = am.Measure(points).margin()
    assert margin.smallest == pytest.approx(float(min(gaps.values())), rel=1e-9)
    rows = np.unique(points, axis=0)
    order = [int(np.flatnonzero((points == rows[i]).all(axis=1))[0]) for i in margin.pair]
    assert gaps[order[0], order[1]] == min(gaps.values())


def test_margins_of_any_size() -> None:
    huge = am.Measure(np.eye(3) * 1e200)
    assert huge.margin().smallest == np.inf and huge.margin().beta == 0
    assert huge.retrieve([1e-200, 0, 0], 3.0)[0] > 8e199
    tiny = am.Measure(np.eye(3) * 1e-150).margin()
    assert tiny.smallest == pytest.approx(1e-300) and 1e300 < tiny.beta < np.inf
    assert am.Measure(np.eye(3) * 1e-200).margin().beta == np.inf
    assert am.Measure([[0.0, 0.0], [0.0, 1.0]]).margin().smallest == 0


def test_what_has_no_mass_may_hold_anything(rng) -> None:
    points, values = tokens(rng, 9)
    masses = rng.random(9)
    masses[[2, 5]] = 0
    nu = am.Measure(points, masses, values)
    cues = rng.normal(size=(4, 6))
    for junk in (np.nan, np.inf, 1e308):
        p, v = points.copy(), values.copy()
        p[2], v[5], v[2, 0] = junk, junk, -junk
        other = am.Measure(p, masses, v)
        np.testing.assert_array_equal(other.points, p)
        np.testing.assert_array_equal(other.values, v)
        for one, two in [(other, nu), (other.merged(), nu.merged())]:
            expected = two.retrieve(cues, 3.0, warn=False)
            np.testing.assert_array_equal(one.retrieve(cues, 3.0, warn=False), expected)
            assert one.margin() == two.margin()
        both = am.Measure.mixture([other, nu], [1, 0])
        np.testing.assert_allclose(
            both.retrieve(cues, 3.0, warn=False), nu.retrieve(cues, 3.0, warn=False), atol=1e-13
        )
        np.testing.assert_array_equal(other.expect(lambda x: x), nu.expect(lambda x: x))
        assert other.expect(lambda x: x[:, 0]) == nu.expect(lambda x: x[:, 0])
    p = points.copy()
    p[3, 1] = np.nan
    with pytest.raises(ValueError, match="points row 3 has a NaN"):
        am.Measure(p, masses, values)


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
    held = nu.points.copy(), nu.masses.copy(), nu.values.copy()
    points[:], masses[:], values[:] = 0, 1, 0
    for now, before in zip((nu.points, nu.masses, nu.values), held, strict=True):
        np.testing.assert_array_equal(now, before)
        assert not now.flags.writeable
    assert nu.points.any()
    small = am.Measure(nu.points.astype(np.float32), nu.masses, nu.values.astype(np.float32))
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
        (lambda: nu.retrieve(eye, 10**400), "beta must be a finite number >= 0, got 1000"),
        (lambda: nu.retrieve(np.eye(2), 1.0), "cues have 2 columns, the points have 3"),
        (lambda: nu.retrieve([np.nan, 0, 0], 1.0), "cues row 0 has a NaN"),
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
    for call, message in (
        (lambda: theory.measure_beta(3, margin=0), "margin must be > 0"),
        (lambda: theory.measure_weight(-1, 3), "beta must be a finite number >= 0, got -1"),
        (lambda: theory.measure_excess_risk(0.5, 1), "n must be a finite number >= 1, got 0.5"),
        (lambda: theory.measure_excess_risk(10, 0), "alpha must be a finite number > 0, got 0"),
        (lambda: theory.measure_sampling_error(0, 1), "n_features must be an int >= 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


GRID = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.5], [2.0, -1.0], [-0.0, 0.0]])
MASSES = st.sampled_from([0.0, 0.25, 1.0, 3.0])


def drawn(data):
    """Points, masses of which one at least is above 0, and values."""
    n = data.draw(st.integers(1, 4))
    points = GRID[data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))]
    masses = np.array(data.draw(st.lists(MASSES, min_size=n, max_size=n)))
    masses[0] = masses[0] or 1.0
    values = data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n))
    return points, masses / masses.sum(), np.array(values, float)[:, None]


class Twins(RuleBasedStateMachine):
    """A measure beside the lists of what is in it, through everything that makes new ones."""

    def __init__(self):
        super().__init__()
        self.points, self.masses, self.values = GRID[:1], np.ones(1), np.ones((1, 1))
        self.nu = am.Measure(self.points, self.masses, self.values)

    @rule(data=st.data(), share=st.sampled_from([0.0, 0.3, 1.0]))
    def mix(self, data, share):
        points, masses, values = drawn(data)
        other = am.Measure(points, masses * 7, values)
        self.nu = am.Measure.mixture([self.nu, other], [1 - share, share])
        self.points = np.concatenate([self.points, points])
        self.masses = np.concatenate([(1 - share) * self.masses, share * masses])
        self.values = np.concatenate([self.values, values])

    @rule()
    def merge(self):
        self.nu = self.nu.merged()
        assert len(self.nu) == len(np.unique(self.nu.points, axis=0))
        assert (self.nu.masses > 0).all()

    @rule(seed=st.integers(0, 99))
    def permute(self, seed):
        order = np.random.default_rng(seed).permutation(len(self.nu))
        nu = self.nu
        self.nu = am.Measure(nu.points[order], nu.masses[order], nu.values[order])

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
    def go_on_with_a_copy(self, how):
        before = self.nu
        self.nu = how(before)
        np.testing.assert_array_equal(self.nu.points, before.points)
        np.testing.assert_array_equal(self.nu.masses, before.masses)

    @invariant()
    def same_measure(self):
        assert self.nu.masses.sum() == pytest.approx(1, abs=1e-12)
        mean = self.nu.expect(lambda x: x)
        np.testing.assert_allclose(mean, self.masses @ self.points, atol=1e-12)

    @invariant()
    def same_answers(self):
        for beta in (0.0, 2.0):
            expected = literal(GRID, self.points, self.masses, self.values, beta)
            got = self.nu.retrieve(GRID, beta, warn=False)
            np.testing.assert_allclose(got, expected, atol=1e-11)

    @invariant()
    def same_margin(self):
        points = np.unique(self.points[self.masses > 0] + 0, axis=0)
        gaps = ((points * points).sum(axis=1)[:, None] - points @ points.T)[
            ~np.eye(len(points), dtype=bool)
        ]
        assert self.nu.margin().n_points == len(points)
        assert self.nu.margin().smallest == (gaps.min() if len(gaps) else np.inf)


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
