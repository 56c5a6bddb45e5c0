"""`am.capacity`: cells, theory, corruption, critical loads, pictures, bad input."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import amfast as am


class Perfect:
    """Remembers everything and answers with the nearest stored pattern."""

    def __init__(self):
        self.patterns = None

    def __len__(self):
        return 0 if self.patterns is None else len(self.patterns)

    def __repr__(self):
        return "Perfect()"

    def store(self, patterns):
        self.patterns = patterns

    def recall(self, cues):
        index = am.topk(cues, self.patterns, 1, "manhattan")[1][:, 0]
        return self.patterns[index]


class Forgetful(Perfect):
    """Keeps the first twenty patterns and answers the others with noise."""

    def recall(self, cues):
        answer = np.ones_like(cues)
        answer[:, ::2] = -1
        answer[:20] = self.patterns[: min(20, len(cues))]
        return answer


def test_success_is_counted():
    table = am.capacity(Forgetful(), [10, 40], [0.0, 0.1], width=100, trials=2)
    np.testing.assert_allclose(table.success, [[1, 1], [0.5, 0.5]])
    np.testing.assert_allclose(table.exact, table.success)
    assert table.loads.tolist() == [10, 40] and table.corruptions.tolist() == [0.0, 0.1]
    assert table.overlap.shape == table.spread.shape == (2, 2)
    assert abs(table.overlap[1, 0] - 0.5) < 0.1
    assert table.theory == {} and table.theory_overlap is None


def test_critical_load_is_read_off_between_loads():
    table = am.capacity(Forgetful(), [10, 40, 80], width=100, trials=1)
    assert table.critical_load() == 40
    assert am.capacity(Perfect(), [10, 40], width=100).critical_load() == np.inf
    assert am.capacity(Forgetful(), [60, 80], width=100).critical_load(0.0) == 0
    with pytest.raises(ValueError, match=r"one of \[0.0\]"):
        table.critical_load(0.3)


def test_bipolar_corruption_flips_the_share_asked_for():
    seen = []

    class Looking(Perfect):
        def recall(self, cues):
            seen.append((cues != self.patterns).mean(axis=1))
            return super().recall(cues)

    am.capacity(Looking(), [5], [0.0, 0.1, 1.0], width=50, trials=1)
    assert [set(x) for x in seen] == [{0.0}, {0.1}, {1.0}]


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_real_patterns_get_noise(kind):
    memory = am.UniversalHopfield("sqeuclidean", "max")
    table = am.capacity(memory, [20], [0.0, 0.1], width=64, patterns=kind)
    np.testing.assert_array_equal(table.success, 1)
    np.testing.assert_array_equal(table.exact, 1)
    assert len(memory) == 0


def test_own_patterns_and_corruption():
    pool = np.random.default_rng(0).random((30, 8))
    table = am.capacity(
        Perfect, [10, 30], [0.9], patterns=pool, corrupt=lambda x, level, rng: x * level
    )
    np.testing.assert_array_equal(table.exact, 1)


def test_seed_decides():
    def table(seed):
        memory = am.UniversalHopfield("dot", "cube")
        return am.capacity(memory, [60], [0.3], width=32, seed=seed, trials=2).overlap

    np.testing.assert_array_equal(table(1), table(1))
    assert not np.array_equal(table(1), table(2))


def test_recall_takes_arguments():
    memory = am.UniversalHopfield("dot", "softmax", beta=0.05)
    once = am.capacity(memory, [10], [0.1], width=64)
    settled = am.capacity(memory, [10], [0.1], width=64, max_iter=50)
    assert settled.overlap[0, 0] != once.overlap[0, 0]


@pytest.mark.parametrize(
    ("make", "width", "low", "high", "named"),
    [
        (lambda: am.Hopfield(), 200, 10, 60, 2),
        (lambda: am.DenseAssociativeMemory(3), 60, 50, 1000, 2),
        (lambda: am.DenseAssociativeMemory(3, interaction="rectified"), 60, 50, 4000, 2),
        (lambda: am.DenseAssociativeMemory(interaction="exponential"), 20, 10, 4000, 1),
    ],
)
def test_theory_stands_beside_what_is_measured(make, width, low, high, named):
    """Nothing is lost well below the loads that theory names, something well above them."""
    table = am.capacity(make(), [low, high], width=width, trials=2)
    assert len(table.theory) == named
    assert all(low < load < high for load in table.theory.values())
    assert table.success[0, 0] > 0.95
    assert table.exact[1, 0] < table.exact[0, 0] or table.success[1, 0] < 0.9
    assert "theory" in str(table)


def test_theory_of_overlaps():
    table = am.capacity(am.Hopfield(), [10, 22, 60], width=200, trials=4)
    np.testing.assert_allclose(table.overlap[:2, 0], table.theory_overlap[:2], atol=0.05)
    kanerva = am.SparseDistributedMemory(256, 20_000, seed=1)
    table = am.capacity(kanerva, [50, 1500], width=256, trials=1)
    np.testing.assert_allclose(table.overlap[:, 0], table.theory_overlap, atol=0.05)


def test_csv_and_picture(tmp_path):
    table = am.capacity(Forgetful(), [10, 40], [0.0, 0.1], width=100, trials=2)
    with table.to_csv(tmp_path / "table.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["load", "corruption", "success"] and len(rows) == 5
    pytest.importorskip("matplotlib")
    table.plot(tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"loads": []}, "at least one"),
        ({"loads": [0]}, "loads must be an int >= 1"),
        ({"corruptions": []}, "at least one"),
        ({"corruptions": [-0.1]}, "corruptions"),
        ({"corruptions": [1.5]}, "shares of the units"),
        ({"width": None}, "width must say"),
        ({"patterns": "ternary"}, "patterns must be one of"),
        ({"patterns": np.ones((3, 4))}, "3 rows, the largest load is 5"),
        ({"trials": 0}, "trials"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        am.capacity(Perfect(), **{"loads": [5], "width": 8, **arguments})


def test_memories_must_be_empty():
    memory = am.UniversalHopfield()
    memory.store(np.eye(3))
    with pytest.raises(ValueError, match="must be empty, it holds 3"):
        am.capacity(memory, [5], width=3)
    with pytest.raises(TypeError, match="memory"):
        am.capacity(None, [5], width=3)


@pytest.mark.parametrize("interaction", ["power", "rectified", "exponential"])
def test_dense_memories_have_a_theory(interaction):
    memory = am.DenseAssociativeMemory(interaction=interaction)
    table = am.capacity(memory, [3], width=32, trials=1)
    assert table.success[0, 0] == 1.0 and len(table.theory) > 0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float32])
def test_patterns_of_zeros_and_ones_are_flipped(dtype):
    pool = am.BitMatrix.random(5, 64, 0).unpack("binary").astype(dtype)
    seen = []

    class Echo:
        def store(self, patterns):
            self.stored = patterns

        def recall(self, cues):
            seen.append((cues != self.stored).sum(axis=1))
            return cues

    am.capacity(Echo, [5], [0.25], patterns=pool, trials=1)
    np.testing.assert_array_equal(seen[0], 16)
    assert am.capacity(am.Hopfield(), [2], [0.1], patterns=pool, trials=1).success[0, 0] == 1.0


def test_noise_on_bytes_stays_in_range():
    pool = np.full((4, 1000), 250, np.uint8)
    pool[:, 0] = 0
    seen = []

    class Echo:
        def store(self, patterns):
            pass

        def recall(self, cues):
            seen.append(cues)
            return cues

    am.capacity(Echo, [4], [4.0], patterns=pool, trials=1)
    assert seen[0].dtype == np.uint8 and seen[0][:, 1:].min() > 200
    assert abs(seen[0][:, 1:].astype(float).mean() - 249.5) < 0.5


def test_one_unit_has_no_theory():
    assert am.capacity(am.Hopfield(), [1], width=1, trials=1).theory == {}
