"""What a model is given: training data, and the perturbations to forecast.

Everything is arrays and plain text, so that a model neither opens files nor
depends on how they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.labels import genes_of, levels_of
from pereggrn_data.core.rows.row_blocks import each_block, stored_values

LARGEST_LEVEL = 1e5
"""Stated levels beyond this are no natural logs, and no regression survives them."""


@dataclass(frozen=True)
class HeldLevels:
    """The levels to which measured genes were set, one entry per (observation, gene).

    Parameters
    ----------
    rows, columns
        Positions of the observation and of the gene, ordered by observation.
    values
        Natural-log expression; never NaN.
    n_unknown
        How many measured perturbed genes have no stated level.
    """

    rows: Ints
    columns: Ints
    values: npt.NDArray[np.float64]
    n_unknown: int

    def hold(self, expression: npt.NDArray[np.float64]) -> None:
        """Set the perturbed genes of `expression` (observations x genes) to their levels."""
        expression[self.rows, self.columns] = self.values

    def among(self, columns: Ints, n_genes: int) -> HeldLevels:
        """Renumber for a matrix that holds only some genes, dropping the others."""
        position = np.full(n_genes, -1, dtype=np.intp)
        position[columns] = np.arange(columns.size)
        kept = position[self.columns] >= 0
        return HeldLevels(
            self.rows[kept], position[self.columns[kept]], self.values[kept], self.n_unknown
        )


@dataclass(frozen=True)
class Perturbations:
    """Perturbations of a number of observations, trained on or to be forecast.

    Parameters
    ----------
    labels
        Perturbed genes of each observation, comma-joined.
    stated_levels
        Expression after perturbation, as stated: numbers, or comma-joined text.
    cell_types
        Cell type of each observation, where they are known.
    observations
        Names of the observations, for messages and user matching.
    is_control
        Which observations are controls, where that is known.
    """

    labels: tuple[str, ...]
    stated_levels: tuple[object, ...]
    cell_types: tuple[str, ...] | None = None
    observations: tuple[str, ...] | None = None
    is_control: Bools | None = None

    def __post_init__(self) -> None:
        for name in ("stated_levels", "cell_types", "observations", "is_control"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.labels):
                raise InvalidDataError(
                    f"{name} does not fit the perturbations.",
                    expected=f"{len(self.labels)} entries, one per observation",
                    got=f"{len(values)}",
                )

    def __len__(self) -> int:
        return len(self.labels)

    def levels(self, genes: Sequence[str]) -> HeldLevels:
        """Return the stated levels of the measured perturbed genes.

        Parameters
        ----------
        genes
            Names of the measured genes.

        Raises
        ------
        InvalidDataError
            If a level is not a number, if it is too large to be a natural log,
            or if a label and its levels do not have the same number of parts.
        """
        position = {gene: j for j, gene in enumerate(genes)}
        parsed: dict[tuple[str, object], list[tuple[int, float]]] = {}
        entries: list[tuple[int, int, float]] = []
        for i, key in enumerate(zip(self.labels, self.stated_levels, strict=True)):
            hit = self._parse(i, position) if _is_nan(key[1]) else parsed.get(key)
            if hit is None:
                hit = parsed[key] = self._parse(i, position)
            entries.extend((i, column, level) for column, level in hit)
        known = [entry for entry in entries if not math.isnan(entry[2])]
        return HeldLevels(
            rows=np.array([entry[0] for entry in known], dtype=np.intp),
            columns=np.array([entry[1] for entry in known], dtype=np.intp),
            values=np.array([entry[2] for entry in known], dtype=np.float64),
            n_unknown=len(entries) - len(known),
        )

    def _parse(self, i: int, position: dict[str, int]) -> list[tuple[int, float]]:
        genes = genes_of(self.labels[i])
        stated = self.stated_levels[i]
        where = f"observation {self.observations[i]!r}" if self.observations else f"row {i}"
        try:
            levels = levels_of(stated)
        except (TypeError, ValueError):
            raise InvalidDataError(
                f"The expression level stated for {where} is not a number.",
                expected="a number per perturbed gene, comma-joined, in natural log",
                got=repr(stated),
            ) from None
        if any(abs(level) > LARGEST_LEVEL for level in levels):
            raise InvalidDataError(
                f"The expression level stated for {where} is too large.",
                expected=f"natural-log expression, between -{LARGEST_LEVEL:g} and "
                f"{LARGEST_LEVEL:g}",
                got=repr(stated),
                fix="state levels as natural logs, or as missing (NaN) where they are not known.",
            )
        if len(levels) == 1 and math.isnan(levels[0]):
            levels = (math.nan,) * len(genes)
        if len(levels) != len(genes):
            raise InvalidDataError(
                f"The perturbation and the levels of {where} do not fit together.",
                expected=f"{len(genes)} levels for {self.labels[i]!r}",
                got=repr(stated),
            )
        return [
            (position[gene], level)
            for gene, level in zip(genes, levels, strict=True)
            if gene in position
        ]

    def distinct(self) -> tuple[Perturbations, Ints]:
        """Return the first of those that are alike in everything that a model is told.

        Returns
        -------
        Perturbations, ndarray
            And (observations,) which of them each one is.
        """
        given = [self.labels, map(repr, self.stated_levels)]
        given += [] if self.cell_types is None else [self.cell_types]
        given += [] if self.is_control is None else [self.is_control.tolist()]
        number: dict[tuple[object, ...], int] = {}
        which = np.array(
            [number.setdefault(key, len(number)) for key in zip(*given, strict=True)],
            dtype=np.intp,
        )
        first = np.unique(which, return_index=True)[1].tolist()
        kept: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None
            else values[first] if isinstance(values, np.ndarray)
            else tuple(values[i] for i in first)
            for name in ("labels", "stated_levels", "cell_types", "observations", "is_control")
        }  # fmt: skip
        return replace(self, **kept), which


@dataclass(frozen=True)
class TrainingData:
    """What a model learns from.

    Parameters
    ----------
    expression
        Natural-log expression, observations x genes; dense or CSR, or a matrix that is not
        in memory.
    genes
        Names of the genes.
    perturbations
        Of the observations.
    is_control
        Which observations are controls.
    matched_controls
        For user matching: the name of the observation that each one is
        matched to; None where it has none.
    timepoints
        Of a time series: when each observation was made, in any unit. Observations
        are then matched with those of the previous timepoint.
    """

    expression: Matrix
    genes: tuple[str, ...]
    perturbations: Perturbations
    is_control: Bools
    matched_controls: tuple[str | None, ...] | None = None
    timepoints: Floats | None = None

    def __post_init__(self) -> None:
        n, n_genes = self.expression.shape
        sizes = {
            "genes": (len(self.genes), n_genes),
            "perturbations": (len(self.perturbations), n),
            "is_control": (len(self.is_control), n),
        }
        if self.matched_controls is not None:
            sizes["matched_controls"] = (len(self.matched_controls), n)
        if self.timepoints is not None:
            sizes["timepoints"] = (int(np.isfinite(self.timepoints).sum()), n)
        for name, (got, expected) in sizes.items():
            if got != expected:
                raise InvalidDataError(
                    f"{name} does not fit the expression matrix.",
                    expected=f"{expected} entries, as the matrix is {n} x {n_genes}",
                    got=str(got),
                )
        if n == 0:
            raise InvalidDataError("There are no training observations.")
        if not all(
            np.isfinite(stored_values(block.values)).all() for block in each_block(self.expression)
        ):
            raise InvalidDataError(
                "The training expression has missing or infinite values.",
                expected="a finite number for every gene of every observation",
                fix="impute the missing values, or remove the genes that have them.",
            )

    @property
    def n_observations(self) -> int:
        """Number of training observations."""
        return len(self.perturbations)

    def controls(self) -> Bools:
        """Say which observations are controls.

        Raises
        ------
        InvalidDataError
            If there is none.
        """
        chosen = np.asarray(self.is_control, dtype=bool).copy()
        if not chosen.any():
            raise InvalidDataError(
                "The training data have no control.",
                expected="at least one observation with is_control = True",
                got="no control at all",
            )
        return chosen


def positions(names: Iterable[str], genes: Sequence[str]) -> Ints:
    """Return where `names` are among `genes`, leaving out those that are not."""
    where = {gene: j for j, gene in enumerate(genes)}
    return np.array([where[name] for name in names if name in where], dtype=np.intp)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
