"""The Rust engine. It is handed C-contiguous, aligned, native 2-d arrays; `_check` sees to that."""

from typing import Any, TypedDict, final

from numpy import float64, int64
from numpy.typing import NDArray

__all__ = ["Keys", "pairwise", "topk", "within", "retrieve", "hebbian", "cpu_info", "probe"]

class _CpuInfo(TypedDict):
    isa: str
    available: list[str]
    version: str
    cores: int
    features: list[str]
    profile: str

@final
class Keys:
    """Keys packed once, for one metric."""

    def __new__(cls, array: NDArray[Any], metric: str) -> Keys: ...
    def append(self, array: NDArray[Any]) -> None: ...
    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def nbytes(self) -> int: ...

def pairwise(
    queries: NDArray[Any], keys: NDArray[Any] | Keys, metric: str, out: NDArray[Any], threads: int
) -> None: ...
def topk(
    queries: NDArray[Any], keys: NDArray[Any] | Keys, k: int, metric: str, threads: int
) -> tuple[NDArray[Any], NDArray[int64]]: ...
def within(
    queries: NDArray[Any], keys: NDArray[Any] | Keys, radius: float, metric: str, threads: int
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
) -> tuple[NDArray[Any], NDArray[float64]]: ...
def hebbian(
    x: NDArray[Any],
    y: NDArray[Any] | None,
    weights: NDArray[float64] | None,
    out: NDArray[Any],
    add: bool,
    double: bool,
    threads: int,
) -> None: ...
def cpu_info() -> _CpuInfo: ...
def probe(threads: int) -> dict[str, float]: ...
