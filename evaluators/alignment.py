"""Put predictions into the order of a task: genes and rows are matched by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, column_means
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import PERTURBATION, PERTURBATION_TYPE
from pereggrn_data.evaluators.grouping import group_keys, mean_by_group
from pereggrn_data.evaluators.task import Task


@dataclass(frozen=True)
class Placement:
    """Where each prediction row belongs.

    Parameters
    ----------
    group_of
        (rows,) group of the task.
    test_of
        (test,) the row that is named after each test observation; None unless
        every test observation of a predicted group has one.
    """

    group_of: Ints
    test_of: Ints | None


def place_rows(obs: pd.DataFrame, task: Task, *, has_row_names: bool = True) -> Placement:
    """Match prediction rows to the groups of a task; all of them must exist there.

    Parameters
    ----------
    obs
        (rows,) metadata; index = row names.
    task
        What was held out.
    has_row_names
        Whether the names mean something, so that a row named after a test
        observation is the prediction of that one.
    """
    group_of = task.keys.get_indexer(group_keys(obs, task.group_by))
    names = pd.Index(obs.index)
    rows = None
    if has_row_names and names.is_unique:
        rows = names.get_indexer(task.test_obs.index)
        if (rows[np.isin(task.group_of, group_of)] < 0).any():
            rows = None
    return Placement(group_of.astype(np.intp), rows)


@dataclass(frozen=True)
class Aligned:
    """Predictions in the order of the task.

    Parameters
    ----------
    scored
        (groups,) whether a group was predicted.
    profiles
        (scored groups, genes) mean predicted natural-log expression.
    by_observation
        (test, genes) where each test observation has its own prediction, else None.
    """

    scored: Bools
    profiles: Floats
    by_observation: Floats | None


def align(expression: Floats, placement: Placement, task: Task) -> Aligned:
    """Average predicted expression within groups.

    Parameters
    ----------
    expression
        (rows, genes) natural-log expression, genes in the task's order.
    placement
        Of its rows.
    task
        What was held out.
    """
    profiles = mean_by_group(expression, placement.group_of, len(task.groups))
    scored = np.bincount(placement.group_of, minlength=len(task.groups)) > 0
    own = None
    if placement.test_of is not None:
        own = expression[placement.test_of]
    return Aligned(scored=scored, profiles=profiles[scored], by_observation=own)


def fill_with_controls(expression: Floats, obs: pd.DataFrame, task: Task) -> tuple[Floats, int]:
    """Replace NaN by the mean of the training controls of the same cell type and timepoint.

    Returns
    -------
    ndarray, int
        The filled copy, and how many values were filled.

    Raises
    ------
    InvalidDataError
        If the training set has no control of some cell type or timepoint.
    """
    missing = np.isnan(expression)
    if not missing.any():
        return expression, 0
    contexts = [c for c in task.group_by if c not in (PERTURBATION, PERTURBATION_TYPE)]
    filled = expression.copy()
    if not contexts:
        return np.where(missing, task.control_mean, filled), int(missing.sum())
    known = [(_context(o, contexts), m) for o, m in task.known_controls() if len(o)]
    mine = _context(obs, contexts)
    for context in dict.fromkeys(mine[missing.any(axis=1)]):
        found = [(m, np.flatnonzero(theirs == context)) for theirs, m in known]
        means = [(column_means(m[rows]), len(rows)) for m, rows in found if len(rows)]
        if not means:
            names = dict.fromkeys(name for theirs, _ in known for name in theirs)
            raise InvalidDataError(
                f"NaN cannot be filled: no training control has {' / '.join(contexts)} {context}.",
                expected=f"one of {first_few(names)}",
                got=context,
                fix="predict these values yourself.",
            )
        mean = np.average([m for m, _ in means], axis=0, weights=[n for _, n in means])
        here = mine == context
        filled[here] = np.where(missing[here], mean, filled[here])
    return filled, int(missing.sum())


def _context(obs: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.object_]:
    keys = group_keys(obs, columns)
    return np.array([" / ".join(key) for key in keys], dtype=object)
