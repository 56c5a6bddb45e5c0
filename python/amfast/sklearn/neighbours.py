"""Searches: the k nearest rows, those within a radius, and both as sparse graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from amfast import _check, _docs, bits, kernels
from amfast._typing import Array, Int
from amfast.parts import metrics
from amfast.parts.metrics import METRICS
from amfast.sklearn import sharing

__all__ = ["KNeighborsTransformer", "NearestNeighbors", "RadiusNeighborsTransformer"]

_MODES = ("connectivity", "distance")


class _Search(BaseEstimator):
    """Rows that are kept, and searched with one metric."""

    metric: str
    n_jobs: int | None
    nan: str

    def fit(self, X: Any, y: Any = None) -> Any:
        """Keep the rows that are searched.

        Parameters
        ----------
        X : (N, d) array_like
            Kept in its element type. Under "hamming" bools, {0, 1} or {-1, +1}, which are packed.
        y : ignored

        Returns
        -------
        self
        """
        self._check_parameters()
        X = sharing.fitted(self, X)
        name = metrics.resolve(sharing.metric(self.metric))
        self._fit_X = bits.binary(X, "X")[0] if METRICS[name].bits else _check.rows(X, "X")
        self.effective_metric_ = name
        self.n_samples_fit_ = len(self._fit_X)
        return self

    def _check_parameters(self) -> None:
        metrics.resolve(sharing.metric(self.metric))
        _check.choice(self.nan, "nan", ("error", "missing"))

    def _queries(self, X: Any) -> Any:
        """Return checked queries; None, the kept rows themselves, stays None."""
        check_is_fitted(self)
        finite: Any = "allow-nan" if self.nan == "missing" else True
        return X if X is None else sharing.asked(self, X, ensure_all_finite=finite)

    def _asked(self, X: Any) -> dict[str, Any]:
        """Return the arguments that say who asks whom, and how."""
        return {
            "queries": self._fit_X if X is None else X,
            "keys": self._fit_X,
            "metric": self.effective_metric_,
            "exclude_self": X is None,
            "nan": self.nan,
            "threads": sharing.threads(self.n_jobs),
        }

    def _graph(self, indptr: Int, indices: Int, distances: Array, mode: str) -> Any:
        """Return a row a query and a column a kept row, in the sparse interface that is set."""
        if mode == "connectivity":
            data = np.ones(len(indices))
        else:
            # Counts of bits or of bytes become floats, which is what graphs are read as.
            data = distances.astype(np.result_type(distances, np.float32), copy=False)
        new = get_config().get("sparse_interface") == "sparray"
        make = sparse.csr_array if new else sparse.csr_matrix
        return make((data, indices, indptr), shape=(len(indptr) - 1, self.n_samples_fit_))

    def _check_mode(self, mode: object) -> None:
        _check.choice(mode, "mode", _MODES)
        if mode == "distance" and METRICS[self.effective_metric_].larger_is_better:
            raise ValueError(
                f"mode 'distance' needs a distance, got metric={self.metric!r}, of which larger is "
                "better"
            )

    def __sklearn_tags__(self) -> Any:
        """Add what the metric asks of the data."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = sharing.positive_only(self.metric)
        return tags


class _Nearest(_Search):
    """A search for the k nearest rows."""

    n_neighbors: int

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _check.integer(self.n_neighbors, "n_neighbors", 1)

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest kept rows.

        Parameters
        ----------
        X : (Q, d) array_like, optional
            None means the kept rows themselves, each without its own place: a duplicate is another
            row.
        n_neighbors : int, optional
            k; None means the estimator's.
        return_distance : bool, default True

        Returns
        -------
        distances : (Q, k) array
            If asked for, in the type of `amfast.pairwise`: float32 or float64, and int32 where bits
            or bytes are counted.
        indices : (Q, k) int64 array
            By ascending distance, then index.

        Raises
        ------
        ValueError
            For more neighbours than there are rows.
        """
        X = self._queries(X)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        distances, indices = self._best(X, _check.integer(k, "n_neighbors", 1))
        return (distances, indices) if return_distance else indices

    @_docs.like(kneighbors)
    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Find the nearest kept rows, as a sparse graph.

        Parameters
        ----------
        mode : {"connectivity", "distance"}, default "connectivity"
            Whether edges weigh 1 or are distances, of which those that are 0 are stored, too.

        Returns
        -------
        (Q, N) sparse matrix or array, CSR
            k entries a row, by ascending distance, then index.
        """
        check_is_fitted(self)
        self._check_mode(mode)
        distances, indices = self.kneighbors(X, n_neighbors)
        return self._graph_of_best(distances, indices, mode)

    def _best(self, X: Any, k: int) -> tuple[Array, Int]:
        n, alone = self.n_samples_fit_, X is None
        if k > n - alone:
            raise ValueError(
                f"Expected n_neighbors {'<' if alone else '<='} n_samples_fit, but n_neighbors = "
                f"{k}, n_samples_fit = {n}, n_samples = {n if alone else len(X)}"
            )
        return kernels.topk(k=k, **self._asked(X))

    def _graph_of_best(self, distances: Array, indices: Int, mode: str) -> Any:
        n, k = indices.shape
        return self._graph(np.arange(0, n * k + 1, k), indices.ravel(), distances.ravel(), mode)


class _Near(_Search):
    """A search within a radius."""

    radius: float

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find the kept rows within a radius.

        Parameters
        ----------
        X : (Q, d) array_like, optional
            None means the kept rows themselves, each without its own place.
        radius : float, optional
            Distances up to it, inclusive; None means the estimator's.
        return_distance : bool, default True
        sort_results : bool, default False
            Whether a query's rows come by ascending distance, then index, instead of by index.

        Returns
        -------
        distances : (Q,) array of arrays
            If asked for, in the type of `amfast.pairwise`.
        indices : (Q,) array of int64 arrays
        """
        X = self._queries(X)
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        indptr, indices, distances = self._all_near(X, radius, sort_results)
        found = _ragged(indices, indptr)
        return (_ragged(distances, indptr), found) if return_distance else found

    @_docs.like(radius_neighbors)
    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> Any:
        """Find the kept rows within a radius, as a sparse graph.

        Parameters
        ----------
        mode : {"connectivity", "distance"}, default "connectivity"
            Whether edges weigh 1 or are distances, of which those that are 0 are stored, too.

        Returns
        -------
        (Q, N) sparse matrix or array, CSR
        """
        X = self._queries(X)
        self._check_mode(mode)
        return self._graph(*self._all_near(X, radius, sort_results), mode)

    def _all_near(self, X: Any, radius: float | None, sort: bool) -> tuple[Int, Int, Array]:
        radius = self.radius if radius is None else radius
        indptr, indices, distances = kernels.within(radius=radius, **self._asked(X))
        if sort:
            queries = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
            order = np.lexsort((indices, distances, queries))
            indices, distances = indices[order], distances[order]
        return indptr, indices, distances


class NearestNeighbors(_Nearest, _Near):
    """Nearest rows, found exactly by comparing with all, as scikit-learn's by brute force.

    Parameters
    ----------
    n_neighbors : int, default 5
        Of `kneighbors`, unless told otherwise.
    radius : float, default 1.0
        Of `radius_neighbors`, unless told otherwise.
    metric : str, default "euclidean"
        One of `amfast.kernels`; "minkowski" is "euclidean". "hamming" counts bits, where SciPy
        divides by their number. With "dot" the largest come first, and a radius is a least score.
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.
    nan : {"error", "missing"}, default "error"
        "missing": an entry that is NaN in a query does not count. Kept rows are complete.

    Attributes
    ----------
    effective_metric_ : str
    n_samples_fit_, n_features_in_ : int

    Examples
    --------
    >>> from amfast.sklearn import NearestNeighbors
    >>> search = NearestNeighbors(n_neighbors=1, metric="manhattan").fit([[0.0], [1.0], [5.0]])
    >>> search.kneighbors([[4.0]])
    (array([[1.]]), array([[2]]))
    >>> search.kneighbors()[1][:, 0]
    array([1, 0, 1])
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float = 1.0,
        metric: str = "euclidean",
        n_jobs: int | None = None,
        nan: str = "error",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.n_jobs = n_jobs
        self.nan = nan


class _Graph(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """What the transformers share: rows become rows of a graph."""

    mode: str

    def fit(self, X: Any, y: Any = None) -> Any:
        """Keep the rows to which edges lead.

        Parameters
        ----------
        X : (N, d) array_like
        y : ignored

        Returns
        -------
        self
        """
        super().fit(X)
        self._check_mode(self.mode)
        self._n_features_out = self.n_samples_fit_
        return self

    def __sklearn_tags__(self) -> Any:
        """Add which types are kept."""
        tags = super().__sklearn_tags__()
        if self.mode == "distance":
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class KNeighborsTransformer(_Graph, _Nearest):
    """Rows become a sparse graph of their nearest rows, for what takes "precomputed" neighbours.

    Parameters
    ----------
    n_neighbors : int, default 5
        k. In mode "distance" a row has k + 1 entries, since it counts itself as one of them.
    mode : {"distance", "connectivity"}, default "distance"
        Whether edges are distances or weigh 1.
    metric : str, default "euclidean"
        A distance of `amfast.kernels`; "minkowski" is "euclidean".
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.
    nan : {"error", "missing"}, default "error"
        "missing": an entry that is NaN in a query does not count. Kept rows are complete.

    Attributes
    ----------
    effective_metric_ : str
    n_samples_fit_, n_features_in_ : int

    Notes
    -----
    Rows are sorted by distance, then index. `fit_transform` has every row among its own entries, at
    a distance of 0 that is stored, however many duplicates it has; `transform` takes rows as new.

    Examples
    --------
    >>> from amfast.sklearn import KNeighborsTransformer
    >>> KNeighborsTransformer(1).fit_transform([[0.0], [1.0], [5.0]]).toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 4., 0.]])
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        mode: str = "distance",
        metric: str = "euclidean",
        n_jobs: int | None = None,
        nan: str = "error",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.metric = metric
        self.n_jobs = n_jobs
        self.nan = nan

    @property
    def _entries(self) -> int:
        return self.n_neighbors + (self.mode == "distance")

    def transform(self, X: Any) -> Any:
        """Return the graph from rows to those that were fitted.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q, N) sparse matrix or array, CSR
        """
        return self._graph_of_best(*self._best(self._queries(X), self._entries), self.mode)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and return the graph of the rows among themselves.

        Parameters
        ----------
        X : (N, d) array_like
        y : ignored

        Returns
        -------
        (N, N) sparse matrix or array, CSR
        """
        self.fit(X)
        own = np.arange(self.n_samples_fit_)[:, None]
        if self._entries == 1:
            return self._graph_of_best(np.zeros(own.shape), own, self.mode)
        distances, indices = self._best(None, self._entries - 1)
        distances = np.hstack([np.zeros_like(distances[:, :1]), distances])
        indices = np.hstack([own, indices])
        order = np.lexsort((indices, distances), axis=1)
        distances, indices = (np.take_along_axis(x, order, 1) for x in (distances, indices))
        return self._graph_of_best(distances, indices, self.mode)


class RadiusNeighborsTransformer(_Graph, _Near):
    """Rows become a sparse graph of all rows within a radius, for "precomputed" neighbours.

    Parameters
    ----------
    radius : float, default 1.0
        Distances up to it, inclusive.
    mode : {"distance", "connectivity"}, default "distance"
        Whether edges are distances or weigh 1.
    metric : str, default "euclidean"
        A distance of `amfast.kernels`; "minkowski" is "euclidean".
    n_jobs : int, optional
        Threads; None means the setting, -1 all cores.
    nan : {"error", "missing"}, default "error"
        "missing": an entry that is NaN in a query does not count. Kept rows are complete.

    Attributes
    ----------
    effective_metric_ : str
    n_samples_fit_, n_features_in_ : int

    Notes
    -----
    Rows are sorted by distance, then index; distances of 0, a row's own too, are stored.

    Examples
    --------
    >>> from amfast.sklearn import RadiusNeighborsTransformer
    >>> RadiusNeighborsTransformer(radius=1.5).fit_transform([[0.0], [1.0], [5.0]]).toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    """

    def __init__(
        self,
        radius: float = 1.0,
        *,
        mode: str = "distance",
        metric: str = "euclidean",
        n_jobs: int | None = None,
        nan: str = "error",
    ) -> None:
        self.radius = radius
        self.mode = mode
        self.metric = metric
        self.n_jobs = n_jobs
        self.nan = nan

    def transform(self, X: Any) -> Any:
        """Return the graph from rows to those that were fitted.

        Parameters
        ----------
        X : (Q, d) array_like

        Returns
        -------
        (Q, N) sparse matrix or array, CSR
        """
        return self._graph(*self._all_near(self._queries(X), None, True), self.mode)


def _ragged(values: Array, indptr: Int) -> Array:
    """Return the pieces of CSR as an array of arrays."""
    pieces = np.empty(len(indptr) - 1, object)
    for row, piece in enumerate(np.split(values, indptr[1:-1])):
        pieces[row] = piece
    return pieces
