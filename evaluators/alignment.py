"""Put predictions into the order of a task: genes and rows are matched by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints, column_means, dense
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import PERTURBATION, PERTURBATION_TYPE
from pereggrn_data.core.rows.group_sums import group_sums
from pereggrn_data.evaluators.grouping import group_keys, numbered
from pereggrn_data.evaluators.metrics.cell_groups import CellGroups
from pereggrn_data.evaluators.task import Task


@dataclass(frozen=True)
class Placement:
    """Which held-out groups each prediction row is of.

    Parameters
    ----------
    rows
        (placed,) prediction rows. One that lacks a column by which groups are told
        apart is of every group that it could be, and occurs once for each of them.
    group_of
        (placed,) group of the task.
    test_of
        (test,) position in `rows` of the row that is named after each test
        observation; None unless every test observation of a predicted group has one.
    """

    rows: Ints
    group_of: Ints
    test_of: Ints | None

    def own_rows(self, test: Ints) -> Ints:
        """Return the position in `rows` of the row of each of some test observations."""
        if self.test_of is None:
            raise ValueError("not every test observation has a row of its own")
        return np.asarray(self.test_of[test], dtype=np.intp)

    @cached_property
    def is_plain(self) -> bool:
        """Whether every row is of one group."""
        return bool((np.diff(self.rows) > 0).all())


def observations_named(
    obs: pd.DataFrame,
    task: Task,
    *,
    all_names: pd.Index[Any] | None = None,
    has_row_names: bool = True,
) -> Ints:
    """Say after which test observation each prediction row is named.

    Parameters
    ----------
    obs
        (rows,) metadata; index = row names.
    task
        What was held out.
    all_names
        Names of all rows of the file, where `obs` lacks some of them.
    has_row_names
        Whether the file names its rows at all.

    Returns
    -------
    ndarray
        (rows,) positions of test observations; -1 for rows that are named after none.
        The label may still be another one, which is an error.

    Notes
    -----
    Names that only count the rows are no names: AnnData and pandas give 0 to n - 1, R
    gives 1 to n. They count as names only where they are those of all test
    observations, each with its label, as in a template that was filled in.
    """
    names = pd.Index(obs.index)
    nobody = np.full(len(obs), -1, dtype=np.intp)
    if not has_row_names:
        return nobody
    at = np.asarray(task.test_obs.index.get_indexer(names), dtype=np.intp)
    # Whether a million names of other rows are unique takes a table of them to find out.
    if (at < 0).all() or not names.is_unique:
        return nobody
    if is_count(names if all_names is None else all_names):
        complete = len(at) == len(task.test_obs) and bool((at >= 0).all())
        if not complete or wrong_labels(obs, task, at).any():
            return nobody
    return at


def is_count(names: pd.Index[Any]) -> bool:
    """Say whether names only count the rows, from 0 or from 1, in any order.

    Examples
    --------
    >>> is_count(pd.Index(["2", "0", "1"])), is_count(pd.Index(["8", "9"]))
    (True, False)
    """
    there = np.zeros(len(names) + 1, dtype=bool)
    for text in map(str, names):
        # A name of thousands of digits is not even looked at as a number.
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(len(names)))):
            return False
        number = int(text)
        if number > len(names) or text != str(number):
            return False
        there[number] = True
    return bool(there[:-1].all() or there[1:].all())


def wrong_labels(obs: pd.DataFrame, task: Task, at: Ints) -> Bools:
    """Return which rows have another label than the test observation they are named after."""
    wrong = np.zeros(len(at), dtype=bool)
    named = np.flatnonzero(at >= 0)
    true = task.test_obs[PERTURBATION].iloc[at[named]].to_numpy(dtype=object)
    wrong[named] = obs[PERTURBATION].iloc[named].to_numpy(dtype=object) != true
    return wrong


def place_rows(
    obs: pd.DataFrame,
    task: Task,
    at: Ints | None = None,
    predicted: tuple[Ints, pd.MultiIndex] | None = None,
) -> Placement:
    """Match prediction rows to the groups of a task; all of them must exist there.

    Parameters
    ----------
    obs
        (rows,) metadata; index = row names. Of the columns that define a group, all
        but ``perturbation`` may be lacking.
    task
        What was held out.
    at
        (rows,) the test observation that each row is named after, or -1; by default
        as :func:`observations_named` says. A row is that observation's only if all
        that it says agrees with it.
    predicted
        The key of each row, as of :func:`numbered`, where it has been found.
    """
    at = observations_named(obs, task) if at is None else at
    present = [column for column in task.group_by if column in obs]
    of_row, keys = numbered(group_keys(obs, present)) if predicted is None else predicted
    codes, wanted = numbered(group_keys(task.groups, present))
    in_order = np.argsort(codes, kind="stable")
    n_groups = np.bincount(codes, minlength=len(wanted))
    start = np.cumsum(n_groups) - n_groups
    said = np.asarray(wanted.get_indexer(keys), dtype=np.intp)[of_row]
    named = np.flatnonzero(at >= 0)
    named = named[codes[task.group_of[at[named]]] == said[named]]
    n = n_groups[said]
    n[named] = 1
    rows: Ints = np.arange(len(obs), dtype=np.intp)
    own = named
    if (n == 1).all():  # there may be millions of rows
        group_of = in_order[start][said]
    else:
        rows = np.repeat(rows, n)
        ends = np.cumsum(n)
        nth = np.arange(len(rows)) - np.repeat(ends - n, n)
        group_of = in_order[start[said[rows]] + nth]
        own = ends[named] - 1
    group_of[own] = task.group_of[at[named]]
    test_of = np.full(len(task.test_obs), -1, dtype=np.intp)
    test_of[at[named]] = own
    is_predicted = np.zeros(len(task.groups), dtype=bool)
    is_predicted[group_of] = True
    complete = not (test_of[is_predicted[task.group_of]] < 0).any()
    return Placement(rows, group_of, test_of if complete else None)


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
        Gives the predicted expression of some test observations, (some, genes), by their
        positions, where each has its own prediction; else None.
    cells
        The predicted rows themselves, by group, where they were asked for.
    """

    scored: Bools
    profiles: Floats
    by_observation: Callable[[Ints], Floats] | None = None
    cells: CellGroups | None = None


def align(expression: Any, placement: Placement, task: Task) -> Aligned:
    """Average predicted expression within groups.

    Parameters
    ----------
    expression
        (placed, genes) natural-log expression, genes in the task's order; an array, a
        sparse array, or rows of a file.
    placement
        Of its rows.
    task
        What was held out.
    """
    sums = group_sums(expression, placement.group_of, len(task.groups))
    return aligned_sums(
        sums.sums, placement, task, lambda rows: dense(expression, placement.own_rows(rows))
    )


def aligned_sums(
    sums: Floats, placement: Placement, task: Task, own: Callable[[Ints], Floats]
) -> Aligned:
    """Average predicted expression within groups, of which the sums are known.

    Parameters
    ----------
    sums
        (groups, genes) of natural-log expression.
    placement
        Of the rows.
    task
        What was held out.
    own
        Gives the predicted expression of test observations, by their positions.
    """
    n = np.bincount(placement.group_of, minlength=len(task.groups))
    scored = n > 0
    profiles = np.asarray(sums[scored] / n[scored, None])
    return Aligned(scored, profiles, own if placement.test_of is not None else None)


class ControlFill:
    """Replaces NaN by the mean of the training controls of the same cell type and timepoint.

    Parameters
    ----------
    task
        What was held out.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._columns = [c for c in task.group_by if c not in (PERTURBATION, PERTURBATION_TYPE)]
        self._means: dict[Any, Floats] = {}

    def of(self, expression: Floats, obs: pd.DataFrame) -> tuple[Floats, int]:
        """Fill some rows.

        Parameters
        ----------
        expression
            (rows, genes) natural-log expression.
        obs
            (rows,) what they predict.

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
        if not self._columns:
            return np.where(missing, self._task.control_mean, expression), int(missing.sum())
        filled = expression.copy()
        mine = _context(obs, self._columns)
        for context in dict.fromkeys(mine[missing.any(axis=1)]):
            here = mine == context
            filled[here] = np.where(missing[here], self._mean(context), filled[here])
        return filled, int(missing.sum())

    def _mean(self, context: Any) -> Floats:
        if context not in self._means:
            self._means[context] = self._mean_of_controls(context)
        return self._means[context]

    def _mean_of_controls(self, context: Any) -> Floats:
        known = [(_context(o, self._columns), m) for o, m in self._task.known_controls() if len(o)]
        found = [(m, np.flatnonzero(theirs == context)) for theirs, m in known]
        means = [(column_means(m[rows]), len(rows)) for m, rows in found if len(rows)]
        if not means:
            names = dict.fromkeys(name for theirs, _ in known for name in theirs)
            raise InvalidDataError(
                f"NaN cannot be filled: no training control has {' / '.join(self._columns)} "
                f"{context}.",
                expected=f"one of {first_few(names)}",
                got=context,
                fix="predict these values yourself.",
            )
        return np.asarray(np.average([m for m, _ in means], axis=0, weights=[n for _, n in means]))


def _context(obs: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.object_]:
    keys = group_keys(obs, columns)
    return np.array([" / ".join(key) for key in keys], dtype=object)
