"""The chart of the rows that matter most: how many times as fast as the fastest other library."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from amfast import plot
from amfast.bench._case import Result
from amfast.bench._machine import Machine

#: Rows by name, one of each family, and what the chart calls them.
BARS = {
    "topk-manhattan": "10 nearest of 60,000 images,\nManhattan",
    "coded-cue-manhattan": "nearest of 60,000 stored\nimages, one cue, Manhattan",
    "topk-hamming": "10 nearest of 1,000,000\nrows of 1024 bits",
    "pairwise-dot": "all dot products of 256 and\n10,000 images",
    "retrieve-64": "softmax attention,\n1000 x 10,000 x 64",
    "hebbian-int8": "Hebbian sum of 100,000\npatterns of 1024 signs",
    "sdm-read": "sparse distributed memory,\n100 reads",
    "kneighbors-manhattan": "scikit-learn's kneighbors(5),\n500 x 10,000, Manhattan",
}


def check(path: Path, names: Collection[str]) -> None:
    """Refuse before minutes of measuring what could not be drawn after them.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If none of the rows named is in the chart, or for a format that matplotlib does not write.
    FileNotFoundError
        If the file's folder does not exist.
    """
    if not set(BARS) & set(names):
        raise ValueError(f"--plot draws {', '.join(BARS)}, and none of these is measured")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--plot: there is no folder {path.parent}")
    _figure([], "").savefig(io.BytesIO(), format=path.suffix[1:] or "png")


def draw(results: Sequence[Result], machine: Machine, quick: bool, path: Path) -> None:
    """Draw those of the rows that were measured and that another library has, too."""
    by_name = {result.name: result for result in results}
    bars = []
    for name, label in BARS.items():
        fastest = by_name[name].fastest_other() if name in by_name else None
        if fastest is not None:
            bars.append((label, *fastest))
    said = f"{machine.cpu}; {machine.isa}; {machine.threads} threads for everyone"
    _figure(bars, f"QUICK SIZES, no measurement; {said}" if quick else said).savefig(path, dpi=110)


def _figure(bars: Sequence[tuple[str, str, float]], said: str) -> Any:
    """Return a bar for each label, with the library it is held against and the ratio."""
    figure = plot._figure(figsize=(7.2, 1.0 + 0.46 * len(bars)))
    axis = figure.subplots()
    upwards = bars[::-1]
    drawn = axis.barh([b[0] for b in upwards], [b[2] for b in upwards], color="#0072B2")
    axis.bar_label(
        drawn, [f"{x:.1f}x {library}" for _, library, x in upwards], padding=4, fontsize=9
    )
    axis.tick_params(axis="y", labelsize=8)
    axis.set_xscale("log")
    ratios = [b[2] for b in bars]
    axis.set_xlim(min([0.7, *(0.7 * x for x in ratios)]), max([10.0, *(4 * x for x in ratios)]))
    axis.axvline(1, color="0.4", linewidth=1)
    axis.set_xlabel("times as fast as the fastest other library (log scale)\n" + said, fontsize=8)
    return figure
