"""The command `pereggrn-eval split`: make a split, or check one that somebody made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, warn
from pereggrn_data.cli.shared_options import Collection, Folder, Insist, Json
from pereggrn_data.pipelines.split import SplitOptions

GROUPS = (OptionGroup(SplitOptions),)


def split_command(
    said: Said,
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Verify this split.json for the dataset; write nothing."),
    ] = None,
    output: Folder = None,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Hold out perturbations of a dataset: training data, what to predict, a template.

    Writes train.h5ad, test_perturbations.csv, predictions_template.h5ad and
    split.json. Fill in the template's X and score it. With --check, verifies a
    split that somebody else made: exit code 1 where it breaks a promise, 4
    where it was made for another file.
    """
    if check is not None:
        _check(check, dataset, collection, as_json)
        return
    from pereggrn_data.loaders.files import check_writable
    from pereggrn_data.pipelines.split import split

    options = SplitOptions(**said.of(SplitOptions))
    # Before the work, which would be lost; the default folder is made here.
    check_writable(output or Path("here"))
    made = split(dataset, options=options, insist=insist or (), collection=collection)
    folder = output or Path(f"{made.dataset.name}_{options.type}_seed{options.seed}")
    files = made.write(folder)
    for warning in made.warnings:
        warn(warning)
    if as_json:
        details = made.split.to_dict()
        for long_list in ("genes", "test_observations", "given_observations"):
            details[f"n_{long_list}"] = len(details.pop(long_list, ()))
        details.pop("train_observations", None)
        details["n_train_observations"] = made.n_train
        emit_json({**details, "warnings": list(made.warnings), "files": [str(f) for f in files]})
        return
    emit(repr(made))
    for file in files:
        emit(str(file))


def _check(file: Path, dataset: str, collection: str | None, as_json: bool) -> None:
    from pereggrn_data.core.errors import ExitCode
    from pereggrn_data.pipelines.split import check_split

    checked = check_split(file, dataset, collection=collection)
    if as_json:
        emit_json(checked.to_dict())
    else:
        emit(repr(checked))
    if not checked.valid:
        raise typer.Exit(ExitCode.FINDINGS)
