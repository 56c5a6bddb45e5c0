"""The kernels: NumPy arrays in, NumPy arrays out, no object in between.

All take rows: ``queries (Q, d)`` against ``keys (N, d)``; a 1-d query is one row and its answer
loses that axis. float32 is scored in float32; if either side is float64, in float64. float16,
uint8 and int8 keys are read as they are stored. Where both sides are bytes, of either type, scores
come of exact integers: ``dot``, ``sqeuclidean`` and ``manhattan`` are exact int32 (float64 beyond
33025 columns, or 14639 for squared differences of uint8 and int8), ``cosine`` and ``euclidean``
are ordered by float64 and rounded once, to float32; `retrieve` weighs them in float64 wherever
float32 would lose something. bool and other integers become float64, which must be exact. Results
do not depend on the number of threads.

Metrics, with q a query and k a key:

{metrics}

Which one? Noise on images or vectors: ``manhattan`` or ``sqeuclidean``. Vectors of which only the
direction counts, such as embeddings: ``cosine``; ``dot`` prefers long keys. Blacked out parts
without noise: ``reverse_kl``, which looks at no column where the query is 0. Attention: ``dot``.
Hashes and binary patterns: ``hamming``.

``hamming`` takes packed bits (`BitMatrix`), bools, or arrays of {0, 1} or {-1, +1}, which are
packed on the way in; other values are a ValueError. Bipolar rows have the dot product
``n_bits - 2 * hamming``.

``kl``, ``reverse_kl`` and ``jensenshannon`` compare distributions: a negative entry or a blank row
is a ValueError here, while `UniversalHopfield` smooths its rows and takes a blank one. ``kl`` and
``reverse_kl`` are computed as products, so float32 does not resolve divergences below about 1e-6;
use float64 for those.

``euclidean`` is right to a few units in the last place over the whole range of its type, also where
squares leave it. ``sqeuclidean`` is the square itself: 0 for float32 rows less than 2.6e-23 apart,
and refused for those more than 1.8e19 apart. ``cosine`` is exactly 0 for equal rows and for rows
that differ by a power of two; an angle t is told to about 1e-7 (float32, or 2e-16) as long as it is
below 0.17, and from there on the distance 1 - cos t to a few times that.

A score beyond the largest number of its type, of finite rows, is a ValueError, never inf.
"""

from __future__ import annotations

from typing import Any

from amfast._engine import machine
from amfast._threads import get_num_threads
from amfast.kernels.blocks import Blocks
from amfast.kernels.keys import Keys
from amfast.kernels.merges import merge_topk, merge_within
from amfast.kernels.partials import Partial
from amfast.kernels.reads import partial, retrieve
from amfast.kernels.scores import pairwise, topk, within
from amfast.kernels.sums import hebbian
from amfast.parts import metrics

__doc__ = (__doc__ or "").replace("{metrics}", metrics.table())

__all__ = [
    "Blocks",
    "Keys",
    "Partial",
    "cpu_info",
    "hebbian",
    "merge_topk",
    "merge_within",
    "pairwise",
    "partial",
    "retrieve",
    "topk",
    "within",
]


def cpu_info() -> dict[str, Any]:
    """Say what the engine runs on.

    Returns
    -------
    dict
        ``isa`` in use, ``available`` instruction sets (choose with ``AMFAST_ISA``), ``threads``,
        ``cores``, ``version``, compiled-in ``features``, build ``profile``.
    """
    return {**machine.info(), "threads": get_num_threads()}
