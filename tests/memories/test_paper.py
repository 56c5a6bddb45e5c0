"""The paper convention: the published formulas, and sense where they divide zero by zero."""

from __future__ import annotations

import os

import numpy as np
import pytest

import amfast as am

EPS = 1e-4
SIMILARITIES = ["dot", "manhattan", "sqeuclidean", "kl", "reverse_kl", "jeffreys", "harmonic_kl"]
SEPARATIONS = {
    "log": np.log,
    "identity": lambda s: s,
    "sqrt": np.sqrt,
    "square": lambda s: s**2,
    "cube": lambda s: s**3,
    "quartic": lambda s: s**4,
    "tenth": lambda s: s**10,
}


def n(a):
    return a / a.sum(axis=-1, keepdims=True)


def published(x, q, name):
    """One cue's similarities, then divided by their sum: the authors' lines in float64."""
    x, q = np.asarray(x, np.float64), np.asarray(q, np.float64)
    if name == "dot":
        sim = n(x) @ n(q)
    elif name in ("dot_raw", "cosine"):
        sim = x @ q
    elif name == "manhattan":
        sim = 1 / np.abs(q - x).sum(axis=1)
    elif name == "sqeuclidean":
        sim = 1 / ((q - x) ** 2).sum(axis=1)
    else:
        kl = 1 / (n(x) * (np.log(n(x) + EPS) - np.log(n(q) + EPS))).sum(axis=1)
        reverse = 1 / (n(q) * (np.log(n(q) + EPS) - np.log(n(x) + EPS))).sum(axis=1)
        sim = {
            "kl": kl, "reverse_kl": reverse, "jeffreys": 2 / (1 / kl + 1 / reverse),
            "harmonic_kl": 1 / (0.5 * kl + 0.5 * reverse),
        }[name]  # fmt: skip
    return sim / sim.sum()


def softmax(s, p):
    e = np.exp(p * (s - s.max()))
    return e / e.sum()


def images(rng, count, d, dtype=np.float64):
    """Non-negative rows with many zeros, as images have."""
    x = rng.uniform(size=(count, d))
    x[rng.uniform(size=x.shape) < 0.4] = 0
    return x.astype(dtype)


def memory(similarity, separation="identity", **options):
    return am.UniversalHopfield(similarity, separation, convention="paper", **options)


@pytest.mark.parametrize("d", [2, 50, 784])
@pytest.mark.parametrize("similarity", [*SIMILARITIES, "dot_raw", "cosine"])
def test_scores(rng, similarity, d):
    """Scores are the published ones to 1e-9 in float64 and 1e-5 in float32, and sum to 1."""
    for count in (1, 2, 100):
        x = images(rng, count, d) + (0.05 if d == 2 else 0)
        q = np.abs(x[: min(count, 9)] + rng.normal(size=(min(count, 9), d)) * 0.3)
        m = memory(similarity)
        m.store(x)
        wanted = np.array([published(x, cue, similarity) for cue in q])
        np.testing.assert_allclose(m.scores(q), wanted, rtol=1e-9)
        np.testing.assert_allclose(m.scores(q).sum(axis=1), 1, rtol=1e-12)
        small = memory(similarity)
        small.store(x.astype(np.float32))
        got = small.scores(q.astype(np.float32))
        assert got.dtype == np.float32
        exact = np.array(
            [published(x.astype(np.float32), c.astype(np.float32), similarity) for c in q]
        )
        np.testing.assert_allclose(got, exact, rtol=1e-5)


def test_near_matches_keep_their_digits(rng):
    """A divergence of 1e-4 is not lost in the difference of two entropies of 5."""
    x = rng.uniform(0.5, 1, (20, 300))
    q = x[:4] * (1 + 1e-2 * rng.normal(size=(4, 300)))
    for similarity in ("kl", "reverse_kl", "jeffreys", "harmonic_kl"):
        m = memory(similarity)
        m.store(x)
        wanted = np.array([published(x, cue, similarity) for cue in q])
        np.testing.assert_allclose(m.scores(q), wanted, rtol=1e-9)


def test_negative_divergences_are_matches(rng):
    """The eps in the logarithms can make a tiny divergence negative: then it counts as 0."""
    x = rng.uniform(0.5, 1, (20, 300))
    q = x * (1 + 1e-5 * rng.normal(size=x.shape))
    for similarity in ("kl", "reverse_kl"):
        m = memory(similarity)
        m.store(x)
        wanted = np.array([published(x, cue, similarity) for cue in q])
        negative = (wanted < 0).any(axis=1)
        assert negative.any()
        np.testing.assert_array_equal(m.scores(q)[negative], np.eye(20)[negative])


@pytest.mark.parametrize("name", SEPARATIONS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_weights_and_outputs(rng, similarity, name):
    """w = sep(s) / sum sep(s), z = X^T w, whatever the separation."""
    x = images(rng, 60, 40)
    q = np.abs(x[:7] + rng.normal(size=(7, 40)) * 0.2)
    v = rng.normal(size=(60, 5))
    auto, hetero = memory(similarity, name), memory(similarity, name)
    auto.store(x)
    hetero.store(x, v)
    with np.errstate(divide="ignore"):
        w = np.array([SEPARATIONS[name](published(x, cue, similarity)) for cue in q])
    w /= w.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(auto.weights(q), w, rtol=1e-6)
    np.testing.assert_allclose(auto.recall(q), w @ x, rtol=1e-6)
    np.testing.assert_allclose(hetero.recall(q), w @ v, rtol=1e-4, atol=1e-9)
    assert auto.weights(q).tobytes() == hetero.weights(q).tobytes()
    np.testing.assert_allclose(auto.weights(q).sum(axis=1), 1, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_softmax_and_max(rng, similarity, dtype):
    """The softmax's beta acts on scores that sum to 1; a huge one is max."""
    x = images(rng, 80, 30, dtype)
    q = np.abs(x[:6] + rng.normal(size=(6, 30)).astype(dtype) * 0.2).astype(dtype)
    s = np.array([published(x, cue, similarity) for cue in q])
    tol = 1e-6 if dtype == "float64" else 1e-3
    for beta in (1.0, 100.0, 1000.0):
        m = memory(similarity, beta=beta, separation="softmax")
        m.store(x)
        w = np.array([softmax(row, beta) for row in s])
        np.testing.assert_allclose(m.weights(q), w, rtol=tol, atol=tol * 1e-2)
        np.testing.assert_allclose(m.recall(q), w @ x, rtol=tol, atol=tol * 1e-2)
    best = memory(similarity, "max")
    best.store(x)
    np.testing.assert_array_equal(best.recall(q), x[s.argmax(axis=1)])
    np.testing.assert_array_equal(best.weights(q), np.eye(80)[s.argmax(axis=1)])
    sharp = memory(similarity, beta=1e8, separation="softmax")
    sharp.store(x)
    np.testing.assert_allclose(sharp.recall(q), x[s.argmax(axis=1)], atol=1e-6)


@pytest.mark.parametrize("similarity", ["manhattan", "sqeuclidean", "kl", "reverse_kl"])
def test_exact_match_is_the_limit(rng, similarity):
    """k items at distance 0 share the score; the softmax gives them e^b / (k e^b + N - k)."""
    x = images(rng, 20, 30)
    x[7] = x[3]
    for dtype in (np.float64, np.float32):
        m = memory(similarity, "softmax", beta=5.0)
        m.store(x.astype(dtype))
        q = x[[3, 0]].astype(dtype)
        s = np.zeros((2, 20))
        s[0, [3, 7]], s[1, 0] = 0.5, 1
        np.testing.assert_array_equal(m.scores(q), s)
        e = np.exp(5 * s)
        np.testing.assert_allclose(m.weights(q), e / e.sum(axis=1, keepdims=True), rtol=1e-6)
    near = memory(similarity, "softmax", beta=5.0)
    near.store(x)
    close = near.weights(x[:1] + 1e-12 * (x[:1] > 0) * rng.normal(size=30))
    np.testing.assert_allclose(close, near.weights(x[:1]), atol=1e-3)
    best = memory(similarity, "max")
    best.store(x)
    np.testing.assert_array_equal(best.recall(x), x)
    assert best.weights(x[7]).argmax() == 3


@pytest.mark.parametrize("similarity", ["manhattan", "sqeuclidean", "kl", "reverse_kl"])
def test_exact_match_as_published_or_refused(rng, similarity):
    """ "nan" is the published 0/0: max finds it by accident, the rest is NaN. "error" names it."""
    x = images(rng, 5, 8)
    for separation in ("softmax", "square", "log"):
        m = memory(similarity, separation, on_exact_match="nan")
        m.store(x)
        assert np.isnan(m.scores(x[2])[2]) and (np.delete(m.scores(x[2]), 2) == 0).all()
        assert np.isnan(m.recall(x[2])).all()
        other = m.recall(np.stack([x[2], x[2] * 0.5 + x[1]]))
        assert np.isnan(other[0]).all() and np.isfinite(other[1]).all()
    m = memory(similarity, "max", on_exact_match="nan")
    m.store(x)
    np.testing.assert_array_equal(m.recall(x), x)
    m = memory(similarity, on_exact_match="error")
    m.store(x)
    with pytest.raises(ValueError, match="cues row 1 is at distance 0 from item 2"):
        m.recall(np.stack([x[0] + x[1], x[2]]))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_blank_memories_change_no_rank(rng, similarity):
    """A blank row neither poisons the others nor changes their order."""
    x = images(rng, 30, 40)
    q = np.abs(x[:9] + rng.normal(size=(9, 40)) * 0.2)
    clean = memory(similarity)
    clean.store(x)
    dirty = memory(similarity)
    dirty.store(np.insert(x, 12, 0.0, axis=0))
    s = dirty.scores(q)
    assert np.isfinite(s).all()
    np.testing.assert_allclose(s.sum(axis=1), 1, rtol=1e-12)
    others = np.delete(s, 12, axis=1)
    np.testing.assert_allclose(n(others), clean.scores(q), rtol=1e-9)
    if similarity not in ("manhattan", "sqeuclidean"):
        assert (s[:, 12] == 0).all()


@pytest.mark.parametrize("d", [1, 7, 12288])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_never_nan(rng, similarity, dtype, d):
    """Clean, duplicate, blank, alone, sharp: always numbers, and weights that sum to 1."""
    x = images(rng, 9, d, dtype)
    x[4], x[5] = 0, x[2]
    x[0] = 0.5
    q = np.concatenate([x, np.zeros((1, d), dtype), x[:2] + dtype_of(dtype, 0.25)])
    separations = ("softmax", "max", "identity", "quartic", "tenth", "log", "sqrt")
    for separation in separations if d < 100 else ("softmax", "tenth"):
        for beta in (0.0, 1.0, 1e8) if separation == "softmax" else (None,):
            for stored in (x, x[:1], x[4:5]):
                m = memory(similarity, separation, beta=beta)
                m.store(stored)
                w = m.weights(q)
                assert np.isfinite(m.scores(q)).all() and np.isfinite(m.recall(q)).all()
                np.testing.assert_allclose(w.sum(axis=1), 1, rtol=1e-5)
                if len(stored) == 1:
                    np.testing.assert_allclose(m.recall(q), np.repeat(stored, len(q), 0), rtol=1e-6)


def dtype_of(dtype, number):
    return np.dtype(dtype).type(number)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_equivariance(rng, similarity):
    """Permuting memories permutes weights; the scale of the cue does not matter for dot and KL."""
    x = images(rng, 25, 30)
    q = np.abs(x[:4] + rng.normal(size=(4, 30)) * 0.2)
    m, shuffled = memory(similarity, "cube"), memory(similarity, "cube")
    m.store(x)
    order = rng.permutation(25)
    shuffled.store(x[order])
    np.testing.assert_allclose(shuffled.weights(q), m.weights(q)[:, order], rtol=1e-9)
    if similarity not in ("manhattan", "sqeuclidean"):
        np.testing.assert_allclose(m.weights(q * 3), m.weights(q), rtol=1e-9)


@pytest.mark.parametrize("separation", ["identity", "square", "softmax", "log", "max"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_weights_count_like_copies(rng, similarity, separation):
    """Weight 3 equals storing the item three times; weight 0 is as if not stored."""
    x = images(rng, 6, 12)
    q = np.concatenate([np.abs(x[:3] + rng.normal(size=(3, 12)) * 0.2), x])
    weight = np.array([1, 3, 0, 2, 1, 0])
    m, copies = memory(similarity, separation), memory(similarity, separation)
    m.store(x, weights=weight)
    copies.store(np.repeat(x, weight, axis=0))
    np.testing.assert_allclose(m.recall(q), copies.recall(q), rtol=1e-9, atol=1e-12)
    assert (m.weights(q)[:, weight == 0] == 0).all()


def test_log_inverts_and_harmonic_ranks_backwards(rng):
    """As published: the best match gets the smallest weight, or the smallest score."""
    x = images(rng, 10, 30)
    q = np.abs(x + rng.normal(size=x.shape) * 0.05)
    logarithm = memory("manhattan", "log")
    logarithm.store(x)
    np.testing.assert_array_equal(logarithm.weights(q).argmin(axis=1), np.arange(10))
    harmonic = memory("harmonic_kl")
    harmonic.store(x)
    np.testing.assert_array_equal(harmonic.scores(q).argmin(axis=1), np.arange(10))
    assert (harmonic.scores(x).diagonal() == 0).all()


def test_jeffreys_ranks_forwards(rng):
    """Table 2's Jensen-Shannon, summed of divergences rather than of their reciprocals."""
    x = images(rng, 10, 30)
    q = np.abs(x + rng.normal(size=x.shape) * 0.05)
    m = memory("jeffreys", "max")
    m.store(x)
    np.testing.assert_array_equal(m.scores(q).argmax(axis=1), np.arange(10))
    np.testing.assert_array_equal(m.scores(x), np.eye(10))
    m.store(np.zeros((1, 30)))  # a blank memory changes no rank
    np.testing.assert_array_equal(m.recall(q), x)
    assert (m.scores(q)[:, -1] == 0).all()


def test_jeffreys_on_real_digits():
    """Half-masked MNIST: better than Manhattan, where the published harmonic mean finds none."""
    data = os.environ.get("AMFAST_DATA")
    if not am.datasets.available("mnist", data):
        pytest.skip("mnist is not here: set AMFAST_DATA")
    digits = am.datasets.load("mnist", data=data, download=False, n=300)
    x = digits.patterns(np.float32)
    cues = am.corrupt.mask(x, 0.5, shape=(28, 28))
    found = {}
    for name in ("jeffreys", "manhattan", "harmonic_kl"):
        m = memory(name, "max")
        m.store(x)
        found[name] = (m.scores(cues).argmax(axis=1) == np.arange(300)).mean()
    assert found["jeffreys"] > 0.95
    assert found["jeffreys"] > found["manhattan"] + 0.05
    assert found["harmonic_kl"] < 0.05


def test_max_of_dot_need_not_recall_itself(rng):
    """A stored pattern need not be its own best match under dot; under Manhattan it is."""
    x = rng.uniform(size=(200, 30))
    x[x > np.linspace(0.1, 1, 200)[:, None]] = 0  # some rows concentrated, others spread
    x[:, 0] += 0.01
    dot, manhattan = memory("dot", "max"), memory("manhattan", "max")
    dot.store(x)
    manhattan.store(x)
    assert (dot.weights(x).argmax(axis=1) == np.arange(200)).mean() < 0.9
    np.testing.assert_array_equal(manhattan.recall(x), x)


def test_user_similarities(rng):
    """A function stands where the named one would: distances enter as reciprocals."""
    x = images(rng, 15, 9)
    q = np.abs(x[:4] + rng.normal(size=(4, 9)) * 0.2)

    def l1(cues, keys):
        return np.abs(cues[:, None] - keys).sum(axis=-1)

    named, mine = memory("l1", "cube"), memory(am.Similarity(l1, False), lambda s: s**3)
    raw, product = memory("dot_raw"), memory(lambda c, k: c @ k.T)
    for m in (named, mine, raw, product):
        m.store(x)
    np.testing.assert_allclose(mine.weights(q), named.weights(q), rtol=1e-12)
    np.testing.assert_array_equal(mine.scores(x).diagonal(), 1)
    np.testing.assert_allclose(product.weights(q), raw.weights(q), rtol=1e-12)


def test_signed_data():
    """Sums of zero are named, not divided by; sums below zero are as published."""
    x = np.array([[1.0, -1.0], [1.0, 1.0]])
    m = memory("dot")
    m.store(x)
    with pytest.raises(ValueError, match="keys row 0 sums to zero"):
        m.recall([1.0, 1.0])
    m = memory("dot_raw")
    m.store([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match="cues row 0 has similarities that sum to zero"):
        m.recall([1.0, 1.0])
    m = memory("dot_raw")
    m.store([[1.0, 0.0], [-3.0, 0.0]])
    np.testing.assert_allclose(m.scores([2.0, 0.0]), [-0.5, 1.5])
    for separation in ("log", "sqrt"):
        m = memory("dot_raw", separation)
        m.store([[1.0, 0.0], [-3.0, 0.0]])
        with pytest.raises(ValueError, match="negative score"):
            m.recall([2.0, 0.0])


def test_options_that_have_no_effect_are_refused():
    """What the convention would ignore is an error."""
    for arguments, options, message in [
        (("euclidean",), {}, "'sqeuclidean'"),
        (("jensenshannon",), {}, "harmonic_kl"),
        (("dot",), {"eps": 0.1}, "no effect"),
        (("kl",), {"eps": 0.0}, "eps"),
        (("dot",), {"normalize": False}, "sum to 1"),
        (("dot", "max"), {"beta": 3.0}, "no effect"),
        (("dot",), {"on_exact_match": "ignore"}, "on_exact_match"),
    ]:
        with pytest.raises(ValueError, match=message):
            am.UniversalHopfield(*arguments, convention="paper", **options)
    with pytest.raises(ValueError, match="convention='paper'"):
        am.UniversalHopfield("manhattan", on_exact_match="nan")


def test_tiny_and_huge_distances():
    """Reciprocals of the smallest distances do not overflow, squares of the largest are named."""
    m = memory("manhattan")
    m.store(np.array([[0.0], [1e-310]]))
    np.testing.assert_allclose(m.scores([3e-310]), [0.4, 0.6], rtol=1e-6)
    m = memory("sqeuclidean")
    m.store(np.array([[0.0], [1e30]], np.float32))
    with pytest.raises(ValueError, match="score is too large|beyond the largest float32"):
        m.recall(np.array([1.0], np.float32))


def test_same_bits_for_any_threads(rng):
    """The number of threads changes nothing."""
    x = images(rng, 90, 70, np.float32)
    q = np.abs(x + rng.normal(size=x.shape).astype(np.float32) * 0.1)
    for similarity in SIMILARITIES:
        m = memory(similarity, "softmax", beta=100.0)
        m.store(x)
        first, *others = (m.recall(q, threads=t).tobytes() for t in (1, 2, 3))
        assert all(first == other for other in others)


def test_a_threshold_may_leave_all_out():
    memory = am.UniversalHopfield("manhattan", am.Threshold(0.9), convention="paper")
    memory.store([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(memory.weights([[0.5, 0.5], [1.0, 0.01]]), [[0, 0], [1, 0]])
    np.testing.assert_array_equal(memory.recall([0.5, 0.5]), [0, 0])


@pytest.mark.parametrize("larger", [True, False])
def test_overflow_names_the_functions_type(larger):
    huge = am.Similarity(
        lambda q, k: (np.abs(q).sum(axis=1)[:, None] + np.zeros(len(k))) * np.float32(1e38),
        larger_is_better=larger,
    )
    memory = am.UniversalHopfield(huge, "max", convention="paper")
    memory.store(np.ones((2, 3), np.float32))
    cues = np.ones((2, 3), np.float32)
    cues[1] = 1e30
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="row 1 .* largest float32"):
        memory.recall(cues)
