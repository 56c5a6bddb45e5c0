"""Regression on measures: gradients, what it learns, what must not change it, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast.memories import measure_regressor
from amfast.memories.measure_regressor import _forward, _gradient, _read

TAGS = np.eye(4)


def contexts(n, seed=0, split=False):
    """Contexts of four tags with two numbers each, asked for one: the answer is its first."""
    rng = np.random.default_rng(seed)
    contents, asked = rng.uniform(-1, 1, (n, 4, 2)), rng.integers(0, 4, n)
    measures = []
    for v in contents:
        share = rng.uniform(0.1, 0.9, 4)
        masses = np.concatenate([share, 1 - share])
        order = rng.permutation(8)
        points, values = np.tile(TAGS, (2, 1)), np.tile(v, (2, 1))
        if split:
            measures.append(am.Measure(points[order], masses[order], values[order]))
        else:
            measures.append(am.Measure(TAGS, values=v))
    return measures, TAGS[asked], contents[np.arange(n), asked, 0], asked


@pytest.fixture(scope="module")
def model():
    measures, queries, y, _ = contexts(300)
    return am.MeasureRegressor().fit(measures, queries, y)


def test_it_finds_the_component_that_is_asked(model):
    measures, queries, y, asked = contexts(200, 1)
    weights = model.weights(measures, queries)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights.argmax(axis=1) == asked).all()
    assert weights[np.arange(200), asked].mean() > 0.9
    assert ((model.predict(measures, queries) - y) ** 2).mean() < 0.02 * y.var()
    recalled = model.recall(measures, queries)
    np.testing.assert_allclose(recalled[:, 0], y, atol=0.3)
    off = model.attention_[~np.eye(4, dtype=bool)]
    assert np.diagonal(model.attention_).min() > off.max() + 1
    assert model.loss_[-1] < 0.02 < model.loss_[0]
    assert len(model.loss_) == 300


def test_weights_are_those_of_a_measure(model):
    """With A between, `Measure.retrieve` reads the same."""
    measures, queries, *_ = contexts(5, 1, split=True)
    recalled = model.recall(measures, queries)
    for one, query, expected in zip(measures, queries, recalled, strict=True):
        read = one.retrieve(model.attention_ @ query, 1.0, warn=False)
        np.testing.assert_allclose(read, expected, rtol=1e-9, atol=1e-12)


def test_splitting_masses_and_order_change_nothing(model):
    whole, queries, *_ = contexts(20, 2)
    split, *_ = contexts(20, 2, split=True)
    lone = [am.Measure([*one.points, [9.0] * 4], [1] * 4 + [0], [*one.values, [np.nan] * 2])
            for one in whole]  # fmt: skip
    # The masses of a split tag add up to those of a whole one.
    expected = model.predict(whole, queries)
    for other in (split, lone):
        np.testing.assert_allclose(model.predict(other, queries), expected, rtol=0, atol=1e-12)
    mixed = [*whole[:10], *split[10:]]  # of different lengths
    np.testing.assert_allclose(model.predict(mixed, queries), expected, rtol=0, atol=1e-12)
    assert model.weights(mixed, queries)[0, 4:].sum() == 0


def test_gradients_are_differences():
    measures, queries, y, _ = contexts(7)
    data, targets = _read(measures, queries), y[:, None]
    rng = np.random.default_rng(0)
    shapes = {"A": (4, 4), "W": (2, 3), "b": (3,), "U": (3, 1), "c": (1,)}
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    loss, gradient = _gradient(weights, data, targets)
    assert loss == pytest.approx(((_forward(weights, data)[3] - targets) ** 2).mean())
    step = 1e-6
    for name, x in weights.items():
        for place in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                moved = {**weights, name: x.copy()}
                moved[name][place] += sign * step
                ends.append(_gradient(moved, data, targets)[0])
            assert gradient[name][place] == pytest.approx(
                (ends[0] - ends[1]) / (2 * step), abs=1e-7
            )


def test_units_do_not_matter():
    measures, queries, y, _ = contexts(60)
    scaled = [am.Measure(1e3 * m.points, values=1e-4 * m.values + 7) for m in measures]
    plain = am.MeasureRegressor(n_epochs=3).fit(measures, queries, y)
    other = am.MeasureRegressor(n_epochs=3).fit(scaled, 1e5 * queries, 50 * y - 3)
    expected = 50 * plain.predict(measures, queries) - 3
    np.testing.assert_allclose(other.predict(scaled, 1e5 * queries), expected, rtol=1e-6)


def test_the_seed_decides():
    measures, queries, y, _ = contexts(40)

    def answers(seed):
        made = am.MeasureRegressor(n_epochs=2, seed=seed).fit(measures, queries, y)
        return made.predict(measures, queries)

    assert (answers(3) == answers(3)).all()
    assert (answers(3) != answers(4)).all()


def test_several_answers():
    measures, queries, y, asked = contexts(300)
    both = np.array([m.values[i] for m, i in zip(measures, asked, strict=True)])
    model = am.MeasureRegressor(n_epochs=60).fit(measures, queries, both)
    found = model.predict(measures, queries)
    assert found.shape == (300, 2)
    assert ((found - both) ** 2).mean() < 0.05 * both.var()


def test_progress_is_shown_on_a_terminal(capsys):
    measures, queries, y, _ = contexts(40)
    am.MeasureRegressor(n_epochs=2, verbose=True).fit(measures, queries, y)
    assert capsys.readouterr().out == ""


def test_files(model, tmp_path):
    measures, queries, *_ = contexts(20, 1)
    other = am.load(model.save(tmp_path / "model"))
    assert repr(other) == repr(model) == "<MeasureRegressor(32, n_epochs=300): fitted>"
    assert (other.predict(measures, queries) == model.predict(measures, queries)).all()
    assert other.loss_ == model.loss_
    empty = am.load(am.MeasureRegressor(5).save(tmp_path / "empty"))
    assert repr(empty) == "<MeasureRegressor(5, n_epochs=300): not fitted>"
    parts, arrays = model._saved()
    for name, x in (("weights.W", np.ones((3, 32))), ("units.y_mean", np.ones(2))):
        with pytest.raises(ValueError, match="fit"):
            am.MeasureRegressor._restored(parts, arrays | {name: x})
    for name in arrays:
        with pytest.raises((ValueError, KeyError)):
            am.MeasureRegressor._restored(parts, {n: x for n, x in arrays.items() if n != name})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m, q, y: (m, q[:5], y), "queries have 5 rows, there are 20 measures"),
        (lambda m, q, y: (m, q, y[:5]), "y has 5 rows, there are 20 measures"),
        (lambda m, q, y: ([], q, y), "measures are empty"),
        (lambda m, q, y: (m, q * np.nan, y), "queries"),
        (lambda m, q, y: (m, q, y * np.inf), "y"),
        (lambda m, q, y: (m, q, y * 0 + 2), "y must vary"),
        (lambda m, q, y: (m, q, y * 1e200), "y are too large"),
        (lambda m, q, y: (m, q, y * 1e-300), "y are too small to be squared; scale them"),
        (lambda m, q, y: (m, q, y * 1e-160), "y are too small to be squared; scale them"),
        (lambda m, q, y: (m, q * 1e200, y), "queries are too large"),
        (lambda m, q, y: (m, q * 1e-200, y), "queries are too small"),
        (lambda m, q, y: (m[:1], q[:1], y[:1]), "y must vary, all its rows are equal"),
        (lambda m, q, y: ([am.Measure([[1.0]]), *m[1:]], q, y), "points of measure 1"),
        (lambda m, q, y: ([*m[1:], am.Measure(TAGS)], q, y), "values of measure 19"),
    ],
)
def test_bad_contexts(change, named):
    measures, queries, y, _ = contexts(20)
    with pytest.raises(ValueError, match=named):
        am.MeasureRegressor(n_epochs=1).fit(*change(measures, queries, y))


def test_bad_types():
    measures, queries, y, _ = contexts(20)
    with pytest.raises(TypeError, match="entry 1 is list"):
        am.MeasureRegressor().fit([measures[0], [1.0]], queries[:2], y[:2])
    with pytest.raises(TypeError, match="entry 0 is int"):
        am.MeasureRegressor().fit(3, queries, y)
    for name, wrong in (("n_hidden", 0), ("n_epochs", 0), ("batch_size", 0), ("decay", -1.0),
                        ("learning_rate", 0.0), ("seed", -1)):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            am.MeasureRegressor(**{name: wrong})


def test_asking_before_and_beside_what_was_learned(model):
    measures, queries, *_ = contexts(3)
    new = am.MeasureRegressor()
    for ask in (new.predict, new.recall, new.weights):
        with pytest.raises(ValueError, match="call fit first"):
            ask(measures, queries)
    with pytest.raises(ValueError, match="call fit first"):
        assert new.attention_
    with pytest.raises(ValueError, match="queries have 3 columns, fit saw 4"):
        model.predict(measures, queries[:, :3])
    with pytest.raises(ValueError, match="values have 4 columns, fit saw 2"):
        model.predict([am.Measure(TAGS)], queries[:1])


def test_a_training_that_diverges_leaves_what_was_learned(monkeypatch):
    measures, queries, y, _ = contexts(40)
    model = am.MeasureRegressor(n_epochs=2).fit(measures, queries, y)
    before = model.predict(measures, queries)
    monkeypatch.setattr(measure_regressor, "_gradient", lambda *_: (np.inf, {}))
    with pytest.raises(ValueError, match="left the range of floats"):
        model.fit(measures, queries, y)
    assert (model.predict(measures, queries) == before).all()


def test_what_is_set_later_is_checked_before_it_counts(tmp_path):
    measures, queries, y, _ = contexts(40)
    model = am.MeasureRegressor(n_epochs=2).fit(measures, queries, y)
    before = model.predict(measures, queries)
    model.learning_rate = 1e300
    for use in (lambda: model.fit(measures, queries, y), lambda: model.save(tmp_path / "m")):
        with pytest.raises(ValueError, match="learning_rate must be a number in"):
            use()
    model.learning_rate, model.n_hidden = 0.1, 5
    with pytest.raises(ValueError, match="n_hidden changed since the network was trained"):
        model.save(tmp_path / "m")
    model.n_hidden = 32
    model.save(tmp_path / "m")
    assert (am.load(tmp_path / "m").predict(measures, queries) == before).all()


def test_a_network_beyond_all_memory_is_refused():
    measures, queries, y, _ = contexts(4)
    with pytest.raises(MemoryError, match="the network of shape .* take"):
        am.MeasureRegressor(10**12).fit(measures, queries, y)
