"""The sizes of a sparse distributed memory, and what theory expects of them."""

from __future__ import annotations

import numpy as np

from amfast._typing import Float, Int
from amfast.memories.base import Memory
from amfast.memories.sdm.locations import Counters
from amfast.theory.sdm import (
    activation_probability,
    sdm_critical_distance,
    sdm_new_distance,
    sdm_radius,
)
from amfast.theory.sdm_choice import sdm_best_p
from amfast.theory.sdm_recall import sdm_convergence_distance


class _Expected(Memory):
    """The part of the memory that asks `amfast.theory` about itself."""

    _store: Counters

    @property
    def n_bits(self) -> int:
        """Bits of an address."""
        return self._store.locations.n_bits

    @property
    def n_locations(self) -> int:
        """Hard locations."""
        return self._store.locations.n_locations

    @property
    def value_bits(self) -> int:
        """Bits of the data."""
        return self._store.value_bits

    @property
    def radius(self) -> int:
        """Largest Hamming distance at which a location is active."""
        return self._store.locations.radius

    @property
    def p(self) -> float:
        """Probability that a random location is active: the radius's, not the one asked for."""
        return activation_probability(self.n_bits, self.radius)

    @property
    def expected_active(self) -> float:
        """Locations that a word activates on average if locations are random."""
        return self._store.locations.expected_active

    def _why_no_energy(self) -> str:
        return "the sums of active counters are not the gradient of one"

    def _theory(self, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
        """Name no loads; expect the overlap of one read at the address of a stored word."""
        distances = [sdm_new_distance(d, self.n_locations, self.radius, int(n), 0) for n in loads]
        return {}, 1 - 2 * np.array(distances) / d

    def _width(self) -> int:
        return int(self.n_bits)

    def _own_theory(self) -> dict[str, float]:
        """Distances that recall bridges, and the radius that this many words would want."""
        sizes = self.n_bits, self.n_locations, self.radius, len(self)
        best = sdm_radius(self.n_bits, sdm_best_p(self.n_locations, len(self)))
        said = {
            "locations active on average": float(self.expected_active),
            "best radius for so many words": float(best),
        }
        if self.value_bits == self.n_bits and self.expected_active >= 1:
            said["one read comes no nearer from this distance"] = sdm_critical_distance(*sizes)
            said["iterated reads converge up to this distance"] = sdm_convergence_distance(*sizes)
        return said
