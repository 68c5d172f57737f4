"""The commands `cache ls`, `cache dir` and `cache clean`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pereggrn_data.cli.output import emit, emit_json, emit_table, say
from pereggrn_data.cli.programs import HelpfulApp, new_group
from pereggrn_data.cli.progress import human_size
from pereggrn_data.cli.shared_options import Json, Release, Yes
from pereggrn_data.core.errors import UsageError

SHOWN = 20
"""How many of the files to remove are named."""


def register(app: HelpfulApp) -> None:
    """Add the commands to a program."""
    group = new_group("Look at the cache of fetched files, and clean it.")
    group.command("ls", example="pereggrn-data cache ls")(ls_command)
    group.command("dir", example="pereggrn-data cache dir")(dir_command)
    group.command("clean", example="pereggrn-data cache clean nakatake  # fetched before")(
        clean_command
    )
    app.add_typer(group, name="cache")


def ls_command(as_json: Json = False) -> None:
    """List what is in the cache."""
    from pereggrn_data.pipelines.collection import list_cache

    rows = list_cache()
    if as_json:
        emit_json(rows)
        return
    cells = [(r.name, r.kind, r.record, r.files, human_size(r.size), r.path) for r in rows]
    emit_table(
        ("name", "kind", "release", "files", "size", "folder"), cells, right=["files", "size"]
    )
    say(f"{human_size(sum(r.size for r in rows))} in all")


def dir_command() -> None:
    """Print the folder of the cache: PEREGGRN_CACHE, else the platform's."""
    from pereggrn_data.loaders.cache import open_cache

    cache = open_cache()
    cache.require_place()
    emit(cache.root)


def clean_command(
    names: Annotated[list[str] | None, typer.Argument(help="Remove these from the cache.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all that was fetched.")
    ] = False,
    release: Release = None,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Forget the checksums too, so that another version is accepted."
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove leftovers (unfinished transfers, temporary and set-aside files), or what is named."""
    from pereggrn_data.pipelines.collection import clean, plan_cleaning

    if everything and names:
        raise UsageError("--all takes no names.", expected="names, or --all")
    plan = plan_cleaning(names or (), everything=everything, release=release)
    say(f"{len(plan.paths)} files and folders, {human_size(plan.size)}")
    for path in plan.paths[:SHOWN]:
        say(f"  {path}")
    if len(plan.paths) > SHOWN:
        say(f"  and {len(plan.paths) - SHOWN} more")
    ask = (names or everything) and not yes
    if ask and plan.paths and sys.stdin.isatty() and not typer.confirm("Remove?", err=True):
        raise typer.Exit
    clean(plan, forget=forget)
