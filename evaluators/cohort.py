"""Which groups a metric is about: those of which the truth has a value, whoever predicts them.

Who predicts nothing, or nothing that varies, where it is hard must not choose on what is
scored. So the cohort of a metric is fixed by the observed data alone, and what the
predictions lack in it is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.evaluators.metrics.compute import compute_metrics
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.targets import TargetedGenes, entries_left_out
from pereggrn_data.evaluators.task import Task

if TYPE_CHECKING:
    from pereggrn_data.evaluators.scoring import Truth


def lost_groups(
    task: Task,
    scored: Bools,
    values: Mapping[str, Floats],
    targeted: TargetedGenes,
    *,
    truth: Truth,
    threads: int | None = None,
) -> dict[str, int]:
    """Count, per metric, the held-out groups that belong to it and have no value.

    Parameters
    ----------
    task
        What was held out.
    scored
        (groups,) whether a group was predicted.
    values
        Per metric, (scored groups,) values of the predictions.
    targeted
        What is done with directly perturbed genes.
    truth
        All that was observed.
    threads
        By default one per processor.

    Notes
    -----
    A group belongs to a metric if the observed data, taken as a prediction of itself, has
    a value there. Where the predictions have one, that is so; it is computed for the others.
    """
    missing = {name: np.ones(len(scored), dtype=bool) for name in values}
    for name, of_metric in values.items():
        missing[name][scored] = ~np.isfinite(of_metric)
    rows = np.zeros(len(scored), dtype=bool)
    for of_metric in missing.values():
        rows |= of_metric
    if not rows.any():
        return {}
    # Where nothing is said of single groups, nothing is known but that they were not predicted.
    lost = {name: int((~scored).sum()) for name in values}
    observed = truth.observed[rows]
    left_out = entries_left_out(task.targets.of_groups(rows), observed.shape, targeted)
    by_genes = [METRICS[name] for name in values if METRICS[name].compute is not None]
    perfect = compute_metrics(
        observed,
        {"observed": observed},
        left_out,
        metrics=by_genes,
        around=truth.surroundings(task, rows),
        threads=threads,
    )["observed"]
    for name, of_metric in perfect.items():
        lost[name] = int((np.isfinite(of_metric) & missing[name][rows]).sum())
    return {name: n for name, n in lost.items() if n}
