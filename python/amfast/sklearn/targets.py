"""Memories that answer with what stood beside the nearest rows: labels, or numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from amfast import _docs, kernels
from amfast._typing import Array, Float, Int
from amfast.sklearn import sharing

__all__ = ["AssociativeClassifier", "AssociativeRegressor"]


class _Kept(NamedTuple):
    """What a fit stored."""

    keys: Array
    values: Array
    weights: Float | None
    """How much each row counts; None means 1."""


class _Recall(BaseEstimator):
    """Rows, and what stood beside each of them."""

    def __init__(
        self,
        similarity: Any = "sqeuclidean",
        separation: Any = "softmax",
        beta: float = 1.0,
        n_jobs: int | None = None,
    ) -> None:
        self.similarity = similarity
        self.separation = separation
        self.beta = beta
        self.n_jobs = n_jobs

    def _keep(self, kept: _Kept) -> None:
        """Keep rows, once one of them was asked and so every parameter looked at."""
        self._recall(kept.keys[:1], kept)
        self._kept = kept

    def _recall(self, X: Array, kept: _Kept) -> Array:
        """Return the weighted means of the values, a row for a row of checked X."""
        log_weight = None
        if kept.weights is not None:
            with np.errstate(divide="ignore"):
                log_weight = np.log(kept.weights)
        return kernels.retrieve(
            X, kept.keys, kept.values,
            similarity=sharing.metric(self.similarity),
            separation=sharing.separation(self.separation, self.beta),
            log_weight=log_weight,
            threads=sharing.threads(self.n_jobs),
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        """Add what the similarity asks of the data."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = sharing.positive_only(self.similarity)
        return tags


class AssociativeClassifier(ClassifierMixin, _Recall):
    """The training set is stored; its labels vote by their rows' weights.

    With the defaults the probability of a class is ``sum_{i in class} softmax_i(-beta d_i^2)``, d_i
    the Euclidean distance to row i: all rows vote, near ones count.

    Parameters
    ----------
    similarity : str, Similarity or callable, default "sqeuclidean"
        As `amfast.retrieve` takes it; a distance d scores as -d.
    separation : str, Separation or callable, default "softmax"
        As `amfast.retrieve` takes it.
    beta : float, default 1.0
        The softmax's inverse temperature, finite and >= 0: how steeply weights fall. Another
        separation has its own parameters, such as ``am.TopK(k, beta)``; this one is not used then.
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.

    Attributes
    ----------
    classes_ : (C,) array
    class_prior_ : (C,) array
        The classes' shares of the weights: the answer where no row has any weight, as beyond the
        radius of a `Threshold`.
    n_features_in_ : int

    Examples
    --------
    >>> from amfast.sklearn import AssociativeClassifier
    >>> model = AssociativeClassifier(beta=2.0).fit([[0.0], [1.0], [5.0]], ["a", "a", "b"])
    >>> model.predict([[4.0], [0.6]])
    array(['b', 'a'], dtype='<U1')
    >>> model.predict_proba([[3.0]]).round(2)
    array([[0.5, 0.5]])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AssociativeClassifier:
        """Store rows and their labels.

        Parameters
        ----------
        X : (N, d) array_like
            Kept in its element type.
        y : (N,) array_like
        sample_weight : (N,) array_like, optional
            Finite and >= 0; one of 3 is the row three times, one of 0 no row.

        Returns
        -------
        AssociativeClassifier
            Itself.
        """
        X, y = sharing.fitted(self, X, y)
        check_classification_targets(y)
        classes, index = np.unique(y, return_inverse=True)
        self._store(X, index, _weights(sample_weight, X), classes)
        return self

    @_docs.like(fit)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> AssociativeClassifier:
        """Store more rows.

        Parameters
        ----------
        classes : array_like, optional
            All labels there will ever be: needed in the first call if ``y`` lacks some.

        Returns
        -------
        AssociativeClassifier
            Itself; as `fit` would have made it of all rows.

        Raises
        ------
        ValueError
            For a label that is none of the classes, or other classes than before.
        """
        first = not hasattr(self, "classes_")
        X, y = sharing.fitted(self, X, y, reset=first)
        check_classification_targets(y)
        known = np.unique(y if classes is None else classes) if first else self.classes_
        if classes is not None and not np.array_equal(known, np.unique(classes)):
            raise ValueError(
                f"classes must be those of the first call, {known.tolist()}, "
                f"got {np.unique(classes).tolist()}"
            )
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise ValueError(
                f"y has the label {unknown[0].item()!r}, the classes are {known.tolist()}"
            )
        index, weights = np.searchsorted(known, y), _weights(sample_weight, X)
        if not first:
            old = self._kept
            if weights is not None or old.weights is not None:
                both = (old.weights, len(old.keys)), (weights, len(X))
                weights = np.concatenate([np.ones(n) if w is None else w for w, n in both])
            X, index = np.concatenate([old.keys, X]), np.append(self._index, index)
        self._store(X, index, weights, known)
        return self

    def _store(self, X: Array, index: Int, weights: Float | None, classes: Array) -> None:
        shares = np.bincount(index, weights, len(classes))
        self._keep(_Kept(X, np.eye(len(classes), dtype=np.uint8)[index], weights))
        self._index, self.classes_, self.class_prior_ = index, classes, shares / shares.sum()

    def _votes(self, X: Any) -> Array:
        votes = self._recall(sharing.asked(self, X), self._kept)
        votes[~votes.any(axis=1)] = self.class_prior_
        return votes

    def predict(self, X: Any) -> Array:
        """Return the labels with the most weight, the first of equals.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q,) array
        """
        best = self._votes(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> Array:
        """Return the classes' shares of the weights.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q, C) array
            Rows sum to 1; float64 if rows are, else float32.

        Raises
        ------
        ValueError
            If the separation gives negative weights, which are no probabilities.
        """
        votes = self._votes(X)
        if votes.size and votes.min() < 0:
            raise ValueError(
                f"separation {self.separation!r} gives negative weights, which are no "
                "probabilities; predict takes them as they are"
            )
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))


class AssociativeRegressor(RegressorMixin, _Recall):
    """The training set is stored; its targets are averaged by their rows' weights.

    With the defaults it is the regression of Nadaraya and Watson (1964) with a Gaussian kernel of
    width h, ``beta = 1 / (2 h^2)``: ``sum_i softmax_i(-beta d_i^2) y_i``, d_i the Euclidean
    distance to row i. A row to which no other has any weight (`Threshold`) is told 0.

    Parameters
    ----------
    similarity : str, Similarity or callable, default "sqeuclidean"
        As `amfast.retrieve` takes it; a distance d scores as -d.
    separation : str, Separation or callable, default "softmax"
        As `amfast.retrieve` takes it.
    beta : float, default 1.0
        The softmax's inverse temperature, finite and >= 0. Another separation has its own
        parameters; this one is not used then.
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.

    Attributes
    ----------
    n_features_in_ : int

    Examples
    --------
    >>> from amfast.sklearn import AssociativeRegressor
    >>> model = AssociativeRegressor(beta=10.0).fit([[0.0], [1.0]], [1.0, 3.0])
    >>> model.predict([[0.5], [1.0]]).round(3)
    array([2., 3.])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AssociativeRegressor:
        """Store rows and their targets.

        Parameters
        ----------
        X : (N, d) array_like
            Kept in its element type.
        y : (N,) or (N, o) array_like
            Kept too: float64 targets make float64 of everything, float32 rows want float32 ones.
        sample_weight : (N,) array_like, optional
            Finite and >= 0; one of 3 is the row three times, one of 0 no row.

        Returns
        -------
        AssociativeRegressor
            Itself.
        """
        X, y = sharing.fitted(self, X, y, multi_output=True, y_numeric=True)
        self._single = y.ndim == 1
        self._keep(_Kept(X, y[:, None] if self._single else y, _weights(sample_weight, X)))
        return self

    def predict(self, X: Any) -> Array:
        """Return the weighted means of the targets.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q,) or (Q, o) array
            As the targets came; 0 where no row has any weight.
        """
        means = self._recall(sharing.asked(self, X), self._kept)
        return means[:, 0] if self._single else means

    def __sklearn_tags__(self) -> Any:
        """Add that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _weights(given: Any, X: Array) -> Float | None:
    """Read sample weights; None means 1 for every row."""
    if given is None:
        return None
    weights = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight must not be zero for every row")
    return np.asarray(weights)
