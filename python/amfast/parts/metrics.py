"""The metrics: one row each, with what the library asks of them. The engine computes them."""

from __future__ import annotations

import textwrap
from typing import Literal, NamedTuple

from amfast import _check


class Metric(NamedTuple):
    """What is known of a metric beside its formula, which the engine and `reference` have."""

    name: str
    formula: str = ""
    """With q a query and k a key."""
    aliases: tuple[str, ...] = ()
    larger_is_better: bool = False
    bits: bool = False
    """Whether rows are packed bits."""
    bytes: Literal["", "whole", "rounded"] = ""
    """Whether scores of bytes come of exact integers: as these are, or rounded once."""
    short: bool = False
    """Whether packed keys of 16 bits stay so: none are prepared."""
    distributions: bool = False
    """Whether rows must be non-negative and are divided by their sums."""
    smoothed: bool = False
    """Whether a zero makes the metric infinite, so that memories smooth their rows."""


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "dot",
            "``sum q k``; the only one where larger is better",
            larger_is_better=True,
            bytes="whole",
            short=True,
        ),
        Metric(
            "cosine",
            "``1 - q.k / (|q| |k|)``, a distance; 1 if either row is zero",
            bytes="rounded",
        ),
        Metric(
            "sqeuclidean",
            "``sum (q - k)^2``, by direct differences",
            bytes="whole",
            short=True,
        ),
        Metric("euclidean", "its square root", aliases=("l2",), bytes="rounded", short=True),
        Metric(
            "manhattan", "``sum |q - k|``", aliases=("cityblock", "l1"), bytes="whole", short=True
        ),
        Metric(
            "kl",
            "``KL(k || q)`` in nats of the rows divided by their sums, 0 ln 0 = 0, inf where q is "
            "0 and k is not. Millidge et al. (2022) call this one reverse KL",
            distributions=True,
            smoothed=True,
        ),
        Metric(
            "reverse_kl",
            "``KL(q || k)``, likewise; their KL",
            distributions=True,
            smoothed=True,
        ),
        Metric(
            "jensenshannon",
            "square root of the Jensen-Shannon divergence, as SciPy's",
            distributions=True,
        ),
        Metric(
            "hamming",
            "how many bits differ, int32; SciPy's fraction is this divided by n_bits",
            bits=True,
        ),
    )
}
_NAMES = {name: row.name for row in METRICS.values() for name in (row.name, *row.aliases)}


def resolve(given: object) -> str:
    """Return the name of a metric given by its name or an alias."""
    return _NAMES[_check.name_of(given, _NAMES, "metric")]


def table() -> str:
    """Return names and formulas as a table of reStructuredText."""
    lines = []
    for row in METRICS.values():
        also = f"; also {', '.join(f'``{name}``' for name in row.aliases)}" if row.aliases else ""
        first, *rest = textwrap.wrap(row.formula + also, 80)
        lines += [f"{f'``{row.name}``':17} {first}", *(f"{'':17} {text}" for text in rest)]
    rule = f"{'=' * 17} {'=' * 80}"
    return "\n".join([rule, *lines, rule])
