"""A memory in a folder: parts that only ever come, a list of them, and one writer at a time.

What was stored together is a part, a file as `save` writes it, which never changes. A list names
the parts that count, in order, and the ids that were deleted; it is replaced as a whole, so a
reader sees what there was at one moment, and whoever dies between a part and the list leaves a file
that nobody names. Memories are monoids: all parts merged are the memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amfast import _check
from amfast._check import savable, tensors
from amfast._check.tensors import Content, FileFormatError
from amfast._stores.items import Items
from amfast._stores.turns import Turn
from amfast._typing import Int, Mask
from amfast.kernels import Blocks
from amfast.memories.base import Memory

__all__ = ["Shards"]

_LIST, _LOCK, _EMPTY = savable.LIST, "lock", "empty.safetensors"
_PART = re.compile(r"part-\d{8,12}\.safetensors")
# How often a reader looks again when a part has gone: somebody made one of many meanwhile.
_TRIES = 5


class _List(NamedTuple):
    """What the list says: the parts that count."""

    kind: str
    """Class of the memory."""
    names: tuple[str, ...]
    counts: tuple[int, ...]
    """What each part holds."""
    firsts: tuple[int, ...]
    """What is added to the ids of each part."""
    deleted: Int
    """Ids of the items in them that do not count, ascending."""
    n_ids: int
    """The id of the next item."""
    number: int
    """Of the next part."""
    writer: str = ""

    @classmethod
    def read(cls, folder: Path) -> _List:
        content = tensors.read(folder / _LIST)
        parts, path = content.parts, folder / _LIST
        if content.kind != "Shards":
            raise FileFormatError(f"{path}: a {content.kind}, no list of shards")
        try:
            names = tuple(parts["names"])
            counts, firsts = (tuple(map(int, parts[name])) for name in ("counts", "firsts"))
            own = cls(
                str(parts["kind"]), names, counts, firsts, content.arrays["deleted"],
                int(parts["n_ids"]), int(parts["number"]), content.writer,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{path}: no list of shards: {error}") from error
        if not len(names) == len(counts) == len(firsts) or not all(
            isinstance(name, str) and _PART.fullmatch(name) for name in names
        ):
            raise FileFormatError(f"{path}: no list of shards: names and counts do not fit")
        return own

    def write(self, folder: Path, beside: tuple[tuple[Path, Content], ...] = ()) -> None:
        parts = {
            "kind": self.kind, "names": list(self.names), "counts": list(self.counts),
            "firsts": list(self.firsts),
            "n_ids": self.n_ids, "number": self.number,
        }  # fmt: skip
        writer = f"amfast {savable.version()}"
        content = Content("Shards", parts, {"deleted": self.deleted}, writer)
        tensors.write(folder / _LIST, content, beside)


class Shards:
    """A memory in a folder that is added to in milliseconds, however much it holds.

    Made by `Shards.create`, opened by ``amfast.load(folder)``. One process writes at a time, any
    number read; a reader sees the parts that there were when it looked (`refresh` looks again).

    Parameters
    ----------
    folder : str or Path
        One that `create` made.
    mmap : bool, default True
        Whether parts are mapped rather than read.

    Examples
    --------
    >>> import pathlib, tempfile, amfast as am
    >>> with tempfile.TemporaryDirectory() as there:
    ...     folder = pathlib.Path(there) / "notes"
    ...     with am.Shards.create(folder, like=am.UniversalHopfield("l1", "max")) as shards:
    ...         ids = shards.append([[0.0, 1.0], [1.0, 0.0]])
    ...         ids = shards.append([[0.5, 0.5]])
    ...     found = am.load(folder)
    ...     found, found.memory().recall([0.6, 0.5])
    (<Shards of UniversalHopfield: 3 stored in 2 parts>, array([0.5, 0.5]))
    """

    def __init__(self, folder: str | os.PathLike[str], *, mmap: bool = True) -> None:
        self._folder, self._mmap = savable.path_of(folder), mmap
        self._lock: int | None = None
        self._owner, self._turn = 0, Turn()
        self._blank: Any = None
        self._first: tuple[str, Any] = "", None
        self._list = _List.read(self._folder)

    # -- making and opening -----------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | os.PathLike[str], like: Any) -> Shards:
        """Make an empty folder of shards, and be its writer.

        Parameters
        ----------
        folder : str or path
            Made if it is not there; it must hold nothing.
        like : Memory
            Gives class and parameters; what it holds stays there. Of one that does not merge the
            second `append` is refused.

        Raises
        ------
        TypeError
            If it is no memory, or has a Python function inside.
        FileExistsError
            If the folder holds something.
        """
        if not isinstance(like, Memory):
            raise TypeError(f"like must be a memory, got {type(like).__name__}")
        empty = type(like)(**like._parameters())
        empty._saved()
        folder = savable.path_of(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # What somebody left who died while he made it counts as nothing.
        if any(p.name != _EMPTY and not p.name.endswith(".tmp") for p in folder.iterdir()):
            raise FileExistsError(f"{folder} holds something; shards begin in an empty folder")
        empty.save(folder / _EMPTY)
        _List(type(like).__name__, (), (), (), np.empty(0, np.int64), 0, 0).write(folder)
        made = cls(folder)
        made._write_alone()
        return made

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return self._folder

    def refresh(self) -> Shards:
        """Look at the list again, and return itself.

        Returns
        -------
        Shards
            Itself.
        """
        self._list = _List.read(self._folder)
        return self

    def close(self) -> None:
        """Let another process write. Happens by itself when this one ends, however it does."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> Shards:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close."""
        with contextlib.suppress(AttributeError, OSError):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Where it is: whoever gets this looks for himself, and does not write yet."""
        return {"folder": self._folder, "mmap": self._mmap}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the folder again."""
        self.__init__(state["folder"], mmap=state["mmap"])  # type: ignore[misc]

    # -- looking ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count what is stored."""
        return sum(self._list.counts) - len(self._list.deleted)

    @property
    def n_parts(self) -> int:
        """How many files hold it; `compact` makes one of them."""
        return len(self._list.names)

    def __repr__(self) -> str:
        """Say how much of what there is."""
        return f"<Shards of {self._list.kind}: {len(self)} stored in {self.n_parts} parts>"

    def memory(self, *, verify: bool | None = None) -> Any:
        """Return everything as one memory; its ids are those of `append`.

        A single part without deleted items is mapped if the shards were opened so, and copied by
        the first change. Several are merged, which copies: `compact` first where that matters, or
        read them by `blocks`.

        Parameters
        ----------
        verify : bool, optional
            Whether checksums are compared, as of `load`.

        Returns
        -------
        Memory
        """
        for _ in range(_TRIES):
            try:
                return self._merged(verify)
            except FileNotFoundError:
                self.refresh()  # somebody compacted: what the old list named is gone
        return self._merged(verify)

    def blocks(self, rows: int | None = None) -> Blocks:
        """Return the keys, with their values, as `Blocks` for `topk`, `within` and `retrieve`.

        Nothing is merged or copied. Row i of all blocks is the item ``ids()[i]``; deleted items are
        left out. Item weights come along: `retrieve` reads with them.

        Parameters
        ----------
        rows : int, optional
            Of a block; None means that memory decides, as of `Blocks`.

        Returns
        -------
        Blocks
        """
        parts = [(part, first) for part, first in self._numbered() if len(part)]
        if not parts:
            raise ValueError("the shards are empty; append something first")
        if not isinstance(parts[0][0]._store, Items):
            raise ValueError(f"a {self._list.kind} keeps no items that could be read in blocks")
        chosen = [_chosen(part.ids + first, self._list.deleted) for part, first in parts]
        held = list(zip([part._store.now for part, _ in parts], chosen, strict=True))
        keys = [now.keys[some] for now, some in held]
        log_weight = None
        if any(now.weighted for now, _ in held):
            log_weight = np.concatenate([now.log_weight[some] for now, some in held])
        if not held[0][0].heteroassociative:
            return Blocks(keys, rows, log_weight=log_weight)
        values = [now.values[some] for now, some in held]
        return Blocks((keys, values), rows, log_weight=log_weight)

    def ids(self) -> Int:
        """Return the ids of all items, (N,) ascending.

        Returns
        -------
        (N,) int64 array
        """
        ids = [part.ids + first for part, first in self._numbered()]
        every = np.concatenate([np.empty(0, np.int64), *ids])
        return every[~np.isin(every, self._list.deleted)]

    def _numbered(self) -> Iterator[tuple[Any, int]]:
        return zip(self._parts(None), self._list.firsts, strict=True)

    def _merged(self, verify: bool | None) -> Any:
        total: Any = None
        for part in self._parts(verify):
            total = part if total is None else total.merge(part)
        if total is None:
            return self._empty()
        if len(self._list.deleted):
            total.delete(self._list.deleted)
        return total

    def _parts(self, verify: bool | None) -> Iterator[Any]:
        for name, count in zip(self._list.names, self._list.counts, strict=True):
            part = savable.opened(self._folder / name, self._mmap, verify)
            if type(part).__name__ != self._list.kind or len(part) != count:
                raise FileFormatError(
                    f"{self._folder / name}: holds {part!r}, the list says {count} of a "
                    f"{self._list.kind}"
                )
            yield part

    def _empty(self) -> Any:
        if self._blank is None:
            self._blank = savable.opened(self._folder / _EMPTY, False, None)
        return type(self._blank)(**self._blank._parameters())

    # -- changing ---------------------------------------------------------------------------------

    def append(self, keys: Any, values: Any = None, weights: Any = None) -> Int:
        """Store items, on the disk when this returns.

        Parameters
        ----------
        keys : (N, d) array or BitMatrix
        values : (N, o) array or BitMatrix, optional
        weights : (N,) array, optional
            As the memory's ``store`` takes them.

        Returns
        -------
        (N,) int64 array
            Ids for `delete`, never used again.

        Raises
        ------
        BlockingIOError
            If another process writes; it is named.
        ValueError, TypeError, OSError
            As ``store`` and ``save``. Nothing is stored then.
        """
        with self._turn:
            return self._appended(keys, values, weights)

    def _appended(self, keys: Any, values: Any, weights: Any) -> Int:
        self._write_alone()
        now = self._list
        part = self._empty()
        more = {} if weights is None else {"weights": weights}
        ids = np.asarray(part.store(keys, values, **more), np.int64) + now.n_ids
        if len(part) == 0:
            return ids
        if now.names:
            if self._first[0] != now.names[0]:
                first = savable.opened(self._folder / now.names[0], True, False)
                self._first = now.names[0], first
            self._first[1]._check_merge(part)
        name = f"part-{now.number:08d}.safetensors"
        fresh = now._replace(
            names=(*now.names, name), counts=(*now.counts, len(part)),
            firsts=(*now.firsts, now.n_ids), n_ids=now.n_ids + len(ids), number=now.number + 1,
        )  # fmt: skip
        self._replace(fresh, part)
        return ids

    def delete(self, ids: Any) -> None:
        """Leave items out, by the ids that `append` returned; `compact` takes them off the disk.

        Parameters
        ----------
        ids : int or (M,) int array

        Raises
        ------
        ValueError
            If an id is unknown, deleted before or named twice, or the memory keeps no items.
            Nothing is deleted then.
        BlockingIOError
            As `append`.
        """
        gone = _check.item_ids(ids)
        with self._turn:
            self._write_alone()
            self._empty()._need_items("delete")
            missing = np.setdiff1d(gone, self.ids())
            if len(missing):
                raise ValueError(f"no item has the id {missing[0]}")
            if len(gone):
                deleted = np.union1d(self._list.deleted, gone)
                self._replace(self._list._replace(deleted=deleted))

    def compact(self) -> Shards:
        """Make one part of all, without what was deleted; ids stay. Returns itself.

        Takes the memory and the time of reading and writing everything. Readers that look
        meanwhile see the old parts or the new one.

        Returns
        -------
        Shards
            Itself.
        """
        with self._turn:
            self._write_alone()
            now = self._list
            if len(now.names) > 1 or len(now.deleted):
                total = self._merged(None)
                name = f"part-{now.number:08d}.safetensors"
                fresh = now._replace(number=now.number + 1, deleted=np.empty(0, np.int64))
                fresh = fresh._replace(names=(name,), counts=(len(total),), firsts=(0,))
                self._replace(fresh, total)
            self._first = "", None
            self._sweep()
        return self

    def _replace(self, fresh: _List, part: Any = None) -> None:
        """Put another list in the place of this one, with its last part if that is a new one."""
        beside: tuple[tuple[Path, Content], ...] = ()
        if part is not None:
            path = self._folder / fresh.names[-1]
            path.unlink(missing_ok=True)  # what a dead writer left, which no list names
            beside = ((path, savable.content_of(part)),)
        try:
            fresh.write(self._folder, beside)
        except BaseException:
            self.refresh()  # who is interrupted does not know whether it was replaced
            raise
        self._list = fresh

    def _sweep(self) -> None:
        """Remove files that no list names: of dead writers, and those that were compacted."""
        for path in self._folder.iterdir():
            named = path.name in (*self._list.names, _LIST, _LOCK, _EMPTY)
            ours = path.name.startswith("part-") or path.name.endswith(".tmp")
            if ours and not named:
                with contextlib.suppress(OSError):  # Windows keeps what is mapped
                    path.unlink()

    def _write_alone(self) -> None:
        """Become the one writer, by a lock that the system takes back from the dead."""
        if self._lock is not None and self._owner == os.getpid():
            return
        path = self._folder / _LOCK
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(lock)
        except OSError as error:
            os.close(lock)
            owner = path.read_text("utf-8", "replace").strip()[:200] or "another process"
            raise BlockingIOError(f"{self._folder} is written by {owner}") from error
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        self._lock, self._owner = lock, os.getpid()
        self.refresh()  # what was written by another until now


def _take(lock: int) -> None:
    """Lock an open file until it is closed, or raise at once."""
    if os.name == "nt":
        import msvcrt

        os.lseek(lock, 1 << 20, os.SEEK_SET)  # a byte behind the text, which others may read
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        os.lseek(lock, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _chosen(ids: Int, deleted: Int) -> slice | Mask:
    """Return what leaves deleted items out; a slice, and so no copy, where there are none."""
    inside = deleted[(deleted >= ids[0]) & (deleted <= ids[-1])]
    return slice(None) if len(inside) == 0 else ~np.isin(ids, inside)


def opened(folder: Path, mmap: bool, verify: bool | None) -> Shards:
    """Open a folder for `load`; asked to verify, read every part."""
    savable.list_in(folder)
    found = Shards(folder, mmap=mmap)
    if verify:
        for _ in found._parts(True):
            pass
    return found
