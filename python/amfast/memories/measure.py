"""Memories as measures: points with masses, read by attention.

A measure says how much of what there is, not in which order or how often it was written down: two
equal points with masses a and b are one point with mass a + b. Attention on a measure nu,

    Attn(nu, q) = int v(x) e^(beta <x, q>) dnu(x) / int e^(beta <x, q>) dnu(x),

is softmax retrieval with the logarithms of the masses as log-weights, and inherits that (Kawata and
Suzuki, *Transformers as Measure-Theoretic Associative Memory: A Statistical Perspective and Minimax
Optimality*, 2026, arXiv 2602.01863; the class is amfast's own construction, since the paper
describes no software and no experiments).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amfast import _check, theory
from amfast._engine.reading import Source, read, result_type
from amfast._engine.scoring import best
from amfast._threads import get_num_threads, resolve_threads
from amfast._typing import Array, Float, Mask
from amfast.parts import Similarity, Softmax

__all__ = ["Margin", "Measure"]


# Distinct points up to which `Measure.retrieve` compares beta with their margin.
CHECKED_POINTS = 2048
# ln I + this separates I components: 95 % of the weight.
EXCESS = 3.0
_DOT = Similarity("dot")
_NOTHING = "sum to 0; a measure needs mass somewhere"


@dataclass(frozen=True)
class Margin:
    """How far apart the distinct points of a measure are as keys of a softmax."""

    smallest: float
    """min over i != j of x_i.x_i - x_i.x_j: how much worse another point answers x_i than x_i does;
    <= 0 where another answers as well. Infinite for one point, and beyond float64."""
    pair: tuple[int, int]
    """The i and j of the minimum, rows of ``merged().points``; (0, 0) for one point."""
    n_points: int
    """I, the number of distinct points with mass."""

    @property
    def beta(self) -> float:
        """(ln I + 3) / smallest: from here on a point's own weight is 95 % or more, at equal mass.

        Infinite where points are not separated, 0 where the margin is infinite.
        """
        if self.smallest <= 0:
            return float("inf")
        if self.smallest == float("inf"):
            return 0.0
        return theory.measure_beta(self.n_points, self.smallest, EXCESS)


class Measure:
    """A probability measure of finitely many points, each with a value.

    Parameters
    ----------
    points : (N, d) array
        The keys.
    masses : (N,) array, optional
        Finite and >= 0, with a sum > 0; divided by the sum. None means alike. A point of mass 0 is
        kept but never answers, whatever it and its value hold: also NaN.
    values : (N, o) array, optional
        What the points answer with; None means the points themselves.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> seen = am.Measure([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], values=[[1.0], [5.0], [3.0]])
    >>> seen.masses.round(3)
    array([0.333, 0.333, 0.333])
    >>> seen.retrieve([1.0, 0.0], beta=50.0)  # the mean of what was seen there
    array([2.])
    >>> am.Measure([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).merged()
    <Measure: 2 points of 2 columns>
    """

    def __init__(self, points: Any, masses: Any = None, values: Any = None) -> None:
        p = _check.rows(points, "points")
        _check.nonempty(p, "points")
        v = None if values is None else _check.rows(values, "values", partners=len(p))
        if v is not None and len(v) != len(p):
            raise ValueError(f"values have {len(v)} rows, points have {len(p)}")
        self._masses = _check.weights.masses(masses, len(p), "masses", _NOTHING)
        self._points = p.copy()
        self._values = None if v is None else v.copy()
        self._margin: Margin | None = None
        dead = self._masses == 0
        # What `retrieve` reads: what is never an answer must not overflow either.
        self._keys = _blanked(self._points, dead)
        self._answers = None if self._values is None else _blanked(self._values, dead)
        _check.finite(self._keys, "points")
        if self._answers is not None:
            _check.finite(self._answers, "values")

    @property
    def points(self) -> Array:
        """(N, d), read-only."""
        return _check.frozen(self._points)

    @property
    def masses(self) -> Float:
        """(N,) summing to 1, read-only."""
        return np.asarray(_check.frozen(self._masses))

    @property
    def values(self) -> Array:
        """(N, o), read-only; the points if none were given."""
        return self.points if self._values is None else _check.frozen(self._values)

    # -- measures from measures -------------------------------------------------------------------

    def merged(self) -> Measure:
        """Return the same measure with every point once, in lexicographic order, none without mass.

        Points are equal if all entries are (-0 equals 0). With values, points that are equal but
        answer differently become one point that answers with their mean by mass, so no function
        of (point, mean answer) changes, `retrieve` in particular.

        Returns
        -------
        Measure
        """
        rows = self._points + 0 if self._points.dtype.kind == "f" else self._points
        kept = np.flatnonzero(self._masses > 0)
        points, index = np.unique(rows[kept], axis=0, return_inverse=True)
        index = index.reshape(-1)
        masses = np.bincount(index, self._masses[kept], minlength=len(points))
        values = None
        if self._values is not None:
            share = self._masses[kept] / masses[index]
            values = np.zeros((len(points), self._values.shape[1]))
            np.add.at(values, index, share[:, None] * self._values[kept])
            values = values.astype(_check.compute_type(self._values), copy=False)
        return Measure(points, masses, values)

    @staticmethod
    def mixture(measures: Sequence[Measure], weights: Any = None) -> Measure:
        """Return sum_k w_k nu_k, the measures beside one another.

        Parameters
        ----------
        measures : sequence of Measure
            Of equal widths; all with values or none.
        weights : (K,) array, optional
            Finite and >= 0, with a sum > 0; divided by the sum. None means alike.

        Returns
        -------
        Measure
        """
        given = list(measures)
        for k, one in enumerate(given):
            if not isinstance(one, Measure):
                raise TypeError(f"measures must be Measure, entry {k} is {type(one).__name__}")
        if not given:
            raise ValueError("measures are empty; at least one is needed")
        first = given[0]
        for k, one in enumerate(given[1:], start=1):
            _check.same_width(
                one._points, f"points of measure {k}", first._points.shape[1], "the first has"
            )
            if (one._values is None) != (first._values is None):
                raise ValueError(f"measure {k} differs from the first in having values")
            _check.same_width(
                one.values, f"values of measure {k}", first.values.shape[1], "the first has"
            )
        w = _check.weights.masses(weights, len(given), "weights", _NOTHING)
        return Measure(
            np.concatenate([one._points for one in given]),
            np.concatenate([share * one._masses for share, one in zip(w, given, strict=True)]),
            None if first._values is None else np.concatenate([one.values for one in given]),
        )

    # -- functions of a measure -------------------------------------------------------------------

    def expect(self, function: Callable[[Array], Any]) -> Any:
        """Return the integral of a function, ``sum_i mass_i function(points)[i]``.

        Parameters
        ----------
        function : callable
            Takes the points (N, d) and returns (N,) or (N, ...). What it says of points without
            mass is not looked at.

        Returns
        -------
        float or array
            As one row of what the function returns.
        """
        found = np.asarray(_check.function(function, "function")(self.points))
        if found.ndim == 0 or len(found) != len(self):
            raise ValueError(
                f"function must return a row per point, {len(self)}, got shape {found.shape}"
            )
        return np.tensordot(self._masses, _blanked(found, self._masses == 0), axes=1)

    def retrieve(
        self, cues: Any, beta: float, *, warn: bool = True, threads: int | None = None
    ) -> Array:
        """Attend to the measure: ``sum_i m_i e^(beta x_i.q) v_i / sum_i m_i e^(beta x_i.q)``.

        The answer depends on the measure alone: not on the order of its points, nor on whether a
        mass is in one place or split over equal points (up to rounding).

        Parameters
        ----------
        cues : (Q, d) or (d,) array
        beta : float
            Inverse temperature, finite and >= 0.
        warn : bool, default True
            Whether to compare beta with the margin of the points.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, o) or (o,) array

        Raises
        ------
        ValueError, TypeError, MemoryError
            As `amfast.retrieve`.

        Warns
        -----
        UserWarning
            If beta times the `margin` is below ln I + 3 for I distinct points, so that others take
            part in the answer of each; not looked at beyond 2048 points. The first call that looks
            measures the margin, which takes longer than a retrieval.
        """
        beta = _check.number(beta, "beta", 0.0)
        warn = _check.flag(warn, "warn")
        n_threads = resolve_threads(threads)
        q, single = _check.cues(cues)
        keys, values = self._keys, self._answers
        _check.same_width(q, "cues", keys.shape[1], "the points have")
        _check.finite(q, "cues")
        stored = keys if values is None else values
        q = q.astype(_check.compute_type(q, keys, stored), copy=False)
        _check.fits((len(q), stored.shape[1]), result_type(q, stored), "recalled values")
        with np.errstate(divide="ignore"):
            log_mass = np.log(self._masses)
        source = Source(keys, keys, values, log_mass)
        answers, _ = read(q, source, _DOT, Softmax(beta), n_threads)
        if warn and len(self) <= CHECKED_POINTS:
            self._compare(beta)
        return answers[0] if single else answers

    def _compare(self, beta: float) -> None:
        margin = self.margin()
        if beta >= margin.beta:
            return
        if margin.smallest <= 0:
            i, j = margin.pair
            text = (
                f"points {i} and {j} of merged() are not separated (margin {margin.smallest:.3g}), "
                f"so no beta tells them apart"
            )
        else:
            own = theory.measure_weight(beta, margin.n_points, margin.smallest)
            text = (
                f"beta={beta:g} times the margin {margin.smallest:.3g} is below ln I + {EXCESS:g} "
                f"for I = {margin.n_points} points: down to {own:.1%} of the weight is on the "
                f"point that is asked for; beta >= {margin.beta:.3g} isolates it"
            )
        warnings.warn(text, UserWarning, stacklevel=3)

    def margin(self) -> Margin:
        """Measure how well separated the distinct points with mass are.

        Every point is scored against all others by the engine, in float64: N^2 d operations, by
        the first call alone. The margin itself is the sum of ``x_i (x_i - x_j)``, so that points
        far from the origin do not cancel.

        Returns
        -------
        Margin
        """
        if self._margin is None:
            self._margin = _margin(self.merged()._points.astype(np.float64))
        return self._margin

    def __len__(self) -> int:
        """Count the points as given."""
        return len(self._points)

    def __repr__(self) -> str:
        """Say what the measure is of."""
        text = f"<Measure: {len(self)} points of {self._points.shape[1]} columns"
        return text + (">" if self._values is None else f" -> {self._values.shape[1]}>")


def _margin(points: Float) -> Margin:
    """Measure the margin of distinct points."""
    if len(points) == 1:
        return Margin(float("inf"), (0, 0), 1)
    # By a power of two, so that no square leaves the range and nothing is rounded.
    exponent = int(np.frexp(np.abs(points).max())[1])
    points = np.ldexp(points, -exponent)
    # x_i.x_0 taken from all scores of x_i leaves their order, and digits to points with an offset.
    _, found = best(points, points - points[0], 2, "dot", get_num_threads())
    # The best two may hold the point itself; the better of the rest is the rival.
    own = np.arange(len(points))
    rival = np.where(found[:, 0] == own, found[:, 1], found[:, 0])
    gap = np.einsum("ij,ij->i", points, points - points[rival])
    worst = int(gap.argmin())
    with np.errstate(over="ignore"):
        smallest = float(np.ldexp(gap[worst], 2 * exponent))
    return Margin(smallest, (worst, int(rival[worst])), len(points))


def _blanked(rows: Array, dead: Mask) -> Array:
    """Return rows with zeros for the dead ones; the rows themselves if there are none."""
    if not dead.any():
        return rows
    return np.where(dead.reshape(-1, *[1] * (rows.ndim - 1)), np.zeros((), rows.dtype), rows)
