"""Closed forms of the learned linear associative memory, `amfast.LinearAssociativeMemory`.

K orthonormal pairs, label noise alpha, frequencies p_j (Li et al., *Muon in Associative Memory
Learning*, 2026, arXiv 2602.05725). Losses are cross-entropies in nats, from W = 0.
"""

from __future__ import annotations

import math

__all__ = [
    "gd_noiseless_loss",
    "gd_noisy_exponent",
    "label_entropy",
    "muon_learning_rate",
    "muon_noiseless_loss",
    "optimal_margin",
]


def optimal_margin(n_pairs: int, label_noise: float) -> float:
    """Return m* = ln(1 + (1 - alpha) K / alpha), how far the right logit stands above the others.

    At this margin the memory's probabilities are the labels. Infinite without label noise.

    Examples
    --------
    >>> round(optimal_margin(192, 0.1), 3)
    7.455
    """
    k, alpha = _size(n_pairs), _noise(label_noise)
    return math.inf if alpha == 0 else math.log1p((1 - alpha) * k / alpha)


def label_entropy(n_pairs: int, label_noise: float) -> float:
    """Return the entropy of the labels (1 - alpha) [i = j] + alpha / K: the least possible loss."""
    k, alpha = _size(n_pairs), _noise(label_noise)
    if alpha == 0:
        return 0.0
    other = alpha / k
    own = 1 - alpha + other
    return -own * math.log(own) - (k - 1) * other * math.log(other)


def muon_learning_rate(n_pairs: int, label_noise: float, n_steps: int) -> float:
    """Return Muon's step size for n_steps: m* / n_steps, or 1 without label noise.

    One step raises the margin of every pair by the step size, so this arrives at the optimum with
    the last step; the excess loss then scales as (ln K / n_steps)^2.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be >= 1, got {n_steps}")
    margin = optimal_margin(n_pairs, label_noise)
    return 1.0 if math.isinf(margin) else margin / n_steps


def muon_noiseless_loss(n_pairs: int, step: float, lr: float = 1.0) -> float:
    """Return K exp(-lr step), Muon's loss without label noise once it is well below 1.

    Independent of the frequencies.
    """
    return _size(n_pairs) * math.exp(-lr * step)


def gd_noiseless_loss(frequency: float, step: float, lr: float = 1.0) -> float:
    """Return 1 / (lr p_j step), the loss of a pair of frequency p_j under gradient descent.

    In the long run; weighted by its frequency every pair then adds the same, K / (lr step) in all.
    """
    if not 0 < frequency <= 1:
        raise ValueError(f"frequency must be in 0..1 and not 0, got {frequency}")
    return 1.0 / (lr * frequency * step)


def gd_noisy_exponent(beta: float) -> float:
    """Return -(1 - 1 / beta), the exponent of gradient descent's excess loss in the steps.

    For group frequencies i^-beta, beta > 1, many more groups than have been learned yet. Muon's
    exponent is -2 whatever beta.

    Examples
    --------
    >>> gd_noisy_exponent(2.0)
    -0.5
    """
    if beta <= 1:
        raise ValueError(f"beta must be > 1, got {beta}")
    return -(1 - 1 / beta)


def _size(n_pairs: int) -> int:
    if n_pairs < 1:
        raise ValueError(f"n_pairs must be >= 1, got {n_pairs}")
    return n_pairs


def _noise(label_noise: float) -> float:
    if not 0 <= label_noise < 1:
        raise ValueError(f"label_noise must be in 0..1 and below 1, got {label_noise}")
    return label_noise
