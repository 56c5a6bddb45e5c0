"""Closed forms of the sparse distributed memory: exact where they claim it, and known numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import amfast as am
from amfast import theory

KANERVA = (1000, 1_000_000, 451)
SMALL = (256, 100_000, 103)


def test_activation_probability_is_exact():
    stats = pytest.importorskip("scipy.stats")
    for n in (1, 2, 7, 64, 255, 1000, 4096):
        for radius in {0, 1, n // 3, n // 2 - 1, n // 2, n - 1, n} - {-1}:
            if radius <= n:
                want = stats.binom.cdf(radius, n, 0.5)
                assert theory.activation_probability(n, radius) == pytest.approx(want, rel=1e-11)
    assert theory.activation_probability(3, 1) == 0.5
    assert theory.activation_probability(1000, 451) == pytest.approx(0.00107185, abs=5e-9)
    assert theory.activation_probability(256, 103) == pytest.approx(0.00106685, abs=5e-9)
    assert theory.activation_probability(10_000, 0) == 0.0
    assert theory.sdm_expected_active(1000, 1_000_000, 451) == pytest.approx(1071.85, abs=0.01)


def test_radius_is_the_smallest_that_suffices():
    for n, p in itertools.product((1, 2, 3, 64, 255, 1000), (1e-300, 1e-9, 0.001, 0.3, 0.5)):
        radius = theory.sdm_radius(n, p)
        assert theory.activation_probability(n, radius) >= p
        assert radius == 0 or theory.activation_probability(n, radius - 1) < p
    assert theory.sdm_radius(100, 1.0) == 100
    # One half is reached exactly by an odd width: no rounding decides.
    assert theory.sdm_radius(255, 0.5) == 127
    assert theory.sdm_radius(255, math.nextafter(0.5, 1)) == 128
    assert theory.sdm_radius(10_000, 0.001) == 4845


def test_radius_is_torchhd_s():
    stats = pytest.importorskip("scipy.stats")
    for n in range(16, 4097, 97):
        for p in (1e-6, 0.001, 0.01, 0.2):
            assert theory.sdm_radius(n, p) == stats.binom.ppf(p, n, 0.5)


def test_best_radius():
    assert [theory.sdm_best_radius(1000, 10**6, t) for t in (10**3, 10**4, 10**5)] == [
        450,
        447,
        443,
    ]
    best = theory.sdm_best_p(10**6, 10**4)
    ratio = [theory.sdm_snr(10**6, 10**4, best * f) for f in (0.9, 1.0, 1.1)]
    assert max(ratio) == ratio[1]


def test_circles_by_counting():
    """All 2^n locations counted, for every radius and distance of short words."""
    n = 6
    words = np.array(list(itertools.product((0, 1), repeat=n)))
    for radius, distance in itertools.product(range(n + 1), repeat=2):
        other = np.arange(n) < distance
        both = (words.sum(axis=1) <= radius) & ((words != other).sum(axis=1) <= radius)
        assert theory.circle_overlap(n, radius, distance) == pytest.approx(both.mean(), abs=1e-14)


def test_circles_of_kanerva():
    phi = [1e6 * theory.circle_overlap(1000, 451, d) for d in (0, 50, 100, 200, 300, 500)]
    assert [round(x) for x in phi[:5]] == [1072, 477, 286, 103, 32]
    assert phi[5] == pytest.approx(1.1, abs=0.05)


@pytest.mark.parametrize(
    ("items", "auto", "hetero"),
    [(1000, 348, 322), (5000, 264, 208), (10_000, 234, 154), (20_000, 206, 92)],
)
def test_crossings(items, auto, hetero):
    assert math.floor(theory.sdm_critical_distance(*KANERVA, items)) == auto
    got = theory.sdm_critical_distance(*KANERVA, items, autoassociative=False)
    assert math.floor(got) == hetero
    for distance, closer in ((auto, True), (auto + 1, False)):
        assert (theory.sdm_new_distance(*KANERVA, items, distance) < distance) is closer


def test_crossing_of_hardly_and_much_loaded_memories():
    assert theory.sdm_critical_distance(*SMALL, 1) == 128
    assert theory.sdm_critical_distance(*SMALL, 10**7) == 0.0
    assert theory.sdm_convergence_distance(*SMALL, 10**7) == 0


@pytest.mark.parametrize(
    ("sizes", "items", "measured"),
    [
        (KANERVA, 1000, 330),
        (KANERVA, 5000, 243),
        (KANERVA, 10_000, 200),
        (KANERVA, 20_000, 135),
        (SMALL, 1000, 61),
        (SMALL, 2000, 49),
        (SMALL, 5000, 28),
    ],
)
def test_convergence_is_what_was_measured(sizes, items, measured):
    got = theory.sdm_convergence_distance(*sizes, items)
    assert abs(got - measured) <= 12 if sizes is KANERVA else abs(got - measured) <= 7
    assert got < theory.sdm_critical_distance(*sizes, items)


def test_single_reads():
    got = [theory.sdm_new_distance(*SMALL, 1000, d) for d in (42, 60, 78)]
    np.testing.assert_allclose(got, [17.4, 55.6, 88.4], atol=0.06)
    got = [theory.sdm_new_distance(*SMALL, 5000, d) for d in (24, 42, 66)]
    np.testing.assert_allclose(got, [13.8, 40.6, 74.4], atol=0.06)


def test_read_is_what_a_memory_does():
    """Signal, bias and noise of the sums of a memory, in one read of many words."""
    n, m, items, distance = 128, 20_000, 300, 20
    memory = am.SparseDistributedMemory(n, m, p=0.01, seed=1)
    words = am.BitMatrix.random(items, n, seed=2).unpack()
    memory.write(words)
    cues = words.copy()
    cues[:, :distance] *= -1
    # In the direction of the stored bit: signal + bias where the cue is right, else signal - bias.
    sums = memory.read(cues, raw=True) * words
    read = theory.sdm_read(n, m, memory.radius, items, distance)
    right, wrong = sums[:, distance:], sums[:, :distance]
    assert right.mean() == pytest.approx(read.signal + read.bias, rel=0.04)
    assert wrong.mean() == pytest.approx(read.signal - read.bias, abs=0.06 * read.noise)
    assert right.std() == pytest.approx(read.noise, rel=0.1)
    assert read.right == pytest.approx((read.signal + read.bias) / read.noise)
    assert theory.sdm_read(n, m, memory.radius, items, distance, autoassociative=False).bias == 0
    new = (sums < 0).sum(axis=1).mean()
    want = theory.sdm_new_distance(n, m, memory.radius, items, distance)
    assert new == pytest.approx(want, rel=0.2, abs=1)


def test_noise_to_signal_without_other_items():
    read = theory.sdm_read(*SMALL, 1, 10)
    assert read.noise == 0 and read.bias == 0 and read.right == math.inf
    assert theory.sdm_new_distance(*SMALL, 1, 10) == 0


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: theory.sdm_radius(100, 0), "above 0"),
        (lambda: theory.sdm_radius(100, 1.5), "at most 1"),
        (lambda: theory.sdm_radius(0, 0.5), "n_bits"),
        (lambda: theory.activation_probability(100, 101), "radius must be an int in 0..100"),
        (lambda: theory.circle_overlap(100, 40, -1), "distance"),
        (lambda: theory.sdm_best_p(0, 1), "n_locations"),
        (lambda: theory.sdm_read(100, 10, 40, 0, 0), "n_items"),
        (lambda: theory.sdm_iterated_distance(100, 10, 40, 5, 3, 0), "max_iter"),
    ],
)
def test_bad_arguments(call, what):
    with pytest.raises(ValueError, match=what):
        call()
