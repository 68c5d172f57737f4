"""Commands of `pereggrn-data networks`: look up, compare, convert, ask in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pereggrn_data.cli.data import network_output
from pereggrn_data.cli.output import complain, emit_json, emit_table, say
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file, as_usual_file
from pereggrn_data.cli.programs import HelpfulApp, new_group
from pereggrn_data.cli.shared_options import Collection, Json
from pereggrn_data.core.errors import ExitCode, InvalidDataError, UsageError, first_few, or_list
from pereggrn_data.core.resources import DEFAULT_MEMORY
from pereggrn_data.core.sizes import parse_memory

if TYPE_CHECKING:
    from pereggrn_data import Network

NetworkName = Annotated[
    str,
    typer.Argument(
        help="Name of a network, or path of a parquet file or a folder of them.",
        metavar="NETWORK",
    ),
]
Subnetworks = Annotated[
    list[str] | None, typer.Option("--subnetwork", "-s", help="Only this part; repeatable.")
]
CellType = Annotated[
    list[str] | None,
    typer.Option("--cell-type", help="Only edges stated for this cell type; repeatable."),
]
IgnoreCase = Annotated[
    bool, typer.Option("--ignore-case", help="Also match other spellings, and say which.")
]
Rows = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, help="Show this many rows (tables: 100 by default)."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        callback=as_usual_file,
        help=f"Write a .parquet, .csv or .tsv file instead; {IN_A_FOLDER}",
    ),
]

app = new_group("Gene regulatory networks: look up, overlap, import, and ask in SQL.")


def register(program: HelpfulApp) -> None:
    """Add the commands to a program."""
    program.add_typer(app, name="networks")


@app.command("list", example="pereggrn-data networks list")
def list_networks(collection: Collection = None, json: Json = False) -> None:
    """List the networks that can be read here: local ones, and those that were fetched."""
    from pereggrn_data.loaders.network import Network
    from pereggrn_data.pipelines.collection import available_networks

    rows: list[dict[str, Any]] = []
    broken = []
    for name, files in available_networks(collection).items():
        row: dict[str, Any] = {"network": name, "subnetworks": len(files)}
        try:
            sources = Network.from_files(files, name=name).sources
            row["stored_edges"] = sum(source.n_rows for source in sources)
        except InvalidDataError as error:
            row["stored_edges"] = None
            broken.append(error)
        row["bytes"] = sum(file.stat().st_size for file in files.values())
        rows.append(row)
    network_output.show(rows, json=json)
    if not rows:
        say(
            "There is no network here but the embedded one, `demo`. `pereggrn-data list --kind "
            "network` names those that can be fetched; --collection names a folder of your own."
        )
    for problem in broken:
        complain(problem)
    if broken:
        raise typer.Exit(ExitCode.FINDINGS)


@app.command(example="pereggrn-data networks info demo")
def info(
    network: NetworkName,
    subnetwork: Subnetworks = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Describe a network: its subnetworks with their edges, genes and weights."""
    opened = _open(network, subnetwork, collection)
    rows = opened.summary().to_dict("records")
    if json:
        emit_json({"network": opened.name, "n_edges": opened.n_edges, "subnetworks": rows})
        return
    network_output.show([{str(k): v for k, v in row.items()} for row in rows])
    say(f"{opened.name}: {opened.n_edges:,} edges in {len(rows)} subnetworks.")


@app.command(example="pereggrn-data networks regulators demo DEMO001 DEMO002")
def regulators(
    network: NetworkName,
    genes: Annotated[list[str], typer.Argument(help="Targets.", metavar="GENE")],
    subnetwork: Subnetworks = None,
    cell_type: CellType = None,
    ignore_case: IgnoreCase = False,
    limit: Rows = None,
    output: Output = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Show what regulates one or several genes."""
    opened = _open(network, subnetwork, collection)
    found = _spelled(opened, genes, "target", ignore_case)
    table = opened.edges(targets=found, cell_type=cell_type or None, to="arrow")
    table = table.sort_by([(c, "ascending") for c in ("target", "regulator", "subnetwork")])
    network_output.deliver(table, output=output, json=json, limit=limit)
    _note_missing(opened, "target", found, table["target"].unique().to_pylist())


@app.command(example="pereggrn-data networks targets demo DEMO001")
def targets(
    network: NetworkName,
    genes: Annotated[list[str], typer.Argument(help="Regulators.", metavar="GENE")],
    subnetwork: Subnetworks = None,
    cell_type: CellType = None,
    ignore_case: IgnoreCase = False,
    limit: Rows = None,
    output: Output = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Show what one or several genes regulate."""
    opened = _open(network, subnetwork, collection)
    found = _spelled(opened, genes, "regulator", ignore_case)
    table = opened.edges(regulators=found, cell_type=cell_type or None, to="arrow")
    network_output.deliver(table, output=output, json=json, limit=limit)
    _note_missing(opened, "regulator", found, table["regulator"].unique().to_pylist())


@app.command(example="pereggrn-data networks edges demo -o edges.parquet")
def edges(
    network: NetworkName,
    regulator: Annotated[
        list[str] | None, typer.Option("--regulator", "-r", help="Only of this gene; repeatable.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Only to this gene; repeatable.")
    ] = None,
    min_weight: Annotated[
        float | None, typer.Option(help="Only edges of this weight or a higher one.")
    ] = None,
    max_weight: Annotated[
        float | None, typer.Option(help="Only edges of this weight or a lower one.")
    ] = None,
    subnetwork: Subnetworks = None,
    cell_type: CellType = None,
    ignore_case: IgnoreCase = False,
    unique: Annotated[
        bool, typer.Option("--unique", help="Merge subnetworks: every edge once.")
    ] = False,
    limit: Rows = None,
    output: Output = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Show edges, or write them to a file (-o net.parquet, .csv or .tsv)."""
    opened = _open(network, subnetwork, collection)
    wanted: dict[str, Any] = {"weight_range": (min_weight, max_weight)}
    wanted["regulators"] = _spelled(opened, regulator, "regulator", ignore_case)
    wanted["targets"] = _spelled(opened, target, "target", ignore_case)
    wanted["cell_type"] = cell_type or None
    chosen = (opened.unique() if unique else opened).subset(**wanted)
    if output is not None and limit is None:
        if output.lower().endswith(".parquet"):
            chosen.to_parquet(output)
            n = chosen.n_edges
        else:
            n = chosen.write_table(output)
        say(f"Wrote {n:,} edges to {output}.")
    else:
        table = chosen.edges(to="arrow")
        network_output.deliver(table, output=output, json=json, limit=limit)
    if wanted["regulators"] is not None:
        _note_missing(opened, "regulator", wanted["regulators"], chosen.regulators())
    if wanted["targets"] is not None:
        _note_missing(opened, "target", wanted["targets"], chosen.targets())


@app.command(example="pereggrn-data networks degree demo --limit 5")
def degree(
    network: NetworkName,
    subnetwork: Subnetworks = None,
    limit: Rows = None,
    output: Output = None,
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Count the targets (out) and regulators (in) of every gene, most targets first."""
    import pyarrow as pa

    counts = _open(network, subnetwork, collection).degree()
    counts = counts.sort_values(
        ["out_degree", "in_degree", "gene"], ascending=[False, False, True]
    )
    table = pa.Table.from_pandas(counts, preserve_index=False)
    network_output.deliver(table, output=output, json=json, limit=limit)


@app.command(example="pereggrn-data networks overlap demo edges.parquet")
def overlap(
    a: Annotated[str, typer.Argument(help="Name or path of a network.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Name or path of another one.", metavar="B")],
    collection: Collection = None,
    json: Json = False,
) -> None:
    """Compare two networks: shared edges, regulators and targets, and their Jaccard index.

    Edges are compared as regulator-target pairs, whatever their subnetwork and cell type.
    """
    first, second = _open(a, None, collection), _open(b, None, collection)
    shared = first.overlap(second)
    if json:
        emit_json({"networks": {"a": first.name, "b": second.name}, "overlap": shared})
        return
    emit_table(
        ["of", first.name, second.name, "shared", "Jaccard"],
        [
            [of, s.a, s.b, s.shared, None if s.jaccard is None else f"{s.jaccard:.4f}"]
            for of, s in (
                ("edges", shared.edges),
                ("regulators", shared.regulators),
                ("targets", shared.targets),
            )
        ],
        right=[first.name, second.name, "shared", "Jaccard"],
    )


@app.command(example="pereggrn-data networks sql 'SELECT count(*) FROM edges' --network demo")
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
    memory: Annotated[str, typer.Option(help="Memory, for example 4GB.")] = DEFAULT_MEMORY,
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
    from pereggrn_data.loaders.network import Limits
    from pereggrn_data.pipelines.collection import query_networks

    if not network and not dataset:
        raise UsageError("There is nothing to ask.", fix="name a network: --network NAME.")
    limits = Limits(time_limit, max(1, parse_memory(memory) >> 20), threads, max_rows)
    table = query_networks(
        query, network or [], datasets=dataset or [], collection=collection, limits=limits
    )
    network_output.deliver(table, output=output, json=json, limit=limit)


@app.command(
    "import",
    example="pereggrn-data networks edges demo -o edges.csv\n"
    "pereggrn-data networks import edges.csv -o net.parquet",
)
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, TXT, SIF, GMT (also .gz) or parquet.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help=f"The network: a .parquet file; {IN_A_FOLDER}"),
    ],
    regulator: Annotated[str | None, typer.Option(help="Column of the regulators.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the targets.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of the weights.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Column of the cell types.")] = None,
    unweighted: Annotated[
        bool, typer.Option("--unweighted", help="Ignore weights: all become -1.")
    ] = False,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether the first line names the columns. Without a header, they are called "
            "1, 2, ... Unless told, a first line that looks like an edge is an error.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Convert an edge list (source,target,mor; TF,target,importance; ...) or a base GRN.

    CellOracle's base GRN (peak_id, gene_short_name, one column per transcription
    factor) and pySCENIC's regulons are recognised by their headers. Commas, tabs,
    semicolons, bars or spaces may separate columns. SIF and GMT files are read where
    it is clear what regulates what, and else say what to do. An edge that is there several
    times is kept once, with the largest absolute weight.
    """
    from pereggrn_data.loaders.network import import_table

    place = as_file(output, f"{file.name.split('.')[0]}.parquet")
    if place.suffix.lower() != ".parquet":
        raise UsageError(
            f"The network cannot be written to {place}.", expected="a name ending in .parquet"
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
    made = import_table(file, columns, unweighted=unweighted, header=header)
    made.network.to_parquet(place)
    found = {
        "layout": made.layout,
        "output": str(place),
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
    say(f"Wrote {found['n_edges']:,} edges to {place}.")


def _open(name: str, subnetwork: list[str] | None, collection: str | None) -> Network:
    from pereggrn_data.pipelines.collection import open_network

    return open_network(name, subnetworks=subnetwork or None, collection=collection)


def _spelled(
    network: Network, genes: list[str] | None, role: Any, ignore_case: bool
) -> list[str] | None:
    """Return the names to look up, and say which were changed."""
    if not genes or not ignore_case:
        return genes or None
    names = []
    for gene, found in network.match_names(genes, role).items():
        names.extend(found or [gene])
        if found and found != [gene]:
            say(f"{gene} was matched in another case: {or_list(found)}")
    return names


def _note_missing(
    network: Network, role: Any, asked: list[str] | None, found: Iterable[str]
) -> None:
    """Say which genes have no rows: it is an answer, not an error."""
    there = set(found)
    missing = [gene for gene in dict.fromkeys(asked or ()) if gene not in there]
    if missing:
        say(f"Without an edge as a {role} in {network.name}: {first_few(missing)}")
        spelled = {s for found in network.match_names(missing, role).values() for s in found}
        if spelled:
            say(f"  --ignore-case would find {first_few(sorted(spelled))}")
