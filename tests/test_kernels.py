"""The kernels against their NumPy twins: every metric, type, odd size, layout and thread count."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DISTRIBUTIONS, METRICS, THREADS, assert_scores, draw, layouts, score_error

import amfast as am
from amfast import reference

# Around the edges of vectors, register tiles and cache blocks, without their full product.
SHAPES = [
    (1, 1, 1),
    (1, 2, 3),
    (2, 7, 2),
    (3, 8, 7),
    (1, 9, 16),
    (5, 15, 17),
    (4, 16, 1),
    (13, 17, 3),
    (12, 31, 100),
    (20, 33, 15),
    (21, 63, 8),
    (1, 64, 785),
    (2, 65, 64),
    (7, 255, 65),
    (1, 256, 256),
    (3, 257, 1025),
    (40, 130, 31),
]

TYPES = [
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("float32", "float16", "float32"),
    ("float32", "uint8", "float32"),
    ("float32", "int8", "float32"),
    ("float64", "float32", "float64"),
    ("float32", "float64", "float64"),
    ("float64", "uint8", "float64"),
    ("float16", "float16", "float32"),
    ("uint8", "uint8", "int32"),
    ("int8", "int8", "int32"),
    ("uint8", "int8", "int32"),
    ("int8", "uint8", "int32"),
    ("uint8", "float32", "float32"),
    ("int16", "float32", "float64"),
]


def result_type(types: tuple[str, str, str], metric: str) -> np.dtype:
    """The documented type of the scores."""
    if types[2] == "int32" and metric not in ("dot", "sqeuclidean", "manhattan"):
        return np.dtype("float32")
    return np.dtype(types[2])


def same_bits(results: list) -> None:
    """All results of a list are equal, bit for bit."""
    first = results[0] if isinstance(results[0], tuple) else (results[0],)
    for other in results[1:]:
        for a, b in zip(first, other if isinstance(other, tuple) else (other,), strict=True):
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes()


def gap(scores: np.ndarray) -> float:
    """A radius that no score is near: the middle of the widest gap around the median."""
    flat = np.unique(scores.ravel())
    if len(flat) == 1:
        return float(flat[0]) * 2 + 1
    middle = flat[len(flat) // 4 : len(flat) // 4 * 3 + 2]
    widest = int(np.argmax(np.diff(middle)))
    return float(middle[widest] + middle[widest + 1]) / 2


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("types", TYPES, ids=lambda t: f"{t[0]}-{t[1]}")
def test_every_sink_against_the_reference(rng, metric, types):
    """One body: pairwise, topk and within, every size and thread count, the same bits."""
    # Types that share a path with the first two see every third size.
    shapes = SHAPES if types[0] == types[1] else SHAPES[TYPES.index(types) % 3 :: 3]
    for n_q, n, d in shapes:
        q, k = draw(rng, (n_q, d), types[0], metric), draw(rng, (n, d), types[1], metric)
        expected = reference.pairwise(q, k, metric)

        scores = [am.pairwise(q, k, metric, threads=t) for t in THREADS]
        same_bits(scores)
        assert scores[0].dtype == result_type(types, metric)
        assert_scores(scores[0], q, k, metric, expected)

        best = min(n, 1 + n // 3)
        found = [am.topk(q, k, best, metric, threads=t) for t in THREADS]
        same_bits(found)
        check_topk(*found[0], expected, q, k, metric)

        radius = gap(expected)
        if radius < 0 and metric != "dot":
            radius = 0.0
        hits = [am.within(q, k, radius, metric, threads=t) for t in THREADS]
        same_bits(hits)
        check_within(*hits[0], expected, radius, metric)


def check_topk(scores, indices, expected, q, k, metric):
    """Scores belong to their indices, come best first, and nothing better was left out."""
    assert indices.dtype == np.int64
    sign = -1 if metric == "dot" else 1
    assert (np.diff(sign * scores.astype(np.float64), axis=1) >= 0).all()
    for row, wanted in zip(indices, expected, strict=True):
        assert len(set(row.tolist())) == len(row)
        assert ((row >= 0) & (row < len(wanted))).all()
    eps = float(np.finfo(scores.dtype).eps) if scores.dtype.kind == "f" else 0.0
    bound = score_error(q, k, metric, eps)
    if metric == "jensenshannon":
        bound = np.sqrt(bound)
    chosen = np.take_along_axis(expected, indices, axis=1)
    assert (np.abs(chosen - scores) <= np.take_along_axis(bound, indices, axis=1)).all()
    rest = sign * expected + bound
    np.put_along_axis(rest, indices, np.inf, axis=1)
    worst = (sign * chosen).max(axis=1) - 2 * bound.max(axis=1)
    assert (rest.min(axis=1) >= worst).all()


def check_within(indptr, indices, scores, expected, radius, metric):
    """Exactly the keys inside, in ascending order."""
    inside = expected >= radius if metric == "dot" else expected <= radius
    assert indptr.dtype == indices.dtype == np.int64
    np.testing.assert_array_equal(indptr, np.r_[0, np.cumsum(inside.sum(axis=1))])
    np.testing.assert_array_equal(indices, np.nonzero(inside)[1])
    np.testing.assert_allclose(scores, expected[inside], rtol=2e-4, atol=2e-3)


SEPARATIONS = [
    (am.Softmax(0.0), "softmax", 0.0),
    (am.Softmax(0.7), "softmax", 0.7),
    (am.Exponential(0.7), "softmax", 0.7),
    (am.Identity(), "power", 1.0),
    (am.Polynomial(2), "power", 2.0),
    (am.Polynomial(3), "power", 3.0),
    (am.Polynomial(30), "power", 30.0),
    (am.Polynomial(3, rectified=True), "rectified", 3.0),
    (am.Polynomial(2.5, rectified=True), "rectified", 2.5),
    (am.Polynomial(2.5), "power", 2.5),
    (am.Sqrt(), "sqrt", 0.0),
    (am.Log(), "log", 0.0),
    (am.Threshold(0.0), "threshold", 0.0),
]


def needs_positive(part) -> bool:
    """Whether a separation takes no negative scores."""
    return part[1] in ("sqrt", "log") or (part[1] == "power" and part[2] % 1 > 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
@pytest.mark.parametrize(
    ("part", "metric"),
    # Distances score as their negative, which has no root or logarithm.
    [(p, m) for p in SEPARATIONS for m in METRICS if m == "dot" or not needs_positive(p)],
    ids=lambda x: x if isinstance(x, str) else repr(x[0]),
)
def test_retrieve_against_the_reference(rng, part, metric, dtype, weighted):
    """Every separation, auto- and heteroassociative, for any thread count the same bits."""
    separation, name, param = part
    compute = "float64" if dtype == "float64" else "float32"
    eps = float(np.finfo(compute).eps)
    for n_q, n, d, o in [(1, 1, 1, 1), (3, 17, 7, 2), (13, 65, 33, 17), (2, 257, 100, 100)]:
        source = "kl" if needs_positive((part, name, param)) else metric
        k = draw(rng, (n, d), dtype, source)
        q = draw(rng, (n_q, d), compute, source)
        scale = np.float64(np.abs(reference.pairwise(q, k, metric)).max())
        q = (q / scale).astype(compute) if metric == "dot" else q
        v = None if o == d else draw(rng, (n, o), compute)
        b = rng.normal(size=n) if weighted else None
        if b is not None and n > 1:
            b[0] = -np.inf
        s = reference.pairwise(q, k, metric)
        if name == "threshold":
            param = gap(s)
            param = max(param, 0.0) if metric != "dot" else param
            separation = am.Threshold(param)
        expected, _ = reference.retrieve(q, k, v, metric, name, param, b)
        got = [
            am.retrieve(q, k, v, similarity=metric, separation=separation, log_weight=b, threads=t)
            for t in THREADS
        ]
        same_bits(got)
        assert got[0].dtype == compute
        delta = score_error(q, k, metric, eps)
        if metric == "jensenshannon":
            delta = np.sqrt(delta)
        bound = weight_error(s, delta, name, param, b, eps) * np.abs(k if v is None else v).max()
        assert (np.abs(got[0] - expected) <= bound[:, None]).all()


def weight_error(s, delta, name, param, b, eps):
    """How far the weighted mean of values <= 1 may move when scores move by delta, (Q,)."""
    item = np.ones(s.shape[1]) if b is None else np.exp(b)
    magnitude = np.abs(s)
    if name == "softmax":
        moved = np.exp(param * (s - s)) * 2 * param * delta.max(axis=1, keepdims=True)
        return 100 * eps + moved.max(axis=1)
    if name == "threshold":
        return np.full(len(s), 100 * eps)
    with np.errstate(divide="ignore", over="ignore"):
        if name in ("power", "rectified"):
            w, slope = magnitude**param, param * magnitude ** (param - 1)
        elif name == "sqrt":
            w, slope = np.sqrt(s), 0.5 / np.sqrt(s)
        else:
            w, slope = np.abs(np.log(s)), 1 / s
    if name == "rectified":
        w, slope = np.where(s > 0, w, 0), np.where(s > -delta, slope, 0)
    total = np.maximum((w * item).sum(axis=1), np.finfo(np.float64).tiny)
    return 200 * eps + 4 * (slope * delta * item).sum(axis=1) / total


@pytest.mark.parametrize("separation", ["max", am.TopK(3), am.TopK(3, beta=0.5)])
@pytest.mark.parametrize("metric", METRICS)
def test_best_items(rng, metric, separation):
    """Max returns a stored value bit for bit; top-k averages the best."""
    k = draw(rng, (50, 20), "float32", metric)
    q = draw(rng, (9, 20), "float32", metric)
    v = draw(rng, (50, 4), "float32")
    s = reference.pairwise(q, k, metric) * (1 if metric == "dot" else -1)
    order = np.argsort(-s, axis=1, kind="stable")
    got = am.retrieve(q, k, v, similarity=metric, separation=separation)
    if separation == "max":
        np.testing.assert_array_equal(got, v[order[:, 0]])
        return
    best = order[:, :3]
    w = np.exp((separation.beta or 0.0) * np.take_along_axis(s, best, axis=1))
    w /= w.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, (w[..., None] * v[best]).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8"])
def test_layouts(rng, metric, dtype):
    """Any layout gives the bits of the plain one."""
    q, k = draw(rng, (5, 19), dtype, metric), draw(rng, (23, 19), dtype, metric)
    plain = am.pairwise(q, k, metric)
    for name, x in layouts(q):
        assert am.pairwise(x, k, metric).tobytes() == plain.tobytes(), name
    before = k.copy()
    for name, x in layouts(k):
        assert am.pairwise(q, x, metric).tobytes() == plain.tobytes(), name
        np.testing.assert_array_equal(x, before)
    if dtype != "float16":  # memoryview has no format for it
        assert am.pairwise(memoryview(q), memoryview(k), metric).tobytes() == plain.tobytes()


def test_array_likes(rng):
    """Lists, DLPack, the array protocol and torch tensors are read."""

    class OnlyDlpack:
        def __init__(self, x):
            self.x = x

        def __dlpack__(self, **kwargs):
            return self.x.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.x.__dlpack_device__()

    class OnlyArray:
        def __init__(self, x):
            self.x = x

        def __array__(self, dtype=None, copy=None):
            return self.x

    def as_matrix(x):
        return x.view(np.matrix)

    q, k = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    plain = am.pairwise(q, k, "l1")
    for wrap in (OnlyDlpack, OnlyArray, np.ndarray.tolist, as_matrix, np.ma.asarray):
        assert am.pairwise(wrap(q), wrap(k), "l1").tobytes() == plain.tobytes()
    torch = pytest.importorskip("torch")
    assert am.pairwise(torch.tensor(q), torch.tensor(k), "l1").tobytes() == plain.tobytes()


def test_one_dimensional_queries(rng):
    """A 1-d query loses its axis and gives the row of the 2-d one."""
    q, k = rng.normal(size=7), rng.normal(size=(5, 7))
    np.testing.assert_array_equal(am.pairwise(q, k, "dot"), am.pairwise(q[None], k, "dot")[0])
    scores, indices = am.topk(q, k, 2, "dot")
    assert scores.shape == indices.shape == (2,)
    assert am.retrieve(q, k).shape == (7,)
    out = np.empty(5)
    assert am.pairwise(q, k, "dot", out=out) is out
    np.testing.assert_array_equal(out, am.pairwise(q, k, "dot"))


def test_no_queries():
    """Zero cues have a result of zero rows."""
    q, k = np.empty((0, 3), np.float32), np.ones((4, 3), np.float32)
    assert am.pairwise(q, k, "dot").shape == (0, 4)
    scores, indices = am.topk(q, k, 2, "l2")
    assert scores.shape == indices.shape == (0, 2)
    indptr, indices, scores = am.within(q, k, 1.0, "l2")
    assert indptr.tolist() == [0] and len(indices) == len(scores) == 0
    for separation in ("softmax", "max", lambda s: s):
        assert am.retrieve(q, k, separation=separation).shape == (0, 3)


def test_out(rng):
    """The result lands in ``out``, whatever was there."""
    q, k = draw(rng, (4, 9), "uint8"), draw(rng, (6, 9), "uint8")
    out = np.full((4, 6), -1, np.int32)
    assert am.pairwise(q, k, "manhattan", out=out) is out
    assert_scores(out, q, k, "manhattan")


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "manhattan"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_cancellation(rng, metric, dtype):
    """An offset of 1e4 costs no digit: distances come from differences, not from products."""
    k = (rng.normal(size=(40, 300)) + 1e4).astype(dtype)
    q = (k[:10] + rng.normal(size=(10, 300)) * 0.01).astype(dtype)
    got = am.pairwise(q, k, metric)
    np.testing.assert_allclose(got, reference.pairwise(q, k, metric), rtol=64 * np.finfo(dtype).eps)
    assert (am.topk(q, k, 1, metric)[1][:, 0] == np.arange(10)).all()
    assert (am.pairwise(k, k, metric).diagonal() == 0).all()


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "manhattan", "euclidean"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "float16"])
def test_ties_go_to_the_lowest_index(rng, metric, dtype):
    """Small integers are exact in every type, so the order is known to the last tie."""
    n = 700
    q, k = rng.integers(0, 2, (7, 5)).astype(dtype), rng.integers(0, 2, (n, 5)).astype(dtype)
    for k_best in (1, 2, 33, 129, n):
        expected, order = reference.topk(q, k, k_best, metric)
        for t in THREADS:
            scores, indices = am.topk(q, k, k_best, metric, threads=t)
            np.testing.assert_array_equal(indices, order)
            np.testing.assert_allclose(scores, expected, rtol=1e-6)
    indptr, indices, _ = am.within(q, k, 2.0, metric)
    expected_indptr, expected_indices, _ = reference.within(q, k, 2.0, metric)
    np.testing.assert_array_equal(indptr, expected_indptr)
    np.testing.assert_array_equal(indices, expected_indices)


def test_topk_when_every_score_beats_the_last(rng):
    """Scores that improve all along make every key a candidate."""
    k = np.linspace(10, 1, 3000, dtype=np.float32)[:, None]
    for metric in ("manhattan", "sqeuclidean"):
        _, indices = am.topk(np.zeros((2, 1), np.float32), k, 40, metric)
        assert (indices == np.arange(2999, 2959, -1)).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("d", [1, 31, 64, 257, 3072, 33025])
def test_exact_integers_at_the_extremes(dtype, d):
    """The largest sums fit int32 and are exact."""
    info = np.iinfo(dtype)
    k = np.array([[info.max] * d, [info.min] * d], dtype)
    for metric in ("dot", "sqeuclidean", "manhattan"):
        got = am.pairwise(k, k, metric)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, reference.pairwise(k, k, metric))


def test_wide_integers_leave_int32():
    """Beyond the width where int32 could overflow the scores are float64, still exact."""
    k = np.full((1, 33026), 255, np.uint8)
    got = am.pairwise(k, k, "dot")
    assert got.dtype == np.float64 and got[0, 0] == 255 * 255 * 33026


def test_distributions_with_zeros():
    """0 ln 0 = 0, infinite where the second distribution has no mass; scipy agrees."""
    stats = pytest.importorskip("scipy.stats")
    distance = pytest.importorskip("scipy.spatial.distance")
    q = np.array([[1.0, 1.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    k = np.array([[2.0, 2.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 4.0]])
    kl, reverse = am.pairwise(q, k, "kl"), am.pairwise(q, k, "reverse_kl")
    js = am.pairwise(q, k, "jensenshannon")
    for i, a in enumerate(q):
        for j, b in enumerate(k):
            np.testing.assert_allclose(kl[i, j], stats.entropy(b, a), atol=1e-14)
            np.testing.assert_allclose(reverse[i, j], stats.entropy(a, b), atol=1e-14)
            np.testing.assert_allclose(js[i, j], distance.jensenshannon(a, b), atol=1e-7)
    assert np.isinf(kl).any() and np.isinf(reverse).any()


def test_cosine_of_zero_rows():
    """A zero row is at distance 1 of everything."""
    x = np.array([[0.0, 0.0], [1.0, 2.0]])
    np.testing.assert_allclose(am.pairwise(x, x, "cosine"), [[1, 1], [1, 0]], atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("beta", [0.0, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "manhattan"])
def test_any_beta_is_finite(rng, dtype, beta, metric):
    """Huge scores times a huge beta neither overflow nor lose the winner."""
    k = (rng.normal(size=(60, 30)) * 100).astype(dtype)
    q = (k[:8] + rng.normal(size=(8, 30))).astype(dtype)
    got = am.retrieve(q, k, similarity=metric, beta=beta)
    assert np.isfinite(got).all()
    if beta >= 1e4:
        best = am.retrieve(q, k, similarity=metric, separation="max")
        np.testing.assert_array_equal(got, best)
    if beta == 0:
        mean = k.astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(got, np.tile(mean, (8, 1)), rtol=1e-4, atol=1e-3)


def test_log_weight_is_repetition(rng):
    """Weight 3 equals storing an item three times, whatever the separation."""
    k, q = np.abs(rng.normal(size=(6, 5))), np.abs(rng.normal(size=(4, 5)))
    weight = np.array([1, 3, 1, 2, 1, 0])
    again = np.repeat(k, weight, axis=0)
    with np.errstate(divide="ignore"):
        b = np.log(weight)
    for part, *_ in SEPARATIONS:
        separation = am.Threshold(1.0) if isinstance(part, am.Threshold) else part
        np.testing.assert_allclose(
            am.retrieve(q, k, separation=separation, log_weight=b),
            am.retrieve(q, again, separation=separation),
            rtol=1e-12,
        )


def test_all_weights_zero_reads_zeros():
    """Nothing within the radius, nothing above zero, nothing of any weight."""
    q, k = np.ones((2, 3)), -np.ones((4, 3))
    for separation in (am.Threshold(5.0), am.Polynomial(2, rectified=True)):
        assert (am.retrieve(q, k, separation=separation) == 0).all()
    nothing = np.full(4, -np.inf)
    for separation in ("softmax", "max", am.TopK(2), "identity"):
        assert (am.retrieve(q, k, separation=separation, log_weight=nothing) == 0).all()


def test_infinite_divergence_has_no_weight():
    """A key infinitely far away weighs nothing."""
    k = np.array([[1.0, 0.0], [1.0, 1.0]])
    got = am.retrieve([0.5, 0.5], k, [[1.0], [2.0]], similarity="reverse_kl")
    np.testing.assert_array_equal(got, [2.0])


@pytest.mark.parametrize("metric", ["dot", "manhattan", "kl"])
def test_user_functions_equal_the_named_parts(rng, metric):
    """A Python similarity or separation gives what the named one gives."""
    k, q = np.abs(rng.normal(size=(300, 40))), np.abs(rng.normal(size=(70, 40)))
    mine = am.Similarity(
        lambda cues, keys: reference.pairwise(cues, keys, metric),
        larger_is_better=metric == "dot",
        name="mine",
    )

    def softmax(s):
        e = np.exp(s - s.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    b = rng.normal(size=300)
    for log_weight in (None, b):
        plain = am.retrieve(q, k, similarity=metric, log_weight=log_weight)
        for sim, sep in ((mine, "softmax"), (metric, softmax), (mine, softmax)):
            got = am.retrieve(q, k, similarity=sim, separation=sep, log_weight=log_weight)
            np.testing.assert_allclose(got, plain, rtol=1e-10)
    np.testing.assert_array_equal(
        am.retrieve(q, k, similarity=mine, separation="max"),
        am.retrieve(q, k, similarity=metric, separation="max"),
    )


def test_sums_over_many_columns_stay_accurate(rng):
    """Positive terms do not let a float32 sum drift over 12,288 columns."""
    q, k = (np.abs(rng.normal(size=(3, 12288))).astype(np.float32) for _ in range(2))
    for metric in METRICS:
        assert_scores(am.pairwise(q, k, metric), q, k, metric)


def test_results_do_not_touch_inputs(rng):
    """Inputs are never written to."""
    q, k, v = (rng.normal(size=(5, 5)) for _ in range(3))
    before = [x.copy() for x in (q, k, v)]
    am.pairwise(q, k, "l1")
    am.topk(q, k, 2, "dot")
    am.within(q, k, 1.0, "l2")
    am.retrieve(q, k, v, separation=lambda s: s)
    for x, y in zip((q, k, v), before, strict=True):
        np.testing.assert_array_equal(x, y)


def test_distribution_metrics_ignore_scale(rng):
    """Rows are normalised, so a factor changes nothing."""
    q, k = np.abs(rng.normal(size=(4, 9))), np.abs(rng.normal(size=(6, 9)))
    for metric in DISTRIBUTIONS:
        np.testing.assert_allclose(
            am.pairwise(q * 4, k * 0.25, metric), am.pairwise(q, k, metric), atol=1e-14
        )


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_an_infinite_radius_finds_all(rng, dtype):
    q, k = draw(rng, (3, 5), dtype), draw(rng, (70, 5), dtype)
    for metric, radius in (
        ("manhattan", np.inf),
        ("sqeuclidean", np.float32("inf")),
        ("dot", -np.inf),
    ):
        indptr, indices, scores = am.within(q, k, radius, metric)
        np.testing.assert_array_equal(indptr, [0, 70, 140, 210])
        np.testing.assert_array_equal(indices, np.tile(np.arange(70), 3))
        np.testing.assert_array_equal(scores, am.pairwise(q, k, metric).ravel())
    bits = am.BitMatrix.random(4, 9, seed=0)
    assert len(am.within(bits, bits, np.inf, "hamming")[1]) == 16
    for metric, radius in (("manhattan", -np.inf), ("dot", np.inf), ("dot", np.nan)):
        with pytest.raises(ValueError, match="radius must be"):
            am.within(q, k, radius, metric)
