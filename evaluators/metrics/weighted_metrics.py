"""Metrics in which genes count by how surely the truth says that they change.

Weights are those of Mejia et al. 2025; they come from the observations that are
scored against, never from what is scored. To add such a metric, add its
function and its entry in :data:`WEIGHTED_METRICS`.
"""

from __future__ import annotations

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.metrics.effects import EffectBlock
from pereggrn_data.evaluators.metrics.metric import Direction, Metric, Needs, one, zero

_ROUNDING = 1e-14
"""Weighted variance over the weighted mean square that is nothing but rounding."""


def weighted_mse(block: EffectBlock) -> Floats:
    """Weighted mean of squared errors."""
    weights = _weights(block)
    return np.asarray(np.einsum("ij,ij,ij->i", weights, block.error, block.error))


def weighted_r2(block: EffectBlock) -> Floats:
    """Weighted coefficient of determination; NaN where the weighted O does not vary."""
    weights = _weights(block)
    _, variance = _centered(block.observed.values, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = 1 - weighted_mse(block) / variance
    return np.where(variance > 0, result, np.nan)


def weighted_pearson(block: EffectBlock) -> Floats:
    """Correlation with means, variances and covariance under the weights."""
    weights = _weights(block)
    o, variance_o = _centered(block.observed.values, weights)
    e, variance_e = _centered(block.predicted.values, weights)
    covariance = np.einsum("ij,ij,ij->i", weights, o, e)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / np.sqrt(variance_o) / np.sqrt(variance_e)
    return np.where((variance_o > 0) & (variance_e > 0), np.clip(r, -1, 1), np.nan)


def _weights(block: EffectBlock) -> Floats:
    """Return the weights, NaN where nothing is known of replicates or no gene is scored."""
    weights = None if block.around is None else block.around.weights
    return np.full(block.error.shape, np.nan) if weights is None else weights


def _centered(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return values over their weighted mean, and their weighted variance; 0 for rounding."""
    mean = np.einsum("ij,ij->i", weights, values)
    centered = values - mean[:, None]
    variance = np.einsum("ij,ij,ij->i", weights, centered, centered)
    square = np.einsum("ij,ij,ij->i", weights, values, values)
    return centered, np.where(variance > _ROUNDING * square, variance, variance * 0)


_SOURCE = "Mejia et al. 2025"
_MISSING = "the group has fewer than 2 observations, or no other group is there to differ from"
_FLAT = f"{_MISSING}, or O is constant over the genes that weigh"

WEIGHTED_METRICS = (
    Metric(
        "weighted_mse", "sum(w (O - E)^2), w = ((|t| - min) / (max - min))^2 over its sum",
        "Mean squared error, weighted by how surely each gene differs from other groups.",
        Direction.LOWER, zero, 0.0, None, _MISSING, _SOURCE,
        needs=Needs.WEIGHTS, compute=weighted_mse,
    ),
    Metric(
        "weighted_r2", "1 - sum(w (O - E)^2) / sum(w (O - sum(w O))^2)",
        "Coefficient of determination under the same weights.",
        Direction.HIGHER, one, None, 1.0, _FLAT, _SOURCE,
        needs=Needs.WEIGHTS, compute=weighted_r2,
    ),
    Metric(
        "weighted_pearson", "corr(O, E) under w",
        "Linear correlation under the same weights.",
        Direction.HIGHER, one, -1.0, 1.0, f"{_FLAT}, or E is", "Vollenweider et al. 2026",
        needs=Needs.WEIGHTS, compute=weighted_pearson,
    ),
)  # fmt: skip
