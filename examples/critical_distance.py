"""Kanerva's memory: from how far a word is recalled, and which locations it activates."""

import sys

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return measured over expected critical distance."""
    n_bits, n_locations, n_words = (256, 20_000, 200) if quick else (1000, 200_000, 2000)
    memory = am.SparseDistributedMemory(n_bits, n_locations, seed=0)
    words = am.BitMatrix.random(n_words, n_bits, seed=1)
    active = memory.write(words)
    print(f"a word activates {active.mean():.0f} of {n_locations} locations")
    print("the first word's:", memory.activated(words[:1])[0][:8], "...")
    for name, value in memory.theory().items():
        print(f"  {name}: {value:.4g}")
    bits = words.unpack()[:100]
    distances = np.arange(0, n_bits // 2, n_bits // 64)
    back = []
    for distance in distances:
        cues = am.corrupt.flip(bits, n_flips=int(distance), seed=2)
        back.append((memory.read(cues, max_iter=10) == bits).all(axis=1).mean())
    measured = distances[np.flatnonzero(np.array(back) >= 0.5)[-1]]
    expected = memory.theory()["iterated reads converge up to this distance"]
    print(f"half of all words come back from {measured} wrong bits, theory says {expected:.0f}")
    return float(measured / expected)


if __name__ == "__main__":
    main("--quick" in sys.argv)
