"""What the machine can do, as the engine sees it."""

from __future__ import annotations

from typing import Any

from amfast import _core


def info() -> dict[str, Any]:
    """Return instruction sets, cores and what was compiled in."""
    return dict(_core.cpu_info())


def probe(threads: int) -> dict[str, float]:
    """Measure the machine's limits: multiply-adds and bytes per second."""
    return _core.probe(threads)
