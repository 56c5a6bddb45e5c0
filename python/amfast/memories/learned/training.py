"""What training a linear memory is made of: matrix signs, the record of the steps, coordinates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amfast import theory
from amfast._typing import Array, Float, Int
from amfast.theory.learned import NEWTON_SCHULZ

# Singular values below this share of the largest count as zero in the exact matrix sign.
RANK_TOLERANCE = 1e-12


# -- matrix signs ---------------------------------------------------------------------------------


def matrix_sign(matrix: Float) -> Float:
    """Return U V^T of the singular value decomposition U S V^T over its nonzero part.

    Nonzero means above 1e-12 of the largest singular value; the sign of a zero matrix is zero.
    """
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    kept = s > RANK_TOLERANCE * s[0] if len(s) else np.zeros(0, bool)
    return np.asarray(u[:, kept] @ vt[kept])


def newton_schulz(matrix: Float, steps: int = 5) -> Float:
    """Approximate `matrix_sign` by products alone, with the coefficients of Jordan et al.'s Muon.

    X <- a X + (b X X^T + c (X X^T)^2) X from X = matrix / |matrix|_F. Where singular values end is
    `theory.newton_schulz_range`; the sign of a zero matrix is zero.
    """
    first, third, fifth = NEWTON_SCHULZ
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (float(np.abs(x).max(initial=0.0)) or 1.0)
    x = x / (float(np.linalg.norm(x)) or 1.0)
    for _ in range(steps):
        gram = x @ x.T
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x if wide else x.T


# -- history -----------------------------------------------------------------------------------


class History(NamedTuple):
    """Entry t is after t steps."""

    loss: Float
    excess: Float
    accuracy: Float
    group_loss: Float
    group_accuracy: Float

    def then(self, later: History) -> History:
        """Add what came later, whose first entry is the last of this."""
        return History(*(np.concatenate([a, b[1:]]) for a, b in zip(self, later, strict=True)))


class Record:
    """Loss and accuracy after each step, and the residual p^ - p that the gradient is made of."""

    def __init__(self, f: Float, names: Array, group: Int, answers: Array) -> None:
        self.losses: list[float] = []
        self._excess: list[float] = []
        self._accuracy: list[float] = []
        self._group_loss: list[Float] = []
        self._group_accuracy: list[Float] = []
        self._f = f
        share = np.zeros((len(f), len(names)))
        share[np.arange(len(f)), group] = f
        total = share.sum(axis=0)
        # A group that is never asked has no frequencies to weigh by.
        even = (group[:, None] == np.arange(len(names))) / np.bincount(group, minlength=len(names))
        self._share = np.where(total > 0, share / np.where(total > 0, total, 1.0), even)
        self._same = np.unique(answers, axis=0, return_inverse=True)[1].reshape(-1)

    def add(self, logits: Float, alpha: float) -> Float:
        """Record what the logits (answers, queries) come to; return p^ - p."""
        k = len(logits)
        pairs = np.arange(k)
        best = logits.argmax(axis=0)
        wrong = self._same[best] != self._same
        shifted = logits - logits[best, pairs]
        share = np.exp(shifted)
        # 1 + the rest: the logarithm keeps its digits where the rest is tiny.
        share[best, pairs] = 0.0
        rest = share.sum(axis=0)
        share[best, pairs] = 1.0
        log_total = np.log1p(rest)
        share /= 1.0 + rest
        own = log_total - shifted[pairs, pairs]
        loss = (1 - alpha) * own + alpha * (log_total - shifted.mean(axis=0))
        excess = loss - theory.learned_entropy(k, alpha)
        residual: Float = share - alpha / k
        residual[pairs, pairs] = 0.0
        # Columns sum to zero; this way the own entry does not cancel when nearly everything is
        # learned.
        residual[pairs, pairs] = -residual.sum(axis=0)
        self.losses.append(float(self._f @ loss))
        self._excess.append(float(self._f @ excess))
        self._accuracy.append(1.0 - float(self._f @ wrong))
        self._group_loss.append(excess @ self._share)
        self._group_accuracy.append(1.0 - wrong @ self._share)
        return residual

    def arrays(self) -> History:
        """Return what was recorded."""
        fields = (
            self.losses,
            self._excess,
            self._accuracy,
            self._group_loss,
            self._group_accuracy,
        )
        return History(*(np.array(field) for field in fields))


# -- coordinates ----------------------------------------------------------------------------------


def span(x: Float) -> tuple[Float | None, Float]:
    """Orthonormal columns Q (d, K) and x Q (K, K) where x has fewer rows than columns."""
    if len(x) >= x.shape[1]:
        return None, x
    q, r = np.linalg.qr(x.T)
    return q, np.ascontiguousarray(r.T)


def inward(left: Float | None, w: Float, right: Float | None) -> Float:
    """W in the coordinates of two spans, left^T W right."""
    w = w if left is None else left.T @ w
    return w if right is None else w @ right


def outward(left: Float | None, w: Float, right: Float | None) -> Float:
    """Back to the columns, left W right^T."""
    w = w if left is None else left @ w
    return w if right is None else w @ right.T


def curvature(x: Float) -> float:
    """Largest eigenvalue of x^T x."""
    gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T
    return float(np.linalg.eigvalsh(gram)[-1])
