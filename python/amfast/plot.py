"""Pictures for a lecture or a paper: a fall into an attractor, recalls, landscapes, capacities.

Every function draws with matplotlib (the extra ``demo``), returns what it drew into, and writes a
file if it is given a path. None of them opens a window or needs a display.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.memories.recall import Recall

__all__ = ["capacity", "fall", "landscape", "recall"]


def _figure(**options: Any) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "amfast-memory[demo]"') from error
    return Figure(layout="constrained", **options)


def _written(figure: Any, path: str | Path | None) -> None:
    if path is not None:
        figure.savefig(path, dpi=120)


def _image(row: Array, shape: Sequence[int] | None) -> Array:
    """Return a pattern as a picture: of the shape given, else the squarest that fits."""
    row = np.asarray(row, np.float64)
    if shape is not None:
        return row.reshape(tuple(shape))
    height = next(h for h in range(math.isqrt(row.size), 0, -1) if row.size % h == 0)
    return row.reshape(height, -1)


def _show(axis: Any, row: Array, shape: Sequence[int] | None, limits: tuple[float, float]) -> None:
    axis.imshow(_image(row, shape), cmap="gray", vmin=limits[0], vmax=limits[1])
    axis.set_xticks([])
    axis.set_yticks([])


def _limits(*rows: Any) -> tuple[float, float]:
    given = [np.asarray(x, np.float64) for x in rows if x is not None and np.size(x)]
    low, high = min(x.min() for x in given), max(x.max() for x in given)
    return float(low), float(high) if high > low else float(low) + 1.0


def fall(
    found: Recall,
    path: str | Path | None = None,
    *,
    cue: int = 0,
    shape: Sequence[int] | None = None,
    n_states: int = 6,
) -> Any:
    """Draw a recall with ``trace="unit"``: some of its states, and its energy flip by flip.

    Parameters
    ----------
    found : Recall
        Of ``memory.recall(cue, trace="unit")``.
    path : str or Path, optional
        Write the picture there.
    cue : int, default 0
        Which one, where several were recalled.
    shape : tuple of int, optional
        Of a state as a picture; None is the squarest that fits.
    n_states : int, default 6
        States shown, evenly spaced over the flips.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.Hopfield()
    >>> ids = memory.store(am.BitMatrix.random(3, 100, seed=0))
    >>> start = am.BitMatrix.random(1, 100, seed=9).unpack()[0]
    >>> figure = am.plot.fall(memory.recall(start, trace="unit"))  # doctest: +SKIP
    """
    if found.path is None:
        raise ValueError('found has no path: recall with trace="unit"')
    many = isinstance(found.path, list)
    states = found.path[cue] if many else found.path
    energies = found.path_energy[cue] if many else found.path_energy
    shown = np.unique(np.linspace(0, len(states) - 1, n_states).round().astype(int))
    figure = _figure(figsize=(1.5 * len(shown), 4.2))
    axes = figure.subplot_mosaic([[f"state {i}" for i in shown], ["energy"] * len(shown)])
    limits = _limits(states)
    for i in shown:
        axis = axes[f"state {i}"]
        _show(axis, states[i], shape, limits)
        axis.set_title("cue" if i == 0 else f"{i} flips", fontsize=9)
    axis = axes["energy"]
    axis.plot(np.arange(len(energies)), energies, drawstyle="steps-post")
    axis.plot(shown, np.asarray(energies)[shown], "o", markersize=4)
    axis.set_xlabel("units flipped")
    axis.set_ylabel("energy")
    _written(figure, path)
    return figure


def recall(
    cues: Any,
    answers: Any,
    truth: Any = None,
    path: str | Path | None = None,
    *,
    shape: Sequence[int] | None = None,
    n: int = 8,
) -> Any:
    """Draw cues, what was recalled, and the truth below, a column each.

    Parameters
    ----------
    cues : (Q, d) array
    answers : (Q, d) array, Recall, or {name: either}
        A row of pictures each.
    truth : (Q, d) array, optional
    path : str or Path, optional
        Write the picture there.
    shape : tuple of int, optional
        Of one image; None is the squarest that fits.
    n : int, default 8
        Columns at most.

    Returns
    -------
    matplotlib Figure
    """
    named = answers if isinstance(answers, Mapping) else {"recall": answers}
    rows = {"cue": np.atleast_2d(np.asarray(cues))}
    for name, given in named.items():
        rows[name] = np.atleast_2d(np.asarray(given.state if isinstance(given, Recall) else given))
    if truth is not None:
        rows["truth"] = np.atleast_2d(np.asarray(truth))
    columns = min(_check.integer(n, "n", 1), *(len(x) for x in rows.values()))
    if columns == 0:
        raise ValueError("cues, answers and truth must have a row at least")
    limits = _limits(rows.get("truth", rows["cue"]))
    figure = _figure(figsize=(0.9 * columns + 1.0, 0.95 * len(rows)))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, given) in zip(axes, rows.items(), strict=True):
        for axis, row in zip(line, given, strict=False):
            _show(axis, row, shape, limits)
        line[0].set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    _written(figure, path)
    return figure


def landscape(
    memory: Any,
    path: str | Path | None = None,
    *,
    cues: Any = None,
    max_iter: int = 50,
    n: int = 120,
    axis: Any = None,
) -> Any:
    """Draw the energy of a memory of two dimensions, what it stores, and where cues go.

    Parameters
    ----------
    memory : memory
        Of keys of width 2, with an energy: a `ModernHopfield` or a softmax of "sqeuclidean".
    path : str or Path, optional
        Write the picture there.
    cues : (Q, 2) array, optional
        Followed step by step for ``max_iter`` steps.
    max_iter : int, default 50
    n : int, default 120
        Points along each side.
    axis : matplotlib Axes, optional
        Draw into it; None makes a new figure.

    Returns
    -------
    matplotlib Axes
    """
    if memory.keys.shape[1:] != (2,) or isinstance(memory.keys, BitMatrix):
        raise ValueError(f"landscape needs keys of width 2, got shape {memory.keys.shape}")
    keys = np.asarray(memory.keys, np.float64)
    everything = keys if cues is None else np.vstack([keys, np.atleast_2d(cues)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-9).max()
    x = np.linspace(low[0] - margin, high[0] + margin, n)
    y = np.linspace(low[1] - margin, high[1] + margin, n)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    energy = np.asarray(memory.energy(grid)).reshape(n, n)
    if axis is None:
        axis = _figure(figsize=(5.2, 4.6)).subplots()
    colours = axis.contourf(x, y, energy, levels=30, cmap="viridis")
    axis.figure.colorbar(colours, ax=axis, label="energy")
    axis.plot(*keys.T, "wo", markeredgecolor="k", label="stored")
    for walk in _walks(memory, cues, max_iter):
        axis.plot(*walk.T, "r.-", linewidth=1, markersize=4)
    axis.set_aspect("equal")
    _written(axis.figure, path)
    return axis


def _walks(memory: Any, cues: Any, max_iter: int) -> list[Float]:
    """States of each cue, step by step."""
    if cues is None:
        return []
    states = [np.atleast_2d(np.asarray(cues, np.float64))]
    for _ in range(max_iter):
        states.append(np.asarray(memory.recall(states[-1]), np.float64))
    return [np.array([state[i] for state in states]) for i in range(len(states[0]))]


def capacity(
    tables: Any, path: str | Path | None = None, *, axis: Any = None, title: str | None = None
) -> Any:
    """Draw what `amfast.capacity` returned: one table with its theory, or several on one axis.

    Parameters
    ----------
    tables : Capacity or {name: Capacity}
    path : str or Path, optional
        Write the picture there.
    axis : matplotlib Axes, optional
        Draw into it; None makes a new figure.
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    if isinstance(tables, (list, tuple)):
        raise TypeError(
            f"tables must be one Capacity or a dict {{name: Capacity}}, got {type(tables).__name__}"
        )
    if axis is None:
        axis = _figure(figsize=(6.4, 4.2)).subplots()
    if not isinstance(tables, Mapping):
        tables.plot(axis=axis)
    else:
        for name, table in tables.items():
            table.plot(axis=axis, label=name)
    if title is not None:
        axis.set_title(title, fontsize=10)
    _written(axis.figure, path)
    return axis
