"""Lay out tables for a terminal: words are never broken, whatever its width.

A table that is too wide first has columns closer to each other, if that is enough; else
it wraps its prose at spaces; then names too long
for the first column stand on lines of their own; and then columns are left
out, and named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

GAP, NARROW_GAP = 2, 1
"""Spaces between columns; and where nothing has to be wrapped or left out for it."""

PROSE = 20
"""A cell with spaces that is wider than this may be wrapped, to this width at least."""

SHARE_OF_NAMES = 0.4
"""Share of the width that the first column keeps when names get lines of their own."""


@dataclass(frozen=True)
class Layout:
    """A table as lines, and what found no room.

    Parameters
    ----------
    heading, body
        The lines, without line breaks.
    left_out
        Headings of the columns that are not shown.
    row_of
        Which row each line of the body belongs to.
    """

    heading: tuple[str, ...]
    body: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    row_of: tuple[int, ...] = ()


def lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    width: int | None = None,
    expendable: Sequence[str] = (),
) -> Layout:
    r"""Arrange cells in columns.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells, one of each column in every row.
    right
        Headings of the columns that are aligned to the right.
    width
        Of the terminal, in characters; None for as much as there is.
    expendable
        Headings of the columns to leave out first; then it is the last one's turn.

    Examples
    --------
    >>> made = lay_out(["gene", "edges"], [["GATA1", "12"]], right=["edges"])
    >>> print(*made.heading, *made.body, sep="\n")
    gene   edges
    GATA1     12
    """
    shown = list(range(len(columns)))
    first = [columns.index(name) for name in expendable if name in columns]
    turns = deque([*first, *(i for i in reversed(shown) if i not in first)])
    turns.remove(0)
    if width is not None:
        # Of thousands of columns most find no room even for the gaps between them.
        surplus = len(shown) - (width // GAP + 1)
        gone = {turns.popleft() for _ in range(max(0, min(surplus, len(turns))))}
        shown = [i for i in shown if i not in gone]
    found = {i: _Column([columns[i], *(row[i] for row in rows)]) for i in shown}
    gap = GAP
    widths: list[int] | None
    while True:
        part = [found[i] for i in shown]
        if width is not None and len(shown) == len(columns):
            least = sum(column.natural for column in part)
            spaces = len(part) - 1
            if least + GAP * spaces > width >= least + NARROW_GAP * spaces:
                gap, widths = NARROW_GAP, [column.natural for column in part]
                break
        widths = _widths(part, width)
        if widths is not None or len(shown) == 1:
            break
        shown.remove(turns.popleft())
    widths = widths or [part[0].natural]
    to_right, is_shown = set(right), set(shown)
    is_right = [columns[i] in to_right for i in shown]
    heading = _lines([columns[i] for i in shown], widths, is_right, gap)
    blocks = [_lines([row[i] for i in shown], widths, is_right, gap) for row in rows]
    body = [line for block in blocks for line in block]
    row_of = tuple(k for k, block in enumerate(blocks) for _ in block)
    left_out = tuple(name for i, name in enumerate(columns) if i not in is_shown)
    return Layout(tuple(heading), tuple(body), left_out, row_of)


class _Column:
    """How wide the cells of a column are, the heading among them."""

    def __init__(self, cells: Sequence[str]) -> None:
        heading, *values = cells
        self.natural = max(map(cell_len, cells))
        words = [cell_len(word) for cell in values for word in cell.split()]
        longest = max([cell_len(word) for word in heading.split()] + words, default=0)
        is_prose = any(" " in cell and cell_len(cell) > PROSE for cell in values)
        of_values = max(map(cell_len, values), default=0)
        self.least = max(longest, min(self.natural, PROSE) if is_prose else of_values)
        self.prose = min(self.natural, PROSE) if is_prose else None


def _widths(columns: Sequence[_Column], width: int | None) -> list[int] | None:
    """Return how wide columns are to be, or None if they do not fit."""
    natural = [column.natural for column in columns]
    if width is None:
        return natural
    least = [column.least for column in columns]
    if len(columns) > 1 and columns[-1].prose is not None:
        # A long word at the end of a line may stick out; it is not broken.
        least[-1] = min(least[-1], max(columns[-1].prose, PROSE))
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        least[0] = min(least[0], max(PROSE // 2, int(width * SHARE_OF_NAMES)))
        natural[0] = least[0]
    if sum(least) > room:
        return None
    while sum(natural) > room:
        widest = max(
            (i for i in range(len(natural)) if natural[i] > least[i]), key=lambda i: natural[i]
        )
        natural[widest] -= 1
    return natural


def _lines(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], gap: int
) -> list[str]:
    first, *_ = cells
    parts = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    alone = []
    if len(cells) > 1 and any(cell_len(line) > widths[0] for line in parts[0]):
        alone, parts[0] = [first], [""]
    height = max(map(len, parts))
    lines = []
    for n in range(height):
        found = [part[n] if n < len(part) else "" for part in parts]
        padded = [
            " " * (width - cell_len(text)) + text
            if flush
            else text + " " * (width - cell_len(text))
            for text, width, flush in zip(found, widths, right, strict=True)
        ]
        lines.append((" " * gap).join(padded).rstrip())
    return alone + lines


def wrapped(text: str, width: int) -> list[str]:
    """Divide text at spaces into lines; a word that is wider than them stays whole.

    Examples
    --------
    >>> wrapped("see proportion_correct_direction", 12)
    ['see', 'proportion_correct_direction']
    """
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]
