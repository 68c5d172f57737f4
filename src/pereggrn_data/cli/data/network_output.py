"""How answers about networks are printed or written."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pereggrn_data.cli.output import emit_json, emit_table, say
from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.safe_names import repeated_names

ROWS_SHOWN = 100


def deliver(table: Any, *, output: str | None, json: bool, limit: int | None) -> None:
    """Write an Arrow table to a file, or print it.

    A printed table stops after :data:`ROWS_SHOWN` rows unless a limit is
    given, and says so; JSON and files are complete unless a limit is given.
    """
    total = table.num_rows
    if output is None and not json and limit is None:
        limit = ROWS_SHOWN
    shown = table if limit is None else table.slice(0, limit)
    if output is not None:
        from pereggrn_data.loaders.network import write_batches

        write_batches(shown.to_reader(), Path(output))
        say(f"Wrote {shown.num_rows:,} rows to {output}.")
        return
    twice = repeated_names(shown.column_names)
    if twice and json:
        raise UsageError(
            "JSON needs a name of its own for every column.",
            got=f"{first_few(twice)} more than once",
            fix="give columns other names with AS.",
        )
    if json:
        emit_json([{k: _cell(v) for k, v in row.items()} for row in shown.to_pylist()])
    else:
        columns = [column.to_pylist() for column in shown.columns]
        _print(shown.column_names, list(zip(*columns, strict=True)))
    if shown.num_rows < total:
        say(f"{shown.num_rows:,} of {total:,} rows; --limit N shows more, -o FILE writes all.")


def show(rows: Sequence[dict[str, Any]], *, json: bool = False) -> None:
    """Print rows that all have the same keys."""
    if json:
        emit_json(rows)
    elif rows:
        _print(list(rows[0]), [list(row.values()) for row in rows])


def _print(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [[_shown(value) for value in row] for row in rows]
    numeric = [
        name
        for i, name in enumerate(columns)
        if any(isinstance(row[i], (int, float, Decimal)) for row in rows)
    ]
    emit_table(columns, cells, right=numeric)


def _cell(value: Any) -> Any:
    """Return a value as JSON has it; DuckDB's sums of integers come as Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _shown(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(_cell(value))
