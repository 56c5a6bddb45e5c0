"""A release cannot go wrong quietly: versions, links, workflows and the tools agree."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import amfast as am

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(
    not (ROOT / "CHANGELOG.md").exists(), reason="no source tree beside the tests"
)


def tool(name: str) -> ModuleType:
    """One of the scripts in tools/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "tools" / f"{name}.py"
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, encoding="utf-8"
    )


# -- versions -------------------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere():
    found = tool("versions").versions()
    assert set(found.values()) == {am.__version__}


@pytest.fixture
def copies(monkeypatch, tmp_path):
    """The tool, with the places that name a version copied to a folder."""
    versions = tool("versions")
    for place in versions.PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text((ROOT / place).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    return versions


def rewrite(path: Path, pattern: str, by: str) -> None:
    text, n = re.subn(pattern, by, path.read_text("utf-8"), count=1, flags=re.M)
    assert n == 1
    path.write_text(text, "utf-8")


def test_a_place_that_names_another_version_is_named(copies, monkeypatch):
    rewrite(copies.ROOT / "Cargo.lock", r'^(name = "amfast"\nversion) = ".*"', r'\1 = "7.0.0"')
    monkeypatch.setattr(sys, "argv", ["versions"])
    with pytest.raises(SystemExit, match=r"Cargo.lock says 7.0.0"):
        copies.main()


def test_a_tag_is_the_version_and_has_a_date(copies, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["versions", "v9.9.9"])
    with pytest.raises(SystemExit, match=r"the tag says 9.9.9"):
        copies.main()
    monkeypatch.setattr(sys, "argv", ["versions", f"v{am.__version__}"])
    rewrite(copies.ROOT / "CHANGELOG.md", r"^(## \[\d.*\]) - .*$", r"\1 - unreleased")
    with pytest.raises(SystemExit, match="must date"):
        copies.main()
    rewrite(copies.ROOT / "CHANGELOG.md", "unreleased", "2027-01-31")
    copies.main()
    assert capsys.readouterr().out == f"{am.__version__}\n"


# -- the page on the index ------------------------------------------------------------------------


def test_links_become_absolute():
    absolute = tool("absolute_links").absolute
    text = "![p](docs/p.png) [c](CHANGELOG.md) [h](#here) [w](https://example.org/x)\n"
    code = "```python\nx[a](b)\n```\n"
    base = "https://github.com/amfast/amfast/blob/v1"
    assert absolute(text + code, "v1") == (
        "![p](https://raw.githubusercontent.com/amfast/amfast/v1/docs/p.png) "
        f"[c]({base}/CHANGELOG.md) [h](#here) [w](https://example.org/x)\n" + code
    )


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the source distribution has no pages")
def test_the_readme_names_files_that_exist():
    link = tool("absolute_links").LINK
    targets = [match[3] for match in link.finditer(README.read_text("utf-8")) if match[3]]
    inside = [target for target in targets if not re.match(r"#|[a-z]+:", target)]
    assert inside and not [t for t in inside if not (ROOT / t.split("#")[0]).exists()]


def test_the_readme_renders_on_the_index():
    markdown = pytest.importorskip("readme_renderer.markdown")
    pytest.importorskip("comrak")
    text = README.read_text("utf-8")
    page = markdown.render(tool("absolute_links").absolute(text, "v0"))
    assert page is not None
    pictures = re.findall(r'<img [^>]*src="([^"]+)"', page)
    links = re.findall(r'<a [^>]*href="([^"]+)"', page)
    assert pictures and all(source.startswith("https://") for source in pictures)
    assert links and all(link.startswith(("https://", "#user-content-")) for link in links)
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    # Nothing of the source shows: fences and tables are taken as what they are.
    assert "```" not in page and page.count("<table>") == len(re.findall(r"^\|-", text, re.M))


# -- metadata -------------------------------------------------------------------------------------


def test_the_index_is_told_where_everything_is():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    urls = project["urls"]
    assert {"Homepage", "Repository", "Documentation", "Changelog", "Issues"} <= set(urls)
    assert all(url.startswith(tool("absolute_links").REPOSITORY) for url in urls.values())
    systems = {c.split(" :: ")[1] for c in project["classifiers"] if "Operating System" in c}
    assert systems == {"MacOS", "Microsoft", "POSIX"}


# -- the wheel ------------------------------------------------------------------------------------


def test_a_finished_wheel_names_no_folder_and_sums_up(tmp_path):
    package = "path+file:///home/someone/amfast#amfast@0.1.0"
    bill = f'{{"bom-ref": "{package}", "purl": "pkg:cargo/amfast@0.1.0?download_url=file://."}}'
    info = "amfast_memory-0.1.0.dist-info"
    wheel = tmp_path / "a-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("amfast/__init__.py", "")
        file.writestr(f"{info}/sboms/amfast.cyclonedx.json", bill)
        file.writestr(f"{info}/RECORD", "of another time\n")
    assert run("finish_wheel", str(wheel)).returncode == 0
    with zipfile.ZipFile(wheel) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    told = entries[f"{info}/sboms/amfast.cyclonedx.json"].decode()
    assert told == '{"bom-ref": "pkg:cargo/amfast@0.1.0", "purl": "pkg:cargo/amfast@0.1.0"}'
    lines = [line.split(",") for line in entries.pop(f"{info}/RECORD").decode().splitlines()]
    assert lines.pop() == [f"{info}/RECORD", "", ""]
    for name, digest, size in lines:
        data = entries.pop(name)
        expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert digest == f"sha256={expected}" and int(size) == len(data)
    assert not entries


def test_a_bill_that_still_names_a_folder_is_refused():
    with pytest.raises(SystemExit, match="still names a folder"):
        tool("finish_wheel").finished("x.dist-info/sboms/x.json", b'"file:///home/someone"')


def test_smoke_takes_five_blocks_that_need_numpy_alone():
    blocks = tool("smoke").blocks(README)
    assert len(blocks) == 5 and not any("# needs:" in block for block in blocks)


def test_smoke_stops_at_a_block_that_does_not_do_what_it_says(capsys):
    smoke = tool("smoke")
    namespace: dict[str, object] = {}
    smoke.run("x = 2\n", 1, namespace)
    smoke.run(">>> x + 1\n3\n>>> y = x\n", 2, namespace)
    assert namespace["y"] == 2
    with pytest.raises(SystemExit, match="block 3"):
        smoke.run(">>> x + 1\n4\n", 3, namespace)


# -- workflows ------------------------------------------------------------------------------------

TARGETS = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
    "aarch64-pc-windows-msvc",
]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path):
    uses = re.findall(r"uses: (\S+)(.*)", path.read_text("utf-8"))
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action} says no version"


@pytest.mark.skipif(not WORKFLOWS, reason="no workflows beside the tests")
def test_the_same_action_is_the_same_everywhere():
    text = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    pins = dict(re.findall(r"uses: (\S+)@(\S+)", text))
    for action, pin in re.findall(r"uses: (\S+)@(\S+)", text):
        assert pins[action] == pin, action


@pytest.mark.skipif(not WORKFLOWS, reason="no workflows beside the tests")
def test_one_job_publishes_what_all_others_tried():
    yaml = pytest.importorskip("yaml")
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    jobs = release["jobs"]
    publish = jobs.pop("publish")
    assert set(publish["needs"]) == set(jobs)
    assert publish["permissions"] == {"id-token": "write"} and "tag" in publish["if"]
    assert not any("id-token" in job.get("permissions", {}) for job in jobs.values())
    wheels = {entry["target"] for entry in jobs["wheels"]["strategy"]["matrix"]["include"]}
    assert wheels == set(TARGETS)
    tried = jobs["smoke"]["strategy"]["matrix"]["runner"]
    musl = jobs["smoke-musl"]["strategy"]["matrix"]["include"]
    assert len(tried) + len(musl) == len(TARGETS)
    assert all("password" not in step.get("with", {}) for step in publish["steps"])


@pytest.mark.skipif(not WORKFLOWS, reason="no workflows beside the tests")
def test_ci_is_the_list_of_checks():
    assert "run: bash .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    assert "bash tools/release_check.sh" in (ROOT / ".ci" / "run").read_text("utf-8")
