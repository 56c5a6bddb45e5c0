"""Near codes by the pieces that they share: what a scan finds, whatever the codes."""

import numpy as np
import pytest

import amfast as am
from amfast.kernels import buckets


def codes(n, n_bits, kind, seed=0):
    """Random codes, of which many are near one another; or few different ones; or all zeros."""
    rng = np.random.default_rng(seed)
    bits = rng.random((n, n_bits)) < 0.5
    if kind == "near":
        bits[n // 2 :] = bits[rng.integers(0, max(1, n // 2), n - n // 2)]
        flips = rng.integers(0, n_bits, (n - n // 2, 4))
        for at in flips.T:
            bits[np.arange(n // 2, n), at] ^= True
    elif kind == "few":
        bits = bits[rng.integers(0, 5, n)]
    elif kind == "zeros":
        bits[:] = False
    return am.pack(bits)


@pytest.fixture
def counted(monkeypatch):
    """Buckets are tried for any size; the answers that they gave, None where they gave none."""
    answers = []
    within = buckets.Buckets.within

    def watched(self, *args, **options):
        answers.append(within(self, *args, **options))
        return answers[-1]

    monkeypatch.setattr(buckets, "pays", lambda q, n, n_bits, radius: 0 <= radius < n_bits)
    monkeypatch.setattr(buckets.Buckets, "within", watched)
    return answers


@pytest.mark.parametrize("kind", ["near", "few", "zeros"])
@pytest.mark.parametrize("n_bits", [9, 13, 64, 65, 200, 1030])
def test_the_same_as_a_scan(counted, kind, n_bits, monkeypatch):
    monkeypatch.setattr(buckets, "_COMPARE", 0)
    monkeypatch.setattr(buckets, "_WORD", 0)
    monkeypatch.setattr(buckets, "_AT_ONCE", 100)
    keys, queries = codes(150, n_bits, kind), codes(40, n_bits, kind, seed=1)
    for radius in (0, 1, 3, 3.7, 8):
        counted.clear()
        scores = am.pairwise(queries, keys, "hamming")
        indptr, indices, near = am.within(queries, keys, radius, "hamming")
        inside = scores <= radius
        np.testing.assert_array_equal(np.diff(indptr), inside.sum(axis=1))
        np.testing.assert_array_equal(indices, np.nonzero(inside)[1])
        np.testing.assert_array_equal(near, scores[inside])
        assert near.dtype == np.int32
        assert indices.dtype == indptr.dtype == np.int64
        own = am.pairwise(keys, keys, "hamming")
        i, j, near = am.pairs_within(keys, radius, "hamming")
        want = np.nonzero(np.triu(own <= radius, 1))
        np.testing.assert_array_equal((i, j), want)
        np.testing.assert_array_equal(near, own[want])
        assert len(counted) == 2
        assert all(answer is not None for answer in counted)


def test_a_scan_where_many_share_a_piece(counted):
    keys = codes(300, 64, "few")
    i, _, _ = am.pairs_within(keys, 2, "hamming")
    assert set(counted) == {None}
    own = am.pairwise(keys, keys, "hamming")
    assert len(i) == np.triu(own <= 2, 1).sum()


def test_where_it_pays():
    assert buckets.pays(500_000, 1_000_000, 64, 3)
    assert buckets.pays(20_000, 1_000_000, 256, 8)
    assert not buckets.pays(1, 1_000_000, 1024, 3), "sorting a million costs more than a scan"
    assert not buckets.pays(500_000, 1_000_000, 64, 9)
    assert not buckets.pays(500_000, 1_000_000, 64, np.inf)
    assert not buckets.pays(500_000, 1_000_000, 64, -1)
    assert not buckets.pays(500_000, 1_000_000, 3, 3)


def test_ends(counted):
    keys = codes(20, 70, "near")
    indptr, indices, _ = am.within(keys[:0], keys, 2, "hamming")
    assert indptr.tolist() == [0]
    assert len(indices) == 0
    assert am.within(keys[0].unpack()[0], keys, 2, "hamming")[0].shape == (2,)
    assert len(am.pairs_within(keys, np.inf, "hamming")[0]) == 190
    with pytest.raises(ValueError, match="radius"):
        am.pairs_within(keys, 71, "hamming")
    with pytest.raises(ValueError, match="radius"):
        am.pairs_within(keys, -1, "hamming")
    assert len(am.pairs_within(keys[:1], 2, "hamming")[0]) == 0


def test_a_mask_is_scanned(counted):
    keys, mask = codes(50, 70, "near"), np.arange(70) < 20
    indptr, _, _ = am.within(keys, keys, 2, "hamming", mask=mask)
    scores = am.pairwise(keys, keys, "hamming", mask=mask)
    np.testing.assert_array_equal(np.diff(indptr), (scores <= 2).sum(axis=1))
    assert counted == []
