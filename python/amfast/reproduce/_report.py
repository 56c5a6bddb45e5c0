"""Run experiments and show what came out: tables, CSV, pictures, exit code."""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import amfast as am
from amfast import _console
from amfast.reproduce import _figures, _images
from amfast.reproduce._registry import (
    ARGMAX,
    EXPERIMENTS,
    THRESHOLD,
    Check,
    Context,
    Experiment,
    Level,
    Outcome,
    Unavailable,
    Variant,
)

_SHOWN_COLUMNS = 6


def run(
    name: str,
    level: Level = "default",
    *,
    data: str | Path | None = None,
    out: str | Path = "amfast-reproduce",
    json: bool = False,
) -> int:
    """Run one experiment or all, print their tables and write their CSV files and pictures.

    Parameters
    ----------
    name : str
        A name of `EXPERIMENTS`, or ``"all"``.
    level : {"quick", "default", "full"}, default "default"
        Seconds (the bundled images), up to a few minutes (all images present), or the paper's
        full sizes.
    data : str or Path, optional
        Folder of the data sets, see `amfast.datasets`.
    out : str or Path, default "amfast-reproduce"
        Folder for the CSV files and pictures; made when absent.
    json : bool, default False
        Whether to print one JSON document at the end.

    Returns
    -------
    int
        0, or 1 when one of amfast's own checks failed. A claim of the literature that does not
        hold here is a result and no failure.

    Raises
    ------
    ValueError
        For an unknown name, or an experiment whose data are not here; of ``"all"`` those are
        skipped and named.
    """
    if name != "all" and name not in EXPERIMENTS:
        raise ValueError(f"experiment is {name!r}, expected all or one of {', '.join(EXPERIMENTS)}")
    chosen = list(EXPERIMENTS.values()) if name == "all" else [EXPERIMENTS[name]]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    images: list[_images.ImageSet] = []
    missing: Sequence[str] = ()
    if any(experiment.images for experiment in chosen):
        images, missing = _images.find(level, data)
        for line in missing:
            _console.say(f"skipped: {line}")
        _console.say(f"images: {_images.titles(images)}")
    _console.say(f"level: {level}; results in {folder}")
    failed, told = [], []
    for experiment in chosen:
        start = time.perf_counter()
        context = Context(level, images if experiment.images else (), data)
        try:
            with warnings.catch_warnings():
                # Data that do not suit a memory are what some experiments are about.
                warnings.simplefilter("ignore", am.SeparationWarning)
                outcome = experiment.run(context)
                files = write(experiment, outcome, folder)
        except Unavailable as reason:
            if name != "all":
                raise
            _console.say(f"skipped: {experiment.name}: {reason}")
            told.append({"name": experiment.name, "skipped": str(reason)})
            continue
        seconds = time.perf_counter() - start
        show(experiment, outcome)
        _console.say("wrote " + ", ".join(str(file) for file in files))
        _console.say(f"{experiment.name} took {seconds:.1f} s\n")
        told.append(_told(experiment, outcome, files) | {"seconds": seconds})
        failed += [check for check in outcome.checks if not check.passed]
    for check in failed:
        _console.say(f"FAIL: {check.what}: {check.measured:.4g}")
    if json:
        _console.document(
            {"level": level, "folder": folder, "missing": missing, "failed": len(failed)}
            | {"experiments": told}
        )
    return 1 if failed else 0


def _told(experiment: Experiment, outcome: Outcome, files: list[Path]) -> dict[str, Any]:
    """Return what `show` prints, for a JSON document; points measured are in the files."""
    return {
        "name": experiment.name,
        "summary": experiment.summary,
        "checks": [asdict(check) | {"passed": check.passed} for check in outcome.checks],
        "claims": [asdict(claim) | {"verdict": claim.verdict} for claim in outcome.claims],
        "tables": [asdict(table) for table in outcome.tables],
        "notes": outcome.notes,
        "files": files,
    }


def show(experiment: Experiment, outcome: Outcome) -> None:
    """Print the tables of one outcome."""
    _console.say(f"\n== {experiment.name}: {experiment.summary}")
    for variant in outcome.variants:
        _show_variant(outcome, variant)
    for table in outcome.tables:
        _console.table(table.title, table.columns, table.rows, left=2)
    for note in outcome.notes:
        _console.say(f"note: {note}")
    if outcome.checks:
        _console.table(
            "What amfast must show",
            ("check", "measured", "expected", "tolerance", ""),
            [_check_row(check) for check in outcome.checks],
        )
    if outcome.claims:
        _console.table(
            "What the paper says, on these images" if experiment.images else "What the paper says",
            ("claim", "variant, images" if experiment.images else "where", "verdict", "evidence"),
            [(c.text, c.where, c.verdict, c.evidence) for c in outcome.claims],
            left=4,
        )


def _check_row(check: Check) -> tuple[str, ...]:
    sign = {"equal": "", "at least": ">= ", "at most": "<= "}[check.relation]
    return (
        check.what,
        f"{check.measured:.4g}",
        f"{sign}{check.expected:.4g}",
        f"{check.tolerance:.2g}",
        "PASS" if check.passed else "FAIL",
    )


def _show_variant(outcome: Outcome, variant: Variant) -> None:
    points = [point for point in outcome.curves if point.variant == variant.name]
    if not points:
        return
    xs = sorted({point.x for point in points})
    if len(xs) > _SHOWN_COLUMNS:
        steps = [round(i * (len(xs) - 1) / (_SHOWN_COLUMNS - 1)) for i in range(_SHOWN_COLUMNS)]
        xs = [xs[i] for i in steps]
    rows = []
    for panel in dict.fromkeys(point.panel for point in points):
        for line in dict.fromkeys(point.line for point in points if point.panel == panel):
            mine = {(p.x, p.accuracy): p for p in points if (p.panel, p.line) == (panel, line)}
            cells = []
            for x in xs:
                pair = [mine.get((x, accuracy)) for accuracy in (ARGMAX, THRESHOLD)]
                cells.append(" / ".join("-" if p is None else f"{p.mean:.2f}" for p in pair))
            rows.append((panel, line, *cells))
    columns = ("images", "line", *(f"{x:g}" for x in xs))
    _console.table(
        f"{variant.title}\nfraction recalled, by argmax / by threshold; columns: "
        f"{variant.x_label or outcome.x_label}",
        columns,
        rows,
        left=2,
    )


def write(experiment: Experiment, outcome: Outcome, folder: Path) -> list[Path]:
    """Write the CSV files and pictures of one outcome and return their paths."""
    files = [_points(experiment, outcome, folder / f"{experiment.name}.csv")]
    files.append(
        _csv(
            folder / f"{experiment.name}_checks.csv",
            ("check", "measured", "relation", "expected", "tolerance", "result"),
            [
                (c.what, c.measured, c.relation, c.expected, c.tolerance, _check_row(c)[-1])
                for c in outcome.checks
            ],
        )
    )
    if outcome.claims or experiment.images:
        files.append(
            _csv(
                folder / f"{experiment.name}_claims.csv",
                ("claim", "variant, images", "verdict", "evidence"),
                [(c.text, c.where, c.verdict, c.evidence) for c in outcome.claims],
            )
        )
    files += [
        _csv(folder / f"{experiment.name}_{table.name}.csv", table.columns, table.rows)
        for table in outcome.tables
    ]
    try:
        files += (outcome.draw or _figures.variants)(outcome, experiment.name, folder)
        if outcome.panels:
            files.append(_figures.panels(outcome.panels, experiment, folder))
    except ImportError as error:
        _console.say(f"no picture: {error}")
    return files


def _points(experiment: Experiment, outcome: Outcome, path: Path) -> Path:
    """Write every point measured: accuracies of curves, or the series of panels."""
    if experiment.images:
        return _csv(
            path,
            ("variant", "images", "line", outcome.x_label, "accuracy", "mean", "std", "runs"),
            [
                (p.variant, p.panel, p.line, f"{p.x:g}", p.accuracy, p.mean, p.std, p.runs)
                for p in outcome.curves
            ],
        )
    return _csv(
        path,
        ("panel", "line", "kind", "x", "y", "error", "x is", "y is"),
        [
            (
                *(panel.title, line.label, line.kind, x, y, line.error[i] if line.error else ""),
                *(panel.x_label, panel.y_label),
            )
            for panel in outcome.panels
            for line in panel.series
            for i, (x, y) in enumerate(zip(line.x, line.y, strict=True))
        ],
    )


def _csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path
