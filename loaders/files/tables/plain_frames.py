"""Tables with one kind of string, number and truth value, whatever library wrote them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.errors import InvalidDataError


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of plain types, in columns, categories and index.

    Text becomes object of str with NaN where it is missing, nullable numbers
    become plain ones (float with NaN where one is missing), and nullable truth
    values become bool. Truth values of which some are missing are left as they
    are, for the rules to refuse: bool has no word for "unknown".
    """
    out = frame.copy(deep=False)
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, (pd.CategoricalDtype, pd.api.extensions.ExtensionDtype)):
            out[name] = _plain_column(frame[name])
    out.index = _plain_index(frame.index)
    out.columns = _plain_index(frame.columns)
    return out


def _plain_column(column: pd.Series[Any]) -> pd.Series[Any]:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(list(_plain_index(column.cat.categories)))
    if isinstance(dtype, pd.StringDtype):
        return column.astype(object).where(column.notna(), np.nan)
    if pd.api.types.is_bool_dtype(dtype):
        return column if column.hasnans else column.astype(bool)
    if hasattr(dtype, "numpy_dtype") and pd.api.types.is_numeric_dtype(dtype):
        plain: Any = np.float64 if column.hasnans else dtype.numpy_dtype
        return column.astype(plain)
    return column


def _plain_index(index: pd.Index[Any]) -> pd.Index[Any]:
    if isinstance(index.dtype, pd.StringDtype):
        plain: pd.Index[Any] = pd.Index(
            index.to_numpy(dtype=object), dtype=object, name=index.name
        )
        return plain
    return index


def refuse_levels(frame: pd.DataFrame, what: str) -> None:
    """Check that rows and columns have one name each, not several levels of them.

    Raises
    ------
    InvalidDataError
        If there is a MultiIndex.
    """
    for axis, index, fix in (
        ("rows", frame.index, "df.index = ['_'.join(map(str, n)) for n in df.index]"),
        ("columns", frame.columns, "df.columns = df.columns.get_level_values(-1)"),
    ):
        if isinstance(index, pd.MultiIndex):
            raise InvalidDataError(
                f"The {axis} of {what} have names of {index.nlevels} levels (a MultiIndex).",
                expected=f"one name for each of the {axis}",
                got=f"{index[0]!r}, for example" if len(index) else f"levels {index.names}",
                fix=f"make one of them, for example by {fix}.",
            )
