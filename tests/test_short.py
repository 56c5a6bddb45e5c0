"""Floats of 16 bits: stored as they are, scored as their float32, to the bit."""

import pickle

import numpy as np
import pytest

import amfast as am

METRICS = ("dot", "sqeuclidean", "euclidean", "manhattan", "cosine")
NAMES = ("float16", "bfloat16")


def dtype(name):
    return np.dtype(name) if name == "float16" else pytest.importorskip("ml_dtypes").bfloat16


def drawn(name, n=150, d=37):
    """Cues, keys of 16 bits and the same in float32, subnormal and huge ones among them."""
    rng = np.random.default_rng(0)
    keys = rng.normal(size=(n, d)).astype(np.float32)
    keys[5, :4] = [1e-7, -6e-8, 0.0, -0.0]
    keys[6, :2] = [6e4, -6e4]
    keys = keys.astype(dtype(name))
    cues = (keys[:9].astype(np.float32) + 0.1).astype(np.float32)
    return cues, keys, keys.astype(np.float32)


def same(got, want):
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 150])
def test_rows_and_packed_keys_score_as_float32(name, metric, n):
    cues, short, wide = drawn(name, n=max(n, 9))
    short, wide = short[:n], wide[:n]
    packed = am.Keys(short, metric)
    k = min(n, 5)
    for threads in (1, 2):
        want = am.topk(cues, wide, k, metric, threads=threads)
        for keys in (short, packed):
            same(am.topk(cues, keys, k, metric, threads=threads), want)
            same(am.topk(cues[0], keys, k, metric, threads=threads), [x[0] for x in want])
            np.testing.assert_array_equal(
                am.pairwise(cues, keys, metric), am.pairwise(cues, wide, metric)
            )
    radius = float(np.median(am.pairwise(cues, wide, metric)))
    if metric != "dot":
        same(am.within(cues, packed, radius, metric), am.within(cues, wide, radius, metric))
    for separation in ("softmax", "max", am.TopK(k)):
        np.testing.assert_array_equal(
            am.retrieve(cues, packed, similarity=metric, separation=separation),
            am.retrieve(cues, wide, similarity=metric, separation=separation),
        )
    double = cues.astype(np.float64)
    same(am.topk(double, packed, k, metric), am.topk(double, wide, k, metric))
    if n == 150:
        mask = np.random.default_rng(1).random(cues.shape) < 0.5
        same(am.topk(cues, packed, 3, metric, mask=mask), am.topk(cues, wide, 3, metric, mask=mask))
        same(
            am.topk(cues, packed, 3, metric, where=np.arange(20)),
            am.topk(cues, wide, 3, metric, where=np.arange(20)),
        )


@pytest.mark.parametrize("name", NAMES)
def test_close_rows_far_from_the_origin(name):
    rows = np.full((40, 70), 1000.0)
    rows[np.arange(40), np.arange(40)] += 8
    short = rows.astype(dtype(name))
    for metric in ("sqeuclidean", "euclidean"):
        cues = short.astype(np.float32)
        keys = am.Keys(short, metric)
        np.testing.assert_array_equal(
            am.pairwise(cues, keys, metric), am.pairwise(cues, cues, metric)
        )
        assert (np.diag(am.pairwise(cues, keys, metric)) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_values_and_cues(name):
    cues, short, wide = drawn(name)
    want = am.retrieve(cues, wide, wide, similarity="l1")
    np.testing.assert_array_equal(am.retrieve(cues, wide, short, similarity="l1"), want)
    np.testing.assert_array_equal(am.retrieve(cues, short, short, similarity="l1"), want)
    np.testing.assert_array_equal(am.retrieve(cues, short, similarity="l1"), want)
    asked = cues.astype(dtype(name))
    np.testing.assert_array_equal(
        am.pairwise(asked, short, "l1"), am.pairwise(asked.astype(np.float32), wide, "l1")
    )
    np.testing.assert_array_equal(am.hebbian(short), am.hebbian(wide))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", METRICS)
def test_memories_keep_them(name, metric, tmp_path):
    cues, short, wide = drawn(name)
    memory, other = (am.UniversalHopfield(metric, "softmax", beta=2.0) for _ in range(2))
    memory.store(short[:70])
    memory.store(short[70:])
    other.store(wide)
    assert memory.keys.dtype == short.dtype
    want = other.recall(cues)
    assert want.dtype == np.float32
    np.testing.assert_array_equal(memory.recall(cues), want)
    np.testing.assert_array_equal(memory.recall(cues), want)  # now from what was packed
    np.testing.assert_array_equal(memory.recall(cues[0]), want[0])
    np.testing.assert_array_equal(memory.weights(cues), other.weights(cues))
    mask = np.random.default_rng(1).random(cues.shape) < 0.5
    np.testing.assert_array_equal(memory.recall(cues, mask=mask), other.recall(cues, mask=mask))
    np.testing.assert_array_equal(
        memory.recall(cues, details=True).best, other.recall(cues, details=True).best
    )
    file = memory.save(tmp_path / "short.amfast")
    found = am.inspect(file)
    assert str(found).count("bfloat16" if name == "bfloat16" else "float16") >= 1
    for again in (am.load(file), am.load(file, mmap=True), pickle.loads(pickle.dumps(memory))):
        assert again.keys.dtype == short.dtype
        np.testing.assert_array_equal(again.recall(cues), want)
    memory.delete(memory.ids[:3])
    memory.store(wide[:1])
    assert memory.keys.dtype == np.float32
    other.delete(other.ids[:3])
    other.store(wide[:1])
    np.testing.assert_array_equal(memory.recall(cues), other.recall(cues))


@pytest.mark.parametrize("name", NAMES)
def test_other_memories_and_parts(name):
    cues, short, wide = drawn(name)
    for make in (
        lambda: am.ModernHopfield(beta=1.0),
        lambda: am.ContinuousSDM(5),
        lambda: am.UniversalHopfield("manhattan", am.Sparsemax()),
        lambda: am.UniversalHopfield("manhattan", "max", max_items=100),
        lambda: am.UniversalHopfield("manhattan", beta=3.0, convention="paper"),
        lambda: am.HebbianMemory(),
    ):
        one, two = make(), make()
        one.store(short)
        two.store(wide)
        np.testing.assert_array_equal(one.recall(cues), two.recall(cues))
    short, wide = np.abs(short), np.abs(wide)
    for metric in ("kl", "reverse_kl"):
        one, two = (am.UniversalHopfield(metric, "max") for _ in range(2))
        one.store(short)
        two.store(wide)
        np.testing.assert_array_equal(one.recall(np.abs(cues)), two.recall(np.abs(cues)))


@pytest.mark.parametrize("name", NAMES)
def test_packed_keys_take_half_the_memory_and_last(name, tmp_path):
    cues, short, wide = drawn(name, n=640, d=64)
    keys, plain = am.Keys(short, "l1"), am.Keys(wide, "l1")
    assert keys.nbytes < 0.6 * plain.nbytes
    keys.append(short[:100])
    plain.append(wide[:100])
    same(am.topk(cues, keys, 9, "l1"), am.topk(cues, plain, 9, "l1"))
    file = keys.save(tmp_path / "keys")
    for again in (am.load(file), am.load(file, mmap=True), pickle.loads(pickle.dumps(keys))):
        same(am.topk(cues, again, 9, "l1"), am.topk(cues, plain, 9, "l1"))
    keys.append(wide[:1])
    plain.append(wide[:1])
    same(am.topk(cues, keys, 9, "l1"), am.topk(cues, plain, 9, "l1"))


def test_a_fitted_similarity_reads_the_rows():
    rng = np.random.default_rng(0)
    data = rng.random((200, 30)).astype(np.float32)
    similarity = am.fit_similarity(data, lambda x: 0.5 * x + 0.1)
    short = data.astype(np.float16)
    got = am.retrieve(data[:5], am.Keys(short, "sqeuclidean"), similarity=similarity)
    np.testing.assert_array_equal(got, am.retrieve(data[:5], short, similarity=similarity))


def test_files_are_what_others_read(tmp_path):
    _, short, wide = drawn("bfloat16")
    file = am.Keys(short, "l1").save(tmp_path / "keys.safetensors")
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    found = safetensors.load_file(file)["keys"]
    assert found.dtype == torch.bfloat16
    np.testing.assert_array_equal(found.float().numpy(), wide)


def test_without_ml_dtypes(tmp_path, monkeypatch):
    _, short, _ = drawn("bfloat16")
    file = am.Keys(short, "l1").save(tmp_path / "keys")
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="pip install ml_dtypes"):
        am.load(file)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_is_named(name):
    cues, short, _ = drawn(name)
    for bad in (np.nan, np.inf):
        short[3, 2] = bad
        for call in (
            lambda: am.pairwise(cues, short, "l1"),
            lambda: am.Keys(short, "l1"),
            lambda: am.retrieve(cues, short, similarity="l1"),
            lambda: am.UniversalHopfield("l1").store(short),
        ):
            with pytest.raises(ValueError, match="keys row 3"):
                call()
