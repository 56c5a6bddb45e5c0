"""The command line: every command in a folder of its own, without display and without network."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import amfast as am
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
    assert "found / clean" in printed, "what the two numbers of a cell are"
    for found, clean in re.findall(r"(\d+)% / +(\d+)%", printed):
        assert int(clean) <= int(found)


def test_the_readme_says_what_the_demo_prints() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("no README beside the tests")
    images = datasets.load("fashion_mnist_small", n=demo.N_STORED).patterns(np.float32)
    results = demo._recall_real(images.reshape(-1, 28, 28))
    (blind, noise, _), (told, _, _), (half, _, pixels), (_, blurred, _) = (
        next(by_kind for name, by_kind in results.items() if part in name).values()
        for part in ("Manhattan + max", "mask known", "reverse KL", "beta = 0.1")
    )
    said = re.search(
        r"Manhattan \((\d+) % found\).* it finds (\d+) %, and \*\*(\d+) % once.* "
        r"reverse KL \((\d+) and (\d+) %\).* "
        r"\((\d+) % found, (\d+) % clean\)",
        " ".join(readme.read_text("utf-8").split()),
    ).groups()
    seen = [
        noise.found,
        blind.found,
        told.found,
        half.found,
        pixels.found,
        blurred.found,
        blurred.clean,
    ]
    for number, share in zip(said, seen, strict=True):
        assert abs(int(number) - 100 * share.mean()) < 1  # a cue more or less, by the last bits


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


def test_info_as_json(capsys) -> None:
    assert cli.main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == am.cpu_info() and found["threads"] == am.get_num_threads()
    assert found["numpy"] == np.__version__ and found["data"]["fashion_mnist_small"] is True
    assert found["extras"]["test"] == {"missing": []}


@pytest.mark.parametrize("command", ["demo", "reproduce", "bench", "fetch", "check", "info"])
def test_help_says_what_the_exit_code_means(command, capsys) -> None:
    for arguments in (["--help"], [command, "--help"]):
        assert cli.main(arguments) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "0 all went well, 1 a check failed, 2 wrong usage or data, 130 inter" in printed


def test_ctrl_c_is_one_line_and_130(capsys, monkeypatch) -> None:
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", stopped)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr() == ("", "amfast: interrupted\n")


def test_quiet_commands_print_nothing(tmp_path, capsys, monkeypatch) -> None:
    memory = am.UniversalHopfield()
    memory.store(np.eye(2))
    path = memory.save(tmp_path / "memory")
    out = ["--out", str(tmp_path / "out")]
    monkeypatch.setattr(datasets, "fetch", lambda name, data: tmp_path)
    assert cli.main(["info", "--quiet"]) == 0
    assert cli.main(["check", "-q", str(path)]) == 0
    assert cli.main(["fetch", "-q", "mnist"]) == 0
    assert cli.main(["reproduce", "identities", "--quick", "-q", *out]) == 0
    assert (tmp_path / "out" / "identities.csv").exists()
    path.write_bytes(b"nothing")
    assert cli.main(["check", "-q", str(path)]) == 1
    assert capsys.readouterr() == ("", "")
    assert cli.main(["check", "-q", str(tmp_path / "none")]) == 2
    assert one_line(capsys.readouterr().err)
    assert cli.main(["info"]) == 0
    assert capsys.readouterr().out, "the silence ends with the command"


def test_reproduce_as_json(tmp_path, capsys, monkeypatch) -> None:
    """Checks, claims and files in one document; NaN, which no check passes, is null."""
    from amfast.reproduce import EXPERIMENTS
    from amfast.reproduce._registry import Check, Claim, Experiment, Outcome, Unavailable

    def lacking(context):
        raise Unavailable("no music here")

    outcome = Outcome(
        checks=[Check("one", np.float32(1), 1, 0.0), Check("lost", np.nan, 1.0, np.inf)],
        claims=[Claim.plain("a claim", "here", True, "seen")],
    )
    two = Experiment("two", "of two", lambda _: outcome), Experiment("none", "of none", lacking)
    # Put back in their order, which others read.
    with mock.patch.dict(EXPERIMENTS, {each.name: each for each in two}, clear=True):
        assert cli.main(["reproduce", "all", "--json", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out, parse_constant=lambda name: pytest.fail(name))
    assert printed.err == "" and found["failed"] == 1 and found["level"] == "default"
    done, skipped = found["experiments"]
    assert skipped == {"name": "none", "skipped": "no music here"}
    assert [check["passed"] for check in done["checks"]] == [True, False]
    assert [check["measured"] for check in done["checks"]] == [1.0, None]
    assert done["checks"][1]["tolerance"] == "Infinity"
    assert done["claims"][0]["verdict"] == "holds" and done["seconds"] >= 0
    assert all(Path(file).exists() for file in done["files"]) and len(done["files"]) >= 2


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "tcsh"])
def test_completion(shell_name, capsys) -> None:
    pytest.importorskip("shtab", reason="needs shtab (amfast-memory[completion])")
    assert cli.main(["--print-completion", shell_name]) == 0
    printed = capsys.readouterr().out
    for word in ("reproduce", "uhn-capacity", "cifar10", "topk-hamming"):
        assert word in printed


def test_completion_in_bash(tmp_path) -> None:
    """What the shell offers after the words typed so far."""
    pytest.importorskip("shtab", reason="needs shtab (amfast-memory[completion])")
    if os.name != "posix":
        pytest.skip("a POSIX shell")
    (tmp_path / "saved.memory").write_text("")
    for words, expected in (
        ("amfast in", "info"),
        ("amfast reproduce hopfield-b", "hopfield-biased"),
        ("amfast info --js", "--json"),
        ("amfast check sav", "saved.memory"),
    ):
        line = (
            f"source <($amfast --print-completion bash); COMP_WORDS=({words}); "
            'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_amfast; echo "${COMPREPLY[@]}"'
        )
        code, out, error = shell(line, tmp_path)
        assert (code, out.split()) == (0, [expected]), error


def test_completion_without_shtab(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["--print-completion", "bash"]) == 2
    error = capsys.readouterr().err
    assert one_line(error) and 'pip install "amfast-memory[completion]"' in error


def test_colours_only_where_they_are_wanted(tmp_path) -> None:
    pytest.importorskip("rich")
    command = "$amfast reproduce identities --quick --out ."
    coloured = "\x1b[32m"  # of PASS
    wanted = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert coloured in shell(command, tmp_path, **wanted)[1]
    assert coloured not in shell(command, tmp_path, **wanted, NO_COLOR="1")[1]
    assert "\x1b" not in shell(command, tmp_path)[1]


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
        (["reproduce", "uhn-threshold", "--data", "/no/folder"], "'/no/folder'"),
        (["fetch", "imagenet"], "unknown data set 'imagenet'"),
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


def test_missing_sets_are_named_and_skipped(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path)
    from amfast.reproduce import _images

    found, missing = _images.find("default", None)
    assert [image_set.name for image_set in found] == ["fashion_mnist_small"]
    assert len(missing) == 4
    assert all("amfast fetch" in line for line in missing)


# -- pipes, closed streams and the environment ----------------------------------------------------


def shell(command: str, folder, **environment: str | bytes) -> tuple[int, str, str]:
    """Run ``amfast`` in a shell, where ``$amfast`` stands for the command."""
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "amfast": f"{sys.executable} -m amfast", **environment},
        cwd=folder,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "backslashreplace")


needs_bash = pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX shell")


@needs_bash
@pytest.mark.parametrize(
    ("command", "rich"),
    [*((c, True) for c in ("demo", "info", "info --json", "--help")), ("demo", False)],
)
def test_a_reader_that_goes_away_is_no_error(command, rich, tmp_path) -> None:
    """``amfast ... | head -1`` prints a line and nothing else, and is ended as by the pipe."""
    setting = {} if rich else {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    if not rich:
        (tmp_path / "rich.py").write_text("raise ImportError")
    # A reader that closes at once, so that the first write already finds nobody.
    code, out, error = shell(
        f"$amfast {command} | true; exit ${{PIPESTATUS[0]}}", tmp_path, **setting
    )
    assert (out, error) == ("", "") and code in (0, 141)
    if command == "demo" and rich:
        assert code == 141
        code, out, error = shell(f"$amfast {command} | head -1", tmp_path, **setting)
        assert error == "" and out.count("\n") == 1


@needs_bash
@pytest.mark.parametrize("command", ["demo", "info", "--version", "fetch imagenet"])
def test_closed_streams(command, tmp_path) -> None:
    code, out, error = shell(f"$amfast {command} >&-", tmp_path)
    assert code == 2 and one_line(error) and "standard output is closed" in error
    if command == "demo":
        return  # takes seconds once it begins
    code, out, error = shell(f"$amfast {command} >&- 2>&-", tmp_path)
    assert (code, out, error) == (2, "", "")
    code, out, error = shell(f"$amfast {command} 2>&-", tmp_path)
    assert error == "" and code == (2 if command == "fetch imagenet" else 0)
    if os.path.exists("/dev/full"):
        code, out, error = shell(f"$amfast {command} >/dev/full", tmp_path)
        assert code == 2 and one_line(error)


@needs_bash
@pytest.mark.parametrize("bad", ["two", "0", "-1", "1025", "9" * 5000, "\u00b2", b"\xff"])
def test_threads_that_make_no_sense_are_one_line(bad, tmp_path) -> None:
    for command in ("demo", "info", "bench --quick"):
        code, out, error = shell(f"$amfast {command}", tmp_path, AMFAST_NUM_THREADS=bad)
        assert (code, out) == (2, "") and one_line(error)
        assert "amfast: error: AMFAST_NUM_THREADS must be an int in 1..1024, got" in error
    assert shell("$amfast --version", tmp_path, AMFAST_NUM_THREADS=bad)[0] == 0


@needs_bash
def test_an_instruction_set_that_is_no_text(tmp_path) -> None:
    code, out, error = shell("$amfast info", tmp_path, AMFAST_ISA=b"\xff")
    assert (code, out) == (2, "") and one_line(error)
    assert "AMFAST_ISA" in error


def test_check_a_file(tmp_path, capsys) -> None:
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store([[0.0, 1.0], [1.0, 0.0]])
    path = memory.save(tmp_path / "m.safetensors")
    assert cli.main(["check", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "sound. UniversalHopfield" in printed and "float64  (2, 2)" in printed
    assert cli.main(["check", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] and found["class"] == "UniversalHopfield" and found["nbytes"] == 48

    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert cli.main(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert one_line(printed) and "is damaged" in printed and str(path) in printed
    assert cli.main(["check", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["sound"] and "is damaged" in found["error"]

    assert cli.main(["check", str(tmp_path / "none")]) == 2
    assert one_line(capsys.readouterr().err)
    assert cli.main(["check"]) == 2
