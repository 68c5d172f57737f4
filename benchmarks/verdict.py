"""Time calibration and intervals, as ratios to the plain score of the same task.

::

    python benchmarks/verdict.py [--perturbations 1000] [--genes 10000] [--replicates 2]

simulates a task with replicates, scores it without and with everything that says how
sure and how good a score is, and prints processor time: it does not depend on who else
uses the machine. The target for a calibration is at most twelve plain scores, and about a
second for 10,000 draws of 1,000 labels, 30 metrics and 6 methods.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd

from pereggrn_data.evaluators import Aligned, calibrate, make_task, score
from pereggrn_data.evaluators.summaries import Resampling, summarise
from pereggrn_data.pipelines.split import split

METRICS_OF_BOOTSTRAP, METHODS_OF_BOOTSTRAP = 30, 6


def make_dataset(perturbations: int, genes: int, replicates: int) -> anndata.AnnData:
    """Make expression with an effect per perturbation: half of the labels will be held out."""
    rng = np.random.default_rng(0)
    labels = ["control"] * 50 + [f"g{i}" for i in range(2 * perturbations)] * replicates
    base = rng.uniform(1, 4, genes).astype(np.float32)
    effects = rng.normal(0, 0.3, (2 * perturbations, genes)).astype(np.float32)
    x = np.repeat(base[None], len(labels), axis=0)
    x[50:] += np.tile(effects, (replicates, 1))
    x += rng.normal(0, 0.3, x.shape).astype(np.float32)
    np.maximum(x, 0, out=x)
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": [label == "control" for label in labels],
            "perturbation_type": "overexpression",
            "expression_level_after_perturbation": "nan",
            "louvain": np.where(rng.random(len(labels)) < 0.5, "a", "b"),
        },
        index=[f"o{i}" for i in range(len(labels))],
    )
    names = [f"g{i}" for i in range(genes)]
    uns = {
        "perturbed_and_measured_genes": [f"g{i}" for i in range(2 * perturbations) if i < genes],
        "perturbed_but_not_measured_genes": [],
    }
    var = pd.DataFrame({"highly_variable_rank": range(genes)}, index=names)
    made = anndata.AnnData(x, obs=obs, var=var, uns=uns)
    made.raw = anndata.AnnData(x, obs=obs[[]], var=var[[]])
    return made


def timed(name: str, work: Callable[[], Any], unit: float | None = None) -> tuple[Any, float]:
    """Run something and print its processor time, and the ratio to a unit."""
    start = time.process_time()
    result = work()
    taken = time.process_time() - start
    print(f"{name:28} {taken:8.1f} s" + ("" if unit is None else f" {taken / unit:8.2f}"))
    return result, taken


def plain_bootstrap(values: Any, draws: int) -> Any:
    """Draw means without studentising: what the floor of the work is."""
    labels = len(values)
    counts = np.random.default_rng(0).multinomial(labels, np.full(labels, 1 / labels), draws)
    return np.quantile(counts.astype(float) @ values / labels, [0.025, 0.975], axis=0)


def main() -> None:
    """Simulate, score, calibrate, estimate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--perturbations", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=10_000)
    parser.add_argument("--replicates", type=int, default=2)
    options = parser.parse_args()
    adata = make_dataset(options.perturbations, options.genes, options.replicates)
    made = split(adata, num_genes=options.genes)

    def task() -> Any:
        return make_task(made.prepared.adata, made.split)

    plain = task()
    rng = np.random.default_rng(1)
    predicted = plain.observed + rng.normal(0, 0.2, plain.observed.shape)
    aligned = Aligned(np.ones(len(predicted), dtype=bool), predicted, None)
    print(f"{plain!r}\n{'':28} {'processor':>10} {'plain scores':>8}")
    scores, unit = timed("plain score", lambda: score(task(), aligned))
    calibration, _ = timed("calibration", lambda: calibrate(task()), unit)
    timed("its summary", calibration.summaries, unit)
    timed("intervals and verdicts", lambda: summarise(scores), unit)
    labels, columns = 1000, METRICS_OF_BOOTSTRAP * METHODS_OF_BOOTSTRAP
    values = rng.exponential(size=(labels, columns))
    weights = np.ones(labels)
    sampler = Resampling(np.arange(labels), draws=10_000)
    print(f"\nbootstrap: 10,000 draws of {labels:,} labels, {columns} columns")
    timed("one multinomial matrix", lambda: plain_bootstrap(values, 10_000), unit)
    timed("studentised (what is used)", lambda: sampler.mean(values, weights), unit)


if __name__ == "__main__":
    main()
