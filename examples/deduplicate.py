"""Find near-duplicates among embeddings: all pairs within a radius, each once."""

import sys
import time

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return the share of planted duplicates that are found."""
    n, copies, d = (2000, 50, 64) if quick else (50_000, 500, 128)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((n, d), dtype=np.float32)
    source = rng.choice(n - copies, copies, replace=False)
    embeddings[-copies:] = embeddings[source] + 0.05 * rng.standard_normal((copies, d))
    start = time.perf_counter()
    i, j, distance = am.pairs_within(embeddings, 0.1, "cosine")  # a distance, 1 - cos
    took = time.perf_counter() - start
    keep = np.ones(n, bool)
    keep[j] = False  # the first of each group stays
    found = np.isin(source, i).mean()
    print(f"{len(i)} pairs, {n - keep.sum()} of {n} dropped, {took:.2f} s; {found:.0%} found")
    scores, others = am.self_topk(embeddings[-5:], 1, "cosine")
    print("nearest other of the last five:", others[:, 0], scores[:, 0].round(2))
    return float(found)


if __name__ == "__main__":
    main("--quick" in sys.argv)
