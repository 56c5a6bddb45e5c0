"""Energies that recall never increases: every convex separation under every readout."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import reference

N, D = 30, 16
# Scores of these keys are >= 0 for every state whose first entry is 1, as log and sqrt need.
SEPARATIONS = {
    "max": am.Max(),
    "top 3": am.TopK(3),
    "top 3 softmax": am.TopK(3, 2.0),
    "threshold": am.Threshold(16.0),
    "log": am.Log(),
    "sqrt": am.Sqrt(),
    "softmax": am.Softmax(0.2),
    "exponential": am.Exponential(0.2),
    "cube": am.Polynomial(3),
    "rectified square": am.Polynomial(2, rectified=True),
    "sparsemax": am.Sparsemax(0.1),
    "entmax": am.Entmax(1.5, 0.1),
}
NAMES = pytest.mark.parametrize("name", SEPARATIONS)
READOUTS = pytest.mark.parametrize("readout", ["sign", "l2"])
WEIGHED = pytest.mark.parametrize("weighted", [False, True])


def keys(rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    return np.column_stack([np.full(N, 16.0), rng.choice([-1.0, 1.0], (N, D - 1))]) * scale


def states(rng: np.random.Generator, readout: str, n: int = 200) -> np.ndarray:
    signs = np.column_stack([np.ones(n), rng.choice([-1.0, 1.0], (n, D - 1))])
    return signs if readout == "sign" else signs / np.linalg.norm(signs, axis=1, keepdims=True)


def falls(memory, state: np.ndarray, steps: int = 12) -> int:
    """Step, asserting that no energy rises beyond rounding; count the drops."""
    energy, drops = memory.energy(state), 0
    assert np.isfinite(energy).all()
    for _ in range(steps):
        state = memory.recall(state)
        after = memory.energy(state)
        scale = np.maximum(np.abs(energy), np.abs(after)) + 1.0
        assert (after <= energy + 1e-12 * scale).all(), (after - energy).max()
        drops += int((after < energy - 1e-9 * scale).sum())
        energy = after
    return drops


@WEIGHED
@READOUTS
@NAMES
@pytest.mark.parametrize("normalize", [True, False])
def test_no_full_step_raises_the_energy(rng, name, readout, weighted, normalize):
    separation = SEPARATIONS[name]
    if weighted and isinstance(separation, am.TopK) and separation.k > 1:
        pytest.skip("items that weigh differently: no energy")
    # States of length 1 have scores a quarter as large.
    scale = 4.0 if readout == "l2" else 1.0
    memory = am.UniversalHopfield("dot", separation, readout=readout, normalize=normalize)
    memory.store(keys(rng, scale), weights=rng.uniform(0.2, 2.0, N) if weighted else None)
    assert falls(memory, states(rng, readout)) >= 20


@WEIGHED
@pytest.mark.parametrize("separation", [am.Max(), am.TopK(3, 2.0), am.TopK(4)], ids=repr)
@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean"])
def test_best_items_fall_under_the_identity(rng, similarity, separation, weighted):
    memory = am.UniversalHopfield(similarity, separation)
    memory.store(rng.normal(size=(N, D)), weights=np.full(N, 0.5) if weighted else None)
    state = rng.normal(size=(200, D))
    assert falls(memory, state) >= 100


def test_flat_kernels_shift_their_means(rng):
    """A threshold of squared distances, divided by its sum, is mean shift with a flat kernel."""
    memory = am.UniversalHopfield("sqeuclidean", am.Threshold(8.0))
    memory.store(rng.normal(size=(100, 4)), weights=rng.uniform(0.2, 2.0, 100))
    assert falls(memory, rng.normal(size=(200, 4))) >= 100


@pytest.mark.parametrize(
    "metric", ["cosine", "euclidean", "manhattan", "kl", "reverse_kl", "jensenshannon"]
)
def test_the_nearest_item_falls_by_every_metric(rng, metric):
    memory = am.UniversalHopfield(metric, "max")
    memory.store(rng.random((N, D)))
    state = rng.random((100, D))
    before, found = memory.energy(state), memory.recall(state, details=True)
    np.testing.assert_allclose(before, -memory.scores(state).max(axis=1))
    np.testing.assert_array_equal(found.energy, memory.energy(found.state))
    assert falls(memory, state, 3) >= 100


@pytest.mark.parametrize("name", ["max", "top 3", "top 3 softmax", "softmax", "sparsemax"])
@pytest.mark.parametrize("metric", ["hamming", "sqeuclidean"])
def test_signs_of_distances_fall(rng, metric, name):
    """On states of -1 and +1 both are dot products but for a constant."""
    x = rng.choice(np.array([-1, 1], np.int8), (N, D))
    memory = am.UniversalHopfield(metric, SEPARATIONS[name], readout="sign")
    memory.store(x if metric == "hamming" else x.astype(float))
    state = rng.choice(np.array([-1, 1], np.int8), (200, D))
    state = state if metric == "hamming" else state.astype(float)
    assert falls(memory, state) >= 20
    found = memory.recall(state, details=True)
    np.testing.assert_array_equal(found.energy, memory.energy(found.state))
    if metric == "hamming":
        same = np.sort(memory.scores(state), axis=1)[:, -3:]
        if name == "top 3":
            np.testing.assert_allclose(memory.energy(state), -same.mean(axis=1))
        packed = am.pack(state)
        np.testing.assert_array_equal(memory.energy(packed), memory.energy(state))


def test_thresholds_of_bits_fall(rng):
    x = rng.choice(np.array([-1, 1], np.int8), (200, D))
    memory = am.UniversalHopfield("hamming", am.Threshold(5), readout="sign")
    memory.store(x)
    state = rng.choice(np.array([-1, 1], np.int8), (100, D))
    distances = am.pairwise(am.pack(state), am.pack(x), "hamming")
    np.testing.assert_allclose(memory.energy(state), -np.maximum(5 - distances, 0).sum(axis=1))
    assert falls(memory, state) >= 20


@READOUTS
def test_states_that_no_step_returns_have_an_infinite_energy(rng, readout):
    memory = am.UniversalHopfield("dot", "softmax", readout=readout)
    memory.store(rng.normal(size=(5, 3)))
    assert memory.energy([2.0, 0.0, 0.0]) == np.inf
    assert np.isfinite(memory.energy([0.5, 0.0, 0.0])), "inside"
    assert np.isfinite(memory.energy(memory.recall(rng.normal(size=(50, 3)).astype("f")))).all()
    huge = memory.energy([[1e300, 1e300, 1e300]])
    np.testing.assert_array_equal(huge, np.inf)
    vertices = am.UniversalHopfield("sqeuclidean", "softmax", readout="sign")
    vertices.store(rng.normal(size=(5, 3)))
    assert vertices.energy([0.5, 1.0, 1.0]) == np.inf > vertices.energy([-1.0, 1.0, 1.0])


def test_weights_that_differ_take_the_energy_of_the_k_best():
    memory = am.UniversalHopfield("dot", am.TopK(2, 1.0))
    ids = memory.store(np.eye(3), weights=[1.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="not the gradient of a convex function where they weigh"):
        memory.energy(np.ones(3))
    assert memory.recall(np.ones(3), details=True).energy is None
    memory.delete(ids[:1])
    assert np.isfinite(memory.energy(np.ones(3)))
    memory.store(np.eye(3)[:1], weights=[0.0])
    assert np.isfinite(memory.energy(np.ones(3))), "an item of no weight is none"


@pytest.mark.parametrize("k", [1, 2])
def test_unequal_weights_do_raise_what_would_be_the_energy_of_the_k_best(rng, k):
    """The reason is true: with such weights the same formula rises; with one item it falls."""
    memory = am.UniversalHopfield("dot", am.TopK(k, 1.0))
    x, b = rng.normal(size=(12, 3)), rng.normal(size=12) * 4
    memory.store(x, weights=np.exp(b))
    v = rng.normal(size=(2000, 3))

    def energy(v: np.ndarray) -> np.ndarray:
        return (v * v).sum(axis=1) / 2 - am.TopK(k, 1.0).potential(v @ x.T, b)

    rises = energy(memory.recall(v)) - energy(v)
    assert (rises.max() > 1e-3) == (k == 2)


def test_no_item_of_any_weight():
    for separation in (am.Max(), am.TopK(1, 1.0), am.Softmax()):
        memory = am.UniversalHopfield("dot", separation)
        memory.store(np.eye(2), weights=[0.0, 0.0])
        assert memory.energy([1.0, 0.0]) == np.inf
    memory = am.UniversalHopfield("dot", am.Threshold(0.5), normalize=False)
    memory.store(np.eye(2), weights=[0.0, 0.0])
    assert memory.energy([1.0, 0.0]) == 0.5


# -- potentials -----------------------------------------------------------------------------------

EVEN = {"square": am.Polynomial(2), "identity": am.Identity()}
EVERY = SEPARATIONS | EVEN


@WEIGHED
@pytest.mark.parametrize("name", EVERY)
def test_weights_are_the_slope_of_the_potential(rng, name, weighted):
    part = EVERY[name]
    negative = name in ("square", "identity", "cube", "rectified square")
    s = rng.uniform(-2.0 if negative else 0.5, 30.0, (40, 7))
    b = None
    if weighted:
        b = np.array([-np.inf, 0.0, -1.0, 0.5, 0.0, 0.3, -0.2])
        if isinstance(part, am.TopK):
            b = np.where(b > -np.inf, 0.0, b)
    w, log_scale = part.weights(s, b)
    want = w if part.sums_to_one else w * np.exp(log_scale)[:, None]
    h = 1e-5
    for i, step in enumerate(np.eye(7) * h):
        slope = (part.potential(s + step, b) - part.potential(s - step, b)) / (2 * h)
        # Central differences of values as large as the potential lose digits.
        noise = 1e-15 * np.abs(part.potential(s, b)) / h
        assert (np.abs(slope - want[:, i]) <= 1e-5 * np.abs(want[:, i]) + noise + 1e-6).all()


@pytest.mark.parametrize(
    ("part", "twin"),
    [
        (am.Softmax(0.7), ("softmax", 0.7)),
        (am.Exponential(0.7), ("exponential", 0.7)),
        (am.Polynomial(2), ("power", 2)),
        (am.Polynomial(3), ("power", 3)),
        (am.Polynomial(2, True), ("rectified", 2)),
        (am.Sqrt(), ("sqrt", 0)),
        (am.Log(), ("log", 0)),
        (am.Threshold(1.5), ("threshold", 1.5)),
        (am.Max(), ("best", 1)),
        (am.TopK(3), ("best", 3)),
    ],
    ids=repr,
)
@WEIGHED
def test_potentials_are_the_twins(rng, part, twin, weighted):
    s = rng.normal(size=(20, 9)) + (6.0 if twin[0] in ("sqrt", "log") else 0.0)
    b = np.where(rng.random(9) < 0.3, -np.inf, 0.0) if weighted else None
    want = reference.potential(s, *twin, b)
    np.testing.assert_allclose(part.potential(s, b), want, rtol=1e-12, atol=1e-12)


def test_a_threshold_of_distances_counts_from_its_radius():
    d = np.array([[0.0, 1.0, 3.0]])
    np.testing.assert_array_equal(am.Threshold(2.0).potential(-d, None, False), [3.0])


def test_powers_that_overflow_have_the_energy_of_their_logarithm():
    """Weights of s^300 exist divided by their sum, and so does an energy."""
    memory = am.UniversalHopfield("dot", am.Polynomial(301), readout="sign")
    x = np.where(np.arange(400) % 7 < 3, -1.0, 1.0)
    memory.store([x, np.ones(400)])
    np.testing.assert_allclose(memory.energy(x), -np.log(400.0), rtol=1e-6)
    raw = am.UniversalHopfield("dot", am.Polynomial(301), readout="sign", normalize=False)
    raw.store([x, np.ones(400)])
    with pytest.raises(ValueError, match="states row 0 has an energy beyond the largest float64"):
        raw.energy(x)
