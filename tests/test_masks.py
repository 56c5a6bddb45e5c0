"""Queries of which some entries are known: masks, weights and missing values."""

import numpy as np
import pytest
from conftest import layouts
from sklearn.metrics.pairwise import nan_euclidean_distances

import amfast as am
from amfast import reference

METRICS = ("dot", "sqeuclidean", "euclidean", "manhattan", "cosine")
SHAPES = [(1, 1, 1), (3, 17, 5), (13, 65, 33), (21, 130, 300)]


def drawn(shape, dtype, seed=0):
    """Queries, keys and a mask of which every row has something."""
    q, n, d = shape
    rng = np.random.default_rng(seed)
    mask = rng.random((q, d)) < 0.5
    mask[np.arange(q), rng.integers(0, d, q)] = True
    rows = rng.normal(size=(q + n, d)).astype(dtype)
    return rows[:q], rows[q:], mask


def tolerance(dtype, d):
    return (40 + d) * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_is_the_call_on_the_known_columns_alone(shape, dtype, metric):
    queries, keys, mask = drawn(shape, dtype)
    got = am.pairwise(queries, keys, metric, mask=mask)
    assert got.dtype == dtype
    bound = tolerance(dtype, shape[2])
    np.testing.assert_allclose(
        got, reference.pairwise(queries, keys, metric, mask), rtol=bound, atol=bound
    )
    for i, (query, known) in enumerate(zip(queries, mask, strict=True)):
        want = am.pairwise(query[known], keys[:, known], metric)
        np.testing.assert_allclose(got[i], want, rtol=bound, atol=bound)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_multiply_the_terms(dtype, metric):
    queries, keys, mask = drawn((7, 40, 50), dtype)
    weights = mask * np.random.default_rng(1).uniform(0.1, 5.0, mask.shape)
    got = am.pairwise(queries, keys, metric, mask=weights)
    want = reference.pairwise(queries, keys, metric, weights)
    np.testing.assert_allclose(got, want, rtol=tolerance(dtype, 400), atol=tolerance(dtype, 400))


def test_a_weight_of_whole_numbers_is_the_column_so_many_times():
    rng = np.random.default_rng(2)
    queries, keys, times = rng.normal(size=(4, 6)), rng.normal(size=(9, 6)), rng.integers(0, 4, 6)
    times[0] = 1
    for metric in METRICS:
        got = am.pairwise(queries, keys, metric, mask=times)
        want = am.pairwise(np.repeat(queries, times, 1), np.repeat(keys, times, 1), metric)
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def test_close_rows_far_from_the_origin_keep_their_digits():
    rng = np.random.default_rng(3)
    base = (1e4 + rng.random((1, 60))).astype(np.float32)
    keys = (base + rng.integers(0, 5, (20, 60)) / 1024).astype(np.float32)
    weights = rng.uniform(0.5, 2.0, 60)
    for mask in (weights > 1, weights):
        for metric in ("sqeuclidean", "euclidean", "manhattan"):
            got = am.pairwise(base, keys, metric, mask=mask)
            want = reference.pairwise(base, keys, metric, np.asarray(mask)[None])
            np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_one_query_is_its_row_of_a_batch_for_any_threads(metric):
    queries, keys, mask = drawn((21, 300, 70), "float32")
    for weights in (mask, mask * np.random.default_rng(4).random(mask.shape)):
        weights = np.maximum(weights, mask * 1e-3)
        whole = am.pairwise(queries, keys, metric, mask=weights, threads=1)
        np.testing.assert_array_equal(
            am.pairwise(queries, keys, metric, mask=weights, threads=2), whole
        )
        for i in range(len(queries)):
            alone = am.pairwise(queries[i], keys, metric, mask=weights[i])
            np.testing.assert_array_equal(alone, whole[i])
    common = am.pairwise(queries, keys, metric, mask=mask[0])
    np.testing.assert_array_equal(common, am.pairwise(queries, keys, metric, mask=mask[:1]))
    rows = np.repeat(mask[:1], len(queries), axis=0)
    np.testing.assert_array_equal(common, am.pairwise(queries, keys, metric, mask=rows))


@pytest.mark.parametrize("metric", METRICS)
def test_searches_agree_with_all_scores(metric):
    queries, keys, mask = drawn((9, 200, 30), "float64")
    scores = am.pairwise(queries, keys, metric, mask=mask)
    order = np.argsort(-scores if metric == "dot" else scores, axis=1, kind="stable")[:, :7]
    best, index = am.topk(queries, keys, 7, metric, mask=mask)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, order, 1))
    radius = float(np.median(scores)) if metric == "dot" else float(np.quantile(scores, 0.1))
    indptr, found, near = am.within(queries, keys, radius, metric, mask=mask)
    inside = scores >= radius if metric == "dot" else scores <= radius
    np.testing.assert_array_equal(np.diff(indptr), inside.sum(axis=1))
    np.testing.assert_array_equal(found, np.nonzero(inside)[1])
    np.testing.assert_array_equal(near, scores[inside])


@pytest.mark.parametrize("separation", ["softmax", "max", am.TopK(3), am.TopK(3, beta=2.0)])
@pytest.mark.parametrize("metric", METRICS)
def test_recall_weighs_by_the_known_columns(metric, separation):
    queries, keys, mask = drawn((5, 60, 20), "float64")
    values = np.random.default_rng(5).normal(size=(60, 4))
    got = am.retrieve(queries, keys, values, similarity=metric, separation=separation, mask=mask)
    for i, known in enumerate(mask):
        want = am.retrieve(
            queries[i][known], keys[:, known], values, similarity=metric, separation=separation
        )
        np.testing.assert_allclose(got[i], want, rtol=1e-12, atol=1e-12)


def test_missing_values_are_nan_euclidean_distances():
    queries, keys, mask = drawn((12, 80, 25), "float64")
    holes = np.where(mask, queries, np.nan)
    want = nan_euclidean_distances(holes, keys)
    got = am.pairwise(holes, keys, "euclidean", nan="missing", rescale=True)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    plain = am.pairwise(holes, keys, "euclidean", nan="missing")
    np.testing.assert_array_equal(plain, am.pairwise(queries, keys, "euclidean", mask=mask))
    squared = am.pairwise(holes, keys, "sqeuclidean", nan="missing", rescale=True)
    np.testing.assert_allclose(squared, want**2, rtol=1e-12)
    # A NaN where the mask says unknown is not looked at; both say what is not known.
    some = mask & (np.arange(25) % 5 > 0)
    some[:, 1] = True
    np.testing.assert_array_equal(
        am.pairwise(np.where(some, queries, np.nan), keys, "l1", mask=some),
        am.pairwise(queries, keys, "l1", mask=some),
    )
    # Without holes it is the plain call, to the bit.
    np.testing.assert_array_equal(
        am.pairwise(queries, keys, "l1", nan="missing"), am.pairwise(queries, keys, "l1")
    )


def test_missing_values_are_what_faiss_takes_them_for():
    faiss = pytest.importorskip("faiss")
    queries, keys, mask = drawn((6, 90, 12), "float32")
    holes = np.where(mask, queries, np.nan).astype(np.float32)
    want, order = faiss.knn(holes, keys, 5, metric=faiss.METRIC_NaNEuclidean)
    got, index = am.topk(holes, keys, 5, "sqeuclidean", nan="missing", rescale=True)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_the_rest_of_a_row_is_what_an_imputer_takes():
    from sklearn.impute import KNNImputer

    queries, keys, mask = drawn((10, 50, 8), "float64")
    mask[0] = np.arange(8) != 3
    holes = np.where(mask, queries, np.nan)
    want = KNNImputer(n_neighbors=4).fit(keys).transform(holes)
    got = am.retrieve(
        holes, keys, similarity="euclidean", separation=am.TopK(4), nan="missing", rescale=True
    )
    np.testing.assert_allclose(np.where(mask, queries, got), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_bits", [1, 7, 64, 65, 1000])
def test_bits(n_bits):
    rng = np.random.default_rng(n_bits)
    queries, keys, mask = (rng.random((n, n_bits)) < 0.5 for n in (9, 70, 9))
    mask[np.arange(9), rng.integers(0, n_bits, 9)] = True
    want = reference.pairwise(queries, keys, "hamming", mask)
    for given in (mask, am.pack(mask)):
        got = am.pairwise(queries, keys, "hamming", mask=given)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        am.pairwise(am.pack(queries), am.pack(keys), "hamming", mask=mask[0]),
        reference.pairwise(queries, keys, "hamming", np.repeat(mask[:1], 9, 0)),
    )
    best, index = am.topk(queries, keys, 5, "hamming", mask=mask)
    order = np.argsort(want, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(best, np.take_along_axis(want, order, 1))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "int64", "bool"])
def test_other_types_are_scored_as_floats(dtype):
    rng = np.random.default_rng(6)
    queries, keys = (rng.integers(0, 2 if dtype == "bool" else 100, (n, 30)) for n in (4, 50))
    mask = rng.random((4, 30)) < 0.6
    for metric in METRICS:
        got = am.pairwise(queries.astype(dtype), keys.astype(dtype), metric, mask=mask)
        assert got.dtype == ("float64" if dtype in ("int64", "bool") else "float32")
        want = reference.pairwise(queries, keys, metric, mask)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_any_layout():
    queries, keys, mask = drawn((6, 20, 10), "float32")
    want = am.pairwise(queries, keys, "l1", mask=mask)
    for name, given in layouts(mask):
        np.testing.assert_array_equal(am.pairwise(queries, keys, "l1", mask=given), want, name)
    for name, given in layouts(queries):
        np.testing.assert_array_equal(am.pairwise(given, keys, "l1", mask=mask), want, name)
    before = queries.copy(), mask.copy()
    am.retrieve(queries, keys, mask=mask)
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_blocks_take_masks():
    queries, keys, mask = drawn((6, 90, 10), "float64")
    blocks = am.Blocks([keys[:20], keys[20:21], keys[21:]])
    for ours, theirs in zip(
        am.topk(queries, blocks, 4, "l1", mask=mask),
        am.topk(queries, keys, 4, "l1", mask=mask),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    blocks = am.Blocks([keys[:20], keys[20:21], keys[21:]])
    np.testing.assert_allclose(
        am.retrieve(queries, blocks, mask=mask), am.retrieve(queries, keys, mask=mask), rtol=1e-12
    )
    part = am.partial(queries, keys[:9], mask=mask)
    with pytest.raises(ValueError):
        part.merge(am.partial(queries, keys[9:]))


def test_a_row_may_leave_itself_out():
    _, keys, mask = drawn((40, 40, 9), "float64")
    scores = am.pairwise(keys, keys, "l1", mask=mask)
    np.fill_diagonal(scores, np.inf)
    _, index = am.topk(keys, keys, 3, "l1", mask=mask, exclude_self=True)
    np.testing.assert_array_equal(index, np.argsort(scores, axis=1, kind="stable")[:, :3])


BAD = [
    (dict(mask=np.ones((3, 4), bool)), ValueError, r"mask must have shape \(2, 5\) or \(5,\)"),
    (dict(mask=np.ones((1, 2, 5), bool)), ValueError, "mask must have shape"),
    (dict(mask=[[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]), ValueError, "queries row 1 has nothing"),
    (dict(mask=np.zeros(5, bool)), ValueError, "nothing that is known"),
    (dict(mask=[1, 1, -1, 1, 1]), ValueError, "row 0 column 2 is -1"),
    (dict(mask=[1, 1, np.nan, 1, 1]), ValueError, "row 0 column 2 is nan"),
    (dict(mask=[1, 1, np.inf, 1, 1]), ValueError, "row 0 column 2 is inf"),
    (dict(mask=["a"] * 5), TypeError, "mask"),
    (dict(mask=[1j] * 5), TypeError, "mask"),
    (dict(nan="drop"), ValueError, "nan must be"),
    (dict(nan=None), (ValueError, TypeError), "nan must be"),
    (dict(rescale="yes", mask=np.ones(5, bool)), TypeError, "rescale"),
]


@pytest.mark.parametrize("call", ["pairwise", "topk", "within", "retrieve"])
@pytest.mark.parametrize("options, error, message", BAD)
def test_bad_masks(call, options, error, message):
    queries, keys = np.ones((2, 5)), np.ones((3, 5))
    run = {
        "pairwise": lambda **o: am.pairwise(queries, keys, "l1", **o),
        "topk": lambda **o: am.topk(queries, keys, 1, "l1", **o),
        "within": lambda **o: am.within(queries, keys, 1.0, "l1", **o),
        "retrieve": lambda **o: am.retrieve(queries, keys, similarity="l1", **o),
    }[call]
    if call == "retrieve":
        message = message.replace("queries", "cues")
    with pytest.raises(error, match=message):
        run(**options)


def test_weights_of_any_size():
    rng = np.random.default_rng(8)
    queries, keys = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    plain = am.pairwise(queries, keys, "l1")
    for size in (1e308, 1e-310):
        got = am.pairwise(queries, keys, "l1", mask=np.full(4, size), rescale=True)
        np.testing.assert_allclose(got, plain, rtol=1e-12)
    for size in (1e-46, 1e39):
        with pytest.raises(ValueError, match="mask row 0 has weights that no float32 holds"):
            am.pairwise(np.float32(queries), np.float32(keys), "l1", mask=[size, 1, 1, 1])


def test_what_a_key_holds_where_nothing_is_known_is_not_seen():
    rng = np.random.default_rng(9)
    queries, keys, mask = rng.normal(size=(6, 20)), rng.normal(size=(40, 20)), np.arange(20) != 3
    for dtype, none in (("float64", -np.finfo("f8").max), ("float32", -np.finfo("f4").max)):
        q, k = queries.astype(dtype), keys.astype(dtype)
        spoiled = k.copy()
        spoiled[:, 3] = none
        for metric in METRICS:
            want = am.topk(q, k, 5, metric, mask=mask)
            for given in (spoiled, am.Keys(spoiled, metric)):
                got = am.topk(q, given, 5, metric, mask=mask)
                np.testing.assert_array_equal(got[1], want[1], metric)
                np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
        memory = am.UniversalHopfield("cosine", "max")
        memory.store(spoiled)
        np.testing.assert_array_equal(memory.recall(spoiled, mask=mask), spoiled)


def test_what_has_no_masks_says_so():
    queries, keys, mask = np.ones((2, 5)), np.ones((3, 5)), np.ones(5, bool)
    for metric in ("kl", "reverse_kl", "jensenshannon"):
        with pytest.raises(ValueError, match="has no masks: it compares distributions"):
            am.pairwise(queries, keys, metric, mask=mask)
    with pytest.raises(ValueError, match="a function has no masks"):
        similarity = am.Similarity(lambda q, k: q @ k.T, larger_is_better=True)
        am.retrieve(queries, keys, similarity=similarity, mask=mask)
    bits = np.ones((2, 5), bool)
    with pytest.raises(TypeError, match="a mask of bits must be bool"):
        am.pairwise(bits, bits, "hamming", mask=np.ones(5))
    with pytest.raises(ValueError, match="not rescaled"):
        am.pairwise(bits, bits, "hamming", mask=mask, rescale=True)
    with pytest.raises(ValueError, match="nothing that is known"):
        am.pairwise(bits, bits, "hamming", mask=~mask)
    with pytest.raises(ValueError, match=r"mask must have 1 row or 2|mask"):
        am.pairwise(bits, bits, "hamming", mask=np.ones((3, 5), bool))
    with pytest.raises(ValueError):
        am.pairwise(bits, bits, "hamming", mask=np.ones(6, bool))
    # NaN in keys stays an error, and so does one in a known column.
    keys[1, 2] = np.nan
    with pytest.raises(ValueError, match="keys row 1"):
        am.pairwise(queries, keys, "l1", mask=mask)
    queries[1, 0] = np.nan
    with pytest.raises(ValueError, match="queries row 1"):
        am.pairwise(queries, np.ones((3, 5)), "l1", mask=mask)
