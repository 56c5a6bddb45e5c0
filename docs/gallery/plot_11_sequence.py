"""
A sequence
==========

Every image is stored with its successor as the value. From a spoilt first one the memory walks
through the rest.
"""

import matplotlib.pyplot as plt

import amfast as am

images = am.datasets.load("fashion_mnist_small", n=200).patterns()
memory = am.UniversalHopfield("manhattan", "max")
ids = memory.store(images[:-1], images[1:])
cue = am.corrupt.gaussian(images[4], 0.5, mode="clip", seed=0, shape=(28, 28))
path = memory.chain(cue, 11)
print(f"all 11 right: {(path[1:] == images[5:16]).all()}")

figure, axes = plt.subplots(2, 6, figsize=(8, 3.1), layout="constrained")
for step, (axis, picture) in enumerate(zip(axes.flat, path, strict=True)):
    axis.imshow(picture.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[], title="cue" if step == 0 else f"step {step}")
plt.show()
