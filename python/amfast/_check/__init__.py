"""The edge: everything a caller hands over is read here once, before anything else sees it.

Functions return what the floors above take without looking again (arrays that are C-contiguous,
aligned, in native byte order, of an element type the engine knows), or raise a ValueError (values,
shapes), TypeError (element types) or MemoryError (what cannot fit) that names the argument, what
was expected and what came.
"""

from amfast._check import weights
from amfast._check.arrays import (
    array,
    contiguous,
    cues,
    distinct,
    finite,
    frozen,
    labels,
    nonempty,
    nonnegative,
    read,
    rows,
    same_width,
    shape_hint,
    vector,
)
from amfast._check.elements import EXACT_INTEGERS, compute_type, is_bfloat16, widen
from amfast._check.masks import known, per_cue, where
from amfast._check.numbers import (
    MAX_SEED,
    MAX_THREADS,
    MIN_SQUARED,
    choice,
    flag,
    function,
    indices,
    integer,
    item_ids,
    name_of,
    name_of_function,
    number,
    radius,
    seed,
    shown,
)
from amfast._check.outputs import (
    empty,
    fits,
    out,
    retyped,
    room,
)
from amfast._check.weights import (
    item_weights,
    log_weights,
)

__all__ = [
    "EXACT_INTEGERS",
    "MAX_SEED",
    "MAX_THREADS",
    "MIN_SQUARED",
    "array",
    "choice",
    "compute_type",
    "contiguous",
    "cues",
    "distinct",
    "empty",
    "finite",
    "fits",
    "flag",
    "frozen",
    "function",
    "indices",
    "integer",
    "is_bfloat16",
    "item_ids",
    "item_weights",
    "known",
    "labels",
    "log_weights",
    "name_of",
    "name_of_function",
    "nonempty",
    "nonnegative",
    "number",
    "shape_hint",
    "out",
    "radius",
    "per_cue",
    "read",
    "retyped",
    "room",
    "rows",
    "same_width",
    "seed",
    "shown",
    "vector",
    "weights",
    "where",
    "widen",
]
