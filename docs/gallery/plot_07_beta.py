"""
From a blend to one image
=========================

A softmax averages what its beta cannot tell apart. Top: what one noisy cue recalls. Below: how
many items share the weight, the exponential of its entropy. ``recall`` warns where that is most of
them.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

warnings.simplefilter("ignore", am.SeparationWarning)  # small betas are shown on purpose
images = am.datasets.load("fashion_mnist_small", n=300).patterns()
cues = am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)
betas = np.geomspace(0.003, 3, 25)
shown = (0, 6, 10, 13, 16, 24)
recalled, shared = [], []
for beta in betas:
    memory = am.UniversalHopfield("manhattan", beta=float(beta))
    memory.store(images)
    weights = memory.weights(cues[:100])
    entropy = -(weights * np.log(np.maximum(weights, 1e-30))).sum(axis=1)
    shared.append(np.exp(entropy).mean())
    recalled.append(memory.recall(cues[6]))

figure = plt.figure(figsize=(7.5, 4.2), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[2, 3])
for axis, i in zip(top.subplots(1, len(shown)), shown, strict=True):
    axis.imshow(recalled[i].reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[], title=f"beta = {betas[i]:.2g}")
axis = bottom.subplots()
axis.loglog(betas, shared)
axis.plot(betas[list(shown)], np.array(shared)[list(shown)], "o", color="C0")
axis.set(xlabel="beta", ylabel="items that share the weight")
plt.show()
