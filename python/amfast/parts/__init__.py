"""The three parts of an associative memory: similarity, separation, readout.

One read of a memory is ``readout(sum_i w_i v_i)``, where the weights ``w`` are the separation of
the similarities between the cue and the stored keys. Parts are small frozen objects; strings name
the common ones, and a Python function can stand in for a similarity or a separation.

Notation: ``s_i`` is the score of item i (larger is better; a distance d scores as -d), ``b_i`` the
logarithm of its weight (0 unless given).

Not every pair makes sense. Under a distance all scores are <= 0, so choose `Softmax`, `Max`, `TopK`
or `Threshold`: of the powers, odd ones give negative weights, even ones lift the farthest item and
rectified ones give zeros, and the square root and the logarithm raise. Those suit ``dot``, a
similarity of your own, or ``convention="paper"``, which turns distances into reciprocals.

Examples
--------
>>> import amfast as am
>>> am.Polynomial(3)
Polynomial(n=3, rectified=False)
>>> am.Similarity("l1")
Similarity('manhattan', larger_is_better=False)
"""

from amfast.parts.base import Separation, SeparationWarning, WeightFunction
from amfast.parts.best import Max, TopK
from amfast.parts.entmax import Entmax, Sparsemax
from amfast.parts.features import Elu, FeatureMap, Fourier
from amfast.parts.fitted import FittedSimilarity, fit_similarity
from amfast.parts.readout import Readout
from amfast.parts.separations import (
    SEPARATIONS,
    Exponential,
    Identity,
    Log,
    Polynomial,
    Softmax,
    Sqrt,
    Threshold,
    separation,
)
from amfast.parts.similarities import ScoreFunction, Similarity, similarity

__all__ = [
    "SEPARATIONS",
    "Elu",
    "Entmax",
    "Exponential",
    "FeatureMap",
    "FittedSimilarity",
    "Fourier",
    "Identity",
    "Log",
    "Max",
    "Polynomial",
    "Readout",
    "ScoreFunction",
    "Separation",
    "SeparationWarning",
    "Similarity",
    "Softmax",
    "Sparsemax",
    "Sqrt",
    "Threshold",
    "TopK",
    "WeightFunction",
    "fit_similarity",
    "separation",
    "similarity",
]
