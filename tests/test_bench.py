import dataclasses
import json
import re
import sys

import numpy as np
import pytest

import amfast
from amfast import cli
from amfast.bench import ROWS, _case, _chart, _clock, _command, _machine, _report, _rows

MACHINE = _machine.Machine("cpu", "avx2", "system", 2, 3.0, 20.0, {"numpy": np.__version__})


def contender(name, function, module="amfast"):
    return _case.Contender(name, module, lambda _module, data: lambda: function(data))


def speed(*contenders, **changes):
    unit = _case.Unit("Gel/s", lambda size: size.elements)
    case = _case.Speed(1, "case", "title", _case.Size(4, 5, 6), unit, contenders, 2.0)
    return dataclasses.replace(case, **changes)


def dot(data):
    return data.cues @ data.keys.T


def test_every_row_is_there():
    assert {case.row for case in ROWS} == {*range(1, 28), 30, 31, 32, 33}
    names = [case.name for case in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "case", [c for c in ROWS if isinstance(c, _case.Speed)], ids=lambda c: c.name
)
def test_amfast_and_numpy_contenders_agree(case):
    # The other peers are compared by the benchmark itself, where they are installed.
    here = [c for c in case.contenders if c.module.partition(".")[0] in ("amfast", "numpy")]
    calls, missing = dataclasses.replace(case, contenders=tuple(here)).prepare(case.sized(True), 1)
    if "amfast" in missing:
        pytest.skip("needs an extra")
    assert not missing
    first, *others = (np.asarray(call(), dtype=np.float64) for call in calls.values())
    assert all(_case.agree(first, other) for other in others)


@pytest.mark.parametrize("case", _rows.select(["32"]), ids=lambda c: c.name)
def test_estimators_agree_with_scikit_learns(case):
    pytest.importorskip("sklearn")
    calls, missing = case.prepare(case.sized(True), 1)
    assert not missing
    assert _case.agree(*(call() for call in calls.values()))


def test_a_row_whose_extra_is_missing_is_told():
    case = speed(contender("amfast", dot, "no_such_module_anywhere"), contender("NumPy", dot))
    result = case.measure(MACHINE, True, 0.001)
    assert result.missing == ["amfast"] and result.note.startswith("not measured")


@pytest.mark.parametrize("case", _rows.select(["33"]), ids=lambda c: c.name)
def test_heads_agree_with_torchs(case):
    pytest.importorskip("torch")
    calls, missing = case.prepare(case.sized(True), 1)
    assert not missing
    assert _case.agree(*(np.asarray(call(), dtype=np.float64) for call in calls.values()))


def test_short_calls_are_repeated_without_a_pause():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    _clock.best_times(calls, 0.001, {"a": 0.002, "b": 0.02})
    assert order[:6] == ["a"] * 5 + ["b"]


def test_a_missing_peer_is_listed():
    case = speed(contender("amfast", dot), contender("ghost", dot, "no_such_module_anywhere"))
    result = case.measure(MACHINE, True, 0.001)
    assert result.missing == ["ghost"]
    assert result.ratio is None
    assert result.verdict == "no peer"
    assert "ghost: not installed" in _report.markdown([result], MACHINE, False)


def test_a_peer_with_another_result_is_told():
    case = speed(contender("amfast", dot), contender("liar", lambda data: dot(data) + 1))
    result = case.measure(MACHINE, True, 0.001)
    assert result.note == "disagree: liar"
    assert "results" in result.verdict


@pytest.mark.parametrize(
    ("ratio", "share", "less", "verdict"),
    [
        (2.0, 0.5, False, "PASS"),
        (1.9, 0.5, False, "short: ratio"),
        (2.0, 0.4, False, "short: limit"),
        (1.0, 0.1, False, "short: ratio, limit"),
        (2.0, None, True, "PASS"),
        (2.1, None, True, "short: ratio"),
        (None, 0.6, False, "no peer"),
    ],
)
def test_verdict(ratio, share, less, verdict):
    result = _case.Result(
        1, "n", "w", "ms", 1.0, ratio=ratio, goal=2.0, share=share, share_goal=0.5,
        less_is_better=less,
    )  # fmt: skip
    assert result.verdict == verdict


def test_calls_are_timed_in_turn_and_slow_ones_less_often():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = _clock.best_times(calls, 0.1, {"a": 0.02, "b": 0.02, "c": 1.0})
    assert set(times) == set("abc")
    assert order[:4] == ["a", "b", "c", "a"]
    assert order.count("c") == 1
    assert order.count("a") == order.count("b") >= 3


def test_without_a_pause_every_call_follows_one_of_another(monkeypatch):
    """In turn, once each however short, and without those who are far behind."""
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in ("ours", "a", "b", "slow")}
    monkeypatch.setattr(_clock.time, "sleep", lambda seconds: order.append(seconds or "at once"))
    times = _clock.duels(calls, {"ours": 0.001, "a": 0.6, "b": 1.2, "slow": 1.3}, 0.6)
    assert {name: set(pair) for name, pair in times.items()} == {
        "a": {"ours", "a"},
        "b": {"ours", "b"},
    }
    turn = ["at once", "ours", "at once"]
    assert order == [*turn, "a"] * 3 + [*turn, "b"] * 3


def test_both_regimes_are_told():
    case = speed(contender("amfast", dot), contender("other", dot))
    result = case.measure(MACHINE, True, 0.001)
    assert set(result.no_pause) == {"other"}
    pair = result.no_pause["other"]
    assert result.ratio_no_pause == pytest.approx(pair["amfast"] / pair["other"])
    assert result.ratio == pytest.approx(result.ours / result.peers["other"])
    cells = _report.markdown([result], MACHINE, False).splitlines()[2].split(" | ")
    assert cells[4] == f"{_report._number(result.ratio)}x (2x)"
    assert cells[5] == f"{_report._number(result.ratio_no_pause)}x"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the mark is Linux's")
def test_extra_memory_sees_what_is_freed_again():
    def call():
        np.ones(6_000_000)  # above glibc's 32 MiB, below which it may reuse resident memory
        return np.ones(10)

    assert 47e6 < _clock.extra_memory(call) < 60e6


def test_limits_are_those_of_the_formulas():
    assert MACHINE.multiply_add(16 * 3.0e9 * 2) == pytest.approx(1.0)
    assert MACHINE.read(20e9) == pytest.approx(1.0)
    manhattan, one_cue = _rows.select(["pairwise-manhattan", "one-cue-uint8"])
    elements = manhattan.size.elements
    assert manhattan.limit(MACHINE, manhattan.size) == pytest.approx(elements * 1.5 / 96e9)
    assert one_cue.limit(MACHINE, one_cue.size) == pytest.approx(60_000 * 784 / 20e9)


@pytest.mark.parametrize(("pipes", "dot"), [(1, 16), (2, 32)])
def test_limits_of_one_and_two_pipes(pipes, dot):
    """Elements a cycle and core: products take both pipes, differences share them."""
    machine = dataclasses.replace(MACHINE, isa="avx512", pipes=pipes)
    cycles = 3.0e9 * 2
    for name, expected in (
        ("pairwise-dot", dot),
        ("topk-dot", dot),
        ("hebbian-hetero", dot),
        ("pairwise-sqeuclidean", 16),
        ("topk-sqeuclidean", 16),
        ("pairwise-manhattan", 16 / 1.5),
    ):
        (case,) = _rows.select([name])
        rate = case.size.elements / (case.limit(machine, case.size) * cycles)
        assert rate == pytest.approx(expected), name


@pytest.mark.parametrize(
    ("isa", "per_cycle", "cpuinfo", "pipes", "by"),
    [
        ("avx512", 27.0, "", 2, "measured"),
        ("amx", 27.0, "", 2, "measured"),
        ("avx512", 15.0, "model name\t: AMD EPYC 9R14", 1, "assumed"),
        ("avx512", 15.0, "model name\t: AMD EPYC 9575F 64-Core Processor", 2, "model"),
        ("avx512", 15.0, "model name\t: Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", 2, "model"),
        ("avx512", 15.0, "model name\t: Intel(R) Xeon(R) Silver 4210", 1, "assumed"),
        ("avx512", 15.0, "model name\t: Intel(R) Xeon(R)\nflags\t: fpu amx_tile", 2, "model"),
        ("avx512", np.nan, "model name\t: AMD EPYC", 1, "assumed"),
        ("avx2", 27.0, "flags\t: amx_tile", 1, "assumed of avx2"),
    ],
)
def test_pipes_are_measured_and_else_the_models(isa, per_cycle, cpuinfo, pipes, by):
    found, told = _machine.told_pipes(isa, per_cycle, cpuinfo)
    assert found == pipes and by in told


@pytest.mark.parametrize(
    ("isa", "available", "cpuinfo", "told"),
    [
        ("amx", ["amx", "avx512"], "amx_int8", "in use"),
        ("avx512", ["amx", "avx512"], "amx_int8", "left out by AMFAST_ISA"),
        ("avx512", ["avx512"], "amx_int8", "there, but not used"),
        ("avx512", ["avx512"], "avx512f", "not there"),
    ],
)
def test_amx_is_told(isa, available, cpuinfo, told):
    assert _machine.told_amx({"isa": isa, "available": available}, cpuinfo) == told


def test_a_busy_machine_is_not_believed(monkeypatch):
    """A clock that was read too low would make two pipes of one."""
    clocks = iter([1.0, 2.0, 1.5])
    monkeypatch.setattr(
        _machine.machine, "probe", lambda threads: {"ghz": next(clocks), "read_gb_s": 9.0}
    )
    monkeypatch.setattr(_machine, "_multiply_adds", lambda: 60e9)
    monkeypatch.setattr(_machine, "_cpuinfo", lambda: "model name\t: some CPU")
    monkeypatch.setattr(amfast, "cpu_info", lambda: {"isa": "avx512", "available": ["avx512"]})
    found = _machine.describe(1)
    assert found.unrest == 0.5 and np.isnan(found.per_cycle) and found.pipes == 1
    assert "too unsteady" in "".join(_report.about(found))
    clocks = iter([2.0, 2.0, 2.0])
    found = _machine.describe(1)
    assert (found.per_cycle, found.pipes, found.pipes_by) == (30.0, 2, "measured")
    assert "two 512-bit multiply-add pipes a core (measured; 30.0 " in _report.about(found)[2]
    assert found.cpu.startswith("some CPU, ")


def results():
    """Rates, times, a row whose best peer is amfast's own, and rows that nobody else has."""
    return [
        _case.Result(9, "topk-hamming", "w", "Gbit/s", 40.0, {"faiss": 10.0, "NumPy": 4.0}),
        _case.Result(
            25, "coded-cue-manhattan", "w", "ms", 2.0, {"amfast float32": 3.0, "faiss": 14.0}
        ),
        _case.Result(5, "pairwise-dot", "w", "GFLOP/s", 40.0),
        _case.Result(26, "coded-recall", "w", "ms", 1.0, {"amfast float32": 3.0}),
    ]


def test_the_table_fits_a_narrow_terminal_and_a_pipe_cuts_nothing(monkeypatch, capsys):
    pytest.importorskip("rich")
    peers = {"NumPy, root-scaled syrk": 249.0, "NumPy, (X*w).T @ X": 160.0}
    wide = _case.Result(
        12, "hebbian-weighted", "hebbian weighted, o x P x d 1,024 x 20,000 x 1,024", "GFLOP/s",
        312.0, peers, ratio=1.25, ratio_no_pause=0.9, goal=1.26, share=0.7, share_goal=0.75,
    )  # fmt: skip
    cells = _report._cells(wide, "; ", False)

    def shown():
        _report.show([wide], MACHINE, False)
        plain = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
        return plain.partition("amfast bench\n")[2].splitlines()

    assert any(all(cell in line for cell in cells) for line in shown())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    lines = shown()
    assert max(map(len, lines)) <= 100
    columns = zip(*(line.split("│")[1:-1] for line in lines if "│" in line), strict=True)
    assert [" ".join(" ".join(column).split()) for column in columns] == cells


def test_the_chart_shows_other_libraries_only(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    assert [r.fastest_other() for r in results()] == [("faiss", 4.0), ("faiss", 7.0), None, None]
    drawn = []
    figure = _chart._figure
    monkeypatch.setattr(
        _chart, "_figure", lambda bars, said: drawn.append((bars, said)) or figure(bars, said)
    )
    _chart.draw(results(), MACHINE, True, tmp_path / "chart.png")
    ((bars, said),) = drawn
    assert [bar[1:] for bar in bars] == [("faiss", 7.0), ("faiss", 4.0)]
    assert said.startswith("QUICK SIZES") and "cpu; avx2; 2 threads" in said
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_chart_is_of_eight_rows():
    assert len(_chart.BARS) == 8
    chosen = [case for case in ROWS if case.name in _chart.BARS]
    assert len(chosen) == 8 == len({case.row for case in chosen})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--plot", "chart.png", "7"], "none of these is measured"),
        (["--plot", "no_folder/chart.png", "9"], "there is no folder no_folder"),
        (["--plot", "chart.mp3", "9"], "mp3"),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_refused_at_once(
    arguments, told, capsys, monkeypatch, tmp_path
):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_machine, "describe", lambda threads: pytest.fail("too late"))
    assert cli.main(["bench", "--quick", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and told in printed.err and printed.err.count("\n") == 1


def test_without_matplotlib_there_is_no_chart(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["bench", "--quick", "--plot", "chart.png", "9"]) == 2
    assert 'pip install "amfast-memory[demo]"' in capsys.readouterr().err


def test_select():
    assert _rows.select([]) == list(ROWS)
    assert [case.name for case in _rows.select(["topk-dot", "7"])] == ["topk-dot", "one-cue-uint8"]
    with pytest.raises(ValueError, match="no benchmark is called 'fast'"):
        _rows.select(["fast"])


def test_environment_leaves_blas_as_users_have_it(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    environment = _command.clean_environment(3)
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & set(environment)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    "wrong", [["--threads", "0"], ["--seconds", "0"], ["nonsense"], ["--fast"]]
)
def test_wrong_options_are_refused_before_anything_runs(wrong, capsys):
    assert cli.main(["bench", "--quick", *wrong]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1


def test_the_command(capfd, tmp_path):
    arguments = ["bench", "--quick", "--seconds", "0.01", "--threads", "1"]
    assert cli.main([*arguments, "7"]) == 0
    shown = capfd.readouterr().out
    assert "QUICK SIZES" in shown
    assert "topk(1) manhattan, uint8" in shown
    assert "AMX" in shown and "multiply-add pipes" in shown and "no pause" in shown
    assert cli.main([*arguments, "7", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    chart = tmp_path / "chart.svg"
    assert cli.main([*arguments, "--plot", str(chart), "--quiet", "pairwise-dot"]) == 0
    assert "x NumPy -->" in chart.read_text("utf-8")
    assert cli.main([*arguments, "--json", "one-cue-dot", "7", "21", "growth-cues"]) == 0
    content = json.loads(capfd.readouterr().out)
    assert content["machine"]["threads"] == 1
    assert content["machine"]["isa"] == amfast.cpu_info()["isa"]
    rows = {row["name"]: row for row in content["results"]}
    assert set(rows) == {"one-cue-dot", "one-cue-uint8", "memory", "growth-cues"}
    assert all(row["ours"] >= 0 for row in rows.values())
    assert rows["one-cue-dot"]["peers"]["NumPy"] > 0
    assert rows["one-cue-dot"]["ratio_no_pause"] > 0
    assert content["machine"]["pipes"] in (1, 2) and content["machine"]["pipes_by"]
