"""Rows about files: searching a mapped one, and adding to a folder of shards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import amfast
from amfast.bench import _clock

if TYPE_CHECKING:
    from amfast.bench._case import Size
    from amfast.bench._machine import Machine

_BUFFER = 1 << 20
_ROWS_AT_ONCE = 1 << 14


def written(path: Path, size: Size) -> Path:
    """Write keys (n, d) float32 as .npy, some rows at a time."""
    rng = np.random.default_rng(20_26)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (size.n, size.d)}
        )
        for start in range(0, size.n, _ROWS_AT_ONCE):
            n = min(_ROWS_AT_ONCE, size.n - start)
            file.write(rng.random((n, size.d), dtype=np.float32).data)
    return path


def read_through(path: Path) -> None:
    """Read a file as ``dd bs=1M of=/dev/null`` does."""
    buffer = bytearray(_BUFFER)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def mapped_search(size: Size, machine: Machine, budget: float) -> tuple[float, float]:
    """Seconds of topk over a mapped file in the page cache, and of reading the file alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "keys.npy", size)
        keys = np.load(path, mmap_mode="r")
        cues = np.random.default_rng(1).random((size.q, size.d), dtype=np.float32)
        calls: dict[str, Callable[[], Any]] = {
            "amfast": lambda: amfast.topk(cues, keys, 1, "dot", threads=machine.threads),
            "dd": lambda: read_through(path),
        }
        warm_up = {name: _clock.timed(call)[0] for name, call in calls.items()}
        times = _clock.best_times(calls, budget, warm_up)
    return times["amfast"], times["dd"]


def appended(size: Size, budget: float) -> dict[str, float]:
    """Seconds that it takes to add one row to shards of many, on the disk.

    Beside it the floor of the disk: a file of that row's bytes, written and brought to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        shards, row = _shards(Path(folder) / "s", size)
        with shards:
            calls: dict[str, Callable[[], Any]] = {
                "amfast": lambda: shards.append(row),
                "write + fsync": lambda: _settled(Path(folder) / "bare", row),
            }
            warm_up = {name: _clock.timed(call)[0] for name, call in calls.items()}
            return _clock.best_times(calls, budget, warm_up)


def opened(size: Size, budget: float) -> dict[str, float]:
    """Seconds that it takes to open shards of many rows."""
    with tempfile.TemporaryDirectory() as folder:
        shards, _ = _shards(Path(folder) / "s", size)
        with shards:
            call = {"amfast": lambda: amfast.load(shards.folder, mmap=True)}
            return _clock.best_times(call, budget, {"amfast": _clock.timed(call["amfast"])[0]})


def _shards(folder: Path, size: Size) -> tuple[amfast.Shards, Any]:
    """Make shards of so many rows; return them and one row."""
    rows = np.random.default_rng(2).random((size.n, size.d), dtype=np.float32)
    shards = amfast.Shards.create(folder, like=amfast.UniversalHopfield("dot", "softmax"))
    shards.append(rows)
    return shards, rows[:1].copy()


def _settled(path: Path, row: Any) -> None:
    """Write a new file and wait for the disk."""
    path.unlink(missing_ok=True)
    with open(path, "xb") as file:
        file.write(row.data)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class Mapped:
    """`amfast.topk` of one cue over a mapped file, against reading the file."""

    row: int
    name: str
    title: str
    size: Size
    goal: float

    def measure(self, machine: Machine, quick: bool, budget: float) -> Any:
        """Time both in turn."""
        from amfast.bench._case import Result

        size = self.size.quick() if quick else self.size
        ours, reading = mapped_search(size, machine, budget)
        amount = 4e-9 * size.n * size.d
        return Result(
            row=self.row, name=self.name, workload=f"{self.title} {size}", unit="GB/s",
            ours=amount / ours, peers={"dd": amount / reading}, best_peer="dd",
            ratio=reading / ours, goal=self.goal,
        )  # fmt: skip


@dataclass(frozen=True)
class Milliseconds:
    """Something that must not take longer than ``goal`` milliseconds."""

    row: int
    name: str
    title: str
    size: Size
    goal: float
    seconds: Callable[[Size, float], dict[str, float]]
    """Of amfast, and of what there may be beside it."""

    unit: ClassVar[str] = "ms"
    per_second: ClassVar[float] = 1e3

    def measure(self, machine: Machine, quick: bool, budget: float) -> Any:
        """Time it."""
        from amfast.bench._case import Result

        size = self.size.quick() if quick else self.size
        seconds = self.seconds(size, budget)
        took = {name: self.per_second * each for name, each in seconds.items()}
        ours = took.pop("amfast")
        return Result(
            row=self.row, name=self.name, workload=f"{self.title} {size}", unit=self.unit,
            ours=ours, peers=took, ratio=ours, goal=self.goal, less_is_better=True,
        )  # fmt: skip


class Microseconds(Milliseconds):
    """Something that must not take longer than ``goal`` microseconds."""

    unit: ClassVar[str] = "us"
    per_second: ClassVar[float] = 1e6
