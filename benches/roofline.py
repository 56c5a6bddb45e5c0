"""Print what this machine could do at best, by the formulas that `amfast bench` measures against.

python benches/roofline.py [THREADS]
"""

import sys

import amfast
from amfast.bench import ROWS, _case, _machine, _report


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else amfast.get_num_threads()
    machine = _machine.describe(threads)
    print(*_report.about(machine), sep="\n")
    for case in ROWS:
        if isinstance(case, _case.Speed) and case.limit is not None:
            seconds = case.limit(machine, case.size)
            rate = case.unit.value(case.size, seconds)
            workload = f"{case.title} {case.size}"
            print(f"{case.row:>3}  {workload:<48} {rate:8.1f} {case.unit.name}")


main()
