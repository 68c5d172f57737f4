"""The process in which a user's SQL runs, started by the runner beside this file.

What keeps the query from doing harm, outermost first:

1. DuckDB has no access to files, addresses and extensions at all, and its settings are
   locked. It is not even given the paths of the edges (a path that it may read is one
   that it may write): pyarrow reads the files and hands over batches.
2. Exactly one statement of type SELECT is accepted, before anything runs, and nothing in
   it may get past that lock: see :mod:`pereggrn_data.loaders.network.sql.check`.
3. Time, memory, threads and rows are limited; and the operating system limits
   the process, because some functions of DuckDB heed neither its memory limit
   nor an interrupt. The parent kills it in the end.
"""

# ruff: noqa: S608 - statements are put together from constants
# ruff: noqa: E402 - something comes before libraries are imported

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from typing import Any, BinaryIO


class _NoPandas:
    """Stands in the way of pandas, which takes longer to import than all that is needed."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        """Say that pandas is not here; libraries that look for it do without."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoPandas)

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from pereggrn_data.core.format import UNWEIGHTED
from pereggrn_data.loaders.network.plan import NO_EDGES, unique_sql
from pereggrn_data.loaders.network.sql.check import SEES, RefusedError, checked

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("regulator", "target", "cell_type", "subnetwork")]
    + [("weight", pa.float64())]
)
BATCH = 50_000


def main() -> None:
    """Read a request from stdin, write the answer to stdout, and leave."""
    out = sys.stdout.buffer
    try:
        _answer(sys.stdin.buffer, out)
    except RefusedError as refused:
        out.write(b"refused\n" + json.dumps(refused.details).encode())
    except TimeoutError:
        out.write(b"slow\n")
    except MemoryError as error:
        out.write(b"refused\n" + json.dumps(_explained(error, {}).details).encode())
    except OSError as error:
        details = {"what": f"The edges cannot be read: {error}"}
        out.write(b"failed\n" + json.dumps(details).encode())
    with contextlib.suppress(BrokenPipeError):
        out.flush()
    # Nothing is worth waiting for: the parent has what it asked for.
    os._exit(0)


def _answer(request: BinaryIO, out: BinaryIO) -> None:
    head = json.loads(request.readline())
    limits = head["limits"]
    connection = locked_connection(head, request)
    # Before the statement is parsed, which a long one can make expensive.
    _limit_process(limits)
    finished, late = threading.Event(), threading.Event()

    def watch() -> None:
        # Repeated, because an interrupt between two steps of a query is lost.
        if not finished.wait(limits["seconds"]):
            late.set()
            while not finished.wait(0.2):
                connection.interrupt()

    threading.Thread(target=watch, daemon=True).start()
    try:
        table = _fetch(connection, checked(connection, head["sql"]), limits)
    except (duckdb.Error, MemoryError, pa.ArrowException) as error:
        if late.is_set():
            raise TimeoutError from None
        raise _explained(error, limits) from None
    finally:
        finished.set()
    out.write(b"result\n")
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def locked_connection(head: dict[str, Any], request: BinaryIO) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views of a request, which reaches nothing else."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{head['limits']['memory_mb']}MiB",
            "threads": head["limits"]["threads"],
            "temp_directory": "",
            "allow_persistent_secrets": False,
            "allow_community_extensions": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    _make_views(connection, head, request)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _make_views(
    connection: duckdb.DuckDBPyConnection, head: dict[str, Any], request: BinaryIO
) -> None:
    parts = []
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, source in enumerate(head["sources"]):
        if "path" in source:
            groups.setdefault(tuple(source["columns"]), []).append(source)
            continue
        name = f"stored_table_{number}"
        connection.register(name, _read_table(request, source["bytes"]))
        labels = f"stored_labels_{number}"
        connection.register(
            labels, pa.table({f"own_{k}": [source[k]] for k in ("network", "subnetwork")})
        )
        parts.append(_select(f"{name} CROSS JOIN {labels}", source["columns"]))
    for number, (columns, files) in enumerate(groups.items()):
        name = f"stored_files_{number}"
        connection.register(name, _dataset(columns, files))
        parts.append(_select(name, columns))
    stored = " UNION ALL ".join(parts or [NO_EDGES])
    connection.execute(f"CREATE TEMP VIEW edges AS {stored}")
    connection.execute(f"CREATE TEMP VIEW edges_unique AS {unique_sql('edges')}")
    for name, size in head["tables"].items():
        connection.register(name, _read_table(request, size))


def _read_table(request: BinaryIO, size: int) -> pa.Table:
    return pa.ipc.open_stream(request.read(size)).read_all()


def _dataset(columns: tuple[str, ...], files: list[dict[str, Any]]) -> ds.Dataset:
    """Return files with the same columns as one dataset that knows where each edge is from."""
    file_format, system = ds.ParquetFileFormat(), LocalFileSystem()
    fragments = [
        file_format.make_fragment(
            file["path"],
            filesystem=system,
            partition_expression=(ds.field("own_network") == file["network"])
            & (ds.field("own_subnetwork") == file["subnetwork"]),
        )
        for file in files
    ]
    fields = [SCHEMA.field(name) for name in columns]
    labels = [pa.field(f"own_{name}", pa.string()) for name in ("network", "subnetwork")]
    schema = pa.schema([*fields, *labels])
    return ds.FileSystemDataset(fragments, schema, file_format, system)


def _select(origin: str, columns: Any) -> str:
    weight = "nullif(weight::DOUBLE, 'nan'::DOUBLE)" if "weight" in columns else f"{UNWEIGHTED}"
    cell_type = "cell_type::VARCHAR" if "cell_type" in columns else "NULL::VARCHAR"
    subnetwork = "own_subnetwork"
    if "subnetwork" in columns:
        subnetwork = "coalesce(subnetwork::VARCHAR, own_subnetwork)"
    return f"""SELECT regulator::VARCHAR AS regulator, target::VARCHAR AS target,
      {weight}::DOUBLE AS weight, {cell_type} AS cell_type,
      own_network AS network, {subnetwork} AS subnetwork FROM {origin}"""


def _fetch(
    connection: duckdb.DuckDBPyConnection, statement: Any, limits: dict[str, Any]
) -> pa.Table:
    result: Any = connection.execute(statement)
    # DuckDB 2 has renamed the method.
    read = getattr(result, "to_arrow_reader", None) or result.fetch_record_batch
    batches, rows, size = [], 0, 0
    reader = read(BATCH)
    for batch in reader:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > limits["rows"]:
            raise RefusedError(
                f"The result has more than {limits['rows']:,} rows.",
                fix="add LIMIT or a condition, or raise --max-rows.",
            )
        if size > limits["memory_mb"] << 20:
            raise RefusedError(
                "The result is larger than the memory that the query may have.",
                fix="ask for less at a time, or raise --memory.",
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _explained(error: BaseException, limits: dict[str, Any]) -> RefusedError:
    if isinstance(error, (MemoryError, duckdb.OutOfMemoryException)):
        return RefusedError(
            "The query needs more memory than it may have.",
            expected=f"at most {limits['memory_mb']} MiB" if limits else "less",
            fix="ask for less at a time, or raise --memory.",
        )
    return RefusedError(f"The query failed: {error}", fix=SEES)


def _limit_process(limits: dict[str, Any]) -> None:
    """Have the operating system enforce what DuckDB may overlook."""
    import resource

    def lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_CPU, int(limits["seconds"] * (limits["threads"] + 2)) + 10)
    with contextlib.suppress(OSError):
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            used = int(file.read().split()[0]) * resource.getpagesize()
        lower(resource.RLIMIT_AS, used + (limits["memory_mb"] << 20) * 3 // 2 + (512 << 20))


if __name__ == "__main__":
    main()
