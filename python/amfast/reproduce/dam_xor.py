"""XOR by dense associative memories: solved by odd powers, undecided by even ones."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast._typing import Signs
from amfast.reproduce._registry import (
    Check,
    Context,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)

QUESTIONS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.int8)
ANSWERS = np.array([[-1], [1], [1], [-1]], np.int8)
POWERS = tuple(range(1, 8))
SOLVED = {
    "power": {n: n % 2 == 1 and n >= 3 for n in POWERS},
    "rectified": {n: n >= 2 for n in POWERS},
}


@experiment("dam-xor", "XOR from its truth table: which powers decide it")
def run(context: Context) -> Outcome:
    """Store the four rows, clamp the two inputs, let the output settle, once and asynchronously."""
    outcome = Outcome()
    rows, panels = [], []
    for kind, solved in SOLVED.items():
        right: dict[int, float] = {}
        tied: dict[int, int] = {}
        for n in POWERS:
            memory = am.DenseAssociativeMemory(n, interaction=kind)
            memory.store(np.concatenate([QUESTIONS, ANSWERS], axis=1))
            ends = [_settle(memory, start) for start in (-1, 1)]
            right[n] = min(float((state == ANSWERS[:, 0]).mean()) for state, _ in ends)
            tied[n] = int(min(undecided for _, undecided in ends))
            if solved[n]:
                outcome.checks += [
                    Check(f"{kind}, n = {n}: rows answered rightly", right[n], 1.0, 0.0),
                    Check(f"{kind}, n = {n}: rows undecided", tied[n], 0, 0),
                ]
            elif kind == "power":
                outcome.checks.append(
                    Check(f"{kind}, n = {n}: rows undecided (ties)", tied[n], 4, 0)
                )
            rows.append(
                (
                    kind,
                    str(n),
                    f"{4 * right[n]:.0f} of 4",
                    f"{tied[n]} of 4",
                    "solved" if solved[n] else "not solved",
                )
            )
        # A tied output keeps its start, which is right for two of the four rows.
        decided = {n: 4 * right[n] - tied[n] / 2 for n in POWERS}
        panels.append(
            Panel(
                f"F(x) = {'x^n' if kind == 'power' else 'max(x, 0)^n'}",
                "power n",
                "rows of the truth table",
                [
                    Series("decided, and right", POWERS, [decided[n] for n in POWERS]),
                    Series("undecided: ties", POWERS, [tied[n] for n in POWERS], colour=1),
                ],
                y_range=(-0.2, 4.2),
            )
        )
    outcome.tables.append(
        Table(
            "rows",
            "Rows of XOR by interaction and power, whatever the output starts at",
            ("interaction", "n", "right", "undecided", "theory"),
            rows,
        )
    )
    outcome.panels += panels
    return outcome


def _settle(memory: am.DenseAssociativeMemory, start: int) -> tuple[Signs, int]:
    """Recall the output from one start; return it and the number of undecided rows."""
    cues = np.concatenate([QUESTIONS, np.full((4, 1), start, np.int8)], axis=1)
    ends = memory.recall(cues, clamp=[True, True, False], details=True)
    return ends.state[:, 2], int(ends.undecided.sum())
