"""Fit scikit-learn's estimators to targets, one after the other, by arguments that are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.fit_warnings import noting_warnings
from pereggrn_data.models.one_thread import one_thread
from pereggrn_data.models.regression import RegressionTask

Make: TypeAlias = Callable[..., Any]
"""Makes an unfitted scikit-learn estimator from keyword arguments."""

GRAM_UP_TO = 2
"""Features per observation up to which descent along coordinates is faster by a Gram matrix.

scikit-learn would take one up to 1, and for folds.
"""

FEW_VALUES = 250_000
"""Of features with fewer values, threads of linear algebra wait for each other, mostly."""


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


def fit_block(
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
    """Fit some targets, one after the other.

    Parameters
    ----------
    x
        (observations, features).
    gram
        (features, features) their products, where estimators take them; else None.
    y
        (observations, targets).
    weights
        (observations,) or None.
    columns, rows
        The features of each target, and which observations train it.
    settings
        Arguments of the estimator that the user has not given.
    make
        Makes the estimator.
    given
        Arguments of the user.
    linear
        Whether to keep coefficients rather than estimators.

    Raises
    ------
    UsageError
        If an argument has a wrong value. What cannot be fitted says so in what is returned.
    """
    arguments = {**given, **settings}
    # What descends along coordinates has an order of them. Looking loads what is limited next.
    descends = {"selection", "cv"} <= set(_parameters(make)) and "precompute" not in arguments
    out = []
    with one_thread() if x.size < FEW_VALUES else nullcontext():
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
    arguments = check_arguments(task, make, with_seed(task, make))
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


def with_seed(task: RegressionTask, make: Make) -> dict[str, Any]:
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
