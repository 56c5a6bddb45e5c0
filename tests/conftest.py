"""Shared by the tests: data of every element type and layout, and error bounds of the engine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import amfast
from amfast import reference

# A shell starts what runs in the background deaf to Ctrl-C, which tests send and children inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "amfast",
    deadline=None,
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Others at every run, and more: for tools/long_checks.sh.
settings.register_profile(
    "long", settings.get_profile("amfast"), max_examples=600, derandomize=False, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "amfast"))

# Names come when they are asked for; tests that look for every class by themselves want them all.
for name in amfast.__all__:
    getattr(amfast, name)

# Where the library's own files are. Its name alone is in the paths of others too: of an environment
# in a folder "amfast-...", say.
PACKAGE = os.path.dirname(amfast.__file__) + os.sep

# Those of numbers; test_hamming.py has that of bits.
METRICS = [metric for metric in reference.METRICS if metric != "hamming"]
DISTRIBUTIONS = ("kl", "reverse_kl", "jensenshannon")
THREADS = (1, 2, 3)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed per test."""
    return np.random.default_rng(20240607)


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads change places in the middle of everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """What each job returns, all begun at once in threads of their own."""
    gate, answers = threading.Barrier(len(jobs)), {}

    def run(i: int, job: Callable[[], Any]) -> None:
        try:
            gate.wait(60)
            answers[i] = job()
        except BaseException as error:
            answers[i] = error

    threads = [threading.Thread(target=run, args=given) for given in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    for answer in answers.values():
        if isinstance(answer, BaseException):
            raise answer
    return [answers[i] for i in range(len(jobs))]


def draw(rng: np.random.Generator, shape: tuple[int, int], dtype: str, metric: str = "dot"):
    """Random rows; positive for the metrics between distributions."""
    if np.dtype(dtype).kind in "ui":
        low, high = (0, 256) if dtype == "uint8" else (-128, 128)
        if metric in DISTRIBUTIONS:
            low = 1
        return rng.integers(low, high, shape).astype(dtype)
    x = rng.normal(size=shape)
    if metric in DISTRIBUTIONS:
        x = np.abs(x) + 0.01
    return x.astype(dtype)


def score_error(queries, keys, metric: str, eps: float) -> np.ndarray:
    """How far a score may be from the float64 reference, (Q, N).

    A few dozen roundings of the sum of the magnitudes of what is added up; for the square root of
    the Jensen-Shannon divergence the bound is on the square.
    """
    q, k = np.asarray(queries, np.float64), np.asarray(keys, np.float64)
    if metric == "dot":
        size = np.abs(q) @ np.abs(k).T
    elif metric == "cosine":
        size = np.ones((len(q), len(k)))
    elif metric in ("kl", "reverse_kl"):
        size = np.full((len(q), len(k)), 2 * np.log(q.shape[1]) + 8)
    elif metric == "jensenshannon":
        size = np.full((len(q), len(k)), 4.0)
    else:
        size = np.abs(reference.pairwise(q, k, metric))
    return 32 * eps * size


def assert_scores(got, queries, keys, metric: str, expected=None) -> None:
    """Compare scores with the reference within `score_error`."""
    if expected is None:
        expected = reference.pairwise(queries, keys, metric)
    assert got.shape == expected.shape
    if got.dtype.kind == "i":
        np.testing.assert_array_equal(got, expected)
        return
    bound = score_error(queries, keys, metric, float(np.finfo(got.dtype).eps))
    got = got.astype(np.float64)
    if metric == "jensenshannon":
        got, expected = got**2, expected**2
    same = (got == expected) | (np.abs(got - expected) <= bound)
    worst = np.unravel_index(np.argmin(same), same.shape) if same.size else ()
    assert same.all(), (metric, worst, got[worst], expected[worst], bound[worst])


def layouts(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same numbers in other memory layouts."""
    yield "fortran", np.asfortranarray(x)
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, 1::3] = x
    yield "strided", wide[::2, 1::3]
    yield "reversed", np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    raw = np.zeros(x.nbytes + 1, np.uint8)
    shifted = raw[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    yield "misaligned", shifted
    yield "swapped", x.astype(x.dtype.newbyteorder())


def interrupted(call, at):
    """Raise KeyboardInterrupt at the at-th line of the library; return whether it got so far."""
    seen = 0

    def trace(frame, event, arg):
        nonlocal seen
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            seen += 1
            if seen == at:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False
