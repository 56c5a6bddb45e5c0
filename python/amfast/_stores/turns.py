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
        self._pid, self._lock = os.getpid(), threading.RLock()

    def __enter__(self) -> None:
        """Wait for the others."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.RLock()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        """Let the next one."""
        self._lock.release()
