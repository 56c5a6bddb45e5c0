"""UniversalHopfield in the standard convention: storing, recalling, energies, parts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from conftest import METRICS, draw

import amfast as am
from amfast import reference
from amfast._stores import stored

SEPARATIONS = {
    "identity": ("power", 1.0),
    "sqrt": ("sqrt", 0.0),
    "log": ("log", 0.0),
    "square": ("power", 2.0),
    "cube": ("power", 3.0),
    "quartic": ("power", 4.0),
    "softmax": ("softmax", 1.0),
    "exponential": ("softmax", 1.0),
}


def smooth(x, eps=1e-4):
    """What the KL family compares."""
    p = x / x.sum(axis=1, keepdims=True)
    return (p + eps / x.shape[1]) / (1 + eps)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_similarity(rng, metric, dtype):
    """Scores, weights and recall agree with the reference and with each other."""
    k = draw(rng, (37, 12), dtype, metric)
    q = draw(rng, (5, 12), "float64" if dtype == "float64" else "float32", metric)
    if metric == "dot":
        q /= 100
    kk, qq = k.astype(np.float64), q.astype(np.float64)
    if metric in ("kl", "reverse_kl"):
        kk, qq = smooth(kk), smooth(qq)
    m = am.UniversalHopfield(metric, "softmax", beta=0.5)
    m.store(k)
    s = reference.pairwise(qq, kk, metric) * (1 if metric == "dot" else -1)
    tol = dict(rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(m.scores(q), s, **tol)
    w, log_scale = reference.separate(s, "softmax", 0.5)
    np.testing.assert_allclose(m.weights(q), w, **tol)
    expected = w @ k.astype(np.float64)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(m.recall(q) / scale, expected / scale, **tol)
    np.testing.assert_allclose(m.recall(q, details=True).log_scale, log_scale, **tol)
    assert m.recall(q).dtype == ("float64" if dtype == "float64" else "float32")
    assert m.keys.dtype == k.dtype and m.values.dtype == k.dtype


@pytest.mark.parametrize("hetero", [False, True])
@pytest.mark.parametrize("name", SEPARATIONS)
def test_every_separation(rng, name, hetero):
    """Weights are the reference's, recall is their projection, log_scale undoes the division."""
    k, q = np.abs(rng.normal(size=(50, 6))), np.abs(rng.normal(size=(8, 6)))
    v = rng.normal(size=(50, 3)) if hetero else None
    wanted, log_scale = reference.separate(q @ k.T, *SEPARATIONS[name])
    m = am.UniversalHopfield("dot", name)
    m.store(k, v)
    np.testing.assert_allclose(m.weights(q), wanted, rtol=1e-10)
    np.testing.assert_allclose(m.recall(q), wanted @ (k if v is None else v), rtol=1e-9)
    details = m.recall(q, details=True)
    np.testing.assert_allclose(details.log_scale, log_scale, rtol=1e-10, atol=1e-12)
    raw = am.UniversalHopfield("dot", name, normalize=False)
    raw.store(k, v)
    factor = 1.0 if name == "softmax" else np.exp(log_scale)[:, None]
    np.testing.assert_allclose(raw.weights(q), wanted * factor, rtol=1e-9)
    np.testing.assert_allclose(raw.recall(q), m.recall(q) * factor, rtol=1e-9)


def test_user_functions_equal_the_named_parts(rng):
    """A Python similarity and separation give what the named ones give, in every method."""
    k, q = rng.normal(size=(33, 9)), rng.normal(size=(6, 9))

    def cube(s):
        return s**3

    def negative_l1(cues, keys):
        return -np.abs(cues[:, None] - keys).sum(axis=-1)

    named = am.UniversalHopfield("manhattan", "cube")
    weights = rng.uniform(0.5, 2, 33)
    named.store(k, weights=weights)
    for similarity in (negative_l1, am.Similarity(negative_l1), "l1"):
        for separation in (cube, am.Separation(cube), am.Polynomial(3)):
            mine = am.UniversalHopfield(similarity, separation)
            mine.store(k, weights=weights)
            for verb in ("scores", "weights", "recall"):
                got, wanted = getattr(mine, verb)(q), getattr(named, verb)(q)
                np.testing.assert_allclose(got, wanted, rtol=1e-10)
            iterated = mine.recall(q, max_iter=3, details=True).state
            np.testing.assert_allclose(iterated, named.recall(q, max_iter=3), rtol=1e-8)


def test_user_functions_are_checked():
    """Wrong shapes and NaN from a user's function are named, not used."""
    q, k = np.ones((2, 3)), np.ones((4, 3))
    bad = {
        "must return shape": (lambda c, k: np.ones(3), "softmax"),
        "NaN": (lambda c, k: np.full((len(c), len(k)), np.nan), "softmax"),
        r"shape \(q, N\)": ("dot", lambda s: s.T),
        "infinite": ("dot", lambda s: s * np.inf),
    }
    for message, (similarity, separation) in bad.items():
        m = am.UniversalHopfield(similarity, separation)
        m.store(k)
        with pytest.raises(ValueError, match=message):
            m.recall(q)
    m = am.UniversalHopfield("dot", lambda s: s * 1j)
    m.store(k)
    with pytest.raises(TypeError, match="complex"):
        m.recall(q)


@pytest.mark.parametrize("separation", ["softmax", "square", "max", am.TopK(4), am.Threshold(3.0)])
def test_stored_in_pieces_or_at_once(rng, separation):
    """Pieces, one store and a merge are the same memory."""
    k, v, w = rng.normal(size=(40, 5)), rng.normal(size=(40, 2)), rng.uniform(0, 2, 40)
    q = rng.normal(size=(7, 5))
    whole = am.UniversalHopfield("manhattan", separation)
    whole.store(k, v, weights=w)
    pieces = am.UniversalHopfield("manhattan", separation)
    left, right = copy.deepcopy(pieces), copy.deepcopy(pieces)
    ids = []
    for start, stop in [(0, 1), (1, 1), (1, 18), (18, 40)]:
        ids.append(pieces.store(k[start:stop], v[start:stop], weights=w[start:stop]))
        pieces.recall(q, threads=2) if len(pieces) > 4 else None  # packs what is there so far
    assert np.concatenate(ids).tolist() == list(range(40)) == pieces.ids.tolist()
    left.store(k[:11], v[:11], weights=w[:11])
    right.store(k[11:], v[11:], weights=w[11:])
    assert left.merge(right) is left
    empty = am.UniversalHopfield("manhattan", separation)
    assert len(left.merge(empty)) == 40 and len(empty.merge(left)) == 40
    for other in (pieces, left, empty):
        assert other.recall(q).tobytes() == whole.recall(q).tobytes()
        np.testing.assert_allclose(other.weights(q), whole.weights(q), rtol=1e-12)
        np.testing.assert_allclose(other.log_weight, whole.log_weight, rtol=1e-15)


@pytest.mark.parametrize("metric", ["dot", "kl", "manhattan"])
def test_delete(rng, metric):
    """A deleted item leaves no trace; ids stay with their items and are not used again."""
    k, q = np.abs(rng.normal(size=(20, 4))), np.abs(rng.normal(size=(3, 4)))
    m = am.UniversalHopfield(metric, "softmax")
    ids = m.store(k)
    m.recall(q)
    m.delete(ids[[3, 7]])
    m.delete(12)
    m.delete([])
    left = np.setdiff1d(np.arange(20), [3, 7, 12])
    assert m.ids.tolist() == left.tolist() and len(m) == 17
    rest = am.UniversalHopfield(metric, "softmax")
    rest.store(k[left])
    assert m.recall(q).tobytes() == rest.recall(q).tobytes()
    assert m.store(k[:1]).tolist() == [20]
    with pytest.raises(ValueError, match="no item has the id 7"):
        m.delete([0, 7])
    assert 0 in m.ids
    m.delete(m.ids)
    assert len(m) == 0
    with pytest.raises(ValueError, match="empty"):
        m.recall(q)


def test_views_stay_as_they_were(rng):
    """Keys handed out are read-only and do not change when the memory does."""
    m = am.UniversalHopfield()
    m.store(rng.normal(size=(4, 3)))
    view, before = m.keys, m.keys.copy()
    assert not view.flags.writeable
    m.store(rng.normal(size=(50, 3)))
    m.delete([0, 1])
    m.store(rng.normal(size=(50, 3)))
    np.testing.assert_array_equal(view, before)


def test_copies_are_independent(rng):
    """copy, deepcopy and pickle give memories with buffers of their own."""
    q = rng.normal(size=(2, 3))
    m = am.UniversalHopfield("dot", am.Polynomial(3))
    m.store(rng.normal(size=(4, 3)))
    m.store(rng.normal(size=(1, 3)))  # leaves room behind the rows, which a copy must not share
    expected = m.recall(q)
    for twin in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert twin.recall(q).tobytes() == expected.tobytes()
        twin.store(np.ones((1, 3)))
        m.store(np.zeros((1, 3)))
        np.testing.assert_array_equal(twin.keys[-1], 1)
        m.delete(m.ids[-1])
        assert m.recall(q).tobytes() == expected.tobytes()


def test_types_widen(rng):
    """A wider type in a later store widens what is stored, without loss."""
    k = rng.integers(0, 128, (5, 3)).astype(np.uint8)
    m = am.UniversalHopfield("manhattan", "max")
    m.store(k)
    m.recall(k[:1])
    m.store(k.astype(np.int8))
    assert m.keys.dtype == np.float32
    m.store([[0.1, 0.2, 0.3]])
    assert m.keys.dtype == np.float64 and m.keys[-1, 0] == 0.1
    np.testing.assert_array_equal(m.recall(k), k)


def test_small_types_stay_small():
    """uint8 images are stored as bytes; nbytes counts what is held."""
    k = np.zeros((1000, 784), np.uint8)
    m = am.UniversalHopfield("manhattan", "max")
    assert m.nbytes == 0
    m.store(k)
    assert k.nbytes <= m.nbytes < 1.1 * k.nbytes
    m.recall(k[:1])
    assert m.nbytes < 2.5 * k.nbytes


def test_weights_count_like_copies(rng):
    """Weight 3 equals storing the item three times; weight 0 is never recalled."""
    k, q = rng.normal(size=(6, 5)), rng.normal(size=(4, 5))
    weight = np.array([1, 3, 0, 2, 1, 0])
    separations = ["softmax", "cube", am.Threshold(4.0), am.TopK(2, 1.0), "max", np.tanh]
    for separation in separations:
        for similarity in ("sqeuclidean", lambda c, k: -reference.pairwise(c, k, "sqeuclidean")):
            m = am.UniversalHopfield(similarity, separation)
            m.store(k, weights=weight)
            w = m.weights(q)
            assert (w[:, weight == 0] == 0).all()
            if isinstance(separation, am.TopK):
                best = np.argsort(-m.scores(q)[:, weight > 0], axis=1)[:, 0]
                assert (w[np.arange(4), np.flatnonzero(weight)[best]] > 0).all()
                continue
            again = am.UniversalHopfield(similarity, separation)
            again.store(np.repeat(k, weight, axis=0))
            np.testing.assert_allclose(m.recall(q), again.recall(q), rtol=1e-11)


def test_zero_weight_items_leave_topk_to_the_others():
    """With fewer live items than k, the live ones share the weight; with none, recall is zero."""
    m = am.UniversalHopfield("manhattan", am.TopK(2))
    m.store([[1.0], [2.0], [4.0]], weights=[0, 0, 1])
    np.testing.assert_array_equal(m.recall([[1.0]]), [[4.0]])
    m = am.UniversalHopfield("manhattan", "max")
    m.store([[1.0], [2.0]], weights=[0, 0])
    np.testing.assert_array_equal(m.recall([[1.0]]), [[0.0]])


# -- iteration ------------------------------------------------------------------------------------


def test_rows_converge_on_their_own(rng):
    """A row stops when it has settled; the others go on and are what they would be alone."""
    k = rng.normal(size=(30, 16))
    q = np.concatenate([k[:3], rng.normal(size=(5, 16))])
    m = am.UniversalHopfield("dot", "softmax", beta=0.3)
    m.store(k)
    r = m.recall(q, max_iter=500, tol=1e-6, details=True)
    assert r.converged.all() and len(set(r.n_iter.tolist())) > 1
    for i, cue in enumerate(q):
        alone = m.recall(cue, max_iter=500, tol=1e-6, details=True)
        np.testing.assert_allclose(alone.state, r.state[i], atol=1e-12)
        assert alone.n_iter == r.n_iter[i] and alone.converged
        state = cue
        for _ in range(alone.n_iter):
            before, state = state, m.recall(state)
        assert np.abs(state - before).max() <= 1e-6
        np.testing.assert_allclose(state, alone.state, atol=1e-12)
    short = m.recall(q, max_iter=2, tol=0.0, details=True)
    assert (short.n_iter == 2).all() and not short.converged.any()
    np.testing.assert_allclose(short.state, m.recall(m.recall(q)), atol=1e-14)


def test_recall_of_one_cue(rng):
    """1-d in, 1-d out, in every method and field."""
    k = rng.normal(size=(5, 3))
    m = am.UniversalHopfield()
    m.store(k)
    assert m.recall(k[0]).shape == (3,)
    assert m.scores(k[0]).shape == m.weights(k[0]).shape == (5,)
    assert isinstance(m.energy(k[0]), float)
    r = m.recall(k[0], details=True)
    assert r.state.shape == (3,) and np.ndim(r.n_iter) == np.ndim(r.converged) == 0
    assert r.energy == pytest.approx(m.energy(r.state))


@pytest.mark.parametrize("separation", ["softmax", "max", am.TopK(2), am.Threshold(1.0), np.exp])
def test_no_cues(separation):
    """Zero cues give zero rows."""
    m = am.UniversalHopfield("manhattan", separation)
    m.store(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))
    q = np.empty((0, 3), np.float32)
    assert m.recall(q).shape == (0, 2) and m.recall(q).dtype == np.float32
    assert m.scores(q).shape == m.weights(q).shape == (0, 4)
    r = m.recall(q, details=True)
    assert r.state.shape == (0, 2) and len(r.n_iter) == len(r.converged) == 0


@pytest.mark.parametrize("separation", ["softmax", "max", "square", am.TopK(3, 1.0), np.tanh])
@pytest.mark.parametrize("similarity", ["dot", "manhattan", "jensenshannon"])
def test_same_bits_for_any_threads(rng, similarity, separation):
    """The number of threads changes nothing."""
    k, q = np.abs(rng.normal(size=(301, 65))), np.abs(rng.normal(size=(17, 65)))
    m = am.UniversalHopfield(similarity, separation)
    m.store(k.astype(np.float32))
    results = [m.recall(q.astype(np.float32), max_iter=2, threads=t).tobytes() for t in (1, 2, 3)]
    assert results[0] == results[1] == results[2]


def test_auto_and_hetero_weights_are_identical(rng):
    """What is recalled does not change what is chosen; permuting items permutes weights."""
    k, q = rng.normal(size=(40, 9)), rng.normal(size=(6, 9))
    for metric in ("dot", "manhattan", "cosine"):
        for separation in ("softmax", "max", "cube"):
            auto = am.UniversalHopfield(metric, separation)
            auto.store(k)
            hetero = am.UniversalHopfield(metric, separation)
            hetero.store(k, rng.normal(size=(40, 2)))
            assert auto.weights(q).tobytes() == hetero.weights(q).tobytes()
            order = rng.permutation(40)
            shuffled = am.UniversalHopfield(metric, separation)
            shuffled.store(k[order])
            np.testing.assert_allclose(shuffled.weights(q), auto.weights(q)[:, order], rtol=1e-12)


@pytest.mark.parametrize("metric", ["manhattan", "sqeuclidean", "euclidean", "cosine", "kl"])
def test_max_returns_stored_patterns(rng, metric):
    """Clean cues recall themselves, bit for bit, where a key is its own nearest neighbour."""
    for dtype in ("float32", "float64", "uint8"):
        k = rng.integers(1, 200, (100, 30)).astype(dtype)
        m = am.UniversalHopfield(metric, "max")
        m.store(k)
        np.testing.assert_array_equal(m.recall(k), k)


def test_softmax_tends_to_max(rng):
    """The higher beta, the nearer softmax comes to max."""
    k, q = rng.normal(size=(50, 8)), rng.normal(size=(20, 8))
    best = am.UniversalHopfield("manhattan", "max")
    best.store(k)
    errors = []
    for beta in (1.0, 1e2, 1e4, 1e8):
        m = am.UniversalHopfield("manhattan", beta=beta)
        m.store(k)
        errors.append(np.abs(m.recall(q) - best.recall(q)).max())
    assert errors[0] > errors[1] > errors[3] == 0


def test_presets_equal_their_equations(rng):
    """dot + identity is M^T M q; dot + softmax is attention; threshold on dot is Kanerva's."""
    k, v = rng.choice([-1.0, 1.0], (12, 64)), rng.normal(size=(12, 5))
    q = rng.choice([-1.0, 1.0], (4, 64))
    hopfield = am.UniversalHopfield("dot", "identity", normalize=False, readout="sign")
    hopfield.store(k)
    h = q @ (k.T @ k)
    np.testing.assert_array_equal(hopfield.recall(q), np.where(h == 0, q, np.sign(h)))
    attention = am.UniversalHopfield("dot", beta=0.2)
    attention.store(k, v)
    e = np.exp(0.2 * q @ k.T)
    np.testing.assert_allclose(attention.recall(q), e / e.sum(1, keepdims=True) @ v, rtol=1e-12)
    hamming = (64 - q @ k.T) / 2
    near = am.UniversalHopfield("dot", am.Threshold(64 - 2 * 30), normalize=False)
    near.store(k, v)
    np.testing.assert_allclose(near.recall(q), (hamming <= 30) @ v, atol=1e-12)


def test_readouts(rng):
    """Sign keeps the cue at a tie, l2 has unit rows."""
    m = am.UniversalHopfield("dot", "identity", normalize=False, readout="sign")
    m.store([[1.0, 1.0], [1.0, -1.0]])
    np.testing.assert_array_equal(m.recall([[1.0, 0.0]]), [[1.0, 0.0]])
    for tie in (1, -1):
        m = am.UniversalHopfield(
            "dot", "identity", normalize=False, readout=am.Readout("sign", tie=tie)
        )
        m.store([[1.0, 1.0], [1.0, -1.0]])
        np.testing.assert_array_equal(m.recall([[1.0, 0.0]]), [[1.0, tie]])
    unit = am.UniversalHopfield("dot", "cube", readout="l2")
    unit.store(rng.normal(size=(5, 7)) * 1e200)
    np.testing.assert_allclose(np.linalg.norm(unit.recall(rng.normal(size=(3, 7))), axis=1), 1)


def test_blank_rows(rng):
    """Blank memories and cues give numbers, under every similarity."""
    k = np.abs(rng.normal(size=(10, 6))).astype(np.float32)
    k[4] = 0
    # (that a blank row changes no other row's rank is tested with the paper's formulas)
    for metric in METRICS:
        for separation in ("softmax", "max", "identity"):
            m = am.UniversalHopfield(metric, separation)
            m.store(k)
            for q in (k, np.zeros((1, 6), np.float32)):
                assert np.isfinite(m.recall(q)).all(), (metric, separation)
                assert np.isfinite(m.scores(q)).all(), (metric, separation)


def test_kl_without_smoothing_is_the_kernel(rng):
    """eps = 0 is the plain divergence."""
    k, q = rng.uniform(0.1, 1, (7, 5)), rng.uniform(0.1, 1, (3, 5))
    for metric in ("kl", "reverse_kl"):
        m = am.UniversalHopfield(metric, eps=0.0)
        m.store(k)
        np.testing.assert_allclose(m.scores(q), -am.pairwise(q, k, metric), atol=1e-15)


# -- energies -------------------------------------------------------------------------------------

ENERGIES = [
    ("dot", "softmax", dict(beta=0.01)),
    ("dot", "softmax", dict(beta=0.1)),
    ("dot", "softmax", dict(beta=1.0)),
    ("dot", "exponential", dict(beta=0.1)),
    ("sqeuclidean", "softmax", dict(beta=0.05)),
    ("sqeuclidean", "softmax", dict(beta=1.0)),
    ("dot", "identity", dict(normalize=False)),
    ("dot", "cube", dict(normalize=False)),
    ("dot", am.Polynomial(5), dict(normalize=False)),
    ("dot", am.Polynomial(2, rectified=True), dict(normalize=False)),
    ("dot", am.Exponential(0.3), dict(normalize=False)),
]


@pytest.mark.parametrize(("similarity", "separation", "options"), ENERGIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_energy_never_rises(rng, similarity, separation, options, weighted):
    """Every step lowers the energy or leaves it, from 40 random states."""
    k = rng.normal(size=(20, 10))
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    m = am.UniversalHopfield(similarity, separation, **options)
    m.store(k, weights=rng.uniform(0.2, 2, 20) if weighted else None)
    state = rng.normal(size=(40, 10))
    energy = m.energy(state)
    assert energy.shape == (40,) and energy.dtype == np.float64
    lowered = 0
    for _ in range(8):
        state = m.recall(state)
        # Unbounded below: some states of raw powers and exponentials run away.
        near = np.abs(state).max(axis=1) < 50
        state, energy = state[near], energy[near]
        after = m.energy(state)
        assert (after <= energy + 1e-12 * np.maximum(1, np.abs(energy))).all()
        lowered += int((after < energy - 1e-9).sum())
        energy = after
    assert lowered >= 20


def test_energy_formulas(rng):
    """The docstring's formulas."""
    k, v = rng.normal(size=(9, 4)), rng.normal(size=(3, 4))
    w = rng.uniform(0.5, 2, 9)
    own, s = (v * v).sum(axis=1) / 2, v @ k.T
    d = reference.pairwise(v, k, "sqeuclidean")
    expected = {
        ("dot", am.Softmax(0.5), True): own - np.log((w * np.exp(0.5 * s)).sum(1)) / 0.5,
        ("sqeuclidean", am.Softmax(0.5), True): -np.log((w * np.exp(-0.5 * d)).sum(1)) / 0.5,
        ("dot", am.Polynomial(3), False): own - (w * s**4).sum(1) / 4,
        ("dot", am.Identity(), False): own - (w * s**2).sum(1) / 2,
        ("dot", am.Polynomial(2, True), False): own - (w * np.maximum(s, 0) ** 3).sum(1) / 3,
        ("dot", am.Exponential(0.5), False): own - (w * np.exp(0.5 * s)).sum(1) / 0.5,
    }
    for (similarity, separation, normalize), energy in expected.items():
        m = am.UniversalHopfield(similarity, separation, normalize=normalize)
        m.store(k, weights=w)
        np.testing.assert_allclose(m.energy(v), energy, rtol=1e-12)
        single = am.UniversalHopfield(similarity, separation, normalize=normalize)
        single.store(k.astype(np.float32), weights=w)
        np.testing.assert_allclose(single.energy(v.astype(np.float32)), energy, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "why"),
    [
        (("manhattan", "softmax"), {}, "manhattan descends none"),
        (("cosine", "softmax"), {}, "cosine descends none"),
        (("dot", np.tanh), {}, "convex"),
        (("manhattan", am.TopK(2)), {}, "'max' by any metric"),
        (("dot", "cube"), {}, "normalize=False"),
        (("dot", "square"), {"normalize": False}, "even power 2"),
        (("sqeuclidean", "cube"), {"normalize": False}, "dot only"),
        (("dot", "softmax"), {"beta": 0.0}, "beta = 0"),
        (("sqeuclidean", "softmax"), {"readout": "l2"}, "under the readout 'l2'; dot does"),
        (("manhattan", "max"), {"readout": "sign"}, "under the readout 'sign'; dot does"),
        (("sqeuclidean", am.Threshold(2.0)), {"normalize": False}, "dot only"),
        (("dot", "softmax"), {"convention": "paper"}, "paper"),
        ((lambda c, k: c @ k.T, "softmax"), {}, "descends none"),
    ],
)
def test_no_energy(arguments, options, why):
    """Where recall descends nothing, energy says so, and details have None."""
    m = am.UniversalHopfield(*arguments, **options)
    m.store(np.eye(3) + 0.1)
    with pytest.raises(ValueError, match=why):
        m.energy(np.ones(3))
    assert m.recall(np.ones(3), details=True).energy is None


def test_no_energy_when_heteroassociative():
    """Values of another kind are no state."""
    m = am.UniversalHopfield()
    m.store(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="heteroassociative"):
        m.energy(np.ones(3))
    assert m.recall(np.ones((2, 3)), details=True).converged.all()


# -- words ----------------------------------------------------------------------------------------


def test_repr():
    """The repr says what the memory is and what it holds."""
    m = am.UniversalHopfield("l1", beta=2, normalize=False, readout="l2")
    assert repr(m) == (
        "<UniversalHopfield('manhattan', Softmax(beta=2.0), normalize=False, readout='l2'): empty>"
    )
    m = am.UniversalHopfield("dot", "max", convention="paper")
    m.store(np.ones((3, 2), np.uint8), np.ones((3, 4)))
    assert repr(m) == (
        "<UniversalHopfield('dot', Max(), convention='paper'): "
        "3 items, 2 columns of uint8 -> 4 of float64>"
    )


def test_parts_are_values():
    """Equal parts are equal and hash alike; they cannot be changed."""
    assert am.Softmax(2) == am.Softmax(2.0) != am.Exponential(2.0)
    assert am.Similarity("l1") == am.Similarity("manhattan")
    assert (
        len({am.Max(), am.Max(), am.TopK(1), am.Separation(np.tanh), am.Separation(np.tanh)}) == 3
    )
    for part in (am.Softmax(2), am.Similarity("dot"), am.Separation(np.tanh), am.Readout()):
        with pytest.raises(AttributeError):
            part.beta = 3
        assert isinstance(part, am.Similarity | am.Separation | am.Readout)


def test_a_preset_is_a_subclass(rng):
    """A named memory chooses parts; the rest is inherited."""

    class Attention(am.UniversalHopfield):
        def __init__(self, beta):
            super().__init__("dot", am.Softmax(beta))

    m = Attention(3.0)
    m.store(np.eye(3))
    assert repr(m).startswith("<Attention('dot', Softmax(beta=3.0))")
    np.testing.assert_allclose(m.recall(np.eye(3)), m.weights(np.eye(3)))


def test_byte_cues_of_byte_keys(rng):
    """uint8 cues of uint8 keys find what float cues find, and recall floats of the same bits."""
    k = rng.integers(0, 256, (60, 50)).astype(np.uint8)
    q = rng.integers(0, 256, (9, 50)).astype(np.uint8)
    for separation in ("max", am.TopK(3), am.TopK(3, 0.01), "softmax"):
        for weights in (None, rng.integers(0, 2, 60)):
            m = am.UniversalHopfield("manhattan", separation)
            m.store(k, weights=weights)
            got, wanted = m.recall(q), m.recall(q.astype(np.float32))
            assert got.dtype == np.float32 and got.tobytes() == wanted.tobytes()
            details = m.recall(q, max_iter=3, details=True)
            assert details.state.dtype == np.float32
            again = m.recall(q.astype(np.float32), max_iter=3, details=True)
            np.testing.assert_array_equal(details.n_iter, again.n_iter)
            assert m.recall(q[:0]).dtype == np.float32


def test_the_trace_has_every_step(rng):
    memory = am.ModernHopfield(0.3)
    memory.store(rng.normal(size=(12, 6)))
    cues = rng.normal(size=(9, 6))
    found = memory.recall(cues, max_iter=6, tol=0.0, details=True)
    for steps in range(1, 6):
        state = memory.recall(cues, max_iter=steps, tol=0.0)
        np.testing.assert_allclose(found.energy_trace[:, steps], memory.energy(state), rtol=1e-12)
    assert len({row.tobytes() for row in found.energy_trace[:, 1:4].T}) == 3
    np.testing.assert_array_equal(found.energy_trace[:, 0], memory.energy(cues))


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "manhattan"])
def test_byte_cues_are_compared_exactly(metric):
    d = 784
    keys = np.full((3, d), 255, np.uint8)
    keys[0, 0], keys[1, 1] = 253, 254  # squared distances from the cue differ by 1 above 2**24
    cue = np.zeros(d, np.uint8)
    cue[:2] = 1
    memory = am.UniversalHopfield(metric, "max")
    memory.store(keys)
    wide = keys.astype(np.int64) - cue.astype(np.int64)
    score = {
        "dot": (keys.astype(np.int64) * cue).sum(axis=1),
        "sqeuclidean": -(wide**2).sum(axis=1),
        "manhattan": -np.abs(wide).sum(axis=1),
    }[metric]
    np.testing.assert_array_equal(memory.recall(cue), keys[score.argmax()].astype(np.float32))


def test_what_items_without_weight_hold_does_not_matter(rng):
    keys, values = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    weights = np.array([1.0, 0.0, 2.0, 0.0, 1.0])
    junk_keys, junk_values = keys.copy(), values.copy()
    junk_keys[1], junk_keys[3], junk_values[1, 0], junk_values[3] = np.nan, 1e308, np.inf, -1e308
    live = weights > 0
    for separation in ("softmax", "max", am.TopK(2, 1.0), "cube", np.tanh, am.Sparsemax()):
        for metric in ("dot", "euclidean", "cosine", "manhattan"):
            memory, clean = (am.UniversalHopfield(metric, separation) for _ in range(2))
            memory.store(junk_keys, junk_values, weights=weights)
            clean.store(keys[live], values[live], weights=weights[live])
            cues = rng.normal(size=(4, 3))
            np.testing.assert_allclose(memory.recall(cues), clean.recall(cues), rtol=1e-9)
            with np.errstate(divide="ignore"):
                b = np.log(weights)
            got = am.retrieve(
                cues, junk_keys, junk_values, similarity=metric, separation=separation, log_weight=b
            )
            np.testing.assert_allclose(got, clean.recall(cues), rtol=1e-9)
    assert np.isnan(junk_keys[1]).all()
    with pytest.raises(ValueError, match="keys row 0"):
        am.UniversalHopfield().store([[np.nan]], weights=[1e-300])


@pytest.mark.parametrize("separation", ["max", am.TopK(1, 1.0), np.tanh])
def test_values_with_nan_are_refused_on_every_way(separation):
    with pytest.raises(ValueError, match="values row 1 has a NaN"):
        am.retrieve(np.eye(2), np.eye(2), [[1.0], [np.nan]], separation=separation)
    with pytest.raises(ValueError, match="keys row 1 has a NaN"):
        am.retrieve(
            np.eye(2), [[1.0, 0.0], [np.nan, 0.0]], similarity=lambda q, k: q @ np.nan_to_num(k).T
        )


def test_similarities_are_names_or_functions():
    with pytest.raises(TypeError, match="metric's name or callable, got 3"):
        am.Similarity(3)


@pytest.mark.parametrize("separation", ["softmax", "max"])
def test_what_was_packed_is_not_packed_again(separation, monkeypatch):
    """After `store` of one row the next `recall` hands that row alone to be packed."""
    rows = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    memory = am.UniversalHopfield("dot", separation)
    memory.store(rows)
    memory.recall(rows[0])
    packed = []
    real = stored.engine_rows
    monkeypatch.setattr(stored, "engine_rows", lambda x: packed.append(len(x)) or real(x))
    for row in rows[:3]:
        memory.store(row)
        memory.recall(row)
        memory.recall(row)
    assert packed == [1, 1, 1]
