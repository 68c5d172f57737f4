"""The commands `list`, `info` and `path`: what there is, and where it lies."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pereggrn_data.cli.output import emit, emit_json, emit_table, say
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.cli.progress import human_size
from pereggrn_data.cli.shared_options import Collection, Json, Name, Release

COLUMNS = ("name", "kind", "cells", "method", "perturbations", "size", "state")


def register(app: HelpfulApp) -> None:
    """Add the commands to a program."""
    app.command("list", example="pereggrn-data list --kind dataset")(list_command)
    app.command("info", example="pereggrn-data info nakatake")(info_command)
    app.command("path", example="pereggrn-data path nakatake  # fetched before")(path_command)


def list_command(
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only this kind: dataset, network or table.")
    ] = None,
    species: Annotated[
        str | None, typer.Option("--species", help="Only this species, for example human.")
    ] = None,
    release: Release = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """List all datasets, networks and tables: published, cached, local and embedded.

    Nothing is downloaded. The size of a published entry is known once its
    release has been asked for, by `fetch` or `lock`.
    """
    from pereggrn_data.pipelines.collection import list_entries

    rows = list_entries(kind=kind, species=species, collection=collection, release=release)
    if as_json:
        emit_json(rows)
        return
    cells = [
        (
            row.shown_as,
            row.kind,
            row.cells or row.species,
            row.method,
            row.perturbations,
            human_size(row.size) if row.size is not None else None,
            f"{row.state}: {row.note}" if row.note else row.state,
        )
        for row in rows
    ]
    emit_table(
        COLUMNS,
        cells,
        right=["perturbations", "size"],
        expendable=["method", "cells", "perturbations"],
    )
    aliases = ", ".join(f"{a} = {row.name}" for row in rows for a in row.aliases)
    if aliases:
        say(f"Other names: {aliases}.")


def info_command(
    name: Name, release: Release = None, collection: Collection = None, as_json: Json = False
) -> None:
    """Show all that is known about one name, with citations and licence."""
    from pereggrn_data.pipelines.collection import info

    facts = info(name, collection=collection, release=release)
    if facts["name"] != name:
        say(f"{name} is another name of {facts['name']}.")
    if as_json:
        emit_json(facts)
        return
    citations = facts.pop("citations", [])
    if facts.get("genes_perturbed"):
        # In words, it says the number as well, which programs find in the JSON.
        facts.pop("n_perturbed", None)
    for key, value in facts.items():
        _show(key, value)
    for citation in citations:
        emit("", citation["text"], "", *citation["bibtex"].split("\n"))


def path_command(
    name: Name,
    file: Annotated[
        str | None,
        typer.Option("--file", help="Another file of the entry, for example train.h5ad."),
    ] = None,
    collection: Collection = None,
) -> None:
    """Print where the files of a name lie: those of the local collection, else the cache."""
    from pereggrn_data.pipelines.collection import entry_paths

    for path in entry_paths(name, file=file, collection=collection, say=say):
        emit(path)


def _show(key: str, value: Any, indent: str = "") -> None:
    label = key.replace("_", " ")
    if isinstance(value, dict):
        emit(f"{indent}{label}:")
        for inner, part in value.items():
            _show(inner, part, indent + "  ")
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        emit(f"{indent}{label}:")
        for item in value:
            emit(f"{indent}  - {_one_line(item)}")
    elif isinstance(value, (list, tuple)):
        emit(f"{indent}{label}: {'; '.join(map(str, value))}")
    else:
        emit(f"{indent}{label}: {'not known yet' if value is None else value}")


def _one_line(item: dict[str, Any]) -> str:
    first, *rest = item.items()
    shown = [f"{k} {human_size(v) if k == 'size' else v}" for k, v in rest if v is not None]
    return ", ".join([str(first[1]), *shown])
