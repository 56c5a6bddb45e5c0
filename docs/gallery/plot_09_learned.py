"""
A learned similarity
====================

``am.fit_similarity`` sees other images, and what two ways of spoiling them do: the lower half
black, half of the pixels black. It learns pixel by pixel how cues differ from keys, and which of
the two a cue suffered.
"""

import matplotlib.pyplot as plt

import amfast as am

images = am.datasets.load("fashion_mnist_small").patterns()
stored, examples = images[:300], images[300:]


def half(rows):
    """Make the lower half black."""
    return am.corrupt.mask(rows, 0.5, shape=(28, 28))


def holes(rows):
    """Make half of the pixels black."""
    return am.corrupt.random_mask(rows, 0.5, seed=len(rows), shape=(28, 28))


similarities = {
    "learned": am.fit_similarity(examples, [half, holes]),
    "reverse_kl": "reverse_kl",
    "manhattan": "manhattan",
    "cosine": "cosine",
}
memories = {name: am.UniversalHopfield(part, "max") for name, part in similarities.items()}
table = am.compare(
    memories, stored, {"lower half": half, "half of the pixels": holes}, shape=(28, 28)
)
print(table)

figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for k, name in enumerate(("lower half black", "half of the pixels black")):
    places = [i + 0.4 * k for i in range(len(memories))]
    axis.bar(places, table.success[:, k], 0.38, label=name)
axis.set_xticks([i + 0.2 for i in range(len(memories))], list(memories))
axis.set_ylabel("images recalled")
axis.set_ylim(0, 1.2)
axis.legend(loc="upper center", ncols=2)
plt.show()
