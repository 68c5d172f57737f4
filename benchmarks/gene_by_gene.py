"""Measure methods that fit each gene by itself against scikit-learn as anybody would call it.

Some genes of the embedded dataset's training side are fitted, each to all others: by the
registry's method, and by scikit-learn's estimator with its defaults. Both are done in this
process, one after the other, with as many threads as the environment says, and else as users
have them. Processor time is counted, which other programs disturb less.

    python benchmarks/gene_by_gene.py [--every 24] [--methods LassoCV ElasticNetCV]

A line for each method reads ``ratio: 1.8`` (processor time of scikit-learn / of ours), with the
largest difference between forecasts.
"""

from __future__ import annotations

import argparse
import importlib
import time
from typing import Any

import numpy as np

import pereggrn_data
from pereggrn_data.models.fit_warnings import noting_warnings
from pereggrn_data.models.methods import get_method
from pereggrn_data.models.regression import RegressionTask

MODULES = {"KernelRidge": "sklearn.kernel_ridge"}
METHODS = ("LassoCV", "ElasticNetCV", "Lasso", "BayesianRidge", "LarsCV", "KernelRidge")
ARGUMENTS = {"Lasso": {"alpha": 0.01}}


def by_scikit_learn(name: str, task: RegressionTask) -> Any:
    """Return forecasts of all observations by estimators with their defaults."""
    module = importlib.import_module(MODULES.get(name, "sklearn.linear_model"))
    x, y = np.asarray(task.features), np.asarray(task.responses)
    found = np.empty(y.shape)
    for j in range(task.n_targets):
        columns = task.features_of(j)
        made = getattr(module, name)(**task.arguments).fit(x[:, columns], y[:, j])
        found[:, j] = made.predict(x[:, columns])
    return found


def by_ours(name: str, task: RegressionTask) -> Any:
    """Return forecasts of all observations by the registry's method."""
    return get_method(name).fit(task).predict(task.features)  # type: ignore[misc]


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=24, help="fit one gene of so many")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    arguments = parser.parse_args()
    train = pereggrn_data.split("demo").train
    x = np.asarray(train.X, dtype=np.float64)
    targets = np.arange(0, x.shape[1], arguments.every)
    names = tuple(train.var_names)
    for name in arguments.methods:
        given = ARGUMENTS.get(name, {})
        task = RegressionTask(x, x, names, np.arange(len(names)), arguments=given).subset(targets)
        seconds, forecasts = [], []
        for how in (by_ours, by_scikit_learn):
            with noting_warnings():
                how(name, task.subset(np.arange(1)))  # what is imported is not counted
                start = time.process_time()
                forecasts.append(how(name, task))
            seconds.append(time.process_time() - start)
        difference = float(np.abs(forecasts[0] - forecasts[1]).max())
        print(
            f"{name:<20} {len(targets)} genes: {seconds[0]:.2f} s, "
            f"scikit-learn {seconds[1]:.2f} s, ratio: {seconds[1] / seconds[0]:.1f}, "
            f"largest difference {difference:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
