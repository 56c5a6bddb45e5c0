"""Extremes and promises at the edge: energies, read-only data, batches, weights, outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import amfast as am


@pytest.fixture(autouse=True)
def no_warnings():
    """A warning is a failure here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", am.SeparationWarning)  # about the data
        yield


def memory_of(keys, *parts, weights=None, values=None, **options):
    memory = am.UniversalHopfield(*parts, **options)
    memory.store(keys, values, weights=weights)
    return memory


# -- energy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("separation", ["cube", "softmax"])
def test_energy_beyond_floats_is_refused(separation) -> None:
    options = {} if separation == "softmax" else {"normalize": False}
    memory = memory_of(np.eye(4), "dot", separation, **options)
    states = np.ones((3, 4))
    states[1] = 1e200
    with pytest.raises(ValueError, match="row 1 .*energy beyond the largest float64"):
        memory.energy(states)


def test_details_never_hold_a_nan_energy() -> None:
    memory = memory_of(1e60 * np.eye(4), "dot", "cube", normalize=False)
    with pytest.raises(ValueError, match="row 0 .*energy beyond the largest float64"):
        memory.recall(np.ones(4), details=True)
    assert np.isfinite(memory.recall(np.ones(4))).all()


def test_energy_without_any_weight_is_infinite() -> None:
    memory = memory_of(np.eye(2), "sqeuclidean", "softmax", weights=[0, 0])
    assert memory.energy(np.ones(2)) == np.inf


# -- what a caller owns ---------------------------------------------------------------------------


def test_functions_get_what_they_cannot_change() -> None:
    seen = []

    def similarity(cues, keys):
        seen.extend([cues, keys])
        return cues @ keys.T

    def separation(scores):
        seen.append(scores)
        return scores**2

    keys, cues = np.eye(3), np.ones((2, 3))
    for convention in ("standard", "paper"):
        memory = memory_of(keys, similarity, separation, convention=convention)
        memory.recall(cues)
        memory.weights(cues)
    am.retrieve(cues, keys, similarity=similarity, separation=separation)
    assert len(seen) >= 9
    for x in seen:
        with pytest.raises(ValueError, match="read-only"):
            x[...] = 7
        with pytest.raises(ValueError, match="WRITEABLE"):
            x.flags.writeable = True
    assert (keys == np.eye(3)).all() and (cues == 1).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int8"])
def test_views_stay_read_only(dtype) -> None:
    memory = memory_of(np.eye(3, dtype=dtype), values=np.ones((3, 2), dtype), weights=[1, 2, 3])
    for x in (memory.keys, memory.values, memory.ids, memory.log_weight):
        assert not x.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            x.flags.writeable = True
    assert memory.keys.dtype == dtype and (memory.keys == np.eye(3)).all()


# -- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(
    "parts",
    [
        ("dot", "square", {"convention": "paper"}),
        ("manhattan", "softmax", {"convention": "paper"}),
        ("kl", "cube", {"convention": "paper"}),
        ("dot", np.tanh, {}),
        ("sqeuclidean", lambda s: np.asfortranarray(1 / (1 - s)), {}),
    ],
)
def test_a_cue_alone_or_in_a_batch(rng, dtype, parts) -> None:
    similarity, separation, options = parts
    keys = (200 * rng.random((301, 203)) + 1).astype(dtype)
    cues = (200 * rng.random((37, 203)) + 1).astype(dtype)
    memory = memory_of(keys, similarity, separation, **options)
    together = memory.recall(cues, threads=2)
    for some in (slice(0, 1), slice(5, 6), slice(30, 37)):
        np.testing.assert_array_equal(memory.recall(cues[some], threads=1), together[some])


def test_projection_in_float64(rng) -> None:
    keys, cues = rng.random((700, 40)), rng.random((5, 40))
    memory = memory_of(keys, "dot", np.exp)
    weights = memory.weights(cues)
    np.testing.assert_allclose(memory.recall(cues), weights @ keys, rtol=1e-13)


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("separation", ["identity", "square", "softmax", "max", np.sqrt])
@pytest.mark.parametrize("similarity", ["dot", "manhattan"])
@pytest.mark.parametrize("weight", [1e308, 1e-320])
def test_extreme_item_weights_in_the_paper_convention(weight, similarity, separation) -> None:
    keys = np.array([[4.0, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 3]])
    cues = np.array([[4.0, 1, 2], [2, 4, 2], keys[3]])
    memory = memory_of(keys, similarity, separation, convention="paper", weights=[weight] * 4)
    found = memory.recall(cues, details=True)
    assert np.isfinite(found.state).all() and np.isfinite(found.log_scale).all()
    if separation not in ("softmax",):  # the only one where a common factor matters
        plain = memory_of(keys, similarity, separation, convention="paper").recall(cues)
        np.testing.assert_allclose(found.state, plain, rtol=1e-7)


def test_weights_far_apart_in_the_paper_convention() -> None:
    memory = memory_of(
        np.eye(3), "manhattan", "identity", convention="paper", weights=[1e308, 1e-320, 0]
    )
    np.testing.assert_array_equal(memory.recall(np.eye(3)[1]), np.eye(3)[1])


def test_extreme_log_weights_of_a_function() -> None:
    cues, keys, values = np.eye(3)[:2], np.eye(3), np.arange(3.0)[:, None]
    options = {"values": values, "separation": np.abs}
    got = am.retrieve(cues, keys, log_weight=[1e300, 0, 0], **options)
    np.testing.assert_array_equal(got, [[0.0], [1.0]])
    flat = {"values": values, "separation": np.ones_like}
    got = am.retrieve(cues, keys, log_weight=[0, -1e300, -np.inf], **flat)
    np.testing.assert_array_equal(got, [[0.0], [0.0]])
    assert (am.retrieve(cues, keys, log_weight=[-np.inf] * 3, **flat) == 0).all()
    got = am.retrieve(cues, keys, log_weight=np.log([1.0, 2.0, 4.0]), **flat)
    np.testing.assert_allclose(got, [[10 / 7], [10 / 7]], rtol=1e-14)


def test_top_k_chooses_distinct_items() -> None:
    keys = np.array([[1.0, 0], [0.9, 0], [0.8, 0]])
    memory = memory_of(keys, "dot", am.TopK(2), weights=[3, 1, 1])
    np.testing.assert_allclose(memory.recall(np.ones(2)), [(3 + 0.9) / 4, 0])


# -- arguments ------------------------------------------------------------------------------------


def test_masked_output_is_refused() -> None:
    with pytest.raises(TypeError, match="out must be a plain NumPy array, got MaskedArray"):
        am.pairwise(np.eye(2), np.eye(2), "dot", out=np.ma.zeros((2, 2)))


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", ">f8"])
def test_broadcast_giants_are_refused_first(dtype) -> None:
    giant = np.broadcast_to(np.ones((), dtype), (10**12, 1))
    for call in (
        lambda: am.pairwise(np.ones((1, 1), np.float32), giant, "dot"),
        lambda: am.retrieve(np.ones((1, 1)), giant),
        lambda: am.UniversalHopfield().store(giant),
    ):
        with pytest.raises(MemoryError, match=r"keys of shape \(1000000000000, 1\)"):
            call()


@pytest.mark.parametrize("raised", [KeyError, ZeroDivisionError, ValueError, OSError, MemoryError])
def test_what_an_array_method_raises(raised) -> None:
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise raised("no")

    known = raised if raised in (ValueError, MemoryError) else TypeError
    with pytest.raises(known, match="keys cannot be read") as caught:
        am.pairwise(np.eye(2), Broken(), "dot")
    assert isinstance(caught.value.__cause__, raised)


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"unknown metric 'l3'\. Known: dot"):
        am.pairwise(np.eye(2), np.eye(2), "l3")
    with pytest.raises(ValueError, match=r"did you mean 'euclidean'.*\? Known"):
        am.pairwise(np.eye(2), np.eye(2), "euclidian")
    for given in (True, np.True_):
        with pytest.raises(TypeError, match="radius must be a finite number >= 0, got a bool"):
            am.within(np.eye(2), np.eye(2), given, "l2")
    assert repr(am.Polynomial(2, np.True_)) == "Polynomial(n=2, rectified=True)"
    assert am.Polynomial(2, np.True_).rectified is True


# -- a radius in the scores' type -----------------------------------------------------------------


def test_a_radius_is_rounded_to_the_scores() -> None:
    """0.1 in float32 is above 0.1 in float64, and still within it, as NumPy compares."""
    keys, cue = np.array([[0.1], [0.2]], np.float32), np.zeros(1, np.float32)
    assert am.within(cue, keys, 0.1, "l1")[1].tolist() == [0]
    assert am.within(np.ones(1, np.float32), keys, 0.2, "dot")[1].tolist() == [1]
    assert len(am.within(cue, keys, 1e300, "l1")[1]) == 2
    assert len(am.within(cue, keys, -1e300, "dot")[1]) == 2

    def distance(cues, keys):
        return np.abs(cues[:, None] - keys).sum(axis=-1)

    for similarity in ("l1", am.Similarity(distance, larger_is_better=False)):
        for radius, expected in (
            (0.1, [1, 0]),
            (0.2, [0.5, 0.5]),
            (0.09, [0, 0]),
            (1e300, [0.5] * 2),
        ):
            memory = memory_of(keys, similarity, am.Threshold(radius))
            np.testing.assert_array_equal(memory.weights(cue), expected)
            np.testing.assert_allclose(memory.recall(cue), np.dot(expected, keys), rtol=1e-7)


def test_means_beyond_floats_are_refused() -> None:
    negative = np.array([[2.0], [-1.0]], np.float32)  # signed weights of the paper exceed 1
    memory = memory_of(
        negative, "dot_raw", "identity", values=np.float32([[3e38], [-3e38]]), convention="paper"
    )
    with pytest.raises(ValueError, match="row 0 recalls values beyond the largest float32"):
        memory.recall(np.ones((1, 1), np.float32))
    huge = np.full((2, 1), 1.7e308)
    memory = memory_of(
        negative, "dot_raw", "identity", values=huge * [[1], [-1]], convention="paper"
    )
    with pytest.raises(ValueError, match="beyond the largest float64"):
        memory.recall(np.ones((1, 1)))
