"""Read tables of text whoever wrote them: the separator, decimal mark and encoding are found.

Spreadsheets, R, pandas and other people's programs each write another "CSV". What is
found here, for every table of text that is read: commas, tabs, semicolons, bars or single
spaces; decimal commas; a byte order mark, UTF-16 and gzip whatever the ending says; ``sep=;``,
comments (``# ...``) or rows of nothing in front; separators at the end of rows; rows of
nothing; and R's row names without a heading.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from pereggrn_data.core.errors import InvalidDataError, first_few, or_list
from pereggrn_data.core.foreign_reading import FORMATS
from pereggrn_data.loaders.files.any_file import TEXT_ENDINGS
from pereggrn_data.loaders.files.tables.text_streams import (
    SAVE_AS_UTF8,
    encoding_of,
    explained,
    open_text,
    unpacked_bytes,
)

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}
"""What may separate columns, and what messages call it; a space only if nothing else does."""

SAMPLE_ROWS, SAMPLE_CHARACTERS = 200, 8 << 20
"""How much of a file is looked at to find out how it is written."""

COMMENT = "#"
"""What lines in front of a table begin with that are not of it."""

MOST_COLUMNS = 1_000_000
"""Of a table; genes are some tens of thousands, and peaks some hundreds of thousands."""

BLOCK = 16 << 20
"""Bytes that are parsed at once; a row of tens of thousands of genes must fit."""

_SAYS_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_NOTHING = re.compile(r'[\s,;|"]*')
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[-+]?\d*\.\d+([eE][-+]?\d+)?\s*")
_NUMBER = re.compile(r"\s*[-+]?\d*[.,]?\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class TextTable:
    """How a table of text is written; its rows stay on disk.

    Parameters
    ----------
    path
        The file.
    separator
        One of :data:`SEPARATORS`.
    decimal
        ``"."`` or ``","``.
    columns
        Their names; only the first may be empty, which is how row names are written.
    sample
        The first rows, as text, with as many cells as there are columns.
    """

    path: Path
    separator: str
    decimal: str
    columns: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    _stored: tuple[str, ...]
    _n_lines: int
    _n_rows: int
    _encoding: str

    def number(self, cell: str) -> float | None:
        """Return the number that a cell is, or None."""
        try:
            return float(cell.replace(",", ".") if self.decimal == "," else cell)
        except ValueError:
            return None

    @property
    def _nameless(self) -> list[str]:
        """What columns without a name are called while they are read."""
        named = set(self.columns)
        return [name for name in self._stored if name not in named]

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        text: Sequence[str] | None = (),
        missing: Sequence[str] = ("",),
    ) -> pa.Table:
        """Read columns; rows that are empty throughout are left out.

        Parameters
        ----------
        columns
            Their names; by default all.
        text
            Those that are kept as text, so that a gene called NA, 1E5 or true
            stays one; None for all of them.
        missing
            What stands for a missing value where text is not kept.

        Raises
        ------
        InvalidDataError
            If rows have another number of cells, or it is not text.
        """
        wanted = list(self.columns if columns is None else columns)
        unnamed = self._nameless
        kept = [*unnamed, *(wanted if text is None else text)]
        table = self._parsed([*wanted, *unnamed], kept, missing)
        for name in unnamed:
            if pc.any(pc.not_equal(table[name], "")).as_py():
                raise _unnamed(self.path, self._stored.index(name) + 1)
        return self._without_empty_rows(table.select(wanted))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns as text, some rows at a time; rows that are empty throughout are left out.

        Parameters
        ----------
        columns
            Their names.

        Raises
        ------
        InvalidDataError
            As :meth:`read` does.
        """
        if not self.sample:
            return
        unnamed = self._nameless
        with unpacked_bytes(self.path) as stream:
            reader = explained(
                self.path, lambda: pacsv.open_csv(stream, **self._options(self._stored))
            )
            while (batch := explained(self.path, lambda: next(reader, None))) is not None:
                table = pa.Table.from_batches([batch])
                for name in unnamed:
                    if pc.any(pc.not_equal(table[name], "")).as_py():
                        raise _unnamed(self.path, self._stored.index(name) + 1)
                empty = _empty_rows(table)
                if empty is not None:
                    table = table.filter(pc.invert(empty))
                yield from table.select(list(columns)).to_batches()

    def _options(
        self,
        columns: Sequence[str],
        text: Sequence[str] | None = None,
        missing: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return how Arrow reads columns, some of them (None: all) as text."""
        return {
            "read_options": pacsv.ReadOptions(
                column_names=list(self._stored),
                skip_rows=self._n_lines,
                skip_rows_after_names=self._n_rows,
                block_size=BLOCK,
                encoding=self._encoding,
            ),
            "parse_options": pacsv.ParseOptions(delimiter=self.separator, newlines_in_values=True),
            "convert_options": pacsv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns if text is None else text, pa.string()),
                null_values=list(missing),
                strings_can_be_null=False,
                decimal_point=self.decimal,
            ),
        }

    def _without_empty_rows(self, table: pa.Table) -> pa.Table:
        empty = _empty_rows(table)
        if table.num_rows and empty is not None and pc.any(empty).as_py():
            there = set(table.column_names)
            rest = [name for name in self._stored if name not in there]
            if rest:
                others = _empty_rows(self._parsed(rest, rest, ("",)))
                empty = pc.and_(empty, others) if others is not None else None
            if empty is not None:
                return table.filter(pc.invert(empty))
        return table

    def _parsed(
        self, columns: Sequence[str], text: Sequence[str], missing: Sequence[str]
    ) -> pa.Table:
        if not self.sample:
            schema = pa.schema([(name, pa.string()) for name in columns])
            return schema.empty_table()

        def parse() -> pa.Table:
            with unpacked_bytes(self.path) as stream:
                return pacsv.read_csv(stream, **self._options(columns, text, missing))

        table = explained(self.path, parse)
        bytes_only = [f.name for f in table.schema if pa.types.is_binary(f.type)]
        if bytes_only:
            raise InvalidDataError(
                f"{self.path} cannot be read: {first_few(bytes_only)} is not text in UTF-8.",
                expected=FORMATS["text"].expected,
                fix=SAVE_AS_UTF8,
            )
        return table


def text_ending(path: Path) -> str | None:
    """Return the ending of a table of text in lower case, without ``.gz``; None for others."""
    name = path.name.lower().removesuffix(".gz")
    return next((ending for ending in TEXT_ENDINGS if name.endswith(ending)), None)


def first_rows(path: Path, separator: str | None = None) -> tuple[str, int, list[list[str]]]:
    """Return the separator of a table, the lines in front of it, and its first rows as text.

    Raises
    ------
    InvalidDataError
        If it is not text.
    """
    lines = explained(path, lambda: _first_lines(path))
    stated = _SAYS_SEPARATOR.fullmatch(lines[0]) if lines else None
    n_lines = 0
    if stated:
        separator, n_lines, lines = stated[1], 1, lines[1:]
    n_in_front = _n_in_front(lines)
    n_lines, lines = n_lines + n_in_front, lines[n_in_front:]
    widest = max((line.count(mark) for line in lines for mark in SEPARATORS), default=0)
    if widest > MOST_COLUMNS:
        raise InvalidDataError(
            f"{path} is no table that can be read.",
            expected=f"at most {MOST_COLUMNS:,} columns",
            got=f"a line with {widest:,} separators",
        )
    with _long_cells():
        found = {
            mark: explained(path, partial(_split, lines, mark))
            for mark in ([separator] if separator else SEPARATORS)
        }
    likeliest = max(found, key=lambda mark: _fitness(mark, found[mark]))
    return likeliest, n_lines, found[likeliest]


def text_table(
    path: Path,
    *,
    labels: Sequence[str] = (),
    header: bool = True,
    n_header_rows: int = 1,
    columns: Sequence[str] | None = None,
) -> TextTable:
    """Find out how a table of text is written.

    Parameters
    ----------
    path
        The file.
    labels
        Columns that never hold a single number, whatever they look like.
    header
        Whether the first row names the columns; else they are called 1, 2, ...
    n_header_rows
        Rows in front of the first one of values, if `columns` are named here.
    columns
        Names to use instead of the header's.

    Raises
    ------
    InvalidDataError
        If it is not text, is empty, or a column with values has no name.
    """
    separator, n_lines, rows = first_rows(path)
    if not rows or max(map(len, rows)) < 2:
        raise InvalidDataError(
            f"{path} has no header with several columns.",
            expected=f"columns separated by {or_list(list(SEPARATORS.values()))}, "
            "named in the first row",
            got=f"the first row {', '.join(rows[0])!r:.100}" if rows else "nothing",
        )
    if not header:
        columns, n_header_rows = [str(i + 1) for i in range(max(map(len, rows)))], 0
    data = rows[n_header_rows:]
    named = [name.strip() for name in (rows[0] if columns is None else columns)]
    if columns is None and named[0].startswith(COMMENT):
        named[0] = named[0].lstrip(f"{COMMENT} ")  # a header that looks like a comment
    names = _fitted(named, data, path, labels)
    sample = tuple((*row, *[""] * (len(names) - len(row)))[: len(names)] for row in data)
    shown = [i for i, name in enumerate(names) if name or i == 0]
    for i in set(range(len(names))) - set(shown):
        if any(row[i].strip() for row in sample):
            raise _unnamed(path, i + 1)
    numbers = [cells[i] for cells in sample for i in shown if names[i] not in labels]
    with_comma = any(_DECIMAL_COMMA.fullmatch(cell) for cell in numbers)
    with_point = with_comma and any(_DECIMAL_POINT.fullmatch(cell) for cell in numbers)
    return TextTable(
        path=path,
        separator=separator,
        decimal="," if with_comma and not with_point else ".",
        columns=tuple(names[i] for i in shown),
        sample=tuple(tuple(row[i] for i in shown) for row in sample),
        _stored=tuple(n if n or i == 0 else f"unnamed column {i}" for i, n in enumerate(names)),
        _n_lines=n_lines,
        _n_rows=n_header_rows,
        _encoding=encoding_of(path),
    )


def _fitted(
    header: list[str], data: list[list[str]], path: Path, labels: Sequence[str]
) -> list[str]:
    """Return as many names as rows have cells; an empty name is a column without one."""
    if not data:
        return header
    width = Counter(map(len, data)).most_common(1)[0][0]
    extra = width - len(header)
    if extra < 0 and not any(header[width:]):
        return header[:width]
    if extra > 0 and not any(cell.strip() for row in data for cell in row[len(header) :]):
        return [*header, *[""] * extra]  # separators at the end of rows
    if extra == 1 and _has_row_names(header, data, labels):
        return ["", *header]  # R writes row names without a heading
    if extra > 0:
        raise InvalidDataError(
            f"{path} cannot be read: its rows have more cells than there are names of columns.",
            expected="a name over every column (the first may be empty: it is for row names)",
            got=f"{len(header)} names, and rows of {width} cells",
            fix="name the column that has no name, or remove what is too much.",
        )
    return header


def _has_row_names(header: list[str], data: list[list[str]], labels: Sequence[str]) -> bool:
    """Say whether the cell too many is the first: rows are counted, or labels are behind it.

    A table of edges with a name too few could have its values without a name as well.
    """
    names = [row[0] for row in data]
    if names == [str(i + 1) for i in range(len(data))]:
        return True
    are_labels = not any(_NUMBER.fullmatch(row[1]) for row in data)
    return header[0] in labels and are_labels and len(set(names)) == len(names)


def _unnamed(path: Path, number: int) -> InvalidDataError:
    return InvalidDataError(
        f"Column {number} of {path} has values, but no name.",
        expected="a name over every column (the first may go without: it is for row names)",
        fix="name the column or remove it.",
    )


def _empty_rows(table: pa.Table) -> pa.ChunkedArray | None:
    """Say which rows hold nothing; None if no row can be empty."""
    empty: Any = None
    # Columns of numbers without a missing value come first: they are the usual end.
    for column in sorted(table.columns, key=lambda c: c.null_count > 0):
        text = pa.types.is_string(column.type)
        here = pc.equal(pc.utf8_trim_whitespace(column), "") if text else pc.is_null(column)
        empty = here if empty is None else pc.and_(empty, here)
        if not pc.any(empty).as_py():
            return None
    return empty


def _fitness(mark: str, rows: list[list[str]]) -> tuple[bool, bool, bool, int]:
    """Rank a separator: one that every row has as often as the first, and most often."""
    if mark == " " and any(len(row) < 2 for row in rows):
        rows = []  # words of one cell
    first = len(rows[0]) if rows else 0
    even = all(abs(len(row) - first) <= 1 for row in rows)
    return first > 1 and even, first > 1, mark != " ", first


def _n_in_front(lines: Sequence[str]) -> int:
    """Count the comments and rows of nothing in front of the header.

    A header may begin as comments do, and has the width of the rows behind it.
    """
    said = [i for i, line in enumerate(lines) if not _NOTHING.fullmatch(line)]
    n = next((i for i in said if not lines[i].startswith(COMMENT)), len(lines))
    last = max((i for i in said if i < n), default=None)
    if last is None or n == len(lines):
        return n if last is None else last
    alike = any(
        lines[last].count(mark) == lines[n].count(mark) > 0 for mark in SEPARATORS if mark != " "
    )
    return last if alike else n


def _split(lines: list[str], mark: str) -> list[list[str]]:
    rows = csv.reader(lines, delimiter=mark)
    return [row for row in rows if row]


def _first_lines(path: Path) -> list[str]:
    lines: list[str] = []
    n_characters = 0
    with open_text(path) as file:
        # A line need not end: not more of it is read than is looked at.
        while line := file.readline(2 * SAMPLE_CHARACTERS):
            lines.append(line)
            n_characters += len(line)
            if len(lines) > SAMPLE_ROWS or (n_characters > SAMPLE_CHARACTERS and len(lines) > 1):
                break
    return lines


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as the sample: a list of targets is longer than the usual limit."""
    usual = csv.field_size_limit(max(csv.field_size_limit(), 8 * SAMPLE_CHARACTERS))
    try:
        yield
    finally:
        csv.field_size_limit(usual)
