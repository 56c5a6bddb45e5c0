"""The page that remembers: what it recalls is what the engine recalls, and it is what is written.

The page's scripts run in node, the page itself in a browser without a window; either part is left
out where there is none.
"""

from __future__ import annotations

import errno
import html
import json
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amfast as am
from amfast import cli, play
from amfast.play import curves, pictures

ROOT = Path(__file__).parents[1]
NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
D = pictures.SIDE**2
N_CUES = 100
# SplitMix64, as `chance.js` has it.
GAMMA = np.uint64(0x9E3779B97F4A7C15)


def mix(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_patterns(rows: int, width: int, seed: int) -> Any:
    """Rows of -1 and +1 out of words of 64 bits, the lowest first."""
    words = -(-width // 64)
    with np.errstate(over="ignore"):
        start = mix(np.array([seed + 1], np.uint64) * GAMMA)
        drawn = mix(start + np.arange(1, rows * words + 1, dtype=np.uint64) * GAMMA)
    bits = (drawn[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    return np.where(bits.reshape(rows, -1)[:, :width] == 1, 1, -1).astype(np.int8)


@pytest.fixture(scope="module")
def stored() -> Any:
    return np.where(pictures.bundled().bits, 1, -1).astype(np.int8)


@pytest.fixture(scope="module")
def cues(stored) -> Any:
    """A hundred: with noise from little to half, a half black, random, clean, inverted."""
    rng = np.random.default_rng(0)
    rows = stored[np.arange(N_CUES) % len(stored)].copy()
    for i, row in enumerate(rows[:60]):
        row[rng.permutation(D)[: 6 * i]] *= -1
    rows[60:75, D // 2 :] = -1
    rows[75:85] = random_patterns(10, D, 3)
    rows[95:] *= -1
    return rows


# -- the page computes what the engine does -------------------------------------------------------

# Name, parameter, how many pictures: few that are held apart, and so many that they blend.
RECALLS = [
    *(("hopfield", None, n) for n in (1, 6, 20)),
    *(("projection", None, n) for n in (6, 20)),
    *(("dense", n, 20) for n in (2, 3, 4, 5, 8, 20)),
    *(("modern", beta, 20) for beta in (1, 4, 8, 16, 40)),
    *(("sdm", radius, 20) for radius in (346, 358, 366, 378)),
]

PRINT_RECALLS = """
    const answers = question.recalls.map(([kind, parameter, n]) => {
      const memory = memoryOf(kind, parameter, question.stored.slice(0, n));
      return question.cues.map((cue) => {
        const { frames, ...run } = memory.recall(Int8Array.from(cue), question.seed);
        const { state, active } = frames.at(-1);
        return { ...run, state: Array.from(state), active };
      });
    });
"""


def engine(kind: str, parameter: int | None, stored: Any, cues: Any, seed: int) -> Any:
    """The same recall by the library."""
    if kind == "sdm":
        places = random_patterns(curves.LOCATIONS, D, 1988)
        sdm = am.SparseDistributedMemory(
            D, curves.LOCATIONS, radius=parameter, addresses=places, tie="keep"
        )
        with warnings.catch_warnings():
            # The smallest radius reaches no place for some pictures, which both sides must survive.
            warnings.simplefilter("ignore", UserWarning)
            sdm.write(stored)
        return sdm.read(cues, max_iter=10, details=True)
    if kind == "modern":
        modern = am.ModernHopfield(beta=float(parameter or 0))
        modern.store(stored / np.sqrt(D))
        return modern.recall(cues / np.sqrt(D), max_iter=100, tol=1e-6, details=True)
    memory: Any = {
        "hopfield": lambda: am.Hopfield(),
        "projection": lambda: am.Hopfield("projection"),
        "dense": lambda: am.DenseAssociativeMemory(int(parameter or 0)),
    }[kind]()
    memory.store(stored)
    return memory.recall(cues, seed=seed, details=True)


def check_recalls(found: Any, stored: Any, cues: Any, seed: int) -> None:
    assert len(found) == len(RECALLS)
    for (kind, parameter, n), answers in zip(RECALLS, found, strict=True):
        told = f"{kind} {parameter} {n}"
        truth = engine(kind, parameter, stored[:n], cues, seed)
        states = np.array([answer["state"] for answer in answers])
        if kind == "modern":
            np.testing.assert_allclose(states / np.sqrt(D), truth.state, atol=1e-5, err_msg=told)
        else:
            np.testing.assert_array_equal(states, truth.state, err_msg=told)
        sweeps = np.array([answer["sweeps"] for answer in answers])
        np.testing.assert_array_equal(sweeps, truth.n_iter, err_msg=told)
        converged = [answer["converged"] for answer in answers]
        np.testing.assert_array_equal(converged, truth.converged, err_msg=told)
        if kind == "sdm":
            active = [answer["active"] for answer in answers]
            np.testing.assert_array_equal(active, truth.n_active, err_msg=told)
            continue
        for answer, energies in zip(answers, truth.energy_trace, strict=True):
            mine = np.array(answer["energies"], float)
            np.testing.assert_allclose(mine, energies[: len(mine)], rtol=1e-5, err_msg=told)


def question(stored: Any, cues: Any, seed: int) -> str:
    return json.dumps(
        {"stored": stored.tolist(), "cues": cues.tolist(), "recalls": RECALLS, "seed": seed}
    )


def scripts(page: str) -> str:
    found = re.search(r'<script id="script">(.*?)</script>', page, re.S)
    assert found
    return found[1]


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_the_scripts_recall_what_the_engine_recalls(stored, cues) -> None:
    program = f"const question = {question(stored, cues, 7)}; {PRINT_RECALLS} return answers;"
    check_recalls(in_node(program), stored, cues, 7)


def in_node(program: str) -> Any:
    """Run the body of an async function behind the page's scripts, and return what it returns."""
    printing = f"(async () => {{ {program} }})().then((x) => console.log(JSON.stringify(x)));"
    done = subprocess.run(
        [str(NODE), "-"],
        input=f"{scripts(play.page())}\n{printing}",
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return json.loads(done.stdout)


def in_browser(page: str, program: str, folder: Path, hash: str = "", *options: str) -> Any:
    """Run a program behind the page's scripts, and return the JSON that ``print`` was called with.

    The program runs in an async function, after the page has begun.
    """
    printing = (
        "const print = (x) => { const p = document.createElement('pre'); p.id = 'printed';"
        "p.textContent = JSON.stringify(x); document.body.append(p); };"
        f"(async () => {{ {program} }})().catch((error) => print(String(error.stack)));"
    )
    file = folder / "page.html"
    file.write_text(page.replace("</body>", f"<script>{printing}</script></body>"), "utf-8")
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000",
        f"--user-data-dir={folder / 'profile'}", *options, "--dump-dom", f"{file.as_uri()}{hash}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r'<pre id="printed">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


browser = pytest.mark.skipif(not BROWSER, reason="no Chromium here")


@browser
def test_the_page_recalls_what_the_engine_recalls(stored, cues, tmp_path) -> None:
    program = f"const question = {question(stored, cues, 1)};{PRINT_RECALLS} print(answers);"
    check_recalls(in_browser(play.page(), program, tmp_path), stored, cues, 1)


def test_the_pictures_are_as_different_as_it_says(stored) -> None:
    overlaps = np.abs(stored @ stored.T.astype(float) / D)[~np.eye(20, dtype=bool)]
    assert overlaps.mean() == pytest.approx(0.14, abs=0.005)
    assert overlaps.max() == pytest.approx(0.37, abs=0.005)
    for n, held in ((9, True), (10, False)):
        memory = am.Hopfield()
        memory.store(stored[:n])
        assert (memory.recall(stored[:n]) == stored[:n]).all() == held


# -- the file -------------------------------------------------------------------------------------


def test_the_page_in_docs_is_what_is_written() -> None:
    kept = ROOT / "docs" / "play.html"
    if not kept.exists():
        pytest.skip("no docs beside the tests")
    assert kept.read_text("utf-8") == play.page(), "run: amfast demo --html docs/play.html"


def test_the_page_is_small_and_alone() -> None:
    page = play.page()
    assert len(page.encode()) < 300_000
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name, which nobody fetches"
    assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)=\"(?!data:)", page)
    assert "{{" not in page.replace("{{{", "")


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_noise_is_the_generators() -> None:
    """The first units of a shuffle by Fisher and Yates, from the end, by words of SplitMix64."""
    found = in_node(
        "return [[300, 5], [0, 1], [784, 2]].map(([n, seed]) => "
        "Array.from(flipped(new Int8Array(784).fill(1), n, seed)));"
    )
    for (count, seed), row in zip([(300, 5), (0, 1), (784, 2)], found, strict=True):
        with np.errstate(over="ignore"):
            start = mix(np.array([seed + 1], np.uint64) * GAMMA)
            words = mix(start + np.arange(1, D, dtype=np.uint64) * GAMMA)
        order = list(range(D))
        for word, i in zip(words.tolist(), range(D - 1, 0, -1), strict=True):
            j = (word >> 32) * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        expected = np.ones(D)
        expected[order[:count]] = -1
        np.testing.assert_array_equal(row, expected)


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_capacities_are_the_engines_and_near_theory() -> None:
    """What the page measures of a hundred units, at loads around one half."""
    cases = [
        ("hopfield", None), ("projection", None), ("dense", 3), ("dense", 4), ("modern", 4),
        ("modern", 5), ("sdm", curves.RADIUS),
    ]  # fmt: skip
    program = f"""
        const answers = [];
        const cases = {json.dumps(cases)};
        for (const [kind, parameter] of cases) {{
            const found = [];
            const told = (k, share) => found.push([k, share]);
            const most = kind === "projection" ? 60 : 20000;
            await storeUntilItBreaks(kind, parameter ?? undefined, 100, most, told);
            answers.push(found);
        }}
        return answers;"""
    measured = in_node(program)
    theory = curves.capacities()
    for (kind, parameter), found in zip(cases, measured, strict=True):
        if kind == "projection":
            assert all(share == 1 for _, share in found)
            continue
        for k, share in found[::4]:
            assert share == pytest.approx(share_kept(kind, parameter, k)), (kind, parameter, k)
        values = theory["parameters"].get(kind, ()) if kind != "sdm" else ()
        curve = theory["curves"][kind][values.index(parameter) if values else 0]
        half = next(k for k, share in zip(theory["loads"], curve, strict=True) if share < 0.5)
        assert next(k for k, share in found if share < 0.5) == pytest.approx(half, rel=0.35)


def share_kept(kind: str, parameter: Any, k: int) -> float:
    """The engine's share of the first k random patterns that one update leaves as they are."""
    names, words = (random_patterns(k, curves.UNITS, seed) for seed in (1, 2))
    probes = names[:40]
    if kind == "sdm":
        places = random_patterns(curves.LOCATIONS, curves.UNITS, 1988)
        sdm = am.SparseDistributedMemory(
            curves.UNITS, curves.LOCATIONS, radius=parameter, addresses=places
        )
        sdm.write(names, words)
        kept = np.sign(sdm.read(probes, raw=True)) == words[:40]
    elif kind == "modern":
        soft = am.UniversalHopfield("dot", beta=parameter)
        soft.store(names / 10.0, words.astype(float))
        kept = np.sign(soft.recall(probes / 10.0)) == words[:40]
    else:
        memory: Any = am.Hopfield() if kind == "hopfield" else am.DenseAssociativeMemory(parameter)
        memory.store(names)
        kept = memory.recall(probes, update="sync", max_sweeps=1) == probes
    return float(kept.all(axis=1).mean())


# -- a person at the page -------------------------------------------------------------------------

LOOK = """
    const look = () => ({
        hash: location.hash,
        verdicts: [...document.querySelectorAll(".verdict")].map((p) => p.textContent),
        pictures: [...document.querySelectorAll(".panel canvas, #cue")].map((c) => c.toDataURL()),
        stored: document.getElementById("stored-said").textContent,
    });
    const press = (id) => document.getElementById(id).click();
    const choose = (input, value) => {
        input.value = value;
        for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind));
    };
"""
CALM = "--force-prefers-reduced-motion"


@browser
def test_a_link_brings_the_state_back(tmp_path) -> None:
    program = f"""{LOOK}
        const [first, second] = document.querySelectorAll(".panel select");
        choose(first, "modern"), choose(second, "sdm");
        choose(document.querySelector(".panel input"), 4);
        choose(document.getElementById("stored"), 9), choose(document.getElementById("noise"), 12);
        document.querySelectorAll("#thumbs button")[2].click();
        press("hide-left"), press("keep"), press("invert"), press("add-noise");
        print(look());"""
    made = in_browser(play.page(), program, tmp_path, "", CALM)
    assert "a=modern-5&b=sdm-366&stored=10&picked=0&noise=12" in made["hash"]
    assert made["stored"] == "10 of 21"
    again = in_browser(play.page(), f"{LOOK} print(look());", tmp_path, made["hash"], CALM)
    assert again == made
    # What an address cannot say is left out, and the page begins all the same.
    wrong = "#a=none-3&b=dense-7&stored=-4&picked=99&cue=AAAA&own=%%&noise=x"
    odd = in_browser(play.page(), f"{LOOK} print(look());", tmp_path, wrong, CALM)
    assert "a=hopfield&b=dense-4&stored=1&picked=19" in odd["hash"] and all(odd["verdicts"])


@browser
def test_tries_come_out_as_they_say(tmp_path) -> None:
    program = f"""{LOOK}
        const found = {{}};
        for (const button of document.querySelectorAll("#tries button")) {{
            button.click();
            found[button.textContent] = look().verdicts;
        }}
        print(found);"""
    none, sandal, sneaker = (
        "No stored picture",
        "✓ Sandal 1, every pixel.",
        "✓ Sneaker 1, every pixel.",
    )
    expected = {
        "Too many for Hebb": (none, "✓ Bag 2, every pixel."),
        "Take out what is alike": (none, sandal),
        "Half a picture": ("Sneaker 1, every pixel, not what was asked for", sandal),
        "A negative": (sneaker, "The negative of Sneaker 1"),
        "From blend to memory": (none, sneaker),
        "Random places": (none, "✓ Bag 2, every pixel."),
    }
    found = in_browser(play.page(), program, tmp_path, "", CALM)
    assert list(found) == list(expected)
    for name, parts in expected.items():
        for part, said in zip(parts, found[name], strict=True):
            assert part in said, name


@browser
def test_keys_draw_and_everything_has_a_name(tmp_path) -> None:
    program = f"""{LOOK}
        const cue = document.getElementById("cue");
        const key = (key) => cue.dispatchEvent(new KeyboardEvent("keydown", {{ key }}));
        press("clear");
        const before = look();
        key("ArrowUp"), key("ArrowLeft"), key(" ");
        const said = document.getElementById("cue-said").textContent;
        const after = look();
        const all = "button, input, select, canvas[tabindex], [role=img]";
        const named = (e) => e.ariaLabel || e.labels?.length || e.textContent.trim();
        const nameless = [...document.querySelectorAll(all)].filter((e) => !named(e));
        print({{ before, after, said, nameless: nameless.map((e) => e.outerHTML) }});"""
    found = in_browser(play.page(), program, tmp_path, "", CALM)
    assert found["said"] == "Row 14, column 14: white"
    assert found["before"]["hash"] != found["after"]["hash"]
    assert not found["nameless"]


@browser
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(width, tmp_path) -> None:
    # A window of a browser has a least width, a frame has none; notebooks show pages so, too.
    page = html.escape(play.page())
    frame = f'<body><iframe width="{width}" height="800" srcdoc="{page}"></iframe></body>'
    program = """
        const frame = document.querySelector("iframe");
        await new Promise((resolve) => setTimeout(resolve, 3000));
        const root = frame.contentDocument.documentElement;
        const told = [...root.querySelectorAll(".verdict")].map((p) => p.textContent);
        print([frame.contentWindow.innerWidth, root.scrollWidth, root.clientWidth, told]);"""
    inside, content, room, told = in_browser(frame, program, tmp_path, "", CALM)
    assert inside == width and content == room and all(told)


@browser
def test_without_a_wish_for_calm_it_moves(tmp_path) -> None:
    program = """
        const time = () => Number(document.getElementById("time").value);
        const first = time();
        await new Promise((resolve) => setTimeout(resolve, 1000));
        print([first, time(), Number(document.getElementById("time").max)]);"""
    first, later, last = in_browser(play.page(), program, tmp_path)
    assert first == 0 < later < last
    first, later, last = in_browser(play.page(), program, tmp_path, "", CALM)
    assert first == later == last > 0


# -- pictures of one's own ------------------------------------------------------------------------


def test_pictures_of_a_folder(tmp_path, capsys) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("b", "a </script>{{script}}"):
        pixels = rng.integers(0, 255, (60, 40, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / f"{name.replace('/', '')}.png")
    (folder / "notes.txt").write_text("no picture")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "nobody writes into it.png")
    target = tmp_path / "p.html"
    assert cli.main(["demo", "--html", str(target), "--images", str(folder)]) == 0
    page = target.read_text("utf-8")
    assert page.count("</script>") == play.page().count("</script>")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["names"] == ["a <script>{{script}}", "b"]
    assert len(data["pictures"]) == 2
    capsys.readouterr()
    for spoil, message in (
        (
            lambda: shutil.copy(folder / "b.png", folder / "c.png"),
            "b.png and c.png become the same",
        ),
        (lambda: (folder / "c.png").write_text("no"), "c.png is not a picture that can be read"),
        (
            lambda: (folder / "c.png").write_bytes((folder / "b.png").read_bytes()[:900]),
            "c.png is not",
        ),
        (lambda: [p.unlink() for p in folder.glob("[ac]*")], "2 to 60 pictures"),
    ):
        spoil()
        assert cli.main(["demo", "--html", str(target), "--images", str(folder)]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["demo", "--images", str(folder)]) == 2
    assert "--html FILE" in capsys.readouterr().err


def test_demo_writes_it(tmp_path, capsys) -> None:
    target = tmp_path / "p.html"
    assert cli.main(["demo", "--html", str(target)]) == 0
    assert capsys.readouterr().out == f"page: {target}\n"
    assert target.read_text("utf-8") == play.page()
    assert list(tmp_path.iterdir()) == [target]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    target = tmp_path / "p.html"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            play.write(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    assert play.write(target) == target
    assert target.read_text("utf-8") == play.page()
