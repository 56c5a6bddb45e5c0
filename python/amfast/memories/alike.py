"""Whether what is to be stored, or merged, is like what a memory holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast._stores.items import Stored
from amfast.bits import BitMatrix


def check_alike(memory: Any, keys: Any, values: Any, unit: str = "columns") -> None:
    """Refuse items of other widths than those stored, or of the other kind.

    Parameters
    ----------
    memory : Memory
        One that keeps `Stored` items.
    keys, values : (N, d) array or BitMatrix
        Checked rows; ``values`` None if autoassociative.
    unit : str
        What widths count: "columns", "bits".
    """
    if values is not None and len(values) != len(keys):
        raise ValueError(f"values have {len(values)} rows, keys have {len(keys)}")
    now: Stored | None = memory._store.now
    if now is None:
        return
    if keys.shape[1] != now.width:
        raise ValueError(f"keys have {keys.shape[1]} {unit}, the memory stores {now.width}")
    if now.heteroassociative != (values is not None):
        kind = "values with" if now.heteroassociative else "no values beside"
        raise ValueError(f"the memory stores {kind} its keys; values must be given alike")
    if values is None:
        return
    if isinstance(values, BitMatrix) != isinstance(now.values, BitMatrix):
        kind = "a BitMatrix" if isinstance(now.values, BitMatrix) else "arrays"
        raise ValueError(f"the memory stores values of {kind}; they must be given alike")
    if values.shape[1] != now.value_width:
        raise ValueError(
            f"values have {values.shape[1]} {unit}, the memory stores {now.value_width}"
        )


def one_row(given: Any) -> bool:
    """Whether one 1-d row was given, rather than rows."""
    if isinstance(given, (list, tuple)):
        return len(given) > 0 and all(isinstance(x, (int, float, np.number)) for x in given)
    return getattr(given, "ndim", None) == 1 and getattr(given, "dtype", None) != np.object_


def as_rows(given: Any) -> Any:
    """Return one row as rows."""
    return [given] if isinstance(given, (list, tuple)) else given[None]


def equal(mine: Any, theirs: Any) -> bool:
    """Whether two parameters are equal; arrays are if all their entries are."""
    if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
        return np.array_equal(mine, theirs)
    return bool(mine == theirs)


def shown(value: Any) -> str:
    """Return a parameter as `repr` shows it: long arrays by three dots."""
    if isinstance(value, np.ndarray):
        return "..." if value.ndim else f"{float(value):g}"
    return repr(value)
