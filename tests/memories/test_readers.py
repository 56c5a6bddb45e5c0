"""Many threads read one memory, and one stores meanwhile: every answer is one of its moments.

Where the interpreter has a lock it is made to change hands as often as it can.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from conftest import together
from test_contract import EVERY

import amfast as am

READERS, STORES = 3, 6


pytestmark = pytest.mark.usefixtures("restless")


@pytest.mark.parametrize("case", EVERY)
def test_the_first_readers_come_at_once(case):
    """What is derived when it is first asked for is right for all who ask first."""
    want = case.answers(case.stored(1, 2))
    for _ in range(5):
        memory = case.stored(1, 2)
        for got in together(*[lambda m=memory: case.answers(m, threads=1)] * 4):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", EVERY)
def test_readers_beside_one_that_stores(case):
    """A reader sees what there was before a store or after it, in the order of the stores."""
    if case.trained:
        pytest.skip("it is trained anew, not stored into")
    if isinstance(case.make(), am.SparseDistributedMemory):
        pytest.skip("counters are added to in place, see test_sdm_state.py")
    pieces = [case.rows(case.n, seed) for seed in range(1, STORES + 1)]
    growing, moments = case.make(), []
    for piece in pieces:
        case.fill(growing, piece)
        moments.append(case.answers(growing))
    memory, stored = case.stored(1), threading.Event()

    def store() -> None:
        try:
            for piece in pieces[1:]:
                case.fill(memory, piece)
        finally:
            stored.set()

    def read() -> list[np.ndarray]:
        seen = []
        while not stored.is_set():
            seen.append(case.answers(memory, threads=1))
        return [*seen, case.answers(memory, threads=1)]

    def alike(one: np.ndarray, other: np.ndarray) -> bool:
        # What rounds may have been summed in other pieces, if it was read between two stores.
        reach = case.tolerance * max(1.0, float(np.abs(other).max()))
        return bool((np.abs(one - other) <= reach).all())

    for seen in together(store, *[read] * READERS)[1:]:
        at = 0
        for answer in seen:
            while not alike(answer, moments[at]):
                at += 1  # IndexError: it is that of no moment, or of one that was over
        assert alike(seen[-1], moments[-1])
