"""What every separation answers, and separations given as Python functions.

A separation answers for itself: what the engine calls it (`Separation.engine`), its weights written
down densely (`Separation.weights`), whether it suits the items at hand (`Separation.check`), and
of what its weights are the gradient (`Separation.why_no_energy`, `integral`, `potential`).

Energies ``E = [v.g - L_v(v)] - L_h(s(g))`` need the potential L_h of the scores: where it is convex
and the weights are its gradient, the next state ``g' = g(sum_i w_i k_i)`` of dot products is where
a linear bound of E is lowest, so that no step raises E (the concave-convex procedure of Yuille and
Rangarajan, 2003, with the Lagrangians of Krotov and Hopfield, 2021).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar

import numpy as np

from amfast import _check, _docs
from amfast._typing import Array, Float

WeightFunction = Callable[[Array], Any]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class SeparationWarning(UserWarning):
    """Recall from these items, with these parts, is not what a user is likely to expect.

    Items lose at their own key, softmax weights are flat, few answers serve many cues, fewer than
    half of the items are separated, or a power is taken of distances. The text has the numbers,
    and says what helps.
    """


def warn(text: str) -> None:
    """Warn whoever called the library, however deep inside it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, SeparationWarning, stacklevel=level)


class Separation:
    """A separation given as a Python function, and the base of the named ones.

    Parameters
    ----------
    fn : callable
        ``fn(scores (q, N)) -> weights (q, N)``, called on the read-only scores of some of the cues
        with all items. Slower than a named separation: the scores of a tile of cues are held in
        memory (about 32 MB).
    name : str, optional
        What ``repr`` shows.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> am.Separation(np.tanh)
    Separation('tanh')
    """

    fn: WeightFunction
    name: str
    beta: float | None = None

    sums_to_one: ClassVar[bool] = False
    """Whether the weights are non-negative and always divided by their sum."""
    may_leave_all_out: ClassVar[bool] = False
    """Whether it is no accident if no item gets any weight."""
    nonnegative: ClassVar[bool] = False
    """Whether no weight is ever negative, of distances."""
    why_whole: ClassVar[str] = "a function may look at the scores of all items at once"
    """Why what it does with some of the items says nothing of all; empty where parts add up."""
    hint: ClassVar[str] = ""
    """What to add where a score is refused."""

    def __init__(self, fn: WeightFunction, name: str | None = None) -> None:
        if isinstance(fn, type):
            raise TypeError(f"separation must be an object or a function, got the class {fn!r}")
        _check.function(fn, "separation")
        object.__setattr__(self, "fn", fn)
        object.__setattr__(self, "name", name or _check.name_of_function(fn))

    def __init_subclass__(cls) -> None:
        """Document what a class does its own way as far as it is everybody's."""
        super().__init_subclass__()
        _docs.inherit(cls)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: parts are frozen."""
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __repr__(self) -> str:
        """Name the function."""
        return f"Separation({self.name!r})"

    def __eq__(self, other: object) -> bool:
        """Two user-defined separations are equal if their functions are."""
        return type(other) is Separation and other.fn == self.fn

    def __hash__(self) -> int:
        """Hash the function."""
        return hash(self.fn)

    @property
    def n_best(self) -> int | None:
        """How many of the best items get a weight, None for all."""
        return None

    def engine(self) -> tuple[str, float] | None:
        """Return name and parameter of the engine's fused form, None if there is no such form.

        Returns
        -------
        (str, float) or None
        """
        return None

    def misfit(self, larger_is_better: bool) -> str:
        """Say what goes wrong with scores of this kind; empty if nothing does.

        Parameters
        ----------
        larger_is_better : bool
            False if the scores are negated distances.

        Returns
        -------
        str
        """
        return ""

    def check(self, n_items: int, larger_is_better: bool, n_bits: int | None = None) -> None:
        """Refuse what this separation cannot do among ``n_items`` scored by such a similarity.

        Parameters
        ----------
        n_items : int
            How many there are.
        larger_is_better : bool
            False if the scores are negated distances.
        n_bits : int, optional
            Width of the keys where they are bits.

        Raises
        ------
        ValueError
            Where it cannot.
        """

    def weights(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> tuple[Float, Float]:
        """Weights divided by the sum of their magnitudes (q, N), and the log of that sum (q,).

        Parameters
        ----------
        scores : (q, N) array
            Larger is better.
        log_weight : (N,) float64 or None
            Logarithms of the items' weights, which multiply the separated scores.
        larger_is_better : bool
            False if the scores are negated distances; only a threshold needs to know.

        Returns
        -------
        shares : (q, N) float64 array
        log_scale : (q,) float64 array
        """
        raw = _check.array(self.fn(_check.frozen(scores)), f"weights of {self.name}")
        if raw.shape != scores.shape:
            raise ValueError(
                f"separation {self.name} must return shape (q, N) = {scores.shape}, "
                f"it returned {raw.shape}"
            )
        # Row after row in memory, so that sums do not depend on how many cues came together.
        w = raw.astype(np.float64, order="C")
        _check.finite(w, f"weights of separation {self.name},")
        peak = np.abs(w).max(axis=1, keepdims=True, initial=0.0)
        peak[peak == 0] = 1.0
        w /= peak  # so that neither the sum nor an item's weight can overflow
        top = np.zeros((len(w), 1))
        if log_weight is not None:
            # Relative to the heaviest item that the function gives any weight.
            b = np.where(w == 0, -np.inf, log_weight)
            top = b.max(axis=1, keepdims=True, initial=-np.inf)
            top[top == -np.inf] = 0.0
            w *= np.exp(b - top)
        total = np.abs(w).sum(axis=1, keepdims=True)
        np.divide(w, total, out=w, where=total > 0)
        with np.errstate(divide="ignore"):
            return w, (np.log(total) + np.log(peak) + top)[:, 0]

    def activations(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """Weights (q, N) as they are, not divided by their sum unless they always are.

        Parameters
        ----------
        scores : (q, N) array
            Larger is better.
        log_weight : (N,) float64 array or None
            Logarithms of the items' weights; None means that all are 1.
        larger_is_better : bool
            False if the scores are negated distances.

        Returns
        -------
        (q, N) float64 array
        """
        shares, log_scale = self.weights(scores, log_weight, larger_is_better)
        if self.sums_to_one:
            return shares
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(shares == 0, 0.0, shares * np.exp(log_scale)[:, None])

    # -- energy -----------------------------------------------------------------------------------

    def why_no_energy(self, alike: bool) -> str:
        """Say why the weights are the gradient of no convex function; empty if they are.

        Parameters
        ----------
        alike : bool
            Whether all items that weigh anything weigh the same.

        Returns
        -------
        str
        """
        return f"nothing says that {self!r} is the gradient of a convex function"

    def integral(self) -> tuple[Separation, float] | None:
        """Return a fused separation whose summed weights, divided by a number, are the potential.

        Of weights that sum to 1 it is the logarithm of that sum. None where `potential` has a
        formula of its own.

        Returns
        -------
        (Separation, float) or None
        """
        return None

    def potential(
        self, scores: Array, log_weight: Float | None, larger_is_better: bool = True
    ) -> Float:
        """Evaluate L of the scores (q, N), whose gradient the weights are, (q,); see `weights`.

        Convex, but for even powers. -inf where no item has any weight and weights sum to 1.

        Parameters
        ----------
        scores : (q, N) array
            Larger is better.
        log_weight : (N,) float64 array or None
            Logarithms of the items' weights; None means that all are 1.
        larger_is_better : bool
            False if the scores are negated distances.

        Returns
        -------
        (q,) float64 array

        Raises
        ------
        ValueError
            If there is none, saying why.
        """
        integral = self.integral()
        if integral is None:
            raise ValueError(f"{self!r} has no potential: {self.why_no_energy(True)}")
        shares, log_scale = integral[0].weights(scores, log_weight)
        if self.sums_to_one:
            return log_scale / integral[1]
        with np.errstate(over="ignore"):
            return np.asarray(shares.sum(axis=1) * np.exp(log_scale) / integral[1])

    def curvature(self, scores: Array, log_weight: Float | None) -> Float:
        """Slopes ``a`` (q, N) of the weights by their own scores: the Hessian of the potential.

        It is ``diag(a)``, and ``diag(a) - a a^T / sum(a)`` where the weights sum to 1.

        Parameters
        ----------
        scores : (q, N) array
            Larger is better.
        log_weight : (N,) float64 array or None
            Logarithms of the items' weights; None means that all are 1.

        Returns
        -------
        (q, N) float64 array

        Raises
        ------
        ValueError
            If there is no potential, saying why.
        """
        raise ValueError(f"{self!r} has no potential: {self.why_no_energy(True)}")


class Raw(Separation):
    """Weights ``f(s)`` of an item's own score; as they are, the gradient of sums of integrals."""

    why_whole = ""

    def why_no_energy(self, alike: bool) -> str:
        """Nothing speaks against it: a rising function of a score is the slope of a convex one."""
        return ""

    def weighed(self, slopes: Float, log_weight: Float | None) -> Float:
        """Slopes (q, N) of f times the items' weights.

        Parameters
        ----------
        slopes : (q, N) float64 array
            Of f.
        log_weight : (N,) float64 array or None
            Logarithms of the items' weights; None means that all are 1.

        Returns
        -------
        (q, N) float64 array
        """
        return slopes if log_weight is None else np.asarray(slopes * np.exp(log_weight))

    def summed(self, integrals: Float, log_weight: Float | None) -> Float:
        """Sum integrals (q, N) of f by weight; an item of weight 0 has no part.

        Parameters
        ----------
        integrals : (q, N) float64 array
            Of f.
        log_weight : (N,) float64 array or None
            Logarithms of the items' weights; None means that all are 1.

        Returns
        -------
        (q,) float64 array
        """
        if log_weight is None:
            return np.asarray(integrals.sum(axis=1))
        live = log_weight > -np.inf
        with np.errstate(over="ignore"):
            return np.asarray((integrals[:, live] * np.exp(log_weight[live])).sum(axis=1))
