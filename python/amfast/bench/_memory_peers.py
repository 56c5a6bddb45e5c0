"""How the jobs of binary and Hebbian memories are done elsewhere, as `_peers` for the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._typing import Array
from amfast.bench._case import Call, Contender, Data

# -- packed bits ----------------------------------------------------------------------------------


def hamming(k: int, *, numpy_too: bool = False) -> tuple[Contender, ...]:
    """Return those who find the k nearest rows of bits, amfast first; results are the counts."""

    def ours(am: Any, data: Data) -> Call:
        bits = 8 * data.keys.shape[1]
        cues, keys = (am.BitMatrix.from_packed(x, bits) for x in (data.cues, data.keys))
        return lambda: am.topk(cues, keys, k, "hamming", threads=data.threads)[0]

    def faiss(module: Any, data: Data) -> Call:
        index = module.IndexBinaryFlat(8 * data.keys.shape[1])
        index.add(data.keys)
        return lambda: index.search(data.cues, k)[0]

    def usearch(module: Any, data: Data) -> Call:
        def call() -> Array:
            found = module.search(
                data.keys, data.cues, k, module.MetricKind.Hamming, exact=True,
                threads=data.threads, dtype="b1",
            )  # fmt: skip
            return np.atleast_2d(found.distances)

        return call

    def numpy(_module: Any, data: Data) -> Call:
        cues, keys = (_words(x) for x in (data.cues, data.keys))

        def call() -> Array:
            counts = [np.bitwise_count(keys ^ cue).sum(axis=1, dtype=np.int32) for cue in cues]
            return np.sort(np.partition(counts, k - 1, axis=1)[:, :k], axis=1)

        return call

    contenders = [
        Contender("amfast", "amfast", ours),
        Contender("faiss", "faiss", faiss),
        Contender("usearch", "usearch.index", usearch),
    ]
    if numpy_too:
        contenders.append(Contender("NumPy", "numpy", numpy))
    return tuple(contenders)


def _words(packed: Array) -> Array:
    """Return the bytes as 64-bit words where they fill them."""
    return packed.view(np.uint64) if packed.shape[1] % 8 == 0 else packed


# -- outer products -------------------------------------------------------------------------------


def hebbian() -> tuple[Contender, ...]:
    """Return those who do X^T X, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        return lambda: am.hebbian(data.keys, threads=data.threads)

    def numpy(_module: Any, data: Data) -> Call:
        return lambda: data.keys.T @ data.keys

    return Contender("amfast", "amfast", ours), Contender("NumPy", "numpy", numpy)


def hebbian_weighted() -> tuple[Contender, ...]:
    """Return those who do X^T diag(w) X, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        weights = _weights(data)
        return lambda: am.hebbian(data.keys, weights=weights, threads=data.threads)

    def roots(_module: Any, data: Data) -> Call:
        weights = _weights(data)

        def call() -> Array:
            scaled = data.keys * np.sqrt(weights)[:, None]
            return np.asarray(scaled.T @ scaled)

        return call

    def scaled(_module: Any, data: Data) -> Call:
        weights = _weights(data)
        return lambda: (data.keys * weights[:, None]).T @ data.keys

    return (
        Contender("amfast", "amfast", ours),
        Contender("NumPy, root-scaled syrk", "numpy", roots),
        Contender("NumPy, (X*w).T @ X", "numpy", scaled),
    )


def _weights(data: Data) -> Array:
    rng = np.random.default_rng(1)
    return rng.random(len(data.keys), dtype=np.float32) + np.float32(0.5)


def hebbian_hetero() -> tuple[Contender, ...]:
    """Return those who do Y^T X, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        return lambda: am.hebbian(data.keys, data.cues, threads=data.threads)

    def numpy(_module: Any, data: Data) -> Call:
        return lambda: data.cues.T @ data.keys

    return Contender("amfast", "amfast", ours), Contender("NumPy", "numpy", numpy)


def hebbian_signs(packed: bool) -> tuple[Contender, ...]:
    """Return those who do X^T X of int8 signs (for amfast also packed), amfast first."""

    def ours(am: Any, data: Data) -> Call:
        patterns = am.pack(data.keys) if packed else data.keys
        return lambda: am.hebbian(patterns, threads=data.threads)

    def floats(_module: Any, data: Data) -> Call:
        patterns = data.keys.astype(np.float32)
        return lambda: patterns.T @ patterns

    def from_bytes(_module: Any, data: Data) -> Call:
        def call() -> Array:
            patterns = data.keys.astype(np.float32)
            return np.asarray(patterns.T @ patterns)

        return call

    return (
        Contender("amfast", "amfast", ours),
        Contender("NumPy, float32", "numpy", floats),
        Contender("NumPy, from int8", "numpy", from_bytes),
    )


# -- memories -------------------------------------------------------------------------------------


def sparse_distributed(write: bool) -> tuple[Contender, ...]:
    """Return those who write to, or read from, hard locations (the keys), amfast first.

    Reading gives the sums of what one write of all items left, so that it checks the write too.
    """

    def ours(am: Any, data: Data) -> Call:
        addresses, locations, _ = _addresses(am, data)
        memory = _sparse(am, locations)
        with am.threads(data.threads):
            memory.write(addresses)

        def do() -> Array:
            with am.threads(data.threads):
                if write:
                    memory.write(addresses)
                    return np.zeros(0)
                return np.asarray(memory.read(addresses, raw=True))

        return do

    def torchhd(module: Any, data: Data) -> Call:
        import torch

        import amfast as am

        addresses, locations, bits = _addresses(am, data)
        memory = module.memory.SparseDistributed(len(locations), bits, bits)
        memory.keys.data = _signs(torch, module, locations)
        items = _signs(torch, module, addresses)
        memory.threshold = bits - 2 * _sparse(am, locations).radius
        memory.write(items, items)

        def do() -> Array:
            if write:
                memory.write(items, items)
                return np.zeros(0)
            return np.asarray(memory.read(items).as_subclass(torch.Tensor).numpy())

        return do

    return Contender("amfast", "amfast", ours), Contender("torchhd", "torchhd", torchhd)


def _sparse(am: Any, locations: Any) -> Any:
    # Kanerva's thousandth of the locations, or a few where there are few.
    p = max(0.001, 20 / len(locations))
    return am.SparseDistributedMemory(locations.n_bits, len(locations), addresses=locations, p=p)


def _addresses(am: Any, data: Data) -> tuple[Any, Any, int]:
    bits = 8 * data.keys.shape[1]
    return (*(am.BitMatrix.from_packed(x, bits) for x in (data.cues, data.keys)), bits)


def _signs(torch: Any, torchhd: Any, bits: Any) -> Any:
    signs = torch.from_numpy(bits.unpack("bipolar").astype(np.float32))
    return signs.as_subclass(torchhd.MAPTensor)


def hopfield_step() -> tuple[Contender, ...]:
    """Return those who do one synchronous step of all states (the cues), amfast first.

    A twentieth of d patterns, odd in number, is stored, so that no field is a tie.
    """

    def ours(am: Any, data: Data) -> Call:
        memory = am.Hopfield()
        memory.store(_patterns(data))
        states = data.cues

        def call() -> Any:
            return memory.recall(states, update="sync", max_sweeps=1, threads=data.threads)

        call()  # the first one packs the matrix
        return call

    def numpy(_module: Any, data: Data) -> Call:
        patterns = _patterns(data).astype(np.float32)
        matrix = patterns.T @ patterns
        np.fill_diagonal(matrix, 0)
        states = data.cues.astype(np.float32)
        return lambda: np.where(states @ matrix >= 0, np.int8(1), np.int8(-1))

    return Contender("amfast", "amfast", ours), Contender("NumPy", "numpy", numpy)


def _patterns(data: Data) -> Array:
    return data.keys[: len(data.keys) // 40 * 2 + 1]


def dense_sweep(n: int) -> tuple[Contender, ...]:
    """Return those who do one asynchronous sweep of a dense memory of order n, amfast first."""

    def ours(am: Any, data: Data) -> Call:
        memory = am.DenseAssociativeMemory(n)
        memory.store(data.keys)

        def call() -> Any:
            return memory.recall(
                data.cues, update="async", max_sweeps=1, seed=0, threads=data.threads
            )

        return call

    def numpy(_module: Any, data: Data) -> Call:
        from amfast import reference

        patterns = data.keys.astype(np.float64)
        columns = np.ascontiguousarray(patterns.T)
        order = reference.sweep_order(
            0, reference.cue_key(data.cues[0]), 0, np.arange(data.keys.shape[1])
        )

        def call() -> Array:
            state = data.cues[0].astype(np.float64)
            overlaps = patterns @ state
            for i in order:
                rest = overlaps - columns[i] * state[i]
                field = ((rest + columns[i]) ** n - (rest - columns[i]) ** n).sum()
                new = state[i] if field == 0 else np.sign(field)
                overlaps += columns[i] * (new - state[i])
                state[i] = new
            return np.asarray(state[None])

        return call

    return Contender("amfast", "amfast", ours), Contender("NumPy", "numpy", numpy)


def dense_step(n: int) -> tuple[Contender, ...]:
    """Return those who take one training step of a dense classifier from its start, amfast first.

    Cues are the inputs, of ten classes in turn; there are as many memories as keys.
    """
    momentum, rate = 0.6, 0.02

    def start(data: Data) -> tuple[Any, Array, Array]:
        from amfast.memories.dense.classifier import DenseAssociativeClassifier
        from amfast.memories.dense.training import Network, Settings

        model = DenseAssociativeClassifier(
            len(data.keys), n, loss_power=2, momentum=momentum, dtype="float32"
        )
        network = Network(Settings.of(model), data.cues, 10)
        network.temperature = network.unit
        targets = np.full((len(data.cues), 10), -1, np.float32)
        targets[np.arange(len(targets)), np.arange(len(targets)) % 10] = 1
        return network, network.scaled(data.cues), targets

    def ours(am: Any, data: Data) -> Call:
        network, v, targets = start(data)
        first = network.memories.copy()

        def call() -> Array:
            network.memories[...], network.velocity[...] = first, 0
            network.step(v, targets, rate, data.threads)
            return np.asarray(network.memories)

        return call

    def numpy(_module: Any, data: Data) -> Call:
        network, v, targets = start(data)
        first, velocity, d = network.memories, np.zeros_like(network.memories), v.shape[1]
        heat = np.float32(network.temperature)

        def call() -> Array:
            memories = first.copy()
            velocity[...] = 0
            units = memories[:, d:]
            off = (v @ memories[:, :d].T - units.sum(axis=1)) / heat
            on = off[:, None] + 2 / heat * units.T
            off, on = np.maximum(off, 0), np.maximum(on, 0)
            answers = np.tanh((on**n - (off**n)[:, None]).sum(axis=2))
            pull = (targets - answers) ** 3 * (1 - answers**2)
            slopes = on ** (n - 1)
            shared = np.einsum("qc,qck->qk", pull, slopes - (off ** (n - 1))[:, None])
            by_unit = 2 * np.einsum("qc,qck->kc", pull, slopes) - shared.sum(axis=0)[:, None]
            velocity[...] = momentum * velocity + np.hstack([shared.T @ v, by_unit])
            fastest = np.abs(velocity).max(axis=1, keepdims=True)
            memories += rate * velocity / fastest
            return np.asarray(np.clip(memories, -1, 1))

        return call

    return Contender("amfast", "amfast", ours), Contender("NumPy", "numpy", numpy)
