"""Groups of observations that are one prediction: keys, numbering and means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pereggrn_data.core.baselines import Floats, Matrix
from pereggrn_data.core.format import PERTURBATION


def key_text(value: Any) -> str:
    """Write a grouping value as text, so that 1, 1.0 and "1" are one group.

    Examples
    --------
    >>> key_text(1.0), key_text("1"), key_text("beta")
    ('1', '1', 'beta')
    """
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def group_keys(obs: pd.DataFrame, columns: Sequence[str]) -> pd.MultiIndex:
    """Return one key per row; labels stay as they are, other columns become key texts."""
    parts = []
    for column in columns:
        codes, values = pd.factorize(obs[column].astype(object), use_na_sentinel=False)
        texts = [str(v) if column == PERTURBATION else key_text(v) for v in values]
        parts.append(np.asarray(texts, dtype=object)[codes])
    return pd.MultiIndex.from_arrays(parts, names=list(columns))


def group_rows(
    obs: pd.DataFrame, columns: Sequence[str]
) -> tuple[npt.NDArray[np.intp], pd.DataFrame]:
    """Give each row the number of its group, in order of first appearance; list the groups."""
    codes, keys = pd.factorize(group_keys(obs, columns))
    groups = pd.DataFrame(list(keys), columns=list(columns), dtype=object)
    groups["n_observations"] = np.bincount(codes, minlength=len(keys))
    return codes.astype(np.intp), groups


def mean_by_group(matrix: Matrix, group_of: npt.NDArray[np.intp], groups: int) -> Floats:
    """Average the rows of each group in float64.

    Returns
    -------
    ndarray
        (groups, genes); a group without rows is NaN.
    """
    counts = np.bincount(group_of, minlength=groups)
    order = np.arange(len(group_of))
    indicator = sparse.csr_array(
        (np.ones(len(group_of)), (group_of, order)), shape=(groups, len(group_of))
    )
    total: Any = indicator @ (matrix if sparse.issparse(matrix) else np.asarray(matrix, float))
    dense = total.toarray() if sparse.issparse(total) else np.asarray(total)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(dense, dtype=np.float64) / counts[:, None]
