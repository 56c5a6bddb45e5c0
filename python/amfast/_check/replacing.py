"""A file is replaced whole: at any time the old one or the new one is there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Callable[..., BinaryIO]]:
    """Write a new file, which is in the old one's place when the block ends.

    The block is given a function that opens the new file, and with a path another one of the same
    folder, which is not there yet. All of them last before the new one is in place; none is left by
    a block that fails.

    Raises
    ------
    OSError
        If there is something at the path that is no file, or no folder for it.

    Notes
    -----
    A process that is killed leaves the old file, and may leave the others, and a part of the new
    one as ``.NAME.*.tmp``, which nobody reads.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is no file that could be replaced, but a device, pipe or socket")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    fresh = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    made: list[Path] = []
    try:
        with contextlib.ExitStack() as opened:
            files = []

            def create(place: Path = fresh) -> BinaryIO:
                file: BinaryIO = opened.enter_context(_created(place))
                made.append(place)
                files.append(file)
                return file

            yield create
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        os.replace(fresh, target)
    except BaseException:
        if fresh.exists() or fresh not in made:  # else it is in place, and what is beside it counts
            for place in made:
                place.unlink(missing_ok=True)
        raise
    _settle_folder(target.parent)


def _created(path: Path) -> BinaryIO:
    """Open a file that is not there yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return open(os.open(path, flags, 0o666), "wb")


def _settle_folder(folder: Path) -> None:
    """Make a new name in a folder last, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
