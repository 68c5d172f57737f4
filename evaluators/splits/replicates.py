"""Average the replicates of each perturbation.

The original software averages by label and, where a label has several types of
perturbation, permutes the rows of expression among them; here every average
keeps its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Ints
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import (
    CLUSTER_LABEL,
    IS_CONTROL,
    LEVEL,
    MATCHED_CONTROL,
    PERTURBATION,
    PERTURBATION_TYPE,
)
from pereggrn_data.core.labels import levels_of
from pereggrn_data.core.rows.group_sums import group_sums
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.core.splits import CONTEXTS
from pereggrn_data.evaluators.grouping import group_keys

if TYPE_CHECKING:
    from anndata import AnnData

N_REPLICATES = "n_replicates"
"""Column that says how many observations were averaged."""


def merge_replicates(
    adata: AnnData, keep_apart: Sequence[str] = ()
) -> tuple[AnnData, tuple[str, ...]]:
    """Average observations within perturbation and type of perturbation.

    ``X`` is averaged, ``raw`` is summed, stated levels are averaged gene by
    gene, ``louvain`` is the most frequent label (of equals, the first in
    alphabetical order). Other columns are kept where they are constant within
    every group. Labels keep the order of their first appearance, and name the
    new observations.

    Parameters
    ----------
    adata
        (n, genes) a dataset in the uniform format.
    keep_apart
        Of ``cell_type`` and ``timepoint``, those within which to average.

    Returns
    -------
    AnnData, tuple of str
        (groups, genes) the averages; and what was lost by averaging.

    Raises
    ------
    InvalidDataError
        If a column to keep apart is not there, or the levels stated for one
        perturbation differ in number.
    """
    import anndata

    absent = [column for column in keep_apart if column not in adata.obs]
    if absent:
        raise InvalidDataError(
            f"Replicates cannot be kept apart by {' and '.join(absent)}.",
            expected=f"a column obs[{absent[0]!r}]",
            got=f"obs columns {first_few(adata.obs.columns)}",
        )
    columns = [PERTURBATION, PERTURBATION_TYPE, IS_CONTROL, *keep_apart]
    group_of, groups = _groups(adata.obs, columns)
    obs, notes = _merged_obs(adata.obs, group_of, groups, columns)
    counts = obs[N_REPLICATES].to_numpy(float)
    merged = anndata.AnnData(
        X=_sums(adata.X, group_of, counts, mean=True),
        obs=obs,
        var=adata.var.copy(),
        uns=dict(adata.uns),
    )
    if adata.raw is not None:
        merged.raw = anndata.AnnData(
            X=_sums(adata.raw.X, group_of, counts, mean=False),
            obs=pd.DataFrame(index=obs.index),
            var=adata.raw.var.copy(),
        )
    return merged, notes


def _groups(obs: pd.DataFrame, columns: Sequence[str]) -> tuple[Ints, pd.DataFrame]:
    """Order labels by first appearance, each with all its groups, and number the groups."""
    codes, keys = pd.factorize(group_keys(obs, columns))
    table = pd.DataFrame(list(keys), columns=list(columns), dtype=object)
    first_seen = {label: k for k, label in enumerate(dict.fromkeys(table[PERTURBATION]))}
    order = np.argsort(table[PERTURBATION].map(first_seen).to_numpy(), kind="stable")
    position = np.empty(len(order), dtype=np.intp)
    position[order] = np.arange(len(order))
    return position[codes], table.iloc[order].reset_index(drop=True)


def _merged_obs(
    obs: pd.DataFrame,
    group_of: Ints,
    groups: pd.DataFrame,
    columns: Sequence[str],
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    first_row = np.unique(group_of, return_index=True)[1]
    by_group = obs.groupby(group_of, sort=True, observed=True)
    constant = by_group.nunique(dropna=False).max() <= 1
    merged = pd.DataFrame(index=_names(groups, columns))
    lost = []
    for column in obs.columns:
        if column == LEVEL:
            merged[column] = _mean_levels(obs, group_of)
        elif column == CLUSTER_LABEL:
            merged[column] = pd.Categorical(by_group[column].agg(_mode).to_numpy())
        elif column in columns or (constant[column] and column != MATCHED_CONTROL):
            merged[column] = obs[column].iloc[first_row].to_numpy()
        elif column in CONTEXTS:
            lost.append(column)
    merged[N_REPLICATES] = np.bincount(group_of)
    notes = tuple(
        f"{column} differs between replicates that were averaged, and is lost: "
        f"--keep-apart {column} keeps it."
        for column in lost
    )
    return merged, notes


def _names(groups: pd.DataFrame, columns: Sequence[str]) -> pd.Index[Any]:
    """Name each group by its label, and by what else tells it from others of that label."""
    names = groups[PERTURBATION].astype(str)
    several = names.duplicated(keep=False)
    for column in columns[1:]:
        varies = groups.groupby(PERTURBATION, sort=False)[column].transform("nunique") > 1
        more = names + "/" + groups[column].astype(str)
        names = names.where(~(several & varies), more)
    if not names.is_unique:
        # Only where a label looks like another one with its type.
        names = names + "/" + np.arange(len(names)).astype(str).astype(object)
    index: pd.Index[Any] = pd.Index(names.to_numpy(dtype=object), dtype=object)
    return index


def mean_levels(stated: Sequence[object]) -> str:
    """Average stated levels gene by gene.

    A gene whose level is unknown in one replicate has no average.

    Parameters
    ----------
    stated
        Entries of ``expression_level_after_perturbation``, each with as many
        numbers as there are genes; a single NaN stands for all of them.

    Raises
    ------
    InvalidDataError
        If they state levels of different numbers of genes.

    Examples
    --------
    >>> mean_levels(["1,3", "2,4"]), mean_levels([1.0, 2.0]), mean_levels(["1,2", "nan,4"])
    ('1.5,3.5', '1.5', 'nan,3.0')
    """
    levels = [levels_of(value) for value in stated]
    width = max(map(len, levels))
    unknown = (np.nan,)
    if any(
        len(level) != width and not (len(level) == 1 and np.isnan(level[0])) for level in levels
    ):
        raise InvalidDataError(
            "Replicates of one perturbation state levels of different numbers of genes.",
            expected=f"{width} levels in each",
            got=first_few(stated),
            fix="run `pereggrn-data validate` on the dataset.",
        )
    table = np.array([level if len(level) == width else unknown * width for level in levels])
    return ",".join(str(float(level)) for level in table.mean(axis=0))


def _mean_levels(obs: pd.DataFrame, group_of: Ints) -> Any:
    stated = obs[LEVEL].astype(object).to_numpy()
    rows = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    texts = [mean_levels(list(stated[of_group])) for of_group in rows]
    if any("," in text for text in texts):
        return np.array(texts, dtype=object)
    return np.array(texts, dtype=float)


def _mode(labels: pd.Series[Any]) -> Any:
    modes = labels.dropna().astype(str).mode()
    return modes.iloc[0] if len(modes) else np.nan


def _sums(matrix: Any, group_of: Ints, counts: Any, *, mean: bool) -> Any:
    """Add up the rows of each group in float64; sparse stays sparse."""
    if is_stored(matrix):
        sums = group_sums(matrix, group_of, len(counts)).sums
        kind = np.result_type(matrix.dtype, np.float32)
        made = (sums / counts[:, None]).astype(kind) if mean else sums
        return sparse.csr_matrix(made) if matrix.is_sparse else made
    weights = 1 / counts[group_of] if mean else np.ones(len(group_of))
    indicator = sparse.csr_matrix(
        (weights, (group_of, np.arange(len(group_of)))), shape=(len(counts), len(group_of))
    )
    wide = matrix.astype(np.float64) if sparse.issparse(matrix) else np.asarray(matrix, float)
    total: Any = indicator @ wide
    if mean:
        total = total.astype(np.result_type(matrix.dtype, np.float32))
    return sparse.csr_matrix(total) if sparse.issparse(total) else np.asarray(total)
