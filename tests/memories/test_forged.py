"""Files that somebody forged, with right checksums: refused or read, in little memory and time."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import amfast as am
from amfast._check import tensors

DATA = Path(__file__).parents[1] / "data" / "files"
NUMBERS = (10**6, 10**9, 2**40, 2**62, -1, 1e300, math.inf, math.nan, True)
OTHERS = (None, "x", [], [1, 1, 1], {}, {"part": "Softmax"}, {"bits": 9}, {"array": True})
# A byte that is allocated beyond this ends the load by MemoryError, as an address space does.
ROOM = 48 << 20
LIMITED = """
import resource, sys
sys.path[:0] = sys.argv[1:3]
import test_forged
import amfast
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + test_forged.ROOM,) * 2)
from pathlib import Path
import os
os.fsync = lambda file: None  # nothing here must last
for path in sys.argv[4:]:
    print(test_forged.refused(Path(path), Path(sys.argv[3])))
"""


def leaves(x, path=()):
    """Where the numbers and names of parts stand."""
    if isinstance(x, dict | list):
        for name, value in x.items() if isinstance(x, dict) else enumerate(x):
            yield from leaves(value, (*path, name))
    else:
        yield path


def forged(parts, path, value):
    changed = copy.deepcopy(parts)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def refused(path, room):
    """Try every number and name of a file's parts; return how many were refused."""
    content, n = tensors.read(path), 0
    for where in leaves(content.parts):
        for value in (*NUMBERS, *OTHERS):
            changed = forged(content.parts, where, value)
            tensors.write(room, content._replace(parts=changed))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    am.load(room)
            except am.FileFormatError as error:
                # What needs more than there is was about to be allocated.
                assert "cannot be allocated" not in str(error), (where, value, error)
                n += 1
    return n


@pytest.mark.skipif(sys.platform != "linux", reason="an address space is limited on Linux")
@pytest.mark.filterwarnings("ignore")
def test_no_number_in_a_file_allocates(tmp_path):
    """Under an address space that is a few times what any of the files takes."""
    paths = sorted(map(str, DATA.glob("*.safetensors")))
    # A softmax's beta that imitates a binary memory is computed of tables of n_bits.
    paths = [path for path in paths if "ContinuousSDM" not in path]
    here = Path(__file__).parent
    command = [sys.executable, "-c", LIMITED, here, here.parent, tmp_path / "m", *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = [int(n) for n in done.stdout.split()]
    assert len(counts) == len(paths) and min(counts) > 0 and sum(counts) > 1000, counts
