"""Two million hashes of 256 bits, searched exactly: packed bytes go in as they are."""

import sys
import time

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return the share of damaged hashes whose original is found."""
    n = 20_000 if quick else 2_000_000
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    hashes = am.BitMatrix(raw)  # 8 bits a byte, no copy
    asked = rng.choice(n, 100, replace=False)
    damaged = am.corrupt.flip(hashes[asked].unpack("bool"), n_flips=40, seed=1)
    start = time.perf_counter()
    distances, found = am.topk(damaged, hashes, 1, "hamming")
    took = time.perf_counter() - start
    right = found[:, 0] == asked
    print(f"{right.mean():.0%} of 100 hashes found among {n:,} with 40 of 256 bits wrong")
    print(f"{took * 1e3:.0f} ms; bits that differ: {distances.min()} to {distances.max()}")
    return float(right.mean())


if __name__ == "__main__":
    main("--quick" in sys.argv)
