"""Commands of `pereggrn-data networks` that take SQL and other people's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.data import network_output as networks_tables
from pereggrn_data.cli.data.network_options import Output, Rows
from pereggrn_data.cli.options import Collection, Json
from pereggrn_data.cli.output import emit_json, say
from pereggrn_data.core.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the commands to the sub-app."""
    app.command("sql")(sql)
    app.command("import")(import_file)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement.", metavar="QUERY")],
    network: Annotated[
        list[str] | None,
        typer.Option("--network", help="Name or path of a network; repeatable."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", help="Also see obs and var of this dataset; repeatable."),
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
    memory: Annotated[int, typer.Option(help="Memory in MiB.")] = 2048,
    threads: Annotated[int, typer.Option(help="Threads.")] = 2,
    max_rows: Annotated[int, typer.Option(help="More rows are an error.")] = 1_000_000,
    limit: Rows = None,
    output: Output = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Ask in SQL (DuckDB): one SELECT over the views `edges` and `edges_unique`.

    Both have the columns regulator, target, weight, cell_type, network and subnetwork.
    `edges` holds edges as they are stored. In `edges_unique`, a regulator, target and
    cell type occurs once, with the largest absolute weight. The query can read
    nothing else and write nothing.
    """
    from pereggrn_data.loaders.network.sql.runner import Limits
    from pereggrn_data.pipelines.collection import query_networks

    if not network and not dataset:
        raise UsageError("There is nothing to ask.", fix="name a network: --network NAME.")
    limits = Limits(time_limit, memory, threads, max_rows)
    table = query_networks(
        query, network or [], datasets=dataset or [], collection=collection, limits=limits
    )
    networks_tables.deliver(table, output=output, json=json, limit=limit)


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or parquet.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The network: a .parquet file.")],
    regulator: Annotated[str | None, typer.Option(help="Column of the regulators.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the targets.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of the weights.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Column of the cell types.")] = None,
    unweighted: Annotated[
        bool, typer.Option("--unweighted", help="Ignore weights: all become -1.")
    ] = False,
    json: Json = False,
) -> None:
    """Convert an edge list (source,target,mor; TF,target,importance; ...) or a base GRN.

    CellOracle's base GRN (peak_id, gene_short_name, one column per transcription
    factor) is recognised by its headers. An edge that is there several times is
    kept once, with the largest absolute weight.
    """
    from pereggrn_data.loaders.network.importing import import_table

    if output.suffix != ".parquet":
        raise UsageError(
            f"The network cannot be written to {output}.", expected="a name ending in .parquet"
        )
    given = {
        "regulator": regulator,
        "target": target,
        "weight": weight,
        "cell_type": cell_type,
    }
    columns = {role: name for role, name in given.items() if name is not None}
    if unweighted and weight is not None:
        raise UsageError("--weight and --unweighted exclude each other.")
    made = import_table(file, columns, unweighted=unweighted)
    made.network.to_parquet(output)
    found = {
        "layout": made.layout,
        "output": str(output),
        "n_rows": made.n_rows,
        "n_edges": made.network.n_edges,
        "n_regulators": len(made.network.regulators()),
        "n_targets": len(made.network.targets()),
        "columns": dict(made.used),
        "ignored_columns": list(made.ignored),
        "notes": list(made.notes),
    }
    if json:
        emit_json(found)
    used = ", ".join(f"{role} = {name}" for role, name in made.used.items())
    say(f"Read {made.n_rows:,} rows as {made.layout}: {used}.")
    if "weight" not in made.used:
        say("There are no weights: every edge has -1, which stands for unweighted.")
    if made.ignored:
        say(f"Ignored columns: {', '.join(map(repr, made.ignored))}.")
    for note in made.notes:
        say(f"Note: {note}")
    say(f"Wrote {found['n_edges']:,} edges to {output}.")
