"""What a sparse distributed memory holds is the old state or the new one, never a third."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import amfast as am
from amfast import reference
from amfast.memories.sdm import locations

SDM = am.SparseDistributedMemory
PACKAGE = str(Path(am.__file__).parent)


def made(n_words=40, **given):
    """A small memory with words in it, whose writes take several batches of 16 words."""
    memory = SDM(64, 300, p=0.05, seed=3, **given)
    memory.write(am.BitMatrix.random(n_words, 64, seed=1))
    return memory


def state(memory):
    """All that a memory holds."""
    kind = memory._store.now.kind
    return memory.counters.tobytes(), len(memory), None if kind is None else kind.coding


def interrupted(make, change):
    """Yield fresh memories, each interrupted at another line of ``change``, the last at none."""
    place = 0
    while True:
        memory, left, done = make(), place, False

        def trace(frame, event, _):
            nonlocal left
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            if event == "line":
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            change(memory)
            done = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        yield memory
        if done:
            return
        place += 1


@pytest.mark.parametrize("what", ["merge", "merge itself", "reset", "restore"])
def test_interrupted_changes_leave_the_old_state_or_the_new(monkeypatch, what):
    monkeypatch.setattr(locations, "_CELLS", 64 * 50)
    other = SDM(64, 300, p=0.05, seed=3)
    other.write(am.BitMatrix.random(9, 64, seed=2).unpack("bool"))
    change = {
        "merge": lambda memory: memory.merge(other),
        "merge itself": lambda memory: memory.merge(memory),
        "reset": lambda memory: memory.reset(),
        "restore": lambda memory: memory._store.restore(*other._store.arrays()),
    }[what]
    old, new = made(), made()
    change(new)
    assert state(old) != state(new)
    seen = [state(memory) for memory in interrupted(made, change)]
    assert set(seen) == {state(old), state(new)}
    assert len(seen) > 5 and seen[-1] == state(new)


@pytest.mark.parametrize("verb", ["write", "store"])
def test_interrupted_writes_leave_whole_items(monkeypatch, verb):
    monkeypatch.setattr(locations, "_PAIRS", 1)
    words = am.BitMatrix.random(40, 64, seed=7).unpack("bool")
    expected = []
    for n in range(41):
        memory = made(5)
        if n:
            memory.write(words[:n])
        expected.append(state(memory))
    seen = {}
    for memory in interrupted(lambda: made(5), lambda memory: getattr(memory, verb)(words)):
        done = len(memory) - 5
        assert state(memory) == expected[done]
        seen[done] = True
    assert set(seen) == {0, 16, 32, 40}


def test_timers_do_not_break_a_merge():
    """Ctrl-C at any moment of a merge of 8 MB of counters."""
    memory = SDM(256, 16_000, p=0.01, seed=1)
    other = copy.copy(memory)
    memory.write(am.BitMatrix.random(100, 256, seed=1))
    other.write(am.BitMatrix.random(7, 256, seed=2))
    one, two = memory.counters.copy(), other.counters.copy()
    began = time.perf_counter()
    copy.copy(memory).merge(other)
    took = time.perf_counter() - began
    broken = 0
    for delay in np.linspace(0, took, 12):
        merges = len(memory) // 7 - 14
        timer = threading.Timer(delay, lambda: signal.raise_signal(signal.SIGINT))
        try:
            timer.start()
            memory.merge(other)
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            broken += 1
        finally:
            timer.cancel()
            timer.join()
        whole = len(memory) // 7 - 14
        assert whole - merges in (0, 1) and len(memory) == 100 + 7 * whole
        np.testing.assert_array_equal(memory.counters, one + whole * two)
    assert broken > 0


def test_a_write_during_a_merge_is_not_lost(monkeypatch):
    """A signal handler may write while counters are added up."""
    late = am.BitMatrix.random(3, 64, seed=9)
    real, memory, other = locations.Counters._sum, made(), made(6)
    expected = made()
    expected.write(late)
    expected.merge(other)
    calls = []

    def slow(first, second):
        calls.append(len(memory))
        total = real(first, second)
        if len(calls) == 1:
            memory.write(late)
        return total

    monkeypatch.setattr(locations.Counters, "_sum", staticmethod(slow))
    memory.merge(other)
    assert calls == [40, 43] and state(memory) == state(expected)


def test_a_read_keeps_the_counters_that_it_began_with(monkeypatch):
    memory = made()
    cues = am.BitMatrix.random(40, 64, seed=1)
    expected = memory.read(cues, 3, raw=True)
    real = am.memories.sdm.memory.decide

    def resetting(*given):
        memory.reset()
        return real(*given)

    monkeypatch.setattr(am.memories.sdm.memory, "decide", resetting)
    np.testing.assert_array_equal(memory.read(cues, 3, raw=True), expected)
    assert len(memory) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS")
@pytest.mark.parametrize(
    "change", ["memory.merge(other)", "memory.merge(memory)", "memory.reset()"]
)
def test_too_little_memory_changes_nothing(change):
    code = f"""
import resource
import numpy as np, amfast as am
memory = am.SparseDistributedMemory(64, 200_000, radius=12, value_bits=512, counter_dtype="int8")
other = am.SparseDistributedMemory(64, 200_000, radius=12, value_bits=512, counter_dtype="int8")
for one in (memory, other):
    one.write(one.locations[:3], am.BitMatrix.random(3, 512, seed=1))
before = memory.counters[:2000].copy(), int(memory.counters.sum()), len(memory)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (60 << 20), now + (60 << 20)))
try:
    {change}
except MemoryError as error:
    print(error)
assert (memory.counters[:2000] == before[0]).all() and len(memory) == before[2] == 3
assert int(memory.counters.sum()) == before[1]
assert memory.read(memory.locations[0]).shape == (1, 512)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "counters of shape (200000, 512) and int8 take 0.1 GB" in result.stdout


def test_stores_are_restored(rng):
    memory = made(value_bits=64)
    memory.write(am.BitMatrix.random(3, 64, seed=4).unpack("binary"))
    arrays, meta = memory._store.arrays()
    frozen = {name: x.copy() for name, x in arrays.items()}
    for x in frozen.values():
        x.flags.writeable = False
    parameters = memory._parameters()
    again = SDM(**parameters)
    again._store.restore(frozen, meta)
    assert state(again) == state(memory) and again._store.now.kind == memory._store.now.kind
    assert again.counters.base is not None
    ones = np.ones((1, 64), np.int8)
    np.testing.assert_array_equal(again.read(ones), memory.read(ones))
    kept = frozen["counters"].copy()
    for one in (again, memory):
        one.write(ones)
    assert state(again) == state(memory)
    np.testing.assert_array_equal(frozen["counters"], kept)
    batch = memory._admit(am.BitMatrix.random(20, 64, seed=8), None, None)
    np.testing.assert_array_equal(again._store.append(batch), np.arange(44, 64))
    memory.write(am.BitMatrix.random(20, 64, seed=8))
    assert state(again) == state(memory)
    for bad in (
        ({"counters": kept[:-1]}, meta),
        ({"counters": kept.astype(np.int8)}, meta),
        ({"counters": kept}, {"written": -1}),
    ):
        with pytest.raises(ValueError, match=r"counters of shape \(300, 64\) and int16 cannot be"):
            again._store.restore(*bad)
    assert state(again) == state(memory)
    empty = SDM(**parameters)
    other = SDM(**parameters)
    other._store.restore(*empty._store.arrays())
    assert state(other) == state(empty)


def test_parameters_make_the_same_memory():
    given = {"n_bits": 5, "n_locations": 5, "radius": 1, "addresses": np.tri(5, dtype=np.uint8)}
    for memory in (SDM(**given, tie=-1), SDM(64, 300, p=0.05, value_bits=9, seed=8, tie=1)):
        again = SDM(**memory._parameters())
        assert repr(again) == repr(memory) and again.locations == memory.locations
        assert again.merge(memory) is again and again.tie == memory.tie
        assert again.seed == memory.seed


WORDS = np.random.default_rng(5).integers(0, 2, (12, 20)).astype(np.uint8)
CODINGS = {
    "binary": lambda x: x,
    "bool": lambda x: x.astype(bool),
    "bipolar": lambda x: x.astype(np.int8) * 2 - 1,
    "packed": am.pack,
}
picked = st.lists(st.integers(0, len(WORDS) - 1), max_size=5)


class Twins(RuleBasedStateMachine):
    """A memory beside plain NumPy counters, through everything that changes it."""

    def __init__(self):
        super().__init__()
        self.memory = SDM(20, 30, radius=7, counter_dtype="int8", tie=1, seed=2)
        table = self.memory.locations.unpack("binary")
        self.active = reference.sdm_active(WORDS, table, 7)
        self.counters, self.n = np.zeros((30, 20), np.int8), 0

    def expected(self, words, data, weights):
        return reference.sdm_write(self.counters, self.active[words], WORDS[data], weights)

    @rule(words=picked, weight=st.integers(-70, 70), coding=st.sampled_from(sorted(CODINGS)))
    def write(self, words, weight, coding):
        given = CODINGS[coding](WORDS[words])
        active = self.memory.write(given, weight=weight)
        np.testing.assert_array_equal(active, self.active[words].sum(axis=1))
        self.counters = self.expected(words, words, np.full(len(words), weight))
        self.n += len(words)

    @rule(words=picked, data=st.data())
    def store_pairs(self, words, data):
        n = len(words)
        others = data.draw(st.lists(st.integers(0, 11), min_size=n, max_size=n))
        weights = data.draw(st.lists(st.integers(-300, 300), min_size=n, max_size=n))
        weights = np.array(weights, np.int64)
        ids = self.memory.store(WORDS[words], WORDS[others], weights=weights)
        np.testing.assert_array_equal(ids, np.arange(self.n, self.n + n))
        self.counters = self.expected(words, others, weights)
        self.n += n

    @rule()
    def merge_itself(self):
        self.memory.merge(self.memory)
        twice = 2 * self.counters.astype(int)
        self.counters, self.n = np.clip(twice, -128, 127).astype(np.int8), 2 * self.n

    @rule(words=picked, weight=st.integers(-9, 9))
    def merge_another(self, words, weight):
        other = SDM(20, 30, radius=7, counter_dtype="int8", tie=1, seed=2)
        other.write(WORDS[words], weight=weight)
        before = other.counters.copy()
        self.memory.merge(other)
        total = self.counters.astype(int) + before
        self.counters = np.clip(total, -128, 127).astype(np.int8)
        self.n += len(words)
        np.testing.assert_array_equal(other.counters, before)

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
    def go_on_with_a_copy(self, how):
        left = self.memory
        self.memory = how(left)
        left.write(WORDS)
        left.reset()

    @rule()
    def reset(self):
        held = self.memory.counters
        before = held.copy()
        self.memory.reset()
        np.testing.assert_array_equal(held, before)
        self.counters, self.n = np.zeros((30, 20), np.int8), 0

    @rule(bad=st.sampled_from(["mixed", "width", "weight"]))
    def refuse(self, bad):
        with pytest.raises(ValueError, match="two codings|19 bits|whole numbers"):
            if bad == "mixed":
                self.memory.write(np.array([[-1] + [0] * 19]))
            elif bad == "width":
                self.memory.write(WORDS[:, :19])
            else:
                self.memory.write(WORDS, weight=np.full(12, 0.5))

    @invariant()
    def same_counters(self):
        np.testing.assert_array_equal(self.memory.counters, self.counters)
        assert len(self.memory) == self.n

    @invariant()
    def same_answers(self):
        if self.n == 0:
            with pytest.raises(ValueError, match="empty"):
                self.memory.read(WORDS)
            return
        sums = reference.sdm_read(self.counters, self.active)
        found = self.memory.read(WORDS, raw=True, details=True)
        np.testing.assert_array_equal(found.state, sums)
        np.testing.assert_array_equal(found.n_active, self.active.sum(axis=1))
        np.testing.assert_array_equal(self.memory.read(WORDS), sums >= 0)
        np.testing.assert_array_equal(self.memory.read(WORDS[3]), sums[3] >= 0)


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
