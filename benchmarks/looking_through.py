"""What it costs to look through HDF5 files in a process of their own before they are read.

Usage: python benchmarks/looking_through.py [--runs 5] [--shared ../shared]

``validate``, ``split`` and ``score`` of a file that is read from its path, with the look and
without it (``--trust``), in turns and in this one process, so that nothing but the look
differs; and the same as commands, each in a process that starts: for the embedded dataset
written to a file, and for papalexi (16,192 cells, 299 genes). Times are medians of processor
time, of this process and of those that it starts, which other programs on the machine do not
change much. Each line ends with the ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pereggrn_data
from pereggrn_data.core.foreign_reading import TRUST_VARIABLE, trusting, trusts_files
from pereggrn_data.loaders.files.datasets import write_h5ad
from pereggrn_data.loaders.files.hdf5 import separate_reading


def seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call and of the processes that it started."""
    separate_reading._looked_through.clear()
    before = os.times()
    function()
    after = os.times()
    return sum(b - a for a, b in zip(before[:4], after[:4], strict=True))


def command(program: str, *arguments: object) -> Callable[[], object]:
    """Return a function that runs a command, trusting files if that is said here."""
    start = f"from pereggrn_data.cli.{program} import main; main()"
    words = [sys.executable, "-c", start, *map(str, arguments)]

    def run() -> None:
        environment = {**os.environ, TRUST_VARIABLE: "1" if trusts_files() else "0"}
        subprocess.run(words, check=True, capture_output=True, env=environment)

    return run


def compare(what: str, function: Callable[[], object], runs: int) -> None:
    """Print the medians with and without the look, and their ratio."""
    function()  # pays for the imports
    looked, trusted = [], []
    for _ in range(runs):
        looked.append(seconds(function))
        with trusting():
            trusted.append(seconds(function))
    ours, bare = statistics.median(looked), statistics.median(trusted)
    print(f"{what:28} {ours:8.3f} s {bare:8.3f} s   ratio: {ours / bare:.2f}", flush=True)


def measure(name: str, dataset: Path, folder: Path, runs: int) -> None:
    """Compare all three commands on one dataset."""
    made = pereggrn_data.split(str(dataset), seed=0)
    forecast = folder / f"{name}_mean.h5ad"
    pereggrn_data.predict(made, model="mean").write(forecast)
    size = dataset.stat().st_size / 1e6
    print(f"{name}: {made.dataset.adata.shape[0]:,} observations, {size:.1f} MB")
    compare("  validate", lambda: pereggrn_data.validate(dataset), runs)
    compare("  split", lambda: pereggrn_data.split(str(dataset), seed=0), runs)
    compare(
        "  score",
        lambda: pereggrn_data.score(forecast, dataset=str(dataset), calibrate=False),
        runs,
    )
    at = ["--dataset", dataset, "--no-calibration", "-o", folder / "scores"]
    for what, run in (
        ("validate", command("data", "validate", dataset)),
        ("split", command("evaluate", "split", dataset, "-o", folder / "split")),
        ("score", command("evaluate", "score", forecast, *at)),
    ):
        compare(f"  {what}, as a command", run, runs)


def main() -> None:
    """Measure a small and a larger file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    default = os.environ.get("PEREGGRN_SHARED", "../shared")
    parser.add_argument("--shared", type=Path, default=Path(default))
    given = parser.parse_args()
    print(f"{'':28} {'looked':>10} {'--trust':>10}")
    with tempfile.TemporaryDirectory() as name:
        small = Path(name) / "demo_copy.h5ad"
        write_h5ad(pereggrn_data.load("demo"), small)
        measure("demo", small, Path(name), given.runs)
        papalexi = given.shared / "data/perturbations/papalexi/test.h5ad"
        if papalexi.exists():
            measure("papalexi", papalexi.resolve(), Path(name), given.runs)


if __name__ == "__main__":
    main()
