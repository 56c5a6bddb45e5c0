"""How a Hebbian memory learns, and how it reads: rows and cues in, sums and products out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from amfast import _check
from amfast._engine.scoring import dot
from amfast._stores.items import Batch
from amfast._stores.moments import Moments
from amfast._threads import get_num_threads
from amfast._typing import Array, Float
from amfast.memories.hebbian.projection import fitted
from amfast.memories.hebbian.sums import Fade, Mean, Outer, Sums, Waiting, unit
from amfast.parts.features import FeatureMap

# Rows that are widened to float64 at a time.
CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class Rule:
    """The parameters of a `HebbianMemory` that its sums depend on, and what follows from them."""

    center: str | None
    weighting: str
    decay: float
    rule: str
    rate: float
    features: FeatureMap | None
    normalize: bool
    eps: float

    @property
    def as_given(self) -> bool:
        """Whether rows are summed as long as they are."""
        return self.features is None and not self.normalize and self.rule != "delta"

    @property
    def divides(self) -> bool:
        """Whether an answer is divided by the sum of the kernels of its cue."""
        return self.features is not None and self.normalize

    # -- learning ---------------------------------------------------------------------------------

    def observed(self, sums: Sums | None, batch: Batch) -> Sums:
        """Add rows to the mean alone, which is fixed once rows are added."""
        sums = self._begun(sums, batch)
        mean = sums.mean
        for x, _, y, _ in self._chunks(batch):
            fade = Fade.of(self.decay, len(x))
            mean = mean.plus(x, fade.new * y, fade.old)
        n_observed = sums.n_observed + len(batch.keys)
        return sums._replace(mean=mean, waiting=None, n_observed=n_observed)

    def added(self, sums: Sums | None, batch: Batch) -> Sums:
        """Add rows. ValueError if a sum leaves the range of float64."""
        sums = self._begun(sums, batch)
        if sums.n_observed:
            sums.check_weight()
        for x, length, y, values in self._chunks(batch):
            sums = self._chunk_added(sums, x, length, y, values)
        return sums._replace(n_stored=sums.n_stored + len(batch.keys))

    def _begun(self, sums: Sums | None, batch: Batch) -> Sums:
        """Return the sums, made for the first rows."""
        keys, values = batch.keys, batch.values
        assert isinstance(keys, np.ndarray)
        double = keys.dtype == np.float64
        if values is not None:
            assert isinstance(values, np.ndarray)
            double = double or values.dtype == np.float64
        if sums is not None:
            return sums._replace(double=sums.double or double)
        width = keys.shape[1]
        outer = Outer.zeros(
            width if values is None else values.shape[1],
            self._features_of(width),
            squared=self.weighting != "linear",
            symmetric=self._is_symmetric(values is not None),
        )
        waiting = () if self.center == "renorm" else None
        square = Moments.zeros(outer.shape[1]) if self._has_square(outer) else None
        mean = Mean(0.0, np.zeros(width))
        return Sums(mean, outer, waiting, values is not None, double, square=square)

    def _features_of(self, width: int) -> int:
        return width if self.features is None else self.features.width(width)

    def _is_symmetric(self, hetero: bool) -> bool:
        return not hetero and self.features is None and self.rule != "delta"

    def _has_square(self, outer: Outer) -> bool:
        return self.rule == "projection" and outer.moments is None

    def check(self, sums: Sums) -> None:
        """Refuse sums that are not this rule's."""
        outer, width = sums.outer, sums.width
        fits = (
            outer.shape[1] == self._features_of(width)
            and (sums.hetero or outer.shape[0] == width)
            and not (sums.hetero and self.center)
            and (outer.moments is not None) == self._is_symmetric(sums.hetero)
            and outer.squared == (self.weighting != "linear")
            and (sums.waiting is None or self.center == "renorm")
            and (sums.square is not None) == self._has_square(outer)
            and (sums.square is None or sums.square.width == outer.shape[1])
        )
        if not fits:
            raise ValueError(f"sums of shape {outer.shape} and keys of {width} columns are others'")

    def _chunks(self, batch: Batch) -> Iterator[tuple[Float, Float, Float, Float | None]]:
        """Yield rows, their lengths, weights (0 for silent rows) and values, some at a time."""
        keys, values, y = batch.keys, batch.values, batch.weights
        assert isinstance(keys, np.ndarray) and y is not None
        step = max(1, CHUNK_BYTES // (8 * keys.shape[1]))
        for start in range(0, len(keys), step):
            piece = slice(start, start + step)
            x, length = self.scaled(keys[piece].astype(np.float64))
            weight = np.where(length > 0, y[piece], 0.0)
            some = None if values is None else values[piece]
            assert some is None or isinstance(some, np.ndarray)
            yield x, length, weight, None if some is None else some.astype(np.float64)

    def _chunk_added(
        self, sums: Sums, x: Float, length: Float, y: Float, values: Float | None
    ) -> Sums:
        fade = Fade.of(self.decay, len(x))
        mean = sums.mean
        if self.center == "renorm" and sums.waiting is None:
            x, deviation = unit(x - mean.value, self.eps)
            y = np.where(deviation > 0, y, 0.0)
        else:
            mean = mean.plus(x, fade.new * y, fade.old)
        if sums.waiting is not None:
            before = (rows.faded(fade.old) for rows in sums.waiting)
            return sums._replace(mean=mean, waiting=(*before, Waiting(x, y, fade.new)))
        phi = self.mapped(x)
        if self.rule != "delta":
            outer, square = sums.outer, sums.square
            outer = outer.plus(x if values is None else values, phi, y, fade)
            if square is not None:
                n = get_num_threads()
                square = square.faded(fade.old, n).plus(phi, fade.new * y, n)
            return sums._replace(mean=mean, outer=outer, square=square)
        if values is not None and self.features is None and not self.normalize:
            # C k = v for a key of length l is C x = v / l for the row x = k / l.
            with np.errstate(over="ignore"):
                values = values / np.where(length > 0, length, 1.0)[:, None]
        outer = sums.outer.corrected(x if values is None else values, phi, self.rate * y)
        return sums._replace(mean=mean, outer=outer)

    # -- rows as they are compared ----------------------------------------------------------------

    def scaled(self, x: Float) -> tuple[Float, Float]:
        """Scale rows to length 1, or if `as_given` only silence the short; with their lengths."""
        rows, length = unit(x, self.eps)
        return (np.where(length[:, None] > 0, x, 0.0) if self.as_given else rows), length

    def mapped(self, x: Float) -> Float:
        """Map rows; scale the features to length 1 for the delta rule."""
        if self.features is None:
            return x
        phi = self.features.map(x)
        return unit(phi)[0] if self.rule == "delta" else phi

    def entered(self, sums: Sums, cues: Array) -> tuple[Float, Float]:
        """Bring cues to where the stored rows are; return them and their lengths, 0 if silent."""
        x, length = self.scaled(cues.astype(np.float64))
        if self.center:
            x = np.where(length[:, None] > 0, x - sums.mean.value, 0.0)
        if self.center == "renorm":
            x, deviation = unit(x, self.eps)
            length = np.where(deviation > 0, length, 0.0)
        return x, length

    # -- reading ----------------------------------------------------------------------------------

    def matrix(self, sums: Sums) -> Float:
        """Return what cues are multiplied with (o, features), read-only float64."""
        outer = sums.outer
        if self.rule == "delta":
            return outer.total
        if self.rule == "projection":
            square = outer.total if sums.square is None else sums.square.second
            return _check.frozen(fitted(square, outer.total))
        if sums.waiting is not None:
            outer = Outer.zeros(*outer.shape, squared=outer.squared, symmetric=True)
            for rows, y, left in sums.waiting:
                x, length = unit(rows - sums.mean.value, self.eps)
                outer = outer.plus(x, x, np.where(length > 0, y, 0.0), Fade(1.0, left))
        total = outer.about(sums.mean.value) if self.center == "moment" else outer.total
        divisor = outer.y**2 if self.weighting == "code" else outer.y
        # Where every deviation from the mean vanishes there is nothing to divide.
        with np.errstate(over="ignore"):
            built: Float = total / divisor if divisor else np.zeros_like(total)
        built.flags.writeable = False
        return built

    def step(self, sums: Sums, matrix: Float | None, x: Float, threads: int) -> Float:
        """One product (Q, o) of rows as `entered` gives them, with `matrix` unless it `divides`."""
        phi = self.mapped(x)
        if matrix is not None:
            return np.asarray(dot(phi, matrix, threads))
        out, total = (dot(phi, c, threads) for c in (sums.outer.total, sums.outer.wx[None, :]))
        bad = np.flatnonzero(total[:, 0] <= 0)
        if len(bad):
            raise ValueError(
                f"cues row {bad[0]} has features that meet none of those stored; use more "
                "features, a smaller gamma or normalize=False"
            )
        with np.errstate(over="ignore"):
            return np.asarray(out / total)
