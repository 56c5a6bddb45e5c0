"""
L1 against L2
=============

Three ways of spoiling a thousand images, and which share of them two distances still find.
Manhattan counts an error as it is; the square counts one pixel that is far off like many that are
near, and so loses sooner. Where whole rows are black neither helps unless it is told which.
"""

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

images = am.datasets.load("fashion_mnist_small").patterns()
right = np.arange(len(images))
rng = np.random.default_rng(0)
order, colour = rng.random(images.shape), rng.random(images.shape).round()
spoilt = {
    "Gaussian noise, standard deviation": (
        [0.2, 0.4, 0.6, 0.8, 1.0],
        lambda level: am.corrupt.gaussian(images, level, mode="clip", seed=0),
    ),
    "share of pixels black or white": (
        [0.2, 0.4, 0.6, 0.7, 0.8, 0.9],
        lambda level: np.where(order < level, colour, images).astype(np.float32),
    ),
    "share of rows black": (
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        lambda level: am.corrupt.mask(images, level, shape=(28, 28)),
    ),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True, layout="constrained")
for axis, (name, (levels, spoil)) in zip(axes, spoilt.items(), strict=True):
    for metric, mark in {"manhattan": "o-", "sqeuclidean": "s--"}.items():
        found = [
            (am.topk(spoil(level), images, 1, metric)[1][:, 0] == right).mean() for level in levels
        ]
        axis.plot(levels, found, mark, label=metric)
    axis.set(xlabel=name, ylim=(0, 1.05))
axes[0].set_ylabel(f"of {len(images)} images found")
axes[0].legend()
plt.show()
