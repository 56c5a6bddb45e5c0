"""Recall images from spoilt ones, and see which similarity suits them.

Replace `images` by your own: an array (N, H, W), here in 0..1.
"""

import sys

import amfast as am


def main(quick: bool = False) -> float:
    """Print a table, draw a picture, and return the share that Manhattan recalls from noise."""
    images = am.datasets.load("fashion_mnist_small", n=60 if quick else 500).images / 255
    table = am.compare(
        {
            "Manhattan": am.UniversalHopfield("manhattan", beta=1.0),
            "cosine": am.UniversalHopfield("cosine", beta=100.0),
            "reverse KL": am.UniversalHopfield("reverse_kl", beta=50.0),  # black pixels say nothing
            "dot": am.UniversalHopfield("dot", beta=1.0),  # long images win; a warning says so
        },
        images,
        {"noise": ("gaussian", 0.3), "lower half black": ("mask", 0.5)},
    )
    print(table)
    if not quick:
        table.plot("own_images.png")
    return float(table.success[0, 0])


if __name__ == "__main__":
    main("--quick" in sys.argv)
