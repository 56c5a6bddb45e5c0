"""How many threads a call uses."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator

from amfast import _check


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _threads_at_start() -> int:
    text = os.environ.get("AMFAST_NUM_THREADS", "").strip()
    if not text:
        return min(_cores(), _check.MAX_THREADS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _check.MAX_THREADS):
        raise ValueError(
            f"AMFAST_NUM_THREADS must be an int in 1..{_check.MAX_THREADS}, got {text!r}"
        )
    return int(text)


_module_threads = _threads_at_start()
_context_threads: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "amfast_threads", default=None
)


def set_num_threads(n: int) -> None:
    """Set how many threads a call uses when it is not told otherwise, for the whole process.

    Parameters
    ----------
    n : int
        1 to 1024. At import it is ``AMFAST_NUM_THREADS``, or all cores this process may use.
    """
    global _module_threads
    _module_threads = _check.integer(n, "n", 1, _check.MAX_THREADS)


def get_num_threads() -> int:
    """Return how many threads a call uses here and now when it is not told otherwise."""
    return _context_threads.get() or _module_threads


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Use ``n`` threads inside a ``with`` block, in this Python thread or task only.

    Examples
    --------
    >>> import amfast as am
    >>> with am.threads(1):
    ...     am.get_num_threads()
    1
    """
    token = _context_threads.set(_check.integer(n, "n", 1, _check.MAX_THREADS))
    try:
        yield
    finally:
        _context_threads.reset(token)


def resolve_threads(given: int | None) -> int:
    """``given``, or the setting if None."""
    if given is None:
        return get_num_threads()
    return _check.integer(given, "threads", 1, _check.MAX_THREADS)
