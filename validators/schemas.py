"""Column rules as pandera schemas.

Each check is named after the code of the rule that it enforces. A check looks
at one column and returns one truth value per row; text is looked at once per
distinct value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pereggrn_data.core.format import (
    CELL_TYPE,
    HIGHLY_VARIABLE_RANK,
    IS_CONTROL,
    LEVEL,
    PERTURBATION,
    PERTURBATION_TYPE,
    TIMEPOINT,
    PerturbationType,
)
from pereggrn_data.core.labels import genes_of, is_plain, levels_of
from pereggrn_data.validators.distinct import Distinct


def _each(code: str, fine: Callable[[Any], bool]) -> pa.Check:
    """Make a check of distinct values; missing ones pass (another check finds them)."""

    def check(column: pd.Series[Any]) -> pd.Series[Any]:
        distinct = Distinct.of(column)
        return pd.Series(~distinct.rows(lambda v: not fine(v)), index=column.index)

    return pa.Check(check, name=code, ignore_na=False)


def _rows(code: str, fine: Callable[[pd.Series[Any]], pd.Series[Any]]) -> pa.Check:
    """Make a vectorised check of a column, missing values included."""
    return pa.Check(fine, name=code, ignore_na=False)


def _present(code: str) -> pa.Check:
    return _rows(code, lambda column: column.notna())


def is_bool(column: pd.Series[Any]) -> bool:
    """Say whether a column holds true and false only, as such."""
    return column.dtype == np.dtype(bool) or (
        isinstance(column.dtype, pd.BooleanDtype) and not column.hasnans
    )


def is_number(column: pd.Series[Any]) -> bool:
    """Say whether a column holds numbers (not truth values)."""
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    return bool(numeric and not pd.api.types.is_bool_dtype(column.dtype))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _has_no_white_space(label: Any) -> bool:
    return not _is_text(label) or is_plain(label)


def _has_no_empty_name(label: Any) -> bool:
    return not _is_text(label) or all(gene.strip() for gene in genes_of(label))


def _names_each_gene_once(label: Any) -> bool:
    return not _is_text(label) or len(set(genes_of(label))) == len(genes_of(label))


def is_level(stated: Any) -> bool:
    """Say whether a stated level can be parsed and is finite, or NaN where unknown."""
    if isinstance(stated, bool):
        return False
    try:
        return not np.isinf(levels_of(stated)).any()
    except (ValueError, TypeError):
        return False


def _finite_or_missing(column: pd.Series[Any]) -> pd.Series[Any]:
    # Truth values say the opposite of ranks: True is most variable, and 0 is.
    if any(isinstance(value, (bool, np.bool_)) for value in column):
        return pd.Series(False, index=column.index)
    numbers = pd.to_numeric(column.astype(object), errors="coerce").astype(float)
    return column.isna() | np.isfinite(numbers)


def _not_negative(column: pd.Series[Any]) -> pd.Series[Any]:
    return ~(pd.to_numeric(column.astype(object), errors="coerce").astype(float) < 0)


def _all_rows(test: Callable[[pd.Series[Any]], bool]) -> Callable[[pd.Series[Any]], Any]:
    """Apply a test of a whole column to each of its rows."""
    return lambda column: pd.Series(test(column), index=column.index)


def _is_perturbation_type(column: pd.Series[Any]) -> pd.Series[Any]:
    known = Distinct.of(column).rows(lambda v: _is_text(v) and v in set(PerturbationType))
    return pd.Series(known, index=column.index)


_LABELS = pa.Column(
    None,
    [
        _present("perturbation-missing"),
        _each("perturbation-not-text", _is_text),
        _each("perturbation-white-space", _has_no_white_space),
        _each("perturbation-empty-name", _has_no_empty_name),
        _each("perturbation-repeated-gene", _names_each_gene_once),
    ],
    nullable=True,
)

_NUMERIC_TIME = _rows("timepoint-not-numeric", _all_rows(is_number))

_GROUPS = {
    CELL_TYPE: pa.Column(None, _present("obs-missing-values"), nullable=True, required=False),
    TIMEPOINT: pa.Column(
        None, [_present("obs-missing-values"), _NUMERIC_TIME], nullable=True, required=False
    ),
}

_REQUIRED_OBS = {
    IS_CONTROL: pa.Column(None, _rows("is-control-not-bool", _all_rows(is_bool)), nullable=True),
    PERTURBATION: _LABELS,
    PERTURBATION_TYPE: pa.Column(
        None,
        _rows("perturbation-type-unknown", _is_perturbation_type),
        nullable=True,
    ),
    LEVEL: pa.Column(None, _each("level-not-a-number", is_level), nullable=True),
}

OBS = pa.DataFrameSchema({**_REQUIRED_OBS, **_GROUPS})
"""Observations of a dataset."""

TRAIN_TIME_SERIES_OBS = pa.DataFrameSchema(
    {
        **_REQUIRED_OBS,
        CELL_TYPE: pa.Column(None, _present("obs-missing-values"), nullable=True),
        TIMEPOINT: pa.Column(
            None,
            [
                _present("obs-missing-values"),
                _rows("train-timepoint-not-numeric", _all_rows(is_number)),
            ],
            nullable=True,
        ),
    }
)
"""Observations of the training file of a time series."""

PREDICTED_OBS = pa.DataFrameSchema(
    {
        PERTURBATION: _LABELS,
        TIMEPOINT: pa.Column(None, _NUMERIC_TIME, nullable=True, required=False),
    }
)
"""Observations of a predictions file; columns that group them may be empty, but not in part."""

VAR = pa.DataFrameSchema(
    {
        HIGHLY_VARIABLE_RANK: pa.Column(
            None,
            [
                _present("rank-missing"),
                _rows("rank-not-a-number", _finite_or_missing),
                _rows("rank-negative", _not_negative),
            ],
            nullable=True,
        )
    }
)
"""Genes of a dataset."""

EDGE_COLUMNS = pa.DataFrameSchema(
    {
        "type_fits": pa.Column(bool, _rows("edges-column-type", lambda fits: fits)),
        "n_null": pa.Column(int, _rows("edges-null", lambda n: n == 0)),
        "n_empty": pa.Column(int, _rows("edges-empty-name", lambda n: n == 0)),
        "n_white_space": pa.Column(int, _rows("edges-white-space", lambda n: n == 0)),
        "n_not_finite": pa.Column(int, _rows("weight-not-finite", lambda n: n == 0)),
    }
)
"""Facts about a network's columns, one row per column."""
