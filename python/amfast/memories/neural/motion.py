"""Steps of the two kinds of neurons, none of which raises the energy that it can help.

A time step moves the visible neurons while the hidden ones stand still, then the hidden ones while
the visible stand still. Each half follows the exact solution of a linear force, or a proximal step;
where the energy would rise all the same, it covers the time in smaller pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from amfast._stores.items import Stored
from amfast._typing import Array, Float, Int, Mask
from amfast.memories.neural import forces
from amfast.memories.neural.forces import FORCES, Asked
from amfast.memories.universal.standard import Standard

# Pieces of a time step at most, and the smallest, as a part of it: a row that cannot move by it
# without a rise stays for the rest of the step.
_PIECES = 100
_SMALLEST = 2.0**-12
# Rounding of an energy, as a part of the sum of the magnitudes of its terms; the pieces of a step
# are held to less, so that their roundings do not add up to a rise.
ROUNDING = 1e-10
_ROUNDING_PIECE = 3e-13
# Times in units of a time constant beyond which everything is over.
_OVER = 1e6
# What is larger has left the range of floats: its square is a number still.
BEYOND = 1e150


class Energy(NamedTuple):
    """Energies of some rows."""

    value: Float
    """(q,)"""
    size: Float
    """(q,) sum of the magnitudes of its terms."""

    def within(self, near: Mask) -> Energy:
        """Put NaN where rows, or their energies, left the range of floats."""
        return Energy(np.where(near & (self.size < BEYOND), self.value, np.nan), self.size)

    def above(self, other: Energy, rounding: float = _ROUNDING_PIECE) -> Mask:
        """Whether these are above others by more than rounding."""
        return ~(self.value <= other.value + rounding * (self.size + other.size))


class Network:
    """The equations of one memory's neurons, for checked rows."""

    def __init__(
        self, model: Standard, visible: str, taus: tuple[float, float], local: bool,
        items: Stored, threads: int,
    ) -> None:  # fmt: skip
        self.model, self.visible, self.local = model, visible, local
        self.tau_v, self.tau_h = taus
        self.items, self.threads, self.bias = items, threads, items.bias
        self._force = forces.own if model.similarity.metric is None else FORCES[
            model.similarity.metric
        ]  # fmt: skip

    # -- what neurons put out ---------------------------------------------------------------------

    def output(self, v: Float) -> Float:
        """Return g(v)."""
        if self.visible == "sign":
            return np.sign(v)
        if self.visible == "l2":
            return np.asarray(v / np.where(_norm(v) == 0, 1.0, _norm(v)))
        return v

    def hidden(self, h: Float) -> Float:
        """Return f(h)."""
        larger = self.model.larger_is_better
        return self.model.separation.activations(h, self.bias, larger)

    def scores(self, g: Float) -> Float:
        """Return s(g), where hidden neurons rest."""
        return self.model.scores(g, self.items, self.threads)

    # -- energies ---------------------------------------------------------------------------------

    def visible_energy(self, v: Float, f: Float, s: Float, inputs: Float) -> Energy:
        """``(v - I).g - L_v(v) - f.s(g)``: what moves with the visible neurons."""
        with np.errstate(over="ignore", invalid="ignore"):
            g = self.output(v)
            # v.g - L_v(v) is |v|^2 / 2 for the identity and 0 for sign and l2.
            own = (v * v).sum(axis=1) / 2 if self.visible == "identity" else np.zeros(len(v))
            given, pull = inputs * g, f * s
            return Energy(
                own - given.sum(axis=1) - pull.sum(axis=1),
                own + np.abs(given).sum(axis=1) + np.abs(pull).sum(axis=1),
            )

    def hidden_energy(self, h: Float, s: Float) -> Energy:
        """``h.f - L_h(h) - f.s``: what moves with the hidden neurons."""
        larger, f = self.model.larger_is_better, self.hidden(h)
        with np.errstate(over="ignore", invalid="ignore"):
            inside, pull = f * h, f * s
            potential = self.model.separation.potential(h, self.bias, larger)
            return Energy(
                inside.sum(axis=1) - potential - pull.sum(axis=1),
                np.abs(inside).sum(axis=1) + np.abs(potential) + np.abs(pull).sum(axis=1),
            )

    def energy(self, v: Float, h: Float, s: Float, inputs: Float) -> Energy:
        """Evaluate equation 3; ``s`` are the scores of v."""
        f = self.hidden(h)
        one = self.visible_energy(v, f, np.zeros(s.shape), inputs)
        other = self.hidden_energy(h, s)
        return Energy(one.value + other.value, one.size + other.size)

    # -- forces -----------------------------------------------------------------------------------

    def asked(self, v: Float, f: Float, s: Float) -> Asked:
        """Collect what a force is asked for."""
        return Asked(self.output(v), f, s, self.model, self.items, self.threads)

    def force(self, v: Float, f: Float, s: Float) -> Float:
        """``sum_i f_i ds_i/dg``."""
        return self._force(self.asked(v, f, s))[0]

    def hidden_velocity(self, h: Float, s: Float) -> Float:
        """``tau_h dh/dt``: ``f'(h) (s - h)``, or ``s - h`` in the local form."""
        if self.local:
            return s - h
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.model.separation.curvature(h, self.bias)
            move = a * (s - h)
            if self.model.separation.sums_to_one:
                move = move - a * _share(move, a)
        return move

    # -- steps ------------------------------------------------------------------------------------

    def move_visible(self, v: Float, f: Float, s: Float, inputs: Float, time: float) -> Moved:
        """Move the visible neurons for a time; ``s`` are the scores of where they are."""
        span = min(time / self.tau_v, _OVER)

        def energy(v: Float, rows: Int) -> tuple[Energy, Float]:
            near, kept = _near(v)
            s = self.scores(self.output(kept))
            return self.visible_energy(kept, f[rows], s, inputs[rows]).within(near), s

        def move(v: Float, s: Float, rows: Int, span: Float) -> Float:
            return self._visible_step(v, f[rows], s, inputs[rows], span)

        if self.visible == "sign":
            return self._turn(v, f, s, inputs, span, energy)
        return descend(v, s, energy, move, span)

    def _visible_step(self, v: Float, f: Float, s: Float, inputs: Float, span: Float) -> Float:
        """Follow the linear force, all else standing still, for times (q,) in units of tau_v."""
        at = self.asked(v, f, s)
        if self.visible == "identity" and self.model.similarity.metric == "manhattan":
            return forces.to_medians(at, inputs, span)
        force, stiff = self._force(at)
        force = force + inputs
        norm = np.where(_norm(v) == 0, 1.0, _norm(v))
        if self.model.similarity.metric in forces.SCALE_FREE:
            by_unit = stiff if self.visible == "l2" else stiff * norm
            return _turned(v, force, by_unit, span[:, None], self.model.distributions)
        if self.visible == "l2":
            stiff = stiff / norm
        rate = 1.0 + stiff
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            x = span[:, None]
            covered = np.where(rate == 0, x, -np.expm1(-rate * x) / rate)
            return np.asarray(v + (force - v) * covered)

    def _turn(
        self, v: Float, f: Float, s: Float, inputs: Float, span: float, energy: EnergyOf
    ) -> Moved:
        """Move neurons whose output is a sign: those that would turn wait if energy would rise.

        Of a row in which it would, the half with the strongest pull may turn, then a quarter, ...;
        the others stop at 0, on their own side.
        """
        rows = np.arange(len(v))
        goal = self.force(v, f, s) + inputs
        free = goal + (v - goal) * np.exp(-span)
        old = np.sign(v)
        before, _ = energy(v, rows)
        strength = np.where(np.sign(free) != old, np.abs(free), -1.0)
        rank = np.argsort(np.argsort(-strength, axis=1, kind="stable"), axis=1)
        n_turns = (strength >= 0).sum(axis=1)
        moved, found = v.copy(), s.copy()
        while len(rows):
            waits = (strength[rows] >= 0) & (rank[rows] >= n_turns[rows, None])
            trial = np.where(waits, old[rows] * forces.TINY, free[rows])
            after, scores = energy(trial, rows)
            fine = ~after.above(Energy(before.value[rows], before.size[rows]))
            moved[rows[fine]], found[rows[fine]] = trial[fine], scores[fine]
            n_turns[rows] //= 2
            rows = rows[~fine & (waits.sum(axis=1) < (strength[rows] >= 0).sum(axis=1))]
        return Moved(moved, found, np.zeros(len(v), np.bool_))

    def move_hidden(self, h: Float, s: Float, time: float) -> Moved:
        """Move the hidden neurons towards the scores (q, N) of the visible ones for a time."""
        span = min(time / self.tau_h, _OVER)

        def energy(h: Float, rows: Int) -> tuple[Energy, Float]:
            near, kept = _near(h)
            return self.hidden_energy(kept, s[rows]).within(near), s[rows]

        if self.local:
            moved = h + (s - h) * -np.expm1(-span)
            lost = np.isnan(energy(moved, np.arange(len(h)))[0].value)
            return Moved(np.where(lost[:, None], h, moved), s, lost)

        def move(h: Float, s: Float, rows: Int, span: Float) -> Float:
            return self._hidden_step(h, s, span)

        return descend(h, s, energy, move, span)

    def _hidden_step(self, h: Float, s: Float, span: Float) -> Float:
        """Solve ``(1 + x |A|) (new - h) = x A (s - h)`` with A the slope of f at h."""
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.model.separation.curvature(h, self.bias)
            x = span[:, None]
            shrunk = 1.0 / (1.0 + x * np.abs(a))
            move = a * (s - h)
            if self.model.separation.sums_to_one:
                move = move - a * _share(move, a)
                step = x * move * shrunk
                # A = diag(a) - a a' / sum(a): what is solved beside the diagonal has rank one.
                return np.asarray(h + step + x * a * shrunk * _share(a * step, a * shrunk))
            return np.asarray(h + x * move * shrunk)


def _turned(v: Float, force: Float, stiff: Float, x: Float, positive: bool) -> Float:
    """Move v = n g in length and direction: ``dn/dx = force.g - n``, ``dg/dx = force_t / n``.

    The direction moves implicitly, as it is stiff; the length is exact. Where entries must stay
    positive they lose nine tenths at most. Rows of length 0 have no direction, and follow inputs.
    """
    n = _norm(v)
    g = v / np.where(n == 0, 1.0, n)
    along = (force * g).sum(axis=1, keepdims=True)
    least = np.maximum(n * 1e-3, 1e-290)
    length = np.maximum(n * np.exp(-x) - along * np.expm1(-x), least)
    step = (force - along * g) / (np.maximum(n, least) / x + np.maximum(stiff, 0.0))
    new = g + np.where((g > 0) & positive, np.maximum(step, -0.9 * g), step)
    moved = length * new / np.where(n == 0, 1.0, _norm(new))
    moved = np.where(n == 0, -force * np.expm1(-x), moved)
    return np.maximum(moved, 0.0) if positive else np.asarray(moved)


def _norm(v: Float) -> Float:
    """Euclidean norms (q, 1), of rows of any size."""
    peak = np.abs(v).max(axis=1, keepdims=True, initial=0.0)
    scaled = v / np.where(peak == 0, 1.0, peak)
    return np.asarray(peak * np.sqrt((scaled * scaled).sum(axis=1, keepdims=True)))


def _share(part: Float, whole: Float) -> Float:
    """Divide sums of rows, (q, 1); 0 where the whole is 0."""
    total = whole.sum(axis=1, keepdims=True)
    return np.asarray(part.sum(axis=1, keepdims=True) / np.where(total == 0, 1.0, total))


def _near(x: Float) -> tuple[Mask, Float]:
    """Tell rows (q, n) that left the range of floats, and put zeros into them."""
    near = np.asarray((np.abs(x) < BEYOND).all(axis=1))
    return near, np.where(near[:, None], x, 0.0)


class Moved(NamedTuple):
    """Rows after a step."""

    rows: Float
    beside: Array
    """What came with their energy: scores."""
    lost: Mask
    """(q,) whether what stopped a row was the range of floats."""


EnergyOf = Callable[[Float, Int], tuple[Energy, Float]]
Move = Callable[[Float, Float, Int, Float], Float]


def descend(start: Float, beside: Float, energy: EnergyOf, move: Move, span: float) -> Moved:
    """Cover a time by moves that do not raise an energy, by halves where one would.

    Parameters
    ----------
    start : (q, n) array
        Where rows are.
    beside : (q, m) array
        What ``energy`` gives beside the energy there.
    energy : callable
        ``energy(rows (r, n), index (r,))``: energies and what comes beside, (r, m).
    move : callable
        ``move(rows, beside, index, spans (r,))``: where they are after these times.
    span : float
        The time to cover.
    """
    now, beside = start.copy(), beside.copy()
    every = np.arange(len(now))
    value, size = (x.copy() for x in energy(now, every)[0])
    left, piece = np.full(len(now), span), np.full(len(now), span)
    lost = np.zeros(len(now), np.bool_)
    for _ in range(_PIECES):
        rows = np.flatnonzero(left > 0)
        if len(rows) == 0:
            break
        step = np.minimum(piece[rows], left[rows])
        trial = move(now[rows], beside[rows], rows, step)
        after, scores = energy(trial, rows)
        fine = ~after.above(Energy(value[rows], size[rows]))
        took, kept = rows[fine], rows[~fine]
        now[took], beside[took] = trial[fine], scores[fine]
        value[took], size[took] = after.value[fine], after.size[fine]
        left[took] -= step[fine]
        piece[took] = 2.0 * step[fine]
        piece[kept] = step[~fine] / 2
        stuck = piece[kept] < span * _SMALLEST
        left[kept[stuck]] = 0.0
        lost[kept[stuck]] = ~np.isfinite(after.value[~fine][stuck])
    return Moved(now, beside, lost)
