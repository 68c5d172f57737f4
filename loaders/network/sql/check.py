"""Accept a user's SQL only if it is one SELECT that reads the edges and nothing else.

Since DuckDB 2.0 a SELECT may contain a COPY or an INSERT, and in every version it
can read settings, the catalog of the database and its log. So the parsed statement
is searched before it runs. Tables, table functions and kinds of nodes have to be on
a list of what is allowed; functions of values, of which there are hundreds, must not be
on a list of those that read or change anything but their arguments.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

VIEWS = ("edges", "edges_unique")
SEES = "the query sees edges, edges_unique and, where a dataset is named, obs and var."
QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
TABLE_FUNCTIONS = {
    "unnest", "range", "generate_series", "repeat", "json_each", "json_tree",
}  # fmt: skip
STATEFUL = {
    # settings and variables
    "current_setting", "set_config", "getvariable", "getenv", "get_block_size",
    # the log, sequences, the random numbers of other queries, the process
    "write_log", "nextval", "currval", "lastval", "setval", "setseed", "sleep_ms",
    # the database, its connections and its catalog
    "current_catalog", "current_connection_id", "current_database", "current_query",
    "current_query_id", "current_schema", "current_schemas", "current_transaction_id",
    "format_type", "in_search_path", "txid_current",
    # statements in text
    "json_execute_serialized_sql", "query", "query_table",
}  # fmt: skip
"""Functions that depend on, or change, more than their arguments (DuckDB 1.4 to 2.0)."""
STATEFUL_PREFIXES = ("pg_", "duckdb_", "pragma_")
ARGUMENTS_ONLY = {"pg_typeof", "pg_size_pretty"}
"""Harmless functions whose names begin with one of the prefixes."""


class RefusedError(Exception):
    """The query is not accepted, or failed; the arguments are those of UsageError."""

    def __init__(self, what: str, **details: str) -> None:
        super().__init__(what)
        self.details = {"what": what, **details}


def checked(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str] = VIEWS
) -> Any:
    """Return the one harmless SELECT that `sql` is.

    Parameters
    ----------
    connection
        Where it will run.
    sql
        What the user wrote.
    tables
        What it may read.

    Raises
    ------
    RefusedError
        If it is anything else.
    """
    try:
        statements = connection.extract_statements(sql)
        text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
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
    nodes = list(_nodes(tree))
    own = _own_names(nodes, _taken(connection) - set(tables))
    for node in nodes:
        _check_kind(node)
        _check_table(node, tables, own)
        _check_function(node)
    return statements[0]


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a parsed statement."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _nodes(item)


def _taken(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names that stand for a table or view without a schema before them."""
    # Those of information_schema, such as "tables", mean nothing without it.
    rows = connection.execute(
        "SELECT lower(view_name) FROM duckdb_views() WHERE schema_name <> 'information_schema' "
        "UNION SELECT lower(table_name) FROM duckdb_tables()"
    ).fetchall()
    return {name for (name,) in rows}


def _own_names(nodes: list[dict[str, Any]], taken: set[str]) -> set[str]:
    """Return the names that WITH gives, none of which may be that of something hidden.

    Outside its scope, and in its own definition, such a name would mean the hidden table.
    """
    own = {
        str(entry["key"]).lower()
        for node in nodes
        if isinstance(node.get("cte_map"), dict)
        for entry in node["cte_map"]["map"]
    }
    if hidden := sorted(own & taken):
        raise RefusedError(
            f"The name {hidden[0]} after WITH is one of DuckDB's own.", fix="choose another name."
        )
    return own


def _check_kind(node: dict[str, Any]) -> None:
    kind = str(node.get("type"))
    if kind.endswith("_NODE") and kind not in QUERY_NODES:
        raise RefusedError(
            f"The query contains {kind.split('_')[0]}, and only reading is allowed.", fix=SEES
        )


def _check_table(node: dict[str, Any], tables: Collection[str], own: set[str]) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name"))
        if name.lower() not in TABLE_FUNCTIONS:
            raise RefusedError(
                f"The function {name} is not allowed in FROM.",
                expected=f"a view, or one of {', '.join(sorted(TABLE_FUNCTIONS))}",
                fix=SEES,
            )
    if kind == "SHOW_REF" and not node.get("query"):
        # SHOW shows settings as well; a name that WITH gives does not change that.
        name = str(node.get("table_name")).strip('"')
        if name.lower() not in tables or node.get("schema_name") or node.get("catalog_name"):
            raise RefusedError(
                "SHOW is accepted for a view only.", expected=f"DESCRIBE {VIEWS[0]}", fix=SEES
            )
    if kind == "BASE_TABLE":
        given = [node.get("catalog_name"), node.get("schema_name"), node.get("table_name")]
        path = [str(part) for part in given if part]
        known = path[-1].lower() in {*tables, *own} if path else False
        # In a recursive query, recurring.NAME stands for all rows found so far.
        recurring = len(path) == 2 and path[0].lower() == "recurring" and path[1].lower() in own
        if not (recurring or (known and len(path) == 1)):
            raise RefusedError(
                f"The table {'.'.join(path)} does not exist, or may not be read.",
                expected=f"one of {', '.join(tables)}, without a schema before it",
                fix=SEES,
            )


def _check_function(node: dict[str, Any]) -> None:
    name = str(node.get("function_name", "")).lower()
    refused = name in STATEFUL or name.startswith(STATEFUL_PREFIXES)
    if refused and name not in ARGUMENTS_ONLY:
        raise RefusedError(
            f"The function {name} is not allowed.",
            expected="functions of their arguments, without access to settings or the database",
            fix=SEES,
        )
