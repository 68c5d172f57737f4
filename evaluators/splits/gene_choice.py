"""Which genes are modelled; chosen from their ranks, without a look at held-out expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Matrix


def choose_genes(
    genes: Sequence[str],
    rank: npt.ArrayLike,
    perturbed_and_measured: Sequence[str],
    num_genes: int,
) -> npt.NDArray[np.intp]:
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
    if sparse.issparse(matrix):
        from sklearn.utils.sparsefuncs import mean_variance_axis

        # It sums in float64 only if it is given float64.
        _, variance = mean_variance_axis(sparse.csr_matrix(matrix, dtype=np.float64), axis=0)
    else:
        variance = np.asarray(matrix).var(axis=0, dtype=np.float64)
    rank = np.empty(len(variance))
    rank[np.argsort(-variance, kind="stable")] = np.arange(len(variance))
    return rank
