"""Metrics of the agreement between O and E over the scored genes.

Every function takes a block of groups and returns one value per group in
float64, NaN where it is undefined. To add such a metric, add its function and
its entry in :data:`GENE_METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.metrics.effects import Array, Effect, EffectBlock
from pereggrn_data.evaluators.metrics.metric import (
    NO_GENES,
    ORIGINAL,
    TABLE_3,
    Direction,
    Metric,
    one,
    zero,
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


def r2(block: EffectBlock) -> Floats:
    """Coefficient of determination of E for O: 1 - sum((O - E)^2) / sum((O - mean(O))^2)."""
    o = block.observed
    with np.errstate(invalid="ignore", divide="ignore"):
        unexplained = np.einsum("ij,ij->i", block.error, block.error) / o.sum_of_squares
    return _defined(1 - unexplained, ~o.is_constant & (block.n > 1))


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


def _best_overlap(size: int) -> Callable[[int], float]:
    return lambda genes: min(genes, size) / size


_HIGHER, _LOWER = Direction.HIGHER, Direction.LOWER
_CONSTANT = "O or E is constant over the scored genes, or fewer than 2 are scored"
_TOP_CONSTANT = "O or E is constant over the chosen genes, or fewer than 2 are chosen"


def _top_metrics(size: int) -> tuple[Metric, ...]:
    source = TABLE_3 if size == 100 else f"{TABLE_3}, with {size} genes, as in {ORIGINAL}"
    chosen = f"rank(-|O|) <= {size}"
    none_chosen = f"no gene is chosen (the largest changes are tied among {2 * size} or more)"
    return (
        Metric(
            f"mse_top_{size}",
            f"sum((O - E)[{chosen}]^2)",
            f"Sum of squared errors over the {size} genes with the largest observed change.",
            _LOWER, zero, 0.0, None,
            none_chosen, source, compute=lambda block: mse_top(block, size),
        ),
        Metric(
            f"pearson_top_{size}",
            f"corr((O, E)[{chosen}])",
            f"Pearson correlation over the {size} genes with the largest observed change.",
            _HIGHER, one, -1.0, 1.0, _TOP_CONSTANT,
            source, compute=lambda block: pearson_top(block, size),
        ),
        Metric(
            f"overlap_top_{size}",
            f"min(sum(({chosen}) & (rank(-|E|) <= {size})), {size}) / {size}",
            f"Genes that are among the {size} largest changes in both, divided by {size}; "
            "with fewer genes the best value is their number divided by it.",
            _HIGHER, _best_overlap(size), 0.0, 1.0, none_chosen,
            source, compute=lambda block: overlap_top(block, size),
        ),
    )  # fmt: skip


GENE_METRICS = (
    Metric(
        "proportion_correct_direction",
        "mean(sign(O) == sign(E))",
        "Share of genes whose change has the right sign; no change is a sign of its own.",
        _HIGHER, one, 0.0, 1.0, NO_GENES,
        TABLE_3, compute=proportion_correct_direction,
    ),
    Metric(
        "spearman", "corr(rank(O), rank(E))", "Rank correlation of the changes.",
        _HIGHER, one, -1.0, 1.0, _CONSTANT, TABLE_3, compute=spearman,
    ),
    Metric(
        "pearson", "corr(O, E)", "Linear correlation of the changes.",
        _HIGHER, one, -1.0, 1.0, _CONSTANT, ORIGINAL, compute=pearson,
    ),
    Metric(
        "mae", "mean(|O - E|)", "Mean absolute error.",
        _LOWER, zero, 0.0, None, NO_GENES, TABLE_3, compute=mae,
    ),
    Metric(
        "mse", "sum((O - E)^2)",
        "SUM of squared errors over genes (not their mean), as in Table 3.",
        _LOWER, zero, 0.0, None, NO_GENES, TABLE_3, compute=mse,
    ),
    *(metric for size in TOP_SIZES for metric in _top_metrics(size)),
    Metric(
        "r2", "1 - sum((O - E)^2) / sum((O - mean(O))^2)",
        "Coefficient of determination of the changes; as the error, it asks for their size.",
        _HIGHER, one, None, 1.0,
        "O is constant over the scored genes, or fewer than 2 are scored",
        "Mejia et al. 2025, unweighted", compute=r2,
    ),
)  # fmt: skip
