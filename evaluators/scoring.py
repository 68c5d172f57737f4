"""From a task and aligned predictions to scores: one row per method and group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats, Matrix
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.evaluators.metrics.compute import compute_metrics
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.effects import Mask
from pereggrn_data.evaluators.metrics.per_gene import score_targets
from pereggrn_data.evaluators.metrics.projections import cell_label_accuracy, distance_in_pca
from pereggrn_data.evaluators.targets import Targets
from pereggrn_data.evaluators.task import Task, log_fold_change

PREDICTIONS = "predictions"
"""Name of the scored method, next to those of the baselines."""


class TargetedGenes(StrEnum):
    """What is done with the genes that a perturbation changes directly.

    Their level after perturbation is given to every method, so predicting it
    is no success.
    """

    REVEAL = "reveal"
    EXCLUDE = "exclude"
    AS_IS = "as-is"


@dataclass(frozen=True)
class Aligned:
    """Predictions in the order of the task.

    Parameters
    ----------
    scored
        (groups,) whether a group was predicted.
    profiles
        (scored groups, genes) mean predicted natural-log expression.
    by_observation
        (test, genes) where each test observation has its own prediction, else None.
    """

    scored: Mask
    profiles: Floats
    by_observation: Floats | None


@dataclass(frozen=True)
class Scores:
    """All scores of one predictions file and of the baselines.

    Parameters
    ----------
    groups
        One row per method and group: ``method``, the grouping columns,
        ``n_observations``, ``n_genes``, one column per metric.
    targets
        One row per method and gene: ``standard_deviation`` of the predictions,
        ``mae`` and ``mse`` (means over test observations).
    n_expected
        Number of held-out groups.
    notes
        What could not be computed, and why.
    """

    groups: pd.DataFrame
    targets: pd.DataFrame
    n_expected: int
    notes: tuple[str, ...] = ()

    @property
    def methods(self) -> list[str]:
        """The scored predictions first, then the baselines."""
        return list(dict.fromkeys(self.groups["method"]))

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per method and group."""
        return self.groups

    def __repr__(self) -> str:
        n = (self.groups["method"] == self.methods[0]).sum() if len(self.groups) else 0
        return f"Scores of {', '.join(self.methods)} on {n} of {self.n_expected} groups"


def score(
    task: Task,
    aligned: Aligned,
    *,
    targeted: TargetedGenes = TargetedGenes.REVEAL,
    threads: int | None = None,
) -> Scores:
    """Score predictions and baselines by every metric.

    Parameters
    ----------
    task
        What was held out.
    aligned
        Predictions for all or some of its groups.
    targeted
        What is done with directly perturbed genes.
    threads
        By default one per processor.
    """
    kept = aligned.scored
    targets = task.targets.of_groups(kept)
    observed = task.observed[kept]
    shape = observed.shape
    methods: dict[str, Floats] = {PREDICTIONS: aligned.profiles}
    for name, baseline in task.baselines.items():
        methods[name] = baseline[kept] if baseline.ndim == 2 else np.broadcast_to(baseline, shape)
    left_out = entries_left_out(targets, shape, targeted)
    reference = task.reference(kept)
    effects = {
        name: with_targets(log_fold_change(profiles, reference), reference, targets, targeted)
        for name, profiles in methods.items()
    }
    o = log_fold_change(observed, reference)
    defined = {name: _defined(effect) for name, effect in effects.items()}
    # A group that a method says nothing of is computed as zero, then taken out again.
    shown = {
        name: effect if defined[name].all() else np.where(defined[name][:, None], effect, 0)
        for name, effect in effects.items()
    }
    values = compute_metrics(o, shown, left_out, threads=threads)
    notes = _add_projections(values, task, o, shown, reference, left_out)
    for name, of_method in values.items():
        for metric in of_method:
            of_method[metric] = np.where(defined[name], of_method[metric], np.nan)
    frames = [
        _frame(name, task.groups[kept], values[name], left_out, shape[1]) for name in methods
    ]
    return Scores(
        groups=pd.concat(frames, ignore_index=True),
        targets=_target_scores(task, aligned, effects, left_out, targets, targeted),
        n_expected=len(task.groups),
        notes=(*task.notes, *notes),
    )


def _defined(effect: Floats) -> Mask:
    """Return the groups of which a method says something."""
    # A sum needs no mask as large as the predictions; one NaN or infinity shows in it.
    return np.asarray(np.isfinite(effect.sum(axis=1)))


def entries_left_out(
    targets: Targets, shape: tuple[int, int], targeted: TargetedGenes
) -> Mask | None:
    """Return which (group, gene) entries must not score, or None."""
    if targeted is TargetedGenes.AS_IS:
        return None
    chosen = np.isnan(targets.stated) if targeted is TargetedGenes.REVEAL else targets.rows >= 0
    if not chosen.any():
        return None
    mask = np.zeros(shape, dtype=bool)
    mask[targets.rows[chosen], targets.columns[chosen]] = True
    return mask


def with_targets(
    effect: Floats, reference: Floats, targets: Targets, targeted: TargetedGenes
) -> Floats:
    """Set directly perturbed genes to their stated level, where that is the rule.

    A group that a method says nothing of stays NaN.
    """
    nothing = np.flatnonzero(~_defined(effect))
    nothing = nothing[np.isnan(effect[nothing]).all(axis=1)]
    if targeted is TargetedGenes.REVEAL:
        known = ~np.isnan(targets.stated)
        at = targets.rows[known], targets.columns[known]
        effect[at] = targets.stated[known] - np.broadcast_to(reference, effect.shape)[at]
    effect[nothing] = np.nan
    return effect


def targeted_genes_rule(name: str) -> TargetedGenes:
    """Look up a rule by its name on the command line.

    Raises
    ------
    UnknownNameError
        With near matches.
    """
    try:
        return TargetedGenes(name)
    except ValueError:
        raise UnknownNameError(
            "rule for targeted genes", name, [str(rule) for rule in TargetedGenes]
        ) from None


def _add_projections(
    values: dict[str, dict[str, Floats]],
    task: Task,
    observed: Floats,
    effects: Mapping[str, Floats],
    reference: Floats,
    left_out: Mask | None,
) -> tuple[str, ...]:
    """Add the metrics that need all genes; left-out ones are equal on both sides there."""

    def shown(effect: Floats) -> Floats:
        return effect if left_out is None else np.where(left_out, observed, effect)

    errors = {name: partial(_difference, observed, shown, e) for name, e in effects.items()}
    for name, distances in distance_in_pca(task.train_matrix, errors).items():
        values[name]["distance_in_pca"] = distances
    labels = task.train_labels
    if labels is None:
        return ()
    sides = {name: partial(shown, effect) for name, effect in effects.items()}
    accuracy, note = cell_label_accuracy(task.train_matrix, labels, reference, observed, sides)
    for name, correct in accuracy.items():
        values[name]["cell_label_accuracy"] = correct
    return (note,) if note else ()


def _difference(observed: Floats, shown: Callable[[Floats], Floats], effect: Floats) -> Floats:
    return observed - shown(effect)


def _frame(
    method: str,
    groups: pd.DataFrame,
    values: Mapping[str, Floats],
    left_out: Mask | None,
    genes: int,
) -> pd.DataFrame:
    hidden: Any = 0 if left_out is None else left_out.sum(axis=1)
    frame = groups.reset_index(drop=True)
    frame.insert(0, "method", method)
    frame["n_genes"] = genes - hidden
    in_order = {name: values[name] for name in METRICS if name in values}
    return pd.concat([frame, pd.DataFrame(in_order)], axis=1)


def _target_scores(
    task: Task,
    aligned: Aligned,
    effects: Mapping[str, Floats],
    left_out: Mask | None,
    targets: Targets,
    targeted: TargetedGenes,
) -> pd.DataFrame:
    kept = aligned.scored
    rows = np.flatnonzero(kept[task.group_of])
    group_of = (np.cumsum(kept) - 1)[task.group_of[rows]]
    matrix: Matrix = task.test_matrix[rows]
    reference = task.reference(kept)
    frames = []
    for name, effect in effects.items():
        own = None
        if name == PREDICTIONS and aligned.by_observation is not None:
            own = aligned.by_observation[rows]
        frame = score_targets(
            matrix, reference, group_of, effect, left_out, own,
            targets if targeted is TargetedGenes.REVEAL else None,
        )  # fmt: skip
        frame.insert(0, "gene", task.genes)
        frame.insert(0, "method", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
