"""The ``amfast`` command: demo, reproduce, bench, fetch, check and info."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from amfast import _console

_EXITS = "exit codes: 0 all went well, 1 a check failed, 2 wrong usage or data, 130 interrupted"
_EXTRAS = {
    "demo": ("matplotlib", "rich"),
    "data": ("pooch", "PIL"),
    "frames": ("pandas",),
    "dask": ("dask",),
    "completion": ("shtab",),
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
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    parsed.argv = arguments
    _settings()
    with contextlib.ExitStack() as silence:
        if parsed.quiet or parsed.json:
            silence.enter_context(_console.without("text"))
        if parsed.quiet:
            silence.enter_context(_console.without("progress"))
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

    fill: Callable[[_Parser], None] | None = None
    """Says what it takes, once it is used: for that a command may have to be imported."""

    def filled(self) -> _Parser:
        """Return this, with everything it takes."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return self

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.filled()
        return super().parse_known_args(args, namespace)

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


class _PrintCompletion(argparse.Action):
    """Prints what completes the command in a shell, as shtab's own option does."""

    def __call__(self, parser: Any, namespace: Any, shell: Any, option: Any = None) -> None:
        try:
            import shtab
        except ImportError as error:
            raise ImportError(
                'completion needs shtab: pip install "amfast-memory[completion]"'
            ) from error
        from amfast import bench, reproduce
        from amfast._homes import HOMES

        names = {
            "bench": [case.name for case in bench.ROWS],
            "fetch": list(HOMES),
            "reproduce": ["all", *reproduce.EXPERIMENTS],
        }
        files = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
        for command, inner in _commands(parser).items():
            for action in inner.filled()._actions:
                if action.metavar == "NAME":
                    action.choices = names[command]
                elif action.metavar in files:
                    action.complete = files[action.metavar]  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell))
        parser.exit()


def _commands(parser: argparse.ArgumentParser) -> dict[str, _Parser]:
    """Return the parser of every command."""
    return next(
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="amfast",
        description="Associative memories at the speed of the machine.",
        epilog=f"'amfast COMMAND --help' lists the options of a command; {_EXITS}",
    )
    parser.add_argument("--version", action="version", version=f"amfast {_version()}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help="print what completes the command in a shell (needs the completion extra)",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str, more: str, json: bool
    ) -> _Parser:
        command: _Parser = commands.add_parser(
            name,
            help=text,
            description=more,
            epilog=_EXITS,
        )
        command.add_argument(
            "-q", "--quiet", action="store_true", help="print nothing but errors; see the exit code"
        )
        if json:
            command.add_argument(
                "--json", action="store_true", help="print one JSON document and nothing else"
            )
        command.set_defaults(run=run, json=False)
        return command

    demo = add(
        "demo",
        _demo,
        "recall real images from corrupted cues with several memories (offline, seconds)",
        "Store real images, corrupt them three ways, recall them with several memories; print a "
        "table and write one picture. Works offline in a few seconds. With --html write instead a "
        "page in which two memories recall pictures side by side.",
        json=False,
    )
    demo.add_argument(
        "--out", metavar="DIR", default=".", help="folder for the picture (default: this one)"
    )
    demo.add_argument("--html", metavar="FILE", help="write the page to this file, and no picture")
    demo.add_argument(
        "--images", metavar="DIR", help="pictures for the page (default: twenty bundled ones)"
    )

    reproduce = add(
        "reproduce",
        _reproduce,
        "reproduce figures of the literature: tables, CSV, pictures, claim by claim",
        "Reproduce figures and numbers of the literature. Prints measured / expected / tolerance / "
        "PASS rows and a line per claim of a paper; writes CSV and PNG.",
        json=True,
    )
    reproduce.fill = _experiments
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
    reproduce.set_defaults(level="default")

    bench = add(
        "bench",
        _bench,
        "measure the kernels against their peers on this machine",
        "Measure the kernels beside faiss, scikit-learn, SciPy, torch and NumPy, on the same data "
        "with equal threads, and against what the machine could do at best. Peers come with "
        'pip install "amfast-memory[bench]"; those that are missing are listed.',
        json=True,
    )
    bench.fill = _rows

    fetch = add(
        "fetch",
        _fetch,
        "download a data set from its public home (needs the data extra)",
        "Download a data set from its public home, check it against its published hash and keep "
        "it where the other commands find it.",
        json=False,
    )
    fetch.add_argument("name", metavar="NAME", help="mnist, fashion_mnist, cifar10, tinyimagenet")
    _add_data(fetch, "folder to keep it in (default: the user's cache)")

    check = add(
        "check",
        _check,
        "read a saved memory whole and say whether it is sound",
        "Read a file that save wrote, or a folder of shards, whole: its header, the checksums, and "
        "whether its class takes it. Exit code 1 if it is damaged.",
        json=True,
    )
    check.add_argument("file", metavar="FILE", help="a file or a folder of shards")

    add(
        "info",
        _info,
        "version, instruction sets, threads, what is compiled in and installed",
        "Say what this installation of amfast is made of.",
        json=True,
    )
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


def _experiments(parser: argparse.ArgumentParser) -> None:
    """Add the list of experiments to the help of ``reproduce``."""
    from amfast import reproduce

    width = max(len(name) for name in reproduce.EXPERIMENTS)
    lines = [f"  {name:{width}}  {e.summary}" for name, e in reproduce.EXPERIMENTS.items()]
    _add_list(parser, "experiments:", lines)


def _rows(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bench``, and the list of its rows."""
    from amfast import bench

    bench.add_arguments(parser)
    _add_list(parser, "rows:", [f"  {case.row:>2}  {case.name}" for case in bench.ROWS])


def _add_list(parser: argparse.ArgumentParser, heading: str, lines: list[str]) -> None:
    """Let the help end with a list, a line each."""
    parser.description = textwrap.fill(parser.description or "", 78)
    parser.epilog = "\n".join([heading, *lines, "", _EXITS])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


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

    return reproduce.run(
        arguments.name,
        arguments.level,
        data=arguments.data,
        out=arguments.out,
        json=arguments.json,
    )


def _bench(arguments: argparse.Namespace) -> int:
    from amfast import bench

    return bench.run(arguments)


def _fetch(arguments: argparse.Namespace) -> int:
    from amfast import datasets

    if arguments.quiet:
        with contextlib.suppress(ImportError):  # which fetch itself will say
            import pooch

            pooch.get_logger().setLevel("ERROR")
    path = datasets.fetch(arguments.name, data=arguments.data)
    _console.say(f"{arguments.name} is in {path}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    import amfast

    found: dict[str, Any] = {"file": arguments.file, "sound": False}
    try:
        found |= amfast.inspect(arguments.file)
        amfast.load(arguments.file, mmap=True, verify=True)
        found["sound"] = True
    except amfast.FileFormatError as error:
        found["error"] = " ".join(str(error).split())
    if arguments.json:
        _console.document(found)
    if not found["sound"]:
        _console.say(found["error"])
        return 1
    _console.say(f"{arguments.file}: sound. {found['class']}, {found['nbytes']} bytes of arrays,")
    _console.say(f"written by {found['writer']} as version {found['version']}")
    for name, x in found["arrays"].items():
        _console.say(f"  {name:16} {x['dtype']:8} {tuple(x['shape'])}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    import platform

    import numpy

    import amfast
    from amfast import datasets

    cpu = amfast.cpu_info()
    absent = {
        extra: [module for module in modules if importlib.util.find_spec(module) is None]
        for extra, modules in _EXTRAS.items()
    }
    here = {name: datasets.available(name) for name in datasets.names()}
    python = {"version": platform.python_version(), "platform": platform.platform()}
    versions = {"version": _version(), "numpy": numpy.__version__, "python": python}
    threads = amfast.get_num_threads()
    if arguments.json:
        extras = {extra: {"missing": modules} for extra, modules in absent.items()}
        _console.document(
            versions | {"threads": threads, "engine": cpu, "extras": extras, "data": here}
        )
    lines = {
        "amfast": versions["version"],
        "extension": f"{cpu.get('version', '?')}, profile {cpu.get('profile', '?')}, "
        f"features: {', '.join(cpu.get('features', ())) or 'none'}",
        "instruction set": str(cpu["isa"])
        + (" (by AMFAST_ISA)" if os.environ.get("AMFAST_ISA") else ""),
        "available": ", ".join(cpu["available"]),
        "threads": f"{threads} of {cpu.get('cores', os.cpu_count())} cores",
        "python": f"{python['version']} on {python['platform']}",
        "numpy": versions["numpy"],
    }
    for extra, modules in absent.items():
        lines[f"extra {extra}"] = "installed" if not modules else f"without {', '.join(modules)}"
    for name, found in here.items():
        lines[f"data {name}"] = "on this machine" if found else "not here"
    width = max(len(key) for key in lines)
    for key, value in lines.items():
        _console.say(f"{key:{width}}  {value}")
    return 0
