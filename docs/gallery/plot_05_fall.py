"""
Falling into an attractor
=========================

A Hopfield network recalls an image from a cue with a third of its pixels wrong. Units are taken
one by one; each flip lowers the energy.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import amfast as am

images = am.datasets.load("fashion_mnist_small", n=8).patterns() > 0.5
memory = am.Hopfield("projection")
ids = memory.store(images)
cue = am.corrupt.flip(images[3], 0.33, seed=0)
found = memory.recall(cue, trace="unit", seed=1)
frames = np.unique(np.linspace(0, len(found.path) - 1, 24).astype(int))

figure, (left, right) = plt.subplots(
    1, 2, figsize=(6.5, 3), width_ratios=[1, 1.4], layout="constrained"
)
picture = left.imshow(found.path[0].reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
left.set(xticks=[], yticks=[])
right.plot(found.path_energy, color="lightgray")
(line,) = right.plot([], [])
(point,) = right.plot([], [], "o")
right.set(xlabel="units flipped", ylabel="energy")


def show(step):
    """Draw the state after so many flips."""
    picture.set_data(found.path[step].reshape(28, 28))
    line.set_data(np.arange(step + 1), found.path_energy[: step + 1])
    point.set_data([step], [found.path_energy[step]])


animation = FuncAnimation(figure, show, frames=frames, interval=130)
plt.show()
