"""`torch.nn.MultiheadAttention` by any similarity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amfast.torch.hopfield import join_heads, split_heads
from amfast.torch.reading import retrieve


class SimilarityAttention(nn.Module):
    """Multi-head attention whose weights are a softmax of any similarity.

    Called as `torch.nn.MultiheadAttention` with ``batch_first=True``, whose parameters it has by
    name, so that a state dict fits both; under ``dot`` it gives the same. It stands in the place of
    ``self_attn`` of `torch.nn.TransformerEncoderLayer`.

    Parameters
    ----------
    embed_dim : int
        Columns of queries, keys, values and of the answer.
    num_heads : int
        Projections into ``embed_dim / num_heads`` columns each.
    similarity : str, default "dot"
        As `amfast.torch.retrieve`.
    beta : float, optional
        Inverse temperature. None means ``1 / sqrt(embed_dim / num_heads)``.
    bias : bool, default True
        Whether projections add a constant.

    Examples
    --------
    >>> import torch
    >>> attention = SimilarityAttention(8, 2, "manhattan")
    >>> x = torch.zeros(4, 5, 8)
    >>> answer, weights = attention(x, x, x, is_causal=True)
    >>> answer.shape, weights
    (torch.Size([4, 5, 8]), None)
    """

    # What torch's encoder layer asks for. The second keeps it from its own dot products.
    batch_first = True
    _qkv_same_embed_dim = False

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        similarity: str = "dot",
        *,
        beta: float | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim must be a multiple of num_heads, got {embed_dim} and {num_heads}"
            )
        self.embed_dim, self.num_heads, self.similarity = embed_dim, num_heads, similarity
        self.beta = (embed_dim // num_heads) ** -0.5 if beta is None else beta
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim)) if bias else None
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Attend.

        Parameters
        ----------
        query, key, value : (B, L, embed_dim), (B, S, embed_dim) twice; or without B
        key_padding_mask : (B, S) tensor, optional
            bool, True for keys that are left out; or floats that are added to their scores.
        need_weights : bool, default False
            Weights are never held: True is refused.
        attn_mask : (L, S) tensor, optional
            The causal one (with or without ``is_causal``), or one whose rows are all the same.
        average_attn_weights : bool
            Of no meaning without weights.
        is_causal : bool, default False
            Whether position i attends to positions 0 to i.

        Returns
        -------
        (B, L, embed_dim) tensor, None

        Raises
        ------
        ValueError
            If weights are asked for, or for a mask that differs between queries otherwise.
        """
        if need_weights:
            raise ValueError(
                "need_weights=True: the weights are never held; pass need_weights=False"
            )
        added, causal = _read_mask(attn_mask, is_causal, query)
        if key_padding_mask is not None:
            padding = _added(key_padding_mask, query)
            added = padding if added is None else added + padding
        weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        cues, keys, values = (
            split_heads(nn.functional.linear(x, w, b), self.num_heads)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        read = retrieve(
            cues, keys, values,
            similarity=self.similarity, beta=self.beta, causal=causal,
            log_weight=None if added is None else added.unsqueeze(-2),
        )  # fmt: skip
        return self.out_proj(join_heads(read)), None

    def extra_repr(self) -> str:
        """Return what the repr of the module says."""
        return f"{self.embed_dim}, {self.num_heads}, {self.similarity!r}, beta={self.beta:g}"


def _added(mask: Tensor, query: Tensor) -> Tensor:
    """Return what a mask adds to scores; True leaves a key out."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, -torch.inf)
    return mask.to(query.dtype)


def _read_mask(mask: Tensor | None, causal: bool, query: Tensor) -> tuple[Tensor | None, bool]:
    """Return what an attention mask adds to the scores of every key (S,), and whether it is causal.

    With ``causal`` the mask says the same, as torch's modules pass both.
    """
    if mask is None or causal:
        return None, causal
    if mask.dim() != 2:
        raise ValueError(
            f"attn_mask must be (L, S), one for all heads, got shape {tuple(mask.shape)}"
        )
    added = _added(mask, query)
    if (added == added[:1]).all():
        return added[0], False
    future = torch.ones_like(added, dtype=torch.bool).triu(1)
    if torch.equal(added, torch.zeros_like(added).masked_fill(future, -torch.inf)):
        return None, True
    raise ValueError(
        "attn_mask differs between queries and is not the causal one: a retrieval takes a weight a "
        "key (key_padding_mask, log_weight) and is_causal"
    )
