"""What a simulation is told, and what it gives before it is laid out."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import UsageError
from pereggrn_data.simulate.influence import Influence
from pereggrn_data.simulate.perturbations import Perturbation

Array: TypeAlias = npt.NDArray[np.float64]

UNPERTURBED = -1
"""Position of a control's perturbation."""


@dataclass(frozen=True)
class Setting:
    """How a simulation runs, apart from its network and perturbations.

    The parameters are those of ``simulate``.
    """

    n_initial_states: int = 10
    n_replicates: int | None = None
    steps: int = 1
    noise_sd: float = 0.0
    seed: int = 0
    basal: float | Sequence[float] | Array = 0.0
    initial_range: tuple[float, float] = (0.0, 1.0)
    largest_eigenvalue: float = 0.1

    def check(self) -> None:
        """Check the ranges.

        Raises
        ------
        UsageError
            If a value is outside its range.
        """
        replicates = self.n_initial_states if self.n_replicates is None else self.n_replicates
        bounds = np.asarray(self.initial_range, dtype=np.float64)
        for name, fine, expected in (
            ("n_initial_states", _is_count(self.n_initial_states), "a whole number from 1"),
            (
                "n_replicates",
                _is_count(replicates) and replicates <= self.n_initial_states,
                f"a whole number from 1 to n_initial_states, which is {self.n_initial_states}",
            ),
            ("steps", _is_count(self.steps), "a whole number from 1"),
            ("seed", _is_count(self.seed, least=0), "a whole number from 0"),
            ("noise_sd", 0 <= self.noise_sd < np.inf, "0 (no noise) or more, and finite"),
            ("largest_eigenvalue", 0 < self.largest_eigenvalue < np.inf, "above 0, and finite"),
            (
                "initial_range",
                bounds.shape == (2,) and -np.inf < bounds[0] <= bounds[1] < np.inf,
                "(low, high), both finite",
            ),
        ):
            if not fine:
                raise UsageError(
                    f"{name} is out of range.", expected=expected, got=repr(getattr(self, name))
                )


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, numbers.Integral) and int(value) >= least


@dataclass(frozen=True)
class Run:
    """Simulated expression, before it is laid out in the uniform format.

    Parameters
    ----------
    influence
        The scaled network.
    perturbations
        What was perturbed.
    setting
        How it was run.
    initial
        Initial states by genes.
    final
        Rows at the last time-point by genes: for each perturbation its
        replicates, then the controls.
    perturbation_of, start_of
        For each row of `final`, the position of its perturbation (-1 for
        controls) and of its initial state.
    """

    influence: Influence
    perturbations: list[Perturbation]
    setting: Setting
    initial: Array
    final: Array
    perturbation_of: npt.NDArray[np.intp]
    start_of: npt.NDArray[np.intp]
