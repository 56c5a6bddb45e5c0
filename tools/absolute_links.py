"""Make a page's links to files of this tree absolute, for places that show it without the tree.

``python tools/absolute_links.py README.md REF`` changes the page in place: pictures are then read
from, and other links lead to, the repository as it is at REF (a tag or a commit).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPOSITORY = "https://github.com/amfast/amfast"
PICTURES = "https://raw.githubusercontent.com/amfast/amfast"
# A fence is taken whole, so that what looks like a link in code stays as it is.
LINK = re.compile(r"^```.*?^```|(!?)\[([^\]]*)\]\(([^)\s]+)\)", re.M | re.S)


def absolute(text: str, ref: str) -> str:
    """Return the text of a page with links as they read from outside the tree."""

    def lead(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if target is None or re.match(r"#|[a-z]+:", target):
            return match[0]
        base = f"{PICTURES}/{ref}" if picture else f"{REPOSITORY}/blob/{ref}"
        return f"{picture}[{label}]({base}/{target})"

    return LINK.sub(lead, text)


def main() -> None:
    """Change the page that is named."""
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/absolute_links.py PAGE REF")
    page = Path(sys.argv[1])
    page.write_text(absolute(page.read_text("utf-8"), sys.argv[2]), "utf-8")


if __name__ == "__main__":
    main()
