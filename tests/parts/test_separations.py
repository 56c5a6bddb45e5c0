"""What separations answer for themselves: weights, limits, potentials and energies."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import reference
from amfast.parts import weighing

NAMED = {
    ("power", 1.0): am.Identity(),
    ("power", 3.0): am.Polynomial(3),
    ("rectified", 2.0): am.Polynomial(2, rectified=True),
    ("softmax", 0.7): am.Softmax(0.7),
    ("softmax", 0.0): am.Softmax(0.0),
    ("threshold", 0.25): am.Threshold(0.25),
    ("sqrt", 0.0): am.Sqrt(),
    ("log", 0.0): am.Log(),
}


@pytest.mark.parametrize(("twin", "part"), NAMED.items(), ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_dense_weights_are_the_twins(rng, twin, part, weighted):
    scores = rng.random((6, 9)) * 3 if twin[0] in ("sqrt", "log") else rng.normal(size=(6, 9))
    b = np.where(rng.random(9) < 0.3, -np.inf, rng.normal(size=9)) if weighted else None
    got, log_scale = part.weights(scores, b)
    want, want_scale = reference.separate(scores, *twin, b)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=0)
    np.testing.assert_allclose(log_scale, want_scale, rtol=1e-12, atol=1e-12)
    assert part.engine() == (twin[0], twin[1])


@pytest.mark.parametrize("part", [am.Softmax(1e8), am.TopK(2, 1e8), am.Exponential(1e8)])
def test_products_beyond_floats_do_not_matter(part):
    scores = np.array([[1e301, 2e301, 2e301, -1e301], [0.0, 1.0, 1.0, 0.5]])
    w, log_scale = part.weights(scores, None)
    np.testing.assert_allclose(w, [[0, 0.5, 0.5, 0]] * 2)
    np.testing.assert_allclose(log_scale[1], 1e8 + np.log(2))
    memory = am.UniversalHopfield("dot", part)
    memory.store([[1e151], [2e151]])
    np.testing.assert_array_equal(memory.weights([1e151]), [0, 1])
    np.testing.assert_array_equal(memory.recall([1e151]), [2e151])


def test_scores_beyond_floats_are_refused():
    for part in (am.Softmax(), am.Polynomial(2), am.TopK(1, 1.0), am.Sparsemax()):
        with pytest.raises(ValueError, match="row 1 has a score too large"):
            part.weights(np.array([[0.0, 1.0], [np.inf, 1.0]]), None)


@pytest.mark.parametrize("part", [am.Sqrt(), am.Log()])
def test_negative_scores_say_what_helps(part):
    with pytest.raises(ValueError, match="row 1 has a negative score"):
        part.weights(np.array([[1.0], [-1.0]]), None)
    memory = am.UniversalHopfield("manhattan", part)
    memory.store([[1.0, 0.0]])
    with pytest.raises(ValueError, match="negative.*Distances score as their negative"):
        memory.recall([0.0, 0.0])


def test_top_k_sums_to_one_however_it_is_asked(rng):
    memory = am.UniversalHopfield("dot", am.TopK(2), normalize=False)
    memory.store(rng.normal(size=(5, 3)))
    np.testing.assert_allclose(memory.weights(rng.normal(size=(4, 3))).sum(axis=1), 1.0)


def test_too_few_items_for_k():
    memory = am.UniversalHopfield("dot", am.TopK(3))
    memory.store(np.eye(2))
    for call in (memory.recall, memory.weights, memory.scores):
        with pytest.raises(ValueError, match=r"TopK\(k=3.*k must be in 1\.\.2"):
            call([1.0, 0.0])
    with pytest.raises(ValueError, match=r"k must be in 1\.\.2"):
        am.retrieve(np.eye(2), np.eye(2), separation=am.TopK(3))


def test_functions_are_equal_only_to_themselves():
    def one(scores):
        return scores

    def other(scores):
        return -scores

    assert am.Separation(one) == am.Separation(one) != am.Separation(other)
    assert hash(am.Separation(one)) == hash(am.Separation(one))
    mine, theirs = am.UniversalHopfield("dot", one), am.UniversalHopfield("dot", other)
    theirs.store(np.eye(2))
    with pytest.raises(ValueError, match="differ in their parts"):
        mine.merge(theirs)
    assert len(mine) == 0


def test_beta_is_a_shorthand_where_there_is_one():
    assert am.UniversalHopfield("dot", "exponential", beta=2.0).separation == am.Exponential(2.0)
    for name in ("max", "identity", "square"):
        with pytest.raises(ValueError, match="no effect"):
            am.UniversalHopfield("dot", name, beta=2.0)
    with pytest.raises(ValueError, match="put it inside"):
        am.UniversalHopfield("dot", am.TopK(2, 1.0), beta=2.0)


# -- energies -------------------------------------------------------------------------------------

# Potentials of raw weights, for dot products that are never negative.
RAW = [
    am.Sqrt(),
    am.Log(),
    am.Threshold(0.5),
    am.Identity(),
    am.Polynomial(3),
    am.Polynomial(2, rectified=True),
]


def log_weights(weighted: bool) -> np.ndarray | None:
    return np.array([0.3, -np.inf, -1.0, 0.0, 0.5]) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("part", RAW, ids=repr)
def test_weights_are_the_gradient_of_the_potential(rng, part, weighted):
    s = rng.random((1, 5)) + 1.0
    b, h = log_weights(weighted), 1e-5

    def potential(scores: np.ndarray) -> float:
        integral = part.integral()
        if integral is None:
            return float(part.potential(scores, b)[0])
        return float(np.exp(integral[0].weights(scores, b)[1])[0]) / integral[1]

    w, log_scale = part.weights(s, b)
    for i, step in enumerate(np.eye(5) * h):
        slope = (potential(s + step) - potential(s - step)) / (2 * h)
        np.testing.assert_allclose(slope, w[0, i] * np.exp(log_scale[0]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("part", [am.Sqrt(), am.Log(), am.Threshold(0.5)], ids=repr)
def test_recall_of_raw_weights_descends(rng, part):
    memory = am.UniversalHopfield("dot", part, normalize=False)
    memory.store(rng.random((6, 4)) + 0.5, weights=rng.random(6))
    state = rng.random((20, 4)) + 0.5
    energy = memory.energy(state)
    for _ in range(5):
        state = memory.recall(state)
        after = memory.energy(state)
        assert (after <= energy + 1e-9 * np.abs(energy)).all()
        energy = after


@pytest.mark.parametrize("part", ["sqrt", "log", am.Threshold(0.5), "cube"], ids=str)
def test_the_reasons_against_an_energy_are_true(part):
    with pytest.raises(ValueError, match="divided by their sum descend none; use normalize=False"):
        am.UniversalHopfield("dot", part).energy([1.0])
    with pytest.raises(ValueError, match="for dot only"):
        am.UniversalHopfield("sqeuclidean", part, normalize=False).energy([1.0])


# -- arithmetic -----------------------------------------------------------------------------------


def test_shares_of_a_row_without_weights():
    w, log_scale = weighing.shares(np.full((2, 3), -np.inf), None, None)
    assert not w.any() and (log_scale == -np.inf).all()
    w, log_scale = weighing.shares(np.empty((2, 0)), None, None)
    assert w.shape == (2, 0) and (log_scale == -np.inf).all()


@pytest.mark.parametrize(
    "part", [am.Sparsemax(2.0), am.Entmax(1.5, 2.0), am.Entmax(1.3, 3.0), am.Softmax(2.0)], ids=repr
)
def test_a_row_weighs_alike_alone_and_beside_any_other(rng, part):
    scores = rng.normal(size=(64, 500))
    scores[::7] *= 0.001  # rows that need all items, beside rows that need few
    b = rng.normal(size=500)
    for log_weight in (None, b):
        together = part.weights(scores, log_weight)[0]
        for i in (0, 1, 7, 63):
            alone = part.weights(scores[i : i + 1].copy(), log_weight)[0]
            np.testing.assert_array_equal(alone[0], together[i])
