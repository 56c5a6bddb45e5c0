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


_VARIABLE = "AMFAST_NUM_THREADS"


def _threads_at_start(text: str) -> int | None:
    """Read the variable's text: a number, all cores if it is empty, None if it makes no sense."""
    if not text:
        return min(_cores(), _check.MAX_THREADS)
    number = text.isascii() and text.isdigit() and len(text) <= len(str(_check.MAX_THREADS))
    return int(text) if number and 1 <= int(text) <= _check.MAX_THREADS else None


_at_start = os.environ.get(_VARIABLE, "").strip()
# None until somebody asks: then it is an error that can be caught, and the command line does.
_module_threads = _threads_at_start(_at_start)
_context_threads: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "amfast_threads", default=None
)


def set_num_threads(n: int) -> None:
    """Set how many threads a call uses when it is not told otherwise, for the whole process.

    Parameters
    ----------
    n : int
        1 to 1024. At import it is ``AMFAST_NUM_THREADS``, or all cores this process may use. A
        variable that makes no sense is refused by the first call that needs it.
    """
    global _module_threads
    _module_threads = _check.integer(n, "n", 1, _check.MAX_THREADS)


def get_num_threads() -> int:
    """Return how many threads a call uses here and now when it is not told otherwise.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If nobody set it and ``AMFAST_NUM_THREADS`` is no int in 1..1024.
    """
    setting = _context_threads.get() or _module_threads
    if setting is None:
        raise ValueError(
            f"{_VARIABLE} must be an int in 1..{_check.MAX_THREADS}, got {_at_start[:40]!r}"
        )
    return setting


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Use ``n`` threads inside a ``with`` block, in this Python thread or task only.

    Parameters
    ----------
    n : int
        1 to 1024.

    Yields
    ------
    None

    Notes
    -----
    Python threads that begin inside the block have its setting too where they inherit the context,
    which they do from CPython 3.14 on if it has no lock (``sys.flags.thread_inherit_context``).

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
