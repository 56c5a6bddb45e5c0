"""Readable NumPy twins of the engine's kernels, in float64.

Each function is the formula of its kernel written down plainly: no tiles, no threads, the whole
score matrix in memory. They are slow. The tests compare the engine with them, and they are the
place to look up what a metric or a separation computes. One module per family, as in the engine;
NumPy is all they import.

Examples
--------
>>> import numpy as np
>>> from amfast import reference
>>> reference.pairwise(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0]]), "euclidean")
array([[5.]])
"""

from amfast.reference.counters import sdm_active, sdm_read, sdm_write
from amfast.reference.dynamics import (
    cue_key,
    flips,
    matrix_terms,
    overlap_terms,
    sweep_order,
    sweep_words,
)
from amfast.reference.gradients import Gradients, causal_retrieve, retrieve_backward
from amfast.reference.learning import Learner, dense_follow, dense_pulled, dense_saved
from amfast.reference.metrics import METRICS, distribution, pairwise
from amfast.reference.peeling import peel
from amfast.reference.products import hebbian, hebbian_memory
from amfast.reference.retrieval import modern_energy, retrieve, separation_margin
from amfast.reference.searches import topk, within
from amfast.reference.separations import entmax, potential, separate

__all__ = [
    "METRICS",
    "Gradients",
    "Learner",
    "causal_retrieve",
    "cue_key",
    "dense_follow",
    "dense_pulled",
    "dense_saved",
    "distribution",
    "entmax",
    "flips",
    "hebbian",
    "hebbian_memory",
    "matrix_terms",
    "modern_energy",
    "overlap_terms",
    "pairwise",
    "peel",
    "potential",
    "retrieve",
    "retrieve_backward",
    "sdm_active",
    "sdm_read",
    "sdm_write",
    "separate",
    "separation_margin",
    "sweep_order",
    "sweep_words",
    "topk",
    "within",
]
