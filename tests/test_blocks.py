"""Keys that are read a block at a time: the answers of the whole, in the memory of two blocks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import amfast as am

N, D, Q = 230, 12, 5
RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(N, D)).astype(np.float32)
VALUES = RNG.normal(size=(N, 4)).astype(np.float32)
CUES = RNG.normal(size=(Q, D)).astype(np.float32)


def of_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    if not (tmp_path / "z").exists():
        made = zarr.create_array(str(tmp_path / "z"), shape=KEYS.shape, chunks=(37, 5), dtype="f4")
        made[...] = KEYS
    return zarr.open(str(tmp_path / "z"), mode="r")


def of_h5py(tmp_path):
    h5py = pytest.importorskip("h5py")
    if not (tmp_path / "h").exists():
        with h5py.File(tmp_path / "h", "w") as file:
            file.create_dataset("x", data=KEYS, chunks=(50, 12))
    return h5py.File(tmp_path / "h", "r")["x"]


def of_arrow(tmp_path):
    pa = pytest.importorskip("pyarrow")
    flat = pa.array(KEYS.ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, D)
    return pa.chunked_array([column[:100], column[100:101], column[101:]])


def of_dask(tmp_path):
    da = pytest.importorskip("dask.array")
    return da.from_array(KEYS, chunks=(64, 5))


def saved(tmp_path, x=KEYS, name="x.npy"):
    np.save(tmp_path / name, x)
    return tmp_path / name


def of_paths(tmp_path):
    return [saved(tmp_path, KEYS[:50], "a.npy"), str(saved(tmp_path, KEYS[50:], "b.npy"))]


SOURCES = {
    "array": lambda p: KEYS,
    "list": lambda p: [KEYS[:10], KEYS[10:10], KEYS[10:100], KEYS[100:]],
    "generator": lambda p: (KEYS[i : i + 33] for i in range(0, N, 33)),
    "npy": saved,
    "paths": of_paths,
    "memmap": lambda p: np.load(saved(p), mmap_mode="r"),
    "fortran": lambda p: np.asfortranarray(KEYS),
    "zarr": of_zarr,
    "h5py": of_h5py,
    "arrow": of_arrow,
    "dask": of_dask,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", [None, 1, 33, 1000])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_answers_as_the_whole(name, rows, tmp_path):
    def blocks(with_values=False):
        source = SOURCES[name](tmp_path)
        if not with_values:
            return am.Blocks(source, rows)
        if name == "generator":
            return am.Blocks(((k, VALUES[i * 33 :][: len(k)]) for i, k in enumerate(source)), rows)
        return am.Blocks((source, VALUES), rows)

    same(am.topk(CUES, blocks(), 7, "manhattan"), am.topk(CUES, KEYS, 7, "manhattan"))
    same(am.topk(CUES[0], blocks(True), 7, "dot"), am.topk(CUES[0], KEYS, 7, "dot"))
    same(am.within(CUES, blocks(), 4.0, "l2"), am.within(CUES, KEYS, 4.0, "l2"))
    for options in (dict(beta=0.5), dict(separation="max"), dict(separation=am.TopK(3, 1.0))):
        expected = am.retrieve(CUES, KEYS, VALUES, **options)
        got = am.retrieve(CUES, blocks(True), **options)
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)
        assert got.dtype == expected.dtype
    np.testing.assert_allclose(
        am.hebbian(blocks(True)), am.hebbian(KEYS, VALUES), rtol=0, atol=1e-3
    )


def same(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


def test_bits_and_small_integers():
    bits = am.BitMatrix.random(100, 50, 1)
    blocks = am.Blocks(bits, 7)
    same(am.topk(bits[:3], blocks, 5, "hamming"), am.topk(bits[:3], bits, 5, "hamming"))
    same(am.within(bits[:3], blocks, 20, "hamming"), am.within(bits[:3], bits, 20, "hamming"))
    np.testing.assert_array_equal(am.hebbian(blocks), am.hebbian(bits))
    got = am.retrieve(bits[:3], blocks, similarity="hamming", separation="max")
    expected = am.retrieve(bits[:3], bits, similarity="hamming", separation="max")
    np.testing.assert_array_equal(got, expected)
    signs = bits.unpack()
    total = am.hebbian(am.Blocks(signs, 9), weights=np.arange(100))
    assert total.dtype == np.int32
    np.testing.assert_array_equal(total, am.hebbian(signs, weights=np.arange(100)))
    halves = np.full(100, 0.5)
    np.testing.assert_array_equal(
        am.hebbian(am.Blocks(signs, 9), weights=halves), am.hebbian(signs, weights=halves)
    )


def test_values_and_weights_beside_blocks():
    b = np.log(RNG.random(N))
    blocks = am.Blocks(KEYS, 50)
    np.testing.assert_allclose(
        am.retrieve(CUES, blocks, VALUES, log_weight=b),
        am.retrieve(CUES, KEYS, VALUES, log_weight=b),
        atol=2e-6,
    )
    out = np.ones((4, D))
    assert am.hebbian(blocks, VALUES, weights=np.exp(b), out=out) is out
    np.testing.assert_allclose(out - 1, am.hebbian(KEYS, VALUES, weights=np.exp(b)), atol=1e-3)
    for call in (
        lambda: am.retrieve(CUES, blocks, VALUES[:-1]),
        lambda: am.retrieve(CUES, blocks, np.vstack([VALUES, VALUES])),
        lambda: am.retrieve(CUES, blocks, log_weight=b[:-1]),
        lambda: am.retrieve(CUES, blocks, log_weight=np.append(b, 0)),
        lambda: am.retrieve(CUES, am.Blocks((KEYS, VALUES)), VALUES),
        lambda: am.hebbian(blocks, weights=b[:60], out=out),
        lambda: am.retrieve(CUES, blocks, separation=am.Sparsemax()),
    ):
        before = out.copy()
        with pytest.raises(ValueError):
            call()
        np.testing.assert_array_equal(out, before)


def test_bad_sources(tmp_path):
    blocks = am.Blocks(x for x in [KEYS])
    am.topk(CUES, blocks, 3, "dot")
    with pytest.raises(ValueError, match="can be read once"):
        am.topk(CUES, blocks, 3, "dot")
    for source, error, match in (
        ([], ValueError, "no rows"),
        ([KEYS[:0]], ValueError, "no rows"),
        (iter([]), ValueError, "no rows"),
        ([KEYS, KEYS[:, :3]], ValueError, "block 1 of the keys has 3 columns, block 0 has 12"),
        ([KEYS, KEYS.astype("f8")], TypeError, "block 1 of the keys is float64"),
        ((KEYS, VALUES[:-1]), ValueError, "values have 229 rows, the keys have 230"),
        ((KEYS, iter([VALUES])), TypeError, "values must be"),
        ((iter([KEYS]), VALUES), TypeError, "yields pairs"),
        ((KEYS,), ValueError, "a tuple is"),
        (iter([(KEYS, VALUES), KEYS]), ValueError, "block 1 has no values"),
        (iter([(KEYS, VALUES[:3])]), ValueError, "230 keys and 3 values"),
        (iter([KEYS[0]]), ValueError, "2-d"),
        (iter([None]), ValueError, "None"),
        (KEYS[0], ValueError, "2-d"),
        (3, TypeError, "must be an array"),
        ({1: 2}, TypeError, "must be an array"),
        (tmp_path / "none.npy", FileNotFoundError, "not there"),
        (tmp_path, FileNotFoundError, "folder"),
        ([KEYS, "none.npy"], FileNotFoundError, r"keys\[1\]"),
    ):
        with pytest.raises(error, match=match):
            am.topk(CUES, am.Blocks(source), 3, "dot")
    with pytest.raises(ValueError, match=r"1\.\.230"):
        am.topk(CUES, am.Blocks(KEYS, 20), 231, "dot")
    with pytest.raises(ValueError, match=r"1\.\.230"):
        am.topk(CUES, am.Blocks(iter([KEYS])), 231, "dot")
    with pytest.raises(ValueError, match="rows"):
        am.Blocks(KEYS, 0)
    with pytest.raises(TypeError, match="a block at a time"):
        am.pairwise(CUES, am.Blocks(KEYS), "dot")
    bad = KEYS.copy()
    bad[100, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        am.topk(CUES, am.Blocks(bad, 50), 3, "dot")


def test_bad_npy_files(tmp_path):
    path = tmp_path / "x.npy"
    for content, match in (
        (b"", "no .npy file"),
        (b"\x93NUMPY\x01\x00", "no .npy file"),
        (b"PK\x03\x04", "no .npy file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=match):
            am.Blocks(path)
    np.save(path, np.array([[1, None]]), allow_pickle=True)
    with pytest.raises(ValueError, match="not 2-d numbers"):
        am.Blocks(path)
    np.save(path, np.asfortranarray(KEYS))
    with pytest.raises(ValueError, match="Fortran"):
        am.Blocks(path)
    saved(tmp_path)
    blocks = am.Blocks(path, 50)
    with open(path, "r+b") as file:
        file.truncate(5000)
    with pytest.raises(ValueError, match="ends before row"):
        am.topk(CUES, blocks, 3, "dot")
    with pytest.raises(ValueError, match="was cut"):
        am.Blocks(path)
    np.save(path, KEYS.astype(">f4"))
    same(am.topk(CUES, am.Blocks(path, 50), 3, "dot"), am.topk(CUES, KEYS, 3, "dot"))


def test_a_source_that_raises_in_the_middle():
    def broken():
        yield KEYS[:50]
        yield KEYS[50:90]
        raise RuntimeError("the disk is gone")

    out = np.zeros((D, D))
    for call in (
        lambda: am.topk(CUES, am.Blocks(broken()), 3, "dot"),
        lambda: am.hebbian(am.Blocks(broken()), out=out),
    ):
        with pytest.raises(RuntimeError, match="the disk is gone") as caught:
            call()
        notes = getattr(caught.value, "__notes__", ["block 2, from row 90"])
        assert "block 2" in notes[0] and "row 90" in notes[0]
    assert not out.any()


def test_the_next_block_is_read_while_one_is_computed_with():
    reading = [threading.Event() for _ in range(4)]
    names = set()

    def source():
        for i in range(4):
            names.add(threading.current_thread().name)
            reading[i].set()
            yield KEYS[i * 50 : i * 50 + 50]

    computed = []

    def work(start, keys, values):
        i = start // 50
        assert i == 3 or reading[i + 1].wait(20), "the next block waits for this one"
        assert i > 1 or not reading[i + 2].is_set(), "three blocks at once"
        computed.append(start)

    am.Blocks(source()).each(work)
    assert computed == [0, 50, 100, 150] and threading.main_thread().name not in names


def test_two_blocks_are_in_memory():
    alive, most = 0, 0

    class Counted(np.ndarray):
        def __new__(cls, rows):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return np.zeros((rows, 4)).view(cls)

        def __del__(self):
            nonlocal alive
            alive -= self.base is None or not isinstance(self.base, Counted)

    def source():
        for _ in range(12):
            yield Counted(10)

    am.Blocks(source()).each(lambda start, keys, values: None)
    assert most <= 3  # one may be on its way while the last is let go


LIMITED = """
import resource, sys, numpy as np, amfast as am
blocks = am.Blocks(sys.argv[1], int(sys.argv[2]))
queries = np.ones((3, 1024), np.float32)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), now + (1 << 30)))
scores, indices = am.topk(queries, blocks, 2, "manhattan", threads=2)
print(scores.tolist(), indices.tolist(), now >> 20)
peak = [x for x in open("/proc/self/status") if x.startswith("VmHWM")][0].split()[1]
print(int(peak) >> 10)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_gigabytes_under_a_limit_of_one(tmp_path):
    """2 GB, or with AMFAST_TEST_GB=8 as many."""
    path = tmp_path / "big.npy"
    n = int(os.environ.get("AMFAST_TEST_GB", "2")) << 18
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (n, 1024)}
        )
        head = file.tell()
        file.truncate(head + n * 4096)
    nearest = np.ones(1024, np.float32)
    nearest[:5] = 0
    with open(path, "r+b") as file:
        file.seek(head + (n - 1000) * 4096)
        file.write(nearest.tobytes())
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path, "8192"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("[[5.0, 1024.0]"), done.stderr
    assert f"[{n - 1000}, 0]" in done.stdout
    assert int(done.stdout.split()[-1]) < 300  # MB: the interpreter, two blocks of 32, results


def test_a_mapped_array_is_read_in_place(tmp_path):
    """No copy of a C-ordered memmap by any kernel: the file is 400 MB, the room 150."""
    path = tmp_path / "x.npy"
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, (100_000, 1024))
    mapped[77_777] = 1
    mapped.flush()
    done = subprocess.run(
        [sys.executable, "-c", IN_PLACE, path], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["77777", "1", "1.0", "1.0", "1.0", "1.0"], done.stderr


IN_PLACE = """
import resource, sys, numpy as np, amfast as am
keys = np.load(sys.argv[1], mmap_mode="r")
cue = np.ones((1, 1024), np.float32)
am.topk(cue, keys[:5], 1, "dot", threads=2)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (150 << 20),) * 2)
print(am.topk(cue, keys, 1, "manhattan")[1][0, 0])
print(len(am.within(cue, keys, 1000.0, "dot")[1]))
print(am.retrieve(cue, keys, beta=1.0)[0, 0])
print(am.pairwise(cue, keys, "dot")[0, 77777] / 1024)
print(am.hebbian(keys[:, :])[5, 7])
print(am.hebbian(keys, keys[:, :3].copy(), weights=np.ones(len(keys)))[2, 1023])
"""
