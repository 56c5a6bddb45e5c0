"""Hebbian sums of outer products."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import THREADS, draw, layouts

import amfast as am
from amfast import reference

FLOATS = ("float32", "float64", "float16")
# Around the registers, the tiles, the regions of 256 columns and the chunks of 256 patterns.
SHAPES = [(1, 1), (3, 1), (1, 7), (5, 17), (31, 33), (64, 64), (255, 13), (256, 65), (257, 31)]
SHAPES += [(5000, 9), (700, 270), (40, 530)]


def bound(x, y, w, eps):
    """Return what a sum may be off by: the roundings of a chunk's chain and of the chunks'."""
    size = reference.hebbian(np.abs(x), np.abs(y), None if w is None else np.abs(w))
    return (min(len(x), 256) + len(x) / 256 + 4) * eps * size + 1e-300


def assert_sum(got, x, y=None, w=None, dtype=None):
    """Compare with the twin."""
    want = reference.hebbian(x, y, w)
    assert got.dtype == dtype
    if got.dtype == np.int32:
        np.testing.assert_array_equal(got, want)
    else:
        off = np.abs(got - want)
        assert (off <= bound(x, x if y is None else y, w, np.finfo(got.dtype).eps)).all()
    if y is None:
        np.testing.assert_array_equal(got, got.T)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_floats(rng, shape, dtype):
    """Symmetric and hetero, weighted and not, of every odd size."""
    x, y = draw(rng, shape, dtype), draw(rng, (shape[0], 70 - shape[1] % 60), dtype)
    kind = np.float32 if dtype == "float16" else dtype
    weights = rng.normal(size=len(x))
    weights[::5] = 0
    for w in (None, weights):
        one = am.hebbian(x, weights=w, threads=1)
        assert_sum(one, x, None, w, kind)
        other = am.hebbian(x, y, weights=w, threads=1)
        assert_sum(other, x, y, w, kind)
        for threads in THREADS[1:]:
            np.testing.assert_array_equal(am.hebbian(x, weights=w, threads=threads), one)
            np.testing.assert_array_equal(am.hebbian(x, y, weights=w, threads=threads), other)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_integers_are_exact(rng, shape, dtype):
    """All values, extremes included, against NumPy's int64."""
    x, y = draw(rng, shape, dtype), draw(rng, (shape[0], 21), dtype)
    x[::3] = np.iinfo(dtype).min
    x[1::3, ::2] = np.iinfo(dtype).max
    weights = rng.integers(-3, 4, len(x))
    wide, wide_y = x.astype(np.int64), y.astype(np.int64)
    for threads in THREADS:
        got = am.hebbian(x, threads=threads)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, wide.T @ wide)
        got = am.hebbian(x, y, weights=weights, threads=threads)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, (wide_y * weights[:, None]).T @ wide)


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_exact(rng, shape):
    """BitMatrix, bool and bipolar int8 mean the same and are summed exactly."""
    x = rng.integers(0, 2, shape).astype(np.int8) * 2 - 1
    y = rng.integers(0, 2, (shape[0], 45)).astype(np.int8) * 2 - 1
    signs = rng.choice([-1, 1], len(x))
    many = rng.integers(-70000, 70000, len(x))
    wide, wide_y = x.astype(np.int64), y.astype(np.int64)
    kinds = [(x, y), (x > 0, y > 0), (am.pack(x), am.pack(y)), (am.pack(x), y), (x, am.pack(y))]
    for given, partner in kinds:
        for threads in (1, 2):
            got = am.hebbian(given, threads=threads)
            assert got.dtype == np.int32
            np.testing.assert_array_equal(got, wide.T @ wide)
            got = am.hebbian(given, partner, threads=threads)
            assert got.dtype == np.int32
            np.testing.assert_array_equal(got, wide_y.T @ wide)
        for w in (signs, rng.integers(-1, 2, len(x)), np.zeros(len(x)), many):
            got = am.hebbian(given, partner, weights=w)
            assert got.dtype == np.int32
            np.testing.assert_array_equal(got, (wide_y * w[:, None].astype(np.int64)).T @ wide)
            got = am.hebbian(given, weights=w)
            np.testing.assert_array_equal(got, (wide * w[:, None].astype(np.int64)).T @ wide)


def test_fractions_of_exact_patterns(rng):
    """Weights with fractions give float64."""
    x = rng.integers(0, 2, (300, 20)).astype(np.int8) * 2 - 1
    w = rng.random(300)
    assert_sum(am.hebbian(x, weights=w), x, None, w, np.float64)
    assert_sum(am.hebbian(am.pack(x), x[:, :3], weights=w), x, x[:, :3], w, np.float64)


def test_mixed_types(rng):
    """The wider type wins, whichever side it is on; other integers and lists are float64."""
    small, single, double = (draw(rng, (50, 9), t) for t in ("int8", "float32", "float64"))
    assert_sum(am.hebbian(small, single), small, single, None, np.float32)
    assert_sum(am.hebbian(single, double), single, double, None, np.float64)
    assert_sum(am.hebbian(double, small), double, small, None, np.float64)
    assert_sum(am.hebbian(am.pack(small > 0), single), 2.0 * (small > 0) - 1, single, None, "f4")
    whole = rng.integers(-9, 9, (50, 4))
    assert_sum(am.hebbian(whole), whole, None, None, np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_layouts(rng, dtype):
    """The same numbers in any memory layout, and nothing is written to."""
    x, y = draw(rng, (33, 21), dtype), draw(rng, (33, 10), dtype)
    want, want_y = am.hebbian(x), am.hebbian(x, y, weights=np.arange(33))
    for name, other in layouts(x):
        before = other.copy()
        np.testing.assert_array_equal(am.hebbian(other), want, err_msg=name)
        np.testing.assert_array_equal(other, before)
    for name, other in layouts(y):
        got = am.hebbian(x, other, weights=np.arange(33))
        np.testing.assert_array_equal(got, want_y, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bits"])
def test_out_is_added_to(rng, dtype):
    """Batches into one array equal one call, and an array that is not symmetric keeps its parts."""
    x = draw(rng, (600, 40), "int8" if dtype == "bits" else dtype)
    x = am.pack(x > 0) if dtype == "bits" else x
    y = x[:, :7] if dtype != "bits" else am.pack(x.unpack()[:, :7])
    for partner in (None, y):
        whole = am.hebbian(x, partner)
        out = np.zeros_like(whole)
        for start in range(0, 600, 200):
            piece = slice(start, start + 200)
            assert am.hebbian(x[piece], None if partner is None else y[piece], out=out) is out
        np.testing.assert_allclose(out, whole, rtol=0, atol=2e-3 if dtype == "float32" else 1e-12)
        ramp = np.arange(out.size).reshape(out.shape).astype(out.dtype)
        got = am.hebbian(x, partner, out=ramp.copy())
        np.testing.assert_allclose(got, ramp + whole, rtol=1e-6)
        am.hebbian(x, partner, weights=-np.ones(600), out=got)
        np.testing.assert_allclose(got, ramp, rtol=0, atol=2e-3 if dtype == "float32" else 1e-9)


def test_float64_sums_of_float32(rng):
    """A float64 out gains the digits that float32 sums over chunks lose."""
    x = (1000 + draw(rng, (20_000, 3), "float32")).astype(np.float32)
    exact = x.astype(float).T @ x.astype(float)
    single = np.abs(am.hebbian(x) - exact).max()
    double = np.abs(am.hebbian(x, out=np.zeros((3, 3))) - exact).max()
    assert double < single / 2
    for threads in (2, 3):
        one, more = (am.hebbian(x, out=np.zeros((3, 3)), threads=t) for t in (1, threads))
        np.testing.assert_array_equal(one, more)
    small = rng.integers(-100, 100, (999, 5)).astype(np.int8)
    np.testing.assert_array_equal(am.hebbian(small, out=np.zeros((5, 5))), reference.hebbian(small))


@pytest.mark.parametrize("n", [20, 300, 9000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_odd_patterns_are_named(rng, n, bad):
    """A pattern that is not finite is named, with any weight, and out stays as it was."""
    for side in "XY":
        x, y = draw(rng, (n, 40), "float32"), draw(rng, (n, 6), "float32")
        (x if side == "X" else y)[n - 3, 5] = bad
        weights = np.ones(n)
        weights[n - 3] = 0
        out = np.ones((6, 40), np.float32)
        for given in ({}, {"weights": weights}, {"out": out}):
            with pytest.raises(ValueError, match=f"{side} row {n - 3} has a NaN or infinite"):
                am.hebbian(x, y, **given)
        assert (out == 1).all()
        if side == "X":
            with pytest.raises(ValueError, match=f"X row {n - 3} has"):
                am.hebbian(x)


def test_overflow_is_refused():
    """Sums beyond their type, of finite numbers."""
    big = np.full((2, 3), 1e20, np.float32)
    with pytest.raises(ValueError, match="too large for its type"):
        am.hebbian(big)
    with pytest.raises(ValueError, match="too large for its type"):
        am.hebbian(np.full((2, 3), 1e200), weights=[1, 2])
    with pytest.raises(ValueError, match="too large for its type"):
        am.hebbian(np.ones((1, 1), np.float32), weights=[3e38], out=np.full((1, 1), 3e38, "f4"))
    ones = np.ones((4, 2), np.int8)
    for weights in (np.full(4, 2**30), np.full(4, -(2.0**30) - 1), np.full(4, 1e300)):
        with pytest.raises(ValueError, match="int32"):
            am.hebbian(ones, weights=weights)
    edge = am.hebbian(ones, weights=[2**30, 2**30 - 1, 0, 0])
    assert (edge == 2**31 - 1).all()
    out = edge.copy()
    with pytest.raises(ValueError, match="out would reach 2147483648"):
        am.hebbian(ones[:1], out=out)
    np.testing.assert_array_equal(out, edge)
    assert (am.hebbian(ones[:1], weights=[-1], out=out) == 2**31 - 2).all()


def test_no_patterns():
    """The sum of nothing is zero, and adds nothing."""
    assert (am.hebbian(np.empty((0, 3), np.float32)) == np.zeros((3, 3), np.float32)).all()
    assert am.hebbian(np.empty((0, 3), np.int8), np.empty((0, 2), np.int8)).dtype == np.int32
    out = np.ones((3, 3))
    assert am.hebbian(np.empty((0, 3)), out=out) is out
    assert (out == 1).all()


def test_arguments_are_checked(rng):
    """Shapes and types that do not fit say so."""
    x = draw(rng, (5, 3), "float32")
    with pytest.raises(ValueError, match="X must be 2-d"):
        am.hebbian(x[0])
    with pytest.raises(ValueError, match="Y has 4 rows, X has 5"):
        am.hebbian(x, x[:4])
    with pytest.raises(ValueError, match=r"weights must have shape \(5,\), got \(4,\)"):
        am.hebbian(x, weights=np.ones(4))
    with pytest.raises(ValueError, match="weights must be finite, entry 2 is nan"):
        am.hebbian(x, weights=[1, 1, np.nan, 1, 1])
    with pytest.raises(TypeError, match="X must be real numbers"):
        am.hebbian(x.astype(complex))
    with pytest.raises(ValueError, match=r"out must have shape \(3, 3\)"):
        am.hebbian(x, out=np.zeros((3, 4), np.float32))
    with pytest.raises(TypeError, match="out must have dtype float32, got int32"):
        am.hebbian(x, out=np.zeros((3, 3), np.int32))
    with pytest.raises(TypeError, match="out must have dtype float64, got float32"):
        am.hebbian(x.astype(float), out=np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="C-contiguous"):
        am.hebbian(x, out=np.zeros((3, 3), np.float32, order="F")[:, ::-1])
    square = draw(rng, (3, 3), "float32")
    with pytest.raises(ValueError, match="share memory"):
        am.hebbian(square, out=square)
    with pytest.raises(ValueError, match="out row 1 has a NaN"):
        am.hebbian(x, out=np.array([[0, 0, 0], [0, np.nan, 0], [0, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="threads"):
        am.hebbian(x, threads=0)
    with pytest.raises(MemoryError, match="GB"):
        am.hebbian(np.ones((1, 10_000_000), np.float32))


@pytest.mark.parametrize("d", [20, 70])
def test_one_number_among_signs_is_summed_as_it_is(d):
    """An int8 matrix of signs but for one 3, wherever that stands."""
    n = 5
    for i in range(n):
        for j in range(d):
            x = np.ones((n, d), np.int8)
            x[i, j] = 3
            wide = x.astype(np.int64)
            np.testing.assert_array_equal(am.hebbian(x), wide.T @ wide)


def test_more_signs_than_are_turned_at_a_time(rng):
    """Bits are turned 64 MiB of columns at a time; the second part is added to the first."""
    n, d = 8192 + 70, 65536
    raw = rng.integers(0, 256, (n, d // 8), dtype=np.uint8)
    x, y = am.BitMatrix.from_packed(raw, d), rng.choice(np.array([-1, 1], np.int8), (n, 1))
    few = np.r_[0:3, d - 3 : d]
    bits = np.unpackbits(raw[:, [0, d // 8 - 1]], axis=1)[:, [0, 1, 2, 13, 14, 15]]
    want = (2 * bits.astype(np.int64) - 1).T @ y.astype(np.int64)
    np.testing.assert_array_equal(am.hebbian(x, y)[0, few], want[:, 0])
    out = np.full((1, d), 5, np.int32)
    am.hebbian(x, y, weights=-np.ones(n), out=out)
    np.testing.assert_array_equal(out[0, few], 5 - want[:, 0])


@pytest.mark.parametrize("start", [0, 7])
def test_bytes_that_turn_out_not_to_be_signs(rng, start):
    """A batch that begins with signs is added once, to what is there already."""
    x = rng.choice(np.array([-1, 1], np.int8), (9000, 20))
    x[-1, -1] = 3
    wide = x.astype(np.int64)
    out = np.full((20, 20), start, np.int32)
    am.hebbian(x, out=out)
    np.testing.assert_array_equal(out, start + wide.T @ wide)
    double = np.full((20, 20), float(start))
    am.hebbian(x, out=double)
    np.testing.assert_array_equal(double, start + wide.T @ wide)


def test_one_entry_beyond_int32_leaves_out_as_it_was():
    """Where only one sum overflows, by rows and weights together, nothing is added anywhere."""
    x = np.array([[1, 2, 3]], np.int8)
    out = np.zeros((3, 3), np.int32)
    out[2, 2] = 2**31 - 9 * 100
    before = out.copy()
    with pytest.raises(ValueError, match="out would reach 2147483648"):
        am.hebbian(x, weights=[100], out=out)
    np.testing.assert_array_equal(out, before)
    am.hebbian(x, weights=[99], out=out)
    np.testing.assert_array_equal(out, before + 99 * np.outer(x[0], x[0]).astype(np.int64))
    out = np.full((3, 3), -(2**31) + 5, np.int32)
    with pytest.raises(ValueError, match="out would reach -21474836"):
        am.hebbian(x, weights=[-6], out=out)
    assert (out == -(2**31) + 5).all()


def test_large_weights_need_not_fit_int32_in_a_float64_out():
    """The refusal of inexact weights is for int32 sums alone."""
    x = np.ones((2, 2), np.int8)
    got = am.hebbian(x, weights=[1e15, 1], out=np.zeros((2, 2)))
    assert (got == 1e15 + 1).all()
