"""Scores per gene, over the test observations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Matrix
from pereggrn_data.evaluators.metrics.effects import Mask
from pereggrn_data.evaluators.targets import Targets
from pereggrn_data.evaluators.task import log_fold_change

_BLOCK_BYTES = 1 << 23


def score_targets(
    matrix: Matrix,
    control_mean: Floats,
    group_of: npt.NDArray[np.intp],
    effect: Floats,
    left_out: Mask | None,
    by_observation: Floats | None = None,
    targets: Targets | None = None,
) -> pd.DataFrame:
    """Score each gene over the test observations.

    Parameters
    ----------
    matrix
        (test, genes) observed natural-log expression.
    control_mean
        (genes,) baseline of log fold changes, or (groups, genes) one per group.
    group_of
        (test,) group of each observation.
    effect
        (groups, genes) predicted log fold change per group; NaN where nothing is
        predicted, which does not score.
    left_out
        (groups, genes) entries that must not score, or None.
    by_observation
        (test, genes) predicted expression where each observation has its own.
    targets
        Directly perturbed genes to be set as in `effect`, for `by_observation`.

    Returns
    -------
    DataFrame
        (genes,) rows: ``standard_deviation`` of the predictions, ``mae`` and
        ``mse``, both MEANS over observations in which the gene scores (the
        original software has sums), and ``n_observations``; NaN where none.
    """
    tests, genes = matrix.shape
    sums = np.zeros((4, genes))
    count = np.zeros(genes)
    size = max(1, _BLOCK_BYTES // (8 * max(genes, 1)))
    for start in range(0, tests, size):
        rows = slice(start, min(start + size, tests))
        groups = group_of[rows]
        observed = matrix[rows].toarray() if sparse.issparse(matrix) else np.asarray(matrix[rows])
        baseline = control_mean[groups] if control_mean.ndim == 2 else control_mean
        predicted = effect[groups]
        if by_observation is not None:
            predicted = _own(by_observation[rows], baseline, groups, effect, targets)
        scored = np.isfinite(predicted)
        if left_out is not None:
            scored &= ~left_out[groups]
        error = np.where(scored, log_fold_change(observed, baseline) - predicted, 0)
        shown = np.where(scored, predicted, 0)
        for k, part in enumerate((np.abs(error), error**2, shown, shown**2)):
            sums[k] += part.sum(axis=0)
        count += scored.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute, squared, mean, mean_square = sums / count
    return pd.DataFrame(
        {
            "n_observations": count.astype(int),
            "standard_deviation": np.sqrt(np.maximum(mean_square - mean**2, 0)),
            "mae": absolute,
            "mse": squared,
        }
    )


def _own(
    expression: Floats,
    control_mean: Floats,
    groups: npt.NDArray[np.intp],
    effect: Floats,
    targets: Targets | None,
) -> Floats:
    """Take each observation's own prediction, with targeted genes set as in its group."""
    change = log_fold_change(expression, control_mean)
    if targets is None:
        return change
    known = ~np.isnan(targets.stated)
    is_set = np.zeros(effect.shape, dtype=bool)
    is_set[targets.rows[known], targets.columns[known]] = True
    return np.where(is_set[groups], effect[groups], change)
