"""Other people's tables of edges, of text or parquet, without guessing what names mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.foreign_reading import FORMATS, reading
from pereggrn_data.core.safe_names import repeated_names
from pereggrn_data.loaders.files.any_file import TEXT_ENDINGS, recognise, required_file
from pereggrn_data.loaders.files.tables import (
    batches_of,
    first_rows,
    parquet_footer,
    read_parquet,
    text_ending,
    text_table,
)

PARQUET = ".parquet"

SAMPLE_ROWS = 200
"""Rows that are looked at to find out what columns are."""

OTHER_LAYOUTS = {
    ".graphml": "write it as a table of edges, for example with networkx.to_pandas_edgelist.",
    ".gml": "write it as a table of edges, for example with networkx.to_pandas_edgelist.",
}
"""Files of networks that are no tables with a header, and how to get from them to one."""


class ForeignTable(Protocol):
    """A table whose rows stay on disk."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def sample(self) -> tuple[tuple[str, ...], ...]:
        """The first rows, as text."""

    @property
    def decimal(self) -> str:
        """The decimal mark."""

    def number(self, cell: str) -> float | None:
        """Return the number that a cell of the sample is, or None."""

    def read(
        self, columns: Sequence[str] | None = None, *, text: Sequence[str] | None = ()
    ) -> pa.Table:
        """Read columns, some of them (None: all) as text."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns as text, some rows at a time."""


class ParquetTable:
    """A parquet file; text and numbers are apart already."""

    decimal = "."

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = tuple(parquet_footer(path)[0].names)

    @property
    def sample(self) -> tuple[tuple[str, ...], ...]:
        """The first rows, as text."""
        first = next(iter(batches_of(self.path, self.columns)), pa.table({}))
        with reading(self.path, FORMATS["parquet"]):  # values may be no text
            rows = first.slice(0, SAMPLE_ROWS).to_pylist()
            return tuple(tuple(map(str, row.values())) for row in rows)

    def number(self, cell: str) -> float | None:
        """Return the number that a cell of the sample is, or None."""
        try:
            return float(cell)
        except ValueError:
            return None

    def read(
        self, columns: Sequence[str] | None = None, *, text: Sequence[str] | None = ()
    ) -> pa.Table:
        """Read columns; those that are not kept as text have the types of the file."""
        table = read_parquet(self.path, columns)
        with reading(self.path, FORMATS["parquet"]):
            for name in table.column_names if text is None else text:
                i = table.column_names.index(name)
                table = table.set_column(i, name, self._as_text(name, table[name]))
        return table

    def _as_text(self, name: str, values: Any) -> Any:
        try:
            return values.cast(pa.string())
        except pa.ArrowNotImplementedError:  # of lists and the like there is no text
            raise InvalidDataError(
                f"The column {name} of {self.path} holds neither text nor numbers.",
                expected="one name or number in every row",
                got=f"the type {values.type}",
                fix="write one row for each edge, or name another column.",
            ) from None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns as text, some rows at a time."""
        for batch in batches_of(self.path, columns):
            with reading(self.path, FORMATS["parquet"]):
                batch.validate(full=True)
                text = [self._as_text(name, batch.column(name)) for name in columns]
                made = pa.record_batch(text, names=list(columns))
            yield made


def foreign_table(path: Path, *, header: bool = True) -> ForeignTable:
    """Open a table.

    Parameters
    ----------
    path
        CSV, TSV or another table of text (also ``.gz``), or parquet.
    header
        Whether the first row of text names the columns; else they are called 1, 2, ...

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If its ending is not a known one.
    InvalidDataError
        If it cannot be read, has no header, or names a column twice.
    """
    path = checked_path(path)
    table: ForeignTable = (
        ParquetTable(path) if is_parquet_name(path) else text_table(path, header=header)
    )
    names = table.columns
    twice = repeated_names(names)
    if twice:
        raise InvalidDataError(
            f"{path} has several columns with one name.",
            got=first_few(map(repr, twice)),
            fix="if its first line is an edge and not a header, add --no-header.",
        )
    return table


def leading_rows(path: Path, n: int) -> list[list[str]]:
    """Return the first `n` rows of a table of text; none of a parquet file."""
    path = checked_path(path)
    return [] if is_parquet_name(path) else first_rows(path)[2][:n]


def is_parquet_name(path: Path) -> bool:
    """Say whether a name ends as that of a parquet file."""
    return path.name.lower().endswith(PARQUET)


def checked_path(path: Path) -> Path:
    """Return the path of a file whose ending is known.

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If its ending is another one.
    """
    path = required_file(path)
    if not is_parquet_name(path) and text_ending(path) is None:
        found = recognise(path)
        raise UsageError(
            f"The format of {path} is not known.",
            expected=f"a name that ends with {', '.join(TEXT_ENDINGS)}, .sif or .gmt (or one of "
            f"these and .gz) or {PARQUET}",
            got=found.what,
            fix=OTHER_LAYOUTS.get(path.suffix.lower(), f"{found.fix}."),
        )
    return path
