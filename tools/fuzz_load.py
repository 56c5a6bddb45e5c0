"""Feed damaged and forged files to `amfast.load`, by atheris: ``tools/long_checks.sh atheris``.

Checksums stop what is merely damaged, so half of the inputs are sealed anew: the length of the
header and all checksums are made right, and what was changed reaches the classes. A file is refused
by a FileFormatError or makes an object that can be printed, saved and loaded again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["amfast"]):
    import amfast as am

    for name in am.__all__:
        getattr(am, name)

warnings.simplefilter("ignore")
FOLDER = tempfile.TemporaryDirectory()
FILE, AGAIN = Path(FOLDER.name, "file"), Path(FOLDER.name, "again")
OWN_CRC = re.compile(rb'"header_crc32": "[0-9a-f]{8}"')
ZEROS = b'"header_crc32": "00000000"'


def sealed(raw: bytes) -> bytes:
    """Return a file with right checksums where it has fields for them."""
    length = int.from_bytes(raw[:8], "little")
    text, data = raw[8 : 8 + length], raw[8 + length :]
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        header = json.loads(text)
        metadata = header["__metadata__"]
        crcs = json.loads(metadata["crc32"])
        for name in crcs:
            start, stop = header[name]["data_offsets"]
            crcs[name] = f"{zlib.crc32(data[start:stop]):08x}"
        metadata["crc32"] = json.dumps(crcs)
        text = json.dumps(header).encode()
    text = OWN_CRC.sub(ZEROS, text, count=1)
    text += b" " * (-(8 + len(text)) % 64)
    right = b'"header_crc32": "%08x"' % zlib.crc32(text)
    return len(text).to_bytes(8, "little") + text.replace(ZEROS, right, 1) + data


def one(raw: bytes) -> None:
    """Load one input in the way that its length says."""
    way = len(raw) % 4
    FILE.write_bytes(sealed(raw) if way % 2 else raw)
    try:
        found = am.load(FILE, mmap=way >= 2)
    except am.FileFormatError as error:
        if "\n" in str(error) or str(FILE) not in str(error):
            raise AssertionError(
                f"the error does not name the file in one line: {error}"
            ) from error
        return
    repr(found)
    if hasattr(found, "save"):
        found.save(AGAIN)
        am.load(AGAIN, verify=way < 2)
        os.unlink(AGAIN)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
