"""The modern continuous Hopfield network, and attention as a sparse distributed memory.

Both are presets of `UniversalHopfield` with a softmax: `ModernHopfield` over dot products, with the
energy and the bounds of Ramsauer et al. (2021); `ContinuousSDM` over cosines, with the inverse
temperature that makes attention weigh items as Kanerva's memory of a given radius does (Bricken and
Pehlevan 2021).

Examples
--------
>>> import numpy as np, amfast as am
>>> memory = am.ModernHopfield(beta=8.0)
>>> ids = memory.store(np.eye(3))
>>> memory.recall([0.9, 0.3, 0.0], max_iter=3).round(2)
array([1., 0., 0.])
"""

from amfast.memories.modern.continuous import ContinuousSDM as ContinuousSDM
from amfast.memories.modern.memory import ModernBounds as ModernBounds
from amfast.memories.modern.memory import ModernHopfield as ModernHopfield
from amfast.memories.modern.memory import SeparationWarning as SeparationWarning
