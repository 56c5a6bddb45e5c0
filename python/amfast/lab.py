"""How much a memory holds: success of recall over load and corruption, with theory beside it."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amfast import _check, _console
from amfast._check.savable import Savable
from amfast._typing import Array, Float, Int
from amfast.memories.base import Memory

__all__ = ["Capacity", "capacity"]

Corruption = Callable[[Array, float, np.random.Generator], Array]

# An overlap above this counts as recalled, a bit error of 5 % below it.
_RECALLED = 0.9


@dataclass(frozen=True)
class Capacity(Savable):
    """Success of recall over load and corruption: what `capacity` returns.

    ``print`` shows it as a table, `plot` as a picture, `to_csv` writes it, `critical_load` reads
    off where half of the patterns are lost.
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
    """(L, C) share of the cues whose answer has an overlap above 0.9 with the stored pattern."""
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

    def rows(self) -> list[tuple[float, ...]]:
        """Return (load, corruption, success, exact, overlap, spread) for every cell."""
        return [
            (int(n), float(c), *(float(x[i, j]) for x in self._measured()))
            for i, n in enumerate(self.loads)
            for j, c in enumerate(self.corruptions)
        ]

    def _measured(self) -> tuple[Float, ...]:
        return self.success, self.exact, self.overlap, self.spread

    def to_csv(self, path: str | Path) -> Path:
        """Write `rows` with a header line, and return the path."""
        path = Path(path)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("load", "corruption", "success", "exact", "overlap", "spread"))
            writer.writerows(self.rows())
        return path

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
        if any(x.shape != shape for x in made._measured()):
            raise ValueError(f"measured shares must have the shape {shape}")
        return made

    def __str__(self) -> str:
        """Show success as a table, loads down, corruptions across, theory below."""
        lines = [
            f"{self.memory}, d = {self.width}: recalled (overlap > {_RECALLED}), "
            f"{self.trials} set(s) of patterns"
        ]
        lines.append("    load" + "".join(f"{c:>9.3g}" for c in self.corruptions))
        for n, row in zip(self.loads, self.success, strict=True):
            lines.append(f"{n:>8}" + "".join(f"{x:>9.1%}" for x in row))
        lines += [f"theory, {name}: {load:.4g} patterns" for name, load in self.theory.items()]
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None, axis: Any = None) -> Any:
        """Draw success over load, a line per corruption, and what theory says.

        Parameters
        ----------
        path : str or Path, optional
            Write the picture there.
        axis : matplotlib Axes, optional
            Draw into it; None makes a new figure.

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
            axis.errorbar(
                self.loads, success, spread, marker="o", capsize=2, label=f"corruption {c:.3g}"
            )
        if self.theory_overlap is not None:
            axis.plot(self.loads, self.theory_overlap, "k--", label="overlap, theory")
        for place, (name, load) in enumerate(self.theory.items()):
            if load <= 1.2 * self.loads.max():
                axis.axvline(load, color="0.4", linestyle=(0, (1 + place, 2)), label=name)
        axis.set_xlabel(f"patterns stored, d = {self.width}")
        axis.set_ylabel(f"recalled (overlap > {_RECALLED})")
        axis.set_ylim(-0.03, 1.03)
        axis.set_title(self.memory, fontsize=10)
        axis.legend(fontsize=8)
        if path is not None:
            axis.figure.savefig(path, dpi=150)
        return axis


def capacity(
    memory: Any,
    loads: Sequence[int],
    corruptions: Sequence[float] = (0.0,),
    *,
    width: int | None = None,
    patterns: Literal["bipolar", "uniform", "normal"] | object = "bipolar",
    corrupt: Corruption | None = None,
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
    loads : sequence of int
        Numbers of patterns to store, >= 1.
    corruptions : sequence of float, default (0.0,)
        Levels handed to ``corrupt``.
    width : int, optional
        Units of a pattern, d. Needed unless ``patterns`` is an array.
    patterns : {"bipolar", "uniform", "normal"} or array_like, default "bipolar"
        Random int8 signs, float32 numbers in [0, 1) or normal float32 numbers; or (M, d) patterns
        of which every trial takes as many as it stores, without repeating one.
    corrupt : callable, optional
        ``corrupt(patterns, level, generator)`` returns cues. None flips ``level`` of the units of
        patterns of -1 and +1 or of 0 and 1 (exactly round(level d) of each) and adds normal noise
        of standard deviation ``level`` to others, rounded for integers.
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
    make = _maker(memory)
    counts = [_check.integer(n, "loads", 1) for n in loads]
    levels = [_check.number(c, "corruptions", 0.0) for c in corruptions]
    if not counts or not levels:
        raise ValueError(
            f"loads and corruptions must name at least one each, got {counts} and {levels}"
        )
    trials = _check.integer(trials, "trials", 1)
    max_cues = _check.integer(max_cues, "max_cues", 1)
    seed = _check.integer(seed, "seed", 0)
    draw, d, binary = _source(patterns, width, max(counts))
    table = (3, trials, len(counts), len(levels))
    _check.fits(table, np.dtype(np.float64), "results of all trials")
    _check.fits((max(counts), d), np.dtype(np.int8), "patterns of the largest load")
    spoil = corrupt or (_flip if binary else _noise)
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
                    found[:, t, i, j] = _judge(np.asarray(trial.recall(cues, **recall)), asked)
                step(f"{n} patterns")
    overlap, success, exact = found.mean(axis=1)
    empty, stored_counts = make(), np.asarray(counts, np.int64)
    named, curve = _theory(empty, d, stored_counts)
    return Capacity(
        repr(empty), d, stored_counts, np.asarray(levels), success, exact, overlap,
        found[1].std(axis=0), trials, named, curve,
    )  # fmt: skip


def _maker(memory: Any) -> Callable[[], Any]:
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
        pool = _check.rows(patterns, "patterns")
        if len(pool) < most:
            raise ValueError(f"patterns has {len(pool)} rows, the largest load is {most}")
        signs = pool.dtype.kind != "u" and bool((np.abs(pool) == 1).all())
        binary = signs or bool(((pool == 0) | (pool == 1)).all())
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


def _flip(patterns: Array, level: float, rng: np.random.Generator) -> Array:
    if level > 1:
        raise ValueError(f"corruptions of binary patterns are shares of the units, got {level:g}")
    flipped = round(level * patterns.shape[1])
    order = rng.random(patterns.shape).argsort(axis=1)
    other = 1 - patterns if (patterns == 0).any() else -patterns
    return np.where(order < flipped, other, patterns).astype(patterns.dtype)


def _noise(patterns: Array, level: float, rng: np.random.Generator) -> Array:
    noisy = patterns + level * rng.standard_normal(patterns.shape)
    if patterns.dtype.kind in "iu":
        limits = np.iinfo(patterns.dtype)
        noisy = np.clip(np.rint(noisy), limits.min, limits.max)
    return np.asarray(noisy.astype(patterns.dtype))


def _judge(recalled: Array, stored: Array) -> tuple[float, float, float]:
    """Return mean overlap, share recalled and share recalled exactly."""
    if recalled.shape != stored.shape:
        raise ValueError(
            f"the memory's answers have shape {recalled.shape}, the patterns {stored.shape}"
        )
    a, b = recalled.astype(np.float64), stored.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    overlaps = np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
    close = np.linalg.norm(a - b, axis=1) <= 1e-6 * np.linalg.norm(b, axis=1)
    return float(overlaps.mean()), float((overlaps > _RECALLED).mean()), float(close.mean())


def _theory(memory: Any, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
    """Return the loads that a memory's theory names, and the overlap it expects at each measured.

    A memory of this library answers for itself; of others, and of one unit, nothing is known.
    """
    if d < 2 or not isinstance(memory, Memory):
        return {}, None
    return memory._theory(d, loads)
