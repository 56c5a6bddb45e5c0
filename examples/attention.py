"""Attention is a memory: softmax over stored keys, read out as values."""

import sys

import numpy as np

import amfast as am


def main(quick: bool = False) -> float:
    """Return 1 if retrieval is softmax(Q K^T / sqrt(d)) V."""
    n, d, o = (50, 16, 8) if quick else (1000, 64, 64)
    rng = np.random.default_rng(0)
    Q, K, V = rng.normal(size=(20, d)), rng.normal(size=(n, d)), rng.normal(size=(n, o))
    attended = am.retrieve(Q, K, V, beta=1 / np.sqrt(d))
    weights = np.exp(Q @ K.T / np.sqrt(d))
    weights /= weights.sum(axis=1, keepdims=True)
    same = np.allclose(attended, weights @ V)
    print(f"retrieve is attention: {same}")
    # As a memory it has to tell items apart: a larger beta, and a cue near a key.
    memory = am.ModernHopfield(beta=4.0)
    memory.store(K / np.linalg.norm(K, axis=1, keepdims=True) * 4)
    cues = np.asarray(memory.keys) + 0.3 * rng.normal(size=K.shape)
    back = am.topk(memory.recall(cues), memory.keys, 1, "sqeuclidean")[1][:, 0] == np.arange(n)
    print(f"{back.mean():.0%} of {n} keys recalled from noise")
    return float(same and back.mean() > 0.95)


if __name__ == "__main__":
    main("--quick" in sys.argv)
