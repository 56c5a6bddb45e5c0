"""Closed forms of modern Hopfield networks and of attention as sparse distributed memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import comb, lambertw

from amfast import theory
from amfast.theory._solve import lambert_w_exp


def test_capacity_bases_of_the_paper():
    assert theory.modern_capacity_base(20, 3.0, 1.0, 0.001) == pytest.approx(3.1546, abs=5e-5)
    assert theory.modern_capacity_base(75, 1.0, 1.0, 0.001) == pytest.approx(1.3719, abs=1e-4)
    c = theory.modern_capacity_base(30, 2.0, 0.5, 0.01)
    assert theory.modern_capacity(30, 2.0, 0.5, 0.01) == pytest.approx(0.1 * c ** (29 / 4))
    assert theory.modern_capacity(10**6, 3.0) == math.inf


@pytest.mark.parametrize("y", [-40.0, -3.0, -0.94, 0.0, 1.0, 1.27, 50.0, 600.0])
def test_lambert(y):
    assert lambert_w_exp(y) == pytest.approx(lambertw(np.exp(y)).real, rel=1e-14)
    if y > -30:
        w = lambert_w_exp(y)
        assert w + math.log(w) == pytest.approx(y, abs=1e-12)


def test_lambert_beyond_exp():
    w = lambert_w_exp(5000.0)
    assert w + math.log(w) == pytest.approx(5000.0)
    assert lambert_w_exp(-5000.0) == 0.0


def test_separation_and_bounds():
    n, norm, beta = 100, 4.0, 0.5
    expected = 2 / (beta * n) + math.log(2 * 99 * 100 * beta * 16) / beta
    assert theory.modern_separation(n, norm, beta) == pytest.approx(expected)
    # THEORY.md: beta = 1/8 at d = 64 asks for 133.
    assert theory.modern_separation(1000, 8.0, 1 / 8) == pytest.approx(133, abs=2)
    assert theory.modern_separation(1, norm, beta) == -math.inf
    assert theory.modern_radius(n, norm, beta) == pytest.approx(1 / 200)
    bound = theory.modern_error_bound(np.array([0.0, 10.0]), n, norm, beta)
    np.testing.assert_allclose(bound, 2 * math.e * 99 * 4 * np.exp([0, -5]))
    assert theory.modern_error_bound(math.inf, 1, norm, beta) == 0
    assert isinstance(theory.modern_error_bound(1.0, n, norm, beta), float)


@pytest.mark.parametrize(("n", "r"), [(1, 0), (6, 2), (7, 7), (8, 5), (9, 1), (10, 4)])
def test_overlap_counts_addresses(n, r):
    every = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    near_zero = every.sum(axis=1) <= r
    log = theory.log_circle_overlap(n, r)
    for d in range(n + 1):
        other = np.arange(n) < d
        both = near_zero & ((every != other).sum(axis=1) <= r)
        assert 2**n * math.exp(log[d]) == pytest.approx(both.sum(), abs=1e-9)


def test_overlap_of_kanervas_size():
    # THEORY.md S7: M = 1e6, N = 1000, r = 451.
    phi = 1e6 * np.exp(theory.log_circle_overlap(1000, 451)[[0, 50, 100, 200, 300, 500]])
    np.testing.assert_allclose(phi, [1072, 477, 286, 103, 32, 1.1], rtol=0.03)
    inside = comb(1000, np.arange(452), exact=False) / 2.0**1000
    assert phi[0] == pytest.approx(1e6 * inside.sum(), rel=1e-9)


@pytest.mark.parametrize(("radius", "beta"), [(5, 31.1), (7, 23.6), (11, 14.9), (15, 9.7)])
def test_beta_of_the_radius(radius, beta):
    assert theory.attention_beta(radius, 64) == pytest.approx(beta, rel=0.01)


def test_beta_falls_with_the_radius():
    betas = [theory.attention_beta(r, 20) for r in range(1, 20)]
    assert (np.diff(betas) < 0).all() and betas[-1] > 0


def test_weight_on_the_target():
    # Bricken and Pehlevan: n = 64, 1024 patterns, radius 11.
    sdm, softmax = theory.attention_target_weight(11, 64, 1024, 5)
    assert sdm == pytest.approx(0.999, abs=1e-3) and softmax == pytest.approx(0.980, abs=2e-3)
    # Further out the tails differ.
    sdm, softmax = theory.attention_target_weight(11, 64, 1024, 10)
    assert sdm > 0.99 and softmax == pytest.approx(0.836, abs=0.01)
    assert theory.attention_target_weight(11, 64, 1, 3) == (1.0, 1.0)


def test_bad_arguments():
    for call, why in [
        (lambda: theory.modern_separation(0, 1.0, 1.0), "n must"),
        (lambda: theory.modern_separation(2, 0.0, 1.0), "norm"),
        (lambda: theory.modern_separation(2, 1.0, 0.0), "beta"),
        (lambda: theory.modern_radius(2, 1.0, math.inf), "beta"),
        (lambda: theory.modern_error_bound(1.0, 2, math.nan, 1.0), "norm"),
        (lambda: theory.modern_capacity_base(1), "d must"),
        (lambda: theory.modern_capacity(20, p=1.0), "p must"),
        (lambda: theory.attention_beta(0, 64), "radius"),
        (lambda: theory.attention_beta(64, 64), "radius"),
        (lambda: theory.log_circle_overlap(4, 5), "radius"),
        (lambda: theory.attention_target_weight(2, 8, 0, 1), "n_items"),
        (lambda: theory.attention_target_weight(2, 8, 3, 9), "distance"),
    ]:
        with pytest.raises(ValueError, match=why):
            call()


def test_extreme_scales_do_not_divide_by_zero():
    assert theory.modern_radius(6, 1e-30, 1e-300) == math.inf
    assert theory.dense_bit_error_tail(2, 1, 400) == math.inf
    assert theory.modern_capacity_base(2, 1e-200) == math.inf
    assert theory.modern_capacity_base(75, 1e-200) > 1
    assert theory.attention_target_weight(3, 8, 1, 8) == (0.0, 1.0)
