"""The standard convention: distances score as their negative, weights are divided by their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from amfast import _check, parts
from amfast._engine.reading import Source, read, result_type, tile_weights
from amfast._engine.scoring import cue_tiles, engine_rows, scored_exactly, scores
from amfast._stores.items import Items, distributions
from amfast._typing import Array, Float
from amfast.bits import BitMatrix

EPS = 1e-4


@dataclass(frozen=True)
class Standard:
    """How a memory scores, weighs and descends in the standard convention.

    Every method takes checked cues, packed bits or in the type of the answer, and a non-empty
    store.
    """

    similarity: parts.Similarity
    separation: parts.Separation
    normalize: bool
    eps: float | None

    name: ClassVar[str] = "standard"

    @classmethod
    def of(
        cls, similarity: Any, separation: parts.Separation, normalize: bool, eps: float | None
    ) -> Standard:
        """Check the parts against each other."""
        part = parts.similarity(similarity)
        if isinstance(separation, parts.Threshold):
            _check.radius(separation.radius, bool(part.larger_is_better))
        if part.metric in ("kl", "reverse_kl"):
            eps = _check.number(EPS if eps is None else eps, "eps", 0.0)
        elif eps is not None:
            raise ValueError(f"eps has no effect on {part!r}; leave it out")
        elif part.metric == "jensenshannon":
            eps = 0.0  # no smoothing, but blank rows become uniform
        return cls(part, separation, normalize, eps)

    def items(self) -> Items:
        """Make an empty store that packs its keys for the metric."""
        return Items(self.similarity.metric, self.eps)

    @property
    def binary(self) -> bool:
        """Whether keys and cues are bits."""
        return self.similarity.metric == "hamming"

    def check_domain(self, rows: Array, name: str) -> None:
        """Refuse what the similarity is not defined for."""
        if self.similarity.metric in ("kl", "reverse_kl", "jensenshannon"):
            _check.nonnegative(rows, name, f"{self.similarity.metric} compares distributions")

    def _source(self, items: Items, cues: Array | BitMatrix) -> Source:
        """Collect what the cues read."""
        if self.similarity.metric is None:
            packed: Any = items.keys
        else:
            packed = items.engine_keys(engine_rows(cues).dtype)
        return Source(items.keys, packed, items.values, items.bias)

    def _prepared(self, cues: Any) -> Any:
        """Cues as the engine's keys are: distributions for the KL family."""
        return cues if self.eps is None else distributions(cues, self.eps, cues.dtype)

    def wants_bytes(self, cues: Array, items: Items) -> bool:
        """Whether the best of these items is found exactly, without turning cues into floats."""
        return (
            len(cues) > 0
            and self.separation.n_best is not None
            and not isinstance(items.keys, BitMatrix)
            and scored_exactly(cues, items.keys, self.similarity.metric)
            and (items.bias is None or bool(np.isfinite(items.bias).all()))
        )

    @property
    def _raw(self) -> bool:
        """Whether weights are wanted as they are, not divided by the sum of their magnitudes."""
        return not self.normalize and not self.separation.sums_to_one

    def read(self, cues: Array | BitMatrix, items: Items, threads: int) -> tuple[Array, Float]:
        """Weighted sum of the values (Q, o) and ln of the sum of magnitudes (Q,)."""
        source, prepared = self._source(items, cues), self._prepared(cues)
        try:
            summed, log_scale = read(prepared, source, self.similarity, self.separation, threads)
        except ValueError as error:
            if isinstance(self.separation, parts.Log | parts.Sqrt):
                raise ValueError(
                    f"{error}. Distances score as their negative and dot products may be negative; "
                    "convention='paper' has scores that log and sqrt are defined for"
                ) from error
            raise
        return (_rescaled(summed, log_scale) if self._raw else summed), log_scale

    def scores(self, cues: Array | BitMatrix, items: Items, threads: int) -> Array:
        """Scores of all items, larger is better, (Q, N)."""
        source = self._source(items, cues)
        out = scores(self._prepared(cues), source.keys, source.packed, self.similarity, threads)
        return out if self.similarity.larger_is_better else np.negative(out, out=out)

    def weights(self, cues: Array | BitMatrix, items: Items, threads: int) -> Array:
        """Weights of all items (Q, N)."""
        dtype = result_type(cues, items.values)
        out = _check.empty((len(cues), len(items)), dtype, "weights")
        source = self._source(items, cues)
        for tile in cue_tiles(len(cues), len(items)):
            prepared = self._prepared(cues[tile])
            w, log_scale = tile_weights(prepared, source, self.similarity, self.separation, threads)
            out[tile] = w
            if self._raw:
                out[tile] = _rescaled(out[tile], log_scale)
        return out

    def why_no_energy(self) -> str:
        """Say why a step need not decrease anything; empty if an energy exists."""
        metric, separation = self.similarity.metric, self.separation
        if metric not in ("dot", "sqeuclidean"):
            return f"a step of {self.similarity.name} descends none; dot and sqeuclidean do"
        if isinstance(separation, parts.Softmax | parts.Exponential):
            if not separation.beta:
                return "beta = 0 averages all items whatever the state"
            if self._raw and metric != "dot":
                return "raw exponential weights descend one for dot only"
            return ""
        if isinstance(separation, parts.Identity | parts.Polynomial):
            kind, n = separation.engine()
            if metric != "dot":
                return "power weights descend one for dot only"
            if self.normalize:
                return "weights divided by their sum descend none; use normalize=False"
            if n % 2 == 0 and kind != "rectified":
                return f"the even power {n:g} is not monotone; use rectified=True or an odd n"
            return ""
        return separation.why_no_potential()

    def energy(self, states: Array, items: Items, threads: int) -> Float:
        """Energy of states (Q,), where `why_no_energy` has nothing to say."""
        v = states.astype(np.float64)
        interaction, log_scale = self._interaction(v, items, threads)
        with np.errstate(over="ignore", invalid="ignore"):
            own = (v * v).sum(axis=1) / 2 if self.similarity.metric == "dot" else 0.0
            energy = np.asarray(own - interaction)
        # Where no item has any weight the energy of a softmax is +inf, which is not an overflow.
        bad = np.flatnonzero(~np.isfinite(energy) & ((log_scale > -np.inf) | np.isinf(own)))
        if len(bad):
            raise ValueError(
                f"states row {bad[0]} has an energy beyond the largest float64; scale the data"
            )
        return energy

    def _interaction(self, states: Array, items: Items, threads: int) -> tuple[Float, Float]:
        """Energy gained from the items (Q,), and what is -inf where no item has any weight."""
        source, separation = self._source(items, states), self.separation
        fused = separation.engine()
        if fused is None:
            gained = np.empty(len(states))
            for tile in cue_tiles(len(states), len(items)):
                s = scores(states[tile], source.keys, source.packed, self.similarity, threads)
                if not self.similarity.larger_is_better:
                    np.negative(s, out=s)
                gained[tile] = separation.potential(s, source.log_weight)
            return gained, gained
        kind, divisor = fused
        if kind != "softmax":
            divisor += 1  # the integral of s^n is s^(n+1) / (n+1)
            separation = parts.Polynomial(int(divisor), rectified=kind == "rectified")
        # Only the sum of the weights is wanted, so the values are one column of zeros.
        source = source._replace(values=np.zeros((len(items), 1)))
        _, log_scale = read(states, source, self.similarity, separation, threads)
        with np.errstate(over="ignore"):
            return (np.exp(log_scale) if self._raw else log_scale) / divisor, log_scale

    def __repr__(self) -> str:
        """Name what differs from the defaults."""
        return f"{self.similarity.name!r}, {self.separation!r}" + ", normalize=False" * (
            not self.normalize
        )


def _rescaled(normalised: Array, log_scale: Float) -> Array:
    """Undo the division by the sum of magnitudes, refusing to leave the range of floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp(log_scale)[:, None]
        result = np.where(normalised == 0, 0.0, normalised * scale).astype(normalised.dtype)
    bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
    if len(bad):
        raise ValueError(
            f"cues row {bad[0]} gives weights beyond the largest {normalised.dtype}; "
            "use normalize=True, a smaller power, or float64"
        )
    return result
