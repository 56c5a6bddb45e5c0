"""Scaling laws with label noise: the excess loss against the number of steps."""

from __future__ import annotations

import math

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

NOISE = 0.1
SIZE = 8
POWERS = (1.5, 2.0)
# Multiples of the step size m* / T that would land on the optimum: the envelope over several
# shows the oscillation that is left, whatever the phase in which one of them ends.
PACES = (1.3, 1.47, 1.7, 2.03)
LAST = 5


@experiment("muon-scaling", "with label noise Muon's excess loss falls as T^-2, others' slower")
def run(context: Context) -> Outcome:
    """Train for T steps with step sizes in proportion to 1 / T, for two laws of frequencies."""
    groups = context.pick(24, 24, 64)
    steps = [8, 16, 32, 64, 128] + ([256, 512] if context.level == "full" else [])
    signed = [32, 128] if context.level == "quick" else steps
    # The windows in which most groups are not learned yet, T << M^power, so far that what is left
    # of finite M is much less than the 1/6 between the two exponents.
    descents = {2.0: (128, [8, 16, 32, 64, 128]), 1.5: (512, [8, 16, 32, 64])}
    outcome = Outcome()
    muon: dict[float, list[float]] = {}
    sign: dict[float, list[float]] = {}
    gd: dict[float, list[float]] = {}
    with context.progress("muon-scaling", len(POWERS) * (2 + len(signed))) as done:
        for power in POWERS:
            frequency = _frequency(groups, power)
            muon[power] = [_muon(frequency, t) for t in steps]
            done(f"Muon, power {power:g}")
            m, window = descents[power]
            f = _frequency(m, power)
            losses = excess_losses("gd", f, SIZE, NOISE, SIZE / float(f[0]), window[-1])
            gd[power] = losses[window].tolist()
            done(f"gradient descent, power {power:g}")
            sign[power] = []
            for t in signed:
                sign[power].append(_sign(frequency, t))
                done(f"SignGD, power {power:g}, T = {t}")
    first = steps.index(16)
    exponents = {
        power: math.log(muon[power][-1] / muon[power][first]) / math.log(steps[-1] / 16)
        for power in POWERS
    }
    for power in POWERS:
        outcome.checks.append(
            Check(
                f"Muon, frequencies i^-{power:g}: exponent from T = 16 to {steps[-1]}",
                exponents[power],
                -2.1,
                0.5,
            )
        )
    outcome.checks.append(
        Check(
            "Muon: distance between the two exponents",
            exponents[2.0] - exponents[1.5],
            0,
            0.1,
        )
    )
    for power in POWERS:
        m, window = descents[power]
        outcome.checks.append(
            Check(
                f"gradient descent, i^-{power:g}, M = {m}: exponent, T = 8 to {window[-1]}",
                _fit.log_slope(window, gd[power]),
                theory.gd_noisy_exponent(power),
                0.05,
            )
        )
    for power in POWERS:
        ratio = sign[power][signed.index(128)] / muon[power][steps.index(128)]
        outcome.checks.append(
            Check(f"i^-{power:g}: excess of SignGD over Muon's at T = 128", ratio, 1, 0, "at least")
        )
    outcome.checks.append(
        Check("by groups or by pairs: largest distance in 16 steps", _same(), 0, 1e-9)
    )
    by_sign = {
        power: math.log(sign[power][-1] / sign[power][signed.index(32)]) / math.log(signed[-1] / 32)
        for power in POWERS
    }
    outcome.claims += [
        Claim.plain(
            "Muon's excess loss falls as T^-2, whatever the frequencies",
            f"M = {groups}, K = {groups * SIZE}",
            all(abs(e - theory.muon_noisy_exponent()) < 0.2 for e in exponents.values()),
            ", ".join(f"{e:.2f}" for e in exponents.values()),
        ),
        Claim.plain(
            "SignGD in the ambient basis depends on them",
            f"T = 32 to {signed[-1]}",
            abs(by_sign[1.5] - by_sign[2.0]) > 0.3,
            ", ".join(f"{e:.2f}" for e in by_sign.values()),
        ),
    ]
    outcome.tables.append(
        Table(
            "excess",
            f"Excess loss after T steps, label noise {NOISE:g}",
            ("optimizer", "frequencies", "T", "excess loss"),
            [
                (name, f"i^-{power:g}", str(t), f"{value:.3g}")
                for name, found, times in (
                    ("Muon", muon, {p: steps for p in POWERS}),
                    ("SignGD, ambient", sign, {p: signed for p in POWERS}),
                    ("gradient descent", gd, {p: descents[p][1] for p in POWERS}),
                )
                for power in POWERS
                for t, value in zip(times[power], found[power], strict=True)
            ],
        )
    )
    outcome.notes.append(
        f"Muon and SignGD: median over step sizes c m* / T, c in {PACES}, of the largest excess in "
        f"the last {LAST} steps; one step size can land on the optimum and hide the law. Gradient "
        f"descent: step size 1 / max f, while T is small beside M^power"
    )
    outcome.panels.append(_panel(steps, muon, signed, sign, descents, gd))
    return outcome


def _frequency(groups: int, power: float) -> Float:
    f = np.arange(1, groups + 1.0) ** -power
    return np.asarray(f / f.sum())


def _muon(frequency: Float, n_steps: int) -> float:
    pace = theory.muon_learning_rate(len(frequency) * SIZE, NOISE, n_steps)
    ends = [
        excess_losses("muon", frequency, SIZE, NOISE, c * pace, n_steps)[-LAST:].max()
        for c in PACES
    ]
    return float(np.median(ends))


def _sign(frequency: Float, n_steps: int) -> float:
    """Measure ambient SignGD on the memory itself: it does not keep the pairs of a group alike."""
    k = len(frequency) * SIZE
    rng = np.random.default_rng(0)
    queries, answers = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))
    # What raises the margin by m* / T per step at the start; the memory's own default.
    pace = theory.muon_learning_rate(k, NOISE, n_steps) * math.sqrt(math.pi / (2 * k))
    ends = []
    for c in PACES:
        memory = am.LinearAssociativeMemory(
            "signgd", lr=c * pace, n_steps=n_steps, label_noise=NOISE
        )
        memory.fit(queries, answers, np.repeat(frequency, SIZE))
        ends.append(memory.excess_loss_[-LAST:].max())
    return float(np.median(ends))


def _same() -> float:
    """Compare the reduction with the memory on a small problem."""
    frequency, size = _frequency(6, 1.5), 5
    worst = 0.0
    for optimizer, lr in (("muon", 0.3), ("gd", 5.0)):
        memory = am.LinearAssociativeMemory(optimizer, lr=lr, n_steps=16, label_noise=NOISE)
        memory.fit(np.eye(30), np.eye(30), np.repeat(frequency, size))
        losses = excess_losses(optimizer, frequency, size, NOISE, lr, 16)
        worst = max(worst, float(np.abs(losses - memory.excess_loss_).max()))
    return worst


def _panel(
    steps: list[int],
    muon: dict[float, list[float]],
    signed: list[int],
    sign: dict[float, list[float]],
    descents: dict[float, tuple[int, list[int]]],
    gd: dict[float, list[float]],
) -> Panel:
    series = []
    for i, power in enumerate(POWERS):
        name = f"frequencies i^-{power:g}"
        series.append(Series(f"Muon, {name}", steps, muon[power], colour=i))
        series.append(Series(f"SignGD, {name}", signed, sign[power], colour=i + 2))
        window = descents[power][1]
        series.append(Series(f"GD, {name}", window, gd[power], colour=i + 4))
        exponent = theory.gd_noisy_exponent(power)
        law = [gd[power][-1] * (t / window[-1]) ** exponent for t in window]
        series.append(Series(f"T^{exponent:.2g}", window, law, kind="theory", colour=i + 4))
    law = [muon[2.0][1] * (t / steps[1]) ** theory.muon_noisy_exponent() for t in steps[1:]]
    series.append(Series("T^-2", steps[1:], law, kind="theory", colour=0))
    return Panel(f"label noise {NOISE:g}", "steps T", "excess loss", series, log_x=True, log_y=True)
