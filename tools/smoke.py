"""See that an installed wheel works: what it says of itself, and the README's first five blocks.

``python tools/smoke.py [README]`` takes the interpreter that the wheel was installed for. It needs
NumPy and what it tests, nothing else.
"""

from __future__ import annotations

import doctest
import importlib.metadata
import platform
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import amfast

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = 5


def told(*arguments: str) -> str:
    """Return what ``amfast`` prints."""
    command = [sys.executable, "-m", "amfast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8").stdout


def blocks(page: Path) -> list[str]:
    """Return the first blocks of a page that need no other package."""
    found = re.findall(r"^```(?:python|pycon)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    return [block for block in found if not block.startswith("# needs:")][:BLOCKS]


def run(block: str, number: int, namespace: dict[str, object]) -> None:
    """Run a block as the README's readers do; lines after ``>>>`` must print what they say."""
    if ">>>" not in block:
        exec(compile(block, f"block {number}", "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(block, namespace, f"block {number}", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    if runner.run(test, clear_globs=False).failed:
        sys.exit(f"error: block {number} of the README does not do what it says")
    namespace.update(test.globs)


def main() -> None:
    """Run all of it, and say with what."""
    start = time.perf_counter()
    version = importlib.metadata.version("amfast-memory")
    if version != amfast.__version__:
        sys.exit(f"error: the wheel is {version}, the package says {amfast.__version__}")
    info = told("info", "--json")
    if version not in info or amfast.cpu_info()["isa"] not in info:
        sys.exit(f"error: amfast info names neither version nor instruction set: {info!r}")
    warnings.simplefilter("error", amfast.SeparationWarning)
    page = Path(sys.argv[1]) if sys.argv[1:] else README
    todo = blocks(page)
    if len(todo) < BLOCKS:
        sys.exit(f"error: {page} has {len(todo)} blocks that need NumPy alone, expected {BLOCKS}")
    namespace: dict[str, object] = {}
    for number, block in enumerate(todo, 1):
        run(block, number, namespace)
    lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(
        f"amfast {version}, {platform.python_implementation()} {platform.python_version()} on "
        f"{platform.system()} {platform.machine()}, {amfast.cpu_info()['isa']}, "
        f"interpreter lock {'on' if lock else 'off'}: info and {len(todo)} blocks of the README "
        f"in {time.perf_counter() - start:.1f} s"
    )


if __name__ == "__main__":
    main()
