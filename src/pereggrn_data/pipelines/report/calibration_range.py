"""What each metric can tell apart on a dataset, before any prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.forest_plot import top_legend
from pereggrn_data.pipelines.report.report_data import ReportData
from pereggrn_data.pipelines.report.theme import LIGHT, token

if TYPE_CHECKING:
    import pandas as pd

YES, NO, UNKNOWN = "tells a repeat from the mean", "does not", "not known"
_TOKENS = {YES: "series0", NO: "muted", UNKNOWN: "series4"}
_SHAPES = {YES: "circle", NO: "cross", UNKNOWN: "diamond"}
_MARKERS = {YES: "o", NO: "X", UNKNOWN: "D"}


def lacking(data: ReportData) -> str | None:
    """Say why there are no ranges."""
    if data.calibration["dynamic_range"].notna().any():
        return None
    return (
        "it is not known how a repeat of the experiment would score: nothing is replicated, or "
        "scores were made with --no-calibration"
    )


def caption(data: ReportData) -> str:
    """Say how the ranges are read."""
    del data
    return (
        "One half of the replicates is scored as a forecast of the other half. 0: it does no "
        "better than a forecast that knows nothing of the perturbation; 1: as good as the truth "
        "itself. A metric near 0 or below cannot tell a good forecast from an empty one on these "
        "data, whatever the method."
    )


def table(data: ReportData) -> pd.DataFrame:
    """Return ranges, one row per dataset and metric."""
    frame = data.calibration
    said = {True: "yes", False: "no"}
    return frame.assign(
        discriminates=[said.get(d, "not known") for d in frame["discriminates"]]
    ).rename(
        columns={
            "dynamic_range": "range", "duplicate_wins": "repeat beats mean (share)",
            "mean": "value of the mean", "duplicate": "value of the repeat",
        }
    )  # fmt: skip


def charts(data: ReportData) -> list[PageChart]:
    """Draw the ranges of each dataset."""
    import altair as alt
    import pandas as pd

    drawn = []
    for k, (dataset, here) in enumerate(data.calibration.groupby("dataset", sort=False)):
        name = f"calibration{k}"
        rows = _known(here)
        if rows.empty:
            continue
        title = "range (0: an empty forecast, 1: the truth)"
        base = alt.Chart(alt.NamedData(name)).encode(
            y=alt.Y("metric:N", sort=None, title=None).axis(grid=True, ticks=False),
        )
        there = [v for v in _TOKENS if (rows["verdict"] == v).any()]
        scale = alt.Color("verdict:N").scale(
            domain=there, range=[token(_TOKENS[v]) for v in there]
        )
        legend = top_legend()
        colour = scale.legend(legend)
        lines = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
            x=alt.X("zero:Q", title=title).scale(domain=[-1, 1]), x2="dynamic_range:Q",
            color=colour,
        )  # fmt: skip
        points = base.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X("dynamic_range:Q", title=title).scale(domain=[-1, 1]),
            color=colour,
            shape=alt.Shape("verdict:N", legend=legend).scale(
                domain=there, range=[_SHAPES[v] for v in there]
            ),
            tooltip=[
                alt.Tooltip("metric:N"),
                alt.Tooltip("dynamic_range:Q", format=".2f", title="range"),
                alt.Tooltip("duplicate_wins:Q", format=".0%", title="repeat beats the mean in"),
                alt.Tooltip("verdict:N"),
            ],
        )
        marks = alt.Chart(alt.NamedData(f"{name}marks")).mark_rule(strokeDash=[4, 3])
        marks = marks.encode(x=alt.X("at:Q", title=title), color=alt.value(token("ink")))
        chart = alt.layer(marks, lines, points).properties(
            width="container", height=17 * len(rows)
        )
        at = pd.DataFrame({"at": [0.0, 1.0]})
        drawn.append(PageChart(str(dataset), chart, {name: rows, f"{name}marks": at}))
    return drawn


def printed(data: ReportData, **_: Any) -> Any:
    """Draw the ranges for a paper, one panel per dataset."""
    from matplotlib.lines import Line2D

    from pereggrn_data.pipelines.report.printing import brief, new_figure

    known = _known(data.calibration)
    parts = {str(d): part for d, part in known.groupby("dataset", sort=False)}
    metrics = list(dict.fromkeys(known["metric"]))
    figure = new_figure(1.8 + 2.1 * len(parts), 0.9 + 0.15 * len(metrics))
    all_axes = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, (dataset, part) in zip(all_axes, parts.items(), strict=True):
        for row in part.to_dict("records"):
            y, colour = metrics.index(row["metric"]), LIGHT[_TOKENS[row["verdict"]]]
            axes.plot([0, row["dynamic_range"]], [y, y], color=colour, linewidth=1)
            axes.plot(
                row["dynamic_range"], y, _MARKERS[row["verdict"]], color=colour, markersize=4
            )
        for at in (0, 1):
            axes.axvline(at, color=LIGHT["ink"], linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlim(-1.05, 1.08)
        axes.set_ylim(len(metrics) - 0.4, -0.6)
        axes.set_yticks(range(len(metrics)), metrics)
        axes.tick_params(axis="y", length=0)
        axes.set_title(brief(dataset))
        axes.set_xlabel("range (0: empty forecast, 1: truth)")
    handles = [
        Line2D([], [], marker=_MARKERS[v], color=LIGHT[t], linestyle="none", markersize=4, label=v)
        for v, t in _TOKENS.items()
        if (known["verdict"] == v).any()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics with a range, and in words whether each discriminates."""
    rows = frame[frame["dynamic_range"].notna()]
    said = {True: YES, False: NO}
    verdicts = [said.get(d, UNKNOWN) for d in rows["discriminates"]]
    columns = ["dataset", "metric", "dynamic_range", "duplicate_wins"]
    return rows[columns].assign(verdict=verdicts, zero=0.0)
