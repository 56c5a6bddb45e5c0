"""Work in a thread beside the caller's, for which nobody waits for ever."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import contextvars
import os
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

# Seconds after which a wait looks whether there is still something to wait for, and for Ctrl-C,
# where the wait itself does not notice it.
_LOOK = 0.2
_END = object()
_T = TypeVar("_T")


class Ahead(Generic[_T]):
    """What an iterator yields: one thread asks it for all items, one ahead of who takes them.

    No `threading.Thread`, and nothing that makes one: its ``start`` waits for ever for a thread
    that had memory for its stack and for nothing else, and so ended before it began. Here such a
    thread is noticed, and the iterator is asked in the caller's, as where no thread can be started.
    The interpreter waits for an iterator that is being asked before it ends.

    Parameters
    ----------
    items : iterator
        Asked in the caller's context.
    """

    def __init__(self, items: Iterator[_T]) -> None:
        self._items, self._left, self._pid = items, False, os.getpid()
        self._item: Any = _END
        self._error: BaseException | None = None
        self._ready, self._wanted, self._ended = (_thread.allocate_lock() for _ in range(3))
        for lock in (self._ready, self._wanted, self._ended):
            lock.acquire()
        run = self._run
        # The thread alone keeps it, so that it is gone with the thread, however that ended.
        self._running = weakref.ref(run)
        _OPEN.add(self)
        with contextlib.suppress(RuntimeError):  # no room, or the interpreter is about to end
            _thread.start_new_thread(contextvars.copy_context().run, (run,))

    def _run(self) -> None:
        try:
            while True:
                self._item = item = next(self._items, _END)
                self._ready.release()
                if item is _END or self._left:
                    return
                del item
                self._wanted.acquire()
                if self._left:
                    return
        except BaseException as error:
            self._error = error
            self._ready.release()
        finally:
            self._ended.release()

    def _goes_on(self) -> bool:
        """Whether there is a thread; a fork leaves it behind."""
        return self._running() is not None and self._pid == os.getpid()

    def _go_on(self) -> None:
        if self._wanted.locked():
            self._wanted.release()

    def __iter__(self) -> Iterator[_T]:
        """Return itself."""
        return self

    def __next__(self) -> _T:
        """Wait for the next item, and let the one behind be asked for."""
        ready = False
        while not ready and self._goes_on():
            ready = self._ready.acquire(timeout=_LOOK)
        if not (ready or self._ready.acquire(blocking=False)):
            return next(self._items)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        item, self._item = self._item, _END
        if item is _END:
            raise StopIteration
        self._go_on()
        found: _T = item
        return found

    def leave(self) -> None:
        """Let no item be asked for beyond the present one."""
        self._left = True
        self._go_on()

    def close(self) -> None:
        """Leave, and wait until the iterator is at rest."""
        self.leave()
        while self._goes_on() and not self._ended.acquire(timeout=_LOOK):
            pass


_OPEN: weakref.WeakSet[Ahead[Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for one in tuple(_OPEN):
        one.close()
