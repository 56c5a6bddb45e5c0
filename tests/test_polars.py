"""Searches as expressions of polars."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import amfast as am

pl = pytest.importorskip("polars")

import amfast.polars  # noqa: E402


def frame(rows, kind):
    inner = {
        np.float32: pl.Float32,
        np.float64: pl.Float64,
        np.uint8: pl.UInt8,
        np.bool_: pl.Boolean,
    }
    element = inner[rows.dtype.type]
    dtype = pl.List(element) if kind == "list" else pl.Array(element, rows.shape[1])
    return pl.DataFrame({"e": pl.Series(rows.tolist(), dtype=dtype), "n": range(len(rows))})


def assert_found(column, rows, keys, k, metric):
    scores, indices = am.topk(rows, keys, k, metric)
    np.testing.assert_array_equal(column.struct.field("scores").to_numpy(), scores)
    np.testing.assert_array_equal(column.struct.field("indices").to_numpy(), indices)


@pytest.mark.parametrize("kind", ["list", "array"])
@pytest.mark.parametrize(
    ("dtype", "metric"),
    [("float32", "manhattan"), ("float64", "cosine"), ("uint8", "sqeuclidean"), ("float32", "dot")],
)
def test_topk_of_a_column(rng, kind, dtype, metric):
    rows, keys = (rng.integers(0, 256, (n, 6)).astype(dtype) for n in (20, 50))
    given = frame(rows, kind)
    call = pl.col("e").am.topk(keys, 3, metric)
    assert_found(given.select(call)["e"], rows, keys, 3, metric)
    lazy = given.lazy().with_columns(near=call).filter(pl.col("n") >= 5)
    assert lazy.collect_schema()["near"] == pl.Struct(
        {"scores": pl.Array(pl.Float64, 3), "indices": pl.Array(pl.Int64, 3)}
    )
    assert_found(lazy.collect()["near"], rows[5:], keys, 3, metric)
    assert_found(lazy.collect(engine="streaming")["near"], rows[5:], keys, 3, metric)


@pytest.mark.parametrize("kind", ["list", "array"])
def test_bits_and_keys_of_a_column(rng, kind):
    rows, keys = rng.random((9, 40)) < 0.5, rng.random((30, 40)) < 0.5
    call = pl.col("e").am.topk(am.pack(keys), 2, "hamming", threads=1)
    assert_found(frame(rows, kind).select(call)["e"], rows, keys, 2, "hamming")
    call = pl.col("e").am.topk(frame(keys * 1.0, kind)["e"], 2, "l1")
    assert_found(frame(rows * 1.0, kind).select(call)["e"], rows * 1.0, keys * 1.0, 2, "l1")


@pytest.mark.parametrize("kind", ["list", "array"])
def test_no_rows(kind):
    given = frame(np.zeros((1, 3)), kind)[:0]
    assert given.select(pl.col("e").am.topk(np.eye(3), 2, "l2"))["e"].len() == 0


def test_what_cannot_be(rng):
    given = frame(rng.normal(size=(4, 3)), "array")
    with pytest.raises(ValueError, match="metric"):
        pl.col("e").am.topk(np.eye(3), 1, "chebyshev")
    with pytest.raises(ValueError, match="k must be"):
        pl.col("e").am.topk(np.eye(3), 0, "l2")
    for column, keys, k, text in (
        (given["e"], np.eye(3), 4, "k must be"),
        (given["e"], np.eye(4), 1, "queries have 3 columns, the keys have 4"),
        (pl.Series([[1.0, 2.0], None]), np.eye(2), 1, "missing"),
        (pl.Series([[1.0, np.nan]]), np.eye(2), 1, "NaN"),
        (pl.Series(["a", "b"]), np.eye(2), 1, "queries"),
    ):
        with pytest.raises(Exception, match=text):
            column.to_frame("e").select(pl.col("e").am.topk(keys, k, "l2"))


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    import importlib

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'amfast-memory\[polars\]'"):
        importlib.reload(amfast.polars)
