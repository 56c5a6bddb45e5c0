"""What several methods have in common is documented once, and added to the docstrings of others.

``help(memory.scores)`` then says of every memory what goes in and what comes out, while the class
itself says only what is its own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_HEADING = re.compile(r"^(\w[\w ]*)\n-+\n", re.M)


def like(other: Callable[..., Any]) -> Callable[[F], F]:
    """Add to a method's docstring the sections of another's that it lacks.

    Parameters
    ----------
    other : callable
        What it says of parameters, returned values and errors is taken over; of its parameters
        those that the method has.

    Returns
    -------
    callable
        A decorator, which returns the method itself.
    """

    def add(method: F) -> F:
        if method.__doc__ and other.__doc__:  # python -OO has none
            own, theirs = _sections(method.__doc__), _sections(other.__doc__)
            parameters = _merged(method, own.pop("Parameters", ""), theirs.pop("Parameters", ""))
            shared = {"Parameters": parameters}
            shared |= {
                name: own.pop(name, "") or theirs.get(name, "") for name in ("Returns", "Raises")
            }
            head = own.pop("")
            parts = {name: text for name, text in (shared | own).items() if text}
            written = [f"{name}\n{'-' * len(name)}\n{text}" for name, text in parts.items()]
            method.__doc__ = "\n\n".join([head, *written]) + "\n"
        return method

    return add


def inherit(cls: type) -> None:
    """Do that for all methods of a class that override one; for `__init_subclass__`."""
    for name, method in vars(cls).items():
        bases = (vars(base)[name] for base in cls.__mro__[1:] if name in vars(base))
        other = next(bases, None)
        if inspect.isfunction(method) and inspect.isfunction(other) and not name.startswith("_"):
            like(other)(method)


def _sections(text: str) -> dict[str, str]:
    """Return a docstring by headings; what is before the first one is under the empty name."""
    head, *rest = _HEADING.split(inspect.cleandoc(text) + "\n")
    texts = [part.strip("\n") for part in rest[1::2]]
    return {"": head.strip("\n")} | dict(zip(rest[::2], texts, strict=True))


def _merged(method: Callable[..., Any], own: str, theirs: str) -> str:
    """Add to a method's own parameters those of another that it has, too, in their order."""
    entries, order = _entries(own), list(inspect.signature(method).parameters)
    left = set(order).difference(*entries)
    more = {names: text for names, text in _entries(theirs).items() if left >= set(names)}
    place = {name: i for i, name in enumerate(order)}
    merged = sorted((entries | more).items(), key=lambda entry: place.get(entry[0][0], len(place)))
    return "\n".join(text for _, text in merged)


def _entries(text: str) -> dict[tuple[str, ...], str]:
    """Return the parameters of a section, an entry's text by its names."""
    entries = re.split(r"\n(?=\S)", text) if text else []
    return {tuple(re.findall(r"\w+", entry.partition(":")[0])): entry for entry in entries}
