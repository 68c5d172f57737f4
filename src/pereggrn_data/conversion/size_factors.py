"""Size factors: what each row's counts are divided by, so that depth is no difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError

Floats = npt.NDArray[np.float64]

CELL_TARGET = 10_000.0
"""Counts per cell after total-count normalisation of single cells, as in the paper."""


def total_counts(counts: Any) -> Floats:
    """Return the sum of every row of a dense or sparse matrix."""
    return np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()


def total(counts: Any, target: float | None = None) -> Floats:
    """Return total counts over a target.

    Parameters
    ----------
    counts
        Rows by genes, dense or sparse.
    target
        Counts per row afterwards; by default the median of the rows.
    """
    totals = total_counts(counts)
    return totals / (float(np.median(totals)) if target is None else target)


def median_of_ratios(counts: Any) -> Floats:
    """Return DESeq2's size factors: medians of ratios to the genes' geometric means.

    Genes with a zero anywhere are left out. Source: Anders and Huber,
    Genome Biology 2010 (11:R106), equation 5, as DESeq2 computes it.

    Raises
    ------
    InvalidDataError
        If every gene has a zero somewhere.
    """
    dense = _dense(counts)
    usable = (dense > 0).all(axis=0)
    if not usable.any():
        raise InvalidDataError(
            "Median-of-ratios size factors cannot be computed.",
            expected="at least one gene with a count in every row",
            got=f"none among {dense.shape[1]} genes and {dense.shape[0]} rows",
            fix="choose --size-factors total, or drop shallow cells before they are summed.",
        )
    # Row by row: logs of all rows at once are as large as the counts, several times.
    means = np.zeros(int(usable.sum()))
    for row in dense:
        means += np.log(row[usable]) / len(dense)
    factors: Floats = np.exp([np.median(np.log(row[usable]) - means) for row in dense])
    return factors


def tmm(counts: Any) -> Floats:
    """Return effective library sizes by trimmed means of M-values, over their median.

    30 % of the log ratios and 5 % of the mean abundances are trimmed at either
    end, and the rest are weighted by their inverse asymptotic variance; the
    reference is the row whose upper quartile is nearest the mean. Source:
    Robinson and Oshlack, Genome Biology 2010 (11:R25), as edgeR computes it.
    """
    dense = _dense(counts)
    sizes = dense.sum(axis=1)
    effective = sizes * tmm_factors(dense)
    factors: Floats = effective / np.median(effective)
    return factors


def tmm_factors(counts: Floats) -> Floats:
    """Return TMM's normalisation factors, which multiply to one.

    Parameters
    ----------
    counts
        Rows by genes; every row has counts.
    """
    dense = counts[:, (counts > 0).any(axis=0)]
    sizes = counts.sum(axis=1)
    quartiles = np.quantile(dense, 0.75, axis=1) / sizes
    if np.median(quartiles) < 1e-20:
        # So sparse that the upper quartile is 0: the row with most square roots.
        reference = int(np.argmax(np.sqrt(dense).sum(axis=1)))
    else:
        reference = int(np.argmin(np.abs(quartiles - quartiles.mean())))
    factors = np.array(
        [_tmm_factor(row, dense[reference], n, sizes[reference])
         for row, n in zip(dense, sizes, strict=True)]
    )  # fmt: skip
    scaled: Floats = factors / np.exp(np.log(factors).mean())
    return scaled


def _tmm_factor(row: Floats, reference: Floats, n_row: float, n_reference: float) -> float:
    both = (row > 0) & (reference > 0)
    a, b = row[both], reference[both]
    if not len(a):
        return 1.0
    ratio = np.log2((a / n_row) / (b / n_reference))
    abundance = (np.log2(a / n_row) + np.log2(b / n_reference)) / 2
    variance = (n_row - a) / n_row / a + (n_reference - b) / n_reference / b
    if np.abs(ratio).max() < 1e-6:
        return 1.0
    n = len(a)
    low_ratio, low_sum = int(n * 0.3) + 1, int(n * 0.05) + 1
    by_ratio, by_sum = _ranks(ratio), _ranks(abundance)
    kept = (
        (by_ratio >= low_ratio) & (by_ratio <= n + 1 - low_ratio)
        & (by_sum >= low_sum) & (by_sum <= n + 1 - low_sum)
    )  # fmt: skip
    if not kept.any():
        return 1.0
    weights = 1 / variance[kept]
    return float(2 ** (np.sum(ratio[kept] * weights) / np.sum(weights)))


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values)  # ties share their mean rank, as in R
    return ranks


def _dense(counts: Any) -> Floats:
    return np.asarray(counts.toarray() if sparse.issparse(counts) else counts, dtype=np.float64)


@dataclass(frozen=True)
class SizeFactors:
    """A way to compute size factors.

    Parameters
    ----------
    about
        One sentence.
    compute
        From counts to one factor per row.
    for_cells
        Whether it suits single cells, most of whose counts are zero.
    """

    about: str
    compute: Callable[[Any], Floats]
    for_cells: bool = False


SIZE_FACTORS: Mapping[str, SizeFactors] = {
    "median-of-ratios": SizeFactors("DESeq2's median of ratios", median_of_ratios),
    "tmm": SizeFactors("edgeR's trimmed mean of M-values", tmm),
    "total": SizeFactors("total count", total, for_cells=True),
}
"""By name, how depth is taken out; the first one is the default for sums."""
