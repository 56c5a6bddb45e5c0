"""Every query against every key: all scores, the best, those within a radius."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core, bits
from amfast._engine import others
from amfast._engine.scoring import engine_rows, score_types
from amfast._threads import resolve_threads
from amfast._typing import Array, Int
from amfast.bits import BitMatrix
from amfast.kernels import streaming
from amfast.kernels.blocks import Blocks
from amfast.kernels.keys import Held, Keys, read_keys
from amfast.parts import metrics
from amfast.parts.metrics import METRICS


class _Pair(NamedTuple):
    """Queries and keys as the engine takes them."""

    queries: Array
    keys: Array | _core.Keys
    scores: np.dtype[Any]
    """The type of their scores."""
    single: bool
    """Whether one 1-d query was given."""
    n_bits: int | None
    """The width of packed rows."""


def bit_rows(cues: object, name: str, keys: object, metric: str) -> tuple[BitMatrix, Held, bool]:
    """Read cues and keys as bits of one width; whether there is one 1-d cue."""
    held = read_keys(keys, metric)
    assert isinstance(held.rows, BitMatrix)
    q, asked = bits.binary(cues, name, single=True, like=held.kind)
    if q.n_bits != held.rows.n_bits:
        raise ValueError(f"{name} have {q.n_bits} bits, the keys have {held.rows.n_bits}")
    return q, held, asked.single


def _pair(queries: object, keys: object, metric: str) -> _Pair:
    if METRICS[metric].bits:
        b, held, single = bit_rows(queries, "queries", keys, metric)
        packed = engine_rows(held.rows)
        _check.nonempty(packed)
        return _Pair(b.to_packed(), packed, np.dtype(np.int32), single, b.n_bits)
    q, single = _check.cues(queries, "queries")
    held = read_keys(keys, metric)
    k = engine_rows(held.rows)
    _check.nonempty(k)
    _check.same_width(q, "queries", k.shape[1], "the keys have")
    q, dtype = score_types(q, k, metric)
    return _Pair(q, held.engine(q.dtype), dtype, single, None)


def pairwise(
    queries: Any, keys: Any, metric: str, *, out: Array | None = None, threads: int | None = None
) -> Array:
    """Score every query against every key.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix, or Keys
    metric : str
        One of the module's metrics.
    out : (Q, N) or (N,) array, optional
        Where to write: C-contiguous, writable, of exactly the result's shape and dtype, sharing no
        memory with the inputs.
    threads : int, optional
        None means the setting.

    Returns
    -------
    (Q, N) or (N,) array
        float32, float64 or, for small integers and bits, int32.

    Raises
    ------
    ValueError
        For shapes that do not match, NaN or infinity (naming the row), an unknown metric, a score
        too large for its type.
    TypeError
        For element types that are no real numbers.
    MemoryError
        If the result, or a contiguous copy of the arguments, would not fit.

    Examples
    --------
    >>> import amfast as am
    >>> am.pairwise([[0.0, 0.0]], [[3.0, 4.0], [1.0, 0.0]], "euclidean")
    array([[5., 1.]])
    >>> bits = am.pack([[1, 0, 1, 1], [0, 0, 0, 1]])
    >>> am.pairwise(bits, bits, "hamming")
    array([[0, 2],
           [2, 0]], dtype=int32)
    """
    name = metrics.resolve(metric)
    n_threads = resolve_threads(threads)
    q, k, dtype, single, _ = _pair(queries, keys, name)
    shape = (len(q), len(k))
    if out is None:
        result = _check.empty(shape, dtype, "scores")
    else:
        given = [x for x in (queries, keys) if not isinstance(x, BitMatrix | Keys)]
        inputs = [*(_check.read(x, "inputs") for x in given), q]
        if isinstance(k, np.ndarray):
            inputs.append(k)
        result = _check.out(out, shape[1:] if single else shape, dtype, inputs).reshape(shape)
    if len(q):
        _core.pairwise(q, k, name, result, n_threads)
    if out is not None:
        return out
    return result[0] if single else result


def topk(
    queries: Any,
    keys: Any,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    threads: int | None = None,
) -> tuple[Array, Int]:
    """Find the k best keys for every query, best first, ties to the lowest index.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix, Keys or Blocks
        A C-ordered memmap is read in place.
    k : int
        1 to N.
    metric : str
        One of the module's metrics. Best is largest for ``dot``, smallest for the others.
    exclude_self : bool, default False
        Whether queries are the keys and key i is left out for query i; k is at most N - 1 then.
        Not of `Blocks`.
    threads : int, optional
        None means the setting.

    Returns
    -------
    scores : (Q, k) or (k,) array
        The metric's values, in the type of `pairwise`.
    indices : (Q, k) or (k,) int64 array

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `pairwise`; ValueError if k is not in 1..N.

    Examples
    --------
    >>> import amfast as am
    >>> scores, indices = am.topk([0.0, 0.0], [[3.0, 4.0], [1.0, 0.0]], 1, "manhattan")
    >>> scores, indices
    (array([1.]), array([1]))
    """
    name = metrics.resolve(metric)
    n_threads = resolve_threads(threads)
    one_more = _check.flag(exclude_self, "exclude_self")
    if isinstance(keys, Blocks):
        others.refuse_blocks(one_more)
        return streaming.topk(topk, queries, keys, k, name, n_threads)
    q, keys_, dtype, single, _ = _pair(queries, keys, name)
    if one_more:
        others.refuse_other(len(q), len(keys_), single)
    k = _check.integer(k, "k", 1, len(keys_) - one_more)
    _check.fits((len(q), k), np.dtype(np.complex128), "scores and indices")
    if len(q):
        scores, indices = _core.topk(q, keys_, k + one_more, name, n_threads)
        if one_more:
            return others.of_best(scores, indices)
    else:
        scores, indices = np.empty((0, k), dtype), np.empty((0, k), np.int64)
    return (scores[0], indices[0]) if single else (scores, indices)


def within(
    queries: Any,
    keys: Any,
    radius: float,
    metric: str,
    *,
    exclude_self: bool = False,
    threads: int | None = None,
) -> tuple[Int, Int, Array]:
    """Find all keys within a radius of every query.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix, Keys or Blocks
    radius : float
        Keys at a distance <= radius are found (>= 0), or with ``dot`` >= radius; infinity finds
        all. Among bits a finite one is at most n_bits. It is rounded to the type of floating scores
        before they are compared, as NumPy does.
    metric : str
        One of the module's metrics.
    exclude_self : bool, default False
        Whether queries are the keys and key i is left out for query i. Not of `Blocks`.
    threads : int, optional
        None means the setting.

    Returns
    -------
    indptr : (Q + 1,) int64 array
        Row i's keys are ``indices[indptr[i]:indptr[i + 1]]``, as in SciPy's CSR matrices.
    indices : int64 array
        In ascending order within a row.
    scores : array
        Beside ``indices``, in the type of `pairwise`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `pairwise`; ValueError for a radius that is NaN, a negative distance or more than
        n_bits.

    Examples
    --------
    >>> import amfast as am
    >>> am.within([0.0], [[1.0], [3.0], [-2.0]], 2.0, "l1")
    (array([0, 2]), array([0, 2]), array([1., 2.]))
    """
    name = metrics.resolve(metric)
    n_threads = resolve_threads(threads)
    larger = METRICS[name].larger_is_better
    everything = isinstance(radius, float | np.floating) and radius == (
        -np.inf if larger else np.inf
    )
    if not everything:
        _check.radius(radius, larger)
    alone = _check.flag(exclude_self, "exclude_self")
    if isinstance(keys, Blocks):
        others.refuse_blocks(alone)
        return streaming.within(within, queries, keys, radius, name, n_threads)
    q, k, dtype, single, n_bits = _pair(queries, keys, name)
    if alone:
        others.refuse_other(len(q), len(k), single)
    if not everything:
        radius = _check.radius(radius, larger, n_bits)
    elif n_bits is not None:
        radius = n_bits
    if len(q) == 0:
        return np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, dtype)
    found = _core.within(q, k, radius, name, n_threads)
    return others.of_rows(*found) if alone else found
