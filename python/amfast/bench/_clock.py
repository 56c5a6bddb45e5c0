"""Timing side by side, and how much memory a call takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Seconds before a call. A peer's workers go on spinning after its call, OpenBLAS's for up to a
#: tenth of a second; on two cores the next call would pay with half its speed.
PAUSE = 0.15


def best_times(
    calls: Mapping[str, Callable[[], Any]],
    budget: float,
    warm_up: Mapping[str, float],
    pause: float = PAUSE,
) -> dict[str, float]:
    """Time calls in turn, A B A B, and keep the best time of each.

    Parameters
    ----------
    calls : mapping of str to callable
        What to time; each is expected to have run once.
    budget : float
        Seconds to spend in all, pauses included, roughly. Every call gets 5 to 50 rounds, at least
        3 if it is so slow that a round takes half the budget.
    warm_up : mapping of str to float
        What each took the first time, in seconds. A call that took more than a third of the budget
        is timed once more only: its best time is far from the lead and would cost minutes.
    pause : float
        Seconds to wait before each. With 0, every call directly follows one of another, as in a
        pipeline that calls two libraries in turn; slow ones, too, have every turn then.

    Returns
    -------
    dict of str to float
        Seconds.
    """
    best = dict.fromkeys(calls, math.inf)
    quick = [name for name in calls if warm_up[name] <= budget / 3 or not pause] or list(calls)
    round_ = sum(warm_up[name] + pause for name in quick)
    rounds = min(max(int(budget / round_), 5 if round_ < budget / 2 else 3), 50)
    for turn in range(rounds):
        for name, call in calls.items():
            if turn and name not in quick:
                continue
            time.sleep(pause)
            for _ in range(_repeats(warm_up[name]) if pause else 1):
                best[name] = min(best[name], timed(call)[0])
    return best


def duels(
    calls: Mapping[str, Callable[[], Any]], times: Mapping[str, float], budget: float
) -> dict[str, dict[str, float]]:
    """Time the first call in turn with one of the others after the other, without a pause.

    Parameters
    ----------
    calls : mapping of str to callable
        What to time, ours first.
    times : mapping of str to float
        What each takes with a pause, in seconds. Who then takes twice the time of the best peer
        is left out: he does not become the best one by this.
    budget : float
        Seconds to spend in all, roughly.

    Returns
    -------
    dict of str to dict
        For each of the others, the seconds of ours and of its own.
    """
    ours, *others = calls
    best = min(times[name] for name in others)
    near = [name for name in others if times[name] <= 2 * best]
    return {
        name: best_times(
            {ours: calls[ours], name: calls[name]}, budget / len(near), times, pause=0.0
        )
        for name in near
    }


def _repeats(seconds: float) -> int:
    """Return how often to call in a row: after the pause a short call would find cold caches."""
    return min(max(int(0.01 / max(seconds, 1e-9)), 1), 20)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that one call takes, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def extra_memory(call: Callable[[], Any]) -> int:
    """Return by how many bytes the process grew at most while a call ran, its result included.

    Reads Linux's own high-water mark, so memory that Python knows nothing of counts too.

    Raises
    ------
    OSError
        On systems that keep no such mark.
    """
    # 5 sets the high-water mark back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before = _status("VmRSS")
    result = call()
    after = _status("VmHWM")
    del result
    return max(after - before, 0)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
