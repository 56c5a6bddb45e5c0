"""Separations that keep the best items and leave out the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amfast import _check
from amfast._typing import Array, Float, Int
from amfast.parts import weighing
from amfast.parts.base import Separation


@dataclass(frozen=True)
class TopK(Separation):
    """The k best items by score, ties to the lowest index; the others weigh nothing.

    It chooses k distinct items and then weighs them: an item of weight 3 takes one of the k places,
    where three equal items of weight 1 would take three. An item of weight 0 is never chosen.

    Parameters
    ----------
    k : int
        How many, >= 1.
    beta : float, optional
        Among the k best, ``w_i`` is proportional to ``exp(beta s_i + b_i)``; None weighs them by
        ``exp(b_i)`` alone, that is equally.
    """

    k: int
    beta: float | None = None

    sums_to_one = True
    nonnegative = True
    why_whole = ""

    def __post_init__(self) -> None:
        """Check k and beta."""
        object.__setattr__(self, "k", _check.integer(self.k, "k", 1))
        if self.beta is not None:
            object.__setattr__(self, "beta", _check.number(self.beta, "beta", 0.0))

    @property
    def n_best(self) -> int:
        """The k."""
        return self.k

    def check(self, n_items: int, larger_is_better: bool, n_bits: int | None = None) -> None:
        """Refuse fewer items than k."""
        if self.k > n_items:
            raise ValueError(f"{self!r}: k must be in 1..{n_items}, the number of items")

    def why_no_energy(self, alike: bool) -> str:
        """Say why: an item's weight does not help it among the k best."""
        if alike or self.k == 1:
            return ""
        return (
            f"{self!r} chooses by score whatever items weigh, which is not the gradient of a "
            "convex function where they weigh differently; Sparsemax and Entmax leave items out "
            "and are"
        )

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """``lse(beta s + b) / beta`` over the k best, without beta the mean of the k best.

        Both are the largest value over all sets of k items, and so convex, if all of them weigh
        the same. -inf where no item has any weight.
        """
        best, bias = self._chosen(scores, log_weight)
        s = np.take_along_axis(scores, best, axis=1).astype(np.float64)
        if s.shape[1] == 0:
            return np.full(len(s), -np.inf)
        if not self.beta or self.k == 1:
            return np.asarray(s.mean(axis=1))
        return self.shares(s, bias)[1] / self.beta

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """``beta w_i``; 0 without beta, and of one item."""
        if self.k == 1 or not self.beta:
            return np.zeros(scores.shape)
        return self.beta * self.weights(scores, log_weight)[0]

    def _chosen(self, scores: Array, log_weight: Float | None) -> tuple[Int, Float]:
        """Items with the k best scores (q, k), best first, and their log weights; none of 0."""
        b = np.zeros(scores.shape[1]) if log_weight is None else log_weight
        live = np.flatnonzero(b > -np.inf)
        best = live[np.argsort(-scores[:, live], axis=1, kind="stable")[:, : self.k]]
        return best, b[best]

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Softmax over the k best, leaving out items of weight 0."""
        best, bias = self._chosen(scores, log_weight)
        chosen, log_scale = self.shares(np.take_along_axis(scores, best, axis=1), bias)
        w = np.zeros(scores.shape)
        np.put_along_axis(w, best, chosen, axis=1)
        return w, log_scale

    def dropped_bound(self, best: Any, n_items: int) -> Float:
        """Bound the softmax weight of all items but the k best, knowing the k best scores alone.

        No other item scores more than the last of the k, so of ``n_items`` equally weighted items
        the others hold at most ``r / (r + sum_j exp(beta (s_j - s_k)))`` with ``r = n_items - k``.
        A value recalled by the k best differs from the softmax's by at most twice that times the
        largest distance between a value and the origin. `UniversalHopfield.dropped_mass` is exact.

        Parameters
        ----------
        best : (q, k) array
            Scores, larger is better, best first, as `topk` gives them for "dot".
        n_items : int
            How many items there are, >= k.

        Returns
        -------
        (q,) float64 array

        Raises
        ------
        ValueError
            If beta is None, or for another number of scores or items.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> am.TopK(2, beta=1.0).dropped_bound([[9.0, 2.0]], n_items=102).round(3)
        array([0.083])
        """
        if self.beta is None:
            raise ValueError(f"{self!r} has no beta, so there is no softmax to compare with")
        s = _check.rows(best, "best", "q").astype(np.float64)
        if s.shape[1] != self.k:
            raise ValueError(f"best have {s.shape[1]} columns, {self!r} keeps {self.k}")
        _check.finite(s, "best")
        rest = _check.integer(n_items, "n_items", self.k) - self.k
        with np.errstate(over="ignore"):
            return np.asarray(rest / (rest + np.exp(self.beta * (s - s[:, -1:])).sum(axis=1)))

    def shares(self, best: Array, bias: Array | float) -> tuple[Float, Float]:
        """Weights among the best (q, k), given their scores and log weights, and their log sum.

        Parameters
        ----------
        best : (q, k) array
            Scores.
        bias : (q, k) array or float
            Their log weights.

        Returns
        -------
        shares : (q, k) float64 array
        log_scale : (q,) float64 array
        """
        s = best.astype(np.float64)
        if not self.beta:
            return weighing.shares(np.zeros(s.shape) + bias, None, None)
        top = s.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            plain = self.beta * s
            if np.isfinite(plain).all() or not np.isfinite(s).all():
                return weighing.shares(plain + bias, None, None)
            # Only differences count: a product beyond floats is none of the weights' business.
            weights, log_scale = weighing.shares(self.beta * (s - top) + bias, None, None)
            return weights, log_scale + self.beta * top[:, 0]


@dataclass(frozen=True)
class Max(TopK):
    """The best item alone, ties to the lowest index: nearest neighbour, returned bit for bit."""

    k: int = field(default=1, init=False, repr=False)
    beta: float | None = field(default=None, init=False, repr=False)
