"""What the machine can do, as the engine sees it."""

from __future__ import annotations

from typing import Any

from amfast import _core
from amfast._threads import get_num_threads


def info() -> dict[str, Any]:
    """Return instruction sets, cores and what was compiled in."""
    return dict(_core.cpu_info())


def cpu_info() -> dict[str, Any]:
    """Say what the engine runs on.

    Returns
    -------
    dict
        ``isa`` in use, ``available`` instruction sets (choose with ``AMFAST_ISA``), ``threads``,
        ``cores``, ``version``, compiled-in ``features``, build ``profile``.
    """
    return {**info(), "threads": get_num_threads()}


def probe(threads: int) -> dict[str, float]:
    """Measure the machine's limits: multiply-adds and bytes per second."""
    return _core.probe(threads)
