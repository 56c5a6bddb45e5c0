"""``python -m amfast`` is the ``amfast`` command."""

from __future__ import annotations

import sys

from amfast.cli import main

sys.exit(main())
