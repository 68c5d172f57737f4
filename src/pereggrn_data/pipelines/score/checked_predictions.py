"""Check predictions against what was asked for, all problems at once, then align them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import (
    InvalidDataError,
    UnknownNameError,
    UsageError,
    first_few,
    near_matches,
)
from pereggrn_data.core.format import (
    IS_CONTROL,
    OBSERVATION,
    PERTURBATION,
    PREDICTION_STEP,
    Kind,
)
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.reports import Finding, sorted_report
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.alignment import (
    align,
    columns_given,
    control_rows,
    fill_with_controls,
    place_rows,
)
from pereggrn_data.evaluators.grouping import group_keys, time_text
from pereggrn_data.evaluators.scoring import Aligned
from pereggrn_data.evaluators.task import Task, make_task
from pereggrn_data.validators.prediction_rows import check_genes, check_row_names, check_rows
from pereggrn_data.validators.prediction_values import (
    Scale,
    check_controls,
    check_fold_changes,
    check_numbers,
    check_scale,
)

if TYPE_CHECKING:
    from anndata import AnnData


class PredictionScale(StrEnum):
    """What predicted values mean."""

    EXPRESSION = "expression"
    LOGFC = "logfc"


class Fill(StrEnum):
    """What replaces predictions that are NaN."""

    NONE = "none"
    CONTROL = "control"


@dataclass(frozen=True)
class CheckOptions:
    """How strictly, and on which scale, predictions are read."""

    scale: PredictionScale = PredictionScale.EXPRESSION
    fill: Fill = Fill.NONE
    allow_missing: bool = False
    judge_scale: bool = True

    @classmethod
    def parse(cls, scale: str, fill: str, allow_missing: bool, judge_scale: bool) -> CheckOptions:
        """Read the options as they stand on the command line.

        Raises
        ------
        UnknownNameError
            For a scale or a fill rule that does not exist.
        """
        for kind, name, known in (
            ("scale", scale, PredictionScale),
            ("rule for missing predictions", fill, Fill),
        ):
            if str(name) not in {str(k) for k in known}:
                raise UnknownNameError(kind, str(name), [str(k) for k in known])
        return cls(PredictionScale(str(scale)), Fill(str(fill)), allow_missing, judge_scale)


@dataclass(frozen=True)
class Checked:
    """Predictions that can be scored.

    Parameters
    ----------
    task
        What was held out, in the groups that both sides tell apart.
    aligned
        The predictions in its order.
    warnings
        What the reader of the scores should know.
    """

    task: Task
    aligned: Aligned
    warnings: tuple[str, ...]


def require_perturbations(predictions: Predictions) -> None:
    """Check that predictions say what they predict.

    Raises
    ------
    InvalidDataError
        If there is no ``perturbation`` column, or a row without a label.
    """
    if PERTURBATION not in predictions.obs:
        columns = list(map(str, predictions.obs.columns))
        near = near_matches(PERTURBATION, columns) or near_matches(
            PERTURBATION, list(map(str, predictions.genes))
        )
        raise InvalidDataError(
            f"{predictions.path} has no column 'perturbation'.",
            expected="a column with the label that each row predicts",
            got=f"obs columns {first_few(columns) or '(none)'}",
            fix=f"rename {near[0]!r}."
            if near
            else "add it; test_perturbations.csv has the labels.",
        )
    labels = predictions.obs[PERTURBATION]
    empty = labels.isna() | (labels.astype(str).str.strip() == "")
    if empty.any():
        raise InvalidDataError(
            f"{int(empty.sum())} rows of {predictions.path} have no perturbation.",
            expected="a label in every row",
            got=f"none in {first_few(predictions.obs.index[empty])}",
        )


def one_step(predictions: Predictions, step: int | None) -> Predictions:
    """Keep one ``prediction_timescale`` of files that hold several.

    Raises
    ------
    UsageError
        If there are several and none was named, or the named one is absent.
    """
    steps = (
        predictions.obs[PREDICTION_STEP].map(time_text)
        if PREDICTION_STEP in predictions.obs
        else pd.Series("1", index=predictions.obs.index)
    )
    present = list(dict.fromkeys(steps))
    if step is None and len(present) <= 1:
        return predictions
    if step is None or str(step) not in present:
        raise UsageError(
            f"{predictions.path} holds predictions after {first_few(present)} steps.",
            expected="--step with one of them",
            got="no --step" if step is None else f"--step {step}",
        )
    kept = (steps == str(step)).to_numpy()
    obs = predictions.obs[kept]
    if OBSERVATION in obs:
        obs = obs.set_index(OBSERVATION)
    return replace(predictions, obs=obs, matrix=predictions.matrix[kept])


def check_and_align(
    predictions: Predictions,
    adata: AnnData,
    split: Split,
    options: CheckOptions,
    train: AnnData | None = None,
) -> Checked:
    """Check predictions and put them into the order of the task.

    Parameters
    ----------
    predictions
        As read.
    adata, split
        The dataset, and what of it is held out.
    options
        How strictly, and on which scale, the predictions are read.
    train
        The separate training file, for a split that has one.

    Raises
    ------
    InvalidDataError
        Naming every problem, before anything is scored.
    """
    obs = predictions.obs
    control_labels = set(adata.obs.loc[adata.obs[IS_CONTROL].to_numpy(bool), PERTURBATION])
    controls = control_rows(obs, control_labels)
    # Some splits hold out controls too; these are then predicted like all others.
    to_predict = control_labels & set(split.heldout_perturbations)
    controls = controls & ~obs[PERTURBATION].isin(list(to_predict)).to_numpy(bool)
    task = make_task(adata, split, shared_columns=columns_given(obs[~controls]), train=train)
    mine = obs[~controls]
    findings = _structural_findings(predictions, mine, task, adata, options)
    position = pd.Index(predictions.genes)
    usable = position.is_unique and position.isin(task.genes).sum() == len(task.genes)
    if not usable or mine.empty:
        _raise_if_errors(predictions, findings)
    columns = position.get_indexer(pd.Index(task.genes))
    given = np.asarray(predictions.matrix[~controls][:, columns], dtype=np.float64)
    reference = task.reference(place_rows(mine, task).group_of)
    values, filled = _filled(given, mine, task, reference, options)
    findings += check_numbers(values, list(map(str, mine.index)), list(task.genes))
    if options.judge_scale and np.isfinite(values).all():
        findings += _scale_findings(values, mine, task, options)
    findings += _control_findings(predictions, controls, columns, task, options)
    _raise_if_errors(predictions, findings)
    expression = values + reference if options.scale is PredictionScale.LOGFC else values
    placement = place_rows(mine, task, has_row_names=predictions.has_row_names)
    warnings = [str(finding) for finding in findings]
    if filled:
        warnings.append(f"{filled} missing values were replaced by the mean of training controls.")
    warnings += _reordered(columns, mine if predictions.has_row_names else None, task)
    return Checked(task, align(expression, placement, task), tuple(warnings))


def _structural_findings(
    predictions: Predictions, mine: pd.DataFrame, task: Task, adata: AnnData, options: CheckOptions
) -> list[Finding]:
    keys = group_keys(mine, task.group_by)
    known = set(adata.obs[PERTURBATION])
    found = list(check_rows(keys, task.keys, known, allow_missing=options.allow_missing))
    if predictions.has_row_names:
        labels = list(mine[PERTURBATION].astype(object))
        true = task.test_obs[PERTURBATION].astype(object)
        found += check_row_names(mine.index, labels, true)
    return [*found, *check_genes(predictions.genes, list(task.genes))]


def _filled(
    values: Floats, mine: pd.DataFrame, task: Task, reference: Floats, options: CheckOptions
) -> tuple[Floats, int]:
    if options.fill is Fill.NONE or np.isnan(values).all():
        return values, 0
    if options.scale is PredictionScale.LOGFC:
        filled, count = fill_with_controls(values + reference, mine, task)
        return filled - reference, count
    return fill_with_controls(values, mine, task)


def _scale_findings(
    values: Floats, mine: pd.DataFrame, task: Task, options: CheckOptions
) -> Iterable[Finding]:
    scale = Scale.of(task.train_matrix, task.control_mean)
    judge = check_fold_changes if options.scale is PredictionScale.LOGFC else check_scale
    return judge(values, scale, row_names=list(map(str, mine.index)))


def _control_findings(
    predictions: Predictions, controls: Any, columns: Any, task: Task, options: CheckOptions
) -> Iterable[Finding]:
    if not controls.any():
        return ()
    profile = np.asarray(predictions.matrix[controls][:, columns], dtype=np.float64).mean(axis=0)
    if options.scale is PredictionScale.LOGFC:
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
