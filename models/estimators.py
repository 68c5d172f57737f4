"""Regression methods that are constants or that scikit-learn fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import dense
from pereggrn_data.models.fitted import (
    EstimatorRegressions,
    LinearRegressions,
    Regressions,
    assemble_linear,
    constant_regressions,
)
from pereggrn_data.models.per_target import Make, check_arguments, fit_each, notes_of
from pereggrn_data.models.regression_task import RegressionTask


def fit_constant(task: RegressionTask, statistic: Callable[..., Any]) -> LinearRegressions:
    """Predict a statistic of each target's training observations, whatever the features.

    Parameters
    ----------
    task
        Features are not looked at.
    statistic
        `numpy.mean` or `numpy.median`.
    """
    check_arguments(task, lambda: None, task.arguments)
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
    n, p = task.features.shape
    arguments = task.arguments
    # The shared matrix is of centred features, which only models with an intercept have.
    centres = arguments.get("fit_intercept", True) is True
    shares_gram = shares_gram and n > p and centres and "precompute" not in arguments
    fitted = fit_each(
        task, make, linear=True, mean_if_it_fails=mean_if_it_fails, shares_gram=shares_gram
    )
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


def fit_kernel_ridge(task: RegressionTask, make: Make) -> Regressions:
    """Fit kernel ridge regressions; with the linear kernel, keep only their coefficients.

    An estimator of scikit-learn holds its training features, so that those of
    10,000 genes would need more memory than most machines have.
    """
    if has_linear_kernel(task.arguments):
        return fit_linear(task, partial(_linear_kernel_ridge, make))
    return fit_estimators(task, make)


def has_linear_kernel(arguments: Mapping[str, Any]) -> bool:
    """Say whether kernel ridge regression with these arguments is a linear model."""
    kernel = arguments.get("kernel", "linear")
    return isinstance(kernel, str) and kernel == "linear"


class _LinearKernelRidge:
    """Kernel ridge regression with the linear kernel, as a linear model without intercept."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.coef_ = np.empty(0)
        self.intercept_ = 0.0

    def get_params(self) -> Mapping[str, Any]:
        return dict(self._estimator.get_params())

    def fit(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> _LinearKernelRidge:
        if x.shape[0] <= x.shape[1] or not isinstance(self._estimator.alpha, int | float):
            self.coef_ = x.T @ self._estimator.fit(x, y).dual_coef_
            return self
        from sklearn.linear_model import Ridge

        # The kernel of many observations would not fit into memory (80 GB for 100,000), and
        # its coefficients are those of ridge regression without an intercept. One observation
        # is enough to have the arguments checked.
        alpha = self._estimator.fit(x[:1], y[:1]).alpha
        self.coef_ = Ridge(alpha=alpha, fit_intercept=False, solver="cholesky").fit(x, y).coef_
        return self


def _linear_kernel_ridge(make: Make, **arguments: Any) -> _LinearKernelRidge:
    return _LinearKernelRidge(make(**arguments))
