"""The two operators that torch sees: a retrieval of many heads, and its slopes.

Both take contiguous tensors with one batch dimension. ``threads`` is 0 for the setting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amfast._engine.heads import read_heads, slopes_of_heads
from amfast._threads import resolve_threads
from amfast._typing import Array

_INPUTS = (
    "Tensor cues, Tensor keys, Tensor values, Tensor beta, Tensor? log_weight, "
    "str similarity, bool causal, int threads"
)


def _array(x: Tensor) -> Array:
    return np.asarray(x.detach().contiguous().numpy())


def _options(
    beta: Tensor, log_weight: Tensor | None, similarity: str, causal: bool, threads: int
) -> tuple[Any, ...]:
    """Read what follows the rows, as the engine takes it."""
    b = None if log_weight is None else _array(log_weight).astype(np.float64, order="C")
    beta_of = _array(beta).astype(np.float64, order="C")
    return similarity, beta_of, b, causal, resolve_threads(threads or None)


@torch.library.custom_op(
    "amfast::retrieve", mutates_args=(), schema=f"({_INPUTS}) -> (Tensor, Tensor)"
)
def read(
    cues: Tensor, keys: Tensor, values: Tensor, beta: Tensor, log_weight: Tensor | None,
    similarity: str, causal: bool, threads: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Read values (B, Q, o) and the logarithms (B, Q), float64, of the sums of weights."""
    if cues.shape[0] * cues.shape[1] == 0:
        return _no_values(cues, keys, values)
    options = _options(beta, log_weight, similarity, causal, threads)
    out, log_scale = read_heads(_array(cues), _array(keys), _array(values), *options)
    return torch.from_numpy(out), torch.from_numpy(log_scale)


@torch.library.custom_op(
    "amfast::retrieve_backward",
    mutates_args=(),
    schema=f"(Tensor grad, Tensor out, Tensor log_scale, {_INPUTS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def slopes(
    grad: Tensor, out: Tensor, log_scale: Tensor,
    cues: Tensor, keys: Tensor, values: Tensor, beta: Tensor, log_weight: Tensor | None,
    similarity: str, causal: bool, threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Derive by cues, keys, values, beta and log_weight (B, N)."""
    if cues.shape[0] * cues.shape[1] == 0:
        return tuple(x.zero_() for x in _like_inputs(cues, keys, values, beta))  # type: ignore[return-value]
    found = slopes_of_heads(
        _array(grad), _array(out), _array(log_scale),
        _array(cues), _array(keys), _array(values),
        *_options(beta, log_weight, similarity, causal, threads),
    )  # fmt: skip
    return tuple(torch.from_numpy(x).to(cues.dtype) for x in found)  # type: ignore[return-value]


def _no_values(cues: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Make room for what is read."""
    head = cues.shape[:2]
    return cues.new_empty((*head, values.shape[2])), cues.new_empty(head, dtype=torch.float64)


def _like_inputs(*inputs: Tensor) -> tuple[Tensor, ...]:
    """Make room for the derivatives by these four and by the log-weights of the keys."""
    found = [x.new_empty(x.shape) for x in inputs]
    return (*found, inputs[1].new_empty(inputs[1].shape[:2]))


@read.register_fake
def _(cues, keys, values, beta, log_weight, similarity, causal, threads):  # type: ignore[no-untyped-def]
    return _no_values(cues, keys, values)


@slopes.register_fake
def _(grad, out, log_scale, cues, keys, values, beta, *rest):  # type: ignore[no-untyped-def]
    return _like_inputs(cues, keys, values, beta)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.similarity, ctx.causal, ctx.threads = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])


def _slopes_of(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    *tensors, out, log_scale = ctx.saved_tensors
    options = ctx.similarity, ctx.causal, ctx.threads
    found = slopes(grad.contiguous(), out, log_scale, *tensors, *options)
    if tensors[-1] is None:
        found = (*found[:-1], None)
    return (*found, None, None, None)


def _twice(ctx: Any, *_: Any) -> Any:
    raise ValueError(
        "amfast.torch.retrieve has first derivatives only; a second backward through it "
        "(create_graph=True) is not supported"
    )


read.register_autograd(_slopes_of, setup_context=_save)
slopes.register_autograd(_twice)


def _over_heads(operator: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Any]:
    """Make the vmap rule: a mapped dimension is more heads."""

    def rule(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, ...]:
        n = info.batch_size

        def heads(x: Any, at: int | None) -> Any:
            if not isinstance(x, Tensor):
                return x
            x = x.unsqueeze(0).expand(n, *x.shape) if at is None else x.movedim(at, 0)
            return x.flatten(0, 1)

        found = operator(*map(heads, args, in_dims))
        return tuple(x.unflatten(0, (n, -1)) for x in found), (0,) * len(found)

    return rule


read.register_vmap(_over_heads(read))
slopes.register_vmap(_over_heads(slopes))
