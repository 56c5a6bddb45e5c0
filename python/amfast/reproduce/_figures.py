"""Pictures: accuracies in the form of the paper, and measured points with theory over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amfast.reproduce._registry import (
    ARGMAX,
    THRESHOLD,
    Experiment,
    Outcome,
    Panel,
    Point,
    Series,
    Variant,
)

# Okabe and Ito's colours, told apart by colour-blind readers; one per name through all figures.
COLOURS = {
    "manhattan": "#0072B2",
    "sqeuclidean": "#E69F00",
    "dot": "#D55E00",
    "kl": "#009E73",
    "reverse_kl": "#56B4E9",
    "harmonic_kl": "#CC79A7",
    "jeffreys": "#8C6D31",
    "max": "#000000",
    "softmax": "#0072B2",
    "10th order": "#D55E00",
    "quartic": "#E69F00",
    "cube": "#009E73",
    "square": "#56B4E9",
    "sqrt": "#CC79A7",
    "identity": "#8C6D31",
    "log": "#999999",
    "autoassociative": "#0072B2",
    "heteroassociative": "#D55E00",
}
# The same colours by number, for the series of panels.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#000000")
_SPARE = ("#332288", "#117733", "#882255", "#44AA99")
_MARKERS = "osD^vP*Xhd"

LABELS = {
    "dot": "normalised dot",
    "sqeuclidean": "Euclidean (squared)",
    "manhattan": "Manhattan",
    "kl": "KL(memory ‖ cue)",
    "reverse_kl": "KL(cue ‖ memory)",
    "jeffreys": "Jensen-Shannon of Table 2 (Jeffreys)",
    "harmonic_kl": "“Jensen-Shannon” (harmonic KL)",
}
_ACCURACY = {
    ARGMAX: "recalled, by largest weight",
    THRESHOLD: "recalled, by squared error",
}


def pyplot() -> Any:
    """Return matplotlib.pyplot without a display, or say how to install it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "amfast-memory[demo]"') from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def style(line: str, lines: Sequence[str], outcome: Outcome) -> dict[str, Any]:
    """Return colour and marker of a line, the same in every figure."""
    place = list(lines).index(line)
    colour = outcome.colours.get(line) or COLOURS.get(line) or _SPARE[place % len(_SPARE)]
    # Dashed, because it lies on the autoassociative line wherever the two agree.
    dashes = "--" if line == "heteroassociative" else "-"
    return {"color": colour, "marker": _MARKERS[place % len(_MARKERS)], "linestyle": dashes}


def variants(outcome: Outcome, name: str, folder: Path) -> list[Path]:
    """Draw every variant into a PNG of its own: a column per data set, a row per accuracy.

    Parameters
    ----------
    outcome : Outcome
        With the curves to draw.
    name : str
        Name of the experiment, the beginning of the file names.
    folder : Path
        Where the pictures go.

    Returns
    -------
    list of Path
        The files written.
    """
    return [
        _one_variant(outcome, variant, folder / f"{name}_{_slug(variant.name)}.png")
        for variant in outcome.variants
        if any(point.variant == variant.name for point in outcome.curves)
    ]


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-").replace("--", "-")


def _one_variant(outcome: Outcome, variant: Variant, path: Path) -> Path:
    plt = pyplot()
    points = [point for point in outcome.curves if point.variant == variant.name]
    columns, lines = _distinct(points, "panel"), _distinct(points, "line")
    accuracies = [a for a in (ARGMAX, THRESHOLD) if a in _distinct(points, "accuracy")]
    width, height = max(3.3 * len(columns), 6.6), 2.75 * len(accuracies) + 1.5
    figure, axes = plt.subplots(
        len(accuracies), len(columns), figsize=(width, height), squeeze=False, sharey=True
    )
    for row, accuracy in zip(axes, accuracies, strict=True):
        for axis, panel in zip(row, columns, strict=True):
            for line in lines:
                found = outcome.curves.line(variant.name, panel, line, accuracy)
                if found:
                    _curve(axis, found, style(line, lines, outcome), LABELS.get(line, line))
            _dress(axis, outcome, [point.x for point in points])
        row[0].set_ylabel(_ACCURACY[accuracy])
    for axis, panel in zip(axes[0], columns, strict=True):
        runs = max(point.runs for point in points if point.panel == panel)
        axis.set_title(f"{panel}  ({runs} run{'s' if runs > 1 else ''})", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel(variant.x_label or outcome.x_label)
    handles, labels = axes[0][0].get_legend_handles_labels()
    # Room above for the title and below for the legend, in inches, so that neither meets a panel.
    per_row = max(1, min(len(labels), int(width // 2.4)))
    legend_rows = -(-len(labels) // per_row)
    per_row = -(-len(labels) // legend_rows)
    title = figure.suptitle(variant.title, fontsize=11, y=1 - 0.1 / height, va="top")
    legend = figure.legend(
        handles, labels, loc="lower center", ncol=per_row, frameon=False, fontsize=9
    )
    for artist in (title, legend):
        artist.set_in_layout(False)
    figure.tight_layout(rect=(0, (0.22 * legend_rows + 0.1) / height, 1, 1 - 0.4 / height))
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _distinct(points: Sequence[Point], attribute: str) -> list[str]:
    return list(dict.fromkeys(getattr(point, attribute) for point in points))


def _curve(axis: Any, points: Sequence[Point], look: dict[str, Any], label: str) -> None:
    axis.errorbar(
        [point.x for point in points],
        [point.mean for point in points],
        yerr=[point.std for point in points],
        label=label,
        markersize=4,
        linewidth=1.5,
        capsize=2,
        elinewidth=0.8,
        alpha=0.9,
        **look,
    )


def _frame(axis: Any) -> None:
    axis.grid(True, color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _dress(axis: Any, outcome: Outcome, xs: Sequence[float]) -> None:
    axis.set_ylim(-0.04, 1.04)
    _frame(axis)
    if outcome.log_x:
        axis.set_xscale("log")
        low, high = min(xs), max(xs)
        ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= t <= high]
        axis.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
        axis.minorticks_off()


def panels(wanted: Sequence[Panel], experiment: Experiment, folder: Path) -> Path:
    """Draw the panels of an experiment side by side into one PNG, at most three in a row.

    Measured points have markers and error bars; lines over them are the theory, dashed where it is
    the textbook's constant that is wrong at this size. Legends are below, where they hide nothing.
    """
    plt = pyplot()
    columns = min(3, len(wanted)) if len(wanted) != 4 else 2
    rows = -(-len(wanted) // columns)
    deepest = max(-(-len(names) // _columns(names)) for names in map(_labels, wanted))
    size = (max(4.9 * columns, 6.4), (3.7 + 0.18 * deepest) * rows + 0.4)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for axis, panel in zip(axes, wanted, strict=False):
        _panel(axis, panel)
    for axis in axes[len(wanted) :]:
        axis.set_axis_off()
    figure.suptitle(experiment.summary, fontsize=11)
    path = folder / f"{experiment.name}.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _panel(axis: Any, panel: Panel) -> None:
    if panel.log_x:
        _logarithmic(axis.xaxis, axis.set_xscale, [x for line in panel.series for x in line.x])
    if panel.log_y:
        _logarithmic(axis.yaxis, axis.set_yscale, [y for line in panel.series for y in line.y])
    for place, line in enumerate(panel.series):
        _series(axis, line, _MARKERS[place % len(_MARKERS)])
    named = set()
    for mark in panel.marks:
        draw = axis.axvline if mark.axis == "x" else axis.axhline
        label = None if mark.label in named else mark.label
        draw(mark.at, color="#666666", linewidth=1, linestyle=":", label=label)
        named.add(mark.label)
    if panel.y_range is not None:
        axis.set_ylim(*panel.y_range)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(panel.x_label)
    axis.set_ylabel(panel.y_label)
    _frame(axis)
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncol=_columns(_labels(panel)),
        fontsize=8,
        frameon=False,
        borderpad=0,
        columnspacing=1.2,
    )


def _labels(panel: Panel) -> list[str]:
    """Return what the legend of a panel names."""
    return [line.label for line in panel.series] + list({mark.label: 0 for mark in panel.marks})


def _columns(labels: Sequence[str]) -> int:
    """Return how many columns of the legend fit below a panel."""
    return 2 if len(labels) > 2 and max(map(len, labels)) <= 36 else 1


def _logarithmic(axis: Any, set_scale: Any, values: Sequence[float]) -> None:
    """Make an axis logarithmic; over few decades with ticks at 1, 2 and 5 and plain numbers."""
    from matplotlib import ticker

    set_scale("log")
    positive = [value for value in values if value > 0]
    axis.set_minor_formatter(ticker.NullFormatter())
    if positive and max(positive) < 300 * min(positive):
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def _series(axis: Any, line: Series, marker: str) -> None:
    colour = PALETTE[line.colour % len(PALETTE)]
    if line.kind == "measured":
        axis.errorbar(
            line.x,
            line.y,
            yerr=line.error,
            label=line.label,
            color=colour,
            marker=marker,
            markersize=4.5,
            linestyle="-" if line.joined else "none",
            linewidth=0.7,
            capsize=2,
            elinewidth=0.9,
        )
        return
    dashes = "-" if line.kind == "theory" else "--"
    axis.plot(line.x, line.y, dashes, label=line.label, color=colour, linewidth=1.8, alpha=0.75)
