"""Draw the README's picture of attention. Its chart is ``amfast bench --plot docs/speed.png``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import amfast as am

ROOT = Path(__file__).parents[1]


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
    attention(ROOT / "docs" / "attention.png")
