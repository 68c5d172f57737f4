"""Check what a program has left: one finite number for each gene of each row asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, first_few, near_matches
from pereggrn_data.core.format import (
    CELL_TYPE,
    LEVEL,
    PERTURBATION,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.labels import levels_of
from pereggrn_data.loaders.program.exchange import ANSWERS

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

NAN_SHOWN = 3


def checked_answers(answers: AnnData, requests: pd.DataFrame, genes: Sequence[str]) -> Any:
    """Return predictions in the order of requests and genes.

    Raises
    ------
    InvalidDataError
        If they are not what was asked for.
    """
    if answers.n_obs != len(requests):
        raise InvalidDataError(
            f"{ANSWERS} has another number of rows than was asked for.",
            expected=f"{len(requests)} rows: those of predictions_metadata.csv, in its order",
            got=f"{answers.n_obs} rows",
        )
    _check_labels(answers.obs, requests)
    columns = _columns(answers, genes)
    matrix: Any = answers.X
    if matrix is None:
        raise InvalidDataError(f"{ANSWERS} has no X.", expected="predicted expression in X")
    values = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)
    if values.dtype.kind not in "iuf":
        raise InvalidDataError(
            f"X of {ANSWERS} does not hold numbers.",
            expected="natural-log expression",
            got=f"dtype {values.dtype}",
        )
    values = values.astype(np.float64)[:, columns]
    bad = ~np.isfinite(values)
    if bad.any():
        shown = np.argwhere(bad)[:NAN_SHOWN].tolist()
        where = ", ".join(f"{genes[j]} of {requests.index[i]}" for i, j in shown)
        raise InvalidDataError(
            f"{ANSWERS} has missing or infinite values.",
            expected="a finite number (natural-log expression) for every gene of every row",
            got=f"{bad.sum()} of {bad.size} that are not, for example {where}",
        )
    return values


def _columns(answers: AnnData, genes: Sequence[str]) -> Any:
    wanted, given = list(map(str, genes)), answers.var_names.astype(str)
    missing = [g for g in wanted if g not in set(given)]
    surplus = [g for g in given if g not in set(wanted)]
    if missing or surplus or not given.is_unique:
        near = near_matches(missing[0], surplus) if missing else []
        twice = sorted(set(given[given.duplicated()]))
        raise InvalidDataError(
            f"{ANSWERS} has other genes than the training data.",
            expected=f"the {len(wanted)} genes of train.h5ad, each once",
            got=f"{len(missing)} missing ({first_few(missing, 3) or '-'}), "
            f"{len(surplus)} unknown ({first_few(surplus, 3) or '-'}), "
            f"{len(twice)} more than once",
            fix=f"is {near[0]!r} meant to be {missing[0]!r}?"
            if near
            else "write train.var_names.",
        )
    return given.get_indexer(wanted)


def _check_labels(obs: pd.DataFrame, requests: pd.DataFrame) -> None:
    """Check that obs is that of the requests, in their order."""
    if PERTURBATION not in obs:
        raise InvalidDataError(
            f"obs of {ANSWERS} does not say what each row predicts.",
            expected="the columns of predictions_metadata.csv in obs, in its order",
            got=f"columns {first_few(map(str, obs.columns)) or '(none)'}",
            fix="write anndata.AnnData(X, obs=metadata, var=train.var).",
        )
    for column in (PERTURBATION, LEVEL, PREDICTION_STEP, CELL_TYPE, TIMEPOINT):
        if column not in obs or column not in requests:
            continue
        pairs = zip(requests[column].astype(object), obs[column].astype(object), strict=True)
        wrong = [(i, a, b) for i, (a, b) in enumerate(pairs) if not _same(a, b, column)]
        if wrong:
            i, asked, got = wrong[0]
            raise InvalidDataError(
                f"Rows of {ANSWERS} are in another order than was asked for, or mislabelled.",
                expected=f"{column} {asked!r} in row {i}, as in predictions_metadata.csv",
                got=f"{got!r}, and {len(wrong)} of {len(requests)} rows that differ",
            )


def _same(asked: object, got: object, column: str) -> bool:
    """Compare what went through a CSV file: there, 1 may come back as 1.0, and nan as missing."""
    if str(asked) == str(got):
        return True
    try:
        a, b = levels_of(asked), levels_of(got)
    except (ValueError, TypeError):
        # A gene, or a cell type, that is called NA or nan.
        return column != LEVEL and got != got and str(asked).lower() in _READ_AS_MISSING
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=1e-6)
        for x, y in zip(a, b, strict=True)
    )


_READ_AS_MISSING = frozenset({"na", "n/a", "nan", "null", "none", ""})
