"""The baselines that a model must beat: per-gene mean and median of the training data.

Where combinations of perturbations are forecast, the sum of their single
effects is one more. The paper runs them as regressors without features ("mean" and "median",
Methods, "GRN inference methods"): all training observations count, controls
included, except those in which the gene itself was perturbed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints, Matrix, column_means
from pereggrn_data.core.labels import targets_matrix
from pereggrn_data.core.rows.row_blocks import each_block, is_stored
from pereggrn_data.core.rows.stored_medians import picked, stored_medians, targets_in

_COLUMNS_AT_A_TIME = 256


def training_mean(matrix: Matrix, perturbations: npt.ArrayLike, genes: npt.ArrayLike) -> Floats:
    """Mean expression per gene, without the observations that perturb the gene directly.

    Parameters
    ----------
    matrix
        (n, genes) natural-log expression of the training observations.
    perturbations
        (n,) perturbation labels.
    genes
        (genes,) names.

    Returns
    -------
    ndarray
        (genes,) natural-log expression; NaN for a gene that every observation
        perturbs.
    """
    targets = targets_matrix(np.asarray(perturbations), np.asarray(genes))
    if is_stored(matrix) or sparse.issparse(matrix):
        return means_in_one_reading(matrix, *targets)
    return _without_own_targets(matrix, *targets, column_means, np.mean)


def training_median(matrix: Matrix, perturbations: npt.ArrayLike, genes: npt.ArrayLike) -> Floats:
    """Median expression per gene; parameters and result as :func:`training_mean`."""
    targets = targets_matrix(np.asarray(perturbations), np.asarray(genes))
    if is_stored(matrix):
        return stored_medians(matrix, *targets)
    if sparse.issparse(matrix):
        return _medians_of_sparse(sparse.csr_array(matrix), *targets)
    return _without_own_targets(matrix, *targets, _column_medians, np.median)


def additive(
    matrix: Matrix,
    keys: Sequence[Hashable],
    combinations: Sequence[Sequence[Hashable]],
    control_mean: Floats,
) -> Floats:
    """Add up single effects: what a combination does if its genes do not interact.

    With c the mean of the training controls and s(g) the mean of the training
    observations of the single perturbation of g, the log fold change of a
    combination is the sum of s(g) - c over its genes.

    Parameters
    ----------
    matrix
        (n, genes) natural-log expression of the training observations.
    keys
        (n,) which single perturbation each of them is; anything that is no part
        of a combination (None, for controls) is ignored.
    combinations
        The keys of the single perturbations that each combination is made of.
    control_mean
        (genes,) c.

    Returns
    -------
    ndarray
        (combinations, genes) natural-log expression; NaN in all genes where a
        single perturbation is not in the training data.
    """
    wanted = {part for parts in combinations for part in parts}
    rows_of: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        if key in wanted:
            rows_of.setdefault(key, []).append(i)
    effect = {
        key: column_means(matrix[np.asarray(rows)]) - control_mean for key, rows in rows_of.items()
    }
    result = np.full((len(combinations), len(control_mean)), np.nan)
    for row, parts in enumerate(combinations):
        if all(part in effect for part in parts):
            result[row] = control_mean + np.sum([effect[part] for part in parts], axis=0)
    return result


def means_in_one_reading(matrix: Matrix, rows: Ints, columns: Ints) -> Floats:
    """Return the mean of each column; parameters and result as :func:`stored_medians`."""
    n = np.full(matrix.shape[1], float(matrix.shape[0]))
    np.subtract.at(n, columns, 1)
    total = np.zeros(matrix.shape[1])
    for block in each_block(matrix):
        here, own, of = targets_in(block, rows, columns)
        total += np.ones(block.values.shape[0]) @ block.values
        if here.size:
            np.subtract.at(total, of, picked(block.values, own, of).astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(n > 0, total / n, np.nan))


def _without_own_targets(
    matrix: Matrix, rows: Ints, columns: Ints, of_all: Any, of_one: Any
) -> Floats:
    """Summarise all rows of an array at once, then again the genes that some row perturbs."""
    result: Floats = of_all(matrix)
    for j in np.unique(columns):
        kept = np.delete(np.asarray(matrix[:, j], dtype=np.float64), rows[columns == j])
        result[j] = of_one(kept) if kept.size else np.nan
    return result


def _medians_of_sparse(matrix: Any, rows: Ints, columns: Ints) -> Floats:
    """Return the median of each column of a CSR array, but for some rows."""
    n, genes = matrix.shape
    counted = n - np.bincount(columns, minlength=genes)
    zeros = counted
    for block in each_block(matrix):
        zeros = zeros - np.bincount(block.values.indices, minlength=genes)
    result = np.where(counted > 0, 0.0, np.nan)
    # Most genes of most cells are 0: only the others are laid out by column.
    others = np.flatnonzero((counted > 0) & (zeros <= counted // 2))
    by_gene = sparse.csc_array(matrix[:, others])
    order = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[order], np.arange(genes + 1))
    for k, j in enumerate(others.tolist()):
        inside = slice(int(by_gene.indptr[k]), int(by_gene.indptr[k + 1]))
        stored = by_gene.data[inside]
        own = rows[order[starts[j] : starts[j + 1]]]
        if len(own):
            stored = stored[~np.isin(by_gene.indices[inside], own)]
        values = np.concatenate([stored, np.zeros(counted[j] - len(stored))])
        result[j] = np.median(values)
    return result


def _column_medians(matrix: Matrix) -> Floats:
    width = matrix.shape[1]
    parts = [
        np.median(np.asarray(matrix[:, start : start + _COLUMNS_AT_A_TIME], np.float64), axis=0)
        for start in range(0, width, _COLUMNS_AT_A_TIME)
    ]
    return np.concatenate(parts) if parts else np.empty(0)
