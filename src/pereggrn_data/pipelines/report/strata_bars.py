"""Which kinds of perturbation are forecast well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.report.dataset_boxes import metric_menu
from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.forest_plot import method_handles, method_style
from pereggrn_data.pipelines.report.report_data import ReportData
from pereggrn_data.pipelines.report.theme import LIGHT, MARKERS, SERIES, token

if TYPE_CHECKING:
    import pandas as pd

CAP = 100.0
"""Percent at which the axis ends."""


def lacking(data: ReportData) -> str | None:
    """Say why perturbations are not divided."""
    if data.strata["percent"].notna().any():
        return None
    return "the held-out perturbations are all of one kind, or their number is too small to tell"


def caption(data: ReportData) -> str:
    """Say how the strata are read."""
    del data
    return (
        "Percent better (right) or worse (left) than the mean of the training data, by kind of "
        "perturbation: single or double with how many of the targets the training data have "
        "perturbed (seen), by the size of the effect, by whether the targets are measured. In "
        f"brackets, how many groups. Lines are 95 % intervals over perturbations; the axis ends "
        f"at ±{CAP:.0f} %."
    )


def table(data: ReportData) -> pd.DataFrame:
    """Return percent changes, one row per run, kind of perturbation and metric."""
    columns = {"label": "method", "n_groups": "perturbations", "percent": "percent change"}
    return data.strata.rename(columns=columns)


def charts(data: ReportData) -> list[PageChart]:
    """Draw the kinds of one metric at a time, which a menu chooses."""
    import altair as alt
    import pandas as pd

    rows = _rows(data)
    which = metric_menu(list(dict.fromkeys(rows["metric"])))
    style = method_style(list(dict.fromkeys(rows["label"])))
    base = (
        alt.Chart(alt.NamedData("strata"))
        .transform_filter(alt.datum.metric == which)
        .encode(
            y=alt.Y("kind:N", sort=None, title=None).axis(ticks=False, grid=True, labelLimit=300),
            x=alt.X("drawn:Q", title="% better (right) or worse (left) than the mean").scale(
                domain=[-CAP, CAP]
            ),
        )
    )
    base = base.encode(yOffset=alt.YOffset("label:N", sort=None))
    lines = base.mark_rule(strokeWidth=1.5).encode(
        x=alt.X("from:Q", title="% better (right) or worse (left) than the mean").scale(
            domain=[-CAP, CAP]
        ),
        x2="to:Q",
        color=style["color"],
    )
    points = base.mark_point(filled=True, size=65, opacity=1).encode(
        color=style["color"],
        shape=style["shape"],
        tooltip=[
            alt.Tooltip("kind:N"),
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("percent:Q", format="+.1f", title="% change from the mean"),
            alt.Tooltip("low:Q", format="+.1f", title="low (95 %)"),
            alt.Tooltip("high:Q", format="+.1f", title="high (95 %)"),
        ],
    )
    zero = alt.Chart(alt.NamedData("stratazero")).mark_rule(strokeDash=[4, 3])
    zero = zero.encode(x=alt.X("at:Q"), color=alt.value(token("ink")))
    step = max(22, 9 * rows["label"].nunique())
    chart = (
        alt.layer(zero, lines, points)
        .add_params(which)
        .properties(width="container", height=step * rows["kind"].nunique())
    )
    kept = rows[["kind", "label", "metric", "percent", "low", "high", "drawn", "from", "to"]]
    return [PageChart("", chart, {"strata": kept, "stratazero": pd.DataFrame({"at": [0.0]})})]


def printed(data: ReportData, *, metric: str = "mae", **_: Any) -> Any:
    """Draw the kinds for a paper, by one metric.

    Raises
    ------
    UsageError
        If there is no such metric in the runs.
    """
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    rows = _rows(data)
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        raise UsageError(f"No run has a percent change by {metric} for kinds of perturbation.")
    kinds, labels = list(dict.fromkeys(rows["kind"])), list(dict.fromkeys(rows["label"]))
    figure = new_figure(4.8, 0.9 + 0.2 * len(kinds))
    axes = figure.add_subplot()
    for row in rows.to_dict("records"):
        k = labels.index(row["label"])
        y = kinds.index(row["kind"]) + (k - (len(labels) - 1) / 2) * 0.6 / len(labels)
        colour = LIGHT[SERIES[k % len(SERIES)]]
        axes.plot([row["from"], row["to"]], [y, y], color=colour, linewidth=1)
        axes.plot(
            row["drawn"], y, MARKERS[k % len(MARKERS)], color=colour,
            markersize=4,
        )  # fmt: skip
    axes.axvline(0, color=LIGHT["ink"], linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    for k in range(len(kinds)):
        axes.axhline(k, color=LIGHT["grid"], linewidth=0.5, zorder=0)
    axes.set_xlim(-CAP * 1.03, CAP * 1.03)
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_yticks(range(len(kinds)), [brief(k, 60) for k in kinds])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{metric}: % better (right) or worse (left) than the mean")
    if len(labels) > 1:
        figure.legend(handles=method_handles(labels), loc="outside lower center", ncols=3,
                      frameon=False)  # fmt: skip
    return figure


def _rows(data: ReportData) -> pd.DataFrame:
    frame = data.strata[data.strata["percent"].notna()]
    many = len(data.datasets) > 1
    kinds = [
        f"{f'{d}: ' if many else ''}{by}: {stratum} ({n:.0f})"
        for d, by, stratum, n in zip(
            frame["dataset"], frame["by"], frame["stratum"], frame["n_groups"], strict=True
        )
    ]
    ends = {"drawn": "percent", "from": "low", "to": "high"}
    drawn = {name: frame[column].clip(-CAP, CAP) for name, column in ends.items()}
    # Without an interval there is a point alone.
    drawn["from"] = drawn["from"].fillna(drawn["drawn"])
    drawn["to"] = drawn["to"].fillna(drawn["drawn"])
    return frame.assign(kind=kinds, **drawn)
