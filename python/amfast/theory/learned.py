"""The learned linear associative memory: what its training reaches, and how fast.

For K orthonormal pairs, label noise alpha, and W = 0 at the start; losses are cross-entropies in
nats. From Li et al., *Muon in Associative Memory Learning: Training Dynamics and Scaling Laws*,
2026, arXiv 2602.05725.
"""

from __future__ import annotations

import math

from amfast import _check

__all__ = [
    "gd_noiseless_loss",
    "gd_noisy_exponent",
    "learned_entropy",
    "learned_margin",
    "muon_alignment",
    "muon_learning_rate",
    "muon_noiseless_loss",
    "muon_noisy_exponent",
    "newton_schulz_range",
]

# Muon's quintic a x + b x^3 + c x^5: it lifts small singular values fast and leaves them near 1,
# not at 1. From Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def learned_margin(n_pairs: int, label_noise: float) -> float:
    """Margin m* = ln(1 + (1 - alpha) K / alpha) of the right logit over the others at the optimum.

    At this margin the memory's probabilities are the labels (1 - alpha) [i = j] + alpha / K.
    Infinite without label noise. Exact for orthonormal pairs.

    Parameters
    ----------
    n_pairs : int
        K, >= 1.
    label_noise : float
        alpha, 0 <= alpha < 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> round(theory.learned_margin(192, 0.1), 2)
    7.46
    """
    k, alpha = _check.integer(n_pairs, "n_pairs", 1), noise(label_noise)
    return math.inf if alpha == 0 else math.log1p((1 - alpha) * k / alpha)


def learned_entropy(n_pairs: int, label_noise: float) -> float:
    """Entropy of the labels (1 - alpha) [i = j] + alpha / K in nats: the least possible loss.

    Exact, whatever the pairs; orthonormal ones reach it.

    Parameters
    ----------
    n_pairs : int
        K, >= 1.
    label_noise : float
        alpha, 0 <= alpha < 1.

    Returns
    -------
    float
    """
    k, alpha = _check.integer(n_pairs, "n_pairs", 1), noise(label_noise)
    if alpha == 0:
        return 0.0
    other = alpha / k
    own = 1 - alpha + other
    return -own * math.log(own) - (k - 1) * other * math.log(other)


def muon_learning_rate(n_pairs: int, label_noise: float, n_steps: int) -> float:
    """Step size m* / n_steps, by which Muon reaches the optimum in n_steps; 1 without label noise.

    For orthonormal pairs a step raises the margin of every pair by the step size.

    Parameters
    ----------
    n_pairs : int
        K, >= 1.
    label_noise : float
        alpha, 0 <= alpha < 1.
    n_steps : int
        >= 1.

    Returns
    -------
    float
    """
    n_steps = _check.integer(n_steps, "n_steps", 1)
    margin = learned_margin(n_pairs, label_noise)
    return 1.0 if margin == math.inf else margin / n_steps


def muon_noiseless_loss(n_pairs: int, step: float, lr: float = 1.0) -> float:
    """Loss K exp(-lr step) of Muon without label noise, whatever the frequencies.

    Asymptotic: once the loss is well below 1; for orthonormal pairs, from W = 0.

    Parameters
    ----------
    n_pairs : int
        K, >= 1.
    step : float
        Steps taken, >= 0.
    lr : float, default 1.0

    Returns
    -------
    float
    """
    k, step = _check.integer(n_pairs, "n_pairs", 1), _check.number(step, "step", 0.0)
    return k * math.exp(-_check.number(lr, "lr", 0.0) * step)


def muon_noisy_exponent() -> float:
    """Exponent -2 of Muon's excess loss in the steps, (ln K / n_steps)^2, whatever the frequencies.

    With label noise and a step size in proportion to 1 / n_steps. A multiple of the step size that
    lands exactly on the optimum hides it; take several and look at their envelope.

    Returns
    -------
    float
    """
    return -2.0


def muon_alignment(n_pairs: int, n_groups: int) -> float:
    """Bound 2 / C on how far Muon's step is from the one that knows the pairs, C = K / M.

    Muon steps along the preconditioned gradient ``msgn(G) = (G G^T)^(-1/2) G``. In the coordinates
    of orthonormal pairs the step that raises every pair alike is the identity, and no entry of
    ``-msgn(G)`` differs from it by more than this: at every step from W = 0 that begins below the
    optimal margin (without label noise all do), whatever the frequencies. Within a group all pairs
    stay alike, so ``-msgn(G) = I + (S - I) x 1 1^T / C``, where S, the sign of the M x M matrix of
    the groups' means, has entries between -1 and 1. The paper's bound (1 + M) / C is never smaller.

    Parameters
    ----------
    n_pairs : int
        K, >= 1.
    n_groups : int
        M, >= 1, groups of as many pairs each, whose frequencies are alike; divides K.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> theory.muon_alignment(96, 8)
    0.16666666666666666
    """
    k, m = _check.integer(n_pairs, "n_pairs", 1), _check.integer(n_groups, "n_groups", 1)
    if k % m:
        raise ValueError(f"n_groups must divide n_pairs, got {m} and {k}")
    return 2 * m / k


def newton_schulz_range(share: float, n_steps: int = 5) -> tuple[float, float]:
    """Least and greatest singular value that Newton-Schulz makes of those in share .. 1.

    Muon's approximate sign takes ``X = G / |G|_F`` and, n_steps times, every singular value x to
    ``3.4445 x - 4.7750 x^3 + 2.0315 x^5``. With all of G's at least ``share |G|_F`` and (l, h) what
    is returned, the step is a preconditioned gradient of condition number at most h / l, within
    max(1 - l, h - 1) of msgn(G) in the spectral norm, and ``<G, step> >= l |G|_nuclear``. Exact:
    the image of an interval is the interval between the extremes at its ends and turning points.

    Parameters
    ----------
    share : float
        Least singular value over the Frobenius norm, 0 <= share <= 1.
    n_steps : int, default 5
        1 to 1000.

    Returns
    -------
    float, float

    Examples
    --------
    >>> from amfast import theory
    >>> [round(x, 3) for x in theory.newton_schulz_range(0.01)]
    [0.682, 1.134]
    """
    low, high = _check.number(share, "share", 0.0), 1.0
    if low > high:
        raise ValueError(f"share must be at most 1, got {low:g}")
    n_steps = _check.integer(n_steps, "n_steps", 1)
    if n_steps > 1000:
        raise ValueError(f"n_steps must be at most 1000, got {n_steps}")
    a, b, c = NEWTON_SCHULZ
    root = math.sqrt(9 * b * b - 20 * a * c)
    turns = [math.sqrt((-3 * b + sign * root) / (10 * c)) for sign in (-1, 1)]
    for _ in range(n_steps):
        ends = [low, high, *(x for x in turns if low < x < high)]
        image = [a * x + b * x**3 + c * x**5 for x in ends]
        low, high = min(image), max(image)
    return low, high


def gd_noiseless_loss(frequency: float, step: float, lr: float = 1.0) -> float:
    """Loss 1 / (lr p step) of a pair of frequency p under gradient descent, without label noise.

    Asymptotic in the steps, for orthonormal pairs. Weighted by its frequency every pair then adds
    the same: the whole loss is K / (lr step).

    Parameters
    ----------
    frequency : float
        Share of the queries that ask this pair, 0 < p <= 1.
    step : float
        Steps taken, > 0.
    lr : float, default 1.0

    Returns
    -------
    float
    """
    p = _check.number(frequency, "frequency", 0.0, 1.0, above=True)
    rate = _check.number(lr, "lr", 0.0) * p * _check.number(step, "step", 0.0)
    return 1.0 / rate if rate else math.inf


def gd_noisy_exponent(power: float) -> float:
    """Exponent -(1 - 1 / power) of gradient descent's excess loss in the steps.

    For frequencies of the M groups that fall as i^-power. It shows while the steps are few beside
    M^power, so that most groups are not learned yet.

    Parameters
    ----------
    power : float
        > 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> theory.gd_noisy_exponent(2.0)
    -0.5
    """
    return -(1 - 1 / _check.number(power, "power", 1.0, above=True))


def noise(label_noise: float) -> float:
    """Read a label noise, 0 <= alpha < 1."""
    alpha = _check.number(label_noise, "label_noise", 0.0)
    if alpha >= 1:
        raise ValueError(f"label_noise must be below 1, got {alpha:g}")
    return alpha
