"""The house keeps its shape: imports run downwards, files and calls stay short, lists agree."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amfast as am
from amfast import reference
from amfast.memories.base import Memory
from amfast.parts.metrics import METRICS
from amfast.parts.separations import SEPARATIONS

ROOT = Path(__file__).parents[1]
PACKAGE, ENGINE = ROOT / "python" / "amfast", ROOT / "src"

# From the ground up. A module may import what stands on a lower line, or its own folder.
FLOORS = [
    "_typing _core _docs reference",
    "_check _console _homes",
    "_beside _threads bits theory corrupt datasets",
    "parts",
    "_engine",
    "_stores",
    "kernels",
    "memories",
    "plot",
    "lab shards",
    "__init__",
    "dask polars sklearn torch",
    "bench reproduce",
    "demo play",
    "cli",
    "__main__",
]
RUST_FLOORS = [
    "error",
    "parallel simd",
    "table peel probe",
    "metric flips",
    "tile",
    "pack",
    "separation projection sweep",
    "pull",
    "sink",
    "hebbian counters coded dense",
    "py",
]
# Who alone may call the engine, and whom nobody inside may call.
ONLY = {"_core": {"_engine", "_stores", "kernels"}}
NEVER = {
    "kernels": {"memories", "_stores", "_engine", "parts"},
    "reference": {"parts", "_engine", "_stores", "memories", "kernels"},
}
MOST_LINES = 500
# Calls of Python functions during one warm call on tiny input: what it takes beside the work.
JOURNEYS = {
    "topk": 32,
    "Keys.append": 33,
    "UniversalHopfield.recall": 44,
    "ModernHopfield.recall": 46,
    "ModernHopfield.store": 46,
    "ModernHopfield.store and recall": 100,
    "Hopfield.recall": 42,
    "Hopfield.store": 71,
    "DenseAssociativeMemory.recall": 49,
    "SparseDistributedMemory.read": 61,
    "HebbianMemory.recall": 49,
}

FLOOR = {room: n for n, line in enumerate(FLOORS) for room in line.split()}
RUST_FLOOR = {room: n for n, line in enumerate(RUST_FLOORS) for room in line.split()}
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(ENGINE.rglob("*.rs"))
SCRIPTS = sorted(PACKAGE.rglob("*.js"))


def imported(path: Path) -> set[str]:
    """First names below ``amfast`` that a module imports, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            parts = node.module.split(".")
            if parts[0] == "amfast":
                names = [a.name for a in node.names]
                inner = {n if n in FLOOR else "__init__" for n in names}
                found |= {parts[1]} if len(parts) > 1 else inner
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "amfast":
                    found.add(parts[1] if len(parts) > 1 else "__init__")
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downwards(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in FLOOR, f"{own} stands on no floor: give it a line in FLOORS"
    for room in imported(path) - {own}:
        assert FLOOR[room] < FLOOR[own], (
            f"{own} (floor {FLOOR[own]}) imports {room} ({FLOOR[room]})"
        )
        assert own in ONLY.get(room, FLOOR), f"{room} may not be imported by {own}"
        assert own not in NEVER.get(room, ()), f"{own} must not import {room}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_engine_runs_downwards(path):
    own = path.relative_to(ENGINE).parts[0].removesuffix(".rs")
    if own == "lib":
        return
    assert own in RUST_FLOOR, f"{own} stands on no floor: give it a line in RUST_FLOORS"
    text = re.sub(r"//[^\n]*", "", path.read_text("utf-8"))
    for room in set(re.findall(r"\bcrate::(\w+)", text)) - {own}:
        assert RUST_FLOOR[room] < RUST_FLOOR[own], f"{own} uses {room}, which is not below it"
    if own != "py":
        assert not re.search(r"\b(pyo3|numpy)::", text), f"{own} knows Python; only py may"
    if own != "simd":
        found = re.search(r"core::arch|std::arch::(x86_64|aarch64)::", text)
        assert not found, f"{own} has intrinsics; they belong to simd"


@pytest.mark.parametrize("path", [*MODULES, *SOURCES, *SCRIPTS], ids=name_of)
def test_files_are_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_private_names_stay_home(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("amfast."):
            home = PACKAGE.joinpath(*node.module.split(".")[1:])
            private = [a.name for a in node.names if a.name.startswith("_")]
            at_home = path.parent in (home, home.parent)
            assert not private or at_home, f"{private} belong to {node.module}"


# -- lists ----------------------------------------------------------------------------------------


def test_the_metrics_are_the_same_everywhere():
    assert list(METRICS) == list(reference.METRICS) == am.cpu_info()["metrics"]


def test_the_fused_separations_are_the_engines():
    fused = {part.engine()[0] for part in SEPARATIONS.values() if part.engine() is not None}
    fused |= {am.Threshold(0.0).engine()[0], am.Polynomial(2, rectified=True).engine()[0]}
    assert fused == set(am.cpu_info()["separations"])


def public_memories() -> list[type[Memory]]:
    """Every public class that stands on `Memory`, found by itself."""
    found, waiting = [], [Memory]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        # Without parameters it is what several memories share, as `Memory` is.
        told = kind._parameters is not Memory._parameters
        ours = kind.__module__.startswith("amfast.")  # tests make some, too
        if told and ours and not kind.__name__.startswith("_"):
            found.append(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def test_every_memory_is_public_and_documented():
    for kind in public_memories():
        assert getattr(am, kind.__name__, None) is kind, f"{kind.__name__} is not public"
        assert kind.__name__ in am.__all__
        assert kind.__doc__
        assert "Parameters" in kind.__doc__ or not inspect.signature(kind).parameters


def test_type_checkers_see_the_names_that_are_there():
    """What is imported for them alone is what `__getattr__` finds, in the same places."""
    told = {}
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("amfast"):
            told |= {alias.name: node.module for alias in node.names}
    homes = {name: f"amfast.{home}" for name, home in am._HOME_OF.items()}
    rooms = dict.fromkeys(set(am._ROOMS) & set(am.__all__), "amfast")
    assert told == homes | rooms
    assert set(am.__all__) == {*told, "__version__"}
    assert set(am.__all__) <= set(dir(am))


def test_every_public_name_has_a_docstring():
    for name in am.__all__:
        if name != "__version__":
            assert getattr(am, name).__doc__, f"{name} has no docstring"


# -- the journey ----------------------------------------------------------------------------------


def journeys() -> dict[str, Callable[[], Any]]:
    """One call each, of tiny input."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 8)).astype(np.float32)
    signs = np.where(x > 0, 1, -1).astype(np.int8)
    words = np.where(rng.normal(size=(3, 64)) > 0, 1, -1).astype(np.int8)
    universal, hopfield, dense = am.UniversalHopfield(), am.Hopfield(), am.DenseAssociativeMemory()
    hebbian, modern, keys = am.HebbianMemory(), am.ModernHopfield(beta=20.0), am.Keys(x, "dot")
    kanerva = am.SparseDistributedMemory(64, 100, radius=28)
    universal.store(x), hopfield.store(signs), dense.store(signs), hebbian.store(x)
    modern.store(np.eye(8, dtype=np.float32))

    def in_turn() -> Any:
        modern.store(x[:1])
        return modern.recall(x[:1])

    kanerva.write(words)
    return {
        "topk": lambda: am.topk(x, x, 2, "dot"),
        "Keys.append": lambda: keys.append(x[:1]),
        "UniversalHopfield.recall": lambda: universal.recall(x),
        "ModernHopfield.recall": lambda: modern.recall(x),
        "ModernHopfield.store": lambda: modern.store(x[:1]),
        "ModernHopfield.store and recall": in_turn,
        "Hopfield.recall": lambda: hopfield.recall(signs),
        "Hopfield.store": lambda: hopfield.store(signs[:1]),
        "DenseAssociativeMemory.recall": lambda: dense.recall(signs),
        "SparseDistributedMemory.read": lambda: kanerva.read(words),
        "HebbianMemory.recall": lambda: hebbian.recall(x),
    }


def calls(function: Callable[[], Any]) -> int:
    """Count the Python functions that a warm call enters, NumPy's own among them."""
    function(), function()
    entered = -1  # for the call itself

    def hook(frame: Any, event: str, argument: Any) -> None:
        nonlocal entered
        entered += event == "call"

    sys.setprofile(hook)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


@pytest.mark.parametrize("name", JOURNEYS)
def test_journeys_are_short(name):
    entered = calls(journeys()[name])
    assert entered <= JOURNEYS[name], f"{name} enters {entered} functions, {JOURNEYS[name]} will do"
