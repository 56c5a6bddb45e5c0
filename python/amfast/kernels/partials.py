"""What some of the keys say, in a form that adds up: means with their weight, or the best items.

A mean over all items follows from the means over its parts and how much each part weighs. Of the
best k items only those that are among the best k of their part can be; so both are monoids, with
the answer of no items at all as the neutral element.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np

from amfast import _core
from amfast._engine.knowing import known_of
from amfast._engine.reading import Source, read
from amfast._engine.scoring import cue_tiles, engine_rows, numbers, scores
from amfast._typing import Array, Float, Int
from amfast.bits import BitMatrix
from amfast.parts import Separation, Similarity, TopK

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Partial:
    """Answers of some of the keys, made by `amfast.partial`; it does not change.

    Of a separation that weighs all items it is a mean and the logarithm of the sum of weights
    behind it. With ``m = max(l_a, l_b)`` two of them are

        ``out = (e^(l_a - m) a + e^(l_b - m) b) / (e^(l_a - m) + e^(l_b - m))``,
        ``l = m + ln(e^(l_a - m) + e^(l_b - m))``,

    and no items at all are ``l = -inf``. Of `TopK` and `Max` it is the best items themselves.
    """

    similarity: Similarity
    """How keys scored."""
    separation: Separation
    """How scores were weighed."""
    n_items: int
    """How many keys were read."""
    dtype: np.dtype[Any]
    """Element type of the answer."""
    single: bool
    """Whether one 1-d cue was given."""
    cues: int = field(repr=False)
    """CRC-32 of the cues: parts of an answer have one question."""
    width: int
    """o, entries of an answer."""
    log_scale: Float = field(repr=False)
    """(Q,) logarithms of the sums of weights; of the best items, zeros."""
    mean: Float | None = field(default=None, repr=False)
    """(Q, o) weighted means, float64; None of `TopK` and `Max`."""
    scores: Array | None = field(default=None, repr=False)
    """(Q, j) best scores, best first, j <= k; larger is better. None of means."""
    indices: Int | None = field(default=None, repr=False)
    """(Q, j) their places among the keys that were read."""
    log_weight: Float | None = field(default=None, repr=False)
    """(Q, j) logarithms of their items' weights."""
    values: Array | None = field(default=None, repr=False)
    """(Q, j, o) their values."""

    def merge(self, other: Partial) -> Partial:
        """Return what both parts say together; the keys of ``other`` come after these.

        Parameters
        ----------
        other : Partial
            Of the keys that follow.

        Returns
        -------
        Partial

        Raises
        ------
        TypeError
            If the other is none.
        ValueError
            If similarity, separation, cues, widths or element types differ; or if weights are
            beyond floats.
        """
        if not isinstance(other, Partial):
            raise TypeError(f"a Partial merges another, got {type(other).__name__}")
        self._check_alike(other)
        n_items = self.n_items + other.n_items
        if self.mean is None:
            return replace(self, n_items=n_items, **self._best_of_both(other))
        assert other.mean is not None
        mean, log_scale = _mean_of_both(self.mean, self.log_scale, other.mean, other.log_scale)
        return replace(self, n_items=n_items, mean=mean, log_scale=log_scale)

    @staticmethod
    def merge_all(parts: Iterable[Partial]) -> Partial:
        """Merge parts in the order of their keys, by a tree that their number alone decides.

        So the bits are the same whoever made the parts and when.

        Parameters
        ----------
        parts : iterable of Partial
            One at least. Only about the logarithm of their number is held at a time.

        Returns
        -------
        Partial
        """
        tree: Tree[Partial] = Tree(Partial.merge)
        for part in parts:
            tree.add(part)
        return tree.total("parts")

    def result(self) -> Array:
        """Return the answer, (Q, o) or (o,) as `retrieve` would.

        Returns
        -------
        (Q, o) or (o,) array

        Raises
        ------
        ValueError
            If there were no keys, or fewer than k.
        """
        if self.n_items == 0:
            raise ValueError("no keys were read; at least one is needed")
        out = self._mean().astype(self.dtype)
        return np.asarray(out[0] if self.single else out)

    def _mean(self) -> Array:
        if self.mean is not None:
            return self.mean
        assert self.scores is not None and self.values is not None
        assert isinstance(self.separation, TopK)
        self.separation.check(self.n_items, True)
        if self.scores.shape[1] == 0:
            return np.zeros((len(self.scores), self.width))
        if self.separation.k == 1 and not self.separation.beta:
            return self.values[:, 0]
        bias = 0.0 if self.log_weight is None else self.log_weight
        share, _ = self.separation.shares(self.scores, bias)
        out = np.zeros((len(share), self.width))
        for j in range(share.shape[1]):
            out += share[:, j, None] * self.values[:, j]
        return out

    def _best_of_both(self, other: Partial) -> dict[str, Any]:
        """Return the best k of both lists, ties to these."""
        assert isinstance(self.separation, TopK)
        theirs = other.indices + self.n_items if other.indices is not None else None
        pairs = [
            (self.scores, other.scores),
            (self.indices, theirs),
            (self.log_weight, other.log_weight),
            (self.values, other.values),
        ]
        both = [None if a is None else np.concatenate([a, b], axis=1) for a, b in pairs]
        assert both[0] is not None
        chosen = best_first(both[0], both[1], True, self.separation.k)
        names = ("scores", "indices", "log_weight", "values")
        return {
            name: None if x is None else np.take_along_axis(
                x, chosen[..., None] if x.ndim == 3 else chosen, axis=1
            )
            for name, x in zip(names, both, strict=True)
        }  # fmt: skip

    def _check_alike(self, other: Partial) -> None:
        for name in ("similarity", "separation", "width", "dtype", "single"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"parts differ in their {name}: {mine!r} and {theirs!r}")
        if len(self.log_scale) != len(other.log_scale) or self.cues != other.cues:
            raise ValueError(
                f"parts answer different cues: {len(self.log_scale)} and {len(other.log_scale)}, "
                "not all equal"
            )


def part_of(
    cues: Array | BitMatrix,
    source: Source,
    similarity: Similarity,
    separation: Separation,
    dtype: np.dtype[Any],
    single: bool,
    threads: int,
    known: Array | None,
) -> Partial:
    """Read some keys for checked cues, of which ``known`` says what their columns count."""
    values = source.keys if source.values is None else source.values
    common = Partial(
        similarity, separation, len(source.keys), dtype, single,
        zlib.crc32(
            np.ascontiguousarray(engine_rows(cues)).tobytes(),
            0 if known is None else zlib.crc32(known.tobytes()),
        ),
        int(values.shape[1]), np.zeros(len(cues)),
    )  # fmt: skip
    if separation.n_best is not None:
        return replace(
            common, **_best(cues, source, values, similarity, separation, dtype, threads, known)
        )
    if len(source.keys) == 0:
        nothing = np.zeros((len(cues), values.shape[1]))
        return replace(common, mean=nothing, log_scale=np.full(len(cues), -np.inf))
    mean, log_scale = read(cues, source, similarity, separation, threads, known)
    return replace(common, mean=mean.astype(np.float64), log_scale=log_scale)


def _best(
    cues: Array | BitMatrix,
    source: Source,
    values: Array | BitMatrix,
    similarity: Similarity,
    separation: Separation,
    dtype: np.dtype[Any],
    threads: int,
    known: Array | None,
) -> dict[str, Any]:
    """Find the best items of weight above 0 and take their values along."""
    assert separation.n_best is not None
    b, keys, packed, live = source.log_weight, source.keys, source.packed, None
    if b is not None and not (b > -np.inf).all():
        live = np.flatnonzero(b > -np.inf)
        keys, b = keys[live], b[live]
        packed = engine_rows(keys)
    k = min(separation.n_best, len(keys))
    if k == 0 or len(cues) == 0:
        found, indices = np.empty((len(cues), k)), np.empty((len(cues), k), np.int64)
    elif similarity.metric is not None:
        found, indices = _core.topk(
            engine_rows(cues), packed, k, similarity.metric, threads, True, known
        )
    else:
        found, indices = _best_by_function(cues, keys, similarity, k, threads, known)
    if not similarity.larger_is_better:
        found = np.negative(found)
    bias = None if b is None else b[indices]
    places = indices if live is None else live[indices]
    taken = numbers(values, places.ravel()).reshape(*places.shape, values.shape[1])
    # As float64 they hold every value that there can be, so that empty parts merge with others.
    return {
        "scores": found.astype(np.float64), "indices": places, "log_weight": bias,
        "values": taken.astype(dtype, copy=False) if separation.n_best == 1 else taken,
    }  # fmt: skip


def _best_by_function(
    cues: Array | BitMatrix,
    keys: Array | BitMatrix,
    similarity: Similarity,
    k: int,
    threads: int,
    known: Array | None,
) -> tuple[Array, Int]:
    found, indices = [], []
    for tile in cue_tiles(len(cues), len(keys)):
        some = known_of(known, tile)
        s = scores(cues[tile], keys, engine_rows(keys), similarity, threads, known=some)
        order = np.argsort(-s if similarity.larger_is_better else s, axis=1, kind="stable")[:, :k]
        found.append(np.take_along_axis(s, order, axis=1))
        indices.append(order)
    return np.concatenate(found), np.concatenate(indices)


def _mean_of_both(a: Float, la: Float, b: Float, lb: Float) -> tuple[Float, Float]:
    """Merge means (Q, o) with the logarithms (Q,) of their weights."""
    m = np.maximum(la, lb)
    bad = np.flatnonzero(np.isnan(m) | (m == np.inf))
    if len(bad):
        raise ValueError(f"cues row {bad[0]} has weights beyond floats; scale the data or beta")
    shift = np.where(m == -np.inf, 0.0, m)
    wa, wb = np.exp(la - shift), np.exp(lb - shift)
    total = wa + wb
    some = total > 0
    share = np.divide(wb, total, out=np.zeros_like(wb), where=some)[:, None]
    with np.errstate(divide="ignore"):
        log_scale = np.where(some, shift + np.log(total), -np.inf)
    # The shares of both add up to 1 to the last bit, and a part without weight changes no bit.
    return np.where(share == 0, a, (1.0 - share) * a + share * b), log_scale


def best_first(scores: Array, indices: Array | None, larger: bool, k: int) -> Int:
    """Return the columns of the k best (Q, k), best first, ties to the lowest index."""
    ranked = -scores if larger else scores
    keys = (ranked,) if indices is None else (indices, ranked)
    return np.asarray(np.lexsort(keys, axis=1)[:, :k])


class Tree(Generic[T]):
    """Merges in order, by a tree that depends on the number of parts alone.

    Equal numbers of parts are merged as soon as they are there, as a binary counter carries; what
    is left at the end is merged from the last to the first.
    """

    def __init__(self, merge: Callable[[T, T], T]) -> None:
        self._merge = merge
        self._waiting: list[tuple[int, T]] = []

    def add(self, part: T) -> None:
        """Add the next part."""
        n = 1
        while self._waiting and self._waiting[-1][0] == n:
            part = self._merge(self._waiting.pop()[1], part)
            n *= 2
        self._waiting.append((n, part))

    def total(self, name: str) -> T:
        """Return what all parts say together; refuse none."""
        if not self._waiting:
            raise ValueError(f"{name} are none; at least one is needed")
        rest = [part for _, part in self._waiting]
        total = rest.pop()
        while rest:
            total = self._merge(rest.pop(), total)
        return total
