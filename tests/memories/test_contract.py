"""What every memory promises. A public memory without an entry in `CASES` fails.

An entry says how to make the memory and what to store; the promises are the same for all.
"""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from conftest import PACKAGE

import amfast as am
from amfast.memories.base import Memory

D = 24


def signs(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, D))


def numbers(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def positive(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, D)) + 0.01


def subspace(n: int, seed: int) -> np.ndarray:
    basis = np.random.default_rng(0).normal(size=(4, D))
    return np.random.default_rng(seed).normal(size=(n, 4)) @ basis


def repeated(n: int, seed: int) -> np.ndarray:
    """Four values over and over: entries four apart are equal."""
    return np.random.default_rng(seed).normal(size=(n, 4))[:, np.arange(D) % 4]


def sine_nearness(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return np.sin(cues) @ keys.T


def sine_slopes(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return np.cos(cues)[:, None] * keys


def nearness(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.abs(cues[:, None] - keys).sum(axis=2))


def halved(rows: np.ndarray) -> np.ndarray:
    return np.where(np.arange(D) < D // 2, rows, 0.5 * rows[:, ::-1])


@dataclass(frozen=True)
class Case:
    """One way to set up a memory."""

    make: Callable[[], Any]
    rows: Callable[[int, int], np.ndarray] = numbers
    tolerance: float = 0.0
    """0: stored in pieces, merged or at once give the same bits; else sums round."""
    values: bool = False
    recall: dict[str, Any] = field(default_factory=dict)
    trained: bool = False
    """Filled by ``fit``, not by ``store``."""
    n: int = 9
    """Rows that are stored."""

    def fill(self, memory: Any, *parts: np.ndarray) -> Any:
        """Store rows piece by piece; return the ids."""
        if self.trained:
            rows = np.concatenate(parts)
            memory.fit(rows, rows[::-1].copy())
            return np.arange(len(rows))
        ids = [memory.store(x, x[:, :5].copy()) if self.values else memory.store(x) for x in parts]
        return np.concatenate(ids)

    def stored(self, *seeds: int) -> Any:
        memory = self.make()
        self.fill(memory, *(self.rows(self.n, seed) for seed in seeds))
        return memory

    def cues(self) -> np.ndarray:
        return self.rows(self.n, 1)[:5]

    def answers(self, memory: Any, cues: Any = None, **kwargs: Any) -> np.ndarray:
        cues = self.cues() if cues is None else cues
        return np.asarray(memory.recall(cues, **self.recall, **kwargs))


UHN = am.UniversalHopfield
CASES: dict[str, list[Case]] = {
    "UniversalHopfield": [
        Case(lambda: UHN("manhattan", "softmax", beta=0.5)),
        Case(lambda: UHN("dot", "softmax", beta=0.5), recall={"max_iter": 4}),
        Case(lambda: UHN("cosine", am.TopK(3, 2.0)), values=True),
        Case(lambda: UHN("sqeuclidean", am.Entmax(beta=0.3))),
        Case(lambda: UHN("kl", "softmax", beta=5.0), rows=positive),
        Case(lambda: UHN("hamming", "max"), rows=signs),
        Case(lambda: UHN("hamming", beta=1.0, readout="sign"), rows=signs, recall={"max_iter": 3}),
        Case(lambda: UHN("manhattan", "softmax", beta=50.0, convention="paper"), rows=positive),
        Case(lambda: UHN(nearness, np.tanh)),
        Case(lambda: UHN(am.fit_similarity(numbers(30, 5), halved), beta=0.5)),
        Case(lambda: UHN(am.fit_similarity(numbers(30, 5), [halved, np.abs]), beta=0.5)),
    ],
    "ModernHopfield": [
        Case(lambda: am.ModernHopfield(0.4), recall={"max_iter": 3}),
        Case(am.ModernHopfield, values=True),
    ],
    "ContinuousSDM": [Case(lambda: am.ContinuousSDM(3)), Case(lambda: am.ContinuousSDM(3, 30))],
    "Hopfield": [
        Case(am.Hopfield, rows=signs),
        Case(lambda: am.Hopfield(storage="matrix"), rows=signs),
        Case(lambda: am.Hopfield(bias=0.1, tie=1), rows=signs, recall={"update": "sync"}),
        Case(lambda: am.Hopfield(rule="projection"), rows=signs),
        Case(am.Hopfield, rows=signs, values=True),
        Case(lambda: am.Hopfield("storkey"), rows=signs),
        Case(lambda: am.Hopfield("storkey", storage="matrix"), rows=signs),
    ],
    "BidirectionalMemory": [Case(am.BidirectionalMemory, rows=signs, values=True)],
    "DenseAssociativeMemory": [
        Case(am.DenseAssociativeMemory, rows=signs),
        Case(lambda: am.DenseAssociativeMemory(4), rows=signs, recall={"update": "one-step"}),
        Case(lambda: am.DenseAssociativeMemory(interaction="exponential"), rows=signs, values=True),
        Case(lambda: am.DenseAssociativeMemory(real=True), rows=signs),
        Case(lambda: am.DenseAssociativeMemory(interaction="logistic", beta=0.3), rows=signs),
    ],
    "SparseDistributedMemory": [
        Case(lambda: am.SparseDistributedMemory(D, 60, radius=9), rows=signs),
        Case(
            lambda: am.SparseDistributedMemory(D, 60, radius=9, value_bits=5, counter_dtype="int8"),
            rows=signs,
            values=True,
        ),
    ],
    "HebbianMemory": [
        Case(am.HebbianMemory, tolerance=1e-6),
        Case(lambda: am.HebbianMemory(center="moment"), tolerance=1e-6),
        Case(lambda: am.HebbianMemory(center="renorm"), tolerance=1e-6),
        Case(lambda: am.HebbianMemory(decay=0.9), tolerance=1e-6, values=True),
        Case(lambda: am.HebbianMemory(features="elu"), tolerance=1e-6, values=True),
        Case(lambda: am.HebbianMemory(rule="delta"), tolerance=1e-6),
        Case(lambda: am.HebbianMemory(rule="projection"), tolerance=1e-6),
        Case(lambda: am.HebbianMemory(rule="projection"), tolerance=1e-6, values=True),
    ],
    "NeuralDynamics": [
        Case(lambda: am.NeuralDynamics(beta=0.5), recall={"n_steps": 5}),
        Case(
            lambda: am.NeuralDynamics("manhattan", visible="l2", local=True), recall={"n_steps": 3}
        ),
        Case(lambda: am.NeuralDynamics("kl", beta=5.0), rows=positive, recall={"n_steps": 3}),
        Case(
            lambda: am.NeuralDynamics(
                am.Similarity(sine_nearness, gradient=sine_slopes), am.Sparsemax(), visible="sign"
            ),
            recall={"n_steps": 3},
        ),
    ],
    "LinearAssociativeMemory": [
        Case(lambda: am.LinearAssociativeMemory(n_steps=5), trained=True),
    ],
    "SparseRecoveryMemory": [
        Case(lambda: am.SparseRecoveryMemory("irls"), rows=subspace, tolerance=1e-6),
        Case(lambda: am.SparseRecoveryMemory("bregman"), rows=subspace, tolerance=1e-6),
        Case(
            lambda: am.SparseRecoveryMemory("expander", constraints="learned"),
            rows=repeated,
            tolerance=1e-6,
        ),
    ],
}
EVERY = [
    pytest.param(case, id=f"{name}-{i}") for name in CASES for i, case in enumerate(CASES[name])
]
VERBS = (
    "keys",
    "values",
    "ids",
    "nbytes",
    "scores",
    "weights",
    "energy",
    "delete",
    "merge",
    "store",
)


def public_memories() -> list[str]:
    found, waiting = set(), [Memory]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        # Without parameters it is what several memories share, as `Memory` is.
        told = kind._parameters is not Memory._parameters
        ours = kind.__module__.startswith("amfast.")  # tests make some, too
        if told and ours and not kind.__name__.startswith("_"):
            found.add(kind.__name__)
    return sorted(found)


def same(case: Case, mine: np.ndarray, theirs: np.ndarray) -> None:
    if case.tolerance:
        scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=case.tolerance * scale)
    else:
        np.testing.assert_array_equal(mine, theirs)


def refuses(call: Callable[[], Any]) -> str | None:
    """The sentence of a refusal, or None if there was an answer."""
    try:
        call()
    except ValueError as error:
        assert len(str(error)) > 10, "a refusal is a sentence"
        return str(error)
    return None


def test_every_public_memory_has_an_entry():
    assert sorted(CASES) == public_memories()
    assert set(CASES) <= set(am.__all__)


@pytest.mark.parametrize("case", EVERY)
def test_store_and_store_is_store_of_both(case):
    a, b = case.rows(case.n, 1), case.rows(case.n, 2)
    pieces, whole = case.make(), case.make()
    case.fill(pieces, a, b)
    case.fill(whole, np.concatenate([a, b]))
    assert len(pieces) == len(whole) == 2 * case.n
    same(case, case.answers(pieces), case.answers(whole))


@pytest.mark.parametrize("case", EVERY)
def test_merge_is_storing_it_too(case):
    first, second, whole = case.stored(1), case.stored(2), case.stored(1, 2)
    before = case.answers(second)
    why = refuses(lambda: first.merge(second))
    if why is not None:  # the order matters, or there is nothing to add
        assert case.trained or "order" in why
        return
    assert len(first) == len(whole)
    same(case, case.answers(first), case.answers(whole))
    np.testing.assert_array_equal(case.answers(second), before)


@pytest.mark.parametrize("case", EVERY)
def test_an_empty_memory_is_neutral(case):
    if case.trained:
        return
    memory = case.stored(1)
    before = case.answers(memory)
    if refuses(lambda: memory.merge(case.make())) is None:
        np.testing.assert_array_equal(case.answers(memory), before)
        empty = case.make()
        empty.merge(memory)
        same(case, case.answers(empty), before)


@pytest.mark.parametrize("case", EVERY)
def test_merge_refuses_others(case):
    memory = case.stored(1)
    with pytest.raises(TypeError, match="other must be"):
        memory.merge(np.eye(3))
    assert memory.merge.__doc__


@pytest.mark.parametrize("case", EVERY)
def test_ids_never_return(case):
    if case.trained:
        return
    memory = case.make()
    first = case.fill(memory, case.rows(case.n, 1))
    assert first.dtype == np.int64 and len(set(first.tolist())) == case.n
    refuses(lambda: memory.delete(first[-3:]))
    second = case.fill(memory, case.rows(case.n, 2))
    assert not set(first.tolist()) & set(second.tolist())


@pytest.mark.parametrize("case", EVERY)
def test_delete_takes_items_out(case):
    memory, without = case.stored(1), case.stored(1)
    if refuses(lambda: memory.delete([])) is not None:
        return
    ids = case.fill(memory, case.rows(case.n, 2))
    with pytest.raises(ValueError, match="no item has the id 999"):
        memory.delete([999])
    with pytest.raises(ValueError, match="twice"):
        memory.delete([ids[0], ids[0]])
    memory.delete(ids)
    assert len(memory) == len(without)
    np.testing.assert_array_equal(case.answers(memory), case.answers(without))
    memory.delete(memory.ids)
    with pytest.raises(ValueError, match="empty"):
        case.answers(memory)


@pytest.mark.parametrize("case", EVERY)
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_the_same_and_independent(case, copied):
    memory = case.stored(1)
    before = case.answers(memory)
    twin = copied(memory)
    np.testing.assert_array_equal(case.answers(twin), before)
    assert repr(twin) == repr(memory) and len(twin) == len(memory)
    case.fill(twin, case.rows(case.n, 2))
    np.testing.assert_array_equal(case.answers(memory), before)


@pytest.mark.parametrize("case", EVERY)
def test_one_cue_is_its_row_of_a_batch(case):
    memory = case.stored(1, 2)
    cues = np.concatenate([case.cues(), case.rows(40, 3)])
    batch = case.answers(memory, cues)
    for i in (0, 3, len(cues) - 1):
        np.testing.assert_array_equal(case.answers(memory, cues[i]), batch[i])
        np.testing.assert_array_equal(case.answers(memory, cues[i : i + 1])[0], batch[i])
    twice = case.answers(memory, np.repeat(cues[:1], 8, axis=0))
    np.testing.assert_array_equal(twice, np.repeat(batch[:1], 8, axis=0))


@pytest.mark.parametrize("case", EVERY)
def test_threads_change_no_bit(case):
    memory = case.stored(1, 2)
    cues = case.rows(50, 3)
    one = case.answers(memory, cues, threads=1)
    np.testing.assert_array_equal(case.answers(memory, cues, threads=2), one)


@pytest.mark.parametrize("case", EVERY)
def test_what_is_refused_changes_nothing(case):
    empty = case.make()
    with pytest.raises(ValueError, match=r"empty|not trained"):
        case.answers(empty)
    with pytest.raises(ValueError, match=r"empty|not trained"):
        empty.chain(case.cues()[0], 2)
    memory = case.stored(1)
    before, size = case.answers(memory), len(memory)
    bad = case.rows(case.n, 2).astype(np.float64)
    bad[2, 3] = np.nan
    narrow = case.rows(case.n, 2)[:, :-1]
    for rows in (bad, narrow, [["a"] * D], np.zeros((2, 2, D))):
        if rows is narrow and case.trained:
            continue  # trained anew, on rows of any width
        with pytest.raises((ValueError, TypeError)):
            case.fill(memory, np.asarray(rows))
    with pytest.raises((ValueError, TypeError)):
        case.answers(memory, bad[2])
    with pytest.raises(ValueError):
        case.answers(memory, narrow)
    assert len(memory) == size
    np.testing.assert_array_equal(case.answers(memory), before)


@pytest.mark.parametrize("case", EVERY)
def test_inputs_stay_as_they_are(case):
    memory, rows, cues = case.make(), case.rows(case.n, 1), case.cues()
    kept_rows, kept_cues = rows.copy(), cues.copy()
    for x in (rows, cues):
        x.flags.writeable = False
    case.fill(memory, rows)
    before = case.answers(memory, cues)
    np.testing.assert_array_equal(rows, kept_rows)
    np.testing.assert_array_equal(cues, kept_cues)
    rows.flags.writeable = True
    rows[...] = rows[::-1].copy()
    np.testing.assert_array_equal(case.answers(memory, cues), before)


@pytest.mark.parametrize("case", EVERY)
def test_every_verb_answers_or_says_why_not(case):
    memory, cues = case.stored(1), case.cues()
    calls: dict[str, Callable[[], Any]] = {
        "keys": lambda: memory.keys,
        "values": lambda: memory.values,
        "ids": lambda: memory.ids,
        "nbytes": lambda: memory.nbytes,
        "scores": lambda: memory.scores(cues),
        "weights": lambda: memory.weights(cues),
        "energy": lambda: memory.energy(cues),
        "delete": lambda: memory.delete([]),
        "merge": lambda: memory.merge(case.make()),
        "store": lambda: case.make().store(cues, cues[:, :5].copy() if case.values else None),
    }
    assert set(calls) == set(VERBS)
    for verb, call in calls.items():
        refuses(call)
        assert hasattr(type(memory), verb)
    assert len(memory) == case.n and type(memory).__name__ in repr(memory)
    assert "empty" in repr(case.make()) or "no " in repr(case.make()) or "not" in repr(case.make())
    found = memory.recall(cues, details=True, **case.recall)
    assert isinstance(found, am.Recall)
    np.testing.assert_array_equal(np.asarray(found.state), case.answers(memory))


@pytest.mark.parametrize("case", EVERY)
def test_parameters_are_checked_when_set_and_never_ignored(case):
    memory = case.stored(1)
    before, told = case.answers(memory), repr(memory)
    for name, value in memory._parameters().items():
        with pytest.raises((AttributeError, TypeError, ValueError), match=name):
            setattr(memory, name, object())
        if name in memory._settable:
            setattr(memory, name, value)
        else:
            with pytest.raises(AttributeError, match=f"{name} is what this .* was made with"):
                setattr(memory, name, "another")
    memory.labels = ["what", "a", "user", "keeps", "with", "it"]
    assert repr(memory) == told
    np.testing.assert_array_equal(case.answers(memory), before)


def test_a_subclass_may_keep_what_it_was_given():
    class Keeping(am.UniversalHopfield):
        def __init__(self, beta: float) -> None:
            super().__init__("dot", beta=beta)
            self.beta = beta

    assert Keeping(2.0).beta == 2.0


@pytest.mark.parametrize("case", EVERY)
def test_stores_come_back_from_their_arrays(case):
    memory, other = case.stored(1), case.make()
    other._store.restore(*memory._store.arrays())
    assert len(other) == len(memory)
    np.testing.assert_array_equal(case.answers(other), case.answers(memory))
    assert set(memory._parameters()) == set(type(memory)(**memory._parameters())._parameters())


# -- interrupts -----------------------------------------------------------------------------------


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line of amfast's own files."""

    def __init__(self, n: int) -> None:
        self.left, self.fired = n, False

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and not self.fired:
            self.left -= 1
            if self.left <= 0:
                self.fired = True
                raise KeyboardInterrupt
        return self


def interrupted(action: Callable[[], Any]) -> Iterator[int]:
    """Run an action once for every line it runs, interrupted there; yields the line's number."""
    n = 1
    while True:
        hook, before = Interrupt(n), sys.gettrace()
        sys.settrace(hook)
        try:
            action()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        if not hook.fired:
            return
        yield n
        n += 1


def fingerprint(case: Case, memory: Any) -> tuple[Any, ...]:
    """All that can be seen of a memory."""
    shown = [len(memory), case.answers(memory).tobytes()]
    for name in ("keys", "values", "ids", "counters", "matrix", "W"):
        try:
            found = getattr(memory, name)
        except (ValueError, AttributeError):
            continue
        found = found.to_packed() if isinstance(found, am.BitMatrix) else found
        shown.append(np.asarray(found).tobytes())
    return tuple(shown)


@pytest.mark.parametrize("verb", ["store", "merge", "delete"])
@pytest.mark.parametrize("case", EVERY)
def test_an_interrupt_leaves_the_old_state_or_the_new_one(case, verb):
    original = case.stored(1)
    more, other = case.rows(4, 2), case.make()
    if not case.trained:
        case.fill(other, more)

    def change(memory: Any) -> None:
        if verb == "store":
            case.fill(memory, more)
        elif verb == "merge":
            memory.merge(other)
        else:
            memory.delete(memory.ids[:2])

    after = copy.deepcopy(original)
    fingerprint(case, after)  # rows that wait to be summed are, once read: it rounds otherwise
    if refuses(lambda: change(after)) is not None:
        return
    allowed = {fingerprint(case, original), fingerprint(case, after)}
    memory: list[Any] = []

    def attempt() -> None:
        change(memory[0])

    memory.append(copy.deepcopy(original))
    fingerprint(case, memory[0])  # what recall derives is there too
    for n in interrupted(attempt):
        assert fingerprint(case, memory[0]) in allowed, f"a third state after line {n}"
        memory[0] = copy.deepcopy(original)
        fingerprint(case, memory[0])
