"""Rows against themselves, votes, one row stored, and other lines that people came for."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am

METRICS = ["dot", "cosine", "sqeuclidean", "euclidean", "manhattan"]


@pytest.mark.parametrize("metric", METRICS)
def test_exclude_self_is_topk_without_the_diagonal(rng, metric):
    x = rng.normal(size=(40, 6))
    x[7] = x[3]
    scores = am.pairwise(x, x, metric).astype(float)
    larger = metric == "dot"
    np.fill_diagonal(scores, -np.inf if larger else np.inf)
    order = np.argsort(-scores if larger else scores, axis=1, kind="stable")[:, :5]
    got, index = am.topk(x, x, 5, metric, exclude_self=True)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(got, np.take_along_axis(scores, order, axis=1))
    for a, b in zip((got, index), am.self_topk(x, 5, metric), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_each_found_once(rng, metric, monkeypatch):
    monkeypatch.setattr("amfast.kernels.neighbours._ROWS", 16)
    x = rng.normal(size=(50, 3))
    radius = {"dot": 1.0, "cosine": 0.2}.get(metric, 1.0)
    scores = am.pairwise(x, x, metric)
    near = scores >= radius if metric == "dot" else scores <= radius
    i, j = np.nonzero(np.triu(near, 1))
    got = am.pairs_within(x, radius, metric)
    np.testing.assert_array_equal(got[0], i)
    np.testing.assert_array_equal(got[1], j)
    np.testing.assert_array_equal(got[2], scores[i, j])
    indptr, indices, _ = am.within(x, x, radius, metric, exclude_self=True)
    np.fill_diagonal(near, False)
    np.testing.assert_array_equal(np.diff(indptr), near.sum(axis=1))
    np.testing.assert_array_equal(indices, np.nonzero(near)[1])


def test_bits_against_themselves():
    bits = am.BitMatrix.random(30, 64, seed=0)
    rows = am.pack(np.vstack([bits.unpack("bool"), bits.unpack("bool")[:2]]))
    i, j, scores = am.pairs_within(rows, 0, "hamming")
    assert list(zip(i, j, scores, strict=True)) == [(0, 30, 0), (1, 31, 0)]
    assert am.self_topk(rows, 1, "hamming")[1][30, 0] == 0


def test_what_excluding_refuses(rng):
    x = rng.normal(size=(4, 2))
    with pytest.raises(ValueError, match="queries must be the keys, got 2 queries and 4 keys"):
        am.topk(x[:2], x, 1, "dot", exclude_self=True)
    with pytest.raises(ValueError, match="one 1-d query"):
        am.within(x[0], x, 1.0, "dot", exclude_self=True)
    with pytest.raises(ValueError, match=r"k must be an int in 1\.\.3"):
        am.self_topk(x, 4, "dot")
    assert [len(a) for a in am.pairs_within(x[:1], 1.0, "l1")] == [0, 0, 0]


# -- votes and winners ----------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [list("abcabc"), np.arange(6) % 3, np.arange(6) % 2 == 0])
def test_vote_sums_weights_by_label(rng, labels):
    memory = am.UniversalHopfield("manhattan", beta=1.0)
    memory.store(rng.normal(size=(6, 4)))
    cues = rng.normal(size=(9, 4))
    weights = memory.weights(cues)
    names = np.unique(labels)
    sums = np.stack([weights[:, np.asarray(labels) == name].sum(axis=1) for name in names], axis=1)
    np.testing.assert_array_equal(memory.vote(cues, labels), names[sums.argmax(axis=1)])
    assert memory.vote(cues[0], labels) == names[sums[0].argmax()]
    with pytest.raises(ValueError, match=r"labels must have shape \(6,\)"):
        memory.vote(cues, labels[:5])
    with pytest.raises(TypeError, match="labels must be of one kind that sorts, .* int and str"):
        memory.vote(cues, [0, 1, 2, "a", "b", "c"])


def test_vote_of_bits():
    bits = am.BitMatrix.random(20, 64, seed=0)
    labels = np.where(np.arange(20) < 10, "left", "right")
    for memory in (am.UniversalHopfield("hamming", "max"), am.DenseAssociativeMemory()):
        memory.store(bits)
        np.testing.assert_array_equal(memory.vote(bits, labels), labels)


def test_best_is_the_id_of_the_winner(rng):
    x = rng.normal(size=(8, 5))
    memory = am.UniversalHopfield("sqeuclidean", beta=5.0)
    ids = memory.store(x)
    memory.delete(ids[:2])
    found = memory.recall(x[2:] + 0.01, details=True)
    np.testing.assert_array_equal(found.best, ids[2:])
    assert memory.recall(x[3], max_iter=5, details=True).best == ids[3]
    assert "best" in repr(found)
    values = am.UniversalHopfield("sqeuclidean", beta=5.0)
    values.store(x, np.arange(8.0)[:, None])
    np.testing.assert_array_equal(values.recall(x, details=True).best, np.arange(8))
    bits = am.UniversalHopfield("hamming", "max")
    bits.store(am.BitMatrix.random(5, 32, seed=1))
    np.testing.assert_array_equal(bits.recall(bits.keys, details=True).best, np.arange(5))


# -- one row, other names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "memory",
    [am.UniversalHopfield(), am.Hopfield(), am.DenseAssociativeMemory(), am.HebbianMemory()],
    ids=lambda m: type(m).__name__,
)
@pytest.mark.parametrize("row", [[1, -1, 1, -1], np.array([1.0, -1, 1, -1])])
def test_a_row_is_one_item(memory, row):
    n = len(memory)
    memory.store(row)
    assert len(memory) == n + 1
    np.testing.assert_array_equal(np.sign(memory.recall(row)), row)


def test_a_row_with_its_value():
    memory = am.UniversalHopfield("manhattan", "max")
    assert memory.store([0.0, 1.0], [5.0]).tolist() == [0]
    assert memory.recall([0.0, 0.9]).tolist() == [5.0]


def test_one_limit_has_two_names(rng):
    x = np.sign(rng.normal(size=(4, 30)))
    for memory, one, other in (
        (am.UniversalHopfield(beta=0.01), "max_iter", "max_sweeps"),
        (am.ModernHopfield(0.01), "max_iter", "max_sweeps"),
        (am.HebbianMemory(), "max_iter", "max_sweeps"),
        (am.Hopfield("projection"), "max_sweeps", "max_iter"),
        (am.DenseAssociativeMemory(), "max_sweeps", "max_iter"),
    ):
        memory.store(x)
        cues = np.sign(rng.normal(size=(3, 30)))
        np.testing.assert_array_equal(
            memory.recall(cues, **{one: 2}), memory.recall(cues, **{other: 2})
        )
    assert am.Hopfield("projection").rule == "projection"


def test_packed_rows_need_no_width():
    raw = np.packbits(np.eye(16, dtype=bool), axis=1)
    assert am.BitMatrix.from_packed(raw) == am.BitMatrix(raw) == am.pack(np.eye(16, dtype=bool))
    assert am.BitMatrix(np.packbits(np.eye(3, dtype=bool), axis=1), 3).n_bits == 3
    with pytest.raises(ValueError, match="8 times the columns"):
        am.BitMatrix.from_packed(np.empty((2, 0), np.uint8))


# -- every flip -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "memory",
    [
        am.Hopfield(),
        am.Hopfield("projection", zero_diagonal=False),
        am.DenseAssociativeMemory(3),
        am.DenseAssociativeMemory(interaction="exponential", beta=0.5),
        am.DenseAssociativeMemory(4, interaction="rectified"),
    ],
    ids=repr,
)
def test_trace_goes_down_flip_by_flip(memory, rng):
    d = 40
    memory.store(np.where(rng.normal(size=(4, d)) > 0, 1, -1))
    cues = np.where(rng.normal(size=(3, d)) > 0, 1, -1)
    found = memory.recall(cues, order="fixed", trace="unit")
    np.testing.assert_array_equal(found.state, memory.recall(cues, order="fixed"))
    assert found.converged.all() and len(found.path) == 3
    for cue, path, energy, units, end in zip(
        cues, found.path, found.path_energy, found.path_unit, found.state, strict=True
    ):
        np.testing.assert_array_equal(path[0], cue)
        np.testing.assert_array_equal(path[-1], end)
        changed = path[1:] != path[:-1]
        np.testing.assert_array_equal(changed.sum(axis=1), 1)
        np.testing.assert_array_equal(changed.argmax(axis=1), units)
        assert (np.diff(energy) <= 1e-9).all() and len(energy) == len(path)
        np.testing.assert_allclose(energy, memory.energy(path))
    one = memory.recall(cues[0], trace="unit")
    assert one.path.shape == (len(one.path_energy), d) and one.state.shape == (d,)
    clamp = np.arange(d) < d // 2
    held = memory.recall(cues[0], trace="unit", clamp=clamp)
    assert (held.path_unit >= d // 2).all()


def test_what_a_trace_refuses(rng):
    memory = am.Hopfield()
    memory.store(np.sign(rng.normal(size=(2, 8))))
    with pytest.raises(ValueError, match="update='async'"):
        memory.recall(memory.keys, update="sync", trace="unit")
    with pytest.raises(ValueError, match="trace must be"):
        memory.recall(memory.keys, trace="sweep")


def test_what_was_found_is_shown_in_a_few_lines():
    memory = am.Hopfield()
    memory.store(am.BitMatrix.random(5, 300, seed=0))
    found = memory.recall(am.BitMatrix.random(50, 300, seed=1).unpack(), trace="unit")
    lines = repr(found).splitlines()
    assert "    path: 50 arrays" in lines and "    state: int8 (50, 300)" in lines
    assert len(lines) < 12 and max(map(len, lines)) < 90
    modern = am.ModernHopfield(beta=4.0)
    modern.store(np.eye(300))
    assert "    error: float64 (300,)" in repr(modern.bounds()).splitlines()
    assert "    n_iter: 1\n" in repr(memory.recall(memory.keys.unpack()[0], trace="unit"))
