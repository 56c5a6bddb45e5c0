"""A first pass over 8-bit codes changes no bit of an answer: arrays, Keys, memories and files."""

import pickle
import threading

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amfast as am
from amfast import _core
from amfast._engine import coding

METRICS = ["dot", "cosine", "sqeuclidean", "euclidean", "manhattan"]


def same(a, b):
    for x, y in zip(a, b, strict=True):
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


def rows(n, d, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).random((n, d)).astype(dtype)


def near(keys, q, noise=0.1, seed=1):
    rng = np.random.default_rng(seed)
    cues = keys[rng.integers(0, len(keys), q)] + noise * rng.normal(size=(q, keys.shape[1]))
    return cues.astype(keys.dtype)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_same_bits_of_any_numbers(data):
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    n, d = data.draw(st.sampled_from([(2, 1), (9, 3), (64, 8), (65, 9), (130, 17)]))
    size = data.draw(st.sampled_from([1.0, 1e-30, 1e30, 1e-44, 3e4]))
    top = float(np.finfo(dtype).max) / 4
    width = 64 if dtype is np.float64 else 32
    one = st.floats(-1, 1, width=width)
    few = st.sampled_from([0.0, -0.0, 0.5, 1.0, 1000.0])
    table = hnp.arrays(np.float64, (n + 3, d), elements=st.one_of(one, few))
    x = np.clip(data.draw(table) * min(size, top), -top, top).astype(dtype)
    keys, cues = x[:n], x[n:]
    metric = data.draw(st.sampled_from(METRICS))
    k = data.draw(st.integers(1, n))
    threads = data.draw(st.integers(1, 2))
    try:
        want = am.topk(cues, keys, k, metric, codes=False, threads=threads)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            am.topk(cues, keys, k, metric, codes=True, threads=threads)
        return
    same(want, am.topk(cues, keys, k, metric, codes=True, threads=threads))
    same(want, am.topk(cues, am.Keys(keys, metric, codes=True), k, metric, threads=threads))
    radius = float(want[0][0, -1])
    if metric == "dot" or radius >= 0:
        found = am.within(cues, keys, radius, metric, codes=False, threads=threads)
        same(found, am.within(cues, keys, radius, metric, codes=True, threads=threads))


@pytest.mark.parametrize("name", ["mnist", "cifar10", "fashion_mnist_small"])
@pytest.mark.parametrize("metric", METRICS)
def test_the_same_bits_of_images(name, metric):
    if name != "fashion_mnist_small" and not am.datasets.available(name):
        pytest.skip(f"AMFAST_DATA names no folder with {name}.npz")
    images = am.datasets.load(name, n=900, download=False).patterns()
    cues = am.corrupt.gaussian(images[:50], 0.5, seed=0)
    for k in (1, 10):
        want = am.topk(cues, images, k, metric, codes=False)
        same(want, am.topk(cues, images, k, metric, codes=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_keys_go_on_with_their_codes(metric, dtype):
    x = rows(3000, 24, dtype=dtype)
    x[2500:] *= 3  # beyond the range of the first
    cues = near(x, 20)
    keys = am.Keys(x[:100], metric, codes=True)
    for end in (100, 101, 2400, 2400, 3000):
        keys.append(x[len(keys) : end])
        want = am.topk(cues, x[:end], 4, metric, codes=False)
        same(want, am.topk(cues, keys, 4, metric))
        same(want, am.topk(cues, keys, 4, metric, codes=False))
    again = pickle.loads(pickle.dumps(keys))
    same(want, am.topk(cues, again, 4, metric))
    plain = am.Keys(x, metric, codes=False)
    assert 0 < keys.nbytes - plain.nbytes


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "separation", ["max", am.parts.TopK(5), am.parts.TopK(5, beta=3.0), "threshold"]
)
def test_reads_of_few_keys_have_the_same_bits(metric, separation):
    x, v = rows(2500, 32), rows(2500, 7, seed=2)
    cues = near(x, 30)
    if separation == "threshold":
        radius = float(am.topk(cues, x, 9, metric)[0][0, -1])
        separation = am.parts.Threshold(radius)
    for values in (None, v):
        kwargs = {"similarity": metric, "separation": separation}
        want = am.retrieve(cues, x, values, codes=False, **kwargs)
        for threads in (1, 2):
            got = am.retrieve(cues, x, values, codes=True, threads=threads, **kwargs)
            assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("beta", [0.0, 1.0, 100.0])
def test_a_softmax_is_that_of_all_but_what_counts_nothing(metric, beta):
    x, v = rows(2500, 32), rows(2500, 7, seed=2)
    cues = near(x, 90)
    want = am.retrieve(cues, x, v, similarity=metric, beta=beta, codes=False)
    one, two = (
        am.retrieve(cues, x, v, similarity=metric, beta=beta, codes=True, threads=t) for t in (1, 2)
    )
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(one, want, rtol=0, atol=2**-25 + 1e-6)


@pytest.mark.parametrize("make", [am.UniversalHopfield, am.ModernHopfield])
def test_memories_go_on_with_their_codes(make):
    x = rows(1500, 16)
    kwargs = {"similarity": "manhattan"} if make is am.UniversalHopfield else {}
    coded, plain = make(beta=50.0, codes=True, **kwargs), make(beta=50.0, codes=False, **kwargs)
    cues = near(x, 12)
    for part in np.split(x, [1000, 1001]):
        coded.store(part)
        ids = plain.store(part)
        np.testing.assert_allclose(coded.recall(cues), plain.recall(cues), rtol=0, atol=1e-6)
    assert coded.nbytes > plain.nbytes
    for memory in (coded, plain):
        memory.delete(ids[:3])
    np.testing.assert_allclose(coded.recall(cues), plain.recall(cues), rtol=0, atol=1e-6)
    assert coded.merge(plain) is coded
    assert coded._parameters()["codes"] is True


def test_a_memory_keeps_its_choice_in_a_file(tmp_path):
    memory = am.UniversalHopfield("manhattan", "max", codes=True)
    memory.store(rows(50, 8))
    memory.save(tmp_path / "m.amfast")
    again = am.load(tmp_path / "m.amfast")
    assert again._parameters()["codes"] is True
    cues = near(rows(50, 8), 5)
    assert again.recall(cues).tobytes() == memory.recall(cues).tobytes()


def test_large_stores_are_coded_by_themselves(monkeypatch):
    made = []
    monkeypatch.setattr(coding, "LEAST", 1000)
    monkeypatch.setattr(_core, "coded", lambda *a, make=_core.coded: made.append(1) or make(*a))
    x = rows(400, 16)
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store(x)
    memory.recall(x[:3])
    memory.recall(x[:3])
    assert len(made) == 1
    am.Keys(x, "dot")
    assert len(made) == 2
    am.topk(x[:2], x, 1, "dot")  # too few queries
    assert len(made) == 2
    am.topk(x, x, 1, "manhattan")
    assert len(made) == 3


def test_items_that_come_and_go_are_not_coded_at_every_turn(monkeypatch):
    made = []
    monkeypatch.setattr(coding, "LEAST", 100)
    monkeypatch.setattr(_core, "coded", lambda *a, make=_core.coded: made.append(1) or make(*a))
    x = rows(60, 16)
    memory = am.UniversalHopfield("manhattan", "max", max_items=20)
    for row in x:
        memory.store(row)
        memory.recall(row)
    assert len(made) == 1


def test_what_has_no_codes_is_searched_without():
    bits = am.pack(np.eye(8, dtype=bool))
    same(am.topk(bits, bits, 2, "hamming", codes=True), am.topk(bits, bits, 2, "hamming"))
    whole = np.arange(24, dtype=np.uint8).reshape(6, 4)
    same(am.topk(whole, whole, 2, "dot", codes=True), am.topk(whole, whole, 2, "dot"))
    alike = np.ones((5, 3))
    same(am.topk(alike, alike, 2, "cosine", codes=True), am.topk(alike, alike, 2, "cosine"))
    p = rows(6, 4) + 0.1
    same(am.topk(p, p, 2, "kl", codes=True), am.topk(p, p, 2, "kl"))
    x, mask = rows(6, 4), np.array([True, True, False, True])
    want = am.topk(x, x, 2, "manhattan", mask=mask)
    same(want, am.topk(x, x, 2, "manhattan", mask=mask, codes=True))
    where = [1, 4]
    want = am.topk(x, x, 2, "manhattan", where=where)
    same(want, am.topk(x, x, 2, "manhattan", where=where, codes=True))


@pytest.mark.parametrize("bad", [1, "yes", np.nan])
def test_codes_are_a_choice(bad):
    x = rows(6, 4)
    for call in (
        lambda: am.topk(x, x, 1, "dot", codes=bad),
        lambda: am.within(x, x, 1.0, "dot", codes=bad),
        lambda: am.retrieve(x, x, codes=bad),
        lambda: am.Keys(x, "dot", codes=bad),
        lambda: am.UniversalHopfield(codes=bad),
    ):
        with pytest.raises((TypeError, ValueError), match="codes"):
            call()


def test_a_choice_is_checked_where_it_changes_nothing():
    x = rows(6, 4)
    with pytest.raises(TypeError, match="codes"):
        am.topk(x[:0], x, 1, "dot", codes="yes")
    with pytest.raises(TypeError, match="codes"):
        am.retrieve(x, x, where=[1], codes="yes")


def test_rows_without_codes_are_tried_once(monkeypatch):
    made = []
    monkeypatch.setattr(_core, "coded", lambda *a, make=_core.coded: made.append(1) or make(*a))
    keys = am.Keys(np.ones((5, 3)), "dot", codes=True)
    for _ in range(3):
        keys.append(np.ones((1, 3)))
    assert len(made) == 1


def test_wrong_rows_are_named():
    keys, cues = rows(5000, 8), rows(3, 8)
    cues[1, 2] = np.nan
    with pytest.raises(ValueError, match="queries row 1 has a NaN"):
        am.topk(cues, keys, 1, "manhattan", codes=True)
    keys[4000, 1] = np.inf
    with pytest.raises(ValueError, match="keys row 4000 has a NaN or infinite"):
        am.topk(cues[:1], keys, 1, "manhattan", codes=True)


def test_many_threads_read_one_coded_memory():
    x = rows(3000, 16)
    memory = am.UniversalHopfield("manhattan", "max", codes=True)
    memory.store(x)
    want, answers = memory.recall(x[:40]), []
    fresh = pickle.loads(pickle.dumps(memory))

    def read():
        answers.append(fresh.recall(x[:40]))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer.tobytes() == want.tobytes() for answer in answers)
