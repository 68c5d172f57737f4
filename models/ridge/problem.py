"""Ridge regression with leave-one-out choice of the penalty: the problem and its solution.

The three solvers (dual, primal, small systems) take a `RidgeProblem` and
return a `RidgeSolution`; they differ only in what is cheap for which shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import AnyFloats, Floats, Ints, Matrix, column_means, dense
from pereggrn_data.core.errors import InvalidDataError

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Penalties that are tried, as in the original software."""


@dataclass(frozen=True)
class RidgeProblem:
    """Ridge regressions of many targets on shared features, with an unpenalised intercept.

    Parameters
    ----------
    features
        Observations x features, of any float type; computed with in float64.
    responses
        Observations x targets; dense or CSR.
    own
        For each target, the feature left out of its model, or -1.
    excluded
        For some targets, the observations left out of its training.
    alphas
        Positive penalties to choose from.
    advance
        Told how much has been done since it was last told, in targets.
    """

    features: AnyFloats
    responses: Matrix
    own: Ints
    excluded: Mapping[int, Ints] = field(default_factory=dict)
    alphas: tuple[float, ...] = ALPHAS
    advance: Callable[[float], None] = lambda _: None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of observations, features and targets."""
        return (*self.features.shape, self.own.size)

    def n_kept(self) -> npt.NDArray[np.int64]:
        """Return how many observations train each target."""
        kept = np.full(self.own.size, self.features.shape[0], dtype=np.int64)
        for j, rows in self.excluded.items():
            kept[j] -= rows.size
        return kept


@dataclass(frozen=True)
class RidgeSolution:
    """The fitted regressions.

    Parameters
    ----------
    coefficients
        Targets x features.
    intercepts
        One per target.
    alphas
        The chosen penalty of each target.
    errors
        Mean squared leave-one-out residual, penalties x targets.
    """

    coefficients: Floats
    intercepts: Floats
    alphas: Floats
    errors: Floats


def check_condition(values: Floats, alphas: tuple[float, ...]) -> None:
    """Check that equations can be solved with the digits that numbers have.

    Parameters
    ----------
    values
        Eigenvalues in ascending order, along the last axis.
    alphas
        Penalties, which are added to them.

    Raises
    ------
    InvalidDataError
        If rounding errors of the largest are larger than the smallest.
    """
    least = np.maximum(values[..., 0], 0.0) + min(alphas)
    lost = values[..., -1] * np.finfo(np.float64).eps > least
    if lost.any() or not np.isfinite(values).all():
        raise not_solvable(
            f"sums of squares up to {values.max():.1g}, with a penalty of {min(alphas):g}"
        )


def check_errors(errors: Floats) -> None:
    """Check that penalties can be chosen by their errors.

    Raises
    ------
    InvalidDataError
        If an error is NaN.
    """
    if np.isnan(errors).any():
        raise not_solvable("leave-one-out errors that are not a number")


def not_solvable(got: str) -> InvalidDataError:
    """Return the error that says that the numbers are too different in size to be solved."""
    return InvalidDataError(
        "Ridge regression has no accurate solution for these data.",
        expected="features of similar size, such as natural-log expression",
        got=got,
        fix="look for huge values in the expression and in the stated levels, "
        "or use larger penalties (its argument alphas).",
    )


def solution(problem: RidgeProblem, coefficients: Floats, errors: Floats) -> RidgeSolution:
    """Complete a solution whose coefficients and errors are known.

    The intercept makes the mean residual of the observations that train a
    target zero.

    Raises
    ------
    InvalidDataError
        If an error is NaN.
    """
    n, _, n_targets = problem.shape
    x_mean = column_means(problem.features)
    y_mean = column_means(problem.responses)
    intercepts = y_mean - coefficients @ x_mean
    for j, rows in problem.excluded.items():
        kept = n - rows.size
        x_kept = (n * x_mean - dense(problem.features, rows).sum(axis=0)) / kept
        y_kept = (n * y_mean[j] - dense(problem.responses, rows, [j]).sum()) / kept
        intercepts[j] = y_kept - coefficients[j] @ x_kept
    check_errors(errors)
    best = np.argmin(errors, axis=0) if n_targets else np.empty(0, dtype=np.intp)
    return RidgeSolution(coefficients, intercepts, np.asarray(problem.alphas)[best], errors)


def target_blocks(n_targets: int, size: int) -> list[npt.NDArray[np.intp]]:
    """Cut the targets into consecutive blocks."""
    return [
        np.arange(start, min(start + size, n_targets), dtype=np.intp)
        for start in range(0, n_targets, size)
    ]
