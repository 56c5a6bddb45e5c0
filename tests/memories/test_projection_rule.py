"""Least squares between real rows: `HebbianMemory(rule="projection")`."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def filled(n: int, d: int, o: int, **kwargs) -> tuple[am.HebbianMemory, np.ndarray, np.ndarray]:
    keys, values = rows(n, d), rows(n, o, seed=1)
    memory = am.HebbianMemory(rule="projection", **kwargs)
    memory.store(keys, values)
    return memory, keys, values


@pytest.mark.parametrize(("n", "d", "o"), [(1, 4, 2), (10, 20, 5), (200, 300, 1), (30, 32, 40)])
def test_independent_keys_recall_exactly(n, d, o):
    memory, keys, values = filled(n, d, o)
    np.testing.assert_allclose(memory.recall(keys), values, atol=1e-10)
    plain = am.HebbianMemory(normalize=False)
    plain.store(keys, values)
    assert n == 1 or np.abs(plain.recall(keys) - values).max() > 0.1  # Hebb's rule does not


@pytest.mark.parametrize(("n", "d"), [(10, 20), (300, 40), (40, 39)])
def test_it_is_least_squares_of_the_least_norm(n, d):
    memory, keys, values = filled(n, d, 3)
    want = np.linalg.lstsq(keys, values, rcond=None)[0].T
    np.testing.assert_allclose(memory.matrix, want, atol=1e-9)
    twice = am.HebbianMemory(rule="projection")
    for part in np.array_split(np.arange(n), 7):
        twice.store(keys[part], values[part])
    np.testing.assert_allclose(twice.matrix, want, atol=1e-9)
    copied = np.vstack([keys, keys[:1]]), np.vstack([values, values[:1]])
    dependent = am.HebbianMemory(rule="projection")
    dependent.store(*copied)
    want = np.linalg.lstsq(*copied, rcond=None)[0].T
    np.testing.assert_allclose(dependent.matrix, want, atol=1e-9)


def test_weights_and_decay_are_weighted_least_squares():
    keys, values, w = rows(50, 6), rows(50, 2, seed=1), np.random.default_rng(2).random(50)
    memory = am.HebbianMemory(rule="projection", decay=0.9)
    memory.store(keys, values, weights=w)
    root = np.sqrt(w * 0.9 ** np.arange(49, -1, -1))[:, None]
    want = np.linalg.lstsq(keys * root, values * root, rcond=None)[0].T
    np.testing.assert_allclose(memory.matrix, want, rtol=1e-9)


def test_features_and_the_keys_themselves():
    # Patterns that no matrix can answer, and one of features can: XOR.
    keys = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    values = np.array([[-1.0], [1.0], [1.0], [-1.0]])
    linear = am.HebbianMemory(rule="projection")
    linear.store(keys, values)
    np.testing.assert_allclose(linear.recall(keys), 0, atol=1e-12)
    memory = am.HebbianMemory(rule="projection", features=am.Fourier(40, seed=0))
    memory.store(keys, values)
    np.testing.assert_allclose(memory.recall(keys), values, atol=1e-9)
    x = rows(5, 12)
    auto = am.HebbianMemory(rule="projection")
    auto.store(x)
    np.testing.assert_allclose(auto.matrix, np.linalg.pinv(x) @ x, atol=1e-12)
    assert auto.energy(x[0]) == pytest.approx(0, abs=1e-12)


def test_files_and_merge(tmp_path):
    memory, keys, values = filled(20, 30, 4)
    memory.save(tmp_path / "m")
    np.testing.assert_array_equal(am.load(tmp_path / "m").recall(keys), memory.recall(keys))
    first, second = (am.HebbianMemory(rule="projection") for _ in range(2))
    first.store(keys[:7], values[:7])
    second.store(keys[7:], values[7:])
    np.testing.assert_allclose(first.merge(second).recall(keys), values, atol=1e-10)


def test_sequences_of_real_rows():
    x = rows(8, 20)
    memory = am.HebbianMemory(rule="projection")
    memory.store(x[:-1], x[1:])
    np.testing.assert_allclose(memory.chain(x[0], 7), x, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-7, 1e120])
def test_scale_does_not_matter(scale):
    keys, values = rows(5, 9), rows(5, 2, seed=1)
    memory = am.HebbianMemory(rule="projection")
    memory.store(keys * scale, values)
    np.testing.assert_allclose(memory.recall(keys * scale), values, rtol=1e-9)


def test_what_is_refused():
    memory, keys, values = filled(5, 9, 2)
    for call, match in (
        (lambda: am.HebbianMemory(rule="projection", center="moment"), "center='moment'"),
        (lambda: am.HebbianMemory(rule="projection", normalize=True), "leave normalize out"),
        (lambda: am.HebbianMemory(rule="projection", weighting="code"), "weighs linearly"),
        (lambda: am.HebbianMemory(rule="projection", rate=0.5), "rate belongs"),
        (lambda: am.HebbianMemory(rule="lstsq"), "rule must be one of"),
        (lambda: memory.store(keys), "values must be given alike"),
        (lambda: memory.store(keys, values[:3]), "values have 3 rows"),
        (lambda: memory.store(keys * 1e200, values), "scale|range"),
        (lambda: memory.recall(values), "2 columns"),
        (lambda: memory.energy(keys), "no energy"),
        (lambda: am.HebbianMemory(rule="projection").recall(keys), "empty"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    np.testing.assert_allclose(memory.recall(keys), values, atol=1e-10)
    silent = am.HebbianMemory(rule="projection")
    silent.store(0 * keys, values)
    with pytest.raises(ValueError, match="sum to 0"):
        silent.recall(keys)
