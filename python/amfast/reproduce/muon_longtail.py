"""Rare pairs and rare classes under Muon, SignGD (Adam without averages) and gradient descent.

First the linear associative memory on orthonormal pairs whose frequencies fall as a power, beside
the closed forms. Then images, of which the classes have exponentially fewer and fewer to learn
from: a network of two layers in NumPy, every matrix of which takes steps of the same kind, judged
on as many images of each class. The claims are those of Wang et al., *Muon Outperforms Adam in
Tail-End Associative Memory Learning*, 2025, arXiv 2509.26030, and of Li et al., 2026, arXiv
2602.05725.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

import amfast as am
from amfast import datasets, theory
from amfast._typing import Array, Float
from amfast.memories.learned.training import matrix_sign
from amfast.reproduce import _fit
from amfast.reproduce._images import TITLES
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)
from amfast.reproduce._training import Split, load

# -- pairs
GROUPS, SIZE, POWER = 8, 12, 2.0
PAIRS = GROUPS * SIZE
LEARNED = 0.1  # nats: pairs are compared where the whole loss first is below
GD_STEPS = 3000
# -- images
HIDDEN, STEPS, CLASSES = 128, 40, 10
SEEN = (0, 1, 2, 3, 5, 7, 10, 14, 20, 28, 40)  # steps after which the network is judged
JUDGED = 10
TAIL = 3  # classes at either end
KNOWN = 0.5  # nats: classes count as learned where their training loss is below
DIRECTIONS: dict[str, tuple[Callable[[Float], Float], Sequence[float]]] = {
    "Muon": (matrix_sign, (0.1, 0.3, 1.0, 3.0)),
    "SignGD": (np.sign, (3e-3, 1e-2, 3e-2, 1e-1)),
    "gradient descent": (lambda gradient: gradient, (0.3, 1.0, 3.0, 10.0)),
}


@experiment("muon-longtail", "rare pairs and rare classes under Muon, SignGD and gradient descent")
def run(context: Context) -> Outcome:
    """Train on pairs of a power law, and on images with few of some classes."""
    outcome = Outcome()
    _pairs(context, outcome)
    _images(context, outcome)
    return outcome


# -- pairs ----------------------------------------------------------------------------------------


def _pairs(context: Context, outcome: Outcome) -> None:
    """Add how evenly the memory learns pairs, in coordinates that know them and in others."""
    frequency = np.repeat(np.arange(1.0, GROUPS + 1) ** -POWER, SIZE)
    ways = {
        "Muon": dict(optimizer="muon", lr=0.5, n_steps=30),
        "Muon, Newton-Schulz": dict(
            optimizer="muon", lr=0.5, n_steps=30, matrix_sign="newton-schulz"
        ),
        "SignGD, task basis": dict(optimizer="signgd", basis="task", lr=0.25, n_steps=30),
        "SignGD": dict(optimizer="signgd", lr=0.05, n_steps=40),
        "gradient descent": dict(optimizer="gd", n_steps=GD_STEPS),
    }
    seeds = range(context.pick(2, 5, 10))
    found: dict[str, list[am.LinearAssociativeMemory]] = {name: [] for name in ways}
    with context.progress("pairs", len(ways) * len(seeds)) as done:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            queries, answers = (np.linalg.qr(rng.normal(size=(PAIRS, PAIRS)))[0] for _ in range(2))
            for name, how in ways.items():
                memory = am.LinearAssociativeMemory(**how)  # type: ignore[arg-type]
                found[name].append(memory.fit(queries, answers, frequency, groups=np.arange(PAIRS)))
                done(name)
    uneven = {name: [_unevenness(memory) for memory in found[name]] for name in ways}
    muon, gd = found["Muon"][0], found["gradient descent"][0]
    t = _when(muon.loss_, LEARNED)
    late = gd.group_loss_[-1]
    outcome.checks += [
        Check.relative(
            f"Muon: loss of the rarest pair after {t} steps, beside K exp(-lr t)",
            float(muon.group_loss_[t, -1]), theory.muon_noiseless_loss(PAIRS, t, 0.5), 0.15,
        ),
        Check.relative(
            f"gradient descent: loss of the rarest pair after {GD_STEPS} steps, beside 1/(lr p t)",
            float(late[-1]),
            theory.gd_noiseless_loss(float(gd.frequency_[-1]), GD_STEPS, gd.lr_), 0.3,
        ),
        Check.relative(
            "gradient descent: the rarest pair's loss over the most frequent one's, beside p's",
            float(late[-1] / late[0]), GROUPS**POWER, 0.3,
        ),
        Check("Muon: largest distance of a step from one that knows the pairs", _misalignment(),
              theory.muon_alignment(PAIRS, GROUPS), 1e-9, "at most"),
        Check("Muon: worst pair's loss over the best's", max(uneven["Muon"]), 1.5, 0, "at most"),
        Check("SignGD, task basis: worst pair's loss over the best's",
              max(uneven["SignGD, task basis"]), 1, 1e-6),
        Check("SignGD: worst pair's loss over the best's", min(uneven["SignGD"]), 100, 0,
              "at least"),
    ]  # fmt: skip
    outcome.claims += [
        Claim.plain(
            "Muon learns frequent and rare pairs alike, SignGD does so in some coordinates alone",
            f"K = {PAIRS}, frequencies i^-{POWER:g}, worst over best loss at a loss of {LEARNED}",
            max(uneven["Muon"]) < 2 and min(uneven["SignGD"]) > 2,
            ", ".join(f"{name} {_spread(values)}" for name, values in uneven.items()),
        ),
    ]
    outcome.tables.append(
        Table(
            "pairs",
            f"{PAIRS} pairs of frequencies i^-{POWER:g}, where the loss first is below {LEARNED}",
            ("optimizer", "lr", "steps", "most frequent", "rarest", "worst over best"),
            [
                (
                    name, f"{found[name][0].lr_:.3g}", str(at),
                    f"{found[name][0].group_loss_[at, :SIZE].mean():.3g}",
                    f"{found[name][0].group_loss_[at, -SIZE:].mean():.3g}", _spread(uneven[name]),
                )
                for name in ways
                for at in [_when(found[name][0].loss_, LEARNED)]
            ],
        )
    )  # fmt: skip
    outcome.panels.append(_pairs_panel(found))


def _when(losses: Float, level: float) -> int:
    """Return the first step after which the loss is below ``level``, or the last."""
    below = losses < level
    return int(below.argmax()) if below.any() else len(losses) - 1


def _unevenness(memory: am.LinearAssociativeMemory) -> float:
    losses = memory.group_loss_[_when(memory.loss_, LEARNED)]
    return float(losses.max() / losses.min())


def _misalignment() -> float:
    """Measure how far entries of Muon's steps are from the identity, with the pairs as columns."""
    frequency = np.repeat(np.arange(1.0, GROUPS + 1) ** -POWER, SIZE)
    memory, worst, before = am.LinearAssociativeMemory("muon", lr=0.5), 0.0, np.zeros((PAIRS,) * 2)
    for _ in range(20):
        memory.partial_fit(np.eye(PAIRS), np.eye(PAIRS), frequency)
        worst = max(worst, float(np.abs((memory.W_ - before) / 0.5 - np.eye(PAIRS)).max()))
        before = memory.W_
    return worst


def _spread(values: Sequence[float]) -> str:
    """Write mean and deviation; one smaller than rounding is none."""
    mean, deviation = float(np.mean(values)), float(np.std(values))
    return f"{mean:.3g} ± {deviation:.2g}" if deviation > 1e-9 * mean else f"{mean:.3g}"


def _pairs_panel(found: dict[str, list[am.LinearAssociativeMemory]]) -> Panel:
    series = []
    for colour, name in enumerate(DIRECTIONS):
        memory = found[name][0]
        times = np.unique(np.geomspace(1, len(memory.loss_) - 1, 25).astype(int))
        law = [
            theory.gd_noiseless_loss(float(memory.frequency_[-1]), t, memory.lr_)
            if name == "gradient descent"
            else theory.muon_noiseless_loss(PAIRS, t, memory.lr_)
            for t in times
        ]
        for label, rows in (("most frequent", slice(SIZE)), ("rarest", slice(-SIZE, None))):
            runs = [m.group_loss_[times, rows].mean(axis=1) for m in found[name]]
            y, error = np.mean(runs, axis=0), np.std(runs, axis=0)
            shade = colour if label == "rarest" else colour + len(DIRECTIONS)
            series.append(
                Series(f"{name}, {label}", times.tolist(), y.tolist(), error.tolist(), colour=shade)
            )
        if name != "SignGD":  # which has no closed form in these coordinates
            near = [(int(t), y) for t, y in zip(times, law, strict=True) if y < np.log(PAIRS)]
            x, y = zip(*near, strict=True)
            series.append(Series(f"{name}, theory", x, y, kind="theory", colour=colour))
    title = f"{PAIRS} pairs, frequencies i^-{POWER:g}"
    return Panel(
        title, "step", "loss of the pairs", series, log_x=True, log_y=True, y_range=(1e-4, 20)
    )


# -- images ---------------------------------------------------------------------------------------


class _Trained(NamedTuple):
    """Of one run: training loss after each step, and by class (the most frequent first)."""

    loss: Float  # (STEPS + 1,)
    class_loss: Float  # (STEPS + 1, CLASSES)
    recall: Float  # (len(SEEN), CLASSES), of images not seen

    def at(self, step: int) -> Float:
        """Return the recall of each class after so many steps."""
        return np.asarray(self.recall[SEEN.index(step)])

    def steps_to_learn(self, classes: slice) -> float:
        """Return after how many steps the loss of some classes is `KNOWN`; `STEPS` if never."""
        loss = self.class_loss[:, classes].mean(axis=1)
        found = _fit.crossing(list(range(STEPS + 1)), loss.tolist(), KNOWN)
        return STEPS if np.isnan(found) else found


def _images(context: Context, outcome: Outcome) -> None:
    """Add what the network learns of classes with many and with few images."""
    split, title, counts = _split(context)
    seeds = range(context.pick(3, 5, 10))
    rates: dict[str, float] = {}
    found: dict[str, list[_Trained]] = {name: [] for name in DIRECTIONS}
    tried = sum(len(grid) for _, grid in DIRECTIONS.values())
    with context.progress("classes", tried + len(DIRECTIONS) * (len(seeds) - 1)) as done:
        for name, (direction, grid) in DIRECTIONS.items():
            first = {}
            for rate in grid:
                first[rate] = _train(split, counts, direction, rate, 0)
                done(f"{name}, step size {rate:g}")
            rates[name] = min(grid, key=lambda rate: float(first[rate].loss.mean()))
            found[name].append(first[rates[name]])
            for seed in seeds[1:]:
                found[name].append(_train(split, counts, direction, rates[name], seed))
                done(f"{name}, seed {seed}")
    recall = {name: [float(r.at(JUDGED)[-TAIL:].mean()) for r in found[name]] for name in found}
    rare = {name: [r.steps_to_learn(slice(-TAIL, None)) for r in found[name]] for name in found}
    often = {name: [r.steps_to_learn(slice(TAIL)) for r in found[name]] for name in found}
    uneven = {name: np.divide(rare[name], often[name]).tolist() for name in found}
    others = [name for name in found if name != "Muon"]
    where = f"{title}, classes of {counts[0]} to {counts[-1]} images, {len(seeds)} seeds"
    outcome.checks += [
        Check(f"{title}: steps until rare classes are learned, {name} over Muon",
              float(np.mean(rare[name]) / np.mean(rare["Muon"])), 1.2, 0, "at least")
        for name in others
    ] + [
        Check(f"{title}: Muon's recall of frequent classes after {JUDGED} steps",
              float(np.mean([r.at(JUDGED)[:TAIL].mean() for r in found["Muon"]])), 0.6, 0,
              "at least"),
    ]  # fmt: skip
    claims: list[tuple[str, dict[str, list[float]], int]] = [
        (f"Muon learns tail classes faster (steps until their loss is {KNOWN})", rare, -1),
        ("and more evenly (those steps over those of the frequent classes)", uneven, -1),
        (f"and recalls more of their unseen images (after {JUDGED} steps)", recall, 1),
    ]
    outcome.claims += [
        Claim.plain(
            text, where, all(_always(sign, values["Muon"], values[name]) for name in others),
            ", ".join(f"{name} {_spread(runs)}" for name, runs in values.items()),
        )
        for text, values, sign in claims
    ]  # fmt: skip
    outcome.tables.append(
        Table(
            "classes",
            f"{where}: recall of the {TAIL} rarest and {TAIL} most frequent, of images not seen",
            ("optimizer", "step size", "step", "rare", "frequent", "training loss"),
            [
                (
                    name, f"{rates[name]:g}", str(step),
                    _spread([float(r.at(step)[-TAIL:].mean()) for r in runs]),
                    _spread([float(r.at(step)[:TAIL].mean()) for r in runs]),
                    _spread([float(r.loss[step]) for r in runs]),
                )
                for name, runs in found.items()
                for step in (5, 10, 20, 40)
            ],
        )
    )  # fmt: skip
    outcome.notes.append(
        f"{title}: each optimizer with the step size of its grid that has the least training loss, "
        f"averaged over {STEPS} steps of all images at once, without momentum; what is not learned "
        f"in {STEPS} steps counts as {STEPS}; a claim must hold in every seed"
    )
    outcome.panels += _class_panels(found, counts, title)


def _split(context: Context) -> tuple[Split, str, list[int]]:
    """Return images, their name, and how many of each class there are to learn from."""
    if context.level != "quick" and datasets.available("mnist", context.data):
        most, ratio, name = 1000, 100.0, "mnist"
        split = load(context, name, None, context.pick(0, 3000, 10_000))
    else:
        most, ratio, name = 32, 16.0, "fashion_mnist_small"
        whole = datasets.load(name, download=False)
        images, labels = whole.images, whole.labels
        # Of every class the first to learn from, the others to be judged by.
        first = np.array([np.sum(labels[:i] == label) < most for i, label in enumerate(labels)])
        split = Split(images[first], labels[first], images[~first], labels[~first])
    counts = [round(most * ratio ** (-c / (CLASSES - 1))) for c in range(CLASSES)]
    return split, TITLES[name], counts


def _train(
    split: Split, counts: list[int], direction: Callable[[Float], Float], rate: float, seed: int
) -> _Trained:
    """Train the network ``W2 relu(W1 (x - mean))``; which class is rare depends on the seed."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(CLASSES)  # of the classes, the most frequent first
    place = np.argsort(order)
    rows = np.concatenate([
        rng.permutation(np.flatnonzero(split.train_labels == c))[:count]
        for c, count in zip(order, counts, strict=True)
    ])  # fmt: skip
    x, test = (_flat(images) for images in (split.train[rows], split.test))
    centre = x.mean(axis=0)
    x, test = x - centre, test - centre
    y, test_y = place[split.train_labels[rows]], place[split.test_labels]
    first = rng.normal(size=(HIDDEN, x.shape[1])) / np.sqrt(x.shape[1])
    second = np.zeros((CLASSES, HIDDEN))
    labels = np.eye(CLASSES)[y]
    losses, recalls = [], []
    for step in range(STEPS + 1):
        hidden = np.maximum(x @ first.T, 0.0)
        logits = hidden @ second.T
        top = logits.max(axis=1, keepdims=True)
        log_share = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        losses.append(-(labels * log_share).sum(axis=1))
        if step in SEEN:
            best = (np.maximum(test @ first.T, 0.0) @ second.T).argmax(axis=1)
            recalls.append([float(np.mean(best[test_y == c] == c)) for c in range(CLASSES)])
        residual = (np.exp(log_share) - labels) / len(x)
        back = (residual @ second) * (hidden > 0)
        first = first - rate * direction(back.T @ x)
        second = second - rate * direction(residual.T @ hidden)
    loss = np.array(losses)
    by_class = np.stack([loss[:, y == c].mean(axis=1) for c in range(CLASSES)], axis=1)
    return _Trained(loss.mean(axis=1), by_class, np.array(recalls))


def _flat(images: Array) -> Float:
    return images.reshape(len(images), -1) / 255.0


def _always(sign: int, ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether ours is above theirs (below, by the sign) in every seed, which draws the same."""
    return all(sign * (a - b) > 0 for a, b in zip(ours, theirs, strict=True))


def _class_panels(found: dict[str, list[_Trained]], counts: list[int], title: str) -> list[Panel]:
    steps: list[Series] = []
    classes: list[Series] = []
    for colour, (name, runs) in enumerate(found.items()):
        rare = np.array([r.recall[1:, -TAIL:].mean(axis=1) for r in runs])
        each = np.array([r.at(JUDGED) for r in runs])
        for series, x, values in ((steps, list(SEEN[1:]), rare), (classes, counts, each)):
            mean, error = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
            series.append(Series(name, x, mean, error, colour=colour))
    return [
        Panel(f"{title}: the {TAIL} rarest classes", "step", "recall of images not seen", steps,
              log_x=True, y_range=(-0.05, 1.05)),
        Panel(f"{title}: after {JUDGED} steps", "images of the class to learn from",
              "recall of images not seen", classes, log_x=True, y_range=(-0.05, 1.05)),
    ]  # fmt: skip
