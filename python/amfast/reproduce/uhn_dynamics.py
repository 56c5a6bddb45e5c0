"""Section 4 and appendix A of Millidge et al.: the neurons' energy falls, and where they rest."""

from __future__ import annotations

import numpy as np

import amfast as am
from amfast import datasets
from amfast._typing import Float
from amfast.memories.neural.path import NeuralPath
from amfast.reproduce._images import TITLES
from amfast.reproduce._registry import (
    Check,
    Claim,
    Context,
    Mark,
    Outcome,
    Panel,
    Series,
    Table,
    experiment,
)

SIMILARITIES = ("dot", "sqeuclidean", "euclidean", "cosine", "kl", "manhattan")
SEPARATIONS = {
    "identity": am.Identity(),
    "softmax": am.Softmax(2.0),
    "exponential": am.Exponential(0.2),
}
# Sharp enough that one of twenty images has all the weight: the scores have these scales.
BETAS = {
    "dot": 100.0, "sqeuclidean": 1.0, "euclidean": 10.0, "cosine": 100.0, "kl": 50.0,
    "manhattan": 1.0,
}  # fmt: skip
RESTS = {"dot": 1.0, "manhattan": 1.0, "sqeuclidean": 2 / 3}
EULER = 0.02
N = 20


@experiment("uhn-dynamics", "neurons in continuous time: energies that fall, fixed points (sec. 4)")
def run(context: Context) -> Outcome:
    """Run all similarities on uniform rows and on images, and what is said not to work."""
    outcome = Outcome()
    images, title = _images(context)
    with context.progress("uhn-dynamics", 4) as done:
        _never_rises(outcome, context.pick(5, 20, 100))
        done("all pairs")
        _on_images(outcome, images, title, context.pick(4, N, N))
        done("images")
        _euler(outcome, images, title, context.pick(4, N, N))
        done("Euler's steps")
        _without_slope(outcome, context.pick(10, 40, 200))
        done("without f'")
    return outcome


def _images(context: Context) -> tuple[Float, str]:
    """Return images as rows in 0..1: CIFAR-10 where it is here, else the bundled ones."""
    name = "fashion_mnist_small"
    if context.level != "quick" and datasets.available("cifar10", context.data):
        name = "cifar10"
    found = datasets.load(name, n=N, data=context.data, download=False)
    return np.asarray(found.patterns(), np.float64), TITLES[name]


def _never_rises(outcome: Outcome, n_cues: int) -> None:
    """Count rises of every similarity with every separation, in the paper's form."""
    rng = np.random.default_rng(14)
    keys, cues = rng.random((8, 16)), rng.random((n_cues, 16))
    rows = []
    for similarity in SIMILARITIES:
        for name, separation in SEPARATIONS.items():
            memory = am.NeuralDynamics(similarity, separation)
            memory.store(keys)
            path = memory.run(cues, t=3.0, n_steps=100)
            rises, away = int(path.rises.sum()), int(np.isfinite(path.escaped).sum())
            outcome.checks.append(Check(f"{similarity}, {name}: rises of the energy", rises, 0, 0))
            rows.append((similarity, name, f"{rises} of {100 * n_cues}", f"{away} of {n_cues}"))
    outcome.tables.append(
        Table(
            "pairs",
            "Rises of E(v, h) in steps of .03 from uniform cues, the paper's form",
            ("similarity", "separation", "rises", "cues that ran away: E has no lower bound"),
            rows,
        )
    )
    outcome.claims.append(
        Claim.plain(
            "E(v, h) decreases along equation 2",
            "Section 4, appendix A",
            all(check.passed for check in outcome.checks),
            f"no rise in {len(rows)} pairs of similarity and separation; of some E is unbounded",
        )
    )


def _memory(similarity: str, images: Float) -> tuple[am.NeuralDynamics, Float]:
    """Store images for a similarity; return the memory and what a cue is measured against."""
    if similarity == "dot":  # which favours long keys
        images = images / np.linalg.norm(images, axis=1, keepdims=True)
    visible = "l2" if similarity in ("cosine", "kl") else "identity"
    memory = am.NeuralDynamics(similarity, beta=BETAS[similarity], visible=visible)
    memory.store(images)
    return memory, images


def _cues(images: Float) -> Float:
    """Add noise of a third of an image's own spread, which leaves nothing below 0."""
    noise = np.random.default_rng(4).normal(size=images.shape)
    return np.asarray(np.maximum(images + images.std() / 3 * noise, 0.0))


def _on_images(outcome: Outcome, images: Float, title: str, n_cues: int) -> None:
    """Follow noisy images down, and see where they come to rest."""
    falls, shares = [], []
    for place, similarity in enumerate(SIMILARITIES):
        memory, stored = _memory(similarity, images)
        path: NeuralPath = memory.run(_cues(stored)[:n_cues], t=8.0, n_steps=160)
        whole = path.energy[:, :1] - path.energy[:, -1:]
        fall = ((path.energy - path.energy[:, -1:]) / whole).mean(axis=0)
        label = similarity + (", v / |v|" if similarity in ("cosine", "kl") else "")
        falls.append(_line(label, path.time, fall, place))
        outcome.checks.append(Check(f"{title}, {similarity}: rises", int(path.rises.sum()), 0, 0))
        if similarity not in RESTS:
            continue
        m = stored[:n_cues, None]
        share = (path.visible * m).sum(axis=2) / (m * m).sum(axis=2)
        shares.append(_line(similarity, path.time, share.mean(axis=0), place))
        apart = np.linalg.norm(path.state - RESTS[similarity] * m[:, 0], axis=1)
        outcome.checks += [
            Check(
                f"{title}, {similarity}: share of the memory at rest",
                float(share[:, -1].mean()), RESTS[similarity], 0.01,
            ),
            Check(
                f"{title}, {similarity}: distance from that share, relative",
                float((apart / np.linalg.norm(m[:, 0], axis=1)).max()), 0, 0.02, "at most",
            ),
        ]  # fmt: skip
    outcome.panels += [
        Panel(
            f"{title}: energy on the way to rest", "time / τ_v",
            "(E(t) - E(end)) / (E(0) - E(end))", falls, y_range=(-0.03, 1.03),
        ),
        Panel(
            f"{title}: where visible neurons rest", "time / τ_v", "v.m / m.m", shares,
            marks=(Mark(1.0, "the memory", "y"), Mark(2 / 3, "two thirds of it", "y")),
        ),
    ]  # fmt: skip
    outcome.claims.append(
        Claim.plain(
            "memories are the fixed points, whatever the similarity of table 2",
            "Section 4",
            False,
            "dot and Manhattan (pixels in 0..1) rest at the memory, |m - v|² at two thirds of it: "
            "its force is 2 (m - v) against -v",
        )
    )


def _line(label: str, x: Float, y: Float, colour: int, n: int = 41) -> Series:
    """Make a line of at most n points."""
    some = np.unique(np.linspace(0, len(x) - 1, n).astype(int))
    return Series(label, x[some].tolist(), y[some].tolist(), colour=colour)


def _euler(outcome: Outcome, images: Float, title: str, n_cues: int) -> None:
    """Take explicit steps at Manhattan's kinks, beside the steps of the library."""
    memory, _ = _memory("manhattan", images)
    v = _cues(images)[:n_cues]
    steps = int(8.0 / EULER)
    path = memory.run(v, t=8.0, n_steps=steps)
    h = np.asarray(memory.scores(v))
    trace = [memory.energy(v, h)]
    for _ in range(steps):
        dv, dh = memory.field(v, h)
        v, h = v + EULER * dv, h + EULER * dh
        trace.append(memory.energy(v, h))
    euler = np.stack(trace, axis=1)
    rises = int((np.diff(euler, axis=1) > 1e-9 * np.abs(euler[:, :-1])).sum())
    outcome.checks += [
        Check(f"{title}, Manhattan, explicit Euler: steps that rise, of all",
              rises / euler[:, 1:].size, 0.2, 0, "at least"),
        Check(f"{title}, Manhattan, proximal steps of {EULER}: rises", int(path.rises.sum()), 0, 0),
    ]  # fmt: skip
    rest = path.energy[:, -1:]
    outcome.panels.append(
        Panel(
            f"{title}, Manhattan: kinks, steps of {EULER}", "time / τ_v", "mean of E(t) - E(rest)",
            [
                _line(f"explicit Euler: {rises} of {euler[:, 1:].size} steps rise", path.time,
                      np.maximum((euler - rest).mean(axis=0), 1e-12), 1),
                _line("proximal: none", path.time[:-1],
                      np.maximum((path.energy - rest).mean(axis=0)[:-1], 1e-12), 0),
            ],
            log_y=True,
        )
    )  # fmt: skip
    outcome.notes.append(
        f"explicit Euler chatters around Manhattan's kinks: {rises} of {euler[:, 1:].size} steps "
        f"of {EULER} raise the energy; a proximal step lands on the kink and stays"
    )


def _without_slope(outcome: Outcome, n_cues: int) -> None:
    """Leave out f' where L_h is convex and where it is not: squares of negative scores."""
    rng = np.random.default_rng(15)
    keys, cues = rng.random((8, 16)), rng.random((n_cues, 16))
    lines: list[Series] = []
    found: dict[tuple[str, bool], int] = {}
    for separation in ("square", "softmax"):
        for local in (False, True):
            memory = am.NeuralDynamics("manhattan", separation, local=local)
            memory.store(keys)
            path = memory.run(cues, t=0.5, n_steps=50)
            rises = found[separation, local] = int(path.rises.sum())
            change = (path.energy - path.energy[:, :1]) / np.abs(path.energy[:, :1])
            form = "without f'" if local else "with f'"
            label = f"{separation} {form}: {rises} rises"
            lines.append(_line(label, path.time, np.median(change, axis=0), len(lines)))
    outcome.checks += [
        Check("squares of -d with f': rises", found["square", False], 0, 0),
        Check("squares of -d without f': rises", found["square", True], 1, 0, "at least"),
        Check("softmax without f': rises", found["softmax", True], 0, 0),
    ]
    outcome.panels.append(
        Panel(
            "Manhattan: the factor f' of hidden neurons", "time / τ_v",
            "median of (E(t) - E(0)) / |E(0)|", lines, y_range=(-1.5, 0.1),
        )
    )  # fmt: skip
    outcome.claims.append(
        Claim.plain(
            "without f' E decreases where the Hessian of L_h is positive semidefinite alone",
            "Appendix A, after Krotov and Hopfield",
            found["square", True] > 0 == found["softmax", True],
            f"squares of negative scores rise {found['square', True]} times, softmax never",
        )
    )
