"""What the unread part of a file costs in memory.

Usage: python benchmarks/unread_parts.py [--mib 400]

The embedded dataset is written to a file as it is, and with an ``obsm`` of so many MiB, which
none of the commands looks at. Each of ``validate``, ``split``, ``predict`` and ``score`` runs on
both in a process of its own; the peak of its memory and the ratio are printed. ``split`` copies
everything into ``train.h5ad``, so that for it nothing is unread. A process that looks through
the file first counts by itself, and holds one element at a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import pereggrn_data
from pereggrn_data.loaders.files.datasets import write_h5ad

RUN = """
import sys
from pathlib import Path
from pereggrn_data.cli.{program} import main
try:
    main()
finally:
    # Unlike what getrusage says, this does not count the process that started this one.
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print("peak", peak, file=sys.stderr)
"""


def peak(program: str, *arguments: object) -> float:
    """Return the peak of a command's own memory, MiB.

    Raises
    ------
    SystemExit
        If the command fails.
    """
    words = [sys.executable, "-c", RUN.format(program=program), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed: {done.stderr}")
    return int(done.stderr.split("peak")[-1]) / 1024


def main() -> None:
    """Print a line per command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=400, help="size of what is not read")
    mib = parser.parse_args().mib
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adata = pereggrn_data.load("demo")
        write_h5ad(adata, folder / "small.h5ad")
        columns = mib * 2**20 // 8 // adata.n_obs
        adata.obsm["unread"] = np.random.default_rng(0).normal(size=(adata.n_obs, columns))
        write_h5ad(adata, folder / "large.h5ad")
        ratios = []
        for verb in ("validate", "split", "predict", "score"):
            used = []
            for size in ("small", "large"):
                data, out = folder / f"{size}.h5ad", folder / f"{verb}_{size}"
                program, *arguments = {
                    "validate": ("data", "validate", data),
                    "split": ("evaluate", "split", data, "-o", out),
                    "predict": ("evaluate", "predict", data, "-m", "RidgeCV", "-o",
                                folder / f"{size}_predictions.h5ad"),
                    "score": ("evaluate", "score", folder / f"{size}_predictions.h5ad",
                              "--no-calibration", "-o", out),
                }[verb]  # fmt: skip
                used.append(peak(program, *arguments))
            small, large = used
            if verb != "split":
                ratios.append(large / small)
            print(f"{verb:9}{small:8.0f} MiB {large:8.0f} MiB   ratio: {large / small:.2f}")
        print(f"ratio: {max(ratios):.2f}")


if __name__ == "__main__":
    main()
