"""Metrics of differential expression: does a forecast say which genes differ, and how?

To add such a metric, add its function and its entry in :data:`DE_METRICS`. Each compares,
for one group, what differs between its observed cells and controls with what differs
between its predicted cells and the same measured controls.
"""

from __future__ import annotations

import numpy as np

from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison
from pereggrn_data.evaluators.metrics.metric import Direction, Metric, Needs, one, zero

FEWEST_TRUE_GENES = 10
"""Truly significant genes below which the error of fold changes is that of a few genes."""


def overlap_at_n(cells: CellComparison) -> float:
    """Share of the n truly significant genes among the first n predicted significant ones."""
    observed, predicted = cells.observed.ranked(), cells.predicted.ranked()
    n = len(observed)
    if not n or not len(predicted):
        return 0.0
    return float(np.isin(observed, predicted[:n]).sum() / n)


def precision_at_n(cells: CellComparison) -> float:
    """Share of the first n predicted significant genes that are as high among the true ones."""
    observed, predicted = cells.observed.ranked(), cells.predicted.ranked()
    n = min(len(observed), len(predicted))
    if not n:
        return 0.0
    return float(np.isin(predicted[:n], observed[:n]).sum() / n)


def direction_match(cells: CellComparison) -> float:
    """Share of the truly significant genes that change in the predicted direction."""
    true = cells.observed.significant
    if not true.any():
        return float("nan")
    signs = (np.sign(side.log2_fold_change[true]) for side in (cells.observed, cells.predicted))
    # What has no direction, NaN, agrees with nothing.
    return float(np.equal(*signs).mean())


def recall(cells: CellComparison) -> float:
    """Share of the truly significant genes that are predicted to be significant."""
    true = cells.observed.significant
    return float(cells.predicted.significant[true].mean()) if true.any() else float("nan")


def jaccard(cells: CellComparison) -> float:
    """Genes that are significant on both sides, among those that are on one."""
    observed, predicted = cells.observed.significant, cells.predicted.significant
    either = int((observed | predicted).sum())
    return 1.0 if not either else float((observed & predicted).sum() / either)


def fold_change_nmae(cells: CellComparison) -> float:
    """Absolute errors of log2 fold changes over their sizes, in truly significant genes."""
    true = cells.observed.significant
    if true.sum() < FEWEST_TRUE_GENES:
        return float("nan")
    observed = cells.observed.log2_fold_change[true]
    predicted = cells.predicted.log2_fold_change[true]
    # To say nothing is to say that nothing changes; it must not pay to leave out a gene.
    predicted = np.where(np.isfinite(predicted), predicted, 0.0)
    size = float(np.abs(observed).sum())
    return float(np.abs(predicted - observed).sum() / size) if size else float("nan")


_CELLS = "a side has fewer than 8 different cells, or X is not log1p of counts"
_NONE_TRUE = f"no gene differs truly, or {_CELLS}"
_CELL_EVAL = "cell-eval 0.8, cell-eval2 0.20"

DE_METRICS = (
    Metric(
        "de_overlap_at_n", "|D & top_n(D')| / n, n = |D|",
        "Share of the n truly significant genes D among the n predicted ones D' with the "
        "largest |log2 fold change|; 0 if either side has none.",
        Direction.HIGHER, one, 0.0, 1.0, _CELLS,
        f"Virtual Cell Challenge 2025; {_CELL_EVAL} (overlap_at_N)",
        needs=Needs.COUNTS, compute_cells=overlap_at_n,
    ),
    Metric(
        "de_precision_at_n", "|top_k(D) & top_k(D')| / k, k = min(|D|, |D'|)",
        "Share of the predicted genes of largest |log2 fold change| that are so truly, among "
        "as many as both sides have; 0 if either side has none.",
        Direction.HIGHER, one, 0.0, 1.0, _CELLS,
        f"{_CELL_EVAL} (precision with k = |D|)",
        needs=Needs.COUNTS, compute_cells=precision_at_n,
    ),
    Metric(
        "de_direction_match", "mean(sign(l[D]) == sign(l'[D]))",
        "Share of the truly significant genes whose log2 fold change l' has the right sign.",
        Direction.HIGHER, one, 0.0, 1.0, _NONE_TRUE, f"{_CELL_EVAL} (de_direction_match)",
        needs=Needs.COUNTS, compute_cells=direction_match,
    ),
    Metric(
        "de_recall", "|D & D'| / |D|",
        "Share of the truly significant genes that are predicted to be significant.",
        Direction.HIGHER, one, 0.0, 1.0, _NONE_TRUE, f"{_CELL_EVAL} (de_sig_genes_recall)",
        needs=Needs.COUNTS, compute_cells=recall,
    ),
    Metric(
        "de_jaccard", "|D & D'| / |D or D'|",
        "Genes that are significant on both sides among those that are on either; 1 if none is.",
        Direction.HIGHER, one, 0.0, 1.0, _CELLS, "cell-eval2 0.20 (de_sig_jaccard)",
        needs=Needs.COUNTS, compute_cells=jaccard,
    ),
    Metric(
        "de_fold_change_nmae", "sum(|l'[D] - l[D]|) / sum(|l[D]|)",
        "Absolute errors of log2 fold changes over the sizes of the true ones, in the truly "
        "significant genes; no change at all has 1.",
        Direction.LOWER, zero, 0.0, None,
        f"fewer than {FEWEST_TRUE_GENES} genes differ truly, or {_CELLS}",
        "cell-eval2 0.20 (de_lfc_nmae)",
        needs=Needs.COUNTS, compute_cells=fold_change_nmae,
    ),
)  # fmt: skip
