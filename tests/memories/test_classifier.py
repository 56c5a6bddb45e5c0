"""The dense associative classifier: gradients, digits, the exclusive or, schedules, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am

XOR = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
XOR_LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.3, random_state=0)


@pytest.fixture(scope="module")
def trained(digits):
    return am.DenseAssociativeClassifier(50, 3, n_epochs=30).fit(digits[0], digits[2])


def energies(v, memories, n, rectified, temperature):
    """Saved energies by the formula itself, one state at a time."""
    d = v.shape[1]
    n_classes = memories.shape[1] - d
    force = (lambda x: np.maximum(x, 0) ** n) if rectified else (lambda x: x**n)
    saved = np.empty((len(v), n_classes))
    for row, x in enumerate(v):
        off = np.concatenate([x, -np.ones(n_classes)])
        for a in range(n_classes):
            on = off.copy()
            on[d + a] = 1
            saved[row, a] = sum(
                force(memory @ on / temperature) - force(memory @ off / temperature)
                for memory in memories
            )
    return saved


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("interaction", ["power", "rectified"])
def test_energies_are_the_formula(n, interaction):
    rng = np.random.default_rng(n)
    X, y = rng.uniform(-1, 1, (20, 7)), np.arange(20) % 3
    model = am.DenseAssociativeClassifier(
        6, n, interaction=interaction, dtype="float64", scale=None, n_epochs=2
    ).fit(X, y)
    memories = np.hstack([model.weights_, model.labels_])
    expected = energies(X, memories, n, interaction == "rectified", model.temperature_)
    np.testing.assert_allclose(model.decision_function(X), expected, rtol=1e-9, atol=1e-12)
    assert (model.predict(X) == expected.argmax(axis=1)).all()


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("interaction", ["power", "rectified"])
def test_one_step_follows_the_gradient(n, interaction):
    """A step without momentum goes down the gradient, each memory as far as the rate says."""
    rng = np.random.default_rng(0)
    X, y = rng.uniform(-1, 1, (9, 5)), np.arange(9) % 3
    rate, temperature = 1e-3, 0.7
    model = am.DenseAssociativeClassifier(
        4, n, interaction=interaction, dtype="float64", scale=None, momentum=0.0, n_epochs=1,
        learning_rate=rate, temperature=temperature, batch_size=9, loss_power=2,
    )  # fmt: skip
    start = np.random.default_rng(0).normal(-0.3, 0.3, (4, 8))
    model.fit(X, y)
    targets = np.where(np.arange(3) == y[:, None], 1, -1)

    def loss(memories):
        z = energies(X, memories, n, interaction == "rectified", model.temperature_)
        return ((np.tanh(z) - targets) ** 4).sum()

    gradient = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        step = np.zeros_like(start)
        step[place] = 1e-6
        gradient[place] = (loss(start + step) - loss(start - step)) / 2e-6
    scale = np.abs(gradient).max(axis=1, keepdims=True)
    expected = start - rate * np.divide(gradient, scale, where=scale > 1e-9, out=0 * gradient)
    moved = np.hstack([model.weights_, model.labels_])
    np.testing.assert_allclose(moved, np.clip(expected, -1, 1), atol=2e-7)


@pytest.mark.parametrize("n", [3, 20])  # ``amfast reproduce dam-digits`` trains more
def test_digits(digits, n):
    train, test, train_labels, test_labels = digits
    model = am.DenseAssociativeClassifier(100, n).fit(train, train_labels)
    assert 1 - model.score(test, test_labels) <= 0.04
    # Features at a small power, prototypes at a large one.
    low, high = {3: (0.0, 0.8), 20: (0.8, 1.0)}[n]
    assert low <= model.dominance(test) <= high


@pytest.mark.parametrize("n", [2, 3, 4])
def test_exclusive_or(n):
    """Rectified units can hold it at any order from 2 on, and find it from nearly any start."""
    X, y = np.tile(XOR, (8, 1)), np.tile(XOR_LABELS, 8)
    settings = {"temperature": 0.9, "n_epochs": 200, "batch_size": 8}
    models = [am.DenseAssociativeClassifier(16, n, seed=seed, **settings) for seed in range(5)]
    assert sum(solves(model, X, y) for model in models) >= 4


def solves(model, X, y):
    try:
        return model.fit(X, y).score(XOR, XOR_LABELS) == 1.0
    except ValueError as error:  # an input that no memory takes notice of is never learned
        assert "every gradient is zero" in str(error)
        return False


def test_what_is_learned_stays():
    """Answers near their targets pull nothing, so memories do not wander off."""
    X, y = np.tile(XOR, (8, 1)), np.tile(XOR_LABELS, 8)
    settings = {"temperature": 0.9, "batch_size": 8, "n_epochs": 200}
    model = am.DenseAssociativeClassifier(16, 3, **settings).fit(X, y)
    weights = model.weights_
    model.partial_fit(X, y)
    assert model.error_[-1] == 0
    np.testing.assert_array_equal(model.weights_, weights)


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
def test_shapes_units_and_types(digits):
    images = digits[0].reshape(-1, 8, 8)
    model = am.DenseAssociativeClassifier(5, n_epochs=1).fit(images, digits[2].astype(str))
    assert model.memories_.shape == (5, 8, 8)
    assert model.memories_.min() >= 0 and model.memories_.max() <= 16
    assert model.weights_.shape == (5, 64) and model.labels_.shape == (5, 10)
    assert model.weights_.dtype == np.float32
    for dtype in ("float32", "float64"):
        short = am.DenseAssociativeClassifier(5, 10, dtype=dtype, n_epochs=1)
        assert short.fit(images[:50], digits[2][:50]).weights_.dtype == dtype
    assert model.predict(images[:3]).dtype.kind == "U"
    assert model.predict(images[:0]).shape == (0,)
    assert "5 memories" in repr(model)


@pytest.mark.parametrize("layout", ["fortran", "strided", "read-only", "uint8", "int64"])
def test_layouts_change_nothing(digits, trained, layout):
    X = digits[0]
    other = {
        "fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "read-only": X.copy(),
        "uint8": X.astype(np.uint8),
        "int64": X.astype(np.int64),
    }[layout]
    other.flags.writeable = False
    before = other.copy()
    model = am.DenseAssociativeClassifier(50, 3, n_epochs=30).fit(other, digits[2])
    assert (other == before).all()
    np.testing.assert_array_equal(model.weights_, trained.weights_)


def test_seeds_decide(digits, trained):
    again = am.DenseAssociativeClassifier(50, 3, n_epochs=30).fit(digits[0], digits[2])
    np.testing.assert_array_equal(again.weights_, trained.weights_)
    other = am.DenseAssociativeClassifier(50, 3, n_epochs=30, seed=1).fit(digits[0], digits[2])
    assert not np.array_equal(other.weights_, trained.weights_)


def test_partial_fit_is_fit_epoch_by_epoch(digits, trained):
    model = am.DenseAssociativeClassifier(50, 3, n_epochs=30)
    for _ in range(30):
        model.partial_fit(digits[0], digits[2])
    np.testing.assert_array_equal(model.weights_, trained.weights_)
    assert model.error_ == trained.error_


def test_partial_fit_knows_classes_to_come():
    model = am.DenseAssociativeClassifier(4)
    model.partial_fit(XOR[:2], [0, 1], classes=[0, 1, 2])
    model.partial_fit(XOR[2:], [2, 2])
    assert model.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"y\[1\] is .*3.*classes are \[0, 1, 2\]"):
        model.partial_fit(XOR[:2], [0, 3])


def test_patience_stops_early():
    X, y = np.tile(XOR, (8, 1)), np.tile(XOR_LABELS, 8)
    model = am.DenseAssociativeClassifier(8, 3, n_epochs=500, batch_size=8, patience=5).fit(X, y)
    assert len(model.error_) < 500
    assert min(model.error_[:-5]) <= min(model.error_[-5:])


def test_dead_training_is_refused():
    with pytest.raises(ValueError, match="every gradient is zero.*temperature"):
        am.DenseAssociativeClassifier(4, 30, temperature=0.01, n_epochs=50).fit(XOR, XOR_LABELS)


def test_chance_is_told(digits):
    model = am.DenseAssociativeClassifier(3, 3, n_epochs=1, learning_rate=1e-9)
    with pytest.warns(RuntimeWarning, match="no better than"):
        model.fit(XOR, XOR_LABELS)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.zeros((0, 3)), [], "no rows"),
        (np.zeros(3), [0], "1-d"),
        (np.zeros((4, 0)), [0, 1, 0, 1], "0 columns"),
        (XOR, [0, 1, 1], r"shape \(4,\)"),
        (XOR, [0, 0, 0, 0], "at least 2 classes"),
        (XOR, [0, 1, np.nan, 0], r"y\[2\]"),
        (np.ones((4, 2)), XOR_LABELS, "constant"),
        (np.where(XOR > 0, np.nan, XOR), XOR_LABELS, "row 1"),
        (np.where(XOR > 0, np.inf, XOR), XOR_LABELS, "row 1"),
    ],
)
def test_bad_data(X, y, match):
    with pytest.raises(ValueError, match=match):
        am.DenseAssociativeClassifier(2).fit(X, y)


MIXED = "(y|classes) must be of one kind that sorts, such as numbers or text, got "


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        ([1, "a", None, 1], TypeError, MIXED + "NoneType and int and str"),
        ([1, "a", 1, "a"], TypeError, MIXED + "int and str"),  # of which NumPy makes text
        (np.array([1, "a"] * 2, object), TypeError, MIXED + "int and str"),
        ([None] * 4, TypeError, MIXED + "NoneType"),
        ([[1], [1, 2]] * 2, ValueError, "one label for each .*, got ragged lists"),
        (np.array([0, 1] * 2, "i4,i4"), TypeError, "one label for each .*, got records"),
        (np.array(["2020", "NaT"] * 2, "M8[D]"), ValueError, r"\[1\] is NaT, which equals no"),
        (np.array([0.0, np.nan] * 2, object), ValueError, r"\[1\] is nan, which equals no"),
        (np.ma.array([0, 1] * 2, mask=[0, 1] * 2), ValueError, "masked entries in"),
    ],
)
def test_labels_are_of_one_kind(y, error, match):
    model = am.DenseAssociativeClassifier(2)
    for learn in (model.fit, model.partial_fit, lambda X, y: model.partial_fit(X[:1], [0], y)):
        with pytest.raises(error, match=match):
            learn(XOR, y)


def test_labels_of_another_kind_are_no_classes():
    """Whether or not the two kinds can be compared."""
    named = am.DenseAssociativeClassifier(2, n_epochs=1).partial_fit(XOR, ["a", "b"] * 2)
    counted = am.DenseAssociativeClassifier(2, n_epochs=1).partial_fit(XOR, XOR_LABELS)
    for model, y in (
        (named, np.array([0, 1] * 2, object)),
        (counted, ["a", "b"] * 2),
        (counted, np.array(["a", "b"] * 2, object)),
        (counted, np.array(["2020", "2021"] * 2, "M8[Y]")),
    ):
        with pytest.raises(ValueError, match=r"y\[0\] is .*, the classes are \["):
            model.partial_fit(XOR, y)


def test_inputs_near_0_are_taken_as_they_are():
    """With ``scale=None``: nothing is added to them that they would be lost beside."""
    for size, told in (
        (1e-20, "every gradient is zero.* the mean magnitude 2e-20 of the inputs, is too low"),
        (1e-40, "every gradient is zero.* the mean magnitude 2e-40 of the inputs, is too low"),
        (1e-46, "X must have entries that float32 tells from 0 .*, got none above 1e-46"),
    ):
        with pytest.raises(ValueError, match=told):
            am.DenseAssociativeClassifier(4, scale=None).fit(XOR * size, XOR_LABELS)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n_memories": 0}, ValueError),
        ({"n_memories": 2.0}, TypeError),
        ({"n": 0}, ValueError),
        ({"n": 41}, ValueError),
        ({"interaction": "exp"}, ValueError),
        ({"loss_power": 0}, ValueError),
        ({"temperature": 0.0}, ValueError),
        ({"temperature": (1.0, 2.0, 3.0)}, ValueError),
        ({"temperature": (1.0, -1.0)}, ValueError),
        ({"learning_rate": 0.0}, ValueError),
        ({"learning_rate": np.nan}, ValueError),
        ({"learning_rate": 1e300}, ValueError),
        # Which overflow, and are told without NumPy's warnings.
        ({"temperature": 1e-300}, ValueError),
        ({"temperature": 1e300}, ValueError),
        ({"decay": 1.5}, ValueError),
        ({"momentum": 1.0}, ValueError),
        ({"n_epochs": 0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"scale": "unit"}, ValueError),
        ({"patience": 0}, ValueError),
        ({"dtype": "float16"}, ValueError),
        ({"seed": -1}, ValueError),
        ({"verbose": 1}, TypeError),
    ],
)
def test_bad_settings(arguments, error):
    name = next(iter(arguments))
    model = am.DenseAssociativeClassifier(**{"n_memories": 2, **arguments})
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(error, match=name):
            learn(XOR, XOR_LABELS)
    assert not [given for given in vars(model) if given.endswith("_")]


@pytest.mark.parametrize(
    "name",
    ["n_memories", "temperature", "learning_rate", "decay", "momentum", "n", "loss_power",
     "n_epochs", "batch_size", "patience", "seed"],
)  # fmt: skip
def test_numbers_beyond_floats_are_refused_by_name(name):
    model = am.DenseAssociativeClassifier(**{"n_memories": 2, name: 10**400})
    with pytest.raises(ValueError, match=name):
        model.fit(XOR, XOR_LABELS)


def test_memories_that_do_not_fit_are_refused():
    with pytest.raises(MemoryError, match="memories"):
        am.DenseAssociativeClassifier(2**50).fit(XOR, XOR_LABELS)


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
def test_it_is_an_estimator():
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import cross_val_score

    given = {"n_memories": 4, "n": 3, "temperature": (0.5, 0.25), "seed": 3, "n_epochs": 3}
    model = am.DenseAssociativeClassifier(**given).fit(XOR, XOR_LABELS)
    twin = clone(model)
    assert twin.get_params() == model.get_params() and not hasattr(twin, "network_")
    assert model.get_params().items() >= given.items() and len(model.get_params()) == 15
    twin.fit(XOR, XOR_LABELS)
    np.testing.assert_array_equal(twin.weights_, model.weights_)
    assert twin.set_params(n=5, momentum=0.5) is twin and (twin.n, twin.momentum) == (5, 0.5)
    with pytest.raises(ValueError, match="unknown parameter 'temprature'; did you mean 'temperat"):
        twin.set_params(n=9, temprature=1.0)
    assert twin.n == 5 and is_classifier(model)
    X, y = np.tile(XOR, (8, 1)), np.tile(XOR_LABELS, 8)
    model = am.DenseAssociativeClassifier(16, batch_size=8, n_epochs=200)
    assert cross_val_score(model, X, y, cv=2).tolist() == [1.0, 1.0]


def test_an_input_has_the_same_energies_alone_and_among_others(digits, trained):
    for model in (trained, am.DenseAssociativeClassifier(7, 6, n_epochs=1).fit(*digits[::2])):
        together = model.decision_function(digits[1])
        for rows in (slice(0, 1), slice(3, 4), slice(5, 8), slice(1, 100)):
            alone = model.decision_function(digits[1][rows])
            assert alone.dtype == together.dtype
            assert alone.tobytes() == together[rows].tobytes()
        with am.threads(2):
            assert model.decision_function(digits[1]).tobytes() == together.tobytes()


def test_a_failed_or_interrupted_fit_leaves_what_was_learned(monkeypatch):
    from amfast.memories.dense.training import Network

    model = am.DenseAssociativeClassifier(4, n_epochs=3).fit(XOR, XOR_LABELS)
    before, weights = vars(model).copy(), model.weights_
    steps = []

    def stopped(*args):
        steps.append(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(Network, "_move", stopped)
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            learn(XOR[::-1], XOR_LABELS)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is before[name] for name in before)
        np.testing.assert_array_equal(model.weights_, weights)
    assert len(steps) == 2


def test_what_is_handed_out_is_a_copy(trained):
    for name in ("weights_", "labels_", "memories_"):
        first = getattr(trained, name)
        first[:] = 7
        assert (getattr(trained, name) != 7).any()
    assert np.abs(trained.weights_).max() <= 1 and np.abs(trained.labels_).max() <= 1


def test_labels_may_be_finite_floats():
    model = am.DenseAssociativeClassifier(8, n_epochs=200, batch_size=8)
    X, y = np.tile(XOR, (8, 1)), np.tile([0.5, -1.5, -1.5, 0.5], 8)
    assert model.fit(X, y).predict(XOR).tolist() == [0.5, -1.5, -1.5, 0.5]
    assert model.classes_.tolist() == [-1.5, 0.5]


@pytest.mark.filterwarnings("ignore:the training error:RuntimeWarning")
@pytest.mark.parametrize("n", [1, 3, 20])
def test_dominance_counts_inputs_that_one_memory_decides(n):
    rng = np.random.default_rng(n)
    X, y = rng.uniform(-1, 1, (60, 6)), np.arange(60) % 3
    model = am.DenseAssociativeClassifier(5, n, scale=None, n_epochs=4, dtype="float64").fit(X, y)
    single = 0
    for x in X:
        off = np.r_[x, -np.ones(3)]
        parts = np.empty((3, 5))
        for a in range(3):
            on = off.copy()
            on[6 + a] = 1
            for k, memory in enumerate(np.hstack([model.weights_, model.labels_])):
                worth = [max(memory @ state / model.temperature_, 0) ** n for state in (on, off)]
                parts[a, k] = worth[0] - worth[1]
        best = max(range(3), key=lambda a: parts[a].sum())
        single += sum(part > 0.9 * parts[best].max() for part in parts[best]) == 1
    assert model.dominance(X) == single / 60
    assert 0 < single


def test_bad_use(trained):
    with pytest.raises(ValueError, match="call fit first"):
        am.DenseAssociativeClassifier(2).predict(XOR)
    with pytest.raises(ValueError, match="X have 2 columns, the classifier learned from 64"):
        trained.predict(XOR)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        am.DenseAssociativeClassifier(2, scale=None).fit(XOR * 2, XOR_LABELS)


def test_inputs_far_from_zero_keep_their_differences():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    y = x[:, 0] > 0
    settings = {"n": 3, "n_epochs": 5}
    near = am.DenseAssociativeClassifier(4, **settings).fit(np.round(x, 3), y)
    far = am.DenseAssociativeClassifier(4, **settings).fit(np.round(x, 3) + 1e9, y)
    np.testing.assert_allclose(near.weights_, far.weights_, atol=1e-2)
    for scale in (1e302, 1e-302):
        with pytest.raises(ValueError, match="rescale"):
            am.DenseAssociativeClassifier(4, **settings).fit(x * scale, y)
    for use in (near.dominance, lambda none: near.score(none, y[:0])):
        with pytest.raises(ValueError, match="no rows"):
            use(x[:0])
