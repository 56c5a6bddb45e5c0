"""Take the folder a wheel was built in out of the bill of materials it carries.

``python tools/finish_wheel.py WHEEL...`` rewrites wheels in place. maturin's bill of materials
names this package by its path on the machine that built it; what it calls everything else is
already the same everywhere. Entries are packed as tightly as zip allows, by Zopfli where zopflipy
is installed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zipfile
from pathlib import Path

try:
    from zopfli import ZipFile
except ImportError:
    from zipfile import ZipFile

# The package and what belongs to it: path+file:///folder#amfast@0.1.0, with "bin-target-0" behind.
PATH = re.compile(rb"path\+file://[^\"#]*#")
DOWNLOAD = re.compile(rb"\?download_url=file://[^\"#]*")


def finished(name: str, data: bytes) -> bytes:
    """Return an entry of the wheel as it should be."""
    if "/sboms/" in name:
        data = DOWNLOAD.sub(b"", PATH.sub(b"pkg:cargo/", data))
        if b"file://" in data:
            sys.exit(f"error: {name} still names a folder of this machine")
    return data


def record(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    """Return the list of entries with their checksums, which does not sum up itself."""
    lines = []
    for info, data in entries:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        own = info.filename.endswith(".dist-info/RECORD")
        lines.append(
            f"{info.filename},," if own else f"{info.filename},sha256={digest},{len(data)}"
        )
    return "".join(line + "\n" for line in lines).encode()


def finish(wheel: Path) -> None:
    """Rewrite one wheel."""
    with ZipFile(wheel) as source:
        entries = [(info, finished(info.filename, source.read(info))) for info in source.infolist()]
    with ZipFile(wheel, "w") as target:
        for info, data in entries:
            data = record(entries) if info.filename.endswith(".dist-info/RECORD") else data
            target.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        finish(Path(argument))
