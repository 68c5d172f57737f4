"""The task: what was held out, what was really observed there, and the baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.format import (
    CLUSTER_LABEL,
    IS_CONTROL,
    OPTIONAL_GROUP_COLUMNS,
    PERTURBATION,
)
from pereggrn_data.core.rows.row_blocks import part_of
from pereggrn_data.core.splits import CONTEXTS, Split
from pereggrn_data.evaluators.grouping import group_rows, mean_by_group
from pereggrn_data.evaluators.metrics.profile_metrics import Training
from pereggrn_data.evaluators.splits.located import locate
from pereggrn_data.evaluators.splits.types import split_type
from pereggrn_data.evaluators.targets import Targets, find_targets
from pereggrn_data.evaluators.task_baselines import (
    Contexts,
    extra_baselines,
    matched_controls,
    mean_of_controls,
    perturbed_mean,
    training_baselines,
)

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Task:
    """Everything that a score needs besides the predictions.

    Parameters
    ----------
    dataset, sha256
        Name and hash of the dataset.
    split
        What is held out.
    genes
        (genes,) modelled genes, in the dataset's order.
    group_by
        Columns that define a group: ``perturbation``, and those of
        ``perturbation_type``, ``cell_type``, ``timepoint`` that the dataset has.
    keys
        (groups,) what a group is matched by: the columns of `group_by`, as text.
    groups
        (groups,) one row per group in order of first appearance: the columns of
        `group_by` as in the dataset, and ``n_observations``.
    group_of
        (test,) group of each test observation.
    test_matrix
        (test, genes) observed natural-log expression.
    observed
        (groups, genes) mean observed expression.
    control_mean
        (genes,) mean of the known controls: the baseline of log fold changes.
    matched_control_mean
        (groups, genes) mean of the known controls of each group's cell type and
        timepoint, where the type of split matches these, which is the baseline instead;
        else None.
    baselines
        Per name, (genes,) or (groups, genes) predicted expression.
    perturbed_mean
        (genes,) equal-weight mean of the centroids of the training perturbations,
        without controls; in a time series (groups, genes), of the group's cell type
        and timepoint. None where no perturbation trains.
    targets
        The directly perturbed genes of each group.
    train_matrix, train_obs
        The training side.
    given_matrix, given_obs
        Controls that are known and do not train.
    notes
        What a baseline could not say.
    """

    dataset: str
    sha256: str
    split: Split
    genes: npt.NDArray[np.object_]
    group_by: tuple[str, ...]
    keys: pd.MultiIndex
    groups: pd.DataFrame
    group_of: Ints
    test_obs: pd.DataFrame
    test_matrix: Matrix
    observed: Floats
    control_mean: Floats
    matched_control_mean: Floats | None
    baselines: dict[str, Floats]
    perturbed_mean: Floats | None
    targets: Targets
    train_matrix: Matrix
    train_obs: pd.DataFrame
    given_matrix: Matrix
    given_obs: pd.DataFrame
    notes: tuple[str, ...] = ()

    def reference(self, groups: Any = slice(None)) -> Floats:
        """Return the baseline of log fold changes.

        Parameters
        ----------
        groups
            Positions, or a mask, of the groups it is for; by default all.

        Returns
        -------
        ndarray
            (genes,), or (len(groups), genes) where every group has its own.
        """
        if self.matched_control_mean is None:
            return self.control_mean
        return np.asarray(self.matched_control_mean[groups])

    def known_controls(self) -> list[tuple[pd.DataFrame, Matrix]]:
        """Return the training controls, and the given ones."""
        train = np.flatnonzero(self.train_obs[IS_CONTROL].to_numpy(bool))
        return [
            (self.train_obs.iloc[train], self.train_matrix[train]),
            (self.given_obs, self.given_matrix),
        ]

    @cached_property
    def training(self) -> Training:
        """The training data, and what metrics learn of it."""
        return Training(self.train_matrix, self.train_obs.get(CLUSTER_LABEL))

    @cached_property
    def contexts(self) -> Ints:
        """(groups,) number of the cell type and time point of each group."""
        told_apart = [c for c in self.group_by if c in CONTEXTS]
        if not told_apart:
            return np.zeros(len(self.groups), dtype=np.intp)
        codes, _ = pd.factorize(
            self.keys.droplevel([c for c in self.group_by if c not in told_apart])
        )
        return codes.astype(np.intp)

    @cached_property
    def panel(self) -> Bools:
        """(genes,) whether any held-out perturbation targets a gene."""
        targeted = np.zeros(len(self.genes), dtype=bool)
        targeted[self.targets.columns] = True
        return targeted

    def __repr__(self) -> str:
        return (
            f"Task on {self.dataset}: {len(self.groups)} groups by {', '.join(self.group_by)}, "
            f"{len(self.group_of)} test and {len(self.train_obs)} training observations, "
            f"{len(self.genes)} genes"
        )


@dataclass(frozen=True)
class SidesOfData:
    """What a dataset holds on each side of a split; all that a task is made of.

    Parameters
    ----------
    train, test, given
        Rows of ``obs``, and their (n, genes) expression: what trains, what is held out, and
        the controls that are known and do not train.
    genes
        (genes,) modelled genes, in the dataset's order.
    """

    train: tuple[pd.DataFrame, Matrix]
    test: tuple[pd.DataFrame, Matrix]
    given: tuple[pd.DataFrame, Matrix]
    genes: npt.NDArray[np.object_]


def take_sides(adata: AnnData, split: Split, train: AnnData | None = None) -> SidesOfData:
    """Divide a dataset by a split; parameters and errors as :func:`make_task`."""
    at = locate(adata, split, train)
    source = adata if train is None else train
    return SidesOfData(
        (source.obs.iloc[at.train], part_of(source.X, at.train, at.train_genes)),
        (adata.obs.iloc[at.test], part_of(adata.X, at.test, at.genes)),
        (adata.obs.iloc[at.given], part_of(adata.X, at.given, at.genes)),
        adata.var_names.to_numpy(dtype=object)[at.genes],
    )


def make_task(
    adata: AnnData,
    split: Split,
    *,
    shared_columns: Iterable[str] = OPTIONAL_GROUP_COLUMNS,
    train: AnnData | None = None,
) -> Task:
    """Divide a dataset by a split and summarise both sides.

    Parameters
    ----------
    adata
        (n, all genes) the dataset.
    split
        Made for this dataset.
    shared_columns
        Columns by which groups are told apart, where the dataset has them; by default
        all, so that equal predictions are scored alike whatever their file says.
    train
        The separate training file, for a split that has one.

    Raises
    ------
    InvalidDataError
        If the split names observations or genes that the dataset lacks, or
        leaves no control to train on.
    """
    return task_of_sides(take_sides(adata, split, train), split, shared_columns=shared_columns)


def task_of_sides(
    sides: SidesOfData, split: Split, *, shared_columns: Iterable[str] = OPTIONAL_GROUP_COLUMNS
) -> Task:
    """Summarise both sides of a dataset; parameters and errors as :func:`make_task`."""
    (train_obs, train_matrix), (test_obs, test_matrix) = sides.train, sides.test
    both, given, names = sides.train, sides.given, sides.genes
    wanted = set(shared_columns)
    group_by = (PERTURBATION, *(c for c in OPTIONAL_GROUP_COLUMNS if c in wanted & set(test_obs)))
    group_of, keys, groups = group_rows(test_obs, group_by)
    kind = split_type(split.type)
    contexts = (
        Contexts(test_obs, group_of, len(groups), kind.matched_by) if kind.matched_by else None
    )
    control_mean = mean_of_controls(both, given)
    matched = matched_controls(contexts, given, both) if contexts else None
    reference = control_mean if matched is None else matched
    extra, notes = extra_baselines(kind.extra_baselines, both, keys, reference)
    return Task(
        dataset=split.dataset,
        sha256=split.sha256,
        split=split,
        genes=names,
        group_by=group_by,
        keys=keys,
        groups=groups,
        group_of=group_of,
        test_obs=test_obs,
        test_matrix=test_matrix,
        observed=mean_by_group(test_matrix, group_of, len(groups)),
        control_mean=control_mean,
        matched_control_mean=matched,
        baselines={**training_baselines(both, given, contexts, names), **extra},
        perturbed_mean=perturbed_mean(both, contexts),
        targets=find_targets(test_obs, group_of, groups, names),
        train_matrix=train_matrix,
        train_obs=train_obs,
        given_matrix=given[1],
        given_obs=given[0],
        notes=notes,
    )
