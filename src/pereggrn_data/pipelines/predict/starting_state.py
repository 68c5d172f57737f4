"""Where forecasts start, if that is not the mean of all training controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.format import CELL_TYPE, IS_CONTROL, PERTURBATION, TIMEPOINT
from pereggrn_data.evaluators import Contexts, matched_controls
from pereggrn_data.evaluators.splits import split_type
from pereggrn_data.pipelines.split import SplitDataset


def is_time_series(made: SplitDataset) -> bool:
    """Say whether every forecast has a baseline of its own cell type and timepoint."""
    return split_type(made.split.type).separate_training


def held_out_start(made: SplitDataset) -> Floats:
    """Return (rows, genes) held-out expression, which makes forecasts oracles."""
    matrix: Any = made.held_out_expression
    dense = matrix.toarray() if sparse.issparse(matrix) else matrix
    return np.asarray(dense, dtype=np.float64)


def matched_start(made: SplitDataset, subtype: str | None) -> Floats:
    """Return the mean of the known controls of each row's cell type and timepoint.

    A score compares with the same mean, so that a model which changes nothing
    forecasts no change.

    Parameters
    ----------
    made
        The split of a time series.
    subtype
        Beginning of the label of the controls to start from.

    Returns
    -------
    ndarray
        (rows, genes) natural-log expression: of the given controls, and of
        training controls where a cell type and timepoint has none of these.

    Raises
    ------
    UsageError
        If there is no control of the subtype for some cell type and timepoint.
    """
    wanted: pd.DataFrame = made.test_perturbations
    contexts = Contexts(wanted, np.arange(len(wanted), dtype=np.intp), len(wanted))
    given = made.train if made.given_controls is None else made.given_controls
    start = matched_controls(contexts, _controls(given, subtype), _controls(made.train, subtype))
    lacking = np.flatnonzero(np.isnan(start).any(axis=1))
    if lacking.size:
        places = wanted.iloc[lacking][[CELL_TYPE, TIMEPOINT]].drop_duplicates()
        raise UsageError(
            f"No control's label begins with {subtype!r} in {len(places)} of the cell types "
            "and timepoints to forecast.",
            expected="such controls in each of them, to start from",
            got="none in " + first_few(f"{c} at {t}" for c, t in places.to_numpy()),
            fix="leave --control-subtype out.",
        )
    return start


def _controls(data: Any, subtype: str | None) -> tuple[pd.DataFrame, Any]:
    wanted = data.obs[IS_CONTROL].to_numpy(dtype=bool)
    if subtype is not None:
        wanted = wanted & data.obs[PERTURBATION].astype(str).str.startswith(subtype).to_numpy(bool)
    rows = np.flatnonzero(wanted)
    return data.obs.iloc[rows], data.X[rows]
