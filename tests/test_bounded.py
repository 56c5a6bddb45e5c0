"""Bounded memories and cheap deletion: the same answers as with what is left, in little time."""

from __future__ import annotations

import copy
import pickle
import time

import numpy as np
import pytest

import amfast as am


def make(n=None, **parts):
    return am.UniversalHopfield("manhattan", beta=1.0, max_items=n, **parts)


@pytest.mark.parametrize("step", [1, 3, 7, 40])
def test_the_oldest_goes(rng, step):
    x, v = rng.normal(size=(200, 6)), rng.normal(size=(200, 2))
    memory = make(25)
    for start in range(0, 200, step):
        ids = memory.store(x[start : start + step], v[start : start + step])
        assert ids.tolist() == list(range(start, min(start + step, 200)))
        end = min(start + step, 200)
        kept = slice(max(0, end - 25), end)
        np.testing.assert_array_equal(memory.keys, x[kept])
        np.testing.assert_array_equal(memory.ids, np.arange(200)[kept])
        if start % 5 == 0:
            whole = make()
            whole.store(x[kept], v[kept])
            for _ in range(3):
                np.testing.assert_array_equal(memory.recall(x[:4]), whole.recall(x[:4]))
    assert len(memory) == 25
    assert "max_items=25" in repr(memory)


def test_a_bounded_memory_is_copied_saved_and_merged(rng, tmp_path):
    x = rng.normal(size=(9, 3))
    for memory in (make(4), am.ModernHopfield(2.0, max_items=4), am.ContinuousSDM(1, max_items=4)):
        memory.store(x[:3], weights=[1.0, 2.0, 3.0])
        before = memory.keys
        for other in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
            other.store(x[3:])
            np.testing.assert_array_equal(other.keys, x[5:])
        loaded = am.load(memory.save(tmp_path / "memory.safetensors"))
        loaded.store(x[3:6])
        np.testing.assert_array_equal(loaded.keys, x[2:6])
        assert loaded.log_weight[0] == np.log(3)
        memory.merge(loaded)
        np.testing.assert_array_equal(memory.keys, x[2:6])
        np.testing.assert_array_equal(before, x[:3])
    with pytest.raises(ValueError, match="max_items"):
        make(0)


@pytest.mark.parametrize(
    "make_one",
    [
        am.Hopfield,
        lambda **most: am.Hopfield("projection", **most),
        lambda **most: am.Hopfield(bias=0.1, **most),
        lambda **most: am.DenseAssociativeMemory(4, interaction="rectified", **most),
    ],
)
def test_patterns_of_units_are_bounded_alike(rng, make_one, tmp_path):
    x = np.where(rng.normal(size=(30, 24)) > 0, 1, -1).astype(np.int8)
    memory, whole = make_one(max_items=6), make_one()
    for row in x:  # 6 are more than 24 / 8: the sum over the patterns is read
        memory.store(row)
        memory.recall(row)
    whole.store(x[-6:])
    np.testing.assert_array_equal(memory.keys.unpack(), x[-6:])
    np.testing.assert_array_equal(memory.recall(x), whole.recall(x))
    assert "max_items=6" in repr(memory) and len(memory.merge(whole)) == 6
    loaded = am.load(memory.save(tmp_path / "memory.safetensors"))
    loaded.store(x[:2])
    np.testing.assert_array_equal(loaded.keys.unpack(), np.vstack([x[-4:], x[:2]]))
    with pytest.raises(ValueError, match="max_items"):
        make_one(max_items=0)


def test_a_sum_has_no_oldest_pattern():
    with pytest.raises(ValueError, match='storage="matrix"'):
        am.Hopfield(storage="matrix", max_items=3)


@pytest.mark.parametrize(
    "memory",
    [make(), am.Hopfield(), am.DenseAssociativeMemory(), am.UniversalHopfield("hamming", "max")],
    ids=lambda m: type(m).__name__ + str(m)[20:40],
)
def test_deleting_one_by_one_is_deleting_all(rng, memory):
    x = np.where(rng.normal(size=(40, 24)) > 0, 1, -1).astype(np.int8)
    gone = rng.permutation(40)[:15]
    memory.store(x)
    for i in gone:
        memory.delete([i])
        if i % 4 == 0:
            memory.recall(x[:2])
    rest = np.setdiff1d(np.arange(40), gone)
    whole = copy.deepcopy(memory)
    np.testing.assert_array_equal(memory.ids, rest)
    assert len(memory) == len(rest) == len(whole)
    other = type(memory)(**memory._parameters())
    other.store(x[rest])
    np.testing.assert_array_equal(memory.recall(x), other.recall(x))
    with pytest.raises(ValueError, match=f"no item has the id {min(gone)}"):
        memory.delete(np.sort(gone)[:2])
    assert memory.store(x[:1]).tolist() == [40]


def test_unknown_ids_change_nothing(rng):
    memory = make()
    memory.store(rng.normal(size=(5, 2)))
    memory.delete([1])
    for bad in ([1], [0, 5], [0, 1], [-1]):
        with pytest.raises(ValueError, match="no item has the id"):
            memory.delete(bad)
        assert memory.ids.tolist() == [0, 2, 3, 4]
    with pytest.raises(ValueError, match="twice"):
        memory.delete([2, 2])


def test_who_took_the_items_keeps_them(rng):
    memory = make()
    x = rng.normal(size=(6, 2))
    memory.store(x)
    memory.delete([0])
    first = memory._store.now
    memory.delete([1])
    second = memory._store.now
    assert second.ids.tolist() == [2, 3, 4, 5]
    assert first.ids.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(first.keys, x[1:])


def test_one_delete_does_not_depend_on_how_many_there_are():
    took = {}
    for n in (1000, 400_000):
        memory = am.UniversalHopfield("dot", "max")
        memory.store(np.ones((n, 8), np.float32))
        took[n] = min(timed(lambda i=i, m=memory: m.delete([i])) for i in range(100, 140))
    assert took[400_000] < 20 * took[1000] + 1e-4


def test_one_more_does_not_depend_on_how_many_are_kept():
    took = {}
    for n in (1000, 200_000):
        memory = am.UniversalHopfield("dot", "max", max_items=n)
        memory.store(np.ones((n, 8), np.float32))
        row = np.ones((1, 8), np.float32)
        memory.store(row)
        took[n] = min(timed(lambda m=memory, row=row: m.store(row)) for _ in range(40))
    assert took[200_000] < 20 * took[1000] + 1e-4


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
