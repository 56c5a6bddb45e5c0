"""Experiments with any memory: how much it holds, which suits one's images, where its basins end.

`capacity` sweeps load and corruption over random or given patterns, `compare` puts several memories
beside each other on the same images, `basins` looks at the attractors of a binary memory.
"""

from amfast.lab.basins import Basins, basins
from amfast.lab.capacity import Capacity, capacity
from amfast.lab.comparison import Comparison, compare

__all__ = ["Basins", "Capacity", "Comparison", "basins", "capacity", "compare"]
