"""What a dense associative memory learns by in the engine, against its reference twin."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import reference
from amfast._engine import learning

# Inputs, memories, classes: one of each, around tiles and registers, several tasks.
SHAPES = [(1, 1, 1), (3, 7, 2), (4, 8, 3), (5, 15, 1), (17, 16, 10), (33, 127, 3), (40, 300, 10)]
ORDERS = [1, 2, 3, 6, 20, 31]


def learner(shape, order, rectified, dtype):
    q, k, c = shape
    rng = np.random.default_rng(q + k + order)
    products = rng.normal(0, 1, (q, k))
    off, switched = rng.normal(0, 0.3, k), rng.normal(0, 0.4, (c, k))
    scale = 1 / (np.abs(products).max(axis=1) + np.abs(off).max() + np.abs(switched).max())
    return reference.Learner(
        products.astype(dtype), scale.astype(dtype), off.astype(dtype), switched.astype(dtype),
        order, rectified,
    )  # fmt: skip


def close(got, expected, size):
    """Whether they agree to rounding of sums of numbers of that size, in the type of ``got``."""
    unit = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=64 * unit, atol=64 * unit * size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_reference(shape, order, rectified, dtype):
    case = learner(shape, order, rectified, dtype)
    overlaps = learning.Overlaps(*case[1:])
    pull = np.random.default_rng(1).normal(0, 1, (shape[0], shape[2])).astype(dtype)
    energies = learning.saved(case.products, overlaps, 1)
    expected = reference.dense_saved(case)
    assert energies.dtype == dtype
    close(energies, expected, np.abs(expected).max() + order)
    products = case.products.copy()
    units = learning.pulled(products, overlaps, pull, 1)
    shared, by_unit = reference.dense_pulled(case, pull)
    close(products, shared, order * np.abs(pull).sum(axis=1).max())
    close(units, by_unit, order * np.abs(pull).sum())
    for threads in (2, 3):
        assert (learning.saved(case.products, overlaps, threads) == energies).all()
        again = case.products.copy()
        assert (learning.pulled(again, overlaps, pull, threads) == units).all()
        assert (again == products).all()


def test_many_threads_change_no_bit():
    case = learner((150, 1000, 10), 5, True, "float32")
    overlaps = learning.Overlaps(*case[1:])
    pull = np.random.default_rng(1).normal(0, 1, (150, 10)).astype("float32")
    found = []
    for threads in (1, 2, 5):
        products = case.products.copy()
        energies = learning.saved(products, overlaps, threads)
        units = learning.pulled(products, overlaps, pull, threads)
        found.append((energies.tobytes(), units.tobytes(), products.tobytes()))
    assert found[0] == found[1] == found[2]


def test_an_input_is_the_same_alone_and_among_others():
    case = learner((9, 50, 4), 7, True, "float32")
    overlaps = learning.Overlaps(*case[1:])
    together = learning.saved(case.products, overlaps, 1)
    for some in (slice(0, 1), slice(3, 6), slice(2, 9)):
        alone = learning.saved(np.ascontiguousarray(case.products[some]), overlaps.of(some), 1)
        assert (alone == together[some]).all()


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("order", [2, 3, 8])
def test_pulls_are_the_slope_of_the_energies(order, rectified):
    """By finite differences of products and units, both in the engine."""
    rng = np.random.default_rng(order)
    products, units = rng.normal(0, 0.5, (5, 6)), rng.normal(0, 0.3, (3, 6))
    pull = rng.normal(0, 1, (5, 3))

    def overlaps(units):
        return learning.Overlaps(np.ones(5), -units.sum(axis=0), 2 * units, order, rectified)

    def loss(products, units):
        return (pull * learning.saved(products, overlaps(units), 1)).sum() / order

    def slopes(f, x):
        out = np.empty_like(x)
        for place in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[place] = 1e-6
            out[place] = (f(x + step) - f(x - step)) / 2e-6
        return out

    shared = products.copy()
    by_unit = learning.pulled(shared, overlaps(units), pull, 1)
    np.testing.assert_allclose(shared, slopes(lambda x: loss(x, units), products), atol=1e-7)
    np.testing.assert_allclose(by_unit, slopes(lambda x: loss(products, x), units), atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (16, 16), (17, 33), (70, 100)])
def test_a_step_is_the_reference(shape, dtype):
    rng = np.random.default_rng(shape[0])
    gradient, memories, velocity = rng.normal(0, 0.5, (3, *shape)).astype(dtype)
    memories = memories.clip(-1, 1)
    gradient[0] = 0
    pace = {"momentum": 0.6, "unit": 3.0, "rate": 0.2, "least": 1e-30}
    expected = reference.dense_follow(gradient, memories, velocity, *pace.values())
    before, found = memories[0].copy(), []
    for threads in (1, 2, 3):
        moved, speed = memories.copy(), velocity.copy()
        largest = learning.follow(gradient, moved, speed, **pace, threads=threads)
        close(moved, expected[0], 1)
        close(speed, expected[1], 1)
        assert largest == pytest.approx(expected[2], rel=1e-6)
        assert (moved[0] == before).all()
        found.append((moved.tobytes(), speed.tobytes()))
    assert found[0] == found[1] == found[2]


def test_what_is_too_small_is_nothing():
    """Powers below the normal numbers would be slow, velocities would never end."""
    tiny = np.float32(1e-3)
    overlaps = learning.Overlaps(
        np.ones(1, "f4"), np.zeros(1, "f4"), np.full((1, 1), tiny), 20, True
    )
    products = np.zeros((1, 1), "f4")
    assert learning.saved(products, overlaps, 1) == 0
    assert learning.pulled(products, overlaps, np.ones((1, 1), "f4"), 1) == 0
    velocity, memories = np.full((1, 1), 1e-37, "f4"), np.zeros((1, 1), "f4")
    pace = {"momentum": 0.01, "unit": 1.0, "rate": 1.0, "least": 1e-30}
    assert learning.follow(products, memories, velocity, **pace, threads=1) == 0
    assert velocity == 0 and memories == 0


@pytest.mark.parametrize(("n", "temperature"), [(40, 0.05), (30, 0.03), (20, 0.02), (3, 0.05)])
def test_low_temperatures_learn_as_they_do_in_double_precision(n, temperature) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.choice([-1.0, 1.0], (3, 32))[y] * np.where(rng.random((90, 32)) < 0.05, -1, 1)
    scores = []
    for dtype in ("auto", "float64"):
        model = am.DenseAssociativeClassifier(
            30, n=n, temperature=temperature, n_epochs=10, scale=None, dtype=dtype
        )
        scores.append(model.fit(x, y).score(x, y))
    assert abs(scores[0] - scores[1]) < 0.05


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "changed",
    [{"n_memories": 7}, {"n": 5}, {"interaction": "power"}, {"scale": None}, {"dtype": "float64"}],
)
def test_what_was_changed_since_training_is_not_saved_with_it(tmp_path, changed) -> None:
    x = np.random.default_rng(0).normal(size=(20, 6))
    model = am.DenseAssociativeClassifier(4, n_epochs=2).fit(x, np.arange(20) % 2)
    model.save(tmp_path / "m")
    before = {name: getattr(model, name) for name in changed}
    with pytest.raises(ValueError, match=f"{next(iter(changed))} changed since"):
        model.set_params(**changed).save(tmp_path / "m")
    model.set_params(**before, temperature=0.5).save(tmp_path / "m")
    again = am.load(tmp_path / "m")
    np.testing.assert_array_equal(again.decision_function(x), model.decision_function(x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("changed", [{"n_memories": 7}, {"scale": None}, {"dtype": "float64"}])
def test_what_memories_are_made_of_is_not_changed_while_they_learn(tmp_path, changed) -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 6)), np.arange(20) % 2
    model = am.DenseAssociativeClassifier(4, n_epochs=2).partial_fit(x, y)
    before = {name: getattr(model, name) for name in changed}
    with pytest.raises(ValueError, match=f"{next(iter(changed))} changed since"):
        model.set_params(**changed).partial_fit(x, y)
    model.set_params(**before, n=5).partial_fit(x, y).save(tmp_path / "m")
    again = am.load(tmp_path / "m")
    np.testing.assert_array_equal(again.decision_function(x), model.decision_function(x))
