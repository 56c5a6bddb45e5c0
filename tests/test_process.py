"""The process lives on: no call stops it, ends it, or goes on after Ctrl-C.

Each in a child process, under a timeout.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import amfast as am

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, limits and forks are POSIX's")
TIMEOUT = 60
# Within a second on a machine that does nothing else; others may be at work.
SOON = 3.0


def run(code: str) -> str:
    """Run a program in a fresh interpreter, which must end well, and return what it printed."""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, "AMFAST_NUM_THREADS": "2"},
    )
    assert child.returncode == 0, (child.returncode, child.stdout, child.stderr[-3000:])
    return child.stdout


# -- nothing is locked ----------------------------------------------------------------------------

MEMORY = """
import os, signal, sys, threading, time
import numpy as np, amfast as am
rng = np.random.default_rng(0)
x = rng.normal(size=(4000, 32)).astype(np.float32)
m = am.UniversalHopfield("euclidean", "softmax", beta=1.0)
m.store(x)
cues = np.repeat(x[:20], 300, axis=0)
"""


def test_recall_store_and_nbytes_at_once():
    """A long recall, a store with a recall, and a look at nbytes in three threads."""
    code = """
end = time.monotonic() + 2
errors = []
def often(call):
    try:
        while time.monotonic() < end:
            call()
    except BaseException as error:
        errors.append(error)
def more():
    m.store(x[:3])
    m.recall(x[:2])
jobs = [lambda: m.recall(cues), more, lambda: m.nbytes, lambda: len(m)]
threads = [threading.Thread(target=often, args=(job,), daemon=True) for job in jobs]
for t in threads: t.start()
for t in threads: t.join(40)
print(errors, any(t.is_alive() for t in threads), flush=True)
os._exit(0)
"""
    assert run(MEMORY + code).split() == ["[]", "False"]


def test_a_signal_handler_stores_and_recalls():
    """Whatever the call that it interrupts is doing."""
    code = """
rings = []
def ring(*_):
    m.store(x[:1])
    m.recall(x[:1])
    rings.append(len(m))
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
end = time.monotonic() + 2
while time.monotonic() < end:
    m.recall(cues)
    m.store(x[:2])
    m.nbytes
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(rings) > 3)
"""
    assert run(MEMORY + code).split() == ["True"]


def test_a_fork_beside_a_recall():
    """Children of a process whose other threads recall, store and pack can do all of it."""
    code = """
going = True
def work():
    while going:
        m.recall(cues[:600])
        m.store(x[:1])
s = am.SparseDistributedMemory(256, 1000, radius=111)
words = rng.integers(0, 2, (200, 256)).astype(bool)
def write():
    while going:
        s.write(words)
for job in (work, write): threading.Thread(target=job, daemon=True).start()
time.sleep(0.3)
children = []
for _ in range(6):
    time.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        m.store(x[:3])
        m.recall(cues[:600])
        m.nbytes
        s.write(words)
        am.pairwise(x[:500], x, "l1")
        os._exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], flush=True)
os._exit(0)
"""
    assert run(MEMORY + code).strip() == "[0, 0, 0, 0, 0, 0]"


def test_readers_of_old_items_keep_them():
    """What was read before a store is what it was, also once the engine packs it."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    m = am.UniversalHopfield("euclidean", "softmax", beta=2.0)
    m.store(x[:100])
    before = m._store.now
    want = m.recall(x[:5])
    m.store(x[100:])
    after = m.recall(x[:5])
    assert len(before.engine_keys(np.dtype(np.float32))) == 100
    assert len(m._store.now.engine_keys(np.dtype(np.float32))) == 300
    other = am.UniversalHopfield("euclidean", "softmax", beta=2.0)
    other.store(x[:100])
    np.testing.assert_array_equal(other.recall(x[:5]), want)
    other.store(x[100:])
    np.testing.assert_array_equal(other.recall(x[:5]), after)


def test_many_small_stores_pack_little():
    """Row by row, each followed by a recall: the packed keys take about what the rows take."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1500, 64)).astype(np.float32)
    m = am.ModernHopfield(beta=1.0)
    for row in x:
        m.store(row[None])
        m.recall(row)
    at_once = am.ModernHopfield(beta=1.0)
    at_once.store(x)
    np.testing.assert_array_equal(m.recall(x[:40]), at_once.recall(x[:40]))
    assert m.nbytes < 4 * x.nbytes


# -- without memory: MemoryError ------------------------------------------------------------------

LIMITED = """
import resource, sys
import numpy as np, amfast as am
rng = np.random.default_rng(0)
def numbers(*shape, dtype=np.float32): return rng.random(shape, np.float32).astype(dtype)
def signs(*shape): return (2 * rng.integers(0, 2, shape, np.int8) - 1).astype(np.int8)
am.topk(numbers(2, 2), numbers(2, 2), 1, "l1")  # whatever is made once
{setup}
def used():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
refused = 0
for megabytes in {limits}:
    limit = used() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        {call}
    except MemoryError:
        refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(refused)
"""
LIMITS = (2, 15, 40, 90)
# What is set up, and the call: each needs more than the smallest limit.
CALLS = {
    "within, many hits": ("x = numbers(2500, 4)", "am.within(x, x, 1e9, 'l2')"),
    "within, some hits": ("x = numbers(5000, 4)", "am.within(x, x, 0.3, 'l2')"),
    "topk, large k": ("x = numbers(20000, 4)", "am.topk(x[:300], x, 15000, 'l2')"),
    "topk, one query": ("x = numbers(3_000_000, 2)", "am.topk(x[:1], x, 2_500_000, 'l2')"),
    "pairwise": ("x = numbers(5000, 8)", "am.pairwise(x, x, 'l2')"),
    "pairwise, wide": ("x = numbers(20, 400_000)", "am.pairwise(x, x, 'l2')"),
    "pairwise, wide cosine": ("x = numbers(20, 400_000)", "am.pairwise(x, x, 'cosine')"),
    "topk, wide": ("x = numbers(20, 400_000, dtype='f8')", "am.topk(x, x, 2, 'l1')"),
    "retrieve, wide": ("x = numbers(20, 400_000)", "am.retrieve(x, x)"),
    "retrieve, many": ("x = numbers(50, 400); q = numbers(60_000, 400)", "am.retrieve(q, x)"),
    "retrieve, weighted": (
        "x = numbers(4_000_000, 2); w = np.zeros(4_000_000)",
        "am.retrieve(x[:2], x, log_weight=w)",
    ),
    "hebbian": ("x = numbers(300, 3000)", "am.hebbian(x)"),
    "hebbian, signs": ("x = signs(3000, 3000)", "am.hebbian(x)"),
    "first recall": (
        "m = am.UniversalHopfield('euclidean', 'softmax'); m.store(numbers(50_000, 200))",
        "m._store.now.packed.clear(); m.recall(m.keys[:2])",
    ),
    "modern, first recall": (
        "m = am.ModernHopfield(); m.store(numbers(50_000, 200))",
        "m._store.now.packed.clear(); m.recall(m.keys[:2])",
    ),
    "store": ("m = am.ModernHopfield(); x = numbers(50_000, 200)", "m.store(x)"),
    "scores": (
        "m = am.UniversalHopfield('l1', 'softmax'); m.store(numbers(4000, 4))",
        "m.scores(m.keys)",
    ),
    "weights": (
        "m = am.UniversalHopfield('l1', 'softmax'); m.store(numbers(4000, 4))",
        "m.weights(m.keys)",
    ),
    "SDM.activated": (
        "m = am.SparseDistributedMemory(64, 20_000, radius=40); a = signs(400, 64) > 0",
        "m.activated(a)",
    ),
    "SDM.write": (
        "m = am.SparseDistributedMemory(64, 20_000, radius=40, value_bits=8)\n"
        "a = signs(800, 64) > 0",
        "m.write(a, a[:, :8])",
    ),
    "SDM.read": (
        "m = am.SparseDistributedMemory(64, 200, radius=20); m.write(signs(9, 64) > 0)\n"
        "a = signs(30_000, 64) > 0",
        "m.read(a)",
    ),
    "Hopfield.recall": (
        "m = am.Hopfield(); m.store(signs(4, 500)); q = signs(10_000, 500)",
        "m.recall(q, max_sweeps=1)",
    ),
    "Hopfield.recall, details": (
        "m = am.Hopfield(); m.store(signs(4, 8)); q = signs(10, 8)",
        "m.recall(q, temperature=1.0, max_sweeps=60_000, details=True)",
    ),
    "dense recall": (
        "m = am.DenseAssociativeMemory(3); m.store(signs(4, 500)); q = signs(10_000, 500)",
        "m.recall(q, max_sweeps=1)",
    ),
    "dense recall, wide": (
        "m = am.DenseAssociativeMemory(3); m.store(signs(3, 300_000)); q = signs(2, 300_000)",
        "m.recall(q, max_sweeps=1)",
    ),
    "pack": ("x = signs(1000, 40_000)", "am.pack(x)"),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space")
@pytest.mark.parametrize("call", CALLS)
def test_without_memory(call):
    """MemoryError under one limit at least, and never the end of the process or a panic."""
    setup, work = CALLS[call]
    refused = int(run(LIMITED.format(setup=setup, call=work, limits=LIMITS)))
    assert 1 <= refused <= len(LIMITS)


def test_the_largest_sizes_are_refused():
    """Results beyond all memory."""
    x = np.zeros((1 << 20, 1), np.float32)
    with pytest.raises(MemoryError):
        am.topk(x, x, 1 << 20, "l1")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of threads")
def test_without_threads():
    """Where no thread can be started the calling thread does the work, to the same bits."""
    # The limit leaves less than the stack of a thread.
    code = """
import resource, numpy as np, amfast as am
x = np.random.default_rng(0).random((100, 300), np.float32)
am.pairwise(x[:1], x[:1], "l1")  # what is imported when it is first asked for
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1_900_000, resource.RLIM_INFINITY))
few = am.pairwise(x, x, "l1", threads=30)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print((few == am.pairwise(x, x, "l1", threads=3)).all())
"""
    assert run(code).split() == ["True"]


PEAK = """
import resource, numpy as np, amfast as am
x = np.ones((2, 2_000_000), np.float32)
am.topk(np.ones((2, 2)), np.ones((2, 2)), 1, "l1")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{call}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts kilobytes")
@pytest.mark.parametrize(
    "call",
    [
        "am.pairwise(x[:1], x[1:], 'l2')",
        "am.pairwise(x[:1], x[1:], 'cosine')",
        "am.topk(x[:1], x, 1, 'l1')",
        "am.retrieve(x[:1], x)",
    ],
)
def test_wide_rows_take_little(call):
    """A pair of rows of 8 MB: a register's worth of them at most, which are sixteen."""
    assert int(run(PEAK.format(call=call))) < 250_000


# -- Ctrl-C ---------------------------------------------------------------------------------------

INTERRUPTED = """
import time
import numpy as np, amfast as am
rng = np.random.default_rng(0)
def signs(*shape): return (2 * rng.integers(0, 2, shape, np.int8) - 1).astype(np.int8)
{setup}
am.topk(np.ones((2, 2)), np.ones((2, 2)), 1, "l1")
print("ready", flush=True)
try:
    {call}
    print("finished", flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
LONG = {
    "Hopfield.recall": (
        "m = am.Hopfield(); m.store(signs(3, 20)); q = signs(1, 20)",
        "m.recall(q, temperature=1.0, max_sweeps=40_000_000)",
    ),
    "Hopfield.recall, clamped": (
        "m = am.Hopfield(); m.store(signs(3, 20)); q = signs(1, 20)",
        "m.recall(q, temperature=1.0, max_sweeps=10**12, clamp=np.ones(20, bool))",
    ),
    "dense recall": (
        "m = am.DenseAssociativeMemory(3); m.store(signs(3, 20)); q = signs(1, 20)",
        "m.recall(q, temperature=1.0, max_sweeps=40_000_000)",
    ),
    "topk, large k": (
        "x = rng.random((120_000, 2), np.float32)",
        "[am.topk(x[:1000], x, 100_000, 'l2') for _ in range(20)]",
    ),
    "within, many hits": (
        "x = rng.random((9000, 2), np.float32)",
        "[am.within(x, x, 1e9, 'l2') for _ in range(40)]",
    ),
    "first recall": (
        "m = am.UniversalHopfield('euclidean', 'softmax')\n"
        "m.store(rng.random((400_000, 256), np.float32))",
        "[(m._store.now.packed.clear(), m.recall(m.keys[:1])) for _ in range(100)]",
    ),
}


@pytest.mark.parametrize("call", LONG)
def test_ctrl_c_stops_it_soon(call):
    """With a KeyboardInterrupt; the best of three tries counts, since others use the machine."""
    setup, work = LONG[call]
    code, took = INTERRUPTED.format(setup=setup, call=work), []
    while not took or (min(took) > SOON and len(took) < 3):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(TIMEOUT, child.kill)
        watchdog.start()
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.6)
            assert child.poll() is None
            began = time.perf_counter()
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "stopped\n"
            took.append(time.perf_counter() - began)
        finally:
            watchdog.cancel()
            child.kill()
            child.communicate()
    assert min(took) <= SOON, took


@pytest.mark.parametrize("metric", ["dot", "cosine", "l1", "l2", "kl"])
def test_few_long_keys_score_as_among_many(metric):
    """Panel by panel or a block at a time: the same bits, also where values are mixed."""
    rng = np.random.default_rng(5)
    keys = rng.random((65, 70_001), np.float32)
    queries, values = keys[:3] + np.float32(0.1), rng.random((65, 3), np.float32)
    among = am.pairwise(queries, keys, metric)
    for n in (1, 15, 16, 17, 33, 65):
        np.testing.assert_array_equal(am.pairwise(queries, keys[:n], metric), among[:, :n])
        np.testing.assert_array_equal(am.pairwise(queries[:1], keys[:n], metric), among[:1, :n])
        best = am.topk(queries, keys[:n], 1, metric)[1][:, 0]
        assert (best == am.topk(queries, keys[:n], n, metric)[1][:, 0]).all()
    if metric != "kl":
        memory = am.UniversalHopfield({"l1": "manhattan", "l2": "euclidean"}.get(metric, metric))
        memory.store(keys[:17], values[:17])
        want = am.retrieve(queries, keys[:17], values[:17], similarity=metric, beta=1.0)
        np.testing.assert_array_equal(memory.recall(queries), want)
