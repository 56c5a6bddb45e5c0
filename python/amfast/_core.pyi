"""The Rust engine. It is handed C-contiguous, aligned, native 2-d arrays; `_check` sees to that."""

from typing import Any, TypedDict, final

from numpy import bool_, float64, int8, int32, int64, uint8
from numpy.typing import NDArray

from amfast.parts.dynamics import Rules

__all__ = [
    "Codes",
    "Keys",
    "coded",
    "cpu_info",
    "dense_follow",
    "dense_pulled",
    "dense_saved",
    "flip_matrix",
    "flip_overlaps",
    "flip_real",
    "hebbian",
    "hebbian_signs",
    "overlap_signs",
    "pairwise",
    "peel",
    "probe",
    "retrieve",
    "retrieve_coded",
    "retrieve_heads",
    "retrieve_heads_backward",
    "sdm_locations",
    "sdm_read",
    "sdm_write",
    "sparse_products",
    "topk",
    "topk_coded",
    "within",
    "within_coded",
]

_Flipped = tuple[
    NDArray[int8], NDArray[int64], NDArray[int64], NDArray[bool_], NDArray[float64] | None
]

class _CpuInfo(TypedDict):
    isa: str
    available: list[str]
    version: str
    cores: int
    metrics: list[str]
    separations: list[str]
    profile: str

@final
class Keys:
    """Keys packed once, for one metric. They never change."""

    def __new__(cls, array: NDArray[Any], metric: str) -> Keys: ...
    def extended(self, array: NDArray[Any]) -> Keys:
        """Return these keys and more behind them, which share what both have."""

    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def nbytes(self) -> int: ...

@final
class Codes:
    """Rows as bytes, for a first pass that bounds their scores. They never change."""

    def extended(self, array: NDArray[Any], threads: int) -> Codes | None:
        """Return codes of ``array``, whose first rows are those that are coded."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

def coded(array: NDArray[Any], metric: str, threads: int) -> Codes | None:
    """Code rows for a metric; None where there are no codes that bound its scores."""

def topk_coded(
    queries: NDArray[Any],
    keys: NDArray[Any] | Keys,
    rows: NDArray[Any],
    codes: Codes,
    k: int,
    metric: str,
    threads: int,
) -> tuple[NDArray[Any], NDArray[int64]]: ...
def within_coded(
    queries: NDArray[Any],
    keys: NDArray[Any] | Keys,
    rows: NDArray[Any],
    codes: Codes,
    radius: float,
    metric: str,
    threads: int,
) -> tuple[NDArray[int64], NDArray[int64], NDArray[Any]]: ...
def retrieve_coded(
    cues: NDArray[Any],
    keys: NDArray[Any] | Keys,
    rows: NDArray[Any],
    codes: Codes,
    values: NDArray[Any],
    metric: str,
    separation: str,
    param: float,
    threads: int,
) -> tuple[NDArray[Any], NDArray[float64]]: ...
def pairwise(
    queries: NDArray[Any],
    keys: NDArray[Any] | Keys,
    metric: str,
    out: NDArray[Any],
    threads: int,
    known: NDArray[Any] | None = None,
) -> None:
    """Score all; ``known``, here and below, is what columns of queries count, (Q, d) or (1, d)."""

def topk(
    queries: NDArray[Any],
    keys: NDArray[Any] | Keys,
    k: int,
    metric: str,
    threads: int,
    unrounded: bool = False,
    known: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[int64]]: ...
def within(
    queries: NDArray[Any],
    keys: NDArray[Any] | Keys,
    radius: float,
    metric: str,
    threads: int,
    known: NDArray[Any] | None = None,
) -> tuple[NDArray[int64], NDArray[int64], NDArray[Any]]: ...
def retrieve(
    cues: NDArray[Any],
    keys: NDArray[Any] | Keys,
    values: NDArray[Any] | None,
    metric: str,
    separation: str,
    param: float,
    log_weight: NDArray[float64] | None,
    threads: int,
    value_bits: int | None = None,
    known: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[float64]]: ...
def retrieve_heads(
    cues: NDArray[Any],
    keys: NDArray[Any],
    values: NDArray[Any],
    metric: str,
    beta: NDArray[float64],
    log_weight: NDArray[float64] | None,
    causal: bool,
    threads: int,
    out: NDArray[Any],
    log_scale: NDArray[float64],
) -> None:
    """Read by softmax; arrays have three dimensions, the first is the head."""

def retrieve_heads_backward(
    grad: NDArray[Any],
    out: NDArray[Any],
    log_scale: NDArray[float64],
    cues: NDArray[Any],
    keys: NDArray[Any],
    values: NDArray[Any],
    metric: str,
    beta: NDArray[float64],
    log_weight: NDArray[float64] | None,
    causal: bool,
    threads: int,
    into: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[float64], NDArray[float64]],
) -> None: ...
def hebbian(
    x: NDArray[Any],
    y: NDArray[Any] | None,
    weights: NDArray[float64] | None,
    out: NDArray[Any],
    add: bool,
    double: bool,
    threads: int,
) -> None: ...
def hebbian_signs(
    x: NDArray[Any],
    x_bits: int | None,
    y: NDArray[Any] | None,
    y_bits: int | None,
    minus: NDArray[bool_] | None,
    out: NDArray[int32],
    add: bool,
    threads: int,
) -> bool: ...
def flip_overlaps(
    states: NDArray[int8],
    patterns: NDArray[uint8],
    weights: NDArray[float64] | None,
    table: NDArray[float64] | None,
    energy: NDArray[float64] | None,
    beta: float | None,
    scale: float,
    self_term: bool,
    bias: NDArray[float64] | None,
    clamp: NDArray[bool_] | None,
    rules: Rules,
    threads: int,
) -> _Flipped:
    """Flip under the energy -scale sum_mu w_mu F(o_mu) - sum_i bias_i s_i of packed patterns.

    states are (Q, d) of -1 and +1, patterns (K, ceil(d/8)) in the order of packbits. ``table`` is
    G(o) = (F(o + 1) - F(o - 1)) / 2 for o = -(d - 1), -(d - 3), .., d - 1; with ``self_term`` it is
    F'(o) for o = -d, -(d - 2), .., d, and units do not leave out what they add to their own field.
    ``energy`` is F(o) for o = -d .. d. ``beta`` in their place: F(o) = exp(beta o), energy
    -ln sum w F(o); weights are >= 0 then, there is no bias, and scale is 1. clamp is (1, d) or
    (Q, d). The tuple is that of `amfast.parts.dynamics.Settled`.
    """

def flip_matrix(
    states: NDArray[int8],
    matrix: NDArray[Any],
    scale: float,
    self_term: bool,
    bias: NDArray[float64] | None,
    clamp: NDArray[bool_] | None,
    rules: Rules,
    threads: int,
) -> _Flipped:
    """Flip under -scale/2 s W s - bias s, W symmetric int32, float32 or float64 (d, d).

    Without ``self_term`` the diagonal of W counts as 0.
    """

def flip_real(
    states: NDArray[int8],
    columns: NDArray[float64],
    weights: NDArray[float64],
    interaction: str,
    parameter: float,
    scale: float,
    bias: NDArray[float64] | None,
    clamp: NDArray[bool_] | None,
    rules: Rules,
    threads: int,
) -> _Flipped:
    """Flip under the energy of real patterns, which are the columns' (d, K) columns."""

def overlap_signs(
    cues: NDArray[int8],
    patterns: NDArray[uint8],
    weights: NDArray[float64] | None,
    table: NDArray[float64] | None,
    beta: float | None,
    values: NDArray[uint8],
    n_values: int,
    threads: int,
) -> NDArray[int8]:
    """Signs of sum_mu w_mu F'(o_mu) v_mu for values (K, ceil(n_values/8)), 0 where it is a tie."""

def sdm_write(
    addresses: NDArray[uint8],
    locations: Keys,
    radius: int,
    words: NDArray[uint8],
    weights: NDArray[int64],
    counters: NDArray[Any],
    written: NDArray[int64],
    threads: int,
) -> NDArray[int64]: ...
def sdm_read(
    cues: NDArray[uint8],
    locations: Keys,
    radius: int,
    counters: NDArray[Any],
    sums: NDArray[int64],
    threads: int,
) -> NDArray[int64]: ...
def sdm_locations(locations: Keys, start: int, stop: int) -> NDArray[uint8]: ...
def peel(
    cues: NDArray[float64],
    starts: NDArray[int64],
    checks: NDArray[int64],
    entries: NDArray[float64],
    n_checks: int,
    tolerances: NDArray[float64],
    errors: NDArray[float64],
    threads: int,
) -> NDArray[int64]: ...
def sparse_products(
    rows: NDArray[float64],
    starts: NDArray[int64],
    checks: NDArray[int64],
    entries: NDArray[float64],
    n_checks: int,
    back: bool,
    out: NDArray[float64],
    threads: int,
) -> None: ...
def cpu_info() -> _CpuInfo: ...
def probe(threads: int) -> dict[str, float]: ...
def dense_saved(
    products: NDArray[Any],
    overlaps: tuple[NDArray[Any], NDArray[Any], NDArray[Any], int, bool],
    out: NDArray[Any],
    threads: int,
) -> None:
    """Energies by classes; overlaps are made by scale, off, switched, order, rectified."""

def dense_pulled(
    products: NDArray[Any],
    overlaps: tuple[NDArray[Any], NDArray[Any], NDArray[Any], int, bool],
    pull: NDArray[Any],
    units: NDArray[Any],
    threads: int,
) -> None:
    """Put what pulls the overlaps over ``products``; pulls are 0 or above sqrt of the least."""

def dense_follow(
    gradient: NDArray[Any],
    memories: NDArray[Any],
    velocity: NDArray[Any],
    pace: tuple[float, float, float, float],
    threads: int,
) -> float:
    """Step by momentum, unit, rate and least velocity; the largest entry of the gradient."""
