"""Scaled scores with their intervals: 0 is the training mean, 1 a repeat of the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.report_data import ReportData
from pereggrn_data.pipelines.report.theme import LIGHT, MARKERS, SERIES, SHAPES, token

if TYPE_CHECKING:
    import pandas as pd

LEFT, RIGHT = -1.0, 1.5
"""Where the axis ends; what lies beyond is drawn at the end, and is whole in the table."""


def lacking(data: ReportData) -> str | None:
    """Say why there are no scaled scores."""
    if len(data.scaled):
        return None
    return "no metric has a scaled score: it takes replicates of the held-out perturbations"


def caption(data: ReportData) -> str:
    """Say how the forest plot is read."""
    del data
    return (
        "Where each score stands between the mean of the training data (0) and a technical "
        "duplicate of the experiment (1), with its 95 % interval over perturbations. Only "
        "metrics that tell the duplicate from the mean have such a score. What lies beyond the "
        "axis is drawn at its end."
    )


def table(data: ReportData) -> pd.DataFrame:
    """Return scaled scores, one row per dataset, method and metric."""
    return data.scaled.rename(columns={"label": "method"}).drop(columns="duplicate")


def charts(data: ReportData) -> list[PageChart]:
    """Draw one forest plot per dataset."""
    import altair as alt

    drawn = []
    for k, (dataset, here) in enumerate(data.scaled.groupby("dataset", sort=False)):
        name, labels = f"forest{k}", list(dict.fromkeys(here["label"]))
        rows = _within(here)
        style = method_style(data.labels)
        base = alt.Chart(alt.NamedData(name)).encode(
            y=alt.Y("metric:N", sort=None, title=None).axis(grid=True, ticks=False),
            yOffset=alt.YOffset("label:N", sort=None),
            color=style["color"],
            tooltip=[
                alt.Tooltip("metric:N"),
                alt.Tooltip("label:N", title="method"),
                alt.Tooltip("scaled:Q", format=".2f", title="scaled score"),
                alt.Tooltip("low:Q", format=".2f", title="low (95 %)"),
                alt.Tooltip("high:Q", format=".2f", title="high (95 %)"),
            ],
        )
        title = "scaled score (0: training mean, 1: repeat of the experiment)"
        axis = alt.X("at:Q", title=title).scale(domain=[LEFT, RIGHT]).axis(tickCount=6)
        lines = base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X("from:Q", title=title).scale(domain=[LEFT, RIGHT]), x2="to:Q"
        )
        points = base.mark_point(filled=True, size=55, opacity=1).encode(
            x=axis, shape=style["shape"]
        )
        # A line of its own data, so that neither offsets nor methods move it.
        marks = alt.Chart(alt.NamedData(f"{name}marks")).mark_rule(strokeDash=[4, 3])
        marks = marks.encode(
            x=alt.X("at:Q", title=title).scale(domain=[LEFT, RIGHT]),
            color=alt.value(token("ink")),
        )
        chart = alt.layer(marks, lines, points).properties(
            width="container", height=max(20, 9 * len(labels)) * here["metric"].nunique()
        )
        drawn.append(PageChart(str(dataset), chart, {name: rows, f"{name}marks": _marks()}))
    return drawn


def printed(data: ReportData, **_: Any) -> Any:
    """Draw the forest plots for a paper, one panel per dataset."""
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    parts = {str(d): _within(p) for d, p in data.scaled.groupby("dataset", sort=False)}
    metrics = list(dict.fromkeys(data.scaled["metric"]))
    labels = data.labels
    step = 0.13 + 0.055 * len(labels)
    figure = new_figure(1.7 + 2.3 * len(parts), 1.0 + step * len(metrics))
    all_axes = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, (dataset, part) in zip(all_axes, parts.items(), strict=True):
        for row in part.to_dict("records"):
            k = labels.index(row["label"])
            y = metrics.index(row["metric"]) + (k - (len(labels) - 1) / 2) * 0.7 / len(labels)
            colour = LIGHT[SERIES[k % len(SERIES)]]
            axes.plot([row["from"], row["to"]], [y, y], color=colour, linewidth=1)
            axes.plot(row["at"], y, MARKERS[k % len(MARKERS)], color=colour, markersize=3.5)
        for at in (0, 1):
            axes.axvline(at, color=LIGHT["ink"], linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlim(LEFT - 0.03, RIGHT + 0.03)
        axes.set_ylim(len(metrics) - 0.4, -0.6)
        axes.set_yticks(range(len(metrics)), metrics)
        axes.tick_params(axis="y", length=0)
        axes.set_title(brief(dataset))
        axes.set_xlabel("scaled score (0: training mean, 1: duplicate)")
    figure.legend(handles=method_handles(labels), loc="outside lower center", ncols=3,
                  frameon=False)  # fmt: skip
    return figure


def top_legend() -> Any:
    """Return a legend above a chart, in one column where the window is narrow."""
    import altair as alt

    columns = alt.ExprRef("width < 400 ? 1 : 3")
    return alt.Legend(title=None, orient="top", columns=columns, labelLimit=220)


def method_style(labels: list[str]) -> dict[str, Any]:
    """Return the colour and shape channels by which a chart tells methods apart."""
    import altair as alt

    n = len(labels)
    colours = [token(SERIES[k % len(SERIES)]) for k in range(n)]
    shapes = [SHAPES[k % len(SHAPES)] for k in range(n)]
    legend = None if n < 2 else top_legend()
    return {
        "color": alt.Color("label:N", legend=legend).scale(domain=labels, range=colours),
        "shape": alt.Shape("label:N", legend=legend).scale(domain=labels, range=shapes),
    }


def method_handles(labels: list[str]) -> list[Any]:
    """Return the entries of a printed legend of methods."""
    from matplotlib.lines import Line2D

    from pereggrn_data.pipelines.report.printing import brief

    return [
        Line2D(
            [], [], marker=MARKERS[k % len(MARKERS)], color=LIGHT[SERIES[k % len(SERIES)]],
            linestyle="none", markersize=4, label=brief(label),
        )
        for k, label in enumerate(labels)
    ]  # fmt: skip


def _within(frame: pd.DataFrame) -> pd.DataFrame:
    """Add what is drawn: the score and the ends of its interval, inside the axis."""
    ends = {"at": "scaled", "from": "low", "to": "high"}
    drawn = {name: frame[column].clip(LEFT, RIGHT) for name, column in ends.items()}
    # Without an interval there is a point alone.
    drawn["from"] = drawn["from"].fillna(drawn["at"])
    drawn["to"] = drawn["to"].fillna(drawn["at"])
    return frame.drop(columns=["dataset", "duplicate"]).assign(**drawn)


def _marks() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"at": [0.0, 1.0]})
