"""Pictures of pictures: cues, what was recalled, and the truth, in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from amfast._typing import Array
from amfast.reproduce._figures import pyplot

RIGHT, WRONG = "#009E73", "#D55E00"


class Cell(NamedTuple):
    """One small picture."""

    image: Array
    """(H, W) or (H, W, 3) in 0..1."""
    right: bool | None = None
    """Whether it is the right one, which colours its frame; None has no frame."""


def gallery(
    path: Path,
    title: str,
    columns: Sequence[str],
    lines: Sequence[tuple[str, Sequence[Cell]]],
) -> Path:
    """Draw rows of small pictures with a label each, under names of the columns.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    title : str
    columns : sequence of str
    lines : sequence of (str, cells)
        As many cells as columns.

    Returns
    -------
    Path
        The path.
    """
    plt = pyplot()
    width, height = 1.02 * len(columns) + 1.3, 1.02 * len(lines) + 1.0
    figure, axes = plt.subplots(len(lines), len(columns), figsize=(width, height), squeeze=False)
    for row, (label, cells) in zip(axes, lines, strict=True):
        for axis, cell in zip(row, cells, strict=True):
            axis.imshow(cell.image.clip(0, 1), cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(cell.right is not None)
                spine.set_color(RIGHT if cell.right else WRONG)
                spine.set_linewidth(2.5)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(name, fontsize=9, pad=4)
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / height, va="top")
    figure.subplots_adjust(
        left=1.25 / width, right=1 - 0.05 / width, bottom=0.05 / height, top=1 - 0.85 / height,
        wspace=0.06, hspace=0.06,
    )  # fmt: skip
    figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})
    plt.close(figure)
    return path
