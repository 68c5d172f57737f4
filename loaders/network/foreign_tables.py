"""Read the columns of CSV, TSV and parquet tables without guessing what names mean."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.loaders.files import required_file

DELIMITERS = ("\t", ",", ";")


def header_of(path: Path) -> list[str]:
    """Return the column names of a table.

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If its suffix is not a known one.
    InvalidDataError
        If it cannot be read, has no header, or names a column twice.
    """
    path = required_file(path)
    if _is_parquet(path):
        header = _explained(path, lambda: list(pq.read_schema(path).names))
    else:
        header = _explained(path, lambda: _text_header(path))
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidDataError(
            f"{path} has several columns with one name.", got=first_few(map(repr, twice))
        )
    return list(header)


def read_columns(
    path: Path, columns: Sequence[str], *, text: Sequence[str] = (), as_text: bool = False
) -> pa.Table:
    """Read some columns of a table.

    Parameters
    ----------
    path
        The file.
    columns
        Their names.
    text
        Those that are kept as text, so that a gene called NA, 1E5 or true stays one.
    as_text
        Whether all are.
    """
    if _is_parquet(path):
        return _explained(path, lambda: pq.read_table(path, columns=list(columns)))
    kept = columns if as_text else text
    options = pacsv.ConvertOptions(
        include_columns=list(columns),
        column_types=dict.fromkeys(kept, pa.string()),
        strings_can_be_null=False,
    )
    parse = pacsv.ParseOptions(delimiter=_delimiter(path))
    # A base GRN has a thousand columns: the default block may not hold one row.
    read = pacsv.ReadOptions(block_size=16 << 20)
    return _explained(
        path,
        lambda: pacsv.read_csv(
            path, convert_options=options, parse_options=parse, read_options=read
        ),
    )


def _is_parquet(path: Path) -> bool:
    suffixes = [s for s in path.suffixes if s != ".gz"]
    kind = suffixes[-1].lower() if suffixes else ""
    if kind not in (".parquet", ".csv", ".tsv", ".txt"):
        raise UsageError(
            f"The format of {path} is not known.",
            expected="a name that ends with .csv, .tsv or .txt (or one of these and .gz) "
            "or .parquet",
        )
    return kind == ".parquet"


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _delimiter(path: Path) -> str:
    with _open(path) as file:
        line = file.readline()
    return max(DELIMITERS, key=line.count)


def _text_header(path: Path) -> list[str]:
    delimiter = _delimiter(path)
    with _open(path) as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    if len(header) < len(("regulator", "target")):
        raise InvalidDataError(
            f"{path} has no header with several columns.",
            expected="columns separated by commas, tabs or semicolons, named in the first row",
            got=f"the first row {first_few(header)!r}",
        )
    return header


def _explained(path: Path, read: Any) -> Any:
    try:
        return read()
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            expected="a complete table in UTF-8",
        ) from error
