"""How much a memory holds: success of recall over load and corruption, with theory beside it."""

from __future__ import annotations

import copy
import csv
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amfast import _check, _console
from amfast._check.savable import Savable
from amfast._typing import Array, Float, Int
from amfast.lab import judging, spoiling
from amfast.lab.basins import among, radius
from amfast.memories.base import Memory
from amfast.parts import SeparationWarning

__all__ = ["Capacity", "capacity"]

# Loads at which the curve of theory is drawn.
_CURVE = 60


@dataclass(frozen=True, repr=False)
class Capacity(Savable):
    """Success of recall over load and corruption: what `capacity` returns.

    Its ``repr`` is the table, `plot` draws a picture, `to_csv` writes it, `to_frame` makes a
    pandas frame of it, `critical_load` reads off where half of the patterns are lost.
    """

    memory: str
    """repr of the empty memory."""
    width: int
    """Units of a pattern, d."""
    loads: Int
    """(L,) numbers of stored patterns."""
    corruptions: Float
    """(C,) levels of corruption."""
    success: Float
    """(L, C) share of the cues that were recalled, as ``criterion`` says."""
    exact: Float
    """(L, C) share of the cues whose answer is the stored pattern, to 1e-6 of its norm."""
    overlap: Float
    """(L, C) mean overlap, cosine of answer and stored pattern."""
    spread: Float
    """(L, C) standard deviation of `success` over the trials."""
    trials: int
    """Sets of patterns behind every number."""
    theory: dict[str, float]
    """Loads that theory names for a memory of this kind and width; empty where there is none."""
    theory_overlap: Float | None
    """(L,) overlap that theory expects without corruption, None where there is none."""
    criterion: str = f"overlap > {judging.RECALLED}"
    """What counts as recalled."""
    theory_curve: Float | None = None
    """(2, at most 60) loads from the smallest to the largest and the overlap expected there."""
    spurious: Float | None = None
    """(L, C) share of the cues that end in a state that was never stored, nor with all units
    exchanged; None unless patterns are binary."""
    cues: Int | None = None
    """(L,) numbers of cues behind every share, of all trials; None in files that lack it."""

    def critical_load(self, corruption: float | None = None) -> float:
        """Return the load where success falls through 1/2, between the loads measured.

        Parameters
        ----------
        corruption : float, optional
            One of `corruptions`; None is the first.

        Returns
        -------
        float
            Number of patterns; inf where success stays above 1/2, 0 where it begins below.
        """
        levels = self.corruptions.tolist()
        level = levels[0] if corruption is None else corruption
        if level not in levels:
            raise ValueError(f"corruption must be one of {levels}, got {corruption!r:.60}")
        success = self.success[:, levels.index(level)]
        below = np.flatnonzero(success < 0.5)
        if len(below) == 0:
            return float("inf")
        i = int(below[0])
        if i == 0:
            return 0.0
        share = (success[i - 1] - 0.5) / (success[i - 1] - success[i])
        return float(self.loads[i - 1] + share * (self.loads[i] - self.loads[i - 1]))

    def basins(self) -> Float:
        """Return the size of the basins of attraction at every load, (L,).

        The corruption at which half of the patterns still come back exactly, between the
        `corruptions` measured; 0 where they do not rest at themselves, inf where the largest leaves
        more than half. `amfast.basins` has more of one memory.

        Returns
        -------
        (L,) float64 array
        """
        if (np.diff(self.corruptions) <= 0).any():
            raise ValueError("basins are read off corruptions that ascend")
        return np.array([radius(self.corruptions, row) for row in self.exact])

    def rows(self) -> list[tuple[float, ...]]:
        """Return (load, corruption, success, exact, overlap, spread) for every cell.

        Returns
        -------
        list of tuple of float
        """
        return [
            (int(n), float(c), *(float(x[i, j]) for x in self._measured()))
            for i, n in enumerate(self.loads)
            for j, c in enumerate(self.corruptions)
        ]

    def _measured(self) -> tuple[Float, ...]:
        return self.success, self.exact, self.overlap, self.spread

    def to_csv(self, path: str | Path) -> Path:
        """Write `rows` with a header line, and return the path.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
        """
        path = Path(path)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("load", "corruption", "success", "exact", "overlap", "spread"))
            writer.writerows(self.rows())
        return path

    def to_frame(self, confidence: float = 0.95) -> Any:
        """Return the table as a pandas frame, a row for every load and corruption.

        Parameters
        ----------
        confidence : float, default 0.95
            Of the intervals.

        Returns
        -------
        pandas.DataFrame
            Columns load, corruption, cues, success, success_low, success_high, exact, exact_low,
            exact_high, overlap, spread. The intervals are Wilson's [1]_, which take the cues for
            independent: those of one set of patterns share a memory, so that near a transition
            they are too narrow and `spread` says more. NaN where `cues` is not known.

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            If confidence is not above 0 and below 1.

        References
        ----------
        .. [1] E. B. Wilson, *Probable inference, the law of succession, and statistical
           inference*, JASA 22 (1927) 209.
        """
        from statistics import NormalDist

        try:
            import pandas
        except ImportError as error:
            raise ImportError('frames need pandas: pip install "amfast-memory[frames]"') from error
        confidence = _check.number(confidence, "confidence")
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be above 0 and below 1, got {confidence:g}")
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        shape = self.success.shape
        n = np.full(len(self.loads), np.nan) if self.cues is None else self.cues
        columns = {
            "load": np.broadcast_to(self.loads[:, None], shape),
            "corruption": np.broadcast_to(self.corruptions, shape),
            "cues": np.broadcast_to(n[:, None], shape),
        }
        for name, share in (("success", self.success), ("exact", self.exact)):
            low, high = judging.wilson(share, n[:, None], z)
            columns |= {name: share, f"{name}_low": low, f"{name}_high": high}
        columns |= {"overlap": self.overlap, "spread": self.spread}
        return pandas.DataFrame({name: x.ravel() for name, x in columns.items()})

    _holds_nan = True

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: x for name, x in own.items() if isinstance(x, np.ndarray)}
        return {name: x for name, x in own.items() if name not in arrays}, arrays

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Capacity:
        given: dict[str, Any] = parts | arrays
        made = cls(**given)
        shape = len(made.loads), len(made.corruptions)
        measured = [*made._measured(), *(() if made.spurious is None else (made.spurious,))]
        if any(x.shape != shape for x in measured):
            raise ValueError(f"measured shares must have the shape {shape}")
        if made.cues is not None and (made.cues.shape != shape[:1] or made.cues.min(initial=1) < 1):
            raise ValueError("cues must be a number >= 1 for every load")
        for name in ("width", "trials"):
            _check.integer(parts[name], name, 1)
        loads = made.theory.items()
        names = (made.memory, made.criterion, *made.theory)
        if not all(isinstance(x, str) for x in names) or any(
            type(x) is not float for _, x in loads
        ):
            raise ValueError("memory and criterion must be text, theory names and numbers")
        return made

    def __repr__(self) -> str:
        """Show success as a table, loads down, corruptions across, theory below."""
        lines = [
            f"{self.memory}, d = {self.width}: recalled ({self.criterion}), "
            f"{self.trials} set(s) of patterns"
        ]
        lines.append("    load" + "".join(f"{c:>9.3g}" for c in self.corruptions))
        for n, row in zip(self.loads, self.success, strict=True):
            lines.append(f"{n:>8}" + "".join(f"{x:>9.1%}" for x in row))
        lines += [f"theory, {name}: {load:.4g} patterns" for name, load in self.theory.items()]
        if self.theory:
            lines.append(self._finite())
        return "\n".join(lines)

    def _finite(self) -> str:
        """Say what a finite width does to loads that theory names."""
        return (
            f"(theory is of d to infinity; with d = {self.width} the fall is spread over loads "
            "around these, and single sets of patterns differ)"
        )

    def plot(
        self, path: str | Path | None = None, axis: Any = None, label: str | None = None
    ) -> Any:
        """Draw success over load, a line per corruption, and what theory says.

        Parameters
        ----------
        path : str or Path, optional
            Write the picture there.
        axis : matplotlib Axes, optional
            Draw into it; None makes a new figure.
        label : str, optional
            Name of the memory in the legend, for several on one axis; it leaves theory out, which
            would be drawn for each of them.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                'pictures need matplotlib: pip install "amfast-memory[demo]"'
            ) from error
        if axis is None:
            axis = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
        for c, success, spread in zip(self.corruptions, self.success.T, self.spread.T, strict=True):
            named = f"corruption {c:.3g}"
            if label is not None:
                named = label if len(self.corruptions) == 1 else f"{label}, {named}"
            axis.errorbar(self.loads, success, spread, marker="o", capsize=2, label=named)
        axis.set_xlabel(f"patterns stored, d = {self.width}")
        axis.set_ylabel(f"recalled ({self.criterion})")
        axis.set_ylim(-0.03, 1.03)
        if label is None:
            self._draw_theory(axis)
            axis.set_title(self.memory, fontsize=10)
        axis.legend(fontsize=8)
        if path is not None:
            axis.figure.savefig(path, dpi=150)
        return axis

    def _draw_theory(self, axis: Any) -> None:
        """Draw the overlap expected on an axis of its own, and the loads that theory names."""
        curve = self.theory_curve
        if curve is not None:
            right = axis.twinx()
            right.plot(*curve, "k--", linewidth=1)
            right.set_ylim(-0.03, 1.03)
            right.set_ylabel("overlap expected")
            axis.plot([], [], "k--", linewidth=1, label="overlap, theory (right axis)")
        for place, (name, load) in enumerate(self.theory.items()):
            if load <= 1.2 * self.loads.max():
                axis.axvline(load, color="0.4", linestyle=(0, (1 + place, 2)), label=name)


def capacity(
    memory: Any,
    loads: int | Sequence[int],
    corruptions: float | Sequence[float] = (0.0,),
    *,
    width: int | None = None,
    patterns: Literal["bipolar", "uniform", "normal"] | object = "bipolar",
    corrupt: str | Callable[..., Any] | None = None,
    shape: Sequence[int] | None = None,
    success: str | judging.Judge | None = None,
    trials: int = 3,
    max_cues: int = 200,
    seed: int = 0,
    progress: bool = False,
    **recall: Any,
) -> Capacity:
    """Store random patterns, corrupt them, recall, and count what came back, load by load.

    Parameters
    ----------
    memory : memory or callable
        An empty memory of this library or anything with ``store(patterns)`` and
        ``recall(cues)``, copied for every trial; or a function without arguments that makes one.
    loads : int or sequence of int
        Numbers of patterns to store, >= 1.
    corruptions : float or sequence of float, default (0.0,)
        Levels handed to ``corrupt``.
    width : int, optional
        Units of a pattern, d. Needed unless ``patterns`` is an array.
    patterns : {"bipolar", "uniform", "normal"} or array_like, default "bipolar"
        Random int8 signs, float32 numbers in [0, 1) or normal float32 numbers; or (M, d) patterns
        or (M, H, W) images of which every trial takes as many as it stores, without repeating one.
    corrupt : {"flip", "gaussian", "mask", "random_mask", "inpaint"} or callable, optional
        "flip" turns ``level`` of the units of binary patterns over (exactly round(level d) of
        each), "gaussian" adds normal noise of standard deviation ``level``, rounded for integers
        (with ``shape`` it is `amfast.corrupt.gaussian`, of images), the others blank a share
        ``level``: units become 0, or -1 among -1 and +1. A function of `amfast.corrupt`, or a
        `functools.partial` of one, gets its seed by itself; any other is called as
        ``corrupt(patterns, level, generator)``. None is "flip" for patterns of -1 and +1 or of 0
        and 1, "gaussian" for others.
    shape : tuple of int, optional
        Of one image, for corruptions that work on its rows. None means that of images given as
        ``patterns``, a column of d units for rows, for
        "inpaint" the squarest picture.
    success : {"nearest", "overlap", "exact"} or callable, optional
        What counts as recalled: no stored pattern is nearer to the answer; an overlap (cosine)
        above 0.9; equal to 1e-6 of the norm; or ``success(answers, patterns)``, which returns a
        bool for each. None is "overlap" for binary patterns and "nearest" for others: real patterns
        without negative entries overlap by more than 0.9 without being alike.
    trials : int, default 3
        Independent sets of patterns.
    max_cues : int, default 200
        At most so many of the stored patterns are asked for in a trial.
    seed : int, default 0
    progress : bool, default False
        Show a progress bar on a terminal.
    **recall
        Passed to ``memory.recall``, such as ``update="sync"``.

    Returns
    -------
    Capacity
        Table of success, with theory where `amfast.theory` has some for this memory.

    Raises
    ------
    ValueError
        For empty or negative loads, a memory that is not empty, too few patterns.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.UniversalHopfield("dot", "softmax", beta=1.0)
    >>> table = am.capacity(memory, [10, 1000], [0.0, 0.1, 0.4], width=64, trials=2)
    >>> table.success[:, 1].round(1).tolist()
    [1.0, 1.0]
    >>> print(str(table).split(": ", 2)[2])
    recalled (overlap > 0.9), 2 set(s) of patterns
        load        0      0.1      0.4
          10   100.0%   100.0%    70.0%
        1000   100.0%   100.0%     0.0%
    """
    make = maker(memory)
    counts = [_check.integer(n, "loads", 1) for n in _several(loads)]
    levels = [_check.number(c, "corruptions", 0.0) for c in _several(corruptions)]
    if not counts or not levels:
        raise ValueError(
            f"loads and corruptions must name at least one each, got {counts} and {levels}"
        )
    trials = _check.integer(trials, "trials", 1)
    max_cues = _check.integer(max_cues, "max_cues", 1)
    seed = _check.integer(seed, "seed", 0)
    if not isinstance(patterns, str):
        patterns, shape = spoiling.flat(patterns, "patterns", shape)
    draw, d, binary = _source(patterns, width, max(counts))
    table = (4, trials, len(counts), len(levels))
    _check.fits(table, np.dtype(np.float64), "results of all trials")
    _check.fits((max(counts), d), np.dtype(np.int8), "patterns of the largest load")
    spoil = spoiling.spoiler(corrupt, binary, shape)
    what = judging.criterion(success, binary)
    found = np.zeros(table)
    with _console.progress("capacity", len(counts) * trials if progress else 0) as step:
        for i, n in enumerate(counts):
            for t in range(trials):
                rng = np.random.default_rng([seed, t, n])
                stored = draw(n, rng)
                trial = make()
                trial.store(stored)
                asked = stored[:max_cues]
                for j, level in enumerate(levels):
                    cues = spoil(asked, level, np.random.default_rng([seed, t, n, j]))
                    with warnings.catch_warnings():
                        # The table says where patterns are lost, which it is made to find out.
                        warnings.simplefilter("ignore", SeparationWarning)
                        answers = np.asarray(trial.recall(cues, **recall))
                    seen = judging.judge(what, answers, asked, stored)
                    found[:3, t, i, j] = [x.mean() for x in seen]
                    if binary:
                        found[3, t, i, j] = 1.0 - np.sum(among(answers, stored)) / len(asked)
                step(f"{n} patterns")
    recalled, exact, overlap, spurious = found.mean(axis=1)
    empty, stored_counts = make(), np.asarray(counts, np.int64)
    named, expected = _theory(empty, d, stored_counts)
    return Capacity(
        repr(empty), d, stored_counts, np.asarray(levels), recalled, exact, overlap,
        found[0].std(axis=0), trials, named, expected, judging.said(what),
        None if expected is None else _curve(empty, d, min(counts), max(counts)),
        spurious if binary else None,
        trials * np.minimum(stored_counts, max_cues),
    )  # fmt: skip


def _several(given: Any) -> Iterable[Any]:
    """Return what was given as several: one number is one of them."""
    return given if np.ndim(given) else [given]


def _curve(memory: Any, d: int, least: int, most: int) -> Float:
    """Return loads, and the overlap that theory expects there."""
    loads = np.unique(np.linspace(least, most, _CURVE).round().astype(np.int64))
    expected = _theory(memory, d, loads)[1]
    return np.array([loads, expected], np.float64)


def maker(memory: Any) -> Callable[[], Any]:
    if isinstance(memory, type) or not hasattr(memory, "recall"):
        return _check.function(memory, "memory")
    if len(memory):
        raise ValueError(f"memory must be empty, it holds {len(memory)} patterns")
    return lambda: copy.deepcopy(memory)


def _source(
    patterns: object, width: int | None, most: int
) -> tuple[Callable[[int, np.random.Generator], Array], int, bool]:
    """Return what draws n patterns, their width, and whether they are -1 and +1, or 0 and 1."""
    if not isinstance(patterns, str):
        pool = np.asarray(patterns)
        if len(pool) < most:
            raise ValueError(f"patterns has {len(pool)} rows, the largest load is {most}")
        binary = spoiling.is_binary(pool)
        return lambda n, rng: pool[rng.permutation(len(pool))[:n]], pool.shape[1], binary
    kind = _check.choice(patterns, "patterns", ("bipolar", "uniform", "normal"))
    if width is None:
        raise ValueError(f"width must say how wide {kind} patterns are, got None")
    d = _check.integer(width, "width", 1)
    draws: dict[str, Callable[[int, np.random.Generator], Array]] = {
        "bipolar": lambda n, rng: (
            rng.integers(0, 2, (n, d), dtype=np.int8) * np.int8(2) - np.int8(1)
        ),
        "uniform": lambda n, rng: rng.random((n, d), dtype=np.float32),
        "normal": lambda n, rng: rng.standard_normal((n, d), dtype=np.float32),
    }
    return draws[kind], d, kind == "bipolar"


def _theory(memory: Any, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
    """Return the loads that a memory's theory names, and the overlap it expects at each measured.

    A memory of this library answers for itself; of others, and of one unit, nothing is known.
    """
    if d < 2 or not isinstance(memory, Memory):
        return {}, None
    return memory._theory(d, loads)
