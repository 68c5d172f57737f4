"""Score a file of single cells of common size: processor time and memory of the whole command.

A dataset of twice as many perturbations as are forecast, 50 cells each, 5,000 genes, CSR of
which about a tenth is filled, and a file of as many predicted cells per perturbation are made
in a temporary folder. `pereggrn-eval score` runs on it by all metrics of profiles, without a
calibration, with one that it makes, and with that one from the cache; so does a plain read of
both files by anndata. Each has a process of its own, of which the processor's seconds (its
own and its children's, imports included) and the greatest resident memory are printed. How
many threads libraries of linear algebra have is as the environment says, and else as users
have it.

    python benchmarks/small_end.py [--perturbations 297] [--cells 50] [--genes 5000]
        [--folder FOLDER]
    python benchmarks/small_end.py --make FOLDER     # files to be measured several times
    python benchmarks/small_end.py --made FOLDER

The last line reads ``ratio: 1.6`` (processor time of a score without a calibration / of the
plain read of both files).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Nothing else is imported here: as the system counts, a process is at least as large as the
# one that starts it.

FILLED = 0.1
"""Share of the values that are not 0, about."""

PROGRAMS = 30
"""Groups of genes that perturbations change together."""

READ = "import sys, anndata; [anndata.read_h5ad(path) for path in sys.argv[1:]]"

SCORE = (
    "import sys; sys.modules['hypothesis'] = None; "  # which pandera imports where tests have it
    "from pereggrn_data.cli.evaluate.evaluate_app import main; main()"
)


def make_files(folder: Path, perturbations: int, cells: int, genes: int) -> None:
    """Write a dataset, and predictions of the half of its perturbations that is held out."""
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    import pereggrn_data

    rng = np.random.default_rng(0)
    names = [f"GENE{j}" for j in range(genes)]
    targets = names[: 2 * perturbations]
    # As in cells, rates of genes and depths of cells differ widely, and effects are made up
    # of programs that many perturbations share.
    rates = rng.gamma(0.5, 1.0, genes)
    while (filled := np.mean(-np.expm1(-rates))) > FILLED:
        rates *= max(FILLED / filled, 0.5)
    programs = rng.normal(0, 1, (PROGRAMS, genes)) * (rng.random((PROGRAMS, genes)) < 0.1)
    effects = np.exp(0.3 * rng.normal(0, 1, (len(targets), PROGRAMS)) @ programs)

    def counts(rates: np.ndarray) -> sparse.csr_array:
        depths = rng.lognormal(-0.05, 0.3, (cells, 1))
        return sparse.csr_array(rng.poisson(rates * depths).astype("f4"))

    labels = np.repeat(["control", *targets], cells)
    is_control = labels == "control"
    raw = sparse.vstack([counts(rates), *(counts(rates * effect) for effect in effects)])
    x = sparse.csr_array(raw.log1p())
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": is_control,
            "perturbation_type": "knockdown",
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    perturbed = np.flatnonzero(~is_control)
    levels = np.full(len(obs), np.nan)
    levels[perturbed] = x[perturbed, perturbed // cells - 1]
    obs["expression_level_after_perturbation"] = levels
    var = pd.DataFrame({"highly_variable_rank": np.arange(genes)}, index=names)
    uns = {"perturbed_and_measured_genes": targets, "perturbed_but_not_measured_genes": []}
    adata = anndata.AnnData(x, obs, var, uns)
    adata.raw = anndata.AnnData(sparse.csr_array(raw), obs[[]], var)
    adata.write_h5ad(folder / "dataset.h5ad")

    made = pereggrn_data.split(folder / "dataset.h5ad", num_genes=genes + len(targets))
    parts = made.template_parts()
    heldout = parts["obs"]["perturbation"].unique()
    one_each = [counts(rates * effects[targets.index(label)] ** 0.5) for label in heldout]
    predictions = anndata.AnnData(
        sparse.csr_array(sparse.vstack(one_each).log1p()),
        pd.DataFrame(
            {"perturbation": pd.Categorical(np.repeat(heldout, cells))},
            index=[f"generated{i}" for i in range(cells * len(heldout))],
        ),
        parts["var"],
        parts["uns"],
    )
    predictions.write_h5ad(folder / "predictions.h5ad")


def taken(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; return the processor's seconds and the MiB that it took."""
    # What has been waited for belongs to its parent's figures.
    code = (
        "import os, resource, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)\n"
        "if os.waitpid(pid, 0)[1]: raise SystemExit('it failed')\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    # Python keeps what it compiled, as it does for users.
    kept = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env={**os.environ, **kept, "PEREGGRN_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds, peak = map(float, done.stdout.splitlines()[-1].split())
    return seconds, peak


def main() -> None:
    """Make the files, read and score them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--perturbations", type=int, default=297)
    parser.add_argument("--cells", type=int, default=50)
    parser.add_argument("--genes", type=int, default=5000)
    parser.add_argument("--folder", help="Where files are made and removed again.")
    parser.add_argument("--make", metavar="FOLDER", help="Only make the files, in this folder.")
    parser.add_argument("--made", metavar="FOLDER", help="Measure with the files of this folder.")
    given = parser.parse_args()
    size = given.perturbations, given.cells, given.genes
    if given.make:
        make_files(Path(given.make), *size)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(given.made or name)
        if given.made is None:
            named = zip(("perturbations", "cells", "genes"), size, strict=True)
            flags = [f"--{option}={number}" for option, number in named]
            subprocess.run([sys.executable, __file__, "--make", name, *flags], check=True)
        files = [str(folder / "dataset.h5ad"), str(folder / "predictions.h5ad")]
        score = [sys.executable, "-c", SCORE, "score", files[1], "--dataset", files[0]]
        score += ["-o", f"{name}/scores"]
        commands = {
            "importing anndata": [sys.executable, "-c", "import anndata"],
            "plain read": [sys.executable, "-c", READ, *files],
            "score --no-calibration": [*score, "--no-calibration"],
            "score, calibration made": score,
            "score, calibration cached": score,
        }
        figures = {}
        for what in ("plain read", "score --no-calibration"):
            taken(commands[what], Path(name))  # so that all find files and compiled code
        for what, command in commands.items():
            figures[what] = taken(command, Path(name))
            print(f"{what}: {figures[what][0]:.1f} s of the processor, {figures[what][1]:.0f} MiB",
                  flush=True)  # fmt: skip
    ratio = figures["score --no-calibration"][0] / figures["plain read"][0]
    print(f"ratio: {ratio:.1f}")


if __name__ == "__main__":
    main()
