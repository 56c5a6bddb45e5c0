"""Run the examples of every public name with little memory: ``tools/long_checks.sh memory``.

Each docstring's examples run in a child of their own, which may take some more memory than it has
when they begin: none at all, then a little more, until they pass. They may end with a MemoryError.
A child that dies or stands still, or an error of another kind, is a finding. Counted apart is what
others do: OpenBLAS ends the process, and so does glibc when a thread has no room for its own
variables.
"""

from __future__ import annotations

import doctest
import errno
import faulthandler
import inspect
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import numpy.ma  # noqa: F401  (by functions of NumPy, in the middle of an example)

import amfast as am
from amfast._check import savable

LIMITS = [0, *(1 << n for n in range(12, 28))]  # bytes: up to 128 MB
# Of modules that are first imported by an example.
ALLOWED = (MemoryError, ImportError)
REFUSED, OTHERS, FAILED, STILL = 10, 11, 12, 13  # how a child ends
LAST_WORDS = ("OpenBLAS error", "thread-local data: ABORT", "register TLS destructor")  # of others
SECONDS = 60


def names() -> Iterator[tuple[str, Any]]:
    """Yield what is public and has examples: names, their methods, the functions of rooms."""
    waiting = [(name, getattr(am, name)) for name in am.__all__]
    for name, found in waiting:
        if getattr(found, "__doc__", None) and ">>>" in found.__doc__:
            yield name, found
        inner = vars(found) if inspect.isclass(found) or inspect.ismodule(found) else {}
        for attribute in getattr(found, "__all__", inner):
            if not attribute.startswith("_") and "." not in name:
                waiting.append((f"{name}.{attribute}", getattr(found, attribute)))


def used() -> int:
    """Return the bytes of address space in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def still(signum: int, frame: Any) -> None:
    """Say where a child stands still."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    stack = traceback.extract_stack(frame)
    print("".join(stack.format()), file=sys.stderr, flush=True)
    os._exit(STILL)


def child(example: doctest.DocTest, more: int | None) -> int:
    """Run examples with so much more memory; return 0 if they pass, REFUSED if not."""
    faulthandler.enable()
    signal.signal(signal.SIGALRM, still)
    signal.alarm(SECONDS)
    am.topk([[1.0]], [[1.0]], 1, "l1")  # what the engine makes once, for which glibc would abort
    codes = [compile(part.source, f"<{example.name}>", "single") for part in example.examples]
    sys.displayhook = repr  # as a prompt does, and nothing is printed
    if more is not None:
        resource.setrlimit(resource.RLIMIT_AS, (used() + more, resource.RLIM_INFINITY))
    try:
        for code in codes:
            exec(code, example.globs)
    except ALLOWED:
        return REFUSED
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return REFUSED
    return 0


def run(example: doctest.DocTest, more: int | None) -> tuple[int, str]:
    """Run examples in a child process; return how it ended, negative for a signal, and why."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = FAILED
        os.dup2(writes, 2)
        try:
            code = child(example, more)
        except BaseException:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, errors="replace") as file:
        said = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (OTHERS if code and any(words in said for words in LAST_WORDS) else code), said


def main() -> int:
    """Try every name under every limit until it passes; return 1 if there is a finding."""
    warnings.simplefilter("ignore")
    savable.version()  # imports much, in which CPython loses errors when memory ends
    os.environ.setdefault("AMFAST_NUM_THREADS", "2")
    findings = tried = 0
    ends = dict.fromkeys((REFUSED, OTHERS), 0)
    for name, found in names():
        example = doctest.DocTestFinder(recurse=False).find(found, name, globs={"am": am})[0]
        example.globs |= vars(inspect.getmodule(found) or am)
        if run(example, None)[0] != 0:
            print(f"left out, for it does not run here: {name}", flush=True)
            continue
        tried += 1
        for more in LIMITS:
            code, said = run(example, more)
            if code in ends:
                ends[code] += 1
            elif code != 0:
                findings += 1
                print(
                    f"FINDING: {name} with {more} bytes more ended with {code}\n{said[-3000:]}",
                    flush=True,
                )
            if code == 0:
                break
    print(
        f"{tried} examples: {ends[REFUSED]} refusals of memory, {ends[OTHERS]} ends by others, "
        f"{findings} findings"
    )
    return int(findings > 0 or tried == 0)


if __name__ == "__main__":
    sys.exit(main())
