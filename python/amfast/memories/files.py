"""Memories in files: parameters as names and numbers, what is stored as arrays."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from amfast import parts
from amfast._typing import Array
from amfast.bits import BitMatrix

PARTS = {
    kind.__name__: kind
    for kind in (
        parts.Elu, parts.Entmax, parts.Exponential, parts.Fourier, parts.Identity, parts.Log,
        parts.Max, parts.Polynomial, parts.Readout, parts.Softmax, parts.Sparsemax, parts.Sqrt,
        parts.Threshold, parts.TopK,
    )
}  # fmt: skip
_PREFIX = "parameter."


def encoded(parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return parameters fit for JSON, and the arrays among them.

    Raises
    ------
    TypeError
        For a Python function, naming the parameter.
    """
    plain: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for name, value in parameters.items():
        if isinstance(value, BitMatrix):
            arrays[_PREFIX + name] = value.to_packed()
            plain[name] = {"bits": value.n_bits}
        elif isinstance(value, np.ndarray):
            arrays[_PREFIX + name] = value
            plain[name] = {"array": True}
        elif isinstance(value, parts.FittedSimilarity):
            arrays[_PREFIX + name] = value.lines
            plain[name] = {"fitted": value.name}
        else:
            plain[name] = _plain(name, value)
    return plain, arrays


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, tuple | list):
        return [_plain(name, x) for x in value]
    if isinstance(value, parts.Similarity) and value.metric is not None:
        return value.metric
    known = PARTS.get(type(value).__name__)
    if known is type(value) and is_dataclass(value):
        own = {f.name: _plain(name, getattr(value, f.name)) for f in fields(value) if f.init}
        return {"part": type(value).__name__, **own}
    raise TypeError(
        f"{name}={value!r} is or holds a Python function, which a file cannot hold; save keys and "
        "values, and make the memory again with the function"
    )


def decoded(plain: dict[str, Any], arrays: dict[str, Array]) -> dict[str, Any]:
    """Return the parameters; takes theirs out of ``arrays``."""
    return {name: _decoded(name, value, arrays) for name, value in plain.items()}


def _decoded(name: str, value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if set(value) == {"bits"}:
        return BitMatrix.from_packed(arrays.pop(_PREFIX + name), value["bits"])
    if set(value) == {"array"}:
        return arrays.pop(_PREFIX + name)
    if set(value) == {"fitted"}:
        return parts.FittedSimilarity(arrays.pop(_PREFIX + name), value["fitted"])
    own = dict(value)
    return PARTS[own.pop("part")](**own)
