"""What is done in a thread beside the caller's: one ahead, never waited for in vain."""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time

import numpy as np
import pytest
from test_process import run

import amfast as am
from amfast._beside import Ahead
from amfast._stores.matrix import interruptible


def test_one_thread_asks_one_ahead():
    """In the caller's context, as iterators want it that belong to a thread or a context."""
    threads, asked = set(), [threading.Event() for _ in range(4)]

    def items():
        for i in range(4):
            threads.add(threading.get_ident())
            asked[i].set()
            yield i, am.get_num_threads()

    with am.threads(3):
        ahead = Ahead(items())
    for i, (item, n_threads) in enumerate(ahead):
        assert (item, n_threads) == (i, 3)
        assert i == 3 or asked[i + 1].wait(20), "the next item waits for this one"
        assert i > 1 or not asked[i + 2].is_set(), "two ahead"
    assert len(threads) == 1 and threading.get_ident() not in threads
    assert list(ahead) == []


def test_errors_come_where_their_item_would():
    def items():
        yield 1
        raise KeyError("gone")

    ahead = Ahead(items())
    assert next(ahead) == 1
    with pytest.raises(KeyError, match="gone"):
        next(ahead)
    ahead.close()


def test_who_leaves_asks_for_no_more():
    asked = []

    def items():
        for i in range(9):
            asked.append(i)
            time.sleep(0.05)
            yield i

    ahead = Ahead(items())
    assert next(ahead) == 0
    ahead.close()
    assert len(asked) <= 2
    before = list(asked)
    time.sleep(0.2)
    assert asked == before and not ahead._goes_on()


@pytest.mark.parametrize("end", ["none starts", "one ends before it begins"])
def test_without_a_thread_the_caller_asks(monkeypatch, end):
    def start(*args):
        if end == "none starts":
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", start)
    idents = (threading.get_ident() for _ in range(3))
    assert list(Ahead(idents)) == [threading.get_ident()] * 3
    assert interruptible(divmod, 7, 3) == (2, 1)
    x = np.arange(12.0).reshape(6, 2)
    assert am.topk(x[:1], am.Blocks(x, 2), 1, "l1")[1] == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space")
def test_a_thread_without_memory_is_not_waited_for():
    """One that gets its stack, which the C library kept of the last, and not a byte more."""
    code = """
import os, resource, signal
import numpy as np, amfast as am
from amfast._stores.matrix import interruptible
x = np.eye(3)
calls = [lambda: interruptible(len, "ab"), lambda: am.topk(x, am.Blocks(x, 1), 1, "l1")]
ends = []
for call in calls:
    call()
    for more in range(0, 1 << 15, 1 << 12):
        pid = os.fork()
        if pid == 0:
            signal.alarm(5)
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))
            try:
                call()
            except MemoryError:
                pass
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(*ends)
"""
    assert set(run(code).split()) == {"0"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
def test_a_fork_leaves_no_thread_to_wait_for():
    """Its child asks in its own thread, and ends."""
    code = """
import itertools, os, signal, sys, time
from amfast._beside import Ahead
ahead = Ahead(itertools.starmap(time.sleep, itertools.repeat((0.5,))))
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    next(ahead)
    ahead.close()
    sys.exit()
print(os.waitpid(pid, 0)[1])
ahead.close()
"""
    assert run(code).split() == ["0"]


def test_the_interpreter_waits_before_it_ends():
    code = """
import itertools, time
from amfast._beside import Ahead
def slow():
    time.sleep(0.5)
    print("done", flush=True)
Ahead(itertools.starmap(slow, itertools.repeat(())))
"""
    assert run(code).split() == ["done"]
