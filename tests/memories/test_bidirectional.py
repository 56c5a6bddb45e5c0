"""Kosko's bidirectional memory: both directions, energy, capacity, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import theory

RNG = np.random.default_rng(0)


def pairs(n: int, d: int, o: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.choice(np.array([-1, 1], np.int8), (n, width)) for width in (d, o))


def filled(n: int = 4, d: int = 60, o: int = 40, **kwargs) -> tuple[am.BidirectionalMemory, ...]:
    x, y = pairs(n, d, o)
    memory = am.BidirectionalMemory()
    memory.store(x, y, **kwargs)
    return memory, x, y


def plain(w: np.ndarray, x: np.ndarray, rounds: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """One cue, as Kosko wrote it down."""
    y = np.zeros(len(w))
    for _ in range(rounds):
        before = x.copy(), y.copy()
        y = np.where(w @ x == 0, y, np.sign(w @ x))
        x = np.where(w.T @ y == 0, x, np.sign(w.T @ y))
        if (x == before[0]).all() and (y == before[1]).all():
            break
    return x, y


def test_is_what_kosko_wrote_down():
    memory, x, y = filled(7, 30, 20)
    np.testing.assert_array_equal(memory.W, y.T.astype(float) @ x)
    cues = RNG.choice([-1, 1], (50, 30))
    found = memory.recall(cues, details=True)
    for cue, there, here in zip(cues, found.state, found.partner, strict=True):
        want_x, want_y = plain(memory.W, cue.astype(float))
        np.testing.assert_array_equal(here, want_x)
        np.testing.assert_array_equal(there, want_y)
    back = memory.recall_back(y, details=True)
    for cue, there in zip(y, back.state, strict=True):
        np.testing.assert_array_equal(there, plain(memory.W.T, cue.astype(float))[1])


def test_the_energy_never_rises_and_is_its_formula():
    memory, *_ = filled(12, 30, 20)
    cues = RNG.choice([-1, 1], (200, 30))
    found = memory.recall(cues, details=True)
    assert found.converged.all() and found.n_iter.max() > 2
    assert (np.diff(found.energy_trace, axis=1) <= 0).all()
    want = -np.einsum("qo,od,qd->q", found.state, memory.W, found.partner)
    np.testing.assert_array_equal(found.energy, want)
    np.testing.assert_array_equal(memory.energy(found.partner, found.state), want)
    assert memory.energy(found.partner[0], found.state[0]) == want[0]
    assert not memory.recall(cues, max_iter=1, details=True).converged.all()


@pytest.mark.parametrize(("d", "o"), [(256, 256), (128, 256)])
def test_the_capacity_is_that_of_theory(d, o):
    n50 = theory.bidirectional_n50(d, o)
    shares = []
    for n in (round(0.7 * n50), round(1.3 * n50)):
        held = 0
        for seed in range(20):
            x, y = pairs(n, d, o, seed)
            memory = am.BidirectionalMemory()
            memory.store(x, y)
            both = (memory.recall(x) == y).all() and (memory.recall_back(y) == x).all()
            held += bool(both)
        shares.append(held / 20)
    assert shares[0] >= 0.8 and shares[1] <= 0.3
    assert list(memory.theory().values()) == [n, n50]


@pytest.mark.parametrize("coding", ["bipolar", "binary", "bool", "packed"])
def test_answers_are_of_the_kind_that_was_asked(coding):
    memory, x, y = filled()
    bits = am.pack(x)
    cues = bits if coding == "packed" else bits.unpack(coding)
    found = memory.recall(cues)
    if coding == "packed":
        assert found == am.pack(y)
    else:
        assert found.dtype == cues.dtype
        np.testing.assert_array_equal(found, am.pack(y).unpack(coding))
    one = memory.recall_back(y[0].astype(np.float32), details=True)
    assert one.state.dtype == np.float32 and one.state.shape == (60,)
    assert one.partner.shape == (40,) and one.converged


def test_a_pair_of_weight_minus_one_is_forgotten_and_silence_stays():
    memory, x, y = filled(1, 8, 6)
    memory.store(x, y, weights=-1)
    np.testing.assert_array_equal(memory.recall(x), np.zeros((1, 6)))
    found = memory.recall(x[0], details=True)
    assert found.undecided_units.all() and found.energy == 0
    assert memory.recall(am.pack(x)) == am.pack(np.zeros((1, 6)))


def test_weights_are_repetition_and_merge_adds():
    (memory, x, y), twin = filled(3, weights=[3, 1, 1]), am.BidirectionalMemory()
    twin.store(x[[0, 0]], y[[0, 0]])
    twin.merge(filled(3)[0])
    np.testing.assert_array_equal(twin.W, memory.W)
    part = am.BidirectionalMemory()
    part.store(x, y, weights=[0.3, 0.3, 0.25])
    np.testing.assert_allclose(part.W, (y * [[0.3], [0.3], [0.25]]).T @ x, atol=1e-12)


def test_what_is_refused():
    memory, x, y = filled()
    for call, match in (
        (lambda: memory.store(x), "joins pairs"),
        (lambda: memory.store(x, y[:3]), "values have 3 rows"),
        (lambda: memory.store(x, y[:, :5]), "the memory stores 40"),
        (lambda: memory.store(x, 2 * y), "column 0"),
        (lambda: memory.store(x, y, weights=np.nan), "weights"),
        (lambda: memory.store(x, y, weights=1e305), "beyond float64"),
        (lambda: memory.recall(y), "40 bits, the memory stores 60"),
        (lambda: memory.recall_back(x), "60 bits, the memory stores 40"),
        (lambda: memory.recall(x * np.nan), "nan"),
        (lambda: memory.recall(x, max_iter=0), "max_iter"),
        (lambda: memory.energy(x), "both sides"),
        (lambda: memory.energy(x, y[:2]), "values have 2 rows"),
        (lambda: memory.delete([0]), "weights=-1"),
        (lambda: am.BidirectionalMemory().recall_back(y), "empty"),
        (lambda: am.BidirectionalMemory().theory(), "empty"),
        (lambda: theory.bidirectional_n50(1, 5), "d must be"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    assert am.BidirectionalMemory().nbytes == 0 and memory.nbytes >= memory.W.nbytes
    assert memory.recall(x[:0]).shape == (0, 40) and len(memory) == 4
