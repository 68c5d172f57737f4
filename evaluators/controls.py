"""Controls: predictions that are no forecasts, to see what a metric can tell apart.

Each is one entry of :data:`CONTROLS` and knows the task only. What is predicted
from one half of the replicates for the other is in
:mod:`~pereggrn_data.evaluators.replicate_halves`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.splits import CONTEXTS
from pereggrn_data.evaluators.grouping import group_keys
from pereggrn_data.evaluators.task import Task
from pereggrn_data.evaluators.task_baselines import centroids

SEED = 0
"""Of everything that is drawn for controls."""


@dataclass(frozen=True)
class Control:
    """One prediction that is no forecast.

    Parameters
    ----------
    name
        As in ``calibration.json``.
    description
        In a sentence.
    predict
        From the task to (genes,) or (groups, genes) natural-log expression, NaN in
        groups of which it says nothing; None where it says nothing at all.
    """

    name: str
    description: str
    predict: Callable[[Task], Floats | None]


def nearest_training(task: Task) -> Floats | None:
    """Mean of the training perturbations that share most with each group's.

    That is those whose set of targets is most similar (intersection over union),
    in the same cell type and time point where groups are told apart by them: for
    a double perturbation its singles, if they train. Where none shares a target,
    the mean of the training perturbations.

    Returns
    -------
    ndarray or None
        (groups, genes); None where no perturbation trains.
    """
    if task.perturbed_mean is None:
        return None
    columns = [c for c in task.group_by if c in CONTEXTS and c in task.train_obs]
    keys, means = centroids((task.train_obs, task.train_matrix), columns)
    sets = [frozenset(genes_of(label)) for label in keys.get_level_values(PERTURBATION)]
    places = [tuple(key[1:]) for key in keys]
    by_gene: dict[str, list[int]] = {}
    for i, targets in enumerate(sets):
        for gene in targets:
            by_gene.setdefault(gene, []).append(i)
    result = np.array(np.broadcast_to(task.perturbed_mean, task.observed.shape))
    own_places = list(group_keys(task.groups, columns)) if columns else [()] * len(task.groups)
    for k, label in enumerate(task.groups[PERTURBATION]):
        wanted = frozenset(genes_of(label))
        place = tuple(own_places[k])
        sharing = {i for gene in wanted for i in by_gene.get(gene, ()) if places[i] == place}
        if sharing:
            similar = {i: len(wanted & sets[i]) / len(wanted | sets[i]) for i in sharing}
            most = max(similar.values())
            result[k] = means[[i for i in sorted(sharing) if similar[i] == most]].mean(axis=0)
    return result


def permuted(task: Task) -> Floats:
    """Take what was observed of another group of the same cell type and time point.

    Returns
    -------
    ndarray
        (groups, genes); NaN in a group that is alone.
    """
    other = permutation(task)
    return np.where(other[:, None] >= 0, task.observed[other], np.nan)


def permutation(task: Task) -> Ints:
    """Give every group another one of the same cell type and time point.

    Returns
    -------
    ndarray
        (groups,) positions; -1 for a group that is alone.
    """
    rng = np.random.default_rng(SEED)
    result = np.full(len(task.groups), -1, dtype=np.intp)
    for context in np.unique(task.contexts):
        groups = rng.permutation(np.flatnonzero(task.contexts == context))
        if len(groups) > 1:
            # One cycle through all of them: nobody gets their own.
            result[groups] = np.roll(groups, 1)
    return result


CONTROLS: dict[str, Control] = {
    control.name: control
    for control in (
        Control("control", "The training controls: no change.", lambda task: task.reference()),
        Control("mean", "The training mean.", lambda task: task.baselines["mean"]),
        Control("median", "The training median.", lambda task: task.baselines["median"]),
        Control(
            "perturbed_mean",
            "The equal-weight mean of the training perturbations, without controls.",
            lambda task: task.perturbed_mean,
        ),
        Control(
            "nearest",
            "The training perturbations that share most targets; else their mean.",
            nearest_training,
        ),
        Control("permuted", "What was observed of another held-out perturbation.", permuted),
        Control("observed", "What was observed: perfect.", lambda task: task.observed),
    )
}
"""By name, in the order in which tables show them."""
