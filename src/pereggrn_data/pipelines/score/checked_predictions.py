"""Check predictions against what was asked for, all problems at once, then align them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.core.format import PERTURBATION, Kind
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.reports import Finding, sorted_report
from pereggrn_data.evaluators import (
    Aligned,
    Task,
    align,
    fill_with_controls,
    group_keys,
    place_rows,
)
from pereggrn_data.pipelines.score.score_options import Fill, PredictionScale, ScoreOptions
from pereggrn_data.validators import (
    Scale,
    check_controls,
    check_fold_changes,
    check_genes,
    check_numbers,
    check_row_names,
    check_rows,
    check_scale,
)


@dataclass(frozen=True)
class Checked:
    """Predictions that can be scored.

    Parameters
    ----------
    aligned
        The predictions in the order of the task.
    warnings
        What the reader of the scores should know.
    """

    aligned: Aligned
    warnings: tuple[str, ...]


def check_and_align(
    predictions: Predictions, is_control: Bools, task: Task, known: set[str], options: ScoreOptions
) -> Checked:
    """Check predictions and put them into the order of the task.

    Parameters
    ----------
    predictions
        As read.
    is_control
        (rows,) which of them are of controls, and not scored.
    task
        What was held out, in the groups that both sides tell apart.
    known
        All labels of the dataset.
    options
        How strictly, and on which scale, the predictions are read.

    Raises
    ------
    InvalidDataError
        Naming every problem, before anything is scored.
    """
    mine = predictions.obs[~is_control]
    findings = _structural_findings(predictions, mine, task, known, options)
    position = pd.Index(predictions.genes)
    usable = position.is_unique and position.isin(task.genes).sum() == len(task.genes)
    if not usable or mine.empty:
        _raise_if_errors(predictions, findings)
    columns = position.get_indexer(pd.Index(task.genes))
    given = np.asarray(predictions.matrix[~is_control][:, columns], dtype=np.float64)
    placement = place_rows(mine, task, has_row_names=predictions.has_row_names)
    reference = task.reference(placement.group_of)
    values, filled = _filled(given, mine, task, reference, options)
    findings += check_numbers(values, list(map(str, mine.index)), list(task.genes))
    if options.check_scale and np.isfinite(values).all():
        findings += _scale_findings(values, mine, task, options)
    findings += _control_findings(predictions, is_control, columns, task, options)
    _raise_if_errors(predictions, findings)
    expression = values + reference if options.scale == PredictionScale.LOGFC else values
    warnings = [str(finding) for finding in findings]
    if filled:
        warnings.append(f"{filled} missing values were replaced by the mean of training controls.")
    warnings += _reordered(columns, mine if predictions.has_row_names else None, task)
    return Checked(align(expression, placement, task), tuple(warnings))


def _structural_findings(
    predictions: Predictions,
    mine: pd.DataFrame,
    task: Task,
    known: set[str],
    options: ScoreOptions,
) -> list[Finding]:
    keys = group_keys(mine, task.group_by)
    found = list(check_rows(keys, task.keys, known, allow_missing=options.allow_missing))
    if predictions.has_row_names:
        labels = list(mine[PERTURBATION].astype(object))
        true = task.test_obs[PERTURBATION].astype(object)
        found += check_row_names(mine.index, labels, true)
    return [*found, *check_genes(predictions.genes, list(task.genes))]


def _filled(
    values: Floats, mine: pd.DataFrame, task: Task, reference: Floats, options: ScoreOptions
) -> tuple[Floats, int]:
    if options.fill_missing == Fill.NONE or np.isnan(values).all():
        return values, 0
    if options.scale == PredictionScale.LOGFC:
        filled, count = fill_with_controls(values + reference, mine, task)
        return filled - reference, count
    return fill_with_controls(values, mine, task)


def _scale_findings(
    values: Floats, mine: pd.DataFrame, task: Task, options: ScoreOptions
) -> Iterable[Finding]:
    scale = Scale.of(task.train_matrix, task.control_mean)
    judge = check_fold_changes if options.scale == PredictionScale.LOGFC else check_scale
    return judge(values, scale, row_names=list(map(str, mine.index)))


def _control_findings(
    predictions: Predictions, controls: Any, columns: Any, task: Task, options: ScoreOptions
) -> Iterable[Finding]:
    if not controls.any():
        return ()
    profile = np.asarray(predictions.matrix[controls][:, columns], dtype=np.float64).mean(axis=0)
    if options.scale == PredictionScale.LOGFC:
        profile = profile + task.control_mean
    return check_controls(profile, task.control_mean)


def _reordered(columns: Any, named: pd.DataFrame | None, task: Task) -> list[str]:
    """Say where names, not positions, decided; nothing to worry about."""
    said = []
    if (np.diff(columns) < 0).any():
        said.append("Genes were in another order than in the split; they were matched by name.")
    if named is None or not named.index.is_unique:
        return said
    rows = named.index.get_indexer(task.test_obs.index)
    rows = rows[rows >= 0]
    if len(rows) > 1 and (np.diff(rows) < 0).any():
        said.append("Rows were in another order than in the split; they were matched by name.")
    return said


def _raise_if_errors(predictions: Predictions, findings: Iterable[Finding]) -> None:
    sorted_report(predictions.path, Kind.PREDICTIONS, findings).raise_if_invalid()
