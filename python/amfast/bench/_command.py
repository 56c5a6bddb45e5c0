"""The command itself."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import amfast
from amfast import _console
from amfast.bench import _case, _chart, _machine, _report, _rows

_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# They choose a kernel by hand, which is not what NumPy does on its users' machines.
_BLAS_TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what ``amfast bench`` takes."""
    parser.add_argument("name", nargs="*", metavar="NAME", help="rows by number or name (all)")
    parser.add_argument("--threads", type=int, help="threads for everyone (amfast's setting)")
    parser.add_argument("--seconds", type=float, help="time to spend on each row (6)", default=6.0)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw a chart of eight rows (the demo extra)"
    )


def run(options: argparse.Namespace) -> int:
    """Run ``amfast bench``.

    Parameters
    ----------
    options : argparse.Namespace
        What `add_arguments` reads, ``json`` (whether to print a document), and ``argv``, the
        arguments of ``amfast`` as they came.

    Returns
    -------
    int
        0; 1 if contenders disagree about a result or something could not be measured. Falling
        short of a goal is a figure, not a failure.

    Raises
    ------
    ValueError
        For a row that does not exist, a number of threads or seconds out of range, or a chart that
        could not be drawn.
    ImportError, FileNotFoundError
        For a chart without matplotlib, or in a folder that does not exist.
    """
    cases = _rows.select(options.name)
    threads = options.threads if options.threads is not None else amfast.get_num_threads()
    with amfast.threads(threads):
        pass  # refuses what the kernels would refuse, before anything is measured
    if not 0 < options.seconds < 1e4:
        raise ValueError(f"--seconds must be above 0 and below 10000, got {options.seconds:g}")
    if options.plot is not None:
        _chart.check(options.plot, [case.name for case in cases])
    environment = clean_environment(threads)
    if environment != dict(os.environ):
        # BLAS libraries read their settings once, when they are loaded.
        again = [sys.executable, "-m", "amfast", *options.argv]
        return subprocess.run(again, env=environment, check=False).returncode

    machine = _machine.describe(threads)
    results = []
    with _console.progress("bench", len(cases)) as step, _case.limited(threads):
        for case in cases:
            results.append(case.measure(machine, options.quick, options.seconds))
            step(case.name)
    if options.plot is not None:
        _chart.draw(results, machine, options.quick, options.plot)
    if options.json:
        _console.document(_report.content(results, machine, options.quick))
    elif options.markdown:
        _console.say(_report.markdown(results, machine, options.quick))
    else:
        _report.show(results, machine, options.quick)
    return int(any(result.note for result in results))


def clean_environment(threads: int) -> dict[str, str]:
    """Return this process's environment as every library is to find it."""
    environment = {k: v for k, v in os.environ.items() if k not in _BLAS_TUNING}
    return environment | dict.fromkeys(_BLAS_THREADS, str(threads))
