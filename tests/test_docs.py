"""The examples of the README and of every docstring run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
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


@pytest.mark.skipif(not DOCS.exists(), reason="no docs beside the tests")
@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_pages_name_what_there_is(page):
    for dotted in set(re.findall(r"\bam\.([\w.]+)", page.read_text(encoding="utf-8"))):
        found = amfast
        for name in dotted.strip(".").split("."):
            assert hasattr(found, name), f"am.{dotted}"
            found = getattr(found, name)


HEADINGS = ["Equation", "Capacity", "Picture", "When to use it", "Source"]


@pytest.mark.skipif(not DOCS.exists(), reason="no docs beside the tests")
def test_every_memory_has_a_page_like_the_others():
    pages = {page.stem: page.read_text("utf-8") for page in DOCS.glob("memories/*.md")}
    contents = pages.pop("index")
    for name, text in pages.items():
        assert re.findall(r"^## (.*)", text, re.M) == HEADINGS, name
        assert f"\n{name}\n" in contents and f"](pictures/{name}.png)" in text
    first = "".join(text.partition("##")[0] for text in pages.values())
    missing = [
        name
        for name in amfast.__all__
        if name.endswith(("Hopfield", "Memory", "SDM", "Dynamics", "Classifier", "Regressor"))
        and f"`amfast.{name}`" not in first
    ]
    assert not missing


@pytest.mark.skipif(not DOCS.exists(), reason="no docs beside the tests")
def test_the_reference_lists_every_public_name():
    listed = set(re.findall(r"^   (\w+)$", (DOCS / "api.md").read_text("utf-8"), re.M))
    assert {name for name in amfast.__all__ if not name.startswith("__")} <= listed


# Parameters, types and returned values that are not said, sections out of order. Left out are
# what numpydoc asks of style, and more prose and cross-references than a short docstring needs.
CHECKS = {
    "GL06",
    "GL07",
    "GL08",
    "PR01",
    "PR02",
    "PR03",
    "PR04",
    "RT01",
    "SS01",
    "SS02",
    "SS03",
    "YD01",
}
DOCUMENTED = [
    "amfast", "amfast.bits", "amfast.corrupt", "amfast.dask", "amfast.datasets", "amfast.kernels",
    "amfast.lab", "amfast.parts", "amfast.plot", "amfast.polars", "amfast.sklearn",
    "amfast.theory", "amfast.torch",
]  # fmt: skip


def documented(module):
    """Names of what a module offers, and of the methods that amfast gave it."""
    names = set()
    for name in module.__all__:
        found = getattr(module, name)
        if not getattr(found, "__module__", "").startswith("amfast."):
            continue
        names.add(f"{found.__module__}.{found.__qualname__}")
        for base in inspect.getmro(found) if inspect.isclass(found) else ():
            if base.__module__.startswith("amfast."):
                names |= {
                    f"{base.__module__}.{base.__qualname__}.{method}"
                    for method, what in vars(base).items()
                    if not method.startswith("_")
                    and method != "extra_repr"  # torch's hook
                    and (callable(what) or isinstance(what, (classmethod, staticmethod, property)))
                }
    return sorted(names)


def fields(name):
    """Fields of a class that have a docstring of their own: what a call returned."""
    module, _, kind = name.rpartition(".")
    source = inspect.getsource(getattr(importlib.import_module(module), kind))
    return set(re.findall(r'^    (\w+): .*\n    """', source, re.M))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_names_say_what_goes_in_and_comes_out(name):
    validation = pytest.importorskip("numpydoc.validate")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs an extra: {error}")
    wrong = []
    for public in documented(module):
        found = validation.validate(public)
        for code, text in found["errors"]:
            if code not in CHECKS:
                continue
            if code == "PR01":
                told = fields(public) | set(re.findall(r"^\s*(\w+) : ", found["docstring"], re.M))
                if set(re.findall(r"'([*\w]+)'", text)) <= told:
                    continue
            wrong.append(f"{public}: {code} {text}")
    assert not wrong, "\n".join(wrong)


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
