"""
The critical distance of a sparse distributed memory
====================================================

A word comes back if the cue is near enough, within a distance that shrinks as more words are
written. Dashed: where theory expects ten reads to end (``am.theory.sdm_convergence_distance``); a
crowded memory ends sooner.
"""

import matplotlib.pyplot as plt
import numpy as np

import amfast as am

n_bits, n_locations = 256, 100_000
distances = np.arange(4, 85, 8)
figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for n_words in (1000, 2000, 5000):
    memory = am.SparseDistributedMemory(n_bits, n_locations, seed=0)
    words = am.BitMatrix.random(n_words, n_bits, seed=1)
    memory.write(words)
    bits = words.unpack()[:100]
    back = []
    for distance in distances:
        cues = am.corrupt.flip(bits, n_flips=int(distance), seed=2)
        back.append((memory.read(cues, max_iter=10) == bits).all(axis=1).mean())
    (line,) = axis.plot(distances, back, "o-", markersize=4, label=f"{n_words} words")
    expected = am.theory.sdm_convergence_distance(n_bits, n_locations, memory.radius, n_words)
    axis.axvline(expected, color=line.get_color(), linestyle="--", linewidth=1)
axis.set(xlabel=f"wrong bits of {n_bits} in the cue", ylabel="words recalled")
axis.legend()
plt.show()
