"""What is to be forecast, and from what: a split and choices, as the arrays that models take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Floats, dense
from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    MATCHED_CONTROL,
    PERTURBATION,
    TIMEPOINT,
)
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.evaluators import Contexts, matched_controls
from pereggrn_data.evaluators.splits import split_type
from pereggrn_data.models import (
    Method,
    Perturbations,
    Progress,
    TrainingData,
    what_learns_in_blocks,
)
from pereggrn_data.pipelines.predict.model_options import ModelOptions
from pereggrn_data.pipelines.split import SplitDataset

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Work:
    """What is to be forecast, and how.

    Parameters
    ----------
    made
        The split.
    options
        The choices.
    jobs
        How many genes to fit at once.
    progress
        Told how far the fit is.
    collection
        Folder of the local collection.
    """

    made: SplitDataset
    options: ModelOptions
    jobs: int = 1
    progress: Progress | None = None
    collection: str | None = None

    @cached_property
    def training(self) -> TrainingData:
        """What models learn from, in memory."""
        return training_data(self.made.train, time_series=is_time_series(self.made))

    @cached_property
    def training_in_blocks(self) -> TrainingData:
        """The same, where it is: in a file, if that is large."""
        return training_data(self.made.train, time_series=is_time_series(self.made), hold=False)

    def require_room(self, method: Method, n_features: int, *, in_blocks: bool) -> None:
        """Check that the memory has room for what a model makes of a large file.

        Parameters
        ----------
        method
            Of the model.
        n_features
            Of each observation; 0 where there are none.
        in_blocks
            Whether it is fitted to blocks of rows. If not, the file is read as a whole, and
            features are kept in double precision.

        Raises
        ------
        UsageError
            If not.
        """
        x: Any = self.made.train.X
        if not is_stored(x):
            return
        (n, genes), limit = x.shape, resources().memory_bytes
        if in_blocks and method.in_blocks is not None:
            needed = method.in_blocks(n_features, genes)
        else:
            own = 0 if x.is_sparse else n * genes * x.dtype.itemsize
            needed = own + 8 * n * n_features
        if needed <= limit:
            return
        what = (
            f"{method.name} keeps products of all features with each other and with all genes"
            if in_blocks
            else f"{method.name} learns from all of the training data at once here"
        )
        merge = "" if in_blocks else "average replicates (--merge-replicates), "
        fewer = ", or let fewer of them be features (--eligible-regulators)" if n_features else ""
        raise UsageError(
            f"{what}, which need more memory than it may take.",
            expected=f"at most {limit / 1e9:.1f} GB (--memory)",
            got=f"{needed / 1e9:.1f} GB or more: {n:,} observations x {genes:,} genes"
            + (f", and {n_features:,} features of each" if n_features else ""),
            fix=f"say --memory {math.ceil(1.5 * needed / 1e9)}GB where there is as much; or "
            f"{merge}model fewer genes (--num-genes){fewer}"
            + ("." if in_blocks else f". {what_learns_in_blocks()}."),
        )

    @cached_property
    def requested(self) -> Perturbations:
        """What to forecast."""
        made = self.made
        return perturbations_of(made.test_perturbations.assign(is_control=made.test_is_control))

    @cached_property
    def start(self) -> Floats | None:
        """(rows, genes) to start from; None for the mean of all training controls."""
        if self.options.is_oracle:
            return held_out_start(self.made)
        if split_type(self.made.split.type).matched_by:
            return matched_start(self.made, self.options.control_subtype)
        return None

    @property
    def control_subtype(self) -> str | None:
        """The subtype among all training controls, unless the start has seen to it."""
        chosen_already = self.start is not None and not self.options.is_oracle
        return None if chosen_already else self.options.control_subtype


def perturbations_of(obs: pd.DataFrame) -> Perturbations:
    """Return the perturbations of observations."""
    return Perturbations(
        labels=tuple(obs[PERTURBATION].astype(str)),
        stated_levels=tuple(obs[LEVEL].astype(object)),
        cell_types=tuple(obs[CELL_TYPE].astype(str)) if CELL_TYPE in obs else None,
        observations=tuple(map(str, obs.index)),
        is_control=obs[IS_CONTROL].to_numpy(dtype=bool) if IS_CONTROL in obs else None,
    )


def training_data(train: AnnData, *, time_series: bool = False, hold: bool = True) -> TrainingData:
    """Return what a model learns from; of a time series, with its timepoints.

    Parameters
    ----------
    train
        Training data.
    time_series
        Whether timepoints are of interest.
    hold
        Whether the expression of a large file is read into memory.
    """
    expression: Any = train.X
    if hold and is_stored(expression):
        expression = expression.to_memory()
    if sparse.issparse(expression):
        expression = sparse.csr_array(expression)
    elif not is_stored(expression):
        expression = np.asarray(expression)
    matched = None
    if MATCHED_CONTROL in train.obs:
        column = train.obs[MATCHED_CONTROL].astype(object)
        matched = tuple(None if pd.isna(name) else str(name) for name in column)
    return TrainingData(
        expression=expression,
        genes=tuple(map(str, train.var_names)),
        perturbations=perturbations_of(train.obs),
        is_control=train.obs[IS_CONTROL].to_numpy(dtype=bool),
        matched_controls=matched,
        timepoints=train.obs[TIMEPOINT].to_numpy(dtype=np.float64) if time_series else None,
    )


def is_time_series(made: SplitDataset) -> bool:
    """Say whether another file trains, whose timepoints models may learn from."""
    return split_type(made.split.type).separate_training


def held_out_start(made: SplitDataset) -> Floats:
    """Return (rows, genes) held-out expression, which makes forecasts oracles."""
    return dense(made.held_out_expression)


def matched_start(made: SplitDataset, subtype: str | None) -> Floats:
    """Return the mean of the known controls of each row's cell type (and timepoint).

    A score compares with the same mean, so that a model which changes nothing
    forecasts no change.

    Parameters
    ----------
    made
        A split whose type matches held-out observations with controls of their own.
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
    columns = list(split_type(made.split.type).matched_by)
    contexts = Contexts(wanted, np.arange(len(wanted), dtype=np.intp), len(wanted), columns)
    given = made.train if made.given_controls is None else made.given_controls
    start = matched_controls(contexts, _controls(given, subtype), _controls(made.train, subtype))
    lacking = np.flatnonzero(np.isnan(start).any(axis=1))
    if lacking.size:
        places = wanted.iloc[lacking][columns].drop_duplicates()
        raise UsageError(
            f"No control's label begins with {subtype!r} in {len(places)} of the cell types "
            f"{'and timepoints ' if TIMEPOINT in columns else ''}to forecast.",
            expected="such controls in each of them, to start from",
            got="none in " + first_few(" at ".join(map(str, at)) for at in places.to_numpy()),
            fix="leave --control-subtype out.",
        )
    return start


def _controls(data: Any, subtype: str | None) -> tuple[pd.DataFrame, Any]:
    wanted = data.obs[IS_CONTROL].to_numpy(dtype=bool)
    if subtype is not None:
        wanted = wanted & data.obs[PERTURBATION].astype(str).str.startswith(subtype).to_numpy(bool)
    rows = np.flatnonzero(wanted)
    return data.obs.iloc[rows], data.X[rows]
