"""Calls from several threads at once: on one array, one `Keys`, one memory, one setting.

Where the interpreter has a lock it is made to change hands as often as it can; where it has none,
nothing may switch it on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from conftest import together

import amfast as am

pytestmark = pytest.mark.usefixtures("restless")


def child(code: str) -> str:
    """What a program prints in a fresh interpreter, which must end well."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=own)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-3000:])
    return done.stdout


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="it has a lock")
def test_the_lock_stays_off():
    """No module of amfast switches the interpreter's lock on: that warns."""
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import amfast as am;"
        "[getattr(am, name) for name in am.__all__]; am.pairwise([[1.0]], [[1.0]], 'l1');"
        "print(sys._is_gil_enabled())"
    )
    assert child(code).strip() == "False"


def test_the_first_calls_come_at_once():
    """Whatever is made once in a process, by whoever comes first."""
    code = """
import sys, threading
import numpy as np
import amfast as am
sys.setswitchinterval(1e-6)
x = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
signs = np.where(x > 0, 1, -1).astype(np.int8)
def recalled(memory, rows):
    memory.store(rows)
    return memory.recall(rows[:5])
jobs = [
    lambda: am.topk(x, x, 3, "l1", threads=3)[1],
    lambda: am.retrieve(x, x, threads=2),
    lambda: am.Keys(x, "cosine").nbytes,
    lambda: am.within(x, x, 4.0, "l2")[2],
    lambda: recalled(am.ModernHopfield(1.0), x),
    lambda: recalled(am.Hopfield(), signs),
    lambda: recalled(am.HebbianMemory(), x),
    lambda: am.cpu_info()["isa"],
]
gate, got = threading.Barrier(len(jobs)), {}
def run(i, job):
    gate.wait(60)
    got[i] = np.asarray(job()).tobytes()
threads = [threading.Thread(target=run, args=given) for given in enumerate(jobs)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print([got.get(i) == np.asarray(job()).tobytes() for i, job in enumerate(jobs)])
"""
    for _ in range(4):
        assert child(code).strip() == str([True] * 8)


def test_the_setting_changes_meanwhile(rng):
    """The pool grows under calls that are going on, and no bit of an answer changes."""
    x = rng.normal(size=(400, 60)).astype(np.float32)
    want, before = am.topk(x, x, 4, "l1", threads=1)[1], am.get_num_threads()

    def ask() -> None:
        for _ in range(30):
            np.testing.assert_array_equal(am.topk(x, x, 4, "l1")[1], want)

    def change() -> None:
        for n in [*range(1, 13), 2, 1, 7] * 4:
            am.set_num_threads(n)
            with am.threads(n % 5 + 1):
                assert am.get_num_threads() == n % 5 + 1
                am.pairwise(x[:50], x, "l2")

    try:
        together(ask, ask, ask, change, change)
    finally:
        am.set_num_threads(before)


def test_stores_and_deletes_are_all_counted():
    """None is lost, ids are given once, and keys keep their values."""
    n, memory = 800, am.UniversalHopfield("euclidean", "max")
    kept = np.arange(40.0).reshape(-1, 1)
    memory.store(kept, -kept)

    def change(first: int) -> np.ndarray:
        mine = []
        for i in range(n):
            rows = np.full((3, 1), 1000.0 + first + i)
            ids = memory.store(rows, -rows)
            memory.delete(ids[:2])
            mine.append(ids)
        return np.concatenate(mine)

    def read() -> None:
        for _ in range(n // 8):
            np.testing.assert_array_equal(memory.recall(kept, threads=1), -kept)
            assert len(memory.ids) >= 40
            assert memory.nbytes > 0

    writers = [lambda: change(0), lambda: change(n), lambda: change(2 * n)]
    given = np.concatenate(together(*writers, read, read)[:3])
    assert len(set(given.tolist())) == len(given) == 9 * n
    assert (np.diff(memory.ids) > 0).all()
    np.testing.assert_array_equal(memory.values, -memory.keys)
    left = np.concatenate([kept[:, 0], np.arange(1000.0, 1000 + 3 * n)])
    np.testing.assert_array_equal(np.sort(memory.keys[:, 0]), left)


def test_keys_grow_while_they_are_asked(rng):
    """A search sees a beginning of what is appended, by some order of those who append."""
    x = rng.normal(size=(40, 8)).astype(np.float32)
    keys = am.Keys(x, "l1")
    far = np.full((5, 8), 100, np.float32)

    def append() -> None:
        for _ in range(20):
            keys.append(far)

    def ask() -> None:
        last = 0
        for _ in range(150):
            scores, found = am.topk(x, keys, 1, "l1", threads=1)
            assert not scores.any()
            np.testing.assert_array_equal(found[:, 0], np.arange(40))
            last, n = len(keys), last
            assert last >= n

    together(append, append, append, ask, ask)
    assert len(keys) == 40 + 3 * 20 * 5


def test_writes_to_counters_count_or_are_refused():
    """Of writes at one time to one memory all but one are refused, and readers do no harm."""
    memory = am.SparseDistributedMemory(64, 2000, p=0.05, seed=1)
    words = am.BitMatrix.random(20, 64, seed=2)
    memory.write(words)
    once, want = memory.counters.copy(), memory.read(words).to_packed()

    def write() -> tuple[int, int]:
        done = refused = 0
        for _ in range(30):
            try:
                memory.write(words, threads=1)
                done += 1
            except ValueError as error:
                assert "is being written to by another call" in str(error)
                refused += 1
        return done, refused

    def read() -> None:
        for _ in range(60):
            memory.read(words, threads=1)

    counts = together(write, write, write, read, read)[:3]
    assert [done + refused for done, refused in counts] == [30] * 3
    times = 1 + sum(done for done, _ in counts)
    assert len(memory) == 20 * times
    np.testing.assert_array_equal(memory.counters, times * once)
    np.testing.assert_array_equal(memory.read(words).to_packed(), want)


def test_inputs_that_change_meanwhile(rng):
    """What comes of it is nobody's promise, but it is an answer, or an error that says why."""
    x = rng.normal(size=(200, 30)).astype(np.float32)

    def spoil() -> None:
        for i in range(300):
            x[i % 200] = np.nan if i % 3 else i

    def ask() -> None:
        for _ in range(60):
            try:
                _, found = am.topk(x, x, 3, "l1", threads=1)
                assert ((0 <= found) & (found < 200)).all()
                am.within(x, x, 1.0, "l2", threads=1)
                am.retrieve(x, x, threads=1)
            except ValueError as error:
                assert "NaN" in str(error) or "not finite" in str(error)

    together(spoil, ask, ask, ask)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_of_a_child_take_turns():
    """Also where another thread of the parent was at it when it forked."""
    code = """
import os, signal, sys, threading
import numpy as np
import amfast as am
sys.setswitchinterval(1e-6)
memory = am.UniversalHopfield()
memory.store(np.eye(4))
held, go = threading.Event(), threading.Event()
def hold():
    with memory._store.turn:
        held.set()
        go.wait(60)
holder = threading.Thread(target=hold)
holder.start()
held.wait(20)
codes = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        gate, rows = threading.Barrier(6), np.eye(4)
        def store():
            gate.wait(60)
            for _ in range(10): memory.store(rows)
        threads = [threading.Thread(target=store) for _ in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os._exit(len(memory) != 244)
    codes.append(os.waitpid(pid, 0)[1])
go.set()
holder.join()
print(sum(codes))
"""
    assert child(f"import warnings; warnings.simplefilter('ignore')\n{code}").strip() == "0"
