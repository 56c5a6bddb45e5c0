"""Sparse distributed memory: against its NumPy twin, at its limits, and with bad input."""

from __future__ import annotations

import copy
import hashlib
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from conftest import layouts

import amfast as am
from amfast import reference
from amfast.memories.sdm import locations
from amfast.memories.sdm import memory as sdm_memory
from amfast.memories.sdm.memory import SdmRecall
from amfast.memories.sdm.ties import coins

SDM = am.SparseDistributedMemory
SHAPES = [(1, 1, 1, 3), (7, 5, 7, 3), (64, 70, 64, 29), (65, 130, 9, 29), (100, 333, 257, 44)]


def bits(rng, n: int, width: int) -> np.ndarray:
    return rng.integers(0, 2, (n, width)).astype(np.uint8)


def twin(memory, words) -> np.ndarray:
    return reference.sdm_active(words, memory.locations.unpack("binary"), memory.radius)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
@pytest.mark.parametrize(("n", "m", "o", "radius"), SHAPES)
def test_write_and_read_are_the_twin(rng, n, m, o, radius, dtype, threads):
    memory = SDM(n, m, radius=min(radius, n), value_bits=o, counter_dtype=dtype, tie=1)
    words, data = bits(rng, 30, n), bits(rng, 30, o)
    weights = rng.integers(-90, 90, 30)
    active = twin(memory, words)
    got = memory.write(words, data, weights, threads=threads)
    np.testing.assert_array_equal(got, active.sum(axis=1))
    expected = reference.sdm_write(np.zeros((m, o), dtype), active, data, weights)
    np.testing.assert_array_equal(memory.counters, expected)
    cues = np.concatenate([bits(rng, 20, n), words[:5]])
    sums = reference.sdm_read(expected, twin(memory, cues))
    np.testing.assert_array_equal(memory.read(cues, raw=True, threads=threads), sums)
    np.testing.assert_array_equal(memory.read(cues, threads=threads), sums >= 0)
    found = memory.activated(cues, threads=threads)
    for row, where in zip(found, twin(memory, cues), strict=True):
        np.testing.assert_array_equal(row, np.flatnonzero(where))


@pytest.fixture
def stored():
    """A memory of 256 bits with 40 words, and the words as -1 and +1."""
    memory = SDM(256, 20_000, p=0.005, seed=5)
    words = am.BitMatrix.random(40, 256, seed=6).unpack()
    memory.write(words)
    return memory, words


def test_recalls_from_noise(stored, rng):
    memory, words = stored
    cues = words.copy()
    for row in cues:
        row[rng.choice(256, 55, replace=False)] *= -1
    found = memory.recall(cues, max_iter=10, details=True)
    assert isinstance(found, SdmRecall)
    np.testing.assert_array_equal(found.state, words)
    assert found.converged.all() and found.energy is None and found.log_scale is None
    assert 2 <= found.n_iter.max() <= 10 and found.n_iter.min() >= 2
    one = memory.recall(cues[0], max_iter=10, details=True)
    assert (one.state == words[0]).all() and one.state.shape == (256,)
    assert int(one.n_iter) == found.n_iter[0] and bool(one.converged)
    assert int(one.n_active) == found.n_active[0]


def test_rows_stop_on_their_own(stored, rng):
    """An iterated read of a batch is that of its rows one by one, and of repeated single reads."""
    memory, words = stored
    cues = words[:12].copy()
    for i, row in enumerate(cues):
        row[rng.choice(256, 7 * i, replace=False)] *= -1
    found = memory.read(cues, 6, details=True)
    assert len(set(found.n_iter)) > 1
    for i, cue in enumerate(cues):
        state, n_iter, converged = cue, 0, False
        while n_iter < 6 and not converged:
            new = memory.read(state)
            n_iter, converged, state = n_iter + 1, bool((new == state).all()), new
        np.testing.assert_array_equal(found.state[i], state)
        assert (found.n_iter[i], found.converged[i]) == (n_iter, converged)
    raw = memory.read(cues, 6, raw=True, details=True)
    assert raw.state.dtype == np.int64
    np.testing.assert_array_equal(np.sign(raw.state)[found.converged], found.state[found.converged])


def test_batches_change_nothing(stored, rng, monkeypatch):
    memory, words = stored
    cues = np.where(rng.random(words.shape) < 0.1, -words, words)
    whole = memory.read(cues, 4, raw=True), memory.read(cues, 4), memory.activated(cues)
    monkeypatch.setattr(locations, "_PAIRS", 1)
    monkeypatch.setattr(sdm_memory, "_SUMS", 7 * 256)
    np.testing.assert_array_equal(memory.read(cues, 4, raw=True), whole[0])
    np.testing.assert_array_equal(memory.read(cues, 4), whole[1])
    for got, want in zip(memory.activated(cues), whole[2], strict=True):
        np.testing.assert_array_equal(got, want)
    again = SDM(256, 20_000, p=0.005, seed=5)
    again.write(words)
    np.testing.assert_array_equal(again.counters, memory.counters)


def test_chains(rng):
    """Words that point at the next one are followed by iterated reads."""
    memory = SDM(256, 20_000, seed=5)
    chain = am.BitMatrix.random(6, 256, seed=1).unpack()
    memory.write(chain[:-1], chain[1:])
    found = memory.read(chain[0], 5, details=True)
    np.testing.assert_array_equal(found.state, chain[5])
    assert int(found.n_iter) == 5 and not found.converged


@pytest.mark.parametrize("kind", ["packed", "bool", "binary", "bipolar", "float32"])
def test_answers_in_the_kind_of_the_question(stored, kind):
    memory, words = stored
    packed = am.pack(words)
    cue = {
        "packed": packed,
        "bool": words > 0,
        "binary": (words > 0).astype(np.uint8),
        "bipolar": words,
        "float32": words.astype(np.float32),
    }[kind]
    answer = memory.read(cue)
    if kind == "packed":
        assert answer == packed
        return
    assert answer.dtype == cue.dtype
    np.testing.assert_array_equal(answer, cue)
    assert memory.read(cue[0]).shape == (256,)
    for name, other in layouts(cue):
        np.testing.assert_array_equal(memory.read(other), cue, err_msg=name)


def test_inputs_stay(stored):
    memory, words = stored
    before = words.copy()
    packed = am.pack(words)
    memory.write(packed, words, np.arange(40))
    memory.read(packed, 3)
    np.testing.assert_array_equal(words, before)
    assert packed == am.pack(before)


# -- locations ------------------------------------------------------------------------------------


def test_locations_are_the_same_everywhere():
    memory = SDM(1000, 500, p=0.01, seed=0)
    digest = hashlib.sha256(memory.locations.to_packed().tobytes()).hexdigest()
    assert digest == "7221fa8d491511dbdaa4ac4e77a6710d1e245fe16cc14633759e18ff73c93c9d"
    assert memory.locations == am.BitMatrix.random(500, 1000, seed=0)
    assert memory.locations != SDM(1000, 500, p=0.01, seed=1).locations


def test_chosen_locations():
    table = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
    memory = SDM(4, 4, radius=1, addresses=table, tie=-1)
    np.testing.assert_array_equal(memory.locations.unpack("binary"), table)
    np.testing.assert_array_equal(memory.activated([1, 0, 0, 0]), [0, 1, 3])
    assert memory.write([1, 0, 0, 0]) == 3
    np.testing.assert_array_equal(memory.counters[:, 0], [1, 1, 0, 1])
    np.testing.assert_array_equal(memory.read([[0, 0, 0, 0]], raw=True), [[3, -3, -3, -3]])
    again = pickle.loads(pickle.dumps(memory))
    assert again.locations == memory.locations
    np.testing.assert_array_equal(again.counters, memory.counters)


def test_radius_by_probability():
    assert (SDM(1000, 2000).radius, SDM(256, 2000).radius) == (451, 103)
    memory = SDM(1000, 2000, p=0.01)
    assert am.theory.activation_probability(1000, memory.radius - 1) < 0.01 <= memory.p
    assert memory.expected_active == pytest.approx(2000 * memory.p)
    mean = np.mean([len(a) for a in memory.activated(am.BitMatrix.random(200, 1000, 1))])
    assert abs(mean - memory.expected_active) < 1.0


# -- weights, saturation, merging -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_counters_saturate(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    memory = SDM(8, 2, radius=0, addresses=[[0] * 8, [1] * 8], counter_dtype=dtype)
    word = [1, 0, 0, 0, 0, 0, 0, 0]
    memory.write([0] * 8, word, high - 7)
    memory.write([0] * 8, word, 100)
    np.testing.assert_array_equal(memory.counters, [[high] + [low] * 7, [0] * 8])
    memory.write([0] * 8, word, -2 * high - 46)
    np.testing.assert_array_equal(memory.counters[0], [low] + [high] * 7)
    memory.write([0] * 8, word, 10**30)
    np.testing.assert_array_equal(memory.counters[0], [high] + [low] * 7)
    np.testing.assert_array_equal(memory.read([0] * 8), word)
    other = copy.copy(memory)
    assert memory.merge(other) is memory
    np.testing.assert_array_equal(memory.counters[0], [high] + [low] * 7)
    np.testing.assert_array_equal(other.counters, memory.counters)
    np.testing.assert_array_equal(memory.merge(memory).counters, other.counters)
    assert memory.counters.dtype == memory.counter_dtype == np.dtype(dtype)


def test_a_sum_of_counters_stops_where_its_type_does():
    """Counters near their ends, of either sign, against sums of Python's integers."""
    for dtype in ("int8", "int16", "int32"):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        ends = [low, low + 1, -1, 0, 1, high - 1, high]
        memory = SDM(7, 7, radius=0, addresses=np.tri(7, dtype=np.uint8), counter_dtype=dtype)
        other = copy.copy(memory)
        for one, table in ((memory, np.repeat(ends, 7)), (other, np.tile(ends, 7))):
            one._store.restore({"counters": table.reshape(7, 7).astype(dtype)}, {"written": 1})
        expected = [[min(max(a + b, low), high) for b in ends] for a in ends]
        np.testing.assert_array_equal(memory.merge(other).counters, expected)


def test_weights_are_repetitions_and_minus_one_forgets(stored, rng):
    memory, words = stored
    before = memory.counters.copy()
    weights = rng.integers(-3, 4, 40)
    memory.write(words, weight=weights)
    for weight in range(1, 4):
        for _ in range(weight):
            memory.write(words[weights == weight], weight=-1)
            memory.write(words[weights == -weight], weight=1)
    np.testing.assert_array_equal(memory.counters, before)
    memory.write(words, weight=-1)
    assert not memory.counters.any()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_merge_is_writing_it_all(rng, dtype):
    words = am.BitMatrix.random(30, 100, seed=3)
    make = lambda: SDM(100, 3000, p=0.02, seed=4, counter_dtype=dtype)  # noqa: E731
    whole, first, second = make(), make(), make()
    whole.write(words)
    first.write(words[:11])
    second.write(words[11:])
    assert first.merge(second) is first
    np.testing.assert_array_equal(first.counters, whole.counters)
    assert len(first) == len(whole) == 30
    assert first.merge(make()).counters.sum() == whole.counters.sum()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 5}, "different hard locations"),
        ({"p": 0.1}, "radius"),
        ({"n_locations": 2999}, "n_locations"),
        ({"value_bits": 99}, "value_bits"),
        ({"counter_dtype": "int8"}, "counter_dtype"),
        ({"n_bits": 101}, "n_bits"),
    ],
)
def test_merge_refuses_others(change, what):
    given = {"n_bits": 100, "n_locations": 3000, "p": 0.02, "seed": 4}
    first, second = SDM(**given), SDM(**{**given, **change})
    with pytest.raises(ValueError, match=what):
        first.merge(second)
    with pytest.raises(TypeError, match="SparseDistributedMemory"):
        first.merge(given)


def test_merge_takes_equal_locations_however_made():
    first = SDM(100, 300, p=0.02, seed=4)
    second = SDM(100, 300, p=0.02, addresses=first.locations)
    second.write(first.locations[:3])
    assert first.merge(second).counters.any()


def test_reset_store_and_copies(stored):
    memory, words = stored
    twin_ = copy.deepcopy(memory)
    np.testing.assert_array_equal(twin_.store(words[:3], weights=[2, 1, 1]), [40, 41, 42])
    assert len(twin_) == 43 and len(memory) == 40
    memory.reset()
    assert len(memory) == 0 and not memory.counters.any() and twin_.counters.any()
    with pytest.raises(ValueError, match="empty"):
        memory.read(words)
    with pytest.raises(ValueError, match="read-only"):
        memory.counters[0, 0] = 1


# -- ties -----------------------------------------------------------------------------------------


def tied(tie, seed=0):
    """Two locations that cancel: all sums at the zero word are 0."""
    memory = SDM(70, 1, radius=0, addresses=np.zeros((1, 70), np.uint8), tie=tie, seed=seed)
    memory.write(np.zeros(70, np.uint8), weight=1)
    memory.write(np.zeros(70, np.uint8), weight=-1)
    return memory


def test_ties():
    assert tied("keep").tie == "keep" and tied(-1).tie == -1 and SDM(64, 9000).tie == "random"
    zero = np.zeros(70, np.uint8)
    assert tied(1).read(zero).all()
    assert not tied(-1).read(zero).any()
    one = zero.copy()
    one[5] = 1
    np.testing.assert_array_equal(tied("keep").read(one), one)
    answers = np.array([tied("random", seed).read(zero) for seed in range(60)])
    assert 0.42 < answers.mean() < 0.58
    np.testing.assert_array_equal(tied("random", 7).read(zero), answers[7])
    found = tied("random").read(np.stack([zero, one]), 3, details=True)
    np.testing.assert_array_equal(found.undecided, [70, 70])


def test_coins_depend_on_seed_cue_and_bit_only(rng):
    cues = rng.integers(0, 256, (500, 13)).astype(np.uint8)
    got = coins(cues, 21, 3)
    assert got.shape == (500, 21)
    np.testing.assert_array_equal(coins(cues[17:18], 9, 3), got[17:18, :9])
    assert (coins(cues, 21, 4) != got).mean() > 0.9
    flat = np.unpackbits(got, axis=1)
    assert np.abs(flat.mean(axis=0) - 0.5).max() < 0.12 and abs(flat.mean() - 0.5) < 0.01
    assert got[:2, :4].tolist() == coins(cues[:2].copy(), 4, 3).tolist()
    known = coins(np.array([[1, 2, 3]], np.uint8), 8, 0)
    assert known.tobytes().hex() == "327ff29b289c2a63"


def test_a_cue_without_locations_is_reported():
    memory = SDM(64, 4, radius=3, addresses=am.BitMatrix.random(4, 64, 1), tie="keep")
    memory.write(memory.locations)
    far = (~memory.locations.unpack("bool"))[:1]
    found = memory.read(np.concatenate([far, ~far]), 5, details=True)
    np.testing.assert_array_equal(found.n_active, [0, 1])
    np.testing.assert_array_equal(found.undecided, [64, 0])
    np.testing.assert_array_equal(found.converged, [False, True])
    np.testing.assert_array_equal(found.n_iter, [1, 1])
    np.testing.assert_array_equal(found.state[0], far[0])
    with pytest.warns(UserWarning, match="1 of 2 addresses activate no location") as seen:
        active = memory.write(np.concatenate([far, ~far]))
    np.testing.assert_array_equal(active, [0, 1])
    with pytest.warns(UserWarning, match="1 of 1 addresses activate no location") as again:
        memory.store(far)
    assert seen[0].filename == again[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory.write(far, weight=0)


def test_rows_go_on_while_a_location_answers():
    """One active location is enough to read on; none is the end, whatever its ties read."""
    steps = np.tri(5, 40, k=-1, dtype=np.uint8).repeat(8, axis=1)[:, :40]
    memory = SDM(40, 5, radius=0, addresses=steps, tie=1)
    memory.write(steps, np.concatenate([steps[1:], steps[-1:]]))
    found = memory.read(steps[0], 9, details=True)
    assert int(found.n_active) == 1 and int(found.n_iter) == 5 and found.converged
    np.testing.assert_array_equal(found.state, steps[-1])
    lost = memory.read(1 - steps[1], 9, details=True)
    assert int(lost.n_active) == 0 and int(lost.n_iter) == 1 and not lost.converged
    np.testing.assert_array_equal(lost.state, np.ones(40))


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"radius": -1}, ValueError, "radius must be an int in 0..32, got -1"),
        ({"radius": 33}, ValueError, "radius must be an int in 0..32, got 33"),
        ({"radius": 3.0}, TypeError, "radius"),
        ({"radius": 9, "p": 0.1}, ValueError, "exclude each other"),
        ({"p": 0.0}, ValueError, "above 0"),
        ({"p": 1.1}, ValueError, "at most 1"),
        ({"p": float("nan")}, ValueError, "above 0 and at most 1, got nan"),
        ({"n_bits": 0}, ValueError, "n_bits"),
        ({"n_locations": 0}, ValueError, "n_locations"),
        ({"n_locations": 2**32}, ValueError, "n_locations"),
        ({"value_bits": 0}, ValueError, "value_bits"),
        ({"counter_dtype": "uint8"}, ValueError, "counter_dtype must be one of int8, int16"),
        ({"counter_dtype": "nonsense"}, ValueError, "counter_dtype"),
        ({"counter_dtype": None}, ValueError, "counter_dtype"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": None}, TypeError, "seed"),
        ({"tie": 0}, ValueError, "tie must be one of"),
        ({"tie": "keep", "value_bits": 31}, ValueError, "as wide as addresses"),
        ({"addresses": np.ones((4, 31))}, ValueError, "addresses have 31 bits"),
        ({"addresses": np.ones((3, 32))}, ValueError, "addresses have 3 rows, n_locations is 4"),
        ({"addresses": np.full((4, 32), 2)}, ValueError, "row 0, column 0 is 2"),
    ],
)
def test_bad_parameters(change, error, what):
    with pytest.raises(error, match=what):
        SDM(**{"n_bits": 32, "n_locations": 4, **change})


def test_bad_words(stored):
    memory, words = stored
    before, n = memory.counters.copy(), len(memory)
    mixed = words.copy()
    mixed[3, 7] = 0
    nan = words.astype(float)
    nan[2, 1] = np.nan
    for bad, what in [
        (mixed, "mix two codings"),
        (nan, "row 2, column 1 is nan"),
        (words * 2, "binary patterns hold"),
        (words[:, :255], "addresses have 255 bits, the memory stores 256"),
        (words[None], "3-d"),
    ]:
        for call in (memory.write, memory.read, memory.activated):
            with pytest.raises(ValueError, match=what):
                call(bad)
    for call, what in [
        (lambda: memory.write(words, words[:3]), "data have 3 rows, addresses have 40"),
        (lambda: memory.write(words, words[:, :7]), "data have 7 bits"),
        (lambda: memory.write(words, weight=np.ones(3, int)), r"shape \(40,\), got \(3,\)"),
        (lambda: memory.write(words, weight=0.5), "whole numbers, entry 0 is 0.5"),
        (lambda: memory.write(words, weight=np.full(40, np.nan)), "whole numbers"),
        (lambda: memory.read(words, 0), "max_iter"),
    ]:
        with pytest.raises(ValueError, match=what):
            call()
    for weight in (True, "2", np.ones(40, bool), 1j):
        with pytest.raises(TypeError, match="weight"):
            memory.write(words, weight=weight)
    with pytest.raises(TypeError, match="raw"):
        memory.read(words, raw=1)
    np.testing.assert_array_equal(memory.counters, before)
    assert len(memory) == n


def test_other_widths():
    memory = SDM(64, 200, p=0.1, value_bits=10)
    words = am.BitMatrix.random(5, 64, seed=1)
    with pytest.raises(ValueError, match="data must be given"):
        memory.write(words)
    memory.write(words, am.BitMatrix.random(5, 10, seed=2))
    assert memory.read(words).shape == (5, 10)
    assert memory.read(words, details=True).converged.all()
    with pytest.raises(ValueError, match="max_iter > 1 needs data as wide as addresses"):
        memory.read(words, 2)


def test_whole_floats_and_empty_batches(stored):
    memory, words = stored
    before = memory.counters.copy()
    memory.write(words, weight=np.full(40, 2.0))
    memory.write(words, weight=np.full(40, -2, np.int8))
    np.testing.assert_array_equal(memory.counters, before)
    memory.write(words, weight=np.full(40, 3, np.uint64))
    memory.write(words, weight=np.array(-4))
    memory.write(words, weight=None)
    np.testing.assert_array_equal(memory.counters, before)
    assert memory.write(words[:0]).shape == (0,)
    assert memory.read(words[:0]).shape == (0, 256)
    assert memory.read(words[:0], 3, raw=True).shape == (0, 256)
    assert memory.activated(words[:0]) == []


def test_whole_numbers_of_any_size_saturate():
    """More than the whole range of a counter makes no difference, however it is written."""
    memory = SDM(8, 3, radius=0, addresses=np.tri(8, dtype=np.uint8)[:3])
    memory.write(memory.locations, np.ones((3, 8)), np.array([2.0**300, -(2.0**300), 2.0**63]))
    np.testing.assert_array_equal(memory.counters[:, 0], [2**15 - 1, -(2**15), 2**15 - 1])
    memory.write(memory.locations, np.ones((3, 8)), -(10**400))
    np.testing.assert_array_equal(memory.counters, -(2**15))
    most = np.full(3, 2**64 - 1, np.uint64)
    memory.write(memory.locations, np.ones((3, 8)), most)
    np.testing.assert_array_equal(memory.counters, 2**15 - 1)
    for given, what in [
        ({"p": 10**400}, "p must be"),
        ({"n_bits": 10**400}, "n_bits must be an int in 1..2147483647"),
        ({"value_bits": 10**400}, "value_bits must be an int in 1..2147483647"),
    ]:
        with pytest.raises(ValueError, match=what):
            SDM(**{"n_bits": 64, "n_locations": 100, **given})
    for bad in ([1.5, None, 2], [1 + 0j, 2, 3], ["1", "2", "3"]):
        with pytest.raises(TypeError, match="weight must hold whole numbers"):
            memory.write(memory.locations, weight=bad)


@pytest.mark.parametrize(("radius", "count"), [(0, "1.49e-06"), (64, "6.4e\\+03 of 6400")])
def test_useless_radius_warns(radius, count):
    if radius == 0:
        with pytest.warns(UserWarning, match="activates .* of 6400 locations on average"):
            SDM(64, 6400, radius=radius)
        return
    with pytest.warns(UserWarning, match=count):
        SDM(64, 6400, radius=radius)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SDM(64, 6400, radius=24)


def test_what_it_cannot_give(stored):
    memory, words = stored
    for name, call in {
        "keys": lambda: memory.keys,
        "values": lambda: memory.values,
        "ids": lambda: memory.ids,
        "scores": lambda: memory.scores(words),
        "weights": lambda: memory.weights(words),
        "delete": lambda: memory.delete([0]),
    }.items():
        with pytest.raises(ValueError, match=f"^{name}: .* keeps counters, not items: .*weight=-1"):
            call()
    with pytest.raises(ValueError, match="no energy: the sums of active counters"):
        memory.energy(words)
    with pytest.raises(ValueError, match="no items to delete"):
        memory._store.delete(np.array([0]))


# -- size -----------------------------------------------------------------------------------------


def test_size_is_known_before():
    for n_bits, words in ((1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)):
        assert SDM.required(n_bits, 10, 5, "int8") == 10 * (8 * words + 5)
        memory = SDM(n_bits, 640, radius=n_bits // 2, value_bits=5, counter_dtype="int8")
        assert memory.nbytes == SDM.required(n_bits, 640, 5, "int8")
    assert SDM.required(1000, 1_000_000) == 1_000_000 * (128 + 2000)
    memory = SDM(1000, 10_000, value_bits=300, counter_dtype="int32")
    need = SDM.required(1000, 10_000, 300, "int32")
    assert need <= memory.nbytes <= 1.01 * need
    assert f"{memory.nbytes / 1e6:.4g} MB" in repr(memory)
    with pytest.raises(MemoryError, match=r"take 9139.7 GB, the machine has \d+\.\d GB"):
        SDM(1000, 2**32 - 1)


def test_more_active_locations_than_memory_are_refused():
    with pytest.warns(UserWarning, match="words would hardly differ"):
        memory = SDM(8, 200_000, radius=8, counter_dtype="int8")
    words = am.BitMatrix.random(3_000_000, 8, seed=1)
    expected = "active locations, 2e.05 of each of 3000000 words, take 4800.0 GB"
    with pytest.raises(MemoryError, match=expected):
        memory.activated(words)


def test_too_little_memory_is_refused_with_numbers():
    code = """
import resource
import amfast as am
# An interpreter without a lock reserves a gigabyte of addresses for itself.
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
try:
    am.SparseDistributedMemory(1000, 1_000_000)
except MemoryError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "2.13 GB, which cannot be allocated" in result.stdout, result.stderr


def test_long_calls_can_be_interrupted(rng):
    memory = SDM(1024, 60_000, counter_dtype="int8", value_bits=8)
    words = am.BitMatrix.random(6_000, 1024, seed=1)
    memory.write(words[:1], am.BitMatrix.random(1, 8, seed=1))
    start = time.perf_counter()
    threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        while time.perf_counter() - start < 60:
            memory.read(words)
    assert time.perf_counter() - start < 10


def test_an_interrupted_write_leaves_whole_items(monkeypatch):
    monkeypatch.setattr(locations, "_PAIRS", 1 << 13)
    memory = SDM(1024, 60_000, seed=1, value_bits=8)
    words = am.BitMatrix.random(20_000, 1024, seed=1)
    data = am.BitMatrix.random(20_000, 8, seed=2)
    threading.Timer(0.15, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        memory.write(words, data)
        time.sleep(60)  # only if the write was faster than the timer
    done = len(memory)
    assert done < 20_000
    again = SDM(1024, 60_000, seed=1, value_bits=8)
    again.write(words[:done], data[:done])
    np.testing.assert_array_equal(memory.counters, again.counters)
