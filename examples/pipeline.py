"""A memory that classifies, at the end of a scikit-learn pipeline."""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from amfast.sklearn import AssociativeClassifier


def main(quick: bool = False) -> float:
    """Return the accuracy on handwritten digits, cross-validated, of the best temperature."""
    X, y = load_digits(return_X_y=True)
    if quick:
        X, y = X[:600], y[:600]
    chain = make_pipeline(Normalizer(), AssociativeClassifier())
    search = GridSearchCV(chain, {"associativeclassifier__beta": [1.0, 10.0, 100.0]}, cv=3)
    search.fit(X, y)
    beta = search.best_params_["associativeclassifier__beta"]
    print(f"{search.best_score_:.1%} of the digits are classified correctly, with beta = {beta:g}")
    return float(search.best_score_)


if __name__ == "__main__":
    main("--quick" in sys.argv)
