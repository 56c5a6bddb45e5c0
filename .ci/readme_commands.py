"""Print the command lines of a README's first fenced ``sh`` block; there must be exactly two."""

import re
import sys
from pathlib import Path


def main() -> None:
    """Read the file named on the command line."""
    path = Path(sys.argv[1])
    if not path.is_file():
        sys.exit(f"error: {path} does not exist")
    # Any fence opens a block, so that an sh fence inside another block is not taken for one.
    blocks = re.findall(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", path.read_text("utf-8"), re.M | re.S)
    body = next((body for language, body in blocks if language == "sh"), None)
    if body is None:
        sys.exit(f"error: {path} has no block that opens with ```sh")
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) != 2:
        sys.exit(f"error: the first sh block of {path} must hold 2 command lines, got {len(lines)}")
    if any(line.startswith(("#", "$", " ")) or line.endswith("\\") for line in lines):
        sys.exit(f"error: the lines of the first sh block of {path} must be bare commands")
    print("\n".join(lines))


main()
