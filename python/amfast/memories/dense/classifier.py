"""The dense associative memory as a classifier, trained as Krotov & Hopfield (2016) did."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from amfast import _check, _console
from amfast._typing import Array

__all__ = ["DenseAssociativeClassifier"]


# Rows scored at a time when predicting: a few megabytes of overlaps.
_ROWS = 1024
# A gradient that nothing in the data can have made any more, only rounding.
_SMALLEST_STEP = 1e-30


@dataclass(frozen=True)
class _Recipe:
    """Settings that train well at one interaction order."""

    loss_power: int
    temperature: tuple[float, float]
    learning_rate: float
    momentum: float


def _recipe(n: int) -> _Recipe:
    if n <= 2:
        return _Recipe(2, (0.9, 0.2), 0.04, 0.9)
    if n <= 4:
        return _Recipe(n, (0.9, 0.25), 0.04, 0.9)
    if n < 15:
        return _Recipe(n, (0.7, 0.6), 0.02, 0.6)
    return _Recipe(30, (0.87, 0.87), 0.01, 0.6)


class DenseAssociativeClassifier:
    r"""A dense associative memory whose memories are learned so that it completes the label units.

    A state is an input v, clamped, and one unit per class, all off (-1). Class a scores by the
    energy that switching its unit on would save,

        z_a = sum_mu [F((o_mu + 2 u_mu,a) / T) - F(o_mu / T)],    c_a = tanh(z_a),

    with o_mu = w_mu . v - sum_a u_mu,a the overlap of memory (w_mu, u_mu) with the state,
    F(x) = x^n (for "rectified", 0 below 0) and temperature T. Training lowers
    sum_a (c_a - t_a)^(2m) over minibatches, targets t = +-1, with momentum; each memory's step is
    divided by its own largest entry, and memories are clipped to [-1, 1]. Small n learn features,
    large n prototypes: see `dominance`. Equations: D. Krotov, J. J. Hopfield, *Dense Associative
    Memory for Pattern Recognition*, NeurIPS 2016, section 4 and appendix.

    Parameters
    ----------
    n_memories : int
        K, how many memories are learned.
    n : int, default 3
        Order of the interaction, 1..40.
    interaction : {"rectified", "power"}, default "rectified"
        F. "power" with even n cannot tell a memory from its negative.
    loss_power : int, optional
        m of the loss, >= 1. None: 2 up to n = 2, n up to n = 14, 30 above.
    temperature : float or (float, float), optional
        T at the first and last epoch, linear in between, in units of the mean of sum_i |v_i| over
        the training inputs, so that it needs no change with the number of pixels. None: from 0.9
        to 0.2 at n <= 2, 0.9 to 0.25 at n <= 4, 0.7 to 0.6 at n < 15, 0.87 above.
    learning_rate : float, optional
        Largest change of an entry in a step, in the first epoch. None: 0.04 at n <= 4, 0.02 at
        n < 15, 0.01 above.
    decay : float, default 0.998
        Factor on the learning rate per epoch.
    momentum : float, optional
        In [0, 1). None: 0.9 at n <= 4, 0.6 above, where large steps destroy what was learned.
    n_epochs : int, default 100
        Passes over the training data in `fit`.
    batch_size : int, default 100
        Inputs per step.
    scale : {"range", None}, default "range"
        "range" maps the training inputs' range, over all features at once, to [-1, 1] (pixels);
        None takes inputs as they are and refuses any outside [-1, 1].
    patience : int, optional
        Stop early when the training error has not improved for so many epochs. None: never.
    dtype : {"auto", "float32", "float64"}, default "auto"
        Type of the arithmetic. "auto": float32 up to n = 4, float64 above, where powers leave
        the range of float32.
    seed : int, default 0
        For the first memories and the order of the inputs.
    verbose : bool, default False
        Show a progress bar with the training error (on a terminal).

    Attributes
    ----------
    memories_ : ndarray
        (K, ...) what the memories look like, in the shape of one input and in its units.
    weights_, labels_ : ndarray
        (K, d) and (K, C), the memories' input and label parts in [-1, 1].
    classes_ : ndarray (C,)
    loss_, error_ : list of float
        Mean loss per input, and share of the inputs classified wrongly, during each epoch.
    temperature_ : float
        T of the last epoch, in units of the scaled inputs.
    n_features_in_ : int

    Examples
    --------
    The exclusive or, which no memory of order 2 with plain powers can hold:

    >>> X = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]] * 8)
    >>> y = X[:, 0] != X[:, 1]
    >>> model = DenseAssociativeClassifier(8, n=3, batch_size=8, n_epochs=200).fit(X, y)
    >>> model.predict([[-1, 1], [1, 1]])
    array([ True, False])
    """

    def __init__(
        self,
        n_memories: int,
        n: int = 3,
        *,
        interaction: Literal["rectified", "power"] = "rectified",
        loss_power: int | None = None,
        temperature: float | tuple[float, float] | None = None,
        learning_rate: float | None = None,
        decay: float = 0.998,
        momentum: float | None = None,
        n_epochs: int = 100,
        batch_size: int = 100,
        scale: Literal["range"] | None = "range",
        patience: int | None = None,
        dtype: Literal["auto", "float32", "float64"] = "auto",
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        self.n_memories = _check.integer(n_memories, "n_memories", 1)
        self.n = _check.integer(n, "n", 1, 40)
        recipe = _recipe(self.n)
        self.interaction = _check.choice(interaction, "interaction", ("rectified", "power"))
        self.loss_power = (
            recipe.loss_power
            if loss_power is None
            else _check.integer(loss_power, "loss_power", 1, 100)
        )
        self.temperature = recipe.temperature if temperature is None else _ramp(temperature)
        self.learning_rate = (
            recipe.learning_rate
            if learning_rate is None
            else _positive(learning_rate, "learning_rate")
        )
        self.decay = _positive(decay, "decay", 1.0)
        self.momentum = (
            recipe.momentum if momentum is None else _check.number(momentum, "momentum", 0.0)
        )
        if self.momentum >= 1:
            raise ValueError(f"momentum must be below 1, got {momentum!r}")
        self.n_epochs = _check.integer(n_epochs, "n_epochs", 1)
        self.batch_size = _check.integer(batch_size, "batch_size", 1)
        if scale is not None:
            _check.choice(scale, "scale", ("range",))
        self.scale = scale
        self.patience = None if patience is None else _check.integer(patience, "patience", 1)
        self.dtype = _check.choice(dtype, "dtype", ("auto", "float32", "float64"))
        self.seed = _check.integer(seed, "seed", 0)
        self.verbose = _check.flag(verbose, "verbose")

    # -- training ---------------------------------------------------------------------------------

    def fit(self, X: object, y: object) -> DenseAssociativeClassifier:
        """Learn memories from scratch.

        Parameters
        ----------
        X : array_like
            (N, d) or (N, height, width, ...) inputs, finite, not all equal.
        y : array_like
            (N,) labels of any type NumPy can sort; at least two classes.

        Returns
        -------
        DenseAssociativeClassifier
            Itself.

        Warns
        -----
        RuntimeWarning
            When it ends no better than chance.

        Raises
        ------
        ValueError
            For inputs that are not as said, and when no memory learns any more: all gradients are
            zero, which is what a temperature too low for the data does.
        """
        inputs, shape = _inputs(X)
        labels = _labels(y, len(inputs))
        self._start(inputs, shape, np.unique(labels))
        targets = self._targets(labels)
        v = self._scaled(inputs)
        best, since = math.inf, 0
        with _console.progress(repr(self), self.n_epochs if self.verbose else 0) as step:
            for _ in range(self.n_epochs):
                self._epoch(v, targets)
                step(f"training error {self.error_[-1]:.2%}")
                since = 0 if self.error_[-1] < best else since + 1
                best = min(best, self.error_[-1])
                if self.patience is not None and since >= self.patience:
                    break
        chance = 1 - np.bincount(targets.argmax(axis=1)).max() / len(targets)
        if self.error_[-1] >= chance:
            warnings.warn(
                f"the training error {self.error_[-1]:.1%} is no better than always answering the "
                f"commonest class ({chance:.1%}): try another temperature, now "
                f"{self.temperature} x the inputs' mean magnitude, a smaller learning_rate "
                f"({self.learning_rate:g}) or more epochs ({len(self.error_)})",
                RuntimeWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(
        self, X: object, y: object, classes: object | None = None
    ) -> DenseAssociativeClassifier:
        """Go on learning: one epoch over these inputs, at the next place of the schedules.

        Parameters
        ----------
        X, y
            As in `fit`. The first call fixes the scale of the inputs and the temperature's unit.
        classes : array_like, optional
            All labels there will ever be, needed in the first call when ``y`` lacks some.
        """
        inputs, shape = _inputs(X)
        labels = _labels(y, len(inputs))
        if not hasattr(self, "_memories"):
            known = labels if classes is None else np.asarray(classes)
            self._start(inputs, shape, np.unique(known))
        self._same_width(inputs)
        self._epoch(self._scaled(inputs), self._targets(labels))
        return self

    def _start(self, inputs: Array, shape: tuple[int, ...], classes: Array) -> None:
        if len(classes) < 2:
            raise ValueError(f"y must hold at least 2 classes, got {classes.tolist()}")
        low, high = float(inputs.min()), float(inputs.max())
        if low == high:
            raise ValueError(f"X must not be constant, all entries are {low:g}")
        if not 1e-300 < high - low < 1e300:
            raise ValueError(f"X ranges over {low:g}..{high:g}, out of proportion; rescale it")
        self.classes_ = classes
        self.n_features_in_ = inputs.shape[1]
        self._shape = shape
        self._range = (low, high) if self.scale == "range" else (-1.0, 1.0)
        wide = self.dtype == "float64" or (self.dtype == "auto" and self.n > 4)
        self._type = np.dtype(np.float64 if wide else np.float32)
        self._unit = float(np.abs(self._scaled(inputs)).sum(axis=1, dtype=np.float64).mean())
        self._rng = np.random.default_rng(self.seed)
        width = self.n_features_in_ + len(classes)
        self._memories = self._rng.normal(-0.3, 0.3, (self.n_memories, width)).astype(self._type)
        self._velocity = np.zeros_like(self._memories)
        self.loss_: list[float] = []
        self.error_: list[float] = []
        self._set_temperature()

    def _set_temperature(self) -> None:
        first, last = self.temperature
        done = min(len(self.loss_) / max(self.n_epochs - 1, 1), 1.0)
        self.temperature_ = (first + (last - first) * done) * self._unit

    def _epoch(self, v: Array, targets: Array) -> None:
        self._set_temperature()
        rate = self.learning_rate * self.decay ** len(self.loss_)
        order = self._rng.permutation(len(v))
        loss = wrong = largest = 0.0
        for start in range(0, len(v), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch_loss, batch_wrong, batch_largest = self._step(v[chosen], targets[chosen], rate)
            loss += batch_loss
            wrong += batch_wrong
            largest = max(largest, batch_largest)
        if largest < _SMALLEST_STEP and wrong:
            raise ValueError(
                f"no memory learns any more in epoch {len(self.loss_) + 1}: every gradient is zero "
                f"while {wrong / len(v):.1%} of the inputs are still wrong. The temperature, "
                f"{self.temperature_ / self._unit:.3g} x the mean magnitude {self._unit:.4g} of "
                f"the inputs, is too low or too high for n = {self.n}; the default for it is "
                f"{_recipe(self.n).temperature}"
            )
        self.loss_.append(loss / len(v))
        self.error_.append(wrong / len(v))

    def _step(self, v: Array, targets: Array, rate: float) -> tuple[float, int, float]:
        d = self.n_features_in_
        overlaps = self._overlaps(v)
        off = self._rectified(overlaps)
        slope_off = self._slope(off)
        value_off = slope_off * off
        saved = np.empty(targets.shape, self._type)
        slopes = []
        for a in range(targets.shape[1]):
            on = self._rectified(overlaps + self._switched(a))
            slope = self._slope(on)
            saved[:, a] = (slope * on - value_off).sum(axis=1)
            slopes.append(slope)
        # 1 - |tanh| and its square's complement without the cancellation that would end learning.
        small = np.exp(-2 * np.abs(saved))
        magnitude = (1 - small) / (1 + small)
        miss = np.where((saved > 0) == (targets > 0), 2 * small / (1 + small), 1 + magnitude)
        pull = targets * miss ** (2 * self.loss_power - 1) * (4 * small / (1 + small) ** 2)
        shared = np.zeros_like(overlaps)
        gradient = np.empty_like(self._memories)
        for a, slope in enumerate(slopes):
            shared += pull[:, a, None] * (slope - slope_off)
            gradient[:, d + a] = 2 * (pull[:, a] @ slope)
        gradient[:, d:] -= shared.sum(axis=0)[:, None]
        gradient[:, :d] = shared.T @ v
        self._velocity *= self.momentum
        self._velocity += gradient
        largest = np.abs(self._velocity).max(axis=1, keepdims=True)
        # A memory that nothing pulls stays: old velocity blown up to a full step means nothing.
        pulled = np.abs(gradient).max(axis=1, keepdims=True) > 0
        self._memories += self._velocity * (pulled * rate / np.maximum(largest, _SMALLEST_STEP))
        np.clip(self._memories, -1, 1, out=self._memories)
        loss = float((miss.astype(np.float64) ** (2 * self.loss_power)).sum())
        wrong = int((saved.argmax(axis=1) != targets.argmax(axis=1)).sum())
        return loss, wrong, float(np.abs(gradient).max())

    # -- use --------------------------------------------------------------------------------------

    def decision_function(self, X: object) -> Array:
        """Energy that switching each class on would save, z of the class docstring.

        Parameters
        ----------
        X : array_like
            (Q, ...) inputs of the shape that was learned.

        Returns
        -------
        ndarray
            (Q, C); the largest is the prediction.
        """
        inputs = self._read(X)
        return (
            np.concatenate([self._saved(rows).sum(axis=2) for rows in self._pieces(inputs)])
            if len(inputs)
            else np.zeros((0, len(self.classes_)), self._type)
        )

    def predict(self, X: object) -> Array:
        """Return the (Q,) labels whose units save the most energy, the first class of equals."""
        energies = self.decision_function(X)
        return np.asarray(self.classes_[energies.argmax(axis=1)])

    def score(self, X: object, y: object) -> float:
        """Return the share of the inputs that get the label ``y``."""
        predicted = self.predict(X)
        labels = _labels(y, len(predicted))
        _check.nonempty(predicted, "X")
        return float(np.mean(predicted == labels))

    def dominance(self, X: object) -> float:
        """Share of the inputs that a single memory decides: prototypes give 1, features little.

        A memory counts when its part of the predicted class's energy is over 0.9 of the largest
        part. Krotov & Hopfield (2016), figure 3.
        """
        inputs = self._read(X)
        _check.nonempty(inputs, "X")
        single = 0
        for rows in self._pieces(inputs):
            parts = self._saved(rows)
            best = parts.sum(axis=2).argmax(axis=1)
            chosen = parts[np.arange(len(rows)), best]
            single += int(
                ((chosen > 0.9 * chosen.max(axis=1, keepdims=True)).sum(axis=1) == 1).sum()
            )
        return single / len(inputs)

    @property
    def weights_(self) -> Array:
        """(K, d) input parts of the memories, in [-1, 1]."""
        return self._fitted()[:, : self.n_features_in_].copy()

    @property
    def labels_(self) -> Array:
        """(K, C) label parts of the memories, in [-1, 1]."""
        return self._fitted()[:, self.n_features_in_ :].copy()

    @property
    def memories_(self) -> Array:
        """(K, ...) the memories in the shape and the units of the inputs."""
        low, high = self._range
        inputs = low + (self.weights_.astype(np.float64) + 1) * ((high - low) / 2)
        return inputs.reshape(-1, *self._shape)

    def __repr__(self) -> str:
        """Say how many memories of which order, and whether they are learned."""
        state = "" if hasattr(self, "_memories") else ", not fitted"
        return f"DenseAssociativeClassifier({self.n_memories} memories, n={self.n}{state})"

    # -- the energy -------------------------------------------------------------------------------

    def _overlaps(self, v: Array) -> Array:
        d = self.n_features_in_
        off = v @ self._memories[:, :d].T - self._memories[:, d:].sum(axis=1)
        return np.asarray(off / self._type.type(self.temperature_))

    def _switched(self, a: int) -> Array:
        """Return what switching unit ``a`` on adds to the overlaps."""
        switched = self._memories[:, self.n_features_in_ + a] * (2 / self.temperature_)
        return np.asarray(switched.astype(self._type))

    def _rectified(self, overlaps: Array) -> Array:
        return np.maximum(overlaps, 0) if self.interaction == "rectified" else overlaps

    def _slope(self, x: Array) -> Array:
        """Take the derivative of F, but for the factor n, at rectified overlaps."""
        if self.n == 1 and self.interaction == "rectified":
            return (x > 0).astype(x.dtype)
        return _power(x, self.n - 1)

    def _saved(self, v: Array) -> Array:
        """(Q, C, K) energy that each memory saves when each class is switched on."""
        overlaps = self._overlaps(v)
        off = self._rectified(overlaps)
        before = _power(off, self.n)
        return np.stack(
            [
                _power(self._rectified(overlaps + self._switched(a)), self.n) - before
                for a in range(len(self.classes_))
            ],
            axis=1,
        )

    # -- edges ------------------------------------------------------------------------------------

    def _fitted(self) -> Array:
        if not hasattr(self, "_memories"):
            raise ValueError("the classifier has learned nothing yet; call fit first")
        return self._memories

    def _read(self, X: object) -> Array:
        self._fitted()
        inputs, _ = _inputs(X, empty=True)
        self._same_width(inputs)
        return self._scaled(inputs)

    def _same_width(self, inputs: Array) -> None:
        _check.same_width(inputs, "X", self.n_features_in_, "the classifier learned from")

    def _scaled(self, inputs: Array) -> Array:
        low, high = self._range
        if self.scale is None and inputs.size and max(inputs.max(), -inputs.min()) > 1:
            raise ValueError(
                f"X must lie in [-1, 1] with scale=None, got {inputs.min():g}..{inputs.max():g}"
            )
        # In the inputs' own precision: they may differ by little beside what they share.
        wide = np.promote_types(inputs.dtype, self._type)
        return ((inputs.astype(wide) - low) * (2 / (high - low)) - 1).astype(self._type)

    def _pieces(self, v: Array) -> list[Array]:
        rows = max(1, _ROWS * 1000 // (self.n_memories * len(self.classes_)))
        return [v[start : start + rows] for start in range(0, len(v), rows)]

    def _targets(self, labels: Array) -> Array:
        place = np.searchsorted(self.classes_, labels)
        place = np.minimum(place, len(self.classes_) - 1)
        unknown = np.flatnonzero(self.classes_[place] != labels)
        if len(unknown):
            raise ValueError(
                f"y[{unknown[0]}] is {labels[unknown[0]]!r}, "
                f"the classes are {self.classes_.tolist()}"
            )
        targets = np.full((len(labels), len(self.classes_)), -1, self._type)
        targets[np.arange(len(labels)), place] = 1
        return targets


def _power(x: Array, n: int) -> Array:
    """x^n by squaring: NumPy's own power takes a logarithm per entry."""
    result: Array | None = None
    square = x
    while n:
        if n & 1:
            result = square if result is None else result * square
        n >>= 1
        if n:
            square = square * square
    return np.ones_like(x) if result is None else result


def _ramp(given: float | Sequence[float]) -> tuple[float, float]:
    ends = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(ends) != 2:
        raise ValueError(f"temperature must be one number or (first, last), got {given!r}")
    return _positive(ends[0], "temperature"), _positive(ends[1], "temperature")


def _positive(given: object, name: str, most: float = math.inf) -> float:
    value = _check.number(given, name, 0.0)
    if value == 0 or value > most:
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name} must be above 0{limit}, got {given!r}")
    return value


def _inputs(x: object, empty: bool = False) -> tuple[Array, tuple[int, ...]]:
    """Read inputs as finite rows, and the shape that one of them had."""
    read = _check.array(x, "X")
    if read.ndim < 2:
        raise ValueError(f"X must be (N, d) or (N, height, width), got {read.ndim}-d {read.shape}")
    if not empty and len(read) == 0:
        raise ValueError(f"X has no rows, shape {read.shape}; at least one is needed")
    rows = _check.rows(read.reshape(len(read), int(np.prod(read.shape[1:]))), "X")
    _check.finite(rows, "X")
    return rows, read.shape[1:]


def _labels(y: object, length: int) -> Array:
    labels = np.asarray(y)
    if labels.shape != (length,):
        raise ValueError(f"y must have shape ({length},), one label a row of X, got {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"y[{np.flatnonzero(~np.isfinite(labels))[0]}] is not finite")
    return labels
