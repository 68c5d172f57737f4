"""Scores per gene, over the test observations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.evaluators.alignment import Aligned
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.targets import TargetedGenes, Targets
from pereggrn_data.evaluators.task import Task

_BLOCK_BYTES = 1 << 23

PREDICTED_BY = "predicted_by"
"""Column that says whether each test observation has a prediction of its own
(``observation``) or that of its group (``group``)."""


def score_genes(
    task: Task,
    aligned: Aligned,
    effects: Mapping[str, Floats],
    left_out: Bools | None,
    targets: Targets,
    targeted: TargetedGenes,
    own_of: str,
) -> pd.DataFrame:
    """Score each gene by every method.

    Parameters
    ----------
    task
        What was held out.
    aligned
        The predictions.
    effects
        Per method, (scored groups, genes) predicted log fold change.
    left_out
        (scored groups, genes) entries that must not score, or None.
    targets
        Directly perturbed genes of the scored groups.
    targeted
        What is done with them.
    own_of
        The method that may have a prediction for each observation.

    Returns
    -------
    DataFrame
        One row per method and gene: ``predicted_by``, and the columns of
        :func:`score_targets`.
    """
    kept = aligned.scored
    rows = np.flatnonzero(kept[task.group_of])
    group_of = (np.cumsum(kept) - 1)[task.group_of[rows]]
    matrix: Matrix = task.test_matrix[rows]
    reference = task.reference(kept)
    frames = []
    for name, effect in effects.items():
        own = None
        if name == own_of and aligned.by_observation is not None:
            own = aligned.by_observation[rows]
        frame = score_targets(
            matrix, reference, group_of, effect, left_out, own,
            targets if targeted is TargetedGenes.REVEAL else None,
        )  # fmt: skip
        frame.insert(0, PREDICTED_BY, "group" if own is None else "observation")
        frame.insert(0, "gene", task.genes)
        frame.insert(0, "method", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def score_targets(
    matrix: Matrix,
    control_mean: Floats,
    group_of: Ints,
    effect: Floats,
    left_out: Bools | None,
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
    groups: Ints,
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
