"""Pictures of percent change per metric, as in the paper's figure 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.loaders.files.any_file import written_in_one_step
from pereggrn_data.pipelines.score.score_report import ScoreReport

HALF_WIDTH = 20
"""Characters on each side of the axis of a text chart."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Parameters
    ----------
    metric, method
        What was measured, of which method.
    percent
        Percent better (+) or worse (-) than the mean baseline.
    """

    metric: str
    method: str
    percent: float


def bars_of(report: ScoreReport, method: str) -> list[Bar]:
    """Return the percent changes of the predictions and of the median, metric by metric."""
    bars = []
    for name, m in report.metrics.items():
        if m.percent_change_from_mean is None or m.higher_is_better is None:
            continue
        bars.append(Bar(name, method, m.percent_change_from_mean))
        if "median" in m.changes_of_baselines:
            bars.append(Bar(name, "median", m.changes_of_baselines["median"]))
    return bars


def text_chart(bars: list[Bar]) -> str:
    """Draw bars with characters: to the right of the axis is better than the mean."""
    if not bars:
        return "(no metric has a percent change)"
    limit = _limit(bars)
    wide = max(len(bar.metric) for bar in bars)
    methods = max(len(bar.method) for bar in bars)
    lines = [f"percent better (right) or worse (left) than the mean baseline; edge = {limit:g}%"]
    for bar in bars:
        length = min(round(HALF_WIDTH * abs(bar.percent) / limit), HALF_WIDTH)
        left = ("#" * length if bar.percent < 0 else "").rjust(HALF_WIDTH)
        right = ("#" * length if bar.percent > 0 else "").ljust(HALF_WIDTH)
        lines.append(
            f"{bar.metric:{wide}}  {bar.method:{methods}}  {left}|{right} {bar.percent:+8.1f}%"
        )
    return "\n".join(lines)


def draw_png(bars: list[Bar], path: Path) -> Path:
    """Draw the same bars with matplotlib.

    Raises
    ------
    ImportError
        Where matplotlib (the extra ``plot``) is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(bar.metric for bar in bars))
    methods = list(dict.fromkeys(bar.method for bar in bars))
    limit = _limit(bars)
    height = 0.8 / max(len(methods), 1)
    figure = Figure(figsize=(8, 1.2 + 0.38 * len(metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for k, method in enumerate(methods):
        values = {bar.metric: bar.percent for bar in bars if bar.method == method}
        here = [i + (k - (len(methods) - 1) / 2) * height for i in range(len(metrics))]
        clipped = [min(max(values.get(m, 0.0), -limit), limit) for m in metrics]
        axes.barh(here, clipped, height=height, label=method, color=f"C{k}")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlim(-limit, limit)
    axes.set_yticks(range(len(metrics)), metrics)
    axes.invert_yaxis()
    axes.set_xlabel("percent better (right) or worse (left) than the mean baseline")
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with written_in_one_step(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return path


def _limit(bars: list[Bar]) -> float:
    """Return a round number that most bars fit into; longer ones are cut at it."""
    largest = max((abs(bar.percent) for bar in bars), default=1.0)
    return next((edge for edge in (1.0, 5.0, 10.0, 25.0, 50.0) if largest <= edge), 100.0)
