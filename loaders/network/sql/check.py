"""Accept a user's SQL only if it is one SELECT that writes nothing and runs no other text.

Two attacks pass a locked connection and are stopped here, on the parsed statement:

- A SELECT may contain a statement that writes (since DuckDB 2.0: ``WITH x AS (COPY …)``),
  so its nodes have to be those of queries.
- Some functions in FROM do more than make rows: ``enable_logging`` changes a setting that
  is locked (DuckDB 1), ``pandas_scan`` and ``python_map_function`` take addresses in
  memory and end the process, ``query`` and ``json_execute_serialized_sql`` run text that
  nobody has looked at. So functions in FROM have to be among a few that only make rows.

Everything else is left to the connection. Settings and the catalog of the database can be
read: they say nothing that whoever may run a query does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

SEES = "the query sees edges, edges_unique and, where a dataset is named, obs and var."
QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
ROW_FUNCTIONS = {"unnest", "range", "generate_series", "repeat", "json_each", "json_tree"}


class RefusedError(Exception):
    """The query is not accepted, or failed; the arguments are those of UsageError."""

    def __init__(self, what: str, **details: Any) -> None:
        super().__init__(what)
        # DuckDB answers in several lines, with a mark below the place that it means.
        first, *others = what.splitlines()
        self.details = {"what": first, "details": [line for line in others if line], **details}


def checked(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """Return the one SELECT that `sql` is.

    Parameters
    ----------
    connection
        Where it will run.
    sql
        What the user wrote.

    Returns
    -------
    duckdb.Statement
        The parsed statement, to be executed.

    Raises
    ------
    RefusedError
        If it is anything else.
    duckdb.OutOfMemoryException
        If parsing needs more memory than it may have.
    """
    try:
        statements = connection.extract_statements(sql)
        text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise RefusedError(f"The query is not SQL: {error}") from None
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        raise RefusedError(
            "Only one SELECT statement is accepted.",
            expected="one statement that reads: SELECT …",
            got=f"{', '.join(kinds)} ({len(kinds)} in all)" if kinds else "no statement",
            fix=SEES,
        )
    tree = json.loads(text[0]) if text else {}
    if tree.get("error", True):
        raise RefusedError(
            "Only one SELECT statement is accepted.", got=str(tree.get("error_message")), fix=SEES
        )
    for node in _nodes(tree):
        _check_node(node)
    return statements[0]


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a parsed statement, however deep it is nested."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_node(node: dict[str, Any]) -> None:
    kind = str(node.get("type"))
    if kind.endswith("_NODE") and kind not in QUERY_NODES:
        raise RefusedError(
            f"The query contains {kind.split('_')[0]}, and only reading is allowed.", fix=SEES
        )
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name"))
        if name.lower() not in ROW_FUNCTIONS:
            raise RefusedError(
                f"The function {name} is not allowed in FROM.",
                expected=f"a view, or one of {', '.join(sorted(ROW_FUNCTIONS))}",
                fix=SEES,
            )
