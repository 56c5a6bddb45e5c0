"""The dense associative memory that is trained, as an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from amfast import _docs
from amfast._typing import Array
from amfast.memories.dense import classifier
from amfast.memories.dense.training import Network
from amfast.sklearn import sharing

__all__ = ["DenseAssociativeClassifier"]


@_docs.like(classifier.DenseAssociativeClassifier)
class DenseAssociativeClassifier(
    ClassifierMixin, BaseEstimator, classifier.DenseAssociativeClassifier
):
    """`amfast.DenseAssociativeClassifier` with all manners of scikit-learn's classifiers.

    Attributes and the training are its own, and described there. Inputs are 2-d here, names of
    columns are kept and compared, of two classes `decision_function` is 1-d, and what is not fitted
    says so by `sklearn.exceptions.NotFittedError`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from amfast.sklearn import DenseAssociativeClassifier
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> model = DenseAssociativeClassifier(20, n_epochs=20).fit(X[:400], y[:400])
    >>> model.score(X[400:], y[400:]) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> DenseAssociativeClassifier:
        """Learn memories from scratch.

        Parameters
        ----------
        X : (N, d) array_like
        y : (N,) array_like

        Returns
        -------
        DenseAssociativeClassifier
            Itself.
        """
        X, y = sharing.fitted(self, X, y)
        check_classification_targets(y)
        super().fit(X, y)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> DenseAssociativeClassifier:
        """Go on learning: one epoch over these rows, at the next place of the schedules.

        Parameters
        ----------
        X : (N, d) array_like
        y : (N,) array_like
        classes : array_like, optional
            All labels there will ever be: needed in the first call if ``y`` lacks some.

        Returns
        -------
        DenseAssociativeClassifier
            Itself.
        """
        X, y = sharing.fitted(self, X, y, reset=not hasattr(self, "network_"))
        check_classification_targets(y)
        super().partial_fit(X, y, classes)
        return self

    def decision_function(self, X: Any) -> Array:
        """Return the energy that switching each class on would save.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q, C) array, or (Q,) of two classes
            The largest is the prediction; of two classes the second's less the first's.
        """
        saved = self._saved_by_class(X)
        return saved[:, 1] - saved[:, 0] if saved.shape[1] == 2 else saved

    def predict(self, X: Any) -> Array:
        """Return the labels whose units save the most energy, the first class of equals.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q,) array
        """
        best = self._saved_by_class(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _saved_by_class(self, X: Any) -> Array:
        return super().decision_function(sharing.asked(self, X))

    def _fitted(self) -> Network:
        check_is_fitted(self)
        return self.network_
