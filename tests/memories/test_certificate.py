"""When the best item outweighs all others, its signs are the answer, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am


def signs(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), (n, d))


@pytest.mark.parametrize(("d", "beta"), [(6, 0.8), (8, 0.6), (12, 0.35)])
def test_certified_answers_hold_against_any_values(d, beta):
    keys = np.unique(signs(40, d, 0), axis=0)
    found = {}
    for values in (signs(len(keys), 5, 1), -np.ones((len(keys), 5))):
        memory = am.ModernHopfield(beta)
        ids = memory.store(keys, values)
        for cue, own in zip(keys, ids, strict=True):
            result = memory.recall(cue, details=True)
            weight = memory.weights(cue).max()
            assert result.certified == (weight > 0.5)
            if result.certified:
                np.testing.assert_array_equal(np.sign(result.state), values[result.best])
            found[int(own)] = bool(result.certified)
    # The worst values: all others say the opposite of the item asked for.
    for own, certified in found.items():
        values = -np.ones((len(keys), 1))
        values[own] = 1.0
        memory = am.ModernHopfield(beta)
        memory.store(keys, values)
        assert (memory.recall(keys[own])[0] > 0) == certified
    assert 0 < sum(found.values()) < len(found)


def test_every_separation_says_it():
    keys, cues = np.random.default_rng(0).normal(size=(2, 30, 6))
    for separation in ("max", "identity", "cube", "softmax", am.TopK(1), am.Sparsemax(2.0)):
        memory = am.UniversalHopfield("dot", separation)
        memory.store(keys)
        w = memory.weights(cues)
        want = w.max(axis=1) > np.abs(w).sum(axis=1) / 2
        np.testing.assert_array_equal(memory.recall(cues, details=True).certified, want)
        assert separation != "max" or want.all()
    assert memory.recall(cues[0], details=True).certified.shape == ()
    assert memory.recall(cues[:0], details=True).certified.shape == (0,)
