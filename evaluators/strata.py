"""Which perturbations are forecast well: single or double, targets seen, size of the effect."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION
from pereggrn_data.core.labels import genes_of
from pereggrn_data.evaluators.grouping import mean_by_group
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.metric import Direction
from pereggrn_data.evaluators.scoring import PREDICTIONS, Scores
from pereggrn_data.evaluators.summary import SMALLEST_DIVISOR, compare, weighted_mean
from pereggrn_data.evaluators.task import Task

ARE_REGULATORS = "targets are regulators"
_TERTILES = ("smallest third", "middle third", "largest third")
_HOW_MANY = {1: "single", 2: "double"}


def strata_of(task: Task, kept: Bools, regulators: Collection[str] | None = None) -> pd.DataFrame:
    """Say of every group in which strata it is.

    Parameters
    ----------
    task
        What was held out.
    kept
        (groups,) which groups are scored; one row for each of these.
    regulators
        Genes that have a target in a network, where there is one.

    Returns
    -------
    DataFrame
        ``targets``: single or double, with the number of targets that some training
        perturbation has (``single seen0``); ``effect size``: tertiles of the norm of the
        observed log fold change over the standard error of its mean, None where a
        group has one observation; ``targets measured``: yes, no or some; with
        `regulators` also ``targets are regulators``: yes, no or some.
    """
    train = task.train_obs
    labels = train.loc[~train[IS_CONTROL].to_numpy(bool), PERTURBATION].astype(str).unique()
    trained = {gene for label in labels for gene in genes_of(label)}
    measured = set(task.genes)
    rows = []
    for label in task.groups[PERTURBATION].astype(str):
        genes = list(dict.fromkeys(genes_of(label)))
        seen = sum(gene in trained for gene in genes)
        row = {
            "targets": f"{_HOW_MANY.get(len(genes), f'{len(genes)} genes')} seen{seen}",
            "targets measured": _how_many_among(genes, measured),
        }
        if regulators is not None:
            row[ARE_REGULATORS] = _how_many_among(genes, regulators)
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame["effect size"] = pd.Series(_tertiles(_effect_over_noise(task)), dtype=object)
    return frame[kept].reset_index(drop=True)


def _how_many_among(genes: Collection[str], known: Collection[str]) -> str:
    found = sum(gene in known for gene in genes)
    return "yes" if found == len(genes) else "some" if found else "no"


def _effect_over_noise(task: Task) -> Floats:
    """Return (groups,) norms of effects over the standard error of what was observed."""
    counts = task.groups["n_observations"].to_numpy(float)
    matrix: Any = task.test_matrix
    squares = matrix.multiply(matrix) if sparse.issparse(matrix) else np.square(matrix)
    groups = len(task.groups)
    variance = mean_by_group(squares, task.group_of, groups) - np.square(
        mean_by_group(matrix, task.group_of, groups)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.sqrt(np.maximum(variance, 0).sum(axis=1) / (counts - 1))
        size = np.linalg.norm(task.observed - task.reference(), axis=1) / noise
    return np.where(np.isfinite(size), size, np.nan)


def _tertiles(size: Floats) -> list[str | None]:
    known = size[np.isfinite(size)]
    if known.size < len(_TERTILES):
        return [None] * len(size)
    edges = np.quantile(known, [1 / 3, 2 / 3])
    return [
        None if not np.isfinite(x) else _TERTILES[int(np.searchsorted(edges, x))] for x in size
    ]


def summarise_strata(scores: Scores, strata: pd.DataFrame) -> list[dict[str, Any]]:
    """Average every metric within strata.

    Parameters
    ----------
    scores
        Of the predictions and of the baselines.
    strata
        One row per scored group, as :func:`strata_of` returns it.

    Returns
    -------
    list of dict
        ``by``, ``stratum``, ``n_groups`` and ``metrics``: per metric ``value``,
        ``mean_baseline`` and ``percent_change_from_mean`` (positive is better). A
        column in which all groups are alike is left out.
    """
    frames = {m: f.reset_index(drop=True) for m, f in scores.groups.groupby("method", sort=False)}
    mine, mean = frames[PREDICTIONS], frames["mean"]
    weights = mine["n_observations"].to_numpy(float)
    judged = [m for n, m in METRICS.items() if n in mine and m.direction is not None]
    found = []
    for by in strata:
        names = sorted(strata[by].dropna().unique())
        if len(names) < 2:
            continue
        for stratum in names:
            rows = (strata[by] == stratum).to_numpy(bool)
            metrics = {}
            for metric in judged:
                values = mine[metric.name].to_numpy(float)[rows]
                other = mean[metric.name].to_numpy(float)[rows]
                gain = compare(values, other, weights[rows])
                advantage = gain.gain(1 if metric.direction is Direction.HIGHER else -1)
                base = abs(gain.baseline or 0.0)
                metrics[metric.name] = {
                    "value": weighted_mean(values, weights[rows]),
                    "mean_baseline": weighted_mean(other, weights[rows]),
                    "percent_change_from_mean": None
                    if advantage is None or base < SMALLEST_DIVISOR
                    else 100 * advantage / base,
                }
            found.append(
                {"by": by, "stratum": stratum, "n_groups": int(rows.sum()), "metrics": metrics}
            )
    return found
