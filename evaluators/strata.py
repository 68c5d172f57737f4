"""Which perturbations are forecast well: single or double, targets seen, size of the effect."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION
from pereggrn_data.core.labels import genes_of
from pereggrn_data.evaluators.replicate_halves import duplicate_noise
from pereggrn_data.evaluators.scoring import Scores
from pereggrn_data.evaluators.splits.seen_targets import genes_trained, seen
from pereggrn_data.evaluators.summaries import DRAWS, MeasuredMetric, Resampling, ScoredMetrics
from pereggrn_data.evaluators.task import Task

ARE_REGULATORS = "targets are regulators"
_TERTILES = ("smallest third", "middle third", "largest third")
_HOW_MANY = {1: "single", 2: "double"}


def strata_of(task: Task, regulators: Collection[str] | None = None) -> pd.DataFrame:
    """Say of every group in which strata it is.

    Parameters
    ----------
    task
        What was held out.
    regulators
        Genes that have a target in a network, where there is one.

    Returns
    -------
    DataFrame
        A row per group. ``targets``: single or double, with the number of targets that some
        training perturbation has (``single seen0``); ``effect size``: tertiles of the norm of
        the observed log fold change over the noise of a technical duplicate, None where a
        group has none; ``targets measured``: yes, no or some; with
        `regulators` also ``targets are regulators``: yes, no or some.
    """
    train = task.train_obs
    labels = train.loc[~train[IS_CONTROL].to_numpy(bool), PERTURBATION].astype(str).unique()
    trained = genes_trained(labels)
    measured = set(task.genes)
    rows = []
    for label in task.groups[PERTURBATION].astype(str):
        genes = list(dict.fromkeys(genes_of(label)))
        row = {
            "targets": f"{_HOW_MANY.get(len(genes), f'{len(genes)} genes')} "
            f"{seen(label, trained)}",
            "targets measured": _how_many_among(genes, measured),
        }
        if regulators is not None:
            row[ARE_REGULATORS] = _how_many_among(genes, regulators)
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame["effect size"] = pd.Series(_tertiles(_effect_over_noise(task)), dtype=object)
    return frame


def _how_many_among(genes: Collection[str], known: Collection[str]) -> str:
    found = sum(gene in known for gene in genes)
    return "yes" if found == len(genes) else "some" if found else "no"


def _effect_over_noise(task: Task) -> Floats:
    """Return (groups,) norms of effects over the distance between two halves of a group."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.linalg.norm(task.observed - task.reference(), axis=1) / duplicate_noise(task)
    return np.where(np.isfinite(size), size, np.nan)


def _tertiles(size: Floats) -> list[str | None]:
    known = size[np.isfinite(size)]
    if known.size < len(_TERTILES):
        return [None] * len(size)
    edges = np.quantile(known, [1 / 3, 2 / 3])
    return [
        None if not np.isfinite(x) else _TERTILES[int(np.searchsorted(edges, x))] for x in size
    ]


def summarise_strata(
    scores: Scores, strata: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0
) -> list[dict[str, Any]]:
    """Average every metric within strata, with intervals over the labels of each.

    Parameters
    ----------
    scores
        Of the predictions and of the baselines.
    strata
        One row per scored group, as :func:`strata_of` returns it.
    draws, seed
        Of the intervals.

    Returns
    -------
    list of dict
        ``by``, ``stratum``, ``n_groups``, ``n_labels`` and ``metrics``: per metric
        ``value``, ``mean_baseline``, ``difference`` to the mean in the metric's units and
        ``percent_change_from_mean`` (positive is better), and the ``interval``,
        ``difference_interval`` and ``percent_change_interval`` of these, None where one
        label is all there is. A column in which all groups are alike is left out.
    """
    # Of the baselines only the mean is reported, so the others are not drawn.
    scored = ScoredMetrics.of(scores, baselines=("mean",))
    found = []
    for by in strata:
        names = sorted(strata[by].dropna().unique())
        if len(names) < 2:
            continue
        for stratum in names:
            part = scored.of_groups(np.flatnonzero((strata[by] == stratum).to_numpy(bool)))
            sampler = Resampling(part.labels, draws=draws, seed=seed)
            found.append(
                {
                    "by": by,
                    "stratum": stratum,
                    "n_groups": len(part.labels),
                    "n_labels": sampler.n_labels,
                    "metrics": {
                        m.metric.name: _of_stratum(m) for m in part.measured(sampler) if m.sign
                    },
                }
            )
    return found


def _of_stratum(metric: MeasuredMetric) -> dict[str, Any]:
    difference = metric.differences["mean"]
    ends = {
        "interval": metric.interval,
        "difference_interval": difference.interval,
        "percent_change_interval": metric.percent_interval,
    }
    return {
        "value": metric.value,
        "mean_baseline": metric.baselines["mean"],
        "difference": difference.value,
        "percent_change_from_mean": metric.percent_change,
        **{name: None if interval is None else list(interval) for name, interval in ends.items()},
    }
