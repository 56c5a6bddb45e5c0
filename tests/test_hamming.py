"""Bits: Hamming distances in every kernel, and the universal memory of bits."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from conftest import THREADS, layouts
from hypothesis import given
from hypothesis import strategies as st

import amfast as am
from amfast import _core, reference

# Queries, keys, bits: around bytes, words, registers and tiles.
SHAPES = [
    (1, 1, 1),
    (2, 3, 7),
    (3, 16, 8),
    (5, 17, 9),
    (4, 33, 63),
    (12, 64, 64),
    (13, 65, 65),
    (7, 129, 127),
    (1, 300, 130),
    (25, 31, 1000),
    (2, 257, 1024),
    (3, 40, 4099),
]
CODINGS = ["packed", "bool", "uint8", "int8", "float32", "float64", "float16", "int64"]


def draw_bits(rng: np.random.Generator, n: int, n_bits: int) -> np.ndarray:
    """Bools, some rows equal to others, so that scores tie."""
    x = rng.random((n, n_bits)) < 0.5
    if n > 4:
        x[n // 2] = x[1]
        x[n - 1] = x[0]
    return x


def coded(x: np.ndarray, coding: str):
    """Bools in a coding: signed types as -1 and +1, but int64 as 0 and 1."""
    if coding == "packed":
        return am.pack(x)
    if coding in ("bool", "uint8", "int64"):
        return x.astype(coding)
    return (2 * x.astype(np.int8) - 1).astype(coding)


def bipolar(x: np.ndarray) -> np.ndarray:
    return 2.0 * x - 1.0


def expected_counts(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return reference.pairwise(q, k, "hamming").astype(np.int32)


@pytest.mark.parametrize("coding", CODINGS)
def test_every_sink_against_the_reference(rng, coding):
    for n_q, n, n_bits in SHAPES if coding in ("packed", "int8") else SHAPES[2::3]:
        q, k = draw_bits(rng, n_q, n_bits), draw_bits(rng, n, n_bits)
        want = expected_counts(q, k)
        best = min(n, 1 + n // 3)
        radius = int(np.sort(want.ravel())[want.size // 2])
        for threads in THREADS:
            a, b = coded(q, coding), coded(k, coding)
            got = am.pairwise(a, b, "hamming", threads=threads)
            assert got.dtype == np.int32
            np.testing.assert_array_equal(got, want)
            scores, indices = am.topk(a, b, best, "hamming", threads=threads)
            order = np.argsort(want, axis=1, kind="stable")[:, :best]
            assert scores.dtype == np.int32
            np.testing.assert_array_equal(indices, order)
            np.testing.assert_array_equal(scores, np.take_along_axis(want, order, axis=1))
            for r in (radius, radius + 0.5):
                found = am.within(a, b, r, "hamming", threads=threads)
                for x, y in zip(found, reference.within(q, k, r, "hamming"), strict=True):
                    np.testing.assert_array_equal(x, y)
                assert found[2].dtype == np.int32


def test_codings_meet(rng):
    """Queries and keys may be coded differently; their bits are what is compared."""
    q, k = draw_bits(rng, 3, 21), draw_bits(rng, 9, 21)
    want = expected_counts(q, k)
    for a in CODINGS:
        for b in CODINGS:
            np.testing.assert_array_equal(
                am.pairwise(coded(q, a), coded(k, b), "hamming"), want, err_msg=f"{a} {b}"
            )
    # Nothing but ones says nothing about its coding.
    ones = np.ones((1, 21))
    np.testing.assert_array_equal(am.pairwise(ones, k.astype(int), "hamming")[0], (~k).sum(axis=1))


def test_layouts(rng):
    q, k = draw_bits(rng, 5, 77), draw_bits(rng, 30, 77)
    want = expected_counts(q, k)
    for dtype in ("int8", "float32", "float64"):
        for (name, a), (_, b) in zip(
            layouts(coded(q, dtype)), layouts(coded(k, dtype)), strict=True
        ):
            before = a.copy(), b.copy()
            np.testing.assert_array_equal(am.pairwise(a, b, "hamming"), want, err_msg=name)
            assert np.array_equal(a, before[0])
            assert np.array_equal(b, before[1])


def test_one_query(rng):
    """A 1-d query's answer loses that axis; one packed row keeps it."""
    k = am.BitMatrix.random(20, 33, seed=1)
    one = k.unpack("bool")[7]
    assert am.pairwise(one, k, "hamming").shape == (20,)
    scores, indices = am.topk(one, k, 2, "hamming")
    assert scores.shape == indices.shape == (2,)
    assert (scores[0], indices[0]) == (0, 7)
    assert am.pairwise(k[7], k, "hamming").shape == (1, 20)
    indptr, indices, _ = am.within(one, k, 0, "hamming")
    assert list(indptr) == [0, 1]
    assert list(indices) == [7]


def test_no_queries():
    k = am.BitMatrix.random(3, 9, seed=0)
    none = am.BitMatrix.from_packed(np.empty((0, 2), np.uint8), 9)
    assert am.pairwise(none, k, "hamming").shape == (0, 3)
    assert am.topk(none, k, 2, "hamming")[0].shape == (0, 2)
    assert am.within(none, k, 2, "hamming")[0].tolist() == [0]
    assert am.retrieve(none, k, similarity="hamming").shape == (0, 9)


def test_bipolar_dot(rng):
    """o = n_bits - 2 * hamming."""
    k = am.BitMatrix.random(50, 70, seed=4)
    x = k.unpack().astype(np.float32)
    np.testing.assert_array_equal(70 - 2 * am.pairwise(k, k, "hamming"), am.pairwise(x, x, "dot"))


def test_out(rng):
    k = am.BitMatrix.random(6, 40, seed=2)
    out = np.full((6, 6), -1, np.int32)
    assert am.pairwise(k, k, "hamming", out=out) is out
    np.testing.assert_array_equal(out, am.pairwise(k, k, "hamming"))
    with pytest.raises(TypeError, match="out must have dtype int32"):
        am.pairwise(k, k, "hamming", out=np.empty((6, 6), np.float32))
    shared = np.zeros((6, 6), np.int32)
    with pytest.raises(ValueError, match="share memory"):
        am.pairwise(shared, shared, "hamming", out=shared)
    packed = np.zeros((6, 24), np.uint8)
    rows = am.BitMatrix.from_packed(packed, 192)
    with pytest.raises(ValueError, match="share memory"):
        am.pairwise(rows, rows, "hamming", out=packed.view(np.int32))


@given(st.integers(0, 2**32), st.integers(1, 150), st.integers(1, 40), st.integers(1, 5))
def test_any_bits(seed, n_bits, n, n_q):
    k, q = am.BitMatrix.random(n, n_bits, seed), am.BitMatrix.random(n_q, n_bits, seed + 1)
    want = expected_counts(q.unpack(), k.unpack())
    np.testing.assert_array_equal(am.pairwise(q, k, "hamming"), want)
    scores, indices = am.topk(q, k, n, "hamming")
    np.testing.assert_array_equal(indices, np.argsort(want, axis=1, kind="stable"))
    np.testing.assert_array_equal(scores, np.sort(want, axis=1))
    radius = n_bits // 2
    np.testing.assert_array_equal(am.within(q, k, radius, "hamming")[2], want[want <= radius])


# -- retrieve -------------------------------------------------------------------------------------

FUSED = [
    ("softmax", "softmax", 1.0),
    (am.Softmax(0.2), "softmax", 0.2),
    (am.Polynomial(2), "power", 2.0),
    (am.Polynomial(3), "power", 3.0),
    ("identity", "power", 1.0),
    (am.Polynomial(3, rectified=True), "rectified", 3.0),
    (am.Threshold(15), "threshold", 15.0),
]


@pytest.mark.parametrize(("separation", "name", "param"), FUSED)
def test_retrieve_against_the_reference(rng, separation, name, param):
    for n_q, n, n_bits in [(1, 1, 1), (3, 40, 33), (13, 300, 64), (5, 130, 100)]:
        q, k = draw_bits(rng, n_q, n_bits), draw_bits(rng, n, n_bits)
        b = rng.normal(size=n)
        b[n // 3 + 1 :: 7] = -np.inf
        v = rng.normal(size=(n, 5))
        radius = {"separation": separation}
        if isinstance(separation, am.Threshold) and n_bits < 15:
            continue
        for log_weight in (None, b):
            call = {"similarity": "hamming", "log_weight": log_weight, **radius}
            own, _ = reference.retrieve(q, k, bipolar(k), "hamming", name, param, log_weight)
            got = [am.retrieve(am.pack(q), am.pack(k), threads=t, **call) for t in THREADS]
            assert got[0].dtype == np.float32
            np.testing.assert_allclose(got[0], own, atol=2e-5)
            assert all(x.tobytes() == got[0].tobytes() for x in got)
            # Values that are bits are the numbers -1 and +1 whatever holds them.
            for values in (bipolar(k).astype(np.int8), bipolar(k).astype(np.float32)):
                same = am.retrieve(am.pack(q), k, values, **call)
                assert same.tobytes() == got[0].tobytes()
            # Keys that were given as numbers are what is mixed.
            ones, _ = reference.retrieve(q, k, k, "hamming", name, param, log_weight)
            for coding in ("bool", "uint8"):
                x = am.retrieve(coded(q, coding), coded(k, coding), **call)
                assert x.dtype == np.float32
                np.testing.assert_allclose(x, ones, atol=2e-5)
            np.testing.assert_allclose(
                am.retrieve(coded(q, "int8"), coded(k, "int8"), **call), own, atol=2e-5
            )
            other, _ = reference.retrieve(q, k, v, "hamming", name, param, log_weight)
            x = am.retrieve(q, k, v, **call)
            assert x.dtype == np.float64
            np.testing.assert_allclose(x, other, atol=1e-13)
            x = am.retrieve(q, k, v.astype(np.float32), **call)
            assert x.dtype == np.float32
            np.testing.assert_allclose(x, other, atol=1e-5)


@pytest.mark.parametrize(
    "separation", ["max", am.TopK(3), am.TopK(3, beta=0.3), am.Separation(lambda s: 1 / (1 - s))]
)
def test_retrieve_by_other_ways(rng, separation):
    """The best items, and separations in Python, on packed bits and on the same as numbers."""
    q, k = draw_bits(rng, 6, 40), draw_bits(rng, 50, 40)
    s = -reference.pairwise(q, k, "hamming")
    part = am.UniversalHopfield("dot", separation).separation
    for log_weight in (None, np.where(np.arange(50) % 5 == 2, -np.inf, 0.3)):
        w, _ = part.weights(s, log_weight, larger_is_better=False)
        call = {"similarity": "hamming", "separation": separation, "log_weight": log_weight}
        for keys, values in ((am.pack(k), None), (k, am.pack(k)), (k, bipolar(k))):
            got = am.retrieve(am.pack(q), keys, values, **call)
            np.testing.assert_allclose(got, w @ bipolar(k), atol=1e-6)
            assert got.dtype == (np.float64 if isinstance(values, np.ndarray) else np.float32)


def test_packed_values_of_other_similarities(rng):
    """Bits are values of any memory, unpacked a few rows at a time."""
    q, k = rng.normal(size=(4, 6)), rng.normal(size=(30, 6))
    v = am.BitMatrix.random(30, 19, seed=3)

    def chebyshev(a, b):
        return -np.abs(a[:, None] - b).max(axis=-1)

    for similarity in ("dot", "manhattan", chebyshev):
        for separation in ("softmax", "max", am.TopK(4)):
            call = {"similarity": similarity, "separation": separation}
            got = am.retrieve(q, k, v, **call)
            assert got.dtype == np.float64
            np.testing.assert_allclose(got, am.retrieve(q, k, v.unpack(), **call), atol=1e-15)


def test_no_weight_reads_zeros():
    k = am.pack([[0, 0, 0, 0], [0, 0, 0, 1]])
    got = am.retrieve([[1, 1, 1, 0]], k, similarity="hamming", separation=am.Threshold(1))
    np.testing.assert_array_equal(got, np.zeros((1, 4)))


# -- what is refused ------------------------------------------------------------------------------


def test_bad_input():
    k = am.BitMatrix.random(5, 20, seed=0)
    for call in (
        lambda q: am.pairwise(q, k, "hamming"),
        lambda q: am.topk(q, k, 1, "hamming"),
        lambda q: am.within(q, k, 3, "hamming"),
    ):
        with pytest.raises(ValueError, match="queries have 19 bits, the keys have 20"):
            call(am.BitMatrix.random(2, 19, seed=0))
        with pytest.raises(ValueError, match=r"queries row 0, column 1 is 0\.5"):
            call([[0.0, 0.5] * 10])
        with pytest.raises(ValueError, match="queries mix two codings"):
            call(np.array([[0, -1] * 10]))
        with pytest.raises(ValueError, match="queries row 0, column 0 is nan"):
            call(np.full((1, 20), np.nan))
        with pytest.raises(TypeError, match="complex"):
            call(np.zeros((1, 20), complex))
    with pytest.raises(ValueError, match="cues have 19 bits, the keys have 20"):
        am.retrieve(am.BitMatrix.random(2, 19, seed=0), k, similarity="hamming")
    with pytest.raises(ValueError, match="keys row 1, column 0 is 3"):
        am.pairwise([[0, 1]], [[0, 1], [3, 1]], "hamming")
    with pytest.raises(ValueError, match="no rows"):
        am.pairwise(k, k[:0], "hamming")
    with pytest.raises(ValueError, match="no rows"):
        am.retrieve(k, k[:0], similarity="hamming")
    with pytest.raises(ValueError, match=r"k must be an int in 1\.\.5"):
        am.topk(k, k, 6, "hamming")
    with pytest.raises(ValueError, match="values have 4 rows, the keys have 5"):
        am.retrieve(k, k, k[:4], similarity="hamming")
    with pytest.raises(TypeError, match="unpack"):
        am.pairwise(k, k, "dot")
    for radius, error in ((21, "0..20"), (-1, ">= 0"), (np.nan, "finite")):
        with pytest.raises(ValueError, match=error):
            am.within(k, k, radius, "hamming")
    with pytest.raises(ValueError, match="0..20"):
        am.retrieve(k, k, similarity="hamming", separation=am.Threshold(21))
    for name in ("sqrt", "log"):
        with pytest.raises(ValueError, match="negative score"):
            am.retrieve(k, k, similarity="hamming", separation=name)


def test_the_engine_refuses(rng):
    """What the edge never hands to it."""
    floats, bits = rng.normal(size=(3, 8)), np.zeros((3, 8), np.uint8)
    out = np.empty((3, 3), np.int32)
    for a, b in ((floats, floats), (floats, bits), (bits, floats), (bits.view(np.int8), bits)):
        with pytest.raises(TypeError):
            _core.pairwise(a, b, "hamming", out, 1)
    with pytest.raises(TypeError, match="hamming keys are packed bits in uint8"):
        _core.Keys(floats, "hamming")
    with pytest.raises(ValueError, match="need values"):
        _core.retrieve(bits, bits, None, "hamming", "softmax", 1.0, None, 1)
    for values, n in ((bits, 65), (bits, 56), (floats, 64)):
        with pytest.raises(ValueError, match="values of"):
            _core.retrieve(bits, bits, values, "hamming", "softmax", 1.0, None, 1, n)


def test_packed_keys(rng):
    """Panels serve counts and retrieval, and grow."""
    k, q = am.BitMatrix.random(300, 100, seed=1), am.BitMatrix.random(7, 100, seed=2)
    few = _core.Keys(k.to_packed()[:11], "hamming")
    keys = few.extended(k.to_packed()[11:])
    assert (len(few), len(keys)) == (11, 300)
    want = am.pairwise(q, k, "hamming")
    for dtype in (np.int32, np.float32, np.float64):
        out = np.empty((7, 300), dtype)
        _core.pairwise(q.to_packed(), keys, "hamming", out, 1)
        np.testing.assert_array_equal(out, want)
    v = rng.normal(size=(300, 4))
    for values in (v, v.astype(np.float32)):
        got, _ = _core.retrieve(q.to_packed(), keys, values, "hamming", "softmax", 0.2, None, 1)
        np.testing.assert_array_equal(
            got, am.retrieve(q, k, values, similarity="hamming", beta=0.2)
        )
    # A bit per bit, and what fills the last registers.
    assert keys.nbytes <= 16 * 320


# -- the universal memory -------------------------------------------------------------------------


@pytest.mark.parametrize("separation", ["softmax", "max", "square", "identity", am.TopK(3, beta=1)])
def test_memory(rng, separation):
    """Scores, weights and recall agree with the reference and with each other."""
    k, q = draw_bits(rng, 60, 50), draw_bits(rng, 9, 50)
    for hetero in (False, True):
        v = rng.normal(size=(60, 4))
        m = am.UniversalHopfield("hamming", separation)
        ids = m.store(am.pack(k[:20]), v[:20] if hetero else None)
        np.testing.assert_array_equal(ids, np.arange(20))
        m.store(k[20:], v[20:] if hetero else None, weights=np.linspace(0.5, 2, 40))
        assert len(m) == 60
        assert m.keys == am.pack(k)
        s = -reference.pairwise(q, k, "hamming")
        np.testing.assert_array_equal(m.scores(q), s)
        assert m.scores(q).dtype == np.float32
        w, log_scale = m.separation.weights(s, m.log_weight)
        np.testing.assert_allclose(m.weights(am.pack(q)), w, atol=1e-6)
        want = w @ (v if hetero else bipolar(k))
        got = [m.recall(am.pack(q), details=True, threads=t) for t in THREADS]
        state = got[0].state.unpack() if isinstance(got[0].state, am.BitMatrix) else got[0].state
        np.testing.assert_allclose(state, want, atol=1e-5)
        np.testing.assert_allclose(got[0].log_scale, log_scale, atol=1e-4)
        assert (got[0].energy is None) == (hetero or separation != "max")
        for other in got[1:]:
            assert np.array_equal(other.log_scale, got[0].log_scale)
            assert np.all(other.state == got[0].state)
        if hetero:
            assert state.dtype == np.float64


def test_memory_of_packed_values():
    """Keys of bits recall bits: the nearest address reads its word."""
    k, v = am.BitMatrix.random(40, 64, seed=1), am.BitMatrix.random(40, 10, seed=2)
    m = am.UniversalHopfield("hamming", "max")
    m.store(k, v)
    assert m.values == v
    assert m.recall(k) == v
    np.testing.assert_array_equal(m.recall(k.unpack("bool")), v.unpack("bool"))
    np.testing.assert_array_equal(m.recall(k.unpack("bool")[3]), v.unpack("bool")[3])
    soft = am.UniversalHopfield("hamming", beta=2.0)
    soft.store(k, v)
    np.testing.assert_allclose(soft.recall(k), v.unpack(), atol=1e-3)
    signed = am.UniversalHopfield("hamming", beta=2.0, readout=am.Readout("sign", tie=1))
    signed.store(k, v)
    assert signed.recall(k) == v
    assert "40 items, 64 bits -> 10 bits" in repr(m)
    with pytest.raises(ValueError, match="values of a BitMatrix"):
        m.store(k, v.unpack())


@pytest.mark.parametrize("separation", ["softmax", "max"])
def test_answers_come_in_the_kind_of_the_cue(rng, separation):
    k = draw_bits(rng, 20, 90)
    cue = k.copy()
    cue[np.arange(20), np.arange(20)] ^= True
    for stored in CODINGS:
        m = am.UniversalHopfield("hamming", separation, readout="sign")
        m.store(coded(k, stored))
        for coding in CODINGS:
            got = m.recall(coded(cue, coding))
            want = coded(k, coding)
            if coding == "packed":
                assert got == want
            else:
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)
                one = m.recall(coded(cue, coding)[5], details=True)
                np.testing.assert_array_equal(one.state, want[5])
                assert one.state.dtype == want.dtype
                assert (one.n_iter, one.converged) == (1, False)


def test_cues_of_ones():
    """They are of the coding that was stored."""
    m = am.UniversalHopfield("hamming", "max")
    m.store([[0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(m.recall([1.0, 1.0, 1.0]), [0, 0, 1])
    m = am.UniversalHopfield("hamming", "max")
    m.store([[-1.0, -1.0, 1.0]])
    np.testing.assert_array_equal(m.recall([1.0, 1.0, 1.0]), [-1, -1, 1])


def test_steps(rng):
    """Bits that are recalled are cues of the next step; each row stops on its own."""
    k = am.BitMatrix.random(30, 200, seed=5)
    cue = k.unpack("bool")
    cue[:, :60] ^= rng.random((30, 60)) < 0.5
    m = am.UniversalHopfield("hamming", beta=0.05, readout="sign")
    m.store(k)
    one, two, many = (m.recall(cue, max_iter=n, details=True) for n in (1, 2, 20))
    np.testing.assert_array_equal(two.state, m.recall(one.state))
    assert many.converged.all()
    np.testing.assert_array_equal(m.recall(many.state), many.state)
    cue[:3] = many.state[:3]
    again = m.recall(cue, max_iter=20, details=True)
    assert (again.n_iter[:3] == 1).all()
    assert (again.n_iter[3:] > 1).all()
    np.testing.assert_array_equal(again.state, many.state)
    nearest = am.UniversalHopfield("hamming", "max")
    nearest.store(k)
    assert nearest.recall(am.pack(cue), max_iter=5) == k
    soft = am.UniversalHopfield("hamming")
    soft.store(k)
    with pytest.raises(ValueError, match="readout='sign'"):
        soft.recall(cue, max_iter=2)


def test_ties_keep_the_cue():
    m = am.UniversalHopfield("hamming", beta=1.0, readout="sign")
    m.store([[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(m.recall([[1, 1, 1, 0]]), [[1, 1, 1, 0]])
    up = am.UniversalHopfield("hamming", beta=1.0, readout=am.Readout("sign", tie=1))
    up.store([[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(up.recall([[1, 1, 1, 0]]), [[1, 1, 1, 1]])


def test_memory_is_a_monoid(rng):
    k = draw_bits(rng, 30, 40)
    both, other = (am.UniversalHopfield("hamming", beta=0.5) for _ in range(2))
    ids = both.store(k[:10])
    other.store(k[10:], weights=np.full(20, 2.0))
    assert both.merge(other) is both
    assert both.keys == am.pack(k)
    both.delete(ids[2:5])
    kept = np.delete(np.arange(30), [2, 3, 4])
    assert both.keys == am.pack(k[kept])
    weights = np.where(kept < 10, 1.0, 2.0)
    fresh = am.UniversalHopfield("hamming", beta=0.5)
    fresh.store(k[kept], weights=weights)
    for memory in (both, copy.copy(both), pickle.loads(pickle.dumps(both))):
        np.testing.assert_array_equal(memory.recall(k), fresh.recall(k))
    fresh.store(np.empty((0, 40), bool))
    assert len(fresh) == 27
    with pytest.raises(ValueError, match="parts"):
        both.merge(am.UniversalHopfield("manhattan", beta=0.5))
    assert "27 items, 40 bits" in repr(fresh)


def test_memory_is_small():
    k = am.BitMatrix.random(4096, 1024, seed=0)
    m = am.UniversalHopfield("hamming", "max")
    m.store(k)
    m.recall(k[:3])
    # Bits, ids and weights; float32 keys alone would be 16 MB.
    assert m.nbytes <= k.nbytes + 16 * 4096


def test_memory_refuses():
    m = am.UniversalHopfield("hamming", am.Threshold(30))
    with pytest.raises(ValueError, match="empty"):
        m.recall([[0, 1]])
    with pytest.raises(ValueError, match="keys row 0, column 1 is 2"):
        m.store([[0, 2]])
    m.store(am.BitMatrix.random(3, 20, seed=0))
    with pytest.raises(ValueError, match="0..20"):
        m.recall(am.BitMatrix.random(3, 20, seed=0))
    with pytest.raises(ValueError, match="keys have 19 bits, the memory stores 20"):
        m.store(am.BitMatrix.random(3, 19, seed=0))
    with pytest.raises(ValueError, match="cues have 19 bits, the memory stores 20"):
        m.scores(am.BitMatrix.random(3, 19, seed=0))
    with pytest.raises(ValueError, match="no energy"):
        m.energy(am.BitMatrix.random(3, 20, seed=0))
    with pytest.raises(ValueError, match="eps"):
        am.UniversalHopfield("hamming", eps=0.1)
    with pytest.raises(ValueError, match="hamming"):
        am.UniversalHopfield("hamming", convention="paper")
    with pytest.raises(TypeError, match="unpack"):
        am.UniversalHopfield("dot").store(am.BitMatrix.random(3, 19, seed=0))
    best = am.UniversalHopfield("hamming", "max")
    best.store([[0, 1]], weights=[0.0])
    with pytest.raises(ValueError, match="no item of any weight"):
        best.recall([[1, 1]])
    for name in ("sqrt", "log"):
        odd = am.UniversalHopfield("hamming", name)
        odd.store([[0, 1]])
        with pytest.raises(ValueError, match="negative score"):
            odd.recall([[1, 1]])
