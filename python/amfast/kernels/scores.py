"""Every query against every key: all scores, the best, those within a radius."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core, _docs, bits
from amfast._engine import coding, knowing, others
from amfast._engine.scoring import engine_rows, score_types
from amfast._threads import resolve_threads
from amfast._typing import Array, Int
from amfast.bits import BitMatrix
from amfast.kernels import buckets, filters, streaming
from amfast.kernels.blocks import Blocks
from amfast.kernels.keys import Held, Keys, read_keys
from amfast.parts import metrics
from amfast.parts.metrics import METRICS

# As many bytes as a score and an index take at most.
_FOUND = np.dtype(np.complex128)


class _Pair(NamedTuple):
    """Queries and keys as the engine takes them."""

    queries: Array
    keys: Array | _core.Keys
    rows: Array
    """The keys as rows, whether or not they are packed."""
    scores: np.dtype[Any]
    """The type of their scores."""
    single: bool
    """Whether one 1-d query was given."""
    n_bits: int | None
    """The width of packed rows."""
    known: Array | None
    """What columns of queries count, packed bits likewise."""
    held: Held


def bit_rows(cues: object, name: str, keys: object, metric: str) -> tuple[BitMatrix, Held, bool]:
    """Read cues and keys as bits of one width; whether there is one 1-d cue."""
    held = read_keys(keys, metric)
    assert isinstance(held.rows, BitMatrix)
    q, asked = bits.binary(cues, name, single=True, like=held.kind)
    if q.n_bits != held.rows.n_bits:
        raise ValueError(f"{name} have {q.n_bits} bits, the keys have {held.rows.n_bits}")
    return q, held, asked.single


def _pair(queries: object, keys: object, metric: str, mask: Any, nan: str, rescale: bool) -> _Pair:
    rescale = _check.flag(rescale, "rescale")
    if METRICS[metric].bits:
        b, held, single = bit_rows(queries, "queries", keys, metric)
        packed = engine_rows(held.rows)
        _check.nonempty(packed)
        known = knowing.known_bits(mask, b, nan, rescale, "queries")
        dtype = np.dtype(np.int32)
        return _Pair(b.to_packed(), packed, packed, dtype, single, b.n_bits, known, held)
    q, single = _check.cues(queries, "queries")
    held = read_keys(keys, metric)
    k = engine_rows(held.rows)
    _check.nonempty(k)
    _check.same_width(q, "queries", k.shape[1], "the keys have")
    known = weights = None
    if mask is not None or nan != "error":
        weights = _check.known(q, mask, nan, "queries")
    if weights is None:
        q, dtype = score_types(q, k, metric)
    else:
        dtype = _check.compute_type(q, k)
        q, known = knowing.known_rows(q.astype(dtype, copy=False), weights, metric, rescale)
    asked = held.engine(q.dtype) if known is None else held.known(q.dtype, metric)
    return _Pair(q, asked, k, dtype, single, None, known, held)


def pairwise(
    queries: Any,
    keys: Any,
    metric: str,
    *,
    mask: Any = None,
    nan: str = "error",
    rescale: bool = False,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Score every query against every key.

    Parameters
    ----------
    queries : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix, or Keys
    metric : str
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`.
    mask : (Q, d) or (d,) array, or BitMatrix, optional
        True where an entry of a query is known, or weights >= 0 (bits take bools or a BitMatrix
        alone): the sums are taken of these columns, ``sum w |q - k|`` and so on, the norms of a
        cosine too. A (d,) one serves all queries. Bytes are scored as floats then. Not of the KL
        family.
    nan : {"error", "missing"}, default "error"
        "missing" takes a NaN in the queries for an entry that is not known.
    rescale : bool, default False
        Whether the weights of a query are brought to the sum d, as
        ``sklearn.metrics.pairwise.nan_euclidean_distances`` does. Not of bits.
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
        For shapes that do not match, NaN or infinity (naming the row), a query of which nothing is
        known, an unknown metric, a score too large for its type.
    TypeError
        For element types that are no real numbers.
    MemoryError
        If the result, or a contiguous copy of the arguments, would not fit.

    See Also
    --------
    topk : The best keys alone.
    retrieve : Values, weighed by score, without the scores.

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
    q, k, _, dtype, single, _, known, _ = _pair(queries, keys, name, mask, nan, rescale)
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
        _core.pairwise(q, k, name, result, n_threads, known)
    if out is not None:
        return out
    return result[0] if single else result


@_docs.like(pairwise)
def topk(
    queries: Any,
    keys: Any,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    mask: Any = None,
    nan: str = "error",
    rescale: bool = False,
    where: Any = None,
    codes: bool | None = None,
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
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`. Best is largest for "dot", smallest for the others.
    exclude_self : bool, default False
        Whether queries are the keys and key i is left out for query i; k is at most N - 1 then.
        Not of `Blocks`.
    where : (N,) bool array, int array, or (indptr, indices), optional
        Only these keys are searched: a mask, their indices, or a list per query in CSR. Rows that
        do not follow one another are copied. Not of `Blocks`.
    codes : bool, optional
        Whether the search begins with a pass over 8-bit codes of the keys, which leaves a few of
        them to be scored: the same answers, bit for bit, several times as fast where keys differ
        enough. None tries it where it pays, with `Keys` that are coded and for many queries; True
        always. Floats under dot, cosine, sqeuclidean, euclidean and manhattan, without ``mask`` or
        ``where``; others, and queries whose bounds leave too many keys, are searched without.
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
        As `pairwise`; ValueError if k is not in 1..N, or if ``where`` leaves fewer.

    See Also
    --------
    self_topk : Rows among themselves.
    within : All keys within a radius.
    merge_topk : Put searches of parts together.

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=300).patterns()
    >>> noisy = am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)
    >>> scores, indices = am.topk(noisy, images, 1, "manhattan")
    >>> float((indices[:, 0] == range(300)).mean())  # share of noisy images whose own is nearest
    1.0
    """
    name = metrics.resolve(metric)
    n_threads = resolve_threads(threads)
    codes = codes if codes is None else coding.choice(codes)
    one_more = _check.flag(exclude_self, "exclude_self")
    if isinstance(keys, Blocks):
        others.refuse_blocks(one_more, where)
        some = functools.partial(topk, mask=mask, nan=nan, rescale=rescale)
        return streaming.topk(some, queries, keys, k, name, n_threads)
    pair = _pair(queries, keys, name, mask, nan, rescale)
    q, keys_, rows, dtype, single, _, known, _ = pair
    if one_more:
        others.refuse_other(len(q), len(keys_), single)
        others.refuse_alone(len(keys_))
    k = _check.integer(k, "k", 1, len(keys_) - one_more)
    _check.fits((len(q), k), _FOUND, "scores and indices")

    if len(q) == 0:
        return np.empty((0, k), dtype), np.empty((0, k), np.int64)
    by = None
    if known is None and where is None:
        by = pair.held.coded(name, codes, len(q), n_threads)
    if by is not None:
        more = k + one_more
        scores, indices = _core.topk_coded(q, keys_, by.rows, by.codes, more, name, n_threads)
    elif where is None:
        scores, indices = _core.topk(
            q, keys_, k=k + one_more, metric=name, threads=n_threads, known=known
        )
    else:
        search = functools.partial(_core.topk, k=k + one_more, metric=name, threads=n_threads)
        some_keys = _check.where(where, len(keys_), len(q))
        some_keys.check(k + one_more)
        scores, indices = filters.topk(search, q, rows, known, some_keys)
    if one_more:
        return others.of_best(scores, indices)
    return (scores[0], indices[0]) if single else (scores, indices)


@_docs.like(topk)
def within(
    queries: Any,
    keys: Any,
    radius: float,
    metric: str,
    *,
    exclude_self: bool = False,
    mask: Any = None,
    nan: str = "error",
    rescale: bool = False,
    where: Any = None,
    codes: bool | None = None,
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
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`.
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

    See Also
    --------
    pairs_within : Pairs among the rows themselves, each once.
    topk : As many keys for every query.

    Examples
    --------
    >>> import amfast as am
    >>> am.within([0.0], [[1.0], [3.0], [-2.0]], 2.0, "l1")
    (array([0, 2]), array([0, 2]), array([1., 2.]))
    """
    name = metrics.resolve(metric)
    n_threads = resolve_threads(threads)
    codes = codes if codes is None else coding.choice(codes)
    larger = METRICS[name].larger_is_better
    everything = isinstance(radius, float | np.floating) and radius == (
        -np.inf if larger else np.inf
    )
    if not everything:
        _check.radius(radius, larger)
    alone = _check.flag(exclude_self, "exclude_self")
    if isinstance(keys, Blocks):
        others.refuse_blocks(alone, where)
        some = functools.partial(within, mask=mask, nan=nan, rescale=rescale)
        return streaming.within(some, queries, keys, radius, name, n_threads)
    pair = _pair(queries, keys, name, mask, nan, rescale)
    q, k, rows, dtype, single, n_bits, known, _ = pair
    if alone:
        others.refuse_other(len(q), len(k), single)
    if not everything:
        radius = _check.radius(radius, larger, n_bits)
    elif n_bits is not None:
        radius = n_bits
    if len(q) == 0:
        return np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, dtype)
    search = functools.partial(_core.within, radius=radius, metric=name, threads=n_threads)
    by = None
    if known is None and where is None:
        by = pair.held.coded(name, codes, len(q), n_threads)
    if by is not None:
        found = _core.within_coded(q, k, by.rows, by.codes, radius, name, n_threads)
    elif where is None:
        near = None
        if n_bits is not None and known is None and buckets.pays(len(q), len(k), n_bits, radius):
            near = _near(q, rows, n_bits, radius)
        found = search(q, k, known=known) if near is None else near
    else:
        found = filters.within(search, q, rows, known, _check.where(where, len(k), len(q)), dtype)
    return others.of_rows(*found) if alone else found


def _near(queries: Array, keys: Array, n_bits: int, radius: float) -> tuple[Int, Int, Array] | None:
    """Find near codes by their pieces, in CSR; None where a scan is cheaper."""
    found = buckets.Buckets(keys, n_bits, radius).within(queries)
    if found is None:
        return None
    rows, indices, counts = found
    return np.searchsorted(rows, np.arange(len(queries) + 1)), indices, counts
