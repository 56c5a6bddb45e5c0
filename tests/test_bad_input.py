"""Bad input: a clear ValueError, TypeError or MemoryError, never a panic or a wrong answer."""

from __future__ import annotations

import warnings

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from conftest import METRICS, assert_scores
from hypothesis import given
from hypothesis import strategies as st

import amfast as am
from amfast import reference

REFUSALS = (ValueError, TypeError, MemoryError)

X = np.arange(12.0).reshape(3, 4) + 1
Q = X[:2]

# What is done with a (queries, keys) pair, by name.
CALLS = {
    "pairwise": lambda q, k: am.pairwise(q, k, "l1"),
    "topk": lambda q, k: am.topk(q, k, 1, "dot"),
    "within": lambda q, k: am.within(q, k, 1.0, "l2"),
    "retrieve": lambda q, k: am.retrieve(q, k),
    "retrieve max": lambda q, k: am.retrieve(q, k, separation="max"),
    "retrieve function": lambda q, k: am.retrieve(q, k, separation=np.tanh),
    "recall": lambda q, k: stored(k).recall(q),
    "recall paper": lambda q, k: stored(k, convention="paper").recall(q),
    "recall max": lambda q, k: stored(k, separation="max").recall(q),
    "scores": lambda q, k: stored(k).scores(q),
    "weights": lambda q, k: stored(k).weights(q),
    "energy": lambda q, k: stored(k).energy(q),
}


def stored(keys, **options):
    memory = am.UniversalHopfield(**options)
    memory.store(keys)
    return memory


def with_entry(value, dtype=float):
    x = X.astype(dtype)
    x[1, 2] = value
    return x


BAD_KEYS = [
    (X[0], ValueError, r"keys must be 2-d \(N, d\), got 1-d of shape \(4,\)"),
    (X[None], ValueError, "keys must be 2-d .* got 3-d"),
    (1.0, ValueError, "keys must be 2-d .* got 0-d"),
    (X[:, :3], ValueError, "have 4 columns, the .* 3"),
    (X[:, :0], ValueError, "keys have 0 columns"),
    (with_entry(np.nan), ValueError, "keys row 1 has a NaN or infinite entry"),
    (with_entry(np.inf, np.float32), ValueError, "keys row 1 has a NaN or infinite entry"),
    (with_entry(-np.inf, np.float16), ValueError, "keys row 1 has a NaN or infinite entry"),
    (X + 1j, TypeError, "keys must be real numbers, got dtype complex128"),
    (X.astype(object), TypeError, "keys must be real numbers, got dtype object"),
    (X.astype(str), TypeError, "keys must be real numbers, got dtype <U"),
    (X.astype(bytes), TypeError, "keys must be real numbers, got dtype |S"),
    (X.astype(np.longdouble), TypeError, "extended precision"),
    (X.astype("M8[s]"), TypeError, "dates"),
    (X.astype("m8[s]"), TypeError, "time spans"),
    (np.zeros((3, 4), "f4,i4"), TypeError, "records"),
    ([[1.0, 2.0, 3.0, 4.0], [1.0]], ValueError, "keys cannot be read"),
    ("keys", TypeError, "keys must be real numbers"),
    (None, TypeError, "keys must be real numbers"),
    ({1: 2}, TypeError, "keys must be real numbers"),
    (np.ma.masked_equal(X, 7.0), ValueError, "masked entries in keys"),
    (with_entry(2**53 + 1, np.int64), ValueError, "integer 9007199254740993"),
    (with_entry(2**64 - 1, np.uint64), ValueError, "integer 18446744073709551615"),
    ([[2**53 + 1, 0.5, 0.0, 0.0]], ValueError, "integer 9007199254740993"),
    ([[2**200, 1, 0, 0]], TypeError, "keys must be real numbers"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("keys", "error", "message"), BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_bad_keys(call, keys, error, message):
    """The message names the argument, what was expected and what came."""
    stores = call.startswith(("recall", "scores", "weights", "energy"))
    if stores and isinstance(keys, np.ndarray) and keys.shape == (4,):
        assert np.isfinite(CALLS[call](Q, keys)).all()  # one item
        return
    with pytest.raises(error, match=message):
        CALLS[call](Q, keys)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("bad", "error", "message"), BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_bad_cues(call, bad, error, message):
    """The same for cues, where one row is allowed."""
    if isinstance(bad, np.ndarray) and bad.shape == (4,):
        answers = CALLS[call](bad, X)
        for answer in answers if isinstance(answers, tuple) else (answers,):
            assert np.isfinite(answer).all()
        return
    name = "(queries|cues|states)"
    message = message.replace("keys", name).replace(r" \(N, d\)", "")
    message = message.replace("have 4 columns, the .* 3", "have 3 columns, the .* 4")
    with pytest.raises(error, match=message):
        CALLS[call](bad, X)


def test_bad_rows_far_down(rng):
    """The first bad row is named, wherever it is and however many threads look."""
    for dtype in ("float16", "float32", "float64"):
        k = rng.normal(size=(3000, 33)).astype(dtype)
        k[[2222, 2500], 32] = np.nan
        for threads in (1, 2, 3):
            for call in (
                lambda t, k=k: am.pairwise(k[:5], k, "dot", threads=t),
                lambda t, k=k: am.topk(k[:5], k, 3, "l1", threads=t),
                lambda t, k=k: am.within(k[:5], k, 3.0, "l2", threads=t),
                lambda t, k=k: am.retrieve(k[:5], k, threads=t),
            ):
                with pytest.raises(ValueError, match="keys row 2222 has a NaN"):
                    call(threads)
            with pytest.raises(ValueError, match="queries row 2222 has a NaN"):
                am.pairwise(k, k[:5], "dot", threads=threads)
            with pytest.raises(ValueError, match="values row 2222 has a NaN"):
                am.retrieve(k[:5, :4], k[:, :4], k, threads=threads)


@pytest.mark.parametrize("metric", METRICS)
def test_distributions_are_checked(metric):
    """Negative entries and blank rows are no distributions; the others do not mind."""
    blank, negative = X.copy(), X.copy()
    blank[2] = 0
    negative[1, 1] = -1
    if metric not in ("kl", "reverse_kl", "jensenshannon"):
        for x in (blank, negative):
            assert_scores(am.pairwise(x, x, metric), x, x, metric)
        return
    for x, row in ((blank, 2), (negative, 1)):
        with pytest.raises(ValueError, match=f"keys row {row}"):
            am.pairwise(X, x, metric)
        with pytest.raises(ValueError, match=f"queries row {row}"):
            am.topk(x, X, 1, metric)
        with pytest.raises(ValueError, match=f"(cues|queries) row {row}"):
            am.retrieve(x, X, similarity=metric)
    for convention in ("standard", "paper"):
        if convention == "paper" and metric == "jensenshannon":
            continue
        m = am.UniversalHopfield(metric, convention=convention)
        with pytest.raises(ValueError, match="keys row 1 has a negative entry"):
            m.store(negative)
        m.store(X)
        with pytest.raises(ValueError, match="cues row 1 has a negative entry"):
            m.recall(negative)


def test_names():
    """Unknown names come with the list and what is near."""
    with pytest.raises(ValueError, match="unknown metric 'manhatan'; did you mean 'manhattan'"):
        am.pairwise(Q, X, "manhatan")
    with pytest.raises(ValueError, match="Known: dot, cosine") as error:
        am.pairwise(Q, X, "chebyshev")
    assert "chebyshev" not in str(error.value).split("Known")[1]
    with pytest.raises(TypeError, match="metric must be a name, got NoneType"):
        am.pairwise(Q, X, None)
    with pytest.raises(ValueError, match="unknown metric 'Dot'; did you mean 'dot'"):
        am.UniversalHopfield("Dot")
    with pytest.raises(ValueError, match="unknown separation 'softmx'; did you mean 'softmax'"):
        am.UniversalHopfield("dot", "softmx")
    with pytest.raises(ValueError, match="convention must be one of 'standard', 'paper'"):
        am.UniversalHopfield(convention="papers")
    with pytest.raises(ValueError, match="readout must be one of"):
        am.UniversalHopfield(readout="relu")
    for bad in (3, None, [1]):
        with pytest.raises(TypeError, match="similarity must be"):
            am.UniversalHopfield(bad)
        with pytest.raises(TypeError, match="separation must be"):
            am.UniversalHopfield("dot", bad)
    with pytest.raises(TypeError, match="class"):
        am.UniversalHopfield("dot", am.Softmax)


def test_numbers():
    """k, radius, beta, powers and the rest, out of range or of another kind."""
    for k, error in [(0, ValueError), (4, ValueError), (-1, ValueError), (2**70, ValueError)]:
        with pytest.raises(error, match=r"k must be an int in 1\.\.3, got"):
            am.topk(Q, X, k, "dot")
        with pytest.raises(error, match="k must be"):
            am.retrieve(Q, X, separation=am.TopK(k))
    for k in (1.0, "1", None, True, np.array([1])[:0]):
        with pytest.raises(TypeError, match="k must be an int"):
            am.topk(Q, X, k, "dot")
    assert am.topk(Q, X, np.int8(2), "dot")[0].shape == (2, 2)
    for radius in (np.nan, -np.inf, -1, 10**400):
        with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
            am.within(Q, X, radius, "l1")
    for radius in ("1", None, 1j, True, [1]):
        with pytest.raises(TypeError, match="radius must be a finite number"):
            am.within(Q, X, radius, "dot")
    am.within(Q, X, -5, "dot")
    for beta, error in [(-1, ValueError), (np.nan, ValueError), ("1", TypeError), (1j, TypeError)]:
        for call in (
            am.Softmax,
            am.Exponential,
            lambda b: am.TopK(1, b),
            lambda b: am.retrieve(Q, X, beta=b),
            lambda b: am.UniversalHopfield(beta=b),
        ):
            with pytest.raises(error, match="beta must be a finite number >= 0"):
                call(beta)
    for n, error in [
        (0, ValueError), (-1.5, ValueError), (np.nan, ValueError), ("2", TypeError),
        (2**40, ValueError), (True, TypeError),
    ]:  # fmt: skip
        with pytest.raises(error, match="n must be a number"):
            am.Polynomial(n)
    with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
        am.UniversalHopfield("l1", am.Threshold(-1.0))
    with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
        am.retrieve(Q, X, similarity="l1", separation=am.Threshold(-1.0))
    m = stored(X)
    for name, bad in [("max_iter", 0), ("tol", -1.0), ("tol", np.nan), ("threads", 0)]:
        with pytest.raises(ValueError, match=name):
            m.recall(Q, **{name: bad})
    for name, bad in [("max_iter", 1.0), ("tol", "0"), ("details", 1), ("threads", 2.0)]:
        with pytest.raises(TypeError, match=name):
            m.recall(Q, **{name: bad})


def test_beta_that_would_have_no_effect():
    """A beta beside a separation that has none, or has its own, is refused."""
    for separation in ("max", "identity", "cube", am.Softmax(2.0), am.Max(), np.tanh):
        with pytest.raises(ValueError, match="beta=3.0"):
            am.UniversalHopfield("dot", separation, beta=3.0)
        with pytest.raises(ValueError, match="beta=3.0"):
            am.retrieve(Q, X, separation=separation, beta=3.0)


def test_out_is_checked():
    """`out` must be exactly right and nobody else's."""
    good = np.zeros((2, 3))
    big = np.zeros((6, 8))
    cases = [
        ([[0.0] * 3] * 2, TypeError, "out must be a plain NumPy array, got list"),
        (np.empty((3, 2)), ValueError, r"out must have shape \(2, 3\), got \(3, 2\)"),
        (np.empty(6), ValueError, "out must have shape"),
        (good.astype(np.float32), TypeError, "out must have dtype float64, got float32"),
        (good.astype(int), TypeError, "out must have dtype float64, got int64"),
        (good.astype(">f8"), TypeError, "out must have dtype float64"),
        (np.empty((2, 3), order="F"), ValueError, "out must be C-contiguous"),
        (big[::3, ::3], ValueError, "out must be C-contiguous"),
    ]
    frozen = good.copy()
    frozen.flags.writeable = False
    cases.append((frozen, ValueError, "out must be writable"))
    for out, error, message in cases:
        with pytest.raises(error, match=message):
            am.pairwise(Q, X, "l1", out=out)
    keys = np.ones((3, 3))
    for overlapping in (keys[:2], keys.reshape(-1)[1:7].reshape(2, 3)):
        with pytest.raises(ValueError, match="out must not share memory"):
            am.pairwise(np.ones((2, 3)), keys, "l1", out=overlapping)
    queries = np.ones((3, 3))
    with pytest.raises(ValueError, match="out must not share memory"):
        am.pairwise(queries.T, np.ones((3, 3)), "l1", out=queries)
    # Interleaved, but no element in common.
    rows = np.ones((4, 3))
    am.pairwise(rows[::3], np.ones((3, 3)), "l1", out=rows[1:3])
    np.testing.assert_array_equal(rows[[0, 3]], 1)


def test_values_and_weights_are_checked():
    """Values and weights must match the keys."""
    for values, message in [
        (X[:2], "values have 2 rows, the keys have 3"),
        (X[:, :0], "values have 0 columns"),
        (X[0], "values must be 2-d"),
        (with_entry(np.nan), "values row 1 has a NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            am.retrieve(Q, X, values)
        with pytest.raises(ValueError, match=message.replace("the keys", "keys")):
            am.UniversalHopfield().store(X, values)
    for bad, message in [
        ([1, 2], r"weights must have shape \(3,\), got \(2,\)"),
        (1.0, r"weights must have shape \(3,\), got \(\)"),
        ([1, -1, 1], "weights must be finite and >= 0, entry 1 is -1"),
        ([1, 1, np.inf], "entry 2 is inf"),
        ([np.nan, 1, 1], "entry 0 is nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            am.UniversalHopfield().store(X, weights=bad)
    for bad, message in [
        ([1, 2], r"log_weight must have shape \(3,\), got \(2,\)"),
        ([0, np.inf, 0], "log_weight must be finite or -inf, entry 1 is inf"),
        ([0, 0, np.nan], "entry 2 is nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            am.retrieve(Q, X, log_weight=bad)
    with pytest.raises(TypeError, match="weights must be real numbers"):
        am.UniversalHopfield().store(X, weights=["a", "b", "c"])


def test_empty_stores():
    """No keys: a ValueError; nothing stored: another; nothing to store: nothing happens."""
    for call in list(CALLS)[:6]:
        with pytest.raises(ValueError, match=r"keys have no rows, shape \(0, 4\)"):
            CALLS[call](Q, X[:0])
    m = am.UniversalHopfield()
    assert len(m.store(X[:0])) == len(m) == 0
    for verb in ("recall", "scores", "weights", "energy"):
        with pytest.raises(ValueError, match="the memory is empty"):
            getattr(m, verb)(Q)
    assert m.keys.shape[0] == m.values.shape[0] == len(m.ids) == len(m.log_weight) == 0
    m.delete([])
    with pytest.raises(ValueError, match="no item has the id 0"):
        m.delete(0)
    m.store(X)
    assert len(m.store(X[:0])) == 0


def test_a_failed_store_stores_nothing():
    """Whatever was wrong, the memory is as it was."""
    m = am.UniversalHopfield("dot", "max")
    m.store(X, X)
    before = m.recall(Q)
    for keys, values, weights in [
        (X[:, :2], X, None),
        (X, X[:, :2], None),
        (X, None, None),
        (X, X, [1, 2]),
        (with_entry(np.nan), X, None),
        (X, with_entry(np.nan), None),
        (X.astype(str), X, None),
    ]:
        with pytest.raises(REFUSALS):
            m.store(keys, values, weights=weights)
        assert len(m) == 3 and m.recall(Q).tobytes() == before.tobytes()
    auto = am.UniversalHopfield()
    auto.store(X)
    with pytest.raises(ValueError, match="no values"):
        auto.store(X, X)


def test_ids_are_checked():
    """Ids must be whole, known and named once."""
    m = am.UniversalHopfield()
    m.store(X)
    for bad, error, message in [
        ([0, 3], ValueError, "no item has the id 3"),
        ([-1], ValueError, "no item has the id -1"),
        ([1, 1], ValueError, "twice"),
        ([0.0], TypeError, "ids must be integers"),
        (["a"], TypeError, "ids must be integers"),
        ([True, False, True], TypeError, "ids must be integers"),
        (None, TypeError, "ids must be integers"),
        ([[0]], ValueError, "1-d"),
        (np.array([2**64 - 1], np.uint64), ValueError, "no item has the id"),
    ]:
        with pytest.raises(error, match=message):
            m.delete(bad)
    assert len(m) == 3


def test_merge_is_checked():
    """Only memories of the same parts and kind merge."""
    m = stored(X)
    with pytest.raises(TypeError, match="other must be a UniversalHopfield, got list"):
        m.merge([1])
    for other in (stored(X, beta=2.0), stored(X, similarity="l1"), stored(X, readout="l2")):
        with pytest.raises(ValueError, match="differ in their parts"):
            m.merge(other)
    with pytest.raises(ValueError, match="columns"):
        m.merge(stored(X[:, :2]))
    assert len(m) == 3
    assert len(m.merge(m)) == 6


def test_what_cannot_fit_is_refused_with_the_numbers():
    """Results beyond the machine's memory: MemoryError before any work, not a kill."""
    huge = np.broadcast_to(np.float32(1), (3_000_000, 1)).copy()
    for call in (
        lambda: am.pairwise(huge, huge, "dot"),
        lambda: am.topk(huge, huge, len(huge), "dot"),
        lambda: stored(huge).scores(huge),
        lambda: stored(huge).weights(huge),
    ):
        with pytest.raises(MemoryError, match=r"\(3000000, 3000000\).* GB"):
            call()


def test_sqrt_and_log_of_negative_scores():
    """Named with the cue's row and the way out."""
    for separation in ("sqrt", "log"):
        with pytest.raises(ValueError, match="cues row 1 .*negative score"):
            am.retrieve([[1.0], [-1.0]], [[1.0]], separation=separation)
        m = stored(np.ones((2, 1)), similarity="l1", separation=separation)
        with pytest.raises(ValueError, match="convention='paper'"):
            m.recall([[2.0]])
        with pytest.raises(ValueError, match="negative"):
            m.weights([[2.0]])


def test_weights_out_of_range_are_named():
    """Raw weights beyond the largest float are refused, not turned into inf."""
    m = stored(np.full((1, 4), 1e6, np.float32), separation=am.Polynomial(9), normalize=False)
    with pytest.raises(ValueError, match="beyond the largest float32"):
        m.recall(np.ones((1, 4), np.float32))


def test_scores_that_overflow_are_named():
    """A product or a distance beyond float32 is no score; float64 holds it."""
    k = np.array([[1e30, 0], [1, 1]], np.float32)
    for separation in ("softmax", "identity", "cube", am.Polynomial(3, True), am.TopK(2, 1.0)):
        with pytest.raises(ValueError, match="score (is )?too large"):
            am.retrieve(k[::-1], k, separation=separation)
        m = stored(k, separation=separation)
        for verb in (m.recall, m.weights):
            with pytest.raises(ValueError, match="score (is )?too large"):
                verb(k[::-1])
    for separation in ("softmax", "max", am.TopK(2), am.TopK(2, 1.0)):
        m = stored(k, similarity="sqeuclidean", separation=separation)
        for verb in (m.recall, m.weights, m.scores):
            with pytest.raises(ValueError, match="score is too large"):
                verb(k)
    for call in (
        lambda: am.pairwise(k, k, "sqeuclidean"),
        lambda: am.topk(k, k, 1, "sqeuclidean"),
        lambda: am.within(k, k, 1.0, "sqeuclidean"),
    ):
        with pytest.raises(ValueError, match="score is too large"):
            call()
    wide = k.astype(np.float64)
    np.testing.assert_array_equal(stored(wide, similarity="sqeuclidean").recall(wide), wide)


def test_tensors_that_cannot_be_read():
    """torch tensors with a gradient or of an unknown type are refused by name."""
    torch = pytest.importorskip("torch")
    for bad in (
        torch.ones(3, 4, requires_grad=True),
        torch.ones(3, 4, dtype=torch.complex64),
        torch.ones(3, 4).to_sparse(),
    ):
        with pytest.raises(TypeError, match="keys"):
            am.pairwise(Q, bad, "dot")
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="sparse"):
        am.pairwise(Q, sparse.csr_matrix(X), "dot")


# -- hostile input at random ----------------------------------------------------------------------

numbers = st.one_of(
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 1.0, 1e-45, 3e38, -3e38, 1e-300, 1e300, np.nan, np.inf, -np.inf]),
    st.integers(-3, 300),
)
dtypes = st.one_of(
    st.sampled_from(
        [np.dtype(c) for c in ("f2", "f4", "f8", ">f4", "u1", "i1", "i4", ">i8", "u8", "?", "g")]
    ),
    st.sampled_from([np.dtype(c) for c in ("c8", "O", "U3", "S2", "M8[s]", "m8[s]", "f4,f4")]),
)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)


@st.composite
def arrays(draw):
    """An array of any kind, shape and layout."""
    dtype, shape = draw(dtypes), draw(shapes)
    flat = draw(st.lists(numbers, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = np.array(flat, np.float64).reshape(shape)
        if dtype.kind in "ui":
            x = np.nan_to_num(np.clip(x, 0, 100))
        x = np.zeros(shape, dtype) if dtype.kind == "V" else x.astype(dtype)
    return draw(laid_out(x))


@st.composite
def laid_out(draw, x):
    """An array in any layout, or a list."""
    x = np.asarray(x)
    layout = draw(st.sampled_from(["C", "F", "reversed", "list", "read-only"]))
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "reversed" and x.ndim:
        return np.flip(np.flip(x).copy())
    if layout == "list":
        return x.tolist()
    if layout == "read-only":
        x.flags.writeable = False
    return x


@st.composite
def fitting(draw, rows, columns):
    """Rows that a kernel would accept."""
    dtype = draw(st.sampled_from(["f2", "f4", ">f4", "f8", "u1", "i1", "i4", "?"]))
    entries = st.integers(0, 1) if dtype == "?" else st.integers(-9 if dtype[-2] != "u" else 0, 99)
    if "f" in dtype:
        entries = st.one_of(entries, st.floats(-1e3, 1e3, width=16))
    flat = draw(st.lists(entries, min_size=rows * columns, max_size=rows * columns))
    return draw(laid_out(np.array(flat, dtype).reshape(rows, columns)))


anything = st.one_of(
    arrays(),
    st.none(),
    st.text(max_size=3),
    st.binary(max_size=3),
    numbers,
    st.dictionaries(st.text(max_size=1), numbers, max_size=2),
)


@st.composite
def problems(draw):
    """Cues, keys, values, more keys and item weights: mostly such as fit, with one spoilt."""
    d, o = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    n, q = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    parts = [
        draw(fitting(q, d)),
        draw(fitting(n, d)),
        draw(st.one_of(st.none(), fitting(n, o))),
        draw(fitting(draw(st.integers(0, 3)), d)),
        draw(st.one_of(st.none(), st.lists(st.floats(0, 4), min_size=n, max_size=n))),
    ]
    if draw(st.booleans()) and q:
        parts[0] = np.asarray(parts[0])[0]
    spoilt = draw(st.sampled_from([None, None, None, 0, 1, 2, 3, 4]))
    if spoilt is not None:
        parts[spoilt] = draw(anything)
    return parts


metrics = st.one_of(
    st.sampled_from([*METRICS, "l1", "l2", "cityblock"]),
    st.sampled_from(["", "Dot", None, 3, b"x"]),
)
scalars = st.one_of(numbers, st.integers(1, 3), st.none(), st.text(max_size=2), st.booleans())
separations = st.one_of(
    st.sampled_from([*am.parts.SEPARATIONS, "nothing", None, 7]),
    st.sampled_from([am.TopK(2), am.TopK(9), am.Threshold(1.0), am.Polynomial(30), np.tanh, len]),
)


def finite_rows(*arrays):
    """Whether all are finite."""
    return all(np.isfinite(np.asarray(a, np.float64)).all() for a in arrays)


@pytest.mark.filterwarnings("ignore")
@given(
    problem=problems(),
    metric=metrics,
    k=st.one_of(st.integers(1, 3), st.integers(1, 6), scalars),
    radius=scalars,
)
def test_kernels_answer_or_refuse(problem, metric, k, radius):
    """What is accepted is answered as the reference answers."""
    queries, keys, *_ = problem
    try:
        scores = am.pairwise(queries, keys, metric)
    except REFUSALS:
        for call in (
            lambda: am.topk(queries, keys, 1, metric),
            lambda: am.within(queries, keys, 1.0, metric),
        ):
            with pytest.raises(REFUSALS):
                call()
        return
    metric = am.Similarity(metric).metric
    q, x = np.atleast_2d(np.asarray(queries)), np.asarray(keys)
    assert finite_rows(q, x)
    with np.errstate(all="ignore"):
        expected = reference.pairwise(q, x, metric)
    if np.abs(np.r_[q.ravel(), x.ravel()].astype(float)).max(initial=0) < 1e6:
        assert_scores(scores.reshape(expected.shape), q, x, metric)
    try:
        best, indices = am.topk(queries, keys, k, metric)
        assert best.shape == indices.shape == (*scores.shape[:-1], int(k))
        np.testing.assert_array_equal(np.take_along_axis(scores, indices, -1), best)
    except REFUSALS:
        assert type(k) is not int or not 1 <= k <= len(x)
    try:
        indptr, indices, found = am.within(queries, keys, radius, metric)
        assert indptr[-1] == len(indices) == len(found)
    except REFUSALS:
        assert (
            not isinstance(radius, int | float)
            or not np.isfinite(radius)
            or radius < 0
            or (isinstance(radius, bool))
        )


@pytest.mark.filterwarnings("ignore")
@given(
    problem=problems(),
    similarity=st.one_of(metrics, st.just(lambda c, k: c @ k.T)),
    separation=separations,
    beta=st.one_of(st.none(), scalars),
)
def test_retrieve_answers_or_refuses(problem, similarity, separation, beta):
    """Whatever is accepted gives numbers."""
    cues, keys, values, _, log_weight = problem
    try:
        result = am.retrieve(
            cues,
            keys,
            values,
            similarity=similarity,
            separation=separation,
            beta=beta,
            log_weight=log_weight,
        )
    except REFUSALS:
        return
    source = np.asarray(keys if values is None else values, np.float64)
    assert result.shape == (*np.shape(cues)[:-1], source.shape[1])
    if np.abs(np.asarray(cues, float)).max(initial=0) < 1e6 and np.abs(source).max() < 1e6:
        assert np.isfinite(result).all()
        # A weighted mean with weights of total magnitude 1 stays among the values.
        assert np.abs(result).max(initial=0) <= np.abs(source).max() * (1 + 1e-5)


@pytest.mark.filterwarnings("ignore")
@given(
    problem=problems(),
    ids=st.one_of(anything, st.lists(st.integers(0, 5), max_size=3)),
    options=st.fixed_dictionaries(
        {},
        optional={
            "similarity": st.one_of(
                metrics, st.sampled_from(["harmonic_kl", "jeffreys", "dot_raw"])
            ),
            "separation": separations,
            "beta": scalars,
            "convention": st.sampled_from(["standard", "paper", "paper", "x", None]),
            "normalize": st.sampled_from([True, False, 1]),
            "eps": scalars,
            "readout": st.sampled_from(["identity", "sign", "l2", "x", None]),
            "on_exact_match": st.sampled_from(["limit", "error", "x"]),
        },
    ),
    max_iter=scalars,
    tol=scalars,
)
def test_memories_answer_or_refuse(problem, ids, options, max_iter, tol):
    """Every method answers with numbers of the right shape or refuses; nothing else happens."""
    cues, keys, values, more, weights = problem
    try:
        m = am.UniversalHopfield(**options)
    except REFUSALS:
        m = am.UniversalHopfield("l1", "max")
    for pieces in ((keys, values, weights), (more, None, None), (more, more, None)):
        before = len(m)
        try:
            new = m.store(pieces[0], pieces[1], weights=pieces[2])
            assert len(m) == before + len(new)
        except REFUSALS:
            assert len(m) == before
    for call, width in (
        (lambda: m.recall(cues), "o"),
        (lambda: m.recall(cues, max_iter=max_iter, tol=tol, details=True).state, "o"),
        (lambda: m.scores(cues), "n"),
        (lambda: m.weights(cues), "n"),
        (lambda: m.energy(cues), None),
    ):
        try:
            result = call()
        except REFUSALS:
            continue
        shape = np.shape(cues)[:-1]
        if width:
            shape += (m.values.shape[1] if width == "o" else len(m),)
        assert np.shape(result) == shape
        size = np.abs(np.concatenate([np.ravel(np.asarray(a, float)) for a in (cues, m.keys)]))
        if size.max(initial=0) < 1e6 and width == "o" and np.abs(m.values).max(initial=0) < 1e6:
            assert np.isfinite(result).all()
    try:
        m.delete(ids)
    except REFUSALS:
        pass
    assert len(m) == len(m.ids) == len(m.keys) == len(m.values) == len(m.log_weight)
    assert repr(m) and m.nbytes >= 0


@given(bad=st.one_of(scalars, st.lists(scalars, max_size=2)))
def test_settings_and_parts_answer_or_refuse(bad):
    """Thread settings and parts take what they should, as it is, and refuse the rest."""
    before = am.get_num_threads()
    try:
        am.set_num_threads(bad)
        assert am.get_num_threads() == bad and 1 <= bad <= 1024
    except REFUSALS:
        assert type(bad) is not int or not 1 <= bad <= 1024
    am.set_num_threads(before)
    try:
        with am.threads(bad):
            assert am.get_num_threads() == bad and 1 <= bad <= 1024
    except REFUSALS:
        assert type(bad) is not int or not 1 <= bad <= 1024
    assert am.get_num_threads() == before
    real = isinstance(bad, int | float) and not isinstance(bad, bool) and np.isfinite(bad)
    whole = isinstance(bad, int) and not isinstance(bad, bool)
    for part, field, fits in (
        (am.Softmax, "beta", real and bad >= 0),
        (am.Exponential, "beta", real and bad >= 0),
        (am.Threshold, "radius", real),
        (am.TopK, "k", whole and bad >= 1),
        (lambda b: am.TopK(1, b), "beta", bad is None or (real and bad >= 0)),
    ):
        try:
            made = part(bad)
        except REFUSALS:
            assert not fits
        else:
            assert fits and getattr(made, field) == bad
    for part in (am.Polynomial, am.Similarity, am.Separation, am.Readout):
        try:
            made = part(bad)
        except REFUSALS:
            continue
        assert not callable(bad) and (isinstance(bad, str) or (real and bad > 0))
