"""The commands `lock`, `doctor` and `export`."""

from __future__ import annotations

from typing import Annotated

import typer

from pereggrn_data.cli.output import emit_json, emit_table, say
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.cli.shared_options import Json, Name, Release
from pereggrn_data.core.errors import ExitCode, UnknownNameError


def register(app: HelpfulApp) -> None:
    """Add the commands to a program."""
    app.command("lock", example="pereggrn-data lock -o lock.json  # asks the service")(
        lock_command
    )
    app.command("doctor", example="pereggrn-data doctor")(doctor_command)
    app.command("export", example="pereggrn-data export nakatake  # fetched before")(
        export_command
    )


def lock_command(
    release: Release = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=f"File to write; by default stdout; {IN_A_FOLDER}"),
    ] = None,
) -> None:
    """Ask the service for a release's sizes, checksums and contents, and write them down."""
    from pereggrn_data.pipelines.collection import lock

    file = None if output is None else as_file(output, "lock.json")
    resolved = lock(release, say=say)
    if file is None:
        emit_json(resolved.to_dict())
        return
    from pereggrn_data.core.strict_json import dumps
    from pereggrn_data.loaders.files.any_file import write_text

    write_text(dumps(resolved.to_dict(), indent=1) + "\n", file)
    n = sum(len(a.members or ()) for a in resolved.archives)
    say(f"{file}: record {resolved.record}, {len(resolved.archives)} files, {n} members")


def doctor_command(
    online: Annotated[
        bool, typer.Option("--online", help="Ask the service, too, and show what it answers.")
    ] = False,
    release: Release = None,
    as_json: Json = False,
) -> None:
    """Look at what can go wrong: cache, disk, settings, and the service with --online."""
    from pereggrn_data.pipelines.collection import Verdict, doctor

    checks = doctor(online=online, release=release, say=say)
    if as_json:
        emit_json(checks)
    else:
        rows = [(c.name, c.verdict, c.detail) for c in checks]
        emit_table(("check", "verdict", "detail"), rows)
    if any(c.verdict is Verdict.FAILURE for c in checks):
        raise typer.Exit(ExitCode.NETWORK if online else ExitCode.USAGE)


def export_command(
    name: Name,
    form: Annotated[str, typer.Option("--format", help="croissant")] = "croissant",
    release: Release = None,
) -> None:
    """Describe a dataset or network for others, as JSON-LD on stdout."""
    from pereggrn_data.pipelines.collection import EXPORT_FORMATS, export_croissant

    if form not in EXPORT_FORMATS:
        raise UnknownNameError("format", form, EXPORT_FORMATS)
    emit_json(export_croissant(name, release=release))
