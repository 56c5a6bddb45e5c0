"""Sequences: every value is the next cue."""

from __future__ import annotations

import numpy as np
import pytest
from test_contract import CASES, EVERY

import amfast as am


def sequence(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, d))


def real(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d))


def stored(memory, x):
    memory.store(x[:-1], x[1:])
    return memory


MEMORIES = {
    "softmax": lambda: am.UniversalHopfield("dot", beta=2.0),
    "manhattan": lambda: am.UniversalHopfield("manhattan", "max"),
    "modern": lambda: am.ModernHopfield(1.0),
    "hamming": lambda: am.UniversalHopfield("hamming", "max"),
    "hopfield": am.Hopfield,
    "dense": lambda: am.DenseAssociativeMemory(3),
    "kanerva": lambda: am.SparseDistributedMemory(256, 2000, radius=112),
    "both sides": am.BidirectionalMemory,
}


@pytest.mark.parametrize("name", MEMORIES)
def test_a_sequence_comes_back_from_its_first_row(name):
    x = sequence(6, 256)
    memory = stored(MEMORIES[name](), x)
    how = {"max_iter": 1} if name == "both sides" else {}
    path = memory.chain(x[0], 5, **how)
    assert path.shape == (6, 256)
    assert (np.sign(path) == x).mean() > 0.97
    state = x[0]
    for row in path[1:]:
        state = memory.recall(state, **how)
        np.testing.assert_array_equal(row, state)
    np.testing.assert_array_equal(memory.chain(x[0], 2, **how), path[:3])


def test_kinds():
    x = sequence(5, 100)
    memory = stored(am.Hopfield(), x)
    packed = memory.chain(am.pack(x[:1]), 4)
    assert packed == am.pack(x)
    assert memory.chain(x[0] > 0, 4).dtype == np.bool_
    assert memory.chain([int(a) for a in x[0]], 4).tolist() == x.tolist()
    floats = stored(am.UniversalHopfield("manhattan", "max"), real(4, 7).astype(np.float32))
    assert floats.chain(real(4, 7)[0].astype(np.float32), 3).dtype == np.float32


def test_autoassociative_memories_iterate():
    x = sequence(3, 50)
    memory = am.Hopfield()
    memory.store(x)
    np.testing.assert_array_equal(memory.chain(x[0], 3), x[[0, 0, 0, 0]])


@pytest.mark.parametrize("case", EVERY)
def test_every_memory_chains_or_says_why_not(case):
    memory, cue = case.stored(1), case.cues()[0]
    options = {name: given for name, given in case.recall.items() if name != "n_steps"}
    if case.values:
        with pytest.raises(ValueError, match="values must be as wide as keys"):
            memory.chain(cue, 2, **options)
    else:
        assert memory.chain(cue, 2, **options).shape == (3, len(cue))


def test_what_is_refused():
    x = sequence(4, 20)
    memory = stored(am.Hopfield(), x)
    for call, match in (
        (lambda: memory.chain(x[0], 0), "n_steps must be an int >= 1, got 0"),
        (lambda: memory.chain(x[0], 2.5), "n_steps"),
        (lambda: memory.chain(x, 2), r"one cue: .*2-d of shape \(4, 20\)"),
        (lambda: memory.chain(am.pack(x), 2), "one cue"),
        (lambda: memory.chain(1.0, 2), "one cue"),
        (lambda: memory.chain(x[0][:9], 2), "9 bits"),
        (lambda: memory.chain(x[0], 2, details=True), "details"),
        (lambda: am.Hopfield().chain(x[0], 2), "empty"),
        (lambda: am.UniversalHopfield().chain(real(1, 3)[0] * np.nan, 2), "empty|NaN"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            call()
    tied = am.Hopfield()
    tied.store([[1, 1]], [[1, -1]])
    with pytest.raises(ValueError, match="step 2 of the chain leaves 2 units without a field"):
        tied.chain([1, 1], 2)
    assert "BidirectionalMemory" in CASES
