"""Ridge regression with leave-one-out choice of the penalty: the problem and its solution.

The three solvers (dual, primal, small systems) take a `RidgeProblem` and
return a `RidgeSolution`; they differ only in what is cheap for which shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import AnyFloats, Floats, Ints, Matrix, column_means, dense
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.rows.stored_medians import picked
from pereggrn_data.models.stored_columns import StoredColumns, columns_of

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
        Observations x targets; dense or CSR. What is not in memory are
        :class:`StoredColumns` of one matrix, as the features are, and goes to the primal
        solver only.
    own
        For each target, the feature left out of its model, or -1.
    excluded
        For some targets, the observations left out of its training.
    alphas
        Positive penalties to choose from.
    advance
        Told how much has been done since it was last told, in targets.
    """

    features: AnyFloats | StoredColumns
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

    def each_part(self, size: int) -> Iterator[tuple[slice, Floats, Callable[[Ints], Floats]]]:
        """Go through the observations once, in their order.

        Parameters
        ----------
        size
            How many to yield at once, of what is in memory.

        Yields
        ------
        rows, features, responses
            Features are not to be changed; responses are those of the targets by whose
            positions they are asked for.
        """
        x, y = self.features, self.responses
        if isinstance(x, StoredColumns):
            for rows, values in x.each_part():
                at = np.arange(rows.start, rows.stop)
                yield rows, x.take(at, values), partial(_taken, y, at, values)
            return
        for start in range(0, x.shape[0], size):
            rows = slice(start, min(start + size, x.shape[0]))
            yield rows, dense(x, rows), partial(dense, y, rows)

    def at(self, rows: Ints, targets: Ints) -> tuple[Floats, Floats]:
        """Return features at some rows, and in each of them the response of one target.

        Parameters
        ----------
        rows, targets
            (rows,) positions of the observations, and of the target wanted in each.
        """
        x, y = self.features, self.responses
        if isinstance(x, StoredColumns):
            values = x.matrix[rows].to_memory_dense()
            return x.take(rows, values), picked(values, np.arange(rows.size), y.columns[targets])
        return dense(x, rows), np.asarray(picked(y, rows, targets), dtype=np.float64)


def _taken(columns: StoredColumns, rows: Ints, values: Floats, targets: Ints) -> Floats:
    found: Floats = columns_of(columns, targets).take(rows, values)
    return found


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


def intercepts_of(problem: RidgeProblem, coefficients: Floats) -> Floats:
    """Return the intercepts that make the mean residual of the training observations zero.

    Parameters
    ----------
    problem
        In memory.
    coefficients
        Targets x features.
    """
    n, _, _ = problem.shape
    x_mean = column_means(problem.features)
    y_mean = column_means(problem.responses)
    intercepts: Floats = y_mean - coefficients @ x_mean
    for j, rows in problem.excluded.items():
        kept = n - rows.size
        x_kept = (n * x_mean - dense(problem.features, rows).sum(axis=0)) / kept
        y_kept = (n * y_mean[j] - dense(problem.responses, rows, [j]).sum()) / kept
        intercepts[j] = y_kept - coefficients[j] @ x_kept
    return intercepts


def solution(
    problem: RidgeProblem, coefficients: Floats, intercepts: Floats, errors: Floats
) -> RidgeSolution:
    """Complete a solution by the penalties with the least errors.

    Raises
    ------
    InvalidDataError
        If an error is NaN.
    """
    check_errors(errors)
    best = np.argmin(errors, axis=0) if problem.own.size else np.empty(0, dtype=np.intp)
    return RidgeSolution(coefficients, intercepts, np.asarray(problem.alphas)[best], errors)


def target_blocks(n_targets: int, size: int) -> list[npt.NDArray[np.intp]]:
    """Cut the targets into consecutive blocks."""
    return [
        np.arange(start, min(start + size, n_targets), dtype=np.intp)
        for start in range(0, n_targets, size)
    ]
