"""Memory and time of summing single cells to pseudo-bulk.

Run: ``python benchmarks/convert.py [--cells N] [--genes N] [--detected N] [--targets N]``.
A file of counts is made in blocks, in CSR, and converted in a process of its own,
whose greatest memory (resident, as the system has it) and time are printed beside
the size of the counts. The extra ``convert`` is not needed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd

BLOCK = 20_000
"""Cells that are made at a time."""


def make(path: Path, n_cells: int, n_genes: int, detected: int, n_targets: int) -> None:
    """Write cells with `detected` counts above 0 each, without holding them all."""
    rng = np.random.default_rng(0)
    genes = [f"GENE{j}" for j in range(n_genes)]
    labels = np.array(["NT", *genes[:n_targets]], dtype=object)
    obs = pd.DataFrame(
        {
            "gene": pd.Categorical(labels[rng.integers(0, len(labels), n_cells)]),
            "replicate": pd.Categorical(np.array(["a", "b"])[np.arange(n_cells) % 2]),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    anndata.AnnData(obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(path)
    n_values = n_cells * detected
    with h5py.File(path, "a") as file:
        file.pop("X", None)
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        x.attrs["shape"] = np.array([n_cells, n_genes])
        x["indptr"] = np.arange(0, n_values + 1, detected, dtype=np.int64)
        data = x.create_dataset("data", (n_values,), np.float32, chunks=(1_000_000,))
        indices = x.create_dataset("indices", (n_values,), np.int32, chunks=(1_000_000,))
        step = n_genes // detected
        for start in range(0, n_cells, BLOCK):
            n = min(BLOCK, n_cells - start)
            # One gene of each stretch, so that indices are in order and differ.
            at = np.arange(detected) * step + rng.integers(0, step, (n, detected))
            here = slice(start * detected, (start + n) * detected)
            indices[here] = at.astype(np.int32).ravel()
            data[here] = rng.integers(1, 6, n * detected).astype(np.float32)


def convert_here(path: str) -> None:
    """Convert, and print what it took as JSON."""
    from pereggrn_data import convert

    began = time.perf_counter()
    made = convert(path, perturbation="gene", control="NT", type="knockout", counts="X",
                   replicate="replicate", size_factors="total", rank="variance")  # fmt: skip
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": made.adata.n_obs, "seconds": seconds, "peak": peak}))


def main() -> None:
    """Make the file, convert it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--detected", type=int, default=500)
    parser.add_argument("--targets", type=int, default=1_000)
    parser.add_argument("--convert", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.convert:
        convert_here(given.convert)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        make(path, given.cells, given.genes, given.detected, given.targets)
        size = path.stat().st_size
        done = subprocess.run(
            [sys.executable, __file__, "--convert", str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = json.loads(done.stdout)
    print(
        f"{given.cells:,} cells x {given.genes:,} genes, {size / 2**30:.2f} GiB: "
        f"{found['rows']:,} rows in {found['seconds']:.0f} s, "
        f"at most {found['peak'] / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    main()
