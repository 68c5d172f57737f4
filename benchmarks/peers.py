"""Score one pair of files by our metrics of cells, by cell-eval2 and by scPertEval.

A dataset of counts and a forecast of cells are made, and written by ``pereggrn-eval export`` as
the two files that the others take. Each is then run as its users run it, on all of its metrics,
in a process of its own, several times; of each the quickest run counts, so that what is
compiled at first use is there. Ours computes everything that ``score --cell-metrics`` says,
cell-eval2 everything with the backend pdex, scPertEval all of its protocols.

    python benchmarks/peers.py --environments FOLDER [--perturbations 40] [--cells 100]
        [--genes 2000] [--repeats 2]

FOLDER is where an environment per package is made, and kept for the next time
(``peers_equality.py`` names the versions). Peaks are those of the largest process. On a machine
that does other work as well, look at the seconds of the processor.

The last line reads ``ratio: 0.8`` (clock, ours / the quicker one of both).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from peers_equality import CONTROL, VERSIONS, install
from scipy import sparse

PEERS = ("cell-eval2", "scperteval")


class Took(NamedTuple):
    """What a run took: seconds of the clock and of the processor, and MiB."""

    clock: float
    processor: float
    peak: float


def make_dataset(path: Path, perturbations: int, cells: int, genes: int) -> None:
    """Write counts of knockdowns, of which a tenth of the genes changes; as log1p per 10,000."""
    rng = np.random.default_rng(0)
    names = [f"GENE{j}" for j in range(genes)]
    targets = names[:perturbations]
    labels = np.repeat(["control", *targets], cells)
    base = rng.gamma(0.5, 2.0, genes) + 0.05
    shape = (perturbations + 1, genes)
    factor = np.where(rng.random(shape) < 0.1, rng.choice([0.4, 2.5], shape), 1.0)
    factor[0] = 1.0
    factor[np.arange(perturbations) + 1, np.arange(perturbations)] = 0.1
    counts = rng.poisson(base * np.repeat(factor, cells, axis=0)).astype(np.float32)
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    is_control = labels == "control"
    perturbed = np.flatnonzero(~is_control)
    level = np.full(len(labels), np.nan)
    level[perturbed] = x[perturbed, perturbed // cells - 1]
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": is_control,
            "perturbation_type": "knockdown",
            "expression_level_after_perturbation": level,
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    var = pd.DataFrame({"highly_variable_rank": np.arange(genes)}, index=names)
    uns = {"perturbed_and_measured_genes": targets, "perturbed_but_not_measured_genes": []}
    made = anndata.AnnData(sparse.csr_matrix(x), obs, var, uns)
    made.raw = anndata.AnnData(sparse.csr_matrix(counts), obs[[]], var)
    made.write_h5ad(path)


def make_pair(dataset: Path, folder: Path) -> tuple[Path, Path]:
    """Forecast cells, held-out ones whose genes are shuffled a little, and export both sides."""
    import pereggrn_data
    from pereggrn_data.pipelines.score import export_pair

    made = pereggrn_data.split(dataset)
    rng = np.random.default_rng(1)
    predicted = made.template
    data = anndata.read_h5ad(dataset)
    truth = data[predicted.obs_names, predicted.var_names].X.toarray()
    controls = data[data.obs["is_control"].to_numpy(bool), predicted.var_names].X.toarray()
    others = controls[rng.integers(0, len(controls), len(truth))]
    predicted.X = np.where(rng.random(truth.shape) < 0.5, truth, others)
    pair = export_pair(predicted, dataset=dataset).write(folder / "pair")
    print(f"{made!r}", flush=True)
    return pair[0], pair[1]


def commands(environments: Path, dataset: Path, real: Path, pred: Path) -> dict[str, list[Any]]:
    """Return what is run, by name."""
    ours = Path(sys.executable).with_name("pereggrn-eval")
    where = {name: install(name, environments).with_name(name) for name in PEERS}
    return {
        "pereggrn-data": [
            ours, "score", pred, "--dataset", dataset, "--perturbation", "target_gene",
            "--control", CONTROL, "--cell-metrics", "--no-calibration",
        ],
        "cell-eval2": [
            where["cell-eval2"], "run", "-ap", pred, "-ar", real, "--pert-col", "target_gene",
            "--control", CONTROL, "--input-type", "lognorm", "--set", "de.backend=pdex",
        ],
        "scperteval": [
            where["scperteval"], "score", real, pred, "-p", "all", "--perturbation-key",
            "target_gene", "--control-label", CONTROL,
        ],
    }  # fmt: skip


def took(command: list[Any], folder: Path) -> Took:
    """Run a command in a folder, to its end."""
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        running = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit((folder / "log.txt").read_text("utf-8")[-3000:])
    seconds = time.perf_counter() - began
    return Took(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    """Make the pair, run all three, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--perturbations", type=int, default=40)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = folder / "dataset.h5ad"
        make_dataset(dataset, given.perturbations, given.cells, given.genes)
        real, pred = make_pair(dataset, folder)
        found = {}
        for who, command in commands(given.environments.resolve(), dataset, real, pred).items():
            runs = [took(command, folder / who) for _ in range(given.repeats)]
            best = found[who] = Took(*map(min, zip(*runs, strict=True)))
            version = f" {VERSIONS[who]}" if who in VERSIONS else ""
            print(
                f"{who}{version}: {best.clock:.1f} s, {best.processor:.1f} s of the processor, "
                f"{best.peak:.0f} MiB",
                flush=True,
            )
    ours = found.pop("pereggrn-data")
    for who, theirs in found.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(
            f"pereggrn-data / {who}: {ratios[0]:.2f} of the clock, {ratios[1]:.2f} of the "
            f"processor's time, {ratios[2]:.2f} of the memory"
        )
    print(f"ratio: {ours.clock / min(theirs.clock for theirs in found.values()):.2f}")


if __name__ == "__main__":
    main()
