"""Separations with exact zeros: sparsemax and alpha-entmax.

Softmax gives every item some weight. Entmax leaves out all items that lie too far below the best,
how many depends on the cue: one clear match takes everything, a tie is shared. With the scores
``theta_i = beta s_i`` and item weights ``m_i = exp(b_i)``

    ``p_i = m_i max((alpha - 1) theta_i - tau, 0)^(1 / (alpha - 1))``,  ``sum_i p_i = 1``,

which is the gradient of the convex function ``max_p (p . theta + H(p))`` with the Tsallis entropy
``H(p) = (1 - sum_i p_i (p_i / m_i)^(alpha - 1)) / (alpha (alpha - 1))``; so recall has an energy
wherever softmax has one, with that function in place of the log-sum-exp. ``alpha -> 1`` is softmax,
``alpha = 2`` is sparsemax, the Euclidean projection of theta on the simplex.

Sources: Martins and Astudillo, *From Softmax to Sparsemax* (ICML 2016); Peters, Niculae and
Martins, *Sparse Sequence-to-Sequence Models* (ACL 2019); as memories: Hu et al., *On Sparse Modern
Hopfield Model* (NeurIPS 2023), and Santos et al., *Sparse and Structured Hopfield Networks* (ICML
2024). The item weights are ours: weight 3 equals storing the item three times. A weight that is r
times another's loses log10(r) of the sixteen digits of its item's share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amfast import _check
from amfast._typing import Array, Float, Mask
from amfast.parts.base import Separation

# ln of the largest total weight, and of its reciprocal, that is solved for without overflow.
_LOG_WEIGHT_MAX = 667.7
# A t = -tau beyond all differences of scores: the weights are as the item weights then.
_T_MAX = 1e300


class _Sparse(Separation):
    """What sparsemax and entmax share: the scores of a tile of cues, solved row by row."""

    beta: float

    @property
    def _alpha(self) -> float:
        raise NotImplementedError

    sums_to_one = True
    nonnegative = True
    why_whole = "how many items get any weight is decided by the scores of all of them"

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Weights (q, N), summing to 1, and zeros; -inf where no item has any weight."""
        p, _, live = self._solved(scores, log_weight)
        return p, np.where(live, 0.0, -np.inf)

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """``max_p (p . theta + H(p)) / beta`` (q,); -inf where no item has any weight."""
        p, tau, live = self._solved(scores, log_weight)
        s = scores.astype(np.float64)
        top = _best(s, log_weight)[:, 0]
        with np.errstate(invalid="ignore"):
            below = np.where(p > 0, p * (s - top[:, None]), 0.0).sum(axis=1)
        a, beta = self._alpha, self.beta
        inside = (1.0 - 1.0 / a) * beta * below + (1.0 + tau) / (a * (a - 1.0))
        return np.where(live, top + inside / beta, -np.inf)

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``beta m_i (p_i / m_i)^(2 - alpha)`` where p_i > 0, else 0."""
        p = self._solved(scores, log_weight)[0]
        m = np.ones(1) if log_weight is None else np.exp(log_weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(p > 0, self.beta * m * (p / m) ** (2.0 - self._alpha), 0.0)

    def why_no_energy(self, alike: bool) -> str:
        """Say why there is no energy: only without a temperature."""
        return "" if self.beta else "beta = 0 averages all items whatever the state"

    def _solved(self, scores: Array, log_weight: Float | None) -> tuple[Float, Float, Mask]:
        """Weights (q, N), tau relative to the best score (q,), and whether any item counts."""
        s = scores.astype(np.float64)
        p = np.zeros(s.shape)
        tau = np.zeros(len(s))
        items: NDArray[np.intp] | slice = slice(None)
        b = np.zeros(s.shape[1])
        if log_weight is not None:
            items = np.flatnonzero(log_weight > -np.inf)
            b = log_weight[items]
            s = s[:, items]
        if s.size == 0:
            return p, tau, np.zeros(len(s), bool)
        top = s.max(axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(top))  # NaN if any score is
        if len(bad):
            raise ValueError(
                f"cues row {bad[0]} has a score too large for its type; scale the data or use "
                "float64"
            )
        with np.errstate(over="ignore"):
            theta = self.beta * (s - top) if self.beta else np.zeros(s.shape)
        shift = float(np.clip(b.max(), -_LOG_WEIGHT_MAX, _LOG_WEIGHT_MAX))
        mass = np.maximum(np.exp(b - shift), np.finfo(np.float64).tiny)
        p[:, items], tau = entmax(theta, mass, math.exp(-shift), self._alpha)
        return p, tau, np.ones(len(s), bool)


@dataclass(frozen=True)
class Sparsemax(_Sparse):
    """``w_i = exp(b_i) max(beta s_i - tau, 0)`` with tau such that the weights sum to 1.

    The Euclidean projection of the scores on the simplex (Martins and Astudillo 2016), by sorting;
    exact. Items further than 1 / beta below the best get no weight, if all items weigh 1.

    Parameters
    ----------
    beta : float, default 1.0
        Inverse temperature, finite and >= 0; 0 averages all items.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.UniversalHopfield("dot", am.Sparsemax(beta=2.0))
    >>> ids = memory.store([[1.0, 0.0], [0.8, 0.0], [0.0, 1.0]])
    >>> memory.weights([1.0, 0.0])
    array([0.7, 0.3, 0. ])
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check beta."""
        object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    @property
    def _alpha(self) -> float:
        return 2.0


@dataclass(frozen=True)
class Entmax(_Sparse):
    """``w_i = exp(b_i) max((alpha - 1) beta s_i - tau, 0)^(1/(alpha - 1))``, summing to 1.

    Between softmax (alpha -> 1) and sparsemax (alpha = 2), and sparser beyond (Peters, Niculae and
    Martins 2019). By sorting, exact, for alpha 1.5 and 2; by bisection to the last bit of tau for
    others.

    Parameters
    ----------
    alpha : float, default 1.5
        Finite and > 1. Relative errors of weights grow as 1e-16 / (alpha - 1) towards 1: use
        `Softmax` there.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0; 0 averages all items.
    """

    alpha: float = 1.5
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check alpha and beta."""
        alpha = _check.number(self.alpha, "alpha", 1.0)
        if alpha <= 1.0:
            raise ValueError("alpha must be > 1, got 1; Entmax with alpha = 1 is Softmax(beta)")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    @property
    def _alpha(self) -> float:
        return self.alpha


def _best(scores: Float, log_weight: Float | None) -> Float:
    """Best score among the items that weigh anything, (q, 1)."""
    if log_weight is not None:
        scores = scores[:, log_weight > -np.inf]
    return np.asarray(scores.max(axis=1, keepdims=True, initial=-np.inf))


def entmax(theta: Float, mass: Float, total: float, alpha: float) -> tuple[Float, Float]:
    """Weights that sum to 1 (q, n), and tau (q,): ``sum_i mass_i p_i = total`` before division.

    Parameters
    ----------
    theta : (q, n) float64
        Scores relative to the best of their row, which is 0; may be -inf.
    mass : (n,) float64
        Item weights, none negative, some positive.
    total : float
        What ``sum_i mass_i max((alpha - 1) theta_i - tau, 0)^(1/(alpha-1))`` must be.
    alpha : float
        > 1.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        u = (alpha - 1.0) * theta
        # The best items alone may carry no more than the total, which bounds t = -tau and so the
        # items that can carry anything.
        carried = np.where(u == 0, mass, 0.0).sum(axis=1)
        most = (total / np.maximum(carried, np.finfo(np.float64).tiny)) ** (alpha - 1.0)
        most = np.minimum(most, _T_MAX)
        n = int((u > -most[:, None]).sum(axis=1).max(initial=1))
        # Equal scores in the order of the items, however many others there are.
        some = np.sort(np.argpartition(-u, n - 1, axis=1)[:, :n], axis=1)
        u = np.take_along_axis(u, some, axis=1)
        falling = np.argsort(-u, axis=1, kind="stable")
        order = np.take_along_axis(some, falling, axis=1)
        u = np.take_along_axis(u, falling, axis=1)
        m = mass[order]
        if alpha == 2.0:
            t = _linear(u, m, total)
        elif alpha == 1.5:
            t = _quadratic(u, m, total)
        else:
            t = _bisected(u, m, total, 1.0 / (alpha - 1.0), most)
        share = m * np.maximum(u + t[:, None], 0.0) ** (1.0 / (alpha - 1.0))
    found = _total(share)
    # Where t falls below the smallest number, the best items share everything.
    lost = found[:, 0] == 0
    share[lost] = np.where(u[lost] == 0, m[lost], 0.0)
    found[lost] = _total(share[lost])
    p = np.zeros(theta.shape)
    np.put_along_axis(p, order, share / found, axis=1)
    return p, -t


def _total(x: Float) -> Float:
    """Sum rows (q, n) one entry after the other, (q, 1): zeros behind the last change no bit.

    How many columns there are is decided by the cue that needs most.
    """
    return np.asarray(np.cumsum(x, axis=1)[:, -1:])


def _support(inside: Mask) -> NDArray[np.intp]:
    """Index of the last sorted item of the support: the one before the first that is outside."""
    outside = ~inside
    return np.asarray(np.where(outside.any(axis=1), outside.argmax(axis=1), inside.shape[1]) - 1)


def _linear(u: Float, m: Float, total: float) -> Float:
    """Solve ``sum_i m_i max(u_i + t, 0) = total`` for rows sorted downwards."""
    mass, first = np.cumsum(m, axis=1), np.cumsum(np.where(m > 0, m * u, 0.0), axis=1)
    last = _support((total + mass * u > first) | (np.arange(u.shape[1]) == 0))
    rows = np.arange(len(u))
    return np.asarray((total - first[rows, last]) / mass[rows, last])


def _quadratic(u: Float, m: Float, total: float) -> Float:
    """Solve ``sum_i m_i max(u_i + t, 0)^2 = total`` for rows sorted downwards."""
    mass = np.cumsum(m, axis=1)
    mean = np.cumsum(np.where(m > 0, m * u, 0.0), axis=1) / mass
    second = np.cumsum(np.where(m > 0, m * u * u, 0.0), axis=1) / mass
    spread = np.maximum(second - mean * mean, 0.0)
    t = np.sqrt(np.maximum(total / mass - spread, 0.0)) - mean
    last = _support((u + t >= 0) | (np.arange(u.shape[1]) == 0))
    return np.asarray(t[np.arange(len(u)), last])


def _bisected(u: Float, m: Float, total: float, power: float, most: Float) -> Float:
    """Solve ``sum_i m_i max(u_i + t, 0)^power = total`` between its bounds."""
    high = most.copy()
    low = np.minimum((total / _total(m)[:, 0]) ** (1.0 / power), high)
    for _ in range(1200):
        # Geometric steps while the bounds differ by factors, then halves down to the last bit.
        middle = np.where(high > 4 * low, np.sqrt(low) * np.sqrt(high), low + (high - low) / 2)
        if ((middle <= low) | (middle >= high)).all():
            break
        under = _total(m * np.maximum(u + middle[:, None], 0.0) ** power)[:, 0] < total
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return high
