"""The commands `pereggrn-eval experiment check` and `conditions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.output import complain, emit, emit_json, warn
from pereggrn_data.cli.programs import new_group
from pereggrn_data.cli.shared_options import Collection, Json
from pereggrn_data.core.errors import ExitCode, InvalidDataError, MissingFileError

Force = Annotated[
    bool, typer.Option("--force", help="Take an experiment although its is_active is false.")
]

app = new_group("Experiments: check their metadata, and show their conditions.")


def register(program: typer.Typer) -> None:
    """Add the commands to a program."""
    program.add_typer(app, name="experiment")


@app.command(
    "check",
    example="pereggrn-eval experiment check three_methods.json  # an experiment of your own",
)
def check_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="JSON or YAML files, or folders with a metadata.json."
        ),
    ],
    force: Force = False,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Check the metadata of experiments, and report every problem at once.

    Exit code 1 where one cannot be run; warnings do not count. With --json, one file
    gives an object, several give an array of them.
    """
    from pereggrn_data.pipelines.experiment import check_experiment

    found = []
    missing = unreadable = False
    for file in files:
        try:
            found.append(check_experiment(file, force=force, collection=collection))
        except MissingFileError as error:
            complain(error)
            missing = True
        except InvalidDataError as error:
            complain(error)
            unreadable = True
    if as_json:
        dicts = [experiment.to_dict() for experiment in found]
        emit_json(dicts if len(files) > 1 else dicts[0] if dicts else None)
    else:
        for experiment in found:
            emit(*repr(experiment).split("\n"))
    if missing:
        raise typer.Exit(ExitCode.USAGE)
    if unreadable or not all(experiment.valid for experiment in found):
        raise typer.Exit(ExitCode.FINDINGS)


@app.command(
    "conditions",
    example="pereggrn-eval experiment conditions three_methods.json  # an experiment of your own",
)
def conditions_command(
    file: Annotated[
        Path, typer.Argument(help="A JSON or YAML file, or a folder with a metadata.json.")
    ],
    force: Force = False,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Print the table of an experiment's conditions, as CSV."""
    from pereggrn_data.pipelines.experiment import lay_out, read_experiment

    experiment = read_experiment(file, force=force, collection=collection)
    made = lay_out(experiment, collection=collection)
    for finding in (*experiment.warnings, *made.notes):
        warn(finding)
    if as_json:
        emit_json(list(made.rows))
    else:
        emit(*made.to_csv().removesuffix("\n").split("\n"))
