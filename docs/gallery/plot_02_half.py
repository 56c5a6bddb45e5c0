"""
The other half of an image
==========================

The lower half of every cue is unknown. Told so by ``mask=``, the memory compares what is known and
recalls the rest. Taken for black, the same cues look like other images.
"""

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

images = am.datasets.load("fashion_mnist_small", n=300).patterns()
known = np.arange(784) < 392
cues = np.where(known, images, 0)
memory = am.UniversalHopfield("manhattan", "max")
ids = memory.store(images)
told = memory.recall(cues, mask=known, details=True)
untold = memory.recall(cues, details=True)
rows = {
    "cue": cues,
    f"told: {(told.best == ids).mean():.0%}": told.state,
    f"not told: {(untold.best == ids).mean():.0%}": untold.state,
    "stored": images,
}

figure, axes = plt.subplots(len(rows), 8, figsize=(8, 4.2), layout="constrained")
for line, (name, pictures) in zip(axes, rows.items(), strict=True):
    for axis, picture in zip(line, pictures, strict=False):
        axis.imshow(picture.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()
