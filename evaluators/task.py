"""The task: what was held out, what was really observed there, and the baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.baselines import (
    Floats,
    Matrix,
    column_means,
    training_mean,
    training_median,
)
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import (
    CLUSTER_LABEL,
    IS_CONTROL,
    LEVEL,
    OPTIONAL_GROUP_COLUMNS,
    PERTURBATION,
)
from pereggrn_data.core.labels import genes_of, levels_of
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.grouping import group_rows, mean_by_group

if TYPE_CHECKING:
    from anndata import AnnData

# Differences from the baseline that float32, in which expression is stored,
# cannot resolve. Without this, "no change" gets random signs (QUIRKS 21).
_FLOAT32_ROUNDING = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Targets:
    """The directly perturbed genes of each group, and their stated levels.

    Parameters
    ----------
    rows, columns
        (pairs,) positions of groups and genes.
    stated
        (pairs,) mean stated level over the group's observations (natural-log
        expression), NaN where no observation states one.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    stated: Floats

    def of_groups(self, kept: npt.NDArray[np.bool_]) -> Targets:
        """Keep the pairs of some groups, and number these groups anew."""
        position = np.cumsum(kept) - 1
        mine = kept[self.rows]
        return Targets(position[self.rows[mine]], self.columns[mine], self.stated[mine])


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
        ``perturbation_type``, ``cell_type``, ``timepoint`` that both sides have.
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
        (genes,) mean of the training controls: the baseline of log fold changes.
    baselines
        Per name, (genes,) or (groups, genes) predicted expression.
    targets
        The directly perturbed genes of each group.
    train_matrix, train_obs
        The training side.
    """

    dataset: str
    sha256: str
    split: Split
    genes: npt.NDArray[np.object_]
    group_by: tuple[str, ...]
    keys: pd.MultiIndex
    groups: pd.DataFrame
    group_of: npt.NDArray[np.intp]
    test_obs: pd.DataFrame
    test_matrix: Matrix
    observed: Floats
    control_mean: Floats
    baselines: dict[str, Floats]
    targets: Targets
    train_matrix: Matrix
    train_obs: pd.DataFrame

    @property
    def train_labels(self) -> pd.Series[Any] | None:
        """The cluster labels of the training observations, if there are any."""
        if CLUSTER_LABEL not in self.train_obs:
            return None
        return self.train_obs[CLUSTER_LABEL]

    def __repr__(self) -> str:
        return (
            f"Task on {self.dataset}: {len(self.groups)} groups by {', '.join(self.group_by)}, "
            f"{len(self.group_of)} test and {len(self.train_obs)} training observations, "
            f"{len(self.genes)} genes"
        )


def make_task(
    adata: AnnData, split: Split, *, shared_columns: Iterable[str] = OPTIONAL_GROUP_COLUMNS
) -> Task:
    """Divide a dataset by a split and summarise both sides.

    Parameters
    ----------
    adata
        (n, all genes) the dataset.
    split
        Made for this dataset.
    shared_columns
        Columns that the predictions have too; groups are told apart by them.

    Raises
    ------
    InvalidDataError
        If the split names observations or genes that the dataset lacks, or
        leaves no control to train on.
    """
    test_rows, genes = locate(adata, split)
    is_test = np.zeros(adata.n_obs, dtype=bool)
    is_test[test_rows] = True
    train_obs, test_obs = adata.obs[~is_test], adata.obs.iloc[test_rows]
    train_matrix = adata.X[np.flatnonzero(~is_test)][:, genes]
    test_matrix = adata.X[test_rows][:, genes]
    is_control = train_obs[IS_CONTROL].to_numpy(bool)
    if not is_control.any():
        raise InvalidDataError(
            "The split leaves no control to train on.",
            expected="at least one training observation with is_control",
            got=f"none of {len(train_obs)}",
        )
    wanted = set(shared_columns)
    group_by = (PERTURBATION, *(c for c in OPTIONAL_GROUP_COLUMNS if c in wanted & set(test_obs)))
    group_of, keys, groups = group_rows(test_obs, group_by)
    names = adata.var_names.to_numpy(dtype=object)[genes]
    labels = train_obs[PERTURBATION].to_numpy(dtype=object)
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
        control_mean=column_means(train_matrix[np.flatnonzero(is_control)]),
        baselines={
            "mean": training_mean(train_matrix, labels, names),
            "median": training_median(train_matrix, labels, names),
        },
        targets=find_targets(test_obs, group_of, groups, names),
        train_matrix=train_matrix,
        train_obs=train_obs,
    )


def locate(adata: AnnData, split: Split) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the positions of a split's test observations and genes in a dataset."""
    found = []
    for what, names, index in (
        ("observations", split.test_observations, adata.obs_names),
        ("genes", split.genes, adata.var_names),
    ):
        position = index.get_indexer(pd.Index(list(names), dtype=object))
        if (position < 0).any():
            absent = [n for n, p in zip(names, position, strict=True) if p < 0]
            raise InvalidDataError(
                f"The split names {what} that {split.dataset} does not have: {first_few(absent)}.",
                expected=f"{what} of the dataset that was split",
                got=f"{len(absent)} unknown of {len(names)}",
                fix="check that split and dataset belong together.",
            )
        found.append(position)
    return found[0], found[1]


def find_targets(
    obs: pd.DataFrame,
    group_of: npt.NDArray[np.intp],
    groups: pd.DataFrame,
    genes: npt.NDArray[np.object_],
) -> Targets:
    """Find the measured genes that each group perturbs, and their mean stated levels."""
    position = {gene: j for j, gene in enumerate(genes)}
    stated: dict[tuple[int, int], list[float]] = {
        (k, position[gene]): []
        for k, label in enumerate(groups[PERTURBATION])
        for gene in genes_of(label)
        if gene in position
    }
    parsed: dict[Any, tuple[float, ...]] = {}
    for k, label, text in zip(group_of, obs[PERTURBATION], obs[LEVEL].astype(object), strict=True):
        if text not in parsed:
            parsed[text] = levels_of(text)
        levels = parsed[text]
        for gene, level in zip(genes_of(label), levels, strict=False):
            if gene in position and np.isfinite(level):
                stated[int(k), position[gene]].append(level)
    pairs = np.array(list(stated), dtype=np.intp).reshape(-1, 2)
    means = [np.mean(levels) if levels else np.nan for levels in stated.values()]
    return Targets(pairs[:, 0], pairs[:, 1], np.asarray(means, dtype=np.float64))


def log_fold_change(expression: Floats, control_mean: Floats) -> Floats:
    """Subtract the baseline; what float32 cannot resolve counts as no change.

    Parameters
    ----------
    expression
        (..., genes) natural-log expression.
    control_mean
        (genes,) mean of the training controls.

    Returns
    -------
    ndarray
        Same shape as `expression`.
    """
    change = np.asarray(expression - control_mean)
    resolution = _FLOAT32_ROUNDING * np.abs(control_mean)
    # Row by row: whole-matrix temporaries would be as large as the predictions.
    for row in change.reshape(-1, len(resolution)):
        row[np.abs(row) <= resolution] = 0.0
    return change
