"""Pre-training of a tiny transformer on facts by Zipf's law: Muon, SignGD, gradient descent.

Sentences of four words, "filler subject filler relation", are continued by a fact: the answer that
belongs to subject and relation. The subject of rank r is named in proportion to 1 / r. One block of
causal attention and an MLP between fixed random embeddings must learn to look for the subject and
to remember its facts; the matrices, all of the hidden kind that Muon is for, take steps on fresh
batches. After Li et al. 2026 (arXiv 2602.05725), who train LLaMA-like models on text, and Wang et
al. 2025 (arXiv 2509.26030), who count how many rare facts each optimizer has learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from amfast._typing import Float, Int
from amfast.reproduce import _fit
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

SUBJECTS, RELATIONS, ANSWERS, FILLERS = 256, 2, 64, 16
WIDTH, HEADS, HIDDEN, BATCH = 64, 4, 256, 256
SEEN = (0, 10, 20, 30, 50, 70, 100, 140, 200)  # steps after which all facts are asked
GROUPS = {
    "ranks 1 to 8": slice(8),
    "ranks 9 to 64": slice(8, 64),
    "ranks 65 to 256": slice(64, 256),
}
RARE = "ranks 65 to 256"
KNOWN = 0.5  # share of the facts of a group at which it counts as learned
MUON, MOMENTUM, ADAM, SIGN, GD = "Muon", "Muon, momentum", "Adam", "SignGD", "gradient descent"
RATES = {
    MUON: (0.03, 0.1, 0.3),
    MOMENTUM: (0.03, 0.1, 0.3),
    ADAM: (3e-3, 1e-2, 3e-2),
    SIGN: (3e-3, 1e-2, 3e-2),
    GD: (0.1, 0.3, 1.0),
}


class _Run(NamedTuple):
    """At every step of `SEEN`."""

    loss: Float  # (S,) of all facts by how often they are asked
    recall: Float  # (S, subjects) share of each subject's facts


@experiment(
    "muon-pretraining", "facts by Zipf's law learned by a tiny transformer under five optimizers"
)
def run(context: Context) -> Outcome:
    """Train by every optimizer and seed; compare what is known of frequent and rare subjects."""
    try:
        import amfast.torch as _  # noqa: F401
    except ImportError as error:
        raise Unavailable(str(error)) from error
    seeds = range(context.pick(2, 4, 10))
    grids = {k: v[1:2] for k, v in RATES.items()} if context.level == "quick" else RATES
    found: dict[str, list[_Run]] = {}
    rates: dict[str, float] = {}
    tried = sum(len(grid) for grid in grids.values())
    with context.progress("transformers", tried + len(grids) * (len(seeds) - 1)) as done:
        for name, grid in grids.items():
            first = {}
            for rate in grid:
                first[rate] = _train(name, rate, 0)
                done(f"{name}, rate {rate:g}")
            rates[name] = min(grid, key=lambda rate: float(first[rate].loss[1:].mean()))
            found[name] = [first[rates[name]]]
            for seed in seeds[1:]:
                found[name].append(_train(name, rates[name], seed))
                done(f"{name}, seed {seed}")
    outcome = Outcome()
    rare = {name: [_steps(run, GROUPS[RARE]) for run in runs] for name, runs in found.items()}
    others = [SIGN, ADAM, GD]
    where = f"{SUBJECTS * RELATIONS} facts, {len(seeds)} seeds"
    outcome.checks += [
        Check(f"steps until half of the rare facts are known, {name} over Muon",
              float(np.mean(rare[name]) / np.mean(rare[MUON])), 1.1, 0, "at least")
        for name in others
    ] + [
        Check("Muon: share of the rare facts known at the end",
              float(np.mean([r.recall[-1, GROUPS[RARE]].mean() for r in found[MUON]])), 0.95, 0,
              "at least"),
        Check("before training: share of all facts known, beside 1 / 64",
              float(np.mean([r.recall[0].mean() for runs in found.values() for r in runs])),
              1 / ANSWERS, 0.02),
    ]  # fmt: skip
    outcome.claims.append(
        Claim.plain(
            "Muon learns rare facts in fewer steps, in every seed", where,
            all(a < b for name in others for a, b in zip(rare[MUON], rare[name], strict=True)),
            ", ".join(f"{name} {np.mean(s):.0f} ± {np.std(s):.0f}" for name, s in rare.items()),
        )
    )  # fmt: skip
    outcome.tables.append(_table(found, rates, where))
    outcome.notes.append(
        f"each optimizer at the rate of its grid with the least loss on average; one that does not "
        f"know half of the rare facts after {SEEN[-1]} steps counts as {SEEN[-1]}. {MUON}, {SIGN} "
        f"and {GD} have no momentum"
    )
    outcome.panels += [_panel(found, group) for group in GROUPS]
    return outcome


def _steps(run: _Run, group: slice) -> float:
    """Return after how many steps `KNOWN` of a group is known; the last step if never."""
    unknown = 1 - run.recall[:, group].mean(axis=1)
    at = _fit.crossing(list(SEEN), unknown.tolist(), 1 - KNOWN)
    return float(SEEN[-1]) if math.isnan(at) else at


def _table(found: dict[str, list[_Run]], rates: dict[str, float], where: str) -> Table:
    def share(runs: Sequence[_Run], step: int, group: slice) -> str:
        each = [float(r.recall[SEEN.index(step), group].mean()) for r in runs]
        return f"{np.mean(each):.3f} ± {np.std(each):.3f}"

    return Table(
        "facts",
        f"{where}: share known, by the rank of the subject",
        ("optimizer", "rate", "step", *GROUPS, "loss"),
        [
            (
                name, f"{rates[name]:g}", str(step),
                *(share(runs, step, group) for group in GROUPS.values()),
                f"{np.mean([r.loss[SEEN.index(step)] for r in runs]):.3g}",
            )
            for name, runs in found.items()
            for step in (50, 100, 200)
        ],
    )  # fmt: skip


def _panel(found: dict[str, list[_Run]], group: str) -> Panel:
    series = []
    for colour, (name, runs) in enumerate(found.items()):
        each = np.array([run.recall[1:, GROUPS[group]].mean(axis=1) for run in runs])
        mean, error = each.mean(axis=0).tolist(), each.std(axis=0).tolist()
        series.append(Series(name, SEEN[1:], mean, error, colour=colour))
    return Panel(
        f"subjects of {group}", "step", "share of the facts known", series,
        log_x=True, y_range=(-0.05, 1.05),
    )  # fmt: skip


# -- the language and the transformer -------------------------------------------------------------


def _sentences(rng: np.random.Generator, subjects: Int, relations: Int) -> Any:
    """Return words (n, 4): subjects come first among the numbers, then relations, then fillers."""
    import torch

    fillers = SUBJECTS + RELATIONS + rng.integers(0, FILLERS, (2, len(subjects)))
    words = np.stack([fillers[0], subjects, fillers[1], SUBJECTS + relations], axis=1)
    return torch.from_numpy(words)


def _model(seed: int) -> tuple[Any, Callable[[Any], Any]]:
    """Return the matrices to be trained and the scores of the answers to sentences."""
    import torch
    from torch import nn

    from amfast.torch import SimilarityAttention

    torch.manual_seed(seed)
    words = torch.randn(SUBJECTS + RELATIONS + FILLERS, WIDTH)
    places, answers = torch.randn(4, WIDTH) / 2, torch.randn(ANSWERS, WIDTH) / 2
    attention = SimilarityAttention(WIDTH, HEADS, bias=False)
    up, down = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(HIDDEN, WIDTH, bias=False)

    def normed(x: Any) -> Any:
        return nn.functional.layer_norm(x, (WIDTH,))

    def logits(sentences: Any) -> Any:
        x = words[sentences] + places
        read, _ = attention(normed(x), normed(x), normed(x), is_causal=True)
        x = (x + read)[:, -1]
        x = x + down(torch.relu(up(normed(x))))
        return normed(x) @ answers.T

    return [*attention.parameters(), up.weight, down.weight], logits


def _optimizer(name: str, matrices: Any, rate: float) -> Any:
    import torch

    from amfast.torch import Muon

    if name in (MUON, MOMENTUM):
        return Muon(matrices, rate, momentum=0.95 if name == MOMENTUM else 0.0)
    if name == GD:
        return torch.optim.SGD(matrices, rate)
    # Adam that averages nothing divides the gradient by its own magnitude.
    return torch.optim.Adam(matrices, rate, betas=(0.0, 0.0) if name == SIGN else (0.9, 0.999))


def _train(name: str, rate: float, seed: int) -> _Run:
    """Train on fresh sentences, and ask all facts after the steps of `SEEN`."""
    import torch
    from torch.nn.functional import cross_entropy

    rng = np.random.default_rng(seed)
    facts = rng.integers(0, ANSWERS, (SUBJECTS, RELATIONS))
    frequency = 1 / np.arange(1.0, SUBJECTS + 1)
    frequency /= frequency.sum()
    matrices, logits = _model(seed)
    optimizer = _optimizer(name, matrices, rate)
    every = np.divmod(np.arange(SUBJECTS * RELATIONS), RELATIONS)
    asked = _sentences(rng, *every)
    losses, recalls = [], []
    for step in range(SEEN[-1] + 1):
        if step in SEEN:
            with torch.no_grad():
                scores = logits(asked)
                each = cross_entropy(scores, torch.from_numpy(facts[every]), reduction="none")
            right = scores.argmax(dim=1).numpy() == facts[every]
            by_subject = each.numpy().reshape(facts.shape).mean(axis=1)
            losses.append(float(frequency @ by_subject))
            recalls.append(right.reshape(facts.shape).mean(axis=1))
        subjects = rng.choice(SUBJECTS, BATCH, p=frequency)
        relations = rng.integers(0, RELATIONS, BATCH)
        scores = logits(_sentences(rng, subjects, relations))
        loss = cross_entropy(scores, torch.from_numpy(facts[subjects, relations]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _Run(np.array(losses), np.array(recalls))
