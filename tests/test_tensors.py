"""The file format: whole or not at all when written, read with distrust."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amfast as am
from amfast._check import tensors

ROOT = os.getuid() == 0
FIRST = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(5, dtype=np.uint8),
    "c": np.array(2.5),
    "empty": np.empty((0, 7), np.int16),
}


def memory(n: int = 6, d: int = 4, seed: int = 0) -> am.UniversalHopfield:
    rng = np.random.default_rng(seed)
    made = am.UniversalHopfield("manhattan", "max")
    made.store(rng.normal(size=(n, d)).astype(np.float32), weights=rng.random(n) + 0.5)
    return made


def write(path: Path, *content: Any) -> Path:
    return tensors.write(path, tensors.Content(*content))


def run(code: str, *arguments: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


# -- the format -----------------------------------------------------------------------------------


def test_the_layout(tmp_path):
    path = write(tmp_path / "x", "Kind", {"n": 1, "inf": float("inf")}, FIRST, "me")
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert (8 + length) % 64 == 0 and raw[8 + length - 1 : 8 + length] in b"} "
    meta = header.pop("__metadata__")
    assert meta["format"] == "amfast" and meta["version"] == "1" and meta["class"] == "Kind"
    sizes = [FIRST[name].dtype.itemsize for name in header]
    assert sizes == sorted(sizes, reverse=True)
    place = 0
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        data = raw[8 + length + start : 8 + length + stop]
        assert start == place and data == FIRST[name].tobytes()
        assert json.loads(meta["crc32"])[name] == f"{zlib.crc32(data):08x}"
        place = stop
    assert 8 + length + place == len(raw)
    for mmap in (False, True):
        found = tensors.read(path, mmap=mmap, verify=True)
        assert found.parts == {"n": 1, "inf": float("inf")} and found.kind == "Kind"
        for name, x in FIRST.items():
            np.testing.assert_array_equal(found.arrays[name], x)
            assert found.arrays[name].dtype == x.dtype and found.arrays[name].shape == x.shape


def test_the_real_library_opens_it(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = memory().save(tmp_path / "m.safetensors")
    found = numpy.load_file(path)
    np.testing.assert_array_equal(found["keys"], memory().keys)
    assert set(found) == {"keys", "ids", "weights"}
    numpy.save_file({"x": np.zeros(3)}, tmp_path / "other", metadata={"format": "pt"})
    with pytest.raises(am.FileFormatError, match="another program's file"):
        am.load(tmp_path / "other")


@pytest.mark.parametrize("layout", ["swapped", "fortran", "strided", "wide rows"])
def test_any_layout_and_byte_order_is_written_alike(layout, tmp_path, monkeypatch):
    x = np.arange(600.0).reshape(20, 30)
    given = {
        "swapped": x.astype(">f8"),
        "fortran": np.asfortranarray(x),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "wide rows": np.asfortranarray(x),
    }[layout]
    monkeypatch.setattr(tensors, "_PIECE", 64 if layout == "wide rows" else 1024)
    write(tmp_path / "a", "K", {}, {"x": x}, "me")
    write(tmp_path / "b", "K", {}, {"x": given}, "me")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_are_little_endian_on_every_machine(tmp_path, monkeypatch):
    """A machine of the other byte order: its native numbers are what ours calls swapped."""
    path = write(tmp_path / "x", "K", {}, {"x": np.arange(4, dtype=np.int32)}, "me")
    monkeypatch.setitem(tensors.DTYPES, "I32", ">i4")
    for mmap in (False, True):
        found = tensors.read(path, mmap=mmap).arrays["x"]
        assert found.dtype.isnative and found.tolist() == [0, 1 << 24, 2 << 24, 3 << 24]


def test_inspect_reads_the_header_alone(tmp_path):
    path = memory().save(tmp_path / "m")
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    found = am.inspect(path)
    assert found["class"] == "UniversalHopfield" and found["version"] == 1
    assert found["arrays"]["keys"] == {"dtype": "float32", "shape": (6, 4)}
    assert found["writer"].startswith("amfast ") and found["nbytes"] == 6 * 4 * 4 + 6 * 16
    assert found["parts"]["parameters"]["similarity"] == "manhattan"


# -- what is wrong --------------------------------------------------------------------------------


def forged(change: Any, tmp_path: Path, tail: bytes = b"") -> Path:
    """A file whose header says something else, with right checksums."""
    path = write(tmp_path / "forged", "K", {}, {"x": np.arange(4.0), "y": np.zeros(2)}, "me")
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = change(raw[8 : 8 + length].decode())
    plain = tensors._OWN_CRC.sub(b'"header_crc32": "00000000"', header.encode())
    crc = f'"header_crc32": "{zlib.crc32(plain):08x}"'.encode()
    text = plain.replace(b'"header_crc32": "00000000"', crc)
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :] + tail)
    return path


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"format": "amfast"', '"format": "other"', "another program's"),
        ('"version": "1"', '"version": "2"', "version 2, written by 'me'; this amfast reads"),
        ('"class"', '"klass"', "must have"),
        ('"class": "K"', '"class": 3', "no text 'class'"),
        ('"class": "K"', '"class": "K", "more": ""', "nothing else"),
        ('"F64"', '"F128"', "unknown dtype 'F128'"),
        ('"F64"', '"F32"', "does not fill"),
        ("[0, 32]", "[0, 24]", "does not fill"),
        ("[0, 32]", "[8, 40]", "begins at 8"),
        ("[32, 48]", "[24, 40]", "begins at 24, the array before it ends at 32"),
        ("[32, 48]", "[40, 56]", "begins at 40"),
        ('"shape": [4]', '"shape": [2]', "does not fill"),
        ('"shape": [4]', '"shape": [-4]', "shape"),
        ('"shape": [4]', '"shape": [4.0]', "shape"),
        ('"shape": [4]', '"shape": [true]', "shape"),
        ('"shape": [4]', '"shape": [0, 9223372036854775807]', "shape"),
        ('"shape": [4]', '"shape": [0, 1152921504606846977]', "which no array has"),
        ('"data_offsets": [0, 32]', '"data_offsets": [0]', "data_offsets"),
        ('"y": {', '"x": {', "a name occurs twice"),
        ('"y": {', '"z": {', "differ in their names: y, z"),
        ('"y": {"dtype": "F64", ', '"y": {', "must have dtype"),
        ('"parts": "{}"', '"parts": "[]"', "no JSON object"),
        ('"parts": "{}"', '"parts": "{\\"a\\": NaN}"', "no JSON number"),
        ('"parts": "{}"', f'"parts": "{"[" * 100000}"', "no JSON"),
        ("}}", "}}}", "no JSON"),
    ],
)  # fmt: skip
def test_headers_that_lie(old, new, match, tmp_path):
    path = forged(lambda text: text.replace(old, new, 1), tmp_path)
    for mmap in (False, True):
        with pytest.raises(am.FileFormatError, match=match) as error:
            tensors.read(path, mmap=mmap)
        assert str(path) in str(error.value)


def test_files_of_other_things(tmp_path):
    path = tmp_path / "x"
    for content, match in (
        (b"", "0 bytes"),
        (b"1234567", "7 bytes"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "no safetensors file"),
        (b"PK\x03\x04" + bytes(100), "the header"),
        (bytes(64), "another program's"),
        ((200 << 20).to_bytes(8, "little") + bytes(20), "100000000 is the most"),
        ((20).to_bytes(8, "little") + b"{" * 20, "another program's"),
    ):
        path.write_bytes(content)
        for call in (am.load, am.inspect, lambda p: am.load(p, mmap=True)):
            with pytest.raises(am.FileFormatError, match=match):
                call(path)
    with pytest.raises(FileNotFoundError):
        am.load(tmp_path / "none")
    with pytest.raises(am.FileFormatError, match="a folder without"):
        am.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(am.FileFormatError, match="pipe"):
        am.load(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        memory().save(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError, match="folder"):
        memory().save(tmp_path)
    for folder in (tmp_path / "none", path):
        with pytest.raises(FileNotFoundError, match="no such folder") as missing:
            memory().save(folder / "m")
        assert missing.value.filename == str(folder)
    with pytest.raises(am.FileFormatError, match="a folder without"):
        am.inspect(tmp_path)
    for number in (0, True, None, 2.5, ["m"]):  # a number is no open file to read from
        for call in (am.load, am.inspect, memory().save):
            with pytest.raises(TypeError, match="path must be a str or path, got"):
                call(number)
    kept = os.fsencode(tmp_path / "kept")
    assert memory().save(kept) == tmp_path / "kept" and len(am.load(kept)) == 6
    with pytest.raises(TypeError):
        am.load(path, mmap="yes")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.write((150_000_000).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(am.FileFormatError, match="100000000 is the most"):
        am.load(big)


def test_damage_is_named(tmp_path):
    path = memory().save(tmp_path / "m")
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(am.FileFormatError, match="'keys' is damaged: its checksum"):
        am.load(path)
    with pytest.raises(am.FileFormatError, match="'keys' is damaged"):
        am.load(path, mmap=True, verify=True)
    am.load(path, verify=False), am.load(path, mmap=True)


GOLDEN = memory(3, 2)


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    path, raw = folder / "changed", GOLDEN.save(folder / "m").read_bytes()
    # What is loaded at the first error and the first comparison is not the file's.
    path.write_bytes(raw[:9])
    with pytest.raises(am.FileFormatError):
        am.load(path)
    np.testing.assert_array_equal(am.load(folder / "m").keys, GOLDEN.keys)
    return path, raw


def survives(path: Path, raw: bytes) -> None:
    """Whatever the bytes are: the memory that was saved, or FileFormatError, in little memory."""
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        found = am.load(path)
        np.testing.assert_array_equal(found.keys, GOLDEN.keys)
        assert repr(found) == repr(GOLDEN) and found.ids.tolist() == [0, 1, 2]
    except am.FileFormatError as error:
        assert str(path) in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Python's own: the error's traceback, strings of the header.
    assert peak < 2 * len(raw) + 200_000
    try:
        am.load(path, mmap=True)
    except am.FileFormatError:
        pass


@settings(max_examples=300)
@given(data=st.data())
def test_mutations(golden, data):
    path, raw = golden
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "set", "insert", "remove", "swap"]))
        i = data.draw(st.integers(0, len(changed) - 1))
        if kind == "flip":
            changed[i] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            changed[i] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            changed[i:i] = data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "remove":
            del changed[i : i + data.draw(st.integers(1, 9))]
        else:
            j = data.draw(st.integers(0, len(changed) - 1))
            changed[i], changed[j] = changed[j], changed[i]
    survives(path, bytes(changed))


@settings(max_examples=300)
@given(data=st.data())
def test_mutations_of_the_header_with_right_checksums(golden, data):
    """Past the checksum: what a forger could write."""
    path, raw = golden
    length = int.from_bytes(raw[:8], "little")
    text = bytearray(raw[8 : 8 + length].rstrip())
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(text) - 1))
        pieces = [
            b"0",
            b"9",
            b"-1",
            b"1e999",
            b"[",
            b"]",
            b"{}",
            b'"',
            b",",
            b"null",
            b"true",
            b"x",
        ]
        text[i : i + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(pieces))
    plain = tensors._OWN_CRC.sub(b'"header_crc32": "00000000"', bytes(text))
    crc = f'"header_crc32": "{zlib.crc32(plain):08x}"'.encode()
    plain = plain.replace(b'"header_crc32": "00000000"', crc, 1)
    path.write_bytes(len(plain).to_bytes(8, "little") + plain + raw[8 + length :])
    for mmap in (False, True):
        try:
            am.load(path, mmap=mmap)
        except am.FileFormatError as error:
            assert str(path) in str(error)


def test_truncations(golden):
    path, raw = golden
    for n in range(0, len(raw), 3):
        path.write_bytes(raw[:n])
        with pytest.raises(am.FileFormatError):
            am.load(path, mmap=True)
    survives(path, raw)
    survives(path, raw + b"\0")


# -- crashes, full disks, other processes ---------------------------------------------------------

SAVE = """
import os, signal, sys, time, numpy as np, amfast as am
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
memory = am.UniversalHopfield("dot", "max")
memory.store(np.zeros((1, 512)))
memory.save(sys.argv[1] + "first")  # what is imported when it is first asked for
for i, moment in enumerate(sys.argv[2:]):
    child = os.fork()
    if child == 0:
        memory = am.UniversalHopfield("dot", "max")
        memory.store(np.full((1000, 512), 10.0 + i, np.float32))
        while True:
            memory.save(sys.argv[1])
    time.sleep(float(moment))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(os.getpid(), flush=True)
    signal.sigwait([signal.SIGUSR1])
"""


def test_killed_while_it_saves(tmp_path):
    """At any moment, 50 times, the file is the old or the new one, whole."""
    path = tmp_path / "m"
    first = am.UniversalHopfield("dot", "max")
    first.store(np.full((100, 512), 7.0, np.float32))
    first.save(path)
    seen: set[float] = set()
    # The killed are copies of one process, which has the interpreter's start behind it.
    moments = [f"{x:.4f}" for x in np.random.default_rng(0).random(50) * 0.1]
    command = [sys.executable, "-c", SAVE, path, *moments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            found = am.load(path)
            fill = {float(x) for x in np.unique(np.asarray(found.keys))}
            assert len(fill) == 1 and len(found) in (100, 1000)
            seen |= fill
            os.kill(int(line), signal.SIGUSR1)
    assert parent.returncode == 0
    assert len(seen) > 1, "no save ended"


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = memory().save(tmp_path / "m")
    before = path.read_bytes()
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:

            def broken(*args: Any) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(tensors.os, name, broken)
            with pytest.raises(OSError, match="No space"):
                memory(50).save(path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["m"]
    link = tmp_path / "link"
    link.symlink_to(path)
    memory(50).save(link)
    assert link.is_symlink() and len(am.load(path)) == 50


@pytest.mark.skipif(not ROOT or not sys.platform.startswith("linux"), reason="mounts a small disk")
def test_a_full_disk_and_one_that_cannot_be_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk])
    if mounted.returncode:
        pytest.skip("mounting is not allowed")
    try:
        path = memory(10).save(disk / "m")
        before = path.read_bytes()
        with pytest.raises(OSError, match="No space left"):
            memory(100_000).save(path)
        assert path.read_bytes() == before and os.listdir(disk) == ["m"]
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(OSError, match="Read-only"):
            memory(11).save(path)
        assert path.read_bytes() == before and len(am.load(path, mmap=True)) == 10
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    path = memory(10).save(tmp_path / "m")
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            memory(11).save(path)
        assert path.read_bytes() == before
    finally:
        tmp_path.chmod(0o700)


def sparse(path: Path, n: int, d: int) -> Path:
    """A file of n rows of zeros, which takes no room on the disk."""
    made = am.UniversalHopfield("dot", "softmax")
    made.store(np.zeros((2, d), np.float32))
    parts, _ = made._saved()
    parts["store"]["next_id"] = n

    class Huge:
        """As much as `_header` asks of an array."""

        def __init__(self, dtype: Any, *shape: int) -> None:
            self.dtype, self.shape = np.dtype(dtype), shape
            self.nbytes = int(np.prod(shape)) * self.dtype.itemsize

    arrays: Any = {"ids": Huge("i8", n), "keys": Huge("f4", n, d)}
    order = ["ids", "keys"]
    header = tensors._header(
        tensors.Content("UniversalHopfield", parts, arrays, "a test"),
        order,
        dict.fromkeys(order, "00000000"),
    )
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + arrays["ids"].nbytes + arrays["keys"].nbytes)
    return path


def test_eight_gigabytes_open_in_milliseconds(tmp_path):
    path = sparse(tmp_path / "m", 1 << 21, 1024)
    assert path.stat().st_size > 8 << 30
    before = resource.getrusage(resource.RUSAGE_SELF)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = am.load(path, mmap=True)
        times.append(time.perf_counter() - start)
    took = min(times)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert len(found) == 1 << 21 and found.keys.shape == (1 << 21, 1024)
    assert took < 0.01, f"{1000 * took:.1f} ms"
    assert after.ru_majflt + after.ru_minflt - before.ru_majflt - before.ru_minflt < 2000


LIMITED = """
import resource, sys, numpy as np, amfast as am
kind, path = getattr(resource, sys.argv[1]), sys.argv[2]
resource.setrlimit(kind, (3 << 29, 3 << 29))  # one without a lock reserves a gigabyte itself
try:
    found = am.load(path, mmap=True)
    cues = np.ones((1, 1024), np.float32)
    print(len(found), found.keys[:20000].sum(), found.ids[5])
except OSError as error:
    print(type(error).__name__, error)
"""


def test_files_larger_than_the_memory_that_is_allowed(tmp_path):
    path = sparse(tmp_path / "m", 1 << 21, 1024)
    # What a mapping shows is not the process's own memory: 8 GB under a limit of 1.5 GB.
    data = run(LIMITED, "RLIMIT_DATA", path)
    assert data.stdout.split() == [str(1 << 21), "0.0", "0"], data.stderr
    # Where even addresses are limited nothing can be mapped, and the system says so.
    space = run(LIMITED, "RLIMIT_AS", path)
    assert "Cannot allocate memory" in space.stdout and str(path) in space.stdout, space.stderr


BIG = """
import resource, sys, numpy as np, amfast as am
memory = am.UniversalHopfield("dot", "max")
memory.store(np.ones((1 << 17, 512), np.float32))
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20),) * 2)
memory.save(sys.argv[1])
print("saved")
"""


def test_saving_takes_little_memory(tmp_path):
    """256 MB are written with 64 MB of address space to spare."""
    done = run(BIG, tmp_path / "m")
    assert done.stdout == "saved\n", done.stderr
    assert len(am.load(tmp_path / "m", mmap=True)) == 1 << 17


SHARED = """
import sys, numpy as np, amfast as am
found = am.load(sys.argv[1], mmap=True)
print("mapped", flush=True)
sys.stdin.readline()
cue = np.full((1, 64), 0.5, np.float32)
found.recall(cue)
pages = open("/proc/self/smaps").read().split(sys.argv[1])[1].splitlines()[1:20]
rows = {line.split(":")[0]: line.split()[1] for line in pages if line.endswith(" kB")}
print(rows["Rss"], rows["Private_Dirty"], flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads /proc")
def test_two_processes_share_what_they_map(tmp_path):
    made = am.UniversalHopfield("manhattan", "max")
    made.store(np.random.default_rng(0).normal(size=(20000, 64)).astype(np.float32))
    path = made.save(tmp_path / "m")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    both: list[Any] = [
        subprocess.Popen([sys.executable, "-c", SHARED, path], **pipes) for _ in range(2)
    ]
    try:
        for child in both:
            assert child.stdout.readline() == "mapped\n"
        made.delete([0])
        made.save(path)  # replaced below them: both still read what they mapped
        for child in both:
            child.stdin.write("\n"), child.stdin.flush()
        for child in both:
            resident, private = map(int, child.stdout.readline().split())
            assert resident > 4000 and private == 0
    finally:
        for child in both:
            child.communicate("\n", timeout=30)
    assert len(am.load(path)) == 19999
