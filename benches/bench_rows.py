"""The rows of ``amfast bench`` under pytest-benchmark: one group per row, one entry per contender.

python -m pytest benches --benchmark-only
python -m pytest benches --benchmark-only -k "retrieve and not torch"
python -m pytest benches --benchmark-only --quick      # tiny sizes: does everything run?
"""

import pytest

import amfast
from amfast.bench import ROWS, _case

ENTRIES = [
    pytest.param(case, contender, id=f"{case.row}-{case.name}-{contender.name}")
    for case in ROWS
    if isinstance(case, _case.Speed)
    for contender in case.contenders
]


@pytest.mark.parametrize(("case", "contender"), ENTRIES)
def bench_row(benchmark, request, case, contender):
    size = case.sized(request.config.getoption("quick"))
    threads = amfast.get_num_threads()
    benchmark.group = f"{case.row} {case.title} {size}"
    pytest.importorskip(contender.module, reason=f"{contender.name} is not installed")
    with _case.limited(threads):
        module = _case.load(contender.module, threads)
        call = contender.prepare(module, _case.make_data(size, case.data, threads))
        benchmark(call)
    seconds = benchmark.stats.stats.min if benchmark.stats else float("nan")
    benchmark.extra_info[case.unit.name] = case.unit.value(size, seconds)
