"""
Few known pixels
================

Of every cue some pixels are NaN, which means *not known*. Distances over the known ones find the
image while a few in a hundred are left. Zeros in their place are numbers like any others, and
mislead.
"""

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

images = am.datasets.load("fashion_mnist_small", n=300).patterns()
rng = np.random.default_rng(0)
order = rng.random(images.shape)
shares = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
found = {"missing": [], "black": []}
for share in shares:
    cues = np.where(order < share, images, np.nan)
    cues[np.isnan(cues).all(axis=1), 0] = 0.0  # a cue has a known pixel at least
    right = np.arange(len(images))
    missing = am.topk(cues, images, 1, "manhattan", nan="missing")[1][:, 0]
    black = am.topk(np.nan_to_num(cues), images, 1, "manhattan")[1][:, 0]
    found["missing"].append((missing == right).mean())
    found["black"].append((black == right).mean())

figure, (left, axis) = plt.subplots(
    1, 2, figsize=(8, 3.2), width_ratios=[1, 2], layout="constrained"
)
cue = np.where(order[0] < 0.05, images[0], np.nan).reshape(28, 28)
left.imshow(np.ma.masked_invalid(cue), cmap="gray_r", vmin=0, vmax=1)
left.set_facecolor("lightsteelblue")
left.set(xticks=[], yticks=[], title="5 % known")
axis.semilogx(shares, found["missing"], "o-", label='NaN, nan="missing"')
axis.semilogx(shares, found["black"], "s--", label="zeros in their place")
axis.set(xlabel="share of known pixels", ylabel="images found")
axis.legend()
plt.show()
