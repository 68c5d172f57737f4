"""What metrics of cells look at: observed and predicted cells of one group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pereggrn_data.evaluators.metrics.rank_tests import DifferentialExpression


class Distances(Protocol):
    """How far apart two groups of cells are."""

    def energy(self) -> float:
        """Return the energy distance."""

    def mmd(self) -> float:
        """Return the squared maximum mean discrepancy."""


@dataclass(frozen=True)
class CellComparison:
    """Observed and predicted cells of one group.

    Parameters
    ----------
    observed, predicted
        What differs between the cells of each side and its controls.
    distances
        Between both sides.
    """

    observed: DifferentialExpression
    predicted: DifferentialExpression
    distances: Distances
