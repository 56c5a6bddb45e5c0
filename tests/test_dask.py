"""The kernels over dask arrays: the answers of the whole, whoever works."""

from __future__ import annotations

import os
import signal
import time
import warnings

import numpy as np
import pytest

import amfast as am

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")
from dask.array.utils import assert_eq  # noqa: E402

import amfast.dask as ad  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(300, 16)).astype(np.float32)
VALUES = RNG.normal(size=(300, 5)).astype(np.float32)
CUES = RNG.normal(size=(7, 16)).astype(np.float32)
LAZY = da.from_array(KEYS, chunks=(41, 16))
BESIDE = da.from_array(VALUES, chunks=(100, 5))


@pytest.fixture(autouse=True)
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


def same(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        assert isinstance(mine, da.Array)
        assert_eq(mine, theirs, equal_nan=False)
        np.testing.assert_array_equal(mine.compute(), theirs)
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize("metric", ["dot", "manhattan", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("queries", [CUES, CUES[0], da.from_array(CUES, chunks=(3, 16))])
def test_searches_bit_for_bit(metric, queries):
    plain = queries.compute() if isinstance(queries, da.Array) else queries
    same(ad.topk(queries, LAZY, 9, metric, split_every=3), am.topk(plain, KEYS, 9, metric))
    radius = float(np.median(am.pairwise(plain, KEYS, metric)))
    got = ad.within(queries, LAZY, radius, metric)
    for mine, theirs in zip(
        dask.compute(*got), am.within(plain, KEYS, radius, metric), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("options", [
    dict(beta=0.5), dict(separation="max"), dict(separation=am.TopK(4, 1.0)),
    dict(similarity="manhattan", beta=0.3), dict(log_weight=np.log(RNG.random(300))),
])  # fmt: skip
def test_reads(options):
    expected = am.retrieve(CUES, KEYS, VALUES, **options)
    for cues in (CUES, da.from_array(CUES, chunks=(2, 16))):
        got = ad.retrieve(cues, LAZY, BESIDE, **options)
        assert_eq(got, expected, atol=1e-6)
        assert got.dtype == expected.dtype and got.shape == expected.shape
    assert_eq(ad.retrieve(CUES[0], LAZY, beta=0.5), am.retrieve(CUES[0], KEYS, beta=0.5), atol=1e-6)


def test_sums():
    assert_eq(ad.hebbian(LAZY), am.hebbian(KEYS), atol=1e-3)
    assert_eq(ad.hebbian(LAZY, BESIDE), am.hebbian(KEYS, VALUES), atol=1e-3)
    w = RNG.random(300)
    assert_eq(ad.hebbian(LAZY, weights=w), am.hebbian(KEYS, weights=w), atol=1e-3)
    signs = np.sign(KEYS).astype(np.int8)
    lazy = da.from_array(signs, chunks=(50, 16))
    same([ad.hebbian(lazy)], [am.hebbian(signs)])
    assert_eq(ad.hebbian(lazy, weights=w), am.hebbian(signs, weights=w))
    bits = am.pack(signs)
    same(ad.topk(bits[:3], lazy, 4, "hamming"), am.topk(bits[:3], bits, 4, "hamming"))


def test_store():
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store(KEYS[:3])
    found = ad.store(memory, LAZY, split_every=2).compute()
    assert len(memory) == 3 and len(found) == 303
    np.testing.assert_array_equal(found.keys[3:], KEYS)
    sums = ad.store(am.HebbianMemory(), LAZY, BESIDE).compute()
    whole = am.HebbianMemory()
    whole.store(KEYS, VALUES)
    np.testing.assert_allclose(sums.recall(CUES), whole.recall(CUES), atol=1e-6)
    with pytest.raises(TypeError, match="memory"):
        ad.store(3, LAZY)


def test_empty_chunks_and_few_keys():
    lazy = da.concatenate([LAZY[:0], LAZY[:2], LAZY[:0], LAZY[2:5]])
    same(ad.topk(CUES, lazy, 5, "dot"), am.topk(CUES, KEYS[:5], 5, "dot"))
    with pytest.raises(ValueError, match=r"1\.\.5"):
        ad.topk(CUES, lazy, 6, "dot")
    assert_eq(ad.retrieve(CUES, lazy), am.retrieve(CUES, KEYS[:5]), atol=1e-6)


def test_what_is_refused():
    unknown = LAZY[LAZY[:, 0] > 0]
    for call, error, match in (
        (lambda: ad.topk(CUES, unknown, 2, "dot"), ValueError, "compute_chunk_sizes"),
        (lambda: ad.topk(CUES, KEYS, 2, "dot"), TypeError, "dask array"),
        (lambda: ad.topk(CUES, LAZY[0], 2, "dot"), ValueError, "2-d"),
        (lambda: ad.topk(CUES[:, :4], LAZY, 2, "dot"), ValueError, "columns"),
        (lambda: ad.topk(CUES, LAZY, 2, "nope"), ValueError, "metric"),
        (lambda: ad.topk(CUES, LAZY, 2, "dot", split_every=1), ValueError, "split_every"),
        (lambda: ad.retrieve(CUES, LAZY, BESIDE[:9]), ValueError, "rows"),
        (lambda: ad.retrieve(CUES, LAZY, log_weight=[1.0]), ValueError, "weights"),
        (lambda: ad.retrieve(CUES, LAZY, separation=am.Sparsemax()), ValueError, "in parts"),
        (lambda: ad.within(CUES, LAZY, -1.0, "l2"), ValueError, "radius"),
    ):
        with pytest.raises(error, match=match):
            call()
    with pytest.warns(UserWarning, match="columns in 4 chunks"):
        lazy = ad.topk(CUES, da.from_array(KEYS, chunks=(41, 4)), 9, "dot")
    same(lazy, am.topk(CUES, KEYS, 9, "dot"))


def test_the_graph_is_small_and_the_same_bits_for_any_number_of_workers():
    import cloudpickle

    keys = da.random.default_rng(1).normal(size=(100_000, 8), chunks=(100, 8))
    for got in (
        ad.topk(np.ones((3, 8)), keys, 5, "dot")[0],
        ad.retrieve(np.ones((3, 8)), keys),
        ad.hebbian(keys),
    ):
        own = {k: v for k, v in got.dask.layers.items() if k.startswith("amfast")}
        assert keys.numblocks[0] == 1000 and len(cloudpickle.dumps(own)) < 1_000_000
    reads = ad.retrieve(CUES, LAZY, BESIDE, beta=2.0)
    sums = ad.hebbian(LAZY)
    first = None
    for n in (1, 2, 4):
        with dask.config.set(scheduler="threads", num_workers=n):
            found = [x.compute().tobytes() for x in (reads, sums)]
        first = first or found
        assert found == first


class Stays(np.ndarray):
    """Rows that cannot leave the process they are in."""

    def __reduce__(self):
        raise AssertionError("keys travelled")


def chunk(i):
    return np.random.default_rng(i).normal(size=(50, 8)).view(Stays)


def there(n_chunks):
    parts = [da.from_delayed(dask.delayed(chunk)(i), (50, 8), np.float64) for i in range(n_chunks)]
    return da.concatenate(parts), np.concatenate([np.asarray(chunk(i)) for i in range(n_chunks)])


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as made,
            distributed.Client(made) as client,
        ):
            yield made, client


@pytest.mark.filterwarnings("ignore")
def test_the_same_bits_for_any_number_of_processes():
    distributed = pytest.importorskip("distributed")
    lazy = (
        ad.retrieve(CUES, LAZY, BESIDE, beta=2.0),
        ad.hebbian(LAZY),
        *ad.topk(CUES, LAZY, 5, "l1"),
    )
    expected = [np.asarray(x).tobytes() for x in dask.compute(*lazy, scheduler="synchronous")]
    for n in (1, 2, 4):
        with (
            distributed.LocalCluster(
                n_workers=n, threads_per_worker=1, processes=True, dashboard_address=None
            ) as made,
            distributed.Client(made) as client,
        ):
            found = client.gather(client.compute(list(lazy)))
        assert [np.asarray(x).tobytes() for x in found] == expected


def slow(x, block_info=None):
    time.sleep(0.02)
    return x


@pytest.mark.filterwarnings("ignore")
def test_two_processes_and_one_that_is_killed(cluster, tmp_path):
    made, client = cluster
    zarr = pytest.importorskip("zarr")
    store = zarr.create_array(str(tmp_path / "z"), shape=KEYS.shape, chunks=(10, 16), dtype="f4")
    store[...] = KEYS
    np.save(tmp_path / "k.npy", KEYS)
    mapped = da.from_array(np.load(tmp_path / "k.npy", mmap_mode="r"), chunks=(50, 16))
    with dask.config.set(scheduler=client):
        for keys in (da.from_zarr(str(tmp_path / "z")), mapped):
            same(ad.topk(CUES, keys, 5, "manhattan"), am.topk(CUES, KEYS, 5, "manhattan"))
        expected = ad.retrieve(CUES, LAZY, beta=2.0).compute(scheduler="synchronous")
        np.testing.assert_array_equal(ad.retrieve(CUES, LAZY, beta=2.0).compute(), expected)
        # A worker dies in the middle.
        lazy = da.from_zarr(str(tmp_path / "z")).map_blocks(slow, dtype="f4", meta=KEYS[:0])
        scores, indices = ad.topk(CUES, lazy, 5, "manhattan")
        future = client.compute([scores, indices])
        time.sleep(0.15)
        pids = list(client.run(os.getpid).values())
        os.kill(pids[0], signal.SIGKILL)
        got = client.gather(future)
    for mine, theirs in zip(got, am.topk(CUES, KEYS, 5, "manhattan"), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.filterwarnings("ignore")
def test_keys_never_travel_to_the_client(cluster):
    _, client = cluster
    worker = sorted(client.scheduler_info()["workers"])[0]
    lazy, keys = there(6)
    with dask.config.set(scheduler=client), dask.annotate(workers=[worker]):
        futures = client.compute(list(ad.topk(keys[:2], lazy, 3, "l1")), workers=[worker])
        got = client.gather(futures)
    for mine, theirs in zip(got, am.topk(keys[:2], keys, 3, "l1"), strict=True):
        np.testing.assert_array_equal(mine, theirs)
