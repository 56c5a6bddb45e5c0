"""The page, put together from its parts."""

from __future__ import annotations

import base64
import json
import os
import re
from importlib import resources
from pathlib import Path

import numpy as np

from amfast._check.replacing import replaced
from amfast.play import curves
from amfast.play.pictures import SIDE, Pictures, bundled, from_folder

# In the order in which the browser runs them: each knows those before it.
SCRIPTS = (
    "chance", "memories", "capacity", "charts", "link", "panel", "tries", "player", "easel", "lab",
    "page",
)  # fmt: skip


def page(images: str | Path | None = None) -> str:
    """Return the page as text.

    Parameters
    ----------
    images : str or Path, optional
        A folder of pictures to store; default twenty images of clothes that amfast brings.

    Returns
    -------
    str
        HTML that needs no other file and no network.

    Raises
    ------
    ValueError, OSError, ImportError
        For a folder that has too few pictures, too many, or cannot be read; without Pillow.

    Examples
    --------
    >>> from amfast import play
    >>> text = play.page()
    >>> text.startswith("<!doctype html>"), len(text) < 300_000
    (True, True)
    """
    pictures = bundled() if images is None else from_folder(images)
    parts = {
        "style": _part("style.css"),
        "data": _data(pictures, images is None),
        "script": "\n".join(_part(f"{name}.js") for name in SCRIPTS),
    }
    # In one pass: what looks like a place for a part within a part stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _part("page.html"))


def write(path: str | Path, images: str | Path | None = None) -> Path:
    """Write the page to a file, whose folder must exist, and return its path; as `page`.

    A file that cannot be written whole stays as it was.
    """
    text = page(images).encode()
    if os.path.exists(path) and not os.path.isfile(path):  # such as /dev/stdout
        Path(path).write_bytes(text)
        return Path(path)
    with replaced(path) as create:
        create().write(text)
    return Path(path)


def _part(name: str) -> str:
    return (resources.files("amfast") / "play" / name).read_text(encoding="utf-8")


def _data(pictures: Pictures, clothes: bool) -> str:
    packed = [base64.b64encode(np.packbits(row).tobytes()).decode() for row in pictures.bits]
    data = {
        "side": SIDE, "names": pictures.names, "pictures": packed, "bundled": clothes,
        **curves.capacities(),
    }  # fmt: skip
    # Names of files may hold anything; of HTML's own signs this one could end the element.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
