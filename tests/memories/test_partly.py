"""Recall of cues of which some entries are known, and from some of the items."""

import numpy as np
import pytest

import amfast as am

N, D = 60, 24


def items(dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)).astype(dtype), np.random.default_rng(1).random((9, D)) < 0.6


def memories():
    """One of each kind, empty."""
    yield am.UniversalHopfield("manhattan", "max")
    yield am.UniversalHopfield("sqeuclidean", beta=2.0)
    yield am.UniversalHopfield("euclidean", am.TopK(3))
    yield am.UniversalHopfield("cosine", am.Entmax(1.5, 5.0))
    yield am.UniversalHopfield("dot", am.Polynomial(3))
    yield am.ModernHopfield(beta=2.0)
    yield am.ContinuousSDM(radius=8)


@pytest.mark.parametrize("case", range(7))
def test_what_is_not_known_does_not_count(case):
    keys, mask = items()
    memory = list(memories())[case]
    cues = keys[:9] + 0.1
    memory.store(keys)
    with np.errstate(all="raise"):
        got = memory.recall(cues, mask=mask)
    spoiled = np.where(mask, cues, 1e6).astype(np.float32)
    np.testing.assert_array_equal(memory.recall(spoiled, mask=mask), got)
    holes = np.where(mask, cues, np.nan).astype(np.float32)
    np.testing.assert_array_equal(memory.recall(holes, nan="missing"), got)
    for i, known in enumerate(mask):
        alone = memory.recall(cues[i], mask=known)
        np.testing.assert_array_equal(alone, got[i])
        if isinstance(memory, am.ContinuousSDM):  # its beta follows the width
            continue
        short = type(memory)(**memory._parameters())
        short.store(keys[:, known], keys)
        np.testing.assert_allclose(short.recall(cues[i][known]), got[i], rtol=1e-4, atol=1e-5)
    whole = memory.recall(cues, mask=np.ones(D, bool))
    np.testing.assert_allclose(whole, memory.recall(cues), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", range(7))
def test_known_entries_are_put_back(case):
    keys, mask = items()
    memory = list(memories())[case]
    cues = keys[:9] + 0.1
    memory.store(keys)
    plain = memory.recall(cues, mask=mask)
    kept = memory.recall(cues, mask=mask, keep_known=True)
    np.testing.assert_array_equal(kept, np.where(mask, cues, plain))
    end = memory.recall(cues, mask=mask, keep_known=True, max_iter=5, details=True)
    np.testing.assert_array_equal(end.state[mask], cues[mask])
    steps = memory.recall(plain, max_iter=4, tol=0.0)
    np.testing.assert_array_equal(memory.recall(cues, mask=mask, max_iter=5, tol=0.0), steps)
    np.testing.assert_array_equal(memory.recall(cues, keep_known=True), cues)


def test_details_name_the_winner_by_the_known_entries():
    keys, mask = items()
    memory = am.UniversalHopfield("manhattan", "max")
    ids = memory.store(keys)
    memory.delete(ids[:3])
    found = memory.recall(np.where(mask, keys[3:12], 50), mask=mask, details=True)
    np.testing.assert_array_equal(found.best, ids[3:12])
    np.testing.assert_array_equal(found.state, keys[3:12])


def test_bits():
    patterns = am.BitMatrix.random(40, 100, seed=0)
    mask = np.random.default_rng(0).random((6, 100)) < 0.5
    memory = am.UniversalHopfield("hamming", "max")
    memory.store(patterns)
    cues = patterns[:6].unpack() * np.where(mask, 1, -1).astype(
        np.int8
    )  # all that is unknown is wrong
    for given in (mask, am.pack(mask)):
        np.testing.assert_array_equal(memory.recall(cues, mask=given), patterns[:6].unpack())
    answer = memory.recall(am.pack(cues), mask=mask)
    assert isinstance(answer, am.BitMatrix)
    np.testing.assert_array_equal(answer.to_packed(), patterns[:6].to_packed())
    cues[:, 0] *= -1
    known = mask | (np.arange(100) == 0)
    kept = memory.recall(cues, mask=known, keep_known=True)
    np.testing.assert_array_equal(kept[:, 0], cues[:, 0])
    np.testing.assert_array_equal(kept[:, 1:], patterns[:6].unpack()[:, 1:])


def test_half_images_with_the_mask_known():
    """What a mask is for: half of every image is gone, and all are found."""
    images = am.datasets.load("fashion_mnist_small", n=300).images.reshape(300, -1)
    known = np.arange(images.shape[1]) < images.shape[1] // 2
    cues = np.where(known, images, 0)
    for similarity in ("manhattan", "euclidean", "cosine"):
        memory = am.UniversalHopfield(similarity, "max")
        memory.store(images)
        found = (memory.recall(cues, mask=known) == images).all(axis=1).mean()
        blind = (memory.recall(cues) == images).all(axis=1).mean()
        assert found == 1.0 > blind, (similarity, found, blind)


@pytest.mark.parametrize("case", range(7))
def test_some_of_the_items(case):
    keys, mask = items()
    memory = list(memories())[case]
    cues = keys[:9] + 0.1
    ids = memory.store(keys, weights=np.linspace(1, 2, N))
    some = np.random.default_rng(2).random(N) < 0.5
    other = type(memory)(**memory._parameters())
    other.store(keys[some], weights=np.linspace(1, 2, N)[some])
    for where in (some, ids[some], ids[some][::-1].tolist()):
        for options in ({}, {"mask": mask}, {"max_iter": 3}):
            got = memory.recall(cues, where=where, **options)
            np.testing.assert_array_equal(got, other.recall(cues, **options))
    found = memory.recall(cues, where=some, details=True)
    np.testing.assert_array_equal(found.best, ids[some][other.recall(cues, details=True).best])
    rows = [ids[i : i + 12] for i in range(9)]
    csr = np.cumsum([0, *map(len, rows)]), np.concatenate(rows)
    got = memory.recall(cues, where=csr, mask=mask)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(got[i], memory.recall(cues[i], where=row, mask=mask[i]))
    assert len(memory) == N
    np.testing.assert_array_equal(memory.recall(cues, where=np.ones(N, bool)), memory.recall(cues))


def test_ids_are_not_places():
    keys, _ = items()
    memory = am.UniversalHopfield("manhattan", "max")
    ids = memory.store(keys)
    memory.delete(ids[::2])
    np.testing.assert_array_equal(memory.recall(keys[5], where=[ids[7]]), keys[7])
    np.testing.assert_array_equal(memory.recall(keys[7], where=(ids[7], ids[9])), keys[7])
    for where, message in (
        ([ids[2]], "where: no item has the id 2"),
        ([999], "where: no item has the id 999"),
        ([ids[7], ids[7]], "twice"),
        (np.ones(N, bool), r"must have shape \(30,\)"),
        (np.zeros(30, bool), "where leaves 0 items"),
        ([], "where leaves 0 items"),
    ):
        with pytest.raises(ValueError, match=message):
            memory.recall(keys[5], where=where)
    with pytest.raises(TypeError):
        memory.recall(keys[5], where=["a"])
    with pytest.raises(TypeError, match="where's ids must be integers"):
        memory.recall(keys[:1], where=([0, 1], ["a"]))
    with pytest.raises(ValueError, match="one where for all cues"):
        memory.recall(keys[:1], where=([0, 1], [ids[1]]), details=True)
    with pytest.raises(ValueError, match="indptr"):
        memory.recall(keys[:1], where=([0, 1, 2], [ids[1], ids[3]]))
    with pytest.raises(ValueError, match="leaves 0 items"):
        memory.recall(keys[:2], where=([0, 1, 1], [ids[1]]))
    assert memory.recall(keys[:0], where=([0], [])).shape == (0, D)
    lists = ([0, 1, 2], [ids[1], ids[3]])
    with pytest.raises(ValueError, match="mask must have 1 row or 2, got 3"):
        memory.recall(keys[:2], where=lists, mask=np.ones((3, D), bool))


def test_an_asked_part_chooses_from_enough():
    keys, _ = items()
    memory = am.UniversalHopfield("manhattan", am.TopK(5))
    memory.store(keys)
    with pytest.raises(ValueError, match="4"):
        memory.recall(keys[0], where=[0, 1, 2, 3])


def test_refusals():
    keys, mask = items()
    paper = am.UniversalHopfield("manhattan", convention="paper")
    paper.store(keys)
    with pytest.raises(ValueError, match="paper' has no masks"):
        paper.recall(keys[:9], mask=mask)
    distributions = am.UniversalHopfield("kl", "max")
    distributions.store(np.abs(keys))
    with pytest.raises(ValueError, match="kl has no masks"):
        distributions.recall(np.abs(keys[:9]), mask=mask)
    hetero = am.UniversalHopfield("manhattan", "max")
    hetero.store(keys, keys[:, :3])
    assert hetero.recall(keys[:9], mask=mask).shape == (9, 3)
    with pytest.raises(ValueError, match="keep_known needs an autoassociative"):
        hetero.recall(keys[:9], mask=mask, keep_known=True)
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store(keys)
    with pytest.raises(ValueError, match="cues row 1 has nothing that is known"):
        memory.recall(keys[:2], mask=[[True] * D, [False] * D])
    with pytest.raises(ValueError, match="NaN"):
        memory.recall(np.full(D, np.nan), mask=np.arange(D) > 3)
    with pytest.raises(ValueError, match="nan must be"):
        memory.recall(keys[0], nan="skip")
    with pytest.raises(TypeError, match="keep_known"):
        memory.recall(keys[0], keep_known=1)
    with pytest.raises(ValueError, match="mask must have shape"):
        memory.recall(keys[0], mask=np.ones(D + 1, bool))
