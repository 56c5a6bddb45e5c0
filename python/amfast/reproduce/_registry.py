"""What an experiment is, what it gives back, and the list of all of them.

To add one: write a function ``run(context) -> Outcome`` in a module of this package, decorate it
with `experiment`, and import the module in ``__init__.py``. Tables, CSV files, pictures, exit code
and command line come from what the function returns.

An experiment on images measures accuracies into ``curves``, one variant per reading of a figure;
any other draws ``panels``: measured points with the theory's lines over them. Both put what must
hold into ``checks``, what the literature says into ``claims`` and numbers worth reading into
``tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from amfast import _console
from amfast.reproduce._images import ImageSet

Level = Literal["quick", "default", "full"]

ARGMAX, THRESHOLD = "argmax", "threshold"


@dataclass(frozen=True)
class Context:
    """What an experiment is given: how thorough to be and which images there are."""

    level: Level
    images: Sequence[ImageSet] = ()  # empty for an experiment that asks for none
    data: str | Path | None = None  # the folder of data sets that the caller named

    def pick(self, quick: int, default: int, full: int) -> int:
        """Choose a number by level."""
        return {"quick": quick, "default": default, "full": full}[self.level]

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[str], None]]:
        """Show a progress bar around a block; call what it yields once per step done."""
        return _console.progress(label, total)


@dataclass(frozen=True)
class Variant:
    """One reading of a figure, named wherever its numbers appear."""

    name: str  # short, for file names: "code", "caption"
    title: str  # for tables and pictures: what exactly was run
    x_label: str | None = None  # where it differs from the outcome's


@dataclass(frozen=True)
class Point:
    """Mean and standard deviation over runs of one measured accuracy: one row of the CSV."""

    variant: str
    panel: str
    line: str
    x: float
    accuracy: str  # ARGMAX or THRESHOLD
    mean: float
    std: float  # population standard deviation over the runs, as in the paper
    runs: int


class Curves:
    """All points of an experiment, looked up by their names."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._index: dict[tuple[str, str, str, float, str], Point] = {}

    def add(
        self, variant: str, panel: str, line: str, x: float, accuracy: str, runs: Sequence[float]
    ) -> None:
        """Add the accuracies of all runs at one place of one line."""
        values = np.asarray(runs, dtype=np.float64)
        point = Point(
            variant, panel, line, x, accuracy, float(values.mean()), float(values.std()), len(runs)
        )
        self.points.append(point)
        self._index[variant, panel, line, x, accuracy] = point

    def __iter__(self) -> Iterator[Point]:
        """Walk over the points in the order in which they were measured."""
        return iter(self.points)

    def at(self, variant: str, panel: str, line: str, x: float, accuracy: str) -> float:
        """Return the mean at one place."""
        return self._index[variant, panel, line, x, accuracy].mean

    def mean(
        self, variant: str, panel: str, line: str, xs: Sequence[float], accuracy: str
    ) -> float:
        """Return the mean over several places of one line."""
        return float(np.mean([self.at(variant, panel, line, x, accuracy) for x in xs]))

    def names(self, attribute: Literal["variant", "panel", "line", "accuracy"]) -> list[str]:
        """Return the distinct names in the order in which they were first measured."""
        return list(dict.fromkeys(getattr(point, attribute) for point in self.points))

    def line(self, variant: str, panel: str, line: str, accuracy: str) -> list[Point]:
        """Return the points of one line, by growing x."""
        wanted = (variant, panel, line, accuracy)
        found = [p for p in self.points if (p.variant, p.panel, p.line, p.accuracy) == wanted]
        return sorted(found, key=lambda point: point.x)


@dataclass(frozen=True)
class Series:
    """Points or a line of one panel; what is measured and its theory share a colour."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None  # half the length of the error bars, in y
    kind: Literal["measured", "theory", "textbook"] = "measured"  # markers, line, dashed line
    colour: int = 0  # place in the palette of `_figures`
    joined: bool = True  # whether measured points are joined by a thin line


@dataclass(frozen=True)
class Mark:
    """A labelled straight line across a panel, at one x or one y."""

    at: float
    label: str
    axis: Literal["x", "y"] = "x"


@dataclass(frozen=True)
class Panel:
    """One diagram of an experiment's picture, and a block of rows of its CSV file."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    marks: Sequence[Mark] = ()
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Check:
    """Something amfast itself must show; a miss is a FAIL and exit code 1."""

    what: str
    measured: float
    expected: float
    tolerance: float
    relation: Literal["equal", "at least", "at most"] = "equal"

    @property
    def passed(self) -> bool:
        """Whether the measured value is where it must be; NaN never is."""
        if self.relation == "at least":
            return self.measured >= self.expected - self.tolerance
        if self.relation == "at most":
            return self.measured <= self.expected + self.tolerance
        return abs(self.measured - self.expected) <= self.tolerance

    @classmethod
    def relative(cls, what: str, measured: float, expected: float, fraction: float) -> Check:
        """Make a check whose tolerance is a fraction of what is expected."""
        return cls(what, measured, expected, fraction * abs(expected))


@dataclass(frozen=True)
class Claim:
    """A statement of the literature, and whether it holds here, by either accuracy."""

    text: str
    where: str
    by_argmax: bool | None
    by_threshold: bool | None
    evidence: str

    @classmethod
    def plain(cls, text: str, where: str, holds: bool, evidence: str) -> Claim:
        """Make a claim where there is one way of judging it alone."""
        return cls(text, where, holds, None, evidence)

    @property
    def verdict(self) -> str:
        """Say in words whether it holds."""
        answers = {
            name: holds
            for name, holds in ((ARGMAX, self.by_argmax), (THRESHOLD, self.by_threshold))
            if holds is not None
        }
        if not answers:
            return "not tested"
        if all(answers.values()):
            return "holds"
        if not any(answers.values()):
            return "does not hold"
        return f"holds by {next(name for name, holds in answers.items() if holds)} only"


@dataclass(frozen=True)
class Table:
    """A table beside the curves, printed and written to a CSV file of its own."""

    name: str  # for the file name
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Outcome:
    """What an experiment gives back."""

    variants: Sequence[Variant] = ()
    x_label: str = ""
    curves: Curves = field(default_factory=Curves)
    panels: list[Panel] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    log_x: bool = False
    colours: dict[str, str] = field(default_factory=dict)
    # Draws instead of, or beside, the panels: None is one picture per variant, and one of `panels`.
    draw: Callable[[Outcome, str, Path], list[Path]] | None = None


class Unavailable(ValueError):
    """Raised by an experiment that cannot run here; says what is missing and how to get it.

    ``all`` goes on with the next one, a single experiment ends with exit code 2.
    """


@dataclass(frozen=True)
class Experiment:
    """A named experiment of a paper."""

    name: str
    summary: str
    run: Callable[[Context], Outcome]
    images: bool = False  # whether it wants `Context.images`


EXPERIMENTS: dict[str, Experiment] = {}


def experiment(
    name: str, summary: str, *, images: bool = False
) -> Callable[[Callable[[Context], Outcome]], Callable[[Context], Outcome]]:
    """Register a function as the experiment ``name``; ``images`` says that it runs on images."""

    def register(run: Callable[[Context], Outcome]) -> Callable[[Context], Outcome]:
        if name in EXPERIMENTS:
            raise ValueError(f"experiment {name!r} is already registered")
        EXPERIMENTS[name] = Experiment(name, summary, run, images)
        return run

    return register
