"""Keys that are packed once answer as the array does, bit for bit."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import METRICS, draw

import amfast as am
from amfast._check import tensors

N, D, Q = 61, 17, 9
DTYPES = ["float64", "float32", "float16", "uint8", "int8"]


def same(got, expected):
    """Whether two answers are of one type and the same bits."""
    if isinstance(got, tuple):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            same(a, b)
        return
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


def data(metric, dtype, n=N, seed=2):
    return draw(np.random.default_rng(seed), (n, D), dtype, metric)


def answers(queries, keys, metric, threads):
    """Everything that a kernel says of queries and keys."""
    radius = float(np.median(am.pairwise(queries, keys, metric, threads=threads)))
    if metric not in ("dot",):
        radius = abs(radius)
    b = np.linspace(-1, 0, len(keys))
    gone = np.where(np.arange(len(keys)) % 5 == 0, -np.inf, b)
    values = np.random.default_rng(5).normal(size=(len(keys), 3)).astype(np.float32)
    told = [
        am.pairwise(queries, keys, metric, threads=threads),
        am.topk(queries, keys, 5, metric, threads=threads),
        am.topk(queries[0], keys, len(keys), metric, threads=threads),
        am.within(queries, keys, radius, metric, threads=threads),
    ]
    for separation in ("softmax", "max", am.TopK(3, 0.5), am.Threshold(3.0), am.Sparsemax()):
        for given in (None, values):
            for log_weight in (None, b, gone):
                read = dict(
                    similarity=metric, separation=separation, log_weight=log_weight, threads=threads
                )
                told.append(am.retrieve(queries, keys, given, **read))
                if not isinstance(separation, am.Sparsemax):
                    part = am.partial(queries, keys, given, **read)
                    told += [part.result(), part.log_scale]
    return told


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_all_metrics_and_types_bit_for_bit(metric, dtype, threads):
    array = data(metric, dtype)
    keys = am.Keys(array, metric)
    assert (len(keys), keys.shape, keys.metric) == (N, (N, D), metric)
    assert keys.nbytes >= array.nbytes and dtype in repr(keys)
    for asked in {dtype, "float32", "float64"}:
        queries = data(metric, asked, Q, 1)
        for got, expected in zip(
            answers(queries, keys, metric, threads),
            answers(queries, array, metric, threads),
            strict=True,
        ):
            same(got, expected)
    same(am.self_topk(keys, 3, metric), am.self_topk(array, 3, metric))
    found = am.pairs_within(array, 1.0, metric)
    same(am.pairs_within(keys, 1.0, metric), found)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("coding", ["packed", "bipolar", "binary", "bool", "float64"])
def test_bits(coding, threads):
    bits, asked = am.BitMatrix.random(N, 40, 2), am.BitMatrix.random(Q, 40, 1)
    if coding == "packed":
        array, queries = bits, asked
    elif coding == "float64":
        array, queries = bits.unpack().astype(float), asked.unpack().astype(float)
    else:
        array, queries = bits.unpack(coding), asked.unpack(coding)
    keys = am.Keys(array[:20], "hamming").append(array[20:])
    for got, expected in zip(
        answers(queries, keys, "hamming", threads),
        answers(queries, array, "hamming", threads),
        strict=True,
    ):
        same(got, expected)
    same(am.self_topk(keys, 3, "hamming"), am.self_topk(array, 3, "hamming"))


@pytest.mark.parametrize("isa", am.cpu_info()["available"])
def test_every_instruction_set(isa, tmp_path):
    """The same tests, where the engine is told which one to use."""
    if isa == am.cpu_info()["isa"]:
        return
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "import amfast as am, test_keys as t\n"
        "assert am.cpu_info()['isa'] == sys.argv[2]\n"
        "for metric in t.METRICS:\n"
        "    for dtype in t.DTYPES:\n"
        "        t.test_all_metrics_and_types_bit_for_bit(metric, dtype, 1)\n"
        "t.test_bits('packed', 1)\n"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__), isa]
    subprocess.run(command, check=True, env={**os.environ, "AMFAST_ISA": isa})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_appended_is_as_made_at_once(metric, dtype):
    array, queries = data(metric, dtype), data(metric, dtype, Q, 1)
    keys = am.Keys(array[:0], metric)
    assert len(keys) == 0 and keys.shape == (0, D)
    with pytest.raises(ValueError, match="keys have no rows"):
        am.topk(queries, keys, 1, metric)
    assert am.partial(queries, keys, similarity=metric).n_items == 0
    for start in range(0, N, 7):
        assert keys.append(array[start : start + 7]) is keys
        so_far = array[: start + 7]
        assert len(keys) == len(so_far)
        same(am.topk(queries, keys, 1, metric), am.topk(queries, so_far, 1, metric))
    keys.append(array[:0])
    same(am.pairwise(queries, keys, metric), am.pairwise(queries, array, metric))


def test_a_wider_type_widens_all():
    small = np.random.default_rng(0).integers(0, 100, (20, 6))
    queries = small[:4].astype(np.float32) + 0.25
    for first, second, wide in (
        ("uint8", "int8", np.float32),
        ("float32", "float64", np.float64),
        ("float64", "float32", np.float64),
        ("uint8", "float16", np.float16),
    ):
        keys = am.Keys(small[:11].astype(first), "l1").append(small[11:].astype(second))
        assert wide.__name__ in repr(keys)
        same(
            am.topk(queries, keys, 20, "l1"),
            am.topk(queries, small.astype(wide), 20, "manhattan"),
        )


def test_codes_change_nothing():
    array, queries = data("dot", "float32"), data("dot", "float32", Q, 1)
    expected = am.topk(queries, array, 4, "dot")
    for codes in (None, False, True):
        same(am.topk(queries, am.Keys(array, "dot", codes=codes), 4, "dot"), expected)
    for bad in (1, "yes", np.array([True])):
        with pytest.raises(TypeError, match="codes"):
            am.Keys(array, "dot", codes=bad)


def test_what_does_not_fit_is_refused_and_changes_nothing():
    array = data("l1", "float32")
    keys = am.Keys(array, "l1")
    nan = array[:3].copy()
    nan[1, 4] = np.nan
    bits = am.pack(np.eye(D))
    refused = [
        (lambda: am.topk(array, keys, 1, "dot"), ValueError, "packed for 'manhattan', not.*'dot'"),
        (lambda: am.within(array, keys, 1, "l2"), ValueError, "'manhattan', not for 'euclidean'"),
        (lambda: am.pairwise(array, keys, "hamming"), ValueError, "'manhattan', not for 'hamming'"),
        (lambda: am.retrieve(array, keys), ValueError, "'manhattan', not for 'dot'"),
        (lambda: am.partial(array, keys), ValueError, "'manhattan', not for 'dot'"),
        (lambda: am.self_topk(keys, 1, "dot"), ValueError, "'manhattan', not for 'dot'"),
        (lambda: am.pairs_within(keys, 1, "dot"), ValueError, "'manhattan', not for 'dot'"),
        (lambda: am.Keys(keys, "dot"), ValueError, "'manhattan', not for 'dot'"),
        (
            lambda: am.retrieve(array, keys, similarity=lambda q, k: q @ k.T),
            ValueError,
            "'manhattan', not for a Python function",
        ),
        (lambda: am.topk(array[:, :5], keys, 1, "l1"), ValueError, "5 columns, the keys have 17"),
        (lambda: am.retrieve(array, keys, array[:4], similarity="l1"), ValueError, "4 rows"),
        (lambda: keys.append(array[:, :5]), ValueError, "5 columns, .* have 17"),
        (lambda: keys.append(nan), ValueError, "keys row 1"),
        (lambda: keys.append(array[0]), ValueError, r"keys must be 2-d .*keys\[None, :\]"),
        (lambda: keys.append(bits), TypeError, "packed"),
        (lambda: keys.append("abc"), TypeError, "keys"),
        (lambda: am.Keys(nan, "l1"), ValueError, "keys row 1"),
        (lambda: am.Keys(array, "hammig"), ValueError, "metric .*hamming"),
        (lambda: am.Keys(array, None), TypeError, "metric"),
        (lambda: am.Keys(array, "hamming"), ValueError, "binary"),
        (lambda: am.Keys(-array, "kl"), ValueError, "keys row 0"),
        (lambda: am.Keys(np.empty((3, 0)), "l1"), ValueError, "0 columns"),
        (lambda: np.asarray(keys), TypeError, "kernels"),
        (lambda: am.Blocks(keys), TypeError, "Keys"),
        (lambda: am.hebbian(keys), TypeError, "kernels"),
        (lambda: am.topk(keys, array, 1, "l1"), TypeError, "kernels"),
    ]
    for call, error, match in refused:
        with pytest.raises(error, match=match):
            call()
    same(am.topk(array, keys, N, "l1"), am.topk(array, array, N, "l1"))
    bits = am.Keys(am.BitMatrix.random(5, 13, 1), "hamming")
    for bad, match in (
        (am.BitMatrix.random(5, 14, 1), "14 columns, .* 13"),
        (np.ones((2, 13), np.int8), "keys are bipolar int8, those that are held are packed None"),
        (np.full((2, 13), 2), "binary"),
    ):
        with pytest.raises(ValueError, match=match):
            bits.append(bad)
    shares = am.Keys(np.full((2, 4), 0.25), "kl")
    for bad in (-np.ones((1, 4)), np.zeros((1, 4))):
        with pytest.raises(ValueError, match="keys row 0"):
            shares.append(bad)
    assert len(bits) == 5 and len(shares) == 2
    same(am.topk(np.full(4, 0.25), shares.append(np.eye(4)), 6, "kl")[1], np.arange(6))


def test_out_and_exclude_self():
    array = data("l1", "float32")
    keys, room = am.Keys(array, "l1"), np.empty((N, N), np.float32)
    assert am.pairwise(array, keys, "l1", out=room) is room
    same(room, am.pairwise(array, array, "l1"))
    for kernel, n in ((am.topk, 3), (am.within, 2.0)):
        same(
            kernel(array, keys, n, "l1", exclude_self=True),
            kernel(array, array, n, "l1", exclude_self=True),
        )


def test_what_is_held_is_a_copy_and_read_only():
    array = data("l1", "float32")
    keys, expected = am.Keys(array, "l1"), am.topk(array[:2], array, 3, "l1")
    queries = array[:2].copy()
    array[:] = 7
    same(am.topk(queries, keys, 3, "l1"), expected)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("metric", ["manhattan", "hamming"])
def test_copies_go_their_own_way(metric, twin):
    array = data(metric, "float32") if metric != "hamming" else am.BitMatrix.random(N, 40, 2)
    keys = am.Keys(array, metric)
    other = twin(keys)
    keys.append(array[:3]), other.append(array[5:7])
    assert (len(keys), len(other), other.metric) == (N + 3, N + 2, metric)
    queries = array[:5]
    for x, rows in ((keys, array[:3]), (other, array[5:7])):
        got = am.pairwise(queries, x, metric)
        same(got[:, :N], am.pairwise(queries, array, metric))
        same(got[:, N:], am.pairwise(queries, rows, metric))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("n", [0, N])
@pytest.mark.parametrize("dtype", [*DTYPES, "packed", "bool"])
def test_files(dtype, n, mmap, tmp_path):
    metric = "hamming" if dtype in ("packed", "bool") else "manhattan"
    rows = am.BitMatrix.random(n + Q, 13, 2) if metric == "hamming" else data(metric, dtype, n + Q)
    array, queries = rows[:n], rows[n:]
    if dtype == "bool":
        array, queries = array.unpack("bool"), queries.unpack("bool")
    keys = am.Keys(array, metric, codes=False)
    path = keys.save(tmp_path / "keys.safetensors")
    found = am.load(path, mmap=mmap)
    assert repr(found) == repr(keys) and am.inspect(path)["parts"]["codes"] is False
    if n:
        same(am.topk(queries, found, n, metric), am.topk(queries, array, n, metric))
    if mmap and n:
        assert found.nbytes == am.inspect(path)["nbytes"]  # nothing is packed
    keys.append(queries)
    same(am.pairwise(queries, found.append(queries), metric), am.pairwise(queries, keys, metric))
    read = dict(similarity=metric, separation="max")
    same(am.retrieve(queries, found, **read), am.retrieve(queries, keys, **read))
    assert len(am.load(path)) == n


def test_wrong_files(tmp_path):
    keys = am.Keys(data("kl", "float32"), "kl")
    parts, arrays = keys._saved()

    def refused(match, parts=parts, **changed):
        given = {name: x for name, x in (arrays | changed).items() if x is not None}
        tensors.write(tmp_path / "m", tensors.Content("Keys", parts, given, "a test"))
        with pytest.raises(am.FileFormatError, match=match):
            am.load(tmp_path / "m")

    refused("keys", keys=None)
    refused("row 0", keys=-arrays["keys"])
    refused("rows", keys=np.zeros(3))
    refused("floats or bytes", keys=np.zeros((3, 2), np.int64))
    refused("metric", parts=parts | {"metric": "os"})
    refused("n_bits", parts={})
    refused("no keys of None bits", parts=parts | {"metric": "hamming"})
    refused("no kind", parts=parts | {"kind": ["os", None]})
    refused("no keys of", parts=parts | {"kind": ["bool", "bool"]})
    bits = am.Keys(am.BitMatrix.random(5, 13, 1), "hamming")
    parts, arrays = bits._saved()
    padded = arrays["keys"].copy()
    padded[2, -1] |= 1
    refused("padding", parts=parts, keys=padded)
    refused("bits take", parts=parts | {"n_bits": 40}, keys=arrays["keys"])


def test_threads_that_append_and_threads_that_ask():
    array = data("l1", "float32", 400)
    keys = am.Keys(array[:1], "l1")

    def add():
        for i in range(50):
            keys.append(array[1 + i : 2 + i])

    workers = [threading.Thread(target=add) for _ in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        scores, _ = am.topk(array[:1], keys, 1, "l1")
        assert scores[0, 0] == 0
    assert len(keys) == 201
    for worker in workers:
        worker.join()


def test_packing_is_not_done_again(monkeypatch):
    """What Keys are for: a call reads what was packed before."""
    from amfast import kernels

    array = data("l1", "float32")
    seen = []
    real = kernels.scores._core.topk
    monkeypatch.setattr(
        kernels.scores._core, "topk", lambda q, k, /, **rest: seen.append(k) or real(q, k, **rest)
    )
    keys = am.Keys(array, "l1")
    am.topk(array, keys, 1, "l1"), am.topk(array, keys, 1, "l1")
    assert seen[0] is seen[1] and not isinstance(seen[0], np.ndarray)


def test_masks_and_filters():
    """Keys that are packed are asked by masks as they are, and some of them by their rows."""
    rng = np.random.default_rng(5)
    rows, queries = rng.normal(size=(70, 20)), rng.normal(size=(6, 20))
    mask, some = rng.random((6, 20)) < 0.6, rng.random(70) < 0.5
    for dtype in (np.float32, np.float64, np.float16):
        for metric in ("dot", "sqeuclidean", "manhattan", "cosine"):
            keys = am.Keys(rows.astype(dtype), metric)
            for options in ({"mask": mask}, {"where": some}, {"mask": mask, "where": some}):
                got = am.topk(queries, keys, 5, metric, **options)
                want = am.topk(queries, rows.astype(dtype), 5, metric, **options)
                for ours, theirs in zip(got, want, strict=True):
                    np.testing.assert_array_equal(ours, theirs)
                np.testing.assert_array_equal(
                    am.retrieve(queries, keys, similarity=metric, **options),
                    am.retrieve(queries, rows.astype(dtype), similarity=metric, **options),
                )
    bits = am.BitMatrix.random(70, 90, seed=0)
    keys = am.Keys(bits, "hamming")
    for options in ({"mask": np.arange(90) < 30}, {"where": some}):
        np.testing.assert_array_equal(
            am.topk(bits[:6], keys, 5, "hamming", **options)[1],
            am.topk(bits[:6], bits, 5, "hamming", **options)[1],
        )
