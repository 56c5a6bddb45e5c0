"""What recall says by itself when its parts do not suit the items, and what it refuses."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import amfast as am


@pytest.fixture(scope="module")
def images():
    return am.datasets.load("fashion_mnist_small", n=200).patterns()


@pytest.fixture(scope="module")
def cues(images):
    return am.corrupt.gaussian(images, 0.3, mode="clip", seed=0)


def stored(memory, rows, values=None):
    memory.store(rows, values)
    return memory


def said(memory, cues, **recall) -> str:
    """The one warning of two recalls."""
    with pytest.warns(am.SeparationWarning) as caught:
        memory.recall(cues, **recall)
        memory.recall(cues, **recall)
    assert len(caught) == 1, [str(x.message) for x in caught]
    assert caught[0].filename == __file__, "the warning points at who called"
    return str(caught[0].message)


def silent(memory, cues):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return memory.recall(cues)


@pytest.mark.parametrize("memory", [am.UniversalHopfield(), am.UniversalHopfield("dot", "cube")])
def test_items_that_lose_at_their_own_key(memory, images, cues):
    text = said(stored(memory, images), cues)
    assert "lose at their own key" in text and "different answers" in text and "'cosine'" in text


def test_modern_hopfield_says_what_the_theory_has_against_it(images, cues):
    text = said(stored(am.ModernHopfield(beta=8.0), images), cues)
    assert "lose at their own key" in text and "of the 200 stored items" in text


def test_fewer_than_half_separated():
    keys = np.vstack([np.eye(8), np.eye(8) * 0.99])  # sixteen keys, each with a near twin
    keys = np.vstack([keys, 40 * np.eye(8)[:3] - 40 * np.eye(8)[3:6]])
    memory = stored(am.ModernHopfield(beta=1.0), keys)
    text = said(memory, keys)
    assert 0 < memory.bounds().separated.sum() < len(keys) / 2
    assert f"separates {memory.bounds().separated.sum()} of the {len(keys)}" in text


def test_flat_softmax_says_which_beta_would_do(images, cues):
    text = said(stored(am.UniversalHopfield("cosine"), images), cues)
    assert "too small for the spread" in text
    beta = float(text.split("beta=")[-1].split(" ")[0])
    better = stored(am.UniversalHopfield("cosine", beta=2 * beta), images)
    recalled = silent(better, cues)
    assert (am.topk(recalled, images, 1, "cosine")[1][:, 0] == np.arange(200)).mean() > 0.9


def test_flat_weights_of_reciprocal_distances(images, cues):
    paper = am.UniversalHopfield("sqeuclidean", beta=100, convention="paper")
    text = said(stored(paper, images), cues)
    assert "as if" in text and "items were averaged" in text


def test_separations_that_fall(images):
    """A power written as a function, and logarithms as the paper published them."""
    for memory in (
        am.UniversalHopfield("manhattan", lambda s: s**2),
        am.UniversalHopfield("manhattan", "log", convention="paper"),
    ):
        text = said(stored(memory, images), images[:3])
        assert "does not rise with the score" in text
    silent(stored(am.UniversalHopfield("manhattan", lambda s: 1 / (1 - s)), images), images)


def test_few_answers_serve_many_cues(images):
    masked = images.copy()
    masked[:, 200:] = 0  # what is left is black in most images
    text = said(stored(am.UniversalHopfield("manhattan", "max"), images), masked)
    assert "different cues looked at have" in text and "attract all" in text


def test_cues_of_another_scale(images, cues):
    whole = np.rint(images * 255).astype(np.uint8)
    text = said(stored(am.UniversalHopfield("manhattan", beta=1.0), whole), cues)
    assert "cues are as large as 1 and keys as 255" in text


def test_attention_is_not_doubted(rng):
    K, V = rng.normal(size=(100, 64)), rng.normal(size=(100, 8))
    silent(stored(am.ModernHopfield(), K, V), K[:40] + 0.1)
    assert "separates none" in said(stored(am.ModernHopfield(), K), K[:40])


@pytest.mark.parametrize(
    ("lost", "kept", "text"),
    [
        (am.Hopfield(), am.Hopfield("projection"), r"0\.138 d = 108"),
        (
            am.DenseAssociativeMemory(3),
            am.DenseAssociativeMemory(interaction="exponential"),
            "steeper energies",
        ),
    ],
)
def test_patterns_that_do_not_come_back(lost, kept, text, images):
    bits = images > 0.5
    told = said(stored(lost, bits), bits[:40])
    assert re.search(text, told)
    assert re.search(r"\d+ of \d+ stored patterns looked at, of 200, do not come back", told)
    silent(stored(kept, bits), bits)


def test_a_sweep_over_loads_is_no_mistake():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert am.capacity(am.Hopfield(), 80, width=100, trials=1).success[0, 0] < 0.5


def test_many_cues_later_are_looked_at_too(images):
    masked = images.copy()
    masked[:, 200:] = 0
    memory = stored(am.UniversalHopfield("manhattan", "max"), images)
    silent(memory, images[0])
    assert "attract all" in said(memory, masked)


@pytest.mark.parametrize(
    "memory",
    [
        am.UniversalHopfield("manhattan", beta=1.0),
        am.UniversalHopfield("cosine", beta=100.0),
        am.UniversalHopfield("sqeuclidean", am.TopK(3, beta=1.0)),
        am.UniversalHopfield("sqeuclidean", "max", convention="paper"),
        am.UniversalHopfield("cosine", "max"),
    ],
)
def test_what_suits_is_not_doubted(memory, images, cues):
    silent(stored(memory, images), cues)
    silent(memory, images)


@pytest.mark.parametrize("separation", ["cube", "square", am.Polynomial(3, rectified=True)])
@pytest.mark.parametrize("kernel", [am.retrieve, am.partial])
def test_kernels_tell_a_power_of_a_distance_too(kernel, separation, images):
    with pytest.warns(am.SeparationWarning, match="is a distance d and scores as -d") as caught:
        kernel(images[:2], images, similarity="manhattan", separation=separation)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel(images[:2], images, similarity="dot", separation="cube")
        kernel(images[:2], images, similarity="manhattan", separation="max")


@pytest.mark.parametrize("labels", [["a", "b"], np.array([["a"], ["b"]])])
def test_words_as_values_are_told_where_they_belong(labels):
    for memory in (am.UniversalHopfield(), am.Hopfield()):
        with pytest.raises(TypeError, match=r"values must .*memory\.vote\(cues, labels\)"):
            memory.store(np.eye(2), labels)


def test_labels_may_be_averaged(images, cues):
    """Values are blended on purpose: only weights that average half of all are told."""
    labels = np.eye(10)[np.arange(200) % 10]
    silent(stored(am.UniversalHopfield("cosine", beta=20.0), images, labels), cues)
    flat = stored(am.UniversalHopfield("cosine", beta=0.1), images, labels)
    assert "were averaged" in said(flat, cues)


def test_bits_are_looked_at():
    rng = np.random.default_rng(0)
    bits = am.pack(rng.random((100, 256)) < 0.5)
    text = said(stored(am.UniversalHopfield("hamming", beta=0.01), bits), bits)
    assert "beta=0.01 is too small" in text
    silent(stored(am.UniversalHopfield("hamming", beta=1.0), bits), bits)


def l1(cues, keys):
    return np.abs(cues[:, None] - keys[None]).sum(axis=2)


@pytest.mark.parametrize("given", [l1, am.Similarity(l1)])
def test_a_bare_distance_is_refused(given, images):
    with pytest.raises(ValueError, match=r"am.Similarity\(l1, larger_is_better=False\)"):
        stored(am.UniversalHopfield(given, "max"), images[:20]).recall(images[:3])
    with pytest.raises(ValueError, match="is a distance"):
        am.retrieve(images[:3], images[:20], similarity=given, separation="max")


def test_who_says_the_direction_is_believed(images):
    for larger, index in ((False, 0), (True, None)):
        similar = am.Similarity(l1, larger_is_better=larger)
        memory = stored(am.UniversalHopfield(similar, "max"), images[:20])
        found = memory.recall(images[0])
        assert (found == images[0]).all() == (index == 0)


def test_similarities_are_no_distances():
    rng = np.random.default_rng(0)
    for scale in (1.0, 100.0):
        keys = rng.normal(size=(9, 4)) * scale ** rng.random((9, 1))
        memory = stored(am.UniversalHopfield(lambda q, k: q @ k.T, "max"), keys)
        assert memory.recall(keys).shape == (9, 4)


@pytest.mark.parametrize(
    ("separation", "what"),
    [
        ("cube", "negative weights"),
        ("identity", "negative weights"),
        ("square", "the farthest item the largest weight"),
        (am.Polynomial(3, rectified=True), "every weight 0"),
    ],
)
def test_powers_of_distances(separation, what, images):
    text = said(stored(am.UniversalHopfield("manhattan", separation), images[:20]), images[:3])
    assert what in text and "'softmax'" in text and "convention='paper'" in text


def test_a_warm_recall_looks_at_nothing(images, monkeypatch):
    memory = stored(am.UniversalHopfield("manhattan", beta=1.0), images)
    memory.recall(images)
    monkeypatch.setattr(type(memory), "_look", lambda *_: pytest.fail("looked again"))
    memory.recall(images[:1])
    memory.recall(images)


def test_looks_again_when_the_store_doubled():
    memory = stored(am.UniversalHopfield("dot", "max"), np.eye(8))
    silent(memory, np.eye(8))
    memory.store(5 * np.ones((4, 8)) + np.eye(4, 8))
    silent(memory, np.eye(8))  # grew by a half
    memory.store(5 * np.ones((4, 8)) - np.eye(4, 8))
    assert "lose at their own key" in said(memory, np.eye(8))


# -- theory ---------------------------------------------------------------------------------------


def test_swapped_sizes_are_refused():
    from amfast import theory

    assert theory.sdm_convergence_distance(256, 100_000, 103, 1000) > 50
    with pytest.raises(ValueError, match="order is"):
        theory.sdm_convergence_distance(1000, 1_000_000, 100, 451)
    with pytest.raises(ValueError, match="order is"):
        theory.sdm_best_radius(1_000_000, 1000, 10_000)


def test_a_memory_knows_its_theory():
    network = am.Hopfield()
    network.store(am.BitMatrix.random(20, 200, seed=0))
    told = network.theory()
    assert told["0.138 d, retrieval ends (d to infinity)"] == pytest.approx(27.6, abs=0.1)
    assert 0.9 < told["overlap expected without corruption"] <= 1
    kanerva = am.SparseDistributedMemory(256, 20_000, seed=0)
    kanerva.write(am.BitMatrix.random(100, 256, seed=1))
    told = kanerva.theory()
    converge = am.theory.sdm_convergence_distance(256, 20_000, kanerva.radius, 100)
    assert told["iterated reads converge up to this distance"] == converge
    modern = stored(am.ModernHopfield(beta=8.0), np.eye(3))
    assert modern.theory()["items well separated"] == 3
    assert stored(am.UniversalHopfield("manhattan"), np.eye(3)).theory() == {}
    with pytest.raises(ValueError, match="empty"):
        am.Hopfield().theory()
