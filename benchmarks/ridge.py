"""Measure the exact ridge regression against scikit-learn, one target at a time.

Run ``python benchmarks/ridge.py`` (a few minutes), or with ``--quick``. Each
case runs in a process of its own, so that its peak memory is its own, too.
Both sides use the same number of threads, and scikit-learn's time is measured
on a random sample of the same targets in the same process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One problem: observations, regulators, targets, and regulators per target."""

    name: str
    n: int
    p: int
    n_targets: int
    per_target: int = 0
    sample: int = 10
    n_perturbed: int = 500


CASES = (
    Case("paper scale, dense", 1000, 1600, 10_000),
    Case("paper scale, network of 3 regulators", 1000, 1600, 10_000, 3, 200),
    Case("paper scale, network of 10 regulators", 1000, 1600, 10_000, 10, 200),
    Case("paper scale, network of 30 regulators", 1000, 1600, 10_000, 30, 100),
    Case("paper scale, network of 100 regulators", 1000, 1600, 10_000, 100, 50),
    Case("cells, dense", 20_000, 400, 2000, 0, 3, 100),
    Case("all genes eligible", 1000, 10_000, 10_000, sample=2),
    Case("half the observations", 500, 1600, 10_000, sample=0),
    Case("twice the observations", 2000, 1600, 10_000, sample=0),
    Case("half the regulators", 1000, 800, 10_000, sample=0),
    Case("twice the regulators", 1000, 3200, 10_000, sample=0),
    Case("half the targets", 1000, 1600, 5000, sample=0),
    Case("twice the targets", 1000, 1600, 20_000, sample=0),
)

QUICK = (
    Case("quick, dense", 200, 300, 1000, 0, 20, 50),
    Case("quick, network of 5 regulators", 200, 300, 1000, 5, 50, 50),
    Case("quick, cells", 2000, 60, 300, 0, 10, 30),
)


def make_task(case: Case, seed: int, jobs: int) -> Any:
    """Make a regression task as perturbation data give them.

    The regulators are among the targets, each perturbation is one observation
    (for cells, many), and expression is driven by a few shared factors.
    """
    import numpy as np

    from pereggrn_data.models.regression import RegressionTask

    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(case.n, 20))
    y = (factors @ rng.normal(size=(20, case.n_targets)) * 0.3).astype(np.float32)
    y += rng.normal(size=y.shape).astype(np.float32)
    y += rng.uniform(0.5, 5, case.n_targets).astype(np.float32)
    is_target = case.p <= case.n_targets
    columns = np.sort(rng.permutation(case.n_targets)[: case.p]) if is_target else None
    x = y[:, columns] if columns is not None else rng.normal(size=(case.n, case.p))
    own = np.full(case.n_targets, -1, dtype=np.intp)
    if columns is not None:
        own[columns] = np.arange(case.p)
    perturbed = rng.permutation(case.n_targets)[: case.n_perturbed]
    rows = np.array_split(rng.permutation(case.n)[: case.n // 2], case.n_perturbed)
    excluded = {int(j): np.sort(r) for j, r in zip(perturbed, rows, strict=True) if r.size}
    allowed = None
    if case.per_target:
        sizes = np.minimum(rng.poisson(case.per_target, case.n_targets), case.p)
        allowed = tuple(
            np.setdiff1d(rng.choice(case.p, k, replace=False), own[j]).astype(np.intp)
            for j, k in enumerate(sizes)
        )
    names = tuple(f"G{j}" for j in range(case.n_targets))
    return RegressionTask(x, y, names, own, excluded, allowed, jobs=jobs)


def measure(case: Case, threads: int, seed: int) -> dict[str, Any]:
    """Run one case; return seconds, ratio, agreement and peak memory."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from pereggrn_data.models.ridge.ridge_cv import fit_ridge_cv

    with threadpool_limits(threads):
        task = make_task(case, seed, threads)
        before = peak_megabytes()
        start = time.perf_counter()
        model = fit_ridge_cv(task)
        seconds = time.perf_counter() - start
        out = asdict(case) | {
            "seconds": seconds,
            "peak_mb": peak_megabytes(),
            "peak_before_mb": before,
        }
        if case.sample:
            sample = np.random.default_rng(seed).permutation(case.n_targets)[: case.sample]
            out |= against_scikit_learn(task, model, sample)
            out["ratio"] = out["sklearn_per_target"] * case.n_targets / seconds
    return out


def against_scikit_learn(task: Any, model: Any, sample: Any) -> dict[str, Any]:
    """Fit a sample of targets by scikit-learn, and compare penalties and predictions."""
    import numpy as np
    from sklearn.linear_model import RidgeCV

    from pereggrn_data.models.ridge.problem import ALPHAS

    x = np.asarray(task.features, dtype=np.float64)
    y = np.asarray(task.responses[:, sample], dtype=np.float64)
    found = model.predict(x)[:, sample]
    spent, difference, other_penalties, fitted = 0.0, 0.0, 0, 0
    for i, j in enumerate(sample):
        columns, rows = task.features_of(int(j)), task.rows_of(int(j))
        if columns.size == 0:
            continue
        start = time.perf_counter()
        one = RidgeCV(alphas=ALPHAS).fit(x[:, columns][rows], y[rows, i])
        spent += time.perf_counter() - start
        fitted += 1
        other_penalties += one.alpha_ != model.alphas[j]
        difference = max(difference, float(np.abs(one.predict(x[:, columns]) - found[:, i]).max()))
    return {
        "sklearn_per_target": spent / max(1, fitted),
        "largest_difference": difference,
        "other_penalties": other_penalties,
    }


def golden_medium(shared: Path) -> dict[str, Any]:
    """Time fit and forecast on the input that the original took 13 s and 2 s for."""
    import anndata
    import numpy as np

    from pereggrn_data.models.grammar.choices import Grammar
    from pereggrn_data.models.grammar.ggrn import fit
    from pereggrn_data.models.inputs import Perturbations, TrainingData

    folder = shared / "golden" / "inputs" / "perturbation_data" / "perturbations" / "medium"
    adata = anndata.read_h5ad(folder / "test.h5ad")
    labels = tuple(adata.obs["perturbation"].astype(str))
    levels = tuple(adata.obs["expression_level_after_perturbation"].astype(object))
    perturbations = Perturbations(labels, levels)
    data = TrainingData(
        expression=np.asarray(adata.X),
        genes=tuple(adata.var_names),
        perturbations=perturbations,
        is_control=adata.obs["is_control"].to_numpy().astype(bool),
    )
    start = time.perf_counter()
    fitted = fit(data, Grammar("RidgeCV"))
    middle = time.perf_counter()
    fitted.predict(perturbations)
    end = time.perf_counter()
    n, n_genes = adata.shape
    return {
        "name": f"medium golden input, all {n_genes} genes as regulators",
        "n": n,
        "n_targets": n_genes,
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
    }


def peak_megabytes() -> float:
    """Return the peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(result: dict[str, Any]) -> str:
    """Return one line of the table."""
    if "fit_seconds" in result:
        return (
            f"{result['name']}: fit {result['fit_seconds']:.2f} s, "
            f"forecast {result['predict_seconds']:.2f} s"
        )
    line = (
        f"{result['name']:<40} n={result['n']:<6} p={result['p']:<5} G={result['n_targets']:<6}"
        f" {result['seconds']:7.2f} s  peak {result['peak_mb']:6.0f} MB"
    )
    if "ratio" in result:
        line += (
            f"  scikit-learn {1000 * result['sklearn_per_target']:8.2f} ms/target"
            f"  ratio {result['ratio']:6.0f}  largest difference "
            f"{result['largest_difference']:.1e}  other penalties {result['other_penalties']}"
        )
    return line


def main() -> None:
    """Run the cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cases, a few seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="run the cases whose name has this in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    spawn = multiprocessing.get_context("spawn")
    jobs: list[tuple[Any, tuple[Any, ...]]] = [
        (measure, (case, arguments.threads, arguments.seed))
        for case in (QUICK if arguments.quick else CASES)
        if not arguments.only or arguments.only in case.name
    ]
    if not arguments.quick and not arguments.only and arguments.shared.is_dir():
        jobs.append((golden_medium, (arguments.shared,)))
    for function, values in jobs:
        with spawn.Pool(1) as pool:
            result = pool.apply(function, values)
        print(json.dumps(result) if arguments.json else show(result), flush=True)


if __name__ == "__main__":
    main()
