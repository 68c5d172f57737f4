"""How objects show themselves in a notebook: a line, some facts, a table; text only.

Every text may come from a file, and is escaped. Colours are those of the notebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pereggrn_data.core.printable import one_line

MOST_ROWS = 60
"""Rows that a notebook shows; objects have ways to give all."""

_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top"


def notebook_card(
    title: str,
    *,
    lines: Iterable[object] = (),
    facts: Mapping[str, object] | None = None,
    headings: Sequence[object] = (),
    rows: Sequence[Sequence[object]] = (),
    notes: Iterable[object] = (),
) -> str:
    """Return HTML that shows an object.

    Parameters
    ----------
    title
        What it is.
    lines
        Sentences below the title.
    facts
        What is said of it, by name; those that are None or empty are left out.
    headings, rows
        A table; None is a dash.
    notes
        What stands below it, such as warnings.

    Examples
    --------
    >>> "<b>" in notebook_card("x", lines=["<b>"])
    False
    """
    parts = [f"<div><strong>{_text(title)}</strong>"]
    parts += [f"<p style='margin:4px 0'>{_text(line)}</p>" for line in lines]
    known = {name: value for name, value in (facts or {}).items() if value not in (None, "", ())}
    if known:
        parts.append(_table((), [[name, value] for name, value in known.items()]))
    if rows:
        parts.append(_table(headings, rows[:MOST_ROWS]))
    if len(rows) > MOST_ROWS:
        parts.append(f"<p>The first {MOST_ROWS} of {len(rows)} rows.</p>")
    items = "".join(f"<li>{_text(note)}</li>" for note in notes)
    if items:
        parts.append(f"<ul style='margin:4px 0'>{items}</ul>")
    return "".join([*parts, "</div>"])


def _table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    heads = "".join(f"<th scope='col' style='{_CELL}'>{_text(name)}</th>" for name in headings)
    body = "".join(
        f"<tr>{''.join(f'<td style={_CELL!r}>{_text(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    return escape("-" if value is None else one_line(value), quote=True)
