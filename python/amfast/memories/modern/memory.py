"""The modern continuous Hopfield network, with the bounds of Ramsauer et al. (2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from amfast import _check, theory
from amfast._engine import scoring
from amfast._stores.items import Stored
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask
from amfast.memories.modern.width import WidthBeta
from amfast.memories.recall import in_lines
from amfast.parts import SeparationWarning as SeparationWarning
from amfast.parts import Softmax

# Recall looks at the separation of a store by itself up to this many multiplications.
_LOOK_AT_MOST = 1 << 28
# Fewer than so many items of a store say nothing of it.
_FEWEST = 8
# Rows whose products with themselves are taken from one square of scores.
_SQUARE = 64


@dataclass(frozen=True, repr=False)
class ModernBounds:
    """What the theory of Ramsauer et al. (2021) says of every stored item."""

    margin: Float
    """(N,) ``Delta_i = x_i . x_i - max_{j != i} x_i . x_j``."""
    threshold: float
    """The margin from which an item is well separated, see `theory.modern_separation`."""
    separated: Mask
    """(N,) whether it is."""
    error: Float
    """(N,) bound on ``|x_i - x_i*|``, the distance of an item from its fixed point, see
    `theory.modern_error_bound`; inf for items that are not separated: nothing is said of them."""
    radius: float
    """Radius around a separated item in which recall converges to its fixed point."""
    norm: float
    """The largest Euclidean norm of an item."""

    def __repr__(self) -> str:
        """Show a line for each field."""
        return in_lines(self)


class ModernHopfield(WidthBeta):
    r"""The modern continuous Hopfield network: softmax attention over stored items, iterated.

    ``v <- sum_i p_i v_i`` with ``p = softmax(beta k_i . v + ln w_i)``. Autoassociative recall
    descends

        ``E(v) = -lse(beta k_i . v + ln w_i) / beta + |v|^2 / 2 + ln(sum_i w_i) / beta + M^2 / 2``,

    ``M = max_i |k_i|``, which lies in 0..2 M^2 for states no longer than M. With values it is one
    head of attention.

    Capacity: exponential in the width for random patterns on a sphere,
    ``sqrt(p) c^((d - 1) / 4)`` (`theory.modern_capacity`). Whether the items of *this* memory are
    separated is what `separation_margin` and `bounds` say. Dot products favour long keys: an item
    shorter than its neighbours may have a negative margin, and no beta recalls it. Normalise keys,
    or use `ContinuousSDM` or ``UniversalHopfield("sqeuclidean")``. Equal keys have margin 0: stored
    with different values they recall the mean of these, by weight. Of one answer
    ``recall(details=True).certified`` says whether its item outweighs all others together.

    Parameters
    ----------
    beta : float, optional
        Inverse temperature, finite and >= 0. None means ``1 / sqrt(d)`` for keys of width d, as in
        attention; with keys of unit variance that is mostly too small to separate items, and
        `recall` warns. 0 recalls the mean of all items; then there is no energy. For an infinite
        beta use ``UniversalHopfield(separation="max")``.
    max_items : int, optional
    codes : bool, optional
        As in `UniversalHopfield`.

    See Also
    --------
    UniversalHopfield : Other similarities and separations.
    ContinuousSDM : Keys and cues normalised, beta from a Hamming radius.
    amfast.retrieve : One head of attention without a memory.

    Notes
    -----
    **Which beta?** For keys of length 1 about ln(N) over the gap between an item's product with
    itself and with its nearest other (`separation_margin`): 100 to 300 for images. ``1 / sqrt(d)``
    is attention's, for learned keys. Keys of other lengths: normalise them. The only similarity is
    the dot product; `UniversalHopfield` has the others, "cosine" among them, the distance 1 - cos.

    With ``details`` a `Recall` has the energy of every state on the way in ``energy_trace``
    (Q, steps + 1), which doubles the work; one step is attention.

    `recall` warns with a `SeparationWarning`, once per memory, if fewer than half of the stored
    items are well separated at this beta, or if items lose at their own key: another, longer one
    scores more there. It looks when a memory first recalls and after its store doubled, at all
    items as long as that takes few operations (N^2 d up to 2.7e8: 2000 items of width 64), else at
    some of them, and for losing items alone; call `bounds` for larger stores. Separation is a
    sufficient condition, so that warning need not mean that recall is bad; it is left out where
    values are blended at the default beta, as attention does. Beyond that it looks as
    `UniversalHopfield.recall` does.

    References
    ----------
    Ramsauer et al., *Hopfield Networks is All You Need* (ICLR 2021).

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=300).patterns()
    >>> unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    >>> memory = am.ModernHopfield(beta=300.0)
    >>> ids = memory.store(unit)
    >>> noisy = am.corrupt.gaussian(images, 0.2, mode="clip", seed=0)
    >>> found = memory.recall(noisy, max_iter=20, details=True)
    >>> float((found.best == ids).mean()) > 0.9  # share of images recalled
    True
    >>> memory = am.ModernHopfield(beta=2.0)
    >>> memory.store([[4.0, 0.0], [0.0, 4.0]])
    array([0, 1])
    >>> found = memory.recall([2.0, 1.0], max_iter=10, details=True)
    >>> found.state.round(3), bool(found.converged)
    (array([4., 0.]), True)
    >>> memory.separation_margin()
    array([16., 16.])
    """

    _traces: ClassVar[bool] = True
    _metric: ClassVar[str] = "dot"

    def __init__(
        self,
        beta: float | None = None,
        *,
        max_items: int | None = None,
        codes: bool | None = None,
    ) -> None:
        self._follows = beta is None
        soft = Softmax(1.0 if beta is None else _finite_beta(beta))
        super().__init__("dot", soft, max_items=max_items, codes=codes)

    def _parameters(self) -> dict[str, Any]:
        beta = None if self._follows else self.beta
        return {"beta": beta, **self._kept()}

    def _beta_of(self, width: int) -> float:
        return 1.0 / math.sqrt(width)

    def _doubts(self, now: Stored, cues: Any, threads: int) -> str:
        n, few = now.n_items, _LOOK_AT_MOST // (now.n_items * now.width)
        if n < 2 or few < min(n, _FEWEST):
            return super()._doubts(now, cues, threads)
        try:
            text = self._unseparated(now, few, threads)
        except ValueError:  # products of keys leave the range of floats, those with cues did not
            return ""
        return text or super()._doubts(now, cues, threads)

    def _unseparated(self, now: Stored, most: int, threads: int) -> str:
        """Say what the theory has against recall from these items; empty if nothing."""
        rows = np.arange(now.n_items)
        if most < len(rows):
            rows = rows[:: -(-len(rows) // most)]
        margin = self._margins(now, rows, threads)
        lost = int((margin < 0).sum())
        text = ""
        if len(rows) == now.n_items and not self._why_no_bounds():
            found = self.bounds(threads=threads)
            live = np.isfinite(found.margin)
            # One head of attention, as it is by default, blends values on purpose.
            attends = now.heteroassociative and self._follows
            enough = attends or 2 * int(found.separated[live].sum()) >= int(live.sum())
            text = "" if enough else self._not_separated(found)
        if lost:
            seen = f"{len(rows)} stored items"
            if len(rows) < now.n_items:
                seen += f" looked at, of {now.n_items},"
            text = f"{text}; and " if text else f"beta={self.beta:.4g}: "
            text += (
                f"{lost} of the {seen} lose at their own key, where another, longer item scores "
                "more, so no beta recalls them: normalise the keys, or use "
                "UniversalHopfield('cosine') or UniversalHopfield('sqeuclidean')"
            )
        return text

    def _not_separated(self, found: ModernBounds) -> str:
        n, some = int(np.isfinite(found.margin).sum()), int(found.separated.sum())
        text = (
            f"beta={self.beta:.4g} separates {some or 'none'} of the {n} stored items: the "
            f"{'median' if some else 'largest'} margin is "
            f"{float((np.nanmedian if some else np.nanmax)(found.margin)):.4g}, "
            f"{found.threshold:.4g} would be enough (Ramsauer et al. 2021, theorem 4), so recall "
            "may blend them"
        )
        enough = _separating_beta(float(np.nanmedian(found.margin)), n, found.norm)
        if enough is None:
            return f"{text}; no beta separates half of them: normalise the keys or drop duplicates"
        return f"{text}; beta >= {enough:.3g} separates half of them"

    def separation_margin(self, *, threads: int | None = None) -> Float:
        """Return how far each key's product with itself exceeds those with all others.

        ``Delta_i = k_i . k_i - max_{j != i} k_i . k_j``, in time N^2 d and memory O(N).

        Parameters
        ----------
        threads : int, optional
            None means the setting.

        Returns
        -------
        (N,) float64 array
            0 for an item stored twice, negative where a longer key overshadows it, inf for the
            only item. Items of weight 0 are never recalled: theirs is NaN, and others ignore them.

        Raises
        ------
        ValueError
            If the memory is empty.
        """
        now = self._stored()
        return self._margins(now, np.arange(now.n_items), resolve_threads(threads))

    def _margins(self, now: Stored, rows: Int, threads: int) -> Float:
        """`separation_margin` of some items, against all."""
        live = now.log_weight > -np.inf
        out = np.full(len(rows), np.nan)
        keys = now.keys if live.all() else now.keys[live]
        asked = rows[live[rows]]
        if len(keys) == 1:
            out[live[rows]] = np.inf
        if len(keys) < 2 or len(asked) == 0:
            return out
        place = np.cumsum(live)[asked] - 1
        some = now.keys[asked]
        best, index = scoring.best(some, keys, 2, "dot", threads)
        own = np.empty(len(some))
        for start in range(0, len(some), _SQUARE):
            part = some[start : start + _SQUARE]
            own[start : start + _SQUARE] = scoring.exact(part, part, "dot", threads).diagonal()
        other = np.where(index[:, 0] == place, best[:, 1], best[:, 0])
        out[live[rows]] = own - other
        return out

    def bounds(self, *, threads: int | None = None) -> ModernBounds:
        """Margins, and what the theory promises of every stored key as a fixed point.

        Parameters
        ----------
        threads : int, optional
            None means the setting.

        Returns
        -------
        ModernBounds
            Arrays in the order of `ids`.

        Raises
        ------
        ValueError
            If the memory is empty, or its items weigh differently: the theorems do not cover that.
        """
        margin = self.separation_margin(threads=threads)
        reason = self._why_no_bounds()
        if reason:
            raise ValueError(reason)
        live = ~np.isnan(margin)
        n, beta, norm = int(live.sum()), self.beta, self._largest_norm()
        assert beta is not None
        if n == 1 or norm == 0:  # one item, or all zero: recall is exact
            threshold, radius, error = -math.inf, math.inf, np.zeros(len(margin))
        elif beta == 0:
            threshold, radius, error = math.inf, 0.0, np.full(len(margin), np.inf)
        else:
            threshold = theory.modern_separation(n, norm, beta)
            radius = theory.modern_radius(n, norm, beta)
            error = np.asarray(theory.modern_error_bound(margin, n, norm, beta))
        separated = np.asarray(live & (margin >= threshold))
        error = np.where(separated, error, np.inf)
        return ModernBounds(margin, threshold, separated, error, radius, norm)

    def _own_theory(self) -> dict[str, float]:
        """How many items theorem 4 promises, and what it asks for."""
        if self._why_no_bounds() or not self.beta:
            return {}
        found = self.bounds()
        return {
            "items well separated": float(found.separated.sum()),
            "margin that separates": float(found.threshold),
            "radius of convergence": float(found.radius),
        }

    def _why_no_bounds(self) -> str:
        b = self.log_weight
        live = b[b > -np.inf]
        if len(live) == 0:
            return "no stored item has any weight, so the bounds say nothing"
        if live.min() != live.max():
            return "items weigh differently; the bounds are for items of one weight"
        return ""

    def _largest_norm(self) -> float:
        """Return the largest Euclidean norm of a key that can be recalled."""
        largest = 0.0
        live = self.log_weight > -np.inf
        for start in range(0, len(self), 4096):
            piece = self.keys[start : start + 4096][live[start : start + 4096]]
            x = piece.astype(np.float64)
            peak = float(np.abs(x).max(initial=0.0))
            if peak:
                x /= peak  # squares of huge entries would overflow
                largest = max(largest, peak * math.sqrt(float((x * x).sum(axis=1).max())))
        return largest

    def energy(self, states: Any, *, constants: bool = True, threads: int | None = None) -> Any:
        """Energy of states that recall never increases, (Q,) float64, or a float for one state.

        ``-lse(beta k_i . v + ln w_i) / beta + |v|^2 / 2 + ln(sum_i w_i) / beta + M^2 / 2`` with the
        largest norm M of a key (Ramsauer et al. 2021, equation 2, where all weights are 1 and the
        third term is ``ln(N) / beta``).

        Parameters
        ----------
        states : (Q, d) or (d,) array
        constants : bool, default True
            Whether the last two terms, the same for all states, are added. They make the energy
            >= 0, and <= 2 M^2 for states no longer than M; a stored item that is well separated
            has about ``(M^2 - |k_i|^2) / 2 + ln(N) / beta``.
        threads : int, optional
            None means the setting.

        Raises
        ------
        ValueError
            For a heteroassociative memory and for beta = 0, which have none; if an energy leaves
            the range of float64.
        """
        constants = _check.flag(constants, "constants")
        # Only the base class's own terms, so that constants too large for floats do not matter.
        energy = super().energy(states, threads=threads)
        return energy + self._constant() if constants else energy

    def _traced(self, states: Array, now: Stored, threads: int) -> Float:
        return self._energies(states, now, threads) + self._constant()

    def _constant(self) -> float:
        """Return the terms of the energy that do not depend on the state."""
        b = self.log_weight
        top = float(b.max())
        if top == -np.inf:  # nothing weighs anything, and every energy is +inf
            return 0.0
        beta = self.beta
        assert beta
        mass = top + math.log(float(np.exp(b - top).sum()))
        norm = self._largest_norm()
        constant = mass / beta + norm * norm / 2
        if constant == math.inf:
            raise ValueError(
                "the constants of the energy are beyond the largest float64; scale the keys or use "
                "constants=False"
            )
        return constant

    def _described(self) -> str:
        text = "beta=1/sqrt(d)" if self.beta is None else f"beta={self.beta:.6g}"
        return text + self._bounded()


def _finite_beta(beta: object) -> float:
    """Read beta, and say what to use for an infinite one."""
    try:
        return _check.number(beta, "beta", 0.0)
    except ValueError as error:
        hint = "; for beta = infinity use UniversalHopfield(separation='max')"
        raise ValueError(f"{error}{hint * (beta == math.inf)}") from None


def _separating_beta(margin: float, n: int, norm: float) -> float | None:
    """Smallest beta of a falling threshold that a margin reaches, None if none does."""
    if margin <= 0 or norm == 0:
        return None
    # Beyond this beta the threshold falls.
    high = low = math.e / (2.0 * (n - 1) * n * norm * norm)
    while theory.modern_separation(n, norm, high) > margin:
        low, high = high, 2 * high
        if high > 1e300:
            return None
    for _ in range(60):
        middle = (low + high) / 2
        if theory.modern_separation(n, norm, middle) > margin:
            low = middle
        else:
            high = middle
    return high
