"""Tests over many tables or rows at once, as scipy does them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from pereggrn_data.evaluators.effects import Array, EffectBlock, Mask

Floats = npt.NDArray[np.float64]


def sign_tables(block: EffectBlock) -> Floats:
    """Count genes by rounded sign, observed by predicted.

    Returns
    -------
    ndarray
        (rows, 3, 3) counts; index 0 is down, 1 no change, 2 up.
    """
    o, e = block.observed, block.predicted
    table = np.zeros((len(o.n), 3, 3))
    marginals = {}
    for name, side in (("o", o), ("e", e)):
        marginals[name, 0] = np.count_nonzero(side.rounded_negative, axis=1)
        marginals[name, 2] = np.count_nonzero(side.rounded_positive, axis=1)
    masks = {0: "rounded_negative", 2: "rounded_positive"}
    for i, observed in masks.items():
        for j, predicted in masks.items():
            both = getattr(o, observed) & getattr(e, predicted)
            table[:, i, j] = np.count_nonzero(both, axis=1)
    for k in (0, 2):
        table[:, k, 1] = marginals["o", k] - table[:, k].sum(axis=1)
        table[:, 1, k] = marginals["e", k] - table[:, :, k].sum(axis=1)
    table[:, 1, 1] = o.n - table.sum(axis=(1, 2))
    return table


def chi2_pvalues(tables: Floats) -> Floats:
    """Pearson's chi-squared test of independence, per table.

    As ``scipy.stats.chi2_contingency`` on the table without its empty rows and
    columns, Yates' correction included (2 x 2 only). One row or one column
    gives 1.

    Parameters
    ----------
    tables
        (tables, rows, columns) counts.

    Returns
    -------
    ndarray
        (tables,) p-values; NaN for an empty table.
    """
    in_rows, in_columns = tables.sum(axis=2), tables.sum(axis=1)
    total = in_rows.sum(axis=1)
    dof = ((in_rows > 0).sum(axis=1) - 1) * ((in_columns > 0).sum(axis=1) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = in_rows[:, :, None] * in_columns[:, None, :] / total[:, None, None]
        gap = np.abs(tables - expected)
        gap = np.where((dof == 1)[:, None, None], gap - np.minimum(0.5, gap), gap)
        statistic = np.where(expected > 0, gap**2 / expected, 0.0).sum(axis=(1, 2))
    pvalue = np.where(dof > 0, special.chdtrc(np.maximum(dof, 1), statistic), 1.0)
    return np.where(total > 0, pvalue, np.nan)


def anova_pvalues(values: Array, classes: list[Mask]) -> Floats:
    """One-way analysis of variance per row, as ``scipy.stats.f_oneway``.

    Parameters
    ----------
    values
        (rows, genes)
    classes
        Disjoint (rows, genes) masks; empty classes do not count.

    Returns
    -------
    ndarray
        (rows,) p-values; NaN where fewer than two classes have members, where
        no class has two, or where all values are equal.
    """
    counts = np.stack([np.count_nonzero(c, axis=1) for c in classes]).astype(float)
    n, used = counts.sum(axis=0), (counts > 0).sum(axis=0)
    means = np.stack([_masked_mean(values, c) for c in classes])
    with np.errstate(invalid="ignore", divide="ignore"):
        grand = np.nansum(means * counts, axis=0) / n
        between = np.nansum(counts * (means - grand) ** 2, axis=0)
        within = np.zeros(len(n))
        for c, mean in zip(classes, means, strict=True):
            residual = np.where(c, values - mean[:, None], 0)
            within += np.einsum("ij,ij->i", residual, residual)
        statistic = (between / (used - 1)) / (within / (n - used))
        pvalue = special.fdtrc(np.maximum(used - 1, 1), np.maximum(n - used, 1), statistic)
    pvalue = np.where((within == 0) & (between > 0), 0.0, pvalue)
    return np.where((used > 1) & (n > used) & (between + within > 0), pvalue, np.nan)


def difference_of_means(values: Array, up: Mask, same: Mask, down: Mask) -> Floats:
    """Mean of the higher class minus mean of the lower one, among those with members.

    Classes are ordered up > same > down; where all three have members, it is
    up minus down.
    """
    means: Any = [_masked_mean(values, c) for c in (up, same, down)]
    highest = np.where(np.isnan(means[0]), means[1], means[0])
    lowest = np.where(np.isnan(means[2]), means[1], means[2])
    single = np.isnan(np.stack(means)).sum(axis=0) >= 2
    return np.where(single, np.nan, highest - lowest)


def _masked_mean(values: Array, mask: Mask) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(mask, values, 0).sum(axis=1, dtype=np.float64)
        return np.asarray(total / np.count_nonzero(mask, axis=1))
