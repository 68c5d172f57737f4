"""`pereggrn-data convert`: from what people have to the uniform format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said, add_command
from pereggrn_data.cli.output import emit, emit_json, insist
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.cli.shared_options import Json
from pereggrn_data.conversion import GeneOptions, LabelOptions, PipelineOptions, ValueOptions

GROUPS = (
    OptionGroup(LabelOptions, "What was done to each cell"),
    OptionGroup(GeneOptions, "What the genes are called"),
    OptionGroup(ValueOptions, "Where the values are"),
    OptionGroup(PipelineOptions, "Preprocessing"),
)


def register(app: HelpfulApp) -> None:
    """Add the command to a program."""
    add_command(
        app,
        "convert",
        convert_command,
        GROUPS,
        example="pereggrn-data convert screen.h5ad -o uniform.h5ad \\\n"
        "  --perturbation gene --control NT --type knockdown  # a file of your own",
    )


def convert_command(
    said: Said,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="An .h5ad file, a zarr store, Cell Ranger's .h5 or matrix.mtx folder, or a table "
            "of counts (CSV, TSV, parquet).",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help=f"The .h5ad file to write; {IN_A_FOLDER}")
    ],
    obs: Annotated[
        Path | None,
        typer.Option(help="Table of cells whose first column has their names."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="TOML file with options; what is said here goes before."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report to this file, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert counts, or normalised expression, to a dataset of the uniform format.

    By default counts are summed per perturbation and every column that is named
    (replicate, cell type, time point, --by), divided by size factors, and the
    natural log of 1 + x is taken, as in the paper. Beside OUT.h5ad stands
    OUT.recipe.toml, with which the conversion can be repeated (--recipe). What
    was read, dropped, decided and assumed is printed. Exit code 1, and no
    output, where the input is not what the options say or the result would not
    be valid.
    """
    from pereggrn_data.core.strict_json import dumps
    from pereggrn_data.loaders.files.any_file import write_text
    from pereggrn_data.pipelines.convert import check_outputs, convert

    file = as_file(output, f"{Path(source).stem}.h5ad")
    check_outputs(file, [report])
    choices = {name: v for group in GROUPS for name, v in said.of(group.options).items()}
    made = convert(source, obs=obs, recipe=recipe, **choices)
    if report is not None:
        write_text(dumps(made.report.to_dict()) + "\n", report)
    if not as_json:
        emit(*made.report.to_lines())
    files = made.write(file)
    for warning in made.validation.warnings:
        for line in warning.to_lines():
            insist(line)
    if as_json:
        emit_json({**made.report.to_dict(), "files": [str(f) for f in files]})
        return
    for file in files:
        emit(file)
