"""The one door for parquet that came from anywhere, be it edges, predictions or scores.

What `validate` calls valid was opened by the same function as what is used: Arrow and
DuckDB, which both read parquet here, do not refuse the same damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.foreign_reading import FORMATS, reading, unreadable
from pereggrn_data.core.sizes import require_memory
from pereggrn_data.loaders.files.any_file import refuse_other_kind

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")

BYTES_PER_VALUE = 4
"""At least, in memory; text that repeats is stored once, and pointed at."""


def holds_text(kind: pa.DataType) -> bool:
    """Say whether a column of this type holds text, by whatever way it is stored."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = pa.types.is_string(value) or pa.types.is_large_string(value)
    return bool(is_text or pa.types.is_string_view(value))


def holds_numbers(kind: pa.DataType) -> bool:
    """Say whether a column of this type holds numbers, rather than times or truth values."""
    is_plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(is_plain or pa.types.is_decimal(kind))


def parquet_footer(path: Path) -> tuple[pa.Schema, pq.FileMetaData]:
    """Read the footer of a parquet file; its rows stay on disk.

    Returns
    -------
    pyarrow.Schema, pyarrow.parquet.FileMetaData
        The columns, by names that are text; and what is known of the rows.

    Raises
    ------
    InvalidDataError
        If it is another kind of file, or damaged.
    """
    refuse_other_kind(path, "parquet", "a parquet file")
    with reading(path, FORMATS["parquet"]):
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
        "".join(schema.names).encode()  # names that are no text raise here
        return schema, metadata


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns of a parquet file, by default all; bytes that are text are read as text.

    Some programs write text without saying that it is.

    Raises
    ------
    InvalidDataError
        If it is another kind of file, or damaged.
    UsageError
        If it says that it has more rows than memory can hold.
    """
    schema, metadata = parquet_footer(path)
    n = len(schema.names if columns is None else columns)
    require_memory(metadata.num_rows * n * BYTES_PER_VALUE, f"{path} says that it")
    with reading(path, FORMATS["parquet"]):
        table: pa.Table = pq.read_table(path, columns=columns)
        table.validate(full=True)
        for i, field in enumerate(table.schema):
            if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
                with suppress(pa.ArrowInvalid):  # which are no text
                    table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
        return table


def read_parquet_frame(path: Path) -> pd.DataFrame:
    """Read a parquet file as pandas does, with the index that it says it has.

    Raises
    ------
    InvalidDataError
        If it is another kind of file, or damaged; what pandas noted in it may be, too.
    """
    table = read_parquet(path)

    def problem(error: Exception) -> InvalidDataError:
        return InvalidDataError(
            f"What pandas noted in {path} cannot be understood.",
            expected="a table as pandas writes it",
            got=f"{type(error).__name__}: {error}"[:200],
            fix="write it again, or without an index (index=False).",
        )

    with reading(path, FORMATS["parquet"], problem=problem):
        frame: pd.DataFrame = table.to_pandas()
        return frame


def reading_edges(paths: Sequence[Path], read: Callable[[], _T]) -> _T:
    """Run a query of DuckDB over parquet files; what DuckDB raises of them becomes our error.

    Raises
    ------
    InvalidDataError
        Naming the file that DuckDB complains of, or all of them.
    UsageError
        If the query needs more memory than DuckDB may have, and more space for what it spills
        than there is among temporary files.
    KeyboardInterrupt
        After Ctrl-C, which DuckDB would call a failed query.
    """
    import duckdb

    try:
        return read()
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            "A query of edges needs more room than there is.",
            expected="space in the folder for temporary files, for what is too large for memory",
            got=str(error).splitlines()[0],
            fix="set TMPDIR to a folder with space that you may write to, or ask for less at a "
            "time.",
        ) from error
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except (duckdb.Error, pa.ArrowException, UnicodeError) as error:
        if not paths:  # tables of ours, in memory
            raise
        text = str(error)
        named = [str(p) for p in paths if str(p) in text] or [str(p) for p in paths]
        raise unreadable(", ".join(named[:3]), FORMATS["parquet"], error) from error


def batches_of(path: Path, columns: Sequence[str]) -> Any:
    """Yield the batches of some columns of a parquet file, one in memory at a time.

    Raises
    ------
    InvalidDataError
        If it is damaged.
    """
    with reading(path, FORMATS["parquet"]), pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=list(columns))
