"""A user's SQL: what it sees, what it cannot do, and that it ends.

Three layers keep a query from doing harm, and each is tested without the others: the check
of the statement, the locked connection, and the limits of the process. The tables below say
which of them stops an attack, and run against whatever DuckDB is installed.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
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
from pereggrn_data.loaders.network.sql.runner import CHILD, Limits, _request, run_sql
from pereggrn_data.pipelines.collection import query_networks

ONE_SELECT = "Only one SELECT statement is accepted"
NOT_IN_FROM = "is not allowed in FROM"
NOT_SQL = "The query is not SQL"

REFUSED = [
    # reading and listing files
    ("SELECT * FROM read_csv('{secret}')", NOT_IN_FROM),
    ("SELECT * FROM read_csv('/etc/passwd', header = false, sep = '|')", NOT_IN_FROM),
    ("SELECT * FROM read_text('{secret}')", NOT_IN_FROM),
    ("SELECT * FROM read_blob('/etc/passwd')", NOT_IN_FROM),
    ("SELECT * FROM read_json('{secret}')", NOT_IN_FROM),
    ("SELECT * FROM glob('/etc/*')", NOT_IN_FROM),
    ("SELECT * FROM parquet_metadata('{net}')", NOT_IN_FROM),
    ("SELECT * FROM parquet_schema('{net}')", NOT_IN_FROM),
    ("SELECT (SELECT count(*) FROM read_parquet('{net}'))", NOT_IN_FROM),
    ("SELECT * FROM read_parquet('https://example.org/x.parquet')", NOT_IN_FROM),
    ("SELECT * FROM sqlite_scan('{folder}/x.db', 't')", NOT_IN_FROM),
    ("FROM sniff_csv('{secret}')", NOT_IN_FROM),
    ("COPY edges FROM '{secret}'", ONE_SELECT),
    ("IMPORT DATABASE '{folder}'", f"{ONE_SELECT}|{NOT_SQL}"),  # DuckDB 1 looks for the file
    # SQL in text, which the check of the statement does not see
    ("SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')", NOT_IN_FROM),
    ("SELECT * FROM query_table('{secret}')", NOT_IN_FROM),
    (
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))",
        NOT_IN_FROM,
    ),
    # writing
    ("COPY (SELECT 1) TO '{net}' (use_tmp_file false)", ONE_SELECT),
    ("COPY edges TO '{folder}/new.parquet'", ONE_SELECT),
    ("EXPORT DATABASE '{folder}/dump'", ONE_SELECT),
    ("INSERT INTO edges VALUES ('a', 'b', 1, NULL, 'n', 's')", ONE_SELECT),
    ("UPDATE edges SET weight = 0", ONE_SELECT),
    ("CREATE TABLE t AS SELECT 1", ONE_SELECT),
    ("CREATE MACRO m() AS 1", ONE_SELECT),
    ("DROP VIEW edges", ONE_SELECT),
    # a SELECT that writes, as DuckDB 2 has it; 1 does not parse it
    (
        "WITH x AS (COPY (SELECT 1) TO '{net}' (use_tmp_file false)) SELECT * FROM x",
        f"contains COPY|{NOT_SQL}",
    ),
    (
        "WITH x AS (INSERT INTO edges VALUES (1) RETURNING *) SELECT * FROM x",
        f"contains INSERT|{NOT_SQL}",
    ),
    (
        "WITH x AS (UPDATE edges SET weight = 0 RETURNING *) SELECT * FROM x",
        f"contains UPDATE|{NOT_SQL}",
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
    # other databases, extensions, secrets, settings
    ("ATTACH ':memory:' AS other", ONE_SELECT),
    ("ATTACH '{folder}/x.db'", ONE_SELECT),
    ("USE memory", ONE_SELECT),
    ("INSTALL httpfs", ONE_SELECT),
    ("INSTALL x FROM '{folder}'", ONE_SELECT),
    ("LOAD httpfs", ONE_SELECT),
    ("LOAD '{folder}/x.duckdb_extension'", ONE_SELECT),
    ("CREATE SECRET s (TYPE s3, KEY_ID 'a')", ONE_SELECT),
    ("FROM duckdb_secrets()", NOT_IN_FROM),
    ("FROM duckdb_extensions()", NOT_IN_FROM),
    ("SET threads = 64", ONE_SELECT),
    ("SET enable_external_access = true", ONE_SELECT),
    ("RESET lock_configuration", ONE_SELECT),
    ("PRAGMA threads = 64", ONE_SELECT),
    ("PRAGMA enable_profiling", ONE_SELECT),
    ("PRAGMA database_list", f"{ONE_SELECT}|{NOT_IN_FROM}|contains"),
    ("SELECT * FROM pragma_version()", NOT_IN_FROM),
    ("CHECKPOINT", ONE_SELECT),
    ("SELECT * FROM checkpoint()", NOT_IN_FROM),
    # several statements, none, or none that parses
    ("SELECT 1; SELECT 2", ONE_SELECT),
    ("SELECT 1; DROP VIEW edges", ONE_SELECT),
    ("", ONE_SELECT),
    (" ; -- nothing", ONE_SELECT),
    ("SELECT", NOT_SQL),
    ("' OR '1'='1", NOT_SQL),
    ("EXPLAIN ANALYZE SELECT 1", ONE_SELECT),
    ("PREPARE p AS SELECT 1", ONE_SELECT),
    ("SELECT " + "NOT " * 50_000 + "true", NOT_SQL),
]
"""Stopped by the check of the statement; nothing is read or written without it, either."""

ONLY_REFUSED = [
    # DuckDB 1 changes the setting although it is locked, and every later query fails.
    ("SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/log')", NOT_IN_FROM),
    ("CALL enable_logging(storage = 'file', storage_path = '{folder}/log')", ONE_SELECT),
    # Both take addresses in memory; with these ones DuckDB 1 ends the process.
    ("SELECT * FROM pandas_scan(NULL)", NOT_IN_FROM),
    ("SELECT * FROM python_map_function((SELECT 1), NULL, NULL)", NOT_IN_FROM),
    ("SELECT * FROM arrow_scan(NULL, NULL, NULL)", NOT_IN_FROM),
]
"""Stopped by the check of the statement, which is needed for them: the lock is not enough."""

LOCKED_OUT = [
    ("SELECT * FROM '{net}'", "disabled by configuration"),
    ("SELECT * FROM '{secret}'", "disabled by configuration"),
    ("SUMMARIZE '{secret}'", "disabled by configuration"),
    ("WITH a AS (FROM '{secret}') SELECT 1 FROM a", "disabled by configuration"),
    ("FROM '/etc/passwd'", "does not exist"),
    ("FROM 'https://example.org/x.csv'", "disabled by configuration"),
    ("SELECT * FROM place", "does not exist"),  # a variable of Python
    ("SELECT getenv('HOME')", "does not exist|not in the catalog"),
    ("SELECT set_config('threads', '64', false)", "does not exist|locked|No function"),
    ("SELECT nextval('s')", "does not exist"),
    ("SELECT read_text('{secret}')", "does not exist|table function"),
]
"""Stopped by the locked connection; the check of the statement has no say."""

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
    # a pattern over which other engines than DuckDB's take forever
    "SELECT regexp_matches(repeat('a', 5000), '(a*)*b')",
    # settings and the catalog are no secret
    "SELECT current_setting('memory_limit'), getvariable('x'), current_database()",
    "FROM pg_settings",
    "SHOW TABLES",
    "FROM (SHOW TABLES)",
    "DESCRIBE pg_settings",
    "TABLE information_schema.tables",
    "WITH pg_settings AS (FROM pg_settings) FROM pg_settings",
    "SELECT write_log('x')",
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


@pytest.mark.parametrize(("attack", "message"), REFUSED + ONLY_REFUSED)
def test_the_statement_is_refused_before_it_runs(
    attack: str, message: str, place: dict[str, Path], locked: Any
) -> None:
    before = state(place["folder"])
    with pytest.raises(RefusedError, match=message):
        checked(locked, written(attack, place))
    assert state(place["folder"]) == before


@pytest.mark.parametrize("attack", [attack for attack, _ in REFUSED])
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


@pytest.mark.parametrize(("attack", "message"), LOCKED_OUT)
def test_the_connection_refuses_what_the_check_lets_pass(
    attack: str, message: str, place: dict[str, Path], attacked: Any
) -> None:
    before = state(place["folder"])
    statement = checked(attacked, written(attack, place))
    with pytest.raises(duckdb.Error, match=message):
        attacked.execute(statement).fetchall()
    assert state(place["folder"]) == before


@pytest.mark.parametrize(
    ("setting", "value"),
    [("enable_external_access", "false"), ("lock_configuration", "true"), ("temp_directory", "")],
)
def test_the_connection_is_locked(setting: str, value: str, locked: Any) -> None:
    (found,) = locked.execute(f"SELECT current_setting('{setting}')::VARCHAR").fetchone()
    assert found == value


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless_statements_run(sql: str, locked: Any) -> None:
    assert locked.execute(checked(locked, sql)).fetchall()


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("WITH x AS (COPY (SELECT 1) TO '{net}' (use_tmp_file false)) FROM x", "COPY|not SQL"),
        ("COPY (SELECT 1) TO '{net}' (use_tmp_file false)", ONE_SELECT),
        ("SELECT * FROM '{net}'", "disabled by configuration"),
        ("SELECT * FROM edges, nowhere", "nowhere does not exist"),
        ("SELECT * FROM pandas_scan(NULL)", NOT_IN_FROM),
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


def test_an_answer_of_several_lines_stays_in_lines(place: dict[str, Path]) -> None:
    """The mark below the place that is meant needs a line of its own."""
    with pytest.raises(UsageError) as caught:
        run_sql("SELECT * FROM edge", Network.from_parquet(place["net"]).sources)
    assert "LINE 1: SELECT * FROM edge" in str(caught.value)
    assert "\\n" not in str(caught.value)


ENDLESS = [
    "SELECT count(*) FROM range(1000000000000)",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range < 0",
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT 1 - x FROM t) SELECT x FROM t LIMIT 1 "
    "OFFSET 100000000000",
    # Heeds no interrupt: the process is killed.
    "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
]
HUGE = [
    ("SELECT length(repeat('x', 4000000000))", "more memory"),
    ("SELECT len(range(300000000))", "more memory"),
    ("SELECT list(x) FROM range(1000000000) t(x)", "more memory"),
    ("SELECT * FROM range(2000)", "more than 1,000 rows"),
]


@pytest.mark.parametrize("sql", ENDLESS)
def test_queries_that_do_not_end_are_stopped(sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pereggrn_data.loaders.network.sql.runner.GRACE_SECONDS", 2.5)
    # More memory than they need within the time, so that only the time stops them.
    with pytest.raises(UsageError, match="stopped after 1 second"):
        run_sql(sql, [], limits=Limits(seconds=1, memory_mb=1024, threads=1, rows=1000))


@pytest.mark.parametrize(("sql", "message"), HUGE)
def test_queries_that_take_too_much_are_stopped(sql: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_sql(sql, [], limits=Limits(seconds=600, memory_mb=256, threads=1, rows=1000))


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


def test_the_process_does_without_pandas() -> None:
    command = [sys.executable, "-P", "-X", "importtime", "-m", CHILD]
    request = _request("SELECT 1", [], {}, Limits())
    ran = subprocess.run(command, input=request, capture_output=True, check=True)
    assert ran.stdout.startswith(b"result\n")
    assert b"pyarrow" in ran.stderr
    assert b"pandas.core" not in ran.stderr
