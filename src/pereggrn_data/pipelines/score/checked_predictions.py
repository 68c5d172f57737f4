"""Check predictions against what was asked for, all problems at once, then align them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION, PERTURBATION_TYPE, Kind
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.reports import Finding, sorted_report
from pereggrn_data.evaluators import (
    Aligned,
    Placement,
    Task,
    align,
    fill_with_controls,
    group_keys,
    mean_by_group,
    observations_named,
    place_rows,
    wrong_labels,
)
from pereggrn_data.pipelines.score.score_inputs import ScoreInputs
from pereggrn_data.pipelines.score.score_options import Fill, PredictionScale, ScoreOptions
from pereggrn_data.validators import (
    Scale,
    check_alike,
    check_clipped,
    check_controls,
    check_copies,
    check_flags,
    check_fold_changes,
    check_genes,
    check_mixed_scales,
    check_numbers,
    check_repeated,
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


def check_and_align(inputs: ScoreInputs, task: Task, options: ScoreOptions) -> Checked:
    """Check predictions and put them into the order of the task.

    Parameters
    ----------
    inputs
        The predictions as read, and what they belong to.
    task
        What was held out, in the groups that the dataset tells apart.
    options
        How strictly, and on which scale, the predictions are read.

    Raises
    ------
    InvalidDataError
        Naming every problem, before anything is scored.
    """
    predictions, is_control = inputs.predictions, inputs.is_control
    rows = np.flatnonzero(~is_control)
    mine = predictions.obs.iloc[rows]
    at = observations_named(
        mine, task, all_names=predictions.obs.index, has_row_names=predictions.has_row_names
    )
    expected, findings = _structural_findings(inputs, mine, at, task, options)
    position = pd.Index(predictions.genes)
    usable = position.is_unique and position.isin(task.genes).sum() == len(task.genes)
    if not usable or not expected.any():
        _raise_if_errors(predictions, findings)
    # What is not held out was counted, or is an error that is raised below.
    rows, mine, at = rows[expected], mine[expected], at[expected]
    present = [column for column in task.group_by if column in mine]
    findings += check_repeated(
        group_keys(mine, present),
        group_keys(task.test_obs, present),
        predictions.matrix,
        rows,
        (at >= 0) & ~pd.Series(at).duplicated().to_numpy(bool),
    )
    placement = place_rows(mine, task, at)
    rows, mine = rows[placement.rows], _with_groups(mine, placement, task)
    columns = position.get_indexer(pd.Index(task.genes))
    given = np.asarray(predictions.matrix[rows][:, columns], dtype=np.float64)
    reference = task.reference(placement.group_of)
    values, filled = _filled(given, mine, task, reference, options)
    findings += check_numbers(values, list(map(str, mine.index)), list(task.genes))
    if options.check_scale and np.isfinite(values).all():
        findings += _scale_findings(values, mine, task, options)
    findings += _control_findings(predictions, is_control, columns, task, options)
    _raise_if_errors(predictions, findings)
    expression = values + reference if options.scale == PredictionScale.LOGFC else values
    warnings = [*inputs.notes, *(str(finding) for finding in findings)]
    if filled:
        warnings.append(f"{filled} missing values were replaced by the mean of training controls.")
    in_file = placement.test_of if placement.is_plain else None
    warnings += _reordered(columns, in_file)
    aligned = align(expression, placement, task)
    warnings += [str(f) for f in _shortcuts(aligned, values, task)]
    return Checked(aligned, tuple(warnings))


def _shortcuts(aligned: Aligned, values: Floats, task: Task) -> list[Finding]:
    """Look for what scores alone do not show; see the validators."""
    kept = aligned.scored
    names = [" / ".join(key) for key in task.keys[kept]]
    labels = task.keys.get_level_values(PERTURBATION)
    columns = [c for c in task.group_by if c not in (PERTURBATION, PERTURBATION_TYPE)]
    contexts: Ints = np.zeros(len(kept), dtype=np.intp)
    if columns:
        contexts = pd.factorize(group_keys(task.groups, columns))[0].astype(np.intp)
    targeted = np.zeros(task.observed.shape, dtype=bool)
    targeted[task.targets.rows, task.targets.columns] = True
    trained = task.train_obs[PERTURBATION].astype(object)
    trained = trained[~task.train_obs[IS_CONTROL].to_numpy(bool)]
    of_row, training = pd.factorize(trained)
    rows = np.flatnonzero(~task.train_obs[IS_CONTROL].to_numpy(bool))
    means = mean_by_group(task.train_matrix[rows], of_row, len(training))
    number = {label: k for k, label in enumerate([*dict.fromkeys(labels)])}
    own = np.array([number[label] for label in labels])
    theirs = np.array([number.get(label, -1) for label in training], dtype=int)
    profiles = aligned.profiles
    return [
        *check_mixed_scales(profiles, task.observed, task.control_mean, names),
        *check_clipped(values),
        *check_copies(profiles, own[kept], task.observed, own, names,
                      [" / ".join(key) for key in task.keys], "predictions-of-another"),
        *check_copies(profiles, own[kept], means, theirs, names, list(training),
                      "predictions-of-training"),
        *check_alike(profiles, contexts[kept], targeted[kept]),
    ]  # fmt: skip


def _structural_findings(
    inputs: ScoreInputs, mine: pd.DataFrame, at: Any, task: Task, options: ScoreOptions
) -> tuple[Bools, list[Finding]]:
    """Check labels, names and genes; and say which rows predict what is held out."""
    present = [column for column in task.group_by if column in mine]
    keys, wanted = group_keys(mine, present), group_keys(task.groups, present).unique()
    known = pd.MultiIndex.from_tuples(
        [key for obs in inputs.everyone for key in group_keys(obs, present).unique()]
    )
    found = list(check_rows(keys, wanted, known, allow_missing=options.allow_missing))
    labels = inputs.predictions.obs[PERTURBATION]
    flagged = labels[inputs.flagged]
    found += check_flags(list(flagged), int(labels.isin(set(flagged)).sum()))
    wrong = np.flatnonzero(wrong_labels(mine, task, at))
    found += check_row_names(
        list(mine.index[wrong]),
        list(mine[PERTURBATION].iloc[wrong]),
        list(task.test_obs[PERTURBATION].iloc[at[wrong]]),
        int((at >= 0).sum()),
    )
    found += check_genes(inputs.predictions.genes, list(task.genes))
    return np.asarray(keys.isin(wanted), dtype=bool), found


def _with_groups(mine: pd.DataFrame, placement: Placement, task: Task) -> pd.DataFrame:
    """Return one row of metadata per placed row, with all columns that define a group."""
    placed = mine if placement.is_plain and len(placement.rows) == len(mine) else (
        mine.iloc[placement.rows]
    )  # fmt: skip
    lacking = [column for column in task.group_by if column not in mine]
    groups = task.groups.iloc[placement.group_of]
    return placed.assign(**{column: groups[column].to_numpy() for column in lacking})


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


def _reordered(columns: Any, test_of: Any) -> list[str]:
    """Say where names, not positions, decided; nothing to worry about."""
    said = []
    if (np.diff(columns) < 0).any():
        said.append("Genes were in another order than in the split; they were matched by name.")
    if test_of is not None and (np.diff(test_of[test_of >= 0]) < 0).any():
        said.append("Rows were in another order than in the split; they were matched by name.")
    return said


def _raise_if_errors(predictions: Predictions, findings: Iterable[Finding]) -> None:
    sorted_report(predictions.path, Kind.PREDICTIONS, findings).raise_if_invalid()
