"""The command `pereggrn-eval export`: files for other evaluators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, say, warn
from pereggrn_data.cli.output_places import NeededFolder
from pereggrn_data.cli.shared_options import Collection, Insist, Json
from pereggrn_data.pipelines.score import OF_READING, ExportOptions, ScoreOptions
from pereggrn_data.pipelines.split import SplitOptions

_NOT_OF_READING = tuple(n for n in ScoreOptions.__dataclass_fields__ if n not in OF_READING)

GROUPS = (
    OptionGroup(ExportOptions),
    OptionGroup(ScoreOptions, panel="The predictions", without=_NOT_OF_READING),
    OptionGroup(SplitOptions, panel="The split, made again"),
)


def export_command(
    said: Said,
    predictions: Annotated[
        Path, typer.Argument(help="A .h5ad, .zarr, .parquet or .csv file, as for score.")
    ],
    output: NeededFolder,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset that is predicted; by default as the file says.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option("--split", help="A split.json that the predictions are for.")
    ] = None,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Write held-out cells and their predictions as the two files that other evaluators take.

    real.h5ad and pred.h5ad have the same genes and the same measured controls; pair.json
    names the sha256 of both.
    """
    from pereggrn_data.loaders.files.any_file import check_writable
    from pereggrn_data.pipelines.score import export_pair

    check_writable(output)
    pair = export_pair(
        predictions,
        dataset=dataset,
        split=split_file,
        split_options=said.options(SplitOptions),
        reading=said.options(ScoreOptions),
        options=said.options(ExportOptions),
        insist=insist or (),
        collection=collection,
    )
    files = pair.write(output)
    found = pair.to_dict()
    if as_json:
        emit_json({**found, "files": [str(file) for file in files]})
    else:
        emit(
            f"{found['perturbations']} perturbations, {found['genes']} genes: "
            f"{found['real_cells']} measured and {found['predicted_cells']} predicted cells, of "
            f"which {found['control_cells']} on each side are controls."
        )
        emit(f"obs[{found['column']!r}] has the labels; that of controls is {found['control']!r}.")
    for warning in pair.warnings:
        warn(warning)
    say("wrote " + ", ".join(map(str, files)))
