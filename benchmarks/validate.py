"""How long validation takes, beside a plain loop over observations.

Run: ``python benchmarks/validate.py [--observations N] [--genes N] [--sparse]``.
The loop checks per observation what the format asks per observation: as many
levels as genes, and the stated level in X. Its last line is the ratio of the
two times, medians of a few runs in this one process; reading the file is part
of both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.pipelines.validation import validate


def make(path: Path, n_obs: int, n_genes: int, *, as_sparse: bool) -> None:
    """Write a valid dataset: overexpression of one or two genes per observation."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (n_obs, n_genes)).astype(np.float32)
    x = np.log1p(counts)
    genes = np.array([f"GENE{j}" for j in range(n_genes)], dtype=object)
    control = np.arange(n_obs) % 20 == 0
    targets = rng.integers(0, n_genes - 1, n_obs)
    pair = np.arange(n_obs) % 3 == 0
    labels, levels = [], []
    for i, j in enumerate(targets):
        hit = [] if control[i] else [j, j + 1] if pair[i] else [j]
        labels.append(",".join(genes[hit]) or "control")
        levels.append(",".join(str(float(x[i, k])) for k in hit) or "nan")
    obs = pd.DataFrame(
        {
            "is_control": control,
            "perturbation": labels,
            "perturbation_type": "overexpression",
            "expression_level_after_perturbation": levels,
        },
        index=[f"cell_{i}" for i in range(n_obs)],
    )
    var = pd.DataFrame({"highly_variable_rank": np.arange(n_genes)}, index=genes)
    perturbed = sorted({g for label in set(labels) - {"control"} for g in label.split(",")})
    uns = {
        "perturbed_and_measured_genes": perturbed,
        "perturbed_but_not_measured_genes": [],
        "perturbations_overlap": True,
    }
    convert = sparse.csr_matrix if as_sparse else np.asarray
    adata = anndata.AnnData(X=convert(x), obs=obs, var=var, uns=uns)
    adata.raw = anndata.AnnData(X=convert(counts), obs=obs[[]], var=var[[]])
    adata.write_h5ad(path, compression="gzip")


def loop(path: Path) -> None:
    """Check one observation after the other, all of them."""
    adata = anndata.read_h5ad(path)
    measured = set(adata.var_names)
    for name in adata.obs_names:
        row = adata.obs.loc[name]
        genes = str(row["perturbation"]).split(",")
        levels = str(row["expression_level_after_perturbation"]).split(",")
        assert len(genes) == len(levels)
        if row["perturbation_type"] == "knockout" or row["is_control"]:
            continue
        for gene, level in zip(genes, levels, strict=True):
            if gene in measured:
                value = adata[name, gene].X
                value = value.toarray() if sparse.issparse(value) else value
                assert abs(float(level) - float(value[0, 0])) < 1e-4
    assert adata.X.max() < 15


def median_seconds(function: Callable[[], object], runs: int) -> float:
    """Return the median time of a few runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def check(path: Path) -> None:
    """Validate, and make sure that it was the whole, valid file."""
    report = validate(path)
    assert report.findings == (), report


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=2000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.h5ad"
        make(path, given.observations, given.genes, as_sparse=given.sparse)
        check(path)  # pays for the imports
        ours = median_seconds(lambda: check(path), given.runs)
        theirs = median_seconds(lambda: loop(path), 1)
    kind = "sparse" if given.sparse else "dense"
    print(f"{given.observations} x {given.genes} {kind}")
    print(f"validate: {ours:.3f} s (median of {given.runs})")
    print(f"loop:     {theirs:.3f} s")
    print(f"ratio: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
