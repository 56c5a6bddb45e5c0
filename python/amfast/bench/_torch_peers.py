"""How torch's users attend by heads, and train through it: its own operators and amfast's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amfast._typing import Array
from amfast.bench._case import Call, Contender, Data

_HEADS = 40


def heads(similarity: str, backward: bool) -> tuple[Contender, ...]:
    """Return those who attend by 40 heads of the same size, amfast first.

    Results are what is read or, with ``backward``, the gradients by cues, keys and values.
    """

    def ours(module: Any, data: Data) -> Call:
        def read(q: Any, k: Any, v: Any) -> Any:
            return module.retrieve(
                q, k, v, similarity=similarity, beta=_beta(data), threads=data.threads
            )

        return _run(read, data, backward)

    def theirs(module: Any, data: Data) -> Call:
        attend = module.nn.functional.scaled_dot_product_attention

        def read(q: Any, k: Any, v: Any) -> Any:
            if similarity == "dot":
                return attend(q, k, v, scale=_beta(data))
            return (-_beta(data) * module.cdist(q, k, p=1.0)).softmax(dim=-1) @ v

        return _run(read, data, backward)

    return Contender("amfast", "amfast.torch", ours), Contender("torch", "torch", theirs)


def _run(read: Any, data: Data, backward: bool) -> Call:
    """Return the call of one who reads."""
    import torch

    rng = np.random.default_rng(7)

    def tensor(rows: Array) -> Any:
        shape = (_HEADS, *rows.shape)
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).requires_grad_()

    inputs = [tensor(data.cues), tensor(data.keys), tensor(data.keys)]
    weights = tensor(data.cues).detach()

    def forward() -> Array:
        with torch.no_grad():
            return np.asarray(read(*inputs).numpy())

    def both() -> Array:
        found = torch.autograd.grad(read(*inputs), inputs, weights)
        return np.asarray(torch.cat([x.flatten() for x in found]).numpy())

    return both if backward else forward


def _beta(data: Data) -> float:
    width: int = data.keys.shape[1]
    return 1.0 / math.sqrt(width)
