"""All rules of a dataset, applied at once: none hides behind another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.format import (
    IS_CONTROL,
    MEASURED,
    NOT_MEASURED,
    OVERLAP,
    PERTURBATION,
    SKIP_LOG_CHECK,
    TIMEPOINT,
    Role,
)
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators import schemas
from pereggrn_data.validators.datasets.label_meanings import (
    Labels,
    flag_findings,
    kind_findings,
    may_be_gene,
    meaning_findings,
    parts_of,
    spelling_findings,
)
from pereggrn_data.validators.datasets.label_rules import (
    StatedLevels,
    controls,
    level_findings,
    levels_in_x_findings,
    list_finding,
    names_in,
)
from pereggrn_data.validators.distinct import Distinct
from pereggrn_data.validators.expression import (
    names_findings,
    place,
    raw_findings,
    repeated_findings,
    sampled_raw,
    shape_findings,
    x_findings,
)
from pereggrn_data.validators.findings import missing_column_finding, schema_findings, show
from pereggrn_data.validators.parts import ExpressionParts
from pereggrn_data.validators.rules import RULES, Use, with_conversion
from pereggrn_data.validators.scales import Scanned, scale_findings


def check_dataset(
    parts: ExpressionParts, role: Role = Role.TEST, *, time_series: bool | None = None
) -> list[Finding]:
    """Check a dataset against the uniform format.

    Parameters
    ----------
    parts
        The file's parts, opened but not loaded.
    role
        A training file may hold controls only.
    time_series
        Whether a training file belongs to a time series and so needs numeric
        ``timepoint`` and ``cell_type``. None judges by its content: it has a
        time point, or nothing but controls.

    Returns
    -------
    list of Finding
        Every problem, in the order of the file's slots.
    """
    found, stated = _label_findings(parts, role, time_series)
    of_x, x = x_findings(parts, stated.rows, stated.columns)
    of_raw, raw = raw_findings(parts)
    found += of_x
    if x is not None:
        if not _truth(parts.uns.get(SKIP_LOG_CHECK)):
            where = place(parts.obs.index, parts.var.index)
            found += scale_findings(parts, Scanned(x, raw), where)
        found += levels_in_x_findings(parts.obs, parts.var.index, stated, x.at)
    return [with_conversion(finding) for finding in found + of_raw]


SLIGHT_LEVEL_DIFFERENCE = 0.1
"""Stated levels that differ from X by less (natural log) move scores only a little."""


def check_usable(
    parts: ExpressionParts, role: Role = Role.TEST, insist: Collection[str] = ()
) -> list[Finding]:
    """Check what keeps a dataset from being split and scored, or should be known of the scores.

    Parameters
    ----------
    parts
        The dataset's parts; of raw counts only the first observations are looked at.
    role
        A training file may hold controls only.
    insist
        Codes that the user insists on.

    Returns
    -------
    list of Finding
        Errors keep it from being used. Warnings are of what validation calls an error
        and the rule (:attr:`Rule.use`) lets pass, or the user insists on.
    """
    found, stated = _label_findings(parts, role, None)
    of_x, x = x_findings(parts, stated.rows, stated.columns)
    found += of_x
    slight: set[str] = set()
    if x is not None:
        if not _truth(parts.uns.get(SKIP_LOG_CHECK)):
            where = place(parts.obs.index, parts.var.index)
            found += scale_findings(parts, Scanned(x, sampled_raw(parts)), where)
        found += levels_in_x_findings(parts.obs, parts.var.index, stated, x.at)
        away = np.abs(x.at - stated.levels)
        if not (away[np.isfinite(away)] > SLIGHT_LEVEL_DIFFERENCE).any():
            slight.add("level-differs-from-X")
    judged = (_in_use(with_conversion(f), slight, insist) for f in found if not _is_spare(f))
    return [finding for finding in judged if finding is not None]


def _in_use(finding: Finding, slight: Collection[str], insist: Collection[str]) -> Finding | None:
    """Return a finding as it is told where the dataset is used; None if it is not."""
    code, rule = finding.code, RULES[finding.code]
    if rule.use is Use.REFUSED:
        return replace(finding, severity=Severity.ERROR)
    is_error = finding.severity is Severity.ERROR
    if rule.use is Use.STOPPED and is_error and code not in slight:
        if code in insist:
            return replace(finding, severity=Severity.WARNING, got=f"insisted on: {finding.got}")
        fix = f"{finding.fix} To go on all the same, say --insist {code} (in Python: insist)."
        return replace(finding, fix=fix)
    if rule.use is Use.IGNORED or not (is_error or rule.warns_in_use):
        return None
    return replace(finding, severity=Severity.WARNING)


def _is_spare(finding: Finding) -> bool:
    """Say whether only the list of unmeasured genes lacks, which no split looks at."""
    return finding.code == "uns-missing-key" and finding.column == NOT_MEASURED


def _label_findings(
    parts: ExpressionParts, role: Role, time_series: bool | None
) -> tuple[list[Finding], StatedLevels]:
    """Check all but the values of X and raw, and list the levels that X must show."""
    obs, genes = parts.obs, parts.var.index
    is_control = controls(obs)
    labels = Distinct.of(obs[PERTURBATION]) if PERTURBATION in obs else None
    found = list(parts.problems)
    found += _obs_findings(parts, _is_time_series(obs, is_control, role, time_series))
    found += _control_findings(obs, is_control, role)
    if labels is not None:
        found += _meaning_findings(parts, labels, is_control)
    found += _var_findings(parts)
    found += _uns_findings(parts, labels, is_control)
    found += shape_findings(parts)
    of_levels, stated = level_findings(obs, genes, is_control)
    return found + of_levels, stated


def _meaning_findings(
    parts: ExpressionParts, labels: Distinct, is_control: npt.NDArray[np.bool_] | None
) -> list[Finding]:
    """Check what labels mean, next to each other, the flags of controls and the genes."""
    understood = Labels.of(labels, is_control, parts.var.index)
    found = spelling_findings(understood)
    if is_control is None:
        return found  # whether a row is a control is asked first
    return [
        *flag_findings(understood),
        *found,
        *meaning_findings(understood),
        *kind_findings(understood, parts),
    ]


def naming_findings(parts: ExpressionParts) -> list[Finding]:
    """Say whether labels and genes are named differently, so that little can be held out."""
    is_control = controls(parts.obs)
    if PERTURBATION not in parts.obs or is_control is None:
        return []
    labels = Distinct.of(parts.obs[PERTURBATION])
    return kind_findings(Labels.of(labels, is_control, parts.var.index), parts)


def _is_time_series(
    obs: pd.DataFrame,
    is_control: npt.NDArray[np.bool_] | None,
    role: Role,
    time_series: bool | None,
) -> bool:
    if role is not Role.TRAIN:
        return False
    if time_series is not None:
        return time_series
    return TIMEPOINT in obs or (is_control is not None and bool(is_control.all()))


def _obs_findings(parts: ExpressionParts, time_series: bool) -> list[Finding]:
    schema = schemas.TRAIN_TIME_SERIES_OBS if time_series else schemas.OBS

    def missing(column: str) -> Finding | None:
        if f"obs/{column}" in parts.unread:
            return None
        required = column in schemas.OBS.columns and schemas.OBS.columns[column].required
        code = "obs-missing-column" if required else "train-missing-column"
        return missing_column_finding(code, column, list(parts.obs_columns))

    return schema_findings(schema, parts.obs, missing=missing)


def _control_findings(
    obs: pd.DataFrame, is_control: npt.NDArray[np.bool_] | None, role: Role
) -> list[Finding]:
    if is_control is None:
        return []
    if not is_control.any():
        got = f"none among {len(obs)} observations"
        return [RULES["no-controls"].found(got, column=IS_CONTROL, n=len(obs))]
    if is_control.all() and role is not Role.TRAIN:
        got = f"{len(obs)} observations, all of them controls"
        return [RULES["only-controls"].found(got, column=IS_CONTROL, n=len(obs))]
    return []


def _var_findings(parts: ExpressionParts) -> list[Finding]:
    def missing(column: str) -> Finding | None:
        if f"var/{column}" in parts.unread:
            return None
        return missing_column_finding("var-missing-column", column, list(parts.var_columns))

    return [
        *names_findings(parts),
        *repeated_findings("var-names-duplicated", parts.var.index),
        *schema_findings(schemas.VAR, parts.var, missing=missing),
    ]


def _uns_findings(
    parts: ExpressionParts,
    labels: Distinct | None,
    is_control: npt.NDArray[np.bool_] | None,
) -> list[Finding]:
    found: list[Finding] = []
    for key in (MEASURED, NOT_MEASURED):
        if key in parts.uns:
            found += _list_findings(parts, key, labels, is_control)
        elif f"uns/{key}" not in parts.unread:
            found.append(RULES["uns-missing-key"].found("no such key", column=key))
    found += _flag_findings(parts.uns, labels)
    return found


def _list_findings(
    parts: ExpressionParts,
    key: str,
    labels: Distinct | None,
    is_control: npt.NDArray[np.bool_] | None,
) -> list[Finding]:
    """Check one of the two lists of perturbed genes."""
    names = names_in(parts.uns[key])
    if names is None:
        got = f"{type(parts.uns[key]).__name__} {show(parts.uns[key])}"
        return [RULES["uns-not-names"].found(got, column=key)]
    listed, total = set(names), len(names)
    in_var = set(parts.var.index)
    wrong, code = (
        (listed - in_var, "measured-not-in-var")
        if key == MEASURED
        else (listed & in_var, "unmeasured-in-var")
    )
    found = list_finding(code, key, wrong, total)
    repeated = pd.Index(names, dtype=object)
    found += list_finding("uns-names-duplicated", key, set(repeated[repeated.duplicated()]), total)
    if labels is None:
        return found
    # As in the original, a list may also name what a control's label names.
    found += list_finding("listed-not-perturbed", key, listed - _named(labels.used()), total)
    if is_control is None:
        return found
    hit = _genes(Distinct(labels.codes[~is_control], labels.values).used())
    belongs = hit & in_var if key == MEASURED else {g for g in hit - in_var if may_be_gene(g)}
    return found + list_finding("perturbed-not-listed", key, belongs - listed - {""}, total)


def _genes(labels: Iterable[Any]) -> set[str]:
    return {gene for label in labels if isinstance(label, str) for gene in genes_of(label)}


def _named(labels: Iterable[Any]) -> set[str]:
    """Return genes of labels, and the parts of those that another sign than a comma joins."""
    genes = _genes(labels)
    return genes | {part for gene in genes for part in parts_of(gene)}


def _flag_findings(uns: Mapping[str, Any], labels: Distinct | None) -> list[Finding]:
    found: list[Finding] = []
    if SKIP_LOG_CHECK in uns and _truth(uns[SKIP_LOG_CHECK]) is None:
        got = f"{type(uns[SKIP_LOG_CHECK]).__name__} {show(uns[SKIP_LOG_CHECK])}"
        found.append(RULES["skip-log-check-not-bool"].found(got, column=SKIP_LOG_CHECK))
    if labels is not None and OVERLAP in uns and _truth(uns[OVERLAP]) is False:
        several = [v for v in labels.used() if isinstance(v, str) and len(genes_of(v)) > 1]
        if several:
            got = f"false, and {len(several)} labels that name several genes"
            found.append(
                RULES["overlap-contradicted"].found(
                    got, column=OVERLAP, n=len(several), examples=several
                )
            )
    return found


def _truth(value: Any) -> bool | None:
    """Understand a stored truth value; None if it is something else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return bool(value)
    return None
