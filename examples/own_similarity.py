"""A similarity and a separation of your own: Python functions on tiles of scores."""

import sys

import numpy as np

import amfast as am


def chebyshev(cues, keys):
    """Largest difference of any pixel: (q, d), (n, d) -> (q, n)."""
    return np.abs(cues[:, None] - keys[None]).max(axis=2)


def steep(scores):
    """Weights (q, n) of scores (q, n): falls fast below the best one."""
    return 1.0 / (1e-3 + scores.max(axis=1, keepdims=True) - scores) ** 4


def main(quick: bool = False) -> float:
    """Return the share of images whose nearest stored image after recall is the right one."""
    images = am.datasets.load("fashion_mnist_small", n=40 if quick else 200).patterns()
    # It is a distance, and has to be called one: as a similarity it would recall the farthest.
    distance = am.Similarity(chebyshev, larger_is_better=False)
    memory = am.UniversalHopfield(distance, am.Separation(steep))
    memory.store(images)
    recalled = memory.recall(np.clip(images + 0.05, 0, 1))
    right = am.topk(recalled, images, 1, "sqeuclidean")[1][:, 0] == np.arange(len(images))
    print(f"{right.mean():.0%} of {len(images)} images recalled by a similarity of our own")
    return float(right.mean())


if __name__ == "__main__":
    main("--quick" in sys.argv)
