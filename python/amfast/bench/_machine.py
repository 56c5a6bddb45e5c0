"""What this machine could do at best: its clock and read bandwidth, measured, and the formulas."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import amfast
from amfast._engine import machine

# float32 multiply-adds (or differences and squares) per cycle and core. AVX2 and AVX-512 agree: the
# figures are those of a core with two 256-bit multiply-add pipes (Zen 4), on which a 512-bit
# operation takes both. A core with two 512-bit pipes can do twice as much, so a share there can
# exceed 100 %.
_PER_CYCLE = {"amx": 16.0, "avx512": 16.0, "avx2": 16.0, "neon": 8.0, "portable": 8.0}

# Cycles to compare and count 512 bits, with the same pipes: an exclusive or, a count and a sum
# where the instruction set counts; tables of half bytes, bytewise or scalar counts where not.
_COUNT_CYCLES = {"amx": 1.5, "avx512": 1.5, "avx2": 4.8, "neon": 6.0, "portable": 8.0}

_READINGS = 3

_PACKAGES = (
    "amfast-memory", "numpy", "scipy", "scikit-learn", "faiss-cpu", "usearch", "torch", "torch-hd",
)  # fmt: skip

#: A difference, its magnitude and a sum share four pipes: 1.5 cycles per register.
MANHATTAN_CYCLES = 1.5
#: Cycles per register for the exponential of a score.
EXP_CYCLES = 10.0


@dataclass(frozen=True)
class Machine:
    """The machine as the benchmark found it.

    Attributes
    ----------
    cpu, isa, system : str
        The processor's name, the instruction set in use, the operating system.
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

    def compute(self, multiply_adds: float) -> float:
        """Return the least seconds that so many float32 multiply-adds take."""
        per_second = _PER_CYCLE.get(self.isa, 8.0) * self.ghz * 1e9 * self.threads
        return multiply_adds / per_second

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
    return Machine(
        cpu=_processor(),
        isa=str(amfast.cpu_info()["isa"]),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        threads=threads,
        ghz=max(clocks),
        read_gb_s=max(reading["read_gb_s"] for reading in readings),
        versions=_versions(),
        unrest=1 - min(clocks) / max(clocks),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} logical cores"
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
