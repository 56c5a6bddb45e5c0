"""The two operators that torch sees: a retrieval of many heads, and its slopes.

Both take contiguous tensors with one batch dimension. ``threads`` is 0 for the setting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amfast._engine.heads import Read, read_heads, slopes_of_heads
from amfast._threads import resolve_threads
from amfast._typing import Array, Float

_INPUTS = (
    "Tensor cues, Tensor keys, Tensor values, Tensor beta, Tensor? log_weight, "
    "str similarity, bool causal, int threads"
)


def _array(x: Tensor) -> Array:
    return np.asarray(x.detach().contiguous().numpy())


def _double(x: Tensor) -> Float:
    return _array(x).astype(np.float64, order="C")


@torch.library.custom_op(
    "amfast::retrieve", mutates_args=(), schema=f"({_INPUTS}) -> (Tensor, Tensor)"
)
def read(*inputs: Any) -> tuple[Tensor, Tensor]:
    """Read values (B, Q, o) and the logarithms (B, Q), float64, of the sums of weights."""
    out, log_scale = _no_values(*inputs)
    if log_scale.numel():
        read_heads(_asked(*inputs), out.numpy(), log_scale.numpy())
    return out, log_scale


@torch.library.custom_op(
    "amfast::retrieve_backward",
    mutates_args=(),
    schema=f"(Tensor grad, Tensor out, Tensor log_scale, {_INPUTS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def slopes(
    grad: Tensor, out: Tensor, log_scale: Tensor, *inputs: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Derive by cues, keys, values, beta and log_weight (B, N)."""
    found = _no_slopes(*inputs)
    if not log_scale.numel():
        return tuple(x.zero_() for x in found)
    beta, log_weight = (x.to(torch.float64) for x in found[3:])
    into = *(x.numpy() for x in found[:3]), beta.numpy(), log_weight.numpy()
    slopes_of_heads(_asked(*inputs), _array(out), _array(log_scale), _array(grad), into)
    return (*found[:3], beta.to(grad.dtype), log_weight.to(grad.dtype))


def _asked(
    cues: Tensor, keys: Tensor, values: Tensor, beta: Tensor, log_weight: Tensor | None,
    similarity: str, causal: bool, threads: int,
) -> Read:  # fmt: skip
    """Return the inputs as the engine takes them."""
    return Read(
        _array(cues), _array(keys), _array(values), similarity, _double(beta),
        None if log_weight is None else _double(log_weight), causal,
        resolve_threads(threads or None),
    )  # fmt: skip


def _no_values(cues: Tensor, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    """Make room for what is read."""
    head = cues.shape[:2]
    return cues.new_empty((*head, values.shape[2])), cues.new_empty(head, dtype=torch.float64)


def _no_slopes(
    cues: Tensor, keys: Tensor, values: Tensor, beta: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Make room for the derivatives."""
    by = (x.new_empty(x.shape) for x in (cues, keys, values, beta))
    return (*by, keys.new_empty(keys.shape[:2]))


read.register_fake(_no_values)
slopes.register_fake(lambda grad, out, log_scale, *inputs: _no_slopes(*inputs))


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
