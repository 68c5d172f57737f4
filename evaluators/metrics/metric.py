"""What a metric says of itself.

O is observed, E predicted log fold change; both are natural log. The entries
stand beside the functions that compute them, family by family, for
example :mod:`~pereggrn_data.evaluators.metrics.gene_metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.arrays import Floats

if TYPE_CHECKING:
    from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison
    from pereggrn_data.evaluators.metrics.effects import EffectBlock
    from pereggrn_data.evaluators.metrics.profile_metrics import Profiles

TABLE_3 = "Kernfeld et al. 2025, Table 3"
ORIGINAL = "the original software's evaluator"
NO_GENES = "no gene is scored"


WholeValues = tuple[dict[str, Floats], str | None]
"""Per method (groups,) values, and a note on what could not be computed."""


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Needs(StrEnum):
    """What a metric is computed from."""

    GENES = "genes"
    TRAINING = "training data"
    WEIGHTS = "replicates of the truth"
    CANDIDATES = "all held-out groups"
    CLASSIFIER = "classifier"
    PCA = "pca"
    CELLS = "cells"
    COUNTS = "cells with log1p of counts"


class Negative(StrEnum):
    """Which control knows nothing of a perturbation, as far as a metric can see."""

    MEAN = "mean"
    CONTROL = "control"


@dataclass(frozen=True)
class Metric:
    """One way to compare predicted with observed effects of a perturbation.

    Parameters
    ----------
    name
        Column in ``scores.parquet`` and key in ``summary.json``.
    formula
        In terms of O and E.
    description
        In a sentence.
    direction
        Which way is better; None for a metric that only describes.
    best
        Best reachable value as a function of the number of scored genes; None
        where there is none.
    lower, upper
        Bounds; None where unbounded.
    undefined_when
        Why a value can be missing.
    source
        Where the definition is from.
    version
        Of its definition. The signature of scores names those that are not the
        first, so that a changed definition spoils only its own scores: who changes
        one adds one to its version.
    needs
        What it is computed from, besides O and E.
    negative
        The control that a dynamic range starts from: the training mean, or the
        control mean for a metric in which the mean has no effect left.
    compute
        From a block of groups to one value each, NaN where undefined.
    compute_whole
        Instead of `compute`, for a metric that needs all genes of all groups and
        the training data: from the profiles to (groups,) values per method, and a
        note. No values, with a note or without, where it cannot be computed.
    compute_cells
        Instead of both, for a metric that needs cells: from the cells of one group to
        its value, NaN where undefined. Computed on request only.
    """

    name: str
    formula: str
    description: str
    direction: Direction | None
    best: Callable[[int], float] | None
    lower: float | None
    upper: float | None
    undefined_when: str
    source: str
    version: int = 1
    needs: Needs = Needs.GENES
    negative: Negative = Negative.MEAN
    compute: Callable[[EffectBlock], Floats] | None = None
    compute_whole: Callable[[Profiles], WholeValues] | None = None
    compute_cells: Callable[[CellComparison], float] | None = None

    def __post_init__(self) -> None:
        ways = (self.compute, self.compute_whole, self.compute_cells)
        if sum(way is not None for way in ways) != 1:
            raise TypeError(f"{self.name} is computed by one function, not by none or two")

    @property
    def of_cells(self) -> bool:
        """Whether it compares cells, and is computed on request only."""
        return self.compute_cells is not None

    @property
    def bounds(self) -> str:
        """The range of values, in words."""
        if self.lower is None:
            return "none" if self.upper is None else f"up to {self.upper:g}"
        upper = "or more" if self.upper is None else f"to {self.upper:g}"
        return f"{self.lower:g} {upper}"

    def describe(self) -> dict[str, Any]:
        """Return what a table of metrics shows; the best value is that for many genes."""
        return {
            "name": self.name,
            "formula": self.formula,
            "description": self.description,
            "direction": self.direction,
            "best": self.best(10_000) if self.best else None,
            "lower": self.lower,
            "upper": self.upper,
            "undefined_when": self.undefined_when,
            "source": self.source,
            "version": self.version,
            "needs": self.needs,
        }


def zero(_: int) -> float:
    """Return the best value of an error."""
    return 0.0


def one(_: int) -> float:
    """Return the best value of a correlation or a share."""
    return 1.0
