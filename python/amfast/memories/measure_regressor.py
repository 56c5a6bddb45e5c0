"""Regression on measures: learned attention recalls one component, a small network reads it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _console, _docs
from amfast._check.savable import Savable
from amfast._typing import Array, Float, Int
from amfast.memories.files import decoded, encoded
from amfast.memories.measure import Measure

# Adam's usual factors (Kingma and Ba 2015), and what keeps its divisions finite.
_FADES, _TINY = (0.9, 0.999), 1e-8
# First weights of the attention, small beside those that tell tags apart.
_FIRST = 0.1


class _Contexts(NamedTuple):
    """Measures side by side, filled up to the longest with points of no mass."""

    points: Float
    """(n, N, d)."""
    log_mass: Float
    """(n, N), -inf without mass."""
    values: Float
    """(n, N, o)."""
    queries: Float
    """(n, e)."""

    def some(self, index: Int) -> _Contexts:
        """Return some of them."""
        return _Contexts(*(part[index] for part in self))


class MeasureRegressor(Savable):
    r"""A number told by one component of a measure, the one that a query names.

    A context is a `Measure`: points x_i (tags) with masses m_i and values v_i, such as the leading
    coefficients of a density each. With a query q the attention

        w_i = m_i exp(x_i . A q) / sum_j m_j exp(x_j . A q),    r = sum_i w_i v_i

    recalls, and a network of one hidden layer predicts ``tanh(r W + b) U + c``. All of A, W, b, U
    and c are learned together, by Adam on the squared error, over minibatches and with a learning
    rate that falls to 0. The model is that of Kawata and Suzuki, *Transformers as Measure-Theoretic
    Associative Memory*, 2026, arXiv 2602.01863, with the softmax on a measure of their section on
    attention; the training is amfast's own.

    Parameters
    ----------
    n_hidden : int, default 32
        Units of the hidden layer.
    n_epochs : int, default 300
        Passes over the training data.
    batch_size : int, default 32
        Contexts per step.
    learning_rate : float, default 0.01
        Of Adam at the start, > 0.
    decay : float, default 1e-3
        How much of a weight of the network is taken off per unit of learning rate, >= 0.
    seed : int, default 0
        For the first weights and the order of the contexts.
    verbose : bool, default False
        Show a progress bar with the training error (on a terminal).

    Attributes
    ----------
    attention_ : (d, e) ndarray
        A, in the units of points and queries.
    loss_ : list of float
        Mean squared error of each epoch over the variance of y.

    See Also
    --------
    Measure : One context, and recall from it with a given sharpness.

    Notes
    -----
    Points, queries, values and y are each divided by one number: values keep the proportions of
    their columns, since columns of little variance, brought to size, drown the others in noise.
    Nothing changes if a point is split into several of the same mass together, or if points change
    places.

    Examples
    --------
    The answer is the first number that is kept under the tag of the query:

    >>> import numpy as np, amfast as am
    >>> rng = np.random.default_rng(0)
    >>> tags, contents = np.eye(3), rng.uniform(-1, 1, (400, 3, 2))
    >>> contexts = [am.Measure(tags, values=v) for v in contents]
    >>> asked = rng.integers(0, 3, 400)
    >>> y = contents[np.arange(400), asked, 0]
    >>> model = am.MeasureRegressor().fit(contexts[:300], tags[asked[:300]], y[:300])
    >>> error = model.predict(contexts[300:], tags[asked[300:]]) - y[300:]
    >>> bool((error**2).mean() < 0.01 * y.var())
    True
    >>> weights = model.weights(contexts[300:], tags[asked[300:]])
    >>> bool((weights.argmax(axis=1) == asked[300:]).all())
    True
    """

    def __init__(
        self,
        n_hidden: int = 32,
        *,
        n_epochs: int = 300,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        decay: float = 1e-3,
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        self.n_hidden = _check.integer(n_hidden, "n_hidden", 1)
        self.n_epochs = _check.integer(n_epochs, "n_epochs", 1)
        self.batch_size = _check.integer(batch_size, "batch_size", 1)
        self.learning_rate = _check.number(learning_rate, "learning_rate", 1e-12, 1e3)
        self.decay = _check.number(decay, "decay", 0.0, 1.0 / self.learning_rate)
        self.seed = _check.integer(seed, "seed", 0)
        self.verbose = _check.flag(verbose, "verbose")
        self.loss_: list[float] = []
        self._weights: dict[str, Float] = {}
        self._units: dict[str, Float] = {}
        self._single = True

    def _parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, which it checks again: they may have been set."""
        given = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        type(self)(**given)
        return given

    def __repr__(self) -> str:
        """Say what it is and whether it has learned."""
        state = "fitted" if self._weights else "not fitted"
        return f"<MeasureRegressor({self.n_hidden}, n_epochs={self.n_epochs}): {state}>"

    # -- training ---------------------------------------------------------------------------------

    def fit(self, measures: Sequence[Measure], queries: Any, y: Any) -> MeasureRegressor:
        """Learn attention and network from scratch.

        Parameters
        ----------
        measures : sequence of n Measure
            With points of d columns and values of o columns; numbers of points may differ.
        queries : (n, e) array
        y : (n,) or (n, k) array

        Returns
        -------
        MeasureRegressor
            Itself.

        Raises
        ------
        ValueError
            For shapes that do not match, NaN or infinity, or y that does not vary; and if training
            leaves the range of floats. What was learned before stays then.
        TypeError
            For entries that are no `Measure`.
        """
        self._parameters()
        contexts = _read(measures, queries)
        targets = _check.array(y, "y")
        single = targets.ndim == 1
        targets = _check.rows(targets[:, None] if single else targets, "y").astype(np.float64)
        _check.finite(targets, "y")
        if len(targets) != len(contexts.points):
            raise ValueError(
                f"y has {len(targets)} rows, there are {len(contexts.points)} measures"
            )
        units = _units(contexts, targets)
        rng = np.random.default_rng(self.seed)
        weights = self._first(contexts, targets.shape[1], rng)
        loss = self._train(
            weights, _scaled(contexts, units), (targets - units["y_mean"]) / units["y"], rng
        )
        self._weights, self._units, self._single, self.loss_ = weights, units, single, loss
        return self

    def _first(self, contexts: _Contexts, n_out: int, rng: np.random.Generator) -> dict[str, Float]:
        d, e, o = (x.shape[-1] for x in (contexts.points, contexts.queries, contexts.values))
        _check.fits((o + n_out, self.n_hidden), np.dtype(np.float64), "the network")
        return {
            "A": rng.normal(0.0, _FIRST, (d, e)),
            "W": rng.normal(0.0, 1.0 / np.sqrt(o), (o, self.n_hidden)),
            "b": np.zeros(self.n_hidden),
            "U": rng.normal(0.0, 1.0 / np.sqrt(self.n_hidden), (self.n_hidden, n_out)),
            "c": np.zeros(n_out),
        }

    def _train(
        self, weights: dict[str, Float], contexts: _Contexts, y: Float, rng: np.random.Generator
    ) -> list[float]:
        """Change weights in place; return the loss of each epoch."""
        n = len(y)
        first = {name: np.zeros_like(x) for name, x in weights.items()}
        second = {name: np.zeros_like(x) for name, x in weights.items()}
        n_steps, steps = self.n_epochs * -(-n // self.batch_size), 0
        losses = []
        with _console.progress(repr(self), self.n_epochs if self.verbose else 0) as done:
            for _ in range(self.n_epochs):
                order, total = rng.permutation(n), 0.0
                for start in range(0, n, self.batch_size):
                    index = order[start : start + self.batch_size]
                    loss, gradient = _gradient(weights, contexts.some(index), y[index])
                    if not np.isfinite(loss):
                        raise ValueError(
                            f"training left the range of floats after {steps} steps; a smaller "
                            f"learning_rate than {self.learning_rate:g} may help"
                        )
                    total += loss * len(index)
                    rate = self.learning_rate * (1 - steps / n_steps)
                    steps += 1
                    for name, g in gradient.items():
                        for mean, fade, power in zip((first, second), _FADES, (1, 2), strict=True):
                            mean[name] += (1 - fade) * (g**power - mean[name])
                        m = first[name] / (1 - _FADES[0] ** steps)
                        v = second[name] / (1 - _FADES[1] ** steps)
                        if name in "WU":
                            weights[name] -= rate * self.decay * weights[name]
                        weights[name] -= rate * m / (np.sqrt(v) + _TINY)
                losses.append(total / n)
                done(f"loss {losses[-1]:.3g}")
        return losses

    # -- asking -----------------------------------------------------------------------------------

    @property
    def attention_(self) -> Float:
        """A, (d, e): weights are ``softmax(<x, A q> + ln m)``, points and queries as they came."""
        self._need_fit()
        return np.asarray(self._weights["A"] / (self._units["points"] * self._units["queries"]))

    def predict(self, measures: Sequence[Measure], queries: Any) -> Float:
        """Predict a number, or numbers, for every context and its query.

        Parameters
        ----------
        measures : sequence of n Measure
        queries : (n, e) array

        Returns
        -------
        (n,) or (n, k) array of float64
            As y was.

        Raises
        ------
        ValueError
            Before `fit`, and for widths other than those it saw.
        """
        *_, out = _forward(self._weights, self._asked(measures, queries))
        result = out * self._units["y"] + self._units["y_mean"]
        return np.asarray(result[:, 0] if self._single else result)

    @_docs.like(predict)
    def recall(self, measures: Sequence[Measure], queries: Any) -> Float:
        """Recall what the attention reads, (n, o): the mean of the values by `weights`.

        Returns
        -------
        (n, o) float64 array
        """
        _, recalled, *_ = _forward(self._weights, self._asked(measures, queries))
        return np.asarray(recalled * self._units["values"] + self._units["values_mean"])

    @_docs.like(predict)
    def weights(self, measures: Sequence[Measure], queries: Any) -> Float:
        """Weigh every point of every context, (n, N), rows summing to 1.

        N is the largest number of points; behind the points of shorter ones are zeros.

        Returns
        -------
        (n, N) float64 array
        """
        return _forward(self._weights, self._asked(measures, queries))[0]

    def _need_fit(self) -> None:
        if not self._weights:
            raise ValueError("the regressor has not learned anything; call fit first")

    def _asked(self, measures: Sequence[Measure], queries: Any) -> _Contexts:
        self._need_fit()
        contexts = _read(measures, queries)
        known = (*self._weights["A"].shape, len(self._weights["W"]))
        parts = ("points", contexts.points), ("queries", contexts.queries), (
            "values", contexts.values,
        )  # fmt: skip
        for (name, x), width in zip(parts, known, strict=True):
            if x.shape[-1] != width:
                raise ValueError(f"{name} have {x.shape[-1]} columns, fit saw {width}")
        return _scaled(contexts, self._units)

    # -- files ------------------------------------------------------------------------------------

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        if self._weights and self.n_hidden != len(self._weights["b"]):
            raise ValueError(
                "n_hidden changed since the network was trained; fit again before it can be saved, "
                "or set it back"
            )
        plain, _ = encoded(self._parameters())
        arrays = {f"weights.{name}": x for name, x in self._weights.items()}
        arrays |= {f"units.{name}": x for name, x in self._units.items()}
        return {"parameters": plain, "single": self._single, "loss": self.loss_}, arrays

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> MeasureRegressor:
        made = cls(**decoded(parts["parameters"], {}))
        for name, x in arrays.items():
            kind, _, own = name.partition(".")
            {"weights": made._weights, "units": made._units}[kind][own] = x
        if made._weights:
            d, e = made._weights["A"].shape
            o, hidden = made._weights["W"].shape
            k = len(made._weights["c"])
            expected = {"A": (d, e), "W": (o, hidden), "b": (hidden,), "U": (hidden, k), "c": (k,)}
            expected |= {"points": (), "queries": (), "values": (), "y": ()}
            expected |= {"values_mean": (o,), "y_mean": (k,)}
            found = {name: x.shape for name, x in (made._weights | made._units).items()}
            if found != expected or hidden != made.n_hidden:
                raise ValueError(f"arrays of shapes {found} do not fit together")
        made._single, made.loss_ = bool(parts["single"]), [float(x) for x in parts["loss"]]
        return made


def _read(measures: Any, queries: Any) -> _Contexts:
    """Check contexts and their queries."""
    given = list(measures) if isinstance(measures, Sequence) else [measures]
    for k, one in enumerate(given):
        if not isinstance(one, Measure):
            raise TypeError(f"measures must be Measure, entry {k} is {type(one).__name__}")
    if not given:
        raise ValueError("measures are empty; at least one is needed")
    asked = _check.rows(queries, "queries").astype(np.float64)
    _check.finite(asked, "queries")
    if len(asked) != len(given):
        raise ValueError(f"queries have {len(asked)} rows, there are {len(given)} measures")
    longest = max(len(one) for one in given)
    d, o = given[0].points.shape[1], given[0].values.shape[1]
    points, values = np.zeros((len(given), longest, d)), np.zeros((len(given), longest, o))
    log_mass = np.full((len(given), longest), -np.inf)
    for k, one in enumerate(given):
        _check.same_width(one.points, f"points of measure {k}", d, "the first has")
        _check.same_width(one.values, f"values of measure {k}", o, "the first has")
        there = np.flatnonzero(one.masses > 0)
        points[k, there], values[k, there] = one.points[there], one.values[there]
        log_mass[k, there] = np.log(one.masses[there])
    return _Contexts(points, log_mass, values, asked)


def _units(contexts: _Contexts, y: Float) -> dict[str, Float]:
    """Return one number by which each kind of input is divided, and the means of values and y."""
    there = contexts.log_mass > -np.inf
    values = contexts.values[there]
    if (y == y[0]).all():
        raise ValueError("y must vary, all its rows are equal")
    with np.errstate(over="ignore"):
        mean, y_mean = values.mean(axis=0), y.mean(axis=0)
        kinds = {
            "points": contexts.points[there], "queries": contexts.queries,
            "values": values - mean, "y": y - y_mean,
        }  # fmt: skip
        squares = {
            name: x**2 if name in ("values", "y") else (x**2).sum(axis=1)
            for name, x in kinds.items()
        }
        sizes = {name: np.sqrt(x.mean()) for name, x in squares.items()}
    for name, size in sizes.items():
        small = size < _check.MIN_SQUARED and kinds[name].any()
        if small or not np.isfinite(size):
            far = "small" if small else "large"
            raise ValueError(f"{name} are too {far} to be squared; scale them")
    found = {name: np.asarray(size if size > 0 else 1.0) for name, size in sizes.items()}
    return found | {"values_mean": mean, "y_mean": y_mean}


def _scaled(contexts: _Contexts, units: dict[str, Float]) -> _Contexts:
    return _Contexts(
        contexts.points / units["points"],
        contexts.log_mass,
        (contexts.values - units["values_mean"]) / units["values"],
        contexts.queries / units["queries"],
    )


def _forward(weights: dict[str, Float], contexts: _Contexts) -> tuple[Float, Float, Float, Float]:
    """Attention (n, N), recalled values (n, o), hidden units (n, h) and answers (n, k)."""
    asked = contexts.queries @ weights["A"].T
    s = np.einsum("bnd,bd->bn", contexts.points, asked) + contexts.log_mass
    w = np.exp(s - s.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    recalled = np.einsum("bn,bno->bo", w, contexts.values)
    hidden = np.tanh(recalled @ weights["W"] + weights["b"])
    return w, recalled, hidden, hidden @ weights["U"] + weights["c"]


def _gradient(
    weights: dict[str, Float], contexts: _Contexts, y: Float
) -> tuple[float, dict[str, Float]]:
    """Mean squared error of some contexts, and its gradient by every weight."""
    w, recalled, hidden, out = _forward(weights, contexts)
    error = out - y
    g = 2.0 / error.size * error
    inner = (g @ weights["U"].T) * (1.0 - hidden**2)
    by_value = np.einsum("bo,bno->bn", inner @ weights["W"].T, contexts.values)
    by_score = w * (by_value - (w * by_value).sum(axis=1, keepdims=True))
    return float((error**2).mean()), {
        "A": np.einsum("bn,bnd->bd", by_score, contexts.points).T @ contexts.queries,
        "W": recalled.T @ inner,
        "b": inner.sum(axis=0),
        "U": hidden.T @ g,
        "c": g.sum(axis=0),
    }
