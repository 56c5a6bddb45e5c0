"""Training dense associative classifiers of several orders on one split: tables and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import amfast as am
from amfast import datasets
from amfast._typing import Array
from amfast.reproduce._figures import pyplot
from amfast.reproduce._registry import Context, Mark, Outcome, Panel, Series, Table, Unavailable

SHOWN = 40  # memories of each order in the picture


@dataclass(frozen=True)
class Split:
    """Inputs to learn from and inputs to be judged on."""

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array

    @property
    def nearest_error(self) -> float:
        """Share of the test inputs whose nearest training input has another label."""
        test, train = (x.reshape(len(x), -1).astype(np.float32) for x in (self.test, self.train))
        nearest = am.topk(test, train, 1, "sqeuclidean")[1][:, 0]
        return float(np.mean(self.train_labels[nearest] != self.test_labels))


@dataclass(frozen=True)
class Result:
    """What one order came to, over all seeds."""

    n: int
    errors: Sequence[float]
    train_errors: Sequence[float]
    dominance: float
    seconds: float
    model: am.DenseAssociativeClassifier

    @property
    def error(self) -> float:
        """Mean test error."""
        return float(np.mean(self.errors))


def load(context: Context, name: str, n_train: int | None, n_test: int | None) -> Split:
    """Return so many images of a data set (None: all), in an order that does not depend on them.

    Raises
    ------
    Unavailable
        When the data set is not on this machine.
    """
    if not datasets.available(name, context.data):
        raise Unavailable(f"{name} is not here: {datasets.how_to_get(name)}")
    parts = {}
    for part, count in (("train", n_train), ("test", n_test)):
        whole = datasets.load(name, split=part, data=context.data, download=False)
        order = np.random.default_rng(0).permutation(len(whole))[:count]
        parts[part] = whole.images[order], whole.labels[order]
    return Split(*parts["train"], *parts["test"])


def train(
    splits: Sequence[Split],
    models: Mapping[int, Callable[[int], am.DenseAssociativeClassifier]],
    step: Callable[[str], None],
) -> list[Result]:
    """Train every order once per split; ``step`` is called once per epoch."""
    results = []
    for n, make in models.items():
        start = time.perf_counter()
        errors, train_errors, dominance = [], [], []
        for seed, split in enumerate(splits):
            model = make(seed)
            for _ in range(model.n_epochs):
                model.partial_fit(split.train, split.train_labels)
                step(f"n = {n}, seed {seed}: training error {model.error_[-1]:.2%}")
            errors.append(1 - model.score(split.test, split.test_labels))
            train_errors.append(model.error_[-1])
            dominance.append(model.dominance(split.test))
        seconds = (time.perf_counter() - start) / len(splits)
        found = Result(n, errors, train_errors, float(np.mean(dominance)), seconds, model)
        results.append(found)
    return results


def report(outcome: Outcome, title: str, splits: Sequence[Split], results: list[Result]) -> None:
    """Add the table and the panels of some results."""
    nearest = float(np.mean([split.nearest_error for split in splits]))
    train, test = len(splits[0].train), len(splits[0].test)
    outcome.tables.append(
        Table(
            "errors",
            f"{title}: {train} to learn from, {test} to be judged on, {len(splits)} seed(s)",
            ("n", "test error", "std", "training error", "one memory decides", "seconds each"),
            [
                (
                    str(r.n), f"{r.error:.2%}", f"{np.std(r.errors):.2%}",
                    f"{np.mean(r.train_errors):.2%}", f"{r.dominance:.0%}", f"{r.seconds:.1f}",
                )
                for r in results
            ]
            + [("nearest neighbour", f"{nearest:.2%}", "", "", "", "")],
        )
    )  # fmt: skip
    orders = [r.n for r in results]
    outcome.panels += [
        Panel(
            title,
            "order of the interaction n",
            "test error",
            [Series("mean over seeds", orders, [r.error for r in results],
                    [float(np.std(r.errors)) for r in results])],
            marks=[Mark(nearest, "nearest neighbour", "y")],
        ),
        Panel(
            "From features to prototypes",
            "order of the interaction n",
            "share of images that one memory decides",
            [Series("dominance", orders, [r.dominance for r in results], colour=1)],
            y_range=(0.0, 1.0),
        ),
    ]  # fmt: skip

    def draw(_outcome: Outcome, name: str, folder: Path) -> list[Path]:
        return [_memories(results, title, folder / f"{name}_memories.png")]

    outcome.draw = draw


def _memories(results: list[Result], title: str, path: Path) -> Path:
    """Draw memories of every order side by side: small n shows features, large n prototypes."""
    plt = pyplot()
    columns = 8
    figure, axes = plt.subplots(
        1, len(results), figsize=(3.1 * len(results), 2.6), squeeze=False, layout="constrained"
    )
    for axis, result in zip(axes[0], results, strict=True):
        images = result.model.memories_[:SHOWN]
        # The most used memories first would hide the dead ones: these are the first, as they came.
        height, width = images.shape[1:]
        rows = -(-len(images) // columns)
        sheet = np.full((rows * (height + 1), columns * (width + 1)), np.nan)
        for i, image in enumerate(images):
            y, x = (i // columns) * (height + 1), (i % columns) * (width + 1)
            sheet[y : y + height, x : x + width] = image
        axis.imshow(sheet, cmap="RdBu_r")
        axis.set_axis_off()
        axis.set_title(f"n = {result.n}: error {result.error:.1%}", fontsize=10)
    figure.suptitle(f"{title}: what the memories look like", fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
