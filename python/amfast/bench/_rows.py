"""The table: workloads, goals and limits."""

from __future__ import annotations

from amfast.bench import _files, _memory_peers, _peers, _sklearn_peers, _small, _torch_peers
from amfast.bench._case import Case, Growth, Memory, Size, Speed, Unit
from amfast.bench._files import Mapped, Microseconds, Milliseconds
from amfast.bench._machine import EXP_CYCLES, MANHATTAN_CYCLES, Machine

_ELEMENTS = Unit("Gel/s", lambda size: size.elements)
_FLOPS = Unit("GFLOP/s", lambda size: 2 * size.elements)
_BITS = Unit("Gbit/s", lambda size: size.elements)
# A retrieval multiplies twice: scores, and values as wide as the keys.
_TWO_PRODUCTS = Unit("GFLOP/s", lambda size: 4 * size.elements)
_MILLISECONDS = Unit("ms")

_IMAGES = Size(256, 10_000, 784)
_STORE = Size(500, 60_000, 784)
_ONE_CUE = Size(1, 60_000, 784)
_SMALL = Size(1, 1000, 64)
_TABLE, _HOLES = Size(500, 10_000, 784), Size(500, 10_000, 64)
_TRAINING = Size(35, 100, 100)
_BYTES = Size(256, 10_000, 832)
_BIT_STORE = Size(100, 1_000_000, 1024)
_ONE_BIT_CUE = Size(1, 1_000_000, 1024)
# Of outer products Q is the width of the partners, N the number of patterns.
_OUTER = Size(1024, 20_000, 1024)
_SIGNS = Size(1024, 100_000, 1024)
_LOCATIONS = Size(100, 100_000, 1000)


def _product(machine: Machine, size: Size) -> float:
    return machine.multiply_add(size.elements)


def _differences(machine: Machine, size: Size) -> float:
    return machine.differ(size.elements)


def _magnitudes(machine: Machine, size: Size) -> float:
    return machine.differ(MANHATTAN_CYCLES * size.elements)


def _read_floats(machine: Machine, size: Size) -> float:
    return machine.read(4.0 * size.n * size.d)


def _read_bytes(machine: Machine, size: Size) -> float:
    return machine.read(1.0 * size.n * size.d)


def _count(machine: Machine, size: Size) -> float:
    return machine.count(size.elements)


def _read_bits(machine: Machine, size: Size) -> float:
    return machine.read(size.n * size.d / 8)


def _half_product(machine: Machine, size: Size) -> float:
    return machine.multiply_add(size.elements / 2)


def _half_count(machine: Machine, size: Size) -> float:
    return machine.count(size.elements / 2)


def _attention(machine: Machine, size: Size) -> float:
    return machine.multiply_add(2 * size.elements + EXP_CYCLES * size.q * size.n)


def _manhattan_attention(machine: Machine, size: Size) -> float:
    projection = machine.multiply_add(size.elements + EXP_CYCLES * size.q * size.n)
    return _magnitudes(machine, size) + projection


_RETRIEVE, _NEAREST = _peers.softmax_dot()[0], _peers.topk("manhattan", 10)[0]

ROWS: tuple[Case, ...] = (
    Speed(
        1, "pairwise-manhattan", "pairwise manhattan", _IMAGES, _ELEMENTS,
        _peers.pairwise("manhattan"), 3.5, 0.65, _magnitudes,
    ),
    Speed(
        2, "topk-manhattan", "topk(10) manhattan", _STORE, _ELEMENTS,
        _peers.topk("manhattan", 10), 4.5, 0.65, _magnitudes,
    ),
    Speed(
        3, "pairwise-sqeuclidean", "pairwise sqeuclidean", _IMAGES, _FLOPS,
        _peers.pairwise("sqeuclidean"), 1.2, 0.75, _differences,
    ),
    Speed(
        4, "topk-sqeuclidean", "topk(10) sqeuclidean", _STORE, _FLOPS,
        _peers.topk("sqeuclidean", 10), 1.4, 0.75, _differences,
    ),
    Speed(
        4, "topk-dot", "topk(10) dot", _STORE, _FLOPS,
        _peers.topk("dot", 10), 1.4, 0.75, _product,
    ),
    Speed(
        5, "pairwise-dot", "pairwise dot", _IMAGES, _FLOPS,
        _peers.pairwise("dot"), 1.0, 0.75, _product,
    ),
    Speed(
        6, "one-cue-manhattan", "topk(1) manhattan", _ONE_CUE, _MILLISECONDS,
        _peers.topk("manhattan", 1), 1.0, 0.85, _read_floats,
    ),
    Speed(
        6, "one-cue-sqeuclidean", "topk(1) sqeuclidean", _ONE_CUE, _MILLISECONDS,
        _peers.topk("sqeuclidean", 1, numpy_too=True), 3.0, 0.85, _read_floats,
    ),
    Speed(
        6, "one-cue-dot", "topk(1) dot", _ONE_CUE, _MILLISECONDS,
        _peers.topk("dot", 1, numpy_too=True), 1.0, 0.85, _read_floats,
    ),
    Speed(
        7, "one-cue-uint8", "topk(1) manhattan, uint8", _ONE_CUE, _MILLISECONDS,
        _peers.bytes_against_floats("top1"), 3.0, None, _read_bytes, data="uint8",
    ),
    Speed(
        8, "pairwise-uint8", "pairwise manhattan, uint8", _BYTES, _ELEMENTS,
        _peers.bytes_against_floats("pairwise"), 4.0, data="uint8",
    ),
    Speed(
        8, "topk-uint8", "topk(10) manhattan, uint8", _BYTES, _ELEMENTS,
        _peers.bytes_against_floats("topk"), 4.0, data="uint8",
    ),
    Speed(
        9, "topk-hamming", "topk(10) hamming", _BIT_STORE, _BITS,
        _memory_peers.hamming(10), 4.0, 0.50, _count, data="bits",
    ),
    Speed(
        10, "one-cue-hamming", "topk(10) hamming", _ONE_BIT_CUE, _MILLISECONDS,
        _memory_peers.hamming(10, numpy_too=True), 1.3, 0.85, _read_bits, data="bits",
    ),
    Speed(
        11, "hebbian", "hebbian, o x P x d", _OUTER, _FLOPS,
        _memory_peers.hebbian(), 1.05, 0.75, _half_product, data="normal",
    ),
    Speed(
        12, "hebbian-weighted", "hebbian weighted, o x P x d", _OUTER, _FLOPS,
        _memory_peers.hebbian_weighted(), 1.25, 0.75, _half_product, data="normal",
    ),
    Speed(
        13, "hebbian-hetero", "hebbian hetero, o x P x d", _OUTER, _FLOPS,
        _memory_peers.hebbian_hetero(), 1.0, 0.80, _product, data="pairs",
    ),
    Speed(
        14, "hebbian-int8", "hebbian of int8 signs, o x P x d", _SIGNS, _MILLISECONDS,
        _memory_peers.hebbian_signs(packed=False), 10.0, None, _half_count, data="signs",
    ),
    Speed(
        14, "hebbian-bits", "hebbian of a BitMatrix, o x P x d", _SIGNS, _MILLISECONDS,
        _memory_peers.hebbian_signs(packed=True), 10.0, 0.50, _half_count, data="signs",
    ),
    Speed(
        15, "retrieve-64", "retrieve dot softmax", Size(1000, 10_000, 64), _TWO_PRODUCTS,
        _peers.softmax_dot(), 1.2, 0.60, _attention, data="normal",
    ),
    Speed(
        15, "retrieve-784", "retrieve dot softmax", Size(1000, 10_000, 784), _TWO_PRODUCTS,
        _peers.softmax_dot(), 1.0, 0.75, _attention, data="normal",
    ),
    Speed(
        16, "retrieve-large", "retrieve dot softmax", Size(100, 100_000, 128), _TWO_PRODUCTS,
        _peers.softmax_dot(), 2.0, 0.60, _attention, data="normal",
    ),
    Speed(
        17, "retrieve-manhattan", "retrieve manhattan softmax", Size(500, 10_000, 784), _ELEMENTS,
        _peers.softmax_manhattan(), 9.0, None, _manhattan_attention,
    ),
    Speed(
        18, "sdm-write", "SDM write", _LOCATIONS, _MILLISECONDS,
        _memory_peers.sparse_distributed(write=True), 20.0, data="bits",
    ),
    Speed(
        18, "sdm-read", "SDM read", _LOCATIONS, _MILLISECONDS,
        _memory_peers.sparse_distributed(write=False), 20.0, data="bits",
    ),
    Speed(
        19, "hopfield-step", "Hopfield synchronous step", Size(200, 2048, 2048), _FLOPS,
        _memory_peers.hopfield_step(), 1.0, 0.75, _product, data="signs",
    ),
    Speed(
        20, "dense-sweep", "DAM asynchronous sweep, n = 4", Size(1, 2000, 100), _MILLISECONDS,
        _memory_peers.dense_sweep(4), 40.0, data="signs",
    ),
    Speed(
        20, "dense-step", "training step of a dense classifier, n = 3", Size(1000, 2000, 784),
        _MILLISECONDS, _memory_peers.dense_step(3), 10.0,
    ),
    Speed(
        20, "dense-step-20", "training step of a dense classifier, n = 20", Size(1000, 2000, 784),
        _MILLISECONDS, _memory_peers.dense_step(20), 10.0,
    ),
    Memory(21, "memory", "memory of retrieve", Size(10_000, 100_000, 64), 200.0),
    Growth(
        22, "growth-keys", "retrieve, 4x the keys", Size(500, 20_000, 64), Size(500, 80_000, 64),
        _RETRIEVE, 4.4,
    ),
    Growth(
        22, "growth-cues", "retrieve, 4x the cues", Size(500, 20_000, 64), Size(2000, 20_000, 64),
        _RETRIEVE, 4.4,
    ),
    Growth(
        22, "growth-topk-keys", "topk(10) manhattan, 4x the keys", Size(200, 10_000, 784),
        Size(200, 40_000, 784), _NEAREST, 4.4, data="uniform",
    ),
    Growth(
        22, "growth-topk-cues", "topk(10) manhattan, 4x the cues", Size(200, 10_000, 784),
        Size(800, 10_000, 784), _NEAREST, 4.4, data="uniform",
    ),
    Speed(
        23, "coded-manhattan", "topk(10) manhattan through 8 bits", _STORE, _MILLISECONDS,
        _peers.coded_topk("manhattan", 10), 3.5,
    ),
    Speed(
        23, "coded-manhattan-stored", "topk(10) manhattan, stored keys", _STORE, _MILLISECONDS,
        _peers.coded_topk("manhattan", 10, stored=True), 3.5,
    ),
    Speed(
        24, "coded-sqeuclidean", "topk(10) sqeuclidean through 8 bits", _STORE, _MILLISECONDS,
        _peers.coded_topk("sqeuclidean", 10), 4.0,
    ),
    Speed(
        24, "coded-sqeuclidean-stored", "topk(10) sqeuclidean, stored keys", _STORE,
        _MILLISECONDS, _peers.coded_topk("sqeuclidean", 10, stored=True), 4.0,
    ),
    Speed(
        24, "coded-dot", "topk(10) dot through 8 bits", _STORE, _MILLISECONDS,
        _peers.coded_topk("dot", 10), 2.0,
    ),
    Speed(
        24, "coded-dot-stored", "topk(10) dot, stored keys", _STORE, _MILLISECONDS,
        _peers.coded_topk("dot", 10, stored=True), 2.0,
    ),
    Speed(
        25, "coded-cue-manhattan", "one cue, stored keys, manhattan", _ONE_CUE, _MILLISECONDS,
        _peers.coded_topk("manhattan", 1, stored=True), 4.0,
    ),
    Speed(
        25, "coded-cue-sqeuclidean", "one cue, stored keys, sqeuclidean", _ONE_CUE, _MILLISECONDS,
        _peers.coded_topk("sqeuclidean", 1, stored=True), 3.0,
    ),
    Speed(
        25, "coded-cue-dot", "one cue, stored keys, dot", _ONE_CUE, _MILLISECONDS,
        _peers.coded_topk("dot", 1, stored=True), 3.0,
    ),
    Speed(
        26, "coded-recall", "recall manhattan softmax, stored", _STORE, _MILLISECONDS,
        _peers.coded_recall(), 3.5,
    ),
    Speed(
        27, "embeddings", "topk(10) dot of int8 rows", Size(500, 200_000, 768), _MILLISECONDS,
        _peers.embeddings(10), 6.0, data="int8",
    ),
    Microseconds(30, "small-topk", "topk(1) dot", _SMALL, 12.0, _small.topk),
    Microseconds(30, "small-recall", "recall, modern Hopfield", _SMALL, 15.0, _small.recalled),
    Microseconds(
        30, "small-hopfield", "recall, Hopfield of d units", Size(1, 5, 100), 40.0, _small.settled
    ),
    Microseconds(30, "small-store", "store one row", _SMALL, 10.0, _small.stored),
    Microseconds(
        30, "small-turns", "store and recall in turn", Size(1, 2000, 128), 40.0, _small.in_turn
    ),
    Mapped(31, "mapped", "topk(1) dot over a mapped file", Size(1, 1_048_576, 1024), 0.85),
    Milliseconds(
        31, "shards-append", "append one row to shards", Size(1, 500_000, 128), 5.0,
        _files.appended,
    ),
    Milliseconds(
        31, "shards-open", "open shards, mapped", Size(1, 500_000, 128), 10.0, _files.opened
    ),
    Speed(
        32, "kneighbors-manhattan", "kneighbors(5) manhattan", _TABLE, _MILLISECONDS,
        _sklearn_peers.kneighbors("manhattan"), 10.0,
    ),
    Speed(
        32, "kneighbors-euclidean", "kneighbors(5) euclidean", _TABLE, _MILLISECONDS,
        _sklearn_peers.kneighbors("euclidean"), 2.0,
    ),
    Speed(
        32, "imputer-half", "impute, half the columns missing", _HOLES, _MILLISECONDS,
        _sklearn_peers.imputer(half=True), 10.0,
    ),
    Speed(
        32, "imputer-holes", "impute, a fifth of the entries missing", _HOLES, _MILLISECONDS,
        _sklearn_peers.imputer(half=False), 10.0,
    ),
    Speed(
        33, "torch-manhattan", "torch, 40 heads manhattan", _TRAINING, _MILLISECONDS,
        _torch_peers.heads("manhattan", backward=False), 20.0, data="normal",
    ),
    Speed(
        33, "torch-manhattan-train", "torch, 40 heads manhattan, and back", _TRAINING,
        _MILLISECONDS, _torch_peers.heads("manhattan", backward=True), 10.0, data="normal",
    ),
    Speed(
        33, "torch-dot-train", "torch, 40 heads dot, and back", _TRAINING, _MILLISECONDS,
        _torch_peers.heads("dot", backward=True), 1.0, data="normal",
    ),
)  # fmt: skip


def select(names: list[str]) -> list[Case]:
    """Return the rows that names or numbers ask for, in the table's order; none means all.

    Raises
    ------
    ValueError
        For a name that no row has.
    """
    known = {case.name for case in ROWS} | {str(case.row) for case in ROWS}
    for name in names:
        if name not in known:
            choices = ", ".join(f"{case.row} {case.name}" for case in ROWS)
            raise ValueError(f"no benchmark is called {name!r}; rows by number or name: {choices}")
    return [c for c in ROWS if not names or c.name in names or str(c.row) in names]
