"""Parts of the keys, read apart and merged, against all of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from conftest import METRICS, draw
from hypothesis import given
from hypothesis import strategies as st

import amfast as am
from amfast.kernels.partials import Tree
from amfast.parts import SEPARATIONS

N, D, Q = 61, 17, 9
SPLITS = [1, 2, 3, 7]
READ = {
    "softmax": am.Softmax(0.7),
    "exponential": am.Exponential(0.3),
    "identity": am.Identity(),
    "cube": am.Polynomial(3),
    "quartic": am.Polynomial(4),
    "rectified": am.Polynomial(2, rectified=True),
    "threshold": am.Threshold(3.0),
    "sqrt": am.Sqrt(),
    "log": am.Log(),
    "max": am.Max(),
    "topk": am.TopK(5, 0.5),
    "topk, equal": am.TopK(4),
}


def split(n_parts: int, n: int = N) -> list[slice]:
    """Slices of uneven parts, one of them empty if there is more than one."""
    ends = sorted(np.random.default_rng(n_parts).integers(0, n + 1, n_parts - 1).tolist())
    if n_parts > 1:
        ends[-1] = ends[-2] if n_parts > 2 else n
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, n], strict=True)]


def rows(metric: str, dtype: str, n: int, seed: int) -> np.ndarray:
    return draw(np.random.default_rng(seed), (n, D), dtype, metric)


def bits(n: int, seed: int) -> am.BitMatrix:
    return am.BitMatrix.random(n, 40, seed)


def data(metric: str, dtype: str):
    if metric == "hamming":
        return bits(Q, 1), bits(N, 2)
    return rows(metric, dtype, Q, 1), rows(metric, dtype, N, 2)


@pytest.mark.parametrize("n_parts", SPLITS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "float16"])
@pytest.mark.parametrize("metric", [*METRICS, "hamming"])
def test_searches_of_parts_are_those_of_the_whole_bit_for_bit(metric, dtype, n_parts):
    queries, keys = data(metric, dtype)
    k, found, near = 6, [], []
    whole = am.topk(queries, keys, k, metric)
    radius = float(np.median(am.pairwise(queries, keys, metric)))
    for part in split(n_parts):
        some = keys[part]
        if len(some):
            scores, indices = am.topk(queries, some, min(k, len(some)), metric)
            found.append((scores, indices + part.start))
            indptr, indices, scores = am.within(queries, some, radius, metric)
            near.append((indptr, indices + part.start, scores))
    for order in (1, -1):
        for got, expected in zip(am.merge_topk(found[::order], k, metric), whole, strict=True):
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype
        expected = am.within(queries, keys, radius, metric)
        for got, wanted in zip(am.merge_within(near[::order]), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
            assert got.dtype == wanted.dtype


def test_manhattan_over_shards_comes_nearest_first():
    """A library merged it backwards: distances are best when small."""
    keys = np.array([[4.0], [1.0], [3.0], [2.0]])
    parts = []
    for i in range(4):
        scores, indices = am.topk([0.0], keys[i : i + 1], 1, "manhattan")
        parts.append((scores, indices + i))
    scores, indices = am.merge_topk(parts, 3, "l1")
    assert scores.tolist() == [1, 2, 3] and indices.tolist() == [1, 3, 2]
    similar = am.merge_topk(parts, 3, "dot")
    assert similar[0].tolist() == [4, 3, 2]


def test_ties_go_to_the_lowest_index_across_parts():
    keys = np.zeros((20, 3))
    parts = [(s, i + a) for a in (10, 0) for s, i in [am.topk(np.zeros(3), keys[:10], 9, "l2")]]
    assert am.merge_topk(parts, 9, "l2")[1].tolist() == list(range(9))


@pytest.mark.parametrize("n_parts", SPLITS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("metric", [*METRICS, "hamming"])
@pytest.mark.parametrize("name", READ)
def test_reads_of_parts_are_those_of_the_whole(name, metric, dtype, n_parts):
    separation = READ[name]
    cues, keys = data(metric, dtype)
    larger = metric == "dot"
    if name == "threshold":
        scores = am.pairwise(cues, keys, metric)
        separation = am.Threshold(float(np.quantile(scores, 0.4 if not larger else 0.6)))
    if name in ("sqrt", "log") and (not larger or dtype != "uint8"):
        return  # scores are negative
    if not larger and name in ("identity", "cube", "rectified") and dtype == "uint8":
        return  # out of the range of float32, or nothing at all
    values = rows("dot", "float64" if dtype == "float64" else "float32", N, 3)[:, :5].copy()
    b = np.log(np.random.default_rng(4).random(N) + 0.1)
    b[::11] = -np.inf
    for weights in (None, b):
        options = dict(similarity=metric, separation=separation)
        whole = am.retrieve(cues, keys, values, log_weight=weights, **options)
        parts = [
            am.partial(
                cues, keys[part], values[part],
                log_weight=None if weights is None else weights[part], **options,
            )
            for part in split(n_parts)
        ]  # fmt: skip
        got = am.Partial.merge_all(parts).result()
        assert got.dtype == whole.dtype and got.shape == whole.shape
        if separation.n_best is not None and weights is None:
            np.testing.assert_array_equal(got, whole)
            continue
        scale = float(np.abs(values).max())
        tolerance = 1e-6 if whole.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(got, whole, rtol=0, atol=3 * tolerance * scale)


def test_every_separation_merges_or_says_why_not():
    keys = np.random.default_rng(0).random((5, 3)) + 0.1
    for name, part in SEPARATIONS.items():
        assert not part.why_whole, name
        np.testing.assert_allclose(
            am.partial(keys, keys, separation=part).result(),
            am.retrieve(keys, keys, separation=part),
        )
    for part in (am.Sparsemax(), am.Entmax(), am.Separation(np.tanh), np.tanh):
        with pytest.raises(ValueError, match=r"cannot be read in parts: .* all"):
            am.partial(keys, keys, separation=part)


@given(n=st.integers(1, 40), data=st.data())
def test_the_tree_depends_on_the_number_of_parts_alone(n, data):
    tree: Tree[str] = Tree(lambda a, b: f"({a}{b})")
    for i in range(n):
        tree.add(chr(97 + i % 26))
    text = tree.total("parts")
    assert text.replace("(", "").replace(")", "") == "".join(chr(97 + i % 26) for i in range(n))
    depth = max(text[:i].count("(") - text[:i].count(")") for i in range(len(text) + 1))
    assert depth <= int(np.ceil(np.log2(n))) + 1 if n > 1 else depth == 0


def test_the_same_bits_whoever_made_the_parts():
    rng = np.random.default_rng(5)
    keys, cues = rng.normal(size=(90, 8)).astype(np.float32), rng.normal(size=(4, 8))
    parts = [am.partial(cues, keys[i : i + 9], beta=3.0) for i in range(0, 90, 9)]
    sent = [pickle.loads(pickle.dumps(part)) for part in parts]
    first = am.Partial.merge_all(parts).result()
    np.testing.assert_array_equal(am.Partial.merge_all(iter(sent)).result(), first)
    other = [am.partial(cues, keys[i : i + 9], beta=3.0, threads=2) for i in range(0, 90, 9)]
    np.testing.assert_array_equal(am.Partial.merge_all(other).result(), first)


def test_nothing_is_neutral():
    rng = np.random.default_rng(6)
    keys, cues = rng.normal(size=(9, 4)), rng.normal(size=(3, 4))
    for separation in (am.Softmax(2.0), am.TopK(3, 1.0), am.Max(), am.Threshold(0.3)):
        part = am.partial(cues, keys, separation=separation)
        empty = am.partial(cues, keys[:0], separation=separation)
        for both in (part.merge(empty), empty.merge(part), empty.merge(empty).merge(part)):
            np.testing.assert_array_equal(both.result(), part.result())
            assert both.n_items == 9
        with pytest.raises(ValueError, match="no keys were read"):
            empty.result()
    few = am.partial(cues, keys[:2], separation=am.TopK(3))
    with pytest.raises(ValueError, match=r"k must be in 1\.\.2"):
        few.result()
    assert few.merge(few).n_items == 4
    assert am.partial(cues[0], keys).result().shape == (4,)


def test_huge_scales_do_not_overflow():
    keys = np.array([[1e3], [-1e3], [1e3]])
    parts = [am.partial([[1.0]], keys[i : i + 1], beta=1e5) for i in range(3)]
    np.testing.assert_allclose(am.Partial.merge_all(parts).result(), [[1e3]])
    beyond = am.partial([[1e300]], keys, beta=1e8)
    with pytest.raises(ValueError, match="beyond floats"):
        beyond.merge(beyond)


def test_parts_that_do_not_belong_together():
    rng = np.random.default_rng(7)
    keys, cues = rng.normal(size=(9, 4)), rng.normal(size=(3, 4))
    part = am.partial(cues, keys)
    for other, what in (
        (am.partial(cues, keys, similarity="l1"), "similarity"),
        (am.partial(cues, keys, beta=2.0), "separation"),
        (am.partial(cues, keys, separation="max"), "separation"),
        (am.partial(cues, keys, keys[:, :2].copy()), "width"),
        (am.partial(cues.astype("f4"), keys.astype("f4")), "dtype"),
        (am.partial(cues[:2], keys), "different cues"),
        (am.partial(cues + 1, keys), "different cues"),
    ):
        with pytest.raises(ValueError, match=what):
            part.merge(other)
    with pytest.raises(TypeError, match="Partial"):
        part.merge(cues)
    with pytest.raises(ValueError, match="none"):
        am.Partial.merge_all([])
    with pytest.raises(AttributeError):
        part.n_items = 3


def test_bad_searches():
    scores, indices = am.topk(np.zeros((2, 1)), np.ones((4, 1)), 3, "l1")
    for parts, k, error, match in (
        ([], 1, ValueError, "none"),
        ([(scores, indices)], 4, ValueError, r"k must be"),
        ([(scores, indices), (scores, indices)], 2, ValueError, "twice"),
        ([(scores, indices), (scores[:1], indices[:1] + 9)], 2, ValueError, "part 1"),
        ([(scores, indices[:, :2])], 2, ValueError, "part 0"),
        ([(scores, scores)], 2, TypeError, "integers"),
        ([scores], 2, TypeError, "part 0"),
        ([(scores, indices), (scores.astype("f4"), indices + 9)], 2, TypeError, "float32"),
    ):
        with pytest.raises(error, match=match):
            am.merge_topk(parts, k, "l1")
    with pytest.raises(ValueError, match="metric"):
        am.merge_topk([(scores, indices)], 1, "nope")
    found = am.within(np.zeros((2, 1)), np.ones((4, 1)), 3, "l1")
    indptr, indices, scores = found
    for parts, error, match in (
        ([], ValueError, "none"),
        ([found, found], ValueError, "twice"),
        ([found, (indptr[:2], indices[:4], scores[:4])], ValueError, "queries"),
        ([(indptr + 1, indices, scores)], ValueError, "ascend"),
        ([(indptr, indices[:3], scores)], ValueError, "part 0"),
        ([(indptr, scores, scores)], TypeError, "integers"),
        ([(indptr, indices)], TypeError, "part 0"),
        ([found, (indptr, indices + 9, scores.astype("f4"))], TypeError, "float32"),
    ):
        with pytest.raises(error, match=match):
            am.merge_within(parts)
