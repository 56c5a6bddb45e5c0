"""A memory that classifies, at the end of a scikit-learn pipeline."""

import sys

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import amfast as am


class MemoryClassifier(ClassifierMixin, BaseEstimator):
    """Store the training set; labels vote by softmax weight."""

    def __init__(self, beta: float = 100.0):
        self.beta = beta

    def fit(self, X, y):
        """Store."""
        self.classes_ = np.unique(y)
        self.labels_ = np.asarray(y)
        self.memory_ = am.UniversalHopfield("sqeuclidean", beta=self.beta)
        self.memory_.store(np.asarray(X))
        return self

    def predict(self, X):
        """Vote."""
        return self.memory_.vote(X, self.labels_)


def main(quick: bool = False) -> float:
    """Return the accuracy on handwritten digits, cross-validated."""
    X, y = load_digits(return_X_y=True)
    if quick:
        X, y = X[:600], y[:600]
    scores = cross_val_score(make_pipeline(Normalizer(), MemoryClassifier()), X, y, cv=3)
    print(f"{scores.mean():.1%} of the digits are classified correctly")
    return float(scores.mean())


if __name__ == "__main__":
    main("--quick" in sys.argv)
