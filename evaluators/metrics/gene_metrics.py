"""How each gene-wise metric is computed, for a block of groups at once.

Every function takes a block and returns one value per group in float64, NaN
where it is undefined. What they are for stands in the registry
(:mod:`pereggrn_data.evaluators.metrics.definitions`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.metrics.effects import Array, Effect, EffectBlock
from pereggrn_data.evaluators.metrics.statistics import (
    anova_pvalues,
    chi2_pvalues,
    difference_of_means,
    sign_tables,
)

TOP_SIZES = (20, 100, 200)
"""Numbers of most changed genes that some metrics look at."""


def _defined(values: Array, where: Any) -> Floats:
    return np.where(where, values, np.nan).astype(np.float64)


def proportion_correct_direction(block: EffectBlock) -> Floats:
    """Share of scored genes whose change has the same sign; no change is its own sign."""
    o, e = block.observed, block.predicted
    agree = (o.positive == e.positive) & (o.negative == e.negative)
    left_out = 0 if o.left_out is None else o.left_out.sum(axis=1)
    with np.errstate(invalid="ignore"):
        agreeing = np.count_nonzero(agree, axis=1) - left_out
        return _defined(agreeing / block.n, block.n > 0)


def mae(block: EffectBlock) -> Floats:
    """Mean absolute error over the scored genes."""
    with np.errstate(invalid="ignore"):
        return _defined(np.abs(block.error).sum(axis=1) / block.n, block.n > 0)


def mse(block: EffectBlock) -> Floats:
    """Sum (not mean) of squared errors, as in the paper's Table 3."""
    return _defined(np.einsum("ij,ij->i", block.error, block.error), block.n > 0)


def pearson(block: EffectBlock) -> Floats:
    """Pearson correlation of O and E over the scored genes."""
    o, e = block.observed, block.predicted
    return _correlation(
        np.einsum("ij,ij->i", o.centered, e.centered),
        o.sum_of_squares,
        e.sum_of_squares,
        ~o.is_constant & ~e.is_constant & (block.n > 1),
    )


def spearman(block: EffectBlock) -> Floats:
    """Pearson correlation of average ranks."""
    o, e = block.observed, block.predicted
    return _correlation(
        np.einsum("ij,ij->i", o.centered_ranks, e.centered_ranks),
        o.sum_of_squared_ranks,
        e.sum_of_squared_ranks,
        # Noise from rounding has ranks too: what is constant but for it has no correlation.
        ~o.is_constant & ~e.is_constant & (block.n > 1),
    )


def _correlation(product: Array, squares_o: Array, squares_e: Array, defined: Any) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        r = product / (np.sqrt(squares_o) * np.sqrt(squares_e))
    return _defined(np.clip(r, -1, 1), defined)


def mse_top(block: EffectBlock, size: int) -> Floats:
    """Sum of squared errors over the genes with the largest observed change."""
    result = np.full(len(block.n), np.nan)
    for chosen in block.chosen(size, TOP_SIZES):
        error = chosen.observed - chosen.predicted
        result[chosen.rows] = np.einsum("ij,ij->i", error, error)
    return result


def overlap_top(block: EffectBlock, size: int) -> Floats:
    """Share of the largest observed changes that are among the largest predicted ones."""
    result = np.full(len(block.n), np.nan)
    for chosen in block.chosen(size, TOP_SIZES):
        # Ties can let more genes in than `size`; all of them shared is still all.
        shared = np.count_nonzero(chosen.predicted_top, axis=1)
        result[chosen.rows] = np.minimum(shared, size) / size
    return result


def pearson_top(block: EffectBlock, size: int) -> Floats:
    """Pearson correlation over the genes with the largest observed change."""
    result = np.full(len(block.n), np.nan)
    for chosen in block.chosen(size, TOP_SIZES):
        sides = (Effect(chosen.observed, None), Effect(chosen.predicted, None))
        result[chosen.rows] = pearson(EffectBlock(*sides))
    return result


def pvalue_effect_direction(block: EffectBlock) -> Floats:
    """p-value of the chi-squared test that rounded signs of O and E are independent."""
    return chi2_pvalues(sign_tables(block))


def pvalue_targets_vs_non_targets(block: EffectBlock) -> Floats:
    """p-value of an analysis of variance of O between predicted up, same and down."""
    return anova_pvalues(block)


def fc_targets_vs_non_targets(block: EffectBlock) -> Floats:
    """Mean O of genes predicted up minus those predicted down (or unchanged)."""
    return difference_of_means(block)
