"""Modern Hopfield networks and the continuous sparse distributed memory."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from conftest import draw, layouts

import amfast as am
from amfast import reference, theory


def stored(keys, beta=None, values=None, weights=None):
    m = am.ModernHopfield(beta)
    m.store(keys, values, weights=weights)
    return m


def softmax_read(cues, keys, values, beta, weights=None):
    b = None if weights is None else np.log(weights)
    return reference.retrieve(cues, keys, values, "dot", "softmax", beta, b)[0]


# -- recall ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [None, 0.0, 0.3, 5.0, 1e8])
@pytest.mark.parametrize("hetero", [False, True])
def test_one_step_is_attention(rng, beta, hetero):
    keys, cues = rng.normal(size=(40, 9)), rng.normal(size=(7, 9))
    values = rng.normal(size=(40, 3)) if hetero else None
    w = rng.uniform(0.5, 3.0, 40)
    m = stored(keys, beta, values, w)
    used = 1 / 3 if beta is None else beta
    assert m.beta == used
    expected = softmax_read(cues, keys, values, used, w)
    np.testing.assert_allclose(m.recall(cues), expected, atol=1e-12)
    np.testing.assert_allclose(m.weights(cues).sum(axis=1), 1.0)
    np.testing.assert_allclose(m.scores(cues), cues @ keys.T, atol=1e-12)


def test_fixed_point_row_by_row(rng):
    keys = 3.0 * rng.normal(size=(20, 16))
    cues = keys[:6] + rng.normal(size=(6, 16))
    m = stored(keys, 1.0)
    found = m.recall(cues, max_iter=50, details=True)
    assert found.converged.all() and len(set(found.n_iter)) > 0
    for i, cue in enumerate(cues):
        alone = m.recall(cue, max_iter=50, details=True)
        np.testing.assert_array_equal(alone.state, found.state[i])
        assert alone.n_iter == found.n_iter[i] and alone.energy == found.energy[i]
    np.testing.assert_allclose(m.recall(found.state), found.state, atol=1e-4)
    np.testing.assert_allclose(found.state, keys[:6], atol=0.01)
    # One step is not enough for a cue between two items, and it says so.
    once = m.recall(0.5 * (keys[0] + keys[1]), details=True)
    assert not once.converged and once.n_iter == 1


def test_rows_stop_on_their_own():
    m = stored(4.0 * np.eye(4), 1.0)
    found = m.recall([[4.0, 0, 0, 0], [1.0, 0.9, 0, 0]], max_iter=100, details=True)
    assert found.converged.all() and found.n_iter[0] < found.n_iter[1]
    trace = found.energy_trace
    assert trace.shape == (2, found.n_iter.max() + 1)
    assert (trace[0, found.n_iter[0] :] == trace[0, -1]).all()


@pytest.mark.parametrize("beta", [0.2, 0.5, 1.0, 4.0])
def test_energy_trace_never_rises(rng, beta):
    keys = rng.normal(size=(30, 8))
    m = stored(keys, beta, weights=rng.uniform(0.2, 2.0, 30))
    cues = rng.normal(size=(25, 8))
    found = m.recall(cues, max_iter=60, tol=0.0, details=True)
    assert (np.diff(found.energy_trace, axis=1) <= 1e-12).all()
    np.testing.assert_array_equal(found.energy_trace[:, -1], found.energy)
    np.testing.assert_allclose(found.energy_trace[:, 0], m.energy(cues), atol=1e-12)
    np.testing.assert_allclose(found.energy, m.energy(found.state), atol=1e-12)
    single = m.recall(cues[3], max_iter=60, tol=0.0, details=True)
    np.testing.assert_array_equal(
        single.energy_trace, found.energy_trace[3, : len(single.energy_trace)]
    )


def test_float32_traces_fall_too(rng):
    keys = rng.normal(size=(30, 8)).astype(np.float32)
    found = stored(keys, 1.0).recall(keys[:9] * 0.9, max_iter=20, details=True)
    assert found.state.dtype == np.float32 and found.energy_trace.dtype == np.float64
    assert (np.diff(found.energy_trace, axis=1) <= 1e-6).all()


def test_three_regimes(rng):
    x = rng.normal(size=(20, 16))
    x *= 4 / np.linalg.norm(x, axis=1, keepdims=True)
    effective = []
    for beta in (0.01, 0.35, 5.0):
        p = stored(x, beta).weights(x)
        effective.append(np.exp(-(p * np.log(p + 1e-300)).sum(axis=1)).mean())
    assert effective[0] > 19 and 1 < effective[1] < 15 and effective[2] < 1.01


def test_equal_keys_with_different_values():
    keys = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    m = stored(keys, 50.0, [[1.0], [4.0], [9.0]], [1.0, 2.0, 1.0])
    np.testing.assert_allclose(m.recall(keys), [[3.0], [3.0], [9.0]])


# -- energy ---------------------------------------------------------------------------------------


def test_energy_is_ramsauers(rng):
    keys, states = rng.normal(size=(25, 6)), rng.normal(size=(8, 6))
    w = rng.uniform(0.0, 2.0, 25)
    w[3] = 0.0
    keys[3] *= 100  # the largest norm is that of an item that counts
    for weights in (None, w):
        use = keys if weights is not None else keys[np.arange(25) != 3]
        m = stored(use, 0.8, weights=weights)
        for constants in (True, False):
            np.testing.assert_allclose(
                m.energy(states, constants=constants),
                reference.modern_energy(states, use, 0.8, weights, constants),
                atol=1e-10,
            )
    assert isinstance(m.energy(states[0]), float)


@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
def test_energy_lies_in_its_bounds(rng, beta):
    keys = rng.normal(size=(25, 6))
    m = stored(keys, beta)
    largest = np.linalg.norm(keys, axis=1).max()
    inside = rng.normal(size=(200, 6))
    inside *= largest * rng.uniform(0, 1, (200, 1)) / np.linalg.norm(inside, axis=1, keepdims=True)
    energy = m.energy(inside)
    assert (energy >= 0).all() and (energy <= 2 * largest**2).all()


def test_weight_is_repetition_in_the_energy_too(rng):
    keys, states = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    once = stored(keys, 2.0, weights=[3.0, 1, 2, 1])
    often = stored(keys[[0, 0, 0, 1, 2, 2, 3]], 2.0)
    np.testing.assert_allclose(once.energy(states), often.energy(states), atol=1e-12)
    np.testing.assert_allclose(once.recall(states), often.recall(states), atol=1e-12)


def test_no_energy(rng):
    with pytest.raises(ValueError, match="heteroassociative"):
        stored(np.eye(3), 1.0, np.eye(3)).energy(np.ones(3))
    flat = stored(np.eye(3), 0.0)
    with pytest.raises(ValueError, match="beta = 0"):
        flat.energy(np.ones(3))
    found = flat.recall(np.ones(3), details=True)
    assert found.energy is None and found.energy_trace is None
    with pytest.raises(TypeError, match="constants"):
        stored(np.eye(3), 1.0).energy(np.ones(3), constants=1)


# -- separation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int8"])
@pytest.mark.parametrize("n", [2, 3, 63, 64, 65, 130])
def test_margin_is_the_twins(rng, dtype, n):
    keys = draw(rng, (n, 7), dtype)
    got = stored(keys, 1.0).separation_margin()
    assert got.dtype == np.float64
    size = (keys.astype(np.float64) ** 2).sum(axis=1).max()
    eps = 1e-15 if dtype in ("float64", "uint8", "int8") else 1e-6
    np.testing.assert_allclose(got, reference.separation_margin(keys), atol=8 * eps * size)
    np.testing.assert_array_equal(stored(keys, 1.0).separation_margin(threads=2), got)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_duplicates_have_no_margin(rng, dtype):
    keys = rng.normal(size=(90, 13)).astype(dtype)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    for copies in ([3, 70], [3, 40, 70], [0, 1, 2, 3, 88]):
        x = keys.copy()
        x[copies] = keys[copies[0]]
        margin = stored(x, 1.0).separation_margin()
        assert (margin[copies] == 0).all()
        assert (np.delete(margin, copies) > 0).all()


def test_margins_of_few():
    assert stored([[1.0, 2.0]], 1.0).separation_margin() == [np.inf]
    # A longer key overshadows a shorter one: no beta helps.
    np.testing.assert_array_equal(
        stored([[1.0, 0.0], [3.0, 0.0]], 1.0).separation_margin(), [-2.0, 6.0]
    )
    m = stored([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], 1.0, weights=[1.0, 0.0, 1.0])
    np.testing.assert_array_equal(m.separation_margin(), [1.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="empty"):
        am.ModernHopfield().separation_margin()


@pytest.mark.parametrize(("n", "d"), [(1000, 64), (100, 32)])
def test_bounds_hold(rng, n, d):
    x = rng.normal(size=(n, d))
    m = stored(x, 1.0)
    found = m.bounds()
    norm = np.linalg.norm(x, axis=1).max()
    assert found.norm == pytest.approx(norm)
    assert found.threshold == theory.modern_separation(n, found.norm, 1.0)
    np.testing.assert_array_equal(found.separated, found.margin >= found.threshold)
    assert found.separated.mean() > 0.7
    assert found.radius == pytest.approx(1 / (n * norm))
    assert (found.error[~found.separated] == np.inf).all()
    fixed = m.recall(x, max_iter=20, tol=0.0)
    gap = np.linalg.norm(fixed - x, axis=1)
    good = found.separated
    # The bound may fall below what float64 can resolve.
    assert (gap[good] <= found.error[good] + 1e-13).all()
    np.testing.assert_allclose(
        found.error[good], theory.modern_error_bound(found.margin[good], n, found.norm, 1.0)
    )


def test_bounds_at_the_edges():
    one = stored([[1.0, 2.0]], 1.0).bounds()
    assert one.separated.all() and one.error == [0.0] and one.threshold == -np.inf
    zero = stored(np.zeros((2, 3)), 1.0).bounds()
    assert zero.separated.all() and (zero.error == 0).all()
    flat = stored(np.eye(3), 0.0).bounds()
    assert not flat.separated.any() and (flat.error == np.inf).all()
    with pytest.raises(ValueError, match="weigh differently"):
        stored(np.eye(3), 1.0, weights=[1.0, 2, 1]).bounds()
    with pytest.raises(ValueError, match="no stored item has any weight"):
        stored(np.eye(3), 1.0, weights=[0.0, 0, 0]).bounds()
    assert stored(np.eye(3), 9.0, weights=[2.0, 2, 0]).bounds().separated.sum() == 2


def test_warns_once_with_the_numbers(rng):
    # THEORY.md S6: d = 64, beta = 1/8: the threshold is about 133, the margins are about 30.
    x = rng.normal(size=(500, 64))
    m = stored(x)
    with pytest.warns(am.SeparationWarning) as caught:
        m.recall(x[:2])
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    found = m.bounds()
    assert "beta=0.125" in text and "500" in text and f"{found.threshold:.4g}" in text
    assert f"{found.margin.max():.4g}" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.recall(x[:2])
        m.store(rng.normal(size=(2000, 64)))
        m.recall(x[:2])
    # The beta it names does separate half of them, and a little less does not.
    beta = float(text.split("beta >= ")[1].split(" ")[0])
    assert stored(x, beta * 1.02).bounds().separated.mean() >= 0.5
    assert stored(x, beta * 0.98).bounds().separated.mean() < 0.5


def test_warns_that_no_beta_helps():
    with pytest.warns(UserWarning, match="no beta separates half of them"):
        stored(np.ones((4, 3)), 1e6).recall(np.ones(3))
    with pytest.warns(UserWarning, match="beta=0 separates none"):
        stored(np.eye(3), 0.0).recall(np.ones(3))


def test_does_not_warn(rng, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored([[1.0, 2.0]]).recall([1.0, 0.0])  # one item
        stored(rng.normal(size=(50, 64)), 1.0).recall(np.ones(64))  # separated
        stored(9 * np.eye(3), weights=[1.0, 2, 3]).recall(np.eye(3))  # no theorem
        monkeypatch.setattr("amfast.memories.modern.memory._LOOK_AT_MOST", 3 * 3 * 3 - 1)
        stored(9 * np.eye(3)).recall(np.eye(3))  # too large to look


def test_huge_keys():
    m = stored(np.eye(3) * 1e160)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(m.recall(np.ones(3)), np.full(3, 1e160 / 3))
    assert m.energy(np.ones(3), constants=False) == pytest.approx(-1e160)
    with pytest.raises(ValueError, match="constants"):
        m.energy(np.ones(3))
    with pytest.raises(ValueError, match="too large"):
        m.bounds()


def test_looks_again_after_doubling(rng, monkeypatch):
    looked = []
    bounds = am.ModernHopfield.bounds
    monkeypatch.setattr(
        am.ModernHopfield,
        "bounds",
        lambda self, **kwargs: looked.append(len(self)) or bounds(self, **kwargs),
    )
    m = am.ModernHopfield(2.0)
    for _ in range(40):
        m.store(rng.normal(size=(1, 32)))
        m.recall(np.ones(32))
    assert looked == [2, 4, 8, 16, 32]


# -- beta and storing -----------------------------------------------------------------------------


def test_beta_follows_the_width():
    m = am.ModernHopfield()
    assert m.beta is None and "1/sqrt(d)" in repr(m)
    m.store(np.empty((0, 4)))
    m.store(np.eye(4))
    assert m.beta == 0.5
    m.store(np.eye(4))
    assert m.beta == 0.5 and "beta=0.5" in repr(m)
    m.delete(np.arange(8))
    assert len(m) == 0 and m.beta == 0.5
    failed = am.ModernHopfield()
    with pytest.raises(ValueError, match="row 0"):
        failed.store([[np.nan, 1.0]])
    failed.store(np.eye(4))
    assert failed.beta == 0.5


def test_bad_beta():
    for bad in (-1.0, math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="beta"):
            am.ModernHopfield(bad)
    with pytest.raises(ValueError, match="'max'"):
        am.ModernHopfield(math.inf)
    for bad in ("1", True, [1.0]):
        with pytest.raises(TypeError, match="beta"):
            am.ModernHopfield(bad)


def test_merge(rng):
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(6, 4))
    both = stored(np.vstack([x, y]))
    for one, other in [(stored(x), stored(y)), (am.ModernHopfield().merge(stored(x)), stored(y))]:
        merged = one.merge(other)
        assert merged is one and one.beta == 0.5
        np.testing.assert_array_equal(one.recall(x), both.recall(x))
    assert len(one.merge(am.ModernHopfield())) == 11
    with pytest.raises(ValueError, match="parts"):
        one.merge(stored(x, 3.0))
    with pytest.raises(ValueError):
        one.merge(stored(rng.normal(size=(2, 9))))


def test_copies_and_pickles(rng):
    m = stored(rng.normal(size=(5, 4)), 1.0)
    for other in (copy.copy(m), pickle.loads(pickle.dumps(m))):
        np.testing.assert_array_equal(other.recall(np.ones(4)), m.recall(np.ones(4)))
        assert other.beta == 1.0


@pytest.mark.parametrize("kind", ["modern", "sdm"])
def test_types_layouts_threads(rng, kind):
    for dtype in ("float16", "float32", "float64", "uint8", "int8"):
        keys, cues = draw(rng, (33, 9), dtype), draw(rng, (7, 9), dtype)
        m = am.ModernHopfield(0.01) if kind == "modern" else am.ContinuousSDM(3)
        m.store(keys)
        one = m.recall(cues, max_iter=3, threads=1)
        assert one.dtype == (np.float64 if dtype == "float64" else np.float32)
        np.testing.assert_array_equal(m.recall(cues, max_iter=3, threads=2), one)
        for name, other in layouts(cues):
            before = other.copy()
            np.testing.assert_array_equal(m.recall(other, max_iter=3), one, err_msg=name)
            np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("make", [lambda: am.ModernHopfield(1.0), lambda: am.ContinuousSDM(2)])
def test_hostile_input(make):
    m = make()
    with pytest.raises(ValueError, match="empty"):
        m.recall([1.0, 2.0, 3.0])
    m.store(np.eye(3))
    with pytest.raises(ValueError, match="4 columns"):
        m.recall(np.ones((2, 4)))
    with pytest.raises(ValueError, match="row 1"):
        m.recall([[1.0, 2, 3], [1.0, np.nan, 3]])
    with pytest.raises(ValueError, match="row 0"):
        m.store([[np.inf, 0.0, 0.0]])
    with pytest.raises(TypeError, match="complex"):
        m.recall(np.ones(3) * 1j)
    with pytest.raises(ValueError, match="max_iter"):
        m.recall(np.ones(3), max_iter=0)
    with pytest.raises(ValueError, match="weights"):
        m.store(np.eye(3), weights=[1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="2-d"):
        m.store(np.ones((1, 1, 3)))
    assert len(m) == 3
    hetero = make()
    hetero.store(np.eye(3), np.eye(3)[:, :2])
    with pytest.raises(ValueError, match="max_iter"):
        hetero.recall(np.ones(3), max_iter=2)


# -- continuous SDM -------------------------------------------------------------------------------


def test_continuous_sdm_is_softmax_of_cosines(rng):
    keys, cues = rng.normal(size=(30, 12)), rng.normal(size=(5, 12))
    values = rng.normal(size=(30, 4))
    m = am.ContinuousSDM(4)
    m.store(keys, values)
    beta = theory.attention_beta(4, 12)
    assert m.beta == beta and m.n_bits == 12 and m.radius == 4
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    cos = cues / np.linalg.norm(cues, axis=1, keepdims=True) @ unit.T
    np.testing.assert_allclose(m.scores(cues), cos, atol=1e-12)
    w, log_scale = reference.separate(cos, "softmax", beta)
    np.testing.assert_allclose(m.recall(cues), w @ values, atol=1e-12)
    found = m.recall(cues * 7.0, details=True)
    np.testing.assert_allclose(found.state, w @ values, atol=1e-12)
    np.testing.assert_allclose(found.log_scale, log_scale, atol=1e-12)
    np.testing.assert_allclose(m.weights(cues[0]), w[0], atol=1e-12)
    assert found.energy is None
    with pytest.raises(ValueError, match="no energy"):
        am.ContinuousSDM(4, 12).merge(_auto(keys)).energy(cues)


def _auto(keys):
    m = am.ContinuousSDM(4, 12)
    m.store(keys)
    return m


@pytest.mark.parametrize(("radius", "beta"), [(5, 31.1), (7, 23.6), (11, 14.9), (15, 9.7)])
def test_beta_table(radius, beta):
    assert am.ContinuousSDM(radius, 64).beta == pytest.approx(beta, rel=0.05)
    waiting = am.ContinuousSDM(radius)
    assert waiting.beta is None and waiting.n_bits is None and "beta" not in repr(waiting)
    waiting.store(np.eye(64))
    assert waiting.beta == am.ContinuousSDM(radius, 64).beta
    assert f"radius={radius}, n_bits=64, beta=" in repr(waiting)


def test_corrects_flipped_bits():
    rng = np.random.default_rng(5)
    x = 2.0 * rng.integers(0, 2, (1024, 64)) - 1
    m = am.ContinuousSDM(11, 64)
    m.store(x)
    cues = x[:50].copy()
    cues[:, :5] *= -1
    w = m.weights(cues)[np.arange(50), np.arange(50)]
    assert w.mean() == pytest.approx(0.98, abs=0.02)
    assert (np.sign(m.recall(cues)) == x[:50]).all()


def test_zero_rows_have_cosine_zero():
    m = am.ContinuousSDM(1, 2)
    m.store([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(m.scores([[0.0, 0.0], [2.0, 0.0]]), [[0, 0, 0], [0, 1, -1]])
    np.testing.assert_allclose(m.weights([0.0, 0.0]), [1 / 3] * 3)


def test_bad_radius():
    for bad in (0, -1, 64, 100):
        with pytest.raises(ValueError, match="radius"):
            am.ContinuousSDM(bad, 64)
    with pytest.raises(TypeError, match="radius"):
        am.ContinuousSDM(1.5, 64)
    with pytest.raises(ValueError, match="n_bits"):
        am.ContinuousSDM(1, 1)
    late = am.ContinuousSDM(5)
    with pytest.raises(ValueError, match="radius 5"):
        late.store(np.eye(5))
    assert len(late) == 0 and late.beta is None
    late.store(np.eye(6))
    with pytest.raises(ValueError, match="parts"):
        am.ContinuousSDM(5, 64).merge(late)


def test_items_that_lose_at_their_own_key_are_counted(rng):
    """Raw images: the brightest is recalled whatever is asked."""
    images = rng.integers(0, 256, (40, 784)).astype(np.uint8)
    images[:30] //= 3
    memory = am.ModernHopfield(8.0)
    memory.store(images)
    lost = int((memory.separation_margin() < 0).sum())
    assert lost >= 30
    with pytest.warns(am.SeparationWarning, match=f"{lost} of the 40 stored items lose.*cosine"):
        memory.recall(images[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory.recall(images[0])  # once
        kept = am.ModernHopfield(200.0)
        kept.store(images / np.linalg.norm(images.astype(float), axis=1, keepdims=True))
        kept.recall(images[0] / 3000.0)


def test_large_stores_are_looked_at_in_part(rng, monkeypatch):
    monkeypatch.setattr("amfast.memories.modern.memory._LOOK_AT_MOST", 100 * 4 * 20)
    keys = rng.normal(size=(100, 4))
    keys[::2] *= 0.01
    memory = am.ModernHopfield(50.0)
    memory.store(keys, weights=rng.random(100) + 0.5)
    with pytest.warns(am.SeparationWarning, match="20 stored items looked at, of 100, lose"):
        memory.recall(keys[0])
    monkeypatch.setattr("amfast.memories.modern.memory._LOOK_AT_MOST", 100 * 4 * 7)
    monkeypatch.setattr("amfast.memories.universal.doubts._WORK", 100 * 4 * 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory = am.ModernHopfield(50.0)
        memory.store(keys)
        memory.recall(keys[0])
