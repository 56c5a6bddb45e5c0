"""Sparsemax, entmax and the mass that top-k drops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import draw, layouts
from hypothesis import given
from hypothesis import strategies as st

import amfast as am
from amfast import reference
from amfast.parts.entmax import entmax


def order(separation) -> float:
    return getattr(separation, "alpha", 2.0)


SPARSE = [am.Sparsemax(0.7), am.Entmax(1.5, 0.7), am.Entmax(1.2, 0.7), am.Entmax(3.0, 0.7)]


def memory(similarity, separation, rng, n=40, d=6, weights=None):
    m = am.UniversalHopfield(similarity, separation)
    m.store(rng.normal(size=(n, d)), weights=weights)
    return m


@pytest.mark.parametrize("separation", SPARSE, ids=repr)
@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean", "manhattan", "cosine"])
def test_weights_are_the_twins(rng, similarity, separation):
    w = rng.uniform(0.1, 3.0, 40)
    w[7] = 0.0
    m = memory(similarity, separation, rng, weights=w)
    cues = rng.normal(size=(9, 6))
    with np.errstate(divide="ignore"):
        expected = reference.entmax(separation.beta * m.scores(cues), order(separation), np.log(w))
    got = m.weights(cues)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert (got[:, 7] == 0).all()
    np.testing.assert_allclose(m.recall(cues), expected @ m.keys, atol=1e-12)


def test_known_values():
    # By hand: scores 1, .8, 0 and beta 2 give tau = (2 + 1.6 - 1) / 2 = 1.3.
    m = am.UniversalHopfield("dot", am.Sparsemax(2.0))
    m.store(np.array([[1.0], [0.8], [0.0]]))
    np.testing.assert_allclose(m.weights([1.0]), [0.7, 0.3, 0.0], atol=1e-15)
    # entmax 1.5 of (1, 0): p = (x/2 - tau)^2, (1/2 - tau)^2 + tau^2 = 1, tau = (1 - sqrt 7) / 4.
    m = am.UniversalHopfield("dot", am.Entmax())
    m.store(np.array([[1.0], [0.0]]))
    tau = (1 - np.sqrt(7)) / 4
    np.testing.assert_allclose(m.weights([1.0]), [(0.5 - tau) ** 2, tau**2], atol=1e-15)


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=12),
    st.sampled_from([1.1, 1.5, 2.0, 2.5, 4.0]),
    st.integers(0, 2**31),
)
def test_entmax_properties(scores, alpha, seed):
    s = np.array([scores])
    separation = am.Entmax(alpha)
    b = np.random.default_rng(seed).normal(size=s.shape[1])
    p, log_scale = separation.weights(s, b)
    assert (p >= 0).all() and log_scale[0] == 0
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(p, reference.entmax(s, alpha, b), atol=1e-9)
    # A constant added to the scores changes nothing; a better score never weighs less per mass.
    shifted, _ = separation.weights(s + 3.0, b)
    np.testing.assert_allclose(shifted, p, atol=1e-9)
    order = np.argsort(s[0])
    assert (np.diff((p[0] / np.exp(b))[order]) >= -1e-9).all()


@pytest.mark.parametrize("separation", SPARSE, ids=repr)
def test_weight_three_equals_storing_three_times(rng, separation):
    keys = rng.normal(size=(5, 4))
    once, thrice = (am.UniversalHopfield("dot", separation) for _ in range(2))
    once.store(keys, weights=[3.0, 1, 1, 2, 1])
    thrice.store(keys[[0, 0, 0, 1, 2, 3, 3, 4]])
    cues = rng.normal(size=(7, 4))
    np.testing.assert_allclose(once.recall(cues), thrice.recall(cues), atol=1e-12)
    np.testing.assert_allclose(once.energy(cues), thrice.energy(cues), atol=1e-12)


@pytest.mark.parametrize("separation", SPARSE, ids=repr)
@pytest.mark.parametrize(("similarity", "scale"), [("dot", 1.0), ("sqeuclidean", 2.0)])
def test_recall_descends_the_energy(rng, similarity, scale, separation):
    m = memory(similarity, separation, rng, weights=rng.uniform(0.2, 3.0, 40))
    v = rng.normal(size=6)
    step = 1e-6 * np.eye(6)
    gradient = (m.energy(v + step) - m.energy(v - step)) / 2e-6
    np.testing.assert_allclose(gradient, scale * (v - m.recall(v)), atol=1e-7)
    states = rng.normal(size=(20, 6))
    for _ in range(10):
        after = m.recall(states)
        assert (m.energy(after) <= m.energy(states) + 1e-12).all()
        states = after


def test_where_there_is_no_energy(rng):
    for similarity, separation, why in [
        ("manhattan", am.Sparsemax(), "descends none"),
        ("dot", am.Sparsemax(0.0), "beta = 0"),
        ("dot", np.tanh, "gradient"),
    ]:
        with pytest.raises(ValueError, match=why):
            memory(similarity, separation, rng).energy(np.ones(6))
    with pytest.raises(ValueError, match="gradient"):
        am.Separation(np.tanh).potential(np.ones((1, 3)), None)


@pytest.mark.parametrize("separation", SPARSE, ids=repr)
def test_limits(rng, separation):
    alpha = order(separation)
    again = (lambda beta: am.Sparsemax(beta)) if alpha == 2 else (lambda b: am.Entmax(alpha, b))
    # beta = 0 averages by weight, a huge beta takes the best and shares exact ties.
    m = memory("dot", again(0.0), rng, n=4, weights=[1.0, 2, 3, 4])
    np.testing.assert_allclose(m.weights(np.ones(6)), [0.1, 0.2, 0.3, 0.4], atol=1e-12)
    m = am.UniversalHopfield("dot", again(1e8))
    m.store([[1.0, 0], [0, 1], [1, 0], [0.5, 0]])
    np.testing.assert_allclose(m.weights([[1.0, 0.5]]), [[0.5, 0, 0.5, 0]], atol=1e-7)


def test_near_one_entmax_is_softmax(rng):
    s = rng.normal(size=(3, 20))
    p, _ = am.Entmax(1.0001, 2.0).weights(s, None)
    q, _ = am.Softmax(2.0).weights(s, None)
    np.testing.assert_allclose(p, q, atol=1e-3)


@pytest.mark.parametrize("separation", SPARSE, ids=repr)
def test_extreme_scores_and_weights(separation):
    big = am.UniversalHopfield("dot", separation)
    big.store([[1e150], [-1e150], [1.0]])
    np.testing.assert_array_equal(big.weights([1e150]), [1, 0, 0])
    for weights in ([1e-300, 1e300], [1e300, 1e300], [1e-308, 1e-308], [0.0, 1e-300]):
        m = am.UniversalHopfield("dot", separation)
        m.store([[1.0], [0.5]], weights=weights)
        w = m.weights([1.0])
        assert np.isfinite(w).all() and w.sum() == pytest.approx(1.0)
    assert w[0] == 0
    m = am.UniversalHopfield("dot", separation)
    m.store([[1.0], [0.5]], weights=[0.0, 0.0])
    found = m.recall([[1.0]], details=True)
    assert found.state[0] == 0 and found.log_scale[0] == -np.inf
    with pytest.raises(ValueError, match="too large"):
        separation.weights(np.array([[np.inf, 1.0]]), None)
    with pytest.raises(ValueError, match="cues row 0"):
        separation.weights(np.array([[np.nan, 1.0]]), None)


@pytest.mark.parametrize("separation", [am.Sparsemax(), am.Entmax(1.7)], ids=repr)
def test_threads_types_and_layouts(rng, separation):
    for dtype in ("float16", "float32", "float64", "uint8", "int8"):
        keys, cues = draw(rng, (33, 5), dtype), draw(rng, (7, 5), dtype)
        m = am.UniversalHopfield("sqeuclidean", separation)
        m.store(keys)
        one = m.recall(cues, threads=1)
        assert one.dtype == (np.float64 if dtype == "float64" else np.float32)
        np.testing.assert_array_equal(m.recall(cues, threads=2), one)
        np.testing.assert_array_equal(m.recall(cues[3]), one[3])
        for name, other in layouts(cues):
            before = other.copy()
            np.testing.assert_array_equal(m.recall(other), one, err_msg=name)
            np.testing.assert_array_equal(other, before)


def test_kernel_and_paper_convention(rng):
    keys, cues = rng.normal(size=(20, 4)), rng.normal(size=(3, 4))
    expected = reference.entmax(3.0 * cues @ keys.T, 2.0) @ keys
    np.testing.assert_allclose(
        am.retrieve(cues, keys, separation=am.Sparsemax(3.0)), expected, atol=1e-12
    )
    m = am.UniversalHopfield("manhattan", am.Entmax(beta=5.0), convention="paper")
    m.store(np.abs(keys))
    np.testing.assert_allclose(m.weights(np.abs(cues)).sum(axis=1), 1.0)


def test_many_cues_come_in_tiles(rng, monkeypatch):
    m = memory("dot", am.Sparsemax(2.0), rng)
    cues = rng.normal(size=(50, 6))
    once, energy = m.recall(cues), m.energy(cues)
    monkeypatch.setattr("amfast._engine.scoring.TILE_BYTES", 8 * 40 * 7)
    np.testing.assert_array_equal(m.recall(cues), once)
    np.testing.assert_array_equal(m.energy(cues), energy)


def test_bad_parameters():
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="beta"):
            am.Sparsemax(bad)
        with pytest.raises(ValueError, match="beta"):
            am.Entmax(1.5, bad)
    for bad in (0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha"):
            am.Entmax(bad)
    with pytest.raises(ValueError, match="Softmax"):
        am.Entmax(1.0)
    with pytest.raises(TypeError, match="alpha"):
        am.Entmax("2")
    with pytest.raises(dataclasses.FrozenInstanceError):
        am.Sparsemax().beta = 2.0
    assert am.Entmax(2.0) != am.Sparsemax() and am.Sparsemax(1) == am.Sparsemax(1.0)
    assert repr(am.Entmax()) == "Entmax(alpha=1.5, beta=1.0)"


def test_no_items():
    p, tau = entmax(np.zeros((0, 3)), np.ones(3), 1.0, 1.5)
    assert p.shape == (0, 3) and tau.shape == (0,)


@pytest.mark.parametrize("weights", [None, True])
@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_dropped_mass(rng, similarity, weights):
    w = rng.uniform(0.5, 2.0, 40) if weights else None
    keys, cues = rng.normal(size=(40, 6)), rng.normal(size=(11, 6))
    short, full = (am.UniversalHopfield(similarity, s) for s in (am.TopK(5, 0.8), am.Softmax(0.8)))
    short.store(keys, weights=w)
    full.store(keys, weights=w)
    dropped = short.dropped_mass(cues)
    everything = full.weights(cues)
    expected = np.where(short.weights(cues) > 0, 0.0, everything).sum(axis=1)
    np.testing.assert_allclose(dropped, expected, atol=1e-12)
    assert (dropped > 0.01).all()
    # Half the L1 distance of the weights is exactly what was dropped.
    np.testing.assert_allclose(
        np.abs(short.weights(cues) - everything).sum(axis=1) / 2, dropped, atol=1e-12
    )
    error = np.linalg.norm(short.recall(cues) - full.recall(cues), axis=1)
    assert (error <= 2 * dropped * np.linalg.norm(keys, axis=1).max()).all()
    assert short.dropped_mass(cues[2]) == dropped[2]
    np.testing.assert_array_equal(short.dropped_mass(cues, threads=2), dropped)
    if weights is None:
        best = np.sort(short.scores(cues), axis=1)[:, ::-1][:, :5]
        bound = short.separation.dropped_bound(best, 40)
        assert (bound >= dropped).all() and (bound < 1).all()


def test_dropped_bound_is_reached_by_ties():
    best = np.array([[2.0, 1.0]])
    short, full = am.TopK(2, 1.5), am.Softmax(1.5)
    s = np.array([[2.0, 1.0, 1.0, 1.0]])
    rest = full.weights(s, None)[0][0, 2:].sum()
    assert short.dropped_bound(best, 4)[0] == pytest.approx(rest, abs=1e-15)
    assert short.dropped_bound(best, 2)[0] == 0
    assert am.TopK(2, 1e8).dropped_bound(best, 10**6)[0] == 0


def test_dropped_errors(rng):
    with pytest.raises(ValueError, match="no beta"):
        am.TopK(2).dropped_bound([[1.0, 0.0]], 4)
    with pytest.raises(ValueError, match="columns"):
        am.TopK(2, 1.0).dropped_bound([[1.0]], 4)
    with pytest.raises(ValueError, match="n_items"):
        am.TopK(2, 1.0).dropped_bound([[1.0, 0.0]], 1)
    with pytest.raises(ValueError, match="NaN"):
        am.TopK(2, 1.0).dropped_bound([[1.0, np.nan]], 4)
    for separation in (am.Max(), am.TopK(2), am.Softmax(), am.Sparsemax()):
        with pytest.raises(ValueError, match="TopK"):
            memory("dot", separation, rng).dropped_mass(np.ones(6))


def test_packed_bits(rng):
    bits = rng.integers(0, 2, (40, 70)).astype(bool)
    m = am.UniversalHopfield("hamming", am.Sparsemax(0.3))
    m.store(bits)
    far = (bits[:5, None] != bits).sum(axis=2)
    np.testing.assert_allclose(
        m.weights(bits[:5]), reference.entmax(-0.3 * far, 2.0), atol=1e-6, rtol=0
    )
    short = am.UniversalHopfield("hamming", am.TopK(3, 0.1))
    short.store(bits)
    share = np.sort(reference.separate(-far, "softmax", 0.1)[0], axis=1)[:, ::-1]
    np.testing.assert_allclose(short.dropped_mass(bits[:5]), share[:, 3:].sum(axis=1), atol=1e-6)
