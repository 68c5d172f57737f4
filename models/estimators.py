"""Regression methods that are constants or that scikit-learn fits, one target at a time.

Targets are fitted in blocks that run in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, Ints, dense
from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.rows.row_blocks import StoredMatrix, is_stored
from pereggrn_data.models.fit_warnings import noting_warnings
from pereggrn_data.models.regression import (
    EstimatorRegressions,
    LinearRegressions,
    Regressions,
    RegressionTask,
    assemble_linear,
    constant_regressions,
)
from pereggrn_data.models.target_blocks import current_block, target_hashes

Make: TypeAlias = Callable[..., Any]
"""Makes an unfitted scikit-learn estimator from keyword arguments."""

BLOCKS_PER_JOB = 8
"""Work is cut this fine, so that jobs finish together and progress can be told."""

GRAM_UP_TO = 2
"""Features per observation up to which descent along coordinates is faster by a Gram matrix.

scikit-learn would take one up to 1, and for folds.
"""

FEW_VALUES = 250_000
"""Of features with fewer values, threads of linear algebra wait for each other, mostly."""


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


def fit_kernel_ridge(
    task: RegressionTask, make: Make, linearly: Callable[..., LinearRegressions] = fit_linear
) -> Regressions:
    """Fit kernel ridge regressions; with the linear kernel, keep only their coefficients.

    An estimator of scikit-learn holds its training features, so that those of
    10,000 genes would need more memory than most machines have.

    Parameters
    ----------
    task, make
        As in `fit_linear`.
    linearly
        What fits those with the linear kernel.
    """
    if has_linear_kernel(task.arguments):
        return linearly(task, partial(_linear_kernel_ridge, make))
    return fit_estimators(task, make)


def has_linear_kernel(arguments: Mapping[str, Any]) -> bool:
    """Say whether kernel ridge regression with these arguments is a linear model."""
    kernel = arguments.get("kernel", "linear")
    return isinstance(kernel, str) and kernel == "linear"


def has_one_linear_penalty(arguments: Mapping[str, Any]) -> bool:
    """Say whether it is ridge regression, where observations outnumber features."""
    alpha = arguments.get("alpha", 1.0)
    return has_linear_kernel(arguments) and isinstance(alpha, int | float)


class _LinearKernelRidge:
    """Kernel ridge regression with the linear kernel, as a linear model without intercept."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.coef_ = np.empty(0)
        self.intercept_ = 0.0

    def get_params(self) -> Mapping[str, Any]:
        return dict(self._estimator.get_params())

    def fit(
        self,
        x: npt.NDArray[np.float64],
        y: npt.NDArray[np.float64],
        sample_weight: npt.NDArray[np.float64] | None = None,
    ) -> _LinearKernelRidge:
        if x.shape[0] <= x.shape[1] or not isinstance(self._estimator.alpha, int | float):
            self.coef_ = x.T @ self._estimator.fit(x, y, sample_weight).dual_coef_
            return self
        from sklearn.linear_model import Ridge

        # The kernel of many observations would not fit into memory (80 GB for 100,000), and
        # its coefficients are those of ridge regression without an intercept. One observation
        # is enough to have the arguments checked.
        alpha = self._estimator.fit(x[:1], y[:1]).alpha
        ridge = Ridge(alpha=alpha, fit_intercept=False, solver="cholesky")
        self.coef_ = ridge.fit(x, y, sample_weight).coef_
        return self


def _linear_kernel_ridge(make: Make, **arguments: Any) -> _LinearKernelRidge:
    return _LinearKernelRidge(make(**arguments))


@dataclass(frozen=True)
class FittedTarget:
    """One fitted target: linear parts or an estimator, and what was said on the way."""

    coefficients: npt.NDArray[np.float64] | None
    intercept: float
    alpha: float
    estimator: Any
    warning: str | None
    failure: str | None

    def moved(self, centre: npt.NDArray[np.float64]) -> FittedTarget:
        """Return the model for features to which `centre` has been added."""
        if self.coefficients is None or not centre.any():
            return self
        return replace(self, intercept=self.intercept - float(centre @ self.coefficients))


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
    arguments = check_arguments(task, make, _with_seed(task, make))
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
    parts = (delayed(_fit_block)(*part, *how) for work in works for part in work.parts(cuts))
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


def _fit_block(
    x: npt.NDArray[np.float64],
    gram: npt.NDArray[np.float64] | None,
    y: npt.NDArray[np.float64],
    weights: Floats | None,
    columns: list[Ints],
    rows: list[npt.NDArray[np.bool_]],
    settings: Mapping[str, Any],
    make: Make,
    given: Mapping[str, Any],
    linear: bool,
) -> list[FittedTarget]:
    from threadpoolctl import threadpool_limits

    arguments = {**given, **settings}
    # What descends along coordinates has an order of them. Looking loads what is limited next.
    descends = {"selection", "cv"} <= set(_parameters(make)) and "precompute" not in arguments
    out = []
    with threadpool_limits(1 if x.size < FEW_VALUES else None, "blas"):
        for i in range(y.shape[1]):
            kept = y[rows[i], i]
            weighted = {} if weights is None else {"sample_weight": weights[rows[i]]}
            if columns[i].size == 0 or kept.size < 2:
                out.append(_mean(kept, linear, len(columns[i]), **weighted))
                continue
            with noting_warnings() as caught:
                try:
                    if gram is not None and kept.size == x.shape[0]:
                        shared = {"precompute": gram[np.ix_(columns[i], columns[i])]}
                        estimator = make(**arguments, **shared)
                    else:
                        estimator = make(**arguments)
                    if descends and columns[i].size <= GRAM_UP_TO * kept.size:
                        estimator.path = partial(_by_gram, estimator.path)
                    estimator.fit(x[rows[i]][:, columns[i]], kept, **weighted)
                except (TypeError, OverflowError) as error:
                    _refuse_arguments(given, error)
                except ValueError as error:
                    mean = float(kept.mean())
                    out.append(FittedTarget(None, mean, np.nan, None, None, _first_line(error)))
                    continue
            said = next(map(_first_line, caught), None)
            out.append(_keep(estimator, linear, said))
    return out


def _by_gram(path: Callable[..., Any], *data: Any, **settings: Any) -> Any:
    """Follow the path of penalties of a fold by a Gram matrix: to the same numbers, but rounding.

    The model of the chosen penalty is fitted as ever, as a Gram matrix would leave 1e-17 of
    coefficients that the largest penalty makes 0.
    """
    return path(*data, **{**settings, "precompute": True})


def try_arguments(task: RegressionTask, make: Make) -> None:
    """Fit a few made-up numbers, so that wrong arguments are told before much is read.

    Raises
    ------
    UsageError
        If the method does not take the arguments or their values.
    """
    arguments = check_arguments(task, make, _with_seed(task, make))
    x = np.arange(20.0).reshape(10, 2) ** 2
    with noting_warnings(), suppress(ValueError):  # of the numbers; the others are of both kinds
        try:
            make(**arguments).fit(x, x[:, 0])
        except (TypeError, OverflowError) as error:
            _refuse_arguments(arguments, error)


def _refuse_arguments(arguments: Mapping[str, Any], error: Exception) -> NoReturn:
    """Say that an argument has a wrong value, which no gene can be fitted with.

    scikit-learn's own error for these is a ValueError and a TypeError.
    """
    if not arguments:
        raise error
    raise UsageError(
        "The method cannot be used with these arguments.",
        expected="values as in the method's documentation",
        got=_first_line(error),
        fix="mend the argument, or leave it out.",
    ) from error


def _first_line(said: object) -> str:
    return str(said).strip().split("\n")[0]


def _keep(estimator: Any, linear: bool, warning: str | None) -> FittedTarget:
    if not linear:
        return FittedTarget(None, np.nan, np.nan, estimator, warning, None)
    alpha = getattr(estimator, "alpha_", np.nan)
    return FittedTarget(
        coefficients=np.ravel(estimator.coef_).astype(np.float64),
        intercept=float(np.ravel(estimator.intercept_)[0]),
        alpha=float(alpha) if np.ndim(alpha) == 0 else np.nan,
        estimator=None,
        warning=warning,
        failure=None,
    )


def _mean(
    kept: npt.NDArray[np.float64],
    linear: bool,
    n_features: int,
    sample_weight: Floats | None = None,
) -> FittedTarget:
    """Fit the mean, for a target without features or with one observation."""
    if kept.size == 0:
        return FittedTarget(None, np.nan, np.nan, None, None, "no observation is left to train on")
    mean = float(np.average(kept, weights=sample_weight))
    if linear:
        return FittedTarget(np.zeros(n_features), mean, np.nan, None, None, None)
    return FittedTarget(None, mean, np.nan, Constant(mean), None, None)


@dataclass(frozen=True)
class Constant:
    """An estimator that predicts one number, also where there is no feature at all."""

    value: float

    def predict(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the number for each observation."""
        return np.full(features.shape[0], self.value)


def _with_seed(task: RegressionTask, make: Make) -> dict[str, Any]:
    """Return the arguments, with the seed where the method takes one."""
    arguments = dict(task.arguments)
    if "random_state" in _parameters(make):
        arguments.setdefault("random_state", task.seed)
    return arguments


def _parameters(make: Make) -> Mapping[str, Any]:
    try:
        return dict(make().get_params())
    except AttributeError:
        return {}


def check_arguments(
    task: RegressionTask, make: Make, arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Check that the estimator takes the task's arguments, and return `arguments`.

    Raises
    ------
    UsageError
        Naming the first argument that it does not take, or if a Gram matrix is given.
    """
    known = _parameters(make)
    unknown = sorted(set(task.arguments) - set(known))
    if unknown:
        raise UsageError(
            f"The method takes no argument {unknown[0]!r}.",
            expected=", ".join(sorted(known)) or "no argument at all",
            fix="see the method's documentation for what it takes.",
        )
    if np.ndim(task.arguments.get("precompute", False)) > 0:
        raise UsageError(
            "No single Gram matrix serves all genes, as each has other regulators.",
            expected="precompute: true or false",
            fix="leave it out; one matrix is shared wherever that is possible.",
        )
    return arguments


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
