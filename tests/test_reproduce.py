"""The reproductions: the measuring is right, the reports say it, and every quick figure passes."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

import amfast as am
from amfast import datasets, reproduce
from amfast.reproduce import (
    _cues,
    _fit,
    _measure,
    _random,
    _registry,
    _report,
    learned_similarity,
    measure_learning,
)
from amfast.reproduce._images import ImageSet, find, rows

IMAGES = [
    "learned-similarity",
    "uhn-capacity",
    "uhn-examples",
    "uhn-hetero",
    "uhn-perturbations",
    "uhn-robustness",
    "uhn-separation",
    "uhn-threshold",
]
# Whose figures are the paper's: as the caption says, and as the code runs.
CAPTIONED = [name for name in IMAGES if name not in ("learned-similarity", "uhn-examples")]
# Experiments without images that are done in a second or two; .ci/run runs every one.
FAST = [
    "chain-capacity",
    "dam-duality",
    "dam-recall",
    "dam-xor",
    "hopfield-biased",
    "identities",
    "mchn-bounds",
    "muon-longtail",
    "sdm-attention",
    "uhn-dynamics",
]


@pytest.fixture(scope="module")
def images():
    (bundled,), missing = find("quick", None)
    assert not missing
    return bundled.memory_sets(40, 1)[0]


@pytest.fixture(scope="module")
def trial(images):
    cues = _cues.noisy(images, 0.4, "fold", np.random.default_rng(0))
    return _measure.Trial(_measure.Memories(rows(images)), cues)


def literal_answers(trial, similarity, n, separate):
    """The authors' loop: one query at a time, every formula written out, in float64."""
    scores = _measure.literal_scores(similarity, trial.cues[:n], trial.memories.rows[:n])
    keys = trial.memories.rows[:n].astype(float)
    winners, errors = [], []
    for j in range(n):
        weights = separate(scores[j])
        weights = weights / weights.sum()
        winners.append(weights.argmax())
        errors.append(((keys[j] - keys.T @ weights) ** 2).sum())
    return np.array(winners), np.array(errors)


def softmax(scores):
    return np.exp(100 * scores - (100 * scores).max())


SEPARATIONS = {
    "softmax": (am.Softmax(100.0), softmax),
    "max": (am.Max(), lambda s: (np.arange(len(s)) == s.argmax()).astype(float)),
    "identity": (am.Identity(), lambda s: s),
    "tenth": (am.Polynomial(10), lambda s: s**10),
    "log": (am.Log(), np.log),
    "sqrt": (am.Sqrt(), np.sqrt),
}


@pytest.mark.parametrize("similarity", ["sqeuclidean", "manhattan", "dot", "kl", "reverse_kl"])
@pytest.mark.parametrize("name", SEPARATIONS)
@pytest.mark.parametrize("n", [1, 7, 40])
def test_nested_measuring_is_the_authors_loop(trial, similarity, name, n) -> None:
    separation, separate = SEPARATIONS[name]
    if n == 1 and name == "log":
        return  # ln 1 / ln 1: the code's answer is NaN, amfast's the memory
    answers = trial.recall(similarity, n, separation)
    winners, errors = literal_answers(trial, similarity, n, separate)
    np.testing.assert_array_equal(answers.winner, winners)
    np.testing.assert_allclose(answers.error, errors, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("similarity", _measure.SIX)
@pytest.mark.parametrize("name", SEPARATIONS)
def test_measuring_is_what_the_library_recalls(trial, similarity, name) -> None:
    assert trial.library_gap(similarity, 25, SEPARATIONS[name][0]) < 1e-4


def test_hetero_targets_share_the_weights(trial, images) -> None:
    targets = _measure.Memories(_cues.masked_top(images))
    hetero = trial.answering(targets)
    for separation in (am.Max(), am.Softmax(1000.0)):
        auto, twin = (t.recall("dot", 40, separation) for t in (trial, hetero))
        np.testing.assert_array_equal(auto.winner, twin.winner)
        assert auto.by_argmax == twin.by_argmax
        # Half of the target is zero, so that half of the errors cannot happen.
        assert (twin.error <= auto.error + 1e-9).all()


def test_clean_cues_are_exact_matches(images) -> None:
    memories = _measure.Memories(rows(images))
    clean = _measure.Trial(memories, memories.rows)
    for similarity in ("manhattan", "sqeuclidean", "kl", "reverse_kl"):
        for separation in (am.Max(), am.Polynomial(10)):
            answers = clean.recall(similarity, len(images), separation)
            assert answers.by_argmax == 1 and answers.error.max() < 1e-6
    assert np.isnan(_measure.literal_scores("manhattan", memories.rows, memories.rows)).any()


def test_one_blank_row_ruins_the_literal_formulas_only(images) -> None:
    stored = images.copy()
    stored[12] = 0
    memories = _measure.Memories(rows(stored))
    trial = _measure.Trial(memories, _cues.masked_bottom_as_in_the_code(stored))
    for similarity in ("dot", "kl", "reverse_kl"):
        literal = _measure.literal_scores(similarity, trial.cues, memories.rows)
        assert np.isnan(literal).all()
        assert (literal.argmax(axis=1) == 0).all()
        assert np.isfinite(trial.scores(similarity, len(stored))).all()
        assert trial.recall(similarity, len(stored), am.Max()).by_argmax > 0.2


def test_cues() -> None:
    grey = np.ones((2, 28, 28), np.float32)
    assert _cues.masked_bottom_as_in_the_code(grey, 0.3).reshape(grey.shape)[0, :, 0].sum() == 19
    assert _cues.masked_top(grey, 0.3).reshape(grey.shape)[0, :9].sum() == 0
    tiny = np.ones((2, 64, 64, 3), np.float32)
    bands = _cues.masked_bottom_as_in_the_code(tiny).reshape(tiny.shape)[0, :, 0, 0]
    assert bands[0] == 1 and bands[15] == 0 and bands[25] == 1 and bands[63] == 0


def test_memory_sets_are_disjoint_and_run_out() -> None:
    numbered = np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    image_set = ImageSet("mnist", numbered)
    sets = image_set.memory_sets(30, 10)
    assert len(sets) == 3
    seen = np.concatenate([np.unique(np.rint(s * 255)) for s in sets])
    assert len(seen) == len(np.unique(seen)) == 90
    assert len(image_set.memory_sets(500, 5)[0]) == 100


def test_checks_and_claims() -> None:
    check = _registry.Check
    assert check("a", 1.0, 1.05, 0.1).passed and not check("a", 1.0, 1.2, 0.1).passed
    assert check("a", 2.0, 1.0, 0, "at least").passed
    assert check("a", 0.0, 1.0, 0, "at most").passed
    for relation in ("equal", "at least", "at most"):
        assert not check("a", float("nan"), 1.0, 0.5, relation).passed
    verdicts = {
        (True, True): "holds",
        (False, False): "does not hold",
        (True, False): "holds by argmax only",
        (False, True): "holds by threshold only",
        (None, True): "holds",
        (None, None): "not tested",
    }
    for (argmax, threshold), verdict in verdicts.items():
        assert _registry.Claim("", "", argmax, threshold, "").verdict == verdict


def test_std_is_the_papers() -> None:
    curves = _registry.Curves()
    curves.add("code", "MNIST", "dot", 5, "argmax", [0.0, 1.0])
    (point,) = curves
    assert (point.mean, point.std, point.runs) == (0.5, 0.5, 2)


def test_every_experiment_is_registered() -> None:
    assert [name for name, e in reproduce.EXPERIMENTS.items() if e.images] == IMAGES
    assert set(FAST) <= set(reproduce.EXPERIMENTS)
    with pytest.raises(ValueError, match="already registered"):
        _registry.experiment("uhn-capacity", "again")(lambda context: None)
    with pytest.raises(ValueError, match="expected all or one of"):
        reproduce.run("uhn-nothing")


@pytest.mark.parametrize("name", CAPTIONED)
def test_quick(name, tmp_path, capsys) -> None:
    assert reproduce.run(name, "quick", out=tmp_path) == 0
    printed = capsys.readouterr().out
    assert "PASS" in printed and "FAIL" not in printed
    assert "What the paper says" in printed
    with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        points = list(csv.DictReader(file))
    assert {point["accuracy"] for point in points} == {"argmax", "threshold"}
    assert all(0 <= float(point["mean"]) <= 1 and int(point["runs"]) >= 3 for point in points)
    with (tmp_path / f"{name}_checks.csv").open(encoding="utf-8", newline="") as file:
        assert all(check["result"] == "PASS" for check in csv.DictReader(file))
    variants = {point["variant"] for point in points}
    assert len(variants) >= 2
    pytest.importorskip("matplotlib")
    assert len(list(tmp_path.glob("*.png"))) == len(variants)
    if name != "uhn-perturbations":  # whose caption and code agree
        assert any("code" in v for v in variants) and any("caption" in v for v in variants)


def test_quick_learned_similarity(tmp_path, capsys) -> None:
    assert reproduce.run("learned-similarity", "quick", out=tmp_path) == 0
    assert "does not hold" in capsys.readouterr().out
    with (tmp_path / "learned-similarity.csv").open(encoding="utf-8", newline="") as file:
        points = [p for p in csv.DictReader(file) if p["variant"] == "mask"]
    mean = {(p["line"], p["level of the corruption"]): float(p["mean"]) for p in points}
    assert mean["learned", "0.5"] == mean["best possible", "0.5"] == 1
    assert mean["manhattan", "0.5"] < 0.5
    pytest.importorskip("matplotlib")
    assert len(list(tmp_path.glob("*.png"))) == 6


@pytest.mark.filterwarnings("error::amfast.SeparationWarning")
def test_quick_examples(tmp_path, capsys) -> None:
    assert reproduce.run("uhn-examples", "quick", out=tmp_path) == 0
    assert "perfect to 0.2 / 0.2" in capsys.readouterr().out
    with (tmp_path / "uhn-examples.csv").open(encoding="utf-8", newline="") as file:
        points = list(csv.DictReader(file))
    assert len({p["variant"] for p in points}) == 7
    with (tmp_path / "uhn-examples_claims.csv").open(encoding="utf-8", newline="") as file:
        verdicts = [(c["claim"], c["verdict"]) for c in csv.DictReader(file)]
    assert ("perfect recall up to a mask of 0.5", "does not hold") in verdicts
    pytest.importorskip("matplotlib")
    assert len(list(tmp_path.glob("*.png"))) == 7 + 2


@pytest.mark.parametrize("alpha", measure_learning.ALPHAS)
def test_contexts_are_densities_with_the_spectrum_that_is_said(alpha) -> None:
    drawn = measure_learning._draw(alpha, 50, 0)
    n, tags, coefficients = len(drawn.y), drawn.tags, drawn.coefficients
    assert np.abs(tags @ tags.transpose(0, 2, 1) - np.eye(8)).max() < 1e-12
    z = (np.arange(64) + 0.5) / 64
    features = np.sqrt(2) * np.cos(np.pi * np.arange(1, 9)[:, None] * z)
    density = 1 + coefficients @ features
    assert density.min() > 0
    np.testing.assert_allclose(density.mean(axis=2), 1)
    spread = coefficients.var(axis=(0, 1))
    np.testing.assert_allclose(
        spread / spread[0], np.exp(-0.5 * (np.arange(1, 9) ** alpha - 1)), rtol=0.1
    )
    asked = (tags * drawn.queries[:, None]).sum(axis=2)
    np.testing.assert_allclose(asked, np.eye(8)[drawn.asked], atol=1e-12)
    own = coefficients[np.arange(n), drawn.asked]
    assert np.corrcoef(own[:, 0], drawn.y)[0, 1] > 0.5


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_the_likelihood_of_noise_is_that_of_what_is_drawn(sigma) -> None:
    """Densities of folded and clipped noise, and the mass at 1, add up to 1."""
    x, fine = 0.4, np.linspace(0, 1, 20001)
    density = np.exp((fine - x) ** 2 / (-2 * sigma**2)) * (1 + np.exp(-2 * fine * x / sigma**2))
    inside = np.trapezoid(density, fine) / (sigma * np.sqrt(2 * np.pi))
    assert inside + np.exp(learned_similarity._beyond(x, sigma)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", FAST)
def test_quick_without_images(name, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(_report._images, "find", lambda *_: pytest.fail("asked for images"))
    assert reproduce.run(name, "quick", out=tmp_path) == 0
    printed = capsys.readouterr().out
    assert "PASS" in printed and "FAIL" not in printed
    with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        points = list(csv.DictReader(file))
    assert any(point["kind"] == "measured" for point in points)
    assert all(np.isfinite([float(point["x"]), float(point["y"])]).all() for point in points)
    with (tmp_path / f"{name}_checks.csv").open(encoding="utf-8", newline="") as file:
        checks = list(csv.DictReader(file))
    assert checks and all(check["result"] == "PASS" for check in checks)
    pytest.importorskip("matplotlib")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_what_is_missing_skips_one_of_all_and_stops_one_alone(
    tmp_path, capsys, monkeypatch
) -> None:
    def run(context):
        assert context.images == () and context.data == "folder"
        raise _registry.Unavailable("no data; get them")

    lacking = {"lacking": _registry.Experiment("lacking", "never", run)}
    monkeypatch.setattr(_report, "EXPERIMENTS", lacking)
    assert _report.run("all", "quick", data="folder", out=tmp_path) == 0
    assert "skipped: lacking: no data; get them" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no data; get them"):
        _report.run("lacking", "quick", data="folder", out=tmp_path)


def test_panels_are_drawn_and_written(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    series = [
        _registry.Series("seen", [1, 10, 100], [1.0, 0.5, 0.1], error=[0.1, 0.1, 0.05]),
        _registry.Series("theory", [1, 100], [1.0, 0.1], kind="theory"),
        _registry.Series("textbook", [1, 100], [0.9, 0.2], kind="textbook", colour=1),
    ]
    marks = [_registry.Mark(50, "half"), _registry.Mark(0.3, "level", "y")]
    panel = _registry.Panel("t", "n", "p", series, log_x=True, marks=marks, y_range=(0, 1.1))
    given = _registry.Experiment("drawn", "a drawing", lambda context: outcome)
    for count in (1, 2, 4, 5):
        outcome = _registry.Outcome(panels=[panel] * count)
        files = _report.write(given, outcome, tmp_path)
        assert files[-1] == tmp_path / "drawn.png" and files[-1].stat().st_size > 10_000
    with (tmp_path / "drawn.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["t", "seen", "measured", "1", "1.0", "0.1", "n", "p"]
    assert rows[4] == ["t", "theory", "theory", "1", "1.0", "", "n", "p"] and len(rows) == 36


def test_fits() -> None:
    x = [1.0, 2.0, 4.0, 8.0]
    assert _fit.log_slope(x, [3 * v**-1.5 for v in x]) == pytest.approx(-1.5)
    assert _fit.slope(x, [2 - 3 * v for v in x]) == pytest.approx(-3)
    assert _fit.crossing(x, [1.0, 0.75, 0.25, 0.0]) == pytest.approx(3.0)
    assert np.isnan(_fit.crossing(x, [1.0, 0.9, 0.8, 0.7]))
    assert _fit.fraction_error(0.5, 100) == pytest.approx(0.05, rel=0.02)
    assert 0 < _fit.fraction_error(1.0, 100) < 0.01
    rng = np.random.default_rng(5)
    at = np.linspace(0, 10, 21)
    trials = [2000] * len(at)
    wins = rng.binomial(2000, 1 / (1 + np.exp(1.7 * (at - 4.3))))
    middle, steepness = _fit.logistic_crossing(at.tolist(), wins.tolist(), trials)
    assert middle == pytest.approx(4.3, abs=0.05) and steepness == pytest.approx(-1.7, abs=0.1)
    middle, _ = _fit.logistic_crossing([1, 2, 3, 4], [5, 5, 0, 0], [5] * 4)
    assert middle == pytest.approx(2.5, abs=0.01)
    assert np.isnan(_fit.logistic_crossing([1, 2], [5, 5], [5, 5])[0])
    # A curve that is no logistic far from its middle: only what is near has a say.
    successes = [2000, 1990, 1300, 700, 390, 380, 370]
    middle = _fit.local_crossing([1, 2, 3, 4, 5, 6, 7], successes, [2000] * 7)
    assert middle == pytest.approx(3.5, abs=0.01)
    assert _fit.local_crossing([1, 2, 3], [9, 8, 1], [10] * 3) == pytest.approx(2 + 3 / 7)


def test_random_patterns() -> None:
    rows = _random.signs(_random.generator(3, 1), 50, 40)
    assert rows.dtype == np.int8 and set(np.unique(rows)) == {-1, 1}
    np.testing.assert_array_equal(rows, _random.signs(_random.generator(3, 1), 50, 40))
    assert (rows != _random.signs(_random.generator(3, 2), 50, 40)).any()
    for count in (0, 7, 40):
        turned = _random.flipped(_random.generator(4), rows, count)
        assert turned.dtype == np.int8 and ((turned != rows).sum(axis=1) == count).all()
    biased = _random.biased_signs(_random.generator(5), 200, 100, 0.4)
    assert biased.mean() == pytest.approx(0.4, abs=0.03)


def test_a_failed_check_is_exit_code_1(tmp_path, capsys, monkeypatch) -> None:
    def run(context):
        outcome = _registry.Outcome((), "x")
        outcome.checks.append(_registry.Check("two is three", 2, 3, 0.5))
        outcome.claims.append(_registry.Claim("false", "here", False, False, ""))
        return outcome

    failing = _registry.Experiment("failing", "always", run)
    monkeypatch.setitem(_registry.EXPERIMENTS, "failing", failing)
    assert _report.run("failing", "quick", out=tmp_path) == 1
    assert "FAIL: two is three: 2" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cifar10", "tinyimagenet"])
def test_manhattan_leads_on_colour_images(name) -> None:
    """PAPER.md D5, on the real images: half masked, max."""
    if not os.environ.get("AMFAST_DATA") or not datasets.available(name):
        pytest.skip(f"AMFAST_DATA names no folder with {name}.npz")
    images = ImageSet(name, datasets.load(name, download=False).images)
    right = {similarity: [] for similarity in _measure.THREE}
    for stored in images.memory_sets(100, 3):
        trial = _measure.Trial(_measure.Memories(rows(stored)), _cues.masked_top(stored))
        for similarity in right:
            right[similarity].append(trial.recall(similarity, 100, am.Max()).by_argmax)
    mean = {similarity: np.mean(values) for similarity, values in right.items()}
    assert mean["manhattan"] >= max(mean["dot"], mean["sqeuclidean"]) + 0.05
