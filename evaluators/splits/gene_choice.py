"""Which genes are modelled.

They are chosen from their ranks, without a look at held-out expression; ranks
that were computed from all observations can be replaced by those of the
training side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints, Matrix
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.format import HIGHLY_VARIABLE_RANK, MEASURED
from pereggrn_data.core.rows.row_blocks import StoredMatrix, is_stored

if TYPE_CHECKING:
    from anndata import AnnData


def perturbed_genes(adata: AnnData) -> list[str]:
    """Return the genes that a dataset says are perturbed and measured."""
    return [str(g) for g in np.asarray(adata.uns.get(MEASURED, [])).ravel()]


def modelled_genes(
    adata: AnnData,
    train: AnnData | None,
    train_rows: Ints,
    *,
    num_genes: int,
    rank_on_train: bool,
) -> list[str]:
    """Choose the genes of a split.

    Parameters
    ----------
    adata
        (n, all genes) the dataset.
    train
        The separate training file, for a split that has one; genes that it
        lacks are not modelled.
    train_rows
        Positions of the training observations, in the training file where there is one.
    num_genes
        Wanted number.
    rank_on_train
        Rank the genes by their variance among the training observations,
        instead of by ``highly_variable_rank``.

    Returns
    -------
    list of str
        Names, in the dataset's order.

    Raises
    ------
    UsageError
        If `num_genes` is no number of genes.
    InvalidDataError
        If no gene is left.
    """
    rank: Any = adata.var[HIGHLY_VARIABLE_RANK]
    source = adata if train is None else train
    if rank_on_train:
        rank = rank_by_variance(source.X[train_rows])
        if train is not None:
            of_gene = dict(zip(train.var_names, rank, strict=True))
            rank = [of_gene.get(gene, np.inf) for gene in adata.var_names]
    names = list(adata.var_names)
    if type(num_genes) is not int or num_genes < 1:
        raise UsageError("That is no number of genes.", expected="1 or more", got=repr(num_genes))
    chosen = choose_genes(names, rank, perturbed_genes(adata), num_genes)
    known = set(source.var_names)
    genes = [names[j] for j in chosen if names[j] in known]
    if not genes:
        raise InvalidDataError(
            "No gene is left to model.",
            expected="at least one perturbed gene, or one with a rank below --num-genes",
            got=f"--num-genes {num_genes}",
        )
    return genes


def choose_genes(
    genes: Sequence[str],
    rank: npt.ArrayLike,
    perturbed_and_measured: Sequence[str],
    num_genes: int,
) -> Ints:
    """Choose the genes to model: all perturbed ones, and the most variable others.

    Parameters
    ----------
    genes
        (genes,) names of the measured genes.
    rank
        (genes,) ``highly_variable_rank``, lowest is most variable.
    perturbed_and_measured
        Genes that are perturbed somewhere in the dataset, and measured.
    num_genes
        Wanted number. As in the original, a gene is kept when its rank is below
        this minus the number of perturbed genes; since ranks of perturbed genes
        count too, the result is usually smaller.

    Returns
    -------
    ndarray
        Positions of the chosen genes, ascending.
    """
    perturbed = set(perturbed_and_measured)
    is_perturbed = np.fromiter((gene in perturbed for gene in genes), bool, count=len(genes))
    variable = np.asarray(rank, dtype=float) < num_genes - len(perturbed)
    return np.flatnonzero(is_perturbed | variable)


def rank_by_variance(matrix: Matrix) -> Floats:
    """Rank genes by the variance of their expression, the most variable first.

    Parameters
    ----------
    matrix
        (n, genes) natural-log expression of the training observations.

    Returns
    -------
    ndarray
        (genes,) ranks 0, 1, 2, ...; of equal variances, the earlier gene comes first.
    """
    if is_stored(matrix):
        variance = _variance_in_blocks(matrix)
    elif sparse.issparse(matrix):
        from sklearn.utils.sparsefuncs import mean_variance_axis

        # It sums in float64 only if it is given float64.
        _, variance = mean_variance_axis(sparse.csr_matrix(matrix, dtype=np.float64), axis=0)
    else:
        variance = np.asarray(matrix).var(axis=0, dtype=np.float64)
    rank = np.empty(len(variance))
    rank[np.argsort(-variance, kind="stable")] = np.arange(len(variance))
    return rank


def _variance_in_blocks(matrix: StoredMatrix) -> Floats:
    """Return the variance of each column, in one reading."""
    n, total, squares = matrix.shape[0], 0.0, 0.0
    near: Floats | None = None
    for block in matrix.blocks():
        values = np.asarray(block.dense(), dtype=np.float64)
        # Over values close to the mean, so that nothing large is subtracted.
        near = values.mean(axis=0) if near is None else near
        values = values - near
        total = total + values.sum(axis=0)
        squares = squares + np.square(values).sum(axis=0)
    return np.asarray(squares / n - np.square(total / n), dtype=np.float64)
