"""
Images back from noise
======================

Three hundred images are stored, and recalled from cues with noise of standard deviation 0.3.
"""

import matplotlib.pyplot as plt

import amfast as am

images = am.datasets.load("fashion_mnist_small", n=300).patterns()
memory = am.UniversalHopfield("manhattan", beta=1.0)
ids = memory.store(images)
cues = am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)
found = memory.recall(cues, details=True)
print(f"{(found.best == ids).mean():.0%} of {len(images)} images found")

shown = [0, 1, 3, 5, 6, 18, 23, 30]
figure, axes = plt.subplots(3, len(shown), figsize=(8, 3.2), layout="constrained")
rows = {"cue": cues, "recalled": found.state, "stored": images}
for row, (name, pictures) in enumerate(rows.items()):
    for axis, i in zip(axes[row], shown, strict=True):
        axis.imshow(pictures[i].reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(name)
plt.show()
