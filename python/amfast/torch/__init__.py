"""Retrieval inside torch, with gradients: softmax attention by any similarity, on the CPU.

`retrieve` is `amfast.retrieve` with leading batch dimensions and derivatives; it saves its inputs,
its output and a number a cue for the way back, never the (Q, N) scores. The modules stand on it.

Needs the extra: ``pip install "amfast-memory[torch]"``.

Examples
--------
>>> import torch, amfast.torch
>>> cues = torch.zeros(1, 2, requires_grad=True)
>>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
>>> out = amfast.torch.retrieve(cues, keys, similarity="manhattan", beta=2.0)
>>> out
tensor([[0.5000, 0.5000]], grad_fn=...)
>>> out[0, 0].backward()
>>> cues.grad
tensor([[ 0.5000, -0.5000]])
"""

try:
    import torch as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "amfast.torch needs torch, which the extra brings: pip install 'amfast-memory[torch]'"
    ) from error

from amfast.torch.attention import SimilarityAttention
from amfast.torch.hopfield import Hopfield, HopfieldLayer, HopfieldPooling, HopfieldRetrieval
from amfast.torch.muon import Muon
from amfast.torch.reading import retrieve

__all__ = [
    "Hopfield",
    "HopfieldLayer",
    "HopfieldPooling",
    "HopfieldRetrieval",
    "Muon",
    "SimilarityAttention",
    "retrieve",
]
