"""The command line: every command in a folder of its own, without display and without network."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time

import pytest

from amfast import cli, datasets, demo


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("AMFAST_DATA", raising=False)
    monkeypatch.setenv("AMFAST_CACHE", str(tmp_path / "cache"))


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n")


def test_demo_prints_a_table_and_writes_a_picture(tmp_path, capsys) -> None:
    pytest.importorskip("matplotlib")
    start = time.perf_counter()
    assert cli.main(["demo", "--out", str(tmp_path / "new" / "folder")]) == 0
    # 10 s is the promise; a loaded machine gets more.
    assert time.perf_counter() - start < 30
    printed = capsys.readouterr().out
    picture = tmp_path / "new" / "folder" / demo.PICTURE
    assert str(picture) in printed
    raw = picture.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", raw[16:24])
    assert width > 800 and height > 500
    rows = [line for line in printed.splitlines() if "%" in line and "/" in line]
    assert len(rows) >= 5
    assert "Manhattan + max" in printed and "memories/s" in printed


def test_demo_without_rich_or_matplotlib(tmp_path, capsys, monkeypatch) -> None:
    for module in ("rich", "rich.console", "rich.table", "rich.text", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert 'pip install "amfast-memory[demo]"' in printed
    assert "Manhattan + max" in printed
    assert not (tmp_path / demo.PICTURE).exists()


def test_the_module_runs_without_a_display(tmp_path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    environment["PYTHONIOENCODING"] = "ascii"
    done = subprocess.run(
        [sys.executable, "-m", "amfast", "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Manhattan + max" in done.stdout and done.stderr == ""


def test_info(capsys) -> None:
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    for word in ("instruction set", "available", "threads", "numpy", "extra demo", "data mnist"):
        assert word in printed


def test_help_lists_commands_and_experiments(capsys) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    for command in ("demo", "reproduce", "bench", "fetch", "info"):
        assert command in printed
    assert cli.main(["reproduce", "--help"]) == 0
    assert "uhn-capacity" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("amfast ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--loud"], "unrecognized arguments: --loud"),
        (["reproduce"], "required: NAME"),
        (["reproduce", "uhn"], "experiment is 'uhn', expected all or one of"),
        (["reproduce", "all", "--quick", "--full"], "not allowed with"),
        (["reproduce", "uhn-threshold", "--data", "/no/folder"], "data is '/no/folder'"),
        (["fetch", "imagenet"], "data set is 'imagenet'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments, text, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    caught = capsys.readouterr()
    assert text in caught.err and one_line(caught.err)


def test_a_file_in_place_of_the_folder(tmp_path, capsys) -> None:
    (tmp_path / "taken").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "taken")]) == 2
    assert one_line(capsys.readouterr().err)


def test_fetch_without_pooch(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert cli.main(["fetch", "mnist"]) == 2
    assert 'pip install "amfast-memory[data]"' in capsys.readouterr().err


def test_bench_gets_its_own_arguments(monkeypatch) -> None:
    bench = pytest.importorskip("amfast.bench")
    seen = []
    monkeypatch.setattr(bench, "main", lambda arguments: seen.append(arguments) or 0)
    assert cli.main(["bench", "row", "--help"]) == 0
    assert seen == [["row", "--help"]]


def test_missing_sets_are_named_and_skipped(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path)
    from amfast.reproduce import _images

    found, missing = _images.find("default", None)
    assert [image_set.name for image_set in found] == ["fashion_mnist_small"]
    assert len(missing) == 4
    assert all("amfast fetch" in line for line in missing)
