"""Run our own statements over the plan of a network."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.network.frames import BATCH
from pereggrn_data.loaders.network.plan import Plan
from pereggrn_data.loaders.network.scope import Keys, Scope, run_in

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation


class NetworkQuery:
    """A plan, a name and a connection, which is opened when it is first used."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan = plan
        self.name = name

    def __getstate__(self) -> dict[str, Any]:
        # A connection cannot be sent to another process; the plan can.
        return {"_plan": self._plan, "name": self.name}

    def _ask(
        self,
        statement: str,
        *,
        plan: Plan | None = None,
        raw: bool = False,
        others: dict[str, Plan] | None = None,
    ) -> tuple[DuckDBPyRelation, DuckDBPyConnection]:
        """Prepare a question to the relation ``edges``.

        Parameters
        ----------
        statement
            SQL of ours, without any value in it.
        plan
            What ``edges`` is, if not this network.
        raw
            Whether duplicates may remain in ``edges``.
        others
            Further relations.

        Returns
        -------
        relation, cursor
            The relation is lazy, and is usable as long as the cursor is kept.
        """
        scope = Scope()
        parts = {"edges": plan or self._plan, **(others or {})}
        relations = [
            f"{name} AS {p.raw_sql(scope, Keys()) if raw else p.sql(scope, Keys())}"
            for name, p in parts.items()
        ]
        cursor = self._connection.cursor()
        return run_in(cursor, scope, f"WITH {', '.join(relations)} {statement}"), cursor

    def _table(self, statement: str, **how: Any) -> pa.Table:
        relation, _cursor = self._ask(statement, **how)
        return relation.to_arrow_table()

    def _batches(self, statement: str, **how: Any) -> tuple[pa.RecordBatchReader, Any]:
        """Stream an answer; the cursor that is returned as well must be kept meanwhile."""
        relation, cursor = self._ask(statement, **how)
        read = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
        return read(BATCH), cursor

    def _column(self, statement: str, **how: Any) -> list[Any]:
        return list(self._table(statement, **how).column(0).to_pylist())

    @cached_property
    def _connection(self) -> DuckDBPyConnection:
        import duckdb

        # Large sorts may spill, but not into the working directory.
        spill = Path(tempfile.gettempdir()) / f"pereggrn-networks-{os.getpid()}"
        connection = duckdb.connect(":memory:", config={"temp_directory": str(spill)})
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute("SET python_enable_replacements = false")
        return connection


def check_network(value: object) -> None:
    """Check that something is a network.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not isinstance(value, NetworkQuery):
        raise UsageError(
            "This is not a network.",
            expected="a Network, as open_network returns it",
            got=f"a value of type {type(value).__name__}",
            fix="open it first: pereggrn_data.open_network(...).",
        )
