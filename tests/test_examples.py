"""The scripts of `examples/` run, and succeed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
# What `main(quick=True)` returns at least, and at most.
SUCCEEDS = {
    "attention": (1, 1),
    "attractor": (1, 1),
    "capacity": (0.1, 0.25),
    "critical_distance": (0.75, 1.25),
    "deduplicate": (1, 1),
    "hashes": (1, 1),
    "own_images": (0.95, 1),
    "own_similarity": (0.95, 1),
    "pipeline": (0.9, 1),
    "stream": (1, 1),
}


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no examples beside the tests")
@pytest.mark.parametrize("name", SUCCEEDS)
def test_example(name, tmp_path, monkeypatch, capsys):
    if name == "pipeline":
        pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    script = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    low, high = SUCCEEDS[name]
    assert low <= script["main"](quick=True) <= high
    assert capsys.readouterr().out.strip()


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no examples beside the tests")
def test_every_script_is_run_and_listed():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == set(SUCCEEDS)
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"[{name}.py]({name}.py)" in listed for name in names)
