"""Kanerva's memory: from how many wrong bits iterated reading comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import amfast as am
from amfast import theory
from amfast._typing import Signs
from amfast.reproduce import _fit
from amfast.reproduce._random import flipped, generator
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

READS = 10
# A word has come back with at most 1 % of its bits wrong: at T = 5000 one stored word in six is
# next to a fixed point and not one itself.
NEARLY = 0.01


@dataclass(frozen=True)
class _Scale:
    """One memory: its sizes, the distances known to come back half of the time, the tolerance."""

    bits: int
    locations: int
    radius: int
    known: dict[int, int]  # by items stored
    tolerance: int
    spread: int  # how far from the known distance cues are

    def distances(self, items: int) -> list[int]:
        """Return the distances at which iterated reading is measured."""
        middle = self.known[items]
        step = max(1, self.spread // 4)
        return [d for d in range(middle - self.spread, middle + self.spread + 1, step) if d >= 0]


SMALL = _Scale(256, 100_000, 103, {1000: 61, 2000: 49, 5000: 28}, 6, 16)
PAPER = _Scale(1000, 1_000_000, 451, {1000: 330, 5000: 243, 10_000: 200, 20_000: 135}, 15, 60)


@dataclass(frozen=True)
class _Reads:
    """What was read at one number of items."""

    back: dict[int, float]  # fraction that came back after READS reads, by distance
    exact: dict[int, float]  # fraction without any wrong bit then
    new: dict[int, float]  # mean distance after one read, by distance
    probes: int

    def half(self, exact: bool = False) -> float:
        """Return the distance from which one half comes back."""
        share = self.exact if exact else self.back
        distances = sorted(share)
        wins = [round(share[d] * self.probes) for d in distances]
        return _fit.logistic_crossing(distances, wins, [self.probes] * len(wins))[0]


@experiment("sdm-critical", "critical distance of Kanerva's sparse distributed memory")
def run(context: Context) -> Outcome:
    """Store T random words at their own addresses, read from cues at many distances.

    A word comes back when ten reads end within 1 % of its bits.
    """
    scale = PAPER if context.level == "full" else SMALL
    probes = context.pick(40, 200, 80)
    found: dict[int, _Reads] = {}
    memory = am.SparseDistributedMemory(scale.bits, scale.locations, radius=scale.radius, seed=1)
    words = am.BitMatrix.random(max(scale.known), scale.bits, seed=2).unpack()
    stored = 0
    with context.progress("sdm-critical", 2 * len(scale.known)) as done:
        for items in scale.known:
            memory.write(words[stored:items])
            stored = items
            done(f"{items} words written")
            found[items] = _read(memory, words[:items], scale, probes)
            done(f"{items} words read")
    shared = _shared(context.level)
    outcome = Outcome()
    halves = {items: reads.half() for items, reads in found.items()}
    outcome.checks += [
        Check(f"T = {items}: half come back from", halves[items], known, scale.tolerance)
        for items, known in scale.known.items()
    ]
    for items, reads in found.items():
        worst = max(
            (d for d in reads.new if _low(scale) <= d <= _high(scale)),
            key=lambda d: _miss(scale, items, d, reads.new[d]),
        )
        expected = _theory(scale, items, worst)
        outcome.checks.append(
            Check(
                f"T = {items}: distance after one read, worst at {worst}",
                reads.new[worst],
                expected,
                max(5.0, 0.2 * expected),
            )
        )
    outcome.checks += [
        Check(
            "locations that a word activates, 1000 bits, radius 451, theory",
            theory.sdm_expected_active(1000, 1_000_000, 451),
            1072,
            0.5,
        ),
        Check(
            f"locations shared by two words at {shared[0][0]} bits (the word itself), measured",
            shared[0][1],
            shared[0][2],
            # Four standard errors: counts of random locations are binomial.
            4 * math.sqrt(shared[0][2] / shared[0][3]),
        ),
    ]
    crossing = {
        items: [
            theory.sdm_critical_distance(
                scale.bits, scale.locations, scale.radius, items, autoassociative=auto
            )
            for auto in (True, False)
        ]
        for items in scale.known
    }
    outcome.claims += [
        Claim.plain(
            "signal to noise of one read tells the critical distance",
            f"T = {items}",
            abs(crossing[items][1] - halves[items]) <= 0.1 * halves[items],
            f"textbook {crossing[items][1]:.0f}, with the autoassociative bias "
            f"{crossing[items][0]:.0f}, measured {_crossed(found[items]):.0f}; "
            f"iterated reads come back from {halves[items]:.0f}",
        )
        for items in scale.known
    ]
    outcome.tables += [
        Table(
            "critical",
            f"Distances by items stored, n = {scale.bits}, M = {scale.locations:,}",
            (
                "T",
                "comes back (measured)",
                "known",
                "exactly",
                "one read crosses (measured)",
                "theory",
                "textbook, without bias",
            ),
            [
                (
                    f"{items:,}",
                    f"{halves[items]:.1f}",
                    str(known),
                    f"{found[items].half(exact=True):.1f}",
                    f"{_crossed(found[items]):.1f}",
                    f"{crossing[items][0]:.1f}",
                    f"{crossing[items][1]:.1f}",
                )
                for items, known in scale.known.items()
            ],
        ),
        Table(
            "shared",
            "Locations that two words share",
            ("distance", "measured", "theory", "words"),
            [(str(d), f"{seen:.1f}", f"{phi:.1f}", str(n)) for d, seen, phi, n in shared],
        ),
    ]
    outcome.notes.append(
        f"the memory takes {memory.nbytes / 1e9:.2f} GB; data are their own addresses, which pulls "
        "every read towards the cue: the bias that textbook formulas leave out"
    )
    outcome.panels += _panels(scale, found, halves, crossing)
    return outcome


def _low(scale: _Scale) -> int:
    return round(24 * scale.bits / 256)


def _high(scale: _Scale) -> int:
    return round(90 * scale.bits / 256)


def _theory(scale: _Scale, items: int, distance: int) -> float:
    return theory.sdm_new_distance(scale.bits, scale.locations, scale.radius, items, distance)


def _miss(scale: _Scale, items: int, distance: int, new: float) -> float:
    """Return how far a measured distance is from the theory, in units of what is allowed."""
    expected = _theory(scale, items, distance)
    return abs(new - expected) / max(5.0, 0.2 * expected)


def _read(memory: am.SparseDistributedMemory, words: Signs, scale: _Scale, probes: int) -> _Reads:
    """Read from cues at many distances, once and until they settle."""
    items = len(words)
    back: dict[int, float] = {}
    exact: dict[int, float] = {}
    new: dict[int, float] = {}
    targets = words[:probes]
    for distance in scale.distances(items):
        cues = flipped(generator(items, distance), targets, distance)
        ends = memory.read(cues, max_iter=READS)
        wrong = (ends != targets).sum(axis=1)
        back[distance] = float((wrong <= NEARLY * scale.bits).mean())
        exact[distance] = float((wrong == 0).mean())
    step = scale.bits // 32
    for distance in range(step, scale.bits * 13 // 32 + 1, step):
        cues = flipped(generator(items, distance, 1), targets, distance)
        new[distance] = float((memory.read(cues) != targets).sum(axis=1).mean())
    return _Reads(back, exact, new, len(targets))


def _crossed(reads: _Reads) -> float:
    """Return the distance that one read no longer shortens."""
    distances = sorted(reads.new)
    gains = [d - reads.new[d] for d in distances]
    first = next((i for i, gain in enumerate(gains) if gain > 0), 0)
    return _fit.crossing(distances[first:], gains[first:], 0.0)


def _shared(level: str) -> list[tuple[int, float, float, int]]:
    """Count the locations that words at a distance share: distance, measured, theory, words."""
    locations, probes = (100_000, 20) if level == "quick" else (1_000_000, 20)
    # One bit of data: this memory is about its locations alone.
    memory = am.SparseDistributedMemory(1000, locations, radius=451, value_bits=1, seed=3)
    words = am.BitMatrix.random(probes, 1000, seed=4).unpack()
    own = memory.activated(words)
    rows = []
    for distance in (0, 50, 100, 200, 300):
        others = flipped(generator(distance), words, distance)
        both = [
            len(np.intersect1d(mine, theirs))
            for mine, theirs in zip(own, memory.activated(others), strict=True)
        ]
        phi = locations * theory.circle_overlap(1000, 451, distance)
        rows.append((distance, float(np.mean(both)), phi, probes))
    return rows


def _panels(
    scale: _Scale,
    found: dict[int, _Reads],
    halves: dict[int, float],
    crossing: dict[int, list[float]],
) -> list[Panel]:
    back = [
        Series(
            f"T = {items:,}",
            list(reads.back),
            list(reads.back.values()),
            [_fit.fraction_error(p, reads.probes) for p in reads.back.values()],
            colour=i,
        )
        for i, (items, reads) in enumerate(found.items())
    ]
    new = []
    for i, (items, reads) in enumerate(found.items()):
        fine = list(range(1, max(reads.new) + 1, max(1, scale.bits // 128)))
        new += [
            Series(
                f"T = {items:,}", list(reads.new), list(reads.new.values()), colour=i, joined=False
            ),
            Series(
                "theory",
                fine,
                [_theory(scale, items, d) for d in fine],
                kind="theory",
                colour=i,
            ),
        ]
    longest = max(max(reads.new) for reads in found.values())
    new.append(Series("no gain", [0, longest], [0, longest], kind="textbook", colour=7))
    stored = list(found)
    fine_items = np.geomspace(stored[0] / 2, stored[-1] * 2, 40)
    shape = scale.bits, scale.locations, scale.radius
    distances = [
        Series("comes back after 10 reads", stored, [halves[t] for t in stored], joined=False),
        Series(
            "one read crosses", stored, [_crossed(found[t]) for t in stored], colour=1, joined=False
        ),
    ] + [
        Series(
            name,
            fine_items.tolist(),
            [
                theory.sdm_critical_distance(*shape, round(float(t)), autoassociative=auto)
                for t in fine_items
            ],
            kind="theory" if auto else "textbook",
            colour=1,
        )
        for name, auto in (("theory, with the bias", True), ("textbook, without it", False))
    ]
    return [
        Panel(
            f"Words that come back after {READS} reads",
            "wrong bits in the cue",
            "fraction of cues",
            back,
            marks=[Mark(known, "known") for known in scale.known.values()],
            y_range=(-0.02, 1.02),
        ),
        Panel("One read", "wrong bits in the cue", "wrong bits after it", new),
        Panel("Critical distance", "words stored T", "wrong bits", distances, log_x=True),
    ]
