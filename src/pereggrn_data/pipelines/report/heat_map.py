"""The paper's heat map: percent change from the mean baseline, metric by method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.report_data import BETTER, BLIND, MEAN, UNDECIDED, ReportData
from pereggrn_data.pipelines.report.theme import LIGHT, TYPE_SIZE, token

if TYPE_CHECKING:
    import pandas as pd

CAP = 100.0
"""Percent at which colours end; the numbers say by how much more."""

_COLOURED = 50.0
"""From this percent on, cells are so bright or so dark that their numbers are written dark."""

_DEEP_BLUE = 85.0
"""From this percent better on, the blue of a light page takes numbers that are light on dark."""


def lacking(data: ReportData) -> str | None:
    """Say why there is no heat map."""
    return None if len(_cells(data)) else "no metric has a percent change from the mean"


def caption(data: ReportData) -> str:
    """Say how the heat map is read."""
    text = (
        "Percent better (+, blue) or worse (\N{MINUS SIGN}, orange) than the mean of the training "
        f"data; the colours end at ±{CAP:.0f} %. Bold: better than the better of the baselines, "
        "beyond the 95 % interval over perturbations. Pale, with a question mark: undecided."
    )
    if (data.metrics["state"] == BLIND).any():
        text += (
            " Grey: by this metric even a repetition of the experiment is no better than the "
            "mean, so that nothing follows from it."
        )
    return text


def table(data: ReportData) -> pd.DataFrame:
    """Return percent changes with intervals, one row per dataset, metric and method."""
    frame = _cells(data)
    columns = {
        "dataset": "dataset", "metric": "metric", "method": "method",
        "percent": "percent change", "percent_low": "low", "percent_high": "high",
        "state": "verdict",
    }  # fmt: skip
    return frame[list(columns)].rename(columns=columns)


def charts(data: ReportData) -> list[PageChart]:
    """Draw one heat map per dataset."""
    import altair as alt

    cells = _cells(data)
    drawn = []
    for k, (dataset, here) in enumerate(cells.groupby("dataset", sort=False)):
        name = f"heatmap{k}"
        base = alt.Chart(alt.NamedData(name)).encode(
            x=alt.X("method:N", sort=None, title=None).axis(
                orient="top",
                labelAngle=_angle(here),
                labelAlign=_align(here),
                labelLimit=150,
                domain=False,
                ticks=False,
                labelOverlap=False,
            ),
            y=alt.Y("metric:N", sort=None, title=None).axis(domain=False, ticks=False),
            tooltip=[
                alt.Tooltip("metric:N"),
                alt.Tooltip("method:N"),
                alt.Tooltip("percent:Q", format="+.1f", title="% change from the mean"),
                alt.Tooltip("percent_low:Q", format="+.1f", title="low (95 %)"),
                alt.Tooltip("percent_high:Q", format="+.1f", title="high (95 %)"),
                alt.Tooltip("value:Q", format=".4g"),
                alt.Tooltip("state:N", title="verdict"),
            ],
        )
        colours = alt.Scale(
            domain=[-CAP, 0, CAP], range=[token("worse"), token("zero"), token("better")],
            clamp=True, interpolate="rgb",
        )  # fmt: skip
        squares = base.mark_rect(stroke=token("paper"), strokeWidth=2).encode(
            color=alt.when(alt.datum.state == BLIND)
            .then(alt.value(token("blind")))
            .otherwise(
                alt.Color("capped:Q", scale=colours).legend(
                    title="% change from the mean", orient="bottom", gradientLength=150
                )
            ),
            opacity=alt.when(alt.datum.state == UNDECIDED)
            .then(alt.value(0.35))
            .otherwise(alt.value(1)),
        )
        numbers = base.mark_text(fontSize=11).encode(
            text="text:N",
            color=alt.when(alt.datum.tone == "inverse")
            .then(alt.value(token("inverse")))
            .when(alt.datum.tone == "dark")
            .then(alt.value(token("dark")))
            .when(alt.datum.tone == "muted")
            .then(alt.value(token("muted")))
            .otherwise(alt.value(token("ink"))),
        )
        plain = numbers.transform_filter(alt.datum.state != BETTER)
        bold = numbers.mark_text(fontSize=11, fontWeight="bold").transform_filter(
            alt.datum.state == BETTER
        )
        chart = alt.layer(squares, plain, bold).properties(
            width="container", height=21 * here["metric"].nunique()
        )
        n = here["method"].nunique()
        rows = here.assign(text=_texts(here), tone=_tones(here), capped=_capped(here))
        kept = [
            "metric", "method", "percent", "percent_low", "percent_high", "value", "state",
            "text", "tone", "capped",
        ]  # fmt: skip
        drawn.append(PageChart(str(dataset), chart, {name: rows[kept]}, 11 + 3.6 * n, 16 + 9 * n))
    return drawn


def printed(data: ReportData, **_: Any) -> Any:
    """Draw the heat maps for a paper, side by side; undecided cells are hatched."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.patches import Patch, Rectangle

    from pereggrn_data.pipelines.report.printing import brief, new_figure

    cells = _cells(data)
    metrics = list(dict.fromkeys(cells["metric"]))
    by_dataset = {str(name): part for name, part in cells.groupby("dataset", sort=False)}
    n_columns = sum(part["method"].nunique() for part in by_dataset.values())
    figure = new_figure(2.2 + 0.62 * n_columns, 1.1 + 0.155 * len(metrics))
    map_of = LinearSegmentedColormap.from_list(
        "change", [LIGHT["worse"], LIGHT["zero"], LIGHT["better"]]
    )
    normal = Normalize(-CAP, CAP)
    widths = [part["method"].nunique() for part in by_dataset.values()]
    grid = figure.add_gridspec(1, len(widths), width_ratios=widths)
    for k, (dataset, part) in enumerate(by_dataset.items()):
        axes = figure.add_subplot(grid[0, k])
        methods = list(dict.fromkeys(part["method"]))
        axes.set_xlim(0, len(methods))
        axes.set_ylim(len(metrics), 0)
        axes.set_xticks(np.arange(len(methods)) + 0.5, map(brief, methods), rotation=40, ha="left")
        axes.xaxis.tick_top()
        axes.set_yticks(np.arange(len(metrics)) + 0.5, metrics if k == 0 else [""] * len(metrics))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(brief(dataset))
        styled = zip(part.to_dict("records"), _texts(part), _tones(part), strict=True)
        for row, text, tone in styled:
            x, y = methods.index(row["method"]), metrics.index(row["metric"])
            colour = LIGHT["blind"] if row["state"] == BLIND else map_of(normal(row["percent"]))
            undecided = row["state"] == UNDECIDED
            axes.add_patch(
                Rectangle(
                    (x, y), 1, 1, facecolor=colour, edgecolor=LIGHT["paper"],
                    linewidth=0.8, alpha=0.45 if undecided else 1.0,
                )
            )  # fmt: skip
            if undecided:
                axes.add_patch(
                    Rectangle(
                        (x + 0.02, y + 0.04), 0.96, 0.92, fill=False, hatch="//////",
                        edgecolor=LIGHT["grid"], linewidth=0,
                    )
                )  # fmt: skip
            axes.text(
                x + 0.5, y + 0.53, text, ha="center", va="center", fontsize=TYPE_SIZE - 1.5,
                color=LIGHT[tone], fontweight="bold" if row["state"] == BETTER else "normal",
            )  # fmt: skip
    handles = [
        Patch(color=LIGHT["better"], label="better than the mean, %"),
        Patch(color=LIGHT["worse"], label="worse"),
        Patch(
            facecolor=LIGHT["better"], alpha=0.45, hatch="//////", edgecolor=LIGHT["grid"],
            label="undecided (?)",
        ),
    ]  # fmt: skip
    if (cells["state"] == BLIND).any():
        handles.append(Patch(color=LIGHT["blind"], label="metric does not discriminate"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _cells(data: ReportData) -> pd.DataFrame:
    """Return what has a percent change; that of the mean itself is 0 and not shown."""
    frame = data.metrics
    return frame[frame["percent"].notna() & (frame["method"] != MEAN)].reset_index(drop=True)


def _angle(frame: pd.DataFrame) -> int:
    """Turn the names of methods where they would run into each other."""
    names = frame["method"].unique()
    return -30 if len(names) > 2 and max(map(len, names)) > 9 else 0


def _align(frame: pd.DataFrame) -> Any:
    return "left" if _angle(frame) else "center"


def _capped(frame: pd.DataFrame) -> pd.Series[float]:
    return frame["percent"].clip(-CAP, CAP)


def _texts(frame: pd.DataFrame) -> list[str]:
    found = []
    for percent, state in zip(frame["percent"], frame["state"], strict=True):
        size = abs(percent)
        text = f"{percent:+.1f}" if size < 99.95 else f"{percent:+.0f}" if size < 9999.5 else (
            f"{percent:+.0e}"
        )  # fmt: skip
        text = text.replace("-", "\N{MINUS SIGN}")
        found.append(f"{text} ?" if state == UNDECIDED else text)
    return found


def _tones(frame: pd.DataFrame) -> list[str]:
    return [
        "muted" if state == BLIND
        else "ink" if state == UNDECIDED or abs(percent) < _COLOURED
        else "inverse" if percent >= _DEEP_BLUE
        else "dark"
        for percent, state in zip(frame["percent"], frame["state"], strict=True)
    ]  # fmt: skip
