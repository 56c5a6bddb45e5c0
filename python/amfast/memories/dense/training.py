"""What a `DenseAssociativeClassifier` learns with: its settings, read once, and its memories."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amfast import _check
from amfast._engine import learning, scoring
from amfast._typing import Array

if TYPE_CHECKING:
    from amfast.memories.dense.classifier import DenseAssociativeClassifier

# A gradient that nothing in the data can have made any more, only rounding.
SMALLEST_STEP = 1e-30
# Powers of ten that float32 has between the slopes of overlaps of which none may be lost.
_SPAN = 20.0
# An answer this near its target pulls nothing, nor does an input that no memory takes notice of.
# Each memory's step is as long as the rate says, whatever pulls it: where these alone did, it would
# wander off from what it has learned.
_LEARNED = 1e-3


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
    any_dtype: bool
    """Whether the type of the arithmetic was left to the library."""
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
        # Powers of the largest overlap are then too far from those of one at the temperature.
        cold = n * math.log10(1 / min(heat)) > _SPAN
        wide = dtype == "float64" or (dtype == "auto" and cold)
        return cls(
            n_memories=_check.integer(given.n_memories, "n_memories", 1, 2**63 - 1),
            n=n,
            rectified=kind == "rectified",
            loss_power=power,
            temperature=heat,
            learning_rate=rate,
            decay=_check.number(given.decay, "decay", 0.0, 1.0, above=True),
            momentum=momentum,
            n_epochs=_check.integer(given.n_epochs, "n_epochs", 1),
            batch_size=_check.integer(given.batch_size, "batch_size", 1),
            scaled=given.scale is not None,
            patience=patience,
            dtype=np.dtype(np.float64 if wide else np.float32),
            any_dtype=dtype == "auto",
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
        if self.unit == 0:
            most = max(-low, high)
            raise ValueError(
                f"X must have entries that {self.dtype} tells from 0 with scale=None, got none "
                f"above {most:g}; rescale it"
            )
        self.rng = np.random.default_rng(settings.seed)
        shape = settings.n_memories, self.n_inputs + n_classes
        _check.fits(shape, np.dtype(np.float64), "the memories")
        self.memories = self.rng.normal(-0.3, 0.3, shape).astype(self.dtype)
        self.velocity = np.zeros_like(self.memories)
        self.temperature = 1.0

    def copy(self, settings: Settings) -> Network:
        """Return a network that learns on from here, with other settings if these fit it."""
        self._refuse_changed(settings, ("n_memories", "scale", "dtype"), "it can learn on")
        twin = copy.deepcopy(self)
        twin.settings = settings
        return twin

    def arrays(self, settings: Settings) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restored` makes the same network of: arrays, and names and numbers.

        ValueError if the settings that go with them now are of another network.
        """
        changes = ("n_memories", "n", "interaction", "scale", "dtype")
        self._refuse_changed(settings, changes, "it can be saved")
        own = {
            "range": [float(x) for x in self.range],
            "unit": self.unit,
            "temperature": float(self.temperature),
            "chance": self.rng.bit_generator.state,
        }
        return {"memories": self.memories, "velocity": self.velocity}, own

    def _refuse_changed(self, settings: Settings, names: tuple[str, ...], what: str) -> None:
        """Refuse settings that differ in some parameters from what the memories were made with."""
        mine, type_now = self.settings, self.dtype if settings.any_dtype else settings.dtype
        same = {
            "n_memories": settings.n_memories == len(self.memories),
            "n": settings.n == mine.n,
            "interaction": settings.rectified == mine.rectified,
            "scale": settings.scaled == mine.scaled,
            "dtype": type_now == self.dtype,
        }
        changed = " and ".join(name for name in names if not same[name])
        if changed:
            raise ValueError(
                f"{changed} changed since the memories were trained; fit again before {what}, or "
                "set it back"
            )

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
        own_type = arrays["memories"].dtype
        if settings.any_dtype and own_type in (np.float32, np.float64):
            made.dtype = own_type  # whichever "auto" stood for
        for name in ("memories", "velocity"):
            x = arrays[name]
            if x.shape != shape or x.dtype != made.dtype:
                raise ValueError(f"{name} must be {made.dtype} {shape}, got {x.dtype} {x.shape}")
            setattr(made, name, x if x.flags.writeable else x.copy())
        low, high = (_check.number(x, "range") for x in own["range"])
        if not low < high:
            raise ValueError(f"range must ascend, got {low:g}..{high:g}")
        made.range, made.unit = (low, high), _check.number(own["unit"], "unit", 0.0, above=True)
        made.temperature = _check.number(own["temperature"], "temperature", 0.0, above=True)
        made.rng = np.random.default_rng()
        made.rng.bit_generator.state = own["chance"]
        return made

    def scaled(self, inputs: Array) -> Array:
        """Return inputs as states in [-1, 1], in the type of the arithmetic."""
        if not self.settings.scaled:
            if inputs.size and max(inputs.max(), -inputs.min()) > 1:
                raise ValueError(
                    f"X must lie in [-1, 1] with scale=None, got {inputs.min():g}..{inputs.max():g}"
                )
            return inputs.astype(self.dtype)
        low, high = self.range
        # In the inputs' own precision: they may differ by little beside what they share.
        wide = np.promote_types(inputs.dtype, self.dtype)
        return ((inputs.astype(wide) - low) * (2 / (high - low)) - 1).astype(self.dtype)

    # -- the energy -------------------------------------------------------------------------------

    def _products(self, v: Array, threads: int) -> Array:
        """Multiply by the engine: an input has the same bits alone and among others."""
        keys = np.ascontiguousarray(self.memories[:, : self.n_inputs])
        return scoring.dot(v, keys, threads, self.dtype)

    def _overlaps(self, products: Array) -> tuple[learning.Overlaps, Array]:
        """Return what makes overlaps of products, and what those are multiples of, (Q, 1)."""
        units = self.memories[:, self.n_inputs :]
        reach = np.maximum(products.max(axis=1), -products.min(axis=1))
        reach += np.abs(units).sum(axis=1).max()
        # In units of the temperature, so that what is 1 there is not lost, but none beyond what has
        # a power, and the largest not below 1.
        inverse = 1 / np.maximum(reach, np.finfo(self.dtype).tiny).astype(np.float64)
        most = float(np.finfo(self.dtype).max) ** (0.5 / self.settings.n)
        scale = np.clip(1 / self.temperature, inverse, most * inverse).astype(self.dtype)
        off, switched = -units.sum(axis=1), np.ascontiguousarray(2 * units.T)
        settings = self.settings
        made = learning.Overlaps(scale, off, switched, settings.n, settings.rectified)
        return made, 1 / (scale[:, None].astype(np.float64) * self.temperature)

    def saved(self, v: Array, threads: int) -> Array:
        """(Q, C) energy that is saved when each class is switched on."""
        products = self._products(v, threads)
        overlaps, multiple = self._overlaps(products)
        energies = learning.saved(products, overlaps, threads) * _grown(multiple, self.settings.n)
        with np.errstate(over="ignore"):
            return np.asarray(energies.astype(self.dtype))

    def parts(self, v: Array, threads: int) -> Array:
        """(Q, C, K) what each memory saves of that."""
        n, units = self.settings.n, self.memories[:, self.n_inputs :]
        overlaps = (self._products(v, threads) - units.sum(axis=1))[:, None]
        on, off = (overlaps + 2 * units.T) / self.temperature, overlaps / self.temperature
        if self.settings.rectified:
            on, off = np.maximum(on, 0), np.maximum(off, 0)
        return np.asarray(on**n - off**n)

    # -- learning ---------------------------------------------------------------------------------

    def step(self, v: Array, targets: Array, rate: float, threads: int) -> tuple[float, int, float]:
        """Learn from some inputs; return their loss, how many were wrong, the largest gradient."""
        d, settings = self.n_inputs, self.settings
        products = v @ self.memories[:, :d].T
        overlaps, multiple = self._overlaps(products)
        saved = learning.saved(products, overlaps, threads) * _grown(multiple, settings.n)
        miss, pull = _pull(saved, targets, settings.loss_power)
        pull *= _grown(multiple, settings.n - 1)
        pull *= (miss >= _LEARNED) & saved.any(axis=1, keepdims=True)
        unit = float(np.abs(pull).max())
        pull = self._relative(pull, unit)
        # What is classified well pulls nothing, and is most inputs in the end.
        some = np.asarray(pull.any(axis=1))
        if not some.all():
            products, v, pull, overlaps = products[some], v[some], pull[some], overlaps.of(some)
        gradient = np.empty_like(self.memories)
        gradient[:, d:] = learning.pulled(products, overlaps, pull, threads).T
        np.matmul(products.T, v, out=gradient[:, :d])
        largest = self._move(gradient, unit, rate, threads)
        loss = float((miss ** (2 * settings.loss_power)).sum())
        wrong = int((saved.argmax(axis=1) != targets.argmax(axis=1)).sum())
        return loss, wrong, largest

    def _relative(self, pull: Array, unit: float) -> Array:
        """Return pulls as multiples of the largest, 0 where products with slopes would be lost."""
        least = math.sqrt(np.finfo(self.dtype).tiny)
        relative = pull / (unit or 1.0)
        return np.where(np.abs(relative) < least, 0.0, relative).astype(self.dtype)

    def _move(self, gradient: Array, unit: float, rate: float, threads: int) -> float:
        """Let each memory go along its gradient, its largest entry by the rate."""
        return learning.follow(
            gradient,
            self.memories,
            self.velocity,
            momentum=self.settings.momentum,
            unit=min(unit, float(np.finfo(self.dtype).max) ** 0.25),
            rate=rate,
            least=SMALLEST_STEP,
            threads=threads,
        )


def _pull(saved: Array, targets: Array, loss_power: int) -> tuple[Array, Array]:
    """How far tanh of what is saved is from the targets, and the slope of the loss."""
    # 1 - |tanh| and its square's complement without the cancellation that would end learning.
    small = np.exp(-2 * np.abs(saved))
    magnitude = (1 - small) / (1 + small)
    miss = np.where((saved > 0) == (targets > 0), 2 * small / (1 + small), 1 + magnitude)
    return miss, targets * miss ** (2 * loss_power - 1) * (4 * small / (1 + small) ** 2)


def _grown(multiple: Array, n: int) -> Array:
    """Return ``multiple^n``, which no product with a zero may make a NaN of."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(multiple**n, 1e200))


def _ramp(given: float | Sequence[float]) -> tuple[float, float]:
    ends = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(ends) != 2:
        raise ValueError(f"temperature must be one number or (first, last), got {given!r}")
    first, last = (_check.number(end, "temperature", 0.0, above=True) for end in ends)
    return first, last
