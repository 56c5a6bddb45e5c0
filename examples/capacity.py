"""How many random patterns a Hopfield network holds, against theory, and a dense memory beside."""

import sys

import amfast as am


def main(quick: bool = False) -> float:
    """Return the critical load of Hebb's rule, per unit: theory says 0.138 for large networks."""
    d = 100 if quick else 500
    loads = [round(d * x) for x in (0.05, 0.1, 0.13, 0.16, 0.2, 0.3)]
    memories = {
        "Hebb": am.Hopfield(),
        "projection": am.Hopfield("projection"),
        "dense, n = 3": am.DenseAssociativeMemory(3),
    }
    tables = {
        name: am.capacity(memory, loads, 0.05, width=d, trials=2 if quick else 5)
        for name, memory in memories.items()
    }
    print(tables["Hebb"])
    for name, table in tables.items():
        print(f"{name}: half are lost at {table.critical_load():.4g} patterns of {d} units")
    if not quick:
        am.plot.capacity(tables, "capacity.png")
    return tables["Hebb"].critical_load() / d


if __name__ == "__main__":
    main("--quick" in sys.argv)
