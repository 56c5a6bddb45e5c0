"""The kernels: NumPy arrays in, NumPy arrays out, no object in between.

All take rows: ``queries (Q, d)`` against ``keys (N, d)``; a 1-d query is one row and its answer
loses that axis. float32 is scored in float32; if either side is float64, in float64. float16,
uint8 and int8 keys are read as they are stored. uint8 with uint8, or int8 with int8, gives exact
int32 for ``dot``, ``sqeuclidean`` and ``manhattan`` (up to 33025 columns; float64 beyond). bool and
other integers become float64, which must be exact. Results do not depend on the number of threads.

Metrics, with q a query and k a key:

{metrics}

``hamming`` takes packed bits (`BitMatrix`), bools, or arrays of {0, 1} or {-1, +1}, which are
packed on the way in; other values are a ValueError. Bipolar rows have the dot product
``n_bits - 2 * hamming``.

``kl``, ``reverse_kl`` and ``jensenshannon`` compare distributions: a negative entry or a blank row
is a ValueError here, while `UniversalHopfield` smooths its rows and takes a blank one. ``kl`` and
``reverse_kl`` are computed as products, so float32 does not resolve divergences below about 1e-6;
use float64 for those.

A score beyond the largest number of its type, of finite rows, is a ValueError, never inf.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core, bits, parts
from amfast._engine import others, summing
from amfast._engine.machine import cpu_info as cpu_info
from amfast._engine.reading import Source, read, result_type
from amfast._engine.scoring import blanked, engine_rows, score_types
from amfast._stores.moments import patterns, row_weights
from amfast._threads import resolve_threads
from amfast._typing import Array, Int
from amfast.bits import BitMatrix
from amfast.parts import metrics
from amfast.parts.metrics import METRICS
from amfast.parts.similarities import FEW_ROWS, refuse_distance

__doc__ = (__doc__ or "").replace("{metrics}", metrics.table())


# -- scores ---------------------------------------------------------------------------------------


class _Pair(NamedTuple):
    """Queries and keys as the engine takes them."""

    queries: Array
    keys: Array
    scores: np.dtype[Any]
    """The type of their scores."""
    single: bool
    """Whether one 1-d query was given."""
    n_bits: int | None
    """The width of packed rows."""


def _bits(cues: object, name: str, keys: object) -> tuple[BitMatrix, BitMatrix, bool]:
    k, kind = bits.binary(keys, "keys")
    _check.nonempty(k.to_packed())
    q, asked = bits.binary(cues, name, single=True, like=kind)
    if q.n_bits != k.n_bits:
        raise ValueError(f"{name} have {q.n_bits} bits, the keys have {k.n_bits}")
    return q, k, asked.single


def _pair(queries: object, keys: object, metric: str) -> _Pair:
    if METRICS[metric].bits:
        b, kb, single = _bits(queries, "queries", keys)
        return _Pair(b.to_packed(), kb.to_packed(), np.dtype(np.int32), single, kb.n_bits)
    q, single = _check.cues(queries, "queries")
    k = _check.rows(keys, "keys")
    _check.nonempty(k)
    _check.same_width(q, "queries", k.shape[1], "the keys have")
    q, dtype = score_types(q, k, metric)
    return _Pair(q, k, dtype, single, None)


def pairwise(
    queries: Any, keys: Any, metric: str, *, out: Array | None = None, threads: int | None = None
) -> Array:
    """Score every query against every key.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix
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
        given = [x for x in (queries, keys) if not isinstance(x, BitMatrix)]
        inputs = [*(_check.read(x, "inputs") for x in given), q, k]
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
    keys : (N, d) array or BitMatrix
    k : int
        1 to N.
    metric : str
        One of the module's metrics. Best is largest for ``dot``, smallest for the others.
    exclude_self : bool, default False
        Whether queries are the keys and key i is left out for query i; k is at most N - 1 then.
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
    q, keys_, dtype, single, _ = _pair(queries, keys, name)
    one_more = _check.flag(exclude_self, "exclude_self")
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
    keys : (N, d) array or BitMatrix
    radius : float
        Keys at a distance <= radius are found (>= 0), or with ``dot`` >= radius; infinity finds
        all. Among bits a finite one is at most n_bits. It is rounded to the type of floating scores
        before they are compared, as NumPy does.
    metric : str
        One of the module's metrics.
    exclude_self : bool, default False
        Whether queries are the keys and key i is left out for query i.
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
    q, k, dtype, single, n_bits = _pair(queries, keys, name)
    if _check.flag(exclude_self, "exclude_self"):
        others.refuse_other(len(q), len(k), single)
    if not everything:
        radius = _check.radius(radius, larger, n_bits)
    elif n_bits is not None:
        radius = n_bits
    if len(q) == 0:
        return np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, dtype)
    found = _core.within(q, k, radius, name, n_threads)
    return others.of_rows(*found) if exclude_self else found


def retrieve(
    cues: Any,
    keys: Any,
    values: Any = None,
    *,
    similarity: str | parts.Similarity | parts.ScoreFunction = "dot",
    separation: str | parts.Separation | parts.WeightFunction = "softmax",
    beta: float | None = None,
    log_weight: Any = None,
    threads: int | None = None,
) -> Array:
    """Recall values by similarity, without ever holding the (Q, N) scores.

    ``out = sum_i w_i v_i / sum_i |w_i|`` with the weights ``w`` of `amfast.parts`; a distance d
    scores as -d. With the defaults it is softmax attention, ``softmax(beta cues keys^T) values``.
    A cue for which all weights are zero reads zeros.

    Parameters
    ----------
    cues : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix
        Under ``hamming``, as `pairwise` takes them.
    values : (N, o) array or BitMatrix, optional
        None means the keys as they are given. The bits of a `BitMatrix` are -1 and +1; they are
        unpacked a few rows at a time.
    similarity : str, Similarity or callable, default "dot"
    separation : str, Separation or callable, default "softmax"
    beta : float, optional
        The softmax's inverse temperature, finite and >= 0. None means 1.
    log_weight : (N,) array, optional
        Natural logarithms of item weights; -inf leaves an item out, whatever it holds.
    threads : int, optional
        None means the setting.

    Returns
    -------
    (Q, o) or (o,) array
        float64 if an input is, else float32. Under ``hamming`` only the values count.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `pairwise`; ValueError if ``sqrt`` or ``log`` meets a negative score, a weighted mean
        leaves the range of its type, a `Threshold` among bits has a radius beyond n_bits, or a
        similarity given as a bare function turns out to be a distance.

    Examples
    --------
    >>> import amfast as am
    >>> keys = [[1.0, 0.0], [0.0, 1.0]]
    >>> am.retrieve([0.9, 0.1], keys, [[10.0], [20.0]], separation="max")
    array([10.])
    """
    similar = parts.similarity(similarity)
    separate = parts.separation(separation, beta)
    n_threads = resolve_threads(threads)
    q: Array | BitMatrix
    k: Array | BitMatrix
    own: Array | BitMatrix | None = None
    if similar.metric is not None and METRICS[similar.metric].bits:
        q, k, single = _bits(cues, "cues", keys)
        own = k if isinstance(keys, BitMatrix) else _numbers(keys)
    else:
        q, single = _check.cues(cues)
        k = _check.rows(keys, "keys")
        _check.nonempty(k)
        _check.same_width(q, "cues", k.shape[1], "the keys have")
    v: Array | BitMatrix | None = own
    if isinstance(values, BitMatrix):
        v = values
    elif values is not None:
        v = _check.rows(values, "values", partners=len(k))
    if v is not None and len(v) != len(k):
        raise ValueError(f"values have {len(v)} rows, the keys have {len(k)}")
    b = None if log_weight is None else _check.log_weights(log_weight, len(k))
    if b is not None and not (b > -np.inf).all():
        k, v = blanked(k, b == -np.inf), blanked(v, b == -np.inf)
    n_bits = k.n_bits if isinstance(k, BitMatrix) else None
    separate.check(len(k), bool(similar.larger_is_better), n_bits)
    if not isinstance(q, BitMatrix):
        q = q.astype(
            _check.compute_type(*(x for x in (q, k, v) if isinstance(x, np.ndarray))), copy=False
        )
        _check.finite(q, "cues")
    if similar.metric is None or separate.engine() is None:
        for rows, name in ((k, "keys"), (v, "values")):
            if isinstance(rows, np.ndarray):
                _check.finite(rows, name)
    if similar.metric is None and isinstance(k, np.ndarray) and isinstance(q, np.ndarray):
        refuse_distance(similar, k[:FEW_ROWS].astype(q.dtype, copy=False))
    stored = k if v is None else v
    _check.fits((len(q), stored.shape[1]), result_type(q, stored), "recalled values")
    result, _ = read(q, Source(k, engine_rows(k), v, b), similar, separate, n_threads)
    return result[0] if single else result


def _numbers(keys: object) -> Array:
    """Keys that are bits, as the numbers that were given; bools are 0 and 1."""
    given = _check.read(keys, "keys")
    return _check.rows(given.astype(np.uint8) if given.dtype.kind == "b" else given, "keys")


# -- sums -----------------------------------------------------------------------------------------


def hebbian(
    X: Any,
    Y: Any = None,
    *,
    weights: Any = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Add up outer products: ``W = sum_i w_i y_i x_i^T``.

    It is the second moment of the patterns, and the weight matrix of Hopfield's network (Hebb's
    rule, without the 1 / N or 1 / d that some authors divide by, and with the diagonal).

    Parameters
    ----------
    X : (N, d) array or BitMatrix
        Patterns.
    Y : (N, o) array or BitMatrix, optional
        Their partners. None means the patterns themselves: W is then exactly symmetric, and half
        the work is done.
    weights : (N,) array, optional
        Finite, of any sign: -1 takes a pattern out again. Nothing is scaled in memory.
    out : (o, d) array, optional
        What the sum is *added to*, in place: C-contiguous, writable, sharing no memory with the
        inputs, and of the result's type or float64. A float64 ``out`` for float32 patterns keeps
        float32 arithmetic only within 256 patterns and adds those sums up in float64, at nearly the
        same speed.
    threads : int, optional
        None means the setting. The result has the same bits for any number.

    Returns
    -------
    (o, d) array
        ``out`` if given. Else

        - int32 and exact for BitMatrix, bool (both mean -1 and +1), int8 and uint8 (the numbers
          they are), if there are no weights or they are whole numbers;
        - float64 if an input is float64 (or an integer type other than those), or if exact
          patterns have weights with fractions;
        - float32 otherwise.

    Raises
    ------
    ValueError
        For shapes that do not match; NaN or infinity, naming the row; an entry of W beyond the
        range of its type, with the numbers. ``out`` is then what it was, unless a sum of finite
        floats overflows, which leaves it undefined, as Ctrl-C does.
    TypeError
        For element types that are no real numbers, and an ``out`` of another type.
    MemoryError
        If the result would not fit.

    Notes
    -----
    A sum of N products is off by at most about ``(256 + N / 256) eps sum_i |w_i y_i x_i|``.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> am.hebbian(np.array([[1, -1, 1], [1, 1, 1]], np.int8))
    array([[2, 0, 2],
           [0, 2, 0],
           [2, 0, 2]], dtype=int32)
    >>> am.hebbian([[1.0, 2.0], [3.0, 4.0]], [[1.0], [10.0]], weights=[1.0, 0.5])
    array([[16., 22.]])
    """
    n_threads = resolve_threads(threads)
    x = patterns(X, "X")
    y = None if Y is None else patterns(Y, "Y")
    if y is not None and len(y) != len(x):
        raise ValueError(f"Y has {len(y)} rows, X has {len(x)}")
    w = row_weights(weights, len(x))
    dtype = summing.sum_type(x, y, w)
    shape = ((x if y is None else y).shape[1], x.shape[1])
    if out is None:
        result = _check.empty(shape, dtype, "sums of outer products")
        if dtype == np.int32:
            summing.refuse_inexact(x, y, w)
        if len(x):
            summing.total(x, y, w, result, False, n_threads)
        else:
            result[...] = 0
        return result
    if isinstance(out, np.ndarray) and out.dtype == np.float64:
        dtype = out.dtype
    inputs = [np.asarray(z) for z in (X, Y, x, y, w) if isinstance(z, np.ndarray)]
    packed = [z.to_packed() for z in (x, y) if isinstance(z, BitMatrix)]
    _check.out(out, shape, dtype, inputs + packed)
    if len(x) == 0:
        return out
    if dtype == np.int32:
        summing.refuse_inexact(x, y, w)
        summing.add_exactly(x, y, w, out, n_threads)
        return out
    for given, name in ((x, "X"), (y, "Y"), (out, "out")):
        if isinstance(given, np.ndarray):
            _check.finite(given, name)
    summing.total(x, y, w, out, True, n_threads)
    return out
