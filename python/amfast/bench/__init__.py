"""``amfast bench``: how fast the kernels are here, beside their peers and the machine's own limit.

`_rows` holds the table of workloads, `_peers` how each peer is called, `_case` what a workload is
and how one is measured, `_clock` how calls are timed and memory is read, `_machine` what the
machine could do at best, `_report` what is printed, `_chart` what is drawn. A new row is an entry
in `_rows` and nothing else; ``benches/`` runs the same entries under pytest-benchmark.
"""

from amfast.bench._command import add_arguments, run
from amfast.bench._rows import ROWS

__all__ = ["ROWS", "add_arguments", "run"]
