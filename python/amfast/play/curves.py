"""What theory says of the capacities that the page measures.

The share of random patterns of d units that one update leaves as they are, ``(1 - P)^d`` with the
probability P that a bit is wrong, after k were stored.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from amfast import theory

UNITS = 100
MOST = 20_000
LOCATIONS = 2000
POWERS = (2, 3, 4, 5, 6, 8, 10, 20)
BETAS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 40)
RADII = tuple(range(346, 383, 4))
# Of the memory that the page measures: the best for a hundred words.
RADIUS = theory.sdm_best_radius(UNITS, LOCATIONS, 100)


def capacities() -> dict[str, Any]:
    """Everything that the page needs: sizes, parameters, and a curve for each."""
    loads = [int(k) for k in np.unique(np.geomspace(2, MOST, 61).round())]

    def curve(error: Any) -> list[float]:
        return [round(float((1 - error(k)) ** UNITS), 3) for k in loads]

    return {
        "units": UNITS, "loads": loads, "locations": LOCATIONS, "radius": RADIUS,
        "parameters": {"dense": POWERS, "modern": BETAS, "sdm": RADII},
        "curves": {
            "hopfield": [curve(lambda k: theory.hopfield_bit_error((k - 1) / UNITS))],
            "projection": [],
            "dense": [
                curve(lambda k, n=n: theory.dense_bit_error(UNITS, k, n)) for n in POWERS
            ],
            "modern": [curve(lambda k, b=b: _modern_error(k, b)) for b in BETAS],
            "sdm": [curve(_sdm_error)],
        },
        "marks": {
            "hopfield": round(theory.hopfield_critical_load() * UNITS, 2),
            "projection": UNITS,
        },
    }  # fmt: skip


def _modern_error(k: int, beta: float) -> float:
    """Q of signal over noise where the other patterns' weights are those of random scores.

    ``exp(d a)`` of them make a noise as strong as the signal, a as `theory.onestep_exponent`; keys
    of length 1 divide its beta by d.
    """
    log_snr = UNITS * theory.onestep_exponent(beta / UNITS) - math.log(k - 1)
    return _tail(math.exp(log_snr / 2))


def _sdm_error(k: int) -> float:
    """Of a word under a random name: at its own address a word is drawn to itself."""
    read = theory.sdm_read(UNITS, LOCATIONS, RADIUS, k, 0, autoassociative=False)
    return _tail(read.signal / read.noise)


def _tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))
