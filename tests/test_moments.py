"""The running moments of patterns."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import draw, interrupted

import amfast as am
from amfast import reference
from amfast._stores.matrix import Matrix, interruptible


def moments(x, w=None):
    """Return both moments by the twin."""
    return reference.hebbian(x, None, w), reference.hebbian(x, np.ones((len(x), 1)), w)[0]


def assert_moment(moment, x, w=None, rtol=1e-13):
    """Compare all sums with the twin."""
    second, first = moments(x, w)
    size = reference.hebbian(np.abs(x), None, None if w is None else np.abs(w)).max()
    np.testing.assert_allclose(moment.second, second, rtol=0, atol=rtol * size)
    np.testing.assert_array_equal(moment.second, moment.second.T)
    np.testing.assert_allclose(moment.first, first, rtol=0, atol=rtol * size)
    assert moment.count == len(moment) == len(x)
    assert moment.weight == pytest.approx(len(x) if w is None else w.sum())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("pieces", [[1] * 600, [600], [255, 1, 344], [256, 300, 44], [0, 599, 1]])
def test_pieces_equal_the_whole(rng, dtype, pieces):
    """Patterns one by one, in batches around the buffer's size, or at once; reads between."""
    x = draw(rng, (600, 11), "int8") > 0 if dtype == "bool" else draw(rng, (600, 11), dtype)
    w = rng.normal(size=600)
    plain, weighted = am.SecondMoment(), am.SecondMoment(11)
    start = 0
    for i, n in enumerate(pieces):
        piece = x[start : start + n]
        assert plain.update(piece[0] if n == 1 else piece) is plain
        weighted.update(piece, w[start : start + n])
        start += n
        if i % 100 == 1:
            assert np.isfinite(plain.second).all()
    numbers = 2.0 * x - 1 if dtype == "bool" else x
    assert_moment(plain, numbers)
    assert_moment(weighted, numbers, w)
    if np.dtype(dtype).kind in "iub":
        np.testing.assert_array_equal(plain.second, moments(numbers)[0])
        packed = am.SecondMoment().update(am.pack(x > 0))
        np.testing.assert_array_equal(packed.second, moments(2.0 * (x > 0) - 1)[0])


def test_types_may_change(rng):
    """float32 patterns in the buffer are not rounded again by, and do not round, float64 ones."""
    single, double = draw(rng, (30, 4), "float32"), draw(rng, (30, 4), "float64")
    for order in ((single, double), (double, single)):
        moment = am.SecondMoment()
        for part in order:
            moment.update(part)
        assert_moment(moment, np.concatenate(order))


def test_float32_has_a_null_space(rng):
    """Products of float32 patterns are exact, so missing directions are zero to float64's eps."""
    x = rng.integers(-9, 9, (2000, 6)).astype(np.float32)
    x = np.concatenate([x, x[:, :3] - x[:, 3:]], axis=1)
    values = np.linalg.eigvalsh(am.SecondMoment().update(x).second)
    assert (np.abs(values[:3]) < 1e-12 * values[-1]).all()
    assert values[3] > 1e-3 * values[-1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(rng, threads):
    """Whatever computes."""
    x, w = draw(rng, (3000, 40), "float32"), rng.random(3000)
    one = am.SecondMoment().update(x, w, threads=1).update(x[:99], threads=1)
    with am.threads(threads):
        other = am.SecondMoment().update(x, w).update(x[:99])
        np.testing.assert_array_equal(one.second, other.second)
        np.testing.assert_array_equal(one.first, other.first)


def test_merge(rng):
    """Two moments add up, the empty one is neutral, and the other stays as it is."""
    x, w = draw(rng, (900, 5), "float64"), rng.random(900)
    parts = [am.SecondMoment().update(x[i : i + 300], w[i : i + 300]) for i in (0, 300, 600)]
    parts[1].update(x[0], 0)  # in the buffer
    merged = am.SecondMoment()
    for part in parts:
        before = part.second.copy()
        assert merged.merge(part) is merged
        np.testing.assert_array_equal(part.second, before)
    assert merged.count == 901
    np.testing.assert_allclose(merged.second, moments(x, w)[0])
    before = merged.second.copy()
    merged.merge(am.SecondMoment())
    merged.merge(am.SecondMoment(5))
    np.testing.assert_array_equal(merged.second, before)
    twice = merged.merge(merged)
    np.testing.assert_allclose(twice.second, 2 * before)
    assert twice.count == 1802
    with pytest.raises(ValueError, match="the other has 4 entries per pattern, this has 5"):
        merged.merge(am.SecondMoment(4))
    with pytest.raises(TypeError, match="merges another, got list"):
        merged.merge([])


def test_rules(rng):
    """Means, Hebb, centred Hebb and projection against NumPy."""
    x, w = draw(rng, (700, 8), "float64") + 3, rng.random(700) + 0.1
    moment = am.SecondMoment().update(x, w)
    mean = np.average(x, axis=0, weights=w)
    np.testing.assert_allclose(moment.mean, mean)
    np.testing.assert_allclose(moment.hebb, (x * w[:, None]).T @ x / w.sum())
    np.testing.assert_allclose(
        moment.centred, np.cov(x.T, aweights=w, ddof=0), rtol=1e-10, atol=1e-12
    )
    few = rng.normal(size=(5, 20))
    span = am.SecondMoment().update(few)
    np.testing.assert_allclose(span.projection(), np.linalg.pinv(few) @ few, atol=1e-9)
    np.testing.assert_allclose(few @ span.projection(), few, atol=1e-9)
    assert np.trace(span.projection(rtol=2.0)) == 0


def test_scale_fades(rng):
    """Old patterns count less."""
    x = draw(rng, (300, 4), "float64")
    moment = am.SecondMoment().update(x[:10]).scale(0.5).update(x[10:])
    w = np.where(np.arange(300) < 10, 0.5, 1.0)
    assert_moment(moment, x, w)
    assert am.SecondMoment().scale(0.5).count == 0
    with pytest.raises(ValueError, match="factor must be a finite number"):
        moment.scale(np.nan)


def test_taking_out(rng):
    """A pattern with minus its weight is gone; what is left may weigh nothing, which is said."""
    x = rng.integers(-5, 5, (40, 6)).astype(float)
    moment = am.SecondMoment().update(x).update(x[7], -1)
    np.testing.assert_array_equal(moment.second, moments(np.delete(x, 7, 0))[0])
    moment.update(np.delete(x, 7, 0), -np.ones(39))
    assert not moment.second.any()
    for rule in ("mean", "hebb", "centred"):
        with pytest.raises(ValueError, match="weights sum to 0"):
            getattr(moment, rule)
    with pytest.raises(ValueError, match="eigenvalue -"):
        moment.update(x[0], -2).projection()


def test_empty_and_bad_input(rng):
    """Nothing to read, and nothing is added where something is wrong."""
    moment = am.SecondMoment()
    assert moment.d is None
    assert "0 patterns" in repr(moment)
    for rule in ("mean", "hebb", "centred", "first", "second"):
        with pytest.raises(ValueError, match="the moment is empty"):
            getattr(moment, rule)
    with pytest.raises(ValueError, match="the moment is empty"):
        moment.projection()
    with pytest.raises(ValueError, match="weights sum to 0"):
        _ = am.SecondMoment(3).hebb
    x = draw(rng, (30, 3), "float32")
    moment.update(x)
    before = moment.second.copy()
    bad = x.copy()
    bad[4, 1] = np.nan
    for given, weights, message in (
        (bad, None, "X row 4 has a NaN"),
        (x[:, :2], None, "X have 2 columns, the moment has 3"),
        (x, np.ones(3), r"weights must have shape \(30,\)"),
        (x, np.full(30, np.inf), "weights must be finite, entry 0 is inf"),
        (x, 2.0, r"weights must have shape \(30,\)"),
        (x[None], None, "X must be 2-d"),
    ):
        with pytest.raises(ValueError, match=message):
            moment.update(given, weights)
        np.testing.assert_array_equal(moment.second, before)
        assert moment.count == 30
    with pytest.raises(TypeError, match="strings"):
        moment.update(["a"])
    with pytest.raises(ValueError, match="d must be"):
        am.SecondMoment(0)
    with pytest.raises(MemoryError, match="GB"):
        am.SecondMoment(10_000_000)
    for view in (moment.second, moment.first):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1


def test_pickle_and_size(rng):
    """A copy goes on by itself; nbytes counts the sums and the buffer."""
    x = draw(rng, (300, 50), "float64")
    moment = am.SecondMoment().update(x[:20])
    copy = pickle.loads(pickle.dumps(moment))
    copy.update(x[20:])
    assert_moment(copy, x)
    assert moment.count == 20
    assert 50 * 50 * 8 <= moment.nbytes <= 50 * 51 * 8 + 256 * 51 * 8


@pytest.mark.parametrize("n", [3, 300])
def test_a_copy_has_sums_of_its_own(rng, n):
    x = rng.standard_normal((n + 4, 3))
    first = am.SecondMoment().update(x[:n])
    second = copy.copy(first)
    second.update(x[n : n + 2])
    first.update(x[n + 2 :])
    for moment, rows in ((first, np.r_[0:n, n + 2 : n + 4]), (second, np.arange(n + 2))):
        np.testing.assert_allclose(moment.second, x[rows].T @ x[rows], rtol=1e-12, atol=1e-12)
        assert moment.count == n + 2


# -- nothing half done ----------------------------------------------------------------------------


def assert_same(moment, other):
    """Compare all that is read, bit for bit."""
    assert (moment.count, moment.weight, moment.d) == (other.count, other.weight, other.d)
    if moment.d is not None:
        np.testing.assert_array_equal(moment.second, other.second)
        np.testing.assert_array_equal(moment.first, other.first)


@pytest.mark.parametrize("n", [1, 5, 300])
@pytest.mark.parametrize("held", [0, 5, 300])
def test_sums_beyond_float64_are_refused_at_once(rng, n, held):
    """By update, merge and scale, which leave the moment as it was."""
    moment = am.SecondMoment(3).update(draw(rng, (held, 3), "float64"))
    before = copy.deepcopy(moment)
    huge = np.full((n, 3), 1e200)
    for call in (
        lambda: moment.update(huge),
        lambda: moment.update(np.full((n, 3), 1e10), weights=np.full(n, 1e300)),
        lambda: moment.update(np.full((n, 3), 1e-30), weights=np.full(n, 1.7e308 / n)).update(
            np.full((n, 3), 1e-30), weights=np.full(n, 1.7e308 / n)
        ),
    ):
        kept = copy.deepcopy(moment)
        with pytest.raises(ValueError, match="the range of float64|beyond the largest float64"):
            call()
        if moment.weight < 1e300:
            assert_same(moment, kept)
    moment = before
    large = am.SecondMoment().update(np.full((n, 3), 1.2e154 / n**0.5))
    kept = copy.deepcopy(large)
    for call in (lambda: large.merge(large), lambda: large.scale(1e10), lambda: large.scale(-4.0)):
        with pytest.raises(ValueError, match="leave the range of float64"):
            call()
        assert_same(large, kept)
    moment.update(np.ones((2, 3)))
    assert np.isfinite(moment.second).all() and moment.count == held + 2


def test_large_sums_that_fit(rng):
    """What is near the end of the range is summed right, and read when it is asked for."""
    moment = am.SecondMoment()
    for _ in range(3):
        moment.update([5e153, -1e150])
    np.testing.assert_allclose(moment.second[0], [7.5e307, -1.5e304], rtol=1e-12)
    single = am.SecondMoment().update(np.full((2, 2), 1e30, np.float32))
    np.testing.assert_allclose(single.second, 2e60, rtol=1e-6)


def test_many_first_reads_at_once(rng):
    """A read settles what waited; no reader may meet it half done."""
    x = draw(rng, (200, 150), "float64")
    want = am.SecondMoment().update(x).second
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            moment = am.SecondMoment().update(x)
            with ThreadPoolExecutor(8) as pool:
                for found in pool.map(lambda _, m=moment: m.second, range(32)):
                    np.testing.assert_array_equal(found, want)
    finally:
        sys.setswitchinterval(before)


def test_what_was_read_does_not_change(rng):
    """Views are of the sums as they were."""
    x = draw(rng, (400, 4), "float64")
    moment = am.SecondMoment().update(x)
    second, first = moment.second, moment.first
    kept = second.copy(), first.copy()
    moment.update(x).scale(2.0).merge(moment)
    np.testing.assert_array_equal(second, kept[0])
    np.testing.assert_array_equal(first, kept[1])


@pytest.mark.parametrize("verb", ["update", "update many", "merge", "scale", "second"])
@pytest.mark.parametrize("held", [0, 250, 300])
def test_an_interrupt_at_any_line_leaves_old_or_new(rng, verb, held):
    """Never a third state."""
    x, more = draw(rng, (held, 3), "float64"), draw(rng, (300, 3), "float64")
    old = am.SecondMoment(3).update(x)
    other = am.SecondMoment().update(more[:20])
    verbs = {
        "update": lambda m: m.update(more[:10], np.arange(10.0)),
        "update many": lambda m: m.update(more),
        "merge": lambda m: m.merge(other),
        "scale": lambda m: m.scale(0.5),
        "second": lambda m: m.second,
    }
    new = pickle.loads(pickle.dumps(old))
    verbs[verb](new)
    at = 1
    while True:
        moment = pickle.loads(pickle.dumps(old))
        stopped = interrupted(lambda m=moment: verbs[verb](m), at)
        expected = old if moment.weight == old.weight and moment.count == old.count else new
        second = moment.second
        if verb == "scale" and not np.array_equal(second, old.second):
            expected = new
        np.testing.assert_array_equal(second, expected.second)
        np.testing.assert_array_equal(moment.first, expected.first)
        assert moment.count == expected.count
        if not stopped:
            break
        at += 1
    assert at > 3


def test_arrays_make_the_same_moment(rng, tmp_path):
    """What a file holds is enough, and what is no moment is refused."""
    x = draw(rng, (30, 4), "float32")
    moment = am.SecondMoment().update(x, rng.random(30)).scale(0.5)
    again = am.SecondMoment.restore(*moment.arrays())
    assert_same(again, moment)
    loaded = am.load(moment.save(tmp_path / "moment"))
    assert_same(loaded, moment)
    assert am.load(am.SecondMoment().save(tmp_path / "none")).d is None
    arrays, meta = moment.arrays()
    for name, wrong in (
        ("second", arrays["second"][:2]),
        ("second", arrays["second"].astype("f4")),
        ("first", arrays["first"][:2]),
        ("first", np.full(4, np.nan)),
    ):
        with pytest.raises(ValueError, match=f"{name} must be float64|NaN|total must be"):
            am.SecondMoment.restore(arrays | {name: wrong}, meta)
    with pytest.raises(ValueError, match="no sum has the weight"):
        am.SecondMoment.restore(arrays, meta | {"weight": np.inf})
    assert_same(again.update(x), moment.update(x))
    assert am.SecondMoment.restore(*am.SecondMoment().arrays()).d is None


# -- the matrix below -----------------------------------------------------------------------------


def signs(rng, shape):
    return am.pack(rng.choice(np.array([-1, 1], np.int8), shape))


def test_a_matrix_is_exact_while_it_can(rng):
    """int32 for whole weights whose magnitudes sum below 2^31, float64 beyond, old ones kept."""
    x, y = signs(rng, (40, 9)), signs(rng, (40, 5))
    wide, wide_y = x.unpack().astype(np.int64), y.unpack().astype(np.int64)
    w = rng.integers(-9, 9, 40).astype(float)
    want = (wide_y * w[:, None].astype(np.int64)).T @ wide
    zero = Matrix.zeros(5, 9, exact=True)
    whole = zero.plus(x, y, w, threads=1)
    assert whole.total.dtype == np.int32 and not whole.total.flags.writeable
    np.testing.assert_array_equal(whole.total, want)
    assert (whole.count, whole.weight, whole.reach) == (40, w.sum(), np.abs(w).sum())
    assert (zero.total == 0).all() and len(zero) == 0
    halves = whole.plus(x, y, w / 2, threads=2)
    assert halves.total.dtype == np.float64
    np.testing.assert_array_equal(halves.total, 1.5 * want)
    last = np.zeros(40)
    last[0] = 2**31 - 1 - whole.reach
    full = whole.plus(x, y, last, threads=1)
    assert full.total.dtype == np.int32 and full.reach == 2**31 - 1
    beyond = full.plus(x[:1], y[:1], np.ones(1), threads=1)
    assert beyond.total.dtype == np.float64
    np.testing.assert_array_equal(beyond.total, full.total + np.outer(wide_y[0], wide[0]))
    twice = full.merged(full)
    assert twice.total.dtype == np.float64
    np.testing.assert_array_equal(twice.total, 2.0 * full.total)
    np.testing.assert_array_equal(whole.merged(zero).total, whole.total)
    assert whole.merged(whole).total.dtype == np.int32
    np.testing.assert_array_equal(whole.faded(0.5).total, whole.total / 2)
    np.testing.assert_array_equal(whole.merged(whole, 0.5).total, 1.5 * whole.total)
    again = Matrix.restore(*whole.arrays())
    np.testing.assert_array_equal(again.total, whole.total)
    assert (again.count, again.weight) == (40, w.sum())
    assert again.reach >= np.abs(want).max()
    assert again.nbytes == 5 * 9 * 4 and again.shape == (5, 9)


def test_a_matrix_fades(rng):
    """Old rows count less, in one call or in two."""
    x, y = draw(rng, (30, 4), "float64"), draw(rng, (30, 3), "float64")
    w = rng.random(30)
    first = Matrix.zeros(3, 4).plus(x[:10], y[:10], w[:10], threads=1)
    got = first.plus(x[10:], y[10:], w[10:], threads=1, old=0.25)
    factor = np.where(np.arange(30) < 10, 0.25, 1.0) * w
    np.testing.assert_allclose(got.total, reference.hebbian(x, y, factor), atol=1e-13)
    assert got.weight == pytest.approx(factor.sum()) and got.count == 30
    assert first.plus(x[:0], y[:0], threads=1, old=0.5).weight == first.weight / 2
    for call in (
        lambda: first.plus(x * 1e200, y * 1e200, threads=1),
        lambda: first.plus(x, y * 1e308, w, threads=1, old=1e308),
        lambda: first.faded(1e308).merged(first.faded(1e308)),
        lambda: first.faded(1e300).faded(1e300),
        lambda: first.faded(1e300).merged(first, 1e300),
    ):
        with pytest.raises(ValueError, match="range of float64|largest float64"):
            call()


# -- decompositions -------------------------------------------------------------------------------


def test_work_beside_answers_and_raises():
    """What is done beside gives its answer, its errors and its settings."""
    assert interruptible(lambda a, b: a - b, 5, 3) == 2
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)
    with am.threads(3):
        assert interruptible(am.get_num_threads) == 3
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(interruptible, threading.current_thread).result() is not None


def test_a_decomposition_can_be_left():
    """Ctrl-C comes through while LAPACK is at it, the memory is as it was, and the process ends.

    It ends well although LAPACK is still at work: OpenBLAS crashes if the process exits under it.
    """
    code = """
import os, signal, threading, time
import numpy as np, amfast as am
from amfast._stores.matrix import interruptible
moment = am.SecondMoment().update(np.random.default_rng(0).normal(size=(40, 30)))
fired = []
def fire():
    fired.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
for call in (
    lambda: interruptible(time.sleep, 2),
    lambda: interruptible(np.linalg.eigh, np.ones((1500, 1500)) + np.eye(1500)),
):
    threading.Timer(0.1, fire).start()
    try:
        call()
    except KeyboardInterrupt:
        print(time.perf_counter() - fired[-1])
    else:
        print(0.0)
assert moment.projection().shape == (30, 30)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert all(float(line) < 1.0 for line in run.stdout.split()), run.stdout
