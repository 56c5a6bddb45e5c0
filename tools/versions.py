"""Print the version, or say where it is not the same.

``python tools/versions.py [TAG]`` reads the five places that name it. A tag must be ``v`` and the
version, and the changelog must date it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "Cargo.toml": r'^\[package\]\nname = "amfast"\nversion = "(.+)"$',
    "Cargo.lock": r'^name = "amfast"\nversion = "(.+)"$',
    "pyproject.toml": r'^name = "amfast-memory"\nversion = "(.+)"$',
    "python/amfast/__init__.py": r'^__version__ = "(.+)"$',
    "CHANGELOG.md": r"^## \[(\d.*?)\]",  # the newest release comes first
}


def versions() -> dict[str, str]:
    """Read what every place says."""
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (ROOT / name).read_text("utf-8"), re.M)
        if match is None:
            sys.exit(f"error: {name} names no version, expected {pattern}")
        found[name] = match[1]
    return found


def main() -> None:
    """Compare them with one another and with a tag."""
    found = versions()
    if sys.argv[1:]:
        found["the tag"] = sys.argv[1].removeprefix("v")
    if len(set(found.values())) > 1:
        sys.exit("error: " + ", ".join(f"{name} says {version}" for name, version in found.items()))
    version = found["CHANGELOG.md"]
    dated = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if sys.argv[1:] and not re.search(dated, (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M):
        sys.exit(f"error: CHANGELOG.md must date {version}, as in ## [{version}] - 2027-01-31")
    print(version)


if __name__ == "__main__":
    main()
