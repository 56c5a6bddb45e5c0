"""The learned linear memory: steps by their definitions, the theory's laws, and hostile input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from conftest import layouts

import amfast as am
from amfast import theory
from amfast.memories.learned import training
from amfast.reproduce._blocks import excess_losses

OPTIMIZERS = [
    ("muon", "ambient"),
    ("gd", "ambient"),
    ("ngd", "ambient"),
    ("signgd", "ambient"),
    ("signgd", "task"),
]


def orthonormal(rng, k, d):
    return np.linalg.qr(rng.normal(size=(d, k)))[0].T


def skewed(k, groups=4):
    f = np.repeat(2.0 ** -np.arange(groups), k // groups)
    return f / f.sum()


def literal(queries, answers, f, optimizer, basis, lr, n_steps, alpha):
    """Training as the formulas are written: no spans, no stable forms."""
    k = len(queries)
    w = np.zeros((answers.shape[1], queries.shape[1]))
    labels = (1 - alpha) * np.eye(k) + alpha / k
    losses = []
    for t in range(n_steps + 1):
        share = np.exp(answers @ w @ queries.T)
        share /= share.sum(axis=0)
        losses.append(-(f * (labels * np.log(share)).sum(axis=0)).sum())
        if t == n_steps:
            break
        residual = share - labels
        gradient = sum(
            f[j] * residual[i, j] * np.outer(answers[i], queries[j])
            for i in range(k)
            for j in range(k)
        )
        if optimizer == "muon":
            u, s, vt = np.linalg.svd(gradient)
            rank = int((s > 1e-12 * s[0]).sum())
            step = u[:, :rank] @ vt[:rank]
        elif optimizer == "ngd":
            step = gradient / np.sqrt((gradient**2).sum())
        elif basis == "task":
            step = answers.T @ np.sign(residual) @ queries
        elif optimizer == "signgd":
            step = np.sign(gradient)
        else:
            step = gradient
        w = w - lr * step
    return w, np.array(losses)


@pytest.mark.filterwarnings("ignore:the loss rose")  # task signs on pairs that are not orthogonal
@pytest.mark.parametrize(("optimizer", "basis"), OPTIMIZERS)
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize(("k", "d", "o"), [(4, 4, 4), (4, 9, 6), (8, 5, 3), (4, 7, 2)])
def test_steps_are_the_formulas(rng, optimizer, basis, alpha, k, d, o) -> None:
    queries, answers = rng.normal(size=(k, d)) / 2, rng.normal(size=(k, o)) / 2
    f = skewed(k)
    lr = {"gd": 0.1, "ngd": 0.3, "muon": 0.2, "signgd": 0.01}[optimizer]
    memory = am.LinearAssociativeMemory(optimizer, lr=lr, n_steps=6, basis=basis, label_noise=alpha)
    assert memory.fit(queries, answers, frequency=f) is memory
    w, losses = literal(queries, answers, f, optimizer, basis, lr, 6, alpha)
    np.testing.assert_allclose(memory.W_, w, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(memory.loss_, losses, rtol=1e-9)
    entropy = theory.learned_entropy(k, alpha)
    np.testing.assert_allclose(memory.excess_loss_, losses - entropy, atol=1e-9)


@pytest.mark.parametrize(("optimizer", "basis"), OPTIMIZERS)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("size_q", "size_a"), [(1.0, 1.0), (3.0, 0.2)])
def test_default_step_sizes_learn_everything(rng, optimizer, basis, alpha, size_q, size_a) -> None:
    queries, answers = size_q * orthonormal(rng, 24, 40), size_a * orthonormal(rng, 24, 31)
    memory = am.LinearAssociativeMemory(
        optimizer, basis=basis, label_noise=alpha, n_steps=500 if optimizer == "gd" else 60
    )
    memory.fit(queries, answers, frequency=skewed(24))
    assert memory.loss_[0] == pytest.approx(np.log(24))
    assert memory.excess_loss_[-1] < 0.2 and memory.accuracy_[-1] == 1
    assert memory.score(queries, answers) == 1
    np.testing.assert_array_equal(memory.predict(queries), answers)


def test_noiseless_laws(rng) -> None:
    k = 96
    f = np.repeat(2.0 ** -np.arange(1, 9), 12)
    queries, answers = orthonormal(rng, k, k), orthonormal(rng, k, k)
    muon = am.LinearAssociativeMemory("muon", lr=1.0, n_steps=20).fit(queries, answers, f)
    slope, intercept = np.polyfit(np.arange(8, 17), np.log(muon.loss_[8:17]), 1)
    assert abs(slope + 1) < 0.05 and abs(intercept - np.log(k)) < 0.2
    assert muon.loss_[10] == pytest.approx(theory.muon_noiseless_loss(k, 10), rel=0.06)
    task = am.LinearAssociativeMemory("signgd", lr=0.5, n_steps=20, basis="task")
    task.fit(queries, answers, f)
    np.testing.assert_allclose(task.loss_, muon.loss_, rtol=0.1)
    gd = am.LinearAssociativeMemory("gd", n_steps=800).fit(queries, answers, f)
    assert gd.lr_ == pytest.approx(1 / (f[0] / f.sum()))
    assert gd.loss_[800] == pytest.approx(0.0074, rel=0.01)


def test_groups_and_frequencies(rng) -> None:
    queries = orthonormal(rng, 12, 12)
    names = np.repeat(["often", "rare", "never"], 4)
    f = np.repeat([10.0, 1.0, 0.0], 4)
    memory = am.LinearAssociativeMemory("gd", n_steps=50)
    memory.fit(queries, queries, frequency=f, groups=names)
    assert memory.groups_.tolist() == ["never", "often", "rare"]
    never, often, rare = memory.group_loss_[-1]
    assert often < rare < never
    assert memory.group_accuracy_.shape == (51, 3) and memory.group_accuracy_[-1, 1] == 1
    whole = memory.group_loss_ @ [0, 10 / 11, 1 / 11]
    np.testing.assert_allclose(whole, memory.excess_loss_, rtol=1e-12)
    # Frequencies need not sum to 1, and a pair asked twice is a pair of twice the frequency.
    again = am.LinearAssociativeMemory("gd", n_steps=50).fit(queries, queries, f * 1e-200)
    np.testing.assert_allclose(again.loss_, memory.loss_, rtol=1e-12)


def test_probabilities_and_recall(rng) -> None:
    queries, answers = orthonormal(rng, 10, 16), orthonormal(rng, 10, 12).astype(np.float32)
    memory = am.LinearAssociativeMemory(n_steps=5).fit(queries, answers)
    p = memory.predict_proba(queries, threads=2)
    logits = answers @ memory.W_ @ queries.T
    expected = np.exp(logits - logits.max(axis=0)).T
    np.testing.assert_allclose(p, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)
    np.testing.assert_array_equal(memory.predict_proba(queries[3], threads=1), p[3])
    assert memory.predict(queries).dtype == np.float32 and len(memory) == 10
    np.testing.assert_array_equal(memory.recall(queries[3]), answers[3])
    found = memory.recall(queries, details=True)
    np.testing.assert_array_equal(found.state, answers)
    assert found.energy is None and found.converged.all() and (found.n_iter == 1).all()
    np.testing.assert_allclose(found.log_scale, np.log(np.exp(logits).sum(axis=0)), rtol=1e-9)
    assert memory.recall(queries[0], details=True).log_scale == found.log_scale[0]
    assert memory.predict_proba(np.empty((0, 16))).shape == (0, 10)
    # What was learned does not change with the caller's arrays.
    kept = answers.copy()
    answers[:] = 0
    np.testing.assert_array_equal(memory.predict(queries), kept)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8"])
def test_layouts_and_types(rng, dtype) -> None:
    queries = np.eye(6, 8).astype(dtype)
    answers = rng.normal(size=(6, 5))
    expected = am.LinearAssociativeMemory(n_steps=4).fit(queries, answers)
    for _, q in layouts(queries):
        for _, a in layouts(answers):
            memory = am.LinearAssociativeMemory(n_steps=4).fit(q, a)
            np.testing.assert_array_equal(memory.W_, expected.W_)
        np.testing.assert_array_equal(
            memory.predict_proba(q), expected.predict_proba(queries.astype(float))
        )


def test_large_logits_and_tiny_losses(rng) -> None:
    queries = orthonormal(rng, 8, 8)
    memory = am.LinearAssociativeMemory("muon", lr=100.0, n_steps=10).fit(queries, queries)
    # K e^-t in steps of 100: the second loss is e^-200, and the gradient lives on.
    assert 0 < memory.loss_[2] < 1e-80 and memory.loss_[3] < memory.loss_[2] ** 1.4
    assert np.isfinite(memory.loss_).all() and np.isfinite(memory.W_).all()
    assert memory.predict_proba(queries).max() == 1


def test_zero_gradients() -> None:
    one = am.LinearAssociativeMemory(n_steps=3).fit([[1.0, 2.0]], [[3.0]])
    assert not one.W_.any() and not one.loss_.any() and one.predict_proba([1.0, 0.0]) == 1
    for optimizer in ("muon", "ngd", "signgd", "gd"):
        zero = am.LinearAssociativeMemory(optimizer, n_steps=3).fit(np.zeros((2, 3)), np.eye(2))
        assert not zero.W_.any()
        np.testing.assert_allclose(zero.loss_, np.log(2))
    np.testing.assert_array_equal(training.matrix_sign(np.zeros((2, 3))), np.zeros((2, 3)))
    np.testing.assert_array_equal(training.newton_schulz(np.zeros((3, 2))), np.zeros((3, 2)))


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (1, 4)])
def test_matrix_signs(rng, shape) -> None:
    x = rng.normal(size=shape)
    sign = training.matrix_sign(x)
    np.testing.assert_allclose(np.linalg.svd(sign)[1], 1, atol=1e-12)
    # The polar factor: x = sign (x^T x)^(1/2) with a positive semidefinite second factor.
    root = sign.T @ x
    np.testing.assert_allclose(root, root.T, atol=1e-12)
    assert np.linalg.eigvalsh(root)[0] > -1e-12
    rough = np.linalg.svd(training.newton_schulz(x))[1]
    assert ((rough > 0.68) & (rough < 1.21)).all()
    np.testing.assert_allclose(training.newton_schulz(x.T), training.newton_schulz(x).T)
    low = np.outer(x[:, 0], x[0])
    assert np.linalg.matrix_rank(training.matrix_sign(low)) == 1


@pytest.mark.parametrize("share", [3e-4, 2e-3, 0.05, 0.6])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_newton_schulz_ends_in_the_range_of_the_theory(rng, share, steps) -> None:
    """Over a fine grid of singular values: inside, and the ends are reached."""
    low, high = theory.newton_schulz_range(share, steps)
    reached = []
    for s in np.geomspace(share, 1, 400):
        # Of unit Frobenius norm with s among its singular values.
        u, v = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
        spread = np.array([s, np.sqrt((1 - s * s) / 2), np.sqrt((1 - s * s) / 2)])
        rough = training.newton_schulz(u * spread @ v, steps)
        reached.append(u[:, 0] @ rough @ v[0])
    assert min(reached) >= low - 1e-9 and max(reached) <= high + 1e-9
    assert min(reached) == pytest.approx(low, abs=0.01)
    assert max(reached) == pytest.approx(high, abs=0.01)


def test_newton_schulz_preconditions(rng) -> None:
    """What the range says of the step: its distance from the sign, its slope, its condition."""
    for shape in [(6, 6), (4, 9)]:
        g = rng.normal(size=shape) * 2.0 ** -np.arange(shape[0])[:, None]
        s = np.linalg.svd(g)[1]
        low, high = theory.newton_schulz_range(s[-1] / np.linalg.norm(g))
        step = training.newton_schulz(g)
        away = np.linalg.svd(step - training.matrix_sign(g))[1][0]
        assert away <= max(1 - low, high - 1) + 1e-9
        assert (g * step).sum() >= low * s.sum() - 1e-9
        assert np.linalg.cond(step) <= high / low + 1e-9 < np.linalg.cond(g) / 4


@pytest.mark.parametrize(("k", "groups"), [(12, 3), (64, 4), (6, 6), (40, 1)])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_muons_step_is_near_that_of_one_who_knows_the_pairs(rng, k, groups, alpha) -> None:
    queries, answers = orthonormal(rng, k, k), orthonormal(rng, k, k)
    memory = am.LinearAssociativeMemory("muon", lr=0.5, label_noise=alpha)
    bound, before, away = theory.muon_alignment(k, groups), np.zeros((k, k)), []
    for _ in range(8):  # to a margin of 4, below the optimal one
        memory.partial_fit(queries, answers, skewed(k, groups))
        step = answers @ (memory.W_ - before) @ queries.T / 0.5
        before = memory.W_
        away.append(float(np.abs(step - np.eye(k)).max()))
    assert max(away) <= bound + 1e-9 <= (1 + groups) * groups / k + 2e-9
    # Columns of p^ - p sum to zero, so that S is never the identity.
    assert max(away) >= bound / groups / 2 - 1e-9


def test_newton_schulz_training(rng) -> None:
    queries = orthonormal(rng, 16, 16)
    memory = am.LinearAssociativeMemory(n_steps=30, matrix_sign="newton-schulz")
    assert memory.fit(queries, queries, skewed(16)).loss_[-1] < 1e-6


def test_going_on(rng) -> None:
    queries, answers, f = orthonormal(rng, 8, 12), orthonormal(rng, 8, 9), skewed(8)
    whole = am.LinearAssociativeMemory("muon", lr=0.5, n_steps=6).fit(queries, answers, f)
    warm = am.LinearAssociativeMemory("muon", lr=0.5, n_steps=3, warm_start=True)
    warm.fit(queries, answers, f).fit(queries, answers, f)
    np.testing.assert_allclose(warm.W_, whole.W_, atol=1e-12)
    assert len(warm.loss_) == 4
    single = am.LinearAssociativeMemory("muon", lr=0.5)
    for _ in range(6):
        single.partial_fit(queries, answers, f)
    np.testing.assert_allclose(single.W_, whole.W_, atol=1e-12)
    np.testing.assert_allclose(single.loss_, whole.loss_, rtol=1e-9)
    cold = am.LinearAssociativeMemory("muon", lr=0.5, n_steps=6)
    cold.fit(answers[:, :5], answers).fit(queries, answers, f)
    np.testing.assert_allclose(cold.W_, whole.W_, atol=1e-12)
    with pytest.raises(ValueError, match="have 5 and 9 columns, .* on 12 and 9"):
        warm.fit(answers[:, :5], answers)


def test_equal_answers_share(rng) -> None:
    queries = orthonormal(rng, 3, 3)
    answers = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    memory = am.LinearAssociativeMemory(n_steps=40).fit(queries, answers)
    assert memory.accuracy_[-1] == 1 and memory.score(queries, answers) == 1
    np.testing.assert_allclose(memory.predict_proba(queries[1])[:2], 0.5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["muon", "signgd"])
def test_differences_of_logits_that_overflow_are_a_divergence(optimizer) -> None:
    """Every logit is finite, but not the distance between two of them."""
    memory = am.LinearAssociativeMemory(optimizer, lr=1e308, n_steps=5)
    with pytest.raises(ValueError, match="diverged at step 1: lr=1e.308"):
        memory.fit(np.eye(4), np.eye(4))
    assert len(memory) == 0


def test_groups_are_of_one_kind() -> None:
    with pytest.raises(TypeError, match="groups must be of one kind"):
        am.LinearAssociativeMemory(n_steps=1).fit(np.eye(2), np.eye(2), groups=[1, None])


def test_step_sizes_that_diverge(rng) -> None:
    queries = orthonormal(rng, 4, 4)
    with pytest.warns(RuntimeWarning, match=r"lr=20 .* above 2 .* take lr <= 8"):
        am.LinearAssociativeMemory("gd", lr=20.0, n_steps=2).fit(queries, queries)
    with pytest.warns(RuntimeWarning, match="the loss rose from .* lr=300"):
        am.LinearAssociativeMemory("ngd", lr=300.0, n_steps=3, label_noise=0.5).fit(
            queries, queries
        )
    memory = am.LinearAssociativeMemory("signgd", lr=1e308, n_steps=5).fit
    with pytest.raises(ValueError, match="diverged at step 1: lr=1e\\+308"):
        memory(queries * 1e100, queries)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        am.LinearAssociativeMemory("gd", lr=8.0, n_steps=2).fit(queries, queries)


def test_bad_input() -> None:
    new = am.LinearAssociativeMemory
    eye = np.eye(3)
    for arguments, message in [
        ({"optimizer": "adam"}, "optimizer must be one of 'muon', 'gd', 'ngd', 'signgd'"),
        ({"lr": 0}, "lr must be a finite number > 0, got 0"),
        ({"lr": -1.0}, "lr must be a finite number > 0, got -1"),
        ({"lr": np.nan}, "lr must be a finite"),
        ({"n_steps": 0}, "n_steps must be an int >= 1"),
        ({"label_noise": 1.0}, "label_noise must be below 1"),
        ({"label_noise": -0.1}, "label_noise"),
        ({"basis": "own"}, "basis must be one of"),
        ({"basis": "task"}, "basis='task' is for optimizer='signgd'"),
        ({"matrix_sign": "qr"}, "matrix_sign must be one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            new(**arguments)
    nan = eye.copy()
    nan[1, 2] = np.nan
    memory = new(n_steps=2)
    for call, message in [
        (lambda: memory.fit(nan, eye), "queries row 1 has a NaN"),
        (lambda: memory.fit(eye, nan), "answers row 1 has a NaN"),
        (lambda: memory.fit(eye, eye[:2]), "answers have 2 rows, queries have 3"),
        (lambda: memory.fit(eye[0], eye), "queries must be 2-d"),
        (lambda: memory.fit(np.empty((0, 3)), np.empty((0, 3))), "queries have no rows"),
        (lambda: memory.fit(eye, eye, [1, 2]), r"frequency must have shape \(3,\)"),
        (lambda: memory.fit(eye, eye, [1, -2, 1]), "frequency must be finite and >= 0, entry 1"),
        (lambda: memory.fit(eye, eye, [1, np.inf, 1]), "frequency must be finite"),
        (lambda: memory.fit(eye, eye, [0, 0, 0]), "frequency sums to 0"),
        (lambda: memory.fit(eye, eye, groups=[1, 2]), r"groups must have shape \(3,\)"),
        (lambda: memory.fit(eye * 1e200, eye), "squares of the queries leave the range"),
        (lambda: memory.predict(eye), "not trained"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert "not trained" in repr(memory) and memory.nbytes == 0 and len(memory) == 0
    with pytest.raises(TypeError):
        memory.fit([["a"]], [[1.0]])
    memory.fit(eye, eye)
    before = memory.W_.copy()
    for call, message in [
        (lambda: memory.predict_proba(np.eye(4)), "queries have 4 columns, the memory was"),
        (lambda: memory.predict_proba(nan), "queries row 1"),
        (lambda: memory.score(eye, np.eye(3, 4)), "answers have 4 columns, .* answers with 3"),
        (lambda: memory.fit(eye, nan), "answers row 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_array_equal(memory.W_, before)
    assert memory.nbytes == 3 * eye.nbytes


def test_closed_forms() -> None:
    assert theory.learned_margin(192, 0.1) == pytest.approx(np.log(1 + 0.9 * 192 / 0.1))
    assert theory.learned_margin(192, 0) == np.inf and theory.muon_learning_rate(5, 0, 9) == 1
    # At the margin of the optimum the probabilities are the labels.
    right = np.exp(theory.learned_margin(12, 0.3))
    assert right / (right + 11) == pytest.approx(0.7 + 0.3 / 12)
    labels = np.full(12, 0.3 / 12)
    labels[0] += 0.7
    assert theory.learned_entropy(12, 0.3) == pytest.approx(-(labels * np.log(labels)).sum())
    assert theory.learned_entropy(12, 0) == 0
    assert theory.muon_learning_rate(192, 0.1, 10) == theory.learned_margin(192, 0.1) / 10
    assert theory.gd_noiseless_loss(0.5, 10, lr=2) == 0.1
    assert theory.gd_noisy_exponent(1.5) == pytest.approx(-1 / 3)
    assert theory.muon_noisy_exponent() == -2
    for call in (
        lambda: theory.gd_noisy_exponent(1.0),
        lambda: theory.gd_noiseless_loss(0, 1),
        lambda: theory.learned_margin(0, 0.1),
        lambda: theory.learned_margin(3, 1.0),
        lambda: theory.muon_alignment(10, 3),
        lambda: theory.newton_schulz_range(1.5),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("optimizer", ["gd", "muon"])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_groups_stand_for_their_pairs(rng, optimizer, alpha) -> None:
    frequency, size = np.array([5.0, 2.0, 1.0]), 4
    pairs = orthonormal(rng, 12, 12)
    lr = {"gd": 3.0, "muon": 0.7}[optimizer]
    memory = am.LinearAssociativeMemory(optimizer, lr=lr, n_steps=15, label_noise=alpha)
    memory.fit(pairs, pairs, np.repeat(frequency, size))
    losses = excess_losses(optimizer, frequency, size, alpha, lr, 15)
    np.testing.assert_allclose(losses, memory.excess_loss_, rtol=1e-7, atol=1e-13)


def trained(**settings):
    rng = np.random.default_rng(1)
    e, a = rng.normal(size=(6, 9)), rng.normal(size=(6, 4))
    memory = am.LinearAssociativeMemory(n_steps=5, **settings)
    return memory.fit(e, a, groups=list("aabbcc")), e, a


def test_the_verbs_of_all_memories() -> None:
    """They answer, or say in a sentence why not."""
    memory, e, a = trained()
    np.testing.assert_array_equal(memory.keys, e)
    np.testing.assert_array_equal(memory.values, a)
    np.testing.assert_array_equal(memory.ids, np.arange(6))
    np.testing.assert_allclose(memory.scores(e), e @ memory.W_.T @ a.T, atol=1e-12)
    np.testing.assert_array_equal(memory.weights(e), memory.predict_proba(e))
    np.testing.assert_array_equal(memory.scores(e[2]), memory.scores(e)[2])
    for call, message in (
        (lambda: memory.store(e, a), "trained; call fit"),
        (lambda: memory.merge(memory), "fit on the pairs of both"),
        (lambda: memory.delete([0]), "fit again without"),
        (lambda: memory.energy(a), "no energy: an answer is one softmax"),
        (lambda: am.LinearAssociativeMemory().recall(e), "not trained"),
        (lambda: am.LinearAssociativeMemory().scores(e), "not trained"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert len(memory.merge(am.LinearAssociativeMemory(n_steps=5))) == 6
    with pytest.raises(AttributeError, match="W_ is there once the memory is trained"):
        _ = am.LinearAssociativeMemory().W_
    assert not hasattr(am.LinearAssociativeMemory(), "loss_")
    assert "6 pairs, 9 -> 4 columns" in repr(memory)


def test_what_it_keeps_is_its_own() -> None:
    """Neither the caller's arrays nor the handed-out ones change an answer."""
    rng = np.random.default_rng(1)
    e, a = rng.normal(size=(6, 9)), rng.normal(size=(6, 4))
    memory = am.LinearAssociativeMemory(n_steps=5).fit(e, a)
    cues = e.copy()
    before = memory.predict_proba(cues), memory.recall(cues)
    e[...], a[...] = 0, 0
    np.testing.assert_array_equal(memory.predict_proba(cues), before[0])
    np.testing.assert_array_equal(memory.recall(cues), before[1])
    for x in (memory.queries_, memory.answers_, memory.W_):
        with pytest.raises(ValueError, match="read-only"):
            x[0] = 1


@pytest.mark.parametrize("settings", [{}, {"label_noise": 0.1, "warm_start": True}])
def test_it_can_be_saved(tmp_path, settings) -> None:
    """With its history, its groups and its settings; more steps go on from there."""
    memory, e, a = trained(**settings)
    again = am.load(memory.save(tmp_path / "memory"))
    assert repr(again) == repr(memory) and again.groups_.tolist() == ["a", "b", "c"]
    for one in (memory, again):
        one.partial_fit(e, a, groups=list("aabbcc"))
    np.testing.assert_array_equal(again.W_, memory.W_)
    np.testing.assert_array_equal(again.group_loss_, memory.group_loss_)
    assert again.lr_ == memory.lr_ and len(again.loss_) == 7
    arrays, meta = memory._store.arrays()
    for name in ("w", "answers", "frequency", "loss"):
        with pytest.raises(ValueError, match="must be float64"):
            again._store.restore(arrays | {name: arrays[name][:-1]}, meta)


def test_an_error_leaves_the_last_training() -> None:
    """Training that diverges changes nothing, nor does one that is interrupted on the way."""
    memory, e, a = trained()
    w, loss = memory.W_.copy(), memory.loss_.copy()
    memory.lr = 1e308
    with pytest.raises(ValueError, match="diverged"):
        memory.fit(e * 1e100, a)
    np.testing.assert_array_equal(memory.W_, w)
    np.testing.assert_array_equal(memory.loss_, loss)
    np.testing.assert_array_equal(memory.queries_, e)


def test_no_warning_from_a_start_that_was_given() -> None:
    """The loss may rise from where other pairs left W: that is not the step size's fault."""
    pairs = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    memory = am.LinearAssociativeMemory("ngd", lr=1.0, n_steps=20).fit(pairs, pairs)
    memory.lr = 1e-3
    memory.partial_fit(pairs, pairs[[1, 2, 3, 0]])
    memory.lr = 40.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            memory.partial_fit(pairs[::-1], pairs)
    assert (np.diff(memory.loss_) > 1e-3).any()
