"""Threads, processes, signals and the environment."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import amfast as am


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def setting():
    """The module setting, put back afterwards."""
    before = am.get_num_threads()
    yield before
    am.set_num_threads(before)


def test_settings(setting):
    """The module setting holds everywhere, the context manager here; they nest and unwind."""
    am.set_num_threads(3)
    assert am.get_num_threads() == 3 == am.cpu_info()["threads"]
    with am.threads(1):
        assert am.get_num_threads() == 1
        with am.threads(5):
            assert am.get_num_threads() == 5
        am.set_num_threads(2)
        assert am.get_num_threads() == 1
    assert am.get_num_threads() == 2
    with pytest.raises(KeyError), am.threads(7):
        raise KeyError
    assert am.get_num_threads() == 2


def test_context_is_of_this_thread_and_task(setting):
    """Other threads and tasks do not see the context's setting."""
    am.set_num_threads(2)
    with ThreadPoolExecutor(1) as pool:
        # One that begins in the block may inherit it, by the interpreter's choice.
        assert pool.submit(am.get_num_threads).result(20) == 2
        with am.threads(1):
            assert pool.submit(am.get_num_threads).result(20) == 2

    async def task(n):
        with am.threads(n):
            await asyncio.sleep(0.01)
            return am.get_num_threads()

    async def both():
        return await asyncio.gather(task(1), task(4))

    assert asyncio.run(both()) == [1, 4]


@pytest.mark.parametrize("bad", [0, -1, 1025, 10**30])
def test_thread_counts_out_of_range(bad):
    """ValueError for counts no machine has."""
    x = np.ones((2, 2))
    for call in (
        am.set_num_threads,
        lambda n: am.threads(n).__enter__(),
        lambda n: am.pairwise(x, x, "dot", threads=n),
        lambda n: am.topk(x, x, 1, "dot", threads=n),
        lambda n: am.within(x, x, 1.0, "dot", threads=n),
        lambda n: am.retrieve(x, x, threads=n),
    ):
        with pytest.raises(ValueError, match="int in 1..1024"):
            call(bad)
        for other in (1.0, "2", True):
            with pytest.raises(TypeError, match="int in 1..1024"):
                call(other)


def test_more_threads_than_work_or_cores(rng):
    """A thousand threads for one row are fine."""
    x = rng.normal(size=(1, 5))
    np.testing.assert_array_equal(
        am.pairwise(x, x, "l1", threads=1024), am.pairwise(x, x, "l1", threads=1)
    )


def test_environment_sets_threads():
    """AMFAST_NUM_THREADS is read at import; nonsense is refused there."""
    code = "import amfast as am; print(am.get_num_threads())"
    assert run(code, AMFAST_NUM_THREADS="3").stdout.strip() == "3"
    assert int(run(code, AMFAST_NUM_THREADS="").stdout) >= 1
    for bad in ("0", "two", "-1", "1.5", "99999"):
        result = run(code, AMFAST_NUM_THREADS=bad)
        assert result.returncode == 1
        assert f"AMFAST_NUM_THREADS must be an int in 1..1024, got '{bad}'" in result.stderr


def test_environment_sets_the_isa():
    """Every available instruction set can be forced and gives the same answers to rounding."""
    info = am.cpu_info()
    assert info["isa"] in info["available"] and "portable" in info["available"]
    code = (
        "import amfast as am, numpy as np; r = np.random.default_rng(0);"
        "k = r.uniform(size=(70, 37)); q = r.uniform(size=(5, 37));"
        "print(am.cpu_info()['isa']);"
        "print(*am.pairwise(q, k, 'manhattan').ravel()[:50].tolist());"
        "print(*am.retrieve(q, k, beta=3.0).ravel().tolist());"
        "print(*am.topk(q, k, 9, 'kl')[1].ravel().tolist())"
    )
    outputs = []
    for isa in info["available"]:
        lines = run(code, AMFAST_ISA=isa).stdout.split("\n")
        assert lines[0] == isa
        outputs.append([np.array(line.split(), float) for line in lines[1:4]])
    for other in outputs[1:]:
        for a, b in zip(outputs[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    for bad in ("sse9", "neon" if "neon" not in info["available"] else "avx2"):
        assert run("import amfast", AMFAST_ISA=bad).returncode == 0
        for call in ("am.cpu_info()", "am.Keys([[1.0]], 'l1')", "am.topk([1.0], [[1.0]], 1, 'l1')"):
            result = run(f"import amfast as am; {call}", AMFAST_ISA=bad)
            assert result.returncode == 1
            assert result.stderr.strip().split("\n")[-1].startswith(f"ValueError: AMFAST_ISA={bad}")


def test_many_python_threads_at_once(rng):
    """Calls from many threads, on one memory too, give what one gives."""
    k = rng.normal(size=(500, 40)).astype(np.float32)
    q = rng.normal(size=(30, 40)).astype(np.float32)
    memory = am.UniversalHopfield("manhattan", "softmax")
    memory.store(k)
    jobs = [
        lambda n: am.pairwise(q, k, "l1", threads=n),
        lambda n: am.topk(q, k, 7, "l2", threads=n)[1],
        lambda n: am.retrieve(q, k, threads=n),
        lambda n: memory.recall(q, threads=n),  # its keys are packed by whoever comes first
        lambda n: am.within(q, k, 8.0, "l2", threads=n)[2],
    ]
    with ThreadPoolExecutor(8) as pool:
        futures = [(job, pool.submit(job, 1 + i % 3)) for i in range(40) for job in jobs]
        results = [(job, future.result(60)) for job, future in futures]
    for job, result in results:
        assert result.tobytes() == job(1).tobytes()


def test_the_interpreter_is_released(rng):
    """Another Python thread goes on while the engine works."""
    x = rng.normal(size=(3000, 600)).astype(np.float32)
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    while time.perf_counter() - start < 0.5:
        am.topk(x, x, 3, "manhattan", threads=1)
    end = time.perf_counter()
    stop.set()
    ticker.join()
    assert sum(start < t < end for t in ticks) > 20


def _in_child(queue, q, k, expected):
    queue.put(am.pairwise(q, k, "l1", threads=2).tobytes() == expected)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_fork(rng):
    """A child of a process whose pool has run has a pool of its own, and so has its child."""
    q, k = rng.normal(size=(64, 300)), rng.normal(size=(2000, 300))
    expected = am.pairwise(q, k, "l1", threads=2).tobytes()
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        queue = context.Queue()
        child = context.Process(target=_in_child, args=(queue, q, k, expected))
        child.start()
        try:
            assert queue.get(timeout=20)
            child.join(20)
            assert child.exitcode == 0
        finally:
            if child.is_alive():
                child.kill()
    assert am.pairwise(q, k, "l1", threads=2).tobytes() == expected


LONG_CALLS = {
    "pairwise": "am.pairwise(x, x, 'jensenshannon', threads={threads})",
    "topk": "am.topk(x, x, 5, 'jensenshannon', threads={threads})",
    "within": "am.within(x, x, 0.001, 'jensenshannon', threads={threads})",
    "retrieve": "am.retrieve(x, x, similarity='jensenshannon', threads={threads})",
}


def seconds_to_stop(call):
    """How long a call in a child goes on after a Ctrl-C."""
    code = f"""
import numpy as np, amfast as am
x = np.random.default_rng(0).random((16000, 1000), np.float32) + 1
am.topk(x[:2], x[:2], 1, "l1")
print("ready", flush=True)
try:
    {call}
    print("finished", flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        assert child.poll() is None
        start = time.perf_counter()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "stopped\n"
        return time.perf_counter() - start
    finally:
        child.kill()
        child.communicate()


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c(call, threads):
    """Ctrl-C ends a long call within a second, with a KeyboardInterrupt."""
    call = LONG_CALLS[call].format(threads=threads)
    # Other work on the machine adds to a single measurement, so the best of three counts.
    took = []
    while not took or (min(took) >= 1.0 and len(took) < 3):
        took.append(seconds_to_stop(call))
    assert min(took) < 1.0, took


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals are sent the POSIX way")
def test_work_goes_on_after_an_interrupt():
    """An interrupted call leaves the pool usable, and handlers that return do not end a call."""
    code = """
import signal, numpy as np, amfast as am
x = np.random.default_rng(0).uniform(1, 2, (4000, 4000)).astype(np.float32)
expected = am.pairwise(x[:9], x[:9], "jensenshannon", threads=2)
signal.setitimer(signal.ITIMER_REAL, 0.2)
class Alarm(Exception): pass
def ring(*_): raise Alarm
signal.signal(signal.SIGALRM, ring)
try:
    am.topk(x, x, 3, "jensenshannon", threads=2)
except Alarm:
    print("alarm")
calls = []
signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
am.topk(x[:30], x, 3, "jensenshannon", threads=2)
signal.setitimer(signal.ITIMER_REAL, 0)
again = am.pairwise(x[:9], x[:9], "jensenshannon", threads=2)
print(len(calls) > 0, (again == expected).all())
"""
    result = run(code)
    assert result.stdout.split() == ["alarm", "True", "True"], result.stderr


def test_one_out_for_two_threads(rng):
    """Of two calls that write to one memory the second is refused, with a ValueError."""
    q = rng.normal(size=(700, 400)).astype(np.float32)
    out = np.empty((701, 700), np.float32)
    begin, refused, wrong = threading.Barrier(4), [], []

    def work(part):
        begin.wait()
        for _ in range(20):
            try:
                am.pairwise(q, q, "l1", out=part, threads=1)
            except ValueError as error:
                refused.append(str(error))
            except BaseException as error:
                wrong.append(error)

    views = [out[:700], out[1:], out[:700], out[:700]]
    threads = [threading.Thread(target=work, args=(view,)) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert refused and all("out is being written to by another call" in text for text in refused)
    # Afterwards it is anybody's, and arrays that share no memory never were in each other's way.
    np.testing.assert_array_equal(
        am.pairwise(q, q, "l1", out=out[:700], threads=2), am.pairwise(q, q, "l1")
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_do_not_pile_up():
    """Every number of threads in turn leaves no more than the largest."""
    code = """
import os, time, numpy as np, amfast as am
x = np.random.default_rng(0).random((300, 300), np.float32)
want = am.pairwise(x, x, "l1", threads=1)
for n in list(range(1, 41)) + [7, 1]:
    assert (am.pairwise(x, x, "l1", threads=n) == want).all()
end = time.monotonic() + 20
while len(os.listdir("/proc/self/task")) > 45 and time.monotonic() < end: time.sleep(0.05)
print(len(os.listdir("/proc/self/task")))
"""
    assert int(run(code).stdout) <= 45


@pytest.mark.parametrize("kind", ["Hopfield", "DenseAssociativeMemory"])
def test_equal_cues_settle_alike(rng, kind):
    """Alone, in a batch, and anywhere in it: the order of units is the cue's own."""
    memory = am.Hopfield() if kind == "Hopfield" else am.DenseAssociativeMemory(3)
    memory.store((2 * rng.integers(0, 2, (30, 40)) - 1).astype(np.int8))
    cues = (2 * rng.integers(0, 2, (20, 40)) - 1).astype(np.int8)
    for options in ({}, {"temperature": 5.0}):
        alone = [memory.recall(cue, "async", 3, 11, **options) for cue in cues]
        copies = np.repeat(cues, 8, axis=0)
        order = rng.permutation(len(copies))
        got = memory.recall(copies[order], "async", 3, 11, threads=2, **options)
        if not options:
            np.testing.assert_array_equal(got, np.repeat(alone, 8, axis=0)[order])
        for cue, answer in enumerate(alone):  # at a temperature the first of the copies is it
            np.testing.assert_array_equal(got[(order // 8 == cue).argmax()], answer)
