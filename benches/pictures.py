"""Draw the README's chart of five rows of the table, and its picture of attention.

``python benches/pictures.py`` after the table in benches/README.md changed.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import amfast as am

ROOT = Path(__file__).parents[1]
# Beginnings of rows of the table, and what the chart calls them.
ROWS = {
    "| 2 | topk(10) manhattan": "10 nearest of 60,000 images,\nManhattan",
    "| 4 | topk(10) sqeuclidean": "10 nearest of 60,000 images,\nsquared Euclidean",
    "| 9 | topk(10) hamming": "10 nearest of 1,000,000\nrows of 1024 bits",
    "| 15 | retrieve dot softmax 1,000 x 10,000 x 64": "softmax attention,\n1000 x 10,000 x 64",
    "| 18 | SDM read": "sparse distributed memory,\n100 reads",
}


def speed(path: Path) -> None:
    """Draw how many times as fast as the fastest other library each row is."""
    lines = (ROOT / "benches" / "README.md").read_text("utf-8").splitlines()
    ratios, peers = [], []
    for start in ROWS:
        cells = next(line for line in lines if line.startswith(start)).split("|")
        ratios.append(float(re.match(r"\s*([\d.]+)x", cells[5])[1]))
        peers.append(cells[4].split(",")[0].strip().rsplit(" ", 1)[0])
    axis = Figure(figsize=(7.2, 2.9), layout="constrained").subplots()
    bars = axis.barh(list(ROWS.values())[::-1], ratios[::-1], color="#0072B2")
    labels = [f"{r:.1f}x {peer}" for r, peer in zip(ratios, peers, strict=True)]
    axis.bar_label(bars, labels[::-1], padding=4, fontsize=9)
    axis.set_xscale("log")
    axis.set_xlim(0.7, 90)
    axis.axvline(1, color="0.4", linewidth=1)
    axis.set_xlabel("times as fast as the fastest other library (log scale)")
    axis.figure.savefig(path, dpi=110)


def attention(path: Path) -> None:
    """Draw attention weights of noisy cues, flat and steep."""
    rng = np.random.default_rng(0)
    keys = rng.standard_normal((24, 64))
    cues = keys[::2] + 0.7 * rng.standard_normal((12, 64))
    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    for axis, beta in zip(figure.subplots(1, 2), (1 / 64, 1 / 8), strict=True):
        weights = am.retrieve(cues, keys, np.eye(24), beta=beta)
        axis.imshow(weights, cmap="viridis", vmin=0, vmax=1)
        said = "1 / sqrt(d): attention" if beta == 1 / 8 else "1 / d: nearly an average"
        axis.set_title(f"beta = {said}", fontsize=9)
        axis.set_xlabel("key")
        axis.set_ylabel("cue")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    speed(ROOT / "docs" / "speed.png")
    attention(ROOT / "docs" / "attention.png")
