"""Memories that answer with rows: whole ones, or the entries that are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from amfast import _check, kernels
from amfast._typing import Array
from amfast.memories.base import Memory
from amfast.memories.universal import UniversalHopfield
from amfast.sklearn import sharing

__all__ = ["AssociativeDenoiser", "AssociativeImputer"]

# What can hold NaN, which is what marks a missing entry.
_FLOATS = {"dtype": (np.float64, np.float32), "ensure_all_finite": "allow-nan"}


class AssociativeDenoiser(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Rows become what a memory recalls from them.

    Parameters
    ----------
    memory : Memory, optional
        Any of amfast's; `fit` makes one with its parameters and leaves it alone. None means
        ``am.UniversalHopfield("sqeuclidean", beta=1.0)``.
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.

    Attributes
    ----------
    memory_ : Memory
        Holds the training rows.
    n_features_in_ : int

    Examples
    --------
    >>> import amfast as am
    >>> from amfast.sklearn import AssociativeDenoiser
    >>> model = AssociativeDenoiser(am.UniversalHopfield("manhattan", beta=10.0))
    >>> model.fit([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]).transform([[0.9, 0.8, 0.0]]).round(3)
    array([[1., 1., 0.]])
    """

    def __init__(self, memory: Memory | None = None, *, n_jobs: int | None = None) -> None:
        self.memory = memory
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> AssociativeDenoiser:
        """Store rows in a fresh memory.

        Parameters
        ----------
        X : (N, d) array_like
            Of the kind that the memory takes.
        y : ignored

        Returns
        -------
        AssociativeDenoiser
            Itself.
        """
        if not isinstance(self.memory, Memory | None):
            raise TypeError(f"memory must be a memory, got {type(self.memory).__name__}")
        X = sharing.fitted(self, X)
        memory: Any  # of those, which all recall
        if self.memory is None:
            memory = UniversalHopfield("sqeuclidean", beta=1.0)
        else:
            memory = type(self.memory)(**self.memory._parameters())
        memory.store(X)
        self.memory_ = memory
        return self

    def transform(self, X: Any) -> Array:
        """Recall rows.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q, d) array
            As the memory answers.
        """
        X = sharing.asked(self, X)
        return np.asarray(self.memory_.recall(X, threads=sharing.threads(self.n_jobs)))

    def __sklearn_tags__(self) -> Any:
        """Add which types are kept."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class AssociativeImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Missing entries become what complete rows recall from the known ones.

    A missing entry is the mean of its column over the complete training rows, weighted by
    ``softmax(-beta d^2)``, d the Euclidean distance in the row's known columns. Known entries stay.

    Parameters
    ----------
    similarity : str, default "sqeuclidean"
        A metric that takes masks: "dot", "cosine", "sqeuclidean", "euclidean", "manhattan".
    separation : str, Separation or callable, default "softmax"
        As `amfast.retrieve` takes it; ``am.TopK(k, beta=0.0)`` is the mean of the k nearest.
    beta : float, default 1.0
        The softmax's inverse temperature, finite and >= 0. Another separation has its own
        parameters; this one is not used then.
    incomplete : {"drop", "error"}, default "drop"
        What `fit` does with training rows that have missing entries themselves.
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.

    Attributes
    ----------
    n_samples_fit_ : int
        How many complete rows are kept.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from amfast.sklearn import AssociativeImputer
    >>> model = AssociativeImputer(beta=5.0).fit([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    >>> model.transform([[0.9, 0.8, np.nan]]).round(3)
    array([[0.9  , 0.8  , 0.001]])
    """

    def __init__(
        self,
        similarity: Any = "sqeuclidean",
        separation: Any = "softmax",
        beta: float = 1.0,
        incomplete: str = "drop",
        n_jobs: int | None = None,
    ) -> None:
        self.similarity = similarity
        self.separation = separation
        self.beta = beta
        self.incomplete = incomplete
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> AssociativeImputer:
        """Keep the complete rows.

        Parameters
        ----------
        X : (N, d) array_like
            NaN where an entry is missing.
        y : ignored

        Returns
        -------
        AssociativeImputer
            Itself.

        Raises
        ------
        ValueError
            If no row is complete; with ``incomplete="error"``, naming the first that is not.
        """
        _check.choice(self.incomplete, "incomplete", ("drop", "error"))
        X = sharing.fitted(self, X, **_FLOATS)
        missing = np.isnan(X).any(axis=1)
        if self.incomplete == "error" and missing.any():
            raise ValueError(
                f"X row {missing.argmax()} has missing entries; incomplete='drop' leaves such rows "
                "out"
            )
        if missing.all():
            raise ValueError(f"X has no complete row among n_samples = {len(X)}")
        self._keys = X[~missing] if missing.any() else X
        self.n_samples_fit_ = len(self._keys)
        self._recall(self._keys[:1])  # looks at every parameter
        return self

    def transform(self, X: Any) -> Array:
        """Fill missing entries in.

        Parameters
        ----------
        X : (Q, d) array_like
            NaN where an entry is missing.

        Returns
        -------
        (Q, d) array
            A copy, in the element type of X.

        Raises
        ------
        ValueError
            For a row in which nothing is known, naming it.
        """
        X = sharing.asked(self, X, copy=True, **_FLOATS)
        missing = np.isnan(X)
        rows = np.flatnonzero(missing.any(axis=1))
        if len(rows):
            nothing = rows[missing[rows].all(axis=1)]
            if len(nothing):
                raise ValueError(f"X row {nothing[0]} has no known entry to recall the others from")
            recalled = self._recall(X[rows], nan="missing")
            X[rows] = np.where(missing[rows], recalled, X[rows])
        return np.asarray(X)

    def _recall(self, X: Array, **options: Any) -> Array:
        return kernels.retrieve(
            X, self._keys,
            similarity=sharing.metric(self.similarity),
            separation=sharing.separation(self.separation, self.beta),
            threads=sharing.threads(self.n_jobs),
            **options,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        """Add that entries may be missing, and which types are kept."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
