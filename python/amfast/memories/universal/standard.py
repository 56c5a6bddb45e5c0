"""The standard convention: distances score as their negative, weights are divided by their size."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from amfast import _check, parts
from amfast._engine import coding
from amfast._engine.coding import Coded
from amfast._engine.knowing import known_of, wants_rows
from amfast._engine.reading import Source, read, result_type, tile_weights
from amfast._engine.scoring import (
    cue_tiles,
    engine_rows,
    fused_exactly,
    scores,
    scores_bytes,
)
from amfast._stores.items import Items, Stored
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.memories.universal import energies
from amfast.parts.metrics import METRICS, Metric
from amfast.parts.similarities import Smoothed

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
    binary: bool = field(init=False, repr=False, compare=False)
    """Whether keys and cues are bits."""
    distributions: bool = field(init=False, repr=False, compare=False)
    """Whether keys and cues must be non-negative."""
    larger_is_better: bool = field(init=False, repr=False, compare=False)
    prepare: Smoothed | None = field(init=False, repr=False, compare=False)
    """What keys and cues become before they are scored."""
    raw: bool = field(init=False, repr=False, compare=False)
    """Whether weights are wanted as they are, not divided by the sum of their magnitudes."""

    @classmethod
    def of(
        cls, similarity: Any, separation: parts.Separation, normalize: bool, eps: float | None
    ) -> Standard:
        """Check the parts against each other."""
        part = parts.similarity(similarity)
        separation.check(sys.maxsize, bool(part.larger_is_better))
        known = METRICS.get(part.metric or "")
        if known is not None and known.smoothed:
            eps = _check.number(EPS if eps is None else eps, "eps", 0.0)
        elif eps is not None:
            raise ValueError(f"eps has no effect on {part!r}; leave it out")
        elif known is not None and known.distributions:
            eps = 0.0  # no smoothing, but blank rows become uniform
        return cls(part, separation, normalize, eps)

    def __post_init__(self) -> None:
        """Look up once what every call asks."""
        known = METRICS.get(self.similarity.metric or "", Metric(""))
        larger = bool(self.similarity.larger_is_better)
        for name, value in (
            ("binary", known.bits),
            ("distributions", known.distributions),
            ("larger_is_better", larger),
            ("prepare", None if self.eps is None else Smoothed(self.eps)),
            ("raw", not self.normalize and not self.separation.sums_to_one),
        ):
            object.__setattr__(self, name, value)

    @property
    def short(self) -> bool:
        """Whether keys and values of bfloat16 are kept so."""
        return self.prepare is None

    def items(self) -> Items:
        """Make an empty store that packs its keys for the metric."""
        return Items(self.similarity.engine_metric, self.prepare)

    def check_domain(self, rows: Array, name: str) -> None:
        """Refuse what the similarity is not defined for."""
        self.similarity.check_width(rows, name)
        if self.distributions:
            _check.nonnegative(rows, name, f"{self.similarity.metric} compares distributions")

    def _source(
        self,
        items: Stored,
        cues: Array | BitMatrix,
        known: Array | None = None,
        threads: int | None = None,
    ) -> Source:
        """Collect what the cues read, of which some columns may be known."""
        codes, by = items.owner.codes, None
        # Where items go between any two reads, coding all again for each would cost more.
        large = codes or (codes is None and items.n_items * items.width >= coding.LEAST)
        large = large and not items.unread
        # What was fitted asks with weights on the columns, as a mask does.
        masked = known is not None or isinstance(self.similarity, parts.FittedSimilarity)
        if masked and wants_rows(items.keys, self.similarity.engine_metric):
            packed: Any = engine_rows(items.keys)
        else:
            packed = items.engine_keys(engine_rows(cues).dtype)
        if large and threads is not None and not masked:
            by = self._codes(items, cues, packed, threads)
        return Source(items.keys, packed, items.values, items.bias, by)

    def _codes(
        self, items: Stored, cues: Array | BitMatrix, packed: Any, threads: int
    ) -> Coded | None:
        """Return codes of the keys, if a first pass over them is to be tried."""
        fused, metric = self.separation.engine(), self.similarity.metric
        if metric is None or items.weighted or isinstance(cues, BitMatrix):
            return None
        if not coding.helps(fused, self.separation.n_best):
            return None
        return items.engine_codes(
            threads, lambda: coding.sparse(cues, packed, metric, fused, threads)
        )

    def _prepared(self, cues: Any) -> Any:
        """Cues as the engine's keys are: distributions for the KL family."""
        return cues if self.prepare is None else self.prepare(cues, cues.dtype)

    def wants_bytes(self, cues: Array, items: Stored) -> bool:
        """Whether these items are scored exactly if cues are not turned into floats."""
        return not isinstance(items.keys, BitMatrix) and scores_bytes(
            cues, items.keys, self.similarity.metric
        )

    def read(
        self,
        cues: Array | BitMatrix,
        items: Stored,
        threads: int,
        known: Array | None = None,
    ) -> tuple[Array, Float]:
        """Weighted sum of the values (Q, o) and ln of the sum of magnitudes (Q,).

        ``known`` is what columns of the cues count, as the engine takes it.
        """
        cues = self._weighed(cues, items)
        source, prepared = self._source(items, cues, known, threads), self._prepared(cues)
        try:
            summed, log_scale = read(
                prepared, source, self.similarity, self.separation, threads, known
            )
        except ValueError as error:
            if self.separation.hint:
                raise ValueError(f"{error}{self.separation.hint}") from error
            raise
        return (_rescaled(summed, log_scale) if self.raw else summed), log_scale

    def _weighed(self, cues: Array | BitMatrix, items: Stored) -> Array | BitMatrix:
        """Cues as the engine weighs them: bytes so short that float32 is as exact become floats."""
        if isinstance(cues, BitMatrix) or cues.dtype.kind == "f":
            return cues
        metric = self.similarity.metric
        if metric is None:
            return cues
        if self.separation.engine() is None or fused_exactly(cues, items.keys, metric):
            return cues
        return cues.astype(_check.compute_type(cues, items.values))

    def scores(self, cues: Array | BitMatrix, items: Stored, threads: int) -> Array:
        """Scores of all items, larger is better, (Q, N)."""
        source = self._source(items, cues)
        out = scores(self._prepared(cues), source.keys, source.packed, self.similarity, threads)
        return out if self.larger_is_better else np.negative(out, out=out)

    def weights(
        self,
        cues: Array | BitMatrix,
        items: Stored,
        threads: int,
        known: Array | None = None,
    ) -> Array:
        """Weights of all items (Q, N)."""
        dtype = result_type(cues, items.values)
        out = _check.empty((len(cues), len(items)), dtype, "weights")
        source = self._source(items, cues, known)
        for tile in cue_tiles(len(cues), len(items)):
            prepared = self._prepared(cues[tile])
            w, log_scale = tile_weights(
                prepared, source, self.similarity, self.separation, threads, known_of(known, tile)
            )
            out[tile] = w
            if self.raw:
                out[tile] = _rescaled(out[tile], log_scale)
        return out

    def why_no_energy(self, readout: parts.Readout, items: Stored | None) -> str:
        """Say why a step need not decrease anything; empty if an energy exists."""
        return energies.why_none(self, readout, items)

    def energy(
        self, states: Array | BitMatrix, readout: parts.Readout, items: Stored, threads: int
    ) -> Float:
        """Energy of states (Q,), where `why_no_energy` has nothing to say."""
        return energies.energies(self, states, readout, items, threads)

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
