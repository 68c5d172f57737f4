"""How each perturbation is forecast, against the mean: one point each, the extremes named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.report.dataset_boxes import metric_menu
from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.report_data import ReportData, thinned
from pereggrn_data.pipelines.report.theme import LIGHT, token

if TYPE_CHECKING:
    import pandas as pd

NAMED = 2
"""How many of the best, and of the worst, are named in the chart."""

LISTED = 10
"""How many of each stand in the table."""


def lacking(data: ReportData) -> str | None:
    """Say why there is no strip."""
    if len(data.perturbations):
        return None
    return "scores of single perturbations are not beside the summaries"


def caption(data: ReportData) -> str:
    """Say how the strip is read."""
    _, thin = thinned(data)
    text = (
        "Each point is a held-out perturbation: to the right of the line it is forecast better "
        "than by the mean of the training data, to the left worse, in the units of the metric. "
        f"The {NAMED} best and the {NAMED} worst are named. "
    )
    return text + (thin or "Point at the others to see their names.")


def table(data: ReportData) -> pd.DataFrame:
    """Return the best and the worst perturbations of every run by the first metric."""
    import pandas as pd

    parts = []
    for _, of_run in data.perturbations.groupby(["dataset", "label"], sort=False):
        metric = first_metric(list(dict.fromkeys(of_run["metric"])))
        order = of_run[of_run["metric"] == metric].dropna(subset="advantage")
        order = order.sort_values("advantage", ascending=False, kind="stable")
        ends = order if len(order) <= 2 * LISTED else pd.concat(
            [order.head(LISTED), order.tail(LISTED)]
        )  # fmt: skip
        parts.append(ends)
    frame = pd.concat(parts, ignore_index=True)
    columns = ["dataset", "label", "perturbation", "metric", "value", "mean", "advantage"]
    return frame[columns].rename(columns={"label": "method", "advantage": "better by"})


def charts(data: ReportData) -> list[PageChart]:
    """Draw the strips of one metric at a time, which a menu chooses."""
    import altair as alt

    frame, _ = thinned(data)
    rows = _rows(data, frame)
    which = metric_menu(list(dict.fromkeys(rows["metric"])))
    base = (
        alt.Chart(alt.NamedData("strip"))
        .transform_filter(alt.datum.metric == which)
        .encode(
            y=alt.Y("row:N", sort=None, title=None).axis(ticks=False, grid=True),
            x=alt.X("advantage:Q", title="better (right) or worse (left) than the mean").scale(
                # Room for the names of the extremes.
                padding=150
            ),
            yOffset=alt.YOffset("jitter:Q").scale(domain=[-1.6, 1.6]),
        )
    )
    points = base.mark_point(filled=True, size=42, opacity=0.65).encode(
        color=alt.value(token("series0")),
        tooltip=[
            alt.Tooltip("perturbation:N"),
            alt.Tooltip("row:N", title="method"),
            alt.Tooltip("value:Q", format=".4g"),
            alt.Tooltip("mean:Q", format=".4g", title="value of the mean"),
            alt.Tooltip("advantage:Q", format="+.3g", title="better by"),
        ],
    )
    named = base.transform_filter(alt.datum.end != "")
    best = named.transform_filter(alt.datum.end == "best").mark_text(
        align="left", dx=7, fontSize=10, limit=142
    )
    worst = named.transform_filter(alt.datum.end == "worst").mark_text(
        align="right", dx=-7, fontSize=10, limit=142
    )
    names = [
        layer.encode(text="perturbation:N", color=alt.value(token("ink")))
        for layer in (best, worst)
    ]
    zero = alt.Chart(alt.NamedData("stripzero")).mark_rule(strokeDash=[4, 3])
    zero = zero.encode(x=alt.X("at:Q"), color=alt.value(token("ink")))
    chart = (
        alt.layer(zero, points, *names)
        .add_params(which)
        .properties(width="container", height=78 * rows["row"].nunique())
    )
    import pandas as pd

    at = pd.DataFrame({"at": [0.0]})
    return [PageChart("", chart, {"strip": rows, "stripzero": at}, 42)]


def printed(data: ReportData, *, metric: str = "mae", **_: Any) -> Any:
    """Draw the strips of one metric for a paper.

    Raises
    ------
    UsageError
        If no run has scores of perturbations by that metric.
    """
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    of_metric = data.perturbations[data.perturbations["metric"] == metric]
    rows = _rows(data, of_metric)
    if rows.empty:
        raise UsageError(f"No run has scores of single perturbations by {metric}.")
    names = list(dict.fromkeys(rows["row"]))
    figure = new_figure(4.6, 0.7 + 0.62 * len(names))
    axes = figure.add_subplot()
    height = rows["row"].map(names.index).to_numpy() + rows["jitter"].to_numpy() * 0.28
    axes.plot(
        rows["advantage"], height, "o", color=LIGHT["series0"], markersize=2.5, alpha=0.6,
        markeredgewidth=0,
    )  # fmt: skip
    for row, y in zip(rows.to_dict("records"), height, strict=True):
        if row["end"]:
            best = row["end"] == "best"
            axes.annotate(
                brief(row["perturbation"]), (row["advantage"], y), xytext=(4 if best else -4, 0),
                textcoords="offset points", ha="left" if best else "right", va="center",
                fontsize=6.5,
            )  # fmt: skip
    axes.axvline(0, color=LIGHT["ink"], linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(names)), map(brief, names))
    axes.margins(x=0.45)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{metric}: better (right) or worse (left) than the mean")
    return figure


def first_metric(metrics: list[str]) -> str:
    """Return the metric that is shown first."""
    return "mae" if "mae" in metrics else metrics[0]


def _rows(data: ReportData, frame: pd.DataFrame) -> pd.DataFrame:
    """Add the row of each run, where each point is drawn in it, and which are named."""
    frame = frame.dropna(subset="advantage").reset_index(drop=True)
    names = {
        (d, m): data.row_name(d, m)
        for d, m in frame[["dataset", "label"]].drop_duplicates().itertuples(index=False)
    }
    keys = zip(frame["dataset"], frame["label"], strict=True)
    rank = frame.groupby(["dataset", "label", "metric"], sort=False)["advantage"].rank(
        method="first"
    )
    size = frame.groupby(["dataset", "label", "metric"], sort=False)["advantage"].transform("size")
    end = np.where(rank > size - NAMED, "best", np.where(rank <= NAMED, "worst", ""))
    # Where all are alike, none is the best.
    spread = frame.groupby(["dataset", "label", "metric"], sort=False)["advantage"].transform(
        lambda values: values.max() - values.min()
    )
    end = np.where(spread > 0, end, "")
    # Neighbours by value are drawn at different heights; the extremes at heights of their own.
    place = (rank * 0.618034) % 1.0
    jitter = np.where(end == "", place * 1.6 - 0.8, np.where((size - rank) % 2 == 0, 1.15, -1.15))
    columns = ["row", "metric", "perturbation", "value", "mean", "advantage", "end", "jitter"]
    return frame.assign(row=[names[k] for k in keys], end=end, jitter=jitter)[columns]
