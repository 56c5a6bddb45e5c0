"""Recall from a measure by softmax: how sharp it must be, and what samples leave uncertain.

The model is that of Kawata and Suzuki, *Measure-theoretic associative memory*, 2026, arXiv
2602.01863: a context mixes I components, each marked by a tag, and the query carries one tag. The
paper has no experiments and states rates alone; the finite forms here are derived.
"""

from __future__ import annotations

import math

from amfast import _check

__all__ = [
    "measure_beta",
    "measure_excess_risk",
    "measure_sampling_error",
    "measure_weight",
]


def measure_weight(beta: float, n_components: int, margin: float = 1.0) -> float:
    """Softmax weight e^(beta margin) / (e^(beta margin) + I - 1) on the queried component.

    Exact for components of equal mass whose tags all score ``margin`` below the queried one
    (orthonormal tags: margin 1); a lower bound where they score further below.

    Parameters
    ----------
    beta : float
        Inverse temperature, >= 0.
    n_components : int
        I, >= 1.
    margin : float, default 1.0
        >= 0.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.measure_weight(beta, 64), 3) for beta in (2, 5, 10)]
    [0.105, 0.702, 0.997]
    """
    beta, margin = _check.number(beta, "beta", 0.0), _check.number(margin, "margin", 0.0)
    others = _check.integer(n_components, "n_components", 1) - 1
    return 1.0 / (1.0 + others * math.exp(-beta * margin))


def measure_beta(n_components: int, margin: float = 1.0, excess: float = 3.0) -> float:
    """Inverse temperature (ln I + excess) / margin above which recall isolates one component.

    With the default at least 1 / (1 + e^-3) = 95 % of the weight is on it.

    Parameters
    ----------
    n_components : int
        I, >= 1.
    margin : float, default 1.0
        > 0; how far other tags score below the queried one.
    excess : float, default 3.0
        >= 0.

    Returns
    -------
    float
    """
    count = _check.integer(n_components, "n_components", 1)
    margin, excess = _check.number(margin, "margin", 0.0), _check.number(excess, "excess", 0.0)
    if margin == 0:
        raise ValueError("margin must be > 0: tags that score alike are not separated by any beta")
    return (math.log(count) + excess) / margin


def measure_sampling_error(n_features: int, n_tokens: int) -> float:
    """Squared error J / L of J orthonormal features averaged over L tokens of a component.

    For features of mean square 1; exact up to the squared means, which lower it.

    Parameters
    ----------
    n_features : int
        J, >= 1.
    n_tokens : int
        L, >= 1.

    Returns
    -------
    float
    """
    return _check.integer(n_features, "n_features", 1) / _check.integer(n_tokens, "n_tokens", 1)


def measure_excess_risk(n: float, alpha: float) -> float:
    """Rate exp(-(ln n)^(alpha / (alpha + 1))) of the excess risk after n contexts.

    For eigenvalues that fall as exp(-c j^alpha). An order of magnitude: the constants in the
    exponent are not known.

    Parameters
    ----------
    n : float
        >= 1.
    alpha : float
        > 0.

    Returns
    -------
    float

    Examples
    --------
    >>> from amfast import theory
    >>> [round(theory.measure_excess_risk(1000, alpha), 3) for alpha in (0.5, 1, 2)]
    [0.149, 0.072, 0.027]
    """
    n, alpha = _check.number(n, "n", 1.0), _check.number(alpha, "alpha", 0.0, above=True)
    return math.exp(-(math.log(n) ** (alpha / (alpha + 1))))
