"""What the commands print: tables and progress bars, with rich where it is installed.

Text goes to standard output and progress to standard error; `without` silences either, so that a
command need not know whether it is to print its report, one JSON document or nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

__all__ = ["document", "progress", "say", "table", "without"]

_STYLES = {"PASS": "green", "FAIL": "bold red", "holds": "green", "does not hold": "yellow"}
_silent: set[str] = set()


@contextmanager
def without(*kinds: Literal["text", "progress"]) -> Iterator[None]:
    """Print nothing of these kinds while a block works."""
    before = set(_silent)
    _silent.update(kinds)
    try:
        yield
    finally:
        _silent.intersection_update(before)


def document(content: Any) -> None:
    """Print one JSON document; NaN is null, and infinity, which JSON lacks, a string."""
    raw = json.dumps(content, default=lambda x: x.item() if hasattr(x, "item") else str(x))
    content = json.loads(raw, parse_constant=lambda name: None if name == "NaN" else name)
    print(json.dumps(content, indent=1), flush=True)


def say(text: str = "") -> None:
    """Print one line, whatever the encoding of standard output."""
    if "text" in _silent:
        return
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    wrap: Container[int] = (),
) -> None:
    """Print a table; the first ``left`` columns are aligned left, the others right.

    The columns that ``wrap`` numbers are broken between words where a terminal is too narrow.
    """
    if "text" in _silent:
        return
    widths = [
        max([len(column), *(len(row[i]) for row in rows)]) for i, column in enumerate(columns)
    ]
    try:
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        _plain(title, columns, rows, widths, left)
        return
    console = _console()
    # A pipe or a narrow window must not cut numbers away.
    breakable = [i for i in range(len(columns)) if i in wrap and console.is_terminal]
    fitting = list(widths)
    for i in breakable:
        words = " ".join((columns[i], *(row[i] for row in rows))).split(" ")
        fitting[i] = max(map(len, words))
    needed = sum(width + 3 for width in fitting) + 1
    console.width = max(console.width, needed, *(len(line) for line in title.splitlines()))
    spare = console.width - needed
    for i in breakable:
        more = min(widths[i] - fitting[i], spare)
        fitting[i], spare = fitting[i] + more, spare - more
    shown = Table()
    for i, column in enumerate(columns):
        width = fitting[i] if i in breakable else None
        justify: Literal["left", "right"] = "left" if i < left else "right"
        shown.add_column(column, justify=justify, width=width, no_wrap=width is None)
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    try:
        console.print(Text(title, style="bold"))
        console.print(shown)
    except UnicodeEncodeError:
        _plain(title, columns, rows, widths, left)


def _console() -> Any:
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            """Leave to the caller what rich would end the process for."""
            raise BrokenPipeError

    return Ours()


def _plain(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    left: int,
) -> None:
    say(title)
    for row in (columns, ["-" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
    say()


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on standard error while a block works; call the result once per step done.

    Without a terminal nothing is shown, so that logs stay readable.
    """
    if "progress" in _silent or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _doing: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        done = 0

        def count(doing: str) -> None:
            nonlocal done
            done += 1
            print(f"\r{label}: {done}/{total} {doing:<40.40}", end="", file=sys.stderr, flush=True)

        yield count
        print(file=sys.stderr)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=total, doing="")
        yield lambda doing: bars.update(task, advance=1, doing=doing)
