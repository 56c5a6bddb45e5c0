"""`retrieve`: arguments read, batches brought into the form of the operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from amfast import _check
from amfast._engine.heads import METRICS
from amfast.torch.operators import read

SIMILARITIES = (*METRICS, "cosine")
"""What `retrieve` scores by."""


def retrieve(
    cues: Tensor,
    keys: Tensor,
    values: Tensor | None = None,
    *,
    similarity: str = "dot",
    beta: float | Tensor | None = None,
    log_weight: Tensor | None = None,
    causal: bool = False,
    threads: int | None = None,
) -> Tensor:
    """Recall values by similarity, with gradients, without ever holding the (Q, N) scores.

    ``out = softmax(beta sim(cues, keys) + log_weight) values``; a distance d counts as -d. With
    ``beta=1/sqrt(d)`` it is `torch.nn.functional.scaled_dot_product_attention`. A cue for which all
    weights are zero reads zeros.

    Parameters
    ----------
    cues : (..., Q, d) tensor
        float32 or float64 on the CPU, as all tensors here.
    keys : (..., N, d) tensor
    values : (..., N, o) tensor, optional
        None means the keys. Leading dimensions broadcast.
    similarity : {"dot", "sqeuclidean", "euclidean", "manhattan", "cosine"}, default "dot"
        Where a magnitude has a kink its slope is 0: of ``manhattan`` where entries are equal, of
        ``euclidean`` where rows are, of ``cosine`` at zero rows.
    beta : float or (...) tensor, optional
        Inverse temperature, finite and >= 0, one or one for each head. None means 1.
    log_weight : (..., N) tensor, optional
        Natural logarithms of the keys' weights; -inf leaves a key out.
    causal : bool, default False
        Whether cue i reads keys 0 to i only.
    threads : int, optional
        None means the setting. It changes no bit of results or gradients.

    Returns
    -------
    (..., Q, o) tensor
        Derivatives reach cues, keys, values, beta and log_weight, once: there are no second ones.

    Raises
    ------
    TypeError
        For other devices and types, or for what is no tensor.
    ValueError
        For other similarities, shapes that do not fit, no keys, a NaN or infinity (also in the
        gradient on its way back), or a score beyond the type.

    Examples
    --------
    >>> import torch
    >>> heads = torch.arange(24.0).reshape(2, 3, 4) / 24
    >>> retrieve(heads, heads, beta=0.5, causal=True).shape
    torch.Size([2, 3, 4])
    """
    values = keys if values is None else values
    given = {"cues": cues, "keys": keys, "values": values}
    if log_weight is not None:
        given["log_weight"] = log_weight
    if isinstance(beta, Tensor):
        given["beta"] = beta
    for name, x in given.items():
        _admit(x, name, cues)
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be one of {SIMILARITIES}, got {similarity!r}")
    _fit(cues, keys, values, log_weight)
    asked = 0 if threads is None else _check.integer(threads, "threads", 1, _check.MAX_THREADS)
    if similarity == "cosine":
        cues, keys, similarity = _unit(cues), _unit(keys), "dot"
    steep = beta if isinstance(beta, Tensor) else _number(beta, cues)
    if not causal and keys.dim() == values.dim() == 2 and _shared(steep, log_weight):
        # All cues meet the same keys: they are one head's.
        out = _read(cues.flatten(0, -2), keys, values, similarity, steep, log_weight, False, asked)
        return out.unflatten(0, cues.shape[:-1])
    return _read(cues, keys, values, similarity, steep, log_weight, causal, asked)


def _read(
    cues: Tensor, keys: Tensor, values: Tensor, similarity: str, beta: Tensor,
    log_weight: Tensor | None, causal: bool, threads: int,
) -> Tensor:  # fmt: skip
    """Read with one batch dimension, of which autograd undoes the broadcasting."""
    leading = [cues.shape[:-2], keys.shape[:-2], values.shape[:-2], beta.shape]
    if log_weight is not None:
        leading.append(log_weight.shape[:-1])
    try:
        batch = torch.broadcast_shapes(*leading)
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(shape)) for shape in leading)
        raise ValueError(
            f"leading dimensions of cues, keys, values, beta and log_weight must broadcast, "
            f"got {shapes}"
        ) from error

    def heads(x: Tensor, own: int) -> Tensor:
        inner = x.shape[x.dim() - own :]
        return x.expand((*batch, *inner)).reshape((batch.numel(), *inner)).contiguous()

    weights = None if log_weight is None else heads(log_weight, 1)
    rows = (heads(x, 2) for x in (cues, keys, values))
    out, _ = read(*rows, heads(beta, 0), weights, similarity, causal, threads)
    return out.reshape(*batch, *out.shape[1:])


def _number(beta: float | None, cues: Tensor) -> Tensor:
    try:
        return cues.new_full((), 1.0 if beta is None else beta)
    except TypeError as error:
        told = f"beta must be a number or a tensor, got {type(beta).__name__}"
        raise TypeError(told) from error


def _shared(beta: Tensor, log_weight: Tensor | None) -> bool:
    """Whether one beta and one weight a key serve all heads."""
    return beta.dim() == 0 and (log_weight is None or log_weight.dim() == 1)


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; zero rows stay zero, and so do their derivatives."""
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    # Divided first, so that no square overflows or vanishes.
    x = x / largest.masked_fill(largest == 0, 1)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, torch.inf)


def _admit(x: Any, name: str, cues: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(x).__name__}")
    if x.device.type != "cpu":
        raise TypeError(f"{name} must be on the CPU, got a tensor on {x.device}; use {name}.cpu()")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}")
    if x.dtype != cues.dtype:
        raise TypeError(f"{name} must have the type of the cues, {cues.dtype}, got {x.dtype}")
    if x.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {x.layout}")


def _fit(cues: Tensor, keys: Tensor, values: Tensor, log_weight: Tensor | None) -> None:
    for name, x in (("cues", cues), ("keys", keys), ("values", values)):
        if x.dim() < 2 or x.shape[-1] == 0:
            raise ValueError(f"{name} must be (..., rows, columns), got shape {tuple(x.shape)}")
    n, width = keys.shape[-2:]
    if cues.shape[-1] != width:
        raise ValueError(f"cues have {cues.shape[-1]} columns, the keys have {width}")
    if values.shape[-2] != n:
        raise ValueError(f"values have {values.shape[-2]} rows, the keys have {n}")
    if n == 0:
        raise ValueError("there are no keys; at least one is needed")
    if log_weight is not None and (log_weight.dim() < 1 or log_weight.shape[-1] != n):
        raise ValueError(
            f"log_weight must be (..., {n}), one for each key, got shape {tuple(log_weight.shape)}"
        )
