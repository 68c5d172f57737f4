"""Percent change over several datasets, as in the paper's figures 2 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.report_data import MEAN, ReportData
from pereggrn_data.pipelines.report.theme import LIGHT, token

if TYPE_CHECKING:
    import pandas as pd

CAP = 100.0
"""Percent at which the axis ends."""


def lacking(data: ReportData) -> str | None:
    """Say why there are no boxes."""
    return None if len(data.datasets) > 1 else "it takes runs on two datasets or more"


def caption(data: ReportData) -> str:
    """Say how the boxes are read."""
    return (
        "Percent better (right) or worse (left) than the mean of the training data, one point "
        f"for each of {len(data.datasets)} datasets. The box holds the middle half of them, the "
        f"line in it is the median. The axis ends at ±{CAP:.0f} %."
    )


def table(data: ReportData) -> pd.DataFrame:
    """Return the distribution over datasets, one row per metric and method."""
    groups = _points(data).groupby(["metric", "method"], sort=False)["percent"]
    frame = groups.describe()[["count", "min", "25%", "50%", "75%", "max"]]
    frame.columns = ["datasets", "lowest", "lower quartile", "median", "upper quartile", "highest"]
    return frame.reset_index()


def charts(data: ReportData) -> list[PageChart]:
    """Draw boxes of one metric at a time, which a menu chooses."""
    import altair as alt

    points = _points(data)
    which = metric_menu(list(dict.fromkeys(points["metric"])))
    base = (
        alt.Chart(alt.NamedData("boxes"))
        .transform_filter(alt.datum.metric == which)
        .encode(
            y=alt.Y("method:N", sort=None, title=None).axis(ticks=False),
            x=alt.X("drawn:Q", title="% better (right) or worse (left) than the mean").scale(
                domain=[-CAP, CAP]
            ),
        )
    )
    boxes = base.mark_boxplot(
        extent="min-max", size=16, color=token("muted"), opacity=0.45,
        median=alt.MarkConfig(color=token("ink"), strokeWidth=2),
    )  # fmt: skip
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(
        color=alt.value(token("series0")),
        tooltip=[
            alt.Tooltip("dataset:N"),
            alt.Tooltip("method:N"),
            alt.Tooltip("percent:Q", format="+.1f", title="% change from the mean"),
        ],
    )
    zero = alt.Chart(alt.NamedData("boxeszero")).mark_rule(strokeDash=[4, 3])
    zero = zero.encode(x=alt.X("at:Q"), color=alt.value(token("ink")))
    chart = (
        alt.layer(zero, boxes, dots)
        .add_params(which)
        .properties(width="container", height=38 * points["method"].nunique())
    )
    import pandas as pd

    rows = points.assign(drawn=points["percent"].clip(-CAP, CAP))
    return [PageChart("", chart, {"boxes": rows, "boxeszero": pd.DataFrame({"at": [0.0]})})]


def printed(data: ReportData, *, metric: str = "mae", **_: Any) -> Any:
    """Draw the boxes of one metric for a paper.

    Raises
    ------
    UsageError
        If no run has a percent change by that metric.
    """
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    points = _points(data)
    points = points[points["metric"] == metric]
    if points.empty:
        raise UsageError(f"No run has a percent change by {metric}.")
    methods = list(dict.fromkeys(points["method"]))
    figure = new_figure(4.2, 0.8 + 0.3 * len(methods))
    axes = figure.add_subplot()
    values = [points.loc[points["method"] == m, "percent"].clip(-CAP, CAP) for m in methods]
    for k, drawn in enumerate(values):
        low, middle, high = np.quantile(drawn, [0.25, 0.5, 0.75])
        axes.barh(k, high - low, left=low, height=0.5, color=LIGHT["grid"])
        axes.plot([middle, middle], [k - 0.25, k + 0.25], color=LIGHT["ink"], linewidth=1.2)
        axes.plot(drawn, [k] * len(drawn), "o", color=LIGHT["series0"], markersize=3)
    axes.axvline(0, color=LIGHT["ink"], linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlim(-CAP * 1.03, CAP * 1.03)
    axes.set_yticks(range(len(methods)), map(brief, methods))
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric}: % better (right) or worse (left) than the mean")
    return figure


def metric_menu(metrics: list[str], first: str = "mae") -> Any:
    """Return a menu of metrics; the paper's first one is chosen where it is there."""
    import altair as alt

    chosen = first if first in metrics else metrics[0]
    return alt.param(
        name="metric", value=chosen, bind=alt.binding_select(options=metrics, name="Metric ")
    )


def _points(data: ReportData) -> pd.DataFrame:
    frame = data.metrics
    kept = frame[frame["percent"].notna() & (frame["method"] != MEAN)]
    return kept[["dataset", "metric", "method", "percent"]].reset_index(drop=True)
