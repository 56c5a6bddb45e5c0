"""The examples of the README and of every docstring run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import amfast

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


@pytest.mark.skipif(not README.exists(), reason="no README beside the tests")
def test_readme(tmp_path, monkeypatch):
    """Python blocks run in order in one namespace; ``>>>`` lines must print what they say."""
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    for match in re.finditer(r"^```(?:python|pycon)\n(.*?)^```", text, re.M | re.S):
        block, line = match[1], text[: match.start(1)].count("\n")
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, namespace, "README", None, line)
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            runner.run(test, clear_globs=False)
            namespace = test.globs
            assert runner.summarize(verbose=False).failed == 0
        else:
            exec(compile("\n" * line + block, str(README), "exec"), namespace)
