"""`pereggrn-data qc`: how good is a dataset?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import MEMORY, Said, add_command
from pereggrn_data.cli.output import emit, emit_json, emit_table, say
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.cli.shared_options import Collection, Insist, Json


def register(app: HelpfulApp) -> None:
    """Add the command to a program."""
    add_command(app, "qc", quality_command, (MEMORY,), example="pereggrn-data qc demo")


def quality_command(
    _said: Said,
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    output: Annotated[Path | None, folder_option()] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the pairs that are compared, and the halves of controls.")
    ] = 0,
    collection: Collection = None,
    insist: Insist = None,
    as_json: Json = False,
) -> None:
    """Say how good a dataset is: targets, effects, replicates, stereotypes, labels.

    Prints one line per question. With --output, every table is written as CSV:
    summary, targets, effects, replicates, stereotypical, mean_baseline and labels;
    --json prints them all.
    """
    from pereggrn_data.pipelines.quality_control import qc, write_quality

    made = qc(dataset, seed=seed, collection=collection, insist=insist or ())
    for note in made.notes:
        say(note)
    files = write_quality(made, output) if output is not None else []
    if as_json:
        tables = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in made.tables.items()
        }
        emit_json(tables)
        return
    rows = [
        (what, int(of), None if value != value else f"{value:.3g}")
        for what, of, value in made.tables["summary"].itertuples(index=False)
    ]
    emit_table(("what", "of", "value"), rows, right=["of", "value"])
    for file in files:
        emit(file)
