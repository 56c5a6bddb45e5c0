"""amfast: associative memories for NumPy, fast on CPUs.

An associative memory is similarity -> separation -> projection. `UniversalHopfield` stores items
and recalls them from corrupted cues; the kernels below it (`pairwise`, `topk`, `within`,
`retrieve`) take and return plain arrays.

Examples
--------
>>> import numpy as np, amfast as am
>>> memory = am.UniversalHopfield("manhattan", "max")
>>> ids = memory.store(np.eye(3))
>>> memory.recall(np.array([0.1, 0.7, 0.0]))
array([0., 1., 0.])
"""

from amfast import bits, corrupt, datasets, theory
from amfast._capacity import Capacity, capacity
from amfast.bits import BitMatrix, pack
from amfast.classifier import DenseAssociativeClassifier
from amfast.dense import DenseAssociativeMemory, DenseRecall
from amfast.features import Elu, Fourier
from amfast.hebbian_memory import HebbianMemory
from amfast.hopfield import Hopfield, HopfieldRecall
from amfast.kernels import (
    cpu_info,
    get_num_threads,
    pairwise,
    retrieve,
    set_num_threads,
    threads,
    topk,
    within,
)
from amfast.learned import LinearAssociativeMemory
from amfast.measure import Measure
from amfast.modern import ContinuousSDM, ModernBounds, ModernHopfield, SeparationWarning
from amfast.moments import SecondMoment
from amfast.outer import hebbian
from amfast.parts import (
    Exponential,
    Identity,
    Log,
    Max,
    Polynomial,
    Readout,
    Separation,
    Similarity,
    Softmax,
    Sqrt,
    Threshold,
    TopK,
)
from amfast.recovery import Recovery, SparseRecoveryMemory
from amfast.sdm import SparseDistributedMemory
from amfast.sparse import Entmax, Sparsemax
from amfast.universal import Recall, UniversalHopfield

__version__ = "0.1.0"

__all__ = [
    "BitMatrix",
    "Capacity",
    "ContinuousSDM",
    "DenseAssociativeClassifier",
    "DenseAssociativeMemory",
    "DenseRecall",
    "Elu",
    "Entmax",
    "Exponential",
    "Fourier",
    "HebbianMemory",
    "Hopfield",
    "HopfieldRecall",
    "Identity",
    "LinearAssociativeMemory",
    "Log",
    "Max",
    "Measure",
    "ModernBounds",
    "ModernHopfield",
    "Polynomial",
    "Readout",
    "Recall",
    "Recovery",
    "SecondMoment",
    "Separation",
    "SeparationWarning",
    "Similarity",
    "Softmax",
    "SparseDistributedMemory",
    "SparseRecoveryMemory",
    "Sparsemax",
    "Sqrt",
    "Threshold",
    "TopK",
    "UniversalHopfield",
    "__version__",
    "bits",
    "capacity",
    "corrupt",
    "cpu_info",
    "datasets",
    "get_num_threads",
    "hebbian",
    "pack",
    "pairwise",
    "retrieve",
    "set_num_threads",
    "theory",
    "threads",
    "topk",
    "within",
]
