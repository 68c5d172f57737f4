"""Forecasting: set the perturbed genes, predict, feed back, for as many steps as wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.models.inputs import Float64Array, StatedLevels

StepFunction: TypeAlias = Callable[[Float64Array], Float64Array]
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

    expression: dict[int, Float64Array]
    notes: tuple[str, ...] = ()


def check_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of steps, in order.

    Raises
    ------
    UsageError
        If there is none, or one is not a positive whole number, or twice there.
    """
    numbers = tuple(steps)
    if (
        not numbers
        or any(s != int(s) or s < 1 for s in numbers)
        or len(set(numbers)) < len(numbers)
    ):
        raise UsageError(
            "The prediction timescale is not valid.",
            expected="one or more different whole numbers of steps, 1 or more",
            got=", ".join(map(str, numbers)) or "nothing",
        )
    return tuple(sorted(int(s) for s in numbers))


def start_from(start: Float64Array, n_perturbations: int, n_genes: int) -> Float64Array:
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
    step: StepFunction, state: Float64Array, levels: StatedLevels, steps: Sequence[int]
) -> dict[int, Float64Array]:
    """Apply a model again and again, holding the perturbed genes at their levels.

    Parameters
    ----------
    step
        The model.
    state
        Starting expression (perturbations x genes); changed.
    levels
        Of the perturbed genes: held before every step, and in what is returned.
    steps
        After how many steps to return the state.

    Returns
    -------
    dict
        From each number of steps to expression, perturbations x genes.
    """
    wanted = check_steps(steps)
    levels.hold(state)
    found = {}
    for current in range(1, wanted[-1] + 1):
        state = step(state)
        levels.hold(state)
        if current in wanted:
            found[current] = state if current == wanted[-1] else state.copy()
    return found
