"""`am.compare`, `am.basins` and `am.plot`."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am


@pytest.fixture(scope="module")
def images():
    return am.datasets.load("fashion_mnist_small", n=60).patterns()


@pytest.fixture(scope="module")
def table(images):
    memories = {
        "Manhattan": am.UniversalHopfield("manhattan", "max"),
        "dot": lambda: am.UniversalHopfield("dot", "max"),
    }
    corruptions = {
        "noise": ("gaussian", 0.2),
        "half": ("mask", 0.5),
        "bottom": lambda x: am.corrupt.mask(x, 0.5, keep="bottom", shape=(28, 28)),
        "none": images,
        "library": (am.corrupt.random_mask, 0.3),
    }
    return am.compare(memories, images, corruptions, shape=(28, 28))


def test_compare_is_recall_and_topk(table, images):
    assert table.memories == ("Manhattan", "dot")
    assert table.success.shape == table.exact.shape == table.seconds.shape == (2, 5)
    assert table.success[0, 0] == table.success[0, 3] == 1
    assert table.success[1].max() < 0.3
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store(images)
    found = memory.recall(am.corrupt.mask(images, 0.5, keep="bottom", shape=(28, 28)))
    assert table.exact[0, 2] == (found == images).all(axis=1).mean()
    assert len(table.rows()) == 10 and table.rows()[0][:2] == ("Manhattan", "noise")
    lines = repr(table).splitlines()
    assert len(lines) == 4 and lines[2].startswith("Manhattan") and "100.0% / 100.0%" in lines[2]


def test_compare_bits():
    bits = am.BitMatrix.random(10, 200, seed=0)
    memories = {"Hebb": am.Hopfield(), "dense": am.DenseAssociativeMemory()}
    options = {"Hebb": {"update": "sync"}}
    table = am.compare(memories, bits, {"flips": ("flip", 0.1)}, recall=options)
    np.testing.assert_array_equal(table.exact, 1)


def test_what_compare_refuses(images):
    memory = am.UniversalHopfield("manhattan", "max")
    with pytest.raises(ValueError, match="at least one"):
        am.compare({}, images, {"none": images})
    with pytest.raises(ValueError, match="cues of a corruption have shape"):
        am.compare({"m": memory}, images, {"few": images[:3]})
    with pytest.raises(ValueError, match="corrupt must be one of"):
        am.compare({"m": memory}, images, {"odd": ("blur", 0.1)})


def test_images_need_not_be_flat():
    images = am.datasets.load("fashion_mnist_small", n=40).images
    flat = images.reshape(40, -1)
    memory, spoilt = am.UniversalHopfield("manhattan", "max"), {"half": ("mask", 0.5)}
    found = am.compare({"m": memory}, images, spoilt)
    assert found.shape == (28, 28)
    other = am.compare({"m": memory}, flat, spoilt, shape=(28, 28))
    np.testing.assert_array_equal(found.success, other.success)
    options = {"corrupt": "mask", "trials": 1}
    table = am.capacity(memory, 20, 0.5, patterns=images, **options)
    other = am.capacity(memory, 20, 0.5, patterns=flat, shape=(28, 28), **options)
    np.testing.assert_array_equal(table.success, other.success)


def test_compare_says_how_it_is_called():
    X, memory = np.eye(4), am.UniversalHopfield("manhattan")
    with pytest.raises(TypeError, match="memories must be a dict"):
        am.compare([memory], X, {"noise": ("gaussian", 0.1)})
    with pytest.raises(TypeError, match=r"a corruption needs a level: \('gaussian', 0.3\)"):
        am.compare({"a": memory}, X, {"noise": "gaussian"})


def test_basins_count_what_is_spurious():
    memory = am.Hopfield()
    memory.store(am.BitMatrix.random(8, 100, seed=0))
    found = am.basins(memory, n_starts=200)
    assert found.stored + found.reversed + found.spurious == pytest.approx(1)
    assert found.recalled[0] == 1 and 0.1 < found.radius < 0.5
    assert 0 < found.n_spurious <= 200 and "spurious" in repr(found)
    good = am.DenseAssociativeMemory(interaction="exponential")
    good.store(am.BitMatrix.random(8, 100, seed=0))
    assert am.basins(good, n_starts=50).radius > found.radius
    with pytest.raises(ValueError, match="empty"):
        am.basins(am.Hopfield())


def test_pictures(tmp_path, images, table):
    pytest.importorskip("matplotlib")
    memory = am.Hopfield()
    memory.store(am.BitMatrix.random(3, 64, seed=0))
    start = am.BitMatrix.random(2, 64, seed=9).unpack()
    for cue in (start, start[0]):
        figure = am.plot.fall(memory.recall(cue, trace="unit"), tmp_path / "fall.png")
        assert figure.axes[-1].get_ylabel() == "energy"
    with pytest.raises(ValueError, match='trace="unit"'):
        am.plot.fall(memory.recall(start, details=True))
    figure = am.plot.recall(images[:3], {"a": images[:3], "b": images[:2]}, images[:3])
    assert len(figure.axes) == 8
    table.plot(tmp_path / "table.png", "half")
    modern = am.ModernHopfield(beta=4.0)
    modern.store([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]])
    axis = am.plot.landscape(modern, tmp_path / "land.png", cues=[[0.2, 0.1]], n=20)
    end = axis.lines[-1].get_xydata()[-1]
    np.testing.assert_allclose(end, [1.0, 0.0], atol=0.1)
    with pytest.raises(TypeError, match="a dict {name: Capacity}, got list"):
        am.plot.capacity([am.capacity(am.Hopfield(), 3, width=20)])
    with pytest.raises(ValueError, match="width 2"):
        am.plot.landscape(memory)
    for name in ("fall", "table", "land"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
