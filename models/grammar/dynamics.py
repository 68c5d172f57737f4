"""Forecasting: start from the controls, set the perturbed genes, predict, feed back.

As many steps are made as are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, Matrix, column_means
from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.rows.row_blocks import each_block
from pereggrn_data.models.inputs import HeldLevels, TrainingData

WHAT_HELPS = (
    "Is the training data natural-log expression? If so, another method, more penalty (such as "
    "RidgeCVExtraPenalty) or fewer steps may help."
)

StepFunction: TypeAlias = Callable[[Floats], Floats]
"""Expression after one step, from expression with the perturbation in it."""


@dataclass(frozen=True)
class Forecast:
    """Forecast expression.

    Parameters
    ----------
    expression
        For each requested number of steps, perturbations x genes, natural log.
    notes
        What the user should know about how it was made.
    """

    expression: dict[int, Floats]
    notes: tuple[str, ...] = ()


def check_steps(steps: int | Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of steps, in order; a single number may stand by itself.

    Raises
    ------
    UsageError
        If there is none, or one is not a positive whole number, or twice there.
    """
    given: Any = steps
    is_many = isinstance(given, Iterable) and not isinstance(given, str)
    numbers: tuple[Any, ...] = tuple(given) if is_many else (given,)
    if not numbers or not all(map(_is_step, numbers)) or len(set(numbers)) < len(numbers):
        raise UsageError(
            "The prediction timescale is not valid.",
            expected="one or more different whole numbers of steps, 1 or more",
            got=", ".join(map(repr, numbers)) or "nothing",
        )
    return tuple(sorted(int(s) for s in numbers))


def one_step_only(method: str) -> UsageError:
    """Return the error that says that a method leaves no choice of steps and starts."""
    return UsageError(
        f"{method} forecasts in one step, from the mean of the training controls.",
        fix="leave --steps, --control-subtype and --starting-expression out.",
    )


def _is_step(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.number)):
        return False
    return bool(value >= 1 and value % 1 == 0)  # type: ignore[operator]


@dataclass(frozen=True)
class TrainingRange:
    """The least and the largest value of the training data."""

    least: float
    largest: float

    @classmethod
    def of(cls, expression: Matrix) -> TrainingRange:
        """Find them in (observations, genes)."""
        ends = [(block.values.min(), block.values.max()) for block in each_block(expression)]
        return cls(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))

    def notes(self, forecast: Mapping[int, Floats], levels: HeldLevels) -> tuple[str, ...]:
        """Say how many forecasts are further outside of the span than the span is wide.

        Parameters
        ----------
        forecast
            Expression by number of steps.
        levels
            Of the perturbed genes, which are not forecast and not counted.
        """
        width = self.largest - self.least
        far = {}
        for step, expression in forecast.items():
            outside = (expression < self.least - width) | (expression > self.largest + width)
            outside[levels.rows, levels.columns] = False
            far[step] = int(outside.sum())
        beyond = [f"{n:,} of {forecast[s].size:,} at step {s}" for s, n in far.items() if n]
        if not beyond:
            return ()
        return (
            f"Forecasts are far outside of the training data ({self.least:.3g} to "
            f"{self.largest:.3g}, and as much again on either side): {'; '.join(beyond)}. "
            f"{WHAT_HELPS}",
        )


@dataclass(frozen=True)
class ControlMeans:
    """Mean expression of the controls, by label, so that subtypes can be chosen later.

    Parameters
    ----------
    labels
        Labels of the controls.
    counts
        How many observations have each.
    means
        Labels x genes.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    means: Floats

    @classmethod
    def of(cls, data: TrainingData) -> ControlMeans:
        """Compute them from training data."""
        controls = data.controls()
        labels = np.array(data.perturbations.labels, dtype=object)
        names = tuple(dict.fromkeys(labels[controls]))
        rows = [controls & (labels == name) for name in names]
        return cls(
            labels=names,
            counts=np.array([r.sum() for r in rows], dtype=np.int64),
            means=np.stack([column_means(data.expression, r) for r in rows]),
        )

    def mean(self, subtype: str | None = None) -> Floats:
        """Return the mean over all controls, or over those whose label begins with `subtype`.

        Raises
        ------
        UsageError
            If there are none.
        """
        chosen = np.array([subtype is None or name.startswith(subtype) for name in self.labels])
        if not chosen.any():
            raise UsageError(
                f"No control's label begins with {subtype!r}.",
                expected=f"the beginning of one of: {first_few(self.labels)}",
            )
        return np.asarray(np.average(self.means[chosen], axis=0, weights=self.counts[chosen]))


def start_from(start: Floats, n_perturbations: int, n_genes: int) -> Floats:
    """Return the starting state of each perturbation.

    Parameters
    ----------
    start
        One profile for all (genes,), or one each (perturbations x genes).

    Raises
    ------
    InvalidDataError
        If its shape does not fit or it is not finite.
    """
    state = np.asarray(start, dtype=np.float64)
    if state.ndim == 1:
        state = np.tile(state, (n_perturbations, 1))
    if state.shape != (n_perturbations, n_genes) or not np.isfinite(state).all():
        raise InvalidDataError(
            "The starting expression does not fit the perturbations to forecast.",
            expected=f"finite numbers, {n_perturbations} perturbations x {n_genes} genes",
            got=f"shape {state.shape}" + ("" if np.isfinite(state).all() else ", with gaps"),
        )
    return state.copy()


def iterate(
    step: StepFunction,
    state: Floats,
    levels: HeldLevels,
    steps: Sequence[int],
    genes: Sequence[str],
    *,
    hold_output: bool = True,
) -> dict[int, Floats]:
    """Apply a model again and again, holding the perturbed genes at their levels.

    Parameters
    ----------
    step
        The model.
    state
        Starting expression (perturbations x genes); changed.
    levels
        Of the perturbed genes: held before every step, and in what is returned.
    hold_output
        Whether they are held in what is returned.
    steps
        After how many steps to return the state.
    genes
        Names of the genes, for messages.

    Returns
    -------
    dict
        From each number of steps to expression, perturbations x genes.

    Raises
    ------
    InvalidDataError
        If values become infinite or NaN.
    """
    wanted = check_steps(steps)
    levels.hold(state)
    found = {}
    for current in range(1, wanted[-1] + 1):
        # What overflows is told below, and better.
        with np.errstate(over="ignore", invalid="ignore"):
            state = step(state)
        if not hold_output and current in wanted:
            _check_finite(state, current, wanted[-1], genes)
            found[current] = state.copy()
        levels.hold(state)
        _check_finite(state, current, wanted[-1], genes)
        if hold_output and current in wanted:
            found[current] = state if current == wanted[-1] else state.copy()
    return found


def _check_finite(state: Floats, step: int, last: int, genes: Sequence[str]) -> None:
    finite = np.isfinite(state)
    if finite.all():
        return
    lost = [genes[int(j)] for j in np.flatnonzero(~finite.all(axis=0))]
    raise InvalidDataError(
        f"The forecast is not finite after step {step} of {last}: the model is not stable.",
        expected="finite expression of every gene",
        got=f"{int((~finite).sum()):,} of {state.size:,} values infinite or NaN, "
        f"of {len(lost)} genes: {first_few(lost)}",
        fix=WHAT_HELPS,
    )
