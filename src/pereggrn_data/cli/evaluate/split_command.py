"""The command `pereggrn-eval split`: make a split, or check one that somebody made."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pereggrn_data.cli.option_parameters import LIMITS, OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, emit_prose, warn
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.shared_options import Collection, Insist, Json
from pereggrn_data.pipelines.split import SplitOptions

if TYPE_CHECKING:
    from pereggrn_data.pipelines.split import SplitDataset

GROUPS = (OptionGroup(SplitOptions), LIMITS)


def split_command(
    said: Said,
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Verify this split.json for the dataset; write nothing."),
    ] = None,
    output: Annotated[Path | None, folder_option("DATASET_TYPE_seedSEED")] = None,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Hold out perturbations of a dataset: training data, what to predict, a template.

    Writes train.h5ad, test_perturbations.csv, predictions_template.h5ad and
    split.json (--type k_fold without --fold: all folds, each in a folder of its
    own). Fill in the template's X and score it. With --check, verifies a
    split that somebody else made: exit code 1 where it breaks a promise, 4
    where it was made for another file.
    """
    if check is not None:
        _check(check, dataset, collection, as_json)
        return
    from pereggrn_data.loaders.files.any_file import check_writable
    from pereggrn_data.pipelines.split import FOLDED, SplitDataset, split, split_folds

    options = SplitOptions(**said.of(SplitOptions))
    # Before the work, which would be lost; the default folder is made here.
    check_writable(output or Path("here"))
    made = (split_folds if options.type == FOLDED and options.fold is None else split)(
        dataset, options=options, insist=insist or (), collection=collection
    )
    folder = output or Path(_default_folder(made.dataset.name, options))
    files = made.write(folder)
    for warning in made.warnings:
        warn(warning)
    if as_json:
        details = (
            _details(made)
            if isinstance(made, SplitDataset)
            else {"folds": [_details(fold) for fold in made]}
        )
        emit_json({**details, "warnings": list(made.warnings), "files": [str(f) for f in files]})
        return
    emit_prose(*repr(made).split("\n"))
    for file in files:
        emit(file)


def _default_folder(name: str, options: SplitOptions) -> str:
    said = [options.cell_type] if options.cell_type else []
    said += [] if options.fold is None else [f"fold{options.fold}"]
    more = "".join("_" + re.sub(r"[^\w.-]", "-", text) for text in said)
    return f"{name}_{options.type}{more}_seed{options.seed}"


def _details(made: SplitDataset) -> dict[str, Any]:
    """Return what a split says, with numbers in place of long lists."""
    details = made.split.to_dict()
    lists = ("genes", "test_observations", "given_observations", "validation_observations")
    for long_list in lists:
        details[f"n_{long_list}"] = len(details.pop(long_list, ()))
    details.pop("train_observations", None)
    details["n_train_observations"] = made.n_train
    if "seen" in details:
        details["seen"] = dict(Counter(sorted(details["seen"].values())))
    return details


def _check(file: Path, dataset: str, collection: str | None, as_json: bool) -> None:
    from pereggrn_data.core.errors import ExitCode
    from pereggrn_data.pipelines.split import check_split

    checked = check_split(file, dataset, collection=collection)
    if as_json:
        emit_json(checked.to_dict())
    else:
        emit_prose(*repr(checked).split("\n"))
    if not checked.valid:
        raise typer.Exit(ExitCode.FINDINGS)
