"""How failures of a schema, and rows that break a rule, become findings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pereggrn_data.core.errors import EXAMPLES_SHOWN, near_matches
from pereggrn_data.core.reports import Finding
from pereggrn_data.validators.rules import RULES

_MISSING_COLUMN = "column_in_dataframe"
_VALUES_IN_GOT = 3


def failures(
    schema: pa.DataFrameSchema, frame: pd.DataFrame
) -> list[tuple[str, str | None, list[int]]]:
    """Check a frame against a schema; all failures at once.

    Returns
    -------
    list
        Code of the rule (None's place is taken by pandera's own name for a
        missing column), column, and the positions of the rows that fail.
    """
    # Of a categorical column pandera cannot write down failures with missing values.
    categorical = {c: object for c in frame if isinstance(frame[c].dtype, pd.CategoricalDtype)}
    numbered = frame.reset_index(drop=True).astype(categorical)
    try:
        with warnings.catch_warnings():
            # pandera concatenates tables of failures that may be all missing.
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(numbered, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return [_failure(error) for error in errors.schema_errors]
    return []


def _failure(error: Any) -> tuple[str, str | None, list[int]]:
    if error.check == _MISSING_COLUMN:
        return _MISSING_COLUMN, str(error.failure_cases), []
    cases = error.failure_cases
    name = getattr(error.check, "name", None)
    if name not in RULES or not isinstance(cases, pd.DataFrame) or cases["index"].isna().any():
        raise error  # a check that fails in itself is a bug of ours
    return str(name), str(error.schema.name), sorted({int(i) for i in cases["index"]})


def schema_findings(
    schema: pa.DataFrameSchema,
    frame: pd.DataFrame,
    *,
    missing: Callable[[str], Finding | None],
) -> list[Finding]:
    """Turn the failures of a schema into one finding per rule and column.

    Parameters
    ----------
    schema
        Column rules.
    frame
        Indexed by the names that findings show.
    missing
        Makes the finding for a column that is not there.
    """
    found: list[Finding] = []
    for code, column, rows in failures(schema, frame):
        if code == _MISSING_COLUMN:
            lacking = missing(str(column))
            found.extend([lacking] if lacking else [])
        else:
            found.append(row_finding(code, str(column), frame, rows))
    return found


def row_finding(code: str, column: str, frame: pd.DataFrame, rows: list[int]) -> Finding:
    """Make a finding about rows of a column, showing the first few with their values."""
    few = rows[:EXAMPLES_SHOWN]
    values = frame[column].iloc[few].tolist()
    if code.endswith(("not-bool", "not-numeric")):
        got = f"a column of type {frame[column].dtype}"
    else:
        shown = list(dict.fromkeys(show(v) for v in values))
        more = ", ..." if len(shown) > _VALUES_IN_GOT else ""
        got = f"{', '.join(shown[:_VALUES_IN_GOT])}{more} in {len(rows)} of {len(frame)} rows"
    return RULES[code].found(
        got,
        column=column,
        n=len(rows),
        examples=[f"{name}: {show(v)}" for name, v in zip(frame.index[few], values, strict=True)],
    )


def show(value: object) -> str:
    """Show a value of a frame in a message, cut where it is long.

    Examples
    --------
    >>> show("A B")
    "'A B'"
    """
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "(missing)"
    text = repr(value) if isinstance(value, (str, bytes)) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def missing_column_finding(code: str, column: str, present: list[str]) -> Finding:
    """Make a finding for a column that is not there; near matches are shown."""
    near = near_matches(column, [p for p in present if p != column])
    hint = f"rename {near[0]!r}, if that is it; else " if near else ""
    rule = RULES[code]
    got = f"{len(present)} other columns" if len(present) > EXAMPLES_SHOWN else ", ".join(present)
    return rule.found(
        got or "no columns", column=column, expected=f"a column {column!r}", fix=hint + rule.fix
    )
