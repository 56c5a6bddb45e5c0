"""Muon for matrices inside torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from amfast import _check
from amfast.theory.learned import NEWTON_SCHULZ


class Muon(torch.optim.Optimizer):
    """Steps along the approximate matrix sign of the averaged gradient, for matrices alone.

    With the gradient G of a matrix W of shape (m, n)::

        B <- momentum B + (1 - momentum) G
        U  = momentum B + (1 - momentum) G, or B without nesterov
        W <- (1 - lr weight_decay) W - lr sqrt(max(1, m / n)) newton_schulz(U)

    where `newton_schulz` takes the singular values near 1 by products alone (between what:
    `amfast.theory.newton_schulz_range`). These are the steps of `torch.optim.Muon` of torch 2.9,
    which runs them in bfloat16; here they have the element type of the matrix, on any device.
    Without momentum they are those of ``LinearAssociativeMemory("muon",
    matrix_sign="newton-schulz")`` but for the factor of a tall matrix. Embeddings, biases and the
    last layer are usually given to another optimizer.

    From Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024.

    Parameters
    ----------
    params : iterable of (m, n) tensors, or of groups of them as torch's optimizers take them
    lr : float, default 0.02
        >= 0.
    momentum : float, default 0.95
        0 <= momentum < 1.
    nesterov : bool, default True
    weight_decay : float, default 0.0
        >= 0.
    newton_schulz_steps : int, default 5
        At least 1.

    Raises
    ------
    ValueError
        For numbers out of these ranges and for parameters that are no matrices.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(3, 2, bias=False)
    >>> optimizer = Muon(layer.parameters(), lr=0.1)
    >>> layer(torch.ones(3)).square().sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        newton_schulz_steps: int = 5,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "newton_schulz_steps": newton_schulz_steps,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, all of them matrices."""
        super().add_param_group(param_group)
        try:
            _fit(self.param_groups[-1])
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take a step; return what ``closure`` returns, which computes the gradients if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None and w.numel():
                    self._move(w, group)
        return loss

    def _move(self, w: Tensor, group: dict[str, Any]) -> None:
        if w.grad.layout != torch.strided:
            raise ValueError(
                f"Muon takes no sparse gradients, got one of shape {tuple(w.grad.shape)}; give an "
                "embedding with sparse=True to another optimizer, such as torch.optim.SparseAdam"
            )
        average = self.state[w].setdefault("momentum_buffer", torch.zeros_like(w))
        average.lerp_(w.grad, 1 - group["momentum"])
        ahead = w.grad.lerp(average, group["momentum"]) if group["nesterov"] else average
        w.mul_(1 - group["lr"] * group["weight_decay"])
        tall = math.sqrt(max(1.0, w.shape[0] / w.shape[1]))
        w.sub_(newton_schulz(ahead, group["newton_schulz_steps"]), alpha=group["lr"] * tall)


def _fit(group: dict[str, Any]) -> None:
    """Check the numbers and the parameters of a group."""
    _check.number(group["lr"], "lr", 0.0)
    if _check.number(group["momentum"], "momentum", 0.0) >= 1:
        raise ValueError(f"momentum must be below 1, got {group['momentum']:g}")
    _check.flag(group["nesterov"], "nesterov")
    _check.number(group["weight_decay"], "weight_decay", 0.0)
    _check.integer(group["newton_schulz_steps"], "newton_schulz_steps", 1)
    for w in group["params"]:
        if w.ndim != 2 or w.is_complex():
            kind = "of complex numbers" if w.is_complex() else f"of shape {tuple(w.shape)}"
            raise ValueError(
                f"Muon steps real matrices, got a parameter {kind}; give it to another optimizer"
            )


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Approximate the sign U V^T of a matrix U S V^T by products; that of zero is zero."""
    first, third, fifth = NEWTON_SCHULZ
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    # By the largest entry first: squares of what has nearly vanished would be 0.
    largest = x.abs().amax()
    x = x / torch.where(largest > 0, largest, 1)
    x = x / x.norm().clamp_min(1)
    for _ in range(steps):
        gram = x @ x.T
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x if wide else x.T
