"""The lasso by least angles, of a few rows that stand for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.models.estimators import Make


class LarsOfWeighted:
    """``LassoLarsIC`` with weights, which are all alike.

    The estimator takes none, and sees the number of rows where it estimates the variance of
    the noise, which can be given to it, and where it reports the penalty. By Akaike's
    criterion the rest depends on products only (by Bayes' on the number, too).
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def get_params(self) -> Mapping[str, Any]:
        """Return those of the estimator."""
        return dict(self._estimator.get_params())

    def fit(self, x: Floats, y: Floats, sample_weight: Floats | None = None) -> LarsOfWeighted:
        """Fit the estimator, and take from it what a linear model has."""
        made = self._estimator
        if sample_weight is None:
            self._keep(made.fit(x, y), 1.0)
            return self
        from sklearn.linear_model import LinearRegression

        weight, n = float(sample_weight[0]), float(sample_weight.sum())
        # Further from their means, the rows have the products of all that they stand for.
        x, y = (_stretched(a, np.sqrt(weight), from_mean=made.fit_intercept) for a in (x, y))
        if made.noise_variance is None:
            line = LinearRegression(positive=made.positive, fit_intercept=made.fit_intercept)
            rest = y - line.fit(x, y).predict(x)
            left = n - x.shape[1] - made.fit_intercept
            spread = y - y.mean() if made.fit_intercept else y
            # No sum of squares is known better. A response that its features tell entirely would
            # have a noise of 0, by which the criterion divides: then any penalty is as good.
            squares = max(rest @ rest, np.finfo(np.float64).eps * (spread @ spread))
            made.set_params(noise_variance=float(squares) / left)
        if np.ndim(made.precompute):
            made.set_params(precompute=made.precompute * weight)
        self._keep(made.fit(x, y), weight)
        return self

    def _keep(self, made: Any, weight: float) -> None:
        self.coef_, self.intercept_ = made.coef_, made.intercept_
        self.alpha_ = made.alpha_ / weight


def _stretched(values: Floats, factor: float, *, from_mean: bool) -> Floats:
    mean = values.mean(axis=0) if from_mean else 0.0
    stretched: Floats = mean + factor * (values - mean)
    return stretched


def lars_of_weighted(make: Make, **arguments: Any) -> LarsOfWeighted:
    """Return an estimator that takes weights, made of one that does not."""
    return LarsOfWeighted(make(**arguments))
