"""Attention as a sparse distributed memory (Bricken and Pehlevan 2021)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from amfast import _check, theory
from amfast._stores.items import Stored
from amfast._typing import Array, Float
from amfast.memories.modern.width import WidthBeta
from amfast.parts import Softmax


class ContinuousSDM(WidthBeta):
    r"""Attention that weighs items as a sparse distributed memory of a given radius does.

    ``v = sum_i p_i v_i`` with ``p = softmax(beta cos(k_i, q) + ln w_i)`` and
    ``beta = theory.attention_beta(radius, n_bits)``: the slope of the logarithm of the overlap of
    two Hamming circles, per cosine ``1 - 2 d / n_bits`` (Bricken and Pehlevan 2021). Keys and cues
    are compared by their cosines, whatever their lengths; a zero row has cosine 0 with everything.
    The recalled mean is that of the values as they were given.

    Parameters
    ----------
    radius : int
        In bits, 1 <= radius < n_bits: how far hard locations are activated. Small radii separate
        more (n_bits = 64: radius 5 means beta 31.1, 7: 23.6, 11: 14.9, 15: 9.7).
    n_bits : int, optional
        Width of the binary memory that is imitated. None means the width of the first keys.
    max_items : int, optional
    codes : bool, optional
        As in `UniversalHopfield`.

    Notes
    -----
    Capacity: that of a sparse distributed memory with all ``2^n_bits`` addresses as locations. The
    approximation holds for cues within about ``radius`` of the stored keys; further out circles
    overlap less than the softmax weighs (`theory.attention_target_weight`: for n_bits = 64, radius
    11 and 1024 items, a cue 5 bits off gives its item .999 and .98, one 10 bits off .995 and .83).
    No energy: a step of the cosine descends none that is known.

    References
    ----------
    Bricken and Pehlevan, *Attention Approximates Sparse Distributed Memory* (NeurIPS 2021).

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.ContinuousSDM(radius=11, n_bits=64)
    >>> round(memory.beta, 1)
    14.9
    >>> memory.store([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    array([0, 1])
    >>> memory.recall([2.0, -1.0, 0.0]).round(3)
    array([ 1., -1.,  1.])
    """

    _metric: ClassVar[str] = "cosine"

    def __init__(
        self,
        radius: int,
        n_bits: int | None = None,
        *,
        max_items: int | None = None,
        codes: bool | None = None,
    ) -> None:
        self._radius = _check.integer(radius, "radius", 1)
        self._n_bits = None if n_bits is None else _check.integer(n_bits, "n_bits", 2)
        self._follows = n_bits is None
        soft = Softmax(1.0 if self._n_bits is None else self._beta_of(self._n_bits))
        super().__init__("cosine", soft, max_items=max_items, codes=codes)

    def _parameters(self) -> dict[str, Any]:
        return {"radius": self._radius, "n_bits": self._n_bits, **self._kept()}

    def _beta_of(self, width: int) -> float:
        if self._radius >= width:
            raise ValueError(
                f"radius {self._radius} must be below n_bits = {width}: every location would answer"
            )
        return theory.attention_beta(self._radius, width)

    @property
    def radius(self) -> int:
        """The radius in bits."""
        return self._radius

    @property
    def n_bits(self) -> int | None:
        """Bits of the memory that is imitated; None while it waits for the first keys."""
        now = self._store.now
        return self._n_bits if self._n_bits is not None or now is None else now.width

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Cosine of every stored key with every cue, (Q, N) or (N,)."""
        # The engine's cosine is a distance, 1 - cos, and scores as its negative.
        return np.asarray(1 + super().scores(cues, threads=threads))

    def _step(
        self, cues: Array, now: Stored, threads: int, known: Array | None = None
    ) -> tuple[Array, Float]:
        state, log_scale = super()._step(cues, now, threads, known)
        return state, log_scale + (self.beta or 0.0)

    def _described(self) -> str:
        text = f"radius={self._radius}"
        if self.n_bits is not None:
            text += f", n_bits={self.n_bits}"
        text += "" if self.beta is None else f", beta={self.beta:.4g}"
        return text + self._bounded()
