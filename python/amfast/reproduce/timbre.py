"""Timbre separation by a weighted Hebbian memory: the layer as written, and centred.

Three synthetic instruments play over each other. Every bin of the spectrum where a note may sound
is stored with its note posterior as weight and recalled; bins of one instrument should come out
alike. Silhouette alone rewards a memory that makes everything alike, so three numbers are reported:
silhouette, the agreement of k-means with the truth (ARI), and the effective rank of what came out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import amfast as am
from amfast import effective_rank
from amfast._typing import Float, Int
from amfast.reproduce import _figures, _notes
from amfast.reproduce._notes import INSTRUMENTS, Scene
from amfast.reproduce._registry import (
    Check,
    Context,
    Outcome,
    Panel,
    Series,
    Table,
    Unavailable,
    experiment,
)

RAW, LAYER, FIVE = "raw", "layer as written, 1 step", "layer as written, 5 steps"
CENTRED, CENTRED_LAYER = "centred, raw", "centred layer, 1 step"
CENTRED_FIVE = "centred layer, 5 steps"
MOMENT = "centred by moments, 1 step"
SOFT = {beta: f"centred, softmax memory, β = {beta:g}" for beta in (10.0, 20.0)}
ROWS = (RAW, LAYER, FIVE, CENTRED, CENTRED_LAYER, CENTRED_FIVE, MOMENT, *SOFT.values())


@experiment("timbre", "separate three instruments by a Hebbian memory of timbres; writes WAV files")
def run(context: Context) -> Outcome:
    """Measure every memory on several scenes; draw and render the first."""
    cluster = _sklearn()
    scenes = context.pick(2, 6, 20)
    found: dict[str, list[tuple[float, float, float]]] = {row: [] for row in ROWS}
    gap = 0.0
    first: tuple[Scene, dict[str, Float], Int] | None = None
    with context.progress("timbre", scenes) as done:
        for seed in range(scenes):
            scene = _notes.compose(seed)
            states = _states(scene)
            sounding = scene.player >= 0
            for row, state in states.items():
                score, groups = _score(cluster, state[sounding], scene.player[sounding])
                found[row].append(score)
                if row == CENTRED_LAYER and first is None:
                    everywhere = np.full(len(scene.player), -1)
                    everywhere[sounding] = _in_order(groups, scene.player[sounding])
                    first = scene, states, everywhere
            gap = max(gap, _stream_gap(scene))
            done(f"scene {seed}")
    mean = {row: np.mean(scores, axis=0) for row, scores in found.items()}
    spread = {row: np.std(scores, axis=0) for row, scores in found.items()}
    outcome = Outcome()
    gains = {
        name: np.subtract([s[0] for s in found[after]], [s[0] for s in found[before]])
        for name, before, after in (
            ("as written", RAW, LAYER),
            ("centred", CENTRED, CENTRED_LAYER),
        )
    }
    outcome.checks += [
        Check("centred layer: gain in silhouette", float(gains["centred"].mean()), 0.08, 0,
              "at least"),
        Check("centred layer: loss in ARI", float(mean[CENTRED][1] - mean[CENTRED_LAYER][1]), 0.03,
              0, "at most"),
        Check("layer as written: effective rank of its answers (known failure)",
              float(mean[LAYER][2]), 1.1, 0, "at most"),
        Check("centred layer: effective rank", float(mean[CENTRED_LAYER][2]), 1.5, 0, "at least"),
        Check("smallest gain in silhouette, either layer, any scene",
              float(min(g.min() for g in gains.values())), 0, 0, "at least"),
        Check("17 chunks against one call: largest difference", gap, 0, 1e-12),
    ]  # fmt: skip
    outcome.tables.append(
        Table(
            "layers",
            f"Bins of one instrument alike? Mean of {scenes} scenes ± their spread",
            ("timbres", "silhouette", "ARI of k-means", "effective rank"),
            [
                (row, *(f"{m:.3f} ± {s:.3f}" for m, s in zip(mean[row], spread[row], strict=True)))
                for row in ROWS
            ],
        )
    )
    outcome.panels += _panels(found, scenes)
    assert first is not None
    scene, states, groups = first
    tracks = _notes.separate(scene, groups, len(INSTRUMENTS))
    outcome.tables.append(_heard(scene, tracks, groups))
    outcome.notes.append(
        "silhouette alone rewards blurring: the layer as written raises it while all its answers "
        "become one pattern (effective rank 1); centred, rank and k-means survive"
    )

    def draw(outcome: Outcome, name: str, folder: Path) -> list[Path]:
        mix = _notes.write_wav(folder / f"{name}_mix.wav", scene.tracks.sum(axis=0))
        files = [mix]
        for k, track in enumerate(tracks):
            files.append(_notes.write_wav(folder / f"{name}_cluster{k + 1}.wav", track))
        return [*files, _picture(scene, states, groups, folder / f"{name}_clusters.png")]

    outcome.draw = draw
    return outcome


def _sklearn() -> Any:
    try:
        import sklearn.cluster
        import sklearn.metrics
    except ImportError as error:
        raise Unavailable(
            'silhouette and k-means need scikit-learn: pip install "amfast-memory[recovery]"'
        ) from error
    return sklearn


def _unit(rows: Float) -> Float:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _states(scene: Scene) -> dict[str, Float]:
    """Recall the bins by every memory, as rows of length 1."""
    v, y = scene.timbre, scene.posterior
    written = am.HebbianMemory(weighting="seed", readout="l2")
    centred = am.HebbianMemory(center="renorm", readout="l2")
    moment = am.HebbianMemory(center="moment", readout="l2")
    for memory in (written, centred, moment):
        memory.store(v, weights=y)
    deviation = _unit(_unit(v) - centred.mean)
    states = {
        RAW: _unit(v),
        LAYER: written.recall(v),
        FIVE: written.recall(v, max_iter=5, tol=0.0),
        CENTRED: deviation,
        CENTRED_LAYER: centred.recall(v),
        CENTRED_FIVE: centred.recall(v, max_iter=5, tol=0.0),
        MOMENT: moment.recall(v),
    }
    for beta, name in SOFT.items():
        soft = am.ModernHopfield(beta)
        soft.store(deviation, weights=y)
        states[name] = _unit(soft.recall(deviation))
    return states


def _score(sklearn: Any, rows: Float, truth: Int) -> tuple[tuple[float, float, float], Int]:
    """Silhouette by cosine, ARI of k-means, effective rank; and the clusters."""
    k_means = sklearn.cluster.KMeans(len(INSTRUMENTS), n_init=10, random_state=0)
    groups = np.asarray(k_means.fit_predict(rows), np.int64)
    return (
        float(sklearn.metrics.silhouette_score(rows, truth, metric="cosine")),
        float(sklearn.metrics.adjusted_rand_score(truth, groups)),
        effective_rank(np.linalg.eigvalsh(rows.T @ rows)),
    ), groups


def _in_order(groups: Int, truth: Int) -> Int:
    """Give clusters the numbers of the instruments they mostly hold, where these differ."""
    n = len(INSTRUMENTS)
    most = np.array([np.bincount(truth[groups == k], minlength=n).argmax() for k in range(n)])
    return most[groups] if len(set(most.tolist())) == n else groups


def _stream_gap(scene: Scene) -> float:
    """Largest difference between memories stored in one call and in 17 chunks."""
    gap = 0.0
    for center in (None, "moment", "renorm"):
        one, many = am.HebbianMemory(center=center), am.HebbianMemory(center=center)
        one.store(scene.timbre, weights=scene.posterior)
        pieces = np.array_split(np.arange(len(scene.timbre)), 17)
        if center == "renorm":
            for piece in pieces:
                many.observe(scene.timbre[piece], weights=scene.posterior[piece])
        for piece in pieces:
            many.store(scene.timbre[piece], weights=scene.posterior[piece])
        gap = max(gap, float(np.abs(one.matrix - many.matrix).max()))
    return gap


def _heard(scene: Scene, tracks: Float, groups: Int) -> Table:
    """Say how much of which instrument is heard in every cluster's file."""
    mix = scene.tracks.sum(axis=0)
    sounding = scene.player >= 0
    rows = []
    for k, track in enumerate(tracks):
        mine = scene.player[sounding & (groups == k)]
        who = int(np.bincount(mine, minlength=len(INSTRUMENTS)).argmax())
        truth = scene.tracks[who]
        rows.append(
            (f"cluster {k + 1}", INSTRUMENTS[who], f"{(mine == who).mean():.2f}",
             f"{_notes.likeness(mix, truth):.1f}", f"{_notes.likeness(track, truth):.1f}")
        )  # fmt: skip
    return Table(
        "heard",
        "What is to hear in the WAV files of the first scene (SI-SDR in dB)",
        ("file", "instrument", "of its bins", "mix", "separated"),
        rows,
    )


def _panels(found: dict[str, list[tuple[float, float, float]]], scenes: int) -> list[Panel]:
    """One panel per measure: before and after, for both layers, scene by scene."""
    x = list(range(scenes))
    panels = []
    for place, label in enumerate(("silhouette", "ARI of k-means", "effective rank")):
        series = [
            Series(row, x, [s[place] for s in found[row]], colour=i)
            for i, row in enumerate((RAW, LAYER, CENTRED, CENTRED_LAYER))
        ]
        panels.append(Panel(label, "scene", label, series))
    return panels


def _picture(scene: Scene, states: dict[str, Float], groups: Int, path: Path) -> Path:
    """Draw the timbres in two dimensions, before and after, and the piano roll by cluster."""
    plt = _figures.pyplot()
    figure = plt.figure(figsize=(12, 8.6), layout="constrained")
    axes = figure.subplot_mosaic([["a", "b", "c"], ["roll"] * 3, ["found"] * 3],
                                 height_ratios=[2, 1, 1])  # fmt: skip
    sounding = scene.player >= 0
    player = scene.player[sounding]
    for axis, row in zip("abc", (RAW, LAYER, CENTRED_LAYER), strict=True):
        rows = states[row][sounding]
        # The plane through the origin that holds most: no mean is taken away here.
        plane = np.linalg.eigh(rows.T @ rows)[1][:, :-3:-1]
        flat = rows @ plane
        for i, name in enumerate(INSTRUMENTS):
            mine = flat[player == i]
            axes[axis].scatter(*mine.T, s=9, alpha=0.6, color=_figures.PALETTE[i], label=name)
        axes[axis].set(title=row, xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
        axes[axis].set(xlabel="first direction", ylabel="second direction")
    axes["a"].legend(frameon=False, fontsize=9)
    seconds = _notes.HOP / _notes.RATE
    for axis, what, title, names in (
        ("roll", scene.player, "who plays", INSTRUMENTS),
        ("found", groups, "clusters of the centred layer", ("cluster 1", "cluster 2", "cluster 3")),
    ):
        roll = what.reshape(_notes.PITCHES, -1)
        for i, name in enumerate(names):
            pitch, frame = np.nonzero(roll == i)
            at = (frame * seconds, pitch + _notes.LOWEST)
            colour = _figures.PALETTE[i]
            axes[axis].scatter(*at, s=6, marker="s", color=colour, label=name)
        axes[axis].set(title=title, xlabel="seconds", ylabel="MIDI pitch")
        axes[axis].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
