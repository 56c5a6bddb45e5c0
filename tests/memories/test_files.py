"""Memories in files: what was saved comes back bit for bit, whatever it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_contract import CASES, EVERY, Case, D, fingerprint, nearness, numbers, signs

import amfast as am
from amfast._check import savable

DATA = Path(__file__).parents[1] / "data" / "files"


def savable_case(case: Case) -> bool:
    """Whether no Python function is inside."""
    try:
        case.make()._saved()
    except TypeError:
        return False
    return True


def again(memory: Any, path: Path, **kwargs: Any) -> Any:
    assert memory.save(path) == path
    twin = am.load(path, **kwargs)
    assert type(twin) is type(memory) and repr(twin) == repr(memory)
    return twin


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
@pytest.mark.parametrize("case", EVERY)
def test_round_trip_bit_for_bit(case, mmap, tmp_path):
    path = tmp_path / "memory.safetensors"
    empty = case.make()
    if not savable_case(case):
        with pytest.raises(TypeError, match=r"function, which a file cannot hold"):
            empty.save(path)
        assert list(tmp_path.iterdir()) == []
        return
    again(empty, path, mmap=mmap)
    memory = case.stored(1, 2)
    twin = again(memory, path, mmap=mmap)
    assert fingerprint(case, twin) == fingerprint(case, memory)
    # What comes next is the same too: ids, and what is derived from what was stored.
    if not case.trained:
        more = case.rows(case.n, 3)
        np.testing.assert_array_equal(case.fill(twin, more), case.fill(memory, more))
    assert fingerprint(case, twin) == fingerprint(case, memory)
    # The file is as it was, whatever happened to the memory that was mapped from it.
    assert len(am.load(path, verify=True)) == (
        len(memory) if case.trained else len(memory) - case.n
    )


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int8", "bool"])
@pytest.mark.parametrize("case", [p for p in EVERY if savable_case(p.values[0])])
def test_every_class_and_type(case, dtype, mmap, tmp_path):
    """What was stored in any type answers after a load as before, bit for bit."""
    rows = case.rows(case.n, 1)
    if case.rows is signs:
        rows = rows > 0 if dtype in ("uint8", "bool") else rows
    elif dtype in ("uint8", "int8"):
        rows = np.abs(30 * rows)
    rows = rows.astype(dtype)
    memory = case.make()
    case.fill(memory, rows)
    twin = again(memory, tmp_path / "m", mmap=mmap)
    assert len(twin) == case.n
    told = []
    for asked in (twin, memory):
        try:
            got = case.answers(asked, rows[:3])
            told.append((got.dtype, got.tobytes()))
        except ValueError as error:  # whole numbers lie in no subspace
            assert isinstance(memory, am.SparseRecoveryMemory)
            told.append(str(error))
    assert told[0] == told[1]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("metric", ["dot", "manhattan", "sqeuclidean", "cosine"])
def test_every_type_and_weights_and_ids(metric, dtype, tmp_path):
    rng = np.random.default_rng(0)
    memory = am.UniversalHopfield(metric, "softmax", beta=0.01)
    keys = rng.integers(0, 100, (40, 9)).astype(dtype)
    ids = memory.store(keys, keys[:, :4].copy(), weights=rng.random(40) + 0.1)
    memory.delete(ids[3:20:2])
    memory.delete(ids[-1:])
    for mmap in (False, True):
        twin = again(memory, tmp_path / "m", mmap=mmap)
        assert twin.keys.dtype == keys.dtype
        for name in ("keys", "values", "ids"):
            np.testing.assert_array_equal(getattr(twin, name), getattr(memory, name))
        np.testing.assert_array_equal(twin.recall(keys), memory.recall(keys))
        np.testing.assert_array_equal(twin.weights(keys), memory.weights(keys))
        assert twin.store(keys[:1], keys[:1, :4])[0] == 40
        assert memory.ids.max() == 38


@pytest.mark.parametrize("coding", ["bipolar", "binary", "bool", "packed"])
@pytest.mark.parametrize("n_bits", [1, 8, 9, 200])
def test_bits_keep_their_kind(coding, n_bits, tmp_path):
    given: Any = am.BitMatrix.random(20, n_bits, seed=1)
    given = given if coding == "packed" else given.unpack(coding)
    memory = am.UniversalHopfield("hamming", "max")
    memory.store(given)
    for mmap in (False, True):
        twin = again(memory, tmp_path / "m", mmap=mmap)
        mine, theirs = memory.recall(given[:3]), twin.recall(given[:3])
        assert type(mine) is type(theirs)
        if coding == "packed":
            assert mine == theirs
        else:
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def test_bit_matrices_and_moments(tmp_path):
    for n in (0, 1, 7):
        bits = am.BitMatrix.random(n, 13, seed=n)
        bits.save(tmp_path / "bits")
        for mmap in (False, True):
            assert am.load(tmp_path / "bits", mmap=mmap) == bits
    moment = am.SecondMoment()
    again(moment, tmp_path / "moment")
    moment.update(numbers(300, 1), weights=np.random.default_rng(1).normal(size=300))
    for mmap in (False, True):
        twin = again(moment, tmp_path / "moment", mmap=mmap)
        moment.update(numbers(3, 2)), twin.update(numbers(3, 2))
        np.testing.assert_array_equal(twin.second, moment.second)
        np.testing.assert_array_equal(twin.first, moment.first)
        assert (twin.count, twin.weight) == (moment.count, moment.weight)


def test_capacity(tmp_path):
    table = am.capacity(am.Hopfield, [2, 4], width=32)
    table.save(tmp_path / "table")
    twin = am.load(tmp_path / "table")
    assert str(twin) == str(table) and twin.rows() == table.rows()
    assert twin.theory == table.theory


@pytest.mark.parametrize(
    "labels", [np.arange(3), np.array(["a", "bc", "d"]), np.array([0.5, 1, 2])]
)
def test_classifier(labels, tmp_path):
    rng = np.random.default_rng(3)
    X = np.repeat(rng.normal(size=(3, 4, 2)), 20, axis=0) + 0.1 * rng.normal(size=(60, 4, 2))
    y = np.repeat(labels, 20)
    model = am.DenseAssociativeClassifier(6, temperature=(0.8, 0.4), n_epochs=5)
    assert again(model, tmp_path / "model").get_params() == model.get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        model.fit(X, y)
    for mmap in (False, True):
        twin = again(model, tmp_path / "model", mmap=mmap)
        np.testing.assert_array_equal(twin.decision_function(X), model.decision_function(X))
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
        assert twin.classes_.dtype == labels.dtype and twin.loss_ == model.loss_
        # It goes on learning as the one that was saved.
        a, b = twin.partial_fit(X, y), again(model, tmp_path / "model").partial_fit(X, y)
        np.testing.assert_array_equal(a.decision_function(X), b.decision_function(X))
    odd = am.DenseAssociativeClassifier(6, n_epochs=1)
    odd.classes_, odd.network_ = np.array([b"a", b"b"]), model.network_
    odd.shape_, odd.loss_, odd.error_ = (8,), [], []
    with pytest.raises(TypeError, match="classes_ are"):
        odd.save(tmp_path / "odd")


@pytest.mark.parametrize(
    "parameters",
    [
        dict(similarity=nearness, separation="max"),
        dict(similarity="dot", separation=np.tanh),
        dict(similarity=am.Similarity(nearness), separation="softmax"),
        dict(similarity="dot", separation=am.Separation(np.tanh)),
    ],
)
def test_functions_are_named_and_nothing_is_written(parameters, tmp_path):
    memory = am.UniversalHopfield(**parameters)
    memory.store(numbers(3, 1))
    (tmp_path / "m").write_bytes(b"old")
    with pytest.raises(TypeError, match=r"^(similarity|separation)=.* Python function"):
        memory.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_classes_of_users(tmp_path):
    class Mine(am.UniversalHopfield):
        pass

    memory = Mine("dot", "max")
    memory.store(numbers(3, 1))
    assert type(again(memory, tmp_path / "m")) is Mine

    impostor = type("Hopfield", (am.Hopfield,), {"__module__": "elsewhere"})()
    with pytest.raises(TypeError, match="no class that load knows"):
        impostor.save(tmp_path / "m")
    assert savable.KINDS["Hopfield"] is am.Hopfield
    del savable.KINDS["Mine"]
    with pytest.raises(am.FileFormatError, match="unknown class 'Mine'.*UniversalHopfield"):
        am.load(tmp_path / "m")


def test_a_mapped_memory_reads_in_place_and_copies_when_changed(tmp_path):
    keys = np.random.default_rng(0).normal(size=(500, 32)).astype(np.float32)
    memory = am.UniversalHopfield("manhattan", "softmax", beta=2.0)
    memory.store(keys)
    memory.save(tmp_path / "m")
    mapped = am.load(tmp_path / "m", mmap=True)
    held = mapped.nbytes
    np.testing.assert_array_equal(mapped.recall(keys[:7]), memory.recall(keys[:7]))
    assert mapped.nbytes == held  # nothing was packed
    with pytest.raises(ValueError, match="read-only"):
        mapped.keys[0, 0] = 1
    other = am.load(tmp_path / "m", mmap=True)
    mapped.store(keys[:1]), other.delete([0])
    np.testing.assert_array_equal(mapped.keys[:500], keys)
    np.testing.assert_array_equal(other.keys, keys[1:])
    np.testing.assert_array_equal(am.load(tmp_path / "m").keys, keys)
    mapped.save(tmp_path / "m")  # over the file that the other one came from
    assert len(am.load(tmp_path / "m", verify=True)) == 501 and len(other) == 499


def golden() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """One small object of every class, the same on every platform, and what it answers."""
    made: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {}
    for name, cases in CASES.items():
        for i, case in enumerate(cases):
            if savable_case(case):
                made[f"{name}-{i}"] = partial(case.stored, 1), case.answers
    made["bits"] = lambda: am.BitMatrix.random(5, 13, seed=4), am.BitMatrix.unpack
    made["moment"] = lambda: am.SecondMoment().update(numbers(5, 1)), lambda x: x.second
    X, Y = numbers(12, 1), np.arange(12) % 3
    made["DenseAssociativeClassifier-0"] = (
        lambda: am.DenseAssociativeClassifier(3, n_epochs=2, batch_size=4).fit(X, Y),
        lambda model: model.decision_function(X),
    )
    made["Capacity-0"] = lambda: am.capacity(am.Hopfield, [2, 4], width=32), lambda x: x.success
    contexts = [
        am.Measure(np.eye(3), values=rows) for rows in numbers(9, 1)[:, :6].reshape(9, 3, 2)
    ]
    tags = np.tile(np.eye(3), (3, 1))
    made["MeasureRegressor-0"] = (
        lambda: am.MeasureRegressor(4, n_epochs=2).fit(contexts, tags, Y[:9]),
        lambda model: model.predict(contexts, tags),
    )
    for i, metric in enumerate(("manhattan", "cosine")):
        made[f"Keys-{i}"] = (
            lambda metric=metric: am.Keys(X, metric),
            lambda keys: am.topk(X[:4], keys, 3, keys.metric),
        )
    made["Keys-2"] = (
        lambda: am.Keys(signs(9, 1), "hamming"),
        lambda keys: am.topk(signs(4, 1), keys, 3, "hamming"),
    )
    return made


@pytest.mark.parametrize("path", sorted(DATA.glob("*.safetensors")), ids=lambda p: p.stem)
def test_files_of_version_1_are_read_for_ever(path):
    assert am.inspect(path)["version"] == 1
    # Classes that came later have their answers in a file of their own.
    own, all_at_once = path.with_suffix(".npy"), np.load(DATA / "answers.npz")
    expected = np.load(own) if own.exists() else all_at_once[path.stem]
    answer = golden()[path.stem][1]
    for mmap in (False, True):
        got = np.asarray(answer(am.load(path, mmap=mmap, verify=True)))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_there_is_a_file_of_every_class():
    """And no class can be added without one."""
    public = {name for name, kind in savable.KINDS.items() if getattr(am, name, None) is kind}
    assert {am.inspect(path)["class"] for path in DATA.glob("*.safetensors")} == public
    assert {path.stem for path in DATA.glob("*.safetensors")} == set(golden())


def write_golden() -> None:
    """Write the files that are missing; those that are there stay, for ever."""
    for name, (make, answer) in golden().items():
        path = DATA / f"{name}.safetensors"
        if not path.exists():
            made = make()
            made.save(path)
            np.save(path.with_suffix(".npy"), np.asarray(answer(made)))


def test_wrong_contents_with_right_checksums(tmp_path):
    """Files that say what they are, and are not."""
    from amfast._check import tensors

    memory = am.UniversalHopfield("dot", "max")
    memory.store(numbers(6, 1), weights=np.arange(6.0) + 1)
    parts, arrays = memory._saved()

    def refused(match: str, kind: str = "UniversalHopfield", parts=parts, **changed: Any) -> None:
        given = {n: x for n, x in (arrays | changed).items() if x is not None}
        tensors.write(tmp_path / "m", tensors.Content(kind, parts, given, "a test"))
        with pytest.raises(am.FileFormatError, match=match) as error:
            am.load(tmp_path / "m")
        assert str(tmp_path / "m") in str(error.value)

    nan = arrays["keys"].copy()
    nan[4, 2] = np.nan
    refused("keys row 4", keys=nan)
    refused("ids must ascend", ids=np.array([0, 1, 1, 2, 3, 4]))
    refused("ids must be below", ids=np.arange(1, 7))
    refused("int64", ids=np.arange(6, dtype=np.int32))
    refused("weights", weights=np.arange(6.0) - 1)
    refused("weights", weights=np.arange(5.0))
    refused("floats or bytes", keys=np.arange(24).reshape(6, 4))
    refused("rows", keys=np.zeros((6, 0)))
    refused("unknown arrays", more=np.zeros(3))
    refused("keys", keys=None)
    refused("parameters", parts={"store": parts["store"]})
    refused("unknown class 'os.system'", kind="os.system")
    refused("Hopfield is made", kind="Hopfield")
    refused("next_id", parts=parts | {"store": parts["store"] | {"next_id": 2}})
    refused("next_id", parts=parts | {"store": parts["store"] | {"next_id": "2"}})
    for name, value in (("similarity", "hamming"), ("similarity", "os"), ("beta", "x")):
        own = parts | {"parameters": parts["parameters"] | {name: value}}
        refused("UniversalHopfield is made of this", parts=own)
    evil = {"part": "Softmax", "beta": {"part": "os"}}
    refused(
        "made of this", parts=parts | {"parameters": parts["parameters"] | {"separation": evil}}
    )

    bits = am.UniversalHopfield("hamming", "max")
    bits.store(signs(6, 1)[:, :13])
    parts, arrays = bits._saved()
    padded = arrays["keys"].copy()
    padded[3, -1] |= 1
    refused("padding", parts=parts, keys=padded)
    refused(
        "bits take", parts=parts | {"store": parts["store"] | {"n_bits": 40}}, keys=arrays["keys"]
    )
    assert D == 24
