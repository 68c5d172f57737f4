"""Count what is in a network file, by SQL on the parquet."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import EXAMPLES_SHOWN, InvalidDataError, first_few
from pereggrn_data.core.format import CELL_TYPE
from pereggrn_data.core.safe_names import repeated_names
from pereggrn_data.loaders.files.any_file import PARQUET_MAGIC
from pereggrn_data.loaders.files.tables import holds_numbers, holds_text, parquet_footer
from pereggrn_data.validators import CHECKED_COLUMNS, NAME_COLUMNS, WEIGHT, ColumnFacts, EdgeFacts

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY_LIMIT = "1GB"
"""For DuckDB; what does not fit is spilled to a temporary folder."""

_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_ROW = "file_row_number"

_CONDITIONS = {
    "edges-null": "{c} IS NULL",
    "edges-empty-name": "trim({c}) = ''",
    "edges-white-space": "trim({c}) <> '' AND regexp_matches({c}, '[\\s\\pZ\\pC]')",
    "weight-not-finite": "NOT isfinite({c}::DOUBLE)",
}


def is_parquet(path: Path) -> bool:
    """Say whether a file begins as parquet does."""
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the columns of a parquet file; none if it cannot be read."""
    try:
        with tempfile.TemporaryDirectory(prefix="pereggrn-") as folder:
            return tuple(_open(path, Path(folder))[1])
    except InvalidDataError:
        return ()


def read_edge_facts(path: Path) -> EdgeFacts:
    """Count what the rules of networks ask about; edges stay on disk.

    Parameters
    ----------
    path
        A parquet file; 10 million edges need less than 2 GB.

    Raises
    ------
    InvalidDataError
        If it is not a parquet file, or damaged.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="pereggrn-") as folder:
        connection, types = _open(path, Path(folder))
        with connection:
            try:
                return _facts(connection, types, parquet_footer(path)[0])
            except duckdb.Error as error:
                raise _unreadable(path, error) from error


def _open(path: Path, folder: Path) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    """Make a view named ``edges`` of a file.

    DuckDB expands patterns in names of files, so that it is given a link of
    which we choose the name.
    """
    import duckdb

    names = parquet_footer(path)[0].names
    twice = repeated_names(names)
    if twice:
        raise InvalidDataError(f"{path} has several columns with one name.", got=first_few(twice))
    link = folder / "edges.parquet"
    link.symlink_to(path.resolve())
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    try:
        source = connection.read_parquet([str(link)], file_row_number=True)
        source.create_view("edges")
    except duckdb.Error as error:
        connection.close()
        raise _unreadable(path, error) from error
    types = dict(zip(source.columns, map(str, source.types), strict=True))
    types.pop(_ROW, None)
    return connection, types


def _unreadable(path: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"{path} cannot be read as parquet.",
        got=f"{type(error).__name__}: {error}".splitlines()[0],
    )


def _facts(
    connection: duckdb.DuckDBPyConnection, types: dict[str, str], schema: pa.Schema
) -> EdgeFacts:
    fits = {
        c: _type_fits(c, types[c], schema.field(c).type) for c in CHECKED_COLUMNS if c in types
    }
    asked = [(c, code) for c in fits for code in _codes(c, fits[c])]
    counts = ", ".join(f"count(*) FILTER ({_condition(c, code)})" for c, code in asked)
    query = f"SELECT count(*), {counts or 0} FROM edges"  # noqa: S608
    row = _all(connection, query)[0]
    found = dict(zip(asked, row[1:], strict=False))
    facts = {}
    for name, ok in fits.items():
        n = {code: int(found.get((name, code), 0)) for code in _CONDITIONS}
        facts[name] = ColumnFacts(
            # A length of time is a whole number to DuckDB, which does not see what Arrow noted.
            type=types[name] if ok else f"{types[name]} ({schema.field(name).type})",
            type_fits=ok,
            n_null=n["edges-null"],
            n_empty=n["edges-empty-name"],
            n_white_space=n["edges-white-space"],
            n_not_finite=n["weight-not-finite"],
            examples={
                code: _examples(connection, name, code, list(fits))
                for code, count in n.items()
                if count
            },
        )
    duplicates = _duplicates(connection, list(fits)) if set(NAME_COLUMNS) <= set(fits) else {}
    return EdgeFacts(columns=tuple(types), n_edges=int(row[0]), facts=facts, **duplicates)


def _type_fits(column: str, type_name: str, stored: pa.DataType) -> bool:
    """Say whether both DuckDB and Arrow, by which edges are used, take a type for what it is."""
    if column == WEIGHT:
        return type_name.removeprefix("U").startswith(_NUMERIC) and holds_numbers(stored)
    return type_name.startswith(("VARCHAR", "ENUM")) and holds_text(stored)


def _codes(column: str, type_fits: bool) -> list[str]:
    """Return the rules that can be asked of a column."""
    if not type_fits:
        return ["edges-null"]
    if column == WEIGHT:
        return ["edges-null", "weight-not-finite"]
    codes = ["edges-null", "edges-empty-name"]
    return [*codes, "edges-white-space"] if column in NAME_COLUMNS else codes


def _condition(column: str, code: str) -> str:
    # Only names of our own constants get here, never names from a file.
    text = column if column == WEIGHT else f"{column}::VARCHAR"
    return _CONDITIONS[code].format(c=text)


def _examples(
    connection: duckdb.DuckDBPyConnection, column: str, code: str, present: list[str]
) -> tuple[str, ...]:
    """Show the first rows that break a rule."""
    shown = ", ".join(present)
    rows = _all(
        connection,
        f"SELECT {_ROW}, {shown} FROM edges WHERE {_condition(column, code)} "  # noqa: S608
        f"ORDER BY {_ROW} LIMIT {EXAMPLES_SHOWN}",
    )
    return tuple(f"row {row[0] + 1}: {', '.join(map(_shown, row[1:]))}" for row in rows)


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _duplicates(connection: duckdb.DuckDBPyConnection, present: list[str]) -> dict[str, Any]:
    """Find edges that occur again.

    Hashes come first: they are smaller than names, and nearly always all
    different. Rows that share one are then compared by name.
    """
    keys = [c for c in (*NAME_COLUMNS, CELL_TYPE) if c in present]
    names = ", ".join(keys)
    weights = "min(weight) IS DISTINCT FROM max(weight)" if WEIGHT in present else "false"
    connection.execute(
        f"CREATE TEMP TABLE suspects AS SELECT hash({names}) AS h FROM edges "  # noqa: S608
        "GROUP BY h HAVING count(*) > 1"
    )
    connection.execute(
        f"CREATE TEMP TABLE repeated AS SELECT {names}, count(*) AS n, "  # noqa: S608
        f"{weights} AS differ, min({_ROW}) AS first FROM edges "
        f"WHERE hash({names}) IN (SELECT h FROM suspects) GROUP BY {names} HAVING count(*) > 1"
    )
    n, conflicting = _all(
        connection, "SELECT coalesce(sum(n - 1), 0), count(*) FILTER (differ) FROM repeated"
    )[0]
    rows = _all(
        connection,
        f"SELECT n, {names} FROM repeated ORDER BY first LIMIT {EXAMPLES_SHOWN}",  # noqa: S608
    )
    shown = tuple(f"{' '.join(map(_shown, row[1:]))}: {row[0]} times" for row in rows)
    return {"n_duplicates": int(n), "n_conflicting": int(conflicting), "duplicates": shown}


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
