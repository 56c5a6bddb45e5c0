"""What a row of the table consists of: a workload, who competes in it, and the verdict."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

import amfast
from amfast._typing import Array
from amfast.bench import _clock
from amfast.bench._files import Mapped, Milliseconds
from amfast.bench._machine import Machine

Call = Callable[[], Any]


@dataclass(frozen=True)
class Size:
    """Q cues, N keys, d columns."""

    q: int
    n: int
    d: int

    @property
    def elements(self) -> float:
        """Q N d."""
        return float(self.q) * self.n * self.d

    def quick(self) -> Size:
        """Return a size that takes milliseconds: it shows that everything runs, not how fast."""
        return Size(min(self.q, 8), min(self.n, 300), min(self.d, 32))

    def __str__(self) -> str:
        return f"{self.q:,} x {self.n:,} x {self.d:,}"


@dataclass(frozen=True)
class Data:
    """Cues (Q, d) and keys (N, d) of one workload; ``threads`` for whoever takes them per call."""

    cues: Array
    keys: Array
    threads: int


@lru_cache(maxsize=1)
def make_data(size: Size, kind: str, threads: int) -> Data:
    """Draw seeded data.

    ``uniform`` in [0, 1) like pixels, ``normal``, ``uint8`` pixels, ``int8``, ``signs`` as int8,
    ``bits`` packed in bytes, or ``pairs``: normal, with as many cues as keys, Q columns wide.
    """
    rng = np.random.default_rng(20_26)

    def draw(rows: int, columns: int = size.d) -> Array:
        shape = (rows, columns)
        if kind == "bits":
            return rng.integers(0, 256, (rows, columns // 8), dtype=np.uint8)
        if kind == "signs":
            return rng.integers(0, 2, shape, dtype=np.int8) * np.int8(2) - np.int8(1)
        if kind == "int8":
            return rng.integers(-128, 128, shape, dtype=np.int8)
        if kind == "uint8":
            return rng.integers(0, 256, shape, dtype=np.uint8)
        if kind in ("normal", "pairs"):
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.random(shape, dtype=np.float32)

    keys = draw(size.n)
    cues = draw(size.n, size.q) if kind == "pairs" else draw(size.q)
    return Data(cues, keys, threads)


@dataclass(frozen=True)
class Contender:
    """A library and how its users would do the job with it.

    ``prepare(module, data)`` does what is done once per set of keys and returns the call to time,
    whose result is an array that all contenders agree on.
    """

    name: str
    module: str
    prepare: Callable[[Any, Data], Call]


@dataclass(frozen=True)
class Unit:
    """How a time is shown: ``amount(size)`` of something per second, or milliseconds."""

    name: str
    amount: Callable[[Size], float] | None = None

    def value(self, size: Size, seconds: float) -> float:
        """Return the number to show."""
        if self.amount is None:
            return seconds * 1e3
        return self.amount(size) / seconds / 1e9


@dataclass
class Result:
    """What came out of one case.

    ``ratio`` is how many times faster amfast is than the best peer, with a pause before every call
    (for the rows on growth and memory: what they measure, and there less is better). ``no_pause``
    has what amfast and each of the best peers reach when they are called in turn without one, and
    ``ratio_no_pause`` the worst ratio of these. ``share`` is the part of the machine's limit that
    amfast reaches.
    """

    row: int
    name: str
    workload: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    ratio: float | None = None
    ratio_no_pause: float | None = None
    no_pause: dict[str, dict[str, float]] = field(default_factory=dict)
    goal: float | None = None
    share: float | None = None
    share_goal: float | None = None
    best_peer: str | None = None
    less_is_better: bool = False
    note: str = ""

    @property
    def is_rate(self) -> bool:
        """Whether more is better of the unit: something per second, not a time."""
        return self.unit.startswith("G")

    def fastest_other(self) -> tuple[str, float] | None:
        """Return the fastest of the other libraries and how many times as fast amfast is.

        ``best_peer`` may be another way of amfast's own.
        """
        others = {
            name: self.ours / theirs if self.is_rate else theirs / self.ours
            for name, theirs in self.peers.items()
            if not name.startswith("amfast")
        }
        return min(others.items(), key=lambda item: item[1]) if others else None

    @property
    def verdict(self) -> str:
        """PASS, or what falls short."""
        short = []
        if self.goal is not None and self.ratio is not None:
            reached = self.ratio <= self.goal if self.less_is_better else self.ratio >= self.goal
            short += [] if reached else ["ratio"]
        if self.share_goal is not None and self.share is not None:
            short += [] if self.share >= self.share_goal else ["limit"]
        if self.note.startswith("disagree"):
            short.append("results")
        if short:
            return f"short: {', '.join(short)}"
        return "PASS" if self.ratio is not None else "no peer"


@dataclass(frozen=True)
class Speed:
    """A workload that amfast and its peers do on the same data, in turn."""

    row: int
    name: str
    title: str
    size: Size
    unit: Unit
    contenders: tuple[Contender, ...]
    goal: float
    share_goal: float | None = None
    limit: Callable[[Machine, Size], float] | None = None
    data: str = "uniform"

    def sized(self, quick: bool) -> Size:
        """Return the size to use."""
        return self.size.quick() if quick else self.size

    def prepare(self, size: Size, threads: int) -> tuple[dict[str, Call], list[str]]:
        """Return the calls of those who are installed, amfast first, and who is not."""
        data = make_data(size, self.data, threads)
        calls: dict[str, Call] = {}
        missing: list[str] = []
        for contender in self.contenders:
            try:
                module = load(contender.module, threads)
            except ImportError:
                missing.append(contender.name)
                continue
            calls[contender.name] = contender.prepare(module, data)
        return calls, missing

    def measure(self, machine: Machine, quick: bool, budget: float) -> Result:
        """Run everyone and judge."""
        size = self.sized(quick)
        calls, missing = self.prepare(size, machine.threads)
        if "amfast" in missing:
            return Result(
                self.row, self.name, f"{self.title} {size}", self.unit.name, float("nan"),
                missing=missing, goal=self.goal, note="not measured: it needs an extra",
            )  # fmt: skip
        warm_up: dict[str, float] = {}
        expected: Array | None = None
        wrong = []
        for name, call in calls.items():
            warm_up[name], answer = _clock.timed(call)
            answer = np.asarray(answer, dtype=np.float64)
            if expected is None:
                expected = answer
            elif not agree(expected, answer):
                wrong.append(name)
        times = _clock.best_times(calls, budget, warm_up)
        ours, seconds = times["amfast"], {n: s for n, s in times.items() if n != "amfast"}
        result = Result(
            row=self.row,
            name=self.name,
            workload=f"{self.title} {size}",
            unit=self.unit.name,
            ours=self.unit.value(size, ours),
            peers={name: self.unit.value(size, s) for name, s in seconds.items()},
            missing=missing,
            goal=self.goal,
            share_goal=self.share_goal,
            note=f"disagree: {', '.join(wrong)}" if wrong else "",
        )
        if seconds:
            result.best_peer = min(seconds, key=lambda name: seconds[name])
            result.ratio = seconds[result.best_peer] / ours
            duels = _clock.duels(calls, times, budget / 2)
            result.ratio_no_pause = min(pair[name] / pair["amfast"] for name, pair in duels.items())
            result.no_pause = {
                name: {who: self.unit.value(size, s) for who, s in pair.items()}
                for name, pair in duels.items()
            }
        if self.limit is not None:
            result.share = self.limit(machine, size) / ours
        return result


@dataclass(frozen=True)
class Growth:
    """How much longer a call takes when there is four times as much to do."""

    row: int
    name: str
    title: str
    size: Size
    larger: Size
    call: Contender
    goal: float
    data: str = "normal"

    def measure(self, machine: Machine, quick: bool, budget: float) -> Result:
        """Time both sizes in turn."""
        calls, warm_up = {}, {}
        for size in (self.size, self.larger):
            used = Size(size.q // 40, size.n // 40, size.d) if quick else size
            data = make_data(used, self.data, machine.threads)
            calls[str(used)] = self.call.prepare(amfast, data)
            warm_up[str(used)] = _clock.timed(calls[str(used)])[0]
        before, after = _clock.best_times(calls, budget, warm_up).values()
        return Result(
            row=self.row,
            name=self.name,
            workload=f"{self.title} {' -> '.join(calls)}",
            unit="ms",
            ours=after * 1e3,
            peers={"amfast, smaller": before * 1e3},
            best_peer="amfast, smaller",
            ratio=after / before,
            goal=self.goal,
            less_is_better=True,
        )


@dataclass(frozen=True)
class Memory:
    """How much memory `amfast.retrieve` takes above its input and output."""

    row: int
    name: str
    title: str
    size: Size
    goal: float

    def measure(self, machine: Machine, quick: bool, budget: float) -> Result:
        """Measure in a fresh process, so that nothing freed before hides what is taken."""
        size = Size(64, 1000, 16) if quick else self.size
        script = f"from amfast.bench import _case; _case.print_memory({size!r}, {machine.threads})"
        script = script.replace("Size(", "_case.Size(")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        result = Result(
            row=self.row,
            name=self.name,
            workload=f"{self.title} {size}",
            unit="MB",
            ours=float("nan"),
            peers={"scores as a matrix (computed)": 4e-6 * size.q * size.n},
            goal=self.goal,
            less_is_better=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            result.note = f"not measured: {last}"
        else:
            result.ours = result.ratio = float(done.stdout) / 1e6
        return result


Case = Speed | Growth | Memory | Mapped | Milliseconds


def print_memory(size: Size, threads: int) -> None:
    """Print the bytes that one retrieval takes above its input and output."""
    data = make_data(size, "normal", threads)
    beta = size.d**-0.5
    # Threads, stacks and lazily loaded code belong to the process, not to the size of the job.
    amfast.retrieve(data.cues[:64], data.keys[:1000], beta=beta, threads=threads)
    took = _clock.extra_memory(
        lambda: amfast.retrieve(data.cues, data.keys, beta=beta, threads=threads)
    )
    print(max(took - data.cues.nbytes, 0))


def agree(expected: Array, answer: Array) -> bool:
    """Say whether two contenders gave the same result, to the accuracy of the weakest method.

    The expansion of squared distances cancels, so small ones are compared relative to large ones.
    """
    if expected.shape != answer.shape:
        return False
    scale = float(np.abs(expected).max(initial=0.0))
    return bool(np.allclose(expected, answer, rtol=1e-3, atol=1e-4 * scale))


def load(name: str, threads: int) -> ModuleType:
    """Import a peer and give it its threads."""
    module = importlib.import_module(name)
    if name == "faiss":
        module.omp_set_num_threads(threads)
    elif name == "torch":
        module.set_num_threads(threads)
    return module


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """Hold every BLAS and OpenMP library that is loaded to so many threads."""
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(limits=threads):
        yield
