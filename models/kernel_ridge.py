"""Kernel ridge regression, of which the linear kernel is a linear model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.models.estimators import fit_estimators, fit_linear
from pereggrn_data.models.regression import LinearRegressions, Regressions, RegressionTask
from pereggrn_data.models.target_fits import Make


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
