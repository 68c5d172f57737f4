"""Ranks of genes by variability: 0 for the most variable one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, MissingExtraError

Floats = npt.NDArray[np.float64]

SPAN = 0.3
"""Share of the genes in each local regression, as Seurat and scanpy have it."""

FEWEST_MEANS = 10
"""Different means without which no regression is tried: with few, scikit-misc ends Python."""


def ranks_of(scores: Floats) -> npt.NDArray[np.float64]:
    """Return ranks, 0 for the largest score; equal scores in the order of the genes."""
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(len(scores))
    return ranks


def moments(values: Any) -> tuple[Floats, Floats]:
    """Return the mean and the sample variance of every column, dense or sparse."""
    n = values.shape[0]
    if sparse.issparse(values):
        exact = values.astype(np.float64)
        # Not exact.mean(): it multiplies by 1 / n, and genes of one mean must keep
        # one mean, or the regression on it divides them differently.
        mean = np.asarray(exact.sum(axis=0)).ravel() / n
        squares = np.asarray(exact.power(2).sum(axis=0)).ravel()
        return mean, np.maximum(squares - n * mean**2, 0) / max(n - 1, 1)
    dense = np.asarray(values, dtype=np.float64)
    return dense.mean(axis=0), dense.var(axis=0, ddof=1 if n > 1 else 0)


def variance_rank(values: Any) -> Floats:
    """Rank genes by the variance of their values."""
    return ranks_of(moments(values)[1])


def seurat_v3_rank(counts: Any) -> Floats:
    """Rank genes by the variance of their standardised counts, as Seurat 3 does.

    The variance that a gene's mean lets one expect is a local regression of
    log variance on log mean. Standardised counts are clipped at the square
    root of the number of rows. Source: Stuart et al., Cell 2019 (177:1888),
    Methods; equal to ``scanpy.pp.highly_variable_genes(flavor="seurat_v3")``,
    which leaves open how genes of equal variance are ordered.

    Parameters
    ----------
    counts
        Rows by genes, before normalisation; dense or sparse.

    Raises
    ------
    MissingExtraError
        Without scikit-misc.
    InvalidDataError
        If there are too few rows or genes for the regression.
    """
    return ranks_of(standardised_variance(counts))


def check_rank(name: str) -> None:
    """Check, before long work, that genes can be ranked so.

    Raises
    ------
    MissingExtraError
        If that needs a package that is not installed.
    """
    if RANKS[name].needs_loess:
        _loess()


def standardised_variance(counts: Any) -> Floats:
    """Return the variance of standardised and clipped counts, by gene."""
    loess = _loess()
    n = counts.shape[0]
    mean, variance = moments(counts)
    varies = variance > 0
    expected = np.zeros(len(mean))
    if len(np.unique(mean[varies])) < FEWEST_MEANS:
        raise _too_few(n, int(varies.sum()))
    try:
        model = loess(np.log10(mean[varies]), np.log10(variance[varies]), span=SPAN, degree=2)
        model.fit()
        expected[varies] = model.outputs.fitted_values
    except ValueError as error:
        raise _too_few(n, int(varies.sum())) from error
    spread = np.sqrt(10**expected)
    limit = spread * np.sqrt(n) + mean
    total, squares = _clipped_sums(counts, limit)
    scores: Floats = (n * mean**2 + squares - 2 * total * mean) / ((n - 1) * spread**2)
    return scores


def _too_few(n_rows: int, n_genes: int) -> InvalidDataError:
    return InvalidDataError(
        "Genes cannot be ranked by seurat_v3.",
        expected="enough genes of different means that vary, for a local regression",
        got=f"{n_genes} genes that vary, in {n_rows} rows",
        fix="--rank variance",
    )


def _clipped_sums(counts: Any, limit: Floats) -> tuple[Floats, Floats]:
    if sparse.issparse(counts):
        clipped = counts.tocsr().astype(np.float64)
        clipped.data = np.minimum(clipped.data, limit[clipped.indices])
        total = np.asarray(clipped.sum(axis=0)).ravel()
        return total, np.asarray(clipped.power(2).sum(axis=0)).ravel()
    dense = np.minimum(np.asarray(counts, dtype=np.float64), limit)
    return dense.sum(axis=0), (dense**2).sum(axis=0)


def _loess() -> Any:
    try:
        from skmisc.loess import loess
    except ImportError as error:
        raise MissingExtraError(
            "Genes cannot be ranked by seurat_v3 without scikit-misc.",
            expected="the extra 'convert'",
            fix="pip install scikit-misc, or rank by --rank variance.",
        ) from error
    return loess


@dataclass(frozen=True)
class Rank:
    """A way to rank genes.

    Parameters
    ----------
    about
        One sentence.
    compute
        From values, rows by genes, to one rank per gene.
    on_counts
        Whether it takes counts before normalisation; else expression.
    needs_loess
        Whether it needs scikit-misc.
    """

    about: str
    compute: Callable[[Any], Floats]
    on_counts: bool
    needs_loess: bool = False


RANKS: Mapping[str, Rank] = {
    "seurat_v3": Rank(
        "variance of standardised counts, as in the paper", seurat_v3_rank, True, True
    ),
    "variance": Rank("variance of log expression", variance_rank, False),
}
"""By name, how genes are ranked; the first one is the default where there are counts."""
