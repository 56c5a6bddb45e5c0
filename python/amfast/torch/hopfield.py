"""Continuous Hopfield networks as modules (Ramsauer et al. 2021), by any similarity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amfast import _docs
from amfast.torch.reading import retrieve


class HopfieldRetrieval(nn.Module):
    """Retrieval without parameters: states settle among the keys, then read the values.

    Parameters
    ----------
    similarity : str, default "dot"
        As `amfast.torch.retrieve`.
    beta : float, optional
        Inverse temperature, finite and >= 0. None means 1.
    max_iter : int, default 1
        Reads in all: each but the last replaces the states by what they read of the keys.

    Examples
    --------
    >>> import torch
    >>> patterns = torch.eye(3)
    >>> cue = torch.tensor([[0.9, 0.2, 0.1]])
    >>> HopfieldRetrieval("sqeuclidean", beta=8.0, max_iter=3)(cue, patterns).round()
    tensor([[1., 0., 0.]])
    """

    def __init__(
        self, similarity: str = "dot", beta: float | None = None, max_iter: int = 1
    ) -> None:
        super().__init__()
        if max_iter < 1:
            raise ValueError(f"max_iter must be at least 1, got {max_iter}")
        self.similarity, self.beta, self.max_iter = similarity, beta, max_iter

    def forward(
        self,
        cues: Tensor,
        keys: Tensor,
        values: Tensor | None = None,
        *,
        log_weight: Tensor | None = None,
    ) -> Tensor:
        """Read values where states settle.

        Parameters
        ----------
        cues : (..., Q, d) tensor
        keys : (..., N, d) tensor
        values : (..., N, o) tensor, optional
            None means the keys.
        log_weight : (..., N) tensor, optional
            Logarithms of the keys' weights.

        Returns
        -------
        (..., Q, o) tensor
        """
        for _ in range(self.max_iter - 1):
            cues = retrieve(
                cues, keys, similarity=self.similarity, beta=self.beta, log_weight=log_weight
            )
        return retrieve(
            cues, keys, values,
            similarity=self.similarity, beta=self.beta, log_weight=log_weight,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Return what the repr of the module says."""
        return f"{self.similarity!r}, beta={self.beta}, max_iter={self.max_iter}"


class Hopfield(nn.Module):
    """Association of two sets: states read what is stored, by several learned projections.

    Parameters
    ----------
    dim : int
        Columns of states, of what is stored and of the answer.
    heads : int, default 1
        Projections into ``dim / heads`` columns each.
    similarity : str, default "dot"
        As `amfast.torch.retrieve`.
    beta : float, optional
        None means ``1 / sqrt(dim / heads)``.
    dropout : float, default 0
        Share of the entries of the answer, before the last projection, that training leaves out;
        weights of keys cannot be left out, since they are never held.

    Examples
    --------
    >>> import torch
    >>> Hopfield(8, heads=2, similarity="manhattan")(torch.zeros(4, 5, 8)).shape
    torch.Size([4, 5, 8])
    """

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        *,
        similarity: str = "dot",
        beta: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim must be a multiple of heads, got {dim} and {heads}")
        self.heads, self.similarity = heads, similarity
        self.beta = (dim // heads) ** -0.5 if beta is None else beta
        self.cue, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        states: Tensor,
        stored: Tensor | None = None,
        values: Tensor | None = None,
        *,
        log_weight: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Read what is stored.

        Parameters
        ----------
        states : (..., Q, dim) tensor
        stored : (..., N, dim) tensor, optional
            None means the states themselves.
        values : (..., N, dim) tensor, optional
            None means what is stored.
        log_weight : (..., N) tensor, optional
            Logarithms of weights, -inf where a set is padded.
        causal : bool, default False
            Whether state i reads rows 0 to i.

        Returns
        -------
        (..., Q, dim) tensor
        """
        stored = states if stored is None else stored
        values = stored if values is None else values
        cues, keys, values = (
            split_heads(project(x), self.heads)
            for project, x in ((self.cue, states), (self.key, stored), (self.value, values))
        )
        read = retrieve(
            cues, keys, values,
            similarity=self.similarity, beta=self.beta, causal=causal,
            log_weight=None if log_weight is None else log_weight.unsqueeze(-2),
        )  # fmt: skip
        answer: Tensor = self.out(self.dropout(join_heads(read)))
        return answer

    def extra_repr(self) -> str:
        """Return what the repr of the module says."""
        return f"heads={self.heads}, similarity={self.similarity!r}, beta={self.beta:g}"


@_docs.like(Hopfield)
class HopfieldPooling(Hopfield):
    """A set of any size read by learned states: (..., N, dim) to (..., n_queries, dim).

    Parameters
    ----------
    n_queries : int, default 1
        Learned states.

    Examples
    --------
    >>> import torch
    >>> HopfieldPooling(8, 2)(torch.zeros(4, 5, 8)).shape
    torch.Size([4, 2, 8])
    """

    def __init__(
        self,
        dim: int,
        n_queries: int = 1,
        *,
        heads: int = 1,
        similarity: str = "dot",
        beta: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, heads, similarity=similarity, beta=beta, dropout=dropout)
        self.states = nn.Parameter(torch.randn(n_queries, dim) * dim**-0.5)

    @_docs.like(Hopfield.forward)
    def forward(self, stored: Tensor, *, log_weight: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Pool what is stored.

        Returns
        -------
        (..., n_queries, dim) tensor
        """
        return super().forward(self.states, stored, log_weight=log_weight)


class HopfieldLayer(nn.Module):
    """States read learned keys and values: (..., dim) to (..., dim).

    Parameters
    ----------
    dim : int
        Columns of states and of the answer.
    n_memories : int
        Learned pairs of a key and a value.
    similarity : str, default "dot"
        As `amfast.torch.retrieve`.
    beta : float, optional
        None means ``1 / sqrt(dim)``.

    Examples
    --------
    >>> import torch
    >>> HopfieldLayer(8, 100, similarity="euclidean")(torch.zeros(4, 5, 8)).shape
    torch.Size([4, 5, 8])
    """

    def __init__(
        self, dim: int, n_memories: int, *, similarity: str = "dot", beta: float | None = None
    ) -> None:
        super().__init__()
        self.similarity, self.beta = similarity, dim**-0.5 if beta is None else beta
        self.keys = nn.Parameter(torch.randn(n_memories, dim))
        self.values = nn.Parameter(torch.randn(n_memories, dim) * dim**-0.5)

    def forward(self, states: Tensor) -> Tensor:
        """Read the learned values.

        Parameters
        ----------
        states : (..., dim) tensor

        Returns
        -------
        (..., dim) tensor
        """
        rows = states.reshape(-1, states.shape[-1])
        read = retrieve(rows, self.keys, self.values, similarity=self.similarity, beta=self.beta)
        return read.reshape(states.shape)

    def extra_repr(self) -> str:
        """Return what the repr of the module says."""
        n, dim = self.keys.shape
        return f"dim={dim}, n_memories={n}, similarity={self.similarity!r}, beta={self.beta:g}"


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn (..., rows, dim) into (..., heads, rows, dim / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def join_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)
