"""What a `DenseAssociativeClassifier` learns with: its settings, read once, and its memories."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amfast import _check
from amfast._engine import scoring
from amfast._typing import Array

if TYPE_CHECKING:
    from amfast.memories.dense.classifier import DenseAssociativeClassifier

# Overlaps of a tile of inputs: with the slopes of ten classes they stay in the cache.
_TILE_BYTES = 1 << 18
# A gradient that nothing in the data can have made any more, only rounding.
SMALLEST_STEP = 1e-30


@dataclass(frozen=True)
class _Recipe:
    """Settings that train well at one interaction order."""

    loss_power: int
    temperature: tuple[float, float]
    learning_rate: float
    momentum: float


def _recipe(n: int) -> _Recipe:
    if n <= 2:
        return _Recipe(2, (0.9, 0.2), 0.04, 0.9)
    if n <= 4:
        return _Recipe(n, (0.9, 0.25), 0.04, 0.9)
    if n < 15:
        return _Recipe(n, (0.7, 0.6), 0.02, 0.6)
    return _Recipe(30, (0.87, 0.87), 0.01, 0.6)


@dataclass(frozen=True)
class Settings:
    """The parameters of a classifier, checked, and with a number in place of every None."""

    n_memories: int
    n: int
    rectified: bool
    loss_power: int
    temperature: tuple[float, float]
    learning_rate: float
    decay: float
    momentum: float
    n_epochs: int
    batch_size: int
    scaled: bool
    """Whether the range of the training inputs is mapped to [-1, 1]."""
    patience: int | None
    dtype: np.dtype[np.floating]
    seed: int
    verbose: bool

    @classmethod
    def of(cls, given: DenseAssociativeClassifier) -> Settings:
        """Check what a classifier was made with.

        Raises
        ------
        ValueError, TypeError
            Naming the parameter.
        """
        n = _check.integer(given.n, "n", 1, 40)
        usual = _recipe(n)
        kind = _check.choice(given.interaction, "interaction", ("rectified", "power"))
        dtype = _check.choice(given.dtype, "dtype", ("auto", "float32", "float64"))
        wide = dtype == "float64" or (dtype == "auto" and n > 4)
        if given.scale is not None:
            _check.choice(given.scale, "scale", ("range",))
        power, heat, rate = usual.loss_power, usual.temperature, usual.learning_rate
        momentum, patience = usual.momentum, None
        if given.loss_power is not None:
            power = _check.integer(given.loss_power, "loss_power", 1, 100)
        if given.temperature is not None:
            heat = _ramp(given.temperature)
        if given.learning_rate is not None:
            rate = _check.number(given.learning_rate, "learning_rate", 1e-12, 1e3)
        if given.momentum is not None:
            momentum = _check.number(given.momentum, "momentum", 0.0)
        if momentum >= 1:
            raise ValueError(f"momentum must be below 1, got {given.momentum!r}")
        if given.patience is not None:
            patience = _check.integer(given.patience, "patience", 1)
        return cls(
            n_memories=_check.integer(given.n_memories, "n_memories", 1, 2**63 - 1),
            n=n,
            rectified=kind == "rectified",
            loss_power=power,
            temperature=heat,
            learning_rate=rate,
            decay=_positive(given.decay, "decay", 1.0),
            momentum=momentum,
            n_epochs=_check.integer(given.n_epochs, "n_epochs", 1),
            batch_size=_check.integer(given.batch_size, "batch_size", 1),
            scaled=given.scale is not None,
            patience=patience,
            dtype=np.dtype(np.float64 if wide else np.float32),
            seed=_check.integer(given.seed, "seed", 0),
            verbose=_check.flag(given.verbose, "verbose"),
        )

    @property
    def usual_temperature(self) -> tuple[float, float]:
        """What the temperature is where none is given."""
        return _recipe(self.n).temperature


class Network:
    """Memories (K, d + C): what an input looks like, and the units of its class beside it.

    Parameters
    ----------
    settings : Settings
    inputs : (N, d) array
        Of the first training; their range and mean magnitude fix the units of all that follows.
    n_classes : int
        C.
    """

    def __init__(self, settings: Settings, inputs: Array, n_classes: int) -> None:
        low, high = float(inputs.min()), float(inputs.max())
        if low == high:
            raise ValueError(f"X must not be constant, all entries are {low:g}")
        if not 1e-300 < high - low < 1e300:
            raise ValueError(f"X ranges over {low:g}..{high:g}, out of proportion; rescale it")
        self.settings, self.n_inputs, self.n_classes = settings, inputs.shape[1], n_classes
        self.range = (low, high) if settings.scaled else (-1.0, 1.0)
        self.dtype = settings.dtype
        self.unit = float(np.abs(self.scaled(inputs)).sum(axis=1, dtype=np.float64).mean())
        """The unit of temperatures: the mean of sum_i |v_i|."""
        self.rng = np.random.default_rng(settings.seed)
        shape = settings.n_memories, self.n_inputs + n_classes
        _check.fits(shape, np.dtype(np.float64), "the memories")
        self.memories = self.rng.normal(-0.3, 0.3, shape).astype(self.dtype)
        self.velocity = np.zeros_like(self.memories)
        self.temperature = 1.0

    def copy(self, settings: Settings) -> Network:
        """Return a network that learns on from here, with other settings."""
        twin = copy.deepcopy(self)
        twin.settings = settings
        return twin

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restored` makes the same network of: arrays, and names and numbers."""
        own = {
            "range": [float(x) for x in self.range],
            "unit": self.unit,
            "temperature": float(self.temperature),
            "chance": self.rng.bit_generator.state,
        }
        return {"memories": self.memories, "velocity": self.velocity}, own

    @classmethod
    def restored(
        cls,
        settings: Settings,
        d: int,
        n_classes: int,
        arrays: dict[str, Array],
        own: dict[str, Any],
    ) -> Network:
        """Return the network that `arrays` was taken from; read-only arrays are copied."""
        made = cls.__new__(cls)
        made.settings, made.n_inputs, made.n_classes = settings, d, n_classes
        made.dtype, shape = settings.dtype, (settings.n_memories, d + n_classes)
        for name in ("memories", "velocity"):
            x = arrays[name]
            if x.shape != shape or x.dtype != made.dtype:
                raise ValueError(f"{name} must be {made.dtype} {shape}, got {x.dtype} {x.shape}")
            setattr(made, name, x if x.flags.writeable else x.copy())
        low, high = (_check.number(x, "range") for x in own["range"])
        if not low < high:
            raise ValueError(f"range must ascend, got {low:g}..{high:g}")
        made.range, made.unit = (low, high), _positive(own["unit"], "unit")
        made.temperature = _positive(own["temperature"], "temperature")
        made.rng = np.random.default_rng()
        made.rng.bit_generator.state = own["chance"]
        return made

    def scaled(self, inputs: Array) -> Array:
        """Return inputs as states in [-1, 1], in the type of the arithmetic."""
        low, high = self.range
        if not self.settings.scaled and inputs.size and max(inputs.max(), -inputs.min()) > 1:
            raise ValueError(
                f"X must lie in [-1, 1] with scale=None, got {inputs.min():g}..{inputs.max():g}"
            )
        # In the inputs' own precision: they may differ by little beside what they share.
        wide = np.promote_types(inputs.dtype, self.dtype)
        return ((inputs.astype(wide) - low) * (2 / (high - low)) - 1).astype(self.dtype)

    # -- the energy -------------------------------------------------------------------------------

    def _cooled(self, products: Array) -> Array:
        """Return overlaps, in units of the temperature, from the products with the inputs."""
        off = products - self.memories[:, self.n_inputs :].sum(axis=1)
        return np.asarray(off / self.dtype.type(self.temperature))

    def _switched(self, a: int) -> Array:
        """Return what switching unit ``a`` on adds to the overlaps."""
        switched = self.memories[:, self.n_inputs + a] * (2 / self.temperature)
        return np.asarray(switched.astype(self.dtype))

    def _rectified(self, overlaps: Array) -> Array:
        return np.maximum(overlaps, 0) if self.settings.rectified else overlaps

    def _slope(self, x: Array, out: Array, scratch: Array) -> None:
        """Take the derivative of F, but for the factor n, at rectified overlaps."""
        if self.settings.n == 1 and self.settings.rectified:
            np.copyto(out, x > 0)
        else:
            _raise(x, self.settings.n - 1, out, scratch)

    def saved(self, v: Array, threads: int) -> Array:
        """(Q, C, K) energy that each memory saves when each class is switched on.

        By the engine's products: an input has the same bits alone and among others.
        """
        keys = np.ascontiguousarray(self.memories[:, : self.n_inputs])
        overlaps = self._cooled(scoring.dot(v, keys, threads, self.dtype))
        before = _power(self._rectified(overlaps), self.settings.n)
        return np.stack(
            [
                _power(self._rectified(overlaps + self._switched(a)), self.settings.n) - before
                for a in range(self.n_classes)
            ],
            axis=1,
        )

    # -- learning ---------------------------------------------------------------------------------

    def step(self, v: Array, targets: Array, rate: float) -> tuple[float, int, float]:
        """Learn from some inputs; return their loss, how many were wrong, the largest gradient."""
        d = self.n_inputs
        overlaps = self._cooled(v @ self.memories[:, :d].T)
        saved = np.empty(targets.shape, self.dtype)
        miss = np.empty_like(saved)
        gradient = np.zeros_like(self.memories)
        rows = max(1, min(len(v), _TILE_BYTES // (len(self.memories) * self.dtype.itemsize)))
        tile = _Tile(self, rows)
        for start in range(0, len(v), rows):
            some = slice(start, start + rows)
            saved[some] = tile.read(overlaps[some])
            miss[some], pull = _pull(saved[some], targets[some], self.settings.loss_power)
            gradient[:, d:] += tile.pulled(pull, overlaps[some])
        gradient[:, d:] -= overlaps.sum(axis=0)[:, None]
        gradient[:, :d] = overlaps.T @ v
        self._move(gradient, rate)
        loss = float((miss.astype(np.float64) ** (2 * self.settings.loss_power)).sum())
        wrong = int((saved.argmax(axis=1) != targets.argmax(axis=1)).sum())
        return loss, wrong, float(np.abs(gradient).max())

    def _move(self, gradient: Array, rate: float) -> None:
        """Let each memory go down its gradient, its largest entry by the rate."""
        self.velocity *= self.settings.momentum
        self.velocity += gradient
        largest = np.abs(self.velocity).max(axis=1, keepdims=True)
        # A memory that nothing pulls stays: old velocity blown up to a full step means nothing.
        pulled = np.abs(gradient).max(axis=1, keepdims=True) > 0
        self.memories += self.velocity * (pulled * rate / np.maximum(largest, SMALLEST_STEP))
        np.clip(self.memories, -1, 1, out=self.memories)


class _Tile:
    """A few inputs at a time, whose overlaps with all memories stay in the processor's cache."""

    def __init__(self, network: Network, rows: int) -> None:
        dtype, shape = network.dtype, (rows, len(network.memories))
        self._network = network
        self._switched = [network._switched(a) for a in range(network.n_classes)]
        self._slopes = np.empty((network.n_classes, *shape), dtype)
        self._off, self._on, self._scratch, self._value_off = np.empty((4, *shape), dtype)

    def read(self, overlaps: Array) -> Array:
        """Return what is saved when each class is switched on, (q, C), and keep the slopes."""
        n = len(overlaps)
        on, value, value_off = self._on[:n], self._scratch[:n], self._value_off[:n]
        saved = np.empty((n, len(self._switched)), on.dtype)
        np.copyto(on, overlaps)
        self._weighed(on, self._off[:n], value_off)
        for a, switched in enumerate(self._switched):
            np.add(overlaps, switched, out=on)
            self._weighed(on, self._slopes[a, :n], value)
            value -= value_off
            saved[:, a] = value.sum(axis=1)
        return saved

    def _weighed(self, overlaps: Array, slope: Array, value: Array) -> None:
        """Put F and its derivative of some overlaps in place, rectifying these."""
        if self._network.settings.rectified:
            np.maximum(overlaps, 0, out=overlaps)
        self._network._slope(overlaps, slope, value)
        np.multiply(slope, overlaps, out=value)

    def pulled(self, pull: Array, shared: Array) -> Array:
        """Return the gradient of the units of the classes (K, C); put the overlaps' in place."""
        n = len(pull)
        slope_off, scratch = self._off[:n], self._scratch[:n]
        gradient = np.empty((shared.shape[1], pull.shape[1]), pull.dtype)
        shared[...] = 0
        for a in range(pull.shape[1]):
            slope = self._slopes[a, :n]
            gradient[:, a] = 2 * (pull[:, a] @ slope)
            np.subtract(slope, slope_off, out=scratch)
            scratch *= pull[:, a, None]
            shared += scratch
        return gradient


def _pull(saved: Array, targets: Array, loss_power: int) -> tuple[Array, Array]:
    """How far tanh of what is saved is from the targets, and the slope of the loss."""
    # 1 - |tanh| and its square's complement without the cancellation that would end learning.
    small = np.exp(-2 * np.abs(saved))
    magnitude = (1 - small) / (1 + small)
    miss = np.where((saved > 0) == (targets > 0), 2 * small / (1 + small), 1 + magnitude)
    return miss, targets * miss ** (2 * loss_power - 1) * (4 * small / (1 + small) ** 2)


def _power(x: Array, n: int) -> Array:
    """Return x^n."""
    out = np.empty_like(x)
    _raise(x, n, out, np.empty_like(x))
    return out


def _raise(x: Array, n: int, out: Array, scratch: Array) -> None:
    """Put x^n into ``out``, by squaring: NumPy's own power takes a logarithm per entry."""
    square, begun = x, False
    while n:
        if n & 1:
            if begun:
                out *= square
            else:
                np.copyto(out, square)
            begun = True
        n >>= 1
        if n:
            square = np.multiply(square, square, out=scratch)
    if not begun:
        out[...] = 1


def _ramp(given: float | Sequence[float]) -> tuple[float, float]:
    ends = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(ends) != 2:
        raise ValueError(f"temperature must be one number or (first, last), got {given!r}")
    return _positive(ends[0], "temperature"), _positive(ends[1], "temperature")


def _positive(given: object, name: str, most: float = math.inf) -> float:
    value = _check.number(given, name)
    if not 0 < value <= most:
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name} must be above 0{limit}, got {given!r}")
    return value
