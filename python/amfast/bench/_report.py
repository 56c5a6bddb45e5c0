"""The table on the screen, as Markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from amfast import _console
from amfast.bench._case import Result
from amfast.bench._clock import PAUSE
from amfast.bench._machine import BUSY, Machine

_COLUMNS = (
    "#", "workload", "amfast", "others", "ratio (goal)", "no pause", "of limit (goal)", "verdict",
)  # fmt: skip

# What may be broken into lines: all but single numbers.
_WORDS = (1, 3, 4, 6, 7)


def heading(machine: Machine, quick: bool) -> list[str]:
    """Say what was measured where, and how."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [
        *about(machine),
        versions,
        "float32 unless said; seeded random data in the shapes of real images; everyone in one "
        "process, in turn, best time kept",
        f"ratio: a pause of {PAUSE * 1e3:.0f} ms before every call; no pause: amfast and a peer "
        "call after call, while the peer's workers spin on",
    ]
    if machine.unrest > BUSY:
        lines.append(
            f"THE MACHINE IS BUSY: readings of its clock lie {machine.unrest:.0%} apart; "
            "close what else runs and measure again"
        )
    if quick:
        lines.append("QUICK SIZES: this shows that everything runs, its figures mean nothing")
    return lines


def about(machine: Machine) -> list[str]:
    """Say what the machine is, and what its limits rest on."""
    pipes = "two 512-bit" if machine.pipes == 2 else "one 512-bit or two 256-bit"
    if machine.isa in ("neon", "portable"):
        pipes = "two 128-bit"
    rate = f"{machine.per_cycle:.1f} float32 multiply-adds a cycle measured"
    if math.isnan(machine.per_cycle):
        rate = "the clock is too unsteady to measure them"
    return [
        f"{machine.cpu}; {machine.system}",
        f"amfast uses {machine.isa} (AMX {machine.amx}); {machine.threads} threads for everyone; "
        f"{machine.ghz:.2f} GHz and {machine.read_gb_s:.1f} GB/s of reading, measured now",
        f"limits: {pipes} multiply-add pipes a core ({machine.pipes_by}; {rate})",
    ]


def show(results: Sequence[Result], machine: Machine, quick: bool) -> None:
    """Print the table."""
    for line in heading(machine, quick):
        _console.say(line)
    rows = [_cells(result, "; ", quick) for result in results]
    _console.table("amfast bench", _COLUMNS, rows, left=2, wrap=_WORDS)
    for result in results:
        if result.note:
            _console.say(f"{result.row} {result.name}: {result.note}")


def markdown(results: Sequence[Result], machine: Machine, quick: bool) -> str:
    """Return the table as Markdown, with what it was measured on below."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|---|" + "---:|" * (len(_COLUMNS) - 3) + "---|",
        *("| " + " | ".join(_cells(result, "<br>", quick)) + " |" for result in results),
        "",
        *(f"{line}  " for line in heading(machine, quick)),
    ]
    return "\n".join(lines)


def content(results: Sequence[Result], machine: Machine, quick: bool) -> dict[str, Any]:
    """Return everything for a JSON document, in which what could not be measured is null."""
    rows = [asdict(result) | {"verdict": result.verdict} for result in results]
    return {"machine": asdict(machine), "quick": quick, "results": rows}


def _cells(result: Result, separator: str, quick: bool) -> list[str]:
    by_time = sorted(result.peers.items(), key=lambda item: item[1], reverse=result.is_rate)
    others = [f"{name} {_number(value)}" for name, value in by_time]
    others += [f"{name}: not installed" for name in result.missing]
    bound = "at most " if result.less_is_better else ""
    factor = f" {result.unit}" if result.ratio == result.ours else "x"
    ratio = "-" if result.ratio is None else f"{_number(result.ratio)}{factor}"
    share = "-" if result.share is None else f"{result.share:.0%}"
    if result.goal is not None:
        ratio += f" ({bound}{result.goal:g}{factor})"
    if result.share_goal is not None:
        share += f" ({result.share_goal:.0%})"
    return [
        str(result.row),
        result.workload,
        f"{_number(result.ours)} {result.unit}",
        separator.join(others),
        ratio,
        "-" if result.ratio_no_pause is None else f"{_number(result.ratio_no_pause)}x",
        share,
        # A verdict at sizes that mean nothing would mislead.
        "-" if quick else result.verdict,
    ]


def _number(value: float) -> str:
    if math.isnan(value):
        return "?"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
