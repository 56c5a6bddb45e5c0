"""The examples of the README and of every docstring run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import amfast
from amfast.parts.metrics import METRICS

README = Path(__file__).parents[1] / "README.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

MODULES = ["amfast"] + [
    module.name
    for module in pkgutil.walk_packages(amfast.__path__, "amfast.")
    if not module.name.endswith(("__main__", "_core"))
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    """Doctests of one module."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if "pip install" in str(error):
            pytest.skip(f"needs an extra: {error}")
        raise
    failed, _ = doctest.testmod(module, optionflags=FLAGS)
    assert failed == 0


def test_public_names_have_examples_or_formulas():
    """Everything public is documented, and what is exported exists."""
    for name in amfast.__all__:
        if not name.startswith("__"):
            assert (getattr(amfast, name).__doc__ or "").strip(), name


SCORE = ["pairwise", "topk", "within", "retrieve", "self_topk", "pairs_within", "UniversalHopfield"]
MOST_USED = ["UniversalHopfield", "ModernHopfield", "Hopfield", "SparseDistributedMemory"]


@pytest.mark.parametrize("name", SCORE)
def test_what_scores_lists_the_metrics(name):
    text = getattr(amfast, name).__doc__
    missing = [metric for metric in METRICS if f'"{metric}"' not in text]
    assert not missing and '"cosine" (1 - cos)' in text


@pytest.mark.parametrize("name", [*SCORE, "hebbian", "partial", *MOST_USED])
def test_newcomers_are_shown_the_way(name):
    text = getattr(amfast, name).__doc__
    assert "See Also" in text and "Examples" in text
    if name in MOST_USED:
        assert "**Which " in text and "1 - cos" in text
        first = text.split("Examples")[1].split("\n\n")[0]
        assert "am.datasets.load(" in first, "the first example is of real images"


DOCS = README.parent / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("memories/*.md"))]
# Sizes that a page is about, and what a test takes.
SMALLER = {"n = 10_000_000": "n = 20_000", "chunks=(100_000, 64)": "chunks=(2_000, 64)"}


@pytest.mark.skipif(not README.exists(), reason="no README beside the tests")
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "error::amfast.SeparationWarning",  # what is shown to newcomers succeeds
)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages(page, tmp_path, monkeypatch):
    """Python blocks run in order in one namespace; ``>>>`` lines must print what they say.

    A block that begins with ``# needs:`` is left out where one of those packages is not installed.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    for match in re.finditer(r"^```(?:python|pycon)\n(.*?)^```", text, re.M | re.S):
        block, line = match[1], text[: match.start(1)].count("\n")
        needs = re.match(r"# needs: (.*)", block)
        if needs and any(importlib.util.find_spec(name) is None for name in needs[1].split()):
            continue
        for size, small in SMALLER.items():
            block = block.replace(size, small)
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, namespace, page.stem, None, line)
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            runner.run(test, clear_globs=False)
            namespace = test.globs
            assert runner.summarize(verbose=False).failed == 0
        else:
            exec(compile("\n" * line + block, str(page), "exec"), namespace)


@pytest.mark.skipif(not README.exists(), reason="no README beside the tests")
def test_the_first_block_pastes_and_succeeds(capsys):
    """What a newcomer sees first: no prompts, few lines, a share that is printed and large."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 9 and ">>>" not in block
    exec(compile(block, str(README), "exec"), {})
    share = re.search(r"(\d+)% of 300 images recalled", capsys.readouterr().out)
    assert share is not None and int(share[1]) >= 95
    assert "short: ratio" not in text, "the long table lives in benches/README.md"
    for path in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in path or (README.parent / path).exists(), path


def test_the_papers_page_names_what_there_is():
    """Every call and every command of the page exists, and every experiment is on it."""
    from amfast import reproduce
    from amfast.memories.universal import paper

    page = README.parent / "docs" / "papers.md"
    if not page.exists():
        pytest.skip("no docs beside the tests")
    text = page.read_text(encoding="utf-8")
    for dotted in set(re.findall(r"\bam\.([A-Za-z_.]+)", text)):
        found = amfast
        for name in dotted.strip(".").split("."):
            assert hasattr(found, name), f"am.{dotted}"
            found = getattr(found, name)
    commands = set(re.findall(r"amfast reproduce ([a-z-]+)", text))
    listed = set(
        re.findall(r"`([a-z]+-[a-z-]+|timbre|identities)`", text.partition("## The others")[2])
    )
    assert commands | listed == set(reproduce.EXPERIMENTS)
    assert all(f'`"{name}"' in text for name in paper.SIMILARITIES)
