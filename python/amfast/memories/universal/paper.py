r"""The formulas of the Universal Hopfield Networks paper's code (Millidge et al., ICML 2022).

One retrieval there is, for memories ``x_i`` and a cue ``q``,

    s_i = sim(x_i, q) / sum_j sim(x_j, q)
    w_i = sep(s_i) / sum_j sep(s_j)
    z   = sum_i w_i x_i

with these similarities (``n(a) = a / sum(a)``, n(0) = 0, and a small eps inside logarithms):

=============== ==============================================================================
``dot``         n(x) . n(q), the paper's normalised dot
``dot_raw``     x . q
``cosine``      x . q over the Frobenius norm of *all* memories: the same scores as ``dot_raw``
``manhattan``   1 / sum |x - q|
``sqeuclidean`` 1 / sum (x - q)^2, which the paper calls Euclidean
``kl``          1 / sum n(x) (ln(n(x) + eps) - ln(n(q) + eps)): KL(memory || cue)
``reverse_kl``  1 / sum n(q) (ln(n(q) + eps) - ln(n(x) + eps)): KL(cue || memory)
``jeffreys``    2 / (KL(memory || cue) + KL(cue || memory)) with these two: what the paper's Table 2
                calls Jensen-Shannon, the halved divergence of Jeffreys
``harmonic_kl`` the harmonic mean of those two divergences, which the code calls Jensen-Shannon;
                a distance used as a similarity, so it ranks backwards, as published
=============== ==============================================================================

Where the published code divides zero by zero, the limit is taken instead:

- k memories at distance 0 from the cue share the score, 1/k each, and the others get 0;
- a blank memory scores 0 under ``dot`` and the KL family, and changes no other memory's rank;
- where all scores are zero (a blank cue), every memory scores the same.

Item weights count like repeated memories: an item of weight 3 enters both sums three times. If the
largest weight lies outside 1e-290..1e290, all are scaled together to bring it there.
Everything is computed in float64, distances in the type of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from amfast import _check, parts
from amfast._engine.reading import chosen_or_mean
from amfast._engine.scoring import cue_tiles, dot, key_tiles
from amfast._engine.scoring import scores as raw_scores
from amfast._stores.items import Items, Stored
from amfast._typing import Array, Float, Mask
from amfast.parts import Separation, Similarity

SIMILARITIES = (
    "dot",
    "dot_raw",
    "cosine",
    "manhattan",
    "sqeuclidean",
    "kl",
    "reverse_kl",
    "jeffreys",
    "harmonic_kl",
)
DIVERGENCES = ("kl", "reverse_kl", "jeffreys", "harmonic_kl")
DISTANCES = ("manhattan", "sqeuclidean")
EPS = 1e-4

# Below this share of its own terms a divergence in product form has lost digits to cancellation.
_CANCELLED = 1e-4


@dataclass(frozen=True)
class Paper:
    """How a memory scores and weighs in the paper convention.

    Every method takes checked cues in the type of the answer, and a non-empty store. Scores of a
    tile of cues with all items are held in memory, about 32 MB.
    """

    similarity: str | Similarity
    separation: Separation
    eps: float | None
    on_exact_match: str

    name: ClassVar[str] = "paper"
    binary: ClassVar[bool] = False
    larger_is_better: ClassVar[bool] = True

    @classmethod
    def of(
        cls, similarity: Any, separation: Separation, eps: float | None, on_exact_match: str
    ) -> Paper:
        """Check the parts against each other."""
        if isinstance(similarity, Similarity) and similarity.metric is not None:
            similarity = similarity.metric
        part = name_of(similarity) if isinstance(similarity, str) else parts.similarity(similarity)
        if part in DIVERGENCES:
            eps = _check.number(EPS if eps is None else eps, "eps", np.finfo(np.float64).tiny)
        elif eps is not None:
            raise ValueError(f"eps has no effect on {part!r}; leave it out")
        return cls(part, separation, eps, on_exact_match)

    short: ClassVar[bool] = False
    """Whether keys and values of bfloat16 are kept so."""

    def items(self) -> Items:
        """Make an empty store that packs its keys if the engine's distances are used."""
        return Items(str(self.similarity) if self.similarity in DISTANCES else None)

    def check_domain(self, rows: Array, name: str) -> None:
        """Refuse what the similarity is not defined for."""
        if isinstance(self.similarity, Similarity):
            self.similarity.check_width(rows, name)
        if self.similarity in DIVERGENCES:
            _check.nonnegative(rows, name, f"{self.similarity} compares distributions")

    def read(
        self, cues: Array, items: Stored, threads: int, known: Array | None = None
    ) -> tuple[Array, Float]:
        """Weighted sum of the values (Q, o) and ln of the sum of magnitudes (Q,)."""
        out = _check.empty((len(cues), items.values.shape[1]), cues.dtype, "recalled values")
        log_scale = np.empty(len(cues))
        for tile in cue_tiles(len(cues), len(items)):
            w, log_scale[tile] = self._weights(cues[tile], items, threads)
            out[tile] = chosen_or_mean(w, items.values, self.separation, cues.dtype, threads)
        return out, log_scale

    def scores(self, cues: Array, items: Stored, threads: int) -> Array:
        """Scores that sum to 1 (Q, N)."""
        out = _check.empty((len(cues), len(items)), cues.dtype, "scores")
        for tile in cue_tiles(len(cues), len(items)):
            out[tile] = self._scores(cues[tile], items, threads)
        return out

    def weights(
        self, cues: Array, items: Stored, threads: int, known: Array | None = None
    ) -> Array:
        """Weights that sum to 1 (Q, N)."""
        out = _check.empty((len(cues), len(items)), cues.dtype, "weights")
        for tile in cue_tiles(len(cues), len(items)):
            out[tile], _ = self._weights(cues[tile], items, threads)
        return out

    def wants_bytes(self, cues: Array, items: Stored) -> bool:
        """Never: scores are divided by their sum."""
        return False

    def why_no_energy(self, readout: parts.Readout, items: Stored | None) -> str:
        """Say why there is no energy."""
        return "scores of the paper convention are divided by their sum"

    def energy(self, states: Array, readout: parts.Readout, items: Stored, threads: int) -> Float:
        """Refuse: no energy exists."""
        raise ValueError(self.why_no_energy(readout, items))

    def _weights(self, cues: Array, items: Stored, threads: int) -> tuple[Float, Float]:
        s = self._scores(cues, items, threads)
        w, log_scale = weights(s, self.separation, items.item_weights)
        return w, log_scale + items.weight_shift

    def _scores(self, cues: Array, items: Stored, threads: int) -> Float:
        weight = items.item_weights
        if isinstance(self.similarity, Similarity):
            given = raw_scores(cues, items.keys, items.keys, self.similarity, threads)
            return from_function(given, self.similarity, weight, self.on_exact_match)
        return scores(
            cues,
            items.keys,
            items.engine_keys(cues.dtype) if self.similarity in DISTANCES else items.keys,
            self.similarity,
            eps=EPS if self.eps is None else self.eps,
            weight=weight,
            on_exact_match=self.on_exact_match,
            threads=threads,
        )

    def __repr__(self) -> str:
        """Name the parts."""
        part = self.similarity if isinstance(self.similarity, str) else self.similarity.name
        return f"{part!r}, {self.separation!r}, convention='paper'"


def name_of(given: object) -> str:
    """Resolve a similarity's name in the paper convention, or say which there are."""
    if given in ("euclidean", "l2"):
        raise ValueError(
            f"the paper convention has no {given!r}: its 'Euclidean' is squared, 'sqeuclidean'. "
            f"Known: {', '.join(SIMILARITIES)}"
        )
    if given in ("cityblock", "l1"):
        return "manhattan"
    return _check.name_of(given, SIMILARITIES, "similarity of the paper convention")


def proportions(rows: Array, name: str, first: int = 0) -> Float:
    """``n(a) = a / sum(a)`` per row, with n(0) = 0.

    Raises
    ------
    ValueError
        If a row that is not blank sums to zero, which signed data can.
    """
    x = rows.astype(np.float64)
    peak = np.abs(x).max(axis=1, keepdims=True)
    x /= np.where(peak == 0, 1.0, peak)  # the sum of huge entries would overflow
    sums = x.sum(axis=1, keepdims=True)
    vanishing = np.abs(sums) <= 4 * np.finfo(np.float64).eps * np.abs(x).sum(axis=1, keepdims=True)
    bad = np.flatnonzero(vanishing & (peak > 0))
    if len(bad):
        raise ValueError(
            f"{name} row {first + int(bad[0])} sums to zero, so the paper's normalised dot is "
            "undefined for it; use similarity='dot_raw' or convention='standard'"
        )
    x /= np.where(sums == 0, 1.0, sums)
    return x


def scores(
    cues: Array,
    keys: Array,
    packed: Any,
    similarity: str,
    *,
    eps: float,
    weight: Float | None,
    on_exact_match: str,
    threads: int,
) -> Float:
    """Scores that sum to 1 over the memories, counted by weight, (q, N).

    Parameters
    ----------
    cues : (q, d) array
        float32 or float64.
    keys : (N, d) array
    packed : (N, d) array or engine keys
        What the engine reads for ``manhattan`` or ``sqeuclidean``.
    similarity : str
        One of the module's names.
    eps : float
        Inside the logarithms of the KL family.
    weight : (N,) array or None
        Item weights; an item of weight 0 scores 0.
    on_exact_match : {"limit", "nan", "error"}
        What a distance of 0 does: take the limit; NaN on the matches and 0 elsewhere, as the
        published code; or a ValueError.
    threads : int
    """
    if similarity in DISTANCES:
        distance = raw_scores(cues, keys, packed, parts.similarity(similarity), threads)
        return reciprocal(distance, None, weight, on_exact_match)
    out = _check.empty((len(cues), len(keys)), np.dtype(np.float64), "scores")
    blank = np.zeros(len(keys), dtype=bool)
    query = cues.astype(np.float64)
    share = query if similarity in ("dot_raw", "cosine") else proportions(cues, "cues")
    for tile in key_tiles(len(keys), keys.shape[1]):
        rows = keys[tile]
        blank[tile] = ~rows.any(axis=1)
        if similarity in ("dot_raw", "cosine"):
            out[:, tile] = dot(query, rows.astype(np.float64), threads)
        elif similarity == "dot":
            out[:, tile] = dot(share, proportions(rows, "keys", tile.start), threads)
        else:
            out[:, tile] = _divergence(
                share, proportions(rows, "keys", tile.start), similarity, eps, threads
            )
    if similarity in ("kl", "reverse_kl", "jeffreys"):
        return reciprocal(out, blank, weight, on_exact_match)
    if similarity == "harmonic_kl":
        out[:, blank] = 0.0
    return normalised(out, weight)


def from_function(
    values: Array, similarity: Similarity, weight: Float | None, on_exact_match: str
) -> Float:
    """Scores that sum to 1 from what a Python similarity returned; distances enter as 1/d."""
    beyond = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(beyond):
        what = "a similarity" if similarity.larger_is_better else "a distance"
        raise ValueError(f"cues row {beyond[0]} has {what} beyond the largest {values.dtype}")
    if similarity.larger_is_better:
        return normalised(values.astype(np.float64), weight)
    if values.size and values.min() < 0:
        row = int(np.flatnonzero((values < 0).any(axis=1))[0])
        raise ValueError(f"cues row {row} has a negative distance under {similarity.name}")
    return reciprocal(values, None, weight, on_exact_match)


def _divergence(cues: Float, keys: Float, similarity: str, eps: float, threads: int) -> Float:
    log_cues, log_keys = np.log(cues + eps), np.log(keys + eps)
    if similarity == "kl":
        return _relative_entropy(keys, log_keys, cues, log_cues, threads).T
    if similarity == "reverse_kl":
        return _relative_entropy(cues, log_cues, keys, log_keys, threads)
    a = np.maximum(_relative_entropy(keys, log_keys, cues, log_cues, threads).T, 0.0)
    b = np.maximum(_relative_entropy(cues, log_cues, keys, log_keys, threads), 0.0)
    if similarity == "jeffreys":
        return np.asarray((a + b) / 2)
    # The harmonic mean 2ab / (a + b), 0 where either is.
    return np.asarray(2 * np.divide(a * b, a + b, out=np.zeros_like(a), where=a + b > 0))


def _relative_entropy(p: Float, log_p: Float, q: Float, log_q: Float, threads: int) -> Float:
    """Sum p (ln p - ln q) for every row of p with every row of q, (len(p), len(q)).

    The product form is one matrix product; pairs so close that it cancels are summed directly,
    which also makes the divergence of equal rows exactly 0.
    """
    entropy = (p * log_p).sum(axis=1, keepdims=True)
    cross = dot(p, log_q, threads)
    out = entropy - cross
    for i, j in np.argwhere(np.abs(out) <= _CANCELLED * (np.abs(entropy) + np.abs(cross))):
        out[i, j] = (p[i] * (log_p[i] - log_q[j])).sum()
    return np.asarray(out)


def normalised(similarity: Float, weight: Float | None) -> Float:
    """Divide by the (weighted) sum over the memories; equal scores where all are zero."""
    peak = np.abs(similarity).max(axis=1, keepdims=True)
    if not np.isfinite(peak).all():
        row = int(np.flatnonzero(~np.isfinite(peak))[0])
        raise ValueError(f"cues row {row} has a similarity beyond the largest {similarity.dtype}")
    s = similarity / np.where(peak == 0, 1.0, peak)
    w = np.ones(s.shape[1]) if weight is None else weight
    s[:, w == 0] = 0.0
    flat = ~s.any(axis=1)
    s[flat] = w > 0
    total = (s * w).sum(axis=1, keepdims=True)
    size = (np.abs(s) * w).sum(axis=1, keepdims=True)
    bad = np.flatnonzero((np.abs(total) <= 4 * np.finfo(np.float64).eps * size) & (size > 0))
    if len(bad):
        raise ValueError(
            f"cues row {bad[0]} has similarities that sum to zero, so the paper's scores are "
            "undefined; use convention='standard' for signed data"
        )
    return np.asarray(np.divide(s, total, out=np.zeros_like(s), where=size > 0))


def reciprocal(
    distance: Array,
    blank: Mask | None,
    weight: Float | None,
    on_exact_match: str,
) -> Float:
    """Scores 1/d divided by their (weighted) sum, in a form that cannot overflow.

    A divergence that eps makes slightly negative counts as 0. ``blank`` memories score 0.
    """
    d = distance.astype(np.float64)
    live = np.ones(d.shape[1], dtype=bool) if weight is None else weight > 0
    if blank is not None:
        live = live & ~blank
    beyond = np.flatnonzero(np.isinf(d[:, live]).any(axis=1))
    if len(beyond):
        raise ValueError(
            f"cues row {beyond[0]} has a distance beyond the largest {distance.dtype}; "
            "use float64 or scale the data"
        )
    d[:, ~live] = np.inf
    exact = d <= 0
    matched = exact.any(axis=1)
    if on_exact_match == "error" and matched.any():
        row = int(np.flatnonzero(matched)[0])
        raise ValueError(f"cues row {row} is at distance 0 from item {exact[row].argmax()}")
    nearest = d.min(axis=1, keepdims=True, initial=np.inf)
    hopeless = nearest == np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(hopeless | ~live, 0.0, nearest / d)
    ratio[matched] = exact[matched]
    s = normalised(ratio, weight)
    if on_exact_match == "nan":
        s[matched] = np.where(exact[matched], np.nan, 0.0)
    return s


def weights(scores: Float, separation: Separation, weight: Float | None) -> tuple[Float, Float]:
    """Weights that sum to 1 (q, N), and the log of the sum of magnitudes before that (q,).

    Logarithms of scores that sum to 1 are negative, so dividing by their sum gives the best match
    the smallest weight: so it is published. A `Threshold` compares scores, not distances, and may
    leave a row of zeros.

    Raises
    ------
    ValueError
        If the separated scores of signed data sum to zero.
    """
    w, log_scale = _separated(scores, separation, weight)
    size = np.abs(w).sum(axis=1, keepdims=True)
    total = w.sum(axis=1, keepdims=True)
    if not separation.may_leave_all_out:
        # ln 1 = 0: a single memory, or one exact match, can leave the logarithm nothing to share.
        flat = (size == 0)[:, 0]
        share = np.ones(w.shape[1]) if weight is None else weight
        w[flat] = share / max(share.sum(), np.finfo(np.float64).tiny)
        total[flat, 0] = 1.0
    bad = np.flatnonzero(np.abs(total) <= 4 * np.finfo(np.float64).eps * size * (size > 0))
    bad = bad[size[bad, 0] > 0]
    if len(bad):
        raise ValueError(f"cues row {bad[0]} has weights that sum to zero; they cannot sum to 1")
    return np.asarray(np.divide(w, total, out=np.zeros_like(w), where=total != 0)), log_scale


def _separated(scores: Float, separation: Separation, weight: Float | None) -> tuple[Float, Float]:
    with np.errstate(divide="ignore"):
        log_weight = None if weight is None else np.log(weight)
    nan = np.isnan(scores)
    if not nan.any():
        return separation.weights(scores, log_weight)
    # The published code's answer to an exact match: max finds the NaN, all else becomes NaN.
    w, log_scale = separation.weights(np.where(nan, 1.0, scores), log_weight)
    if separation.n_best != 1:
        w[nan.any(axis=1)] = np.nan
        log_scale[nan.any(axis=1)] = np.nan
    return w, log_scale
