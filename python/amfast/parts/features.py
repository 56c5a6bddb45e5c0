"""Feature maps of matrix memories: phi(k) with phi(k) . phi(q) in place of a separation.

A memory that keeps one matrix, sum v phi(k)^T, answers like one that keeps all items and weighs
them by the kernel ``phi(k) . phi(q)``. The identity gives the Hebbian memory, `Elu` linear
attention, `Fourier` approximates a Gaussian kernel.

Examples
--------
>>> import numpy as np, amfast as am
>>> near = am.Fourier(4096, gamma=0.5, seed=1)
>>> k, q = near.map(np.array([[1.0, 0.0], [0.0, 1.0]]))
>>> round(float(k @ q), 1), round(float(np.exp(-0.5 * 2)), 1)
(0.4, 0.4)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amfast import _check, _docs
from amfast._typing import Float


class FeatureMap:
    """What `Elu` and `Fourier` have in common."""

    def __init_subclass__(cls) -> None:
        """Document what a map does its own way as far as it is everybody's."""
        super().__init_subclass__()
        _docs.inherit(cls)

    def width(self, d: int) -> int:
        """Features of a key of width d.

        Parameters
        ----------
        d : int
            Columns of a key.

        Returns
        -------
        int
        """
        raise NotImplementedError

    def map(self, rows: Float) -> Float:
        """Features (n, `width`) of rows (n, d), float64.

        Parameters
        ----------
        rows : (n, d) float64 array

        Returns
        -------
        (n, width) float64 array
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Elu(FeatureMap):
    """``phi(x) = elu(x) + 1``: ``x + 1`` where x > 0, else ``exp(x)``; positive.

    The map of linear attention (Katharopoulos, Vyas, Pappas and Fleuret, *Transformers are RNNs*,
    ICML 2020).
    """

    def width(self, d: int) -> int:
        """As wide as the key."""
        return d

    def map(self, rows: Float) -> Float:
        """Map every entry."""
        return np.where(rows > 0, rows + 1.0, np.exp(np.minimum(rows, 0.0)))


@dataclass(frozen=True)
class Fourier(FeatureMap):
    """``phi(x) = sqrt(2 / m) cos(W x + b)``, so that ``<phi(x), phi(y)>`` is a Gaussian kernel.

    The kernel is ``exp(-gamma |x - y|^2)``. Random Fourier features with ``W ~ N(0, 2 gamma)`` and
    ``b`` uniform in 0..2 pi (Rahimi and Recht, *Random Features for Large-Scale Kernel Machines*,
    NeurIPS 2007). The error of one kernel value is about ``1 / sqrt(m)``.

    Parameters
    ----------
    n_features : int, default 1024
        m, >= 1.
    gamma : float, default 1.0
        Inverse squared width of the kernel, > 0.
    seed : int, default 0
        Which W and b; the same on every platform.
    """

    n_features: int = 1024
    gamma: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "n_features", _check.integer(self.n_features, "n_features", 1))
        gamma = _check.number(self.gamma, "gamma", 0.0)
        if gamma == 0:
            raise ValueError("gamma must be > 0, got 0: all rows would have one feature vector")
        object.__setattr__(self, "gamma", gamma)
        object.__setattr__(self, "seed", _check.integer(self.seed, "seed", 0))

    def width(self, d: int) -> int:
        """As many as asked for."""
        return self.n_features

    def projection(self, d: int) -> tuple[Float, Float]:
        """Return W (m, d) and b (m,).

        Parameters
        ----------
        d : int
            Columns of a key.

        Returns
        -------
        W : (m, d) float64 array
        b : (m,) float64 array
        """
        rng = np.random.Generator(np.random.PCG64(self.seed))
        directions = rng.standard_normal((self.n_features, d))
        return np.sqrt(2 * self.gamma) * directions, rng.uniform(0, 2 * np.pi, self.n_features)

    def map(self, rows: Float) -> Float:
        """Project and take cosines."""
        w, b = self.projection(rows.shape[1])
        # By sums over one axis, which do not depend on how many rows come together as a BLAS's do.
        angles = (
            np.stack([(w * row).sum(axis=1) for row in rows]) if len(rows) else np.empty((0, 1))
        )
        return np.asarray(np.sqrt(2.0 / self.n_features) * np.cos(angles + b))


FEATURES: dict[str, FeatureMap | None] = {"identity": None, "elu": Elu()}


def resolve(given: object) -> FeatureMap | None:
    """Resolve a name or a map; None is the identity."""
    if isinstance(given, FeatureMap):
        return given
    return FEATURES[_check.name_of(given, FEATURES, "features", " or a FeatureMap")]
