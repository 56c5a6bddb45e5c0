"""Readable NumPy twins of the engine's kernels, in float64.

Each function is the formula of its kernel written down plainly: no tiles, no threads, the whole
score matrix in memory. They are slow. The tests compare the engine with them, and they are the
place to look up what a metric or a separation computes.

Examples
--------
>>> import numpy as np
>>> from amfast import reference
>>> reference.pairwise(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0]]), "euclidean")
array([[5.]])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float = NDArray[np.float64]

TINY = float(np.finfo(np.float64).tiny)


def _dot(query: Float, keys: Float) -> Float:
    return np.asarray((keys * query).sum(axis=1))


def _cosine(query: Float, keys: Float) -> Float:
    norms = np.sqrt((keys * keys).sum(axis=1)) * np.sqrt((query * query).sum())
    cos = np.divide(_dot(query, keys), norms, out=np.zeros(len(keys)), where=norms > 0)
    return np.asarray(np.clip(1.0 - cos, 0.0, 2.0))


def _sqeuclidean(query: Float, keys: Float) -> Float:
    return np.asarray(((keys - query) ** 2).sum(axis=1))


def _euclidean(query: Float, keys: Float) -> Float:
    return np.asarray(np.sqrt(_sqeuclidean(query, keys)))


def _manhattan(query: Float, keys: Float) -> Float:
    return np.asarray(np.abs(keys - query).sum(axis=1))


def _relative_entropy(p: Float, q: Float) -> Float:
    """Sum p ln(p / q) along the last axis, with 0 ln 0 = 0 and inf where q is 0 and p is not."""
    p, q = np.broadcast_arrays(p, q)
    terms = np.zeros(p.shape)
    both = (p > 0) & (q > 0)
    terms[both] = p[both] * np.log(p[both] / q[both])
    terms[(p > 0) & (q == 0)] = np.inf
    return np.asarray(terms.sum(axis=-1))


def _kl(query: Float, keys: Float) -> Float:
    return _relative_entropy(distribution(keys), distribution(query))


def _reverse_kl(query: Float, keys: Float) -> Float:
    return _relative_entropy(distribution(query), distribution(keys))


def _jensenshannon(query: Float, keys: Float) -> Float:
    p, q = distribution(keys), distribution(query)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def _hamming(query: Float, keys: Float) -> Float:
    return np.asarray((keys != query).sum(axis=1, dtype=np.float64))


METRICS: dict[str, Callable[[Float, Float], Float]] = {
    "dot": _dot,
    "cosine": _cosine,
    "sqeuclidean": _sqeuclidean,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "kl": _kl,
    "reverse_kl": _reverse_kl,
    "jensenshannon": _jensenshannon,
    "hamming": _hamming,
}


def distribution(rows: Float) -> Float:
    """Rows divided by their sums, so that each is a probability distribution.

    Raises
    ------
    ValueError
        If an entry is negative or a row is all zero.
    """
    if (rows < 0).any():
        raise ValueError("a row has a negative entry, so it is no distribution")
    sums = rows.sum(axis=-1, keepdims=True)
    if (sums == 0).any():
        raise ValueError("a row is all zero, so it is no distribution")
    return np.asarray(rows / sums)


def pairwise(queries: Array, keys: Array, metric: str) -> Float:
    """Score every query against every key, by direct differences, shape (Q, N).

    ``dot`` is the inner product. ``cosine`` is 1 - cos, with cos = 0 for a zero row. ``kl`` is
    KL(key || query) and ``reverse_kl`` KL(query || key) of the rows normalised to sum 1, in nats.
    ``jensenshannon`` is the square root of the Jensen-Shannon divergence. ``hamming`` counts the
    entries that differ, in whatever coding both are; the engine counts them in packed bits.
    """
    q, k = np.asarray(queries, np.float64), np.asarray(keys, np.float64)
    out = np.empty((len(q), len(k)))
    for row, query in zip(out, q, strict=True):
        row[:] = METRICS[metric](query, k)
    return out


def topk(queries: Array, keys: Array, k: int, metric: str) -> tuple[Float, NDArray[np.int64]]:
    """Find the k best scores per query and their indices, best first, ties to the lowest index."""
    scores = pairwise(queries, keys, metric)
    best_first = np.argsort(-scores if metric == "dot" else scores, axis=1, kind="stable")
    indices = best_first[:, :k].astype(np.int64)
    return np.take_along_axis(scores, indices, axis=1), indices


def within(
    queries: Array, keys: Array, radius: float, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """All keys with distance <= radius (dot: score >= radius) as CSR (indptr, indices, scores).

    Where the engine scores in float32 it rounds the radius to float32 before it compares.
    """
    scores = pairwise(queries, keys, metric)
    inside = scores >= radius if metric == "dot" else scores <= radius
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(inside)[1].astype(np.int64), scores[inside]


def separate(
    scores: Array, separation: str, param: float, log_weight: Array | None = None
) -> tuple[Float, Float]:
    """Weights of a separation divided by the sum of their magnitudes, and the log of that sum.

    With s a score and b its log weight, the weight is

    ============= ==================================
    ``softmax``   exp(param s + b)
    ``power``     s^param exp(b)
    ``rectified`` max(s, 0)^param exp(b)
    ``sqrt``      sqrt(s) exp(b)
    ``log``       ln(max(s, tiny)) exp(b)
    ``threshold`` exp(b) where s >= param, else 0
    ============= ==================================

    Everything is done on logarithms of magnitudes and the largest is subtracted first, so nothing
    overflows whatever the scores, ``param`` or the log weights. Scores of +inf give NaN.

    Parameters
    ----------
    scores : (Q, N) array
        Larger is better.
    separation : str
        A name of the table.
    param : float
        The softmax's inverse temperature, the power's exponent, the threshold; else ignored.
    log_weight : (N,) array, optional
        Natural logarithms of the items' weights; -inf leaves an item out.

    Returns
    -------
    weights : (Q, N) float64
        Divided by the sum of their magnitudes. All zero in a row where every weight is zero.
    log_scale : (Q,) float64
        Natural logarithm of that sum, -inf where every weight is zero.

    Raises
    ------
    ValueError
        If ``sqrt`` or ``log`` meets a negative score.
    """
    s = np.asarray(scores, np.float64)
    sign = np.ones(s.shape)
    if separation in ("sqrt", "log"):
        negative = np.flatnonzero((s < 0).any(axis=1))
        if len(negative):
            raise ValueError(f"cues row {negative[0]} has a negative score; {separation} has none")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if separation == "softmax":
            magnitude = param * s if param else np.where(s == -np.inf, s, 0.0)
        elif separation == "power":
            sign = np.sign(s) ** int(param)
            magnitude = param * np.log(np.abs(s))
        elif separation == "rectified":
            magnitude = param * np.log(np.maximum(s, 0.0))
        elif separation == "sqrt":
            magnitude = 0.5 * np.log(s)
        elif separation == "log":
            logarithm = np.log(np.maximum(s, TINY))
            sign = np.sign(logarithm)
            magnitude = np.log(np.abs(logarithm))
        elif separation == "threshold":
            magnitude = np.where(s >= param, 0.0, -np.inf)
        else:
            raise ValueError(f"unknown separation {separation!r}")
        if log_weight is not None:
            magnitude = magnitude + np.asarray(log_weight, np.float64)
        top = magnitude.max(axis=1, keepdims=True, initial=-np.inf)
        share = np.exp(magnitude - np.where(top == -np.inf, 0.0, top))
        total = share.sum(axis=1, keepdims=True)
        weights = sign * np.divide(share, total, out=np.zeros_like(share), where=total != 0)
        log_scale = np.where(total != 0, top + np.log(total), -np.inf)[:, 0]
    return weights, log_scale


def retrieve(
    cues: Array,
    keys: Array,
    values: Array | None,
    metric: str,
    separation: str,
    param: float,
    log_weight: Array | None = None,
) -> tuple[Float, Float]:
    """Weighted mean of the values, sum_i w_i v_i / sum_i |w_i|, and ln sum_i |w_i| per cue.

    The weights are those of `separate` on the scores, where a distance d scores as -d; the
    threshold's ``param`` is a radius: it keeps d <= param, or dot >= param. ``values=None`` means
    the keys themselves.
    """
    scores = pairwise(cues, keys, metric)
    if metric != "dot":
        scores = -scores
        param = -param if separation == "threshold" else param
    weights, log_scale = separate(scores, separation, param, log_weight)
    return weights @ np.asarray(keys if values is None else values, np.float64), log_scale


# -- sparse separations ---------------------------------------------------------------------------


def entmax(scores: Array, alpha: float, log_weight: Array | None = None) -> Float:
    """Alpha-entmax of every row (Q, N), alpha > 1, by plain bisection for its threshold.

    ``p_i = m_i max((alpha - 1) s_i - tau, 0)^(1/(alpha - 1))`` with item weights ``m_i`` and tau
    such that the weights sum to 1; alpha = 2 is sparsemax.
    """
    s = np.asarray(scores, np.float64)
    out = np.zeros(s.shape)
    m = np.ones(s.shape[1]) if log_weight is None else np.exp(np.asarray(log_weight, np.float64))
    for row, x in zip(out, s, strict=True):
        x = (alpha - 1.0) * (x - x[m > 0].max())

        def share(t: float, x: Float = x) -> Float:
            return np.asarray(m * np.maximum(x + t, 0.0) ** (1.0 / (alpha - 1.0)))

        low, high = 0.0, 1.0
        while share(high).sum() < 1.0:
            high *= 2.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if share(middle).sum() < 1.0 else (low, middle)
        row[:] = share(high) / share(high).sum()
    return out


# -- modern Hopfield networks ---------------------------------------------------------------------


def modern_energy(
    states: Array, keys: Array, beta: float, weights: Array | None = None, constants: bool = True
) -> Float:
    """Energy of Ramsauer et al. (2021), equation 2, of states (Q, d), item weights included.

    ``-lse(beta k_i . v + ln w_i) / beta + |v|^2 / 2``, plus ``ln(sum_i w_i) / beta + M^2 / 2`` with
    the largest norm M of a key of positive weight.
    """
    v, k = np.asarray(states, np.float64), np.asarray(keys, np.float64)
    w = np.ones(len(k)) if weights is None else np.asarray(weights, np.float64)
    k, w = k[w > 0], w[w > 0]
    scores = beta * v @ k.T + np.log(w)
    top = scores.max(axis=1)
    lse = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    energy = (v * v).sum(axis=1) / 2 - lse / beta
    if constants:
        energy = energy + np.log(w.sum()) / beta + (k * k).sum(axis=1).max() / 2
    return np.asarray(energy)


def separation_margin(keys: Array) -> Float:
    """``x_i . x_i - max_{j != i} x_i . x_j`` for every row (N,), inf for the only one."""
    x = np.asarray(keys, np.float64)
    scores = x @ x.T
    own = scores.diagonal().copy()
    np.fill_diagonal(scores, -np.inf)
    return np.asarray(own - scores.max(axis=1))


# -- matrix memories -------------------------------------------------------------------------------


def hebbian(X: Array, Y: Array | None = None, weights: Array | None = None) -> Float:
    """Sum of outer products, sum_i w_i y_i x_i^T, shape (o, d); ``Y=None`` means ``X``."""
    x = np.asarray(X, np.float64)
    y = x if Y is None else np.asarray(Y, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    out = np.zeros((y.shape[1], x.shape[1]))
    for w_i, y_i, x_i in zip(w, y, x, strict=True):
        out += w_i * np.outer(y_i, x_i)
    return out


# -- dynamics of binary units ---------------------------------------------------------------------

_GAMMA = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finalise as SplitMix64 does (Steele, Lea and Flood, 2014); products wrap at 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sweep_words(seed: int, row: int, sweep: int, n: int) -> NDArray[np.uint64]:
    """Draw the first n random words of one sweep of one cue.

    Word t is mix(key + (t + 1) gamma), the t-th output of SplitMix64 from the state ``key``, into
    which 0, the row and the sweep were mixed in turn: key <- mix(key + (n + 1) gamma) from the
    seed.
    """
    key = seed & _WORD
    for n_mixed in (0, row, sweep):
        start = np.array([(key + (n_mixed + 1) * _GAMMA) & _WORD], np.uint64)
        key = int(_mixed(start)[0])
    steps = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return _mixed(np.uint64(key) + steps)


def sweep_order(seed: int, row: int, sweep: int, units: Array) -> Array:
    """Shuffle the units by Fisher and Yates, from the end, by the high halves of the words."""
    order = np.array(units)
    words = sweep_words(seed, row, sweep, max(0, len(order) - 1))
    for word, i in zip(words.tolist(), range(len(order) - 1, 0, -1), strict=True):
        j = (word >> 32) * (i + 1) >> 32
        order[[i, j]] = order[[j, i]]
    return order


def overlap_terms(
    patterns: Array,
    weights: Array,
    worth: Callable[[Array], Array],
    self_term: bool = False,
) -> Callable[[Array, int], Float]:
    """Terms of the fields of packed patterns, one a pattern: w x G(o - x s), or w x F'(o).

    Parameters
    ----------
    patterns : (K, d) array of -1 and +1
    weights : (K,) array
    worth : callable
        G(o) = (F(o + 1) - F(o - 1)) / 2, or F' with ``self_term``.
    """
    x = np.asarray(patterns, np.int64)

    def terms(state: Array, unit: int) -> Float:
        column = x[:, unit]
        overlap = x @ np.asarray(state, np.int64)
        own = 0 if self_term else column * int(state[unit])
        return np.asarray(weights * column * worth(overlap - own), np.float64)

    return terms


def matrix_terms(matrix: Array, self_term: bool = False) -> Callable[[Array, int], Float]:
    """Terms of the fields W s, one a unit."""

    def terms(state: Array, unit: int) -> Float:
        products = np.asarray(matrix[unit], np.float64) * state
        return products if self_term else np.delete(products, unit)

    return terms


def flips(
    states: Array,
    terms: Callable[[Array, int], Float],
    *,
    scale: float = 1.0,
    bias: Array | None = None,
    clamp: Array | None = None,
    energy: Callable[[Array], float] | None = None,
    update: str = "async",
    order: str = "random",
    tie: int = 0,
    temperature: float = 0.0,
    max_sweeps: int = 100,
    seed: int = 0,
) -> tuple[Array, Array, Array, Array, list[list[float]]]:
    """Let binary units take the signs of their fields, scale * sum(terms) + bias.

    A field counts as a tie where its magnitude is at most 2^-52 times the sum of the magnitudes of
    its terms. At a temperature T a unit flips with probability 1 / (1 + exp(2 h s / T)); the
    number drawn for the p-th unit of a sweep is word d + p, those before it order the sweep.

    Parameters
    ----------
    states : (Q, d) array of -1 and +1
    terms : callable
        ``terms(state, unit)``, such as `overlap_terms` gives.
    clamp : (Q, d) bool array, optional
        Units that never flip.
    energy : callable, optional
        Of a state.

    Returns
    -------
    states, sweeps, period, undecided, energies
        As the engine's, the energies as lists.
    """
    out = np.array(states, np.int8)
    n, d = out.shape
    offsets = np.zeros(d) if bias is None else np.asarray(bias, np.float64)
    sweeps, period = np.zeros(n, np.int64), np.zeros(n, np.int64)
    undecided = np.zeros((n, d), np.bool_)
    energies: list[list[float]] = [[] if energy is None else [energy(s)] for s in out]

    def local(state: Array, unit: int) -> float:
        parts = terms(state, unit)
        h = scale * math.fsum(parts) + offsets[unit]
        total = scale * math.fsum(np.abs(parts)) + abs(offsets[unit])
        return 0.0 if abs(h) <= 2.0**-52 * total else float(h)

    def moved(s: int, h: float, number: float) -> int:
        if temperature:
            with np.errstate(over="ignore"):
                return -s if number < 1 / (1 + np.exp(2 * h * s / temperature)) else s
        return int(np.sign(h)) or tie or s

    for row, state in enumerate(out):
        free = np.flatnonzero(~clamp[row]) if clamp is not None else np.arange(d)
        before = None
        while sweeps[row] < max_sweeps and not period[row]:
            sweep = int(sweeps[row])
            units = sweep_order(seed, row, sweep, free) if order == "random" else free
            units = free if update == "sync" else units
            numbers = (sweep_words(seed, row, sweep, 2 * d)[d:] >> np.uint64(11)) * 2.0**-53
            old = state.copy()
            seen = old if update == "sync" else state
            for unit, number in zip(units, numbers, strict=False):
                state[unit] = moved(int(seen[unit]), local(seen, int(unit)), float(number))
            if not temperature:
                if (state == old).all():
                    period[row] = 1
                elif update == "sync" and before is not None and (state == before).all():
                    period[row] = 2
            before = old
            sweeps[row] += 1
            if energy is not None:
                energies[row].append(energy(state))
        for unit in free:
            undecided[row, unit] = local(state, int(unit)) == 0.0
    return out, sweeps, period, undecided, energies


# -- the Hebbian memory ---------------------------------------------------------------------------


def hebbian_memory(
    rows: Array, weights: Array, center: str | None = None, weighting: str = "linear"
) -> Float:
    """Matrix of a weighted continuous Hebbian memory (D, D), from all rows at once.

    ``sum_i w_i x_i x_i^T / divisor`` over the rows scaled to length 1; ``moment`` and ``renorm``
    take the weighted mean away from the rows, the latter scales what is left to length 1.
    """
    v, y = np.asarray(rows, np.float64), np.asarray(weights, np.float64)
    keep = np.linalg.norm(v, axis=1) > 0
    x, y = v[keep] / np.linalg.norm(v[keep], axis=1, keepdims=True), y[keep]
    if center is not None:
        x = x - (y[:, None] * x).sum(axis=0) / y.sum()
    if center == "renorm":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = y if weighting == "linear" else y * y
    divisor = y.sum() ** 2 if weighting == "code" else y.sum()
    return np.asarray((w[:, None] * x).T @ x / divisor)


# -- sparse distributed memory --------------------------------------------------------------------


def sdm_active(words: Array, locations: Array, radius: int) -> NDArray[np.bool_]:
    """Whether a hard location (M, n) differs from a word (Q, n) in at most ``radius`` bits, (Q, M).

    Both hold 0 and 1.
    """
    return np.asarray((words[:, None, :] != locations[None]).sum(axis=2) <= radius)


def sdm_write(
    counters: NDArray[Any], active: NDArray[np.bool_], data: Array, weights: Array
) -> NDArray[Any]:
    """Counters (M, o) after items were added one by one: data (N, o) of 0 and 1, active (N, M).

    Every sum stops at the ends of the counters' type.
    """
    limits, out = np.iinfo(counters.dtype), counters.copy()
    for where, word, weight in zip(active, data, weights, strict=True):
        step = int(weight) * (2 * word.astype(object) - 1)
        out[where] = np.clip(out[where].astype(object) + step, limits.min, limits.max)
    return out


def sdm_read(counters: NDArray[Any], active: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sum the active counters, (Q, o)."""
    return np.asarray(active.astype(np.int64) @ counters.astype(np.int64))


# -- sparse constraints ---------------------------------------------------------------------------


def peel(cue: Array, constraints: Array, tolerance: float) -> tuple[Float, int]:
    """Errors (n,) of one cue under a 0/1 matrix (m, n), and the steps taken to find them.

    While some coordinate sees the same gap, the entry of ``constraints @ (cue - errors)``, in more
    than half of its checks, the gap is its error. Coordinates wait in a queue, first all in order,
    then those that share a check with the corrected one. Gaps up to ``tolerance`` are zero.
    """
    a = np.asarray(constraints) != 0
    checks = [np.flatnonzero(column) for column in a.T]
    members = [np.flatnonzero(row).tolist() for row in a]
    gaps = np.zeros(len(a))
    for j, x in enumerate(np.asarray(cue, np.float64)):
        gaps[checks[j]] += x
    errors = np.zeros(a.shape[1])
    queue, steps = list(range(a.shape[1])), 0
    while queue:
        j = queue.pop(0)
        seen = gaps[checks[j]]
        open_ = np.abs(seen) > tolerance
        for gap in seen[: len(seen) - len(seen) // 2]:
            same = open_ & (np.abs(seen - gap) <= tolerance)
            if abs(gap) > tolerance and 2 * same.sum() > len(seen):
                steps += 1
                errors[j] += gap
                gaps[checks[j]] -= gap
                waiting = set(queue)
                for check in checks[j]:
                    new = [i for i in members[check] if i not in waiting]
                    queue += new
                    waiting.update(new)
                break
    return errors, steps
