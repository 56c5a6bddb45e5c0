"""
Energy landscapes
=================

Three items in the plane under a modern Hopfield network, for three values of beta. Cues walk
downhill, step by step: to the mean of all items where beta is small, to the nearest one where it
is large.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

warnings.simplefilter("ignore", am.SeparationWarning)  # a small beta blends, which is the point
angles = np.arange(12) * np.pi / 6 + 0.2
cues = np.stack([0.75 * np.cos(angles), 0.75 * np.sin(angles)], axis=1)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for axis, beta in zip(axes, (1.0, 2.5, 8.0), strict=True):
    memory = am.ModernHopfield(beta)
    memory.store([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
    am.plot.landscape(memory, cues=cues, axis=axis)
    axis.set_title(f"beta = {beta:g}")
plt.show()
