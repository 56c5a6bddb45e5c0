"""Some of the keys: equals the search of these keys with the indices mapped back."""

import numpy as np
import pytest

import amfast as am

Q, N, D = 7, 90, 12


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(Q, D)), rng.normal(size=(N, D)), rng.random(N) < 0.4


def lists(rng, least=4):
    """A list per query, as rows and as CSR."""
    rows = [np.sort(rng.choice(N, rng.integers(least, 30), replace=False)) for _ in range(Q)]
    return rows, (np.cumsum([0, *map(len, rows)]), np.concatenate(rows))


@pytest.mark.parametrize("metric", ["dot", "manhattan", "cosine", "hamming"])
def test_topk(metric):
    queries, keys, some = drawn()
    if metric == "hamming":
        queries, keys = queries > 0, keys > 0
    index = np.flatnonzero(some)
    want, place = am.topk(queries, keys[some], 4, metric)
    for where in (some, index, index[::-1], index.astype(np.uint8), index.tolist()):
        scores, found = am.topk(queries, keys, 4, metric, where=where)
        np.testing.assert_array_equal(scores, want)
        np.testing.assert_array_equal(found, index[place])
    rows, csr = lists(np.random.default_rng(1))
    scores, found = am.topk(queries, keys, 4, metric, where=csr)
    for i, row in enumerate(rows):
        want, place = am.topk(queries[i], keys[row], 4, metric)
        np.testing.assert_array_equal(scores[i], want)
        np.testing.assert_array_equal(found[i], row[place])
    shuffled = (csr[0], np.concatenate([row[::-1] for row in rows]))
    np.testing.assert_array_equal(am.topk(queries, keys, 4, metric, where=shuffled)[1], found)


def test_within():
    queries, keys, some = drawn()
    index = np.flatnonzero(some)
    indptr, place, want = am.within(queries, keys[some], 12.0, "l1")
    ours = am.within(queries, keys, 12.0, "l1", where=some)
    for got, expected in zip(ours, (indptr, index[place], want), strict=True):
        np.testing.assert_array_equal(got, expected)
    rows, csr = lists(np.random.default_rng(1), least=0)
    rows[2] = rows[2][:0]
    csr = np.cumsum([0, *map(len, rows)]), np.concatenate(rows)
    indptr, found, scores = am.within(queries, keys, 12.0, "l1", where=csr)
    for i, row in enumerate(rows):
        own = slice(indptr[i], indptr[i + 1])
        _, place, want = am.within(queries[i], keys[row], 12.0, "l1") if len(row) else ([], [], [])
        np.testing.assert_array_equal(found[own], row[place] if len(row) else [])
        np.testing.assert_array_equal(scores[own], want)
    nobody = am.within(queries, keys, 12.0, "l1", where=np.zeros(N, bool))
    assert nobody[0].tolist() == [0] * (Q + 1)
    assert len(nobody[1]) == len(nobody[2]) == 0


@pytest.mark.parametrize("separation", ["softmax", "max", am.TopK(3), am.Sparsemax()])
def test_retrieve(separation):
    queries, keys, some = drawn()
    values = np.random.default_rng(2).normal(size=(N, 3))
    weights = np.random.default_rng(3).normal(size=N)
    for v, b in ((None, None), (values, weights)):
        want = am.retrieve(
            queries, keys[some], None if v is None else v[some], separation=separation,
            log_weight=None if b is None else b[some],
        )  # fmt: skip
        got = am.retrieve(queries, keys, v, separation=separation, log_weight=b, where=some)
        np.testing.assert_array_equal(got, want)
    rows, csr = lists(np.random.default_rng(1))
    got = am.retrieve(queries, keys, values, separation=separation, where=csr)
    for i, row in enumerate(rows):
        want = am.retrieve(queries[i], keys[row], values[row], separation=separation)
        np.testing.assert_array_equal(got[i], want)


def test_faiss_selects_the_same():
    faiss = pytest.importorskip("faiss")
    queries, keys, some = drawn()
    queries, keys = queries.astype(np.float32), keys.astype(np.float32)
    index = faiss.IndexFlatL2(D)
    index.add(keys)
    chosen = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.flatnonzero(some)))
    _, want = index.search(queries, 5, params=chosen)
    np.testing.assert_array_equal(am.topk(queries, keys, 5, "sqeuclidean", where=some)[1], want)


def test_with_masks_and_without_oneself():
    queries, keys, some = drawn()
    mask = np.random.default_rng(4).random((Q, D)) < 0.6
    mask[:, 0] = True
    index = np.flatnonzero(some)
    want, place = am.topk(queries, keys[some], 4, "l1", mask=mask)
    scores, found = am.topk(queries, keys, 4, "l1", mask=mask, where=some)
    np.testing.assert_array_equal(scores, want)
    np.testing.assert_array_equal(found, index[place])
    rows, csr = lists(np.random.default_rng(1))
    _, found = am.topk(queries, keys, 2, "l1", mask=mask, where=csr)
    for i, row in enumerate(rows):
        _, place = am.topk(queries[i], keys[row], 2, "l1", mask=mask[i])
        np.testing.assert_array_equal(found[i], row[place])
    scores = am.pairwise(keys, keys, "l1")
    np.fill_diagonal(scores, np.inf)
    scores[:, ~some] = np.inf
    _, found = am.topk(keys, keys, 3, "l1", exclude_self=True, where=some)
    np.testing.assert_array_equal(found, np.argsort(scores, axis=1, kind="stable")[:, :3])


def test_one_query_is_one_row():
    queries, keys, some = drawn()
    scores, found = am.topk(queries[0], keys, 3, "l1", where=some)
    assert scores.shape == found.shape == (3,)
    assert am.retrieve(queries[0], keys, where=some).shape == (D,)
    csr = (np.array([0, 5]), np.arange(5))
    assert am.topk(queries[0], keys, 3, "l1", where=csr)[1].shape == (3,)
    assert am.retrieve(queries[0], keys, where=csr).shape == (D,)
    nobody = np.empty((0, D))
    assert am.topk(nobody, keys, 3, "l1", where=some)[0].shape == (0, 3)
    assert am.retrieve(nobody, keys, where=(np.zeros(1, int), np.zeros(0, int))).shape == (0, D)


BAD = [
    (np.ones(N + 1, bool), ValueError, r"where as a mask must have shape \(90,\)"),
    ([0, N], ValueError, r"where must be in 0..89, got 90"),
    ([-1, 3, 5], ValueError, r"where must be in 0..89, got -1"),
    ([3, 5, 3], ValueError, "where names key 3 twice"),
    ([0.5, 1.0], TypeError, "where must be integers"),
    (np.ones((2, N), bool), ValueError, "where as a mask"),
    ([1], ValueError, "where leaves 1 keys, at least 2 are needed"),
    (np.zeros(N, bool), ValueError, "where leaves 0 keys"),
    ((np.arange(Q), np.arange(Q)), ValueError, r"indptr must be integers of shape \(8,\)"),
    ((np.arange(Q + 1.0), np.arange(Q)), ValueError, "indptr must be integers"),
    ((np.arange(Q + 1) * 2, np.arange(Q)), ValueError, "must rise from 0 to the number"),
    ((np.arange(Q + 1)[::-1], np.arange(Q)), ValueError, "must rise from 0"),
    ((np.arange(Q + 1), np.arange(Q)), ValueError, "where leaves 1 keys to cue row 0"),
    (
        (np.arange(Q + 1) * 2, np.repeat(np.arange(Q), 2)),
        ValueError,
        "where names key 0 twice for cue row 0",
    ),
]


@pytest.mark.parametrize("where, error, message", BAD)
def test_bad_filters(where, error, message):
    queries, keys, _ = drawn()
    with pytest.raises(error, match=message):
        am.topk(queries, keys, 2, "l1", where=where)


def test_blocks_have_no_filter():
    queries, keys, some = drawn()
    for call in (
        lambda b: am.topk(queries, b, 2, "l1", where=some),
        lambda b: am.within(queries, b, 2.0, "l1", where=some),
        lambda b: am.retrieve(queries, b, where=some),
    ):
        with pytest.raises(ValueError, match="where needs keys in an array"):
            call(am.Blocks([keys]))
