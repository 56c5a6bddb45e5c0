"""The ``amfast`` command: demo, reproduce, bench, fetch, check and info."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

_EXTRAS = {
    "demo": ("matplotlib", "rich"),
    "data": ("pooch", "PIL"),
    "dask": ("dask",),
    "test": ("pytest", "hypothesis"),
    "bench": ("scipy", "sklearn", "faiss", "torch"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0 when all went well, 1 when a check failed, 2 for wrong usage, a setting of the environment
        that makes no sense, or missing data, 130 when interrupted, 141 when the reader of the
        output has gone (as of any program that a pipe ends). Errors are one line on standard
        error.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    # bench has its own options, which argparse would otherwise take for ours.
    if arguments[:1] == ["bench"]:
        _settings()
        return _bench(arguments[1:])
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    _settings()
    return int(parsed.run(parsed))


def _settings() -> None:
    """Refuse what the environment asks for, before any work, if it cannot be had."""
    import amfast

    isa = os.environ.get("AMFAST_ISA", "")
    if not isa.isprintable():  # what is no UTF-8 comes as surrogates
        raise ValueError(f"AMFAST_ISA must be the name of an instruction set, got {isa!r}")
    amfast.get_num_threads()
    amfast.cpu_info()


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own hides that nothing could be written.
        stream = sys.stderr if file is None else file
        if message and stream is not None:
            stream.write(message)


def _guarded(command: Callable[[], int]) -> int:
    """Run a command and turn what a user can put right into one line and exit code 2."""
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        code = command()
        # What is still to be written fails here, or after the last line of the program.
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _let_go()
        return 141
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        _complain(f"error: {' '.join(str(error).split()) or type(error).__name__}")
        code = 2
    except KeyboardInterrupt:
        _complain("interrupted")
        code = 130
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _let_go()
    return code


def _complain(text: str) -> None:
    """Print one line on standard error, if there is one."""
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            print(f"amfast: {text}", file=sys.stderr, flush=True)


def _let_go() -> None:
    """Send what standard output still holds nowhere, or the interpreter's end tries it again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="amfast",
        description="Associative memories at the speed of the machine.",
        epilog="Run 'amfast COMMAND --help' for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"amfast {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="recall real images from corrupted cues with several memories (offline, seconds)",
        description="Store real images, corrupt them three ways, recall them with several "
        "memories; print a table and write one picture. Works offline in a few seconds. With "
        "--html write instead a page in which two memories recall pictures side by side.",
    )
    demo.add_argument(
        "--out", metavar="DIR", default=".", help="folder for the picture (default: this one)"
    )
    demo.add_argument("--html", metavar="FILE", help="write the page to this file, and no picture")
    demo.add_argument(
        "--images", metavar="DIR", help="pictures for the page (default: twenty bundled ones)"
    )
    demo.set_defaults(run=_demo)

    reproduce = commands.add_parser(
        "reproduce",
        help="reproduce figures of the literature: tables, CSV, pictures, claim by claim",
        description="Reproduce figures and numbers of the literature. Prints measured / expected / "
        "tolerance / PASS rows and a line per claim of a paper; writes CSV and PNG.",
        epilog=_experiments(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reproduce.add_argument("name", metavar="NAME", help="an experiment below, or all")
    level = reproduce.add_mutually_exclusive_group()
    level.add_argument(
        "--quick", action="store_const", const="quick", dest="level",
        help="bundled images only: seconds for most experiments, one or two minutes for some; "
        "each says how long it took",
    )  # fmt: skip
    level.add_argument(
        "--full", action="store_const", const="full", dest="level",
        help="the paper's sizes, some of them minutes to hours",
    )  # fmt: skip
    _add_data(reproduce)
    reproduce.add_argument(
        "--out",
        metavar="DIR",
        default="amfast-reproduce",
        help="folder for CSV files and pictures (default: amfast-reproduce)",
    )
    reproduce.set_defaults(run=_reproduce, level="default")

    commands.add_parser(
        "bench",
        add_help=False,
        help="measure the kernels against their peers on this machine",
    )

    fetch = commands.add_parser(
        "fetch",
        help="download a data set from its public home (needs the data extra)",
        description="Download a data set from its public home, check it against its published hash "
        "and keep it where the other commands find it.",
    )
    fetch.add_argument("name", metavar="NAME", help="mnist, fashion_mnist, cifar10, tinyimagenet")
    _add_data(fetch, "folder to keep it in (default: the user's cache)")
    fetch.set_defaults(run=_fetch)

    check = commands.add_parser(
        "check",
        help="read a saved memory whole and say whether it is sound",
        description="Read a file that save wrote, or a folder of shards, whole: its header, the "
        "checksums, and whether its class takes it. Exit code 1 if it is damaged.",
    )
    check.add_argument("file", metavar="FILE", help="a file or a folder of shards")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_check)

    info = commands.add_parser(
        "info",
        help="version, instruction sets, threads, what is compiled in and installed",
        description="Say what this installation of amfast is made of.",
    )
    info.set_defaults(run=_info)
    return parser


def _add_data(parser: argparse.ArgumentParser, text: str | None = None) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        help=text
        or "folder of mnist.npz, fashion_mnist.npz, cifar10.npz, tinyimagenet.npz "
        "(default: the folder named by AMFAST_DATA)",
    )


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("amfast-memory")
    except metadata.PackageNotFoundError:
        return "(not installed, imported from its source)"


def _experiments() -> str:
    from amfast import reproduce

    width = max(len(name) for name in reproduce.EXPERIMENTS)
    lines = [f"  {name:{width}}  {e.summary}" for name, e in reproduce.EXPERIMENTS.items()]
    return "\n".join(["experiments:", *lines])


def _demo(arguments: argparse.Namespace) -> int:
    if arguments.html is not None:
        from amfast import play

        print(f"page: {play.write(arguments.html, arguments.images).resolve()}")
        return 0
    if arguments.images is not None:
        raise ValueError("--images are for the page: give --html FILE, too")
    from amfast import demo

    return demo.run(arguments.out)


def _reproduce(arguments: argparse.Namespace) -> int:
    from amfast import reproduce

    return reproduce.run(arguments.name, arguments.level, data=arguments.data, out=arguments.out)


def _bench(arguments: list[str]) -> int:
    from amfast import bench

    return bench.main(arguments)


def _fetch(arguments: argparse.Namespace) -> int:
    from amfast import datasets

    print(f"{arguments.name} is in {datasets.fetch(arguments.name, data=arguments.data)}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    import json

    import amfast

    lines: dict[str, Any] = {"file": arguments.file, "sound": False}
    try:
        lines |= amfast.inspect(arguments.file)
        amfast.load(arguments.file, mmap=True, verify=True)
        lines["sound"] = True
    except amfast.FileFormatError as error:
        lines["error"] = " ".join(str(error).split())
    if arguments.json:
        print(json.dumps(lines))
        return 0 if lines["sound"] else 1
    if lines["sound"]:
        print(f"{arguments.file}: sound. {lines['class']}, {lines['nbytes']} bytes of arrays,")
        print(f"written by {lines['writer']} as version {lines['version']}")
        for name, x in lines["arrays"].items():
            print(f"  {name:16} {x['dtype']:8} {tuple(x['shape'])}")
        return 0
    print(lines["error"])
    return 1


def _info(arguments: argparse.Namespace) -> int:
    import platform

    import numpy

    import amfast
    from amfast import datasets

    cpu = amfast.cpu_info()
    override = os.environ.get("AMFAST_ISA")
    lines = {
        "amfast": _version(),
        "extension": f"{cpu.get('version', '?')}, profile {cpu.get('profile', '?')}, "
        f"features: {', '.join(cpu.get('features', ())) or 'none'}",
        "instruction set": str(cpu["isa"]) + (" (by AMFAST_ISA)" if override else ""),
        "available": ", ".join(cpu["available"]),
        "threads": f"{amfast.get_num_threads()} of {cpu.get('cores', os.cpu_count())} cores",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "numpy": numpy.__version__,
    }
    for extra, modules in _EXTRAS.items():
        absent = [m for m in modules if importlib.util.find_spec(m) is None]
        state = "installed" if not absent else f"without {', '.join(absent)}"
        lines[f"extra {extra}"] = state
    for name in datasets.names():
        state = "on this machine" if datasets.available(name) else "not here"
        lines[f"data {name}"] = state
    width = max(len(key) for key in lines)
    for key, value in lines.items():
        print(f"{key:{width}}  {value}")
    return 0
