"""`import amfast` is quick: a name comes from its home when it is first asked for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import amfast as am


def fresh(code: str, *arguments: object) -> str:
    """Run a program in an interpreter that has imported nothing, and return what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stderr[-3000:]
    return child.stdout


def test_what_is_not_asked_for_is_not_imported():
    code = """
import sys, amfast as am
def there(*names): return [name for name in names if name in sys.modules]
print([name for name in sys.modules if name.startswith("amfast.")], there("numpy"))
am.UniversalHopfield
print(there("amfast.lab", "amfast.datasets", "importlib.metadata", "tarfile", "numpy.random"))
print("topk" in vars(am), "topk" in dir(am), hasattr(am, "topk"), "topk" in vars(am))
"""
    assert fresh(code).splitlines() == ["[] []", "[]", "False True True True"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="a fork per name")
def test_every_name_can_be_the_first():
    """No home needs that another was imported before it."""
    code = """
import os, sys, numpy, amfast as am
for first in sorted({*am._HOMES, *am._ROOMS}):
    if os.fork() == 0:
        name = am._HOMES.get(first, first).split()[0]
        getattr(am, name)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{first} cannot be imported first")
"""
    fresh(code)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="module 'amfast' has no attribute 'topc'"):
        am.topc  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'topc'"):
        from amfast import topc  # noqa: F401
    scope: dict[str, object] = {}
    exec("from amfast import *", scope)
    assert set(am.__all__) <= set(scope)


def test_files_find_their_classes(tmp_path):
    """`load` imports what a file needs, and a class of ours has its name before anybody's."""
    x = np.eye(3)
    memory = am.Hopfield()
    memory.store(2 * x - 1)
    memory.save(tmp_path / "memory")
    shards = am.Shards.create(tmp_path / "folder", like=am.UniversalHopfield("dot", "max"))
    shards.append(x)
    code = """
import pickle, sys, amfast as am
print(type(am.load(sys.argv[1])).__name__, type(am.load(sys.argv[2])).__name__)
"""
    assert fresh(code, tmp_path / "memory", tmp_path / "folder") == "Hopfield Shards\n"
    code = """
import sys, amfast as am
from amfast._check.savable import Savable
class Hopfield(Savable): pass
print(type(am.load(sys.argv[1])) is am.Hopfield)
try: Hopfield().save(sys.argv[1])
except TypeError as error: print(error)
"""
    printed = fresh(code, tmp_path / "memory").splitlines()
    assert printed == ["True", "Hopfield of __main__ is no class that load knows"]
    code = "import pickle, sys; print(len(pickle.loads(bytes.fromhex(sys.argv[1]))))"
    import pickle

    assert fresh(code, pickle.dumps(memory).hex()) == "3\n"


AT_ONCE = """
import sys, threading, amfast as am
gate, errors = threading.Barrier(len(sys.argv) - 1), []
def ask(name):
    gate.wait()
    try:
        getattr(am, name)
    except BaseException as error:
        errors.append((name, repr(error)))
threads = [threading.Thread(target=ask, args=(name,)) for name in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(errors)
"""


@pytest.mark.parametrize(
    "names", ["compare Basins", "UniversalHopfield ModernHopfield NeuralDynamics ContinuousSDM"]
)
def test_threads_ask_for_names_at_once(names):
    command = [sys.executable, "-c", AT_ONCE, *names.split()]
    for _ in range(4):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stdout == "[]\n", done
