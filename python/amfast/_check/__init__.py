"""The edge: everything a caller hands over is read here once, before anything else sees it.

Functions return what the floors above take without looking again (arrays that are C-contiguous,
aligned, in native byte order, of an element type the engine knows), or raise a ValueError (values,
shapes), TypeError (element types) or MemoryError (what cannot fit) that names the argument, what
was expected and what came.
"""

from amfast._check.arrays import (
    EXACT_INTEGERS,
    array,
    compute_type,
    cues,
    finite,
    frozen,
    nonempty,
    nonnegative,
    read,
    rows,
    same_width,
    vector,
    widen,
)
from amfast._check.numbers import (
    MAX_THREADS,
    choice,
    flag,
    function,
    integer,
    item_ids,
    name_of,
    name_of_function,
    number,
    radius,
)
from amfast._check.outputs import (
    empty,
    fits,
    out,
    room,
)
from amfast._check.weights import (
    item_weights,
    log_weights,
)

__all__ = [
    "EXACT_INTEGERS",
    "MAX_THREADS",
    "array",
    "choice",
    "compute_type",
    "cues",
    "empty",
    "finite",
    "fits",
    "flag",
    "frozen",
    "function",
    "integer",
    "item_ids",
    "item_weights",
    "log_weights",
    "name_of",
    "name_of_function",
    "nonempty",
    "nonnegative",
    "number",
    "out",
    "radius",
    "read",
    "room",
    "rows",
    "same_width",
    "vector",
    "widen",
]
