"""Searches as estimators: beside scikit-learn's, and under what stands on their graphs."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest

pytest.importorskip("amfast.sklearn", exc_type=ImportError)

from scipy import sparse
from sklearn import cluster, config_context, manifold, neighbors
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import amfast as am
from amfast.sklearn import KNeighborsTransformer, NearestNeighbors, RadiusNeighborsTransformer

METRICS = ["euclidean", "manhattan", "sqeuclidean", "cosine"]


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 7))


def theirs(metric="euclidean", **options):
    return neighbors.NearestNeighbors(metric=metric, algorithm="brute", **options)


def dense(ragged):
    return [row.tolist() for row in ragged]


@pytest.mark.parametrize("metric", METRICS)
def test_kneighbors_are_scikit_learns(X, rng, metric):
    queries = rng.normal(size=(9, 7))
    ours, other = NearestNeighbors(4, metric=metric).fit(X), theirs(metric, n_neighbors=4).fit(X)
    for asked in (queries, None):
        distances, indices = ours.kneighbors(asked)
        expected, at = other.kneighbors(asked)
        np.testing.assert_array_equal(indices, at)
        np.testing.assert_allclose(distances, expected, atol=1e-12)
        np.testing.assert_array_equal(ours.kneighbors(asked, 2, return_distance=False), at[:, :2])
        for mode in ("connectivity", "distance"):
            graph, wanted = (s.kneighbors_graph(asked, mode=mode) for s in (ours, other))
            np.testing.assert_array_equal(graph.indices, wanted.indices)
            np.testing.assert_allclose(graph.data, wanted.data, atol=1e-12)
            assert type(graph) is type(wanted) and graph.shape == wanted.shape


@pytest.mark.parametrize("metric", METRICS)
def test_radius_neighbors_are_scikit_learns(X, rng, metric):
    queries, radius = rng.normal(size=(9, 7)), float(np.median(am.pairwise(X, X, metric)))
    ours = NearestNeighbors(radius=radius, metric=metric).fit(X)
    other = theirs(metric, radius=radius).fit(X)
    for asked in (queries, None):
        distances, indices = ours.radius_neighbors(asked, sort_results=True)
        expected, at = other.radius_neighbors(asked, sort_results=True)
        assert dense(indices) == dense(at)
        np.testing.assert_allclose(np.hstack(distances), np.hstack(expected), atol=1e-12)
        by_index = ours.radius_neighbors(asked, return_distance=False)
        assert dense(by_index) == [sorted(row) for row in dense(at)]
        for mode in ("connectivity", "distance"):
            graph, wanted = (s.radius_neighbors_graph(asked, mode=mode) for s in (ours, other))
            np.testing.assert_allclose(graph.toarray(), wanted.toarray(), atol=1e-12)
    assert dense(ours.radius_neighbors(queries, 0.0)[1]) == [[]] * 9


def test_equal_lengths_stay_an_array_of_arrays():
    found = NearestNeighbors(radius=5.0).fit([[0.0], [1.0]]).radius_neighbors(return_distance=False)
    assert found.dtype == object and dense(found) == [[1], [0]]


@pytest.mark.parametrize("k", [1, 2, 6])
def test_own_rows_are_left_out_by_index_among_duplicates(k):
    X = np.repeat([[0.0, 0.0], [1.0, 0.0]], 4, axis=0)
    distances, indices = NearestNeighbors(k).fit(X).kneighbors()
    for row, (near, at) in enumerate(zip(distances, indices, strict=True)):
        others = sorted((float(abs(X[row, 0] - X[j, 0])), j) for j in range(8) if j != row)[:k]
        assert list(zip(near.tolist(), at.tolist(), strict=True)) == others
    found = NearestNeighbors(radius=0.0).fit(X).radius_neighbors(return_distance=False)
    assert [len(row) for row in found] == [3] * 8
    assert all(row not in at for row, at in enumerate(dense(found)))


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_fitted_row_is_its_own_neighbour_among_duplicates(mode, k):
    X = np.repeat([[0.0, 0.0], [3.0, 0.0]], 4, axis=0)
    graph = KNeighborsTransformer(k, mode=mode).fit_transform(X)
    assert graph.shape == (8, 8)
    entries = k + (mode == "distance")
    assert np.diff(graph.indptr).tolist() == [entries] * 8
    rows = np.repeat(np.arange(8), entries)
    assert ((rows == graph.indices).reshape(8, -1).sum(axis=1) == 1).all()
    if mode == "distance":  # zeros are stored, rows sorted by distance, then index
        order = np.lexsort((graph.indices, graph.data, rows))
        assert order.tolist() == list(range(len(rows)))
        assert graph.nnz == 8 * entries and (graph.data[rows == graph.indices] == 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_transformers_are_scikit_learns(X, rng, metric):
    queries = rng.normal(size=(9, 7))
    radius = float(np.median(am.pairwise(X, X, metric)))
    for mode in ("distance", "connectivity"):
        pairs = [
            (KNeighborsTransformer(4, mode=mode, metric=metric),
             neighbors.KNeighborsTransformer(n_neighbors=4, mode=mode, metric=metric)),
            (RadiusNeighborsTransformer(radius, mode=mode, metric=metric),
             neighbors.RadiusNeighborsTransformer(radius=radius, mode=mode, metric=metric)),
        ]  # fmt: skip
        for ours, other in pairs:
            for made in ("fit_transform", "transform"):
                given = X if made == "fit_transform" else queries
                graph, wanted = getattr(ours, made)(given), getattr(other, made)(given)
                np.testing.assert_allclose(graph.toarray(), wanted.toarray(), atol=1e-7)
                assert graph.nnz == wanted.nnz and type(graph) is type(wanted)
            assert len(ours.get_feature_names_out()) == len(X)


def test_float32_and_bytes_are_kept(rng):
    X = rng.integers(0, 256, (30, 8), dtype=np.uint8)
    search = NearestNeighbors(3, metric="manhattan").fit(X)
    assert search._fit_X.dtype == np.uint8
    distances, indices = search.kneighbors(X[:5])
    assert distances.dtype == np.int32
    np.testing.assert_array_equal(indices, am.topk(X[:5], X, 3, "manhattan")[1])
    assert search.kneighbors_graph(mode="distance").dtype == np.float64
    narrow = NearestNeighbors(3).fit(X.astype(np.float32))
    assert narrow.kneighbors()[0].dtype == np.float32
    assert narrow.kneighbors_graph(mode="distance").dtype == np.float32
    assert KNeighborsTransformer(3).fit_transform(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("kind", ["bool", "int8", "float"])
def test_bits_are_counted(rng, kind):
    bits = rng.random((40, 20)) < 0.5
    X = {"bool": bits, "int8": np.where(bits, 1, -1).astype(np.int8), "float": bits * 1.0}[kind]
    search = NearestNeighbors(3, metric="hamming", radius=8).fit(X)
    other = theirs("hamming", n_neighbors=3).fit(bits)
    distances, _ = search.kneighbors(X[:7])
    np.testing.assert_allclose(distances / 20, other.kneighbors(bits[:7])[0], atol=1e-12)
    assert len(search.radius_neighbors(X[:7])[0]) == 7
    graph = KNeighborsTransformer(3, metric="hamming").fit_transform(X)
    assert graph.dtype == np.float64 and (graph.diagonal() == 0).all()


def test_the_largest_products_come_first(X):
    search = NearestNeighbors(3, metric="dot").fit(X)
    np.testing.assert_array_equal(search.kneighbors(X)[1], am.topk(X, X, 3, "dot")[1])
    assert search.kneighbors_graph(X).nnz == 180
    for refused in (
        lambda: search.kneighbors_graph(X, mode="distance"),
        lambda: search.radius_neighbors_graph(X, mode="distance"),
        lambda: KNeighborsTransformer(metric="dot").fit(X),
        lambda: RadiusNeighborsTransformer(metric="dot").fit(X),
    ):
        with pytest.raises(ValueError, match="needs a distance, got metric='dot'"):
            refused()


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_threads_change_nothing(X, n_jobs):
    found = NearestNeighbors(4, n_jobs=n_jobs).fit(X).kneighbors()
    expected = NearestNeighbors(4, n_jobs=1).fit(X).kneighbors()
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_n_jobs_is_how_many_threads(X, monkeypatch):
    asked = []
    topk = am.kernels.topk
    monkeypatch.setattr(am.kernels, "topk", lambda *_, threads, **options: (
        asked.append(threads), topk(threads=threads, **options))[1])  # fmt: skip
    for n_jobs in (None, 1, 3, -1):
        NearestNeighbors(2, n_jobs=n_jobs).fit(X).kneighbors()
    assert asked == [None, 1, 3, importlib.import_module("joblib").cpu_count()]
    with pytest.raises(ValueError, match="n_jobs"):
        NearestNeighbors(2, n_jobs=0).fit(X).kneighbors()


def test_the_sparse_interface_is_followed(X):
    if "sparse_interface" not in importlib.import_module("sklearn").get_config():
        pytest.skip("scikit-learn has one interface")
    for interface, kind in (("sparray", sparse.csr_array), ("spmatrix", sparse.csr_matrix)):
        with config_context(sparse_interface=interface):
            assert type(NearestNeighbors().fit(X).kneighbors_graph()) is kind
            assert type(RadiusNeighborsTransformer().fit_transform(X)) is kind


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_missing_entries_of_queries_do_not_count(X, rng, metric):
    queries = rng.normal(size=(9, 7))
    queries[rng.random((9, 7)) < 0.3] = np.nan
    search = NearestNeighbors(4, metric=metric, radius=1.5, nan="missing").fit(X)
    distances, indices = search.kneighbors(queries)
    near = search.radius_neighbors(queries, return_distance=False)
    graph = KNeighborsTransformer(3, metric=metric, nan="missing").fit(X).transform(queries)
    for i, row in enumerate(queries):
        known = ~np.isnan(row)
        alone = NearestNeighbors(4, metric=metric, radius=1.5).fit(X[:, known])
        expected, at = alone.kneighbors(row[None, known])
        np.testing.assert_array_equal(indices[i], at[0])
        np.testing.assert_allclose(distances[i], expected[0], atol=1e-12)
        found = alone.radius_neighbors(row[None, known], return_distance=False)[0]
        np.testing.assert_array_equal(near[i], found)
        np.testing.assert_allclose(graph[i].data, expected[0], atol=1e-12)
    if metric == "euclidean":
        from sklearn.metrics.pairwise import nan_euclidean_distances

        scaled = distances * np.sqrt(7 / (~np.isnan(queries)).sum(axis=1))[:, None]
        theirs = np.sort(nan_euclidean_distances(queries, X), axis=1)[:, :4]
        np.testing.assert_allclose(scaled, theirs)
    with pytest.raises(ValueError, match="X contains NaN"):
        search.fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="nan must be one of"):
        NearestNeighbors(nan="zero").fit(X)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator", [NearestNeighbors(), KNeighborsTransformer(), RadiusNeighborsTransformer()]
)
def test_sparse_rows_are_refused_with_the_command(estimator, X):
    for make in (sparse.csr_array, sparse.csr_matrix):
        with pytest.raises(TypeError, match=r"dense data is required.*\.toarray\(\)"):
            estimator.fit(make(X))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors must be"),
        ({"n_neighbors": 2.5}, TypeError, "n_neighbors must be"),
        ({"metric": "chebyshev"}, ValueError, "metric"),
        ({"metric": "hamming"}, ValueError, "X"),
    ],
)
def test_parameters_are_looked_at_by_fit(X, wrong, error, text):
    with pytest.raises(error, match=text):
        NearestNeighbors(**wrong).fit(X)


def test_calls_that_cannot_be(X):
    search = NearestNeighbors().fit(X)
    with pytest.raises(ValueError, match="Expected n_neighbors <= n_samples_fit, but n_neighbors"):
        search.kneighbors(X, 61)
    with pytest.raises(ValueError, match="Expected n_neighbors < n_samples_fit, but n_neighbors"):
        search.kneighbors(n_neighbors=60)
    with pytest.raises(ValueError, match="mode must be one of"):
        search.kneighbors_graph(X, mode="both")
    with pytest.raises(ValueError, match="mode must be one of"):
        KNeighborsTransformer(mode="both").fit(X)
    with pytest.raises(ValueError, match="return_distance must be True"):
        search.radius_neighbors(X, sort_results=True, return_distance=False)
    with pytest.raises(ValueError, match="X contains NaN"):
        search.kneighbors(np.full((1, 7), np.nan))
    with pytest.raises(ValueError, match="radius"):
        search.radius_neighbors(X, -1.0)
    with pytest.raises(ValueError, match="Negative values in data"):
        NearestNeighbors(metric="kl").fit(X)
    for call in ("kneighbors", "kneighbors_graph", "radius_neighbors", "radius_neighbors_graph"):
        with pytest.raises(NotFittedError):
            getattr(NearestNeighbors(), call)()


# -- on the graphs --------------------------------------------------------------------------------


def drop_in(ours):
    """A class of ours by the names that scikit-learn's tests call theirs."""

    def make(*, algorithm="auto", **parameters):
        return ours(**parameters)

    return make


PIPELINES = "sklearn.neighbors.tests.test_neighbors_pipeline"


@pytest.mark.parametrize(
    "name",
    [
        "spectral_clustering", "spectral_embedding", "dbscan", "isomap", "tsne",
        "lof_novelty_false", "lof_novelty_true", "kneighbors_regressor",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("default")
def test_scikit_learns_own_pipelines(name, monkeypatch):
    module = pytest.importorskip(PIPELINES)
    assert hasattr(module, f"test_{name}")
    monkeypatch.setattr(module, "KNeighborsTransformer", drop_in(KNeighborsTransformer))
    monkeypatch.setattr(module, "RadiusNeighborsTransformer", drop_in(RadiusNeighborsTransformer))
    getattr(module, f"test_{name}")()


@pytest.mark.parametrize("metric", ["manhattan", "cosine"])
def test_what_takes_precomputed_graphs(metric):
    X = load_iris().data
    eps = {"manhattan": 0.8, "cosine": 0.002}[metric]
    with warnings.catch_warnings():
        # A graph whose rows were not sorted would be told so.
        warnings.simplefilter("error")
        chain = make_pipeline(
            RadiusNeighborsTransformer(eps, metric=metric),
            cluster.DBSCAN(eps=eps, metric="precomputed"),
        )
        expected = cluster.DBSCAN(eps=eps, metric=metric, algorithm="brute").fit_predict(X)
        np.testing.assert_array_equal(chain.fit_predict(X), expected)
        graph = KNeighborsTransformer(20, metric=metric).fit_transform(X)
        given = neighbors.KNeighborsTransformer(n_neighbors=20, metric=metric).fit_transform(X)
        for take in (
            lambda g: manifold.TSNE(
                metric="precomputed", init="random", perplexity=6, max_iter=250, random_state=0
            ).fit(g).kl_divergence_,
            lambda g: cluster.OPTICS(metric="precomputed", min_samples=5).fit(g.toarray()).labels_,
        ):  # fmt: skip
            np.testing.assert_allclose(take(graph), take(given), rtol=1e-3)


def test_isomap_on_a_graph():
    X, _ = make_blobs(80, centers=1, random_state=0)
    chain = make_pipeline(
        KNeighborsTransformer(15, metric="manhattan"),
        manifold.Isomap(n_neighbors=15, metric="precomputed"),
    )
    expected = manifold.Isomap(n_neighbors=15, metric="manhattan").fit_transform(X)
    np.testing.assert_allclose(chain.fit_transform(X), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_hdbscan_on_a_graph():
    X, labels = make_blobs(90, centers=3, cluster_std=0.3, random_state=0)
    # Of one component, and symmetric, as HDBSCAN wants it.
    graph = RadiusNeighborsTransformer(1e6).fit_transform(X)
    found = cluster.HDBSCAN(metric="precomputed").fit_predict(graph)
    assert len(set(found)) == 3 and all(len(set(found[labels == label])) == 1 for label in range(3))


@pytest.mark.filterwarnings("ignore")
def test_umap_takes_the_neighbours():
    umap = pytest.importorskip("umap")
    X, labels = make_blobs(200, centers=3, cluster_std=0.3, random_state=0)
    search = NearestNeighbors(15, metric="manhattan").fit(X)
    distances, indices = search.kneighbors(X)  # own rows first, as UMAP wants them
    model = umap.UMAP(15, precomputed_knn=(indices, distances), random_state=0, n_epochs=50)
    flat = model.fit_transform(X)
    near = NearestNeighbors(5).fit(flat).kneighbors(return_distance=False)
    assert (labels[near] == labels[:, None]).mean() > 0.99
