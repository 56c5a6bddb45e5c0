"""
Beyond memory
=============

Keys in a file, read a block at a time: what is in memory is two blocks and the results, whatever
the file's size. Here a thousand images in 81 places each (64 MB), in blocks of 8192.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

images = am.datasets.load("fashion_mnist_small").images
shifts = [(down, right) for down in range(-4, 5) for right in range(-4, 5)]
rng = np.random.default_rng(0)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "keys.npy"
    keys = np.lib.format.open_memmap(path, "w+", np.uint8, (len(shifts) * len(images), 784))
    for i, shift in enumerate(shifts):
        moved = np.roll(images, shift, axis=(1, 2))
        keys[i * len(images) : (i + 1) * len(images)] = moved.reshape(len(images), 784)
    asked = rng.choice(len(keys), 5, replace=False)
    cues = np.clip(keys[asked] + rng.normal(0, 80, (5, 784)), 0, 255).astype(np.float32)
    scores, found = am.topk(cues, am.Blocks(path, rows=8192), 3, "manhattan")
    nearest = keys[found]
    print(f"{(found[:, 0] == asked).mean():.0%} of the cues find their own key first")
    del keys

figure, axes = plt.subplots(4, 5, figsize=(6, 4.6), layout="constrained")
names = ["cue", "nearest", "second", "third"]
for line, name, pictures in zip(axes, names, [cues, *nearest.swapaxes(0, 1)], strict=True):
    for axis, picture in zip(line, pictures, strict=True):
        axis.imshow(picture.reshape(28, 28), cmap="gray_r", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()
