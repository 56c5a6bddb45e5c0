"""Fall into an attractor: every state on the way, and an energy that never rises."""

import sys

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return 1 if the energy never rose and the image came back."""
    images = am.datasets.load("fashion_mnist_small", n=5).patterns() > 0.5
    memory = am.Hopfield("projection")
    memory.store(images)
    cue = am.corrupt.flip(images[0], 0.2, seed=0)
    found = memory.recall(cue, trace="unit", seed=1)
    falls = (np.diff(found.path_energy) <= 1e-9).all()
    print(f"{len(found.path_unit)} flips, energy {found.path_energy[0]:.1f} to {found.energy:.1f}")
    print(f"right image: {(found.state == images[0]).mean():.1%} of its pixels")
    few = am.Hopfield()
    few.store(am.BitMatrix.random(6, 100, seed=0))
    print(am.basins(few, n_starts=100 if quick else 1000))
    if not quick:
        am.plot.fall(found, "fall.png", shape=(28, 28))
        plane = am.ModernHopfield(beta=4.0)
        plane.store([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
        am.plot.landscape(plane, "landscape.png", cues=[[0.2, 0.1], [-0.3, 0.2]])
    return float(falls and (found.state == images[0]).mean() > 0.99)


if __name__ == "__main__":
    main("--quick" in sys.argv)
