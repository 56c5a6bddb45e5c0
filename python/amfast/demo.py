"""``amfast demo``: store real images, corrupt them three ways, recall with several memories."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import amfast as am
from amfast import _console, corrupt, datasets
from amfast._typing import Array, Int, Mask

__all__ = ["run"]

N_STORED = 300
CLOSE = 0.05  # of an image's own sum of squares: what may differ in an answer that counts as right
PICTURE = "amfast-demo.png"
BINARY_PICTURE = "amfast-demo-binary.png"
NAME_BITS = 1000  # of the random names under which the sparse distributed memory keeps images
NAME_SHAPE = (25, 40)
# Frames of answers: right, the right image but not clean, another image.
RIGHT, BLURRED, WRONG = "#009E73", "#F5C710", "#D55E00"

Images = NDArray[np.float32]
Bits = Mask


@dataclass(frozen=True)
class _Result:
    """What one memory did with one kind of corruption."""

    cues: Array  # as pictures
    recalled: Array
    found: Mask
    """(Q,) whether the right image was singled out."""
    clean: Mask
    """(Q,) whether the answer is that image, too."""
    seconds: float


KNOWN = ",\nmask known"  # what the name of a memory that is told the mask ends with

_Results = dict[str, dict[str, _Result]]  # by memory, then by corruption


@dataclass(frozen=True)
class _Texts:
    """What the table and the picture of one part of the demo say."""

    stored: str
    found: str
    clean: str
    compared: str


_REAL = _Texts(
    f"{N_STORED} Fashion-MNIST images",
    "the right image has the largest weight of all",
    f"and the answer is that image, up to {CLOSE:.0%} of its sum of squares",
    "Down to the learned one only the similarity changes: max answers with the one best image.\n"
    "Then recall is told which pixels are not known, and the others alone count. Below only the\n"
    "separation changes: a softmax blends images, the more the smaller its beta.",
)
_BINARY = _Texts(
    f"{N_STORED} black and white Fashion-MNIST images",
    "of all stored images the right one is nearest to the answer",
    "and every pixel of the answer is right",
    "Hopfield's network with two rules; then energies that are steeper and steeper, up to the one\n"
    "nearest image, also told which bits are known. Kanerva's memory is asked by spoilt names of\n"
    "random bits, images being alike.",
)


def _memories() -> dict[str, am.UniversalHopfield]:
    """Make memories of which each differs from the one above in one part."""
    similarities = {
        "dot": "dot", "squared Euclidean": "sqeuclidean", "cosine": "cosine",
        "reverse KL": "reverse_kl", "Manhattan": "manhattan",
    }  # fmt: skip
    made = {f"{said} + max": am.UniversalHopfield(s, "max") for said, s in similarities.items()}
    made["learned from spoilt\nimages + max"] = am.UniversalHopfield(_learned(), "max")
    made[f"Manhattan + max{KNOWN}"] = am.UniversalHopfield("manhattan", "max")
    for beta in (1.0, 0.1):
        made[f"Manhattan + softmax,\nbeta = {beta:g}"] = am.UniversalHopfield(
            "manhattan", beta=beta
        )
    return made


def _learned() -> am.Similarity:
    """Learn a similarity from images that are not stored, spoilt in the three ways."""
    images = datasets.load("fashion_mnist_small").patterns(np.float32)[N_STORED:]
    ways = (
        lambda rows: corrupt.mask(rows, 0.5, shape=(28, 28)),
        lambda rows: corrupt.gaussian(rows, 0.3, seed=11, shape=(28, 28)),
        lambda rows: corrupt.random_mask(rows, 0.5, seed=12, shape=(28, 28)),
    )
    return am.fit_similarity(images, ways)


def _corruptions(images: Images) -> dict[str, Images]:
    return {
        "lower half black": corrupt.mask(images, 0.5),
        "noise, std 0.3": corrupt.gaussian(images, 0.3, seed=1),
        "half the pixels black": corrupt.random_mask(images, 0.5, seed=2),
    }


def run(out: str | Path = ".") -> int:
    """Run the demo: print a table, write a picture.

    Parameters
    ----------
    out : str or Path, default "."
        Folder for the picture, made when absent.

    Returns
    -------
    int
        0.

    Raises
    ------
    OSError
        When the folder cannot be made or written to.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stored = datasets.load("fashion_mnist_small", n=N_STORED)
    images = stored.patterns(np.float32).reshape(-1, *stored.shape)
    binary = images > 0.5
    with warnings.catch_warnings():
        # Some memories are shown because they fail: the tables say how often.
        warnings.simplefilter("ignore", am.SeparationWarning)
        real, bits = _recall_real(images), _recall_binary(binary)
    for found, truth, texts, picture in (
        (real, images, _REAL, PICTURE),
        (bits, binary, _BINARY, BINARY_PICTURE),
    ):
        _print(found, texts)
        try:
            path = _draw(found, truth, texts, folder / picture)
        except ImportError as error:
            _console.say(f"no picture: {error}")
            continue
        _console.say(f"picture: {path.resolve()}\n")
    return 0


def _recall_real(images: Images) -> _Results:
    """Recall images from spoilt ones."""
    patterns = images.reshape(len(images), -1)
    corrupted = _corruptions(images)
    # What a corruption leaves of white images it leaves of others; of noise nothing is known.
    known = {
        kind: None if "noise" in kind else white.reshape(patterns.shape) > 0
        for kind, white in _corruptions(np.ones_like(images)).items()
    }
    results = {}
    for name, memory in _memories().items():
        ids = memory.store(patterns)
        memory.recall(patterns[:2])  # the first call wakes the threads
        told = known if name.endswith(KNOWN) else dict.fromkeys(known)
        results[name] = {
            kind: _recall(memory, ids, patterns, cues, told[kind])
            for kind, cues in corrupted.items()
        }
    return results


def _recall(
    memory: am.UniversalHopfield, ids: Int, patterns: Images, images: Images, mask: Mask | None
) -> _Result:
    cues = images.reshape(len(images), -1)
    start = time.perf_counter()
    recalled = memory.recall(cues, mask=mask)
    seconds = time.perf_counter() - start
    found = memory.recall(cues, mask=mask, details=True).best == ids
    error = ((recalled - patterns) ** 2).sum(axis=1)
    clean = found & (error <= CLOSE * (patterns**2).sum(axis=1))
    return _Result(images, recalled, found, clean, seconds)


def _binary_memories() -> dict[str, Any]:
    return {
        "Hopfield, Hebb's rule": am.Hopfield(),
        "Hopfield, projection rule": am.Hopfield(rule="projection"),
        "dense, power n = 8": am.DenseAssociativeMemory(8, interaction="rectified"),
        "dense, power n = 20": am.DenseAssociativeMemory(20, interaction="rectified"),
        "dense, exponential": am.DenseAssociativeMemory(interaction="exponential"),
        "Hamming + max": am.UniversalHopfield("hamming", "max"),
        f"Hamming + max{KNOWN}": am.UniversalHopfield("hamming", "max"),
    }


def _spoilt_bits(rows: Bits) -> dict[str, Bits]:
    """Flip bits, or black out the second half of them."""
    rng = np.random.default_rng(3)
    half = rows.copy()
    half[:, rows.shape[1] // 2 :] = False
    return {
        "10 % of bits flipped": rows ^ (rng.random(rows.shape) < 0.1),
        "25 % of bits flipped": rows ^ (rng.random(rows.shape) < 0.25),
        "second half black": half,
    }


def _recall_binary(images: Bits) -> _Results:
    """Recall black and white images from spoilt ones, and from spoilt names."""
    patterns = images.reshape(len(images), -1)
    first_half = np.arange(patterns.shape[1]) < patterns.shape[1] // 2
    results = {}
    for name, memory in _binary_memories().items():
        memory.store(patterns)
        results[name] = {
            kind: _recall_bits(memory, patterns, cues, images.shape[1:], told)
            for (kind, cues), told in zip(
                _spoilt_bits(patterns).items(),
                (None, None, first_half if name.endswith(KNOWN) else None),
                strict=True,
            )
        }
    names = am.BitMatrix.random(len(images), NAME_BITS, seed=0).unpack("bool")
    kanerva = am.SparseDistributedMemory(NAME_BITS, 50_000, value_bits=patterns.shape[1])
    kanerva.write(names, patterns)
    results[f"Kanerva's, images kept\nunder names of {NAME_BITS} bits"] = {
        kind: _recall_bits(kanerva, patterns, cues, NAME_SHAPE)
        for kind, cues in _spoilt_bits(names).items()
    }
    return results


def _recall_bits(
    memory: Any, patterns: Bits, cues: Bits, shape: tuple[int, ...], mask: Mask | None = None
) -> _Result:
    told = {} if mask is None else {"mask": mask}
    start = time.perf_counter()
    recalled = np.asarray(memory.recall(cues, **told)) > 0
    seconds = time.perf_counter() - start
    found = am.topk(recalled, patterns, 1, "hamming")[1][:, 0] == np.arange(len(patterns))
    clean = (recalled == patterns).all(axis=1)
    return _Result(cues.reshape(-1, *shape), recalled, found, clean, seconds)


def _print(results: _Results, texts: _Texts) -> None:
    kinds = list(next(iter(results.values())))
    rows = []
    for name, by_kind in results.items():
        seconds = sum(result.seconds for result in by_kind.values())
        rows.append(
            (
                name.replace("\n", " "),
                *(
                    f"{by_kind[k].found.mean():4.0%} / {by_kind[k].clean.mean():4.0%}"
                    for k in kinds
                ),
                f"{seconds * 1e3:.1f}",
                f"{len(kinds) * N_STORED / seconds:,.0f}",
            )
        )
    _console.table(
        f"{texts.stored} stored, each recalled from {len(kinds)} spoilt cues: found / clean\n"
        f"found: {texts.found}\nclean: {texts.clean}",
        ("memory", *kinds, "ms", "memories/s"),
        rows,
    )
    _console.say(
        f"{texts.compared}\nms: all {len(kinds) * N_STORED} cues against {N_STORED} memories, "
        f"{am.get_num_threads()} threads, {am.cpu_info()['isa']}; memories/s: recalled per second"
    )


def _draw(results: _Results, images: Array, texts: _Texts, path: Path) -> Path:
    from amfast.reproduce._figures import pyplot

    plt = pyplot()
    kinds = list(next(iter(results.values())))
    shown = _typical(results, kinds)
    # Per corruption three pictures and a gap.
    widths = [1.0, 1.0, 1.0, 0.35] * len(kinds)
    figure, axes = plt.subplots(
        len(results),
        len(widths) - 1,
        figsize=(12.2, 1.07 * len(results) + 1.75),
        gridspec_kw={"width_ratios": widths[:-1], "wspace": 0.06, "hspace": 0.09},
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (name, by_kind) in zip(axes, results.items(), strict=True):
        row[0].text(
            -0.12, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=10
        )
        for place, kind in enumerate(kinds):
            index, result = shown[kind], by_kind[kind]
            answer = result.recalled[index].reshape(images.shape[1:])
            color = RIGHT if result.clean[index] else BLURRED if result.found[index] else WRONG
            cells = row[4 * place : 4 * place + 3]
            for axis, image in zip(cells, (result.cues[index], answer, images[index]), strict=True):
                axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            _frame(cells[1], color)
            cells[2].text(
                1.05, 0.5, f"found {result.found.mean():.0%}\nclean {result.clean.mean():.0%}",
                transform=cells[2].transAxes, rotation=90, va="center", fontsize=8, color="#444444",
            )  # fmt: skip
    for place, kind in enumerate(kinds):
        cells = axes[0][4 * place : 4 * place + 3]
        for axis, title in zip(cells, ("cue", "recall", "truth"), strict=True):
            axis.set_title(title, fontsize=9, pad=4)
        cells[1].text(
            0.5, 1.42, kind, transform=cells[1].transAxes, ha="center", fontsize=11,
            fontweight="bold",
        )  # fmt: skip
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.185, right=0.965, top=1 - 0.88 / height, bottom=1.02 / height)
    figure.text(
        0.5, 0.06 / height,
        f"{texts.stored} in each memory; a cue per corruption that some memories recall.\n"
        f"Found: {texts.found}; a yellow frame.\nClean: {texts.clean}; a green frame.\n"
        f"{texts.compared}",
        ha="center", fontsize=9, color="#444444",
    )  # fmt: skip
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)
    return path


def _frame(axis: Any, color: str) -> None:
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2.5)


def _typical(results: _Results, kinds: Sequence[str]) -> dict[str, int]:
    """Choose for every corruption a different cue that a middling number of memories recall."""
    chosen: dict[str, int] = {}
    for kind in kinds:
        right = sum(by_kind[kind].clean.astype(int) for by_kind in results.values())
        order = np.argsort(right, kind="stable")
        middle = order[len(order) // 2 :]
        chosen[kind] = next(int(i) for i in middle if int(i) not in chosen.values())
    return chosen
