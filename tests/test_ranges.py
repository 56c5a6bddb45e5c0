"""Scores at the ends of their types: distances, masses and angles of every size, exact bytes."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import reference

FLOATS = ["float32", "float64"]

# -- divergences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("metric", ["kl", "reverse_kl"])
def test_no_mass_is_too_small_to_be_infinite(metric, dtype):
    tiny = float(np.nextafter(np.dtype(dtype).type(0), np.dtype(dtype).type(1)))
    for mass in (8.8e-27, tiny, 1e-20, 0.5):
        p, r = np.array([[mass, 1]], dtype), np.array([[0, 1]], dtype)
        q, k = (r, p) if metric == "kl" else (p, r)
        assert am.pairwise(q, k, metric)[0, 0] == np.inf
        near = np.array([[0.9, 0.1]], dtype)
        far, cue = (k, q) if metric == "kl" else (r, p)
        if metric == "kl":
            keys = np.vstack([far, r + [[0, 1e-3]]]).astype(dtype)
            scores, indices = am.topk(cue, keys, 2, metric)
            assert indices.tolist() == [[1, 0]] and scores[0, 1] == np.inf
            _, found, _ = am.within(cue, keys, 100.0, metric)
            assert found.tolist() == [1]
            values = np.eye(2, dtype=dtype)
            got = am.retrieve(cue, keys, values, similarity=metric)
            np.testing.assert_allclose(got, [[0, 1]], atol=1e-6)
        assert np.isfinite(am.pairwise(near, near, metric)).all()


def test_a_memory_without_smoothing_keeps_infinities():
    for metric, cue, keys in (
        ("kl", [0, 1], [[8.8e-27, 1], [1e-44, 3e38], [0, 2]]),
        ("reverse_kl", [1e-44, 3e38], [[0, 1], [1e-10, 1]]),
    ):
        memory = am.UniversalHopfield(metric, "max", eps=0)
        memory.store(np.array(keys, np.float32))
        cue = np.array(cue, np.float32)
        scores = memory.scores(cue)
        expected = -am.pairwise(cue, np.array(keys, np.float32), metric)
        np.testing.assert_array_equal(scores, expected)
        assert (scores[:-1] == -np.inf).all() and np.isfinite(scores[-1])
        np.testing.assert_array_equal(memory.recall(cue), np.array(keys[-1], np.float32))


# -- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, "float16"])
def test_euclidean_over_the_whole_range(rng, dtype):
    info = np.finfo(np.float32 if dtype == "float16" else dtype)
    low, high = (-24, 15) if dtype == "float16" else (info.minexp - info.nmant, info.maxexp - 3)
    eps = float(info.eps)
    for size in np.linspace(low, high, 30).astype(int):
        x = np.ldexp(
            rng.integers(-4, 5, (5, 9)).astype(np.float64), size - 2 if size > low + 2 else size
        )
        with np.errstate(over="ignore"):
            x = x.astype(dtype)
        if not np.isfinite(x).all():
            continue
        got = am.pairwise(x[:2], x, "euclidean")
        wide = np.ldexp(x.astype(np.float64), -size)
        want = np.ldexp(np.sqrt(((wide[:2, None] - wide) ** 2).sum(axis=-1)), size)
        smallest = float(info.smallest_subnormal)
        np.testing.assert_allclose(got, want, rtol=8 * eps, atol=0.6 * smallest)
        scores, indices = am.topk(x[:2], x, 5, "l2")
        np.testing.assert_array_equal(scores, np.take_along_axis(got, indices, axis=1))
        assert (np.diff(scores, axis=1) >= 0).all()
        radius = float(np.sort(got[0])[2])
        assert set(am.within(x[0], x, radius, "l2")[1]) == set(np.flatnonzero(got[0] <= radius))


def test_small_and_large_distances_rank_and_weigh():
    for size in (1e-44, 1e-30, 1e25, 1e38):
        keys = np.array([[2.0], [1.0], [3.0]]) * size
        cue = np.zeros(1, np.float32)
        keys = keys.astype(np.float32)
        assert am.topk(cue, keys, 3, "euclidean")[1].tolist() == [1, 0, 2]
        memory = am.UniversalHopfield("euclidean", "max")
        memory.store(keys)
        np.testing.assert_array_equal(memory.recall(cue), keys[1])
        got = am.retrieve(cue, keys, np.eye(3, dtype=np.float32), similarity="l2", beta=1 / size)
        want = reference.retrieve(cue[None], keys, np.eye(3), "euclidean", "softmax", 1 / size)[0]
        np.testing.assert_allclose(got, want[0], rtol=1e-5)


def test_padding_refuses_nothing():
    x = np.full((3, 2), 3e38, np.float32)
    np.testing.assert_array_equal(am.pairwise(x, x, "manhattan"), np.zeros((3, 3)))
    np.testing.assert_array_equal(am.pairwise(x, x, "euclidean"), np.zeros((3, 3)))
    np.testing.assert_array_equal(am.pairwise(x, x, "sqeuclidean"), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="too large"):
        am.pairwise(x, -x, "euclidean")


# -- angles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, "float16"])
def test_a_row_is_within_nothing_of_itself(rng, dtype):
    for d in (2, 3, 64, 301):
        x = rng.normal(size=(200, d)).astype(dtype)
        indptr, indices, scores = am.within(x, x, 0.0, "cosine")
        assert (np.diff(indptr) >= 1).all() and not scores.any()
        assert all(i in indices[indptr[i] : indptr[i + 1]] for i in range(200))
        np.testing.assert_array_equal(am.topk(x, x, 1, "cosine")[1][:, 0], np.arange(200))


@pytest.mark.parametrize("dtype", FLOATS)
def test_small_angles_have_digits(rng, dtype):
    unit = float(np.finfo(dtype).eps) / 2
    for angle in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.15):
        a = rng.normal(size=(20, 50))
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        b = rng.normal(size=(20, 50))
        b -= (a * b).sum(axis=1, keepdims=True) * a
        b /= np.linalg.norm(b, axis=1, keepdims=True)
        x, y = a.astype(dtype), (np.cos(angle) * a + np.sin(angle) * b).astype(dtype)
        want = reference.pairwise(x, y, "cosine").diagonal()
        got = am.pairwise(x, y, "cosine").diagonal()
        bound = 2 * unit * angle + 40 * unit * want + 4 * unit**2
        assert (np.abs(got - want) <= bound).all(), angle


# -- bytes ----------------------------------------------------------------------------------------


def images(rng, n, d, dtype):
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (n, d)).astype(dtype)
    x[n // 2 :] = x[0]  # far and near rows, which differ by a unit above 2**24
    for i in range(n // 2, n):
        x[i, i] = x[i, i] - 1 if x[i, i] > info.min else x[i, i] + 1
    return x


@pytest.mark.parametrize("keys", ["uint8", "int8"])
@pytest.mark.parametrize("queries", ["uint8", "int8"])
@pytest.mark.parametrize("d", [60, 1001, 14640])
def test_bytes_of_either_sign_are_exact(rng, queries, keys, d):
    q, k = images(rng, 7, d, queries), images(rng, 40, d, keys)
    a, b = q.astype(np.int64), k.astype(np.int64)
    differences = a[:, None] - b
    want = {
        "dot": a @ b.T,
        "sqeuclidean": (differences**2).sum(axis=-1),
        "manhattan": np.abs(differences).sum(axis=-1),
    }
    for metric, scores in want.items():
        got = am.pairwise(q, k, metric)
        wide = metric == "sqeuclidean" and queries != keys and d > 14639
        assert got.dtype == (np.float64 if wide else np.int32)
        np.testing.assert_array_equal(got, scores)
        sign = -1 if metric == "dot" else 1
        best = np.argsort(sign * scores, axis=1, kind="stable")[:, :9]
        np.testing.assert_array_equal(am.topk(q, k, 9, metric)[1], best)
        memory = am.UniversalHopfield(metric, "max")
        memory.store(k)
        got = memory.scores(q)
        assert got.dtype in (np.int32, np.float64)
        np.testing.assert_array_equal(got, -sign * scores)
        np.testing.assert_array_equal(memory.recall(q), k[best[:, 0]].astype(np.float32))
    got = am.pairwise(q, k, "euclidean")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.sqrt(want["sqeuclidean"]).astype(np.float32))
    order = am.topk(q, k, 40, "sqeuclidean")[1]
    np.testing.assert_array_equal(am.topk(q, k, 40, "euclidean")[1], order)
    radius = float(got[0, 25])
    found = am.within(q[0], k, radius, "euclidean")[1]
    np.testing.assert_array_equal(found, np.flatnonzero(got[0] <= np.float32(radius)))


def test_the_case_of_the_issue():
    a, b = np.full((1, 1001), 255, np.uint8), np.full((1, 1001), 127, np.int8)
    assert am.pairwise(a, b, "dot")[0, 0] == 255 * 127 * 1001
    assert am.pairwise(b, a, "dot")[0, 0] == 255 * 127 * 1001
    memory = am.UniversalHopfield("dot", "softmax")
    memory.store(a)
    assert memory.scores(b[0])[0] == 255 * 127 * 1001


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "manhattan", "euclidean", "cosine"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_bytes_are_weighed_by_their_exact_scores(rng, metric, dtype):
    d, n = 1500, 12
    k = images(rng, n, d, dtype)
    q = images(rng, 3, d, dtype)
    q[1] = k[n // 2]
    values = np.eye(n, dtype=np.float32)
    scores = reference.pairwise(q, k, metric)
    given = am.pairwise(q, k, metric)
    rounds = 1e-7 if metric in ("euclidean", "cosine") else 1e-12
    np.testing.assert_allclose(given, scores, rtol=rounds)
    sign = 1.0 if metric == "dot" else -1.0
    parts = [
        am.Softmax(0.3),
        am.TopK(3, 0.3),
        am.Max(),
        am.Threshold(float(given[0, 1])),
        am.Polynomial(3),
    ]
    for part in parts:
        with np.errstate(over="ignore"):
            want, _ = part.weights(sign * scores, None, sign > 0)
        if isinstance(part, am.Threshold):
            inside = given >= part.radius if sign > 0 else given <= np.float32(part.radius)
            want = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
        got = am.retrieve(q, k, values, similarity=metric, separation=part)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
        memory = am.UniversalHopfield(metric, part)
        memory.store(k, values)
        np.testing.assert_array_equal(memory.recall(q), got)
        np.testing.assert_allclose(memory.weights(q), got, rtol=1e-5, atol=1e-6)
        alone = memory.recall(q[1])
        assert alone.tobytes() == got[1].tobytes()


def test_multiples_of_bytes_are_in_one_direction(rng):
    base = rng.integers(0, 60, (20, 3000)).astype(np.uint8)
    keys = np.vstack([base * 4, base, base * 3])
    got = am.pairwise(base, keys, "cosine")
    assert not got.diagonal().any() and not got[:, 20:40].diagonal().any()
    np.testing.assert_array_equal(got[:, :20], got[:, 20:40])
    np.testing.assert_array_equal(got[:, :20], got[:, 40:])
    np.testing.assert_array_equal(am.topk(base, keys, 1, "cosine")[1][:, 0], np.arange(20))


# -- temperatures and powers ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_finite_temperature(rng, dtype):
    x = rng.normal(size=(6, 4)).astype(dtype)
    for beta in (0.0, 5e-324, 1e-300, 1e-50, 1e-45):
        np.testing.assert_allclose(
            am.retrieve(x, x, beta=beta), np.tile(x.mean(axis=0), (6, 1)), rtol=1e-4, atol=1e-6
        )
    near = am.topk(x, x, 1, "dot")[1][:, 0]
    for beta in (1e38, 3.5e38, 1e39, 1e300, float(np.finfo(np.float64).max)):
        np.testing.assert_array_equal(am.retrieve(x, x, beta=beta), x[near])
        memory = am.UniversalHopfield("dot", am.Softmax(beta))
        memory.store(x)
        np.testing.assert_array_equal(memory.recall(x), x[near])
    keys = np.array([[1, 0], [1, 0], [0, 1]], dtype)
    for beta in (1e39, 1e300):
        got = am.retrieve(keys[:1], keys, np.eye(3, dtype=dtype), beta=beta)
        np.testing.assert_array_equal(got, [[0.5, 0.5, 0]])
        got = am.retrieve(
            keys[:1], keys, np.eye(3, dtype=dtype), beta=beta, log_weight=[0, np.log(3), -np.inf]
        )
        np.testing.assert_allclose(got, [[0.25, 0.75, 0]], rtol=1e-6)


@pytest.mark.parametrize("n", [0.25, 1.5, 3.5, 20.1])
def test_real_powers(rng, n):
    keys, cues = rng.random((30, 5)), rng.random((4, 5))
    for part in (am.Polynomial(n), am.Polynomial(n, rectified=True)):
        for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-4)):
            got = am.retrieve(cues.astype(dtype), keys.astype(dtype), separation=part)
            s = (cues @ keys.T) ** n
            np.testing.assert_allclose(got, s @ keys / s.sum(axis=1)[:, None], rtol=tolerance)
        memory = am.UniversalHopfield("dot", part, normalize=False)
        memory.store(keys)
        energy = (cues**2).sum(1) / 2 - ((cues @ keys.T) ** (n + 1)).sum(1) / (n + 1)
        np.testing.assert_allclose(memory.energy(cues), energy, rtol=1e-10)
    assert repr(am.Polynomial(3.5)) == "Polynomial(n=3.5, rectified=False)"
    assert am.Polynomial(3.0) == am.Polynomial(3)
    cues[1] = -1.0
    with pytest.raises(ValueError, match="cues row 1 has a negative score"):
        am.retrieve(cues, keys, separation=am.Polynomial(n))
    got = am.retrieve(cues, keys, separation=am.Polynomial(n, rectified=True))
    np.testing.assert_array_equal(got[1], 0)
    paper = am.UniversalHopfield("dot", am.Polynomial(n), convention="paper")
    paper.store(keys)
    assert np.isfinite(paper.recall(rng.random((3, 5)))).all()


def test_one_byte_that_is_no_sign_is_summed_as_the_number_it_is():
    for d in (20, 70):
        for at in range(3 * d):
            x = np.ones((3, d), np.int8)
            x.flat[at] = 3
            wide = x.astype(np.int64)
            np.testing.assert_array_equal(am.hebbian(x), wide.T @ wide)
