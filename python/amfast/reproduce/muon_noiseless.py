"""Muon, gradient descent and SignGD on an associative memory without label noise."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast import theory
from amfast._typing import Float
from amfast.reproduce import _fit
from amfast.reproduce._blocks import excess_losses
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

GROUPS = 8
STEPS = 20
GD_STEPS = 20_000


@experiment("muon-noiseless", "Muon learns all pairs alike, gradient descent by their frequency")
def run(context: Context) -> Outcome:
    """Train on K pairs in eight groups, each half as frequent as the one before."""
    size = context.pick(12, 12, 64)
    k = GROUPS * size
    frequency = np.repeat(2.0 ** -np.arange(1, GROUPS + 1), size)
    groups = np.repeat(np.arange(1, GROUPS + 1), size)
    rng = np.random.default_rng(0)
    queries, answers = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))

    def train(optimizer: str, n_steps: int, **how: float | str) -> am.LinearAssociativeMemory:
        memory = am.LinearAssociativeMemory(optimizer, n_steps=n_steps, **how)  # type: ignore[arg-type]
        return memory.fit(queries, answers, frequency, groups=groups)

    with context.progress("muon-noiseless", 5) as done:
        muon = train("muon", STEPS, lr=1.0)
        done("muon")
        task = train("signgd", STEPS, lr=0.5, basis="task")
        ambient = train("signgd", STEPS, lr=0.1)
        done("signgd")
        normalised = train("ngd", 100, lr=1.0)
        done("normalised gradient descent")
        gd = train("gd", context.pick(800, 800, 800))
        done("gradient descent")
        group_frequency = np.asarray(2.0 ** -np.arange(1, GROUPS + 1), np.float64)
        long = excess_losses("gd", group_frequency, size, 0.0, gd.lr_, GD_STEPS)
        done("gradient descent, by groups")
    steps = np.arange(8, 17)
    slope, intercept = np.polyfit(steps, np.log(muon.loss_[steps]), 1)
    late = np.unique(np.geomspace(GD_STEPS / 10, GD_STEPS, 60).astype(int))
    outcome = Outcome()
    outcome.checks += [
        Check("Muon: slope of ln loss over the steps 8 to 16", float(slope), -1, 0.05),
        Check("Muon: intercept of ln loss", float(intercept), float(np.log(k)), 0.2),
        Check(
            "gradient descent: exponent of the loss, steps 2000 to 20000",
            _fit.log_slope(late.tolist(), long[late].tolist()),
            -1,
            0.1,
        ),
        Check(
            "SignGD in the task basis, lr 0.5: largest relative distance from Muon",
            float(np.abs(task.loss_ / muon.loss_ - 1).max()),
            0,
            0.1,
        ),
        Check(
            "gradient descent by groups: largest relative distance from the memory",
            float(np.abs(long[:801] / gd.loss_ - 1).max()),
            0,
            1e-9,
        ),
    ]
    rare = int(np.argmax(muon.group_loss_[-1]))
    outcome.claims += [
        Claim.plain(
            "Muon's loss is K exp(-t) whatever the frequencies",
            f"K = {k}, t = 10 and 20",
            all(abs(muon.loss_[t] / theory.muon_noiseless_loss(k, t) - 1) < 0.1 for t in (10, 20)),
            f"{muon.loss_[10]:.2e} and {muon.loss_[20]:.2e}; groups differ by a factor of "
            f"{muon.group_loss_[-1, rare] / muon.group_loss_[-1].min():.2f} at the end",
        ),
    ]
    outcome.tables.append(
        Table(
            "losses",
            f"Loss after t steps, K = {k}",
            ("optimizer", "lr", "t", "loss"),
            [
                (name, f"{memory.lr_:.3g}", str(t), f"{memory.loss_[t]:.3g}")
                for name, memory, times in (
                    ("Muon", muon, (5, 10, 20)),
                    ("SignGD, task basis", task, (5, 10, 20)),
                    ("SignGD, ambient basis", ambient, (5, 10, 20)),
                    ("normalised gradient descent", normalised, (20, 100)),
                    ("gradient descent", gd, (20, 100, 800)),
                )
                for t in times
            ],
        )
    )
    outcome.notes.append(
        f"SignGD in the ambient basis is not slow here: {ambient.loss_[STEPS]:.1e} after {STEPS} "
        f"steps of lr 0.1 in randomly rotated coordinates; its handicap shows with label noise, in "
        f"muon-scaling"
    )
    outcome.panels += _panels(k, muon, task, ambient, normalised, gd, long)
    return outcome


def _panels(
    k: int,
    muon: am.LinearAssociativeMemory,
    task: am.LinearAssociativeMemory,
    ambient: am.LinearAssociativeMemory,
    normalised: am.LinearAssociativeMemory,
    gd: am.LinearAssociativeMemory,
    long: Float,
) -> list[Panel]:
    steps = list(range(STEPS + 1))
    lines = (
        ("Muon, lr 1", muon),
        ("SignGD, task basis, lr 0.5", task),
        ("SignGD, ambient, lr 0.1", ambient),
        ("normalised GD, lr 1", normalised),
        ("GD, lr 1 / max f", gd),
    )
    times = np.unique(np.geomspace(1, GD_STEPS, 40).astype(int)).tolist()
    short = [t for t in times if t <= len(gd.loss_) - 1]
    names = list(gd.groups_)
    return [
        Panel(
            f"all optimizers, K = {k}",
            "step",
            "loss",
            [
                *(
                    Series(name, steps, memory.loss_[: STEPS + 1].tolist(), colour=i)
                    for i, (name, memory) in enumerate(lines)
                ),
                Series(
                    "K exp(-t)",
                    steps[3:],
                    [theory.muon_noiseless_loss(k, t) for t in steps[3:]],
                    kind="theory",
                    colour=0,
                ),
            ],
            log_y=True,
        ),
        Panel(
            "gradient descent, by frequency",
            "step",
            "loss",
            [
                Series("all pairs", times, long[times].tolist(), colour=4),
                *(
                    Series(f"group {names[g]}", short, gd.group_loss_[short, g].tolist(), colour=i)
                    for i, g in enumerate((0, 3, 6))
                ),
                *(
                    Series(
                        "1 / (lr p t)" if i == 0 else "",
                        short,
                        [
                            min(float(np.log(k)), theory.gd_noiseless_loss(p, t, gd.lr_))
                            for t in short
                        ],
                        kind="theory",
                        colour=i,
                    )
                    for i, p in enumerate(gd.frequency_[[0, 3 * k // GROUPS, 6 * k // GROUPS]])
                ),
            ],
            log_x=True,
            log_y=True,
        ),
    ]
