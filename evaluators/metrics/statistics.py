"""Metrics that describe: tests whether observed changes differ between predicted classes.

They run over many tables or rows at once, as scipy does them one by one. To add
such a metric, add its function and its entry in :data:`DESCRIPTIVE_METRICS`.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.metrics.effects import EffectBlock
from pereggrn_data.evaluators.metrics.metric import NO_GENES, ORIGINAL, Metric

_CANCELLED = 1e-8


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


def class_sizes_and_means(block: EffectBlock) -> tuple[Floats, Floats]:
    """Size, and mean of centred O, of the genes predicted up, unchanged and down.

    Returns
    -------
    sizes, means
        (3, rows) each, in this order; the mean of an empty class is NaN.
    """
    e, centered = block.predicted, block.observed.centered
    sizes = np.empty((3, len(block.n)))
    sums = np.empty_like(sizes)
    for k, mask in ((0, e.rounded_positive), (2, e.rounded_negative)):
        sizes[k] = np.count_nonzero(mask, axis=1)
        sums[k] = np.where(mask, centered, 0).sum(axis=1, dtype=np.float64)
    # Centred values sum to 0, so the third class needs no pass of its own.
    sizes[1] = block.n - sizes[0] - sizes[2]
    sums[1] = -sums[0] - sums[2]
    # Sums of left-out entries are 0, so an empty class has no sum either.
    with np.errstate(invalid="ignore", divide="ignore"):
        return sizes, np.where(sizes > 0, sums / sizes, np.nan)


def anova_pvalues(block: EffectBlock) -> Floats:
    """One-way analysis of variance of O between predicted up, unchanged and down.

    As ``scipy.stats.f_oneway`` over the classes that have members.

    Returns
    -------
    ndarray
        (rows,) p-values; NaN where fewer than two classes have members, where
        no class has two, or where O does not vary.
    """
    sizes, means = class_sizes_and_means(block)
    n, classes = block.n.astype(float), (sizes > 0).sum(axis=0)
    between = np.nansum(sizes * np.square(means), axis=0)
    total = block.observed.sum_of_squares
    within = np.maximum(total - between, 0)
    # Where nearly all variation is between classes the difference above is
    # mostly rounding; there the variation within is summed by itself.
    for row in np.flatnonzero((within < _CANCELLED * total) & (classes > 1)):
        within[row] = _variation_within(block, int(row), means[:, row])
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = (between / (classes - 1)) / (within / (n - classes))
        pvalue = special.fdtrc(np.maximum(classes - 1, 1), np.maximum(n - classes, 1), statistic)
    pvalue = np.where((within == 0) & (between > 0), 0.0, pvalue)
    return np.where((classes > 1) & (n > classes) & ~block.observed.is_constant, pvalue, np.nan)


def difference_of_means(block: EffectBlock) -> Floats:
    """Mean O of the highest predicted class minus that of the lowest one.

    Classes are up > unchanged > down; empty ones do not count. NaN where only
    one has members.
    """
    sizes, means = class_sizes_and_means(block)
    highest = np.where(sizes[0] > 0, means[0], means[1])
    lowest = np.where(sizes[2] > 0, means[2], means[1])
    return np.where((sizes > 0).sum(axis=0) > 1, highest - lowest, np.nan)


def _variation_within(block: EffectBlock, row: int, means: Floats) -> float:
    e = block.predicted
    up, down = e.rounded_positive[row], e.rounded_negative[row]
    own_mean = np.where(up, means[0], np.where(down, means[2], means[1]))
    residual = block.observed.centered[row] - own_mean
    if e.left_out is not None:
        residual = residual[~e.left_out[row]]
    return float(residual @ residual)


def independence_pvalues(block: EffectBlock) -> Floats:
    """p-value of the chi-squared test that rounded signs of O and E are independent."""
    return chi2_pvalues(sign_tables(block))


DESCRIPTIVE_METRICS = (
    Metric(
        "pvalue_effect_direction", "chi2(sign(round(O, 2)) x sign(round(E, 2)))",
        "p-value that signs of O and E are independent. Describes only.",
        None, None, 0.0, 1.0, NO_GENES, ORIGINAL, compute=independence_pvalues,
    ),
    Metric(
        "pvalue_targets_vs_non_targets", "ANOVA(O by sign(round(E, 2)))",
        "p-value that O is equal among genes predicted up, same and down. Describes only.",
        None, None, 0.0, 1.0,
        "all genes are predicted alike, or no class of genes has two members",
        ORIGINAL, compute=anova_pvalues,
    ),
    Metric(
        "fc_targets_vs_non_targets", "mean(O[E up]) - mean(O[E down])",
        "Observed change of genes predicted up minus that of genes predicted down "
        "(or unchanged, where one of them is empty). Describes only.",
        None, None, None, None, "all genes are predicted alike",
        ORIGINAL, compute=difference_of_means,
    ),
)  # fmt: skip
