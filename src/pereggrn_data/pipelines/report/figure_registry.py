"""The figures of reports: one entry each, from which the page, `plot` and its help derive."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import pandas as pd

    from pereggrn_data.pipelines.report.report_data import ReportData


@dataclass(frozen=True)
class PageChart:
    """One chart of the page.

    Parameters
    ----------
    heading
        What it is of, where a figure has several.
    chart
        The Altair chart; its colours are tokens.
    data
        Its named data.
    narrowest, widest
        Width within which it is read well, in rem; None for that of the page.
    """

    heading: str
    chart: Any
    data: Mapping[str, pd.DataFrame]
    narrowest: float | None = None
    widest: float | None = None


class FigureHome(Protocol):
    """What the module of a figure defines."""

    def lacking(self, data: ReportData) -> str | None:
        """Say why the figure cannot be drawn from these data; None where it can."""

    def caption(self, data: ReportData) -> str:
        """Say how it is read."""

    def table(self, data: ReportData) -> pd.DataFrame:
        """Return the numbers behind it, for readers who do not see it."""

    def charts(self, data: ReportData) -> list[PageChart]:
        """Draw it for the page."""

    def printed(self, data: Any, **choices: Any) -> Any:
        """Return a matplotlib figure for a paper."""


@dataclass(frozen=True)
class ReportFigure:
    """One figure.

    Parameters
    ----------
    name
        As `plot` calls it, and the anchor in the page.
    title
        Heading in the page: what the figure answers.
    module
        Where it is made, below this package; imported when the figure is.
    choices
        Arguments of `plot` that make a difference to it.
    of_network
        Whether it is drawn of a network, and not of scores: it is not in reports, and its
        module has only ``printed``, which takes the network.
    """

    name: str
    title: str
    module: str
    choices: tuple[str, ...] = ()
    of_network: bool = False

    @property
    def home(self) -> FigureHome:
        """The module that makes the figure."""
        package = __name__.rpartition(".")[0]
        return cast("FigureHome", importlib.import_module(f"{package}.{self.module}"))


FIGURES: Mapping[str, ReportFigure] = {
    figure.name: figure
    for figure in (
        ReportFigure("heatmap", "Better or worse than the training mean, by metric", "heat_map"),
        ReportFigure("forest", "Between the training mean and a repeat experiment", "forest_plot"),
        ReportFigure(
            "boxes", "The same methods on several datasets", "dataset_boxes", ("metric",)
        ),
        ReportFigure(
            "perturbations", "Perturbation by perturbation", "perturbation_strip", ("metric",)
        ),
        ReportFigure(
            "scatter",
            "Predicted against observed, gene by gene",
            "effect_scatter",
            ("perturbations",),
        ),
        ReportFigure("calibration", "What each metric can tell apart here", "calibration_range"),
        ReportFigure("strata", "Kinds of perturbation", "strata_bars", ("metric",)),
        ReportFigure(
            "network",
            "The neighbourhood of genes in a network",
            "network_picture",
            ("genes",),
            of_network=True,
        ),
    )
}
"""By name, in the order of the page."""
