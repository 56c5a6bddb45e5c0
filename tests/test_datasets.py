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
        ({"name": "imagenet"}, "unknown data set 'imagenet'.* Known: fashion_mnist_small, mnist"),
        ({"name": "mnist", "split": "valid"}, "split must be one of 'train', 'test', got 'valid'"),
        ({"name": "fashion_mnist_small", "n": -1}, "n must be an int >= 0, got -1"),
        ({"name": "fashion_mnist_small", "n": 10**5000}, "n must be an int >= 0"),
        ({"name": "fashion_mnist_small", "n": 1001}, "n is 1001"),
        (
            {"name": "mnist", "data": "/no/such/folder"},
            "data must be a folder .*, got '/no/such/fo",
        ),
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
    with pytest.raises(FileNotFoundError):
        datasets.read_idx(tmp_path / "missing")


def cifar_files(folder: Path) -> tuple[np.ndarray, list[Path]]:
    rows = np.random.default_rng(0).integers(0, 10, (12, 3073), dtype=np.uint8)
    files = {f"data_batch_{i + 1}.bin": rows[2 * i : 2 * i + 2] for i in range(5)}
    files |= {"test_batch.bin": rows[10:], "batches.meta.txt": rows[:0]}
    folder.mkdir()
    for name, part in files.items():
        (folder / name).write_bytes(part.tobytes())
    return rows, [folder / name for name in reversed(files)]


def test_cifar_files(tmp_path) -> None:
    rows, paths = cifar_files(tmp_path / "cifar-10-batches-bin")
    arrays = _homes.HOMES["cifar10"].read(paths)
    np.testing.assert_array_equal(arrays["train_labels"], rows[:10, 0])
    np.testing.assert_array_equal(arrays["test_labels"], rows[10:, 0])
    red = arrays["train_images"][3, :, :, 0]
    np.testing.assert_array_equal(red, rows[3, 1:1025].reshape(32, 32))
    lacking = [path for path in paths if path.name != "data_batch_4.bin"]
    with pytest.raises(ValueError, match=r"batch_1.bin is not a file of .*: .*no data_batch_4.bin"):
        _homes.HOMES["cifar10"].read(lacking)
    with pytest.raises(ValueError, match=r"meta.txt is not a file of .*: .*no data_batch_1.bin"):
        _homes.HOMES["cifar10"].read(paths[:1])
    paths[1].write_bytes(b"short")
    with pytest.raises(ValueError, match="test_batch.bin is not a file of CIFAR-10: cannot resha"):
        _homes.HOMES["cifar10"].read(paths)


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


# -- damaged files --------------------------------------------------------------------------------


def small_npz(path: Path, save=np.savez) -> None:
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    save(path, images=images, labels=np.array([0, 9], np.uint8))


def damaged(raw: bytes, step: int):
    """Every byte changed in three ways, and the file cut off at every length."""
    for place in range(0, len(raw), step):
        for change in (0x01, 0x80, 0xFF):
            yield raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
        yield raw[:place]
        yield raw[:place] + raw[place + 1 :]


FORMATS = {
    "npz": lambda path: datasets.load("mnist", data=path.parent),
    "npz deflated": lambda path: datasets.load("mnist", data=path.parent),
    "keras": lambda path: _homes.HOMES["mnist"].read([path]),
    "idx": datasets.read_idx,
    "idx.gz": datasets.read_idx,
    "zip": lambda path: _homes.HOMES["tinyimagenet"].read([path]),
}


def written(path: Path, kind: str) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    if kind.startswith("npz"):
        small_npz(path, np.savez if kind == "npz" else np.savez_compressed)
    elif kind == "keras":
        np.savez_compressed(path, x_train=array, y_train=array, x_test=array, y_test=array)
    elif kind.startswith("idx"):
        path.write_bytes(idx(array) if kind == "idx" else gzip.compress(idx(array), mtime=0))
    else:
        image = pytest.importorskip("PIL.Image", reason="needs Pillow (amfast-memory[data])")
        buffer = io.BytesIO()
        image.new("L", (64, 64), 100).save(buffer, "JPEG")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("tiny/train/n01/images/n01_0.JPEG", buffer.getvalue())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_named(kind, bare_machine) -> None:
    """A ValueError that names it, or what it holds: nothing else comes out of a damaged file."""
    path = bare_machine / "mnist.npz"
    written(path, kind)
    raw, read = path.read_bytes(), FORMATS[kind]
    read(path)
    refused = 0
    for spoilt in damaged(raw, 1 if len(raw) < 300 else len(raw) // 150):
        path.write_bytes(spoilt)
        try:
            found = read(path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
        else:
            assert isinstance(found, datasets.Dataset | dict | np.ndarray)
    assert refused > 100


def test_headers_that_announce_too_much(bare_machine) -> None:
    """The size of an array is compared with the file's before anything is allocated."""
    header = io.BytesIO()
    big = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 10**6)}
    np.lib.format.write_array_header_1_0(header, big)
    with zipfile.ZipFile(bare_machine / "mnist.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", header.getvalue())
    with pytest.raises(ValueError, match="mnist.npz is not a readable .npz file: an array has 0 b"):
        datasets.load("mnist", data=bare_machine)
    (bare_machine / "idx").write_bytes(b"\0\0\x08\xff" + b"\xff" * 4 * 255)
    with pytest.raises(ValueError, match="idx is not an idx file .*: it has 1024 bytes, its head"):
        datasets.read_idx(bare_machine / "idx")


def test_python_objects_are_never_unpickled(bare_machine) -> None:
    np.savez(bare_machine / "mnist.npz", images=np.array([{}], object), labels=np.zeros(1))
    with pytest.raises(ValueError, match="mnist.npz is not .*: an array holds Python objects"):
        datasets.load("mnist", data=bare_machine)


def test_layouts_and_types_of_arrays_in_files(bare_machine) -> None:
    images = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for labels in (np.array([1, 255]), np.array([1.0, 255.0]), np.array([1, 255], ">u2")):
        np.savez(bare_machine / "tinyimagenet.npz", images=images, labels=labels, classes=["a"])
        found = datasets.load("tinyimagenet", data=bare_machine)
        np.testing.assert_array_equal(found.images, images)
        assert found.labels.dtype == np.uint8 and found.labels.tolist() == [1, 255]
        assert found.classes == ("a",) and found.images.flags.writeable


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.array([0, -1]), r"has the label -1 \(of image 1\), expected whole numbers in 0\.\.255"),
        (np.array([300, 0]), r"has the label 300 \(of image 0\)"),
        (np.array([0, 0.5]), r"has the label 0.5 \(of image 1\)"),
        (np.array([0, np.nan]), r"has the label nan \(of image 1\)"),
        (np.array([np.inf, 0], np.float32), r"has the label inf \(of image 0\)"),
        (np.array([0, 1], "M8[D]"), r"has labels of dtype datetime64\[D\]"),
        (np.array([0, 1], "m8[s]"), r"has labels of dtype timedelta64\[s\]"),
        (np.array(["0", "1"]), "has labels of dtype <U1"),
        (np.array([0, 1j]), "has labels of dtype complex128"),
    ],
)
def test_labels_are_never_cast_with_loss(bare_machine, labels, text) -> None:
    np.savez(bare_machine / "mnist.npz", images=np.zeros((2, 4, 4), np.uint8), labels=labels)
    with pytest.raises(ValueError, match=f"mnist from .*mnist.npz {text}"):
        datasets.load("mnist", data=bare_machine)


def test_archives_that_lack_something(tmp_path) -> None:
    np.savez(tmp_path / "keras.npz", x_train=np.zeros(1))
    with pytest.raises(ValueError, match="keras.npz is not Keras' copy of MNIST: 'y_train'"):
        _homes.HOMES["mnist"].read([tmp_path / "keras.npz"])
    pytest.importorskip("PIL.Image", reason="needs Pillow (amfast-memory[data])")
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(ValueError, match="tiny.zip is not .*: it has training images of 0 classes"):
        _homes.HOMES["tinyimagenet"].read([tmp_path / "tiny.zip"])


def test_fetch_checks_the_hash_and_caches(bare_machine, monkeypatch) -> None:
    """The whole path through pooch, with a file on this disk in place of the public home."""
    pytest.importorskip("pooch", reason="needs pooch (amfast-memory[data])")
    import hashlib
    from dataclasses import replace

    import pooch

    archive = bare_machine / "cifar-10-binary.tar.gz"
    rows, paths = cifar_files(bare_machine / "cifar")
    with tarfile.open(archive, "w:gz") as tar:
        for path in paths:
            tar.add(path, f"cifar-10-batches-bin/{path.name}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def copy(url: str, output_file: str, pooch: object) -> None:
        Path(output_file).write_bytes(archive.read_bytes())

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda url, **_: copy)
    home = _homes.HOMES["cifar10"]
    address = home.files[0][0]
    with pytest.raises(ValueError, match="hash"):
        datasets.fetch("cifar10")
    assert not datasets.available("cifar10")
    assert list((bare_machine / "cache").iterdir()) == []
    monkeypatch.setitem(
        _homes.HOMES, "cifar10", replace(home, files=((address, f"sha256:{digest}"),))
    )
    assert len(datasets.load("cifar10")) == 10
    assert datasets.available("cifar10")
    assert [path.name for path in (bare_machine / "cache").iterdir()] == ["cifar10.npz"]
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
    assert list((bare_machine / "cache").iterdir()) == []
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
