"""Text from outside on a terminal and in a notebook: what it holds is shown, never obeyed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, invisible formats (also of direction), surrogates, separators."""

_HIDDEN_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


_PASSWORD = re.compile(r"(?<=://)[^/\s?#]*@")


def without_password(text: str) -> str:
    """Leave out who logs in, and by which password, from the addresses in a text.

    Examples
    --------
    >>> without_password("https://me:secret@example.org/x is not there")
    'https://example.org/x is not there'
    """
    return _PASSWORD.sub("", text)


LONGEST_NAME = 500
"""Characters of a name that a message quotes: one cell of a file may be megabytes."""

LONGEST_LINE = 6000
"""Characters of a line of a message."""


def shortened(text: object, most: int = LONGEST_NAME) -> str:
    """Return a text, and of a longer one its beginning and how much is left out.

    Examples
    --------
    >>> shortened("GATA1GATA1", 5)
    'GATA1... (5 more characters)'
    """
    whole = str(text)
    left = len(whole) - most
    return whole if left <= 0 else f"{whole[:most]}... ({left:,} more characters)"


def message_line(text: object) -> str:
    """Return a line of a message that may quote a file: printable, and not too long."""
    return one_line(shortened(text, LONGEST_LINE))


def one_line(text: object) -> str:
    r"""Show control characters, line breaks and lone surrogates as escapes.

    Examples
    --------
    >>> print(one_line("GATA1\x1b[2K\nKLF1"))
    GATA1\x1b[2K\nKLF1
    """
    return "".join(map(_shown, str(text)))


def printable_json(text: str) -> str:
    r"""Write the characters of a JSON text that a terminal may obey as JSON's own escapes.

    Examples
    --------
    >>> printable_json('"a\x9b2Kb"')
    '"a\\u009b2Kb"'
    """
    return _HIDDEN_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")


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
    parts = [f"<div><strong>{_html(title)}</strong>"]
    parts += [f"<p style='margin:4px 0'>{_html(line)}</p>" for line in lines]
    known = {name: value for name, value in (facts or {}).items() if value not in (None, "", ())}
    if known:
        parts.append(_table((), [[name, value] for name, value in known.items()]))
    if rows:
        parts.append(_table(headings, rows[:MOST_ROWS]))
    if len(rows) > MOST_ROWS:
        parts.append(f"<p>The first {MOST_ROWS} of {len(rows)} rows.</p>")
    items = "".join(f"<li>{_html(note)}</li>" for note in notes)
    if items:
        parts.append(f"<ul style='margin:4px 0'>{items}</ul>")
    return "".join([*parts, "</div>"])


def _table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    heads = "".join(f"<th scope='col' style='{_CELL}'>{_html(name)}</th>" for name in headings)
    body = "".join(
        f"<tr>{''.join(f'<td style={_CELL!r}>{_html(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _html(value: object) -> str:
    return escape("-" if value is None else one_line(value), quote=True)
