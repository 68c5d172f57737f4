"""A user's SQL: what it sees, what it cannot do, and that it ends.

The attack table is run three ways: against the check of the statement, against the
locked connection without that check (each layer has to hold alone), and as a whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pereggrn_data import Network, open_network
from pereggrn_data.core.errors import PereggrnError, UsageError
from pereggrn_data.loaders.network.sql.check import RefusedError, checked
from pereggrn_data.loaders.network.sql.child import locked_connection
from pereggrn_data.loaders.network.sql.runner import Limits, _request, run_sql
from pereggrn_data.pipelines.collection import query_networks

ONE_SELECT = "Only one SELECT statement is accepted"
NOT_IN_FROM = "is not allowed in FROM"
NOT_SQL = "The query is not SQL"
NO_TABLE = "does not exist, or may not be read"
NOT_A_NAME = "after WITH is one of DuckDB's own"
NOT_A_FUNCTION = r"The function \w+ is not allowed\."
NOT_SHOWN = "SHOW is accepted for a view only"

ATTACKS = [
    # reading
    ("SELECT * FROM read_csv('{secret}')", NOT_IN_FROM),
    ("SELECT * FROM read_text('{secret}')", NOT_IN_FROM),
    ("SELECT * FROM read_blob('/etc/passwd')", NOT_IN_FROM),
    ("SELECT * FROM glob('/etc/*')", NOT_IN_FROM),
    ("SELECT * FROM parquet_metadata('{net}')", NOT_IN_FROM),
    ("SELECT (SELECT count(*) FROM read_parquet('{net}'))", NOT_IN_FROM),
    ("SELECT * FROM read_parquet('https://example.org/x.parquet')", NOT_IN_FROM),
    ("SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')", NOT_IN_FROM),
    ("FROM sniff_csv('{secret}')", NOT_IN_FROM),
    # writing
    ("COPY (SELECT 1) TO '{net}' (use_tmp_file false)", ONE_SELECT),
    ("COPY edges TO '{folder}/new.parquet'", ONE_SELECT),
    ("EXPORT DATABASE '{folder}/dump'", ONE_SELECT),
    ("INSERT INTO edges VALUES ('a', 'b', 1, NULL, 'n', 's')", ONE_SELECT),
    ("CREATE TABLE t AS SELECT 1", ONE_SELECT),
    ("DROP VIEW edges", ONE_SELECT),
    ("SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/log')", NOT_IN_FROM),
    ("CALL enable_logging(storage = 'file', storage_path = '{folder}/log')", ONE_SELECT),
    # a SELECT that writes, as DuckDB 2 has it; 1.4 does not parse it
    (
        "WITH x AS (COPY (SELECT 1) TO '{net}' (use_tmp_file false)) SELECT * FROM x",
        f"contains COPY|{NOT_SQL}",
    ),
    (
        "WITH x AS (INSERT INTO edges VALUES (1) RETURNING *) SELECT * FROM x",
        f"contains INSERT|{NOT_SQL}",
    ),
    ("WITH x AS (DELETE FROM edges RETURNING *) SELECT 1", f"contains DELETE|{NOT_SQL}"),
    (
        "SELECT (WITH x AS (COPY (SELECT 1) TO '{net}') SELECT count(*) FROM x)",
        f"contains COPY|{NOT_SQL}",
    ),
    (
        "FROM query('WITH x AS (COPY (SELECT 1) TO ''{net}'' (use_tmp_file false)) FROM x')",
        NOT_IN_FROM,
    ),
    # other databases, extensions, settings
    ("ATTACH ':memory:' AS other", ONE_SELECT),
    ("ATTACH '{folder}/x.db'", ONE_SELECT),
    ("INSTALL httpfs", ONE_SELECT),
    ("LOAD httpfs", ONE_SELECT),
    ("SET threads = 64", ONE_SELECT),
    ("SET enable_external_access = true", ONE_SELECT),
    ("RESET lock_configuration", ONE_SELECT),
    ("PRAGMA threads = 64", ONE_SELECT),
    ("PRAGMA database_list", f"{ONE_SELECT}|{NOT_IN_FROM}|contains"),
    ("SELECT * FROM pragma_database_list()", NOT_IN_FROM),
    ("CHECKPOINT", ONE_SELECT),
    ("SELECT * FROM checkpoint()", NOT_IN_FROM),
    # what is in the database beside the edges: settings, catalog, log, variables
    ("SELECT * FROM stored_files_0", NO_TABLE),
    ("SELECT * FROM memory.main.edges", NO_TABLE),
    ("SELECT * FROM main.edges", NO_TABLE),
    ("SELECT * FROM obs", NO_TABLE),
    ("SELECT * FROM pg_catalog.pg_settings", NO_TABLE),
    ('SELECT * FROM "PG_SETTINGS"', NO_TABLE),
    ("DESCRIBE pg_settings", NO_TABLE),
    ("SUMMARIZE pg_settings", NO_TABLE),
    ("TABLE information_schema.tables", NO_TABLE),
    ("FROM sqlite_master", NO_TABLE),
    ("FROM duckdb_logs", NO_TABLE),
    ("FROM duckdb_settings", NO_TABLE),
    ("SELECT 1 WHERE EXISTS (FROM duckdb_views)", NO_TABLE),
    ("PIVOT duckdb_settings ON name IN ('threads') USING any_value(value)", NO_TABLE),
    ("FROM duckdb_views()", NOT_IN_FROM),
    ("FROM duckdb_functions()", NOT_IN_FROM),
    ("FROM duckdb_columns()", NOT_IN_FROM),
    ("FROM duckdb_settings()", NOT_IN_FROM),
    # within its own definition, and elsewhere, the name means the hidden table
    ("WITH pg_settings AS (FROM pg_settings) FROM pg_settings", NOT_A_NAME),
    ("SELECT * FROM (WITH stored_files_0 AS (SELECT 1) SELECT 1), stored_files_0", NOT_A_NAME),
    ("SHOW TABLES", NOT_SHOWN),
    ("SHOW ALL TABLES", NOT_SHOWN),
    ("SHOW DATABASES", NOT_SHOWN),
    ("SHOW memory_limit", f"{NOT_SHOWN}|{NO_TABLE}"),
    ("FROM (SHOW TABLES)", NOT_SHOWN),
    ("SELECT current_setting('memory_limit')", NOT_A_FUNCTION),
    ("SELECT system.main.\"Current_Setting\"('memory_limit')", NOT_A_FUNCTION),
    ("SELECT 'memory_limit'.current_setting()", f"{NOT_A_FUNCTION}|{NOT_SQL}"),
    ("SELECT list_transform(['threads'], lambda x: current_setting(x))", NOT_A_FUNCTION),
    ("SELECT 1 FROM edges ORDER BY getvariable('x')", NOT_A_FUNCTION),
    ("SELECT write_log('x')", NOT_A_FUNCTION),
    ("SELECT nextval('s')", NOT_A_FUNCTION),
    ("SELECT currval('s')", NOT_A_FUNCTION),
    ("SELECT current_database()", NOT_A_FUNCTION),
    ("SELECT pg_get_viewdef(1)", NOT_A_FUNCTION),
    ("SELECT * FROM range(current_setting('threads'))", NOT_A_FUNCTION),
    # several statements, none, or none that parses
    ("SELECT 1; SELECT 2", ONE_SELECT),
    ("SELECT 1; DROP VIEW edges", ONE_SELECT),
    ("", ONE_SELECT),
    (" ; -- nothing", ONE_SELECT),
    ("SELECT", NOT_SQL),
    ("' OR '1'='1", NOT_SQL),
    ("EXPLAIN ANALYZE SELECT 1", ONE_SELECT),
    ("PREPARE p AS SELECT 1", ONE_SELECT),
]

HARMLESS = [
    "SELECT * FROM edges;",
    "FROM edges_unique",
    "TABLE edges",
    "VALUES (1), (2)",
    "DESCRIBE edges",
    "SHOW edges",
    "SUMMARIZE edges",
    "FROM (DESCRIBE edges_unique)",
    'SELECT * FROM "EDGES" AS e, Edges_Unique',
    "WITH tables AS (FROM edges), edges AS (FROM tables) SELECT * FROM edges, tables",
    "WITH a AS MATERIALIZED (FROM edges) SELECT * FROM a JOIN (WITH b AS (FROM a) FROM b) USING "
    "(target)",
    "WITH RECURSIVE t(x, y) USING KEY (x) AS (SELECT 1, 2 UNION SELECT r.x, r.y + 1 FROM "
    "recurring.t r WHERE r.y < 4) FROM t",
    "SELECT log(2), pg_typeof(weight), random(), current_user, upper(target) FROM edges",
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t WHERE x < 5) FROM t",
    "PIVOT edges ON target IN ('x') USING sum(weight)",
    "SELECT regulator, list(target), row_number() OVER () FROM edges GROUP BY ALL",
    "SELECT * FROM range(3) r, unnest([1, 2]) u",
    "SELECT 1 UNION SELECT 2 EXCEPT SELECT 3",
    "SELECT 'DROP TABLE edges; COPY' AS \"it's; fine\"",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("it's a [folder]")
    net = folder / "all.parquet"
    pd.DataFrame({"regulator": ["A", "B", "A"], "target": ["x", "x", "x"]}).to_parquet(net)
    secret = folder / "secret.csv"
    secret.write_text("password\nhunter2\n")
    return {"folder": folder, "net": net, "secret": secret}


def state(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def locked(place: dict[str, Path]) -> Iterator[Any]:
    """A connection as the query's process has it; for statements that do no harm to it."""
    yield from connect(place)


@pytest.fixture
def attacked(place: dict[str, Path]) -> Iterator[Any]:
    """One of its own for every attack."""
    yield from connect(place)


def connect(place: dict[str, Path]) -> Iterator[Any]:
    request = io.BytesIO(
        _request("", Network.from_parquet(place["net"]).sources, {}, Limits(memory_mb=256))
    )
    connection = locked_connection(json.loads(request.readline()), request)
    yield connection
    connection.close()


def written(attack: str, place: dict[str, Path]) -> str:
    quoted = {name: str(path).replace("'", "''") for name, path in place.items()}
    return attack.format(**quoted)


@pytest.mark.parametrize(("attack", "message"), ATTACKS)
def test_the_statement_is_refused_before_it_runs(
    attack: str, message: str, place: dict[str, Path], locked: Any
) -> None:
    before = state(place["folder"])
    with pytest.raises(RefusedError, match=message):
        checked(locked, written(attack, place))
    assert state(place["folder"]) == before


@pytest.mark.parametrize("attack", [attack for attack, _ in ATTACKS])
def test_the_connection_alone_lets_nothing_be_read_or_written(
    attack: str, place: dict[str, Path], attacked: Any
) -> None:
    before = state(place["folder"])
    sql = written(attack, place)
    try:
        # The second line of defence is tested without the first.
        result = attacked.execute(sql)
        found = str(result.fetchall() if result else None)
    except duckdb.Error as error:
        found = str(error)
    assert "hunter2" not in found
    assert "root:" not in found
    assert state(place["folder"]) == before


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless_statements_run(sql: str, locked: Any) -> None:
    assert locked.execute(checked(locked, sql)).fetchall()


def test_a_name_after_with_does_not_show_a_setting(locked: Any) -> None:
    sql = "WITH memory_limit AS (SELECT 1 AS mine) FROM (SHOW memory_limit)"
    if duckdb.__version__.startswith("1."):
        # It describes the user's own table there.
        assert locked.execute(checked(locked, sql)).fetchall()[0][0] == "mine"
        return
    with pytest.raises(RefusedError, match=NOT_SHOWN):
        checked(locked, sql)


HARMLESS_FUNCTIONS = {
    # time, chance, and what says something about the argument only
    "current_date", "current_localtime", "current_localtimestamp", "error", "gen_random_uuid",
    "get_current_time", "get_current_timestamp", "now", "random", "stats", "today",
    "transaction_timestamp", "uuid", "uuidv4", "uuidv7", "vector_type",
}  # fmt: skip


def test_every_function_with_a_state_is_refused_or_known_to_be_harmless() -> None:
    """Asks the installed DuckDB, so that a new version cannot add one unnoticed."""
    with duckdb.connect() as connection:
        found = connection.execute(
            r"""SELECT DISTINCT function_name FROM duckdb_functions()
            WHERE (function_type = 'scalar' AND (has_side_effects OR stability <> 'CONSISTENT'))
               OR (function_type = 'macro' AND regexp_matches(macro_definition,
                   'duckdb_\w*\(|pg_catalog|current_setting|getvariable|sleep_|main.current'))"""
        ).fetchall()
        names = {name for (name,) in found} - HARMLESS_FUNCTIONS
        assert names >= {"current_schema", "nextval", "pg_get_viewdef", "write_log"}
        for name in sorted(names):
            with pytest.raises(RefusedError, match=NOT_A_FUNCTION):
                checked(connection, f"SELECT {name}(1)")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("WITH x AS (COPY (SELECT 1) TO '{net}' (use_tmp_file false)) FROM x", "COPY|not SQL"),
        ("COPY (SELECT 1) TO '{net}' (use_tmp_file false)", ONE_SELECT),
        ("SELECT * FROM '{net}'", NO_TABLE),
        ("SELECT * FROM edges, nowhere", "nowhere does not exist"),
        ("SELECT current_setting('memory_limit')", NOT_A_FUNCTION),
        ("SELECT * FROM edges WHERE target = ?", "parameters"),
        ("SELECT '\ud800'", "not valid Unicode"),
    ],
)
def test_from_outside_attacks_are_usage_errors(
    attack: str, message: str, place: dict[str, Path]
) -> None:
    before = state(place["folder"])
    with pytest.raises(UsageError, match=message):
        run_sql(written(attack, place), Network.from_parquet(place["net"]).sources)
    assert state(place["folder"]) == before


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT count(*) FROM range(1000000000000)", "stopped after 1 second"),
        # Heeds no interrupt: the process is killed.
        ("SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))", "stopped after 1 second"),
        ("SELECT length(repeat('x', 4000000000))", "more memory"),
        ("SELECT len(range(300000000))", "more memory"),
        ("SELECT list(x) FROM range(1000000000) t(x)", "more memory|stopped after"),
        ("SELECT * FROM range(2000)", "more than 1,000 rows"),
    ],
)
def test_queries_that_take_too_much_are_stopped(
    sql: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pereggrn_data.loaders.network.sql.runner.GRACE_SECONDS", 2.5)
    start = time.monotonic()
    with pytest.raises(UsageError, match=message):
        run_sql(sql, [], limits=Limits(seconds=1, memory_mb=256, threads=1, rows=1000))
    assert time.monotonic() - start < 20


def test_answers_equal_the_network(tmp_path: Path) -> None:
    frames = {
        "one": pd.DataFrame({"regulator": ["A", "A"], "target": ["x", "y"], "weight": [1, -3]}),
        "two": pd.DataFrame({"regulator": ["A"], "target": ["x"], "cell_type": ["T"]}),
        "three": pd.DataFrame({"regulator": ["A"], "target": ["x"], "weight": [-2.5]}),
    }
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    files = Network.from_parquet(tmp_path, name="files")
    table = Network.from_table(pd.DataFrame({"regulator": ["é'"], "target": ["x"]}), name="memory")
    sources = [*files.sources, *table.sources]
    stored = run_sql("FROM edges ORDER BY ALL", sources)
    assert stored.column_names == [
        "regulator", "target", "weight", "cell_type", "network", "subnetwork"
    ]  # fmt: skip
    assert stored.num_rows == 5
    unique = run_sql("FROM edges_unique ORDER BY ALL", sources).to_pandas()
    expected = files.union(table).edges()
    assert sorted(
        zip(unique["regulator"], unique["weight"], unique["subnetwork"], strict=True)
    ) == (
        sorted(zip(expected["regulator"], expected["weight"], expected["subnetwork"], strict=True))
    )
    assert unique.set_index("network").loc["memory", "regulator"] == "é'"


def test_datasets_are_seen_as_obs_and_var() -> None:
    table = query_networks(
        "SELECT (SELECT count(*) FROM obs WHERE is_control) AS controls, count(DISTINCT gene) "
        "AS genes, any_value(dataset) AS dataset FROM var",
        [],
        datasets=["demo"],
    )
    import pereggrn_data

    demo = pereggrn_data.load("demo")
    assert table.to_pylist() == [
        {"controls": int(demo.obs["is_control"].sum()), "genes": demo.n_vars, "dataset": "demo"}
    ]


def test_computed_networks_have_to_be_written_first() -> None:
    net = Network.from_table(pd.DataFrame({"regulator": ["A"], "target": ["x"]}))
    with pytest.raises(UsageError, match="computed, not stored"):
        query_networks("FROM edges", [net.unique()])
    assert query_networks("FROM edges", [net]).num_rows == 1
    assert query_networks("FROM edges", ["empty"]).num_rows == 0


def test_limits_are_above_zero_and_make_sense() -> None:
    assert asdict(Limits())["seconds"] == 30
    assert Limits(86_400, 2**24, 1024).threads == 1024
    nonsense: list[tuple[str, Any]] = [
        ("rows", 0),
        ("rows", 1.5),
        ("seconds", float("inf")),
        ("seconds", float("nan")),
        ("seconds", 1e308),
        ("seconds", 86_401),
        ("seconds", "x"),
        ("memory_mb", 99_999_999_999_999),
        ("memory_mb", None),
        ("threads", 100_000),
        ("threads", True),
    ]
    for name, value in nonsense:
        with pytest.raises(UsageError, match=f"The limit {name} is "):
            Limits(**{name: value})


def test_files_that_vanish_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    pd.DataFrame({"regulator": ["A"], "target": ["x"]}).to_parquet(path)
    net = Network.from_parquet(path)
    path.unlink()
    with pytest.raises(PereggrnError):
        run_sql("FROM edges", net.sources)


@pytest.mark.shared
def test_sql_over_real_networks_equals_pandas(shared: Path) -> None:
    collection = str(shared / "data")
    found = query_networks(
        "SELECT network, count(*)::BIGINT AS n, count(DISTINCT regulator)::BIGINT AS r FROM edges "
        "GROUP BY network ORDER BY network",
        ["encode-nets_human", "trrust_human"],
        collection=collection,
    )
    for row in found.to_pylist():
        net = open_network(row["network"], collection=collection)
        assert (row["n"], row["r"]) == (net.n_edges, len(net.regulators()))
    assert isinstance(found, pa.Table)


def test_times_need_no_further_package(tmp_path: Path) -> None:
    """DuckDB's own conversion of time stamps wants pytz, which nothing here installs."""
    edges = pa.table({"regulator": ["A"], "target": ["B"]})
    path = tmp_path / "edges.parquet"
    parquet.write_table(edges, path)
    found = query_networks("SELECT now() AS t FROM edges", [path])
    assert found.num_rows == 1
    assert found.column("t").to_pylist()[0].year >= 2024
