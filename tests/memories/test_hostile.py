"""Hostile input to sequences, pairs, other rules and decoders: refused by a sentence, or right."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import amfast as am

SIGNS = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (4, 12))
REAL = np.random.default_rng(0).normal(size=(4, 12))


def pairs():
    memory = am.BidirectionalMemory()
    memory.store(SIGNS, SIGNS[:, :5])
    return memory


def filled(memory, *rows):
    memory.store(*rows)
    return memory


def decoder(**options):
    memory = am.SparseRecoveryMemory("bregman", **options)
    memory.store(np.random.default_rng(0).normal(size=(9, 3)) @ REAL[:3])
    return memory


def peeler():
    return am.SparseRecoveryMemory("expander", constraints=am.expander(12, 9, degree=3))


STORES = {
    "pairs, x": lambda bad: pairs().store(bad, SIGNS[:, :5]),
    "pairs, y": lambda bad: pairs().store(SIGNS, bad),
    "storkey": lambda bad: filled(am.Hopfield("storkey"), SIGNS).store(bad),
    "storkey matrix": lambda bad: filled(am.Hopfield("storkey", storage="matrix"), SIGNS).store(
        bad
    ),
    "projection, keys": lambda bad: filled(am.HebbianMemory(rule="projection"), REAL, REAL).store(
        bad, REAL
    ),
    "projection, values": lambda bad: filled(am.HebbianMemory(rule="projection"), REAL, REAL).store(
        REAL, bad
    ),
    "logistic": lambda bad: filled(am.DenseAssociativeMemory(interaction="logistic"), SIGNS).store(
        bad
    ),
    "bregman": lambda bad: decoder().store(bad),
}
CUES = {
    "pairs": lambda bad: pairs().recall(bad),
    "pairs, back": lambda bad: pairs().recall_back(bad),
    "pairs, energy": lambda bad: pairs().energy(bad, SIGNS[:, :5]),
    "storkey": lambda bad: filled(am.Hopfield("storkey"), SIGNS).recall(bad),
    "projection": lambda bad: filled(am.HebbianMemory(rule="projection"), REAL, REAL).recall(bad),
    "logistic": lambda bad: filled(am.DenseAssociativeMemory(interaction="logistic"), SIGNS).recall(
        bad, update="one-step"
    ),
    "bregman": lambda bad: decoder().recall(bad),
    "peeling": lambda bad: peeler().recall(bad),
    "chain": lambda bad: filled(am.UniversalHopfield("dot", "max"), REAL).chain(bad, 2),
    "chain of signs": lambda bad: filled(am.Hopfield(), SIGNS).chain(bad, 2),
    "chain of pairs": lambda bad: filled(am.BidirectionalMemory(), SIGNS, SIGNS).chain(bad, 2),
}
NOTHING = {
    "nan": np.where(SIGNS > 0, np.nan, 1.0),
    "infinite": SIGNS * np.inf,
    "complex": SIGNS + 1j,
    "objects": SIGNS.astype(object),
    "text": SIGNS.astype(str),
    "dates": SIGNS.astype("M8[s]"),
    "deep": SIGNS[None, None],
    "narrow": SIGNS[:, :3],
    "columns of nothing": SIGNS[:, :0],
    "none": None,
    "a word": "keys",
    "ragged": [[1, -1], [1]],
    "masked": np.ma.masked_equal(SIGNS, 1),
    "a number": 1.0,
}


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("call", STORES)
def test_what_cannot_be_stored(call, what):
    if call == "pairs, y" and what == "none":
        with pytest.raises(ValueError, match="joins pairs"):
            STORES[call](None)
        return
    if what == "none" and call == "projection, values":
        with pytest.raises(ValueError, match="given alike"):
            STORES[call](None)
        return
    with pytest.raises((ValueError, TypeError)) as error:
        STORES[call](NOTHING[what])
    assert len(str(error.value)) > 15


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("call", CUES)
def test_what_is_no_cue(call, what):
    with pytest.raises((ValueError, TypeError)) as error:
        CUES[call](NOTHING[what])
    assert len(str(error.value)) > 15


@pytest.mark.parametrize("call", CUES)
def test_no_cues_have_no_answers_and_rows_may_lie_anyhow(call):
    if call.startswith("chain"):
        row = np.repeat(SIGNS[0], 2)[::2]
        assert CUES[call](row).shape == (3, 12)
        return
    cue = SIGNS[:, :5] if "back" in call else SIGNS
    if "energy" not in call:
        assert len(CUES[call](cue[:0])) == 0
    kept = np.asfortranarray(cue)
    kept.flags.writeable = False
    np.testing.assert_array_equal(CUES[call](kept), CUES[call](cue))
    np.testing.assert_array_equal(CUES[call](np.repeat(cue, 2, axis=1)[:, ::2]), CUES[call](cue))


def test_numbers_that_are_none():
    memory = filled(am.Hopfield(), SIGNS)
    for bad in (-1, 0, 1.5, None, "two", True, np.nan, 10**400):
        with pytest.raises((ValueError, TypeError), match="n_steps"):
            memory.chain(SIGNS[0], bad)
        with pytest.raises((ValueError, TypeError), match="max_iter"):
            pairs().recall(SIGNS, max_iter=bad)
    for bad in ("yes", 2, None):
        with pytest.raises((ValueError, TypeError), match="details"):
            pairs().recall(SIGNS, details=bad)
    with pytest.raises((ValueError, TypeError), match="threads"):
        pairs().recall(SIGNS, threads=0)
    with pytest.raises(TypeError):
        memory.chain(SIGNS[0], 2, nonsense=3)


def test_samples_that_teach_nothing():
    for samples, match in (
        (np.zeros((5, 4)), "all zero"),
        (np.random.default_rng(0).normal(size=(9, 4)), "no null space"),
        (np.random.default_rng(0).normal(size=(3, 9)), "rank is still growing"),
    ):
        memory = am.SparseRecoveryMemory("bregman")
        with pytest.raises(ValueError, match=match):
            memory.store(samples)
            memory.recall(samples)


def test_copies_of_what_is_derived():
    memory = pairs()
    before = memory.recall(SIGNS)
    for twin in (copy.copy(memory), pickle.loads(pickle.dumps(memory))):
        twin.store(SIGNS, -SIGNS[:, :5])
        np.testing.assert_array_equal(memory.recall(SIGNS), before)
    memory.store(SIGNS[:1], SIGNS[:1, :5], weights=-1)
    assert memory.W[0, 0] != pairs().W[0, 0]
