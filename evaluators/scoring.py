"""From a task and aligned predictions to scores: one row per method and group."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import beside_unless_stored
from pereggrn_data.evaluators.alignment import Aligned
from pereggrn_data.evaluators.cohort import lost_groups
from pereggrn_data.evaluators.metrics.compute import compute_metrics, compute_whole_metrics
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.metrics.metric_surroundings import Surroundings, t_scores
from pereggrn_data.evaluators.metrics.profile_metrics import Candidates, Profiles
from pereggrn_data.evaluators.per_gene import score_genes
from pereggrn_data.evaluators.shown_effects import shown_effects
from pereggrn_data.evaluators.targets import (
    TargetedGenes,
    defined_groups,
    entries_left_out,
    with_targets,
)
from pereggrn_data.evaluators.task import Task

PREDICTIONS = "predictions"
"""Name of the scored method, next to those of the baselines."""

HAVE_CELLS = ("mean",)
"""Baselines that metrics of cells know: the others are profiles that nobody's cells have."""


@dataclass(frozen=True)
class Scores:
    """All scores of one predictions file and of the baselines.

    Parameters
    ----------
    groups
        One row per method and group: ``method``, the grouping columns,
        ``n_observations``, ``n_genes``, one column per metric.
    targets
        One row per method and gene: ``predicted_by`` (``observation`` or ``group``),
        ``standard_deviation`` of the predictions,
        ``mae`` and ``mse`` (means over test observations).
    n_expected
        Number of held-out groups.
    notes
        What could not be computed, and why.
    lost
        Per metric, in how many held-out groups the truth has a value and the
        predictions have none.
    effects
        Observed and predicted log fold changes of some groups, one row per group and
        gene (:func:`~pereggrn_data.evaluators.shown_effects.shown_effects`); None where
        they are not at hand.
    """

    groups: pd.DataFrame
    targets: pd.DataFrame
    n_expected: int
    notes: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    effects: pd.DataFrame | None = None

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


class CellValues(Protocol):
    """Values by metrics of cells, which :mod:`~pereggrn_data.evaluators.cell_scores` makes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be computed, and why."""

    def of_groups(self, method: str, groups: Bools) -> dict[str, Floats]:
        """Return per metric the values of some groups; NaN for a method without cells."""

    def lost(self, method: str) -> dict[str, int]:
        """Count, per metric, the groups of which the truth has a value and a method has none."""


def score(
    task: Task,
    aligned: Aligned,
    *,
    targeted: TargetedGenes = TargetedGenes.REVEAL,
    shown: Collection[str] = (),
    cells: CellValues | None = None,
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
    shown
        Perturbations whose log fold changes are kept beside those of the best, the
        worst and some between; ``"all"`` keeps every one.
    cells
        Values by metrics of cells, where they are wanted.
    threads
        By default one per processor.
    """
    # Before the effects of all methods are in memory.
    task.training.learn()
    kept = aligned.scored
    truth = observed_truth(task)
    reference = task.reference(kept)
    targets = task.targets.of_groups(kept)
    shape = (int(kept.sum()), len(task.genes))
    methods: dict[str, Floats] = {PREDICTIONS: aligned.profiles}
    for name, baseline in task.baselines.items():
        methods[name] = baseline[kept] if baseline.ndim == 2 else np.broadcast_to(baseline, shape)
    left_out = entries_left_out(targets, shape, targeted)
    effects = {
        name: with_targets(log_fold_change(profiles, reference), reference, targets, targeted)
        for name, profiles in methods.items()
    }
    of_genes = partial(
        score_genes, task, aligned, effects, left_out, targets, targeted, own_of=PREDICTIONS
    )
    # Predictions of single observations may be in a file, too.
    waits = (threads or resources().workers) == 1 or aligned.by_observation is not None
    genes_scored = of_genes if waits else beside_unless_stored(of_genes, task.test_matrix)
    values, notes = measure(task, truth, effects, kept, targeted=targeted, threads=threads)
    lost = lost_groups(task, kept, values[PREDICTIONS], targeted, truth=truth, threads=threads)
    if cells is not None:
        for name, of_method in values.items():
            of_method.update(cells.of_groups(name, kept))
        notes += cells.notes
        lost.update(cells.lost(PREDICTIONS))
    frames = [
        _frame(name, task.groups[kept], values[name], left_out, shape[1]) for name in methods
    ]
    return Scores(
        groups=pd.concat(frames, ignore_index=True),
        targets=genes_scored(),
        n_expected=len(task.groups),
        notes=(*task.notes, *notes),
        lost=lost,
        effects=shown_effects(
            task.groups[kept],
            task.genes,
            truth.observed[kept],
            effects[PREDICTIONS],
            left_out=left_out,
            advantage=values["mean"]["mae"] - values[PREDICTIONS]["mae"],
            named=shown,
        ),
    )


@dataclass(frozen=True)
class Truth:
    """One observation of all held-out groups, which effects are scored against.

    Parameters
    ----------
    observed
        (groups, genes) observed log fold change O; NaN rows where nothing is
        observed.
    reference
        (genes,) or (groups, genes) baseline C that O is over.
    t_scores
        (groups, genes) how surely each gene differs from other groups.
    """

    observed: Floats
    reference: Floats
    t_scores: Floats

    def surroundings(self, task: Task, groups: Bools) -> Surroundings:
        """Return what metrics may know of some groups besides O and E."""
        perturbed = task.perturbed_mean
        return Surroundings(
            _of_groups(self.reference, groups),
            task.control_mean,
            None if perturbed is None else _of_groups(perturbed, groups),
            _of_groups(self.t_scores, groups),
        )


def observed_truth(task: Task) -> Truth:
    """Return all that was observed of the held-out groups."""
    reference = task.reference()
    return Truth(
        observed=log_fold_change(task.observed, reference),
        reference=reference,
        t_scores=t_scores(task.test_matrix, task.group_of, len(task.groups), task.contexts),
    )


def measure(
    task: Task,
    truth: Truth,
    effects: Mapping[str, Floats],
    kept: Bools,
    *,
    targeted: TargetedGenes,
    threads: int | None = None,
) -> tuple[dict[str, dict[str, Floats]], list[str]]:
    """Compute every metric of several methods against one truth.

    Parameters
    ----------
    task
        What was held out.
    truth
        What is scored against: all that was observed, or a half of it.
    effects
        Per method, (kept groups, genes) predicted log fold change over the truth's
        reference, targeted genes set; NaN rows where a method says nothing.
    kept
        (groups,) which groups are scored.
    targeted
        What is done with directly perturbed genes.
    threads
        By default one per processor.

    Returns
    -------
    dict, list of str
        Per method and metric, (kept groups,) values, NaN where there is none; and
        notes on metrics that are absent.
    """
    observed = _of_groups(truth.observed, kept)
    left_out = entries_left_out(task.targets.of_groups(kept), observed.shape, targeted)
    around = truth.surroundings(task, kept)
    defined = {name: defined_groups(effect) for name, effect in effects.items()}
    # A group that a method says nothing of is computed as zero, then taken out again.
    shown = {
        name: effect if defined[name].all() else np.where(defined[name][:, None], effect, 0)
        for name, effect in effects.items()
    }
    values = compute_metrics(observed, shown, left_out, around=around, threads=threads)
    seen = defined_groups(truth.observed)
    among = Candidates(
        _of_groups(truth.observed, seen),
        task.contexts[seen],
        task.panel,
        (np.cumsum(seen) - 1)[kept],
    )
    profiles = Profiles(task.training, around.reference, observed, shown, left_out, among)
    whole, notes = compute_whole_metrics(profiles)
    for name, of_method in values.items():
        of_method.update(whole[name])
        for metric in of_method:
            of_method[metric] = np.where(defined[name], of_method[metric], np.nan)
    return values, notes


def _of_groups(values: Floats, kept: Bools) -> Floats:
    """Return the rows of some groups, where there is one per group; of all without a copy."""
    return values if values.ndim == 1 or kept.all() else values[kept]


def _frame(
    method: str,
    groups: pd.DataFrame,
    values: Mapping[str, Floats],
    left_out: Bools | None,
    genes: int,
) -> pd.DataFrame:
    hidden: Any = 0 if left_out is None else left_out.sum(axis=1)
    frame = groups.reset_index(drop=True)
    frame.insert(0, "method", method)
    frame["n_genes"] = genes - hidden
    in_order = {name: values[name] for name in METRICS if name in values}
    return pd.concat([frame, pd.DataFrame(in_order)], axis=1)
