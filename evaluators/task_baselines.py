"""Baselines of a task: pooled, within cell type and timepoint, or added up from single effects."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints, Matrix, column_means
from pereggrn_data.core.baselines import additive, training_mean, training_median
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import CELL_TYPE, IS_CONTROL, PERTURBATION
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.rows.row_blocks import is_stored, stacked_rows
from pereggrn_data.core.splits import CONTEXTS
from pereggrn_data.evaluators.grouping import group_keys, group_rows, mean_by_group

Rows = tuple[pd.DataFrame, Matrix]
"""(n,) rows of ``obs`` and their (n, genes) expression."""


def mean_of_controls(train: Rows, given: Rows) -> Floats:
    """Return the mean of the known controls, (genes,): the baseline of log fold changes.

    Raises
    ------
    InvalidDataError
        If no training observation is a control.
    """
    train_obs, train_matrix = train
    is_control = train_obs[IS_CONTROL].to_numpy(bool)
    if not is_control.any():
        raise InvalidDataError(
            "The split leaves no control to train on.",
            expected="at least one training observation with is_control",
            got=f"none of {len(train_obs)}",
        )
    controls = train_matrix[np.flatnonzero(is_control)]
    return column_means(stacked(controls, given[1]) if len(given[0]) else controls)


def training_baselines(
    train: Rows, given: Rows, contexts: Contexts | None, genes: npt.NDArray[np.object_]
) -> dict[str, Floats]:
    """Mean and median of all training data; in a time series, of the same cell type and time."""
    rules = {"mean": training_mean, "median": training_median}
    if contexts is None:
        labels = train[0][PERTURBATION].to_numpy(dtype=object)
        return {name: rule(train[1], labels, genes) for name, rule in rules.items()}
    known = pd.concat([train[0], given[0]]), stacked(train[1], given[1])
    return {name: within_contexts(contexts, known, genes, rule) for name, rule in rules.items()}


def extra_baselines(
    names: Iterable[str], train: Rows, keys: pd.MultiIndex, reference: Floats
) -> tuple[dict[str, Floats], tuple[str, ...]]:
    """Compute the baselines that a type of split asks for by name, and say what they lack.

    Parameters
    ----------
    names
        Of :data:`EXTRA_BASELINES`.
    train
        Training observations.
    keys
        (groups,) what is forecast.
    reference
        (genes,) or (groups, genes) mean of the controls that effects are over.
    """
    extra: dict[str, Floats] = {}
    notes: list[str] = []
    for name in names:
        extra[name], said = EXTRA_BASELINES[name](train, keys, reference)
        notes += said
    return extra, tuple(notes)


class Contexts:
    """The cell types and timepoints of test observations, and who else is in them.

    Parameters
    ----------
    test_obs
        (test,) rows of ``obs``.
    group_of
        (test,) group of each test observation.
    groups
        Number of groups.
    columns
        What a context is told from others by.
    """

    def __init__(
        self,
        test_obs: pd.DataFrame,
        group_of: Ints,
        groups: int,
        columns: Sequence[str] = CONTEXTS,
    ) -> None:
        self.columns = tuple(columns)
        codes, keys = pd.factorize(group_keys(test_obs, self.columns))
        self.keys: list[Hashable] = list(keys)
        counts = np.zeros((groups, len(self.keys)))
        np.add.at(counts, (group_of, codes), 1)
        self._shares = counts / counts.sum(axis=1, keepdims=True)

    def rows_in(self, obs: pd.DataFrame) -> list[Ints]:
        """Return, for each context, the positions of the observations in it."""
        code = pd.Index(self.keys).get_indexer(pd.Index(list(group_keys(obs, self.columns))))
        return [np.flatnonzero(code == k) for k in range(len(self.keys))]

    def single(self) -> Ints:
        """Return (groups,) the context of each group, -1 where it is in several."""
        only = np.count_nonzero(self._shares, axis=1) == 1
        return np.where(only, self._shares.argmax(axis=1), -1).astype(np.intp)

    def averaged(self, values: Floats) -> Floats:
        """Average values per context over the observations of each group.

        Parameters
        ----------
        values
            (contexts, genes)

        Returns
        -------
        ndarray
            (groups, genes); NaN where a context of the group has no value.
        """
        undefined = (self._shares > 0).astype(float) @ np.isnan(values)
        result: Floats = self._shares @ np.nan_to_num(values)
        result[undefined > 0] = np.nan
        return result


def matched_controls(contexts: Contexts, given: Rows, train: Rows) -> Floats:
    """Mean of the controls of each group's cell type and timepoint.

    Those that were measured with the test observations count; training controls
    only where there is none of these.

    Returns
    -------
    ndarray
        (groups, genes) natural-log expression.
    """
    means = np.full((len(contexts.keys), given[1].shape[1]), np.nan)
    for obs, matrix in (train, given):
        control = np.flatnonzero(obs[IS_CONTROL].to_numpy(bool))
        for k, rows in enumerate(contexts.rows_in(obs.iloc[control])):
            if rows.size:
                means[k] = column_means(matrix[control[rows]])
    return contexts.averaged(means)


def centroids(rows: Rows, columns: Sequence[str] = ()) -> tuple[pd.MultiIndex, Floats]:
    """Mean expression of each training perturbation; controls are none.

    Parameters
    ----------
    rows
        Training observations.
    columns
        What tells perturbations of one label apart.

    Returns
    -------
    MultiIndex, ndarray
        (perturbations,) label and `columns`, and (perturbations, genes) means.
    """
    obs, matrix = rows
    perturbed = np.flatnonzero(~obs[IS_CONTROL].to_numpy(bool))
    codes, keys, _ = group_rows(obs.iloc[perturbed], (PERTURBATION, *columns))
    group_of = np.full(len(obs), -1, dtype=np.intp)
    group_of[perturbed] = codes
    return keys, mean_by_group(matrix, group_of, len(keys))


def perturbed_mean(train: Rows, contexts: Contexts | None) -> Floats | None:
    """Equal-weight mean of the centroids of the training perturbations, without controls.

    Returns
    -------
    ndarray or None
        (genes,), or (groups, genes) of the cell type and timepoint of each group,
        NaN where none trains there; None where none trains at all.
    """
    obs, matrix = train
    if obs[IS_CONTROL].to_numpy(bool).all():
        return None
    if contexts is None:
        return np.asarray(centroids(train)[1].mean(axis=0))
    means = np.full((len(contexts.keys), matrix.shape[1]), np.nan)
    for k, rows in enumerate(contexts.rows_in(obs)):
        rows = rows[~obs[IS_CONTROL].to_numpy(bool)[rows]]
        if rows.size:
            means[k] = centroids((obs.iloc[rows], matrix[rows]))[1].mean(axis=0)
    return contexts.averaged(means)


def within_contexts(
    contexts: Contexts,
    known: Rows,
    genes: npt.NDArray[np.object_],
    summarise: Callable[[Matrix, Any, Any], Floats],
) -> Floats:
    """Summarise the known observations of each group's cell type and timepoint.

    Parameters
    ----------
    contexts
        Of the groups.
    known
        Training observations and given controls.
    genes
        (genes,) names.
    summarise
        :func:`~pereggrn_data.core.baselines.training_mean` or ``training_median``.

    Returns
    -------
    ndarray
        (groups, genes) natural-log expression.
    """
    obs, matrix = known
    labels = obs[PERTURBATION].to_numpy(dtype=object)
    values = [
        summarise(matrix[rows], labels[rows], genes) if rows.size else np.full(len(genes), np.nan)
        for rows in contexts.rows_in(obs)
    ]
    return contexts.averaged(np.vstack(values))


def additive_baseline(
    train: Rows,
    groups: pd.MultiIndex,
    control_mean: Floats,
) -> tuple[Floats, tuple[str, ...]]:
    """Sum of the single effects, each of the group's own type, cell type and timepoint.

    Returns
    -------
    ndarray, tuple of str
        (groups, genes) natural-log expression, NaN in groups of which a single
        perturbation did not train; and a note that counts and names these.
    """
    obs, matrix = train
    control = obs[IS_CONTROL].to_numpy(bool)
    own = group_keys(obs, [str(name) for name in groups.names])
    keys = [None if c else k for c, k in zip(control, own, strict=True)]
    combinations = [
        [(gene, *more) for gene in dict.fromkeys(genes_of(label))] for label, *more in groups
    ]
    values = additive(matrix, keys, combinations, control_mean)
    missing = int(np.isnan(values).all(axis=1).sum())
    if not missing:
        return values, ()
    absent = sorted({p[0] for parts in combinations for p in parts} - {k[0] for k in keys if k})
    return values, (
        f"The additive baseline has no value for {missing} of {len(groups)} groups: a single "
        f"perturbation of theirs is not in the training data"
        + (f" ({first_few(absent)})." if absent else "."),
    )


def transferred_baseline(
    train: Rows, groups: pd.MultiIndex, reference: Floats
) -> tuple[Floats, tuple[str, ...]]:
    """Add the mean effect of each perturbation in other cell types to the controls of the own.

    An effect is the mean of the training observations of a perturbation in one cell type (of
    the group's type of perturbation and timepoint) minus the mean of the training controls of
    that cell type; cell types count alike.

    Returns
    -------
    ndarray, tuple of str
        (groups, genes) natural-log expression, NaN in groups whose perturbation trains in no
        cell type that has controls; and a note that counts and names these.
    """
    obs, matrix = train
    control = obs[IS_CONTROL].to_numpy(bool)
    columns = [str(name) for name in groups.names if name != CELL_TYPE]
    keys, means = centroids(train, (*columns[1:], CELL_TYPE))
    at, types, _ = group_rows(obs.iloc[np.flatnonzero(control)], (CELL_TYPE,))
    of_controls = mean_by_group(matrix[np.flatnonzero(control)], at, len(types))
    place = {name: k for k, (name,) in enumerate(types)}
    own = np.array([place.get(key[-1], -1) for key in keys], dtype=np.intp)
    known = own >= 0
    effects = means[known] - of_controls[own[known]]
    codes, labels = pd.factorize(keys[known].droplevel(CELL_TYPE))
    effect = mean_by_group(effects, codes.astype(np.intp), len(labels))
    found = {_as_tuple(label): k for k, label in enumerate(labels)}
    wanted = [tuple(key[groups.names.index(c)] for c in columns) for key in groups]
    values = np.full((len(groups), matrix.shape[1]), np.nan)
    for k, key in enumerate(wanted):
        if key in found:
            values[k] = effect[found[key]]
    values += reference
    absent = [key[0] for key in wanted if key not in found]
    if not absent:
        return values, ()
    return values, (
        f"The transferred baseline has no value for {len(absent)} of {len(groups)} groups: their "
        f"perturbations train in no other cell type ({first_few(dict.fromkeys(absent))}).",
    )


def _as_tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


EXTRA_BASELINES: dict[str, Callable[..., tuple[Floats, tuple[str, ...]]]] = {
    "additive": additive_baseline,
    "transferred": transferred_baseline,
}
"""By the name under which a split type asks for them, beside the mean and the median."""


def stacked(first: Matrix, second: Matrix) -> Matrix:
    """Put rows below rows; sparse where one of them is, and not read where one is not."""
    if is_stored(first) or is_stored(second):
        parts = [part for part in (first, second) if part.shape[0]]
        return stacked_rows(*parts) if len(parts) == 2 else (parts or [first])[0]
    if sparse.issparse(first) or sparse.issparse(second):
        return sparse.vstack([sparse.csr_array(first), sparse.csr_array(second)], format="csr")
    return np.vstack([first, second])
