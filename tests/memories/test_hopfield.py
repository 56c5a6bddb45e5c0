"""The classical Hopfield network: its physics, and the same answer whatever holds the weights."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from conftest import layouts

import amfast as am
from amfast import theory
from amfast.bits import BitMatrix
from amfast.reference import cue_key, sweep_order

STORAGES = ("auto", "matrix", "patterns")
UPDATES = ("async", "sync", "one-step")


def patterns(rng, n, d, share=0.5):
    return np.where(rng.random((n, d)) < share, 1, -1).astype(np.int8)


def flipped(rng, x, share):
    return np.where(rng.random(x.shape) < share, -x, x).astype(np.int8)


def hebbian(x, w=None, y=None, zero_diagonal=True):
    w = np.ones(len(x)) if w is None else np.asarray(w, float)
    result = ((x if y is None else y).astype(float).T * w) @ x / x.shape[1]
    if zero_diagonal and y is None:
        np.fill_diagonal(result, 0)
    return result


def step(w, b, s, tie="keep"):
    """One synchronous step, in float64 with room for its rounding."""
    h = s @ w.T + b
    return np.where(np.abs(h) < 1e-9, s if tie == "keep" else tie, np.sign(h)).astype(s.dtype)


def memory(x, values=None, weights=None, **parameters):
    result = am.Hopfield(**parameters)
    result.store(x, values, weights=weights)
    return result


WEIGHTS = {
    "none": lambda rng, n: None,
    "signed": lambda rng, n: rng.integers(-2, 4, n),
    "real": lambda rng, n: rng.normal(size=n),
}


# -- against the formulas -------------------------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("d, n", [(97, 5), (64, 30), (9, 40), (1, 2)])
def test_fields_steps_and_energies(rng, storage, weights, zero_diagonal, d, n):
    x, s = patterns(rng, n, d), patterns(rng, 6, d)
    w = WEIGHTS[weights](rng, n)
    expected = hebbian(x, w, zero_diagonal=zero_diagonal)
    for bias in (None, 0.25, rng.normal(size=d)):
        b = np.zeros(d) if bias is None else np.broadcast_to(bias, d)
        m = memory(x, weights=w, zero_diagonal=zero_diagonal, bias=bias, storage=storage)
        np.testing.assert_allclose(m.W, expected, atol=1e-12)
        np.testing.assert_allclose(m.fields(s), s @ expected.T + b, atol=1e-9)
        energy = -0.5 * np.einsum("qi,ij,qj->q", s * 1.0, expected, s * 1.0) - s @ b
        np.testing.assert_allclose(m.energy(s), energy, atol=1e-9)
        assert m.energy(s[1]) == m.energy(s)[1]
        for tie in ("keep", 1, -1):
            m = memory(x, None, w, zero_diagonal=zero_diagonal, bias=bias, storage=storage, tie=tie)
            one = step(expected, b, s, tie)
            np.testing.assert_array_equal(m.recall(s, "one-step"), one)
            np.testing.assert_array_equal(m.recall(s, "sync", 1), one)
            np.testing.assert_array_equal(m.recall(s, "sync", 2), step(expected, b, one, tie))


def test_one_sweep_of_asynchronous_updates_is_units_in_turn(rng):
    x, s = patterns(rng, 12, 40), patterns(rng, 5, 40)
    for bias in (0.0, 0.3):
        m, w = memory(x, bias=bias), hebbian(x)
        expected, fixed = s.copy(), s.copy()
        for row in range(5):
            for j in range(40):
                h = fixed[row] @ w[j] + bias
                fixed[row, j] = np.sign(h) if abs(h) > 1e-9 else fixed[row, j]
            for j in sweep_order(7, cue_key(s[row]), 0, np.arange(40)):
                h = expected[row] @ w[j] + bias
                if abs(h) > 1e-9:
                    expected[row, j] = np.sign(h)
        np.testing.assert_array_equal(m.recall(s, "async", 1, 7), expected)
        for seed in (7, 8):
            np.testing.assert_array_equal(m.recall(s, "async", 1, seed, order="fixed"), fixed)
        assert (fixed != expected).any()


@pytest.mark.parametrize("storage", STORAGES)
def test_values_are_recalled_in_one_step(rng, storage):
    x, y = patterns(rng, 6, 200), patterns(rng, 6, 33)
    m = memory(x, y, storage=storage)
    np.testing.assert_array_equal(m.recall(flipped(rng, x, 0.1)), y)
    np.testing.assert_allclose(m.W, hebbian(x, y=y), atol=1e-12)
    found = m.recall(x, details=True)
    assert (
        found.energy is None
        and found.energy_trace is None
        and found.log_scale is None
        and found.converged.all()
    )
    assert (found.n_iter == 1).all() and (found.undecided == 0).all()
    with pytest.raises(ValueError, match="no energy"):
        m.energy(x)
    for wrong in (
        {"update": "async"},
        {"update": "sync"},
        {"clamp": np.zeros(200, bool)},
        {"temperature": 1.0},
    ):
        with pytest.raises(ValueError, match="one step"):
            m.recall(x, **wrong)
    biased = memory(x, y, storage=storage, bias=np.full(33, 100.0))
    assert (biased.recall(x) == 1).all()
    np.testing.assert_allclose(biased.fields(x), x @ hebbian(x, y=y).T + 100)


@pytest.mark.parametrize("storage", STORAGES)
def test_undecided_values_are_reported(storage):
    x, y = np.array([[1, 1], [1, -1]], np.int8), np.array([[1, 1, -1], [1, -1, -1]], np.int8)
    m = memory(x, y, storage=storage)
    found = m.recall(np.array([[1, 1], [-1, 1]], np.int8), details=True)
    assert found.undecided.tolist() == [0, 0]
    m.store(x, -y[::-1])  # cancels the last column and more
    found = m.recall(x, details=True)
    field = m.fields(x)
    assert found.undecided.tolist() == (field == 0).sum(axis=1).tolist() and found.undecided.any()
    np.testing.assert_array_equal(found.state, np.sign(field))
    np.testing.assert_array_equal(m.recall(x > 0), field > 0)
    for tie in (1, -1):
        other = memory(x, y, storage=storage, tie=tie)
        other.store(x, -y[::-1])
        np.testing.assert_array_equal(other.recall(x), np.where(field == 0, tie, np.sign(field)))


# -- the same answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("temperature", [None, 0.4])
@pytest.mark.parametrize("bias", [None, 0.125])
@pytest.mark.parametrize("d, n", [(100, 12), (65, 9), (64, 30)])
def test_storage_and_threads_do_not_matter(rng, update, temperature, bias, d, n):
    x, s = patterns(rng, n, d), patterns(rng, 9, d)
    clamp = rng.random((9, d)) < 0.2
    found = []
    for storage in STORAGES:
        for zero_diagonal in (True, False):
            m = memory(x, None, rng.integers(1, 2, n), storage=storage, bias=bias,
                       zero_diagonal=zero_diagonal)  # fmt: skip
            for threads in (1, 2):
                for held in (None, clamp):
                    r = m.recall(s, update, 8, 3, clamp=held, temperature=temperature,
                                 details=True, threads=threads)  # fmt: skip
                    plain = m.recall(s, update, 8, 3, clamp=held, temperature=temperature)
                    np.testing.assert_array_equal(r.state, plain)
                    if held is not None:
                        np.testing.assert_array_equal(r.state[clamp], s[clamp])
                    found.append((zero_diagonal, held is not None, threads, r))
    for *case, r in found:
        first = next(f for f in found if f[0] == case[0] and f[1] == case[1])[-1]
        for name in ("state", "n_iter", "converged", "cycle", "undecided"):
            np.testing.assert_array_equal(getattr(r, name), getattr(first, name), err_msg=name)
        np.testing.assert_allclose(r.energy_trace, first.energy_trace, atol=1e-9)
        np.testing.assert_allclose(r.energy, first.energy, atol=1e-9)


@pytest.mark.parametrize("update", UPDATES)
def test_every_kind_gets_the_same_answer_in_its_kind(rng, update):
    x = patterns(rng, 5, 77)
    s = flipped(rng, x, 0.2)
    expected = memory(x).recall(s, update)
    for stored in (x, x > 0, (x > 0).astype(np.uint8), am.pack(x), x.astype(np.float64)):
        m = memory(stored)
        for dtype in (np.int8, np.int64, np.float16, np.float32, np.float64):
            got = m.recall(s.astype(dtype), update)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, expected)
            got = m.recall((s > 0).astype(dtype), update)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, expected > 0)
        got = m.recall(s > 0, update)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, expected > 0)
        got = m.recall(am.pack(s), update)
        assert isinstance(got, BitMatrix) and got == am.pack(expected)
        one = m.recall(s[0].astype(np.float32), update)
        assert one.shape == (77,) and one.dtype == np.float32
        np.testing.assert_array_equal(one, expected[0])
    r = memory(x).recall(s[0], update, details=True)
    assert r.state.shape == (77,) and r.n_iter.shape == () and r.energy_trace.ndim == 1


def test_all_ones_follow_what_is_stored():
    ones = np.ones(8)
    stored = np.array([[1, 1, 1, 1, 0, 0, 0, 0]])
    assert memory(stored).recall(ones, "one-step").tolist() != []
    assert set(memory(stored).recall(np.ones(8), clamp=ones > 0)) == {1.0}
    assert memory(stored, bias=-9).recall(ones, "one-step").tolist() == [0.0] * 8
    assert memory(2 * stored - 1, bias=-9).recall(ones, "one-step").tolist() == [-1.0] * 8


def test_layouts(rng):
    x = patterns(rng, 5, 40)
    s = flipped(rng, x, 0.2)
    expected = memory(x).recall(s)
    for name, other in layouts(s):
        np.testing.assert_array_equal(memory(x).recall(other), expected, err_msg=name)
    for name, other in layouts(x):
        np.testing.assert_array_equal(memory(other).recall(s), expected, err_msg=name)


def test_rows_and_seeds(rng):
    x, s = patterns(rng, 30, 60), patterns(rng, 8, 60)
    m = memory(x)
    before = s.copy()
    first = m.recall(s, seed=1)
    np.testing.assert_array_equal(s, before)
    np.testing.assert_array_equal(m.recall(s, seed=1), first)
    assert (m.recall(s, seed=2) != first).any()
    np.testing.assert_array_equal(m.recall(s[0], seed=1), first[0])
    np.testing.assert_array_equal(m.recall(s[:3], seed=1), first[:3])
    assert m.recall(s[:0]).shape == (0, 60)
    for update in UPDATES:
        r = m.recall(s[:0], update, details=True)
        assert r.state.shape == (0, 60) and r.energy.shape == (0,) and len(r.energy_trace) == 0


def test_a_cue_recalls_alike_wherever_it_stands(rng):
    x, s = patterns(rng, 30, 70), patterns(rng, 20, 70)
    for storage in STORAGES:
        m = memory(x, storage=storage)
        eight = m.recall(np.repeat(s, 8, axis=0), seed=4).reshape(20, 8, 70)
        assert (eight == eight[:, :1]).all()
        together = m.recall(s, seed=4)
        assert len({m.recall(s[1], seed=seed).tobytes() for seed in range(20)}) > 1
        np.testing.assert_array_equal(eight[:, 0], together)
        np.testing.assert_array_equal(m.recall(s[::-1], seed=4)[::-1], together)
        for row, known in zip(s, together, strict=True):
            np.testing.assert_array_equal(m.recall(row, seed=4), known)
            np.testing.assert_array_equal(m.recall(row > 0, seed=4), known > 0)
        # At a temperature copies are samples, of which the first is that of the cue alone.
        hot = {"max_sweeps": 3, "temperature": 0.8, "seed": 4}
        for update in ("async", "sync"):
            samples = m.recall(np.vstack([s, s, s]), update, **hot).reshape(3, 20, 70)
            np.testing.assert_array_equal(samples[0], m.recall(s, update, **hot))
            assert (samples[0] != samples[1]).any() and (samples[1] != samples[2]).any()
            one = np.stack([m.recall(row, update, **hot) for row in s])
            np.testing.assert_array_equal(one, samples[0])


# -- physics --------------------------------------------------------------------------------------


def test_asynchronous_energy_never_rises(rng):
    for parameters in ({}, {"rule": "projection"}, {"bias": rng.normal(size=200) / 4},
                       {"zero_diagonal": False}):  # fmt: skip
        m = memory(patterns(rng, 30, 200), **parameters)
        s = patterns(rng, 40, 200)
        r = m.recall(s, details=True)
        np.testing.assert_allclose(r.energy_trace[:, 0], m.energy(s), atol=1e-9)
        np.testing.assert_allclose(r.energy, m.energy(r.state), atol=1e-9)
        rises = np.diff(r.energy_trace, axis=1)
        assert rises.max() <= 1e-9 and rises.min() < -1
        assert r.converged.all() and (r.cycle == 1).all()
        np.testing.assert_array_equal(m.recall(r.state, "one-step"), r.state)
        assert r.energy_trace.shape == (40, 1 + r.n_iter.max())
        for row, n_iter in zip(r.energy_trace, r.n_iter, strict=True):
            assert (row[n_iter:] == row[-1]).all()
        np.testing.assert_array_equal(r.energy_trace[:, -1], r.energy)


def test_synchronous_recall_ends_in_cycles_of_one_or_two(rng):
    x = patterns(rng, 30, 101)
    s = patterns(rng, 300, 101)
    m = memory(x)
    r = m.recall(s, "sync", details=True)
    assert set(r.cycle) == {1, 2}
    np.testing.assert_array_equal(r.converged, r.cycle == 1)
    one = m.recall(r.state, "one-step")
    back = m.recall(one, "one-step")
    np.testing.assert_array_equal((one == r.state).all(axis=1), r.cycle == 1)
    np.testing.assert_array_equal(back, r.state)
    assert (r.n_iter > 1).all() and r.n_iter.max() < 100
    short = m.recall(s, "sync", 2, details=True)
    assert set(short.cycle) >= {0} and (short.n_iter[short.cycle == 0] == 2).all()


@pytest.mark.parametrize("load", [0.105, 0.138, 0.185, 0.37, 0.61])
def test_wrong_bits_after_one_step(rng, load):
    d = 1000
    x = patterns(rng, round(load * d), d)
    for zero_diagonal in (True, False):
        wrong = (memory(x, zero_diagonal=zero_diagonal).recall(x, "one-step") != x).mean()
        expected = theory.hopfield_bit_error(len(x) / d, zero_diagonal=zero_diagonal)
        # Bits of a pattern, and of a unit, are nearly independent.
        assert abs(wrong - expected) < 5 * np.sqrt(expected / x.size) + 0.04 * expected


def test_recall_is_good_below_the_critical_load_and_bad_above(rng):
    d = 600
    for load, good in ((0.1, True), (0.25, False)):
        x = patterns(rng, round(load * d), d)
        overlap = (memory(x).recall(x[:20]) * x[:20]).mean(axis=1)
        assert bool(np.median(overlap) > 0.95) is good


def test_correlated_patterns_need_the_projection_rule(rng):
    common = patterns(rng, 1, 400)
    x = np.where(rng.random((20, 400)) < 0.8, common, -common).astype(np.int8)  # correlation .36
    assert (memory(x).recall(x, "one-step") == x).mean() < 0.97
    for zero_diagonal in (True, False):
        m = memory(x, rule="projection", zero_diagonal=zero_diagonal)
        for update in UPDATES:
            np.testing.assert_array_equal(m.recall(x, update), x)
    overlap = (memory(x, rule="projection").recall(flipped(rng, x, 0.05)) * x).mean(axis=1)
    assert overlap.min() > 0.99


def test_hot_units_forget_and_cold_ones_do_not(rng):
    x = patterns(rng, 5, 300)
    m = memory(x)
    for update in ("async", "sync"):
        cold = m.recall(x, update, 20, temperature=0.05, details=True)
        assert (cold.state * x).mean() > 0.99
        assert not cold.converged.any() and (cold.cycle == 0).all() and (cold.n_iter == 20).all()
        hot = m.recall(x, update, 20, temperature=50.0)
        assert abs((hot * x).mean()) < 0.1
        again = m.recall(x, update, 20, temperature=50.0, seed=1)
        assert (hot != again).mean() > 0.4
        np.testing.assert_array_equal(m.recall(x, update, temperature=0.0), m.recall(x, update))
    free = memory(x, bias=0.5, weights=0.0)  # independent units: P(+1) = 1 / (1 + exp(-2 b / T))
    share = (free.recall(x, temperature=1.0, max_sweeps=1) > 0).mean()
    assert abs(share - 1 / (1 + np.exp(-1.0))) < 5 * 0.5 / np.sqrt(x.size)


def test_known_units_help(rng):
    x = patterns(rng, 70, 200)
    known = np.arange(200) < 100
    cue = x.copy()
    cue[:, 100:] = patterns(rng, 70, 100)
    m = memory(x, rule="projection")
    held = m.recall(cue, clamp=known)
    np.testing.assert_array_equal(held[:, :100], x[:, :100])
    assert (held * x).mean() > 0.99 and (m.recall(cue) * x).mean() < 0.7
    np.testing.assert_array_equal(m.recall(cue, clamp=np.tile(known, (70, 1))), held)
    np.testing.assert_array_equal(m.recall(cue, clamp=np.ones(200, bool)), cue)


def test_the_negative_of_a_pattern_is_stored_too(rng):
    x = patterns(rng, 4, 150)
    np.testing.assert_array_equal(memory(x).recall(-x), -x)


# -- storing, forgetting, merging -----------------------------------------------------------------


@pytest.mark.parametrize("rule", ["hebbian", "projection"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("hetero", [False, True])
def test_storing_again_with_negative_weight_forgets(rng, rule, storage, hetero):
    x, y = patterns(rng, 12, 60), patterns(rng, 12, 20) if hetero else None
    some = None if y is None else y[:4]
    m = memory(x, y, rule=rule, storage=storage)
    m.store(x[:4], some, weights=-1)
    rest = memory(x[4:], None if y is None else y[4:], rule=rule, storage=storage)
    np.testing.assert_allclose(m.W, rest.W, atol=1e-10)
    s = patterns(rng, 9, 60)
    np.testing.assert_array_equal(m.recall(s), rest.recall(s))
    m.store(x[4:6], None if y is None else y[4:6], weights=[-1.0, -1.0])
    assert len(m) == 18


@pytest.mark.parametrize("hetero", [False, True])
def test_the_projection_rule_is_the_pseudo_inverse(rng, hetero):
    for n in (5, 39, 40, 90):
        x, y = patterns(rng, n, 40), patterns(rng, n, 7)
        inverse = np.linalg.pinv(x.astype(float))
        expected = (inverse @ x) if not hetero else (inverse @ y).T
        for storage in STORAGES:
            for again in (0, n):  # duplicates change nothing
                m = am.Hopfield(rule="projection", storage=storage, zero_diagonal=False)
                for part in (slice(0, 3), slice(3, n), slice(0, again)):
                    m.store(x[part], y[part] if hetero else None)
                np.testing.assert_allclose(m.W, expected, atol=1e-9)
    whole = memory(np.vstack([np.ones((8, 8)) - 2 * np.eye(8)]), rule="projection")
    assert (whole.W == 0).all()  # rank d: W is the identity exactly, and its diagonal is left out
    s = patterns(rng, 5, 8)
    np.testing.assert_array_equal(whole.recall(s), s)


def test_projection_cannot_forget_what_it_never_stored(rng):
    x = patterns(rng, 6, 20)
    for storage in STORAGES:
        m = memory(x[:5], rule="projection", storage=storage)
        m.store(x[5:], weights=-1)
        with pytest.raises(ValueError, match="forgotten"):
            m.recall(x)


@pytest.mark.parametrize("storage", ["auto", "patterns"])
def test_delete(rng, storage):
    x, s = patterns(rng, 12, 60), patterns(rng, 9, 60)
    m = memory(x, storage=storage)
    assert m.ids.tolist() == list(range(12))
    m.recall(s)
    m.delete([0, 5])
    rest = memory(np.delete(x, [0, 5], axis=0))
    assert m.keys == rest.keys == m.values and len(m) == 10
    np.testing.assert_array_equal(m.W, rest.W)
    np.testing.assert_array_equal(m.recall(s), rest.recall(s))
    assert m.store(x[:1]).tolist() == [12]
    m.delete(12)
    m.delete([])
    for bad, error in (([0], ValueError), ([1, 1], ValueError), ([1.0], TypeError)):
        with pytest.raises(error):
            m.delete(bad)
    m.delete(m.ids)
    with pytest.raises(ValueError, match="empty"):
        m.recall(s)


def test_matrix_storage_says_what_it_lacks(rng):
    m = memory(patterns(rng, 3, 20), storage="matrix")
    for call in (
        lambda: m.keys,
        lambda: m.values,
        lambda: m.ids,
        lambda: m.delete([0]),
        lambda: m.scores(m.W),
    ):
        with pytest.raises(ValueError, match="keeps the sum over the patterns"):
            call()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("hetero", [False, True])
@pytest.mark.parametrize("rule", ["hebbian", "projection"])
def test_merge_adds(rng, storage, hetero, rule):
    x, y = patterns(rng, 11, 50), patterns(rng, 11, 9) if hetero else None
    both = memory(x, y, rule=rule)
    s = patterns(rng, 5, 50)
    for other_storage in STORAGES if storage == "matrix" else STORAGES[::2]:
        a = memory(x[:4], None if y is None else y[:4], rule=rule, storage=storage)
        b = memory(x[4:], None if y is None else y[4:], rule=rule, storage=other_storage)
        a.recall(s)
        assert a.merge(b) is a and len(a) == 11 and len(b) == 7
        np.testing.assert_allclose(a.W, both.W, atol=1e-9)
        np.testing.assert_array_equal(a.recall(s), both.recall(s))
        empty = am.Hopfield(rule=rule, storage=storage)
        assert empty.merge(am.Hopfield(rule=rule)).merge(b).merge(empty) is empty
        assert len(empty) == 14
        np.testing.assert_allclose(b.W, memory(x[4:], None if y is None else y[4:], rule=rule).W,
                                   atol=1e-9)  # fmt: skip


def test_merge_refuses(rng):
    x = patterns(rng, 3, 10)
    m = memory(x)
    with pytest.raises(TypeError, match="UniversalHopfield"):
        m.merge(am.UniversalHopfield())
    for other in ({"rule": "projection"}, {"tie": 1}, {"zero_diagonal": False}, {"bias": 1.0}):
        with pytest.raises(ValueError, match="parameters"):
            m.merge(am.Hopfield(**other))
    with pytest.raises(ValueError, match="widths"):
        m.merge(memory(x[:, :5]))
    with pytest.raises(ValueError, match="widths"):
        m.merge(memory(x, x))
    with pytest.raises(ValueError, match="other way"):
        m.merge(memory(x, storage="matrix"))
    assert len(m) == 3


def test_scores_and_weights(rng):
    x, s = patterns(rng, 6, 30), patterns(rng, 4, 30)
    m = memory(x, weights=[1, 2, 3, -1, 0, 1], zero_diagonal=False)
    scores = s.astype(int) @ x.T
    assert m.scores(s).dtype == np.int32
    np.testing.assert_array_equal(m.scores(s), scores)
    np.testing.assert_array_equal(m.scores(s[0] > 0), scores[0])
    np.testing.assert_allclose(m.weights(s), scores * [1, 2, 3, -1, 0, 1] / 30)
    np.testing.assert_allclose(m.weights(s) @ x, m.fields(s))
    with pytest.raises(ValueError, match="projection"):
        memory(x, rule="projection").weights(s)


def test_bytes_and_words(rng):
    x = patterns(rng, 10, 640)
    few = memory(x)
    few.recall(x[:1])
    few.recall(x[:1], "sync")
    assert few.nbytes < 3000
    for storage, size in (("matrix", 640 * 640 * 4), ("patterns", 0)):
        m = memory(patterns(rng, 200, 640), storage=storage)
        assert size <= m.nbytes < size + 30_000
        m.recall(x, "sync")
    assert memory(x, weights=0.5, storage="matrix").nbytes == 640 * 640 * 8
    assert repr(few) == "<Hopfield(rule='hebbian'): 10 patterns of 640 bits>"
    assert repr(am.Hopfield(tie=1, bias=2, zero_diagonal=False)) == (
        "<Hopfield(rule='hebbian', zero_diagonal=False, tie=1, bias=2.0): empty>"
    )
    assert "-> 3>" not in repr(few) and "640 bits -> 3>" in repr(memory(x, x[:, :3]))
    for twin in (copy.copy(few), pickle.loads(pickle.dumps(few))):
        twin.store(-x[:3])
        assert len(twin) == 13 and len(few) == 10


def test_many_weights_leave_int32(rng):
    x = patterns(rng, 4, 16)
    m = memory(x, weights=2**30, storage="matrix")
    np.testing.assert_array_equal(m.W, hebbian(x, np.full(4, 2**30)))
    assert memory(x, weights=2**20, storage="matrix").nbytes == 16 * 16 * 4
    s = patterns(rng, 5, 16)
    np.testing.assert_array_equal(m.recall(s), memory(x).recall(s))
    for storage in STORAGES:  # one weight more than float32 would tell apart
        m = memory(x[:2], weights=[2**24 + 1, 2**24], storage=storage)
        other = np.where(x[0] == x[1], x[0], 0)
        cue = np.where(other, x[0], -x[0]).astype(np.int8)
        np.testing.assert_array_equal(m.fields(cue), (hebbian(x[:2], [2**24 + 1, 2**24]) @ cue))
    assert memory(x, weights=2**53, storage="matrix").W.dtype == np.float64


# -- bad input ------------------------------------------------------------------------------------


def test_bad_parameters():
    for bad in (
        {"rule": "kosko"},
        {"tie": 0},
        {"tie": "random"},
        {"storage": "disk"},
        {"bias": np.nan},
        {"bias": [[1.0]]},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            am.Hopfield(**bad)
    with pytest.raises(ValueError, match="bias must be a finite number"):
        am.Hopfield(bias=10**400)
    for bad in ({"zero_diagonal": 1}, {"bias": "a"}):
        with pytest.raises(TypeError):
            am.Hopfield(**bad)
    assert am.Hopfield("projection").rule == "projection"


@pytest.mark.parametrize("storage", STORAGES)
def test_bad_patterns_store_nothing(rng, storage):
    m = am.Hopfield(storage=storage)
    with pytest.raises(ValueError, match="empty"):
        m.recall([[1, -1]])
    with pytest.raises(ValueError, match="empty"):
        m.W  # noqa: B018
    for bad, match in (
        ([[1, -1, 0]], "mix two codings"),
        ([[1.0, 0.3]], "row 0, column 1 is 0.3"),
        ([[1.0, np.nan]], "nan"),
        ([[[1, -1]]], "2-d"),
        (np.ones((2, 0)), "0 columns"),
    ):
        with pytest.raises(ValueError, match=match):
            m.store(bad)
    assert m.store(np.ones((0, 4))).size == 0 and len(m) == 0
    x = patterns(rng, 3, 8)
    for weights, error in (([1, 2], ValueError), (np.nan, ValueError), ("a", TypeError)):
        with pytest.raises(error, match="weights"):
            m.store(x, weights=weights)
    with pytest.raises(ValueError, match="values have 2 rows, keys have 3"):
        m.store(x, x[:2])
    m.store(x)
    with pytest.raises(ValueError, match="keys have 7 bits, the memory stores 8"):
        m.store(x[:, :7])
    with pytest.raises(ValueError, match="no values beside"):
        m.store(x, x)
    assert len(m) == 3
    h = memory(x, x[:, :4], storage=storage)
    with pytest.raises(ValueError, match="values with"):
        h.store(x)
    with pytest.raises(ValueError, match="values have 5 bits, the memory stores 4"):
        h.store(x, x[:, :5])
    with pytest.raises(ValueError, match="bias has 8 entries, the units are 4"):
        memory(x, x[:, :4], bias=np.zeros(8))


def test_bad_cues(rng):
    m = memory(patterns(rng, 3, 8))
    s = patterns(rng, 2, 8)
    for bad, match in (
        (s[:, :7], "cues have 7 bits, the memory stores 8"),
        (am.pack(s[:, :7]), "cues have 7 bits"),
        (s[None], "one 1-d row"),
        (s * 2, "threshold"),
    ):
        with pytest.raises(ValueError, match=match):
            m.recall(bad)
    for bad, error in (
        ({"update": "asynchronous"}, ValueError),
        ({"max_sweeps": 0}, ValueError),
        ({"max_sweeps": 1.5}, TypeError),
        ({"max_sweeps": 10**400}, ValueError),
        ({"temperature": 10**400}, ValueError),
        ({"order": "back"}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": 2**64}, ValueError),
        ({"seed": None}, TypeError),
        ({"temperature": -1.0}, ValueError),
        ({"temperature": np.inf}, ValueError),
        ({"details": 1}, TypeError),
        ({"threads": 0}, ValueError),
        ({"clamp": np.zeros(7, bool)}, ValueError),
        ({"clamp": np.zeros((3, 8), bool)}, ValueError),
        ({"clamp": np.zeros(8)}, TypeError),
    ):
        with pytest.raises(error, match=next(iter(bad))):
            m.recall(s, **bad)


def test_duplicates_count_twice(rng):
    x = patterns(rng, 4, 32)
    twice = memory(np.vstack([x, x[:1]]))
    np.testing.assert_array_equal(twice.W, memory(x, weights=[2, 1, 1, 1]).W)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("bias", [None, 0.3])
def test_ties_up_to_rounding_are_ties_in_every_update(rng, storage, bias):
    """Tenths, which floats do not hold: fields are compared with those in integers."""
    ties = 0
    for _ in range(60):
        d, n = (10, 4) if bias else (rng.integers(4, 9), rng.integers(2, 6))
        x, states = patterns(rng, n, d), patterns(rng, 20, d)
        tenths = rng.integers(1, 10, n)
        m = am.Hopfield(storage=storage, bias=bias)
        m.store(x, weights=tenths / 10)
        w = (x.T.astype(np.int64) * tenths) @ x
        np.fill_diagonal(w, 0)
        shift = 0 if bias is None else 30  # times 10 d, as w @ s is
        tied = states @ w + shift == 0
        np.testing.assert_array_equal(m.fields(states) == 0, tied)
        ties += int(tied.sum())
        end = m.recall(states, details=True)
        undecided = (end.state @ w + shift == 0).sum(axis=1)
        # Entries of the float64 matrix are rounded before the engine sums them.
        assert (end.undecided <= undecided).all()
        if storage == "patterns" or bias:
            np.testing.assert_array_equal(end.undecided, undecided)
        after = m.recall(end.state, "sync", details=True)
        np.testing.assert_array_equal(after.state[end.converged], end.state[end.converged])
        np.testing.assert_array_equal(after.undecided[end.converged], undecided[end.converged])
    assert ties > 20


# -- what was given, and what was derived ---------------------------------------------------------


def test_parameters_are_shown():
    bias = np.arange(3.0)
    m = am.Hopfield(zero_diagonal=False, tie=-1, bias=bias, storage="patterns", rule="projection")
    assert (m.zero_diagonal, m.tie, m.storage, m.rule) == (False, -1, "patterns", "projection")
    assert m.bias.tolist() == [0, 1, 2] and not m.bias.flags.writeable
    bias[:] = 9
    assert m.bias.tolist() == [0, 1, 2]
    assert repr(m) == (
        "<Hopfield(rule='projection', zero_diagonal=False, tie=-1, bias=..., storage='patterns'): "
        "empty>"
    )
    plain = am.Hopfield()
    assert (plain.tie, plain.bias, plain.storage, plain.nbytes) == ("keep", None, "auto", 0)
    for name in ("keys", "values"):
        with pytest.raises(ValueError, match="empty"):
            getattr(plain, name)
    assert plain.ids.shape == (0,)


def test_labels_in_one_dimension_are_told_how_to_become_values(rng):
    x = patterns(rng, 5, 8)
    m = am.Hopfield()
    with pytest.raises(ValueError, match=r"values\[:, None\]"):
        m.store(x, x[:, 0])
    ids = m.store(x, x[:, 0][:, None])
    assert len(ids) == 5 and m.recall(x).shape == (5, 1)


@pytest.mark.parametrize("storage", STORAGES)
def test_energies_beyond_floats_are_refused_by_name(rng, storage):
    x = patterns(rng, 3, 8)
    for given in (1e308, np.full(8, 1e308), np.r_[1e308, -1e308, np.zeros(6)]):
        with pytest.raises(ValueError, match="bias: its magnitudes sum to"):
            memory(x, bias=given, storage=storage)
    for weights in (1e308, [1e308, -1e308, 0.0], [1e300, 1e306, 1.0]):
        m = am.Hopfield(storage=storage)
        with pytest.raises(ValueError, match="weights: their magnitudes sum to"):
            m.store(x, weights=weights)
        assert len(m) == 0
    m = memory(x, weights=1e303, bias=np.full(8, 1e305), storage=storage)
    with pytest.raises(ValueError, match="weights: their"):
        m.store(x, weights=1e305)
    with pytest.raises(ValueError, match="weights: their"):
        m.merge(memory(x, weights=1.4e304, bias=np.full(8, 1e305), storage=storage))
    for update in UPDATES:
        found = m.recall(x, update, details=True)
        assert np.isfinite(found.energy_trace).all() and np.isfinite(m.energy(x)).all()


def test_how_bits_were_given_first_decides_about_ones():
    ones = np.ones(4)
    m = am.Hopfield(bias=-9.0)
    m.store(am.pack([[1, 1, -1, -1]]))
    assert m.recall(ones, "one-step").tolist() == [-1.0] * 4
    m.store([[1, 1, 0, 0]])
    m.store([[1, 1, -1, -1]])
    assert m.recall(ones, "one-step").tolist() == [0.0] * 4


def test_details_name_the_undecided_units(rng):
    x, s = patterns(rng, 4, 12), patterns(rng, 9, 12)
    for m in (memory(x), memory(x, x[:, :5])):
        for update in UPDATES if not m._stored().heteroassociative else ["one-step"]:
            found = m.recall(s, update, details=True)
            np.testing.assert_array_equal(found.undecided_units.sum(axis=1), found.undecided)
            state = found.state if found.energy is not None else s
            np.testing.assert_array_equal(found.undecided_units, m.fields(state) == 0)


@pytest.mark.parametrize("rule", ["hebbian", "projection"])
@pytest.mark.parametrize("hetero", [False, True])
def test_what_is_derived_follows_what_is_stored(rng, rule, hetero):
    """Sums are taken further with each store, and begun anew where patterns went."""
    x, y = patterns(rng, 40, 24), patterns(rng, 40, 5) if hetero else None
    some = (lambda rows: None) if y is None else (lambda rows: y[rows])
    m = am.Hopfield(rule=rule)
    kept = np.zeros(0, int)
    for k in range(8):
        rows = np.arange(5 * k, 5 * k + 5)
        ids = m.store(x[rows], some(rows))
        kept = np.r_[kept, rows]
        if k % 3 == 2:
            m.delete(m.ids[[0, -1]])
            kept = kept[1:-1]
        if k % 2:
            fresh = memory(x[kept], some(kept), rule=rule)
            np.testing.assert_array_equal(m.W, fresh.W)
            np.testing.assert_array_equal(m.recall(x), fresh.recall(x))
        assert len(ids) == 5
    twin = pickle.loads(pickle.dumps(m))
    twin.store(x[:3], some(slice(0, 3)))
    again = np.r_[kept, 0:3]
    np.testing.assert_array_equal(twin.W, memory(x[again], some(again), rule=rule).W)
    np.testing.assert_array_equal(m.W, memory(x[kept], some(kept), rule=rule).W)


def test_a_matrix_survives_pickles(rng):
    x, s = patterns(rng, 9, 16), patterns(rng, 5, 16)
    for values in (None, patterns(rng, 9, 3)):
        m = memory(x > 0, values, weights=np.arange(9.0), storage="matrix", rule="projection")
        for twin in (copy.copy(m), pickle.loads(pickle.dumps(m))):
            assert repr(twin) == repr(m) and len(twin) == 9 and twin.nbytes
            np.testing.assert_array_equal(twin.recall(s), m.recall(s))
            assert twin.recall(np.ones(16)).max() <= 1 and twin.recall(np.ones(16)).min() >= 0
            twin.store(x[:1], None if values is None else values[:1])
            assert (len(twin), len(m)) == (10, 9)
    empty = pickle.loads(pickle.dumps(am.Hopfield(storage="matrix")))
    assert len(empty) == 0 and empty.nbytes == 0
