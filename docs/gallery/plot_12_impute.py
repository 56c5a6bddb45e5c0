"""
Missing entries in a pipeline
=============================

An imputer that recalls, before a classifier, in scikit-learn. It learns from whole rows; the rows
to be classified lose a growing share of their entries. For comparison the column's mean in their
place.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline

import amfast as am
from amfast.sklearn import AssociativeImputer

data = am.datasets.load("fashion_mnist_small")
X, y = data.images[:, ::2, ::2].reshape(len(data.images), -1) / 255, data.labels
train, test = slice(0, 700), slice(700, None)
imputers = {"recalled": AssociativeImputer(beta=10.0), "mean of the column": SimpleImputer()}
shares = [0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95]
order = np.random.default_rng(0).random(X[test].shape)

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, imputer in imputers.items():
    model = make_pipeline(imputer, RidgeClassifier(alpha=30.0))
    model.fit(X[train], y[train])
    right = [model.score(np.where(order < share, np.nan, X[test]), y[test]) for share in shares]
    axis.plot(shares, right, "o-", label=name)
axis.set(xlabel="share of entries missing", ylabel="classified correctly", ylim=(0, 1))
axis.legend()
plt.show()
