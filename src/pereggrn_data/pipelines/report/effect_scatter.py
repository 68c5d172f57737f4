"""Predicted against observed log fold change, gene by gene, of chosen perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.pipelines.report.figure_registry import PageChart
from pereggrn_data.pipelines.report.report_data import ReportData, thinned_effects
from pereggrn_data.pipelines.report.theme import LIGHT, token

if TYPE_CHECKING:
    import pandas as pd

PANELS = 4
"""How many perturbations are printed where none is named."""

NAMED_GENES = 4
"""How many genes are named in each printed panel."""


def lacking(data: ReportData) -> str | None:
    """Say why there is no scatter plot."""
    if len(data.effects):
        return None
    return "the folders of scores hold no log fold changes (effects.parquet)"


def caption(data: ReportData) -> str:
    """Say how the scatter plot is read."""
    _, thin = thinned_effects(data)
    text = (
        "Each point is a gene; on the diagonal it is forecast exactly. Choose a perturbation "
        "(they run from the best forecast to the worst), point at a gene for its name, or type "
        "a part of its name to find it. Perturbed genes themselves, whose levels every method is "
        "told, are left out."
    )
    return f"{text} {thin}" if thin else text


def table(data: ReportData) -> pd.DataFrame:
    """Return, per perturbation, how predicted and observed effects agree, and the largest."""
    import pandas as pd

    rows = []
    for (dataset, label, name), part in data.effects.groupby(
        ["dataset", "label", "perturbation"], sort=False
    ):
        observed, predicted = part["observed"].to_numpy(), part["predicted"].to_numpy()
        varies = len(part) > 1 and np.ptp(observed) > 0 and np.ptp(predicted) > 0
        top = part.loc[part["observed"].abs().sort_values(ascending=False).index[:3], "gene"]
        rows.append(
            {
                "dataset": dataset, "method": label, "perturbation": name, "genes": len(part),
                "Pearson correlation": np.corrcoef(observed, predicted)[0, 1] if varies
                else np.nan,
                "mean absolute error": float(np.abs(observed - predicted).mean()),
                "largest observed effects": ", ".join(top.astype(str)),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def charts(data: ReportData) -> list[PageChart]:
    """Draw one perturbation at a time, which a menu chooses, with a search for genes."""
    import altair as alt

    frame, _ = thinned_effects(data)
    which = [
        f"{data.row_name(d, m)} · {p}" if len(data.runs) > 1 else str(p)
        for d, m, p in zip(frame["dataset"], frame["label"], frame["perturbation"], strict=True)
    ]
    rows = frame.assign(which=which)[["which", "gene", "observed", "predicted"]]
    options = list(dict.fromkeys(which))
    shown = alt.param(
        name="perturbation", value=options[0],
        bind=alt.binding_select(options=options, name="Perturbation "),
    )  # fmt: skip
    search = alt.param(
        name="gene", value="",
        bind=alt.binding(input="search", name="Find a gene ", placeholder="name or part of it"),
    )  # fmt: skip
    found = "gene && indexof(lower(datum.gene), lower(gene)) >= 0"
    base = (
        alt.Chart(alt.NamedData("scatter"))
        .transform_filter(alt.datum.which == shown)
        .encode(
            x=alt.X("observed:Q", title="observed log fold change"),
            y=alt.Y("predicted:Q", title="predicted log fold change"),
        )
    )
    points = base.mark_point(filled=True, size=34).encode(
        color=alt.condition(found, alt.value(token("worse")), alt.value(token("series0"))),
        opacity=alt.condition(found, alt.value(1), alt.value(0.45)),
        size=alt.condition(found, alt.value(90), alt.value(34)),
        tooltip=[
            alt.Tooltip("gene:N"),
            alt.Tooltip("observed:Q", format="+.3f"),
            alt.Tooltip("predicted:Q", format="+.3f"),
        ],
    )
    names = (
        base.transform_filter(found)
        .mark_text(align="left", dx=7, fontSize=11)
        .encode(text="gene:N", color=alt.value(token("ink")))
    )
    # The diagonal spans what is shown: the same two corners for both axes.
    diagonal = (
        alt.Chart(alt.NamedData("scatter"))
        .transform_filter(alt.datum.which == shown)
        .transform_aggregate(
            a="min(observed)", b="min(predicted)", c="max(observed)", d="max(predicted)"
        )
        .transform_calculate(low="min(datum.a, datum.b)", high="max(datum.c, datum.d)")
        .mark_rule(strokeDash=[4, 3])
        .encode(
            x=alt.X("low:Q", title="observed log fold change"),
            y=alt.Y("low:Q", title="predicted log fold change"),
            x2="high:Q", y2="high:Q", color=alt.value(token("muted")),
        )
    )  # fmt: skip
    chart = (
        alt.layer(diagonal, points, names)
        .add_params(shown, search)
        .properties(width="container", height=380)
    )
    return [PageChart("", chart, {"scatter": rows}, 20, 46)]


def printed(data: ReportData, *, perturbations: Sequence[str] = (), **_: Any) -> Any:
    """Draw a panel for each named perturbation, else for some from the best to the worst.

    Raises
    ------
    UnknownNameError
        If log fold changes of a named perturbation are not at hand.
    """
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    groups = {
        (data.row_name(str(d), str(m)), str(p)): part
        for (d, m, p), part in data.effects.groupby(
            ["dataset", "label", "perturbation"], sort=False
        )
    }
    known = list(dict.fromkeys(p for _, p in groups))
    of_dataset = {
        str(d): list(dict.fromkeys(part["perturbation"].astype(str)))
        for d, part in data.effects.groupby("dataset", sort=False)
    }
    for name in perturbations:
        if name not in known:
            raise UnknownNameError(
                "perturbation with log fold changes", name, known,
                fix="keep them when scoring: score --effects NAME.",
            )  # fmt: skip
    chosen = list(perturbations)
    if not chosen:
        each = max(1, PANELS // len(of_dataset))
        for names in of_dataset.values():
            at = np.linspace(0, len(names) - 1, min(each, len(names))).round().astype(int)
            chosen += [names[k] for k in dict.fromkeys(at.tolist())]
    panels = [(run, p) for run, p in groups if p in chosen]
    panels.sort(key=lambda panel: chosen.index(panel[1]))
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = new_figure(0.4 + 1.7 * columns, 0.3 + 1.8 * rows)
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    many_runs = len({run for run, _ in panels}) > 1
    for axes, (run, name) in zip(all_axes, panels, strict=False):
        part = groups[run, name]
        x, y = part["observed"].to_numpy(), part["predicted"].to_numpy()
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        axes.plot([low, high], [low, high], color=LIGHT["muted"], linewidth=0.6,
                  linestyle=(0, (4, 3)))  # fmt: skip
        axes.plot(x, y, "o", color=LIGHT["series0"], markersize=2, alpha=0.5,
                  markeredgewidth=0, rasterized=len(x) > 3000)  # fmt: skip
        names = [brief(gene, 16) for gene in part["gene"]]
        for k, left in _apart(x, y, names):
            axes.annotate(
                names[k], (x[k], y[k]), xytext=(-3 if left else 3, 2),
                textcoords="offset points", ha="right" if left else "left", fontsize=6.5,
            )  # fmt: skip
        axes.set_title(f"{brief(run)}\n{brief(name)}" if many_runs else brief(name))
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("observed log fold change")
    figure.supylabel("predicted log fold change")
    return figure


_LETTER, _LINE = 0.055, 0.1
"""Width and height of a letter of a name, as shares of a panel."""


def _apart(x: Floats, y: Floats, names: Sequence[str]) -> list[tuple[int, bool]]:
    """Choose genes with large effects whose names do not cover each other.

    Returns
    -------
    list
        Number of each gene, and whether its name stands to the left of its point, as it does
        in the right half of a panel.
    """
    # Both axes of a panel are as long as the diagonal in it.
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    size = max(float(high - low), 1e-12)
    across, up = (x - low) / size, (y - low) / size
    chosen: list[tuple[int, bool]] = []
    taken: list[tuple[float, float, float]] = []
    for k in np.argsort(-np.abs(x), kind="stable").tolist():
        left = bool(across[k] > 0.5)
        length = _LETTER * (len(names[k]) + 1)
        start = float(across[k]) - (length if left else 0)
        end, height = start + length, float(up[k])
        if not any(start < e and s < end and abs(height - h) < _LINE for s, e, h in taken):
            chosen.append((k, left))
            taken.append((start, end, height))
        if len(chosen) == NAMED_GENES:
            break
    return chosen
