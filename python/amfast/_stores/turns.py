"""Who changes something, one at a time."""

from __future__ import annotations

import os
import threading


class Turn:
    """A lock that a fork leaves behind, where the thread that held it is no more.

    It is one that a signal handler may take again: whoever was interrupted finds what he changed
    changed, and begins anew.
    """

    def __init__(self) -> None:
        # One for each process of a line of forks. Threads that come first together agree by the
        # dictionary on whose lock it is.
        self._locks = {os.getpid(): threading.RLock()}

    def __enter__(self) -> None:
        """Wait for the others."""
        lock = self._locks.get(os.getpid())
        if lock is None:
            lock = self._locks.setdefault(os.getpid(), threading.RLock())
        lock.acquire()

    def __exit__(self, *error: object) -> None:
        """Let the next one."""
        self._locks[os.getpid()].release()
