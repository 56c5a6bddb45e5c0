"""Every memory through any sequence of its verbs is the memory that stored at once what is left."""

from __future__ import annotations

import copy
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from test_contract import CASES, Case, D, refuses, same

import amfast as am

# A disk that is busy takes seconds to make a file last.
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SEEDS, FEW = st.integers(3, 40), st.integers(1, 4)


def saved(memory: Any) -> Any:
    """What a file gives back; the memory itself where a part of it is a function."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        try:
            return am.load(memory.save(Path(folder) / "memory"))
        except TypeError:
            return memory


COPIES = [copy.copy, copy.deepcopy, saved, lambda x: pickle.loads(pickle.dumps(x))]


class Verbs(RuleBasedStateMachine):
    """A memory, and the rows it should hold in the order of storing."""

    case: Case

    def __init__(self) -> None:
        super().__init__()
        self.memory = self.case.make()
        self.rows = self.case.rows(0, 0)
        self.given: list[int] = []

    @rule(n=FEW, seed=SEEDS)
    def store(self, n: int, seed: int) -> None:
        rows = self.case.rows(n, seed)
        ids = self.case.fill(self.memory, rows)
        assert not set(ids.tolist()) & set(self.given), "an id came again"
        self.given += ids.tolist()
        self.rows = np.concatenate([self.rows, rows])

    @rule(n=FEW, seed=SEEDS)
    def merge(self, n: int, seed: int) -> None:
        rows, other = self.case.rows(n, seed), self.case.make()
        self.case.fill(other, rows)
        if refuses(lambda: self.memory.merge(other)) is None:
            self.rows = np.concatenate([self.rows, rows])

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if refuses(lambda: self.memory.delete([])) is not None:
            return
        ids = self.memory.ids
        if len(ids):
            places = st.sets(st.integers(0, len(ids) - 1), min_size=1, max_size=4)
            gone = sorted(data.draw(places))
            self.memory.delete(ids[gone])
            self.rows = np.delete(self.rows, gone, axis=0)

    @rule(how=st.sampled_from(COPIES))
    def go_on_with_a_copy(self, how: Any) -> None:
        self.memory = how(self.memory)

    @rule(seed=SEEDS)
    def refuse_rows(self, seed: int) -> None:
        bad = self.case.rows(3, seed).astype(np.float64)
        bad[1, 1] = np.nan
        assert refuses(lambda: self.case.fill(self.memory, bad)) is not None

    def cues(self) -> np.ndarray:
        return self.case.rows(4, 1)

    @invariant()
    def answers_are_those_of_what_is_left(self) -> None:
        assert len(self.memory) == len(self.rows)
        cues = self.cues()
        if not len(self.rows):
            assert refuses(lambda: self.case.answers(self.memory, cues)) is not None
            return
        fresh, found = self.case.make(), []
        self.case.fill(fresh, self.rows)
        whys = [
            refuses(lambda m=m: found.append(self.case.answers(m, cues)))
            for m in (self.memory, fresh)
        ]
        assert whys[0] == whys[1]
        if whys[0] is None:
            assert found[0].shape[0] == 4 and found[0].shape[1] in (5, D)
            same(self.case, *found)


class Corrections(Verbs):
    """Of a memory that corrects errors: what it makes of cues beyond its reach depends on rounding.

    Its cues are its own samples, each with a coordinate that is wrong.
    """

    def cues(self) -> np.ndarray:
        cues = np.resize(self.rows, (4, D))
        cues[range(4), [0, 7, 13, 23]] += 3.0
        return cues


for name, cases in CASES.items():
    kind = Corrections if name == "SparseRecoveryMemory" else Verbs
    for i, case in enumerate(cases):
        if not case.trained:
            machine = type(f"{name}{i}", (kind,), {"case": case})
            machine.TestCase.settings = settings(
                max_examples=settings.default.max_examples // 40, stateful_step_count=10
            )
            globals()[f"Test{name}{i}"] = machine.TestCase
