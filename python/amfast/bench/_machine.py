"""What this machine could do at best: its clock and read bandwidth, measured, and the formulas."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import amfast
from amfast._engine import machine
from amfast.bench import _clock

# Differences and their squares, float32, per cycle and core. AVX2 and AVX-512 agree: with two
# 256-bit multiply-add pipes (Zen 4) a 512-bit operation takes both, and differences have pipes of
# their own; with two 512-bit pipes (Intel's servers) differences and squares share them.
# Multiply-adds alone run at this rate as well, and at twice of it on two 512-bit pipes.
_PER_CYCLE = {"amx": 16.0, "avx512": 16.0, "avx2": 16.0, "neon": 8.0, "portable": 8.0}

# Cycles to compare and count 512 bits: an exclusive or, a count and a sum on two pipes where the
# instruction set counts; tables of half bytes, bytewise or scalar counts where not.
_COUNT_CYCLES = {"amx": 1.5, "avx512": 1.5, "avx2": 4.8, "neon": 6.0, "portable": 8.0}

# Multiply-adds a cycle that only a core with two 512-bit pipes can exceed, whose own limit is 32.
# One that shares them with a busy neighbour may stay below: then the CPU's name decides.
_BEYOND_ONE_PIPE = 20.0

# In /proc/cpuinfo: Intel's large servers since Skylake; whatever has AMX, since a virtual machine
# may hide the name; AMD's servers of Zen 5.
_TWO_PIPES = re.compile(r"Xeon.* (Platinum|Gold 6)|\bamx_tile\b|AMD EPYC 9\d\d5")

#: How far readings of the clock may lie apart before nothing can be told from them.
BUSY = 0.1

_READINGS = 3
_CALLS = 50

_PACKAGES = (
    "amfast-memory", "numpy", "scipy", "scikit-learn", "faiss-cpu", "usearch", "torch", "torch-hd",
)  # fmt: skip

#: A difference, its magnitude and a sum take 1.5 times as long as a difference and its square: they
#: share four pipes of 256 bits (Zen 4), or two of 512.
MANHATTAN_CYCLES = 1.5
#: An exponential of a score takes as long as so many multiply-adds.
EXP_CYCLES = 10.0


@dataclass(frozen=True)
class Machine:
    """The machine as the benchmark found it.

    Attributes
    ----------
    cpu, isa, system : str
        The processor's name, the instruction set in use, the operating system.
    amx : str
        Whether AMX is in use, and if not, why.
    pipes : int
        Multiply-add pipes of 512 bits a core, as far as can be told: 2, or 1, which stands for two
        of 256 bits as well.
    pipes_by : str
        How that was told.
    per_cycle : float
        Multiply-adds a cycle and core that were measured, at the clock of the same run.
    threads : int
        Threads that every contender may use.
    ghz : float
        Clock under load, measured.
    read_gb_s : float
        Bandwidth of reading memory with that many threads, measured, in 1e9 bytes per second.
    versions : dict
        Version of each package that takes part.
    unrest : float
        How far the readings of the clock lay apart, relative to the highest. On an idle machine
        they hardly differ; where they do, something else is at work and no figure can be trusted.
    """

    cpu: str
    isa: str
    system: str
    threads: int
    ghz: float
    read_gb_s: float
    versions: dict[str, str]
    unrest: float = 0.0
    amx: str = "not there"
    pipes: int = 1
    pipes_by: str = "assumed"
    per_cycle: float = math.nan

    def multiply_add(self, steps: float) -> float:
        """Return the least seconds that so many float32 multiply-adds take."""
        return self.differ(steps) / self.pipes

    def differ(self, steps: float) -> float:
        """Return the least seconds that so many float32 differences and their squares take."""
        per_second = _PER_CYCLE.get(self.isa, 8.0) * self.ghz * 1e9 * self.threads
        return steps / per_second

    def count(self, bits: float) -> float:
        """Return the least seconds that comparing and counting so many bits takes."""
        cycles = _COUNT_CYCLES.get(self.isa, 8.0) * bits / 512
        return cycles / (self.ghz * 1e9 * self.threads)

    def read(self, n_bytes: float) -> float:
        """Return the least seconds that reading so many bytes from memory takes."""
        return n_bytes / (self.read_gb_s * 1e9)


def describe(threads: int) -> Machine:
    """Measure the machine. The best of several readings counts: the limit is what it could do."""
    readings = [machine.probe(threads) for _ in range(_READINGS)]
    clocks = [reading["ghz"] for reading in readings]
    engine, cpu = amfast.cpu_info(), _cpuinfo()
    unrest = 1 - min(clocks) / max(clocks)
    per_cycle = math.nan if unrest > BUSY else _multiply_adds() / (max(clocks) * 1e9)
    pipes, pipes_by = told_pipes(engine["isa"], per_cycle, cpu)
    return Machine(
        cpu=_processor(cpu),
        isa=engine["isa"],
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        threads=threads,
        ghz=max(clocks),
        read_gb_s=max(reading["read_gb_s"] for reading in readings),
        versions=_versions(),
        unrest=unrest,
        amx=told_amx(engine, cpu),
        pipes=pipes,
        pipes_by=pipes_by,
        per_cycle=per_cycle,
    )


def told_pipes(isa: str, per_cycle: float, cpuinfo: str) -> tuple[int, str]:
    """Return how many 512-bit multiply-add pipes a core has, and how that is known.

    Parameters
    ----------
    isa : str
        The instruction set in use.
    per_cycle : float
        Multiply-adds a cycle that were measured; NaN if that cannot be trusted.
    cpuinfo : str
        What the system says of the processor.
    """
    if isa not in ("amx", "avx512"):
        return 1, f"assumed of {isa}"
    if per_cycle > _BEYOND_ONE_PIPE:
        return 2, "measured"
    if _TWO_PIPES.search(cpuinfo):
        return 2, "assumed of this CPU model"
    return 1, "assumed: two were not measured, and this CPU model is not known to have them"


def told_amx(engine: Mapping[str, Any], cpuinfo: str) -> str:
    """Say whether AMX is in use, and if not, why."""
    if engine["isa"] == "amx":
        return "in use"
    if "amx" in engine["available"]:
        return "left out by AMFAST_ISA"
    return "there, but not used" if re.search(r"\bamx_int8\b", cpuinfo) else "not there"


def _multiply_adds() -> float:
    """Return how many float32 multiply-adds a second one thread does, its data in near caches."""
    rng = np.random.default_rng(0)
    cues, rows = (rng.random((n, 784), dtype=np.float32) for n in (192, 1024))
    keys = amfast.Keys(rows, "dot", codes=False)

    def call() -> Any:
        return amfast.topk(cues, keys, 1, "dot", codes=False, threads=1)

    return cues.size * len(rows) / min(_clock.timed(call)[0] for _ in range(_CALLS))


def _cpuinfo() -> str:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").partition("\n\n")[0]
    except OSError:
        return ""


def _processor(cpuinfo: str) -> str:
    name = re.search(r"^model name\s*:\s*(.+)", cpuinfo, re.MULTILINE)
    if name is None:
        return platform.processor() or platform.machine()
    return f"{name[1]}, {os.cpu_count()} logical cores"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
