"""`am.capacity`: cells, theory, corruption, critical loads, pictures, bad input."""

from __future__ import annotations

import csv
import dataclasses
import functools
import sys

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
    two = am.capacity(Forgetful(), [10, 80, 200], width=100, trials=1)
    np.testing.assert_allclose(two.success[:, 0], [1, 0.25, 0.1])
    assert two.critical_load() == pytest.approx(10 + 70 * 0.5 / 0.75)
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
    ("make", "width", "low", "high", "named", "left"),
    [
        (lambda: am.Hopfield(), 200, 10, 60, 2, 0.1),
        (lambda: am.DenseAssociativeMemory(3), 60, 50, 1000, 2, 0.1),
        (lambda: am.DenseAssociativeMemory(3, interaction="rectified"), 60, 50, 4000, 2, 0.1),
        # Up to its load all patterns are recalled, not half of them.
        (lambda: am.DenseAssociativeMemory(interaction="exponential"), 20, 10, 4000, 1, 0.99),
    ],
)
def test_theory_stands_beside_what_is_measured(make, width, low, high, named, left):
    """Nothing is lost well below the loads that theory names, something well above them."""
    table = am.capacity(make(), [low, high], width=width, trials=2)
    assert len(table.theory) == named
    assert all(low < load < high for load in table.theory.values())
    assert table.success[0, 0] > 0.95 and table.exact[0, 0] > 0.9
    assert table.exact[1, 0] < left
    assert str(table).count("theory, ") == named


def test_theory_of_overlaps():
    table = am.capacity(am.Hopfield(), [10, 22, 60], width=200, trials=4)
    np.testing.assert_allclose(table.overlap[:2, 0], table.theory_overlap[:2], atol=0.05)
    kanerva = am.SparseDistributedMemory(256, 20_000, seed=1)
    table = am.capacity(kanerva, [50, 1500], width=256, trials=1)
    np.testing.assert_allclose(table.overlap[:, 0], table.theory_overlap, atol=0.05)


def test_other_rules_and_memories_have_their_own_theory():
    table = am.capacity(am.Hopfield(rule="projection"), [3], width=16, trials=1)
    assert list(table.theory.values()) == [16.0] and table.theory_overlap is None
    for memory in (am.UniversalHopfield(), am.DenseAssociativeMemory(1)):
        table = am.capacity(memory, [3], width=16, trials=1)
        assert table.theory == {} and table.theory_overlap is None

    class SparseDistributedMemory(Perfect):
        """Of somebody else: a name decides nothing."""

    assert am.capacity(SparseDistributedMemory, [3], width=16, trials=1).theory_overlap is None


def test_theory_is_drawn(tmp_path):
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots(1, 2)
    table = am.capacity(am.Hopfield(), [10, 40], [0.0, 0.1], width=100, trials=1)
    assert table.plot(axis=axes[0]) is axes[0]
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    near = [name for name, load in table.theory.items() if load <= 48]
    assert len(near) == 2
    curve = "overlap, theory (right axis)"
    assert labels == [curve, *near, "corruption 0", "corruption 0.1"]
    lines = {line.get_label(): line for line in axes[0].lines}
    right = axes[0].figure.axes[-1]
    assert right is not axes[0] and right.get_ylabel() == "overlap expected"
    loads, overlap = right.lines[0].get_xdata(), right.lines[0].get_ydata()
    assert len(loads) == 31 and loads[0] == 10 and loads[-1] == 40
    np.testing.assert_array_equal(overlap[[0, -1]], table.theory_overlap)
    for name in near:
        assert set(lines[name].get_xdata()) == {table.theory[name]}
    few = am.capacity(am.Hopfield(), [2], width=100, trials=1)  # theory's loads are out of sight
    few.plot(axis=axes[1])
    assert len(axes[1].get_legend().get_texts()) == 2


def test_csv_and_picture(tmp_path):
    table = am.capacity(Forgetful(), [10, 40], [0.0, 0.1], width=100, trials=2)
    with table.to_csv(tmp_path / "table.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["load", "corruption", "success"] and len(rows) == 5
    pytest.importorskip("matplotlib")
    table.plot(tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_frames(tmp_path):
    """Rows as in the CSV, with Wilson's intervals as SciPy has them."""
    pytest.importorskip("pandas", reason="needs pandas (amfast-memory[frames])")
    stats = pytest.importorskip("scipy.stats")
    table = am.capacity(Forgetful(), [10, 40], [0.0, 0.1, 0.2], width=100, trials=2, max_cues=30)
    assert table.cues.tolist() == [20, 60]
    frame = table.to_frame()
    assert list(frame.columns) == [
        "load", "corruption", "cues", "success", "success_low", "success_high",
        "exact", "exact_low", "exact_high", "overlap", "spread",
    ]  # fmt: skip
    plain = frame[["load", "corruption", "success", "exact", "overlap", "spread"]]
    assert [tuple(row) for row in plain.to_numpy()] == table.rows()
    for confidence in (0.95, 0.5):
        for row in table.to_frame(confidence).itertuples():
            for name in ("success", "exact"):
                share = getattr(row, name)
                test = stats.binomtest(round(share * row.cues), row.cues)
                expected = test.proportion_ci(confidence, "wilson")
                got = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert am.load(table.save(tmp_path / "table")).to_frame().equals(frame)
    older = dataclasses.replace(table, cues=None).to_frame()
    assert older.success.equals(frame.success) and older.success_low.isna().all()
    for wrong in (0.0, 1.0, 2):
        with pytest.raises(ValueError, match="confidence must be above 0 and below 1"):
            table.to_frame(wrong)


def test_frames_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = am.capacity(am.Hopfield(), [2], width=10, trials=1)
    with pytest.raises(ImportError, match=r'pip install "amfast-memory\[frames\]"'):
        table.to_frame()


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
        ({"width": 10**400, "patterns": np.ones(3)}, "patterns must be 2-d"),
        ({"corruptions": [10**400]}, "corruptions must be a finite number >= 0"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        am.capacity(Perfect(), **{"loads": [5], "width": 8, **arguments})


def test_what_is_too_large_is_refused_by_name():
    for arguments, match in [
        ({"loads": [10**30]}, "patterns of the largest load of shape"),
        ({"width": 10**30}, r"patterns of the largest load of shape \(5, 1000"),
        ({"trials": 10**30}, "results of all trials of shape"),
    ]:
        with pytest.raises(MemoryError, match=match):
            am.capacity(Perfect(), **{"loads": [5], "width": 8, **arguments})
    table = am.capacity(Perfect(), [5], width=8, trials=1)
    with pytest.raises(ValueError, match=r"one of \[0.0\], got 10000"):
        table.critical_load(10**400)


class Answering(Perfect):
    """Answers with what is stored, changed."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def recall(self, cues):
        return self.change(self.patterns[: len(cues)].astype(np.float64))


def test_answers_have_the_shape_of_patterns():
    for change, shape in [(lambda x: x[:, :1], r"\(5, 1\)"), (lambda x: x[:1], r"\(1, 8\)")]:
        match = rf"the memory's answers have shape {shape}, the patterns \(5, 8\)"
        with pytest.raises(ValueError, match=match):
            am.capacity(Answering(change), [5], width=8, trials=1)


@pytest.mark.parametrize(("off", "exact"), [(0.0, 1), (5e-7, 1), (2e-6, 0), (-2e-6, 0), (1.0, 0)])
def test_exact_is_to_a_millionth(off, exact):
    table = am.capacity(Answering(lambda x: x * (1 + off)), [5], width=100, trials=1)
    assert table.exact[0, 0] == exact and table.success[0, 0] == 1
    assert table.overlap[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(("wrong", "success"), [(4, 1.0), (5, 0.0), (6, 0.0)])
def test_recalled_is_an_overlap_above_nine_tenths(wrong, success):
    """An overlap of 1 - 2 * 5 / 100 is not above 0.9."""

    def change(x):
        x[:, :wrong] *= -1
        return x

    table = am.capacity(Answering(change), [5], width=100, trials=1)
    assert table.success[0, 0] == success and table.exact[0, 0] == 0
    assert table.overlap[0, 0] == pytest.approx(1 - wrong / 50)


def test_spread_is_that_of_success_over_trials():
    """Every other trial is answered, never exactly: success 1/2 +- 1/2, exact 0."""
    calls = []

    def change(x):
        calls.append(len(x))
        return x * (1.1 if len(calls) % 2 else 0)

    table = am.capacity(lambda: Answering(change), [5, 7], width=100, trials=4)
    np.testing.assert_array_equal(table.success, 0.5)
    np.testing.assert_array_equal(table.spread, 0.5)
    assert not table.exact.any() and table.trials == 4 and calls == [5] * 4 + [7] * 4


def test_an_answer_of_zeros_overlaps_with_nothing():
    table = am.capacity(Answering(lambda x: 0 * x), [5], width=8, trials=1)
    assert table.overlap[0, 0] == table.success[0, 0] == 0


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


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float16, np.float64])
def test_given_patterns_of_signs_are_flipped(dtype):
    pool = am.BitMatrix.random(5, 64, 0).unpack().astype(dtype)
    seen = []

    class Looking(Perfect):
        def recall(self, cues):
            assert set(np.unique(cues)) == {-1, 1}
            seen.append((cues != self.patterns).sum(axis=1))
            return super().recall(cues)

    am.capacity(Looking, [5], [0.25], patterns=pool, trials=1)
    np.testing.assert_array_equal(seen[0], 16)
    with pytest.raises(ValueError, match="corruptions of binary patterns are shares"):
        am.capacity(Looking, [5], [1.5], patterns=pool, trials=1)


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


@pytest.mark.parametrize(
    "corrupt",
    ["mask", "random_mask", "gaussian", am.corrupt.mask, am.corrupt.gaussian, am.corrupt.inpaint],
)
@pytest.mark.parametrize("shape", [None, (28, 28)])
def test_the_librarys_own_corruptions_fit(corrupt, shape):
    images = am.datasets.load("fashion_mnist_small", n=40).patterns()
    memory = am.UniversalHopfield("manhattan", "max")
    table = am.capacity(memory, 40, 0.2, patterns=images, corrupt=corrupt, shape=shape, trials=1)
    assert table.success.shape == (1, 1) and 0.8 < table.success[0, 0]
    assert table.criterion == "nearest of all stored"
    assert repr(table) == str(table) and "nearest of all stored" in repr(table)


def test_masked_signs_stay_signs():
    for corrupt in ("mask", "random_mask", functools.partial(am.corrupt.mask, keep="bottom")):
        table = am.capacity(am.Hopfield(), 5, 0.2, width=100, corrupt=corrupt, trials=1)
        assert table.success[0, 0] == 1
    table = am.capacity(am.Hopfield(), 5, 0.1, width=100, corrupt=am.corrupt.flip, trials=1)
    assert table.success[0, 0] == 1


def test_overlap_flatters_images():
    """Blurred images overlap with everything: nearest and exact see what overlap does not."""
    images = am.datasets.load("fashion_mnist_small", n=100).patterns()
    flat = am.UniversalHopfield("cosine", beta=1.0)
    by = {
        what: am.capacity(flat, 100, 0.0, patterns=images, success=what, trials=1).success[0, 0]
        for what in ("overlap", "nearest", "exact", lambda a, b: (a == b).all(axis=1))
    }
    overlap, *others = by.values()
    assert overlap > 0.1 > max(others)


def test_several_memories_on_one_axis():
    pytest.importorskip("matplotlib")
    tables = {
        rule: am.capacity(am.Hopfield(rule), [5, 10], width=50, trials=1)
        for rule in ("hebbian", "projection")
    }
    axis = am.plot.capacity(tables)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(tables)
    assert "d to infinity" in repr(tables["hebbian"]) and "d = 50" in repr(tables["hebbian"])


def test_one_unit_has_no_theory():
    assert am.capacity(am.Hopfield(), [1], width=1, trials=1).theory == {}


def test_spurious_ends_and_basins(tmp_path):
    table = am.capacity(am.Hopfield(), [5, 20, 60], [0.0, 0.2, 0.4, 0.5], width=100, trials=2)
    assert table.spurious[0, 0] == 0 and table.spurious[2].min() > 0.9
    # A stored or reversed pattern is no spurious end; at half of the units there are both.
    assert (table.spurious + table.exact <= 1 + 1e-12).all()
    assert 0.3 < table.basins()[0] < 0.5 and table.basins()[-1] == 0
    assert am.capacity(am.Hopfield, [1], [0.0, 0.7], width=100, trials=1).spurious.max() == 0
    table.save(tmp_path / "table")
    np.testing.assert_array_equal(am.load(tmp_path / "table").spurious, table.spurious)
    real = am.capacity(
        am.UniversalHopfield("manhattan", "max"), [3], [0.1], width=9, patterns="normal", trials=1
    )
    assert real.spurious is None and real.basins().tolist() == [np.inf]
    bits = am.capacity(am.Hopfield(), [3], [0.0], patterns=np.eye(40, dtype=bool), trials=1)
    assert bits.spurious.shape == (1, 1)
    with pytest.raises(ValueError, match="ascend"):
        am.capacity(am.Hopfield(), [3], [0.2, 0.1], width=20, trials=1).basins()
