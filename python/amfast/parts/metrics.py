"""The metrics: one row each, with what the library asks of them. The engine computes them."""

from __future__ import annotations

from typing import NamedTuple

from amfast import _check


class Metric(NamedTuple):
    """What is known of a metric beside its formula, which `amfast.kernels` and the engine have."""

    name: str
    aliases: tuple[str, ...] = ()
    larger_is_better: bool = False
    bits: bool = False
    """Whether rows are packed bits."""
    exact_integers: bool = False
    """Whether scores of bytes of one type are exact int32."""
    distributions: bool = False
    """Whether rows must be non-negative and are divided by their sums."""
    smoothed: bool = False
    """Whether a zero makes the metric infinite, so that memories smooth their rows."""
    descends: bool = False
    """Whether a step of recall can descend an energy."""


METRICS = {
    metric.name: metric
    for metric in (
        Metric("dot", larger_is_better=True, exact_integers=True, descends=True),
        Metric("cosine"),
        Metric("sqeuclidean", exact_integers=True, descends=True),
        Metric("euclidean", aliases=("l2",)),
        Metric("manhattan", aliases=("cityblock", "l1"), exact_integers=True),
        Metric("kl", distributions=True, smoothed=True),
        Metric("reverse_kl", distributions=True, smoothed=True),
        Metric("jensenshannon", distributions=True),
        Metric("hamming", bits=True),
    )
}
_NAMES = {
    name: metric.name for metric in METRICS.values() for name in (metric.name, *metric.aliases)
}


def resolve(given: object) -> str:
    """Return the name of a metric given by its name or an alias."""
    return _NAMES[_check.name_of(given, _NAMES, "metric")]
