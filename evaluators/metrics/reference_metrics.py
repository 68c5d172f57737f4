"""Metrics that look at O and E from the training data: over perturbed cells, or expressed genes.

To add such a metric, add its function and its entry in :data:`REFERENCE_METRICS`.
"""

from __future__ import annotations

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.metrics.effects import EffectBlock
from pereggrn_data.evaluators.metrics.gene_metrics import pearson
from pereggrn_data.evaluators.metrics.metric import (
    NO_GENES,
    Direction,
    Metric,
    Needs,
    Negative,
    one,
    zero,
)
from pereggrn_data.evaluators.metrics.metric_surroundings import EXPRESSED, part_of


def pearson_perturbed_reference(block: EffectBlock) -> Floats:
    """Correlate differences from the mean of the training perturbations, not from controls.

    What all perturbations have in common, which the training mean knows too, is
    no success here.
    """
    around = block.around
    observed = None if around is None else around.observed_over_perturbed
    predicted = None if around is None else around.over_perturbed(block.predicted)
    if observed is None or predicted is None:
        return np.full(len(block.n), np.nan)
    return pearson(EffectBlock(observed, predicted))


def l2_expressed(block: EffectBlock) -> Floats:
    """Euclidean distance over the genes that are highest in the training controls."""
    part = _expressed(block)
    if part is None:
        return np.full(len(block.n), np.nan)
    squares = np.einsum("ij,ij->i", part.error, part.error)
    return np.where(part.n > 0, np.sqrt(squares), np.nan)


def pearson_expressed(block: EffectBlock) -> Floats:
    """Correlation over the genes that are highest in the training controls."""
    part = _expressed(block)
    return np.full(len(block.n), np.nan) if part is None else pearson(part)


def _expressed(block: EffectBlock) -> EffectBlock | None:
    if block.around is None:
        return None
    return EffectBlock(
        block.around.observed_expressed, part_of(block.predicted, block.around.expressed)
    )


_AHLMANN_ELTZE = "Ahlmann-Eltze et al. 2025"
_CHOSEN = f"{EXPRESSED} highest in training controls"

REFERENCE_METRICS = (
    Metric(
        "pearson_perturbed_reference", "corr(C + O - P, C + E - P), P = training perturbations",
        "Linear correlation of differences from the equal-weight mean of the training "
        "perturbations, instead of from the controls.",
        Direction.HIGHER, one, -1.0, 1.0,
        "no perturbation trains, or one side equals their mean up to a constant",
        "Systema (Viñas Torné et al. 2025)",
        needs=Needs.TRAINING, negative=Negative.CONTROL, compute=pearson_perturbed_reference,
    ),
    Metric(
        f"l2_expressed_{EXPRESSED}", f"||(O - E)[{_CHOSEN}]||",
        f"Euclidean distance over the {EXPRESSED} genes with the highest mean in the training "
        "controls (all, where there are fewer).",
        Direction.LOWER, zero, 0.0, None, NO_GENES, _AHLMANN_ELTZE,
        needs=Needs.TRAINING, compute=l2_expressed,
    ),
    Metric(
        f"pearson_expressed_{EXPRESSED}", f"corr((O, E)[{_CHOSEN}])",
        "Linear correlation over the same genes.",
        Direction.HIGHER, one, -1.0, 1.0,
        "O or E is constant over the chosen genes, or fewer than 2 are scored", _AHLMANN_ELTZE,
        needs=Needs.TRAINING, compute=pearson_expressed,
    ),
)  # fmt: skip
