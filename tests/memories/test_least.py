"""Errors of the least sum of magnitudes by products and thresholds, for any constraints."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import theory
from amfast.memories.recovery import decoders


def corrupted(x: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = x.copy()
    for row in y:
        row[rng.choice(len(row), k, replace=False)] += 10 * rng.normal(size=k)
    return y


@pytest.fixture(scope="module")
def learned():
    """Patterns of rank 50 in 200 columns: 150 constraints."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(60, 50)) @ rng.normal(size=(50, 200))
    memory = am.SparseRecoveryMemory("bregman")
    memory.store(samples)
    return memory, samples


def test_it_finds_what_l1_finds(learned):
    memory, samples = learned
    y = corrupted(samples[:10], 60)
    found = memory.recall(y, details=True)
    np.testing.assert_allclose(found.state, samples[:10], atol=1e-6)
    assert found.certified.all() and (found.n_errors <= 60).all()
    pytest.importorskip("scipy")
    linear = am.SparseRecoveryMemory("l1")
    linear.store(samples)
    np.testing.assert_allclose(found.error, linear.recall(y, details=True).error, atol=1e-6)


def test_it_ends_where_l1_must_end(learned):
    memory, samples = learned
    least = theory.l1_capacity(200, 150)
    for share, low, high in ((0.7, 0.9, 1.0), (1.4, 0.0, 0.1)):
        y = corrupted(samples[:20], round(share * least), 1)
        exact = np.abs(memory.recall(y) - samples[:20]).max(axis=1) < 1e-3
        assert low <= exact.mean() <= high


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scale_does_not_matter(learned, scale):
    memory, samples = learned
    y = corrupted(samples[:3], 20)
    np.testing.assert_allclose(memory.recall(y * scale) / scale, memory.recall(y), rtol=1e-12)


def test_the_steps_descend_to_the_constraints_of_any_matrix():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(30, 50))
    e = np.zeros((4, 50))
    e[:, [3, 17, 40]] = [1.0, -20.0, 3.0]
    bound = float(np.linalg.norm(a, 2) ** 2)
    found = decoders.bregman(e @ a.T, lambda x: x @ a.T, lambda z: z @ a, bound, np.full(4, 1e-8))
    np.testing.assert_allclose(found, e, atol=1e-7)


# -- where peeling stops --------------------------------------------------------------------------


def stuck() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constraints, a pattern and a cue whose two errors share three of their six checks."""
    a = am.expander(400, 200, seed=1)
    shared = a.T.astype(int) @ a
    np.fill_diagonal(shared, 0)
    i, j = np.unravel_index(shared.argmax(), shared.shape)
    assert shared[i, j] >= 3
    x = am.SparseRecoveryMemory("expander", constraints=a).project(np.ones(400) + np.arange(400))
    y = x.copy()
    y[[i, j]] += [5.0, -7.0]
    return a, x, y


def test_what_does_not_peel_falls_back_and_says_so():
    a, x, y = stuck()
    alone = am.SparseRecoveryMemory("expander", constraints=a, fallback=False)
    left = alone.recall(y, details=True)
    assert np.abs(left.state - x).max() > 1 and left.residual > 1 and not left.fallback
    memory = am.SparseRecoveryMemory("expander", constraints=a)
    clean = corrupted(x[None], 1)[0]
    found = memory.recall(np.array([y, x, clean, y]), details=True)
    np.testing.assert_allclose(found.state, np.tile(x, (4, 1)), atol=1e-9)
    assert found.fallback.tolist() == [True, False, False, True]
    assert found.certified.all() and found.n_errors.tolist() == [2, 0, 1, 2]
    one = memory.recall(y, details=True)
    np.testing.assert_array_equal(one.state, found.state[0])
    assert one.fallback and "fallback" in repr(one)


def test_hopeless_cues_keep_what_peeled():
    a, x, _ = stuck()
    y = corrupted(x[None], 150)
    memory = am.SparseRecoveryMemory("expander", constraints=a)
    alone = am.SparseRecoveryMemory("expander", constraints=a, fallback=False)
    found, left = memory.recall(y, details=True), alone.recall(y, details=True)
    if not found.fallback[0]:
        np.testing.assert_array_equal(found.state, left.state)
    assert not found.certified[0]


def test_fallback_finds_nearly_all_that_peeling_leaves():
    a = am.expander(600, 300)
    alone = am.SparseRecoveryMemory("expander", constraints=a, fallback=False)
    memory = am.SparseRecoveryMemory("expander", constraints=a)
    x = np.tile(memory.project(np.random.default_rng(0).normal(size=600)), (40, 1))
    y = corrupted(x, 36)  # 0.06 n
    peeled = np.abs(alone.recall(y) - x).max(axis=1) < 1e-6
    both = memory.recall(y, details=True)
    exact = np.abs(both.state - x).max(axis=1) < 1e-6
    assert peeled.mean() < 0.9 and exact.all()
    np.testing.assert_array_equal(both.fallback, ~peeled)


def test_parameters(tmp_path):
    a, x, y = stuck()
    memory = am.SparseRecoveryMemory("expander", constraints=a, fallback=False)
    memory.save(tmp_path / "m")
    assert am.load(tmp_path / "m").fallback is False
    zero = am.SparseRecoveryMemory("expander", constraints=a, tol=0.0)
    np.testing.assert_allclose(zero.recall(corrupted(x[None], 1)), x[None], atol=1e-9)
    with pytest.raises((TypeError, ValueError), match="fallback"):
        am.SparseRecoveryMemory("expander", constraints=a, fallback="l1")
    with pytest.raises(ValueError, match="decoder must be one of .*'bregman'"):
        am.SparseRecoveryMemory("bregmann")
    with pytest.raises(ValueError, match="NaN"):
        zero.recall(y * np.nan)
    dense = am.SparseRecoveryMemory("bregman", constraints=np.eye(3)[:2], tol=0.0)
    assert dense.recall(np.ones((0, 3))).shape == (0, 3)
    assert np.isfinite(dense.recall([1.0, 2.0, 3.0])).all()
