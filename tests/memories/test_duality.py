"""Dense memories and the feed-forward nets of the same function; logistic units."""

from __future__ import annotations

import pickle
from decimal import Decimal, localcontext

import numpy as np
import pytest

import amfast as am
from amfast.memories.dense.interaction import interaction

PARTS = {
    "n=2": dict(n=2),
    "n=3": dict(n=3),
    "n=5": dict(n=5),
    "rectified": dict(n=4, interaction="rectified"),
    "line": dict(n=1, interaction="rectified"),
    "exponential": dict(interaction="exponential", beta=0.7),
    "steep": dict(interaction="exponential", beta=50.0),
    "logistic": dict(interaction="logistic", beta=0.2),
}


def signs(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, d))


def through(net, x: np.ndarray) -> np.ndarray:
    w, activation, v = net
    return np.sign(activation(x @ w.T) @ v.T)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("hetero", [False, True])
def test_one_step_is_the_net_bit_for_bit(name, hetero):
    memory = am.DenseAssociativeMemory(**PARTS[name])
    keys, cues = signs(60, 37), signs(200, 37, 1)
    memory.store(keys, signs(60, 9, 2) if hetero else None, weights=np.arange(60.0) % 5)
    net = memory.network()
    assert net[0].shape == (60, 37) and net[2].shape == (9 if hetero else 37, 60)
    found, want = memory.recall(cues, update="one-step"), through(net, cues)
    told = memory.recall(cues, update="one-step", details=True)
    want = np.where(want == 0, found, want)
    np.testing.assert_array_equal(found, want)
    assert told.state.shape == want.shape
    np.testing.assert_array_equal(
        through(pickle.loads(pickle.dumps(net)), cues), through(net, cues)
    )


@pytest.mark.parametrize("name", ["n=3", "rectified", "exponential"])
def test_nets_of_real_patterns(name):
    memory = am.DenseAssociativeMemory(real=True, **PARTS[name])
    memory.store(np.random.default_rng(0).normal(size=(50, 20)))
    cues = signs(100, 20, 1)
    np.testing.assert_array_equal(
        memory.recall(cues, update="one-step"), through(memory.network(), cues)
    )


def test_a_net_is_its_own():
    memory = am.DenseAssociativeMemory(3)
    memory.store(signs(5, 8))
    w, _, v = memory.network()
    w[...], v[...] = 0, 0
    assert (memory.recall(signs(5, 8), update="one-step") == signs(5, 8)).mean() > 0.8
    with pytest.raises(ValueError, match="empty"):
        am.DenseAssociativeMemory().network()
    biased = am.DenseAssociativeMemory(bias=1.0)
    biased.store(signs(5, 8))
    with pytest.raises(ValueError, match="bias"):
        biased.network()


# -- logistic units -------------------------------------------------------------------------------


def brute_energy(x: np.ndarray, s: np.ndarray, beta: float) -> np.ndarray:
    return -np.logaddexp(0, beta * (s @ x.T.astype(float))).sum(axis=1) / beta


@pytest.mark.parametrize("beta", [0.01, 0.3, 5.0])
def test_logistic_energy_and_its_fall(beta):
    x, cues = signs(12, 40), signs(60, 40, 1)
    memory = am.DenseAssociativeMemory(interaction="logistic", beta=beta)
    memory.store(x)
    np.testing.assert_allclose(memory.energy(cues), brute_energy(x, cues, beta), rtol=1e-12)
    found = memory.recall(cues, details=True)
    assert found.converged.all()
    assert (np.diff(found.energy_trace, axis=1) <= 1e-9).all()
    np.testing.assert_allclose(found.energy, brute_energy(x, found.state, beta), rtol=1e-12)
    path = memory.recall(cues[0], trace="unit")
    assert (np.diff(path.path_energy) < 0).all()


def test_logistic_fields_are_differences_of_energies():
    x, s = signs(7, 15), signs(1, 15, 1)
    memory = am.DenseAssociativeMemory(interaction="logistic", beta=0.4)
    memory.store(x)
    flipped = np.repeat(s, 15, axis=0)
    flipped[np.arange(15), np.arange(15)] *= -1
    rise = brute_energy(x, flipped, 0.4) - brute_energy(x, s, 0.4)
    step = memory.recall(s, update="sync", max_sweeps=1)[0]
    np.testing.assert_array_equal(step != s[0], rise < 0)


@pytest.mark.parametrize("beta", [1e-6, 0.3, 20.0, 1e3])
def test_logistic_tables_keep_their_digits(beta):
    f, d, b = interaction("logistic", 3, beta), 9, Decimal(beta)

    def softplus(x: Decimal) -> Decimal:
        return max(x, Decimal(0)) + (1 + (-abs(x)).exp()).ln()

    with localcontext() as context:
        context.prec, context.Emin = 60, -(10**6)
        exact = [(softplus(b * (o + 1)) - softplus(b * (o - 1))) / (2 * b) for o in range(-8, 9, 2)]
        slopes = [1 / (1 + (-b * o).exp()) for o in range(-d, d + 1, 2)]
    for mine, want in ((f.steps(d), exact), (f.slopes(d), slopes)):
        np.testing.assert_allclose(mine, [float(x) for x in want], rtol=1e-12, atol=1e-60)


def test_a_few_patterns_outvote_any_other():
    x = signs(2, 200)
    memory = am.DenseAssociativeMemory(interaction="logistic", beta=0.3)
    memory.store(x)
    np.testing.assert_array_equal(memory.recall(am.corrupt.flip(x, 0.1, seed=0)), x)
    memory.store(signs(30, 200, 5))
    assert (memory.recall(x) == x).all(axis=1).mean() == 0
    assert "logistic" in repr(memory) and "beta=0.3" in repr(memory)
    assert memory.theory() == {}


def test_what_is_refused():
    for call, match in (
        (lambda: am.DenseAssociativeMemory(interaction="sigmoid"), "interaction must be one of"),
        (lambda: am.DenseAssociativeMemory(interaction="logistic", real=True), "patterns of bits"),
        (lambda: am.DenseAssociativeMemory(interaction="logistic", beta=0), "beta"),
        (lambda: am.DenseAssociativeMemory(interaction="logistic", beta=np.nan), "beta"),
        (
            lambda: am.DenseAssociativeMemory(interaction="logistic", beta=1e308).store(
                signs(2, 9)
            ),
            "beta=1e\\+308 is too large",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            call()
