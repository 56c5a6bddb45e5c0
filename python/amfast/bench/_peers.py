"""How each library's users do the jobs of the table. Every function returns the call to time."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._typing import Array
from amfast.bench._case import Call, Contender, Data

# SciPy, scikit-learn and faiss call the same distance by different names.
_SCIPY = {"manhattan": "cityblock", "sqeuclidean": "sqeuclidean"}
_FAISS = {"manhattan": "METRIC_L1", "sqeuclidean": "METRIC_L2", "dot": "METRIC_INNER_PRODUCT"}


def expansion(cues: Array, keys: Array) -> Array:
    """Return squared distances as |q|^2 + |k|^2 - 2 q.k, the usual NumPy way; it cancels."""
    scores = cues @ keys.T
    scores *= -2
    scores += np.einsum("ij,ij->i", cues, cues)[:, None]
    scores += np.einsum("ij,ij->i", keys, keys)
    return scores


# -- the whole matrix -----------------------------------------------------------------------------


def pairwise(metric: str) -> tuple[Contender, ...]:
    """Return those who compute all scores of a metric, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        return lambda: am.pairwise(data.cues, data.keys, metric, threads=data.threads)

    def faiss(module: Any, data: Data) -> Call:
        kind = getattr(module, _FAISS[metric])
        return lambda: module.pairwise_distances(data.cues, data.keys, metric=kind)

    def torch(module: Any, data: Data) -> Call:
        cues, keys = module.from_numpy(data.cues), module.from_numpy(data.keys)
        if metric == "dot":
            return lambda: (cues @ keys.T).numpy()
        if metric == "manhattan":
            return lambda: module.cdist(cues, keys, p=1.0).numpy()
        return lambda: module.cdist(cues, keys).square_().numpy()

    def scipy(module: Any, data: Data) -> Call:
        return lambda: module.cdist(data.cues, data.keys, _SCIPY[metric])

    def sklearn(module: Any, data: Data) -> Call:
        def call() -> Any:
            return module.pairwise_distances(
                data.cues, data.keys, metric=metric, n_jobs=data.threads
            )

        return call

    def numpy(_module: Any, data: Data) -> Call:
        if metric == "dot":
            return lambda: data.cues @ data.keys.T
        return lambda: expansion(data.cues, data.keys)

    contenders = [Contender("amfast", "amfast", ours)]
    if metric != "dot":
        contenders += [
            Contender("faiss", "faiss", faiss),
            Contender("scikit-learn", "sklearn.metrics", sklearn),
            Contender("SciPy", "scipy.spatial.distance", scipy),
        ]
    if metric != "manhattan":
        contenders.append(Contender("NumPy", "numpy", numpy))
    return (*contenders, Contender("torch", "torch", torch))


# -- the best k -----------------------------------------------------------------------------------


def topk(metric: str, k: int, *, numpy_too: bool = False) -> tuple[Contender, ...]:
    """Return those who find the k best keys, amfast first; results are the scores."""

    def ours(am: Any, data: Data) -> Call:
        count = min(k, len(data.keys))
        return lambda: am.topk(
            data.cues, data.keys, count, metric, codes=False, threads=data.threads
        )[0]

    def faiss(module: Any, data: Data) -> Call:
        kind, count = getattr(module, _FAISS[metric]), min(k, len(data.keys))
        return lambda: module.knn(data.cues, data.keys, count, metric=kind)[0]

    def sklearn(module: Any, data: Data) -> Call:
        found = module.NearestNeighbors(
            n_neighbors=min(k, len(data.keys)),
            algorithm="brute",
            metric=metric,
            n_jobs=data.threads,
        ).fit(data.keys)
        return lambda: found.kneighbors(data.cues)[0]

    def numpy(_module: Any, data: Data) -> Call:
        def best_dot() -> Array:
            scores = data.cues @ data.keys.T
            return np.take_along_axis(scores, scores.argmax(axis=1)[:, None], axis=1)

        def best_distance() -> Array:
            scores = expansion(data.cues, data.keys)
            return np.take_along_axis(scores, scores.argmin(axis=1)[:, None], axis=1)

        return best_dot if metric == "dot" else best_distance

    contenders = [Contender("amfast", "amfast", ours), Contender("faiss", "faiss", faiss)]
    if metric != "dot":
        contenders.append(Contender("scikit-learn", "sklearn.neighbors", sklearn))
    if numpy_too:
        contenders.append(Contender("NumPy", "numpy", numpy))
    return tuple(contenders)


# -- the same by a first pass over 8-bit codes, beside amfast's own float32 ------------------------


def coded_topk(metric: str, k: int, *, stored: bool = False) -> tuple[Contender, ...]:
    """Return amfast with codes and without, on arrays or on keys that are stored, and peers."""

    def run(codes: bool | None) -> Any:
        def ours(am: Any, data: Data) -> Call:
            count = min(k, len(data.keys))
            keys = am.Keys(data.keys, metric, codes=codes) if stored else data.keys
            return lambda: am.topk(
                data.cues, keys, count, metric, codes=codes, threads=data.threads
            )[0]

        return ours

    # The NumPy contender finds the best key alone.
    products = stored and k == 1 and metric != "manhattan"
    others = [c for c in topk(metric, k, numpy_too=products) if c.name in ("faiss", "NumPy")]
    return (
        Contender("amfast", "amfast", run(None)),
        Contender("amfast float32", "amfast", run(False)),
        *others,
    )


def coded_recall() -> tuple[Contender, ...]:
    """Return a memory that recalls with codes of its keys, and one that has none."""

    def run(codes: bool | None) -> Any:
        def ours(am: Any, data: Data) -> Call:
            memory = am.UniversalHopfield("manhattan", "softmax", beta=10.0, codes=codes)
            memory.store(data.keys)
            return lambda: memory.recall(data.cues, threads=data.threads)

        return ours

    return (
        Contender("amfast", "amfast", run(None)),
        Contender("amfast float32", "amfast", run(False)),
    )


def embeddings(k: int) -> tuple[Contender, ...]:
    """Return who finds the best int8 embeddings by their exact products."""

    def ours(am: Any, data: Data) -> Call:
        count = min(k, len(data.keys))
        return lambda: am.topk(data.cues, data.keys, count, "dot", threads=data.threads)[0]

    def numpy(_module: Any, data: Data) -> Call:
        cues, keys = data.cues.astype(np.float32), data.keys.astype(np.float32)
        count = min(k, len(keys))

        def call() -> Array:
            best = np.partition(cues @ keys.T, len(keys) - count, axis=1)[:, -count:]
            return np.sort(best, axis=1)[:, ::-1]

        return call

    def usearch(module: Any, data: Data) -> Call:
        count = min(k, len(data.keys))

        def call() -> Array:
            kind = module.MetricKind.IP
            found = module.search(
                data.keys, data.cues, count, kind, exact=True, threads=data.threads
            )
            return 1.0 - np.asarray(found.distances, np.float64)

        return call

    return (
        Contender("amfast", "amfast", ours),
        Contender("NumPy", "numpy", numpy),
        Contender("usearch", "usearch.index", usearch),
    )


# -- bytes: no peer has them, so amfast's own float32 is the measure ------------------------------


def bytes_against_floats(kernel: str) -> tuple[Contender, ...]:
    """Return amfast on uint8 rows, and on their float32 copies as they are, never coded."""

    def run(am: Any, data: Data) -> Call:
        cues, keys, threads = data.cues, data.keys, data.threads
        if kernel == "pairwise":
            return lambda: am.pairwise(cues, keys, "manhattan", threads=threads)
        k = 1 if kernel == "top1" else 10
        return lambda: am.topk(cues, keys, k, "manhattan", codes=False, threads=threads)[0]

    def floats(am: Any, data: Data) -> Call:
        copies = Data(data.cues.astype(np.float32), data.keys.astype(np.float32), data.threads)
        return run(am, copies)

    return Contender("amfast", "amfast", run), Contender("amfast float32", "amfast", floats)


# -- retrieval ------------------------------------------------------------------------------------


def softmax_dot() -> tuple[Contender, ...]:
    """Return those who do softmax(q K^T / sqrt(d)) K, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        beta = data.keys.shape[1] ** -0.5
        return lambda: am.retrieve(data.cues, data.keys, beta=beta, threads=data.threads)

    def torch(module: Any, data: Data) -> Call:
        cues = module.from_numpy(data.cues)[None, None]
        keys = module.from_numpy(data.keys)[None, None]
        attend = module.nn.functional.scaled_dot_product_attention
        return lambda: attend(cues, keys, keys)[0, 0].numpy()

    def numpy(_module: Any, data: Data) -> Call:
        def call() -> Array:
            scores = data.cues @ data.keys.T
            scores *= np.float32(data.keys.shape[1] ** -0.5)
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=1, keepdims=True)
            return scores @ data.keys

        return call

    return (
        Contender("amfast", "amfast", ours),
        Contender("torch", "torch", torch),
        Contender("NumPy", "numpy", numpy),
    )


def softmax_manhattan() -> tuple[Contender, ...]:
    """Return those who do softmax(-beta |q - k|_1) K, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        beta = _beta(data)

        def call() -> Any:
            return am.retrieve(
                data.cues, data.keys, similarity="manhattan", beta=beta, threads=data.threads
            )

        return call

    def torch(module: Any, data: Data) -> Call:
        cues, keys, beta = module.from_numpy(data.cues), module.from_numpy(data.keys), _beta(data)

        def call() -> Any:
            scores = module.cdist(cues, keys, p=1.0)
            return ((-beta * scores).softmax(dim=1) @ keys).numpy()

        return call

    return Contender("amfast", "amfast", ours), Contender("torch", "torch", torch)


def _beta(data: Data) -> float:
    width: int = data.keys.shape[1]
    return 10.0 / width
