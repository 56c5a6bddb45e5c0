"""The dense associative memory as a classifier, trained as Krotov & Hopfield (2016) did."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from amfast import _check, _console, _docs
from amfast._check.savable import Savable
from amfast._threads import resolve_threads
from amfast._typing import Array
from amfast.memories.dense.inputs import as_targets, read_classes, read_inputs, read_labels
from amfast.memories.dense.training import SMALLEST_STEP, Network, Settings
from amfast.memories.files import decoded, encoded

__all__ = ["DenseAssociativeClassifier"]


# Numbers that are computed at a time when predicting: a few megabytes.
_TILE = 1024 * 1000


class DenseAssociativeClassifier(Savable):
    r"""A dense associative memory whose memories are learned so that it completes the label units.

    A state is an input v, clamped, and one unit per class, all off (-1). Class a scores by the
    energy that switching its unit on would save,

        z_a = sum_mu [F((o_mu + 2 u_mu,a) / T) - F(o_mu / T)],    c_a = tanh(z_a),

    with o_mu = w_mu . v - sum_a u_mu,a the overlap of memory (w_mu, u_mu) with the state,
    F(x) = x^n (for "rectified", 0 below 0) and temperature T. Training lowers
    sum_a (c_a - t_a)^(2m) over minibatches, targets t = +-1, with momentum; each memory's step is
    divided by its own largest entry, and memories are clipped to [-1, 1]. Answers within 0.001 of
    their targets pull nothing. Small n learn features, large n prototypes: see `dominance`.
    Equations: D. Krotov, J. J. Hopfield, *Dense Associative Memory for Pattern Recognition*,
    NeurIPS 2016, section 4 and appendix.

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
        T at the first and last epoch, linear in between, in units of the mean of ``sum_i |v_i|``
        over the training inputs, so that it needs no change with the number of pixels. Inputs that
        share much, such as a dark background, want less: their overlaps differ by a small part of
        it. None: 0.9 to 0.2 at n <= 2, 0.9 to 0.25 at n <= 4, 0.7 to 0.6 at n < 15, 0.87 above.
    learning_rate : float, optional
        Largest change of an entry in a step, in the first epoch, 1e-12 to 1000. None: 0.04 at
        n <= 4, 0.02 at n < 15, 0.01 above.
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
        Type of the arithmetic. "auto": float32 if ``n log10(1/temperature) <= 20``, else float64.
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
    shape_ : tuple of int
        Of one input.
    network_ : object
        The memories with what training needs beside them.

    Notes
    -----
    Parameters are kept as given and checked by `fit`; `get_params` and `set_params` make it an
    estimator of scikit-learn, which is not imported for it.

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
        self.n_memories = n_memories
        self.n = n
        self.interaction = interaction
        self.loss_power = loss_power
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.decay = decay
        self.momentum = momentum
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.scale = scale
        self.patience = patience
        self.dtype = dtype
        self.seed = seed
        self.verbose = verbose

    # -- as scikit-learn's estimators -------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as they were given; ``deep`` makes no difference.

        Parameters
        ----------
        deep : bool, default True

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> DenseAssociativeClassifier:
        """Set parameters by name, for the next `fit`, and return itself.

        Parameters
        ----------
        **params
            Of the constructor.

        Returns
        -------
        DenseAssociativeClassifier
            Itself.
        """
        known = self.get_params()
        for name in params:
            _check.name_of(name, known, "parameter")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Say that this is a classifier to scikit-learn, which alone asks."""
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags())

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

        Raises
        ------
        ValueError
            For inputs that are not as said, and when no memory learns any more: all gradients are
            zero, which is what a temperature too low for the data does.
        ValueError, TypeError
            For a parameter out of its range, naming it. What was learned before stays then.

        Warns
        -----
        RuntimeWarning
            When it ends no better than chance.
        """
        fresh = type(self)(**self.get_params())
        fresh._learn(X, y)
        # One step, so that an interrupt leaves the old memories or the new ones.
        self.__dict__.update(fresh.__dict__)
        return self

    def _learn(self, X: object, y: object) -> None:
        inputs, shape = read_inputs(X)
        labels = read_labels(y, len(inputs))
        settings = Settings.of(self)
        network = self._start(settings, inputs, shape, read_classes(labels, None))
        targets = as_targets(labels, self.classes_, network.dtype)
        v = network.scaled(inputs)
        best, since = math.inf, 0
        with _console.progress(repr(self), settings.n_epochs if settings.verbose else 0) as step:
            for _ in range(settings.n_epochs):
                self._epoch(v, targets)
                step(f"training error {self.error_[-1]:.2%}")
                since = 0 if self.error_[-1] < best else since + 1
                best = min(best, self.error_[-1])
                if settings.patience is not None and since >= settings.patience:
                    break
        chance = 1 - np.bincount(targets.argmax(axis=1)).max() / len(targets)
        if self.error_[-1] >= chance:
            warnings.warn(
                f"the training error {self.error_[-1]:.1%} is no better than always answering the "
                f"commonest class ({chance:.1%}): try another temperature, now "
                f"{settings.temperature} x the inputs' mean magnitude, a smaller learning_rate "
                f"({settings.learning_rate:g}) or more epochs ({len(self.error_)})",
                RuntimeWarning,
                stacklevel=3,
            )

    @_docs.like(fit)
    def partial_fit(
        self, X: object, y: object, classes: object | None = None
    ) -> DenseAssociativeClassifier:
        """Go on learning: one epoch over these inputs, at the next place of the schedules.

        The first call fixes the scale of the inputs and the temperature's unit; ``n_memories``,
        ``scale`` and ``dtype`` must stay what they were.

        Parameters
        ----------
        classes : array_like, optional
            All labels there will ever be, needed in the first call when ``y`` lacks some.
        """
        inputs, shape = read_inputs(X)
        labels = read_labels(y, len(inputs))
        settings, fresh = Settings.of(self), copy.copy(self)
        if hasattr(self, "network_"):
            fresh.network_ = self.network_.copy(settings)
            fresh.loss_, fresh.error_ = self.loss_.copy(), self.error_.copy()
        else:
            fresh._start(settings, inputs, shape, read_classes(labels, classes))
        fresh._same_width(inputs)
        network = fresh.network_
        targets = as_targets(labels, fresh.classes_, network.dtype)
        fresh._epoch(network.scaled(inputs), targets)
        self.__dict__.update(fresh.__dict__)
        return self

    def _start(
        self, settings: Settings, inputs: Array, shape: tuple[int, ...], classes: Array
    ) -> Network:
        network = Network(settings, inputs, len(classes))
        self.classes_ = classes
        self.n_features_in_ = inputs.shape[1]
        self.shape_ = shape
        self.loss_: list[float] = []
        self.error_: list[float] = []
        self.network_ = network
        self._set_temperature()
        return network

    def _set_temperature(self) -> None:
        network, settings = self.network_, self.network_.settings
        first, last = settings.temperature
        done = min(len(self.loss_) / max(settings.n_epochs - 1, 1), 1.0)
        network.temperature = self.temperature_ = (first + (last - first) * done) * network.unit

    # What overflows leaves no gradient, of which the error tells.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _epoch(self, v: Array, targets: Array) -> None:
        network, settings = self.network_, self.network_.settings
        self._set_temperature()
        rate = settings.learning_rate * settings.decay ** len(self.loss_)
        order = network.rng.permutation(len(v))
        loss = wrong = largest = 0.0
        threads = resolve_threads(None)
        for start in range(0, len(v), settings.batch_size):
            chosen = order[start : start + settings.batch_size]
            batch = network.step(v[chosen], targets[chosen], rate, threads)
            loss += batch[0]
            wrong += batch[1]
            largest = max(largest, batch[2])
        if largest < SMALLEST_STEP and wrong:
            raise ValueError(
                f"no memory learns any more in epoch {len(self.loss_) + 1}: every gradient is zero "
                f"while {wrong / len(v):.1%} of the inputs are still wrong. The temperature, "
                f"{self.temperature_ / network.unit:.3g} x the mean magnitude {network.unit:.4g} "
                f"of the inputs, is too low or too high for n = {settings.n}; the default for it "
                f"is {settings.usual_temperature}"
            )
        self.loss_.append(loss / len(v))
        self.error_.append(wrong / len(v))

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
        energies = np.zeros((len(inputs), len(self.classes_)), self.network_.dtype)
        for tile in self._tiles(len(inputs), 1):
            energies[tile] = self.network_.saved(inputs[tile], resolve_threads(None))
        return energies

    @_docs.like(decision_function)
    def predict(self, X: object) -> Array:
        """Return the (Q,) labels whose units save the most energy, the first class of equals.

        Returns
        -------
        (Q,) array
            Entries of ``classes_``.
        """
        energies = self.decision_function(X)
        return np.asarray(self.classes_[energies.argmax(axis=1)])

    @_docs.like(decision_function)
    def score(self, X: object, y: object) -> float:
        """Return the share of the inputs that get the label ``y``.

        Parameters
        ----------
        y : array_like
            (Q,) labels.

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        labels = read_labels(y, len(predicted))
        _check.nonempty(predicted, "X")
        return float(np.mean(predicted == labels))

    @_docs.like(decision_function)
    def dominance(self, X: object) -> float:
        """Share of the inputs that a single memory decides: prototypes give 1, features little.

        A memory counts when its part of the predicted class's energy is over 0.9 of the largest
        part. Krotov & Hopfield (2016), figure 3.

        Returns
        -------
        float
        """
        inputs = self._read(X)
        _check.nonempty(inputs, "X")
        single = 0
        for tile in self._tiles(len(inputs), len(self.classes_)):
            parts = self.network_.parts(inputs[tile], resolve_threads(None))
            best = parts.sum(axis=2).argmax(axis=1)
            chosen = parts[np.arange(len(parts)), best]
            single += int(
                ((chosen > 0.9 * chosen.max(axis=1, keepdims=True)).sum(axis=1) == 1).sum()
            )
        return single / len(inputs)

    @property
    def weights_(self) -> Array:
        """(K, d) input parts of the memories, in [-1, 1]."""
        return self._fitted().memories[:, : self.n_features_in_].copy()

    @property
    def labels_(self) -> Array:
        """(K, C) label parts of the memories, in [-1, 1]."""
        return self._fitted().memories[:, self.n_features_in_ :].copy()

    @property
    def memories_(self) -> Array:
        """(K, ...) the memories in the shape and the units of the inputs."""
        low, high = self._fitted().range
        inputs = low + (self.weights_.astype(np.float64) + 1) * ((high - low) / 2)
        return inputs.reshape(-1, *self.shape_)

    def __repr__(self) -> str:
        """Say how many memories of which order, and whether they are learned."""
        state = "" if hasattr(self, "network_") else ", not fitted"
        return f"DenseAssociativeClassifier({self.n_memories} memories, n={self.n}{state})"

    # -- files ------------------------------------------------------------------------------------

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        parameters, arrays = encoded(self.get_params())
        if not hasattr(self, "network_"):
            return {"parameters": parameters}, arrays
        kept, own = self.network_.arrays(Settings.of(self))
        learned = {"shape": list(self.shape_), "loss": self.loss_, "error": self.error_}
        if self.classes_.dtype.kind in "biuf":
            kept["classes"] = self.classes_
        elif self.classes_.dtype.kind == "U":
            learned["classes"] = self.classes_.tolist()
        else:
            raise TypeError(
                f"classes_ are {self.classes_.dtype}, a file holds labels that are numbers or text"
            )
        return {"parameters": parameters, "learned": learned, "network": own}, arrays | kept

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Any:
        columns = dict(arrays)
        made = cls(**decoded(parts["parameters"], columns))
        if "learned" in parts:
            learned = parts["learned"]
            made.classes_ = np.asarray(
                columns["classes"]
                if "classes" in columns
                else np.array(learned["classes"], np.str_)
            )
            made.shape_ = tuple(learned["shape"])
            made.n_features_in_ = math.prod(made.shape_)
            made.loss_, made.error_ = list(learned["loss"]), list(learned["error"])
            made.network_ = Network.restored(
                Settings.of(made),
                made.n_features_in_,
                len(made.classes_),
                columns,
                parts["network"],
            )
            made.temperature_ = made.network_.temperature
        return made

    # -- edges ------------------------------------------------------------------------------------

    def _fitted(self) -> Network:
        if not hasattr(self, "network_"):
            raise ValueError("the classifier has learned nothing yet; call fit first")
        return self.network_

    def _read(self, X: object) -> Array:
        network = self._fitted()
        inputs, _ = read_inputs(X, empty=True)
        self._same_width(inputs)
        return network.scaled(inputs)

    def _tiles(self, n: int, width: int) -> Iterator[slice]:
        """Slices of inputs, of which so many numbers a memory stay small."""
        rows = max(1, _TILE // (len(self.network_.memories) * width))
        for start in range(0, n, rows):
            yield slice(start, start + rows)

    def _same_width(self, inputs: Array) -> None:
        _check.same_width(inputs, "X", self.n_features_in_, "the classifier learned from")
