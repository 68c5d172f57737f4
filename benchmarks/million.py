"""Score a million predicted cells: time against a plain read of the same file, and memory.

A small dataset and files of predicted cells are made in a temporary folder, block by block.
Each file is read once, its tables and its matrix in the blocks in which scores read it, then
it is scored by all metrics of profiles without a calibration, each in a process of its own,
whose greatest memory (resident, as the system has it) is printed. Seconds are those of the
clock, after the same was done with a file of 5,000 cells, so that all that is needed has
been imported; on a machine that does other work as well, look at the seconds of the
processor, which are those of the whole process.

Both are done twice: with the file in the system's cache, where reading it is copying it, and
from the disk, as a file is found that has not just been written or read: before each the
system is told to forget it.

What the table of cells (obs) takes is what opening the file takes more than opening one of
5,000 cells. Memory grows by two measures: without what obs takes, and also without
Python, its libraries and all tables, which hides nothing of what scores need themselves.

    python benchmarks/million.py [--cells 10000 100000 1000000] [--genes 2000]
        [--layouts dense csr zarr] [--folder FOLDER] [--memory 2GiB]
        [--commands score validate split calibrate predict] [--targets 200]
        [--regulators 500] [--method RidgeCV] [--arguments '{"alpha": 0.01}']

What a command takes whatever the number of cells is told from what it takes for each further
cell: the difference of the smallest and the largest file in the cache, in times of that of
reading them.

Other commands than score take a dataset of as many cells, 5,000 at least; predict fits RidgeCV,
or the method that is given, with so many genes as features, the perturbed ones among them, and
writes its forecasts. Say --memory 64GB to compare it with a fit in memory. The last line reads
``ratio: 1.6`` (the first command / plain read, both from the disk, the largest of the largest
files); the one before it says the same of files in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd

BLOCK = 10_000
"""Cells that are made at a time."""

COMMANDS = ("score", "validate", "split", "calibrate", "predict")
"""The first one takes predictions, the others a dataset."""

FILLED = 0.05
"""Share of the values of sparse files that are not 0."""

REPLICATES = 20

FEW, FEW_STEM = 5000, "few"
"""Cells of the file whose table takes next to nothing, and the name of that file."""


def make_dataset(path: Path, genes: int, targets: int) -> np.ndarray:
    """Write the dataset that is forecast; return the mean of each gene."""
    rng = np.random.default_rng(0)
    names = [f"GENE{j}" for j in range(genes)]
    means = rng.gamma(2.0, 0.5, genes).astype("f4")
    labels = np.repeat(["control", *names[:targets]], REPLICATES)
    shifts = rng.normal(0, 0.3, (targets + 1, genes)) * (rng.random((targets + 1, genes)) < 0.1)
    values = (
        means + np.repeat(shifts, REPLICATES, axis=0) + rng.normal(0, 0.3, (len(labels), genes))
    )
    values = np.maximum(values, 0).astype("f4")
    is_control = labels == "control"
    perturbed = np.flatnonzero(~is_control)
    values[perturbed, perturbed // REPLICATES - 1] = 0
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": is_control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": np.where(is_control, np.nan, 0.0),
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    var = pd.DataFrame({"highly_variable_rank": np.arange(genes)}, index=names)
    uns = {
        "perturbed_and_measured_genes": names[:targets],
        "perturbed_but_not_measured_genes": [],
    }
    made = anndata.AnnData(values, obs, var, uns)
    made.raw = anndata.AnnData(np.rint(np.expm1(values)), obs[[]], var)
    made.write_h5ad(path)
    return means


def make_cells(path: Path, layout: str, cells: int, means: np.ndarray, parts: dict) -> None:
    """Write many cells of the kinds in ``parts["obs"]``, without holding them all."""
    rng = np.random.default_rng(1)
    genes = len(means)
    kinds = parts["obs"]
    obs = kinds.iloc[np.arange(cells) % len(kinds)]
    obs.index = [f"generated{i}" for i in range(cells)]
    tables = anndata.AnnData(obs=obs, var=parts["var"], uns=parts["uns"])
    per_row = int(genes * FILLED)

    def blocks():
        for start in range(0, cells, BLOCK):
            n = min(BLOCK, cells - start)
            noise = rng.random((n, genes), dtype="f4")
            yield start, n, noise

    if layout == "zarr":
        import zarr

        with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=3):
            warnings.simplefilter("ignore")  # of formats to come
            tables.write_zarr(path)
        store = zarr.open_group(str(path), mode="r+")
        if "X" in store:
            del store["X"]
        x = store.create_array("X", shape=(cells, genes), chunks=(1000, genes), dtype="f4")
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start, n, noise in blocks():
            # Steps of 1/16, which pack well.
            x[start : start + n] = np.rint((means + noise) * 16).astype("f4") / 16
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(path))
        return
    tables.write_h5ad(path)
    with h5py.File(path, "a") as file:
        file.pop("X", None)
        if layout == "dense":
            x = file.create_dataset("X", (cells, genes), "f4", chunks=(1000, genes))
            x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"
            for start, n, noise in blocks():
                x[start : start + n] = means + noise
            return
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        x.attrs["shape"] = np.array([cells, genes])
        x["indptr"] = np.arange(0, cells * per_row + 1, per_row, dtype=np.int64)
        chunks = (min(1_000_000, cells * per_row),)
        data = x.create_dataset("data", (cells * per_row,), "f4", chunks=chunks)
        indices = x.create_dataset("indices", (cells * per_row,), "i4", chunks=chunks)
        step = genes // per_row
        for start in range(0, cells, BLOCK):
            n = min(BLOCK, cells - start)
            at = np.arange(per_row) * step + rng.integers(0, step, (n, per_row))
            here = slice(start * per_row, (start + n) * per_row)
            indices[here] = at.astype("i4").ravel()
            data[here] = (means[at] + rng.random((n, per_row), dtype="f4")).ravel()


def predicted_parts(template: dict) -> dict:
    """Return what a file of predictions says, with a row per held-out perturbation."""
    labels = pd.Categorical(template["obs"]["perturbation"].unique())
    return {**template, "obs": pd.DataFrame({"perturbation": labels})}


def dataset_parts(path: Path) -> dict:
    """Return what a dataset says, with text as categories."""
    read = anndata.read_h5ad(path)
    read.strings_to_categoricals()
    return {"obs": read.obs, "var": read.var, "uns": dict(read.uns)}


def do(what: str, path: Path, given: argparse.Namespace) -> None:
    """Do one thing with a file."""
    import pereggrn_data
    from pereggrn_data.core.rows.row_blocks import each_block
    from pereggrn_data.loaders.files.datasets.stored_data import open_stored
    from pereggrn_data.loaders.files.datasets.zarr_stores import open_stored_zarr

    opened = open_stored_zarr if path.is_dir() else open_stored
    command = getattr(pereggrn_data, what) if what in COMMANDS else None
    if what == "tables":
        opened(path, with_raw=False)
    elif what == "read":
        for block in each_block(opened(path, with_raw=False)[0].X):
            assert block.values.shape[0]
    elif what == "score":
        report = command(path, calibrate=False)
        assert report.n_scored == report.n_expected
    elif what == "split":
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command(path).write(Path(folder) / "task")
    elif what == "predict":
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command(
                *(path, given.method),
                arguments=json.loads(given.arguments),
                split_options=pereggrn_data.SplitOptions(num_genes=1 << 30),
                eligible_regulators="tf",
                tf_list=[f"GENE{j}" for j in range(given.regulators)],
            ).write(Path(folder) / "predictions.h5ad")
    elif what == "calibrate":
        assert command(path, use_cache=False).to_dict()
    else:
        # The cells are made without counts.
        assert {finding.code for finding in command(path).findings} <= {"raw-missing"}


def measured(what: str, path: Path, given: argparse.Namespace) -> None:
    """Do one thing in this process, and print what it took as JSON."""
    from pereggrn_data.core.resources import Resources, using

    with using(Resources(given.memory)):
        if what != "predict":  # which takes much longer than imports
            do(what, path.with_stem(FEW_STEM), given)
        began = time.perf_counter()
        do(what, path, given)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "processor": used.ru_utime + used.ru_stime,
                "peak": own_peak(),
            }
        )
    )


def own_peak() -> float:
    """Return the greatest memory of this process, in MiB.

    Linux counts into ``ru_maxrss`` what the process that started this one held by then.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def in_process(what: str, path: Path, given: argparse.Namespace) -> dict:
    """Do one thing in a process of its own."""
    command = [sys.executable, __file__, "--do", what, str(path), "--memory", given.memory]
    command += ["--regulators", str(given.regulators)]
    command += ["--method", given.method, "--arguments", given.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def from_disk(path: Path) -> None:
    """Have the system forget what it holds of a file or a store, so that it is read again."""
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())  # only what has been written can be forgotten
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Make the files, read and score them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--layouts", nargs="+", default=["dense", "csr", "zarr"])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS[:1])
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--targets", type=int, default=200, help="Perturbed genes.")
    parser.add_argument("--regulators", type=int, default=500, help="Features of predict.")
    parser.add_argument("--method", default="RidgeCV", help="What predict fits.")
    parser.add_argument("--arguments", default="{}", help="Of the method, as JSON.")
    parser.add_argument("--folder", help="Where files are made and removed again.")
    parser.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.do:
        measured(given.do[0], Path(given.do[1]), given)
        return
    import pereggrn_data

    cached: dict[str, float] = {}
    ratios: dict[str, float] = {}
    grown: list[str] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        dataset = folder / "dataset.h5ad"
        means = make_dataset(dataset, given.genes, given.targets)
        made = pereggrn_data.split(dataset, num_genes=given.genes + given.targets)
        predicted = [c for c in given.commands if c == COMMANDS[0]]
        others = [c for c in given.commands if c != COMMANDS[0]]
        for commands, parts in (
            (predicted, predicted_parts(made.template_parts())),
            (others, dataset_parts(dataset)),
        ):
            for layout in given.layouts if commands else ():
                path = folder / ("cells.zarr" if layout == "zarr" else "cells.h5ad")
                small = path.with_stem(FEW_STEM)
                make_cells(small, layout, FEW, means, parts)
                few = in_process("tables", small, given)["peak"]
                peaks: dict[str, list[tuple[float, float]]] = {c: [] for c in commands}
                times: dict[str, list[tuple[float, float]]] = {c: [] for c in commands}
                for cells in sorted(given.cells):
                    remove(path, missing_ok=True)
                    make_cells(path, layout, cells, means, parts)
                    # Once before, so that all find it in the system's cache.
                    in_process("read", path, given)
                    tables, read = (in_process(what, path, given) for what in ("tables", "read"))
                    for command in commands:
                        took = in_process(command, path, given)
                        ratio = took["seconds"] / read["seconds"]
                        obs = tables["peak"] - few
                        peaks[command].append((took["peak"] - obs, took["peak"] - tables["peak"]))
                        times[command].append((took["seconds"], read["seconds"]))
                        print(
                            f"{layout}, {cells} cells: read {read['seconds']:.1f} s, {command} "
                            f"{took['seconds']:.1f} s ({ratio:.1f} times; of the processor "
                            f"{read['processor']:.1f} and {took['processor']:.1f} s), peak "
                            f"{took['peak']:.0f} MiB ({obs:.0f} of them obs, {few:.0f} Python "
                            "and other tables)",
                            flush=True,
                        )
                        if command == given.commands[0]:
                            cached[layout] = ratio
                    from_disk(path)
                    read = in_process("read", path, given)
                    for command in commands:
                        from_disk(path)
                        took = in_process(command, path, given)
                        ratio = took["seconds"] / read["seconds"]
                        print(
                            f"{layout}, {cells} cells, from disk: read {read['seconds']:.1f} s, "
                            f"{command} {took['seconds']:.1f} s ({ratio:.1f} times)",
                            flush=True,
                        )
                        if command == given.commands[0]:
                            ratios[layout] = ratio
                remove(path)
                remove(small)
                for command, of_files in peaks.items():
                    (first, its), (last, own) = of_files[0], of_files[-1]
                    grown.append(
                        f"{command}, {layout}: memory without obs grows {last / first:.2f} times "
                        "from the smallest to the largest file, without Python and tables "
                        f"{own / its:.2f} times"
                    )
                    (few_s, few_read), (many_s, many_read) = times[command][0], times[command][-1]
                    if many_read > few_read:
                        grown.append(
                            f"{command}, {layout}: every further cell takes "
                            f"{(many_s - few_s) / (many_read - few_read):.1f} times as long as "
                            "reading it"
                        )
    print("\n".join(grown))
    print(f"in the cache: {max(cached.values()):.1f}")
    print(f"ratio: {max(ratios.values()):.1f}")


def remove(path: Path, *, missing_ok: bool = False) -> None:
    """Remove a file or a store."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok)


if __name__ == "__main__":
    main()
