"""
The capacity transition
=======================

Overlap of recalled and stored patterns of a Hopfield network against its load, with the mean-field
theory of Amit, Gutfreund and Sompolinsky over it. For infinitely many units the overlap jumps at
0.138; the step sharpens with their number.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

warnings.simplefilter("ignore", am.SeparationWarning)  # beyond capacity on purpose
loads = np.array([0.04, 0.08, 0.1, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.2, 0.24])
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for d in (250, 1000):
    overlap = []
    for load in loads:
        patterns = am.BitMatrix.random(round(load * d), d, seed=1)
        memory = am.Hopfield()
        memory.store(patterns)
        signs = patterns.unpack().astype(np.int32)[:60]
        overlap.append((memory.recall(patterns).unpack()[:60] * signs).mean())
    axis.plot(loads, overlap, "o-", markersize=4, label=f"d = {d}")
fine = np.linspace(0.04, 0.24, 401)
axis.plot(fine, [am.theory.hopfield_overlap(x) for x in fine], "k--", label="theory, d to infinity")
axis.set(xlabel="patterns per unit", ylabel="overlap after recall", ylim=(0, 1.05))
axis.legend()
plt.show()
