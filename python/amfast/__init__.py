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

from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from amfast.lab.basins import Basins, basins
    from amfast.lab.capacity import Capacity, capacity
    from amfast.lab.comparison import Comparison, compare
    from amfast.memories.bidirectional import BidirectionalMemory
    from amfast.memories.dense.classifier import DenseAssociativeClassifier
    from amfast.memories.dense.memory import DenseAssociativeMemory, DenseRecall
    from amfast.memories.hebbian.memory import HebbianMemory
    from amfast.memories.hebbian.spectrum import effective_rank
    from amfast.memories.hopfield.memory import Hopfield, HopfieldRecall
    from amfast.memories.learned.memory import LinearAssociativeMemory
    from amfast.memories.measure import Measure
    from amfast.memories.measure_regressor import MeasureRegressor
    from amfast.memories.modern import (
        ContinuousSDM,
        ModernBounds,
        ModernHopfield,
        SeparationWarning,
    )
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

# Where each name lives. What is not asked for is not imported: SPEC 1 of Scientific Python.
_ROOMS = "bits corrupt datasets kernels lab memories parts plot theory".split()
_HOMES = {
    "_check.savable": "inspect load",
    "_check.tensors": "FileFormatError",
    "_stores.moments": "SecondMoment",
    "_threads": "get_num_threads set_num_threads threads",
    "bits": "BitMatrix pack",
    "kernels": "Blocks Keys Partial cpu_info hebbian merge_topk merge_within pairwise partial "
    "retrieve topk within",
    "kernels.neighbours": "pairs_within self_topk",
    "lab.basins": "Basins basins",
    "lab.capacity": "Capacity capacity",
    "lab.comparison": "Comparison compare",
    "memories.bidirectional": "BidirectionalMemory",
    "memories.dense.classifier": "DenseAssociativeClassifier",
    "memories.dense.memory": "DenseAssociativeMemory DenseRecall",
    "memories.hebbian.memory": "HebbianMemory",
    "memories.hebbian.spectrum": "effective_rank",
    "memories.hopfield.memory": "Hopfield HopfieldRecall",
    "memories.learned.memory": "LinearAssociativeMemory",
    "memories.measure": "Measure",
    "memories.measure_regressor": "MeasureRegressor",
    "memories.modern": "ContinuousSDM ModernBounds ModernHopfield SeparationWarning",
    "memories.neural": "NeuralDynamics",
    "memories.neural.path": "NeuralPath",
    "memories.recall": "Recall",
    "memories.recovery.expander": "expander",
    "memories.recovery.memory": "Recovery SparseRecoveryMemory",
    "memories.sdm.memory": "SdmRecall SparseDistributedMemory",
    "memories.universal.memory": "UniversalHopfield",
    "parts": "Exponential Identity Log Max Polynomial Readout Separation Similarity Softmax Sqrt "
    "Threshold TopK fit_similarity",
    "parts.entmax": "Entmax Sparsemax",
    "parts.features": "Elu Fourier",
    "shards": "Shards",
}
_ASKING = RLock()
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # to a type checker this would say that any name is here

    def __getattr__(name):
        """Import a public name when it is first asked for."""
        if name in _ROOMS:
            return import_module(f"amfast.{name}")
        if name not in _HOME_OF:
            raise AttributeError(f"module 'amfast' has no attribute {name!r}")
        # One at a time: rooms import what is in them, so that threads which begin with different
        # modules would wait for each other. No module asks for a public name while it is imported.
        with _ASKING:
            found = globals()[name] = getattr(import_module(f"amfast.{_HOME_OF[name]}"), name)
        return found

    def __dir__():
        return sorted({*globals(), *_HOME_OF, *_ROOMS})
