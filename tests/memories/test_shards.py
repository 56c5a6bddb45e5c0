"""Memories in folders: one writer, many readers, and whatever dies leaves a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import interrupted
from test_contract import EVERY, numbers, signs

import amfast as am
from amfast import cli


def made(tmp_path, like=None):
    like = am.UniversalHopfield("l1", "max") if like is None else like
    return am.Shards.create(tmp_path / "s", like=like)


def parts(shards):
    return sorted(p.name for p in shards.folder.iterdir() if p.name.startswith("part"))


@pytest.mark.parametrize("case", EVERY)
def test_every_memory_in_pieces(case, tmp_path):
    if "nearness" in repr(case.make()):
        with pytest.raises(TypeError, match="Python function"):
            made(tmp_path, case.make())
        assert not (tmp_path / "s").exists()
        return
    shards = made(tmp_path, case.make())
    if case.trained:
        with pytest.raises(ValueError, match="fit"):
            shards.append(case.rows(3, 1))
        return
    told = repr(case.make())
    if "delta" in told or ("storkey" in told and "matrix" in told):
        shards.append(case.rows(3, 1))
        with pytest.raises(ValueError, match="order"):
            shards.append(case.rows(3, 2))
        return
    whole = case.make()
    with shards:
        for seed in (1, 2, 3):
            rows = case.rows(case.n, seed)
            values = rows[:, :5].copy() if case.values else None
            ids = shards.append(rows, values)
            np.testing.assert_array_equal(ids, case.fill(whole, rows))
    found = am.load(tmp_path / "s", mmap=True, verify=True)
    assert isinstance(found, am.Shards) and len(found) == 3 * case.n and found.n_parts == 3
    got, expected = case.answers(found.memory()), case.answers(whole)
    np.testing.assert_allclose(got, expected, rtol=0, atol=case.tolerance * 10)
    assert "Shards of" in repr(found)
    with shards:
        shards.compact()
    assert parts(shards) == ["part-00000003.safetensors"]
    np.testing.assert_array_equal(case.answers(am.load(tmp_path / "s").memory()), got)


def test_ids_stay_through_deletes_and_compaction(tmp_path):
    rng = np.random.default_rng(0)
    shards, twin = made(tmp_path), am.UniversalHopfield("l1", "max")
    for step in range(30):
        rows = rng.normal(size=(rng.integers(1, 5), 6))
        weights = rng.random(len(rows)) + 0.5 if step % 3 == 0 else None
        ids = shards.append(rows, weights=weights)
        np.testing.assert_array_equal(ids, twin.store(rows, weights=weights))
        if step % 4 == 3:
            gone = rng.choice(twin.ids, 2, replace=False)
            shards.delete(gone), twin.delete(gone)
        if step % 11 == 10:
            shards.compact()
        for now in (shards, am.load(shards.folder), am.load(shards.folder, mmap=True)):
            memory = now.memory()
            np.testing.assert_array_equal(memory.keys, twin.keys)
            np.testing.assert_array_equal(memory.ids, twin.ids)
            np.testing.assert_array_equal(now.ids(), twin.ids)
            np.testing.assert_allclose(memory.weights(rows), twin.weights(rows))
    scores, rows = am.topk(twin.keys[:3], shards.blocks(), 4, "l1")
    expected = am.topk(twin.keys[:3], twin.keys, 4, "l1")
    np.testing.assert_array_equal(scores, expected[0])
    np.testing.assert_array_equal(rows, expected[1])
    shards.delete(shards.ids())
    assert len(shards.compact()) == 0 and len(shards.memory()) == 0
    assert shards.append(np.ones((1, 6)))[0] == twin.store(np.ones((1, 6)))[0]
    assert shards.memory().recall(np.zeros(6)).tolist() == [1.0] * 6


def test_one_part_is_mapped_and_values_come_along(tmp_path):
    shards = made(tmp_path, am.UniversalHopfield("dot", "softmax"))
    keys = numbers(50, 1)
    shards.append(keys[:20], keys[:20, :3].copy()), shards.append(keys[20:], keys[20:, :3].copy())
    shards.delete([4])
    some = np.delete(keys, 4, axis=0)
    np.testing.assert_allclose(
        am.retrieve(keys[:4], shards.blocks()), am.retrieve(keys[:4], some, some[:, :3]), atol=1e-6
    )
    shards.compact()
    mapped = am.load(shards.folder, mmap=True).memory()
    assert not mapped.keys.flags.writeable and mapped._store.now.columns.keys.in_place
    np.testing.assert_array_equal(mapped.keys, some)


def test_what_is_refused_changes_nothing(tmp_path):
    shards = made(tmp_path)
    shards.append(numbers(3, 1))
    before = sorted(os.listdir(shards.folder))
    bad = numbers(3, 2)
    bad[1, 1] = np.nan
    for call, error, match in (
        (lambda: shards.append(bad), ValueError, "row 1"),
        (lambda: shards.append(numbers(3, 1)[:, :4]), ValueError, "columns"),
        (lambda: shards.append(numbers(3, 1), numbers(3, 1)), ValueError, "values"),
        (lambda: shards.append(numbers(3, 1), weights=[-1, 1, 1]), ValueError, "weights"),
        (lambda: shards.delete([7]), ValueError, "no item has the id 7"),
        (lambda: shards.delete([1, 1]), ValueError, "twice"),
        (lambda: shards.delete([0.5]), TypeError, "int"),
        (lambda: made(tmp_path), FileExistsError, "holds something"),
        (lambda: am.Shards.create(tmp_path / "t", like=3), TypeError, "memory"),
        (lambda: am.load(tmp_path), am.FileFormatError, "no shards"),
    ):
        with pytest.raises(error, match=match):
            call()
    assert sorted(os.listdir(shards.folder)) == before and len(shards) == 3
    assert len(shards.append(np.empty((0, 24), np.float32))) == 0
    sums = am.Shards.create(tmp_path / "h", like=am.HebbianMemory())
    sums.append(numbers(3, 1))
    for call in (lambda: sums.delete([0]), sums.blocks, sums.ids):
        with pytest.raises(ValueError, match=r"keeps? no items|delete|sums"):
            call()


def test_damage_is_found(tmp_path, capsys):
    shards = made(tmp_path)
    shards.append(numbers(3, 1)), shards.append(numbers(3, 2))
    assert cli.main(["check", str(shards.folder)]) == 0
    assert am.inspect(shards.folder)["class"] == "Shards"
    path = shards.folder / parts(shards)[1]
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert cli.main(["check", str(shards.folder)]) == 1
    am.load(shards.folder, mmap=True)  # reads the list alone
    with pytest.raises(am.FileFormatError, match="damaged"):
        am.load(shards.folder).memory()
    path.write_bytes((shards.folder / parts(shards)[0]).read_bytes())
    am.UniversalHopfield("l1", "max").save(path)
    with pytest.raises(am.FileFormatError, match="the list says 3"):
        shards.memory()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        shards.memory()
    (shards.folder / "list.safetensors").unlink()
    with pytest.raises(am.FileFormatError, match="no shards"):
        am.load(shards.folder)
    capsys.readouterr()


DIE = """
import os, signal, sys, numpy as np, amfast as am
action = sys.argv[2]
def act():
    if action == "append":
        shards.append(np.full((2, 4), 2.0))
    elif action == "delete":
        shards.delete(shards.ids()[:1])
    else:
        shards.compact()
count = 0
def counted(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
hooks = {name: counted(name) for name in ("open", "fsync", "replace", "unlink", "close")}
for step in range(1, 100):
    child = os.fork()
    if child == 0:
        shards = am.load(sys.argv[1])
        shards.append(np.full((1, 4), 1.0))
        for name, hook in hooks.items():
            setattr(os, name, hook)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(step, os.WIFSIGNALED(status), flush=True)
    sys.stdin.readline()
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.mark.parametrize("action", ["append", "delete", "compact"])
def test_killed_at_every_step(action, tmp_path):
    shards = made(tmp_path)
    shards.append(np.full((3, 4), 0.5)), shards.close()
    before = 3
    command = [sys.executable, "-c", DIE, tmp_path / "s", action]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(command, **pipes) as parent:
        for line in parent.stdout:
            step, killed = line.split()
            found = am.load(tmp_path / "s", verify=True)
            rows = found.memory().keys[:, 0]
            assert len(found) == len(rows) == len(found.ids())
            # Everything from before is there, the row that came first, and the change or not.
            change = {"append": 2, "delete": -1, "compact": 0}[action]
            assert len(found) in (before + 1, before + 1 + change)
            if killed == "False":
                assert len(found) == before + 1 + change
            before = len(found)
            parent.stdin.write("\n"), parent.stdin.flush()
    assert parent.returncode == 0 and killed == "False"
    step = int(step)
    assert step > 3
    with am.load(tmp_path / "s") as writer:  # the dead one's lock is free
        writer.compact()
        assert len(parts(writer)) == 1
        assert not [p for p in os.listdir(writer.folder) if p.endswith(".tmp")]


WRITE = """
import sys, time, numpy as np, amfast as am
shards = am.load(sys.argv[1])
for i in range(int(sys.argv[2])):
    shards.append(np.full((i % 3 + 1, 4), float(i)))
    if i == 0:
        print("writes", flush=True)
    if i % 20 == 19:
        shards.compact()
sys.stdin.readline()
"""


def test_readers_see_a_prefix_and_a_second_writer_is_refused_by_name(tmp_path):
    made(tmp_path).close()
    expected = np.concatenate([np.full(i % 3 + 1, float(i)) for i in range(50)])
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, tmp_path / "s", "50"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == "writes\n"
        with pytest.raises(BlockingIOError, match=f"process {child.pid} on "):
            am.load(tmp_path / "s").append(np.ones((1, 4)))
        seen = set()
        deadline = time.time() + 60
        while len(seen) < 3 or max(seen) < len(expected):
            found = am.load(tmp_path / "s", mmap=True)
            rows = np.asarray(found.memory().keys)[:, 0]
            np.testing.assert_array_equal(rows, expected[: len(rows)])
            seen.add(len(rows))
            assert time.time() < deadline
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    with am.load(tmp_path / "s") as writer:
        assert writer.append(np.ones((1, 4)))[0] == len(expected)


def test_two_writers_in_one_process_and_two_threads_of_one(tmp_path):
    first = made(tmp_path)
    second = am.load(first.folder)
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} "):
        second.append(numbers(1, 1))
    workers = [threading.Thread(target=lambda: first.append(numbers(2, 1))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first.close()
    ids = second.append(numbers(1, 1))
    assert ids.tolist() == [16] and len(second.memory()) == 17
    del second
    assert len(first.refresh()) == 17


def test_appending_and_opening_are_cheap(tmp_path):
    """Milliseconds, whatever is there already; the disk's own waiting left out."""
    shards = made(tmp_path, am.UniversalHopfield("dot", "softmax"))
    shards.append(np.zeros((200_000, 64), np.float32))
    row = np.ones((1, 64), np.float32)
    real, os.fsync = os.fsync, lambda descriptor: None
    try:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            shards.append(row)
            times.append(time.perf_counter() - start)
    finally:
        os.fsync = real
    assert min(times) < 0.005, f"{1000 * min(times):.1f} ms"
    opening = []
    for _ in range(5):
        start = time.perf_counter()
        found = am.load(shards.folder, mmap=True)
        opening.append(time.perf_counter() - start)
    assert min(opening) < 0.01 and len(found) == 200_020


def test_a_maker_that_died_and_a_list_that_names_others(tmp_path):
    shards = made(tmp_path)
    shards.close()
    (shards.folder / "list.safetensors").unlink(), (shards.folder / "lock").unlink()
    again = made(tmp_path)
    again.append(numbers(2, 1))
    listed = again._list
    for name in ("../part-00000000.safetensors", "", "..", "/etc/passwd", "empty.safetensors"):
        listed._replace(names=(name,)).write(again.folder)
        with pytest.raises(am.FileFormatError, match="no list of shards"):
            am.load(again.folder)
    listed.write(again.folder)
    assert len(am.load(again.folder).memory()) == 2


def test_bits_in_shards(tmp_path):
    shards = made(tmp_path, am.UniversalHopfield("hamming", "max"))
    rows = signs(40, 1)
    shards.append(rows[:11]), shards.append(rows[11:])
    shards.delete([2, 30])
    kept = np.delete(rows, [2, 30], axis=0)
    got = am.topk(am.pack(rows[:5]), shards.blocks(), 3, "hamming")
    expected = am.topk(rows[:5], kept, 3, "hamming")
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_come_along_in_blocks(tmp_path):
    memory = am.UniversalHopfield("dot", "softmax", beta=0.5)
    shards, keys = made(tmp_path, memory), numbers(40, 1)
    weights = np.random.default_rng(1).random(40) + 0.1
    weights[7] = 0
    shards.append(keys[:10], keys[:10, :3].copy(), weights[:10])
    shards.append(keys[10:20], keys[10:20, :3].copy())  # all of weight 1
    shards.append(keys[20:], keys[20:, :3].copy(), weights[20:])
    shards.delete([3, 30])
    weights[10:20] = 1
    some = np.delete(np.arange(40), [3, 30])
    with np.errstate(divide="ignore"):
        b = np.log(weights)[some]
    for rows in (None, 6):
        blocks = shards.blocks(rows)
        got = am.retrieve(keys[:4], blocks, beta=0.5)
        expected = am.retrieve(keys[:4], keys[some], keys[some, :3], beta=0.5, log_weight=b)
        np.testing.assert_allclose(got, expected, atol=1e-6)
        np.testing.assert_allclose(got, shards.memory().recall(keys[:4]), atol=1e-6)
        found = am.topk(keys[:4], blocks, 3, "dot")
        for mine, theirs in zip(
            found, am.topk(keys[:4], shards.memory().keys, 3, "dot"), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        with pytest.raises(ValueError, match="twice"):
            am.retrieve(keys[:4], blocks, log_weight=b)
        with pytest.raises(ValueError, match="pass weights"):
            am.hebbian(blocks)
    with pytest.raises(ValueError, match="39|38"):
        am.retrieve(keys[:4], am.Blocks(keys, log_weight=b))
    short = am.Blocks([keys[:4], keys[4:]], log_weight=b[:2])
    with pytest.raises(ValueError, match="log_weight"):
        am.retrieve(keys[:4], short)


# A file that is interrupted while it is opened is closed by the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("action", ["append", "delete", "compact"])
def test_a_disk_that_fails_and_an_interrupt_at_every_line(action, tmp_path, monkeypatch):
    """What raised happened or it did not; the writer goes on, and so does what he finds."""
    with made(tmp_path) as shards:
        shards.append(np.full((3, 4), 0.5))
        changes = {
            "append": lambda: shards.append(np.full((2, 4), 2.0)),
            "delete": lambda: shards.delete(shards.ids()[:1]),
            "compact": shards.compact,
        }
        real = os.fsync

        def settled(call):
            """Run what fails; return whether it did, and look at what is there."""
            before = len(shards)
            try:
                failed = call()
            except OSError:
                failed = True
            found = am.load(shards.folder, verify=True)
            assert len(found) == len(shards) == len(shards.memory().keys)
            np.testing.assert_array_equal(found.ids(), shards.ids())
            change = {"append": 2, "delete": -1, "compact": 0}[action]
            assert len(shards) in (before, before + change)
            assert not [p for p in shards.folder.iterdir() if p.name.endswith(".tmp")]
            return failed

        for step in range(1, 9):
            calls = iter(range(1, 100))

            def fails(file, step=step, calls=calls):
                if next(calls) == step:
                    raise OSError(28, "No space left on device")
                real(file)

            shards.append(np.full((1, 4), 1.0)), shards.append(np.full((1, 4), 1.0))
            monkeypatch.setattr(os, "fsync", fails)
            failed = settled(changes[action])
            monkeypatch.setattr(os, "fsync", real)
            if failed is not True:
                break
        assert step == (4 if action != "delete" else 3)
        monkeypatch.setattr(os, "fsync", lambda file: None)
        for at in range(1, 5000, 61):
            shards.compact().append(np.full((1, 4), 1.0))
            if not settled(lambda at=at: interrupted(changes[action], at)):
                break
        assert at > 50
