"""Values recalled by similarity: whole, or of some of the keys as a part that can be merged."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast import _check, _core, _docs, parts
from amfast._engine import coding, knowing, others
from amfast._engine.reading import Source, read, result_type
from amfast._engine.scoring import blanked, engine_rows, fused_exactly, scores_bytes
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int
from amfast.bits import BitMatrix
from amfast.kernels import streaming
from amfast.kernels.blocks import Blocks
from amfast.kernels.keys import Held, read_keys
from amfast.kernels.partials import Partial, part_of
from amfast.kernels.scores import bit_rows, pairwise
from amfast.parts.base import warn
from amfast.parts.metrics import METRICS
from amfast.parts.similarities import FEW_ROWS, misfit, refuse_distance


class _Question(NamedTuple):
    """Checked arguments of a read."""

    cues: Array | BitMatrix
    keys: Array | BitMatrix
    values: Array | BitMatrix | None
    packed: Array | _core.Keys
    """The keys as the engine takes them."""
    log_weight: Float | None
    similarity: parts.Similarity
    separation: parts.Separation
    single: bool
    """Whether one 1-d cue was given."""
    known: Array | None
    """What columns of the cues count, packed bits likewise."""
    held: Held

    @property
    def source(self) -> Source:
        return Source(self.keys, self.packed, self.values, self.log_weight)

    @property
    def n_bits(self) -> int | None:
        return self.keys.n_bits if isinstance(self.keys, BitMatrix) else None

    @property
    def dtype(self) -> np.dtype[Any]:
        return result_type(self.cues, self.keys if self.values is None else self.values)

    def among(self, index: Int) -> _Question:
        """Ask some of the keys alone."""
        values, b = self.values, self.log_weight
        keys = knowing.chosen(self.keys, index)
        return self._replace(
            keys=keys,
            packed=engine_rows(keys),
            values=None if values is None else knowing.chosen(values, index),
            log_weight=None if b is None else b[index],
            held=Held(keys, codes=False),
        )

    def coded(self, codes: bool | None, threads: int) -> Source:
        """Return what is read, with codes if a first pass over them is to be tried."""
        fused, metric = self.separation.engine(), self.similarity.metric
        weighed = self.known is not None or self.log_weight is not None
        if metric is None or weighed or isinstance(self.cues, BitMatrix):
            return self.source
        if self.cues.dtype.kind != "f" or not coding.helps(fused, self.separation.n_best):
            return self.source
        if codes is None and not isinstance(self.held.codes, _core.Codes):
            if not self.held.codes_wanted(metric, len(self.cues)):
                return self.source
            if not coding.sparse(self.cues, self.packed, metric, fused, threads):
                return self.source
        return self.source._replace(by=self.held.coded(metric, codes, len(self.cues), threads))

    def answer(self, threads: int, codes: bool | None = False) -> Array:
        """Recall (Q, o)."""
        larger = bool(self.similarity.larger_is_better)
        self.separation.check(len(self.keys), larger, self.n_bits)
        source = self.coded(codes, threads)
        return read(self.cues, source, self.similarity, self.separation, threads, self.known)[0]


def _question(
    cues: Any,
    keys: Any,
    values: Any,
    similarity: Any,
    separation: Any,
    beta: float | None,
    log_weight: Any,
    mask: Any,
    nan: str,
    rescale: bool,
) -> _Question:
    """Read the arguments of `retrieve` and `partial`; there may be no keys at all."""
    rescale = _check.flag(rescale, "rescale")
    similar = parts.similarity(similarity)
    known: Array | None = None
    separate = parts.separation(separation, beta)
    if misfit(similar, separate):
        warn(misfit(similar, separate))
    q: Array | BitMatrix
    k: Array | BitMatrix
    v: Array | BitMatrix | None = None
    if similar.metric is not None and METRICS[similar.metric].bits:
        q, held, single = bit_rows(cues, "cues", keys, similar.metric)
        known = knowing.known_bits(mask, q, nan, rescale)
        k, v = held.rows, held.values() if values is None else None
    else:
        q, single = _check.cues(cues)
        held = read_keys(keys, similar.engine_metric)
        k = held.rows
        _check.same_width(q, "cues", k.shape[1], "the keys have")
        similar.check_width(k, "keys")
    if isinstance(values, BitMatrix):
        v = values
    elif values is not None:
        v = _check.rows(values, "values", partners=len(k), short=True)
    if v is not None and len(v) != len(k):
        raise ValueError(f"values have {len(v)} rows, the keys have {len(k)}")
    b = None if log_weight is None else _check.log_weights(log_weight, len(k))
    if b is not None and not (b > -np.inf).all():
        k, v = blanked(k, b == -np.inf), blanked(v, b == -np.inf)
        held = Held(k)
    if not isinstance(q, BitMatrix):
        assert not isinstance(k, BitMatrix)
        weights = _check.known(q, mask, nan)
        exactly = (
            weights is None
            and scores_bytes(q, k, similar.metric)
            and (separate.engine() is None or fused_exactly(q, k, str(similar.metric)))
        )
        if not exactly:
            dtype = _check.compute_type(*(x for x in (q, k, v) if isinstance(x, np.ndarray)))
            q = q.astype(dtype, copy=False)
            q, known = knowing.known_rows(q, weights, similar.engine_metric, rescale)
        _check.finite(q, "cues")
    if similar.metric is None or separate.engine() is None:
        for rows, name in ((k, "keys"), (v, "values")):
            if isinstance(rows, np.ndarray):
                _check.finite(rows, name)
    if isinstance(k, np.ndarray) and isinstance(q, np.ndarray):
        refuse_distance(similar, k[:FEW_ROWS].astype(q.dtype, copy=False))
    asked = engine_rows(q).dtype
    # What was fitted asks with weights on the columns, as a mask does.
    masked = known is not None or isinstance(similar, parts.FittedSimilarity)
    packed = held.known(asked, similar.engine_metric) if masked else held.engine(asked)
    if v is None and not isinstance(packed, np.ndarray):
        v = k
    return _Question(q, k, v, packed, b, similar, separate, single, known, held)


@_docs.like(pairwise)
def retrieve(
    cues: Any,
    keys: Any,
    values: Any = None,
    *,
    similarity: str | parts.Similarity | parts.ScoreFunction = "dot",
    separation: str | parts.Separation | parts.WeightFunction = "softmax",
    beta: float | None = None,
    log_weight: Any = None,
    mask: Any = None,
    nan: str = "error",
    rescale: bool = False,
    where: Any = None,
    codes: bool | None = None,
    threads: int | None = None,
) -> Array:
    """Recall values by similarity, without ever holding the (Q, N) scores.

    ``out = sum_i w_i v_i / sum_i |w_i|`` with the weights ``w`` of `amfast.parts`; a distance d
    scores as -d. With the defaults it is softmax attention, ``softmax(beta cues keys^T) values``.
    A cue for which all weights are zero reads zeros.

    Parameters
    ----------
    cues : (Q, d) or (d,) array, or BitMatrix
    keys : (N, d) array or BitMatrix, Keys or Blocks
        Under ``hamming``, as `pairwise` takes them. Of `Blocks` one is in memory while the next is
        read; the answer is that of `partial` and `Partial.merge_all`.
    values : (N, o) array or BitMatrix, optional
        None means the keys as they are given, or the values in the blocks. The bits of a
        `BitMatrix` are -1 and +1; they are
        unpacked a few rows at a time.
    similarity : str, Similarity or callable, default "dot"
        "dot" (larger is better), a distance: "cosine" (1 - cos), "sqeuclidean", "euclidean",
        "manhattan", "kl", "reverse_kl", "jensenshannon"; or "hamming" of bits. Formulas, and which
        to choose: `amfast.kernels`. A distance d scores as -d.
    separation : str, Separation or callable, default "softmax"
        See `amfast.parts`. A power of a distance is told by a `SeparationWarning`.
    beta : float, optional
        The softmax's inverse temperature, finite and >= 0. None means 1.
    log_weight : (N,) array, optional
        Natural logarithms of item weights; -inf leaves an item out, whatever it holds.
    where : (N,) bool array, int array, or (indptr, indices), optional
        Only these keys are read, see `topk`. Not of `Blocks`.
    codes : bool, optional
        See `topk`: a first pass for "max", `TopK` and `Threshold`, whose answers are the same bit
        for bit, and for a softmax where a few keys have nearly all the weight: those whose weights
        come to less than 2^-26 of all together are then left out, and their values not looked at.
        Not with ``log_weight``.
    threads : int, optional
        None means the setting.

    Returns
    -------
    (Q, o) or (o,) array
        float64 if an input is, else float32. Under ``hamming`` only the values count.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `pairwise`; ValueError if ``sqrt``, ``log`` or a fractional power meets a negative score,
        a weighted mean leaves the range of its type, or a `Threshold` among bits has a radius
        beyond n_bits.

    See Also
    --------
    UniversalHopfield : The same as a memory that keeps the keys, and is told when parts misfit.
    partial : The same of some of the keys.
    topk : Which keys, rather than their values.

    Examples
    --------
    >>> import amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=300).patterns()
    >>> noisy = am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)
    >>> recalled = am.retrieve(noisy, images, similarity="manhattan", beta=1.0)
    >>> nearest = am.topk(recalled, images, 1, "sqeuclidean")[1][:, 0]
    >>> float((nearest == range(300)).mean())  # share recalled
    1.0
    >>> keys = [[1.0, 0.0], [0.0, 1.0]]
    >>> am.retrieve([0.9, 0.1], keys, [[10.0], [20.0]], separation="max")
    array([10.])
    """
    if isinstance(keys, Blocks):
        others.refuse_blocks(False, where)
        return streaming.read(
            partial, cues, keys, values, log_weight, similarity=similarity, separation=separation,
            beta=beta, mask=mask, nan=nan, rescale=rescale, threads=threads,
        )  # fmt: skip
    asked = _question(
        cues, keys, values, similarity, separation, beta, log_weight, mask, nan, rescale
    )
    n_threads = resolve_threads(threads)
    _check.nonempty(engine_rows(asked.keys))
    stored = asked.keys if asked.values is None else asked.values
    _check.fits((len(asked.cues), stored.shape[1]), asked.dtype, "recalled values")
    chosen = coding.choice(codes)
    if where is None:
        result = asked.answer(n_threads, chosen)
    else:
        some = _check.where(where, len(asked.keys), len(asked.cues))
        some.check(1)
        if some.indptr is None:
            result = asked.among(some.indices).answer(n_threads)
        elif len(asked.cues):
            result = np.concatenate(
                knowing.each_cue(
                    some,
                    asked.cues,
                    asked.known,
                    lambda cue, index, known: (
                        asked._replace(cues=cue, known=known).among(index).answer(n_threads)
                    ),
                )
            )
        else:
            result = asked.answer(n_threads)
    return result[0] if asked.single else result


@_docs.like(retrieve)
def partial(
    cues: Any,
    keys: Any,
    values: Any = None,
    *,
    similarity: str | parts.Similarity | parts.ScoreFunction = "dot",
    separation: str | parts.Separation | parts.WeightFunction = "softmax",
    beta: float | None = None,
    log_weight: Any = None,
    mask: Any = None,
    nan: str = "error",
    rescale: bool = False,
    threads: int | None = None,
) -> Partial:
    """Recall from some of the keys: what `retrieve` does, in a form that adds up.

    Parts of the keys are read one by one, or on other machines, and merged in the order of the
    keys: ``Partial.merge_all(parts).result()`` is `retrieve` on all of them. Given are the rows of
    keys, values and logarithms of weights that are here; there may be none.

    Returns
    -------
    Partial
        Its size is that of the answer, ``k`` times that for `TopK`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `retrieve`; ValueError for sparsemax, entmax and functions, whose weights depend on the
        scores of all keys at once.

    See Also
    --------
    retrieve : All keys at once; lists the similarities.
    merge_topk : The same of searches.

    Examples
    --------
    >>> import amfast as am
    >>> first = am.partial([0.9, 0.1], [[1.0, 0.0]], [[10.0]])
    >>> second = am.partial([0.9, 0.1], [[0.0, 1.0]], [[20.0]])
    >>> first.merge(second).result().round(3)
    array([13.1])
    """
    asked = _question(
        cues, keys, values, similarity, separation, beta, log_weight, mask, nan, rescale
    )
    n_threads = resolve_threads(threads)
    reason = asked.separation.why_whole
    if reason:
        raise ValueError(f"{asked.separation!r} cannot be read in parts: {reason}")
    n = max(len(asked.keys), asked.separation.n_best or 0)
    asked.separation.check(n, bool(asked.similarity.larger_is_better), asked.n_bits)
    return part_of(
        asked.cues, asked.source, asked.similarity, asked.separation, asked.dtype, asked.single,
        n_threads, asked.known,
    )  # fmt: skip
