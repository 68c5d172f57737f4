"""What all fitted graphs have in common: how they forecast, and the arrays that they keep.

A graph says how one step moves a state; what is set before and after a step, what is said
of a forecast, and the parts that every graph is stored with are here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.grammar.dynamics import (
    ControlMeans,
    Forecast,
    TrainingRange,
    check_steps,
    iterate,
    start_from,
)
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.plain_arrays import (
    Array,
    Arrays,
    header_of,
    names_of,
    numbers_of,
    packed_header,
    packed_names,
)


@dataclass(frozen=True, kw_only=True)
class FittedGraph(ABC):
    """A fitted graph of all genes, which forecasts step by step.

    Parameters
    ----------
    method
        Name of the method that fitted it.
    genes
        Names of the genes.
    controls
        Mean expression of the training controls.
    span
        Of the training data; forecasts far outside of it get a note.
    notes
        What the user should know about the fit.
    """

    method: str
    genes: tuple[str, ...]
    controls: ControlMeans
    span: TrainingRange
    notes: tuple[str, ...] = ()

    @abstractmethod
    def step(self, state: Floats) -> Floats:
        """Forecast every gene (perturbations x genes) from its parents, once."""

    @property
    def is_plain(self) -> bool:
        """Whether arrays hold everything: they do."""
        return True

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: int | Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Floats | None = None,
    ) -> Forecast:
        """Forecast expression after perturbations.

        The perturbed genes are set to their levels, every gene is forecast from its
        parents once for each step, and the perturbed genes are set again.

        Parameters
        ----------
        perturbations
            What to forecast.
        steps
            Numbers of steps after which to return the state.
        control_subtype
            Beginning of the label of the controls to start from.
        starting_expression
            Start from this instead (perturbations x genes).

        Raises
        ------
        InvalidDataError
            If a perturbation is malformed, or values become infinite.
        UsageError
            If no control is of the subtype, or steps are not positive.
        """
        if starting_expression is not None and control_subtype is not None:
            raise UsageError("Starting expression and a control subtype exclude each other.")
        levels = perturbations.levels(self.genes)
        start = starting_expression
        if start is None:
            start = self.controls.mean(control_subtype)
        state = start_from(start, len(perturbations), len(self.genes))
        found = iterate(self.step, state, levels, check_steps(steps), self.genes)
        notes = self.span.notes(found, levels)
        if levels.n_unknown:
            unknown = f"{levels.n_unknown} measured perturbed genes have no stated level."
            notes = (unknown, *notes)
        return Forecast(found, notes)

    def common_arrays(self) -> Arrays:
        """Return what every graph is stored with."""
        return {
            "header": packed_header(
                self.method,
                span=[self.span.least, self.span.largest],
                notes=list(self.notes),
            ),
            "genes": packed_names(self.genes),
            "control_labels": packed_names(self.controls.labels),
            "control_counts": self.controls.counts,
            "control_means": self.controls.means,
        }


def common_facts(data: TrainingData, method: str, notes: tuple[str, ...]) -> dict[str, Any]:
    """Return what every fitted graph takes from its training data."""
    return {
        "method": method,
        "genes": tuple(data.genes),
        "controls": ControlMeans.of(data),
        "span": TrainingRange.of(data.expression),
        "notes": notes,
    }


def common_parts(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return what :meth:`FittedGraph.common_arrays` took apart; nothing about it is trusted.

    Raises
    ------
    KeyError, ValueError
        If a part is missing, or of another shape.
    """
    header, genes = header_of(arrays), names_of(arrays["genes"])
    labels = names_of(arrays["control_labels"])
    least, largest = map(float, header["span"])
    return {
        "method": str(header["kind"]),
        "genes": genes,
        "controls": ControlMeans(
            labels=labels,
            counts=numbers_of(arrays["control_counts"], (len(labels),)).astype("int64"),
            means=numbers_of(arrays["control_means"], (len(labels), len(genes))),
        ),
        "span": TrainingRange(least, largest),
        "notes": tuple(map(str, header["notes"])),
    }
