"""What can be said of a predictions file without the dataset."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools
from pereggrn_data.core.errors import InvalidDataError, with_article
from pereggrn_data.core.format import (
    IS_CONTROL,
    PEREGGRN_UNS,
    PERTURBATION,
)
from pereggrn_data.core.labels import looks_like_control, same_genes
from pereggrn_data.core.prediction_types import Origin
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import loads
from pereggrn_data.validators import schemas
from pereggrn_data.validators.datasets import Labels, controls, spelling_findings
from pereggrn_data.validators.distinct import Distinct
from pereggrn_data.validators.expression import (
    finite_findings,
    names_findings,
    place,
    scan_predicted,
    shape_findings,
)
from pereggrn_data.validators.findings import missing_column_finding, schema_findings
from pereggrn_data.validators.parts import ExpressionParts
from pereggrn_data.validators.predictions.prediction_rows import (
    check_flags,
    check_genes,
    check_grouped,
)
from pereggrn_data.validators.rules import RULES


def check_predictions(parts: ExpressionParts) -> list[Finding]:
    """Check a predictions file, as far as that goes without the dataset.

    Parameters
    ----------
    parts
        The file's parts, opened but not loaded.

    Returns
    -------
    list of Finding
        Every problem. Whether the scale fits the dataset is for scoring to say.
    """
    found = list(parts.problems)
    split: Split | None = None
    gaps: tuple[str, ...] = ()
    if PEREGGRN_UNS in parts.uns:
        try:
            origin = parse_header(parts.uns[PEREGGRN_UNS])
            split, gaps = origin.split, origin.gaps
        except InvalidDataError as error:
            found.append(header_finding(error))
    elif f"uns/{PEREGGRN_UNS}" not in parts.unread:
        found.append(RULES["predictions-header-missing"].found("no such key", column=PEREGGRN_UNS))
    found += predicted_obs_findings(parts, gaps)
    found += names_findings(parts, Severity.WARNING)
    genes = parts.var.index
    expected = split.genes if split is not None else list(genes.unique())
    found += check_genes(genes, expected, parts.columns_of_var())
    if split is not None:
        found += coverage_findings(parts.obs, split)
    return found + shape_findings(parts) + predicted_x_findings(parts)


def parse_header(value: Any) -> Origin:
    """Return what ``uns["pereggrn"]`` says; nothing about it is trusted.

    Parameters
    ----------
    value
        JSON text: ``format_version``, ``dataset`` (name, sha256, path) and ``split``.

    Raises
    ------
    InvalidDataError
        If it is not that.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        raise _invalid("JSON text", with_article(type(value).__name__))
    try:
        values = loads(value, "uns['pereggrn']")
    except InvalidDataError as error:
        raise _invalid("JSON text", error.got or error.what) from error
    return Origin.from_dict(values, source="this file")


def _invalid(expected: str, got: str) -> InvalidDataError:
    return InvalidDataError("uns['pereggrn'] is invalid.", expected=expected, got=got)


def header_finding(error: InvalidDataError) -> Finding:
    """Make the finding of a header that cannot be parsed."""
    return RULES["predictions-header-invalid"].found(
        error.got or error.what, column=PEREGGRN_UNS, expected=error.expected
    )


def predicted_obs_findings(parts: ExpressionParts, gaps: Collection[str] = ()) -> list[Finding]:
    """Check the labels and the grouping columns of predictions; see :func:`check_grouped`."""

    def missing(column: str) -> Finding | None:
        if f"obs/{column}" in parts.unread:
            return None
        return missing_column_finding("obs-missing-column", column, list(parts.obs_columns))

    found = schema_findings(schemas.PREDICTED_OBS, parts.obs, missing=missing)
    if PERTURBATION in parts.obs:
        flags = controls(parts.obs)
        labels = Labels.of(Distinct.of(parts.obs[PERTURBATION]), flags, parts.var.index)
        # Nothing trains on predictions: two spellings are odd there, and no more.
        found += spelling_findings(labels, Severity.WARNING)
    return found + list(check_grouped(parts.obs, _predicted_rows(parts.obs), gaps))


def _predicted_rows(obs: pd.DataFrame) -> Bools:
    """Say which rows are scored, as far as that can be told without the dataset."""
    flags = controls(obs)
    rows = np.ones(len(obs), dtype=bool) if flags is None else ~flags
    if PERTURBATION in obs:
        rows &= ~Distinct.of(obs[PERTURBATION]).rows(
            lambda label: isinstance(label, str) and looks_like_control(label)
        )
    return rows


def coverage_findings(obs: pd.DataFrame, split: Split) -> list[Finding]:
    """Compare the predicted perturbations with those that are held out."""
    if PERTURBATION not in obs:
        return []
    is_control = controls(obs) if IS_CONTROL in obs else None
    rows = obs if is_control is None else obs[~is_control]
    labels = Distinct.of(rows[PERTURBATION]).used()
    there, wanted = set(labels), set(split.heldout_perturbations)
    found: list[Finding] = []
    if is_control is not None:
        # Some splits hold out controls too, and rightly mark them.
        marked = [
            label
            for label in obs[PERTURBATION][is_control]
            if label in wanted and not looks_like_control(label)
        ]
        n_of_these = int(obs[PERTURBATION].isin(set(marked)).sum())
        found += check_flags(marked, n_of_these)
        there |= set(marked)
    # Scoring understands these, too.
    understood = same_genes(there, wanted)
    there |= set(understood.values())
    lacking = [p for p in split.heldout_perturbations if p not in there]
    unknown = [p for p in labels if p not in wanted and p not in understood]
    if lacking:
        got = f"{len(wanted) - len(lacking)} of {len(wanted)} perturbations"
        found.append(
            RULES["predictions-missing-perturbation"].found(
                got, column=PERTURBATION, n=len(lacking), examples=lacking
            )
        )
    if unknown:
        got = f"{len(unknown)} other labels"
        found.append(
            RULES["predictions-not-in-split"].found(
                got, column=PERTURBATION, n=len(unknown), examples=unknown
            )
        )
    return found


def predicted_x_findings(parts: ExpressionParts) -> list[Finding]:
    """Check that X is filled with finite numbers."""
    found, result = scan_predicted(parts)
    if result is None:
        return found
    n_nan = result.counts["nan"].n
    if n_nan and n_nan == result.n_values:
        got = f"only NaN ({n_nan} values): a template that has not been filled in"
        return [RULES["predictions-not-filled-in"].found(got, n=n_nan)]
    return finite_findings(
        "predictions-not-a-number", result, place(parts.obs.index, parts.var.index)
    )
