"""Regression methods that are constants or that scikit-learn fits, one target at a time.

Targets are fitted in blocks that run in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints, dense
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.rows.row_blocks import StoredMatrix, is_stored
from pereggrn_data.models.regression import (
    EstimatorRegressions,
    LinearRegressions,
    Regressions,
    RegressionTask,
    assemble_linear,
    constant_regressions,
)
from pereggrn_data.models.target_blocks import current_block, target_hashes
from pereggrn_data.models.target_fits import (
    FittedTarget,
    Make,
    check_arguments,
    fit_block,
    with_seed,
)

BLOCKS_PER_JOB = 8
"""Work is cut this fine, so that jobs finish together and progress can be told."""


def fit_constant(
    task: RegressionTask,
    statistic: Callable[..., Any],
    in_blocks: Callable[[StoredMatrix, Ints, Ints], Floats],
) -> LinearRegressions:
    """Predict a statistic of each target's training observations, whatever the features.

    Parameters
    ----------
    task
        Features are not looked at.
    statistic
        `numpy.mean` or `numpy.median`.
    in_blocks
        The same of each column of a matrix that is not in memory, without values at some
        rows and columns.
    """
    check_arguments(task, lambda: None, task.arguments)
    if is_stored(task.responses):
        found = in_blocks(task.responses, *task.excluded_pairs())
        task.report(task.n_targets)
        return constant_regressions(found, task.features.shape[1])
    block = max(1, 4_000_000 // task.features.shape[0])
    values = np.empty(task.n_targets)
    for start in range(0, task.n_targets, block):
        stop = min(start + block, task.n_targets)
        y = dense(task.responses, columns=slice(start, stop))
        values[start:stop] = statistic(y, axis=0)
        for j in (j for j in range(start, stop) if j in task.excluded):
            values[j] = statistic(y[task.rows_of(j), j - start])
        task.report(stop)
    return constant_regressions(values, task.features.shape[1])


def fit_linear(
    task: RegressionTask,
    make: Make,
    *,
    mean_if_it_fails: bool = False,
    shares_gram: bool = False,
) -> LinearRegressions:
    """Fit a linear scikit-learn model to each target.

    Parameters
    ----------
    task
        What to fit.
    make
        Makes the estimator.
    mean_if_it_fails
        Whether a target that the method cannot fit gets its mean (and a note
        says so) instead of stopping everything.
    shares_gram
        Whether the estimator takes a Gram matrix as ``precompute``; then one
        matrix serves all targets.

    Raises
    ------
    UsageError
        If the method does not take the arguments or their values.
    InvalidDataError
        If the method cannot fit a target.
    """
    shares_gram = shares_gram and may_share_gram(task)
    fitted = fit_each(
        task, make, linear=True, mean_if_it_fails=mean_if_it_fails, shares_gram=shares_gram
    )
    return linear_regressions(task, fitted)


def may_share_gram(task: RegressionTask) -> bool:
    """Say whether one Gram matrix can serve targets whose estimators take one."""
    n, p = task.features.shape
    arguments = task.arguments
    # The shared matrix is of centred features, which only models with an intercept have.
    centres = arguments.get("fit_intercept", True) is True
    return n > p and centres and "precompute" not in arguments


def linear_regressions(task: RegressionTask, fitted: list[FittedTarget]) -> LinearRegressions:
    """Put linear models of all targets of a task together."""
    return assemble_linear(
        [
            task.features_of(j) if f.failure is None else np.empty(0, dtype=np.intp)
            for j, f in enumerate(fitted)
        ],
        [f.coefficients if f.coefficients is not None else np.empty(0) for f in fitted],
        np.array([f.intercept for f in fitted]),
        np.array([f.alpha for f in fitted]),
        task.features.shape[1],
        notes_of(task, fitted),
    )


def fit_estimators(task: RegressionTask, make: Make) -> Regressions:
    """Fit a scikit-learn model that is not linear to each target.

    Parameters and errors are those of `fit_linear`.
    """
    fitted = fit_each(task, make, linear=False)
    return EstimatorRegressions(
        estimators=tuple(f.estimator for f in fitted),
        features_of=tuple(task.features_of(j) for j in range(task.n_targets)),
        notes=notes_of(task, fitted),
    )


@dataclass(frozen=True)
class FitGroup:
    """Targets that are fitted to the same observations.

    Parameters
    ----------
    targets
        (targets,) their numbers among those of the whole task.
    task
        Of these targets alone, in memory.
    weights
        (observations,) how many observations each one stands for; None if for itself only.
    settings
        Arguments of the estimator that the user has not given.
    """

    targets: Ints
    task: RegressionTask
    weights: Floats | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def fit_each(
    task: RegressionTask,
    make: Make,
    *,
    linear: bool,
    mean_if_it_fails: bool = False,
    shares_gram: bool = False,
) -> list[FittedTarget]:
    """Fit every target of a task that is in memory; see `fit_groups`."""
    whole = FitGroup(np.arange(task.n_targets, dtype=np.intp), task)
    return fit_groups(
        task,
        make,
        [[whole]],
        linear=linear,
        mean_if_it_fails=mean_if_it_fails,
        shares_gram=shares_gram,
    )


def fit_groups(
    task: RegressionTask,
    make: Make,
    batches: Iterable[Sequence[FitGroup]],
    *,
    linear: bool,
    mean_if_it_fails: bool = False,
    shares_gram: bool = False,
) -> list[FittedTarget]:
    """Fit every target of a task.

    Parameters
    ----------
    task
        What to fit.
    make
        Makes the estimator.
    batches
        The targets and what each is fitted to; the jobs share the work of a batch.
    linear
        Whether to keep coefficients rather than estimators.
    mean_if_it_fails
        Whether targets that cannot be fitted are returned with their mean.
    shares_gram
        Whether the estimator takes ``precompute``, a Gram matrix.

    Raises
    ------
    UsageError
        If the method does not take the arguments or their values.
    InvalidDataError
        If the method cannot fit a target.
    """
    arguments = check_arguments(task, make, with_seed(task, make))
    found: dict[int, FittedTarget] = {}
    for batch in batches:
        works = [_GroupWork(group, found, shares_gram=shares_gram) for group in batch]
        _share_work(task, works, found, (make, arguments, linear))
        del batch, works  # before the next ones are made
    # Targets of other blocks have nobody here who would ask for them.
    fitted = [found.get(j, _OF_ANOTHER_BLOCK) for j in range(task.n_targets)]
    block = current_block()
    if block is not None and block.count > 1:
        return fitted
    if not mean_if_it_fails:
        _raise_if_failed(task, fitted)
    return fitted


def _share_work(
    task: RegressionTask,
    works: list[_GroupWork],
    found: dict[int, FittedTarget],
    how: tuple[Make, Mapping[str, Any], bool],
) -> None:
    """Make the fits of some groups, in the jobs of the task; `how` is what all fits share."""
    from joblib import Parallel, delayed

    cuts = max(1, BLOCKS_PER_JOB * task.jobs // max(1, len(works)))
    # joblib writes arrays above 1 MB to disk once, and the jobs map them into memory.
    run = Parallel(n_jobs=task.jobs, return_as="generator", mmap_mode="r")
    parts = (delayed(fit_block)(*part, *how) for work in works for part in work.parts(cuts))
    order = iter([(work, i) for work in works for i in work.wanted])
    for part in run(parts):
        for fitted in part:
            work, i = next(order)
            work.keep(i, fitted)
        task.report(len(found))
    task.report(len(found))


class _GroupWork:
    """The fits of a group that are to be made, and those that are known already."""

    def __init__(
        self, group: FitGroup, found: dict[int, FittedTarget], *, shares_gram: bool
    ) -> None:
        self._group, self._found, self._block = group, found, current_block()
        x = dense(group.task.features)
        self._centre = x.mean(axis=0) if shares_gram else np.zeros(x.shape[1])
        # Not in place: these may be the task's own features, which others fit next.
        self._x = x - self._centre if shares_gram else x
        self._gram = self._x.T @ self._x if shares_gram else None
        block = self._block
        self._hashes = [] if block is None else target_hashes(group.task, self._x, group.weights)
        self.wanted = []
        for i, j in enumerate(group.targets):
            if block is not None and self._hashes[i] in block.known:
                self._give(i, block.known[self._hashes[i]])
            elif block is None or block.is_of(int(j)):
                self.wanted.append(i)

    def _give(self, i: int, fit: FittedTarget) -> None:
        columns = self._group.task.features_of(i)
        self._found[int(self._group.targets[i])] = fit.moved(self._centre[columns])

    def keep(self, i: int, fit: FittedTarget) -> None:
        """Keep what was fitted to a target of the group."""
        if self._block is not None:
            self._block.made[self._hashes[i]] = fit
        self._give(i, fit)

    def parts(self, cuts: int) -> Iterator[tuple[Any, ...]]:
        """Cut the work into parts that jobs can share: what each is fitted to."""
        task, weights = self._group.task, self._group.weights
        wanted = np.array(self.wanted, dtype=np.intp)
        for cut in np.array_split(wanted, max(1, min(wanted.size, cuts))):
            yield (
                self._x,
                self._gram,
                dense(task.responses, columns=cut),
                weights,
                [task.features_of(int(i)) for i in cut],
                [task.rows_of(int(i)) for i in cut],
                self._group.settings,
            )


_OF_ANOTHER_BLOCK = FittedTarget(None, np.nan, np.nan, None, None, "in another block")


def _raise_if_failed(task: RegressionTask, fitted: list[FittedTarget]) -> None:
    failed = [j for j, f in enumerate(fitted) if f.failure is not None]
    if failed:
        raise InvalidDataError(
            f"The method cannot be fitted to {len(failed)} of {task.n_targets} genes: "
            f"{first_few(task.targets[j] for j in failed)}.",
            got=fitted[failed[0]].failure,
            fix="use another method, or one of its arguments (see its documentation).",
        )


def notes_of(task: RegressionTask, fitted: list[FittedTarget]) -> tuple[str, ...]:
    """Say for how many targets scikit-learn warned or failed, with the first reason."""
    notes = []
    warned = [j for j, f in enumerate(fitted) if f.warning is not None]
    if warned:
        names = first_few((task.targets[j] for j in warned), limit=3)
        notes.append(
            f"scikit-learn warned about {len(warned)} of {len(fitted)} genes ({names}); "
            f"the first warning: {fitted[warned[0]].warning}"
        )
    failed = [j for j, f in enumerate(fitted) if f.failure is not None]
    if failed:
        names = first_few((task.targets[j] for j in failed), limit=3)
        notes.append(
            f"{len(failed)} of {len(fitted)} genes could not be fitted and got their mean "
            f"({names}): {fitted[failed[0]].failure}"
        )
    return tuple(notes)
