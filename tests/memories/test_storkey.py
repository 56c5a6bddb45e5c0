"""Storkey's rule: his formula, his capacity, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import theory


def patterns(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, d))


def written_down(x: np.ndarray) -> np.ndarray:
    """Equation 1 of Storkey and Valabregue (1999), sum by sum."""
    d = x.shape[1]
    w = np.zeros((d, d))
    for row in x.astype(float):
        h = np.zeros((d, d))
        for i in range(d):
            for j in range(d):
                h[i, j] = sum(w[i, k] * row[k] for k in range(d) if k not in (i, j))
        w = w + (np.outer(row, row) - row[:, None] * h.T - h * row[None, :]) / d
    return w


@pytest.mark.parametrize("storage", ["auto", "patterns", "matrix"])
@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_is_the_published_rule(storage, zero_diagonal):
    x = patterns(6, 9)
    memory = am.Hopfield("storkey", storage=storage, zero_diagonal=zero_diagonal)
    memory.store(x[:2])
    memory.recall(x)  # what is derived goes on from there
    memory.store(x[2:])
    want = written_down(x)
    if zero_diagonal:
        np.fill_diagonal(want, 0)
    np.testing.assert_allclose(memory.W, want, atol=1e-13)
    np.testing.assert_array_equal(memory.W, memory.W.T)


def share_held(rule: str, n: int, d: int, runs: int) -> float:
    held = []
    for seed in range(runs):
        x = patterns(n, d, seed)
        memory = am.Hopfield(rule)
        memory.store(x)
        held.append((memory.recall(x, update="one-step") == x).all(axis=1).mean())
    return float(np.mean(held))


def test_it_holds_more_than_hebb_and_what_theory_says():
    d = 200
    n = round(theory.storkey_capacity(d))
    assert share_held("storkey", n, d, 3) >= 0.95
    assert share_held("hebbian", n, d, 3) <= 0.05
    assert share_held("storkey", 2 * n, d, 3) <= 0.9
    memory = am.Hopfield("storkey")
    memory.store(patterns(5, d))
    assert theory.storkey_capacity(d) in memory.theory().values()


def test_recall_descends_its_energy():
    x = patterns(20, 80)
    memory = am.Hopfield("storkey")
    memory.store(x)
    found = memory.recall(patterns(50, 80, 1), details=True)
    assert found.converged.all()
    assert (np.diff(found.energy_trace, axis=1) <= 1e-9).all()
    spoilt = am.corrupt.flip(x, 0.1, seed=0)
    assert (memory.recall(spoilt) == x).mean() > 0.99


def test_patterns_that_go_were_never_there():
    x = patterns(9, 30)
    memory, without = am.Hopfield("storkey"), am.Hopfield("storkey", storage="matrix")
    ids = memory.store(x)
    memory.delete(ids[3:5])
    without.store(np.delete(x, [3, 4], axis=0))
    np.testing.assert_array_equal(memory.W, without.W)
    kept = am.Hopfield("storkey", max_items=4)
    kept.store(x)
    np.testing.assert_allclose(kept.W, written_down(x[-4:]) * (1 - np.eye(30)), atol=1e-13)


def test_far_too_many_patterns_are_refused_and_nothing_is_stored():
    memory = am.Hopfield("storkey", storage="matrix")
    memory.store(patterns(3, 5))
    before = memory.W
    with pytest.raises(ValueError, match=r"range of float64 at pattern \d+ of 5 units"):
        memory.store(patterns(9000, 5))
    assert len(memory) == 3
    np.testing.assert_array_equal(memory.W, before)


def test_what_is_refused(tmp_path):
    x = patterns(4, 20)
    memory = am.Hopfield("storkey", storage="matrix")
    memory.store(x, weights=np.ones(4))
    for call, match in (
        (lambda: am.Hopfield("storkey").store(x, x), "values: Storkey's rule"),
        (lambda: memory.store(x, x), "no values beside"),
        (lambda: memory.store(x, weights=2), "weights: Storkey's rule"),
        (lambda: memory.store(x, weights=-1), "weights: Storkey's rule"),
        (lambda: memory.merge(am.Hopfield("storkey", storage="matrix").merge(memory)), "order"),
        (lambda: memory.merge(am.Hopfield()), "differ"),
        (lambda: am.Hopfield("storkey").merge(memory), "no patterns to add"),
        (lambda: am.Hopfield("stork"), "rule must be one of"),
        (lambda: theory.storkey_capacity(1), "d must be an int >= 2"),
        (lambda: memory.weights(x), "storkey rule does not sum"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    assert len(memory) == 4
    memory.save(tmp_path / "m")
    np.testing.assert_array_equal(am.load(tmp_path / "m").W, memory.W)
    twin = am.Hopfield("storkey")
    twin.store(patterns(3, 20, 1))
    np.testing.assert_array_equal(
        am.Hopfield("storkey", storage="matrix").merge(memory).merge(twin).W,
        memory.merge(twin).W,
    )
