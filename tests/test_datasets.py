"""The loader: what ships, what is found, what is refused, and the formats of the public homes."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from amfast import _homes, datasets


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A machine without data folder, Debian package or cache."""
    monkeypatch.delenv("AMFAST_DATA", raising=False)
    monkeypatch.setenv("AMFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path / "nothing")
    return tmp_path


def write_npz(folder: Path, name: str, parts: bool = False) -> None:
    images = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    labels = np.arange(6, dtype=np.uint8)
    arrays = {"images": images, "labels": labels}
    if parts:
        arrays = {f"{p}_{k}": v[: 4 if p == "train" else 2] for k, v in arrays.items()
                  for p in ("train", "test")}  # fmt: skip
    np.savez(folder / f"{name}.npz", **arrays)


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def test_the_bundled_images() -> None:
    small = datasets.load("fashion_mnist_small")
    assert small.images.shape == (1000, 28, 28) and small.images.dtype == np.uint8
    assert (np.bincount(small.labels) == 100).all()
    assert (np.bincount(small.labels[:50]) == 5).all()
    assert len(np.unique(small.patterns(np.uint8), axis=0)) == 1000
    assert small.images.reshape(1000, -1).any(axis=1).all()
    file = Path(datasets.__file__).parent / "data" / "fashion_mnist_small.npz"
    assert file.stat().st_size < 1_000_000
    assert "MIT License" in (file.parent / "LICENSE-fashion-mnist.txt").read_text("utf-8")


def test_patterns() -> None:
    small = datasets.load("fashion_mnist_small", n=3)
    rows = small.patterns()
    assert rows.dtype == np.float32 and rows.shape == (3, 784)
    np.testing.assert_array_equal(rows, (small.images.reshape(3, -1) / np.float32(255)))
    assert small.patterns(np.float64).dtype == np.float64
    assert small.patterns(np.uint8).dtype == np.uint8
    with pytest.raises(TypeError, match="int64"):
        small.patterns(np.int64)


def test_bundled_images_are_fashion_mnist() -> None:
    if not datasets.available("fashion_mnist"):
        pytest.skip("needs Fashion-MNIST: " + datasets.how_to_get("fashion_mnist"))
    whole = datasets.load("fashion_mnist", "train", download=False)
    assert whole.images.shape == (60000, 28, 28)
    small = datasets.load("fashion_mnist_small")
    known = {image.tobytes() for image in whole.images[:5000]}
    assert all(image.tobytes() in known for image in small.images)


def test_data_folder_comes_first(bare_machine, monkeypatch) -> None:
    write_npz(bare_machine, "cifar10")
    write_npz(bare_machine, "mnist", parts=True)
    whole = datasets.load("cifar10", data=bare_machine)
    assert len(whole) == 6 and whole.shape == (4, 4) and "cifar10.npz" in whole.source
    assert repr(whole) == "Dataset(name='cifar10', 6 images of 4 x 4)"
    monkeypatch.setenv("AMFAST_DATA", str(bare_machine))
    assert datasets.available("cifar10") and not datasets.available("tinyimagenet")
    assert len(datasets.load("mnist")) == 4
    assert len(datasets.load("mnist", "test")) == 2
    assert len(datasets.load("mnist", n=3)) == 3
    with pytest.raises(ValueError, match="n is 7, cifar10 from .* has 6 images"):
        datasets.load("cifar10", n=7)
    with pytest.raises(ValueError, match="no separate test part"):
        datasets.load("cifar10", "test")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "tinyimagenet"])
def test_missing_data_names_the_command(bare_machine, name) -> None:
    assert not datasets.available(name)
    with pytest.raises(datasets.DatasetNotFoundError) as caught:
        datasets.load(name, download=False)
    assert f'pip install "amfast-memory[data]" && amfast fetch {name}' in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_without_pooch_the_refusal_is_the_same(bare_machine, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(datasets.DatasetNotFoundError, match="amfast fetch cifar10"):
        datasets.load("cifar10")
    with pytest.raises(ImportError, match=r'pip install "amfast-memory\[data\]"'):
        datasets.fetch("cifar10")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "imagenet"}, "data set is 'imagenet', expected one of fashion_mnist_small"),
        ({"name": "mnist", "split": "valid"}, "split is 'valid'"),
        ({"name": "fashion_mnist_small", "n": -1}, "n is -1"),
        ({"name": "fashion_mnist_small", "n": 1001}, "n is 1001"),
        ({"name": "mnist", "data": "/no/such/folder"}, "data is '/no/such/folder'"),
    ],
)
def test_bad_arguments(arguments, text) -> None:
    with pytest.raises(ValueError, match=text):
        datasets.load(**arguments)


def test_bad_files(bare_machine) -> None:
    (bare_machine / "mnist.npz").write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="not a readable .npz"):
        datasets.load("mnist", data=bare_machine)
    np.savez(bare_machine / "mnist.npz", pictures=np.zeros(3))
    with pytest.raises(ValueError, match="expected 'train_images' too"):
        datasets.load("mnist", data=bare_machine)
    np.savez(bare_machine / "mnist.npz", images=np.zeros((2, 4, 4)), labels=np.zeros(2))
    with pytest.raises(ValueError, match="float64"):
        datasets.load("mnist", data=bare_machine)
    np.savez(bare_machine / "mnist.npz", images=np.zeros((2, 4, 4), np.uint8), labels=np.zeros(3))
    with pytest.raises(ValueError, match="2 images and labels of shape"):
        datasets.load("mnist", data=bare_machine)


def test_idx_files(tmp_path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "plain").write_bytes(idx(array))
    (tmp_path / "zipped").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(datasets.read_idx(tmp_path / "plain"), array)
    np.testing.assert_array_equal(datasets.read_idx(str(tmp_path / "zipped")), array)
    (tmp_path / "short").write_bytes(idx(array)[:-1])
    with pytest.raises(ValueError, match="its header announces 40"):
        datasets.read_idx(tmp_path / "short")
    (tmp_path / "other").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not an idx file"):
        datasets.read_idx(tmp_path / "other")


def cifar_archive(path: Path) -> np.ndarray:
    rows = np.random.default_rng(0).integers(0, 10, (12, 3073), dtype=np.uint8)
    files = {f"data_batch_{i + 1}.bin": rows[2 * i : 2 * i + 2] for i in range(5)}
    files |= {"test_batch.bin": rows[10:], "batches.meta.txt": rows[:0]}
    with tarfile.open(path, "w:gz") as archive:
        for name, part in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = part.nbytes
            archive.addfile(member, io.BytesIO(part.tobytes()))
    return rows


def test_cifar_archive(tmp_path) -> None:
    rows = cifar_archive(tmp_path / "cifar.tar.gz")
    arrays = _homes.HOMES["cifar10"].read([tmp_path / "cifar.tar.gz"])
    np.testing.assert_array_equal(arrays["train_labels"], rows[:10, 0])
    np.testing.assert_array_equal(arrays["test_labels"], rows[10:, 0])
    red = arrays["train_images"][3, :, :, 0]
    np.testing.assert_array_equal(red, rows[3, 1:1025].reshape(32, 32))


def test_tinyimagenet_archive(tmp_path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow (amfast-memory[data])")
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for name, mode in [("n02_0", "RGB"), ("n01_0", "L")]:
            buffer = io.BytesIO()
            image.new(mode, (64, 64), 100 if mode == "L" else (200, 0, 0)).save(buffer, "JPEG")
            inside = f"tiny-imagenet-200/train/{name[:3]}/images/{name}.JPEG"
            archive.writestr(inside, buffer.getvalue())
        archive.writestr("tiny-imagenet-200/val/images/val_0.JPEG", b"")
    arrays = _homes.HOMES["tinyimagenet"].read([tmp_path / "tiny.zip"])
    assert arrays["images"].shape == (2, 64, 64, 3)
    assert arrays["classes"].tolist() == ["n01", "n02"] and arrays["labels"].tolist() == [0, 1]
    # The grey one is a grey picture, not the blank row that the paper's loader makes of it.
    assert (arrays["images"][0] == 100).all()


def test_fetch_checks_the_hash_and_caches(bare_machine, monkeypatch) -> None:
    """The whole path through pooch, with a file on this disk in place of the public home."""
    pytest.importorskip("pooch", reason="needs pooch (amfast-memory[data])")
    import hashlib
    from dataclasses import replace

    import pooch

    archive = bare_machine / "cifar-10-binary.tar.gz"
    rows = cifar_archive(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def copy(url: str, output_file: str, pooch: object) -> None:
        Path(output_file).write_bytes(archive.read_bytes())

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda url, **_: copy)
    home = _homes.HOMES["cifar10"]
    address = home.files[0][0]
    with pytest.raises(ValueError, match="hash"):
        datasets.fetch("cifar10")
    assert not datasets.available("cifar10")
    monkeypatch.setitem(
        _homes.HOMES, "cifar10", replace(home, files=((address, f"sha256:{digest}"),))
    )
    assert len(datasets.load("cifar10")) == 10
    assert datasets.available("cifar10")
    np.testing.assert_array_equal(
        datasets.load("cifar10", "test", download=False).labels, rows[10:, 0]
    )


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError, KeyError])
def test_a_failing_download_is_the_refusal(bare_machine, monkeypatch, error) -> None:
    pooch = pytest.importorskip("pooch", reason="needs pooch (amfast-memory[data])")

    def fail(*_, **__):
        raise error("no route to host")

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(
        datasets.DatasetNotFoundError, match="amfast fetch mnist.*no route"
    ) as found:
        datasets.load("mnist")
    assert isinstance(found.value.__cause__, error)
    assert list(bare_machine.iterdir()) == []
    (bare_machine / "cache").mkdir()
    with pytest.raises(error, match="no route"):
        datasets.fetch("mnist")
    assert list((bare_machine / "cache").iterdir()) == []


def test_a_home_that_cannot_be_written(bare_machine, monkeypatch) -> None:
    pytest.importorskip("pooch", reason="needs pooch (amfast-memory[data])")
    (bare_machine / "file").write_text("not a folder")
    monkeypatch.setenv("AMFAST_CACHE", str(bare_machine / "file" / "cache"))
    with pytest.raises(datasets.DatasetNotFoundError, match="amfast fetch cifar10"):
        datasets.load("cifar10")


def test_no_images() -> None:
    nothing = datasets.load("fashion_mnist_small", n=0)
    for dtype in (np.float32, np.uint8):
        assert nothing.patterns(dtype).shape == (0, 784)


def test_every_home_has_a_published_hash() -> None:
    lengths = {"md5": 32, "sha256": 64}
    for home in _homes.HOMES.values():
        for address, known in home.files:
            kind, digest = known.split(":")
            assert len(digest) == lengths[kind] and address.startswith("http")


def test_the_real_sets() -> None:
    if not os.environ.get("AMFAST_DATA"):
        pytest.skip("AMFAST_DATA names no folder with mnist.npz, cifar10.npz and tinyimagenet.npz")
    for name, shape in [
        ("mnist", (28, 28)),
        ("cifar10", (32, 32, 3)),
        ("tinyimagenet", (64, 64, 3)),
    ]:
        if not datasets.available(name):
            continue
        found = datasets.load(name, n=100, download=False)
        assert found.shape == shape and len(found.classes) >= 10
        assert found.images.max() > 200 and found.labels.max() < len(found.classes)
