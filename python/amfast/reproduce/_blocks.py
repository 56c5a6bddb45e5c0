"""Training of the linear associative memory on orthonormal pairs, reduced to its groups.

From W = 0 all pairs of one frequency stay alike: the logit of answer i, group g, for query j, group
h, is ``B[g, h] + [i = j] d[h]``. So M x M matrices stand for K x K ones, exactly, under gradient
descent and under Muon (whose matrix sign splits into the groups' means and what is left).
"""

from __future__ import annotations

import numpy as np

from amfast import theory
from amfast._typing import Float


def excess_losses(
    optimizer: str, group_frequency: Float, size: int, alpha: float, lr: float, n_steps: int
) -> Float:
    """Return the loss above the least possible after 0 .. n_steps steps.

    Parameters
    ----------
    optimizer : {"gd", "muon"}
    group_frequency : (M,) array
        Of each group as a whole.
    size : int
        Pairs per group, K / M.
    alpha : float
        Label noise.
    lr : float
    n_steps : int
    """
    groups = len(group_frequency)
    k = groups * size
    p = group_frequency / group_frequency.sum() / size
    off, own = np.zeros((groups, groups)), np.zeros(groups)
    label_off, label_own = alpha / k, 1 - alpha + alpha / k
    entropy = theory.learned_entropy(k, alpha)
    out = np.empty(n_steps + 1)
    for step in range(n_steps + 1):
        right = np.diag(off) + own
        top = np.maximum(off.max(axis=0), right)
        share_off, share_own = np.exp(off - top), np.exp(right - top)
        others = size * share_off.sum(axis=0) - np.diag(share_off)
        # As in the memory itself: the logarithm keeps its digits when nearly all is learned.
        log_total = np.where(right >= top, np.log1p(others), np.log(others + share_own)) + top
        loss = log_total - label_own * right
        loss -= label_off * (size * off.sum(axis=0) - np.diag(off))
        out[step] = size * p @ loss - entropy
        total = others + share_own
        residual = (share_off / total - label_off) * p
        # Columns of p^ - p sum to zero, which gives the own entry without cancellation.
        residual_own = -(size * residual.sum(axis=0) - np.diag(residual)) - np.diag(residual)
        if optimizer == "muon":
            residual, residual_own = _matrix_sign(residual, residual_own, size)
        off, own = off - lr * residual, own - lr * residual_own
    return out


def _matrix_sign(off: Float, own: Float, size: int) -> tuple[Float, Float]:
    means = size * off + np.diag(own)
    u, s, vt = np.linalg.svd(means)
    largest = max(float(s[0]), float(np.abs(own).max()))
    kept = s > 1e-12 * largest
    sign = np.where(np.abs(own) > 1e-12 * largest, np.sign(own), 0.0)
    return (u[:, kept] @ vt[kept] - np.diag(sign)) / size, sign
