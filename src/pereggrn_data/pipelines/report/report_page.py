"""From tables and charts to one HTML file that needs nothing else.

Every text comes from a file that somebody sent: it is escaped where it becomes HTML, and
data of charts is JSON in which no character can end a script. The page has a content
security policy that lets only its own scripts run, by their hashes, and forbids every
request, so that a name that slipped through could still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import MissingExtraError
from pereggrn_data.core.options import options_of
from pereggrn_data.core.printable import one_line
from pereggrn_data.core.version import software
from pereggrn_data.pipelines.report.figure_registry import FIGURES, ReportFigure
from pereggrn_data.pipelines.report.report_data import ReportData, ReportedRun
from pereggrn_data.pipelines.report.theme import DARK, LIGHT, css_variables
from pereggrn_data.pipelines.report.verdict_text import RunVerdict, lead, verdict_in_words
from pereggrn_data.pipelines.score import ScoreOptions

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 4
"""Significant digits of the numbers that charts are drawn from."""

MOST_ROWS = 400
"""Rows of a table behind a figure; the folders of scores have all of them."""

MISSING = "\N{EN DASH}"
"""Stands where there is no value."""

_FIX = "install them: python -m pip install altair vl-convert-python"


def require_extra() -> None:
    """Check that what draws reports is installed.

    Raises
    ------
    MissingExtraError
        If it is not.
    """
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Reports need altair and vl-convert-python ({error.name} is missing).", fix=_FIX
        ) from None


@cache
def chart_library() -> str:
    """Return the JavaScript that draws charts: Vega, Vega-Lite and vega-embed in one text.

    It comes from the installed package vl-convert-python; nothing is downloaded.
    """
    import vl_convert

    library: Any = vl_convert  # its types say that a snippet is needed, and it is not
    return str(library.javascript_bundle())


def report_page(data: ReportData, *, title: str | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    data
        What is reported.
    title
        By default what is scored and where.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    require_extra()
    verdicts = [verdict_in_words(run) for run in data.runs]
    heading = title or _title(data)
    shown, charts, missing = _figures(data)
    payload = {"charts": charts, "schemes": {"light": LIGHT, "dark": DARK}}
    scripts = [_script(chart_library()), _script(_asset("page.js"))]
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {' '.join(_hash(text) for text in scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )
    body = [
        '<a class="skip" href="#main">Skip to the results</a>',
        f"<header><h1>{_text(heading)}</h1></header>",
        f'<main id="main">{_verdict_section(data, verdicts)}',
        _contents(shown),
        *(_figure_section(figure, data) for figure in shown),
        _all_scores(data),
        _provenance(data),
        _not_shown(missing),
        "</main>",
        f"<footer><p>Made by {_text(software())}. This file holds everything it shows: it needs "
        "no connection, and makes none.</p></footer>",
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{_text(heading)}</title>",
            f"<style>{css_variables()}{_asset('page.css')}</style></head><body>",
            *body,
            '<script type="application/json" id="report-data">',
            f"{json_for_script(payload)}</script>",
            *(f"<script>{text}</script>" for text in scripts),
            "</body></html>",
            "",
        ]
    )


def json_for_script(value: Any) -> str:
    r"""Write JSON that can stand in a script element: nothing in it can end the element.

    Examples
    --------
    >>> json_for_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def columns_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a table for a chart, column by column, small.

    Parameters
    ----------
    frame
        Numbers and text; what is missing becomes null.

    Returns
    -------
    dict
        Per column a list of numbers, or for text ``levels`` and the ``codes`` of the rows.
    """
    import pandas as pd

    packed: dict[str, Any] = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            packed[str(name)] = [_rounded(v) for v in column.to_numpy(float)]
        else:
            codes, levels = pd.factorize(column.astype(str))
            packed[str(name)] = {
                "levels": [one_line(level) for level in levels],
                "codes": codes.tolist(),
            }
    return packed


def _rounded(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    found = float(f"{value:.{DIGITS}g}")
    return int(found) if found.is_integer() and abs(found) < 1e15 else found


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    """Return JavaScript that can stand in a script element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _text(value: object) -> str:
    return escape(one_line(value), quote=True)


def _title(data: ReportData) -> str:
    datasets = data.datasets
    where = datasets[0] if len(datasets) == 1 else f"{len(datasets)} datasets"
    labels = data.labels
    what = labels[0] if len(labels) == 1 else f"{len(labels)} methods"
    return f"Can {what} forecast {where}?" if len(labels) == 1 else (
        f"Which of {what} can forecast {where}?"
    )  # fmt: skip


def _verdict_section(data: ReportData, verdicts: Sequence[RunVerdict]) -> str:
    if len(verdicts) == 1:
        only = verdicts[0]
        lines = [
            f'<section class="verdict {only.tone}" aria-label="Verdict">',
            f'<p class="lead">{_text(only.headline)}</p>',
            *(f"<p>{_text(sentence)}</p>" for sentence in only.evidence),
        ]
    else:
        lines = ['<section class="verdict" aria-label="Verdict">']
        lines += [f'<p class="lead">{_text(sentence)}</p>' for sentence in lead(data, verdicts)]
        items = "".join(
            f"<li><strong>{_text(verdict.headline)}</strong> {_text(' '.join(verdict.evidence))}"
            "</li>"
            for verdict in verdicts
        )
        # A page that is about a few runs has room for all that is said of them.
        is_open = " open" if len(verdicts) <= 3 else ""
        lines.append(
            f"<details{is_open}><summary>Run by run, with intervals</summary><ul>{items}</ul>"
            "</details>"
        )
    return "\n".join([*lines, "</section>"])


def _figures(
    data: ReportData,
) -> tuple[list[ReportFigure], list[dict[str, Any]], list[tuple[ReportFigure, str]]]:
    """Return what is shown, the charts, and what is not shown with the reason."""
    shown, charts, missing = [], [], []
    for figure in FIGURES.values():
        if figure.of_network:
            continue
        reason = figure.home.lacking(data)
        if reason is not None:
            missing.append((figure, reason))
            continue
        shown.append(figure)
        for k, drawn in enumerate(figure.home.charts(data)):
            spec = drawn.chart.to_dict()
            spec.pop("datasets", None)
            charts.append(
                {
                    "place": f"chart-{figure.name}-{k}",
                    "figure": figure.name,
                    "heading": one_line(drawn.heading),
                    "label": f"{figure.title}. {figure.home.caption(data)}",
                    "spec": _safe_spec(spec),
                    "narrowest": drawn.narrowest,
                    "widest": drawn.widest,
                    "data": {name: columns_of(frame) for name, frame in drawn.data.items()},
                }
            )
    return shown, charts, missing


def _safe_spec(value: Any) -> Any:
    """Show control characters of texts in a specification as escapes, as in the data."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _safe_spec(part) for key, part in value.items()}
    return [_safe_spec(part) for part in value] if isinstance(value, list) else value


def _contents(shown: Iterable[ReportFigure]) -> str:
    links = [(figure.name, figure.title) for figure in shown]
    links += [("scores", "All scores"), ("provenance", "What was scored, and how")]
    items = "".join(f'<li><a href="#{name}">{_text(title)}</a></li>' for name, title in links)
    return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'


def _figure_section(figure: ReportFigure, data: ReportData) -> str:
    table = figure.home.table(data)
    note = ""
    if len(table) > MOST_ROWS:
        note = f"<p>The first {MOST_ROWS} of {len(table)} rows.</p>"
        table = table.head(MOST_ROWS)
    return (
        f'<section id="{figure.name}"><h2>{_text(figure.title)}</h2>'
        f'<figure aria-describedby="{figure.name}-caption">'
        f'<div class="charts" data-figure="{figure.name}"><noscript><p>This browser runs no '
        "scripts, so that there is no picture; the table below has its numbers.</p></noscript>"
        f'</div><figcaption id="{figure.name}-caption">{_text(figure.home.caption(data))}'
        "</figcaption></figure>"
        f"<details><summary>The numbers as a table</summary>{note}"
        f"{html_table(table, caption=figure.title, file=figure.name)}</details></section>"
    )


def html_table(frame: pd.DataFrame, *, caption: str, file: str) -> str:
    """Return a table that sorts by its headings and is downloaded as CSV.

    Parameters
    ----------
    frame
        Cells; numbers keep all their digits for sorting and for the CSV.
    caption
        What readers hear of it.
    file
        Stem of the CSV file.
    """
    import pandas as pd

    if "dataset" in frame and frame["dataset"].nunique() < 2:
        frame = frame.drop(columns="dataset")
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame]
    heads = "".join(
        f'<th scope="col"{" class=num" if is_number else ""}><button type="button">'
        f"{_text(column)}</button></th>"
        for column, is_number in zip(frame, numeric, strict=True)
    )
    rows = []
    for row in frame.itertuples(index=False):
        cells = [
            _cell(value, is_number=is_number)
            for value, is_number in zip(row, numeric, strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(caption)}">'
        f'<table class="sortable" data-file="{_text(file)}"><caption>{_text(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="tools"><button type="button" class="csv">Download this table as CSV</button>'
        "</p>"
    )


def _cell(value: Any, *, is_number: bool) -> str:
    if is_number:
        if isinstance(value, bool):
            return f"<td>{'yes' if value else 'no'}</td>"
        found = float(value)
        if not math.isfinite(found):
            return f'<td class="num" data-value="">{MISSING}</td>'
        whole = found.is_integer() and abs(found) < 1e6
        text = f"{found:.0f}" if whole else f"{found:.3g}"
        text = text.replace("-", "\N{MINUS SIGN}")
        return f'<td class="num" data-value="{found!r}">{text}</td>'
    if value is None or value != value:
        return f'<td data-value="">{MISSING}</td>'
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    return f"<td>{_text(value)}</td>"


def _all_scores(data: ReportData) -> str:
    frame = data.metrics
    # A baseline is what the others are judged by.
    shown = frame.assign(
        state=frame["state"].where(~frame["is_baseline"].astype(bool), "baseline")
    )
    columns = {
        "dataset": "dataset", "metric": "metric", "method": "method", "value": "value",
        "low": "low", "high": "high", "percent": "% vs mean", "percent_low": "% low",
        "percent_high": "% high", "state": "verdict", "rank": "rank",
    }  # fmt: skip
    table = shown[list(columns)].rename(columns=columns)
    table = table.assign(rank=table["rank"].astype(float))
    return (
        '<section id="scores"><h2>All scores</h2><p>Values with their 95 % intervals over '
        "perturbations. Choose a heading to sort by it. What each metric is: "
        "<code>pereggrn-eval metrics</code>.</p>"
        f"{html_table(table, caption='All scores', file='scores')}</section>"
    )


def _provenance(data: ReportData) -> str:
    parts = [_run_facts(run) for run in data.runs]
    return f'<section id="provenance"><h2>What was scored, and how</h2>{"".join(parts)}</section>'


def _run_facts(run: ReportedRun) -> str:
    summary = run.summary
    how = run.part("intervals")
    facts: list[tuple[str, object]] = [
        ("Predictions", summary.get("file") or "in memory"),
        ("Their checksum", summary.get("file_checksum") or MISSING),
        ("Dataset", run.dataset),
        (
            "Groups scored",
            f"{summary.get('n_scored', MISSING)} of {summary.get('n_expected', MISSING)} held out",
        ),
        (
            "Intervals",
            f"{how.get('method', MISSING)}, {how.get('draws', MISSING)} draws, "
            f"seed {how.get('seed', MISSING)}",
        ),
        ("Scores", run.scored.path),
        ("Signature", summary["signature"]),
    ]
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>'
        for name, value in facts
    )
    warnings = "".join(f"<li>{_text(w)}</li>" for w in run.warnings)
    told = f"<ul>{warnings}</ul>" if warnings else "<p>None.</p>"
    return (
        f'<h3>{_text(run.label)} on {_text(run.dataset)}</h3><div class="scroll">'
        f'<table class="facts"><tbody>{rows}</tbody></table></div>'
        f"<h4>Warnings</h4>{told}<h4>Commands that repeat it</h4>"
        f"<pre tabindex=0><code>{_text_lines(commands(run))}</code></pre>"
    )


def commands(run: ReportedRun) -> list[str]:
    """Return the commands that score the same file in the same way, and report it."""
    folder = shlex.quote(one_line(run.scored.path))
    pooled = run.summary.get("pooled")
    parts_of = pooled if isinstance(pooled, list) else [run.summary]
    named = [part.get("file") for part in parts_of if isinstance(part, Mapping)]
    paths = [path for path in named if isinstance(path, str)]
    if not paths or len(paths) < len(parts_of):
        return [f"pereggrn-eval report {folder} -o report.html"]
    asked = _asked(run)
    if None in asked.values():  # something that has no name, such as a split in memory
        return [f"pereggrn-eval report {folder} -o report.html"]
    words = ["pereggrn-eval", "score", *paths]
    known = options_of(ScoreOptions)
    for name, value in asked.items():
        if name in known and known[name].differs(value):
            words += known[name].words(value)
        elif name == "insist" and isinstance(value, list):
            words += [word for code in value for word in ("--insist", str(code))]
        elif name in ("dataset", "split", "collection"):
            words += [f"--{name}", str(value)]
    return [
        " ".join([*(shlex.quote(one_line(word)) for word in words), "-o", folder]),
        f"pereggrn-eval report {folder} -o report.html",
    ]


def _asked(run: ReportedRun) -> Mapping[str, Any]:
    """Return how a file was scored; of scores of earlier versions, as far as they say."""
    if isinstance(said := run.summary.get("asked"), Mapping):
        return said
    parts, how = run.scored.parts, run.part("intervals")
    found = {
        "targeted_genes": parts.get("targeted"),
        "fill_missing": parts.get("fill"),
        "draws": how.get("draws"),
        "draws_seed": how.get("seed"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _text_lines(lines: Iterable[str]) -> str:
    return "\n".join(escape(line) for line in lines)


def _not_shown(missing: Sequence[tuple[ReportFigure, str]]) -> str:
    if not missing:
        return ""
    items = "".join(f"<li>{_text(f.title)}: {_text(reason)}.</li>" for f, reason in missing)
    return f'<section id="missing"><h2>Not shown</h2><ul>{items}</ul></section>'
