"""Run the original's tutorial experiment (mean, median, RidgeCV) on datasets: time, and memory.

``python benchmarks/tutorial_experiment.py COLLECTION [NAME...]``, by default on every dataset
of the collection. Each dataset has a run of its own, ``pereggrn-eval run`` in a process and a
cache of its own, on which a second run follows that finds all of it finished. A line says how
long both took, the processor time of the first, and the greatest memory that it had. The last
line says how many runs had all of their conditions finished.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS = ("mean", "median", "RidgeCV")
SEED = 42
PROGRAM = [
    sys.executable,
    "-c",
    "from pereggrn_data.cli.evaluate import main; main()",
]


def run(folder: Path, collection: Path, cache: Path) -> tuple[int, float, float, float]:
    """Run the experiment of a folder, and return exit code, seconds, processor time and MB."""
    command = [*PROGRAM, "run", "tutorial.json", "-o", "run", "--collection", str(collection)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PEREGGRN_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    unit = 1e6 if sys.platform == "darwin" else 1e3
    code = os.waitstatus_to_exitcode(status)
    return code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / unit


def main() -> None:
    """Run it on each dataset, and print what each run took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("names", nargs="*", help="Datasets; else all of them.")
    given = parser.parse_args()
    collection = given.collection.resolve()
    names = given.names or sorted(
        file.parent.name for file in collection.glob("perturbations/*/test.h5ad")
    )
    finished = 0
    print("dataset, conditions finished, seconds, of the processor, again, MB at most")
    for name in names:
        metadata = {
            "unique_id": "tutorial",
            "nickname": "tutorial",
            "readme": "The experiment of the original's tutorial.",
            "question": "?",
            "is_active": True,
            "factor_varied": "regression_method",
            "perturbation_dataset": name,
            "regression_method": list(METHODS),
            "data_split_seed": SEED,
        }
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "tutorial.json").write_text(json.dumps(metadata), "utf-8")
            code, seconds, processor, peak = run(folder, collection, folder / "cache")
            done = len(list((folder / "run").glob("conditions/*/done.json")))
            again = run(folder, collection, folder / "cache")[1]
        finished += code == 0 and done == len(METHODS)
        print(
            f"{name}, {done} of {len(METHODS)}, {seconds:.1f}, {processor:.1f}, {again:.1f}, "
            f"{peak:.0f}",
            flush=True,
        )
    print(f"finished: {finished} of {len(names)}")


if __name__ == "__main__":
    main()
