"""Arrays and tables of other libraries: the answers are those of the same numbers in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import amfast as am

# How each library holds rows of float32.
KINDS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "pandas frame": ("pandas", lambda pd, x: pd.DataFrame(x)),
    "pandas frame of nullable columns": (
        "pandas", lambda pd, x: pd.DataFrame(x).astype("Float32")),
    "pandas column of arrays": ("pandas", lambda pd, x: pd.Series(list(x))),
    "polars frame": ("polars", lambda pl, x: pl.DataFrame(x)),
    "polars column of arrays": ("polars", lambda pl, x: pl.Series("e", x)),
    "polars column of lists": (
        "polars", lambda pl, x: pl.Series("e", x.tolist(), pl.List(pl.Float32))),
    "arrow table": (
        "pyarrow", lambda pa, x: pa.table({str(i): column for i, column in enumerate(x.T)})),
    "arrow column of lists": (
        "pyarrow", lambda pa, x: pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 5)),
    "array API": ("array_api_strict", lambda xp, x: xp.asarray(x)),
    "JAX": ("jax.numpy", lambda jnp, x: jnp.asarray(x)),
    "torch": ("torch", lambda torch, x: torch.from_numpy(x)),
}  # fmt: skip


@pytest.fixture
def x(rng):
    return rng.normal(size=(30, 5)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_and_memories_read_it(kind, x):
    module, make = KINDS[kind]
    given = make(pytest.importorskip(module), x)
    for found, expected in (
        (am.pairwise(given, given, "manhattan"), am.pairwise(x, x, "manhattan")),
        (am.topk(given, x, 3, "cosine")[1], am.topk(x, x, 3, "cosine")[1]),
        (am.retrieve(x, given, beta=0.5), am.retrieve(x, x, beta=0.5)),
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    memory, plain = am.UniversalHopfield("manhattan"), am.UniversalHopfield("manhattan")
    memory.store(given), plain.store(x)
    assert memory.keys.dtype == np.float32
    np.testing.assert_array_equal(memory.recall(given), plain.recall(x))


def test_sixteen_bits_are_read_exactly_or_refused_with_the_way_out(x):
    short = x.astype(pytest.importorskip("ml_dtypes").bfloat16)
    try:
        found = am.topk(short, short, 3, "manhattan")[0]
    except TypeError as error:
        assert "astype('float32')" in str(error)
    else:
        wide = short.astype(np.float32)
        np.testing.assert_array_equal(found, am.topk(wide, wide, 3, "manhattan")[0])
