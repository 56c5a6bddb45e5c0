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

from amfast import bits, corrupt, datasets, plot, theory
from amfast._check.savable import inspect, load
from amfast._check.tensors import FileFormatError
from amfast._stores.moments import SecondMoment
from amfast._threads import get_num_threads, set_num_threads, threads
from amfast.bits import BitMatrix, pack
from amfast.kernels import (
    Blocks,
    Keys,
    Partial,
    cpu_info,
    hebbian,
    merge_topk,
    merge_within,
    pairwise,
    partial,
    retrieve,
    topk,
    within,
)
from amfast.kernels.neighbours import pairs_within, self_topk
from amfast.lab import Basins, Capacity, Comparison, basins, capacity, compare
from amfast.memories.bidirectional import BidirectionalMemory
from amfast.memories.dense.classifier import DenseAssociativeClassifier
from amfast.memories.dense.memory import DenseAssociativeMemory, DenseRecall
from amfast.memories.hebbian.memory import HebbianMemory
from amfast.memories.hebbian.spectrum import effective_rank
from amfast.memories.hopfield.memory import Hopfield, HopfieldRecall
from amfast.memories.learned.memory import LinearAssociativeMemory
from amfast.memories.measure import Measure
from amfast.memories.measure_regressor import MeasureRegressor
from amfast.memories.modern import ContinuousSDM, ModernBounds, ModernHopfield, SeparationWarning
from amfast.memories.neural import NeuralDynamics
from amfast.memories.neural.path import NeuralPath
from amfast.memories.recall import Recall
from amfast.memories.recovery.expander import expander
from amfast.memories.recovery.memory import Recovery, SparseRecoveryMemory
from amfast.memories.sdm.memory import SdmRecall, SparseDistributedMemory
from amfast.memories.universal.memory import UniversalHopfield
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
    fit_similarity,
)
from amfast.parts.entmax import Entmax, Sparsemax
from amfast.parts.features import Elu, Fourier
from amfast.shards import Shards

__version__ = "0.1.0"

__all__ = [
    "Basins",
    "BidirectionalMemory",
    "BitMatrix",
    "Blocks",
    "Capacity",
    "Comparison",
    "ContinuousSDM",
    "DenseAssociativeClassifier",
    "DenseAssociativeMemory",
    "DenseRecall",
    "Elu",
    "Entmax",
    "Exponential",
    "FileFormatError",
    "Fourier",
    "HebbianMemory",
    "Hopfield",
    "HopfieldRecall",
    "Identity",
    "Keys",
    "LinearAssociativeMemory",
    "Log",
    "Max",
    "Measure",
    "MeasureRegressor",
    "ModernBounds",
    "ModernHopfield",
    "NeuralDynamics",
    "NeuralPath",
    "Partial",
    "Polynomial",
    "Readout",
    "Recall",
    "Recovery",
    "SdmRecall",
    "SecondMoment",
    "Separation",
    "SeparationWarning",
    "Shards",
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
    "basins",
    "bits",
    "capacity",
    "compare",
    "corrupt",
    "cpu_info",
    "datasets",
    "effective_rank",
    "expander",
    "fit_similarity",
    "get_num_threads",
    "hebbian",
    "inspect",
    "load",
    "merge_topk",
    "merge_within",
    "pack",
    "pairs_within",
    "pairwise",
    "partial",
    "plot",
    "retrieve",
    "self_topk",
    "set_num_threads",
    "theory",
    "threads",
    "topk",
    "within",
]
