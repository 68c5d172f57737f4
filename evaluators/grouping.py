"""Groups of observations that are one prediction: keys, numbering and means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats, Ints, Matrix
from pereggrn_data.core.format import PERTURBATION, TIMEPOINT
from pereggrn_data.core.rows.group_sums import group_sums

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")

MISSING_KEY = "(missing)"
"""Key of a column in which an observation, or a prediction of such ones, has no value."""

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def key_text(value: Any) -> str:
    """Write a grouping value as text, so that 1, 1.0 and "1" are one group.

    Nothing else is taken for the same: "01", "1e0" and "1_0" stay what they are. Whatever
    says that there is no value is one group, too.

    Examples
    --------
    >>> key_text(1.0), key_text("1"), key_text("1_0"), key_text("beta")
    ('1', '1', '1_0', 'beta')
    >>> key_text(-0.0), key_text(float("nan")), key_text(" ")
    ('0', '(missing)', '(missing)')
    """
    text = str(value)
    if pd.isna(value) or not text.strip():
        return MISSING_KEY
    whole = _WHOLE.fullmatch(text)
    # There is one zero, whatever sign a computation left it.
    return text if whole is None else "0" if whole.group(1) == "-0" else whole.group(1)


def time_text(value: Any) -> str:
    """As :func:`key_text`, for time points and steps: all spellings of a number are one.

    Examples
    --------
    >>> time_text("0.50"), time_text(0.5), time_text("day 2")
    ('0.5', '0.5', 'day 2')
    """
    text = str(value).strip()
    return key_text(float(text) if _NUMBER.fullmatch(text) else value).strip()


_AS_TEXT: dict[str, Callable[[Any], str]] = {PERTURBATION: str, TIMEPOINT: time_text}


def without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of categories have the type of these, and can be written.

    Whole numbers have no missing one, so that they are numbers with a point where one is missing;
    truth values are then text. A column without any value holds missing numbers.
    """
    plain = frame.copy()
    for column in plain:
        values = plain[column]
        kind: Any = values.dtype
        if isinstance(kind, pd.CategoricalDtype):
            kind = kind.categories.dtype
        if values.hasnans and values.isna().all():
            plain[column] = np.nan
        elif values.hasnans and isinstance(kind, np.dtype) and kind.kind in "iu":
            plain[column] = values.astype(np.float64)
        elif values.hasnans and kind == np.bool_:
            plain[column] = values.astype(object).map(str, na_action="ignore")
        else:
            plain[column] = values.astype(kind)
    return plain


def group_names(obs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the name of each row's group, which tells it from all others."""
    return [" / ".join(key) for key in group_keys(obs, columns)]


def group_keys(obs: pd.DataFrame, columns: Sequence[str]) -> pd.MultiIndex:
    """Return one key per row; labels stay as they are, other columns become key texts."""
    levels: list[Any] = []
    parts: list[Any] = []
    for column in columns:
        labels = obs[column]
        if not isinstance(labels.dtype, pd.CategoricalDtype):
            labels = labels.astype(object)
        codes, values = pd.factorize(labels, use_na_sentinel=False)
        as_text = _AS_TEXT.get(column, key_text)
        # Each value is looked at once, and there may be millions of rows.
        of_value, texts = pd.factorize(np.array([as_text(v) for v in values], dtype=object))
        levels.append(pd.Index(texts, dtype=object))
        parts.append(of_value[codes])
    return pd.MultiIndex(levels, parts, names=list(columns))


def numbered(keys: pd.MultiIndex) -> tuple[Ints, pd.MultiIndex]:
    """Give each key a number, by first appearance.

    Parameters
    ----------
    keys
        (rows,) of :func:`group_keys`: none is missing.

    Returns
    -------
    ndarray, MultiIndex
        (rows,) number of each key, and the distinct keys.
    """
    # Pandas' own `factorize` makes a tuple per row, and there may be millions of rows.
    of_row: Ints = np.zeros(len(keys), dtype=np.intp)
    for codes, level in zip(keys.codes, keys.levels, strict=True):
        of_row = pd.factorize(of_row * len(level) + codes)[0].astype(np.intp, copy=False)
    first = np.zeros(of_row.max(initial=-1) + 1, dtype=np.intp)
    first[of_row[::-1]] = np.arange(len(keys))[::-1]
    return of_row, keys[first]


def group_rows(
    obs: pd.DataFrame, columns: Sequence[str]
) -> tuple[Ints, pd.MultiIndex, pd.DataFrame]:
    """Give each row the number of its group, in order of first appearance; list the groups.

    Returns
    -------
    codes
        (rows,) group of each row.
    keys
        (groups,) what a group is matched by.
    groups
        (groups,) `columns` as they are in `obs`, and ``n_observations``.
    """
    codes, keys = numbered(group_keys(obs, columns))
    first = pd.Series(codes).drop_duplicates().index
    groups = obs.iloc[first][list(columns)].reset_index(drop=True)
    groups = without_categories(groups)
    groups["n_observations"] = np.bincount(codes, minlength=len(keys))
    index = pd.MultiIndex.from_tuples(list(keys), names=list(columns))
    return codes, index, groups


def mean_by_group(matrix: Matrix, group_of: Ints, groups: int) -> Floats:
    """Average the rows of each group in float64.

    Returns
    -------
    ndarray
        (groups, genes); a group without rows is NaN.
    """
    found = group_sums(matrix, group_of, groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(found.sums / found.n[:, None])
