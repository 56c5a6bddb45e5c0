"""The weighted continuous Hebbian memory and its feature maps."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import draw, interrupted, layouts

import amfast as am
from amfast import reference
from amfast.memories.hebbian.memory import effective_rank

CENTERS = [None, "moment", "renorm"]
WEIGHTINGS = ["linear", "seed", "code"]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def data(rng):
    """Non-negative features, as of spectra, and note posteriors."""
    return np.abs(rng.normal(size=(300, 8))) + 0.1, rng.uniform(0, 1, 300)


def memory(v, y=None, values=None, **parameters):
    m = am.HebbianMemory(**parameters)
    m.store(v, values, weights=y)
    return m


# -- storing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("center", "weighting"), list(itertools.product(CENTERS, WEIGHTINGS)))
def test_matrix_is_the_twins(data, center, weighting):
    v, y = data
    m = memory(v, y, center=center, weighting=weighting)
    expected = reference.hebbian_memory(v, y, center, weighting)
    np.testing.assert_allclose(m.matrix, expected, atol=1e-14)
    assert not m.matrix.flags.writeable
    np.testing.assert_allclose(m.mean, (y[:, None] * unit(v)).sum(axis=0) / y.sum(), atol=1e-14)
    if weighting == "linear":
        trace = 1 - m.mean @ m.mean if center == "moment" else 1.0
        assert np.trace(m.matrix) == pytest.approx(trace, abs=1e-12)


@pytest.mark.parametrize(("center", "weighting"), list(itertools.product(CENTERS, WEIGHTINGS)))
@pytest.mark.parametrize("decay", [1.0, 0.97])
def test_stream_equals_batch(data, center, weighting, decay):
    v, y = data
    batch = memory(v, y, center=center, weighting=weighting, decay=decay)
    parts = np.array_split(np.arange(len(v)), 17)
    stream, twice, left, right = (
        am.HebbianMemory(center=center, weighting=weighting, decay=decay) for _ in range(4)
    )
    for part in parts:
        ids = stream.store(v[part], weights=y[part])
        np.testing.assert_array_equal(ids, part)
    np.testing.assert_allclose(stream.matrix, batch.matrix, rtol=0, atol=1e-12)
    for part in parts[:9]:
        left.store(v[part], weights=y[part])
    for part in parts[9:]:
        right.store(v[part], weights=y[part])
    assert left.merge(right) is left and len(left) == len(batch) == 300
    np.testing.assert_allclose(left.matrix, batch.matrix, rtol=0, atol=1e-12)
    if center == "renorm":
        for part in parts:
            twice.observe(v[part], weights=y[part])
        for part in parts:
            twice.store(v[part], weights=y[part])
        np.testing.assert_allclose(twice.matrix, batch.matrix, rtol=0, atol=1e-12)
        held, kept = twice.nbytes, batch.nbytes
        twice.store(v, weights=y)
        batch.store(v, weights=y)
        assert twice.nbytes <= held and batch.nbytes > kept + v.nbytes - 1024


def test_decay_by_hand(rng):
    v, y = rng.normal(size=(6, 3)), rng.uniform(0.2, 1, 6)
    fading = y * 0.5 ** np.arange(5, -1, -1)
    np.testing.assert_allclose(
        memory(v, y, decay=0.5).matrix, reference.hebbian_memory(v, fading), atol=1e-14
    )
    for center in ("moment", "renorm"):
        np.testing.assert_allclose(
            memory(v, y, decay=0.5, center=center).matrix,
            reference.hebbian_memory(v, fading, center),
            atol=1e-14,
        )


def test_first_pass_can_be_shared(data):
    v, y = data
    batch = memory(v, y, center="renorm")
    one, two = am.HebbianMemory(center="renorm"), am.HebbianMemory(center="renorm")
    one.observe(v[:100], weights=y[:100])
    two.observe(v[100:], weights=y[100:])
    one.merge(two)
    workers = [copy.deepcopy(one), copy.deepcopy(one)]
    workers[0].store(v[:150], weights=y[:150])
    workers[1].store(v[150:], weights=y[150:])
    np.testing.assert_allclose(
        workers[0].merge(workers[1]).matrix, batch.matrix, rtol=0, atol=1e-12
    )
    two.store(v, weights=y)
    with pytest.raises(ValueError, match="different means"):
        workers[0].merge(two)
    with pytest.raises(ValueError, match="observed a mean"):
        batch.merge(two)
    with pytest.raises(ValueError, match="observe comes first"):
        two.observe(v)
    with pytest.raises(ValueError, match="one pass"):
        am.HebbianMemory(center="moment").observe(v)
    blank = am.HebbianMemory(center="renorm")
    blank.observe(v, weights=np.zeros(300))
    with pytest.raises(ValueError, match="sum to 0"):
        blank.store(v)


def test_weight_columns_and_defaults(data):
    v, y = data
    np.testing.assert_array_equal(memory(v, y[:, None]).matrix, memory(v, y).matrix)
    np.testing.assert_array_equal(memory(v).matrix, memory(v, np.ones(300)).matrix)
    np.testing.assert_allclose(memory(v * 7.0, y).matrix, memory(v, y).matrix, atol=1e-15)
    mask = (y > 0.5).astype(bool)
    np.testing.assert_allclose(
        memory(v, mask, weighting="seed").matrix, memory(v[mask]).matrix, atol=1e-14
    )


def test_chunks_of_rows(data, monkeypatch):
    v, y = data
    once = memory(v, y, decay=0.99).matrix
    monkeypatch.setattr("amfast.memories.hebbian.rule.CHUNK_BYTES", 8 * 8 * 11)
    np.testing.assert_allclose(memory(v, y, decay=0.99).matrix, once, atol=1e-14)


# -- recalling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("center", CENTERS)
def test_recall_is_one_product(data, rng, center):
    v, y = data
    m = memory(v, y, center=center)
    cues = rng.normal(size=(9, 8))
    x = unit(cues)
    if center:
        x = x - m.mean
    if center == "renorm":
        x = unit(x)
    expected = np.linalg.norm(cues, axis=1, keepdims=True) * (x @ m.matrix)
    np.testing.assert_allclose(m.recall(cues), expected, atol=1e-13)
    np.testing.assert_array_equal(m.recall(cues[4]), m.recall(cues)[4])
    shape = memory(v, y, center=center, readout="l2").recall(cues)
    np.testing.assert_allclose(shape, unit(expected), atol=1e-13)
    if center is None:
        np.testing.assert_allclose(m.recall(cues), cues @ m.matrix, atol=1e-13)


def test_it_is_attention_without_softmax(data, rng):
    v, y = data
    cues = rng.normal(size=(5, 8))
    items = am.UniversalHopfield("dot", "identity", normalize=False)
    items.store(unit(v), weights=y / y.sum())
    np.testing.assert_allclose(memory(v, y).recall(cues), items.recall(cues), atol=1e-13)


@pytest.mark.parametrize("center", CENTERS)
def test_iterating_is_power_iteration(data, center):
    v, y = data
    m = memory(v, y, center=center, readout="l2")
    found = m.recall(v[:20], max_iter=5000, tol=1e-10, details=True)
    assert found.converged.all()
    top = np.linalg.eigh(m.matrix)[1][:, -1]
    np.testing.assert_allclose(np.abs(found.state @ top), 1.0, atol=1e-6)
    assert (np.diff(found.energy_trace, axis=1) <= 1e-14).all()
    np.testing.assert_allclose(found.energy, found.energy_trace[:, -1], atol=1e-14)
    assert found.log_scale is None and len(set(found.n_iter)) > 1
    alone = m.recall(v[3], max_iter=5000, tol=1e-10, details=True)
    np.testing.assert_array_equal(alone.state, found.state[3])
    assert alone.n_iter == found.n_iter[3]
    twice = m.recall(v[:20], max_iter=2)
    once = m.recall(v[:20])
    np.testing.assert_allclose(twice, unit(once @ m.matrix), atol=1e-12)


def test_energy(data, rng):
    v, y = data
    m = memory(v, y)
    states = rng.normal(size=(7, 8))
    expected = ((states**2).sum(axis=1) - ((states @ m.matrix) * states).sum(axis=1)) / 2
    np.testing.assert_allclose(m.energy(states), expected, atol=1e-13)
    assert isinstance(m.energy(states[0]), float)
    step = 1e-6 * np.eye(8)
    gradient = (m.energy(states[0] + step) - m.energy(states[0] - step)) / 2e-6
    np.testing.assert_allclose(gradient, states[0] - m.recall(states[0]), atol=1e-8)


def test_hetero(data, rng):
    v, y = data
    values = rng.normal(size=(300, 3))
    cues = rng.normal(size=(4, 8))
    m = memory(v, y, values)
    expected = cues @ ((y[:, None] * unit(v)).T @ values) / y.sum()
    np.testing.assert_allclose(m.recall(cues), expected, atol=1e-13)
    assert m.matrix.shape == (3, 8)
    found = m.recall(cues, details=True)
    assert found.energy is None and found.converged.all()
    for call, why in [
        (lambda: m.recall(cues, max_iter=2), "autoassociative"),
        (lambda: m.energy(cues), "no energy"),
        (lambda: m.store(v), "values must be given"),
        (lambda: m.store(v, rng.normal(size=(300, 4))), "4 columns"),
        (lambda: m.store(v, values[:5]), "5 rows"),
        (lambda: memory(v, y).store(v, values), "no values beside"),
        (lambda: memory(v, y, values, center="moment"), "autoassociative"),
        (lambda: m.crosstalk(cues), "crosstalk"),
    ]:
        with pytest.raises(ValueError, match=why):
            call()
    assert len(m) == 300 and m.eigenvalues().shape == (3,)


# -- features -------------------------------------------------------------------------------------


def test_elu_is_linear_attention(data, rng):
    v, y = data
    values, cues = rng.normal(size=(300, 3)), rng.normal(size=(6, 8))

    def phi(x):
        return np.where(unit(x) > 0, unit(x) + 1, np.exp(unit(x)))

    weight = phi(cues) @ phi(v).T * y
    m = memory(v, y, values, features="elu")
    expected = weight @ values / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(m.recall(cues), expected, atol=1e-12)
    auto = memory(v, y, features=am.Elu())
    expected = weight @ unit(v) / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(auto.recall(cues), expected, atol=1e-12)
    raw = memory(v, y, features="elu", normalize=False)
    np.testing.assert_allclose(raw.recall(cues), weight @ unit(v) / y.sum(), atol=1e-12)
    # Weighted means of values: two chunks and a merge change nothing.
    one, two = memory(v[:99], y[:99], values[:99], features="elu"), am.HebbianMemory(features="elu")
    two.store(v[99:], values[99:], weights=y[99:])
    np.testing.assert_allclose(one.merge(two).recall(cues), m.recall(cues), atol=1e-12)


def test_fourier_features_approximate_a_gaussian(rng):
    x = unit(rng.normal(size=(30, 5)))
    phi = am.Fourier(20_000, gamma=0.7, seed=3).map(x)
    kernel = np.exp(-0.7 * reference.pairwise(x, x, "sqeuclidean"))
    assert np.abs(phi @ phi.T - kernel).max() < 0.05
    np.testing.assert_array_equal(am.Fourier(20_000, 0.7, 3).map(x[4:5])[0], phi[4])
    assert not np.array_equal(am.Fourier(20_000, 0.7, 4).map(x), phi)


def test_fourier_seed_is_the_same_everywhere():
    w, b = am.Fourier(2, gamma=0.5, seed=7).projection(2)
    np.testing.assert_allclose(w, [[0.0012301, 0.2987455], [-0.2741378, -0.8905918]], atol=1e-6)
    assert b.shape == (2,)


def test_fourier_memory_recalls_values(rng):
    keys = rng.normal(size=(12, 6))
    values = np.eye(12)
    m = memory(keys, None, values, features=am.Fourier(4096, gamma=4.0))
    assert (m.recall(keys).argmax(axis=1) == np.arange(12)).all()
    far = memory(keys[:1], None, values[:1], features=am.Fourier(64, gamma=30.0))
    with pytest.raises(ValueError, match="cues row"):
        far.recall(rng.normal(size=(50, 6)))


def test_bad_features():
    for call, error, why in [
        (lambda: am.Fourier(0), ValueError, "n_features"),
        (lambda: am.Fourier(8, 0.0), ValueError, "gamma"),
        (lambda: am.Fourier(8, math.inf), ValueError, "gamma"),
        (lambda: am.Fourier(8, 1.0, -1), ValueError, "seed"),
        (lambda: am.HebbianMemory(features="relu"), ValueError, "features"),
        (lambda: am.HebbianMemory(features=np.tanh), TypeError, "features"),
    ]:
        with pytest.raises(error, match=why):
            call()


# -- delta rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, 0.3, 1.9])
def test_delta_rule_is_one_row_after_another(rng, rate):
    v, y, values = rng.normal(size=(300, 5)), rng.uniform(0, 1, 300), rng.normal(size=(300, 2))
    expected = np.zeros((2, 5))
    for x, weight, value in zip(unit(v), y, values, strict=True):
        expected += rate * weight * np.outer(value - expected @ x, x)
    m = memory(v, y, values, rule="delta", rate=rate)
    np.testing.assert_allclose(m.matrix, expected, atol=1e-12)
    stream = am.HebbianMemory(rule="delta", rate=rate)
    for part in np.array_split(np.arange(300), 7):
        stream.store(v[part], values[part], weights=y[part])
    np.testing.assert_allclose(stream.matrix, m.matrix, atol=1e-12)
    cues = rng.normal(size=(3, 5))
    np.testing.assert_allclose(m.recall(cues), cues @ expected.T, atol=1e-12)


def test_delta_rule_overwrites(rng):
    keys, values = np.eye(4), rng.normal(size=(4, 2))
    m = memory(keys, None, values, rule="delta")
    m.store(keys[:1], [[7.0, 8.0]])
    np.testing.assert_allclose(m.recall(keys[0]), [7, 8], atol=1e-12)
    np.testing.assert_allclose(m.recall(keys[1:]), values[1:], atol=1e-12)
    mapped = memory(keys, None, values, rule="delta", features=am.Fourier(256))
    mapped.store(keys[:1], [[7.0, 8.0]])
    np.testing.assert_allclose(mapped.recall(keys[0]), [7, 8], atol=1e-12)
    with pytest.raises(ValueError, match="order"):
        m.merge(m)


def test_delta_rule_with_keys_of_any_length(rng):
    """normalize=False: what is stored under a key is what that key recalls."""
    keys, values = np.array([[3.0, 0.0], [0.0, 0.5]]), np.array([[1.0], [1.0]])
    np.testing.assert_array_equal(
        memory(keys, None, values, rule="delta", normalize=False).recall(keys), values
    )
    np.testing.assert_array_equal(
        memory(keys, None, values, rule="delta", normalize=True).recall(keys), [[3.0], [0.5]]
    )
    # Row after row by normalised least mean squares.
    v, y, values = rng.normal(size=(300, 5)), rng.uniform(0, 1, 300), rng.normal(size=(300, 2))
    v *= np.exp(rng.normal(size=(300, 1)))
    expected = np.zeros((2, 5))
    for k, weight, value in zip(v, y, values, strict=True):
        expected += 0.7 * weight * np.outer(value - expected @ k, k) / (k @ k)
    m = memory(v, y, values, rule="delta", rate=0.7, normalize=False)
    np.testing.assert_allclose(m.matrix, expected, atol=1e-10)
    np.testing.assert_allclose(m.recall(v[:5]), v[:5] @ expected.T, atol=1e-9)
    m.store(v[:1], [[7.0, 8.0]])
    last = memory(v[:1], None, [[7.0, 8.0]], rule="delta", normalize=False)
    np.testing.assert_allclose(last.recall(v[0]), [7.0, 8.0], atol=1e-12)
    auto = memory(v[:3], rule="delta", normalize=False)
    np.testing.assert_allclose(auto.recall(v[:3]), memory(v[:3], rule="delta").recall(v[:3]))
    silent = memory([[0.0, 0.0], [2.0, 0.0]], None, [[5.0], [6.0]], rule="delta", normalize=False)
    np.testing.assert_array_equal(silent.recall([[0.0, 0.0], [2.0, 0.0]]), [[0.0], [6.0]])
    assert "normalize=False" in repr(silent) and "normalize" not in repr(memory(v, rule="delta"))


@pytest.mark.parametrize("center", CENTERS)
def test_keys_as_they_are(rng, center):
    """normalize=False sums keys of any length, under Hebb's rule too."""
    v, y = rng.normal(size=(40, 5)) + 1, rng.uniform(0, 1, 40)
    m = memory(v, y, center=center, normalize=False)
    mean = y @ v / y.sum()
    x = v if center is None else v - mean
    x = unit(x) if center == "renorm" else x
    expected = (y[:, None] * x).T @ x / y.sum()
    np.testing.assert_allclose(m.matrix, expected, atol=1e-12)
    cues = rng.normal(size=(4, 5))
    q = cues if center is None else cues - mean
    q = unit(q) if center == "renorm" else q
    np.testing.assert_allclose(m.recall(cues), q @ expected, atol=1e-12)
    if center:
        np.testing.assert_allclose(m.mean, mean)
    values = rng.normal(size=(40, 2))
    if center is None:
        hetero = memory(v, y, values, normalize=False)
        np.testing.assert_allclose(hetero.matrix, (y[:, None] * values).T @ v / y.sum(), atol=1e-12)
    with pytest.raises(ValueError, match="parameters"):
        m.merge(memory(v, y, center=center))
    if center != "renorm":
        with pytest.raises(ValueError, match="range of float64"):
            m.store(np.full((3, 5), 1e200))
    with pytest.raises(ValueError, match="keys sum up beyond the largest float64"):
        m.store(np.full((30, 5), 1e308))


# -- nothing half done ----------------------------------------------------------------------------


@pytest.mark.parametrize("hetero", [False, True])
@pytest.mark.parametrize("features", ["identity", "elu"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_streams_fade_with_values_and_features(data, rng, hetero, features, weighting):
    """Decay in pieces and by merging equals one call, whatever the rows are."""
    v, y = data
    values = rng.normal(size=(300, 3)) if hetero else None
    settings = {"features": features, "decay": 0.97, "weighting": weighting}
    batch = memory(v, y, values, **settings)
    stream, left, right = (am.HebbianMemory(**settings) for _ in range(3))
    for part in np.array_split(np.arange(300), 17):
        some = None if values is None else values[part]
        stream.store(v[part], some, weights=y[part])
        (left if part[0] < 150 else right).store(v[part], some, weights=y[part])
    assert len(left.merge(right)) == 300
    cues = np.abs(rng.normal(size=(5, 8)))
    for other in (stream, left):
        np.testing.assert_allclose(other.matrix, batch.matrix, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.recall(cues), batch.recall(cues), rtol=0, atol=1e-12)
    twice = memory(v, y, values, **settings)
    twice.merge(twice)
    again = memory(v, y, values, **settings)
    again.store(v, values, weights=y)
    np.testing.assert_allclose(twice.recall(cues), again.recall(cues), rtol=0, atol=1e-12)


def verbs(rng):
    v = np.abs(rng.normal(size=(40, 4))) + 0.1
    values = rng.normal(size=(40, 2))
    return {
        "store": ({"decay": 0.9}, None, lambda m: m.store(v[:7], weights=np.full(7, 0.5))),
        "values": ({"decay": 0.9}, values, lambda m: m.store(v[:7], values[:7])),
        "features": ({"features": "elu"}, values, lambda m: m.store(v[:7], values[:7])),
        "delta": ({"rule": "delta"}, values, lambda m: m.store(v[:7], values[:7])),
        "wait": ({"center": "renorm"}, None, lambda m: m.store(v[:7])),
        "merge": ({"decay": 0.9}, None, lambda m: m.merge(memory(v[:9], decay=0.9))),
        "merge itself": ({"center": "moment"}, None, lambda m: m.merge(m)),
    }, v


@pytest.mark.parametrize("verb", list(verbs(np.random.default_rng(0))[0]))
def test_an_interrupt_at_any_line_leaves_old_or_new(rng, verb):
    """KeyboardInterrupt raised at each line in turn."""
    known, v = verbs(rng)
    settings, values, change = known[verb]
    old = memory(v, None, values, **settings)
    new = copy.copy(old)
    change(new)
    assert len(new) != len(old)
    at, stopped, kept = 1, True, 0
    while stopped:
        m = copy.copy(old)
        stopped = interrupted(lambda m=m: change(m), at)
        expected = old if len(m) == len(old) else new
        kept += expected is old
        np.testing.assert_array_equal(m.matrix, expected.matrix)
        np.testing.assert_array_equal(m.mean, expected.mean)
        at += 1
    assert kept > 10


def test_a_refused_store_changes_nothing(rng):
    """Sums that leave float64 are found before anything is replaced."""
    v = rng.normal(size=(5, 3))
    for settings, values in (
        ({"decay": 0.99}, np.ones((5, 2))),
        ({"decay": 0.99, "features": "elu"}, np.ones((5, 2))),
        ({"rule": "delta", "normalize": False}, np.ones((5, 2))),
    ):
        m = memory(v, None, values, **settings)
        before, answer = m.matrix.copy(), m.recall(v)
        tiny = v * 1e-3 if "normalize" in settings else v
        with pytest.raises(ValueError, match="leave the range of float64"):
            m.store(np.tile(tiny, (9, 1)), np.full((45, 2), 1.7e308))
        assert len(m) == 5
        np.testing.assert_array_equal(m.matrix, before)
        np.testing.assert_array_equal(m.recall(v), answer)


def test_the_delta_rule_stores_after_a_recall(rng):
    """What was handed out is read-only and stays as it was."""
    v, values = rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
    m = memory(v[:5], None, values[:5], rule="delta")
    matrix = m.matrix
    kept = matrix.copy()
    m.recall(v)
    m.store(v[5:], values[5:])
    np.testing.assert_array_equal(matrix, kept)
    np.testing.assert_allclose(m.matrix, memory(v, None, values, rule="delta").matrix, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        m.matrix[0] = 1


def test_a_trace_holds_the_energy_after_each_step(data):
    """Entry k is the energy of the state after k steps, scaled to length 1."""
    v, y = data
    m = memory(v, y)
    cues = v[:6]
    trace = m.recall(cues, max_iter=4, tol=0.0, details=True).energy_trace
    assert trace.shape == (6, 5)
    state = unit(cues)
    for k in range(5):
        np.testing.assert_allclose(trace[:, k], m.energy(state), atol=1e-14)
        state = unit(state @ m.matrix)
    assert (np.diff(trace, axis=1) < -1e-9).all()
    values = memory(v, y, v[:, :2]).recall(cues, details=True)
    assert values.energy_trace is None and (values.n_iter == 1).all() and values.converged.all()


def test_answers_beyond_their_type_are_refused_without_a_warning():
    """In float64 and in float32; warnings are errors in these tests."""
    m = memory(np.eye(2), None, np.full((2, 2), 1e300))
    with pytest.raises(ValueError, match="cues row 1 recalls values beyond the largest float64"):
        m.recall([[1.0, 1.0], [1e20, 1e20]])
    single = memory(np.eye(2, dtype="f4"), None, np.full((2, 1), 3e38, "f4"))
    with pytest.raises(ValueError, match="cues row 0 recalls values beyond the largest float32"):
        single.recall(np.array([[9.0, 9.0]], "f4"))
    # Lengths beyond float64 count as the largest number, and their answers are refused.
    with pytest.raises(ValueError, match="beyond the largest float64"):
        m.recall([1.7e308, 1.7e308])
    mapped = memory(np.eye(2), [1e-200, 1e-200], np.full((2, 1), 1e300), features="elu")
    np.testing.assert_allclose(mapped.recall(np.eye(2)), 1e300)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"center": "renorm"},
        {"center": "moment", "decay": 0.9},
        {"features": am.Fourier(32)},
        {"features": "elu", "decay": 0.9},
        {"rule": "delta"},
        {"rule": "delta", "normalize": False},
    ],
)
@pytest.mark.parametrize("mmap", [False, True])
def test_it_can_be_saved(data, tmp_path, settings, mmap):
    """A memory that comes back goes on as the old one does, mapped or read."""
    v, y = data
    values = None if "center" in settings else v[:, :3]
    m = memory(v[:50], y[:50], values if values is None else values[:50], **settings)
    again = am.load(m.save(tmp_path / "memory"), mmap=mmap)
    assert repr(again) == repr(m) and again.nbytes >= m.nbytes - 4096
    for memo in (m, again):
        memo.store(v[50:], None if values is None else values[50:], weights=y[50:])
    np.testing.assert_array_equal(again.matrix, m.matrix)
    np.testing.assert_array_equal(again.recall(v[:3]), m.recall(v[:3]))
    assert len(again) == 300
    arrays, meta = m._store.arrays()
    other = am.HebbianMemory(center="moment" if "center" not in settings else None)
    with pytest.raises(ValueError, match="are others'"):
        other._restored({"parameters": {}, "store": meta | {"squared": True}}, arrays)
    for name, x in arrays.items():
        with pytest.raises(ValueError, match="must be|NaN"):
            other._store.restore(arrays | {name: np.full_like(x, np.nan)}, meta)
        with pytest.raises(ValueError, match="must be"):
            other._store.restore(arrays | {name: x[..., :1].astype("f4")}, meta)


def test_an_observed_mean_can_be_saved(data, tmp_path):
    """The first of two passes may be another process's."""
    v, y = data
    one = am.HebbianMemory(center="renorm")
    one.observe(v, weights=y)
    two = am.load(one.save(tmp_path / "memory"))
    for m in (one, two):
        m.store(v, weights=y)
    np.testing.assert_array_equal(one.matrix, two.matrix)
    blank = memory(v, np.zeros(300))
    assert "300 rows, 8 x 8 matrix" in repr(blank)


# -- diagnostics ----------------------------------------------------------------------------------


def test_centring_undoes_the_blurring(rng):
    centres = np.abs(rng.normal(size=(3, 12))) + 2.0
    v = np.repeat(centres, 50, axis=0) + 0.1 * rng.normal(size=(150, 12))
    literal, centred = memory(v), memory(v, center="renorm")
    assert literal.effective_rank() < 1.3 < 1.8 < centred.effective_rank()
    assert literal.crosstalk(centres).after > 0.999
    before, after = centred.crosstalk(centres)
    assert before < 0 and after < 0.3
    expected = unit(centres) @ unit(centres).T
    assert literal.crosstalk(centres).before == pytest.approx((expected.sum() - 3) / 6, abs=1e-12)


def test_effective_rank(data):
    v, y = data
    m = memory(v, y)
    values = m.eigenvalues()
    assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(values.sum(), 1.0)
    assert m.effective_rank() == pytest.approx(np.exp(-(values * np.log(values)).sum()))
    assert memory(np.eye(5)).effective_rank() == pytest.approx(5)
    assert memory(np.ones((4, 3)), center="moment").effective_rank() in (0.0, pytest.approx(1.0))
    assert memory(np.ones((4, 3)), center="renorm").effective_rank() == 0.0
    assert effective_rank([1.0, 0.0, -1e-18]) == 1.0
    with pytest.raises(ValueError, match="no positive"):
        effective_rank([0.0, -1.0])
    with pytest.raises(ValueError, match="at least 2"):
        m.crosstalk(v[:1])


# -- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("center", CENTERS)
def test_silent_rows_weigh_nothing(data, center):
    v, y = data
    silent = np.insert(v, 10, 0.0, axis=0)
    silent[10, 0] = 1e-12
    m = memory(silent, np.insert(y, 10, 1.0), center=center)
    np.testing.assert_allclose(m.matrix, memory(v, y, center=center).matrix, atol=1e-15)
    assert len(m) == 301
    assert (m.recall(np.zeros((2, 8))) == 0).all()
    keeps = am.HebbianMemory(eps=0.0)
    keeps.store(np.eye(3) * 1e-200)
    np.testing.assert_allclose(keeps.matrix, np.eye(3) / 3)


def test_nothing_to_recall(data):
    v, _ = data
    with pytest.raises(ValueError, match="empty"):
        am.HebbianMemory().recall(v)
    for m in (memory(v, np.zeros(300)), memory(np.zeros((4, 8)))):
        for call in (lambda m=m: m.recall(v), lambda m=m: m.matrix, lambda m=m: m.energy(v)):
            with pytest.raises(ValueError, match="sum to 0"):
                call()
        m.store(v)
        assert np.isfinite(m.recall(v)).all()
    empty = am.HebbianMemory()
    assert len(empty.store(np.empty((0, 8)))) == 0
    with pytest.raises(ValueError, match="empty"):
        empty.effective_rank()
    assert memory(v).recall(np.empty((0, 8))).shape == (0, 8)
    assert memory(v).recall(np.empty((0, 8)), details=True).state.shape == (0, 8)


def test_one_column_and_few_rows(rng):
    one = memory([[3.0], [2.0]], [1.0, 0.5])
    assert one.matrix == [[1.0]] and one.recall([4.0]) == [4.0]
    few = memory(rng.normal(size=(2, 9)))
    assert np.linalg.matrix_rank(few.matrix) == 2 and few.eigenvalues()[2:] == pytest.approx(0)
    alone = memory([[1.0, 2.0]], center="renorm")
    assert (alone.matrix == 0).all() and (alone.recall([1.0, 2.0]) == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int8"])
def test_types_layouts_threads(rng, dtype):
    v, cues = draw(rng, (33, 5), dtype), draw(rng, (7, 5), dtype)
    m = memory(v, center="moment")
    one = m.recall(cues, threads=1)
    assert one.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert m.matrix.dtype == np.float64
    np.testing.assert_array_equal(m.recall(cues, threads=2), one)
    for name, other in layouts(cues):
        before = other.copy()
        np.testing.assert_array_equal(m.recall(other), one, err_msg=name)
        np.testing.assert_array_equal(other, before)
    for name, other in layouts(v):
        np.testing.assert_array_equal(memory(other, center="moment").matrix, m.matrix, err_msg=name)


def test_huge_and_tiny_rows():
    m = memory([[1e300, 0.0], [0.0, 1e-7]])
    np.testing.assert_allclose(m.matrix, np.eye(2) / 2)
    np.testing.assert_allclose(m.recall([1e300, 0.0]), [5e299, 0])
    wide = memory(np.eye(2, dtype=np.float32))
    assert wide.recall(np.array([2.0, 0], np.float32)).dtype == np.float32


def test_bad_input(data):
    v, y = data
    m = memory(v, y)
    for bad, why in [
        (np.full(300, 1.5), "0..1, entry 0 is 1.5"),
        (np.full(300, -0.1), "0..1"),
        (np.where(np.arange(300) == 7, np.nan, 0.5), "entry 7 is nan"),
        (y[:5], r"shape \(300,\)"),
        (np.stack([y, y], axis=1), "shape"),
    ]:
        with pytest.raises(ValueError, match=why):
            m.store(v, weights=bad)
    for bad, why in [
        (np.where(v > 2, np.nan, v), "row"),
        (v[:, :4], "4 columns"),
        (v[0][None, None], "2-d"),
    ]:
        with pytest.raises(ValueError, match=why):
            m.store(bad)
        if bad.ndim == 2:
            with pytest.raises(ValueError, match=why):
                m.recall(bad)
    with pytest.raises(TypeError, match="complex"):
        m.store(v * 1j)
    with pytest.raises(TypeError):
        m.store(v, weights=["a"] * 300)
    assert len(m) == 300
    for kwargs, why in [
        ({"center": "mean"}, "center"),
        ({"weighting": "cubic"}, "weighting"),
        ({"decay": 0.0}, "decay"),
        ({"decay": 1.1}, "decay"),
        ({"decay": math.nan}, "decay"),
        ({"rule": "oja"}, "rule"),
        ({"rule": "delta", "rate": 2.0}, "diverges"),
        ({"rate": 0.5}, "rate belongs"),
        ({"readout": "sign"}, "readout"),
        ({"eps": -1.0}, "eps"),
        ({"normalize": True}, "positive features"),
        ({"center": "moment", "features": "elu"}, "identity"),
        ({"rule": "delta", "center": "moment"}, "no place"),
        ({"rule": "delta", "decay": 0.9}, "forgets"),
        ({"rule": "delta", "weighting": "seed"}, "linearly"),
        ({"rule": "delta", "features": "elu", "normalize": True}, "normalize"),
    ]:
        with pytest.raises(ValueError, match=why):
            am.HebbianMemory(**kwargs)
    with pytest.raises(TypeError):
        am.HebbianMemory("moment")


def test_bad_merges(data):
    v, y = data
    m = memory(v, y)
    with pytest.raises(TypeError, match="HebbianMemory"):
        m.merge(am.UniversalHopfield())
    for other, why in [
        (memory(v, y, decay=0.9), "parameters"),
        (memory(v[:, :4], y), "4 columns"),
        (memory(v, y, v), "stores values"),
        (memory(v, y, v[:, :2]), "matrix of shape"),
    ]:
        with pytest.raises(ValueError, match=why):
            m.merge(other)
    one, two = memory(v, y, v[:, :1]), memory(v, y, v[:, :2])
    for left, right in ((one, two), (two, one)):
        kept = left.matrix.copy()
        with pytest.raises(ValueError, match=r"matrix of shape \(., 8\), this one of 8 and"):
            left.merge(right)
        np.testing.assert_array_equal(left.matrix, kept)
    assert len(m.merge(am.HebbianMemory())) == 300
    fresh = am.HebbianMemory().merge(m)
    np.testing.assert_array_equal(fresh.matrix, m.matrix)
    fresh.store(v)
    assert len(m) == 300  # its sums are its own
    itself = memory(v, y)
    np.testing.assert_allclose(itself.merge(itself).matrix, m.matrix, atol=1e-15)


def test_what_a_matrix_cannot_do(data):
    m = memory(*data)
    for call in (
        lambda: m.delete([0]),
        lambda: m.scores(data[0]),
        lambda: m.weights(data[0]),
        lambda: m.keys,
        lambda: m.values,
    ):
        with pytest.raises(ValueError, match="keeps no items"):
            call()


def test_many_threads_recall_at_once(rng):
    v = rng.normal(size=(200, 64))
    expected = memory(v).recall(v)
    for _ in range(20):
        m = memory(v)  # fewer rows than are buffered: the first recall adds them up
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(m.recall, [v] * 4):
                np.testing.assert_array_equal(found, expected)


def test_copies_and_looks(data):
    v, y = data
    m = memory(v, y, center="renorm")
    for other in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        np.testing.assert_array_equal(other.matrix, m.matrix)
        other.store(v)
        assert len(m) == 300 and not np.array_equal(other.matrix, m.matrix)
    assert repr(m) == "<HebbianMemory(center='renorm'): 300 rows, 8 x 8 matrix>"
    assert "features=Elu()" in repr(am.HebbianMemory(features="elu")) and "empty" in repr(
        am.HebbianMemory()
    )
    assert am.HebbianMemory().nbytes == 0
    assert memory(v).nbytes < 3000 < m.nbytes
