"""A bounded memory of a stream: the newest items are kept, the oldest goes in constant time."""

import sys

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return the share of recent items that are recalled, once the stream is over."""
    n, most = (3000, 200) if quick else (100_000, 10_000)
    rng = np.random.default_rng(0)
    memory = am.UniversalHopfield("sqeuclidean", "max", max_items=most)
    seen = rng.standard_normal((n, 32), dtype=np.float32)
    for row in seen:  # one row, one item
        memory.store(row)
    recent = seen[-most:]
    found = memory.recall(recent + 0.1, details=True)
    right = (found.state == recent).all(axis=1)
    print(f"{memory}: {right.mean():.0%} of the last {most} of {n} recalled")
    memory.delete(found.best[:5])  # ids of the winners
    print(f"{len(memory)} left after deleting five")
    return float(right.mean())


if __name__ == "__main__":
    main("--quick" in sys.argv)
