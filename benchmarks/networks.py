"""How fast networks answer, and in how much memory.

Usage: python benchmarks/networks.py [--sample 300] [--shared ../shared]

1. The regulators of all 13,090 targets of marbach2016_human (1.3 million edges): one
   question through Arrow, against one query per target, as a straightforward program does
   it. The latter is timed on a random sample of targets, alternating with the former.
2. A file of 10 million edges, made for it: time and peak memory of look-ups.
3. 400 files, made for it: time to open them and to answer a first question, in a new process.

The last line is ``ratio: N``, of the first comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from pereggrn_data import open_network

MEASURE = """
import json, resource, sys, time
start = time.perf_counter()
from pereggrn_data import open_network
imported = time.perf_counter()
network = open_network(sys.argv[1])
opened = time.perf_counter()
network.regulators_of(sys.argv[2])
first = time.perf_counter()
network.regulators_of(["GENE%d" % i for i in range(100)])
hundred = time.perf_counter()
lists = network.regulator_lists(["GENE%d" % i for i in range(int(sys.argv[3]))])
done = time.perf_counter()
print(json.dumps({
    "import": imported - start, "open": opened - imported, "first": first - opened,
    "hundred": hundred - first, "lists": done - hundred,
    "pairs": sum(map(len, lists.values())),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measured(path: Path, gene: str, targets: int) -> dict[str, float]:
    """Answer questions in a process of their own, to know its memory."""
    command = [sys.executable, "-c", MEASURE, str(path), gene, str(targets)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def lists_against_single_queries(path: Path, sample: int) -> float:
    """Return how many times faster one question for all targets is."""
    network = open_network(path)
    targets = network.targets()
    chosen = random.Random(0).sample(targets, min(sample, len(targets)))  # noqa: S311
    connection = duckdb.connect()
    query = "SELECT DISTINCT regulator FROM read_parquet(?) WHERE target = ?"
    single = 0.0
    together: list[float] = []
    repeats = 5
    for turn in range(repeats):
        start = time.perf_counter()
        lists = dict(open_network(path).regulator_lists(targets))
        together.append(time.perf_counter() - start)
        for target in chosen[turn::repeats]:
            start = time.perf_counter()
            found = connection.execute(query, [str(path), target]).fetchall()
            single += time.perf_counter() - start
            assert sorted(row[0] for row in found) == lists[target]
    each, all_at_once = single / len(chosen), sorted(together)[repeats // 2]
    print(f"{path.parent.parent.name}: {network.n_edges:,} edges, {len(targets):,} targets")
    print(f"  regulator_lists, opening included: {all_at_once:.3f} s (median of {repeats})")
    print(
        f"  one query per target: {each * 1000:.2f} ms each on {len(chosen)} of them, "
        f"{each * len(targets):.1f} s for all"
    )
    return each * len(targets) / all_at_once


def ten_million_edges(folder: Path) -> None:
    """Look up genes in a large file."""
    path = folder / "large.parquet"
    duckdb.connect().execute(
        f"""COPY (SELECT 'TF' || (hash(i) % 1600)::VARCHAR AS regulator,
            'GENE' || (hash(i * 7 + 1) % 20000)::VARCHAR AS target,
            (hash(i * 13) % 1000000)::DOUBLE / 1e6 AS weight
        FROM range(10000000) t(i)) TO '{path}' (COMPRESSION zstd)"""  # noqa: S608
    )
    m = measured(path, "GENE77", 5000)
    print(f"10,000,000 edges in one file of {path.stat().st_size / 1e6:.0f} MB")
    print(f"  regulators of 1 gene: {m['first']:.3f} s; of 100: {m['hundred']:.3f} s")
    print(f"  regulator_lists of 5,000 targets ({m['pairs']:,} pairs): {m['lists']:.3f} s")
    print(f"  peak memory of the process: {m['peak_mb']:.0f} MB")


def four_hundred_files(folder: Path) -> None:
    """Open a network of many parts."""
    parts = folder / "many"
    parts.mkdir()
    connection = duckdb.connect()
    for i in range(400):
        connection.execute(
            f"""COPY (SELECT 'TF' || (hash(i) % 500)::VARCHAR AS regulator,
                'GENE' || (hash(i + {i}) % 5000)::VARCHAR AS target, -1.0::DOUBLE AS weight
            FROM range(5000) t(i)) TO '{parts}/part{i}.parquet'"""  # noqa: S608
        )
    m = measured(parts, "GENE77", 100)
    print("400 files of 5,000 edges, in a new process")
    print(
        f"  imports {m['import']:.3f} s; open {m['open']:.3f} s; first look-up {m['first']:.3f} s"
    )
    print(f"  open and first look-up: {m['open'] + m['first']:.3f} s")


def main() -> None:
    """Run all three, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="targets that are asked singly")
    default = os.environ.get("PEREGGRN_SHARED", "../shared")
    parser.add_argument("--shared", type=Path, default=Path(default))
    options = parser.parse_args()
    path = options.shared / "data/networks/marbach2016_human/networks/all.parquet"
    print(f"DuckDB {duckdb.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        ten_million_edges(Path(folder))
        four_hundred_files(Path(folder))
    ratio = lists_against_single_queries(path.resolve(), options.sample)
    print(f"ratio: {ratio:.1f}")


if __name__ == "__main__":
    main()
